"""From tables to bags: the features of items and queries, fitted once, then read from any table."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Float64, Int64
from scipy import sparse

from thresher.data.mutual_information import mutual_information
from thresher.data.schema import (
    IGNORED,
    Feature,
    FeatureOptions,
    Kind,
    features_of,
    of_history,
    tables_named,
)
from thresher.data.tables import require_columns
from thresher.data.values import (
    Hashed,
    Knots,
    Reader,
    Values,
    Vectors,
    fit_hashed,
    fit_knots,
    fit_values,
    fit_vectors,
)
from thresher.errors import InputError

Bag: TypeAlias = sparse.csr_matrix
ROWS = 65_536  # items whose values are counted at a time


@dataclass(frozen=True)
class Counted:
    """A table, and in how many training pairs and histories each of its rows stands.

    Args:
        table: items or queries, with a column `id` among others.
        counts: of each row.
        path: of its file, for messages.
    """

    table: pa.Table
    counts: Int64[np.ndarray, " rows"]
    path: str


@dataclass(frozen=True)
class Schema:
    """The features of items and queries, and how the values of each are numbered.

    Args:
        items: the features of an item.
        queries: those of a query: of its own columns, then `history.NAME`.
        history: the column of the queries that holds ids of items; None without one.
        max_history: most items of a history that are read, the last ones.
        readers: by the name of a table of vectors.
    """

    items: tuple[Feature, ...]
    queries: tuple[Feature, ...]
    history: str | None
    max_history: int
    readers: Mapping[str, Reader]

    @classmethod
    def fitted(
        cls,
        items: Counted,
        queries: Counted | None,
        options: FeatureOptions,
        *,
        histories: bool,
    ) -> "Schema":
        """The features of these tables, as configured or as the tables suggest.

        Args:
            items: the catalogue.
            queries: what queries have beside a history; None for nothing.
            options: what is configured of the columns.
            histories: whether a query has a history that is no column of its table.

        Raises:
            InputError: a column is absent, empty, or not what it is configured to be; a query has
                nothing or several histories, or nothing is read of an item.
        """
        of_items = features_of(items.table, "item", options, path=items.path)
        own: tuple[Feature, ...] = ()
        if queries is not None:
            own = features_of(queries.table, "query", options, path=queries.path)
        columns = [f.name for f in own if f.kind == "history"]
        _check_told(options, queries, columns, histories=histories)
        read = of_history(of_items, options) if histories or columns else ()
        of_queries = (*(f for f in own if f.kind != "history"), *read)
        _check_read(of_items, of_queries)
        of_items, of_queries = tables_named(of_items, of_queries, share=options.share_tables)
        members: dict[str, list[tuple[Feature, Counted]]] = {}
        for feature in of_items:
            members.setdefault(feature.table, []).append((feature, items))
        for feature in of_queries:
            if queries is not None and not feature.name.startswith("history."):
                members.setdefault(feature.table, []).append((feature, queries))
        fitted = {name: _fit(of, options.text_bits) for name, of in members.items()}
        return cls(
            items=of_items,
            queries=of_queries,
            history=columns[0] if columns else None,
            max_history=options.max_history,
            readers=_with_histories(fitted, of_items, of_queries),
        )

    def of_items(self, table: pa.Table) -> dict[str, Bag]:
        """The bags of items, by feature.

        Raises:
            InputError: a column is missing, or holds what it may not.
        """
        require_columns(table, [f.name for f in self.items], "the table of items")
        return {f.name: self.readers[f.table].of(table[f.name], f.name) for f in self.items}

    def of_queries(self, table: pa.Table) -> dict[str, Bag]:
        """The bags of queries, by feature of their own columns.

        Raises:
            InputError: a column is missing, or holds what it may not.
        """
        own = [f for f in self.queries if not f.name.startswith("history.")]
        require_columns(table, [f.name for f in own], "the table of queries")
        return {f.name: self.readers[f.table].of(table[f.name], f.name) for f in own}

    def information(self, bags: Mapping[str, Bag]) -> Float64[np.ndarray, "k k"]:
        """The mutual information of the features of items, in nats, in one stream over the items.

        An id counts as another one for every item, a number as its nearest quantile, and a vector
        by whether there is one.

        Args:
            bags: as `of_items` gives them.
        """
        columns = [_codes(bags[f.name], self.readers[f.table], f.kind) for f in self.items]
        count = columns[0].shape[0]
        blocks = ([c[start : start + ROWS] for c in columns] for start in range(0, count, ROWS))
        ids = [number for number, f in enumerate(self.items) if f.kind == "id"]
        return mutual_information(blocks, unique=ids)

    def save(self, folder: Path) -> None:
        """Writes `schema.json`, and what the rows of the tables are to `values.parquet`."""
        parts, about = [], {}
        for name, reader in self.readers.items():
            kind, values, numbers, size = _written(reader)
            about[name] = {"kind": kind, "size": size}
            parts.append(
                pa.table(
                    {
                        "table": pa.array([name] * len(values), pa.string()),
                        "value": values,
                        "number": numbers,
                    }
                )
            )
        configured = {
            "items": [asdict(f) for f in self.items],
            "queries": [asdict(f) for f in self.queries],
            "history": self.history,
            "max_history": self.max_history,
            "tables": about,
        }
        (folder / "schema.json").write_text(json.dumps(configured, indent=1) + "\n", "utf-8")
        pq.write_table(pa.concat_tables(parts), folder / "values.parquet", compression="zstd")

    @classmethod
    def load(cls, folder: Path) -> "Schema":
        """Reads what `save` wrote."""
        configured = json.loads((folder / "schema.json").read_text("utf-8"))
        table = pq.read_table(folder / "values.parquet")
        readers = {}
        for name, about in configured["tables"].items():
            own = table.filter(pc.equal(table["table"], name))
            readers[name] = _read(about["kind"], about["size"], own)
        return cls(
            items=tuple(Feature(**f) for f in configured["items"]),
            queries=tuple(Feature(**f) for f in configured["queries"]),
            history=configured["history"],
            max_history=configured["max_history"],
            readers=readers,
        )


def _check_told(
    options: FeatureOptions, queries: Counted | None, columns: Sequence[str], *, histories: bool
) -> None:
    """InputError for several histories, and for what is configured of queries that have no such thing."""
    found = [*columns, *(["that of the events"] if histories else [])]
    if len(found) > 1:
        raise InputError(
            f"a query has {len(found)} histories ({', '.join(found)}), and one is read; leave out "
            f'the others, as in features.query.{columns[0]} = "{IGNORED}"'
        )
    for name in options.query:
        if name.startswith("history.") and not found:
            raise InputError(
                f"features.query names {name!r}, and queries have no history; leave it out, or "
                "give a column of histories, or events"
            )
        if queries is None and not name.startswith("history."):
            raise InputError(
                f"features.query names {name!r}, and there is no table of queries; leave it out, "
                "or name the file in data.queries"
            )


def _check_read(items: Sequence[Feature], queries: Sequence[Feature]) -> None:
    """InputError where nothing is read of a side."""
    for side, features in (("item", items), ("query", queries)):
        if not features:
            raise InputError(
                f"every column is ignored on the side of the {side}, so that nothing is known of "
                f"one; give one of them a kind in features.{side}"
            )


def _with_histories(
    fitted: Mapping[str, Reader], items: Sequence[Feature], queries: Sequence[Feature]
) -> dict[str, Reader]:
    """With tables that histories have to themselves; the values in them are those of the items."""
    tables = {f"history.{f.name}": f.table for f in items}
    readers = dict(fitted)
    for feature in queries:
        if feature.name not in tables:
            continue
        own = fitted[tables[feature.name]]
        if readers.setdefault(feature.table, own) is not own:
            raise InputError(
                f"features.query gives {feature.name!r} the table {feature.table!r}, whose values "
                f"are others; give it {tables[feature.name]!r}, or one of its own"
            )
    return readers


def _fit(members: Sequence[tuple[Feature, Counted]], text_bits: int) -> Reader:
    """The reader of one table, of all features that share it."""
    first = members[0][0]
    columns = [counted.table[feature.name] for feature, counted in members]
    if first.kind == "number":
        return fit_knots(columns, first.name)
    if first.kind == "text":
        return fit_hashed(columns, first.name, bits=text_bits)
    if first.kind == "vector":
        return fit_vectors(columns, first.name)
    weights = [
        counted.counts if first.kind == "id" else np.ones(len(counted.table), np.int64)
        for _, counted in members
    ]
    return fit_values(
        list(zip(columns, weights, strict=True)),
        first.kind,
        first.name,
        min_count=first.min_count,
        buckets=first.buckets,
    )


def _codes(bags: Bag, reader: Reader, kind: Kind) -> Bag:
    """The bags as values to count: every id, a number's nearest knot, whether there is a vector."""
    if kind == "id":
        return sparse.identity(bags.shape[0], np.float32, "csr")
    if isinstance(reader, Vectors):
        there = np.diff(bags.indptr) > 0
        return sparse.csr_matrix(there[:, None].astype(np.float32))
    if not isinstance(reader, Knots):
        return bags
    kept = bags.copy()
    kept.data = (kept.data >= 0.5).astype(np.float32)
    kept.eliminate_zeros()
    # Half-way between two knots both are nearest.
    twice = np.flatnonzero(np.diff(kept.indptr) > 1)
    kept.data[kept.indptr[twice]] = 0
    kept.eliminate_zeros()
    return kept


def _written(reader: Reader) -> tuple[str, pa.Array, pa.Array, int]:
    """Kind, values and numbers of a reader, and what else one number says of it."""
    if isinstance(reader, Values):
        return reader.kind, reader.known, pa.array(reader.rarity, pa.float64()), reader.buckets
    if isinstance(reader, Hashed):
        return "text", _blank(len(reader)), pa.array(reader.rarity, pa.float64()), reader.bits
    if isinstance(reader, Knots):
        return "number", _blank(len(reader)), pa.array(reader.knots), 0
    return "vector", _blank(0), pa.array([], pa.float64()), len(reader)


def _blank(count: int) -> pa.Array:
    return pa.array([""] * count, pa.string())


def _read(kind: Any, size: int, table: pa.Table) -> Reader:
    numbers = table["number"].to_numpy()
    make: Mapping[str, Any] = {
        "text": partial(Hashed, size, numbers.astype(np.float32)),
        "number": partial(Knots, numbers),
        "vector": partial(Vectors, size),
    }
    if kind in make:
        reader: Reader = make[kind]()
        return reader
    known = table["value"].combine_chunks().cast(pa.string())
    return Values(kind, known, numbers.astype(np.float32), size)
