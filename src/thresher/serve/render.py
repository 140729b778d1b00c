"""Templates, errors and headers of the pages: nothing on them runs but what the service ships."""

import contextlib
import datetime
from collections.abc import Callable, Coroutine, Mapping
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import jinja2
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from markupsafe import Markup

from thresher.errors import InputError
from thresher.report import words
from thresher.report.environment import environment
from thresher.review import Conflict, Unavailable, Unknown
from thresher.serve.batching import Busy
from thresher.serve.views import safe

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
STATIC = {
    "style.css": "text/css",
    "review.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Problem(Exception):  # noqa: N818 - as HTTP names it
    """What is shown in place of a page.

    Args:
        status: of HTTP.
        title: what happened.
        text: what to do about it.
        back: where to go on from.
    """

    def __init__(self, status: int, title: str, text: str, back: str = "/review") -> None:
        super().__init__(title)
        self.status, self.title, self.text, self.back = status, title, text, back


_ERRORS = (Problem, InputError, RequestValidationError, Conflict, Unavailable, Busy)


class Page:
    """Shows templates in answer to a request."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def show(self, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page, or a part of one, every text in it escaped and without control characters."""
        text = templates().get_template(f"{name}.html.j2").render(**values)
        headers = {"Cache-Control": "no-store", "Vary": "Cookie, HX-Request"}
        # A lone surrogate cannot be encoded; `safe` replaced those of texts.
        return HTMLResponse(text.encode("utf-8", "replace"), status, headers)


class PageRoute(APIRoute):
    """A route whose errors are pages, and whose answers carry the headers of safety."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, around FastAPI's own."""
        answer = super().get_route_handler()

        async def safely(request: Request) -> Response:
            try:
                found = await answer(request)
            except _ERRORS as error:
                found = _shown(request, error)
            for name, value in HEADERS.items():
                found.headers.setdefault(name, value)
            return found

        return safely


def _shown(request: Request, error: Exception) -> Response:
    if isinstance(error, Unavailable):
        again = "Nothing was changed. Try again in a moment."
        problem = Problem(503, "The database is away", again)
    elif isinstance(error, Conflict):
        problem = Problem(409, "Too late", f"{error}.")
    elif isinstance(error, Busy):
        problem = Problem(429, "Too much is asked at once", f"Try again in {error.seconds} s.")
    elif isinstance(error, Unknown):
        problem = Problem(404, "There is no such page", f"{error}.")
    elif isinstance(error, InputError):
        problem = Problem(422, "That cannot be done", f"{error}.")
    elif isinstance(error, Problem):
        problem = error
    else:
        problem = Problem(422, "That cannot be read", "A field of the form is missing or wrong.")
    if _needs_login(request, problem):
        return RedirectResponse("/login", 303)
    partial = request.headers.get("HX-Request") == "true"
    return Page(request).show(
        "problem_part" if partial else "problem", problem.status, problem=problem, who=None
    )


def _needs_login(request: Request, problem: Problem) -> bool:
    """Whether the answer is the page to log in on: who opens a page without a session."""
    opens = request.method == "GET" and request.headers.get("HX-Request") != "true"
    return problem.status == 401 and opens


def static(name: str) -> Response:
    """A file of the pages."""
    if name not in STATIC:
        raise Problem(404, "There is no such file", "Only the pages' own files are served.")
    headers = {"Cache-Control": "no-cache"}
    return Response(_content(name), media_type=STATIC[name], headers=headers)


@cache
def _content(name: str) -> bytes:
    own = files("thresher.serve").joinpath("static", name).read_bytes()
    if name == "style.css":  # one look for report and service
        own = files("thresher.report").joinpath("templates", "style.css.j2").read_bytes() + own
    return own


@cache
def templates() -> jinja2.Environment:
    """The templates of the pages."""
    filters = (
        words.percent, words.exact_percent, words.tenths, words.number, words.whole,
        words.interval, words.counted, age, moment, signed, quoted, settled,
    )  # fmt: skip
    return environment("thresher.serve", filters, _inert)


def _inert(value: Any) -> Any:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return safe(value, len(value))


def age(seconds: float | None) -> str:
    """A time span in its largest unit: "42 s", "5 min", "3 h", "2 d"."""
    if seconds is None:
        return words.DASH
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f}{words.SPACE}{unit}"
    return f"{seconds:.0f}{words.SPACE}s"


def moment(seconds: float) -> str:
    """A time, UTC: "2026-03-14 09:26"."""
    with contextlib.suppress(OverflowError, ValueError, OSError):
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")
    return words.DASH


def signed(share: float) -> str:
    """A change in percent with its sign."""
    return f"{100 * share:+.0f}{words.SPACE}%"


def quoted(text: str) -> str:
    """An id for the value of a button, in which a browser changes nothing."""
    return quote(text.encode("utf-8", "replace"), safe="")


def settled(value: Any) -> str:
    """A live setting in words: what the guard did, a number, or a text."""
    if isinstance(value, Mapping):
        if value.get("stopped"):
            return "stopped accepting"
        threshold = value.get("threshold")
        return "" if threshold is None else f"threshold {threshold:.4g}"
    if isinstance(value, float):
        return f"{value:.4g}"
    return "as certified" if value is None else str(value)
