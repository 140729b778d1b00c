"""The parts of an item's text: its words, its codes, and each further column."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float64
from scipy import sparse

from thresher.data.mutual_information import mutual_information
from thresher.data.tokens import Tokens, log_counts, words
from thresher.errors import InputError
from thresher.towers.bags import Bags
from thresher.towers.feature_inputs import Features, FeatureTable

ROWS = 65_536  # items whose parts are counted at a time

Columns = Mapping[str, Sequence[str]]


def part_table(columns: Columns, tokens: Tokens) -> FeatureTable:
    """The parts of the items' texts, each as a bag of the tokens that a text tower reads.

    The first column gives two parts, `words` and `codes`: its words without a digit, and those
    with one. Every further column is a part of its own. Put together (`joined`), the parts are the
    bag of the whole text, but for two things: words that stand next to each other in different
    parts are not joined to a token, and a token that several parts have counts in each of them.

    **Differs** from the features of Yao et al. 2021, which are columns: here one text is cut, so
    that a title too has parts that can be hidden.

    Args:
        columns: name of a column to its text of every item, as the tower reads them.
        tokens: of the tower.

    Memory: that of the texts' own bags, and a copy of them while they are made.

    Raises:
        InputError: a further column is named as a part of the first is.

    Example:
        >>> table = part_table({"title": ["Bosch KIN85"], "kind": ["fridge"]}, Tokens())
        >>> list(table.bags)
        ['words', 'codes', 'kind']
    """
    counts = _counts(columns, tokens)
    return FeatureTable.of("item", {name: log_counts(part) for name, part in counts.items()})


def part_information(columns: Columns, tokens: Tokens) -> Float64[np.ndarray, "k k"]:
    """How much knowing one part of an item's text tells about another, in nats.

    The values of a part are its whole words: pieces of words would tell what the word tells, in a
    table many times as large.

    Args:
        columns: as for `part_table`, whose order the rows have.
        tokens: of the tower; whole words have the numbers that it gives them.

    Memory: 12 bytes for each two words in different parts that some item has; see
        `mutual_information`.
    """
    whole = replace(tokens, ngram_range=(0, 0), pairs=False, parts=False)
    counts = list(_counts(columns, whole).values())
    rows = range(0, counts[0].shape[0], ROWS)
    return mutual_information([part[start : start + ROWS] for part in counts] for start in rows)


def joined(items: Features) -> Bags:
    """One bag an item: the tokens of its parts, one part after the other."""
    parts = list(items.bags.values())
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
    """The counts of the words without a digit, and of the others.

    Runs of words of one part are counted one by one, so that no two words are joined that do not
    stand next to each other.
    """
    runs: tuple[list[str], list[str]] = ([], [])
    rows: tuple[list[int], list[int]] = ([], [])
    for row, text in enumerate(texts):
        for is_code, run in groupby(words(text), _is_code):
            runs[is_code].append(" ".join(run))
            rows[is_code].append(row)
    counts = []
    for own, at in zip(runs, rows, strict=True):
        places = (np.ones(len(at), np.float32), (at, np.arange(len(at))))
        counts.append(sparse.csr_matrix(places, (len(texts), len(at))) @ tokens.counts(own))
    return counts


def _is_code(word: str) -> bool:
    return any(map(str.isdigit, word))
