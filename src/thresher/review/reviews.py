"""Cases are leased to people; verdicts are events that are never overwritten."""

from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from thresher.errors import InputError
from thresher.review.database import Database
from thresher.review.decisions import COLUMNS, open_case
from thresher.review.records import (
    KINDS,
    LABEL,
    PERSON,
    Agreement,
    Case,
    Conflict,
    Decided,
    Unknown,
    Verdict,
    new_id,
)
from thresher.review.schema import cases, decisions, verdicts
from thresher.review.settings import in_force

ORDERS = ("uncertainty", "age")
LEASE_SECONDS = 600.0
_CASE = [part.name for part in fields(Case) if part.name != "decision"]
_VERDICT = [part.name for part in fields(Verdict)]
_taken_back = verdicts.alias("taken_back")
_IN_FORCE = sa.and_(
    verdicts.c.kind != "undo",
    ~sa.exists().where(_taken_back.c.undoes == verdicts.c.id),
)


class Reviews:
    """The part of the store that hands cases to people and keeps what they say."""

    database: Database
    clock: Callable[[], float]

    def cases(
        self, queue: str | None = None, status: str | None = "open", limit: int = 100
    ) -> list[Case]:
        """Cases, oldest first; of one reason, and of one status unless it is None."""
        query = _select_cases().order_by(cases.c.opened_at, cases.c.number).limit(limit)
        if queue is not None:
            query = query.where(cases.c.reason == queue)
        if status is not None:
            query = query.where(cases.c.status == status)
        with self.database.read() as connection:
            return [_case(row) for row in connection.execute(query).mappings()]

    def case(self, case_id: str) -> Case:
        """One case; Unknown for an unknown id."""
        with self.database.read() as connection:
            return _one_case(connection, case_id)

    def lease(
        self,
        reviewer: str,
        *,
        queue: str | None = None,
        order: str = "uncertainty",
        segment: str | None = None,
        seconds: float = LEASE_SECONDS,
    ) -> Case | None:
        """Hand a case to a reviewer, who alone may judge it until the lease ends.

        A reviewer who still holds one gets it again. Nobody gets a case of a decision that they
        have skipped or judged.

        Args:
            reviewer: who.
            queue: reason of the case; any when left out.
            order: "uncertainty" (audits and second opinions first, as the guard waits for them,
                then the nearest to the threshold) or "age".
            segment: of the decision; any when left out.
            seconds: after which the case is free again.

        Returns:
            The case; None where there is none.
        """
        if order not in ORDERS:
            raise InputError(f"order is {order!r}; give {' or '.join(map(repr, ORDERS))}")
        now, mine = self.clock(), cases.c.leased_to == reviewer
        judged = sa.exists().where(
            verdicts.c.decision_id == cases.c.decision_id,
            verdicts.c.reviewer == reviewer,
            _IN_FORCE,
        )
        free = sa.or_(cases.c.leased_to.is_(None), cases.c.leased_until <= now)
        uncertain = (cases.c.reason.not_in(("audit", "second")), cases.c.distance)
        ranked = uncertain if order == "uncertainty" else (cases.c.opened_at,)
        query = sa.select(cases.c.id).where(cases.c.status == "open", ~judged)
        if queue is not None:
            query = query.where(cases.c.reason == queue)
        if segment is not None:
            query = query.where(cases.c.segment == segment)
        query = query.order_by(*ranked, cases.c.number).limit(1)
        # Other replicas may lease at the same time: they pass over a row that one is about to take.
        query = query.with_for_update(skip_locked=True, of=cases)
        with self.database.write() as connection:
            found = connection.scalar(query.where(mine, cases.c.leased_until > now))
            if found is None:
                found = connection.scalar(query.where(free))
            if found is None:
                return None
            connection.execute(
                sa.update(cases)
                .where(cases.c.id == found)
                .values(leased_to=reviewer, leased_until=now + seconds)
            )
            return _one_case(connection, found)

    def release(self, case_id: str, reviewer: str) -> bool:
        """End a lease early; False where the reviewer has none."""
        with self.database.write() as connection:
            done = connection.execute(
                sa.update(cases)
                .where(cases.c.id == case_id, cases.c.leased_to == reviewer)
                .values(leased_to=None, leased_until=None)
            )
        return bool(done.rowcount)

    def verdict(
        self,
        case_id: str,
        *,
        reviewer: str,
        kind: str,
        item_id: str | None = None,
        source: str = PERSON,
        seconds: float | None = None,
    ) -> Verdict:
        """Keep what a reviewer says; given again, the same verdict is the same event.

        A person's verdict closes the case. "skip" leaves it to others, and "not_sure" opens it once
        more for another person, as does the share `second_opinion` of all others. What a source
        other than people says is kept beside and closes nothing.

        Raises:
            Unknown: for an unknown case.
            InputError: for an unknown kind, or a kind "item" without its item.
            Conflict: when the case is done, or leased to another reviewer.
        """
        _check(reviewer, kind, item_id, source)
        now = self.clock()
        said: dict[str, Any] = {
            "reviewer": reviewer,
            "kind": kind,
            "item_id": item_id,
            "source": source,
        }
        with self.database.write("verdicts") as connection:
            # The case's row is locked first: of two verdicts at once one waits for the other.
            case = _one_case(connection, case_id, lock=True)
            if kind == "label_wrong" and case.decision.decision != LABEL:
                raise InputError(
                    "'label_wrong' is about a suspected label, and this case has none; give "
                    "'none', or the right item"
                )
            before = _latest(connection, case_id, reviewer)
            if before is not None and said == {name: getattr(before, name) for name in said}:
                return before
            if source == PERSON:
                _claim(connection, case, reviewer, now, closes=kind != "skip")
            given = Verdict(
                id=new_id(),
                case_id=case_id,
                decision_id=case.decision.id,
                at=now,
                seconds=seconds,
                **said,
            )
            connection.execute(sa.insert(verdicts).values(**_values(given)))
            if source == PERSON and _wants_second(connection, case, given):
                again = open_case(case.decision, "second", now, case.label)
                connection.execute(sa.insert(cases).values(**again))
        return given

    def undo(self, case_id: str, reviewer: str) -> Verdict | None:
        """Take back the reviewer's latest verdict on a case by a further event; open it again.

        Returns:
            The event, or None where the reviewer has said nothing that is in force.
        """
        with self.database.write("verdicts") as connection:
            _one_case(connection, case_id, lock=True)
            before = _latest(connection, case_id, reviewer)
            if before is None:
                return None
            event = Verdict(
                id=new_id(),
                case_id=case_id,
                decision_id=before.decision_id,
                at=self.clock(),
                reviewer=reviewer,
                kind="undo",
                source=before.source,
                undoes=before.id,
            )
            connection.execute(sa.insert(verdicts).values(**_values(event)))
            if before.source == PERSON and before.kind != "skip":
                connection.execute(
                    sa.update(cases)
                    .where(cases.c.id == case_id)
                    .values(status="open", leased_to=None, leased_until=None)
                )
        return event

    def verdicts(
        self, after: str | None = None, source: str | None = None, *, in_force: bool = True
    ) -> list[Verdict]:
        """Verdicts in the order they were given, skipped cases among them.

        Args:
            after: id of the last one seen.
            source: "person" or another; all when left out.
            in_force: leave out what was taken back, and the events that did so.
        """
        query = _select_verdicts().order_by(verdicts.c.number)
        if in_force:
            query = query.where(_IN_FORCE)
        if source is not None:
            query = query.where(verdicts.c.source == source)
        if after is not None:
            seen = sa.select(verdicts.c.number).where(verdicts.c.id == after)
            query = query.where(verdicts.c.number > seen.scalar_subquery())
        with self.database.read() as connection:
            return [Verdict(**row) for row in connection.execute(query).mappings()]

    def judged(
        self, since: float | None = None, *, decision: str | None = None
    ) -> list[tuple[Decided, Verdict]]:
        """Each judged decision of the traffic and the verdict that holds, in the log's order.

        People come before other sources, an answer before "not_sure", then the latest wins.

        Args:
            since: only verdicts from this time on, UTC seconds.
            decision: "accept" or "review"; both when left out.
        """
        query = (
            sa.select(*COLUMNS, *_renamed(verdicts, _VERDICT))
            .join(verdicts, verdicts.c.decision_id == decisions.c.id)
            .where(_IN_FORCE, verdicts.c.kind != "skip", decisions.c.decision != LABEL)
            .order_by(decisions.c.number, verdicts.c.number)
        )
        if since is not None:
            query = query.where(verdicts.c.at >= since)
        if decision is not None:
            query = query.where(decisions.c.decision == decision)
        found: dict[str, tuple[Decided, Verdict]] = {}
        with self.database.read() as connection:
            for row in connection.execute(query).mappings():
                one = Decided(**{column.name: row[column.name] for column in COLUMNS})
                given = Verdict(**{name: row[f"own_{name}"] for name in _VERDICT})
                if one.id not in found or _weight(given) >= _weight(found[one.id][1]):
                    found[one.id] = (one, given)
        return list(found.values())

    def agreement(self) -> Agreement:
        """Cohen's kappa over the decisions that two people judged, by their first answers."""
        query = (
            sa.select(
                verdicts.c.decision_id,
                verdicts.c.reviewer,
                verdicts.c.kind,
                verdicts.c.item_id,
                decisions.c.item_id.label("proposed"),
            )
            .join(decisions, verdicts.c.decision_id == decisions.c.id)
            .where(_IN_FORCE, verdicts.c.kind != "skip", verdicts.c.source == PERSON)
            .order_by(verdicts.c.number)
        )
        said: dict[str, dict[str, str]] = {}
        with self.database.read() as connection:
            for row in connection.execute(query):
                answer = row.kind if row.item_id is None else f"item {row.item_id}"
                if row.kind == "item" and row.item_id == row.proposed:
                    answer = "proposed"
                said.setdefault(row.decision_id, {})[row.reviewer] = answer
        return kappa([tuple(by.values())[:2] for by in said.values() if len(by) > 1])

    def reviewers(self, since: float = 0.0) -> list[str]:
        """The people who have given a verdict since a time, by name."""
        own = (verdicts.c.source == PERSON, verdicts.c.at >= since)
        query = sa.select(verdicts.c.reviewer).where(*own).distinct()
        with self.database.read() as connection:
            return sorted(connection.scalars(query))

    def progress(self, reviewer: str, since: float = 0.0) -> dict[str, Any]:
        """How many verdicts a reviewer has given since a time, by kind, and in how many seconds."""
        query = (
            sa.select(verdicts.c.kind, sa.func.count(), sa.func.sum(verdicts.c.seconds))
            .where(_IN_FORCE, verdicts.c.reviewer == reviewer, verdicts.c.at >= since)
            .group_by(verdicts.c.kind)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        kinds = {kind: int(count) for kind, count, _ in rows}
        judged = sum(count for kind, count in kinds.items() if kind != "skip")
        return {"judged": judged, "seconds": sum(s or 0.0 for *_, s in rows), "kinds": kinds}

    def queue(self) -> dict[str, Any]:
        """Open cases: how many, how many are leased, the oldest's age in seconds, by reason."""
        now = self.clock()
        leased = sa.case((cases.c.leased_until > now, 1), else_=0)
        query = (
            sa.select(
                cases.c.reason,
                sa.func.count(),
                sa.func.sum(leased),
                sa.func.min(cases.c.opened_at),
            )
            .where(cases.c.status == "open")
            .group_by(cases.c.reason)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        oldest = min((first for *_, first in rows), default=None)
        return {
            "open": sum(int(count) for _, count, *_ in rows),
            "leased": sum(int(taken) for *_, taken, _ in rows),
            "oldest_seconds": None if oldest is None else max(0.0, now - oldest),
            "by_reason": {reason: int(count) for reason, count, *_ in rows},
        }


def kappa(pairs: list[tuple[str, ...]]) -> Agreement:
    """Cohen's kappa of pairs of answers; see `Agreement`."""
    n = len(pairs)
    if not n:
        return Agreement(0, None, None)
    observed = sum(a == b for a, b in pairs) / n
    first, second = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    chance = sum(first[answer] * second[answer] for answer in first) / n**2
    return Agreement(n, observed, (observed - chance) / (1 - chance) if chance < 1 else None)


def _check(reviewer: str, kind: str, item_id: str | None, source: str) -> None:
    for name, given in (("reviewer", reviewer), ("source", source)):
        if not given:
            raise InputError(f"a verdict needs a {name}; give a name")
    if kind not in KINDS:
        raise InputError(f"the kind of a verdict is {kind!r}; give {', '.join(KINDS)}, one of them")
    if kind == "item" and not item_id:
        raise InputError("a verdict of kind 'item' names the right item; give item_id")
    if kind not in ("item", "label_wrong") and item_id is not None:
        raise InputError(f"a verdict of kind {kind!r} names no item; leave item_id out")


def _claim(
    connection: sa.Connection, case: Case, reviewer: str, now: float, *, closes: bool
) -> None:
    """Close a case, or free it; Conflict where it is done or another reviewer has it."""
    if case.status != "open":
        raise Conflict("the case is done already; take the next one")
    held = case.leased_until is not None and case.leased_until > now
    if held and case.leased_to != reviewer:
        raise Conflict("the case is leased to another reviewer; take the next one")
    connection.execute(
        sa.update(cases)
        .where(cases.c.id == case.id)
        .values(status="done" if closes else "open", leased_to=None, leased_until=None)
    )


def _wants_second(connection: sa.Connection, case: Case, given: Verdict) -> bool:
    """Whether another person is to judge the same decision; once at most.

    An audit that finds an error always is: where reviewers err at 3 %, most errors that one of them
    finds among good answers are the reviewer's.
    """
    share = in_force(connection, "second_opinion") or 0.0
    drawn = int(case.id[:8], 16) / 2**32 < share
    agrees = given.kind == "item" and given.item_id == case.decision.item_id
    doubted = given.kind == "not_sure" or (case.reason == "audit" and not agrees)
    if given.kind == "skip" or case.reason == "second" or not (drawn or doubted):
        return False
    had = sa.select(cases.c.id).where(
        cases.c.decision_id == case.decision.id, cases.c.reason == "second"
    )
    return connection.scalar(had.limit(1)) is None


def _select_cases() -> sa.Select[Any]:
    own = [cases.c[name].label(f"own_{name}") for name in _CASE]
    return sa.select(*COLUMNS, *own).join(decisions, cases.c.decision_id == decisions.c.id)


def _select_verdicts() -> sa.Select[Any]:
    return sa.select(*[verdicts.c[name] for name in _VERDICT])


def _renamed(table: sa.Table, names: list[str]) -> list[Any]:
    return [table.c[name].label(f"own_{name}") for name in names]


def _case(row: Any) -> Case:
    one = Decided(**{column.name: row[column.name] for column in COLUMNS})
    return Case(decision=one, **{name: row[f"own_{name}"] for name in _CASE})


def _one_case(connection: sa.Connection, case_id: str, *, lock: bool = False) -> Case:
    query = _select_cases().where(cases.c.id == case_id)
    if lock:
        query = query.with_for_update(of=cases)
    row = connection.execute(query).mappings().one_or_none()
    if row is None:
        raise Unknown(f"there is no case {case_id!r}; give the id of one")
    return _case(row)


def _latest(connection: sa.Connection, case_id: str, reviewer: str) -> Verdict | None:
    """The reviewer's latest event on a case that is in force."""
    query = (
        _select_verdicts()
        .where(verdicts.c.case_id == case_id, verdicts.c.reviewer == reviewer, _IN_FORCE)
        .order_by(verdicts.c.number.desc())
        .limit(1)
    )
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else Verdict(**row)


def _values(given: Verdict) -> dict[str, Any]:
    return {name: getattr(given, name) for name in _VERDICT}


def _weight(given: Verdict) -> tuple[bool, bool]:
    return given.source == PERSON, given.kind != "not_sure"
