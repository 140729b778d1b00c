"""The parts of what is known of an item, some of which a view of it hides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import groupby
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float64
from scipy import sparse

from thresher.data.mutual_information import mutual_information
from thresher.data.tables import text_of
from thresher.data.tokens import Tokens, words
from thresher.errors import InputError
from thresher.towers.bags import Bags
from thresher.towers.encoders.base import Bag, Encoder
from thresher.towers.encoders.text import Text
from thresher.towers.inputs import Features
from thresher.towers.schema import Schema

Columns = Mapping[str, Sequence[str]]

SEVERAL = ("categories", "words", "text")
"""Kinds of feature with several values, of which views drop some."""
_COUNTED = 65_536  # items whose values are counted at a time


@dataclass(frozen=True)
class ItemParts:
    """The parts of the items of a catalogue.

    Args:
        table: the items, by part.
        ids: which parts are ids.
        several: which parts have several values, of which some may be dropped.
        joined: from the parts of some items to what the tower reads.
        information: measures the mutual information of the parts, in nats.
    """

    table: Features
    ids: Sequence[str]
    several: Sequence[str]
    joined: Callable[[Features], Features]
    information: Callable[[], Float64[np.ndarray, "k k"]]


@runtime_checkable
class Divides(Protocol):
    """A tower that can take items apart."""

    def parts(self, *, masked: bool) -> ItemParts:
        """The parts of the items of its catalogue."""


def item_parts(schema: Schema, items: pa.Table, prepared: Features, *, masked: bool) -> ItemParts:
    """The parts of items: their features, a "text" cut into several.

    The first column of a text gives two parts, `words` and `codes`: its words without a digit, and
    those with one. Every further column is a part of its own. Put together, the parts are the bag
    of the whole text, but for two things: words that stand next to each other in different parts
    are not joined to a token, and a token that several parts have counts in each of them.

    `prepared` are the items as the tower reads them, whose parts they are where none is to be
    `masked`. InputError where a further column is named as another part is.

    **Differs** from the features of Yao et al. 2021, which are columns: here one text is cut, so
    that a title too has parts that can be hidden.

    Memory: that of the texts' own bags, and a copy of them while they are made.
    """
    kinds = {f.name: f.kind for f in schema.items}
    bags: dict[str, Bags] = {}
    pieces: dict[str, list[str]] = {}
    values: dict[str, Callable[[], Bag]] = {}
    for feature in schema.items:
        encoder, own = schema.encoders[feature.table], prepared.bags[feature.name]
        # Rows scaled to the length 1 cannot be put together from parts.
        if masked and isinstance(encoder, Text) and feature.kind == "text" and not encoder.unit:
            columns = {name: text_of(items, [name]) for name in feature.columns}
            counts = _counts(columns, encoder.reads())
            found = {name: Bags.from_csr(encoder.weigh(each)) for name, each in counts.items()}
            pieces[feature.name] = list(found)
            # Whole words alone: pieces of words would tell what the word tells, in larger tables.
            whole = replace(encoder.reads(), ngram_range=(0, 0), pairs=False, parts=False)
            known = cache(partial(_counts, columns, whole))
            values |= {name: partial(_one, known, name) for name in found}
        else:
            found = {feature.name: own}
            values[feature.name] = partial(_values, encoder, own)
        if twice := sorted(found.keys() & bags.keys()):
            raise InputError(
                f"two parts of an item are named {twice[0]!r}, one of them a part of its text; "
                "rename the column"
            )
        bags |= found
    ids = [name for name in bags if kinds.get(name) == "id"]
    several = [name for name in bags if kinds.get(name, "text") in SEVERAL]
    each = [values[name] for name in bags]
    information = partial(_information, each, [name in ids for name in bags])
    return ItemParts(Features("item", bags), ids, several, partial(_whole, pieces), information)


def _information(
    values: Sequence[Callable[[], Bag]], unique: Sequence[bool]
) -> Float64[np.ndarray, "k k"]:
    columns = [value() for value in values]
    starts = range(0, columns[0].shape[0], _COUNTED)
    blocks = ([c[start : start + _COUNTED] for c in columns] for start in starts)
    return mutual_information(blocks, unique=np.flatnonzero(unique).tolist())


def _whole(pieces: Mapping[str, Sequence[str]], rows: Features) -> Features:
    """Items whose texts are put together from their pieces."""
    cut = {name for names in pieces.values() for name in names}
    whole = {name: own for name, own in rows.bags.items() if name not in cut}
    whole |= {text: _joined([rows.bags[n] for n in names]) for text, names in pieces.items()}
    return replace(rows, bags=whole)


def _one(known: Callable[[], Mapping[str, Bag]], name: str) -> Bag:
    return known()[name]


def _values(encoder: Encoder, own: Bags) -> Bag:
    return encoder.values(own.csr(len(encoder)))


def _joined(parts: Sequence[Bags]) -> Bags:
    """One bag an item: the tokens of its parts, one part after the other."""
    rows = torch.cat(
        [torch.repeat_interleave(torch.arange(len(p)), p.offsets.diff()) for p in parts]
    )
    order = rows.argsort(stable=True)
    return Bags(
        torch.cat([p.tokens for p in parts])[order],
        torch.cat([p.weights for p in parts])[order],
        torch.stack([p.offsets for p in parts]).sum(0),
    )


def _counts(columns: Columns, tokens: Tokens) -> dict[str, sparse.csr_matrix]:
    """How often each token stands in each part of each item."""
    (_, texts), *further = columns.items()
    found = dict(zip(("words", "codes"), _cut(texts, tokens), strict=True))
    for name, column in further:
        if name in found:
            raise InputError(
                f"data.item_text names the column {name!r}, and a part of the text of the first "
                "column has that name; rename the column"
            )
        found[name] = tokens.counts(column)
    return found


def _cut(texts: Sequence[str], tokens: Tokens) -> list[sparse.csr_matrix]:
    """The counts of the words without a digit, and of the others."""
    # Run by run, so that no two words are joined that do not stand next to each other.
    runs: tuple[list[str], list[str]] = ([], [])
    rows: tuple[list[int], list[int]] = ([], [])
    for row, text in enumerate(texts):
        for is_code, run in groupby(words(text), lambda word: any(map(str.isdigit, word))):
            runs[is_code].append(" ".join(run))
            rows[is_code].append(row)
    counts = []
    for own, at in zip(runs, rows, strict=True):
        places = (np.ones(len(at), np.float32), (at, np.arange(len(at))))
        counts.append(sparse.csr_matrix(places, (len(texts), len(at))) @ tokens.counts(own))
    return counts
