"""What needs no training, to compare a model with: popularity, TF-IDF and item-kNN."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from jaxtyping import Bool, Int, Int64
from scipy import sparse

from thresher.data.relation import Relation
from thresher.data.sequences import Sequences
from thresher.data.tokens import Tokens, idf, log_counts
from thresher.retrieve.hits import Hits, search_without
from thresher.retrieve.sparse import SparseExact
from thresher.towers.encoders.base import unit

LATEST = 100
"""Events of a history that item-kNN reads, the latest ones."""
NEIGHBOURS = 100
"""Neighbours of an item in item-kNN."""
_BLOCK = 1024  # queries or items at a time


def popular(
    counts: Int64[np.ndarray, " N"],
    k: int,
    ignored: Relation,
    allow: Bool[np.ndarray, " N"] | None = None,
) -> Hits:
    """The same list for everybody, the items that stand most often in training, less some each.

    Args:
        counts: training pairs of each item, its score.
        k: places of a list.
        ignored: what is not listed, a row for each list.
        allow: items that may be listed; all when left out.
    """
    order = np.argsort(-counts, kind="stable")
    order = order if allow is None else order[allow[order]]
    scores = counts[order].astype(np.float32)
    short = max(0, k - len(order))  # fewer are allowed than there are places
    order = np.pad(order, (0, short), constant_values=-1)
    scores = np.pad(scores, (0, short), constant_values=-np.inf)

    def listed(lists: int, depth: int) -> Hits:
        shape = lists, min(depth, len(order))
        return Hits(np.broadcast_to(order[:depth], shape), np.broadcast_to(scores[:depth], shape))

    if not len(ignored.indices):
        return listed(len(ignored), k)
    blocks = np.array_split(np.arange(len(ignored)), -(-len(ignored) // _BLOCK))
    return Hits.joined(
        search_without(partial(listed, len(rows)), k, ignored.take(rows)) for rows in blocks
    )


def tfidf(
    item_texts: Sequence[str],
    query_texts: Sequence[str],
    k: int,
    ignored: Relation,
    allow: Bool[np.ndarray, " N"] | None = None,
) -> Hits:
    """The items whose words and parts of words are most alike to those of a query.

    Equation:  x_t = (1 + ln tf_t) (ln((1 + N) / (1 + df_t)) + 1), rows scaled to unit length; the
               score is the inner product. Document frequencies are those of the items

    Source:    Salton and Buckley 1988, sublinear tf; the smoothed idf is scikit-learn's.
    """
    tokens = Tokens()
    counts = tokens.counts(item_texts)
    rarity = idf(counts)

    def weighed(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
        return unit(log_counts(matrix).multiply(rarity).tocsr())

    index = SparseExact(weighed(counts))
    vectors = weighed(tokens.counts(query_texts))
    found = search_without(lambda depth: index.search(vectors, depth, allow=allow), k, ignored)
    empty = np.diff(vectors.indptr) == 0  # as close to one item as to another
    rows = np.where(empty[:, None], -1, found.rows)
    return Hits(rows, np.where(rows < 0, -np.inf, found.scores).astype(np.float32))


def item_knn(
    learned: Sequences,
    histories: Sequences,
    items: int,
    k: int,
    ignored: Relation,
    allow: Bool[np.ndarray, " N"] | None = None,
) -> Hits:
    """The items that stand beside those of a history in the histories of training users.

    Equation:  s(i, j) = |U_i and U_j| / sqrt(|U_i| |U_j|), with U_i the training users of item i;
               an item keeps its 100 nearest others, and score(u, j) = sum of s(i, j) over the items
               i of the history of u

    Source:    Deshpande and Karypis 2004 (doi:10.1145/963770.963776), the cosine form.
    Differs:   only the last 100 events of a history count, which bounds the time.

    Args:
        learned: events of the training users.
        histories: what each query had, in the order of `ignored`.
        items: number of items in the catalogue.
        k: places of a list; fewer are filled where fewer items score.
        ignored: what is not listed, a row for each list.
        allow: items that may be listed; all when left out.
    """
    near = _neighbours(_matrix(learned, items))
    wanted = _matrix(histories, items)
    rows = np.full((len(histories), k), -1, np.int64)
    scores = np.full((len(histories), k), -np.inf, np.float32)
    shown = np.ones(items, np.bool_) if allow is None else allow
    for start in range(0, len(histories), _BLOCK):
        block = (wanted[start : start + _BLOCK] @ near).tocsr()
        for row in range(block.shape[0]):
            span = slice(block.indptr[row], block.indptr[row + 1])
            found, values = block.indices[span], block.data[span]
            kept = shown[found] & ~np.isin(found, ignored.items_of(start + row))
            found, values = found[kept], values[kept]
            best = np.lexsort((found, -values))[:k]
            rows[start + row, : len(best)] = found[best]
            scores[start + row, : len(best)] = values[best]
    return Hits(rows, scores)


def _matrix(sequences: Sequences, items: int) -> sparse.csr_matrix:
    """Which items the last events of each user name: users x items, 0 or 1."""
    lengths = np.minimum(sequences.counts(), LATEST)
    users = np.repeat(np.arange(len(sequences)), lengths)
    ends: Int[np.ndarray, " U"] = sequences.starts[1:]
    before = np.cumsum(lengths) - lengths
    events = np.arange(lengths.sum()) + np.repeat(ends - lengths - before, lengths)
    found = Relation.from_pairs(users, sequences.items[events], shape=(len(sequences), items))
    return found.matrix().astype(np.float32)


def _neighbours(users: sparse.csr_matrix) -> sparse.csr_matrix:
    """The cosines of each item and its nearest others: items x items."""
    counts = np.maximum(np.asarray(users.sum(axis=0)).ravel(), 1)
    scaled = (users @ sparse.diags(1 / np.sqrt(counts), dtype=np.float32)).tocsr()
    of_item = scaled.T.tocsr()
    parts = []
    for start in range(0, of_item.shape[0], _BLOCK):
        block = (of_item[start : start + _BLOCK] @ scaled).tocsr()
        for row in range(block.shape[0]):
            span = slice(block.indptr[row], block.indptr[row + 1])
            values = block.data[span]
            values[block.indices[span] == start + row] = 0
            if len(values) > NEIGHBOURS:
                values[np.argpartition(-values, NEIGHBOURS)[NEIGHBOURS:]] = 0
        block.eliminate_zeros()
        parts.append(block)
    return sparse.vstack(parts).tocsr() if parts else of_item
