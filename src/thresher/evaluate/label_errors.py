"""Which labels look wrong: the model is sure of another item, or the query names its codes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from thresher.data.relation import Relation
from thresher.data.tokens import words

_ARRAYS = ("labelled", "own", "other", "against")


@dataclass(frozen=True)
class LabelConfidence:
    """How sure a model is of each query's label, and of the best other item.

    Args:
        labelled: row of the likeliest true item; -1 where the query has none.
        own: confidence in it, 0 where it is no candidate; of a query without a true item in "none".
        other: row of the likeliest item that is not true; -1 without any.
        against: confidence in that.
    """

    labelled: Int64[np.ndarray, " Q"]
    own: Float64[np.ndarray, " Q"]
    other: Int64[np.ndarray, " Q"]
    against: Float64[np.ndarray, " Q"]

    @classmethod
    def of(
        cls,
        rows: Int64[np.ndarray, "Q k"],
        chances: Float64[np.ndarray, "Q k"],
        truth: Relation,
    ) -> "LabelConfidence":
        """Read them off the candidates of queries that the model was not fitted on.

        Args:
            rows: the candidates; -1 for none.
            chances: how probable each is, in [0, 1]; what is left of their sum is "none of them".
            truth: the labels.
        """
        every, has = np.arange(len(rows)), truth.counts() > 0
        true = truth.correct(rows)
        shown = np.where(true, chances, -1.0)
        at, first = shown.argmax(axis=1), np.full(len(rows), -1, np.int64)
        first[has] = truth.indices[truth.indptr[:-1][has]]
        labelled = np.where(true.any(axis=1), rows[every, at], first)
        none = np.clip(1 - chances.sum(axis=1), 0.0, 1.0)
        own = np.where(has, shown.max(axis=1).clip(min=0.0), none)
        wrong = np.where(true | (rows < 0), -1.0, chances)
        best = wrong.argmax(axis=1)
        there = wrong[every, best] >= 0
        other = np.where(there, rows[every, best], -1)
        return cls(labelled, own, other, np.where(there, wrong[every, best], 0.0))

    @classmethod
    def joined(cls, blocks: Sequence["LabelConfidence"]) -> "LabelConfidence":
        """Those of several blocks of queries, in their order."""
        columns = (np.concatenate([getattr(b, name) for b in blocks]) for name in _ARRAYS)
        return cls(*columns)

    def take(self, queries: Int64[np.ndarray, " n"]) -> "LabelConfidence":
        """Those of some queries."""
        return LabelConfidence(*(getattr(self, name)[queries] for name in _ARRAYS))

    def out_of_fold(
        self,
        queries: Int64[np.ndarray, " n"],
        confidence: Float64[np.ndarray, " n"],
        correct: Bool[np.ndarray, " n"],
    ) -> "LabelConfidence":
        """Put what a fold said of queries in place of what a model said that was fitted on them.

        A fold says only how sure it was of its own first item and whether that is true: a right one
        has the confidence p in the label and at most 1 - p in another, a wrong one the reverse.

        Args:
            queries: which.
            confidence: of the fold in its first item.
            correct: whether that is true.
        """
        own, against = self.own.copy(), self.against.copy()
        rest = 1 - confidence
        own[queries] = np.where(correct, confidence, np.minimum(own[queries], rest))
        against[queries] = np.where(correct, np.minimum(against[queries], rest), confidence)
        return LabelConfidence(self.labelled, own, self.other, against)

    def suspected(self) -> Int64[np.ndarray, " n"]:
        """The queries whose labels look wrong, the most suspicious first.

        Equation: with p_q(y) the confidence in the label, p_q(j) that in the likeliest other item,
        and t the mean of p_q(y) over all queries, a label is suspected when p_q(j) > p_q(y) and
        p_q(j) >= t. The order is that of the normalised margin (1 + p_q(y) - p_q(j)) / 2, the
        lowest first.

        Source: Northcutt, Jiang, Chuang, *Confident learning: estimating uncertainty in dataset
        labels*, JAIR 70, 2021 (arXiv:1911.00068): out-of-sample probabilities, the mean
        self-confidence as the threshold from which an example counts as of another class, ranking
        by the normalised margin.

        Reconstructed: the paper has a threshold for each class, the mean self-confidence of its
        examples; here nearly every item is a class of its own with one example or none, so that all
        share one. Confidence in the label alone would put the labels first that the search did not
        find, which says little of them.
        """
        margin = (1 + self.own - self.against) / 2
        threshold = self.own.mean() if len(self.own) else 1.0
        doubted = (self.against > self.own) & (self.against >= threshold) & (self.other >= 0)
        queries = np.flatnonzero(doubted)
        return queries[np.argsort(margin[queries], kind="stable")].astype(np.int64)


def names_another(query: str, proposed: str, truth: str | None) -> bool:
    """Whether a query names the proposed item rather than the one that its label says.

    True when a word with a digit (a code, a number, a size) of the proposed item stands in the
    query and not in the true item, and no such word of the true item speaks for that one; without a
    true item, when all such words of the proposed one stand in the query.

    Example:
        >>> names_another("bosch kin85af30 fridge", "Bosch KIN85AF30", "Bosch KIN86AF30")
        True
    """
    asked, own, other = ("".join(words(text or "")) for text in (query, proposed, truth))
    codes = [word for word in words(proposed) if any(c.isdigit() for c in word)]
    if truth is None:
        return bool(codes) and all(code in asked for code in codes)
    against = [w for w in words(truth) if any(c.isdigit() for c in w) and w in asked]
    speaks = any(code in asked and code not in other for code in codes)
    return speaks and all(word in own for word in against)
