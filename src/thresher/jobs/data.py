"""The labelled queries that a job measures on: the artifact's own, or files of the user's."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.dataset import Dataset, DataSpec, load_dataset
from thresher.data.labelled import Labelled
from thresher.data.relation import Relation
from thresher.errors import InputError
from thresher.matcher import Matcher, read_settings


def labelled_queries(
    artifact: Artifact, matcher: Matcher, files: Mapping[str, Path], *, split: str
) -> Labelled:
    """Queries with the true items that the matcher's catalogue holds.

    Args:
        artifact: knows the data that it was trained on.
        matcher: its catalogue is the one to find items in.
        files: `queries` and `pairs`, both or neither.
        split: of the training data, when no files are given.

    Raises:
        InputError: for files that cannot be used, or training data that moved away.
    """
    data = load_data(artifact, files)
    rows = np.arange(len(data.queries)) if "queries" in files else data.rows(split)
    if not len(rows):
        raise InputError(
            f"the data has no queries in the split {split!r}; give it a share in [data] shares, "
            f"or give --queries and --pairs"
        )
    return in_catalogue(Labelled.of(data, rows), data, matcher)


def load_data(artifact: Artifact, files: Mapping[str, Path]) -> Dataset:
    """The data an artifact was trained on, with the files named in place of its own.

    Raises:
        InputError: when queries are given without pairs or the other way round.
    """
    model = artifact.part("model")
    settings = read_settings(model)
    if not files:
        return load_dataset(read(model / "config.toml").build("data"), settings["base"])
    if ("queries" in files) != ("pairs" in files):
        missing = "pairs" if "queries" in files else "queries"
        raise InputError(f"--queries and --pairs go together; --{missing} is missing")
    spec: DataSpec = read(model / "config.toml").build("data")
    paths = spec.paths(settings["base"])
    own = replace(
        spec,
        items=files.get("items", artifact.part("index") / "items.parquet"),
        queries=files.get("queries", paths.queries),
        pairs=files.get("pairs", paths.pairs),
        # Ignored pairs are of the queries they were listed for.
        ignored=None if "queries" in files else paths.ignored,
        bundled=None,
        item_text=tuple(settings["item_columns"]),
        query_text=tuple(settings["query_columns"]),
        # Another catalogue over the same queries need not hold every item they asked for.
        open_catalogue=spec.open_catalogue or "pairs" not in files,
    )
    return load_dataset(own)


def in_catalogue(labelled: Labelled, data: Dataset, matcher: Matcher) -> Labelled:
    """The same queries with their true items as rows of the matcher's catalogue."""
    ids = {item: row for row, item in enumerate(matcher.catalogue.items["id"].to_pylist())}
    rows = np.array([ids.get(item, -1) for item in data.items["id"].to_pylist()], np.int64)
    return replace(
        labelled,
        relation=_renumbered(labelled.relation, rows, len(ids)),
        ignored=_renumbered(labelled.ignored, rows, len(ids)),
    )


def _renumbered(relation: Relation, rows: np.ndarray, columns: int) -> Relation:
    """The pairs whose item has a row, -1 where it has none, in a catalogue of this size."""
    pairs = relation.pairs()
    items = rows[pairs[:, 1]]
    kept = items >= 0
    return Relation.from_pairs(pairs[kept, 0], items[kept], shape=(len(relation), columns))
