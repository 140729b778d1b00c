"""From an artifact and what customers did to what they may want next."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from thresher.artifact import Artifact
from thresher.config import read
from thresher.data.events import Events, read_events
from thresher.data.history import HistorySpec
from thresher.data.sequences import Sequences, bounds
from thresher.data.tables import write_blocks
from thresher.errors import InputError
from thresher.family import FEATURES
from thresher.jobs.feature_lists import recommend_features
from thresher.progress import Bar
from thresher.recommender import BLOCK, Recommender


def recommend(
    folder: Path,
    events: Path | None = None,
    out: Path | None = None,
    *,
    queries: Path | None = None,
    top: int = 20,
    remove_history: bool | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """Lists the next items of every customer of a table of events, or the items of queries.

    Events are read as in training: those of the same kinds, repeats kept or merged. Events of items
    that the catalogue lacks are passed over. A customer of whom nothing else is known has an empty
    list.

    Args:
        folder: the artifact.
        events: table with user_id, item_id and timestamp, and event where training chose kinds.
        queries: table of queries or customers with their features, for a features run
            (`thresher.jobs.feature_lists`).
        out: table to write, a row for each customer and place; None returns the rows.
        top: items a customer.
        remove_history: leave out what a customer has had; as the model says when left out.
        quiet: no progress bar.

    Returns:
        Counts; with `lists`, the rows, when nothing is written.

    Raises:
        InputError: for an artifact that does not recommend, a table that cannot be used, or more
            items than the catalogue has.
    """
    config = read(Artifact.open(folder).part("model") / "config.toml")
    if config.family is FEATURES:
        return recommend_features(
            folder,
            events=events,
            queries=queries,
            out=out,
            top=top,
            remove_history=remove_history,
            quiet=quiet,
        )
    recommender = Recommender.open(folder)
    recommender.checked(top)
    if events is None or queries is not None:
        raise InputError("a history run lists what follows events; give --events, and no --queries")
    learnt: HistorySpec = config.build("data")
    done = read_events(
        events, kinds=learnt.events_of_kind, every_kind=False, repeats=learnt.repeats
    )
    histories, passed = _known(done, recommender)
    blocks = _blocks(recommender, done, histories, top, remove_history, quiet)
    rows: dict[str, Any] = {}
    if out is None:
        rows["lists"] = [row for block in blocks for row in block.to_pylist()]
    else:
        write_blocks(blocks, out)
        rows["out"] = str(out)
    empty = int((histories.counts() == 0).sum())
    counts = {"customers": len(histories), "without_history": empty, "unknown_events": passed}
    return {**counts, **rows}


def _known(done: Events, recommender: Recommender) -> tuple[Sequences, int]:
    """The histories in rows of the recommender's catalogue, and how many events it lacks."""
    places = pc.index_in(done.catalogue, value_set=recommender.items["id"].combine_chunks())
    rows = places.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    items = rows[done.sequences.items]
    if not (items >= 0).any():
        raise InputError(
            f"none of the {len(items):,} events names an item of the catalogue, such as "
            f"{recommender.items['id'][0].as_py()!r}; check the column item_id"
        )
    users = np.repeat(np.arange(len(done.sequences)), done.sequences.counts())
    counts = np.bincount(users[items >= 0], minlength=len(done.sequences))
    return Sequences(bounds(counts), items[items >= 0]), int((items < 0).sum())


def _blocks(
    recommender: Recommender,
    done: Events,
    histories: Sequences,
    top: int,
    remove_history: bool | None,
    quiet: bool,
) -> Iterator[pa.Table]:
    ids = recommender.items["id"].combine_chunks()
    with Bar("customers", quiet=quiet) as bar:
        bar.start("recommending", total=len(histories))
        for start in range(0, len(histories), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(histories)))
            hits = recommender.recommend(histories.take(rows), top, remove_history=remove_history)
            listed = (hits.rows >= 0) & (histories.counts()[rows] > 0)[:, None]
            user, place = np.nonzero(listed)
            found = pa.array(hits.rows[listed])
            yield pa.table(
                {
                    "user_id": done.users.take(pa.array(rows[user])),
                    "rank": pa.array(place + 1, pa.int32()),
                    "item_id": ids.take(found),
                    "item": pa.array(recommender.titles(found), pa.string()),
                    "score": pa.array(hits.scores[listed]),
                }
            )
            bar.advance(len(rows))
