"""Made-up recommendation data whose structure is known: what features tell, and what only an id.

Every item has two subtopics: a home h_i, which its features tell, and a hidden one g_i, which no
feature tells. Every query wants one subtopic w_q. With K topics of M subtopics each, S = K M:

    h_i, g_i   every subtopic equally often; topic t = floor(h / M); h and g independent
    p_i        place of the item in its home, 1, 2, ...; its popularity is p_i^-a
    w_q        uniform over the subtopics
    features   value j of item i tells its topic (j odd) or its home (j even) with probability c,
               else it is drawn uniformly from all values, each feature by itself; each value has
               L names (synonyms), of which the item has any: the more, the fewer labels a name sees
    a pair     (q, i): a subtopic s, with probability n any (popularity alone), else s = w_q;
               with probability r an item of g_i = s (which only an id tells), else of h_i = s;
               P(i | s) = p_i^-a / sum of p_k^-a over the items of s

Two features tell the same topic, so their mutual information grows with c from 0 to log K, or log S
where both tell the home: `Synthetic.information`. Whatever n and r, an item that all may draw has a
share p_i^-a / (S sum_p p^-a) of the pairs: the S leading items of the homes are equally popular,
the next S are 2^-a times as popular, and so on: a power law of exponent a. Features explain a share
(1 - n)(1 - r) of the pairs, and an item that was never trained on is found by these alone.

Words are drawn as features are, from the ten of the home or from all, and may repeat; a price from
the span of the topic or from any.

The model is our own; no paper describes it.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int, Int64
from scipy.special import entr, xlogy

from grids.lots import Lots
from thresher.data.tables import write_blocks
from thresher.errors import InputError

CLEAR = 0.9  # how often a query names its topic, and how often its subtopic; else a random one
WORDS = 10  # of each subtopic
MOST_WORDS = 6  # an item has 1 to so many
DEAREST = 100.0  # prices lie between 1 and this, each topic's in a span of its own on a log scale
_BLOCK = 1 << 18
# The second of the numbers that seed the structure and each table.
_STRUCTURE, _ITEMS, _QUERIES, _PAIRS = range(4)


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """How large made-up data is and what there is to learn in it.

    Args:
        items: of the catalogue, at least one a subtopic.
        queries: for training.
        pairs: for training, at least one a query. One may be drawn twice; it then counts once.
        evaluated: queries of validation, and as many of test, with as many pairs each as for
            training.
        topics: K, of the items; 20 to 1,000 is usual.
        subtopics: M, of each topic.
        popularity: a, exponent of the power law of the items; 0 makes all alike, 1 is usual.
        features: categories that an item has, beside its id, words and price.
        synonyms: L, names of each value and word; at 1 a value is its name, and at 20 most names
            stand in few items, as the words and brands of a real catalogue do.
        correlation: c, how often a value tells its item's topic, in [0, 1]; at 0 nothing does.
        noise: n, share of the pairs whose item is drawn by its popularity alone.
        residual: r, share of the other pairs that features do not explain, but an id may.
        unlabelled: share of the items that stand in no training pair, but in the others.
        missing: share of the values that are missing; ids never are.
        seed: of everything that is drawn.

    Raises:
        InputError: a number is out of its range, or there are too few items or pairs.

    Example:
        >>> Synthetic(topics=2, subtopics=1, features=2, correlation=1.0, missing=0.0).information()
        array([[0.69314718, 0.69314718],
               [0.69314718, 0.69314718]])
    """

    items: int = 10_000
    queries: int = 10_000
    pairs: int = 100_000
    evaluated: int = 2_000
    topics: int = 50
    subtopics: int = 4
    popularity: float = 1.0
    features: int = 4
    synonyms: int = 1
    correlation: float = 0.8
    noise: float = 0.2
    residual: float = 0.2
    unlabelled: float = 0.3
    missing: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (
            "items",
            "queries",
            "pairs",
            "evaluated",
            "topics",
            "subtopics",
            "features",
            "seed",
        ):
            if getattr(self, name) < (least := int(name != "seed")):
                raise InputError(f"{name} must be {least} or more, got {getattr(self, name)}")
        for name in ("correlation", "noise", "residual", "unlabelled", "missing"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if not 0 <= self.popularity < math.inf:
            raise InputError(f"popularity must be an exponent of 0 or more, got {self.popularity}")
        if self.pairs < self.queries:
            raise InputError(
                f"{self.pairs} pairs are too few for {self.queries} queries; give one a query"
            )
        if self.items - round(self.unlabelled * self.items) < self.groups:
            raise InputError(
                f"{self.items} items, a share {self.unlabelled} of them unlabelled, leave fewer "
                f"than one for each of {self.groups} subtopics; give more items or fewer topics"
            )

    @property
    def groups(self) -> int:
        """S, the number of all subtopics."""
        return self.topics * self.subtopics

    @property
    def splits(self) -> dict[str, tuple[int, int]]:
        """How many queries and pairs each split has, in the order that queries are numbered in."""
        held_out = self.evaluated, math.ceil(self.evaluated * self.pairs / self.queries)
        return {"train": (self.queries, self.pairs), "validation": held_out, "test": held_out}

    def values(self) -> Int64[np.ndarray, " k"]:
        """How many values each feature has: as many as topics, as subtopics, as topics, ..."""
        return np.resize(np.array([self.topics, self.groups], np.int64), self.features)

    def information(self) -> Float64[np.ndarray, "k k"]:
        """How much one feature tells of another, in nats; on the diagonal the entropy of each.

        Equation, for features of N and N' values, of which a share m is missing:
            b       = min(N, N')                    both tell this many topics, or finer ones
            u       = c^2 + (1 - c^2) / b           chance that they tell the same one
            MI      = (1 - m)^2 (log b + u log u + (1 - u) log((1 - u) / (b - 1)))
            entropy = (1 - m) log(N L) - m log m - (1 - m) log(1 - m)
        A missing value is one more value; which of its L names a value has tells nothing. Estimated
        from n items it comes out higher, by about (N L - 1) (N' L - 1) / 2n where names are not
        much more than items.
        """
        sizes, m = self.values(), self.missing
        b = np.minimum.outer(sizes, sizes)
        same = self.correlation**2 + (1 - self.correlation**2) / b
        told = np.log(b) + xlogy(same, same) + xlogy(1 - same, 1 - same) - xlogy(1 - same, b - 1)
        found = (1 - m) ** 2 * told
        np.fill_diagonal(found, (1 - m) * np.log(sizes * self.synonyms) + entr(m) + entr(1 - m))
        return found


class Structure(NamedTuple):
    """What the data hides: the truth that a model is to find.

    Args:
        home: h, subtopic of each item that its features tell.
        hidden: g, subtopic of each item that nothing tells.
        popularity: p^-a of each item.
        labelled: which items may stand in training pairs.
        wants: w, subtopic of each query; those of training first, then validation, then test.
    """

    home: Int[np.ndarray, " N"]
    hidden: Int[np.ndarray, " N"]
    popularity: Float64[np.ndarray, " N"]
    labelled: Bool[np.ndarray, " N"]
    wants: Int[np.ndarray, " Q"]


def structure(spec: Synthetic) -> Structure:
    """Draw where items belong and what queries want.

    Memory: 40 bytes an item and 4 a query.
    """
    draw = _generator(spec, _STRUCTURE)
    # Layer p holds the items at place p of their home, one of every home and one of every hidden
    # subtopic; only the last may be incomplete.
    layers = np.tile(np.arange(spec.groups, dtype=np.int32), (-(-spec.items // spec.groups), 1))
    at = draw.permutation(spec.items)
    home, hidden = (draw.permuted(layers, axis=1).ravel()[at] for _ in range(2))
    popularity = (1.0 + at // spec.groups) ** -spec.popularity
    # The leading item of each subtopic stays, so that there is one to draw.
    others = np.flatnonzero(at >= spec.groups)
    labelled = np.ones(spec.items, bool)
    labelled[draw.permutation(others)[: round(spec.unlabelled * spec.items)]] = False
    queries = sum(count for count, _ in spec.splits.values())
    wants = draw.integers(0, spec.groups, queries, dtype=np.int32)
    return Structure(home, hidden, popularity, labelled, wants)


def write(spec: Synthetic, folder: str | Path) -> dict[str, int]:
    """Write items, queries and pairs of made-up data as a folder of parquet tables.

    `items` has the columns id, feature_1 ... (text), words (lists of text) and price (a number);
    `queries` id, topic and subtopic; `pairs` query_id, item_id and split. The queries of one split
    stand in no other; training pairs lack the unlabelled items.

    Args:
        spec: what to write.
        folder: made if it is not there; tables of the same names in it are replaced.

    Returns:
        The rows of each table.

    Memory: 100 bytes an item and 4 a query, and a block of 262,144 rows.

    Raises:
        InputError: the folder cannot be written to.
    """
    truth = structure(spec)
    tables = {
        "items": _items(spec, truth.home),
        "queries": _queries(spec, truth.wants),
        "pairs": _pairs(spec, truth),
    }
    for name, blocks in tables.items():
        write_blocks(blocks, Path(folder) / f"{name}.parquet")
    pairs = sum(count for _, count in spec.splits.values())
    return {"items": spec.items, "queries": len(truth.wants), "pairs": pairs}


def _items(spec: Synthetic, home: Int[np.ndarray, " N"]) -> Iterator[pa.Table]:
    draw = _generator(spec, _ITEMS)
    sizes = spec.values() * spec.synonyms
    names = [_ids(f"f{j}-", np.arange(size)) for j, size in enumerate(sizes, 1)]
    words = _ids("word", np.arange(spec.groups * WORDS * spec.synonyms))
    for start in range(0, spec.items, _BLOCK):
        homes = home[start : start + _BLOCK]
        topics = homes // spec.subtopics
        columns = {"id": _ids("i", np.arange(start, start + len(homes)))}
        for j, (name, size) in enumerate(zip(names, spec.values(), strict=True), 1):
            true = topics if j % 2 else homes
            told = _told(true, int(size), spec.correlation, draw) * spec.synonyms
            told += draw.integers(0, spec.synonyms, len(told))
            columns[f"feature_{j}"] = name.take(pa.array(told, mask=_gone(spec, len(told), draw)))
        columns["words"] = _words(spec, homes, words, draw)
        level = _told(topics, spec.topics, spec.correlation, draw) + draw.random(len(homes))
        price = np.round(DEAREST ** (level / spec.topics), 2)
        columns["price"] = pa.array(price, mask=_gone(spec, len(price), draw))
        yield pa.table(columns)


def _words(
    spec: Synthetic, homes: Int[np.ndarray, " n"], words: pa.Array, draw: np.random.Generator
) -> pa.Array:
    """A list of words for each item."""
    counts = draw.integers(1, MOST_WORDS + 1, len(homes))
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    told = _told(np.repeat(homes, counts), spec.groups, spec.correlation, draw)
    each = WORDS * spec.synonyms
    drawn = words.take(pa.array(told * each + draw.integers(0, each, len(told))))
    gone = pa.array(_gone(spec, len(homes), draw))
    return pa.ListArray.from_arrays(pa.array(ends), drawn, mask=gone)


def _queries(spec: Synthetic, wants: Int[np.ndarray, " Q"]) -> Iterator[pa.Table]:
    draw = _generator(spec, _QUERIES)
    sizes = {"topic": spec.topics, "subtopic": spec.groups}
    names = {name: _ids(name, np.arange(size)) for name, size in sizes.items()}
    for start in range(0, len(wants), _BLOCK):
        wanted = wants[start : start + _BLOCK]
        columns = {"id": _ids("q", np.arange(start, start + len(wanted)))}
        for name, true in (("topic", wanted // spec.subtopics), ("subtopic", wanted)):
            told = _told(true, len(names[name]), CLEAR, draw)
            gone = _gone(spec, len(told), draw)
            columns[name] = names[name].take(pa.array(told, mask=gone))
        yield pa.table(columns)


def _pairs(spec: Synthetic, truth: Structure) -> Iterator[pa.Table]:
    draw = _generator(spec, _PAIRS)
    first = 0
    for split, (queries_of, count) in spec.splits.items():
        weights = truth.popularity * (truth.labelled if split == "train" else 1)
        home, hidden = (Lots.of(of, weights) for of in (truth.home, truth.hidden))
        for start in range(0, count, _BLOCK):
            numbers = np.arange(start, min(start + _BLOCK, count))
            queries = first + numbers * queries_of // count  # equally many pairs each
            any_want = draw.integers(0, spec.groups, len(numbers))
            noisy, unseen = (draw.random(len(numbers)) < s for s in (spec.noise, spec.residual))
            wants = np.where(noisy, any_want, truth.wants[queries])
            items = np.where(unseen, hidden.draw(wants, draw), home.draw(wants, draw))
            columns = {"query_id": _ids("q", queries), "item_id": _ids("i", items)}
            yield pa.table({**columns, "split": pa.repeat(split, len(numbers))})
        first += queries_of


def _told(
    true: Int[np.ndarray, " n"], values: int, share: float, draw: np.random.Generator
) -> Int64[np.ndarray, " n"]:
    """The true value in this share of the rows, else any."""
    other = draw.integers(0, values, len(true))
    return np.where(draw.random(len(true)) < share, true, other)


def _gone(spec: Synthetic, rows: int, draw: np.random.Generator) -> Bool[np.ndarray, " n"]:
    """Which values are missing."""
    return draw.random(rows) < spec.missing


def _ids(prefix: str, numbers: Int64[np.ndarray, " n"]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _generator(spec: Synthetic, table: int) -> np.random.Generator:
    return np.random.default_rng((spec.seed, table))
