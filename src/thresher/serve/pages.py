"""The pages of the service: log in, review one case a screen, and see how the service does."""

import math
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from thresher.decide.costs import Prices
from thresher.decide.policy import KNOWN_TEXT
from thresher.errors import InputError
from thresher.jobs.costs import costs_of_traffic
from thresher.review import Agreement, Case, Conflict, Key
from thresher.review.reviews import ORDERS
from thresher.serve.choices import QUEUES, Choice, Chosen
from thresher.serve.dashboard import overview
from thresher.serve.origins import is_local
from thresher.serve.render import Page, PageRoute, Problem, static
from thresher.serve.sessions import COOKIE, HOURS, LOCAL, REVIEWERS, Sessions, with_cookie
from thresher.serve.views import Shower

FOUND = 12  # items that a search lists
LOGIN = "thresher_login"
SECRET = "THRESHER_SESSION_SECRET"  # noqa: S105 - the name of a variable
DAY = 86_400
_KEPT_SECONDS = 30.0  # that slow numbers are shown again for

Text = Annotated[str, Form()]


def router(service: Any) -> APIRouter:
    """All pages of a service: `/login`, `/review`, `/dashboard`, `/costs`, `/static`."""
    pages = Pages(service)
    made = APIRouter(route_class=PageRoute, include_in_schema=False)
    for path, answer in (
        ("/login", pages.login),
        ("/review", pages.review),
        ("/review/cases/{case_id}", pages.show),
        ("/review/cases/{case_id}/search", pages.search),
        ("/dashboard", pages.dashboard),
        ("/costs", pages.costs),
        ("/static/{name}", static),
    ):
        made.add_api_route(path, answer, methods=["GET"])
    for path, answer in (
        ("/login", pages.enter),
        ("/logout", pages.leave),
        ("/review/cases/{case_id}", pages.judge),
        ("/review/undo", pages.undo),
    ):
        made.add_api_route(path, answer, methods=["POST"])
    return made


