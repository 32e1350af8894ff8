"""`/v1/requests`: submit a request and follow it. A client sees those that it brought; another's is not there."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bus.ledger import Transaction
from gateway import holdings
from gateway.access import Caller, needs
from gateway.problems import Problem
from gateway.shapes import problems, told
from hub import requests as timelines
from hub.services import Services
from hub.timeline import request_view

router = APIRouter(tags=["requests"])
Reader = Annotated[Caller, needs("requests:read")]


@router.get(
    "/v1/requests/{request_id}", summary="Read a request", response_model=None,
    responses={200: told("Request", "The request as it stands."), **problems(401, 403, 404)},
)  # fmt: skip
def read(request: Request, request_id: str, caller: Reader) -> Response:
    """Status, legal clocks, identifiers in all systems, documents, and the timeline: what each system said, who was
    told, when, and what it answered."""
    services: Services = request.app.state.services
    with services.ledger.reading() as tx:
        return _json(view(tx, services, caller, request_id))


def view(tx: Transaction, services: Services, caller: Caller, request_id: str) -> dict[str, Any]:
    """All that this client may see of a request. Raises Problem not_found for any that is not its own."""
    request = timelines.read(tx, caller.tenant, request_id)
    if request is None or request.intake != caller.origin.name:
        raise Problem("not_found")
    seen = request_view(tx, services.acceptance.directory, caller.tenant, request_id)
    assert seen is not None
    seen["documents"] = [dict(document) for _, document in holdings.of_request(tx, request_id)]
    return seen


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")
