"""The folder that a run writes to: made before hours of work, and gone when nothing came of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thresher.errors import InputError
from thresher.files import make_folder


@contextmanager
def written_to(folder: Path) -> Iterator[None]:
    """Makes a folder for what is written inside; what is refused leaves none of it behind.

    Raises:
        InputError: a file lies there, or the place may not be written to.
    """
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    make_folder(folder)
    try:
        yield
    except InputError:
        with suppress(OSError):  # something was written: it stays
            for place in made:
                place.rmdir()
        raise
