"""What differs between a query and a candidate: words, product codes, numbers and their units.

Words are compared as the model compares them: case folded, without accents and signs, and up to
three neighbours joined, so that "64 GB" is "64gb". Codes and numbers are those of
`data.tokenise.find_codes`.
"""

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from thresher.data.column_kinds import number_of
from thresher.data.tokens import words

Kind = Literal["same", "only", "code", "number"]

_NUMBER = re.compile(r"(\d[\d.,]*)(\D{1,5})?")
_YEAR = re.compile(r"(19|20)\d\d")
_UNIT = 5  # most letters of a unit
_PREFIX = 3  # least number of characters that two codes share for the rest to be marked alone
# Scripts without spaces: each character is compared by itself.
_SINGLE = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_JOINERS = "\u200c\u200d"


@dataclass(frozen=True)
class Span:
    """A piece of a text.

    Args:
        text: as it stands; the spans of a text joined are the text.
        kind: "same" where the other text has it too, or it is no word; "only" where the other
            lacks it; "code" and "number" where the other has a different one in its place.
    """

    text: str
    kind: Kind


@dataclass(frozen=True)
class Conflict:
    """A code or number of the query, and what the candidate has in its place."""

    kind: Kind
    query: str
    item: str


@dataclass(frozen=True)
class Marked:
    """A query and a candidate, with what differs; `conflicts` says the worst of it in words."""

    query: tuple[Span, ...]
    item: tuple[Span, ...]
    conflicts: tuple[Conflict, ...]


@dataclass
class _Token:
    start: int
    end: int
    key: str
    value: float | None = None
    unit: str | None = None
    attached: bool = False  # the unit stands in the same word
    before: str = ""  # the word before a number
    stop: int = 0  # where the number with its unit ends
    code: bool = False
    kind: Kind = "only"
    prefix: int = 0  # characters that a code shares with one of the other text
    others: list["_Token"] = field(default_factory=list)


def mark(query: str, item: str) -> Marked:
    """Mark what differs between a query and an item.

    Example:
        >>> marked = mark("LG KG800 64 GB black", "LG KG810 64GB")
        >>> [span.text for span in marked.item if span.kind != "same"]
        ['10']
        >>> [(c.kind, c.query, c.item) for c in marked.conflicts]
        [('code', 'KG800', 'KG810')]
        >>> [span.text for span in marked.query if span.kind != "same"]
        ['00', 'black']
    """
    sides = _tokens(query), _tokens(item)
    for own, other in (sides, sides[::-1]):
        _mark_same(own, other)
    for own, other in (sides, sides[::-1]):
        for token in own:
            if token.kind == "only":
                _contradict(token, [t for t in other if t.kind != "same"])
    return Marked(
        tuple(_spans(query, sides[0])),
        tuple(_spans(item, sides[1])),
        tuple(_conflicts(query, item, sides[0])),
    )


def _tokens(text: str) -> list[_Token]:
    """The words of a text, with the numbers, units and codes among them."""
    found = [_Token(a, b, "".join(words(text[a:b])) or text[a:b]) for a, b in _words(text)]
    for place, token in enumerate(found):
        digits = _NUMBER.fullmatch(text[token.start : token.end])
        after = found[place + 1] if place + 1 < len(found) else None
        if digits is None:
            has = {c.isdigit() for c in token.key}
            token.code = has == {True, False} and len(token.key) > 1
            continue
        token.before = found[place - 1].key if place else ""
        token.stop, value = token.end, number_of(digits[1])
        token.value = None if math.isnan(value) else value
        if not digits[1].isdigit():  # a decimal, or a version
            number = digits[1] if token.value is None else f"{value:.12g}"
            token.key = number + "".join(words(digits[2] or ""))
        if digits[2]:
            token.unit, token.attached = "".join(words(digits[2])) or digits[2], True
        elif after and after.key.isalpha() and len(after.key) <= _UNIT:
            token.unit, token.stop = after.key, after.end
        plain = digits[1].isdigit() and len(token.key) >= 4
        token.code = plain and token.unit is None and not _YEAR.fullmatch(token.key)
    return found


def _words(text: str) -> Iterator[tuple[int, int]]:
    """Where words begin and end: letters and digits with their marks, decimals in one."""
    start = None
    for at, c in enumerate(text):
        joins = start is not None and (
            c in _JOINERS or unicodedata.category(c)[0] == "M" or _is_decimal(text, start, at)
        )
        single = c.isalnum() and _SINGLE.match(c) is not None
        if start is not None and (single or not (joins or c.isalnum())):
            yield start, at
            start = None
        if single:
            yield at, at + 1
        elif start is None and c.isalnum():
            start = at
    if start is not None:
        yield start, len(text)


