"""Term relevance weights: which words queries name and which they leave out, learnt from pairs."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int, Int64

# Pairs that a word is taken to have been seen in beforehand, at the rate of all words.
PRIOR = 2.0
SUREST = 0.995

TERM_WEIGHTS = (
    "words that queries name, missing",
    "words that items have, missing",
    "words in both, against chance",
)


@dataclass(frozen=True)
class TermWeights:
    """How much it says that a word stands in one text and not in the other.

    A query of a phone "plus" nearly always says "plus"; hardly any says "tray" of a processor. So
    it tells much against an item when "plus" is missing from the query, and nothing when "tray" is.

    Equation:   named[w]  = -ln(1 - P(w in query | w in item)),
                meant[w]  = -ln(1 - P(w in item | w in query)),
                chance[w] =  ln(P(w in query | w in item) / P(w in query)), over true pairs;
                features of (q, i): sums of named over the words of i alone, of meant
                over those of q alone, and of chance over those in both
    Source:     the term weights of Robertson and Sparck Jones 1976, JASIS 27(3), with pairs of
                query and item as the relevance information; that what is missing has a weight of
                its own in either direction is ours.

    Args:
        values: named, meant and chance of each word.
    """

    values: Float32[np.ndarray, "V 3"]

    @classmethod
    def learn(
        cls,
        items: tuple[Int64[np.ndarray, " N1"], Int[np.ndarray, " I"]],
        queries: tuple[Int64[np.ndarray, " M1"], Int[np.ndarray, " W"]],
        item_of: Int[np.ndarray, " M"],
        words: int,
    ) -> "TermWeights":
        """Count over true pairs.

        Without any every word weighs the same, and words in both weigh nothing.

        Args:
            items: where the distinct words of each item begin, and their numbers.
            queries: the same of the queries.
            item_of: the row of each query's item.
            words: how many words there are.

        Memory: 16 bytes for each word of each pair.
        """
        start, word = items
        size = np.diff(start)[item_of]
        begin = np.repeat(start[item_of] - np.cumsum(size) + size, size)
        paired = word[begin + np.arange(size.sum())].astype(np.int64)
        row = np.arange(len(item_of), dtype=np.int64) * words
        asked = queries[1].astype(np.int64)
        shared = np.intersect1d(
            np.repeat(row, size) + paired, np.repeat(row, np.diff(queries[0])) + asked, True
        )
        said, had, both = (
            np.bincount(found, minlength=words) for found in (asked, paired, shared % words)
        )
        named = (both + PRIOR * _rate(both, had)) / (had + PRIOR)
        meant = (both + PRIOR * _rate(both, said)) / (said + PRIOR)
        chance = (said + 0.5) / (len(item_of) + 1)
        missing = [-np.log(1 - np.minimum(rate, SUREST)) for rate in (named, meant)]
        return cls(np.stack([*missing, np.log(named / chance)], axis=1).astype(np.float32))


def _rate(part: np.ndarray, whole: np.ndarray) -> float:
    """The rate of all words together; a half when nothing was seen."""
    total = whole.sum()
    return float(part.sum() / total) if total else 0.5
