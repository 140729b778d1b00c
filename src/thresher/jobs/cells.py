"""Run cells in processes of their own, a few at a time, and none that was measured before.

A cell is a folder. The files that describe it are written there, a program (`python -m PROGRAM
FOLDER`) reads them and leaves `measured.json`, which holds what was measured and of what. What a
cell is about is the program's business alone: `thresher compare` and the grids of `benchmarks/`
have different programs.
"""

import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from thresher.errors import InputError
from thresher.files import atomic_write, digest, make_folder, write_json

DESCRIBED, MEASURED, OUTPUT, WORK = "cell.json", "measured.json", "output.txt", "model"
_PATIENCE = 10.0  # seconds that a stopped process has to end
_POLL = 0.05  # seconds between looks at the running processes

Values = Mapping[str, float | None]


@dataclass(frozen=True)
class Cell:
    """One model to train and measure.

    Args:
        name: its row in the table.
        seed: of split, tower and training.
        folder: where it works.
        fingerprint: of everything that decides its numbers; another one means another cell.
        files: name to content of what the program reads, besides `cell.json`.
        task: what else the program reads, in `cell.json`.
    """

    name: str
    seed: int
    folder: Path
    fingerprint: str
    files: Mapping[str, str]
    task: Mapping[str, Any]

    def measured(self) -> Values | None:
        """Its numbers, if this very cell was measured before."""
        found = _json(self.folder / MEASURED)
        return found.get("values") if found.get("fingerprint") == self.fingerprint else None

    def prepare(self) -> None:
        """Write what describes it; what another cell left in the folder goes first."""
        make_folder(self.folder)
        if _json(self.folder / DESCRIBED).get("fingerprint") != self.fingerprint:
            shutil.rmtree(self.folder / WORK, ignore_errors=True)
            (self.folder / MEASURED).unlink(missing_ok=True)
        for name, content in self.files.items():
            with atomic_write(self.folder / name) as file:
                file.write(content)
        described = {**self.task, "fingerprint": self.fingerprint}
        write_json(self.folder / DESCRIBED, described)


@dataclass(frozen=True)
class Outcome:
    """How a cell ended, and how far the whole is.

    Args:
        cell: which.
        values: its numbers; None where it failed.
        error: the last line of its output; empty where it did not fail.
        seconds: that it took; 0 where it was measured before.
        done: cells that have ended, those measured before among them.
        total: cells of the whole.
        left: estimated seconds to the end of the whole.
    """

    cell: Cell
    values: Values | None
    error: str
    seconds: float
    done: int
    total: int
    left: float


@dataclass(frozen=True)
class _Running:
    cell: Cell
    process: "subprocess.Popen[bytes]"
    output: IO[bytes]
    began: float


def fingerprint(parts: Any, files: Iterable[Path] = ()) -> str:
    """One hash over JSON values and the contents of files; where files lie does not matter.

    Raises:
        InputError: a file cannot be read.
    """
    found = hashlib.blake2b(json.dumps(parts, sort_keys=True, default=str).encode(), digest_size=8)
    for path in files:
        try:
            stat = path.stat()
            found.update(_digest(path, stat.st_size, stat.st_mtime_ns).encode())
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; check the path") from error
    return found.hexdigest()


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    """The hash of a file, read once for all cells while it stays as it is."""
    return digest(path)


