"""From a model and the labels it was not trained on to a table of those that look wrong."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from thresher.data.dataset import Part
from thresher.data.findings import counted
from thresher.data.queries import Queries
from thresher.data.tables import check_outputs, write_table
from thresher.errors import InputError
from thresher.evaluate.label_errors import LabelConfidence, names_another
from thresher.jobs.label_cases import open_cases
from thresher.jobs.reviews import open_store
from thresher.progress import Bar
from thresher.retriever import BLOCK, Retriever

SPLITS = ("calibration", "validation", "test")
"""The splits that no tower was trained on."""
SHOWN = 10
"""Suspects on the terminal where no table is written."""


def label_errors(
    model: Retriever,
    out: Path | None = None,
    reviews: str | Path | None = None,
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """List the labels outside training that look wrong, the most suspicious first.

    Args:
        model: calibrated with a re-ranker.
        out: table to write; None returns the rows.
        reviews: review database to open a case for each in.
        quiet: no progress bar.

    Returns:
        `labels` that were judged, how many are `suspected`, in how many of these the query
        `names_proposed`, cases `opened`, and `out` or the `suspects`; `lines` the same for a
        terminal.

    Raises:
        InputError: the model gives no probabilities, its data is gone, or `out` cannot be written.
    """
    check_outputs({"the table to write": out}, {})
    if reviews is not None:
        open_store(reviews).close()  # before the minutes that the judging takes
    table, labels = suspected_labels(model, quiet=quiet)
    named = int(np.sum(table["names_proposed"].to_numpy(zero_copy_only=False)))
    found = {"labels": labels, "suspected": len(table), "names_proposed": named}
    lines = [
        f"{len(table):,} of {counted(labels, 'label', 'labels')} outside training look wrong; in "
        f"{named:,} of them the query has the codes of the proposed item and not of its own"
    ]
    if reviews is not None:
        found["opened"] = open_cases(model, table, reviews)
        lines.append(f"{found['opened']:,} of them are new in the queue of suspected label errors")
    if out is not None:
        write_table(table, out, for_spreadsheet=True)
        return {**found, "out": str(out), "lines": [*lines, f"written to {out}"]}
    rows = table.to_pylist()
    for row in rows[:SHOWN]:
        lines.append(f"  {row['query_id']}  {row['query']}")
        for name, key in (("label", "item"), ("proposed", "proposed")):
            sure = row["confidence" if name == "label" else "proposed_confidence"]
            item = f"{row[f'{key}_id']}  {row[key]}" if row[f"{key}_id"] else "no item"
            lines.append(f"    {name:<8}  {sure:.3f}  {item}")
    if len(rows) > SHOWN:
        lines.append(f"  and {len(rows) - SHOWN:,} more; --out writes all of them")
    return {**found, "suspects": rows, "lines": lines}


def suspected_labels(model: Retriever, *, quiet: bool = False) -> tuple[pa.Table, int]:
    """The labels outside training that look wrong, and how many were judged.

    Queries that the re-ranker was fitted on are judged by the confidence that a fold without them
    had; those whose item was hidden there are left out.

    Returns:
        A row for each suspect, the most suspicious first: `query_id`, `query`, `split`, `item_id`
        and `item` of the label (null for a query without one), `proposed_id` and `proposed`,
        `confidence` in the label, `proposed_confidence`, and `names_proposed`, whether the codes in
        the query are those of the proposed item and not of the label.

    Raises:
        InputError: the model gives no probabilities, or its data is gone.
    """
    if model.decision is None or model.decision.reranker is None:
        raise InputError(
            "wrong labels are found by the probabilities of a re-ranker, and this model has none; "
            "run `thresher calibrate` with --scorer reranker first"
        )
    model.labelled("train")  # reads the data, if it is not in memory
    data, queries, splits, judged = model.data, [], [], []
    for split in SPLITS:
        if data is not None and len(data.part(split)):
            part = model.labelled(split)
            sure, kept = _judged(model, part, quiet=quiet)
            queries.append(part.queries.take(kept))
            splits += [split] * len(kept)
            judged.append(sure.take(kept))
    if not judged:
        raise InputError(
            "no label was kept from training: the splits calibration, validation and test are "
            "empty; give one of them a share in [data] shares"
        )
    return _table(model, queries, splits, LabelConfidence.joined(judged)), len(splits)


def _judged(
    model: Retriever, part: Part, *, quiet: bool
) -> tuple[LabelConfidence, Int64[np.ndarray, " n"]]:
    """The confidence in each label of a part, and the queries that were judged with their item."""
    blocks, outcomes = [], model.decision.outcomes  # type: ignore[union-attr]
    with Bar("queries", quiet=quiet) as bar:
        bar.start("judging labels", total=len(part))
        for start in range(0, len(part), BLOCK):
            some = part.take(np.arange(start, min(start + BLOCK, len(part))))
            found = model.propose(some.queries, ignored=some.ignored)
            chances = np.asarray(found.chances)
            rows = found.hits.rows[:, : chances.shape[1]]
            blocks.append(LabelConfidence.of(rows, chances, some.truth))
            bar.advance(len(some))
    sure, every = LabelConfidence.joined(blocks), np.arange(len(part))
    if list(outcomes.ids) != part.queries.ids.to_pylist():
        return sure, every
    fitted = every[outcomes.selection]
    sure = sure.out_of_fold(fitted, outcomes.confidence[fitted], outcomes.correct[fitted])
    if outcomes.absent is None:
        return sure, every
    return sure, every[~(outcomes.selection & outcomes.absent & (part.truth.counts() > 0))]


def _table(
    model: Retriever, queries: Sequence[Queries], splits: Sequence[str], sure: LabelConfidence
) -> pa.Table:
    columns, rows = model.catalogue.query_text, sure.suspected()
    asked = [text for some in queries for text in some.text(columns)]
    asked = [asked[row] for row in rows]
    labelled, proposed = sure.labelled[rows], sure.other[rows]
    true, other = (model.catalogue.texts(at).to_pylist() for at in (labelled, proposed))
    true = [text if row >= 0 else None for text, row in zip(true, labelled, strict=True)]
    named = [names_another(*texts) for texts in zip(asked, other, true, strict=True)]
    ids = pa.chunked_array([some.ids for some in queries], pa.string())
    return pa.table(
        {
            "query_id": ids.take(pa.array(rows)),
            "query": pa.array(asked, pa.string()),
            "split": pa.array([splits[row] for row in rows], pa.string()),
            "item_id": model.catalogue.ids(labelled),
            "item": pa.array(true, pa.string()),
            "proposed_id": model.catalogue.ids(proposed),
            "proposed": pa.array(other, pa.string()),
            "confidence": pa.array(sure.own[rows]),
            "proposed_confidence": pa.array(sure.against[rows]),
            "names_proposed": pa.array(named, pa.bool_()),
        }
    )
