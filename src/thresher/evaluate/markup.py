"""Small pieces of a page: inert text, numbers in words, rows, tables, sections."""

import html
import math
import re
from collections.abc import Iterable, Sequence

DASH, ELLIPSIS = "\N{EN DASH}", "\N{HORIZONTAL ELLIPSIS}"
LETTERS = 300
"""Most that is shown of a text; report.json has the whole."""

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")

Cell = tuple[str, str]  # markup, and the class of its cell


def text(value: str) -> str:
    """Any text, made inert: no markup, nothing that cannot be encoded, no endless line."""
    return html.escape(plain(value, LETTERS))


def plain(value: str, letters: int) -> str:
    """A text without what cannot be encoded or shown, cut after so many letters."""
    if len(value) > letters:
        value = value[: letters - 1].rstrip() + ELLIPSIS
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)


def percent(share: float) -> str:
    """A share for a sentence: whole percents, or tenths near the ends, where they matter."""
    value = 100 * share
    places = 1 if 0 < value < 9.95 or 99 < value < 100 else 0
    return f"{value:.{places}f}\N{NO-BREAK SPACE}%"


def exact_percent(share: float) -> str:
    """A share that someone chose, with the digits they gave it."""
    return f"{100 * share:.6g}\N{NO-BREAK SPACE}%"


def tenths(share: float | None) -> str:
    """A share for a table, to a tenth of a percent; a dash for none."""
    if share is None or not math.isfinite(share):
        return DASH
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def number(value: float | None) -> str:
    """A metric: counts whole, all else to four places; a dash for none."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:,.0f}" if value >= 2 and value == int(value) else f"{value:.4f}"


def interval(low: float, high: float) -> str:
    """Two shares in percent, without the sign; both ends stay on one line."""
    return f"{100 * low:.1f}\N{WORD JOINER}{DASH}\N{WORD JOINER}{100 * high:.1f}"


def numbers(cells: Iterable[str]) -> list[Cell]:
    """Cells set to the right."""
    return [(cell, "n") for cell in cells]


def row(cells: Sequence[Cell], *, own: bool = False) -> str:
    """A row of a table; `own` sets it in bold."""
    inner = "".join(f'<td{_class(kind)} dir="auto">{cell}</td>' for cell, kind in cells)
    return f"<tr{_class('own' if own else '')}>{inner}</tr>"


def table(head: Sequence[Cell], rows: Sequence[str], kind: str = "") -> str:
    """A table; its headings, if any, are our own words."""
    top = "".join(f"<th{_class(of)}>{cell}</th>" for cell, of in head)
    top = f"<thead><tr>{top}</tr></thead>" if top else ""
    return f"<table{_class(kind)}>{top}<tbody>{''.join(rows)}</tbody></table>"


def note(words: str) -> str:
    """A quiet paragraph; nothing without words."""
    return f'<p class="note">{words}</p>' if words else ""


def shown(count: int, total: int, which: str) -> str:
    """Says which part of a list is shown, when it is a part: "The largest 30 of 212. "."""
    return "" if count == total else f"{which} {count} of {total:,}. "


def section(title: str, *content: str) -> str:
    """A part of the page under its heading."""
    return f"<section>\n<h2>{title}</h2>\n{''.join(content)}\n</section>"


def figure(svg: str, caption: str) -> str:
    """A drawing with its explanation."""
    return f"<figure>{svg}<figcaption>{caption}</figcaption></figure>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
