"""The guard at work: verdicts on audits tighten the threshold or end accepting, and say why."""

import json
import logging
import threading
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np

from thresher.decide.guard import Action, guard, stricter_thresholds
from thresher.decide.policy import Policy
from thresher.errors import InputError
from thresher.review import Decided, Store, Verdict
from thresher.serve.live import Live

LOG = logging.getLogger("thresher.serve")
GUARD = "guard"
WEBHOOK_SECONDS = 5.0


def guarded(live: Live, store: Store) -> Action | None:
    """What the audits call for, of answers accepted since the present threshold is in force.

    A reviewer who is not sure leaves the answer to a second one; where that one is not sure either,
    it counts as wrong.

    Returns:
        None where nothing is certified, or nothing is accepted any more.
    """
    policy = live.policy
    bars = _bars(policy) if isinstance(policy, Policy) else []
    before = in_force(store.settings(GUARD), live)
    if not isinstance(policy, Policy) or not bars or before.get("stopped"):
        return None
    at = float(before.get("at", 0.0))
    threshold = max(min(bars), before.get("threshold") or min(bars))
    judged = store.judged(decision="accept")
    seen = [
        (one, right)
        for one, verdict in sorted(judged, key=lambda pair: pair[1].at)
        if one.policy == live.policy_id
        and one.at >= at
        and verdict.source == "person"
        and (right := _right(one, verdict, store)) is not None
    ]
    decision = live.base.decision
    known = np.empty(0) if decision is None else decision.outcomes.confidence
    return guard(
        [one.confidence if one.confidence is not None else -np.inf for one, _ in seen],
        np.array([right for _, right in seen], bool),
        [one.audit_probability for one, _ in seen],
        target=policy.target_precision,
        threshold=threshold,
        confidence_level=policy.confidence_level,
        stricter=stricter_thresholds(known, threshold),
    )


def in_force(setting: Any, live: Live) -> Mapping[str, Any]:
    """What the guard did, where it did it to the present policy."""
    own = isinstance(setting, Mapping) and setting.get("policy") == live.policy_id
    return setting if own else {}


def _bars(policy: Policy) -> list[float]:
    every = [policy, *policy.segments.values()]
    return [one.accept_at for one in every if one.accept_at is not None]


def _right(one: Decided, verdict: Verdict, store: Store) -> bool | None:
    """Whether an accepted answer was right; None where that is not known yet."""
    if verdict.kind == "not_sure":
        return False if store.case(verdict.case_id).reason == "second" else None
    return verdict.kind == "item" and verdict.item_id == one.item_id


def check_webhook(url: str | None) -> None:
    """InputError for an address that is none of the web."""
    if url is not None and not url.startswith(("http://", "https://")):
        raise InputError(f"the webhook is {url!r}; give an address that begins with https://")


def tell(url: str | None, message: Mapping[str, Any]) -> None:
    """Post a message to the webhook; a webhook that fails is logged and holds nothing up."""
    if url is None:
        return
    request = urllib.request.Request(  # noqa: S310 - checked by `check_webhook`
        url,
        json.dumps(message).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )

    def send() -> None:
        try:
            with urllib.request.urlopen(request, timeout=WEBHOOK_SECONDS):  # noqa: S310
                pass
        except OSError as error:
            LOG.warning("the webhook cannot be told (%s): %s", error, message)

    threading.Thread(target=send, name="webhook", daemon=True).start()