class Pages:
    """Answers to what a browser asks, for one service."""

    def __init__(self, service: Any, clock: Callable[[], float] = time.time) -> None:
        self.service, self.store, self.clock = service, service.store, clock
        secret = os.environ.get(SECRET, "").encode() or secrets.token_bytes(32)
        self.sessions = Sessions(secret, service.store, clock)
        self._kept: dict[str, tuple[float, Any]] = {}

    # Logging in

    def login(self, request: Request) -> Response:
        """The page that asks for a key; without any key there is nothing to ask for."""
        if self.sessions.local():
            return self._entered(request, LOCAL)
        nonce = secrets.token_hex(16)
        page = Page(request).show("login", token=self.sessions.token(nonce), who=None)
        return with_cookie(request, page, LOGIN, nonce, 3600)

    def enter(self, request: Request, key: Text = "", csrf: Text = "") -> Response:
        """Start a session with the key of a reviewer or an admin."""
        if not self.sessions.is_token(request.cookies.get(LOGIN), csrf):
            raise Problem(403, "This form is too old", "Load the page again, then log in.")
        known = self.store.who(key.strip())
        if known is None:
            raise Problem(401, "This is no key", "Check that you copied all of it.", "/login")
        if known.role not in REVIEWERS:
            raise Problem(
                403,
                "This key cannot review",
                f"It is a {known.role}'s. Ask an admin for a reviewer's key: "
                "thresher keys create NAME --role reviewer.",
                "/login",
            )
        return self._entered(request, known)

    def leave(self, request: Request, csrf: Text = "") -> Response:
        """End the session."""
        self._who(request, csrf)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(COOKIE)
        return answer

    def _entered(self, request: Request, key: Key) -> Response:
        if key is LOCAL and not is_local(request.headers.get("host", "")):
            raise Problem(403, "Only from this machine", "Make a key to review from elsewhere.")
        answer = RedirectResponse("/review", 303)
        return with_cookie(request, answer, COOKIE, self.sessions.open(key), 3600 * HOURS)

    def _who(self, request: Request, csrf: str | None = None) -> Key:
        """Whose session it is; a form has to come from one of its pages."""
        cookie = request.cookies.get(COOKIE)
        key = self.sessions.who(cookie)
        if key is None:
            raise Problem(401, "Log in first", "Your session is over.", "/login")
        if csrf is not None and not self.sessions.is_token(cookie, csrf):
            raise Problem(403, "This form is not from this session", "Load the page again.")
        return key

    # Reviewing

    def review(self, request: Request, chosen: Chosen) -> Response:
        """The next case."""
        return self._next(request, self._who(request), chosen)

    def show(self, request: Request, case_id: str, chosen: Chosen) -> Response:
        """One case."""
        return self._case(request, self._who(request), chosen, self.store.case(case_id))

    def judge(
        self,
        request: Request,
        case_id: str,
        chosen: Chosen,
        csrf: Text = "",
        answer: Text = "",
        item: Text = "",
        shown: Annotated[float | None, Form()] = None,
    ) -> Response:
        """Keep a verdict, and show the next case."""
        key, notice = self._who(request, csrf), ""
        kind = "item" if item else answer
        said = {"kind": kind, "item_id": unquote(item) or None, "seconds": self._seconds(shown)}
        try:
            self.service.verdict(case_id, reviewer=key.name, **said)
            trail = (*(name for name in chosen.trail if name != case_id), case_id)
        except Conflict as error:
            notice, trail = f"Not kept: {error}.", chosen.trail
        chosen = replace(chosen, trail=trail)
        if _is_partial(request) or notice:
            return self._next(request, key, chosen, notice)
        return RedirectResponse(chosen.address("/review"), 303)

    def _seconds(self, shown: float | None) -> float | None:
        """How long a case was looked at; no longer than its lease."""
        if shown is None or not math.isfinite(shown):
            return None
        return min(max(self.clock() - shown, 0.0), self.service.options.lease_seconds)

    def undo(self, request: Request, chosen: Chosen, csrf: Text = "") -> Response:
        """Take the latest verdict back, and show its case again."""
        key, *trail = self._who(request, csrf), *chosen.trail
        if not trail:
            return self._next(request, key, chosen, "There is nothing to take back.")
        case_id = trail.pop()
        done = self.service.undo(case_id, key.name)
        chosen = replace(chosen, trail=tuple(trail))
        notice = "Taken back: choose again." if done else "There was no answer to take back."
        return self._case(request, key, chosen, self.store.case(case_id), notice)

    def search(self, request: Request, case_id: str, chosen: Chosen, q: str = "") -> Response:
        """Items of the catalogue for a reviewer's words, beside the query of the case."""
        key, case, words = self._who(request), self.store.case(case_id), q.strip()[:500]
        found = self.service.search([self.service.query_of(words)], FOUND)[0] if words else []
        rows = self._shower().found(case, found)
        if _is_partial(request):
            return Page(request).show("found", rows=rows, words=words)
        return self._case(request, key, chosen, case, rows=rows, words=words)

    def _next(self, request: Request, key: Key, chosen: Choice, notice: str = "") -> Response:
        wanted = {"queue": chosen.queue, "order": chosen.order, "segment": chosen.segment}
        case = self.service.lease(key.name, **wanted)
        return self._case(request, key, chosen, case, notice)

    def _case(
        self,
        request: Request,
        key: Key,
        chosen: Choice,
        case: Case | None,
        notice: str = "",
        **more: Any,
    ) -> Response:
        view = None if case is None else self._shower().view(case, scores=chosen.scores)
        now = self.clock()
        today = self.store.progress(key.name, now - now % DAY)
        agreement: Agreement = self._slow("agreement", self.store.agreement)
        return Page(request).show(
            "case" if _is_partial(request) else "review",
            who=key,
            token=self.sessions.token(request.cookies[COOKIE]),
            view=view,
            chosen=chosen,
            queues=QUEUES,
            orders=ORDERS,
            segments=self._segments(),
            notice=notice,
            today=today,
            waiting=self.store.queue(),
            agreement=agreement,
            shown=f"{now:.2f}",
            **{"rows": [], "words": "", **more},
        )

    def _shower(self) -> Shower:
        live = self.service.live
        catalogue = live.retriever.catalogue
        return Shower(catalogue.query_text, catalogue.item_text, live.rows)

    def _segments(self) -> list[str]:
        """The segments with a threshold of their own."""
        policy = self.service.live.policy
        return sorted(set(getattr(policy, "segments", ())) - {KNOWN_TEXT})

    # How the service does

    def dashboard(self, request: Request) -> Response:
        """Coverage, precision, queue, drift, minutes and events."""
        key = self._who(request)
        seen = self._slow("overview", lambda: overview(self.service, self.clock()))
        token = self.sessions.token(request.cookies[COOKIE])
        return Page(request).show("dashboard", who=key, token=token, o=seen)

    def costs(
        self, request: Request, minutes: str = "", wage: str = "", error: str = ""
    ) -> Response:
        """What each target costs, and the one that costs least, on the logged traffic."""
        key, told, found = self._who(request), "", None
        seen = self._slow("overview", lambda: overview(self.service, self.clock()))
        if not minutes and seen.judged:
            minutes = f"{seen.seconds / seen.judged / 60:.2g}"
        if wage and error:
            try:
                given = [_number(text) for text in (minutes, wage, error)]
                prices = Prices(minutes_per_review=given[0], wage=given[1], cost_per_error=given[2])
                found = costs_of_traffic(self.store, prices)
            except InputError as problem:
                told = f"{problem}."
        return Page(request).show(
            "costs",
            422 if told else 200,
            who=key,
            token=self.sessions.token(request.cookies[COOKIE]),
            given={"minutes": minutes, "wage": wage, "error": error},
            found=found,
            told=told,
            target=self.service.live.policy.target_precision,
        )

    def _slow(self, name: str, read: Callable[[], Any]) -> Any:
        """What is read anew every half minute at most: it reads many rows."""
        at, value = self._kept.get(name, (0.0, None))
        if name not in self._kept or time.monotonic() - at > _KEPT_SECONDS:
            value = read()
            self._kept[name] = time.monotonic(), value
        return value


def _number(text: str) -> float:
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise InputError(f"{text!r} is no number; give one, such as 1.5") from None


def _is_partial(request: Request) -> bool:
    return request.headers.get("HX-Request") == "true"
