"""Where a request comes from: pages of other sites change nothing, and who names this machine."""

import re
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from thresher.serve.problems import problem

READING = ("GET", "HEAD", "OPTIONS")
_LOCAL = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?", re.IGNORECASE)


def is_local(host: str) -> bool:
    """Whether a Host header names this machine, and no more than it and a port."""
    found = _LOCAL.fullmatch(host)
    return found is not None and 0 < int(found[1] or 80) < 65_536


class SameSite:
    """ASGI middleware: 403 for a change that a page of another site asks for without a key.

    A browser sends `Sec-Fetch-Site` or `Origin`, and no page can alter them; other clients send
    neither. A page of another site knows no key, so that a request with one passes.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["method"] not in READING and _is_foreign(scope):
            refusal = problem(403, "a page of another site may change nothing; give an API key")
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_foreign(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if headers.get("authorization", "").lower().startswith("bearer "):
        return False
    if site is not None and site != "same-site":  # one host may have pages of another port
        return site not in ("same-origin", "none")
    if origin is None:
        return False
    try:
        return urlsplit(origin).netloc.lower() != headers.get("host", "").lower()
    except ValueError:  # no address at all
        return True
