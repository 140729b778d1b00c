"""The features of items and queries, and how the values of each are numbered."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from thresher.data.dataset import Dataset
from thresher.data.tables import require_columns
from thresher.errors import InputError
from thresher.towers.encoders import ENCODERS
from thresher.towers.encoders.base import Bag, Encoder, Reading, Seen, read_encoder, write_encoder
from thresher.towers.features import (
    HISTORY,
    MANY,
    TEXT,
    Feature,
    FeatureOptions,
    Side,
    check_configured,
    features_of,
    of_history,
    shared_columns,
    suggested,
    with_tables,
)


@dataclass(frozen=True)
class Schema:
    """The features of items and queries, and how the values of each are numbered.

    The features of a query are those of its own columns, then `history.NAME`; `history` is the
    column of the queries that holds ids of items, None without one. An encoder is of a table of
    vectors.
    """

    items: tuple[Feature, ...]
    queries: tuple[Feature, ...]
    history: str | None
    encoders: Mapping[str, Encoder]

    @classmethod
    def fit(
        cls,
        data: Dataset,
        options: FeatureOptions,
        *,
        combine: Literal["sum", "concat"],
        dim: int,
        bits: int = 17,
        ngram_range: tuple[int, int] = (2, 3),
    ) -> "Schema":
        """The features of a dataset, fitted to its catalogue and its training queries.

        `combine`, `dim`, `bits` and `ngram_range` are those of the tower.

        Raises:
            InputError: a column is absent, empty, or not what it is configured to be; a query has
                several histories; nothing is read of an item or of a query.
        """
        train = data.part("train")
        own, events = train.queries.table, train.queries.histories is not None
        if own is not None and own.equals(data.items):
            # Queries are items: what is said of these holds for both.
            options = replace(options, query={**options.item, **options.query})
        if combine == "sum":
            count = 1 if options.id_min_count is None else options.id_min_count
            options = replace(options, width=dim, id_min_count=count)
            defaults = shared_columns(data, own, events=events)
        else:
            defaults = {"item": suggested(data.items, data.items_path)}
            defaults["query"] = {} if own is None else suggested(own, data.queries_path)
        items = features_of(
            data.items, "item", options, defaults["item"], data.item_text, data.items_path
        )
        queries: tuple[Feature, ...] = ()
        if own is not None:
            queries = features_of(
                own, "query", options, defaults["query"], data.query_text, data.queries_path
            )
        columns = [f.name for f in queries if f.kind == HISTORY]
        check_configured(options, own, columns, events=events)
        queries = tuple(f for f in queries if f.kind != HISTORY)
        histories = events or bool(columns)
        if histories and combine == "concat":
            queries += of_history(items, options)
        items, queries = with_tables(items, queries, share=options.share_tables)
        schema = cls(items, queries, columns[0] if columns else None, {})
        schema._check(combine, dim, histories=histories)
        how = {"bits": bits, "ngram_range": ngram_range, "unit": histories or combine == "concat"}
        only_known = histories and combine == "sum"
        return replace(schema, encoders=schema._fitted(data, how, only_known=only_known))

    def features(self, side: Side) -> tuple[Feature, ...]:
        """The features of a side."""
        return self.items if side == "item" else self.queries

    def read(self, side: Side, table: pa.Table) -> dict[str, Bag]:
        """The bags of a table of items or queries, by feature.

        InputError where a column is missing, or holds what it may not.
        """
        own = [f for f in self.features(side) if not f.name.startswith("history.")]
        names = dict.fromkeys(column for f in own for column in f.columns)
        require_columns(table, list(names), f"the table of {MANY[side]}")
        return {f.name: self.encoders[f.table].read(f.column(table), f.name) for f in own}

    def save(self, folder: Path) -> None:
        """Writes `schema.json`, and each encoder to a file in `encoders`."""
        (folder / "encoders").mkdir(parents=True, exist_ok=True)
        kinds = {f.table: f.kind for f in (*self.queries, *self.items)}
        for number, (name, encoder) in enumerate(self.encoders.items()):
            path = folder / "encoders" / f"{number}.parquet"
            write_encoder(encoder, path, table=name, kind=kinds[name])
        about = {
            "items": [asdict(f) for f in self.items],
            "queries": [asdict(f) for f in self.queries],
            "history": self.history,
            "encoders": len(self.encoders),
        }
        (folder / "schema.json").write_text(json.dumps(about, indent=1) + "\n", "utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Schema":
        """Reads what `save` wrote."""
        about = json.loads((folder / "schema.json").read_text("utf-8"))
        encoders = {}
        for number in range(about["encoders"]):
            path = folder / "encoders" / f"{number}.parquet"
            encoder, said = read_encoder(path, ENCODERS)
            encoders[said["table"]] = encoder
        items, queries = (
            tuple(Feature(**{**f, "columns": tuple(f["columns"])}) for f in about[side])
            for side in ("items", "queries")
        )
        return cls(items, queries, about["history"], encoders)

    def _check(self, combine: str, dim: int, *, histories: bool) -> None:
        """InputError where nothing is read of a side, or nothing that a sum can compare."""
        for side, features in (("item", self.items), ("query", self.queries)):
            if not features and not (side == "query" and histories):
                raise InputError(
                    f"no column of the {MANY[side]} is read, so that nothing is known of one; give "
                    f"one a kind in features.{side}, or name text columns in data.{side}_text"
                )
            if combine == "sum" and (wide := [f for f in features if f.width != dim]):
                raise InputError(
                    f"features.{side}.{wide[0].name} has width {wide[0].width}; in a sum every "
                    f"feature has the {dim} of tower.dim, so leave it out, or set tower.combine = "
                    "'concat'"
                )
        tables = {f.table for f in self.items} & {f.table for f in self.queries}
        if combine == "sum" and not histories and not tables:
            raise InputError(
                "no feature of a query is one of an item too, so that a sum cannot compare them; "
                "name text columns in data.item_text and data.query_text, or set tower.combine = "
                "'concat'"
            )

    def _fitted(
        self, data: Dataset, how: Mapping[str, Any], *, only_known: bool
    ) -> dict[str, Encoder]:
        """The encoder of each table, fitted to the items and the training queries."""
        train, counts, items = data.part("train"), data.item_counts(), data.items
        if only_known:  # of a value that no item of a training pair has, nothing would be learnt
            items, counts = items.filter(pa.array(counts > 0)), counts[counts > 0]
        seen: dict[str, list[Seen]] = {}
        first: dict[str, Feature] = {}
        for feature in self.items:
            column = Seen(feature.column(items), counts, feature.name)
            seen.setdefault(feature.table, []).append(column)
            first.setdefault(feature.table, feature)
        table, rows, pairs = train.queries.table, train.queries.rows, train.truth.counts()
        if table is not None and rows is not None:
            used, place = np.unique(rows[rows >= 0], return_inverse=True)
            asked = np.bincount(place, pairs[rows >= 0], minlength=len(used)).astype(np.int64)
            own = table.take(pa.array(used))
            for feature in self.queries:
                if not feature.name.startswith("history."):
                    column = Seen(feature.column(own), asked, feature.name)
                    seen.setdefault(feature.table, []).append(column)
                    first.setdefault(feature.table, feature)
        found: dict[str, Encoder] = {}
        for name, columns in seen.items():
            f = first[name]
            reading = Reading(kind=f.kind, min_count=f.min_count, buckets=f.buckets, **how)
            found[name] = ENCODERS[f.kind].fit(columns, reading)
        return _with_histories(found, self.items, self.queries)


def text_schema(data: Dataset) -> Schema:
    """The schema of a tower of texts alone; InputError where items or queries have none."""
    texts = (data.item_text, data.query_text)
    for side, columns in zip(("item", "query"), texts, strict=True):
        if not columns:
            raise InputError(
                f"this tower reads texts, and the {MANY[side]} have none; name their text columns "
                f"in data.{side}_text, or set tower.kind = 'features'"
            )
    items, queries = ((Feature(name=TEXT, kind=TEXT, columns=own),) for own in texts)
    return Schema(items, queries, None, {})


def _with_histories(
    fitted: Mapping[str, Encoder], items: Sequence[Feature], queries: Sequence[Feature]
) -> dict[str, Encoder]:
    """With tables that histories have to themselves; the values in them are those of the items."""
    tables = {f"history.{f.name}": f.table for f in items}
    encoders = dict(fitted)
    for feature in queries:
        if feature.name not in tables:
            continue
        own = fitted[tables[feature.name]]
        if encoders.setdefault(feature.table, own) is not own:
            raise InputError(
                f"features.query gives {feature.name!r} the table {feature.table!r}, whose values "
                f"are others; give it {tables[feature.name]!r}, or one of its own"
            )
    return encoders
