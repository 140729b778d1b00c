"""The folder that a run writes to: made before hours of work, and gone when nothing came of it."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from thresher import distributed
from thresher.errors import InputError
from thresher.files import FolderLock, make_folder


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Makes a folder for what is written inside; what is refused leaves none of it behind.

    Nobody else trains, calibrates or indexes there meanwhile. Of several processes of one run the
    first holds the lock for all.

    Raises:
        InputError: a file lies there, another process writes there, or nobody may.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    lock = FolderLock(folder, "thresher train") if distributed.rank() == 0 else nullcontext()
    try:
        with lock:
            yield
    except InputError:
        with suppress(OSError):  # something was written: it stays
            for place in made:
                place.rmdir()
        raise
