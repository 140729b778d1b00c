"""Single queries in a report, side by side with the items proposed for them."""

import re
from collections.abc import Iterator, Sequence

from thresher.evaluate.markup import (
    DASH,
    ELLIPSIS,
    LETTERS,
    Cell,
    note,
    row,
    section,
    shown,
    table,
    text,
)
from thresher.evaluate.summary import Mistake, Reviewed

_CASES = 20  # most that are shown; report.json has them all
_TICK = '<span class="tick">\N{CHECK MARK}</span>'


def mistakes(cases: Sequence[Mistake]) -> str:
    """The wrong proposals that were accepted, the surest first, beside what is true."""
    if not cases:
        return ""
    surest = sorted(cases, key=lambda case: -case.confidence)[:_CASES]
    rows = []
    for case in surest:
        truth = '<span class="gone">not in the catalogue</span>'
        if case.truth is not None:
            truth = _compared(case.truth, case.query)
        items = [(_compared(case.proposed, case.query), ""), (truth, "")]
        rows.append(row([(text(case.query), ""), *items, (f"{case.confidence:.3f}", "n")]))
    head = [("query", ""), ("accepted as", ""), ("true item", ""), ("confidence", "n")]
    return section(
        "Accepted, but wrong",
        note(
            f"{shown(len(surest), len(cases), 'The surest')}Words of an item that its query "
            "lacks are <mark>underlined</mark>."
        ),
        table(head, rows, "cases"),
    )


def reviewed(cases: Sequence[Reviewed]) -> str:
    """What a person is asked, with the two best candidates."""
    if not cases:
        return ""
    rows = []
    for case in cases[:_CASES]:
        items: list[Cell] = [(DASH, ""), (DASH, "")]
        for place, item in enumerate(case.candidates[:2]):
            tick = f" {_TICK}" if case.right == place else ""
            items[place] = (_compared(item, case.query) + tick, "")
        rows.append(row([(text(case.query), ""), *items, (f"{case.confidence:.3f}", "n")]))
    head = [("query", ""), ("first candidate", ""), ("second candidate", ""), ("confidence", "n")]
    return section(
        "Sent to a person: a sample",
        note(f"The two best candidates of each; {_TICK} marks the true item where it is one."),
        table(head, rows, "cases"),
    )


def _compared(item: str, query: str) -> str:
    """The text of an item, with the words that the query lacks marked."""
    known = {run for _, _, run in _runs(query.split())}
    words = item[:LETTERS].split()
    same: set[int] = set()
    for start, end, run in _runs(words):
        if run in known or not run:
            same.update(range(start, end))
    shown = [text(w) if i in same else f"<mark>{text(w)}</mark>" for i, w in enumerate(words)]
    return " ".join(shown) + (ELLIPSIS if len(item) > LETTERS else "")


def _runs(words: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Up to three words that follow each other, joined: "64 GB" and "64GB" are the same."""
    bare = [re.sub(r"[\W_]", "", word.casefold()) for word in words]
    for start in range(len(bare)):
        for end in range(start + 1, min(start + 3, len(bare)) + 1):
            yield start, end, "".join(bare[start:end])
