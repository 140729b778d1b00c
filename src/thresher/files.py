"""Files and folders that are whole or not there: the only place that writes.

What is written lies aside, in `.NAME.PID.XXXXXXXX.part` beside its final name, is synced to the
disk, and becomes current by one rename, after which the folder is synced too. So a killed process,
a full disk or a power cut leaves what was there before. The writer holds a lock on the part;
a part that nobody holds is of a dead process and is swept by the next writer.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from thresher.errors import InputError

try:
    import fcntl
except ImportError:  # Windows: nothing is locked there, so nothing is swept
    fcntl = None  # type: ignore[assignment]

_PART = re.compile(r"\.(?P<name>.*)\.\d+\.[a-z0-9_]{8}\.part")
_INSIDE_PART = re.compile(rf"{_PART.pattern.replace('.*', '[^/]*')}/")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Why nothing can be written, and what to do about it; other errors say what the system says.
_WHY = {
    errno.EACCES: ("permission denied", "change its permissions, or give another path"),
    errno.EPERM: ("not permitted here", "give another path"),
    errno.EROFS: ("the file system is read-only", "give another path"),
    errno.ENOTDIR: ("a file lies where a folder is needed", "move it, or give another path"),
    errno.EEXIST: ("a file lies where a folder is needed", "move it, or give another path"),
    errno.EISDIR: ("it is a folder", "name a file in it"),
    errno.ENOENT: ("no folder can be made there", "give another path"),
    errno.ENAMETOOLONG: ("the name is too long", "give a shorter one"),
}


@contextmanager
def atomic_write(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file to write; it becomes current whole when the block ends, or not at all.

    Folders are made as needed, and go away again if the block raises; a symbolic link is followed.
    Mode "w" is UTF-8 text with line ends as written, "wb" bytes. InputError where the path cannot
    be written to or the disk is full; nothing is left behind.
    """
    path = Path(path)
    if os.path.isdir(path):
        raise refusal(path, OSError(errno.EISDIR, ""))
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "")
    with aside(path) as part, part.open(mode, encoding=encoding, newline=newline) as file:
        yield file


@contextmanager
def aside(path: str | Path, *, drop: Collection[str] = ()) -> Iterator[Path]:
    """Give a path to write a file or a folder to; it becomes `path` when the block ends.

    A folder joins a folder that is already there: its entries replace those of the same name, all
    in one step where the file system can exchange two folders, those named in `drop` go even if
    nothing replaces them, and the others stay. A symbolic link is followed.

    InputError as `atomic_write`. Errors of the operating system inside the block are taken as
    errors of writing, also those that a library reports in its own words.
    """
    path = Path(os.path.realpath(path))
    if os.path.islink(path):
        raise InputError(f"{path} cannot be written: it is a link to itself; give another path")
    if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
        raise InputError(
            f"{path} cannot be written: it is a pipe, a socket or a device; give the path of a file"
        )
    part = None
    with _made(path.parent):
        try:
            sweep(path.parent, path.name)
            part, lock = _claim(path)
            yield part / path.name
            sync_folder(part)
            _commit(part / path.name, path, drop)
            _sync(path.parent)
        except InputError:
            raise
        except Exception as error:
            cause = _cause(error)
            if cause is None:
                raise
            raise refusal(path, cause, size(part) if part else 0) from error
        finally:
            if part:
                shutil.rmtree(part, ignore_errors=True)
                os.close(lock)


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as JSON, whole or not at all.

    InputError where the path cannot be written to, ValueError for a number that is not finite.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_write(path) as file:
        file.write(text + "\n")


def read_json(path: str | Path, *, what: str, fix: str) -> Any:
    """Read a JSON file.

    InputError where it is missing, damaged, or nested too deep; the message says `what` it is ("the
    settings of a model") and how to `fix` it ("train it again").
    """
    try:
        return json.loads(Path(path).read_text("utf-8"))
    except RecursionError:
        why = "it is nested too deep"
    except FileNotFoundError:
        why = "it is missing"
    except OSError as error:
        why = str(error.strerror)
    except ValueError as error:
        why = str(error)
    raise InputError(f"{path}, {what}, cannot be read: {why}; {fix}")


def make_folder(path: str | Path) -> None:
    """Make a folder and those above it; InputError where a file lies there or none may be made."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise refusal(Path(path), error) from error


@contextmanager
def output_folder(path: str | Path) -> Iterator[None]:
    """Make a folder before hours of work, check that it can be written to, and sweep it.

    Folders that were made here go away again, if empty, when the block raises. InputError where a
    file lies there, or the place may not be written to.
    """
    path = Path(path)
    with _made(path):
        try:
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise refusal(path, error) from error
        sweep(path)
        yield


def digest(path: str | Path) -> str:
    """Hash the contents of a file: BLAKE2b, 64 hexadecimal digits; about 1 GB a second."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=32)).hexdigest()


def size(path: Path) -> int:
    """The bytes of a file, or of all files of a folder."""
    files = (p for p in path.rglob("*") if p.is_file()) if path.is_dir() else (path,)
    return sum(file.stat().st_size for file in files)


def sweep(folder: str | Path, name: str | None = None) -> None:
    """Remove what killed processes left aside in a folder, of one file or of any; others stay."""
    with contextlib.suppress(OSError):
        for part in Path(folder).iterdir():
            found = _PART.fullmatch(part.name)
            if found and name in (None, found["name"]):
                with contextlib.suppress(OSError):
                    lock = os.open(part, os.O_RDONLY)
                    if _lock(lock):
                        shutil.rmtree(part, ignore_errors=True)
                    os.close(lock)


