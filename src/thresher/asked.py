"""What users give, as a model reads it: queries, events, labelled queries."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from thresher.config import Config
from thresher.data.dataset import Dataset, Part, history_queries, labelled
from thresher.data.frames import Frame, texts_of, to_table
from thresher.data.options import IN_MEMORY
from thresher.data.queries import Queries
from thresher.data.sources import rename
from thresher.data.tables import is_table, require_columns
from thresher.errors import InputError

if TYPE_CHECKING:
    from thresher.searching import Searching


def query_table(model: "Searching", queries: Frame) -> pa.Table:
    """The columns of queries, under the names that the model knows; see `Searching.as_queries`."""
    columns = model.catalogue.query_text
    if isinstance(queries, str) and not os.path.isfile(queries):
        if is_table(Path(queries)):
            raise InputError(
                f"there is no file {queries}; check the path, or give a list with the text to "
                "match it as text"
            )
        queries = [queries]
    texts = texts_of(queries)
    if texts is not None:
        if not columns:
            fix = "events to recommend" if model.reads_events else "a table with its columns"
            raise InputError(f"this model reads no text; give {fix}")
        # Of several text columns the first takes the whole text; nothing is known of others.
        table = pa.table({columns[0]: texts})
        for name in left_empty(model):
            table = table.append_column(name, pa.nulls(len(texts), pa.string()))
    else:
        columns_of = model.config.build("data").columns
        table = rename(to_table(queries, what="queries"), "queries", columns_of)
    require_columns(table, columns, "the table of queries")
    return table


def left_empty(model: "Searching") -> list[str]:
    """The columns that a model reads of queries beside the one that a bare text fills."""
    columns = model.catalogue.query_text
    read = [name for f in model.reader.schema.queries for name in f.columns]
    compared = [column.name for column in model.catalogue.features.compare]
    return [n for n in dict.fromkeys([*columns[1:], *read, *compared]) if n not in columns[:1]]


def histories(
    model: "Searching", events: Frame, users: pa.Table | None
) -> tuple[Queries, tuple[str, ...]]:
    """Users as a model reads them; see `Searching.histories`."""
    data = model.config.build("data")
    if not model.reads_events:
        raise InputError(
            "the model was trained on pairs of queries and items and reads no events; give queries"
        )
    path = str(events) if isinstance(events, str | Path) else "the table of events"
    given = to_table(events, what="events")
    return history_queries(given, data, items=model.items, users=users, path=path)


def labelled_queries(
    model: "Searching", queries: Frame, pairs: Frame, without_pairs: str | None
) -> Part:
    """Queries with their true pairs, over the present catalogue."""
    table, true = query_table(model, queries), to_table(pairs, what="pairs")
    given = {} if without_pairs is None else {"without_pairs": without_pairs}
    data = model.config.replace(data=given) if given else model.config
    options = replace(data.build("data"), open_catalogue=True)
    return labelled(options, items=model.items, queries=table, pairs=true)


def split_of(data: Dataset, split: str, items: pa.Table) -> Part:
    """A split of the data that a model was trained on, over a catalogue.

    Raises:
        InputError: for a split without queries.
    """
    part = data.part(split)
    if items is not data.items:
        part = part.over(data.items, items)
    if not len(part.queries):
        raise InputError(
            f"the data has no queries in the split {split!r}; give it a share in [data] "
            "shares, or give labelled queries and pairs"
        )
    return part


def reloaded(config: Config) -> Dataset:
    """The data of a run, read again.

    Raises:
        InputError: for data frames, which are not kept.
    """
    from thresher.data.dataset import load_dataset

    options = config.build("data")
    if IN_MEMORY in (options.items, options.pairs, options.events):
        raise InputError(
            "this model was trained on data frames, which are not kept; give queries and pairs"
        )
    return load_dataset(options, config.folder)
