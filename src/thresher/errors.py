"""The one exception that a user causes: it is shown as a sentence, and the exit code is 2."""


class InputError(ValueError):
    """Something a user gave cannot be used.

    The message is one sentence that says what was received, what is allowed and how to fix it.
    """


def percent_hint(share: float) -> str:
    """What a message about a share adds where it looks like a percentage."""
    return f"; write {share / 100:g} for {share:g} %" if 1 < share < 100 else ""
