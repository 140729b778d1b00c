"""Verdicts as training data: pairs, verified negatives, and corrected labels."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from thresher.config import Config
from thresher.data.dataset import Dataset, Part, labelled, load_dataset
from thresher.data.queries import Queries
from thresher.data.relation import Relation
from thresher.data.split import normalised
from thresher.errors import InputError
from thresher.jobs.reviews import open_store, pair_table, query_table, sampled, trains

if TYPE_CHECKING:
    from thresher.review import Store, Verdict


def reviewed(config: Config, database: str | Path) -> Dataset:
    """The data of a run with the verdicts of a review database; see `with_reviews`.

    What was used stands among its findings.
    """
    data = load_dataset(config.build("data"), config.folder)
    with open_store(database) as store:
        data, done = with_reviews(data, config, store)
    told = (
        f"{done['added']:,} verdicts train, {done['without_item']:,} of them on queries without an "
        f"item; {done['held_out']:,} are held out to certify; {done['corrected']:,} training "
        "labels corrected"
    )
    return replace(data, findings=(*data.findings, told))


def with_reviews(data: Dataset, config: Config, store: "Store") -> tuple[Dataset, dict[str, int]]:
    """The dataset with verdicts among its training queries; other splits stay as they are.

    "item" becomes a query with its pair, so that the proposal a person rejected is a negative like
    any other item, and among the hardest: the re-ranker sees it as a wrong candidate. "none"
    becomes a query without an item, all of whose candidates are wrong; the re-ranker learns from
    it, and the tower, which learns from pairs, does not. "not_sure" is left out. On suspected
    labels, "label_wrong" ends a training pair, and another item takes its place; a label of another
    split is not touched, since correcting only what a model doubts would flatter it.

    Verdicts of any source train. What `sampled` may draw does not, nor a query whose text stands
    there or in another split: it certifies, and compares candidates with the live model.

    Args:
        data: of the run.
        config: of the run.
        store: its verdicts.

    Returns:
        The dataset, and how many verdicts were used and left out.

    Raises:
        InputError: for a run of events, or where nothing is left to add.
    """
    train = data.part("train")
    if train.queries.histories is not None:
        raise InputError("verdicts are about queries; a run of events takes none")
    judged = [pair for pair in store.judged() if pair[1].kind in ("item", "none")]
    free = [pair for pair in judged if trains(pair[0])]
    table = query_table([one for one, _ in free])
    pairs = [(one.id, said.item_id) for one, said in free if said.item_id]
    corrected, gone = _corrected(train, store, data)
    done = {"corrected": gone, "held_out": len(judged) - len(free), "added": 0, "without_item": 0}
    if not free:
        if not gone:
            raise InputError(
                f"the database has {len(judged)} verdicts, none of which may train; judge more "
                "cases to review: half of them, and audits, certify and never train"
            )
        return replace(data, parts={**data.parts, "train": corrected}), done
    options = replace(config.build("data"), open_catalogue=True, without_pairs="no_item")
    part = labelled(options, items=data.items, queries=table, pairs=pair_table(pairs))
    part = part.take(np.flatnonzero(~_elsewhere(part, data, store)))
    done["added"], done["without_item"] = len(part), int((part.truth.counts() == 0).sum())
    return replace(data, parts={**data.parts, "train": joined(corrected, part)}), done


def _elsewhere(part: Part, data: Dataset, store: "Store") -> np.ndarray:
    """Whether a query's text stands in another split, or certifies."""
    if not data.query_text:
        return np.zeros(len(part), bool)
    others = [data.parts[name].queries for name in ("validation", "calibration", "test")]
    with suppress(InputError):  # where nothing was audited or judged, nothing certifies yet
        others.append(Queries.of_table(query_table(sampled(store).decided)))
    taken = {normalised(t) for own in others if len(own) for t in own.text(data.query_text)}
    return np.array([normalised(t) in taken for t in part.queries.text(data.query_text)], bool)


def joined(first: Part, second: Part) -> Part:
    """The queries of both; columns that only the second has are left out."""
    own, more = first.queries.aligned(), second.queries.aligned()
    columns = {}
    for field in own.schema:
        if field.name in more.column_names:
            columns[field.name] = _as(more[field.name], field.type)
        else:
            columns[field.name] = pa.nulls(len(more), field.type)
    table = pa.concat_tables([own, pa.table(columns, schema=own.schema)])
    truth, ignored = (
        _stacked(getattr(first, name), getattr(second, name)) for name in ("truth", "ignored")
    )
    weight = first.sample_weight
    if weight is not None:
        weight = np.append(weight, np.ones(len(second)))
    return Part(Queries.of_table(table), truth, ignored, sample_weight=weight)


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"the logged queries hold {column.type} where training has {kind} ({error}); send the "
            "service the columns that it was trained on"
        ) from error


def _stacked(first: Relation, second: Relation) -> Relation:
    pairs = np.concatenate([first.pairs(), second.pairs() + np.array([len(first), 0])])
    return Relation.from_pairs(*pairs.T, shape=(len(first) + len(second), first.columns))


def _corrected(train: Part, store: "Store", data: Dataset) -> tuple[Part, int]:
    """The training part after what people said of suspected labels, and how many changed."""
    rows = {name: row for row, name in enumerate(train.queries.ids.to_pylist())}
    items = {name: row for row, name in enumerate(data.items["id"].to_pylist())}
    out, more = [], []
    for query_id, label, verdict in label_verdicts(store):
        row, wrong = rows.get(query_id), items.get(label)
        if row is None or wrong is None or verdict.item_id == label:
            continue
        out.append((row, wrong))
        if verdict.item_id in items:
            more.append((row, items[verdict.item_id]))
    if not out:
        return train, 0
    gone = Relation.from_pairs(*np.array(out).T, shape=train.truth.shape)
    truth = train.truth.without(gone)
    if more:
        truth = truth.union(Relation.from_pairs(*np.array(more).T, shape=train.truth.shape))
    return replace(train, truth=truth), len(out)


def label_verdicts(store: "Store") -> "list[tuple[str, str, Verdict]]":
    """Query id, suspected label and the latest verdict that rejects or replaces it, of people."""
    found: dict[str, tuple[str, str, Any]] = {}
    for verdict in store.verdicts(source="person"):
        if verdict.kind not in ("item", "none", "label_wrong"):
            continue
        case = store.case(verdict.case_id)
        if case.label is not None:
            found[case.id] = (case.decision.query_id, case.label, verdict)
    return list(found.values())
