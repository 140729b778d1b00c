"""Exact search beside FAISS's flat index: time, and peak memory above the vectors.

Each engine runs in a process of its own over the same vectors, one after the other.

    python benchmarks/search.py                 131,072 x 131,072 x 256: some minutes
    python benchmarks/search.py --small         8,192 queries against 131,072 items
    python benchmarks/search.py -q 1000 -n 50000 -d 128 -k 100 --threads 4
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ENGINES = ("faiss flat", "exact", "exact, half allowed")


def memory_mb(field: str) -> float:
    """A line of /proc/self/status, such as VmRSS or VmHWM (the peak), in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def search(engine: str, folder: Path, k: int) -> dict[str, object]:
    """Run one engine in this process; the peak is counted from after its index was built."""
    import faiss

    from thresher.retrieve import Exact

    queries, items = np.load(folder / "queries.npy"), np.load(folder / "items.npy")
    allow = np.arange(len(items)) % 2 == 0 if "half" in engine else None
    if engine == "faiss flat":
        index = faiss.IndexFlatIP(items.shape[1])
        index.add(items)
        del items
    else:
        index = Exact(items)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before, wall, cpu = memory_mb("VmRSS"), time.perf_counter(), time.process_time()
    if engine == "faiss flat":
        rows = index.search(queries, k)[1]
    else:
        rows = index.search(queries, k, allow=allow).rows
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    np.save(folder / f"{engine}.npy", rows)
    return {
        "engine": engine,
        "wall_s": round(wall, 2),
        "cpu_s": round(cpu, 2),
        "queries_per_s": round(len(queries) / wall, 1),
        "peak_above_vectors_mb": round(memory_mb("VmHWM") - before, 1),
    }


def vectors(generator: np.random.Generator, queries: int, items: int, dimensions: int):
    """Unit items around a thousand centres; each query is near an item, one item in fifty twice."""
    centres = generator.normal(size=(1000, dimensions)).astype(np.float32)
    item = centres[generator.integers(0, 1000, items)]
    item += generator.normal(size=item.shape).astype(np.float32)
    item[50::50] = item[49:-1:50]
    query = item[generator.integers(0, items, queries)]
    query += 0.5 * generator.normal(size=query.shape).astype(np.float32)
    return (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (query, item))


def compare(arguments: argparse.Namespace) -> dict[str, object]:
    """Run every engine on one set of vectors; ratios are to FAISS."""
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    with tempfile.TemporaryDirectory() as name:
        made = vectors(
            np.random.default_rng(0), arguments.queries, arguments.items, arguments.dimensions
        )
        for part, array in zip(("queries", "items"), made, strict=True):
            np.save(Path(name) / f"{part}.npy", array)
        results = []
        for engine in ENGINES[: 2 + arguments.filtered]:
            command = [sys.executable, __file__, "--engine", engine, "--folder", name]
            command += ["-k", str(arguments.k)]
            done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
            results.append(json.loads(done.stdout))
        same = np.load(f"{name}/faiss flat.npy") == np.load(f"{name}/exact.npy")
    for result in results:
        for clock in ("wall", "cpu"):
            result[f"{clock}_ratio"] = round(result[f"{clock}_s"] / results[0][f"{clock}_s"], 3)
    asked = {key: getattr(arguments, key) for key in ("queries", "items", "dimensions", "k")}
    return asked | {"threads": arguments.threads, "same_rows": same.mean(), "engines": results}


def main() -> None:
    """Read the arguments; print a table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-q", "--queries", type=int, default=131_072)
    parser.add_argument("-n", "--items", type=int, default=131_072)
    parser.add_argument("-d", "--dimensions", type=int, default=256)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="8,192 queries")
    parser.add_argument("--filtered", action="store_true", help="also with half the items allowed")
    parser.add_argument("--engine", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.engine:
        print(json.dumps(search(arguments.engine, arguments.folder, arguments.k)))
        return
    if arguments.small:
        arguments.queries = 8192
    report = compare(arguments)
    print(f"{'engine':<22}{'wall s':>9}{'cpu s':>9}{'x wall':>8}{'x cpu':>8}{'peak MB above':>15}")
    for r in report["engines"]:
        print(
            f"{r['engine']:<22}{r['wall_s']:>9}{r['cpu_s']:>9}{r['wall_ratio']:>8}"
            f"{r['cpu_ratio']:>8}{r['peak_above_vectors_mb']:>15}"
        )
    print(json.dumps(report))


if __name__ == "__main__":
    main()
