"""Peak memory and time of the commands, by size: as many queries as items.

    python benchmarks/memory.py                          10,000 and 30,000
    python benchmarks/memory.py --sizes 200000           what the documentation promises

A shop of made-up products is trained on at a small size; then the catalogue is exchanged for one of
each size, and the commands run on as many queries. Every command is a process of its own, with the
peak of its resident memory as the operating system counts it.
"""

import argparse
import csv
import json
import random
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

TRAINED = 5000
RUN = """
[data]
items = "items.csv"
queries = "queries.csv"
pairs = "pairs.csv"

[tower]
dim = 128

[train]
epochs = 1
"""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def shop(folder: Path, size: int, seed: int = 0) -> None:
    """Write items, a noisy query of each, and the pairs."""
    draw = random.Random(seed)
    words = ["".join(draw.choices(LETTERS, k=draw.randint(4, 9))) for _ in range(5000)]
    tables = {"items": ["id", "title"], "queries": ["id", "title"]}
    rows: dict[str, list[list[str]]] = {name: [] for name in [*tables, "pairs"]}
    for at in range(size):
        title = [*draw.choices(words, k=5), f"{draw.choice(LETTERS)}{draw.randrange(10**6)}"]
        rows["items"].append([f"i{at}", " ".join(title)])
        asked = draw.sample(title, 5)
        rows["queries"].append([f"q{at}", " ".join([*asked, draw.choice(words)])])
        rows["pairs"].append([f"q{at}", f"i{at}"])
    folder.mkdir(parents=True, exist_ok=True)
    for name, header in {**tables, "pairs": ["query_id", "item_id"]}.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *rows[name]])
    (folder / "run.toml").write_text(RUN, "utf-8")


def measured(*arguments: object) -> dict[str, float]:
    """Run a command of Thresher; see `process`."""
    return process([sys.executable, "-m", "thresher", *map(str, arguments), "--quiet"])


# Linux counts the memory of the process that starts another as the peak of the other: a small one
# starts the command.
STARTER = """
import os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
print(os.waitstatus_to_exitcode(status), time.perf_counter() - began)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
"""


def process(command: list[str]) -> dict[str, float]:
    """Run a command; seconds, processor seconds, and peak memory in GB."""
    starter = [sys.executable, "-S", "-c", STARTER, *command]
    done = subprocess.run(starter, check=True, stdout=subprocess.PIPE, text=True)
    code, seconds, processor, peak = map(float, done.stdout.split())
    if code not in (0, 1):  # 1: nothing could be certified
        sys.exit(f"{' '.join(command)} ended with {code:.0f}")
    return {
        "seconds": round(seconds, 2),
        "processor": round(processor, 2),
        "peak_gb": round(peak / 1e6, 3),
    }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 30_000])
    parser.add_argument("--limit", type=float, help="GB of address space a command may take")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.limit:
        most = int(given.limit * 1e9)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    found: dict[str, dict[str, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as place:
        start, model = Path(place) / "start", Path(place) / "model"
        shop(start, TRAINED)
        measured("train", start / "run.toml", "--out", model)
        for size in given.sizes:
            folder = Path(place) / str(size)
            shop(folder, size, seed=size)
            asked = ("--queries", folder / "queries.csv")
            true = (*asked, "--pairs", folder / "pairs.csv")
            commands = {
                "index": ("index", model, "--items", folder / "items.csv"),
                "calibrate": ("calibrate", model, *true, "--target", 0.9),
                "match": ("match", model, *asked, "--out", folder / "decisions.csv"),
                "evaluate": ("evaluate", model, *true),
            }
            found[str(size)] = {}
            for name, line in commands.items():
                row = found[str(size)][name] = measured(*line)
                if not given.json:
                    print(
                        f"{size:>9,} {name:<10} {row['seconds']:>7.1f} s "
                        f"{row['processor']:>7.1f} s of processor time {row['peak_gb']:>6.2f} GB",
                        flush=True,
                    )
    if given.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
