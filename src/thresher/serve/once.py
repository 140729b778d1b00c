"""Requests that may be sent twice and are answered once."""

import hashlib
from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import Header
from starlette.responses import Response

from thresher.review import Answer, Key
from thresher.serve import models
from thresher.serve.service import Service

IdempotencyKey = Annotated[
    str | None,
    Header(max_length=200, pattern=r"^[\x21-\x7e]+$", description="The answer is given once."),
]


def respond(value: Any, status: int = 200) -> Response:
    """A JSON response, made without a second look at what we made ourselves."""
    return Response(orjson.dumps(value), status, media_type="application/json")


class Once:
    """A request with an idempotency key: the first answer is kept, and given again for a day."""

    def __init__(
        self, service: Service, key: Key, given: str | None, what: str, request: models.Strict
    ) -> None:
        self._store, self.client = service.store, f"{key.id} {key.name}"
        self.key = "" if given is None else given
        text = f"{what} {request.model_dump_json()}"
        self._digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def before(self) -> Response | None:
        """The answer that this request had; None for a new one, which is claimed."""
        answer = self._store.once(self.client, self.key, self._digest)
        return None if answer is None else respond(answer.body, answer.status)

    def forget(self) -> None:
        """Let a request that failed be tried again."""
        self._store.forget(self.client, self.key)

    def run(self, answer: Callable[[], Any]) -> Response:
        """Answer, or repeat the earlier answer."""
        if not self.key:
            return respond(answer())
        if (before := self.before()) is not None:
            return before
        try:
            body = answer()
        except Exception:
            self.forget()
            raise
        self._store.remember(self.client, self.key, Answer(200, body))
        return respond(body)
