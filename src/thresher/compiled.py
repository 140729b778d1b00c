"""Loops over flat arrays, compiled once by numba and kept on disk beside the package.

Where that folder cannot be written to, numba keeps them in the user's cache folder, or in that of
the variable NUMBA_CACHE_DIR; where none can be written to, each process compiles them for itself.
Compiling takes some twenty seconds of processor time; loading what was compiled, 0.3 seconds.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def compiled(function: _F) -> _F:
    """Compile a function at its first call."""
    return _compiled(function, **_OPTIONS)


def compiled_sums(function: _F) -> _F:
    """The same; sums may be added up in any order, several at a time."""
    return _compiled(function, **_OPTIONS, fastmath={"reassoc", "contract"})


def _compiled(function: _F, **options: Any) -> _F:
    try:
        return njit(**options)(function)
    except RuntimeError:  # no folder to keep it in, as in a container that is read only
        return njit(**{**options, "cache": False})(function)
