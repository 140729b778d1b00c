"""Pair features of a catalogue of which some items changed, without working out the others again.

What was counted over all items when the features were built, the idf of tokens and words and the
term weights, stays as it was: a candidate that did not change keeps its features to the last bit.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from thresher.data.tables import text_of
from thresher.rerank import pairs
from thresher.rerank.aliases import QueryAliases
from thresher.rerank.columns import CompareColumns
from thresher.rerank.pair_features import PairFeatures
from thresher.rerank.pair_features import _fixed as fixed
from thresher.rerank.pair_features import _sums as sums
from thresher.rerank.texts import Catalogue, Texts

Run = tuple[int, int, int]
"""Rows `low` to `high` of the old (0) or of the new ones (1)."""
_NESTED = ("token", "word", "letter", "number", "unit")


@dataclass(frozen=True)
class Splice:
    """How the rows of the changed catalogue come from the old rows and the new ones.

    Args:
        order: for each row of the changed catalogue its old row, or N plus its new row.
        before: N, the number of old rows.
        kept: the old row whose training pairs and aliases each row keeps, or -1.
    """

    order: Int64[np.ndarray, " R"]
    before: int
    kept: Int64[np.ndarray, " R"]

    @property
    def runs(self) -> list[Run]:
        """The rows, as few runs of consecutive ones."""
        return _runs(self.order, self.before)

    @property
    def moved(self) -> Int64[np.ndarray, " N"]:
        """The new number of every old row that stays as it is; -1 of the others."""
        where = np.full(self.before, -1, np.int64)
        at = np.flatnonzero(self.order < self.before)
        where[self.order[at]] = at
        return where


def spliced(features: PairFeatures, splice: Splice, new: pa.Table) -> PairFeatures:
    """The features of the changed catalogue.

    Args:
        features: of the catalogue before.
        splice: where each row comes from.
        new: the rows that were added or replaced.
    """
    both = bool(features.text and features.query_text)
    plain = text_of(new, features.text) if both else [""] * len(new)
    counts = np.where(splice.kept >= 0, features.train_counts[splice.kept], 0)
    old_start = features.catalogue.alias_start
    kept = np.where(splice.kept >= 0, splice.kept, splice.before)
    alias_rows = _runs(kept, splice.before)
    none = np.zeros(len(kept) + 1, np.int64)
    alias_runs = [run for run in _inner(alias_rows, old_start, none) if run[1] < run[2]]
    texts, catalogue = _spliced_texts(features, splice, Texts.of(plain), alias_rows, alias_runs)
    before = features.aliases
    texts_of, ids_of = (
        [one for _, low, high in alias_runs for one in whole[low:high]]
        for whole in (before.texts, before.item_ids)
    )
    aliases = QueryAliases(texts_of, ids_of, before.counts)
    return replace(
        features,
        aliases=aliases,
        train_counts=fixed(counts.astype(np.int64)),
        texts=texts,
        catalogue=catalogue,
        alias_vectors=_alias_vectors(features.alias_vectors, alias_runs),
        columns=_columns(features.columns, splice.runs, new),
    )


def take(runs: Sequence[Run], old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The rows of these runs, one after the other."""
    return np.concatenate([old[:0], *((old, new)[which][low:high] for which, low, high in runs)])


