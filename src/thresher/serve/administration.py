"""The routes of operators: policy, artifacts, live settings, health, metrics."""

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from thresher.errors import InputError
from thresher.review import Key
from thresher.serve import models
from thresher.serve.once import respond
from thresher.serve.security import CLIENT, REVIEWER, Guardian
from thresher.serve.service import Service


def service_routes(service: Service, guardian: Guardian) -> APIRouter:
    """`/v1/policy`, `/v1/admin`, and what operators watch."""
    routes = APIRouter()
    anyone = guardian.allow(CLIENT, REVIEWER)
    admin = guardian.allow()

    @routes.get("/v1/policy")
    def policy(key: Annotated[Key, Depends(anyone)]) -> dict[str, Any]:
        """What is certified, what has changed since, and what is in force."""
        return policy_of(service)

    @routes.post("/v1/admin/reload")
    def reload(key: Annotated[Key, Depends(admin)]) -> dict[str, Any]:
        """Open the artifact's folder again, check it, and swap it in."""
        service.reload()
        return policy_of(service)

    @routes.post("/v1/admin/rollback")
    def roll_back(key: Annotated[Key, Depends(admin)]) -> dict[str, Any]:
        """Swap the artifact before the last reload in again."""
        service.roll_back()
        return policy_of(service)

    @routes.put("/v1/admin/settings")
    def settings(
        request: models.SettingRequest, key: Annotated[Key, Depends(admin)]
    ) -> dict[str, Any]:
        """Change what is in force; the reason stands in the events."""
        is_text = isinstance(request.value, str)
        wanted = is_text == (request.name == "stopped") and request.name != "guard"
        if request.value is not None and not wanted:
            raise InputError(
                "`stopped` takes the reason as text, `guard` null alone, to lift what it did; the "
                "others a share from 0 to 1; null takes any back"
            )
        service.set(request.name, request.value, reason=request.reason, by=key.name)
        return policy_of(service)

    @routes.get("/v1/admin/events")
    def events(
        key: Annotated[Key, Depends(admin)],
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[dict[str, Any]]:
        """The latest changes of what is in force."""
        return [asdict(event) for event in service.store.events(limit=limit)]

    _add_health(routes, service, anyone)
    return routes


def _add_health(
    routes: APIRouter, service: Service, anyone: Callable[[Request], Awaitable[Key]]
) -> None:
    @routes.head("/healthz", include_in_schema=False)
    @routes.get("/healthz")
    def alive() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @routes.head("/readyz", include_in_schema=False)
    @routes.get("/readyz")
    def ready() -> Response:
        """Requests can be answered: the artifact is live and the database there."""
        why = service.ready()
        if why is not None:
            return respond({"status": "not ready", "reason": why}, 503)
        return respond({"status": "ready"})

    @routes.get("/metrics")
    def metrics(key: Annotated[Key, Depends(anyone)]) -> Response:
        """Counters for Prometheus."""
        own, queue = service.metrics, service.store.queue()
        own.open_cases.clear()
        for reason, count in queue["by_reason"].items():
            own.open_cases.labels(reason).set(count)
        own.oldest_case.set(queue["oldest_seconds"] or 0)
        own.accepting.set(service.rules().stopped is None)
        return Response(own.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def policy_of(service: Service) -> dict[str, Any]:
    """What is certified, what has changed since, and what is in force, as JSON values."""
    live, rules = service.live, service.rules()
    return {
        "policy": live.policy.to_dict(),
        "sentence": live.policy.sentence(),
        "model": live.model,
        "index": live.index,
        "items": len(live.retriever.items),
        "changed_items": len(live.touched),
        "max_changed_items": service.changed_limit(live),
        "accepting": rules.stopped is None,
        "reason": rules.stopped,
        "threshold": rules.threshold,
        "audit_rate": rules.audit_rate,
    }
