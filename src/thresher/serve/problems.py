"""Errors as RFC 9457 problem details: what was wrong, where, and how to mend it."""

import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from thresher.errors import InputError
from thresher.review import Conflict, Unavailable, Unknown
from thresher.serve.batching import Busy

LOG = logging.getLogger("thresher.serve")
UNREAD = "the request cannot be used; see `errors`"


def problem(
    status: int,
    detail: str,
    *,
    errors: Sequence[dict[str, str]] = (),
    headers: dict[str, str] | None = None,
) -> Response:
    """A problem as `application/problem+json`."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        body["errors"] = list(errors)
    return Response(
        orjson.dumps(body), status, headers=headers, media_type="application/problem+json"
    )


def add_problems(app: FastAPI) -> None:
    """Answer every error with a problem."""

    async def unread(_: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        faults = [
            {"field": ".".join(map(str, one["loc"])), "reason": _reason(one)} for one in found[:20]
        ]
        return problem(422, UNREAD, errors=faults)

    async def http(_: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code == 400 and error.__cause__ is not None:  # the body cannot be parsed
            return problem(422, UNREAD, errors=[_unparsed(error.__cause__)])
        return problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))

    async def own(_: Request, error: Exception) -> Response:
        if isinstance(error, Busy):
            return problem(429, str(error), headers={"Retry-After": str(error.seconds)})
        if isinstance(error, Unavailable):
            return problem(503, str(error), headers={"Retry-After": "1"})
        status = 409 if isinstance(error, Conflict) else 404 if isinstance(error, Unknown) else 422
        return problem(status, str(error))

    async def ours(request: Request, error: Exception) -> Response:
        LOG.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "a fault of the service, not yours; it is in the log")

    app.add_exception_handler(RequestValidationError, unread)
    app.add_exception_handler(HTTPException, http)
    for kind in (InputError, Conflict, Unavailable, Busy):
        app.add_exception_handler(kind, own)
    app.add_exception_handler(Exception, ours)


def _reason(error: dict[str, Any]) -> str:
    if error["type"] == "json_invalid":
        return f"not JSON from this character on: {error['ctx']['error']}"
    return str(error["msg"])


def _unparsed(cause: BaseException) -> dict[str, str]:
    """Why a body could not even be read as text, or as values."""
    if isinstance(cause, UnicodeDecodeError):
        return {"field": f"body.{cause.start}", "reason": "not UTF-8 from this byte on"}
    if isinstance(cause, RecursionError):
        return {"field": "body", "reason": "lists or objects stand in each other too deep"}
    return {"field": "body", "reason": f"cannot be read: {cause}"}