def cells_at_a_time(jobs: int | None = None) -> int:
    """How many cells to run at a time: as given, else half the cores, or 1 where there is a GPU.

    Raises:
        InputError: fewer than 1.
    """
    if jobs is not None and jobs < 1:
        raise InputError(f"jobs is {jobs} cells at a time; give 1 or more, or leave it out")
    import torch  # not for the programs of cells, which may need none

    return jobs or (1 if torch.cuda.is_available() else max(1, _cores() // 2))


def run_cells(
    cells: Sequence[Cell],
    program: str,
    *,
    jobs: int,
    report: Callable[[Outcome], None] = lambda outcome: None,
    path: str = "",
) -> list[Outcome]:
    """Run each cell in a process of its own, and end those that run when it is stopped itself.

    The cores are shared out evenly through OMP_NUM_THREADS. The standard input of a process closes
    when this one is gone, and the process should end then: `end_with_starter`.

    Args:
        cells: what to run, in this order.
        program: the module that measures one.
        jobs: processes at a time, at least 1.
        report: called with the outcome of each cell as soon as it has ended.
        path: a further folder to find the module in.

    Returns:
        How each cell ended, in the order given.
    """
    before = {cell.folder: values for cell in cells if (values := cell.measured()) is not None}
    waiting = [cell for cell in cells if cell.folder not in before]
    paths = os.pathsep.join(filter(None, [path, os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "OMP_NUM_THREADS": str(max(1, _cores() // jobs))}
    environment |= {"PYTHONPATH": paths} if paths else {}
    running: list[_Running] = []
    ended: dict[Path, Outcome] = {}
    began, total = time.monotonic(), len(cells)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(0), program, environment))
            time.sleep(_POLL)
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                spent = (time.monotonic() - began) / (len(ended) + 1)
                left = spent * (len(waiting) + len(running))
                done = len(before) + len(ended) + 1
                outcome = _outcome(one, done=done, total=total, left=left)
                ended[one.cell.folder] = outcome
                report(outcome)
    finally:
        _stop(running)
    for cell in cells:
        if cell.folder in before:
            ended[cell.folder] = Outcome(cell, before[cell.folder], "", 0.0, total, total, 0.0)
    return [ended[cell.folder] for cell in cells]


def measure_cell(measure: Callable[[Path, Mapping[str, Any]], Values]) -> None:
    """The main function of a program of cells: measure the folder named on the command line.

    Writes `measured.json`, or exits with the message of an InputError.

    Args:
        measure: from the folder and the cell's task to its numbers.
    """
    _end_with_starter()
    folder = Path(sys.argv[1])
    task = _json(folder / DESCRIBED)
    began = time.perf_counter()
    try:
        values = measure(folder, task)
    except InputError as error:
        sys.exit(str(error))
    values = {**values, "total_seconds": time.perf_counter() - began}
    write_json(folder / MEASURED, {"fingerprint": task["fingerprint"], "values": values})


def _end_with_starter() -> None:
    """End this process when the one that started it is gone, whichever way: its pipe is closed."""

    def wait() -> None:
        # Not through sys.stdin, whose lock this thread would still hold when the program ends.
        while os.read(0, 1):
            pass
        os._exit(130)

    threading.Thread(target=wait, daemon=True).start()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _start(cell: Cell, program: str, environment: Mapping[str, str]) -> _Running:
    cell.prepare()
    output = (cell.folder / OUTPUT).open("wb")
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", program, str(cell.folder)],
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=dict(environment),
    )
    return _Running(cell, process, output, time.monotonic())


def _outcome(one: _Running, *, done: int, total: int, left: float) -> Outcome:
    _close(one)
    seconds = time.monotonic() - one.began
    values = one.cell.measured() if one.process.returncode == 0 else None
    error = "" if values is not None else _last_line(one)
    return Outcome(one.cell, values, error, seconds, done, total, left)


def _last_line(one: _Running) -> str:
    """The last line of the process's output; how it ended where there is none."""
    if one.process.returncode < 0:
        number = -one.process.returncode
        memory = "; there may be too little memory" if number == signal.SIGKILL else ""
        return f"it was ended by signal {number}{memory}"
    text = (one.cell.folder / OUTPUT).read_text("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with exit code {one.process.returncode}"


def _stop(running: Sequence[_Running]) -> None:
    for one in running:
        one.process.terminate()
    until = time.monotonic() + _PATIENCE
    for one in running:
        try:
            one.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            one.process.kill()
            one.process.wait()
        _close(one)


def _close(one: _Running) -> None:
    one.output.close()
    if one.process.stdin is not None:
        one.process.stdin.close()


def _json(path: Path) -> dict[str, Any]:
    """An object of a JSON file; an empty one where there is none."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
