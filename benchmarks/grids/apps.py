"""Made-up app-to-app data: which app is installed beside which, a catalogue with a long tail.

Every item i has a topic t_i, which its features tell, and a hidden group g_i, which nothing tells:

    p_i         r^-a / sum over the catalogue, r the place of the item in popularity; a power law
    a pair      (q, i): i drawn by p, whatever else; then q is any item with probability n, one of
                the same hidden group with probability h (which only an id tells), else one of the
                same topic; an item is its own query never
    developer   one of the topic with probability c, else any; the k-th of d developers is drawn in
                proportion to 1 / k
    categories  the broad one of the topic with probability b, else any broad one; and the narrow
                one, which is the topic, with probability f, else any narrow one
    title       5 to 10 words, each one of the topic's with probability w, else a common word, the
                k-th in proportion to 1 / k

So the popularity of what is to be found is p, exactly, and a query is about as often any item.

The model is our own. It has what Yao et al. (CIKM 2021) say of their app-to-app set: an id, a
developer, categories, words of a title, and a few popular apps among many.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int64

from grids.lots import Lots
from thresher.data.tables import write_blocks
from thresher.errors import InputError

TOPIC_ITEMS, BROAD, OWNED = 100, 10, 5  # items a topic, topics a broad category, items a developer
FEWEST_WORDS, MOST_WORDS = 5, 10
TOPIC_WORDS, COMMON_WORDS = 30, 4000
_BLOCK = 1 << 18
_TRIES = 100  # draws of a query that is not the item itself
# The second of the numbers that seed the structure and each table.
_STRUCTURE, _ITEMS, _PAIRS = range(3)


@dataclass(frozen=True, kw_only=True)
class Apps:
    """How large made-up app-to-app data is, and what features tell.

    Args:
        items: of the catalogue; every 100 are a topic.
        pairs: an item, before those that were drawn twice count once.
        popularity: a, exponent of the power law.
        noise: n, share of the pairs whose query is any item.
        hidden: h, share of the pairs that only ids explain.
        developer: c, how often the developer tells the topic.
        broad: b, how often the first category tells its topic's.
        narrow: f, how often the second category is the topic.
        words: w, share of the words of a title that are the topic's own.
        seed: of everything that is drawn.

    Raises:
        InputError: a number is out of its range.
    """

    items: int = 20_000
    pairs: int = 10
    popularity: float = 0.7
    noise: float = 0.2
    hidden: float = 0.2
    developer: float = 0.8
    broad: float = 0.9
    narrow: float = 0.7
    words: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.items < 2 * TOPIC_ITEMS or self.pairs < 1:
            raise InputError(
                f"app-to-app data of {self.items} items with {self.pairs} pairs each is too small; "
                f"give {2 * TOPIC_ITEMS} items or more and 1 pair or more"
            )
        shares = ("noise", "hidden", "developer", "broad", "narrow", "words")
        for name in shares:
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        if self.noise + self.hidden > 1 or not 0 <= self.popularity < math.inf:
            raise InputError(
                f"noise {self.noise} and hidden {self.hidden} must sum to 1 at most, and "
                f"popularity must be 0 or more, got {self.popularity}"
            )

    @property
    def topics(self) -> int:
        """How many topics, and narrow categories, there are."""
        return self.items // TOPIC_ITEMS

    def chances(self) -> Float64[np.ndarray, " N"]:
        """p of each item: how often it is what a pair names."""
        rank = np.empty(self.items)
        rank[_generator(self, _STRUCTURE).permutation(self.items)] = np.arange(1, self.items + 1)
        weights = rank**-self.popularity
        return np.asarray(weights / weights.sum())

    def groups(self) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " N"]]:
        """The topic and the hidden group of each item; all are equally large, to an item."""
        draw = _generator(self, _STRUCTURE)
        draw.permutation(self.items)  # of `chances`
        each = np.arange(self.items) % self.topics
        return draw.permutation(each), draw.permutation(each)


def write(spec: Apps, folder: str | Path) -> None:
    """Write items and pairs as parquet tables; queries are items.

    `items` has the columns id, developer, categories (a list of two) and title; `pairs` query_id
    and item_id.

    Memory: 100 bytes an item, and a block of 262,144 rows.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_blocks(_items(spec), Path(folder) / "items.parquet")
    write_blocks(_pairs(spec), Path(folder) / "pairs.parquet")


