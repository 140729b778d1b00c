"""What a review page shows of a case: the query, its candidates, and what differs."""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from thresher.report.words import plain
from thresher.review import Case
from thresher.serve.columns import Field, compare
from thresher.serve.marking import Marked, Span, mark

KEYS = "123456789"
LETTERS = 600  # most that is shown of a text
HIDDEN = ("id", "split")
# What turns the direction of the text around it: it could make one code look like another.
_TURNS = re.compile("[\u202a-\u202e\u2066-\u2069]")

Rows = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """A candidate, or an item that was found.

    Args:
        item_id: of the item.
        key: that chooses it; empty for none.
        marked: its text against the query's.
        lacks: words of the query that it lacks and another candidate has.
        fields: columns of both sides.
        others: columns of the item alone.
        score, confidence: None where they are hidden or unknown.
        is_label: whether it is the suspected label.
    """

    item_id: str
    key: str
    marked: Marked
    lacks: Sequence[str]
    fields: Sequence[Field]
    others: Mapping[str, str]
    score: float | None = None
    confidence: float | None = None
    is_label: bool = False


@dataclass(frozen=True)
class View:
    """A case as it is shown.

    Args:
        case: see `Case`.
        query: its text; "only" what no candidate has.
        columns: the rest of the query.
        rows: its candidates.
        label: the one that is the suspected label.
    """

    case: Case
    query: Sequence[Span]
    columns: Mapping[str, str]
    rows: Sequence[Row]
    label: Row | None


@dataclass(frozen=True)
class Shower:
    """Turns cases into what is shown.

    Args:
        query_text, item_text: columns that make up the texts.
        items: rows of items by their ids; unknown ones are left out.
    """

    query_text: tuple[str, ...]
    item_text: tuple[str, ...]
    items: Callable[[Sequence[str]], Rows]

    def view(self, case: Case, *, scores: bool) -> View:
        """A case; its candidates best first, but in a random order where that would sway.

        A reviewer who audits, or gives a second opinion, is not to see which item the
        model put first.
        """
        found = list(case.decision.candidates)
        if case.reason in ("audit", "second") and not scores:
            found.sort(key=lambda one: _shuffled(case.decision.id, one["item_id"]))
        ids = [str(one["item_id"]) for one in found]
        if case.label is not None and case.label not in ids:
            ids.append(case.label)
            found.append({"item_id": case.label})
        text = self.text(case)
        rows, unknown = self._rows(case, found, text, scores=scores)
        label = next((row for row in rows if row.is_label), None)
        return View(case, _parts(text, unknown), self._columns(case), rows, label)

    def found(self, case: Case, found: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Items that a search found, beside the query of a case."""
        rows, _ = self._rows(case, found, self.text(case), scores=False)
        return [replace(row, key="") for row in rows]

    def _rows(
        self, case: Case, found: Sequence[Mapping[str, Any]], text: str, *, scores: bool
    ) -> tuple[list[Row], list[bool]]:
        """Items beside the query; and which characters of its text none of them has."""
        known = self.items([str(one["item_id"]) for one in found])
        query = case.decision.query
        own = {name: value for name, value in query.items() if self._is_column(name, "query")}
        names = [self._name(one, known) for one in found]
        marks = [mark(text, safe(name)) for name in names]
        lacking = [[s.kind != "same" for s in one.query for _ in s.text] for one in marks]
        unknown = [all(column) for column in zip(*lacking, strict=True)]
        rows = []
        for place, (one, marked) in enumerate(zip(found, marks, strict=True)):
            item_id = str(one["item_id"])
            columns = known.get(item_id, {})
            rest = {n: v for n, v in columns.items() if self._is_column(n, "item")}
            own_kind = [span.kind for span in marked.query for _ in span.text]
            # Contradictions are shown as conflicts.
            differs = [k == "only" and not u for k, u in zip(own_kind, unknown, strict=True)]
            made = Row(
                item_id,
                KEYS[place : place + 1],
                marked,
                _phrases(text, differs),
                compare(own, rest),
                _texts({n: v for n, v in rest.items() if n not in own}),
                is_label=item_id == case.label,
            )
            if scores:
                made = replace(made, score=one.get("score"), confidence=one.get("confidence"))
            rows.append(made)
        return rows, unknown

    def _name(self, one: Mapping[str, Any], known: Rows) -> str:
        """The text of an item; its id where it has none, as one that was deleted."""
        row = known.get(str(one["item_id"]), {})
        joined = " ".join(str(row[n]) for n in self.item_text if row.get(n))
        return str(one.get("item") or joined or one["item_id"])

    def text(self, case: Case) -> str:
        """The text of the query."""
        query = case.decision.query
        return safe(" ".join(str(query[name]) for name in self.query_text if query.get(name)))

    def _columns(self, case: Case) -> Mapping[str, str]:
        query = case.decision.query
        return _texts({n: v for n, v in query.items() if self._is_column(n, "query")})

    def _is_column(self, name: str, side: str) -> bool:
        return name not in (*HIDDEN, *(self.query_text if side == "query" else self.item_text))


def _parts(text: str, only: Sequence[bool]) -> list[Span]:
    """A text in pieces: "only" where that is true of every character."""
    places = groupby(range(len(text)), key=lambda at: bool(only and only[at]))
    return [
        Span("".join(text[at] for at in run), "only" if here else "same") for here, run in places
    ]


def _phrases(text: str, only: Sequence[bool]) -> list[str]:
    """The words of a text that are marked, neighbours together."""
    found = (span.text.strip() for span in _parts(text, only) if span.kind == "only")
    return [phrase for phrase in found if phrase]


def safe(text: str, letters: int = LETTERS) -> str:
    """A text as pages show it: without control characters and what turns the direction of others.

    Templates escape it besides.
    """
    return _TURNS.sub("\N{REPLACEMENT CHARACTER}", plain(text, letters))


def _texts(columns: Mapping[str, Any]) -> Mapping[str, str]:
    return {safe(str(n)): safe(str(v)) for n, v in columns.items() if v is not None and v != ""}


def _shuffled(decision: str, item_id: str) -> bytes:
    return hashlib.sha256(f"{decision} {item_id}".encode()).digest()
