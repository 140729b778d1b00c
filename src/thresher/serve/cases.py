"""The routes of reviewers: decisions, cases, leases, verdicts."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from thresher.review import Key
from thresher.serve import models
from thresher.serve.security import REVIEWER, Guardian
from thresher.serve.service import Service

CaseId = Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")]
Limit = Annotated[int, Query(ge=1, le=1000)]


def case_routes(service: Service, guardian: Guardian) -> APIRouter:
    """The routes under /v1 for reviewers."""
    routes = APIRouter()
    reviewer = guardian.allow(REVIEWER)

    @routes.get("/v1/decisions")
    def decisions(
        key: Annotated[Key, Depends(reviewer)],
        after: Annotated[str | None, Query(pattern=r"^[0-9a-f]{32}$")] = None,
        limit: Limit = 100,
        decision: Literal["accept", "review"] | None = None,
        newest: bool = False,
    ) -> list[dict[str, Any]]:
        """The log, oldest first, or newest first; `after` is the id of the last one seen."""
        found = service.store.decisions(after, limit, decision, newest=newest)
        return [asdict(one) for one in found]

    @routes.get("/v1/cases")
    def cases(
        key: Annotated[Key, Depends(reviewer)],
        queue: Literal["review", "audit", "second", "label"] | None = None,
        status: Literal["open", "done"] = "open",
        limit: Limit = 100,
    ) -> list[dict[str, Any]]:
        """Cases, oldest first."""
        return [asdict(case) for case in service.store.cases(queue, status, limit)]

    @routes.post("/v1/cases/lease", responses={204: {"description": "No case is free."}})
    def lease(request: models.LeaseRequest, key: Annotated[Key, Depends(reviewer)]) -> Any:
        """The next case, which nobody else gets until the lease ends."""
        case = service.lease(key.name, **request.model_dump())
        return Response(status_code=204) if case is None else asdict(case)

    @routes.get("/v1/cases/{case_id}", responses={404: {"model": models.Problem}})
    def case(case_id: CaseId, key: Annotated[Key, Depends(reviewer)]) -> dict[str, Any]:
        """One case."""
        return asdict(service.store.case(case_id))

    @routes.post("/v1/cases/{case_id}/release", responses={404: {"model": models.Problem}})
    def release(case_id: CaseId, key: Annotated[Key, Depends(reviewer)]) -> dict[str, bool]:
        """End a lease early."""
        return {"released": service.store.release(case_id, key.name)}

    @routes.post("/v1/cases/{case_id}/verdict", responses={404: {"model": models.Problem}})
    def verdict(
        case_id: CaseId,
        request: models.VerdictRequest,
        key: Annotated[Key, Depends(reviewer)],
    ) -> dict[str, Any]:
        """What the reviewer says; the same verdict sent again is the same event."""
        return asdict(service.verdict(case_id, reviewer=key.name, **request.model_dump()))

    @routes.post("/v1/cases/{case_id}/undo", responses={404: {"model": models.Problem}})
    def undo(case_id: CaseId, key: Annotated[Key, Depends(reviewer)]) -> dict[str, Any]:
        """Take the last verdict back; null where there is none."""
        event = service.undo(case_id, key.name)
        return {"undone": None if event is None else asdict(event)}

    return routes