def _items(spec: Apps) -> Iterator[pa.Table]:
    draw, (topic, _) = _generator(spec, _ITEMS), spec.groups()
    developers = max(spec.topics, spec.items // OWNED)
    homes = np.arange(developers) % spec.topics
    owners = Lots.of(homes, 1.0 / (1 + np.arange(developers) // spec.topics))
    broad = -(-spec.topics // BROAD)
    for start in range(0, spec.items, _BLOCK):
        own = topic[start : start + _BLOCK]
        categories = np.stack(
            [
                _told(own // BROAD, broad, spec.broad, draw),
                _told(own, spec.topics, spec.narrow, draw),
            ],
            axis=1,
        ).ravel()
        is_broad = np.arange(len(categories)) % 2 == 0
        names = np.where(is_broad, categories, broad + categories)
        ends = pa.array(np.arange(0, len(categories) + 1, 2, dtype=np.int32))
        yield pa.table(
            {
                "id": _named("a", np.arange(start, start + len(own))),
                "developer": _named(
                    "dev", owners.draw(_told(own, spec.topics, spec.developer, draw), draw)
                ),
                "categories": pa.ListArray.from_arrays(ends, _named("cat", names)),
                "title": _titles(spec, own, draw),
            }
        )


def _titles(spec: Apps, topic: Int64[np.ndarray, " n"], draw: np.random.Generator) -> pa.Array:
    counts = draw.integers(FEWEST_WORDS, MOST_WORDS + 1, len(topic))
    of = np.repeat(topic, counts)
    own = COMMON_WORDS + of * TOPIC_WORDS + draw.integers(0, TOPIC_WORDS, len(of))
    weights = 1.0 / np.arange(1, COMMON_WORDS + 1)
    common = draw.choice(COMMON_WORDS, len(of), p=weights / weights.sum())
    words = _named("w", np.where(draw.random(len(of)) < spec.words, own, common))
    ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    return pc.binary_join(pa.ListArray.from_arrays(pa.array(ends), words), " ")


def _pairs(spec: Apps) -> Iterator[pa.Table]:
    draw, below = _generator(spec, _PAIRS), np.cumsum(spec.chances())
    sides = [Lots.of(group, np.ones(spec.items)) for group in spec.groups()]
    count = spec.items * spec.pairs
    for start in range(0, count, _BLOCK):
        rows = min(_BLOCK, count - start)
        items = np.searchsorted(below, below[-1] * draw.random(rows), side="right")
        items = items.clip(max=spec.items - 1)
        how = draw.random(rows)
        queries = np.full(rows, -1)
        left = np.arange(rows)
        for _ in range(_TRIES):
            queries[left] = _queries(spec, items[left], how[left], sides, draw)
            left = left[queries[left] == items[left]]
        queries[left] = (items[left] + 1) % spec.items
        yield pa.table({"query_id": _named("a", queries), "item_id": _named("a", items)})


def _queries(
    spec: Apps,
    items: Int64[np.ndarray, " n"],
    how: Float64[np.ndarray, " n"],
    sides: list[Lots],
    draw: np.random.Generator,
) -> Int64[np.ndarray, " n"]:
    """A query of each item: any, one of its hidden group, or one of its topic."""
    topic, hidden = (
        lots.draw(group[items], draw) for lots, group in zip(sides, spec.groups(), strict=True)
    )
    found = np.where(how < spec.noise + spec.hidden, hidden, topic)
    return np.where(how < spec.noise, draw.integers(0, spec.items, len(items)), found)


def _told(
    true: Int64[np.ndarray, " n"], values: int, share: float, draw: np.random.Generator
) -> Int64[np.ndarray, " n"]:
    """The true value in this share of the rows, else any."""
    other = draw.integers(0, values, len(true))
    return np.where(draw.random(len(true)) < share, true, other)


def _named(prefix: str, numbers: Int64[np.ndarray, " n"]) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _generator(spec: Apps, table: int) -> np.random.Generator:
    return np.random.default_rng((spec.seed, table))
