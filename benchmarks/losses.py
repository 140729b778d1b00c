"""What losses cost: the softmax beside its bare matrix products, and a step of each loss.

Time: the loss, forward and backward, and the three matrix products that it cannot do without, in
the same tiles, in turn in one process, each first every other round, so that what else the machine
does falls on both. Memory: what the loss adds to its inputs at its peak, in a process of its own.

    python benchmarks/losses.py                 65,536 x 65,536 in-batch: some minutes
    python benchmarks/losses.py --size 8192     a smaller in-batch matrix
    python benchmarks/losses.py --threads 1 --rounds 9
"""

import argparse
import inspect
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from thresher.losses import LOSSES, Softmax, tiles
from thresher.types import Links, Matching

STEP = (2048, 2048, 512)  # left rows, columns, dimensions of the table of all losses
HEAD = {"alc": {"hidden": 128}}


def vectors(rows: int, columns: int, dim: int) -> Matching:
    """Unit rows; each left row is near the column of its number, which is its positive."""
    draw = torch.Generator().manual_seed(0)
    right = F.normalize(torch.randn(columns, dim, generator=draw), dim=1)
    left = F.normalize(right[:rows] + torch.randn(rows, dim, generator=draw) / dim**0.5, dim=1)
    pos = torch.arange(rows)[:, None].repeat(1, 2)
    return Matching(left.requires_grad_(), right.requires_grad_(), Links("q", "i", pos, pos[:0]))


def learn(loss, m: Matching) -> None:
    """Forward and backward."""
    m.left.grad = m.right.grad = None
    sum(ratio.value() for ratio in loss.ratios(m).values()).backward()


def products(m: Matching):
    """The three matrix products of a loss over all pairs, in its tiles, into memory at hand."""
    left, right = m.left.detach(), m.right.detach()
    step = max(1, tiles.NUMBERS // len(right))
    scores = left.new_empty(min(step, len(left)), len(right))
    of_left, of_right = torch.zeros_like(left), torch.zeros_like(right)

    def run() -> None:
        for start in range(0, len(left), step):
            rows = left[start : start + step]
            tile = torch.mm(rows, right.T, out=scores[: len(rows)])
            torch.mm(tile, right, out=of_left[start : start + step])
            of_right.addmm_(tile.T, rows)

    return run


def timing(runs: dict, rounds: int) -> dict[str, list[float]]:
    """Seconds of each run in each round, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 1):
        for name in list(runs)[:: 1 if turn % 2 else -1]:
            begun = time.perf_counter()
            runs[name]()
            if turn:
                seconds[name].append(time.perf_counter() - begun)
    return seconds


def memory_mb(field: str) -> float:
    """A line of /proc/self/status, such as VmRSS or VmHWM (the peak), in MB."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field + ":"))


def memory(loss, sizes: tuple[int, int, int]) -> float:
    """MB that a forward and a backward add to the inputs at their peak, gradients included."""
    learn(loss, vectors(8, 64, sizes[2]))  # starts what torch starts once
    m = vectors(*sizes)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = memory_mb("VmRSS")
    learn(loss, m)
    return memory_mb("VmHWM") - before


def make(name: str, dim: int):
    """A loss with its default options, and a head of the usual size."""
    sized = "dim" in inspect.signature(LOSSES[name]).parameters
    return LOSSES[name](**({"dim": dim} if sized else {}), **HEAD.get(name, {}))


def task(name: str, sizes: tuple[int, int, int], rounds: int):
    """What one process does."""
    if name == "softmax beside products":
        m = vectors(*sizes)
        return timing({"softmax": lambda: learn(Softmax(), m), "products": products(m)}, rounds)
    if name == "steps":
        m = vectors(*sizes)
        losses = {kind: make(kind, sizes[2]) for kind in LOSSES}
        runs = {kind: lambda loss=loss: learn(loss, m) for kind, loss in losses.items()}
        return timing(runs | {"products": products(m)}, rounds)
    return memory(make(name, sizes[2]), sizes)


def child(name: str, sizes: tuple[int, int, int], arguments: argparse.Namespace):
    """Run one task in a process of its own."""
    threads = str(arguments.threads)
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [sys.executable, __file__, "--task", name, "--sizes", *map(str, sizes)]
    command += ["--rounds", str(arguments.rounds)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout)


def spread(values: list[float], digits: int) -> str:
    """Median, smallest and largest."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def main() -> None:
    """Read the arguments; print Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=65_536, help="rows and columns in-batch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--sizes", type=int, nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.task:
        print(json.dumps(task(arguments.task, tuple(arguments.sizes), arguments.rounds)))
        return
    print(f"{arguments.threads} threads, {arguments.rounds} rounds: median (smallest to largest)\n")
    print("| softmax over | seconds | products alone | speed beside them | added MB at peak |")
    print("|-|-|-|-|-|")
    for sizes in ((1024, 131_072, 256), (arguments.size, arguments.size, 256)):
        seconds = child("softmax beside products", sizes, arguments)
        bare = seconds["products"]
        ratios = [b / s for b, s in zip(bare, seconds["softmax"], strict=True)]
        added = child("softmax", sizes, arguments)
        shape = " x ".join(f"{size:,}" for size in sizes)
        cells = [spread(seconds["softmax"], 2), spread(bare, 2), spread(ratios, 2), f"{added:.0f}"]
        print(f"| {shape} | {' | '.join(cells)} |", flush=True)
    print(f"\n| loss over {' x '.join(f'{size:,}' for size in STEP)} | ms | added MB at peak |")
    print("|-|-|-|")
    for kind, seconds in child("steps", STEP, arguments).items():
        added = f"{child(kind, STEP, arguments):.0f}" if kind in LOSSES else ""
        print(f"| {kind} | {spread([1e3 * s for s in seconds], 0)} | {added} |", flush=True)


if __name__ == "__main__":
    main()