def _is_decimal(text: str, start: int, at: int) -> bool:
    """Whether a point or comma stands between the digits of a number."""
    return (
        text[at] in ".,"
        and text[at + 1 : at + 2].isdigit()
        and all(c.isdigit() or c in ".," for c in text[start:at])
    )


def _mark_same(own: Sequence[_Token], other: Sequence[_Token]) -> None:
    """Find the words that the other text has: by themselves, joined, or as the same number."""
    runs = {run for _, _, run in _runs(other)}
    letters = "".join(t.key for t in other)
    for first, last, run in _runs(own):
        if run in runs:
            for token in own[first:last]:
                token.kind = "same"
    for token in own:
        in_code = token.code and token.key in letters
        if in_code or any(_same_number(token, t) for t in other):
            token.kind = "same"


def _runs(tokens: Sequence[_Token]) -> Iterator[tuple[int, int, str]]:
    for first in range(len(tokens)):
        for last in range(first + 1, min(first + 3, len(tokens)) + 1):
            yield first, last, "".join(t.key for t in tokens[first:last])


def _same_number(a: _Token, b: _Token) -> bool:
    if a.value is None or a.value != b.value or a.code or b.code:
        return False
    return a.unit == b.unit or not (a.attached and b.attached)


def _contradict(token: _Token, others: Sequence[_Token]) -> None:
    """See whether the other text has a different code or number in a token's place."""
    if token.code:
        token.others = [t for t in others if t.code]
        token.prefix = max((_shared(token.key, t.key) for t in token.others), default=0)
        token.others.sort(key=lambda t: -_shared(token.key, t.key))
        kind: Kind = "code"
    else:
        token.others = [t for t in others if _comparable(token, t)]
        kind = "number"
    if token.others:
        token.kind = kind


def _comparable(a: _Token, b: _Token) -> bool:
    """Whether two numbers are of one thing: of the same unit, or behind the same word."""
    if a.value is None or b.value is None or b.code:
        return False
    follow = a.before == b.before != "" and not (a.attached or b.attached)
    return follow or (a.unit is not None and a.unit == b.unit)


def _shared(a: str, b: str) -> int:
    same = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    return min(len(a), len(b)) if same is None else same


def _spans(text: str, tokens: Sequence[_Token]) -> Iterator[Span]:
    """The text in pieces, neighbours of one kind together."""
    pieces: list[tuple[str, Kind]] = []
    at = 0
    for token in tokens:
        start, whole = token.start, text[token.start : token.end]
        pieces.append((text[at:start], "same"))
        # Where folding changed the length, places in the key are none of the text.
        if token.kind == "code" and len(token.key) == len(whole) > token.prefix >= _PREFIX:
            pieces.append((whole[: token.prefix], "same"))
            whole = whole[token.prefix :]
        pieces.append((whole, token.kind))
        at = token.end
    pieces.append((text[at:], "same"))
    joined: list[tuple[str, Kind]] = []
    for piece, kind in _bridged([p for p in pieces if p[0]]):
        if joined and joined[-1][1] == kind:
            joined[-1] = joined[-1][0] + piece, kind
        else:
            joined.append((piece, kind))
    return (Span(piece, kind) for piece, kind in joined)


def _bridged(pieces: Sequence[tuple[str, Kind]]) -> Iterator[tuple[str, Kind]]:
    """Spaces between two words that the other text lacks belong to them."""
    for place, (piece, kind) in enumerate(pieces):
        around = {p[1] for p in pieces[max(place - 1, 0) : place + 2 : 2]}
        inner = 0 < place < len(pieces) - 1 and piece.isspace()
        yield piece, "only" if inner and around == {"only"} else kind


def _conflicts(query: str, item: str, tokens: Sequence[_Token]) -> Iterator[Conflict]:
    """One for each code or number of the query that the item contradicts."""
    for token in tokens:
        if token.others:
            other = token.others[0]
            of_unit = token.unit is not None and token.unit == other.unit
            ends = (token.stop, other.stop) if of_unit else (token.end, other.end)
            own = query[token.start : ends[0]], item[other.start : ends[1]]
            yield Conflict(token.kind, *own)
