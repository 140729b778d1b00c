"""The routes of clients: match, search, items."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from thresher.errors import InputError
from thresher.review import Answer, Decided, Key
from thresher.serve import models
from thresher.serve.once import IdempotencyKey, Once, respond
from thresher.serve.security import CLIENT, REVIEWER, Guardian
from thresher.serve.service import Service


def match_routes(service: Service, guardian: Guardian) -> APIRouter:
    """`POST /match` and `/search`."""
    routes = APIRouter()
    may_match, may_search = guardian.allow(CLIENT), guardian.allow(CLIENT, REVIEWER)

    @routes.post("/v1/match", response_model=models.MatchAnswer)
    async def match(
        request: models.MatchRequest,
        key: Annotated[Key, Depends(may_match)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Find the item of each query, and accept it or give it to a person."""
        rows = _rows(service, request.queries)
        texts = any(isinstance(one, str) for one in request.queries)
        left_empty = list(service.live.columns[1:]) if texts else []

        def answer(decided: Sequence[Decided]) -> dict[str, Any]:
            return {**_answer(service, decided), "left_empty": left_empty}

        if idempotency_key is None:
            decided = await asyncio.wrap_future(
                service.submit("match", rows, request.top, client=key.name)
            )
            return respond(answer(decided))
        once = Once(service, key, idempotency_key, "match", request)
        if (before := await asyncio.to_thread(once.before)) is not None:
            return before

        def finish(decided: list[Decided]) -> tuple[str, str, Answer]:
            return once.client, once.key, Answer(200, answer(decided))

        try:
            future = service.submit("match", rows, request.top, client=key.name, finish=finish)
            decided = await asyncio.wrap_future(future)
        except Exception:
            await asyncio.to_thread(once.forget)
            raise
        return respond(answer(decided))

    @routes.post("/v1/search", response_model=models.SearchAnswer)
    async def search(
        request: models.SearchRequest, key: Annotated[Key, Depends(may_search)]
    ) -> Response:
        """The closest items of each query; nothing is decided or logged."""
        rows = _rows(service, request.queries)
        return respond(
            {"results": await asyncio.wrap_future(service.submit("search", rows, request.k))}
        )

    return routes


def item_routes(service: Service, guardian: Guardian) -> APIRouter:
    """`PUT` and `DELETE /items`."""
    routes = APIRouter()
    may = guardian.allow(CLIENT)

    def changed(version: int) -> dict[str, Any]:
        return {"version": version, "changed_items": len(service.live.touched)}

    @routes.put("/v1/items", response_model=models.Changed)
    def upsert(
        request: models.ItemsRequest,
        key: Annotated[Key, Depends(may)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Add items, or replace their rows; they are on the disk and live with the answer."""
        _check_rows(service, request.items, "items")
        once = Once(service, key, idempotency_key, "upsert", request)
        return once.run(lambda: changed(service.upsert(request.items)))

    @routes.delete("/v1/items", response_model=models.Changed)
    def delete(
        request: models.DeleteRequest,
        key: Annotated[Key, Depends(may)],
        idempotency_key: IdempotencyKey = None,
    ) -> Response:
        """Remove items; unknown ids change nothing."""
        _check_rows(service, request.ids, "ids")
        once = Once(service, key, idempotency_key, "delete", request)
        return once.run(lambda: changed(service.delete(request.ids)))

    return routes


def _rows(service: Service, queries: Sequence[str | dict[str, Any]]) -> list[dict[str, Any]]:
    _check_rows(service, queries, "queries")
    return [service.query_of(one) if isinstance(one, str) else one for one in queries]


def _check_rows(service: Service, rows: Sequence[Any], name: str) -> None:
    most = service.options.max_rows
    if len(rows) > most:
        raise InputError(f"{name} holds {len(rows)} rows; send at most {most} in one request")


def _answer(service: Service, decided: Sequence[Decided]) -> dict[str, Any]:
    first, rules = decided[0], service.rules()
    return {
        "model": first.model,
        "index": first.index,
        "policy": first.policy,
        "accepting": rules.stopped is None,
        "reason": rules.stopped,
        "changed_items": len(service.live.touched),
        "results": [
            {
                "id": one.id,
                "query_id": one.query_id,
                "decision": one.decision,
                "item_id": one.item_id,
                "score": one.score,
                "confidence": one.confidence,
                "threshold": one.threshold,
                "candidates": one.candidates,
            }
            for one in decided
        ],
    }
