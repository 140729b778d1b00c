"""Runs cells in processes of their own, a few at a time, and none that was measured before.

A cell is a folder: the files that describe it are written there, a program (`python -m PROGRAM
FOLDER`) reads them and leaves `measured.json`, which says what was measured and of what. What a
cell is about is the program's business alone.
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
from thresher.files import make_folder

DESCRIBED, TRAINED, MEASURED = "cell.json", "trained.json", "measured.json"
OUTPUT, WORK = "output.txt", "model"
_PATIENCE = 10.0  # seconds that a stopped process has to end
_LOOK = 0.05  # seconds between looks at the running processes

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
        task: what else the program is told, in `cell.json`.
    """

    name: str
    seed: int
    folder: Path
    fingerprint: str
    files: Mapping[str, str]
    task: Mapping[str, Any]

    def measured(self) -> Values | None:
        """Its numbers, if this very cell was measured before."""
        try:
            found = json.loads((self.folder / MEASURED).read_text("utf-8"))
            return found["values"] if found["fingerprint"] == self.fingerprint else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def prepare(self) -> None:
        """Writes what describes it; what another cell left in the folder goes first."""
        make_folder(self.folder)
        described = self.folder / DESCRIBED
        if _fingerprint_in(described) != self.fingerprint:
            shutil.rmtree(self.folder / WORK, ignore_errors=True)
            for name in (DESCRIBED, TRAINED, MEASURED):
                (self.folder / name).unlink(missing_ok=True)
        for name, content in self.files.items():
            write_whole(self.folder / name, content)
        write_json(described, {**self.task, "fingerprint": self.fingerprint})


@dataclass(frozen=True)
class Outcome:
    """How a cell ended, and how far the whole is.

    Args:
        cell: which.
        values: its numbers; None where it failed.
        error: the last line of what it said; empty where it did not fail.
        seconds: that it took.
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


@dataclass
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
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
    for path in files:
        try:
            stat = path.stat()
            digest.update(_digest(path, stat.st_size, stat.st_mtime_ns))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}; check the path") from error
    return digest.hexdigest()[:16]


@functools.cache
def _digest(path: Path, size: int, changed: int) -> bytes:
    """The hash of a file, read once for all cells while it stays as it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def at_a_time(jobs: int | None = None) -> int:
    """How many cells to run at a time: as told, else half the cores, or 1 where there is a GPU.

    Raises:
        InputError: fewer than 1 was asked for.
    """
    if jobs is not None:
        if jobs < 1:
            raise InputError(f"--jobs must be at least 1, got {jobs}")
        return jobs
    import torch

    return 1 if torch.cuda.is_available() else max(1, cores() // 2)


def run(
    cells: Sequence[Cell],
    program: str,
    *,
    jobs: int,
    report: Callable[[Outcome], None] = lambda outcome: None,
) -> list[Outcome]:
    """Runs each cell in a process of its own, and ends those that run when it is stopped itself.

    The cores are shared out evenly through OMP_NUM_THREADS. The standard input of a process closes
    when this one is gone, and the process should end then: `end_with_starter`.

    Args:
        cells: what to run, in this order.
        program: the module that measures one.
        jobs: processes at a time, at least 1.
        report: told of each cell that has ended, at once.

    Returns:
        How each cell ended, in the order given.
    """
    before = {cell.folder: values for cell in cells if (values := cell.measured()) is not None}
    waiting = [cell for cell in cells if cell.folder not in before]
    environment = os.environ | {"OMP_NUM_THREADS": str(max(1, cores() // jobs))}
    running: list[_Running] = []
    ended: dict[Path, Outcome] = {}
    began, total = time.monotonic(), len(cells)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(_start(waiting.pop(0), program, environment))
            time.sleep(_LOOK)
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


def end_with_starter() -> None:
    """Ends this process when the one that started it is gone, whichever way: its pipe is closed.

    A program of cells calls this first.
    """

    def wait() -> None:
        # Not through sys.stdin, whose lock this thread would still hold when the program ends.
        while os.read(0, 1):
            pass
        os._exit(130)

    threading.Thread(target=wait, daemon=True).start()


def write_whole(path: Path, content: str) -> None:
    """Writes a file aside and renames it: nobody reads half of it."""
    aside = path.with_name(f".{path.name}.new")
    aside.write_text(content, "utf-8")
    aside.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes a value as JSON, whole or not at all."""
    write_whole(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


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
    error = "" if values is not None else _complaint(one)
    return Outcome(one.cell, values, error, seconds, done, total, left)


def _complaint(one: _Running) -> str:
    """The last line of what the process said; how it ended where it said nothing."""
    if one.process.returncode < 0:
        number = -one.process.returncode
        memory = "; there may be too little memory" if number == signal.SIGKILL else ""
        return f"it was ended by signal {number}{memory}"
    text = (one.cell.folder / OUTPUT).read_text("utf-8", "replace")
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return said[-1] if said else f"it ended with exit code {one.process.returncode}"


def _stop(running: Iterable[_Running]) -> None:
    stopping = list(running)
    for one in stopping:
        one.process.terminate()
    until = time.monotonic() + _PATIENCE
    for one in stopping:
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


def _fingerprint_in(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_text("utf-8"))["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
