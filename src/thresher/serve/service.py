"""The service: one live retriever, its store, and what is in force; HTTP and pages call it."""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thresher.changed_items import item_rows
from thresher.decide.guard import Action
from thresher.decide.policy import NoThreshold
from thresher.errors import InputError
from thresher.review import Answer, Case, Decided, Store, Unavailable, Verdict
from thresher.serve.answering import Rules, matched, searched
from thresher.serve.batching import Job, Worker
from thresher.serve.guarding import GUARD, guarded, in_force, tell
from thresher.serve.live import Live
from thresher.serve.metrics import Metrics
from thresher.serve.options import ServiceOptions

LOG = logging.getLogger("thresher.serve")
SECOND_OPINION = 0.05  # of all cases, where nobody ever said otherwise
REFRESH_SECONDS = 1.0
LIVE_SECONDS = 60.0  # that a change of items may take to be live


@dataclass
class _Logged:
    """Answers that wait to be written, with what to remember of each request."""

    job: Job
    decided: list[Decided]

    @property
    def size(self) -> int:
        return len(self.decided)


class Service:
    """Answers queries from an artifact, keeps what was decided, and hands cases to people.

    Args:
        folder: the artifact.
        store: of decisions, cases and items.
        options: limits and rates.

    Raises:
        InputError: for an artifact that cannot be served.
    """

    def __init__(
        self,
        folder: str | Path,
        store: Store,
        options: ServiceOptions | None = None,
    ) -> None:
        self.folder, self.store = Path(folder), store
        self.options = options or ServiceOptions()
        self.metrics = Metrics()
        self.live = Live.open(self.folder, store.items_since())
        self.previous: Live | None = None
        self._settings: dict[str, Any] = {}
        self._judged = True  # whether the guard has verdicts to look at
        self._changing = threading.Lock()  # one change of `live` at a time
        self._applied = threading.Condition()
        self._wake, self._ended = threading.Event(), threading.Event()
        given, before = self.options.second_opinion, store.settings("second_opinion")
        share = given if given is not None else SECOND_OPINION if before is None else before
        if share != before:
            store.set("second_opinion", share, reason="the service's option")
        self.refresh()
        self._log = Worker[_Logged]("log", self._write, most=self.options.max_waiting)
        self._answer = Worker[Job](
            "answer",
            self._run,
            most=self.options.max_batch,
            waiting=self.options.max_waiting,
        )
        self._keeper = threading.Thread(target=self._keep_up, name="keeper", daemon=True)
        self._keeper.start()

    def close(self) -> None:
        """Answer what waits, then end the threads; the store stays open."""
        self._answer.close()
        self._log.close()
        self._ended.set()
        self._wake.set()
        self._keeper.join(30)

    # Answering

    def submit(
        self,
        kind: str,
        rows: Sequence[Mapping[str, Any]],
        k: int,
        *,
        client: str = "",
        finish: Callable[[Any], Any] | None = None,
    ) -> "Future[Any]":
        """Have queries answered with others; `match` and `search` wait for it.

        Args:
            kind: "match" or "search".
            rows: columns of each query; `id` is the client's own.
            k: candidates a query.
            client: name of the key that asks.
            finish: client, idempotency key and answer to remember, from what was decided.

        Raises:
            Busy: when too many queries wait.
            InputError: for no query, or two of one id.
        """
        if not rows:
            raise InputError("there is no query; give at least one")
        named = [row["id"] for row in rows if "id" in row]
        for name in named:
            if isinstance(name, bool) or not isinstance(name, str | int) or name == "":
                raise InputError(
                    f"the id of a query is {name!r}; give a text or a whole number, or leave it out"
                )
        given = [str(name) for name in named]
        if len(set(given)) < len(given):
            raise InputError("two queries have the same id; give each its own, or none")
        job = Job(kind, [dict(row) for row in rows], k, client, finish)
        self._answer.put(job)
        self.metrics.waiting.set(self._answer.waiting)
        return job.future

    def match(
        self, queries: Sequence[Mapping[str, Any]], client: str = "", top: int | None = None
    ) -> list[Decided]:
        """Decide on queries and log it: what was decided on each, in order."""
        return self.submit("match", queries, top or self.options.top, client=client).result()

    def search(
        self, queries: Sequence[Mapping[str, Any]], k: int = 10
    ) -> list[list[dict[str, Any]]]:
        """The closest items of each query: `item_id`, `item`, `score`, best first."""
        return self.submit("search", queries, k).result()

    def query_of(self, text: str) -> dict[str, Any]:
        """A text as a query: the first text column takes it whole."""
        if not self.live.retriever.catalogue.query_text:
            raise InputError("this model reads no text; give an object with the query's columns")
        first, *others = self.live.columns
        return {first: text, **dict.fromkeys(others)}

    # What is in force

    def rules(self, live: Live | None = None) -> Rules:
        """What is in force beside the policy."""
        live, given = live or self.live, self._settings
        changed, most = len(live.touched), self.changed_limit(live)
        own = in_force(given.get(GUARD), live)
        stopped = given.get("stopped") or own.get("stopped") or None
        if isinstance(live.policy, NoThreshold):
            stopped = "no threshold is certified"
        elif live.emptied:
            stopped = (
                "the stored changes leave no item, so they are ignored; add items, or deploy an "
                "artifact over the present catalogue"
            )
        elif stopped is None and changed > most:
            stopped = (
                f"{changed} items have changed since certification, more than {most}; calibrate "
                "again on the present catalogue"
            )
        rate = given.get("audit_rate")
        return Rules(
            self.options.audit_rate if rate is None else float(rate),
            _highest(given.get("threshold"), own.get("threshold")),
            stopped,
        )

    def changed_limit(self, live: Live) -> int:
        """Items that may have changed before nothing is accepted any more."""
        return self.options.changed_limit(len(live.base.items))

    def set(self, name: str, value: Any, *, reason: str, by: str = "") -> None:
        """Change a live setting: "threshold", "stopped" (why), "audit_rate", or "guard" (None).

        Lifting what the guard did has it begin again: it reads the verdicts from then on.
        """
        if name == GUARD and value is None:
            at = self.store.clock()
            value = {"policy": self.live.policy_id, "at": at, "threshold": None, "stopped": None}
        self.store.set(name, value, reason=reason, by=by)
        self.refresh()

    def refresh(self) -> None:
        """Read the live settings, which another replica may have changed."""
        self._settings = self.store.all_settings()
        self.metrics.changed_items.set(len(self.live.touched))

    # Cases

    def lease(self, reviewer: str, **how: Any) -> Case | None:
        """The next case of a reviewer; see `Store.lease`."""
        return self.store.lease(reviewer, seconds=self.options.lease_seconds, **how)

    def verdict(self, case_id: str, **said: Any) -> Verdict:
        """Keep a verdict, and let the guard look at it; see `Store.verdict`.

        Raises:
            InputError: for an item that neither the catalogue nor the case has.
        """
        item = said.get("item_id")
        if item is not None and not self.live.rows([item]):
            offered = self.store.case(case_id).decision.candidates
            if item not in {one["item_id"] for one in offered}:
                raise InputError(f"there is no item {item!r} in the catalogue; search for the item")
        given = self.store.verdict(case_id, **said)
        self.metrics.verdicts.labels(given.kind, given.source).inc()
        self._judged = True
        return given

    def undo(self, case_id: str, reviewer: str) -> Verdict | None:
        """Take a verdict back; see `Store.undo`."""
        event = self.store.undo(case_id, reviewer)
        self._judged = True
        return event

    def look(self) -> Action | None:
        """Have the guard look at the verdicts, and do what it says; None where it has no say."""
        self._judged, live = False, self.live
        action = guarded(live, self.store)
        if action is not None and action.kind != "keep":
            told: dict[str, Any] = {
                "policy": live.policy_id,
                "at": self.store.clock(),
                "threshold": action.threshold,
                "stopped": action.reason if action.kind == "stop" else None,
            }
            self.set(GUARD, told, reason=action.reason, by=GUARD)
            LOG.warning("%s", action.reason)
            tell(self.options.webhook, {"event": action.kind, "reason": action.reason, **told})
        return action

    # Items

    def upsert(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Add or change items; they are on the disk and live when this returns.

        Raises:
            InputError: for a column or value that the catalogue cannot hold; nothing is changed.
        """
        item_rows(self.live.retriever.catalogue, rows)
        return self._until_live(self.store.upsert(rows))

    def delete(self, item_ids: Sequence[str]) -> int:
        """Remove items; unknown ids change nothing.

        Raises:
            InputError: when no item would be left, of all that any replica has stored.
        """
        catalogue = self.live.base.items["id"].to_pylist()
        return self._until_live(self.store.delete(item_ids, catalogue))

    def _until_live(self, version: int) -> int:
        self._wake.set()
        with self._applied:
            if not self._applied.wait_for(lambda: self.live.version >= version, LIVE_SECONDS):
                raise Unavailable("the change is kept but not live yet; it will be")
        return version

    def _keep_up(self) -> None:
        """Follow the store: items and settings that this or another replica changed."""
        while not self._ended.is_set():
            self._wake.wait(REFRESH_SECONDS)
            self._wake.clear()
            try:
                self._apply_items()
                self.refresh()
                if self._judged:
                    self.look()
            except Unavailable as error:
                LOG.warning("%s", error)
            except Exception:
                LOG.exception("the service cannot follow its store")

    def _apply_items(self) -> None:
        with self._changing:
            following = self.live.following(self.store)
            if following is self.live:
                return
            self.live = following
        with self._applied:
            self._applied.notify_all()

    # Artifacts

    def reload(self) -> Live:
        """Open the artifact again beside the live one, check it, and swap.

        Raises:
            InputError: for one that cannot be served; the live one goes on.
        """
        with self._changing:
            fresh = Live.open(self.folder, self.store.items_since())
            self.previous, self.live = self.live, fresh
        self.store.set("artifact", fresh.index, reason="reloaded")
        return fresh

    def roll_back(self) -> Live:
        """Swap the artifact before the last reload in again; InputError where there is none."""
        with self._changing:
            if self.previous is None:
                raise InputError("no artifact was live before this one; there is nothing to go to")
            back = self.previous.following(self.store)
            self.previous, self.live = self.live, back
        self.store.set("artifact", back.index, reason="rolled back")
        return back

    # State

    def ready(self) -> str | None:
        """Why requests cannot be answered now; None where they can."""
        if not (self._answer.alive and self._log.alive):
            return "the service is ending"
        try:
            self.store.items_version()
        except Unavailable as error:
            return str(error)
        return None

    # The threads

    def _run(self, jobs: list[Job]) -> None:
        live, at = self.live, self.store.clock()
        self.metrics.batch.observe(sum(job.size for job in jobs))
        for kind in ("search", "match"):
            own = [job for job in jobs if job.kind == kind]
            if own:
                self._together(kind, live, own, at)

    def _together(self, kind: str, live: Live, jobs: list[Job], at: float) -> None:
        """Answer requests in one call; where that fails, each by itself."""
        try:
            ids = [str(row["id"]) for job in jobs for row in job.rows if "id" in row]
            if len(jobs) > 1 and len(set(ids)) < len(ids):
                raise InputError("two requests have queries of one id")
            if kind == "search":
                for job, found in zip(jobs, searched(live, jobs), strict=True):
                    job.future.set_result(found)
                return
            for job, decided in zip(jobs, matched(live, self.rules(live), jobs, at), strict=True):
                self._log.put(_Logged(job, decided))
        except Exception as error:
            if len(jobs) == 1:
                jobs[0].future.set_exception(error)
                return
            for job in jobs:
                self._together(kind, live, [job], at)

    def _write(self, batch: list[_Logged]) -> None:
        try:
            answers: list[tuple[str, str, Answer]] = [
                one.job.finish(one.decided) for one in batch if one.job.finish is not None
            ]
            self.store.log([d for one in batch for d in one.decided], answers=answers)
        except Exception as error:
            if len(batch) > 1:  # what is wrong with one request is nobody else's
                for one in batch:
                    self._write([one])
                return
            batch[0].job.future.set_exception(error)
            return
        for one in batch:
            for decided in one.decided:
                self.metrics.decisions.labels(decided.decision).inc()
            with contextlib.suppress(Exception):  # the client has gone
                one.job.future.set_result(one.decided)


def _highest(*thresholds: float | None) -> float | None:
    return max((one for one in thresholds if one is not None), default=None)
