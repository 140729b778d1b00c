"""Exact search beside FAISS's flat index: time, and peak memory above the vectors.

Time: both search the same blocks of queries in turn, in one process, each first every other time,
so that what else the machine does falls on both. Memory: each in a process of its own.

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

ENGINES = ("faiss flat", "exact")
BLOCK = 8192  # queries of a turn


def memory_mb(field: str) -> float:
    """A line of /proc/self/status, such as VmRSS or VmHWM (the peak), in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def searcher(engine: str, items: np.ndarray, k: int):
    """A function from queries to rows."""
    if engine == "exact":
        from thresher.retrieve import Exact

        index = Exact(items)
        return lambda queries: index.search(queries, k).rows
    import faiss

    flat = faiss.IndexFlatIP(items.shape[1])
    flat.add(items)
    return lambda queries: flat.search(queries, k)[1]


def memory(engine: str, folder: Path, k: int) -> float:
    """Peak MB of one engine in this process, counted from after its index was built."""
    queries = np.load(folder / "queries.npy")
    run = searcher(engine, np.load(folder / "items.npy"), k)
    run(queries[:1])  # starts its threads
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = memory_mb("VmRSS")
    run(queries)
    return round(memory_mb("VmHWM") - before, 1)


def timing(folder: Path, k: int) -> dict[str, object]:
    """Wall and processor seconds of both engines in turn, and the share of equal rows."""
    queries, items = np.load(folder / "queries.npy"), np.load(folder / "items.npy")
    engines = {name: searcher(name, items, k) for name in ENGINES}
    spent = {name: np.zeros(2) for name in ENGINES}
    same = 0
    for turn, start in enumerate(range(0, len(queries), BLOCK)):
        rows = {}
        for name in ENGINES[:: 1 if turn % 2 else -1]:
            begun = np.array([time.perf_counter(), time.process_time()])
            rows[name] = engines[name](queries[start : start + BLOCK])
            spent[name] += np.array([time.perf_counter(), time.process_time()]) - begun
        same += int((rows["exact"] == rows["faiss flat"]).sum())
    return {
        "same_rows": round(same / (len(queries) * k), 4),
        "seconds": {name: spent[name].round(2).tolist() for name in ENGINES},
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


def child(arguments: argparse.Namespace, folder: str, task: str):
    """Run one task in a process of its own."""
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
    command = [sys.executable, __file__, "--task", task, "--folder", folder, "-k", str(arguments.k)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def compare(arguments: argparse.Namespace) -> dict[str, object]:
    """Time both engines, then measure the memory of each."""
    sizes = arguments.queries, arguments.items, arguments.dimensions
    with tempfile.TemporaryDirectory() as folder:
        made = vectors(np.random.default_rng(0), *sizes)
        for part, array in zip(("queries", "items"), made, strict=True):
            np.save(f"{folder}/{part}.npy", array)
        report = child(arguments, folder, "timing")
        report["peak_mb"] = {name: child(arguments, folder, name) for name in ENGINES}
    flat, exact = (np.array(report["seconds"][name]) for name in ENGINES)
    report["wall_ratio"], report["processor_ratio"] = (exact / flat).round(3).tolist()
    given = {key: getattr(arguments, key) for key in ("queries", "items", "dimensions", "k")}
    return given | {"threads": arguments.threads} | report


def main() -> None:
    """Read the arguments; print a table, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-q", "--queries", type=int, default=131_072)
    parser.add_argument("-n", "--items", type=int, default=131_072)
    parser.add_argument("-d", "--dimensions", type=int, default=256)
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--small", action="store_true", help="8,192 queries")
    parser.add_argument("--task", choices=("timing", *ENGINES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task == "timing":
        print(json.dumps(timing(arguments.folder, arguments.k)))
        return
    if arguments.task:
        print(json.dumps(memory(arguments.task, arguments.folder, arguments.k)))
        return
    if arguments.small:
        arguments.queries = 8192
    report = compare(arguments)
    print(f"{'engine':<12}{'wall s':>9}{'processor s':>13}{'peak MB above':>15}")
    for name in ENGINES:
        wall, processor = report["seconds"][name]
        print(f"{name:<12}{wall:>9}{processor:>13}{report['peak_mb'][name]:>15}")
    print(f"exact / faiss flat: {report['wall_ratio']} wall, {report['processor_ratio']} processor")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
