"""Mutual information: how much one feature of an item tells about another."""

from collections.abc import Collection, Iterable, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from thresher.errors import InputError


def mutual_information(
    blocks: Iterable[Sequence[sparse.csr_matrix]], *, unique: Collection[int] = ()
) -> Float64[np.ndarray, "k k"]:
    """How much knowing one feature of an item tells about another, for every two features, in nats.

    Equation:
        P_i(a)     = mean over items of [a in V_i] / n_i
        P_ij(a, b) = mean over items of [a in V_i] [b in V_j] / (n_i n_j)
        MI(i, j)   = sum over a, b of P_ij(a, b) log( P_ij(a, b) / (P_i(a) P_j(b)) )
                   = H(P_i) + H(P_j) - H(P_ij),  H(P) = -sum P log P

    V_i are the n_i values that an item has in feature i. A feature of several values stands for one
    of them, drawn at random: all are equally likely, whatever their weights, and the draws of two
    features are independent given the item. A missing value is a value of its own. The diagonal is
    H(P_i), the entropy of the drawn value: the most that anything can tell about it.

    A feature that has another value in every item, such as the id, needs no table of pairs: the
    value names the item, so MI = H(P_j) - mean over items of log n_j, and log(number of items) with
    another one of its kind or on the diagonal. `unique` numbers these features.

    The shares are taken as they are counted, so that features of many values on few items seem to
    tell about each other, by chance alone.

    A block of items holds a matrix [items, values] for every feature, whose entries above 0 are the
    values that an item has.

    **Source**: Yao et al., *Self-supervised learning for large-scale item recommendations*, CIKM
    2021, arXiv 2007.12865: the mutual information of two features.

    **Reconstructed**: how a feature of several values, or without any, enters it.

    Memory: a few copies of one block; 8 bytes a value of a feature; for every two features 12 bytes
    a pair of values that some item has, and a few times that for two of them at a time. A unique
    feature has none of these tables.

    Raises:
        InputError: there is no item, the blocks differ in their features, `unique` names no
            feature, or an item of a block has not exactly one value of its own in a unique one.

    Example:
        >>> colour = sparse.csr_matrix(np.eye(2, dtype=np.float32)[[0, 0, 1, 1]])
        >>> mutual_information([[colour, colour]]).round(3)
        array([[0.693, 0.693],
               [0.693, 0.693]])
    """
    counts: _Counts | None = None
    for block in blocks:
        if counts is None:
            counts = _Counts([matrix.shape[1] for matrix in block], unique)
        counts.add(block)
    if counts is None or not counts.items:
        raise InputError("there is no item to measure mutual information on; give 1 item or more")
    return counts.information()


class _Counts:
    """Sums over the items so far: of each value, of each pair of values, of log n."""

    def __init__(self, widths: list[int], unique: Collection[int]) -> None:
        if not set(unique) <= set(range(len(widths))):
            raise InputError(
                f"unique names features {sorted(unique)}, but there are {len(widths)}, numbered "
                "from 0; name some of these"
            )
        self.items = 0
        self._widths, self._unique = widths, unique
        several = [i for i in range(len(widths)) if i not in unique]
        # One more than the values: the last is that of items without any.
        self._values = {i: np.zeros(widths[i] + 1) for i in several}
        self._pairs = {
            (i, j): sparse.csr_matrix((widths[i] + 1, widths[j] + 1))
            for i, j in combinations(several, 2)
        }
        self._logs = np.zeros(len(widths))

    def add(self, block: Sequence[sparse.csr_matrix]) -> None:
        """Count the items of a block."""
        self._check(block)
        drawn = {i: _chances(block[i]) for i in self._values}
        for i, chances in drawn.items():
            self._values[i] += np.bincount(chances.indices, chances.data, chances.shape[1])
            self._logs[i] += np.log(np.diff(chances.indptr)).sum()
        for i, j in self._pairs:
            self._pairs[i, j] += drawn[i].T.tocsr() @ drawn[j]
        self.items += block[0].shape[0]

    def information(self) -> Float64[np.ndarray, "k k"]:
        """The mutual information of every two features, and their entropies."""
        own = np.full(len(self._widths), np.log(self.items))
        for i, counts in self._values.items():
            own[i] = self._entropy(counts)
        out = np.diag(own)
        for i, j in combinations(range(len(own)), 2):
            if (i, j) in self._pairs:
                both = self._entropy(self._pairs[i, j].data)
            else:
                both = np.log(self.items) + self._logs[[i, j]].sum() / self.items
            out[i, j] = out[j, i] = max(own[i] + own[j] - both, 0.0)
        return out

    def _entropy(self, counts: Float64[np.ndarray, " values"]) -> float:
        p = counts[counts > 0] / self.items
        return float(-(p * np.log(p)).sum())

    def _check(self, block: Sequence[sparse.csr_matrix]) -> None:
        rows, widths = {m.shape[0] for m in block}, [m.shape[1] for m in block]
        if len(rows) != 1 or widths != self._widths:
            raise InputError(
                f"a block has features of {widths} values and {sorted(rows)} items, the first has "
                f"{self._widths} values; give the same features in every block, 1 or more, each "
                "with a row for every item"
            )
        for i in self._unique:
            there = _present(block[i])
            if (np.diff(there.indptr) != 1).any() or there.indices.size != np.unique(
                there.indices
            ).size:
                raise InputError(
                    f"feature {i} is said to be unique, but some of {there.shape[0]} items have "
                    "none, several or the same of its values; leave it out of unique"
                )


def _present(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """One where an item has a value, each value once."""
    out = matrix.astype(np.float64)
    out.sum_duplicates()
    out.data = (out.data > 0).astype(np.float64)
    out.eliminate_zeros()
    return out


def _chances(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The chance of each value in a draw from its item's; the last column is a missing one."""
    there = _present(matrix)
    missing = np.diff(there.indptr) == 0
    out = sparse.hstack([there, sparse.csr_matrix(missing[:, None], dtype=np.float64)], "csr")
    counts = np.diff(out.indptr)
    out.data /= np.repeat(counts, counts)
    return out