class FolderLock:
    """Keep a second writer out of a folder: a lock file that says who writes and since when.

    The operating system frees the lock of a process that died, so the next writer takes it over.
    Readers are not kept out. InputError, on entering a folder where another process or thread
    writes, says the action, such as "thresher train".
    """

    def __init__(self, folder: str | Path, action: str) -> None:
        self._path = Path(folder) / ".lock"
        self._action = action

    def __enter__(self) -> "FolderLock":
        try:
            while True:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
                if not _lock(self._file, unknown=True):
                    os.close(self._file)
                    raise InputError(self._busy())
                if _is(self._file, self._path):
                    break
                os.close(self._file)  # its owner removed it between our two calls: make a new one
            owner = {"process": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            os.ftruncate(self._file, 0)
            os.write(self._file, json.dumps({**owner, "action": self._action}).encode())
        except OSError as error:
            raise refusal(self._path.parent, error) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _busy(self) -> str:
        fix = "wait until it ends, or give another folder"
        try:
            owner = json.loads(self._path.read_text())
            minutes = max(0, time.time() - owner["since"]) / 60
            return (
                f"{self._path.parent} is being written to by `{owner['action']}` (process "
                f"{owner['process']} on {owner['host']}, for {minutes:,.0f} minutes); {fix}"
            )
        except (OSError, ValueError, KeyError, TypeError):  # it has just begun, or just ended
            return f"{self._path.parent} is being written to by another process; {fix}"


def refusal(path: Path, error: OSError, written: int = 0) -> InputError:
    """The sentence for a path that cannot be written to, and if the disk is full how much was."""
    shown = _INSIDE_PART.sub("", str(path))
    if error.errno in _FULL:
        more = f"more than {written / 1e6:,.1f} MB are needed" if written else "nothing fits"
        return InputError(
            f"{shown} cannot be written: the disk is full and {more}; free some space, or give a "
            "path on another disk"
        )
    why, fix = _WHY.get(error.errno or 0, (error.strerror or str(error), "give another path"))
    return InputError(f"{shown} cannot be written: {why}; {fix}")


def _cause(error: Exception) -> OSError | None:
    """The system's error behind an exception; libraries in C++ and Rust put it into words."""
    if isinstance(error, OSError):
        return error
    said = str(error)
    codes = (code for code in (*_FULL, *_WHY) if os.strerror(code) in said)
    code = next(codes, None)
    return None if code is None else OSError(code, os.strerror(code))


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; those made go away again, if empty, on an error."""
    made = [place for place in (folder, *folder.parents) if not os.path.exists(place)]
    try:
        make_folder(folder)
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # something was written: it stays
            for place in made:
                place.rmdir()
        raise


def _claim(path: Path) -> tuple[Path, int]:
    """A new folder aside, and the open lock that says that somebody writes to it."""
    while True:
        prefix = f".{path.name}.{os.getpid()}."
        part = Path(tempfile.mkdtemp(prefix=prefix, suffix=".part", dir=path.parent))
        lock = os.open(part, os.O_RDONLY)
        if _lock(lock, unknown=True) and part.exists():
            return part, lock
        os.close(lock)  # swept by another process before it was locked


def _lock(file: int, *, unknown: bool = False) -> bool:
    """Lock an open file or folder; False if another holds it; `unknown` where nothing locks."""
    if fcntl is None:
        return unknown
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return unknown and error.errno != errno.EWOULDBLOCK
    return True


def _is(file: int, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file), path.stat())
    return False


def _sync(path: Path) -> None:
    """Have the disk keep a file, or the names of a folder."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # no such thing on this file system
            raise
    finally:
        os.close(file)


def sync_folder(folder: Path) -> None:
    """Have the disk keep all files of a folder, and their names."""
    for root, _, names in os.walk(folder):
        for name in names:
            _sync(Path(root, name))
        _sync(Path(root))


def _commit(new: Path, path: Path, drop: Collection[str]) -> None:
    """Give a file or folder its final name."""
    if not new.is_dir() or not path.is_dir() or not any(path.iterdir()):
        os.replace(new, path)
        return
    fresh = [entry.name for entry in new.iterdir()]
    busy = Path.cwd().is_relative_to(path)  # a shell must not stand in a folder that is removed
    if not busy and _exchange(new, path, drop):
        return
    for name in (*fresh, *drop):
        target = path / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
    for name in fresh:
        os.replace(new / name, path / name)


def _exchange(new: Path, path: Path, drop: Collection[str]) -> bool:
    """Take over what only the old folder has, then swap the two names in one step, if possible."""
    c = ctypes.CDLL(None)
    swap = getattr(c, "renameat2", None)
    if swap is None:
        return False
    try:
        for entry in path.iterdir():
            kept = new / entry.name
            if kept.exists() or entry.name in drop:
                continue
            if entry.is_symlink() or entry.is_file():
                os.link(entry, kept, follow_symlinks=False)
            else:
                shutil.copytree(entry, kept, symlinks=True, copy_function=os.link)
        shutil.copystat(path, new)
    except OSError:  # a file system without links
        return False
    at, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return swap(at, os.fsencode(new), at, os.fsencode(path), exchange) == 0
