"""Around every request: its size is limited, and its time is measured."""

import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thresher.serve.metrics import Metrics
from thresher.serve.problems import problem


class _TooLargeError(Exception):
    pass


class Limits:
    """ASGI middleware: 413 for a body beyond the limit, before it is read into memory.

    Args:
        app: what answers.
        metrics: that count requests and their time, by route.
        most: bytes of a body.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, most: int) -> None:
        self._app, self._metrics, self._most = app, metrics, most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, seen = time.perf_counter(), {"status": 500, "bytes": 0}
        most = self._most

        async def limited() -> Message:
            message = await receive()
            seen["bytes"] += len(message.get("body", b""))
            if seen["bytes"] > most:
                raise _TooLargeError
            return message

        async def answered(message: Message) -> None:
            # The reader of the body takes our refusal for a broken one: its answer is not sent.
            if seen["bytes"] > most:
                raise _TooLargeError
            await counted(message)

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
            await send(message)

        refusal = problem(413, f"the body is larger than {most} bytes; send it in parts")
        try:
            if _length(scope) > most:
                await refusal(scope, receive, counted)
            else:
                await self._app(scope, limited, answered)
        except _TooLargeError:
            await refusal(scope, receive, counted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(scope["method"], route, seen["status"]).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)


def _length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return 0
