"""How every page of Thresher is rendered, of a report and of the service."""

from collections.abc import Callable
from typing import Any

import jinja2


def environment(
    package: str, filters: tuple[Callable[..., Any], ...], finalize: Callable[[Any], Any]
) -> jinja2.Environment:
    """Jinja2 that escapes every text and refuses an unknown name.

    Args:
        package: whose folder `templates` is read.
        filters: functions that templates may call, by their own names.
        finalize: applied to every value before it is printed.
    """
    made = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=finalize,
    )
    made.filters |= {one.__name__: one for one in filters}
    return made
