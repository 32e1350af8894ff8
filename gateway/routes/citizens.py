"""`/v1/citizens/{ref}/exchanges`: what was obtained about a citizen, for the citizen's own page in a portal."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.openapi_schemas import json_response, problem_responses
from gateway.problems import Problem
from hub.privacy import transparency
from hub.privacy.transparency import Period
from hub.services import Services

_MOST, _USUAL = 200, 50

router = APIRouter(tags=["exchanges"])
Reader = Annotated[Caller, needs("citizens:read")]


@router.get(
    "/v1/citizens/{reference}/exchanges", summary="Who obtained what about a citizen", response_model=None,
    responses={200: json_response("Reads", "Newest first."), **problem_responses(400, 401, 403, 404)},
)  # fmt: skip
def exchanges(
    request: Request, reference: str, caller: Reader,
    since: Annotated[float | None, Query(ge=0, description="Seconds since 1970.")] = None,
    until: Annotated[float | None, Query(ge=0, description="Seconds since 1970; before it.")] = None,
    limit: Annotated[int, Query(ge=1, le=_MOST)] = _USUAL,
) -> Response:  # fmt: skip
    """`reference` is the one that an exchange gave you for this citizen: yours alone. Each read is told in plain words,
    in French and English, as it may be shown to the person; other people's acts are not in it. This look is itself in
    the journal."""
    services: Services = request.app.state.services
    citizen_id = services.people.citizen_of(caller.client.id, reference)
    if citizen_id is None:
        raise Problem("not_found")
    with services.ledger.transaction() as tx:
        shown = transparency.acts_page(tx, services.exchanges, caller.client, citizen_id, Period(since, until, limit))
    if shown is None:
        raise Problem("not_found")
    return Response(orjson.dumps(shown), media_type="application/json")
