"""Checks annotations of a function at its first calls of each test, and no more.

A model in training calls a function thousands of times with the same shapes.
"""

import sys
from functools import reduce, wraps

from beartype import beartype

CALLS = 10
_calls, _unchecked = {}, []


def checked(function):
    """The function, whose arguments are checked as long as it was called seldom in this test."""
    name, made = (function.__module__, function.__qualname__), []

    @wraps(function)
    def check(*args, **kwargs):
        done = _calls[name] = _calls.get(name, 0) + 1
        if done <= CALLS:
            if not made:  # at the first call: most functions are called in few processes
                made.append(beartype(function))
            return made[0](*args, **kwargs)
        if done == CALLS + 1:
            _leave_out(*name)
        return None

    return check


def _leave_out(module, qualname):
    """Call a function directly from now on, where its module names it."""
    try:
        found = reduce(getattr, qualname.split("."), sys.modules[module])
        found.__no_type_check__ = True
    except (AttributeError, KeyError):
        return
    _unchecked.append(found)


def begin():
    """Begin a test: every function is checked again."""
    _calls.clear()
    while _unchecked:
        del _unchecked.pop().__no_type_check__
