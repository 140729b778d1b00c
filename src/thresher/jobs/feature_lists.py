"""From an artifact of features to numbers, a report, and lists of items."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.artifact import Artifact
from thresher.config import Config, read
from thresher.data.events import read_events
from thresher.data.feature_data import Asking, FeatureData, FeatureSpec, load_feature_data
from thresher.data.relation import Relation
from thresher.data.sequences import Sequences, bounds
from thresher.data.tables import read_table, require_columns, write_blocks
from thresher.errors import InputError
from thresher.evaluate.evaluation import as_json
from thresher.evaluate.next_items_page import NextItemsReport, write_next_items
from thresher.feature_recommender import BLOCK, FeatureRecommender
from thresher.jobs.nearest import before_and_after, information_of, map_of, texts_of
from thresher.jobs.next_items import SPLITS, check_asked, counted, intervals, popular
from thresher.progress import Bar
from thresher.retrieve import Hits


def evaluate_features(
    folder: Path, *, split: str = "test", report: bool = True
) -> dict[str, float | None]:
    """Asks the artifact for the items of queries whose items are known.

    Args:
        folder: the artifact.
        split: of the data that it was trained on.
        report: whether to write `report/`.

    Returns:
        A flat table of numbers; `popularity/metric` are those of listing the items that stand most
        often in training.

    Raises:
        InputError: for a damaged artifact, data that moved away, or another split.
    """
    if split not in SPLITS:
        raise InputError(f"features runs are measured on {' or '.join(SPLITS)}, got {split!r}")
    artifact, recommender = Artifact.open(folder), FeatureRecommender.open(folder)
    config, data = _trained_on(artifact)
    asked: Asking = getattr(data, split)
    check_asked(asked, split)
    depths, options = recommender.depths(), recommender.options
    table = recommender.queries.of_asking(data.queries, asked)
    hits = recommender.recommend(asked, table, max(depths))
    removed = asked.known
    if options.remove_history and asked.histories is not None:
        removed = removed.union(asked.histories.relation(len(data.items)))
    counts = data.counts()
    metrics = counted(hits, asked.targets, counts, options, depths)
    same = popular(counts, removed, max(depths))
    listed = counted(same, asked.targets, counts, options, depths)
    if report:
        page = NextItemsReport(
            title=_title(config),
            asking="queries" if data.examples is None else "users",
            systems={"popularity": listed, "model": metrics},
            intervals=intervals(hits, asked.targets, options, depths),
            facts=_facts(data, asked),
            findings=data.findings,
            settings=_settings(config, recommender, artifact, split),
            information=information_of(recommender),
            item_map=map_of(recommender),
            neighbours=before_and_after(recommender, config, counts),
        )
        write_next_items(page, folder / "report")
    return as_json(metrics | {f"popularity/{key}": value for key, value in listed.items()})


def recommend_features(
    folder: Path,
    *,
    events: Path | None = None,
    queries: Path | None = None,
    out: Path | None = None,
    top: int = 20,
    remove_history: bool | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Lists items for every query of a table, or every user of a table of events.

    Args:
        folder: the artifact.
        events: table with user_id, item_id and timestamp, for a run that was trained on events.
        queries: table of the queries, an `id` and the columns that the model reads; with events,
            what of users stands beside their history.
        out: table to write, a row for each query and place; None returns the rows.
        top: items a query.
        remove_history: leave out what is in the history; as the model says when left out.
        quiet: no progress bar.

    Returns:
        Counts; with `lists`, the rows, when nothing is written.

    Raises:
        InputError: for a table that is missing or cannot be used, or more items than there are.
    """
    recommender = FeatureRecommender.open(folder)
    recommender.checked(top)
    learnt: FeatureSpec = read(Artifact.open(folder).part("model") / "config.toml").build("data")
    table = None if queries is None else _queries(queries)
    asked, unknown = _asked(recommender, learnt, events, table)
    inputs = recommender.queries.of_asking(table, asked)
    lengths = None if inputs.histories is None else inputs.histories.lengths().numpy()
    empty = int((lengths == 0).sum()) if lengths is not None and asked.rows is None else 0
    hits = recommender.recommend(asked, inputs, top, remove_history=remove_history)
    if lengths is not None and asked.rows is None:
        hits.rows[lengths == 0] = -1  # of whom nothing is known
    blocks = _blocks(recommender, asked, hits, quiet)
    rows: dict[str, Any] = {}
    if out is None:
        rows["lists"] = [row for block in blocks for row in block.to_pylist()]
    else:
        write_blocks(blocks, out)
        rows["out"] = str(out)
    who = "queries" if events is None else "customers"
    return {who: len(asked), "without_history": empty, "unknown_events": unknown, **rows}


def _trained_on(artifact: Artifact) -> tuple[Config, FeatureData]:
    model = artifact.part("model")
    config = read(model / "config.toml")
    base = json.loads((model / "settings.json").read_text("utf-8"))["base"]
    return config, load_feature_data(config.build("data"), base)


