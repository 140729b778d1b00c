"""Loops over flat arrays, compiled once by numba and kept on disk beside the package.

Where that folder cannot be written to, numba keeps them in the user's cache folder. Compiling takes
some twenty seconds of processor time at the first use; loading what was compiled, 0.3 seconds.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

_F = TypeVar("_F", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}


def compiled(function: _F) -> _F:
    """Compile a function at its first call."""
    return njit(**_OPTIONS)(function)


def compiled_sums(function: _F) -> _F:
    """The same; sums may be added up in any order, several at a time."""
    return njit(**_OPTIONS, fastmath={"reassoc", "contract"})(function)
