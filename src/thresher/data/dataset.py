"""A dataset: the catalogue, the queries, who is true for whom, and the split of the queries."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int64, UInt8

from thresher.data.bundled import bundled
from thresher.data.join import Joined, Tables, join
from thresher.data.relation import Relation
from thresher.data.split import SHARES, fill, split_number
from thresher.data.tables import read_table, require_columns, text_of
from thresher.errors import InputError

_TEXT = ("title", "text", "name")


class Paths(NamedTuple):
    """The files of a dataset; without ignored pairs the last is None."""

    items: Path
    queries: Path
    pairs: Path
    ignored: Path | None


@dataclass(frozen=True)
class DataSpec:
    """Where a dataset lies and how it is cut: either files, or one that ships with us.

    Args:
        items: file of the catalogue, with a column `id`; parquet, CSV, TSV or JSON lines.
        queries: file of the queries, with a column `id`, and perhaps `split`.
        pairs: file of the true pairs, columns `query_id` and `item_id`, and perhaps `split`.
        ignored: file of pairs that count for nothing, columns `query_id` and `item_id`: their item
            is never ranked for their query, and is neither true for it nor a negative.
        bundled: name of a dataset that ships with the package, in place of the files.
        item_text: columns whose text, joined by a blank, describes an item; the first of
            title, text and name when left out.
        query_text: the same for queries.
        shares: fraction of the query groups for each split, where the files give none.
        seed: of the split; another number gives another one.
        open_catalogue: whether pairs may name items that are not in the catalogue; their queries
            then have no true item, and accepting an answer to one of them is an error.
        propensity: whose constants PSP uses: "amazon" and "wikipedia" for the sets of these names
            in the extreme classification repository, "other" for every other set.
    """

    items: str | Path | None = None
    queries: str | Path | None = None
    pairs: str | Path | None = None
    ignored: str | Path | None = None
    bundled: str | None = None
    item_text: tuple[str, ...] = ()
    query_text: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=lambda: dict(SHARES))
    seed: int = 0
    open_catalogue: bool = False
    propensity: Literal["amazon", "wikipedia", "other"] = "other"

    def paths(self, base: str | Path = ".") -> Paths:
        """The files of items, queries, pairs and ignored pairs; relative ones start at `base`.

        Raises:
            InputError: a file is not named, or `bundled` and a file are.
        """
        given = {"items": self.items, "queries": self.queries, "pairs": self.pairs}
        missing = [name for name, path in given.items() if path is None]
        if self.bundled is not None:
            if len(missing) < len(given) or self.ignored is not None:
                raise InputError(
                    f"the data names both bundled = {self.bundled!r} and files of its own; "
                    "remove one of the two"
                )
            folder = bundled(self.bundled, table="queries")
            items, queries, pairs = (folder / f"{name}.parquet" for name in given)
            return Paths(items, queries, pairs, None)
        if missing:
            raise InputError(
                f"the data names no file of {' and '.join(missing)}; "
                "name items, queries and pairs, or bundled"
            )
        items, queries, pairs = (Path(base) / path for path in given.values() if path)
        ignored = None if self.ignored is None else Path(base) / self.ignored
        return Paths(items, queries, pairs, ignored)


@dataclass(frozen=True)
class Dataset:
    """Queries, the catalogue they are answered from, and the truth between them.

    A query without a true item is legal: its product is not in the catalogue. Ranking metrics
    leave such queries out; precision and coverage count them, since accepting one is an error.

    Args:
        items: the catalogue; column `id` (text, unique) and any others.
        queries: the same for queries.
        relation: true pairs, query rows x item rows.
        ignored: pairs that count for nothing, likewise; none of them is true.
        split: number of each query's split, its place in `SPLITS`.
        item_columns: columns that make up the text of an item.
        query_columns: the same for queries.
    """

    items: pa.Table
    queries: pa.Table
    relation: Relation
    ignored: Relation
    split: UInt8[np.ndarray, " Q"]
    item_columns: tuple[str, ...]
    query_columns: tuple[str, ...]

    def rows(self, split: str) -> Int64[np.ndarray, " rows"]:
        """The query rows of a split, ascending.

        Raises:
            InputError: there is no split of that name.
        """
        return np.flatnonzero(self.split == split_number(split)).astype(np.int64)

    def item_text(self) -> list[str]:
        """The text of every item."""
        return text_of(self.items, self.item_columns)

    def query_text(self) -> list[str]:
        """The text of every query."""
        return text_of(self.queries, self.query_columns)

    def without_items(self, share: float, *, seed: int) -> "Dataset":
        """The same queries against a catalogue that lacks some of its products.

        Queries whose every item goes become queries without a true item: this shows how a
        threshold behaves when customers ask for what is not there.

        Args:
            share: fraction of the products to remove, at least 0 and below 1.
            seed: of the choice.

        Raises:
            InputError: the share is out of range.
        """
        if not 0 <= share < 1:
            raise InputError(f"the share of items to remove is {share}; it must be in [0, 1)")
        shuffled = np.random.default_rng(seed).permutation(len(self.items))
        kept = np.sort(shuffled[round(share * len(self.items)) :])
        return replace(
            self,
            items=self.items.take(pa.array(kept)),
            relation=self.relation.keep_items(kept),
            ignored=self.ignored.keep_items(kept),
        )


def load_dataset(spec: DataSpec, base: str | Path = ".") -> Dataset:
    """Read, join, check and split a dataset.

    A split in the files wins; queries without one are split by their text (`split.assign`), after
    twins whose split the files give.

    Args:
        spec: where the files are and how to cut them.
        base: the folder that relative paths start from.

    Raises:
        InputError: a file cannot be read, is empty or lacks a column; ids repeat or are unknown;
            a query is in two splits; split names or shares are wrong. One sentence says which.
    """
    tables = read_tables(spec, base)
    joined = join(tables, open_catalogue=spec.open_catalogue)
    for finding in joined.findings:
        if finding.severity == "error":
            raise InputError(finding.sentence())
    return as_dataset(joined, tables, spec)


def read_tables(spec: DataSpec, base: str | Path = ".") -> Tables:
    """Read the tables of a dataset, and check that their ids have columns.

    Raises:
        InputError: a file cannot be read or lacks a column.
    """
    paths = spec.paths(base)
    tables = Tables(
        items=read_table(paths.items),
        queries=read_table(paths.queries),
        pairs=read_table(paths.pairs),
        ignored=None if paths.ignored is None else read_table(paths.ignored),
        items_path=str(paths.items),
        queries_path=str(paths.queries),
        pairs_path=str(paths.pairs),
        ignored_path=str(paths.ignored),
    )
    require_columns(tables.items, ["id"], paths.items)
    require_columns(tables.queries, ["id"], paths.queries)
    require_columns(tables.pairs, ["query_id", "item_id"], paths.pairs)
    if tables.ignored is not None:
        require_columns(tables.ignored, ["query_id", "item_id"], tables.ignored_path)
    return tables


def as_dataset(joined: Joined, tables: Tables, spec: DataSpec) -> Dataset:
    """The dataset of joined tables: its text columns chosen, its split completed.

    Raises:
        InputError: a text column is missing, or the shares are wrong.
    """
    item_columns = _text_columns(joined.items, spec.item_text, tables.items_path, "item_text")
    query_columns = _text_columns(
        joined.queries, spec.query_text, tables.queries_path, "query_text"
    )
    texts = text_of(joined.queries, query_columns)
    split = fill(joined.split, texts, shares=spec.shares, seed=spec.seed)
    return Dataset(
        items=joined.items,
        queries=joined.queries,
        relation=joined.relation,
        ignored=joined.ignored,
        split=split,
        item_columns=item_columns,
        query_columns=query_columns,
    )


def _text_columns(
    table: pa.Table, chosen: Sequence[str], path: str, option: str
) -> tuple[str, ...]:
    if chosen:
        require_columns(table, chosen, path)
        return tuple(chosen)
    for name in _TEXT:
        if name in table.column_names:
            return (name,)
    raise InputError(
        f"{path} has no column {' or '.join(_TEXT)}; name the columns of its text in {option}: it "
        f"has {', '.join(table.column_names)}"
    )
