"""The application: the routes over one service, its errors, its limits, and the pages."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI

from thresher import __version__
from thresher.serve import models
from thresher.serve.administration import service_routes
from thresher.serve.cases import case_routes
from thresher.serve.limits import Limits
from thresher.serve.matching import item_routes, match_routes
from thresher.serve.origins import SameSite
from thresher.serve.problems import add_problems
from thresher.serve.security import Guardian
from thresher.serve.service import Service

PAGES = "thresher.serve.pages"
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.Problem, "description": text}
    for status, text in {
        401: "No key that is known.",
        403: "The key's role may not do this, or a page of another site asks.",
        409: "The request no longer fits, or its idempotency key was used for another.",
        413: "The body is too large.",
        415: "The body is no JSON.",
        422: "A field cannot be used; `errors` names it.",
        429: "Too many queries wait; see Retry-After.",
        503: "The database is away; see Retry-After.",
    }.items()
}


def create_app(service: Service) -> FastAPI:
    """The application: API, OpenAPI description, metrics, and the review pages."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    app = FastAPI(
        title="Thresher",
        version=__version__,
        description="Accepts what is certain, and gives people the rest.",
        lifespan=lifespan,
        docs_url=None,  # its page would load scripts from elsewhere
        redoc_url=None,
        responses=_PROBLEMS,
    )
    app.state.service = service
    app.state.guardian = guardian = Guardian(service.store)
    add_problems(app)
    app.add_middleware(SameSite)
    app.add_middleware(Limits, metrics=service.metrics, most=service.options.max_body)
    app.include_router(match_routes(service, guardian), tags=["match"])
    app.include_router(item_routes(service, guardian), tags=["items"])
    app.include_router(case_routes(service, guardian), tags=["review"])
    app.include_router(service_routes(service, guardian), tags=["service"])
    if find_spec(PAGES) is not None:
        from thresher.serve.pages import router

        app.include_router(router(service), include_in_schema=False)
    return app
