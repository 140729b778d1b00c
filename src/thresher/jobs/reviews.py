"""Verdicts of a review database as labels: what certifies, and what trains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from thresher.data.split import uniform
from thresher.errors import InputError

if TYPE_CHECKING:
    from thresher.review import Decided, Store, Verdict

HELD_OUT = 0.5
"""Share of the cases to review, and the largest share of the accepted, that never train.

Half, since after a stop, when everything is reviewed, labels that certify are what is short."""
MOST_OPEN = 0.02
"""Share of the sample that may be without a verdict; see `sampled`."""
_SEED = 5_000_011  # far from the seeds that split data
_PAGE = 5_000


def open_store(database: str | Path) -> "Store":
    """Open a review database that is there: an SQLite file, or the URL of a database.

    Raises:
        InputError: there is no such file, or the packages of the service are not installed.
    """
    try:
        from thresher.review import Store, Unavailable
    except ImportError as error:
        raise InputError(
            f"a review database needs the package {error.name}; run `pip install 'thresher[serve]'`"
        ) from error
    url = str(database)
    path = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else url
    if "://" not in path:
        if not Path(path).is_file():
            raise InputError(
                f"there is no review database {path}; give the file that `thresher serve` writes, "
                "or the URL of a database"
            )
        url = f"sqlite:///{path}"
    try:
        return Store.open(url)
    except Unavailable as error:
        raise InputError(f"{database}: {error}") from None


@dataclass(frozen=True)
class Sample:
    """Decisions drawn alike from the traffic, with what people said of them.

    Args:
        decided: the decisions, oldest first.
        verdicts: of people; None where there is none.
        share: of the traffic that the sample is, a fraction.
    """

    decided: "Sequence[Decided]"
    verdicts: "Sequence[Verdict | None]"
    share: float

    def __len__(self) -> int:
        return len(self.decided)

    def tables(self) -> tuple[pa.Table, pa.Table]:
        """Queries, each with the id of its decision, and pairs; the others have no item."""
        items = [None if one is None else one.item_id for one in self.verdicts]
        pairs = [(d.id, item) for d, item in zip(self.decided, items, strict=True) if item]
        return query_table(self.decided), pair_table(pairs)

    def counts(self) -> dict[str, Any]:
        """How many there are, and of what kind, as JSON values."""
        kinds = ["open" if one is None else one.kind for one in self.verdicts]
        return {
            "sampled": len(self),
            "share": round(self.share, 6),
            "accepted": sum(one.decision == "accept" for one in self.decided),
            **{kind: kinds.count(kind) for kind in ("none", "not_sure", "open")},
        }


def sampled(store: "Store", *, since: float = 0.0) -> Sample:
    """The uniform sample of the traffic that certifies: audits, and as many of what was reviewed.

    Equation:  P(decision in the sample) = s = min(`HELD_OUT`, the smallest audit rate): an audit of
               rate p stays with probability s / p, a case to review with probability s, by a hash
               of its id.

    Cases to review alone are the uncertain part of the traffic, and audits alone the certain part:
    together, without weights, they have too many uncertain ones. Drawn at one rate they are plain
    draws from the traffic, so the exact test, clusters, segments and known texts hold unchanged,
    for thresholds above and below the one that was in force. This is inverse-probability weighting
    by rejection: what it leaves out is among the uncertain, of which there are plenty, and trains.

    Only people certify. Where nobody has judged a drawn decision yet, or nobody could say, it
    counts as wrong, which makes a certificate harder and never false; so that the latest open
    cases cost nothing, the sample ends where more than `MOST_OPEN` of it would be open. Answers
    given while nothing was audited are left out, accepted or not.

    Args:
        store: of the service.
        since: only answers given from this time on, UTC seconds: those before the traffic changed
            are no draws from what it is now.

    Raises:
        InputError: where accepted answers were never audited: the uncertain ones alone say nothing
            about the others.
    """
    said = {one.id: verdict for one, verdict in store.judged() if verdict.source == "person"}
    drawn, rates, accepted = [], [], 0
    rate = None
    for one in traffic(store):
        if one.at < since:
            continue
        if one.decision == "accept":
            accepted += 1
            rate = one.audit_probability
            rates += [rate] if rate else []
        if (one.decision == "review" or one.audited) and rate != 0:
            drawn.append(one)
    if accepted and not rates:
        raise InputError(
            f"none of the {accepted:,} accepted answers was ever audited; verdicts on the "
            "uncertain ones alone say nothing about them: set an audit rate, such as 0.05, and "
            "judge the audits"
        )
    share = min([HELD_OUT, *rates])
    drawn = [one for one in drawn if hash_of(one) * _probability(one) < share]
    verdicts = [said.get(one.id) for one in drawn]
    missing = np.cumsum([one is None for one in verdicts])
    few = np.flatnonzero(missing <= MOST_OPEN * np.arange(1, len(drawn) + 1))
    end = int(few[-1]) + 1 if len(few) else 0
    if not end:
        raise InputError(
            f"of the {len(drawn):,} sampled answers too few are judged to use them; judge the open "
            "cases first, oldest first"
        )
    return Sample(drawn[:end], verdicts[:end], share)


def hash_of(decided: "Decided") -> float:
    """A number in [0, 1) that the id of a decision alone gives."""
    return uniform(decided.id, _SEED)


def trains(decided: "Decided") -> bool:
    """Whether a judged decision may train: no sample will ever hold it."""
    return hash_of(decided) * _probability(decided) >= HELD_OUT


def traffic(store: "Store") -> "Iterator[Decided]":
    """All logged decisions, oldest first."""
    page = store.decisions(limit=_PAGE)
    while page:
        yield from page
        page = store.decisions(after=page[-1].id, limit=_PAGE)


def right(decided: "Decided", verdict: "Verdict") -> bool:
    """Whether the verdict is that the first candidate is the item."""
    return verdict.kind == "item" and verdict.item_id == decided.item_id


def query_table(decided: "Sequence[Decided]") -> pa.Table:
    """The columns of logged queries, and the ids of the decisions as `id`."""
    rows = [
        {**{k: v for k, v in one.query.items() if k != "split"}, "id": one.id} for one in decided
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise InputError(
            f"a column of the logged queries has values of several types ({error}); log one type"
        ) from error


def pair_table(pairs: Sequence[tuple[str, str]]) -> pa.Table:
    """Pairs of ids as a table."""
    columns = zip(*pairs, strict=True) if pairs else ((), ())
    query, item = (pa.array(list(column), pa.string()) for column in columns)
    return pa.table({"query_id": query, "item_id": item})


def _probability(decided: "Decided") -> float:
    return decided.audit_probability if decided.decision == "accept" else 1.0
