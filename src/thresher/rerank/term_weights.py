"""Term relevance weights: what queries say of their items and leave out, learnt from pairs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int
from scipy import sparse

from thresher.rerank.rowwise import weighted_overlap

# Pairs that a word is taken to have been seen in beforehand, at the rate of all words.
PRIOR = 2.0
SUREST = 0.995

TERM_FEATURES = (
    "words that queries name, missing",
    "words that items have, missing",
    "words in both, against chance",
)


@dataclass(frozen=True)
class TermWeights:
    """How much it says that a word stands in one text and not in the other.

    A query of a phone "plus" nearly always says "plus"; hardly any says "tray" of a processor. So
    it tells much against an item when "plus" is missing from the query, and nothing when "tray" is.

    Equation:   named[w] = -ln(1 - P(w in query | w in item)),
                meant[w] = -ln(1 - P(w in item | w in query)),
                told[w]  =  ln(P(w in query | w in item) / P(w in query)), over the training pairs;
                features of (q, i): sums of named over the words of i alone, of meant
                over those of q alone, and of told over those in both
    Source:     the term weights of Robertson and Sparck Jones 1976, JASIS 27(3), with pairs of
                query and item as the relevance information; that what is missing has a weight of
                its own in either direction is ours.

    Args:
        items: the words of each item, all ones [N, V].
        weights: named, meant and told of each word.
        all_missing: the sum of named over each item, as if none of its words were in the query.
    """

    items: sparse.csr_matrix
    weights: Float32[np.ndarray, "V 3"]
    all_missing: Float32[np.ndarray, " N"]

    @classmethod
    def learn(
        cls, items: sparse.csr_matrix, queries: sparse.csr_matrix, of: Int[np.ndarray, " M"]
    ) -> "TermWeights":
        """Counts over training pairs.

        Without any every word weighs the same, and words in both weigh nothing.

        Args:
            items: the words of each item, all ones [N, V].
            queries: the words of each training query, all ones [M, V].
            of: the row of each training query's item.
        """
        words, paired = items.shape[1], items[of]
        said = np.bincount(queries.indices, minlength=words)
        had = np.bincount(paired.indices, minlength=words)
        both = np.bincount(queries.multiply(paired).tocsr().indices, minlength=words)
        named = (both + PRIOR * _share(both, had)) / (had + PRIOR)
        meant = (both + PRIOR * _share(both, said)) / (said + PRIOR)
        chance = (said + 0.5) / (queries.shape[0] + 1)
        missing = [-np.log(1 - np.minimum(rate, SUREST)) for rate in (named, meant)]
        weights = np.stack([*missing, np.log(named / chance)], axis=1).astype(np.float32)
        return cls(items, weights, items @ weights[:, 0])

    def features(
        self,
        queries: sparse.csr_matrix,
        query: Int[np.ndarray, " P"],
        item: Int[np.ndarray, " P"],
    ) -> list[Float32[np.ndarray, " P"]]:
        """The features of pairs of a row of `queries`, all ones, and an item; named as `TERM_FEATURES`."""
        shared = weighted_overlap(queries, self.items, query, item, self.weights)
        meant = (queries @ self.weights[:, 1])[query] - shared[:, 1]
        return [self.all_missing[item] - shared[:, 0], meant, shared[:, 2]]


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    """The rate of all words together; a half when nothing was seen."""
    total = whole.sum()
    return float(part.sum() / total) if total else 0.5
