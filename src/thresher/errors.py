"""The one exception that a user causes: it is shown as a sentence, and the exit code is 2."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Something a user gave cannot be used.

    The message is one sentence that says what was received, what is allowed and how to fix it.
    """


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """What a message about an unknown name adds where a known one is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def percent_hint(share: float) -> str:
    """What a message about a share adds where it looks like a percentage."""
    return f"; write {share / 100:g} for {share:g} %" if 1 < share < 100 else ""


def interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C ended it: where compiled code runs, numba makes SystemErrors of it."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__
    return error is not None