def _starts(runs: Sequence[Run], old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Where each row's part begins."""
    sizes = take(runs, np.diff(old), np.diff(new))
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _inner(runs: Sequence[Run], old: np.ndarray, new: np.ndarray) -> list[Run]:
    """The runs of what lies in the parts of rows."""
    return [
        (which, int((old, new)[which][low]), int((old, new)[which][high]))
        for which, low, high in runs
    ]


def _runs(order: np.ndarray, before: int) -> list[Run]:
    """Rows by number, those from `before` on of the new ones, as few runs."""
    if not len(order):
        return []
    jumps = (np.diff(order) != 1) | ((order[1:] >= before) != (order[:-1] >= before))
    bounds = np.concatenate([[0], np.flatnonzero(jumps) + 1, [len(order)]])
    runs = []
    for low, high in pairwise(bounds):
        first = int(order[low])
        which = int(first >= before)
        first -= which * before
        runs.append((which, first, first + int(high - low)))
    return runs


def _spliced_texts(
    features: PairFeatures,
    splice: Splice,
    new: Texts,
    alias_rows: list[Run],
    alias_runs: list[Run],
) -> tuple[Texts, Catalogue]:
    old, c, runs = features.texts, features.catalogue, splice.runs
    norm, total = pairs.token_sums(new.token_start, new.token, c.token_idf)
    vocabulary, shift = _joined(c.vocabulary, new.word >> 1)
    own = np.searchsorted(vocabulary, new.word >> 1).astype(np.int32)
    whole = (new.word & 1).astype(bool)
    new = new._replace(word=2 * own + whole.astype(np.int32))
    if len(vocabulary) > len(c.vocabulary):
        old = old._replace(word=2 * shift[old.word >> 1] + (old.word & 1))
    weights = _widened(c.word_weights, shift, len(vocabulary))
    rarity = _widened(c.rarity, shift, len(vocabulary))
    posting_start, posting = _postings(c, shift, len(vocabulary), splice, (new.word_start, own))
    none = np.zeros(len(splice.order) + 1, np.int64)
    parts = {
        "token_norm": norm,
        "token_total": total,
        "word_total": sums(new.word_start, np.where(whole, weights[own, 3], 0)),
        "expected_total": sums(new.word_start, weights[own, 0]),
        "rarity_norm": np.sqrt(sums(new.word_start, rarity[own])),
    }
    catalogue = c._replace(
        **{name: take(runs, getattr(c, name), values) for name, values in parts.items()},
        vocabulary=vocabulary,
        word_weights=weights,
        rarity=rarity,
        posting_start=posting_start,
        posting=posting,
        alias_start=_starts(alias_rows, c.alias_start, none),
        alias_token_start=_starts(alias_runs, c.alias_token_start, none),
        alias_token=take(
            _inner(alias_runs, c.alias_token_start, none), c.alias_token, c.alias_token
        ),
        alias_norm=take(alias_runs, c.alias_norm, c.alias_norm),
    )
    return Texts(*map(fixed, _joined_texts(runs, old, new))), Catalogue(*map(fixed, catalogue))


def _joined_texts(runs: Sequence[Run], old: Texts, new: Texts) -> Texts:
    found: dict[str, np.ndarray] = {"length": take(runs, old.length, new.length)}
    for name in _NESTED:
        starts = (getattr(old, f"{name}_start"), getattr(new, f"{name}_start"))
        found[f"{name}_start"] = _starts(runs, *starts)
        found[name] = take(_inner(runs, *starts), getattr(old, name), getattr(new, name))
    codes = _inner(runs, old.code_start, new.code_start)
    letters = (old.code_letter_start, new.code_letter_start)
    found["code_start"] = _starts(runs, old.code_start, new.code_start)
    found["code_letter_start"] = _starts(codes, *letters)
    found["code_letter"] = take(_inner(codes, *letters), old.code_letter, new.code_letter)
    return Texts(**found)


def _joined(old: np.ndarray, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vocabulary with further words, and the new number of each old word."""
    joined = np.union1d(old, words).astype(np.int32)
    return joined, np.searchsorted(joined, old).astype(np.int32)


def _widened(values: np.ndarray, shift: np.ndarray, words: int) -> np.ndarray:
    """Values of words for a larger vocabulary: new words have those of unknown ones, the last."""
    out = np.repeat(values[-1:], words + 1, axis=0)
    out[shift] = values[:-1]
    return out


def _postings(
    c: Catalogue,
    shift: np.ndarray,
    words: int,
    splice: Splice,
    new: tuple[np.ndarray, np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """The rows of each word: those that stay, under their new numbers, and the new ones."""
    width = len(splice.order) + 1
    # The last list, of unknown words, is empty: every word of an item is in the vocabulary.
    numbers = np.append(shift, words).astype(np.int64)
    word = np.repeat(numbers, np.diff(c.posting_start))
    row = splice.moved[c.posting]
    stays = row >= 0
    old = word[stays] * width + row[stays]
    at = np.flatnonzero(splice.order >= splice.before)
    place = np.empty(len(at), np.int64)
    place[splice.order[at] - splice.before] = at
    start, own = new
    more = np.sort(own.astype(np.int64) * width + np.repeat(place, np.diff(start)))
    joined = np.insert(old, np.searchsorted(old, more), more)
    counts = np.bincount(joined // width, minlength=words + 1)
    return np.concatenate([[0], np.cumsum(counts)]), (joined % width).astype(np.int32)


def _alias_vectors(vectors: tuple[np.ndarray, ...], runs: Sequence[Run]) -> tuple[np.ndarray, ...]:
    if len(vectors) == 2:
        return tuple(fixed(take(runs, values, values)) for values in vectors)
    start, *values = vectors
    inner = _inner(runs, start, start)
    return tuple(map(fixed, (_starts(runs, start, start), *(take(inner, v, v) for v in values))))


def _columns(columns: CompareColumns, runs: Sequence[Run], new: pa.Table) -> CompareColumns:
    """The values of compared columns; new words of a text column weigh as unknown ones."""
    made = CompareColumns.build(new, columns.compare)
    found = []
    for column, old, own in zip(columns.compare, columns.values, made.values, strict=True):
        if column.kind == "number":
            values: tuple[np.ndarray, ...] = (take(runs, old[0], own[0]),)
        else:
            more: tuple[np.ndarray, ...] = ()
            flat, flat_new = old[1], own[1]
            if column.kind == "text":
                vocabulary, shift = _joined(old[2], own[2])
                flat = shift[flat].astype(np.int32)
                flat_new = np.searchsorted(vocabulary, own[2]).astype(np.int32)[flat_new]
                more = (vocabulary, _widened(old[3], shift, len(vocabulary)))
            inner = _inner(runs, old[0], own[0])
            values = (_starts(runs, old[0], own[0]), take(inner, flat, flat_new), *more)
        found.append(tuple(map(fixed, values)))
    return CompareColumns(columns.compare, tuple(found))