def _queries(path: Path) -> pa.Table:
    table = read_table(path)
    require_columns(table, ["id"], path)
    if not len(table):
        raise InputError(f"{path} has no rows; give at least one query")
    return table


def _asked(
    recommender: FeatureRecommender,
    learnt: FeatureSpec,
    events: Path | None,
    table: pa.Table | None,
) -> tuple[Asking, int]:
    """Who is asked, and how many events of unknown items were passed over."""
    needs_events = learnt.pairs is None
    if needs_events and events is None:
        raise InputError("this model was trained on events; give --events")
    if not needs_events and (events is not None or table is None):
        raise InputError("this model was trained on pairs of queries and items; give --queries")
    if events is None:
        ids = table["id"].combine_chunks() if table is not None else pa.array([], pa.string())
        asked = _nothing_known(ids, np.arange(len(ids)), None, len(recommender.items))
        if learnt.queries is None:  # an item is not what follows itself
            own = pc.index_in(ids, value_set=recommender.items["id"].combine_chunks())
            item = pc.fill_null(own, -1).to_numpy().astype(np.int64)
            row = np.flatnonzero(item >= 0)
            known = Relation.from_pairs(row, item[row], shape=asked.known.shape)
            asked = replace(asked, known=known)
        return asked, 0
    done = read_events(
        events, kinds=learnt.events_of_kind, every_kind=False, repeats=learnt.repeats
    )
    places = pc.index_in(done.catalogue, value_set=recommender.items["id"].combine_chunks())
    items = pc.fill_null(places, -1).to_numpy().astype(np.int64)[done.sequences.items]
    users = np.repeat(np.arange(len(done.users)), done.sequences.counts())
    there = items >= 0
    if not there.any():
        raise InputError(
            f"none of the {len(items):,} events names an item of the catalogue, such as "
            f"{recommender.items['id'][0].as_py()!r}; check the column item_id"
        )
    counts = np.bincount(users[there], minlength=len(done.users))
    histories = Sequences(bounds(counts), items[there])
    rows = None
    if table is not None:
        at = pc.index_in(done.users, value_set=table["id"].combine_chunks())
        rows = pc.fill_null(at, -1).to_numpy().astype(np.int64)
    asked = _nothing_known(done.users, rows, histories, len(recommender.items))
    return asked, int((~there).sum())


def _nothing_known(
    ids: pa.StringArray, rows: np.ndarray | None, histories: Sequences | None, items: int
) -> Asking:
    targets = Sequences(np.zeros(len(ids) + 1, np.int64), np.zeros(0, np.int64))
    return Asking(ids, rows, histories, targets, Relation.none((len(ids), items)))


def _blocks(
    recommender: FeatureRecommender, asked: Asking, hits: Hits, quiet: bool
) -> Iterator[pa.Table]:
    ids, texts = recommender.items["id"].combine_chunks(), np.array(texts_of(recommender), object)
    with Bar("queries", quiet=quiet) as bar:
        bar.start("listing", total=len(asked))
        for start in range(0, len(asked), BLOCK):
            rows, scores = (part[start : start + BLOCK] for part in (hits.rows, hits.scores))
            user, place = np.nonzero(rows >= 0)
            found = rows[user, place]
            yield pa.table(
                {
                    "user_id": asked.ids.take(pa.array(start + user)),
                    "rank": pa.array(place + 1, pa.int32()),
                    "item_id": ids.take(pa.array(found)),
                    "item": pa.array(texts[found], pa.string()),
                    "score": pa.array(scores[user, place]),
                }
            )
            bar.advance(len(rows))


def _title(config: Config) -> str:
    data: Mapping[str, Any] = config.sections["data"]
    path = data["events"] or data["pairs"]
    return str(data["bundled"] or Path(path).resolve().parent.name)


def _facts(data: FeatureData, asked: Asking) -> dict[str, str]:
    numbers = {
        "training pairs": len(data.relation.indices),
        "items": len(data.items),
        "items never in training": int((data.counts() == 0).sum()),
        "queries asked": len(asked),
        "items to find": len(asked.targets.items),
    }
    return {name: f"{number:,}" for name, number in numbers.items()}


def _settings(
    config: Config, recommender: FeatureRecommender, artifact: Artifact, split: str
) -> dict[str, str]:
    data, ranking = config.sections["data"], config.sections["ranking"]
    protocol = data["protocol"] or ("pairs" if data["pairs"] else "users")
    schema = recommender.schema
    return {
        "protocol": f"{protocol}, split {split}",
        "training pairs kept": f"{data['train_share']:.0%}",
        "item features": ", ".join(f"{f.name} ({f.kind})" for f in schema.items),
        "query features": ", ".join(f"{f.name} ({f.kind})" for f in schema.queries),
        "history": "removed from the lists" if ranking["remove_history"] else "may be listed",
        "layers": ", ".join(map(str, config.sections["tower"]["layers"])),
        "objective": ", ".join(
            f"{term['name']} on {term['links']} (weight {term['weight']:g})"
            for term in config.objective
        ),
        "views": f"{config.sections['views']['masking']} masking",
        "model and index": artifact.fingerprint("model", "index"),
    }
