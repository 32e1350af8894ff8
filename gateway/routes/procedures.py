"""`/v1/procedures`: the catalogue, so that a portal asks for what the town asks for."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.openapi_schemas import json_response, problem_responses
from gateway.problems import Problem
from hub.requests.catalogue import catalogue_view, procedure_view
from hub.services import Services

router = APIRouter(tags=["procedures"])
Reader = Annotated[Caller, needs("requests:read")]


@router.get(
    "/v1/procedures", summary="List the procedures", response_model=None,
    responses={200: json_response("Procedures", "The whole catalogue, by id."), **problem_responses(401, 403)},
)  # fmt: skip
def listing(request: Request, caller: Reader) -> Response:
    """What may be asked for: the same for every client of a tenant, with that tenant's services."""
    services: Services = request.app.state.services
    return _json({"items": catalogue_view(services.acceptance.directory, caller.tenant)})


@router.get(
    "/v1/procedures/{procedure_id}", summary="Read a procedure", response_model=None,
    responses={200: json_response("Procedure", "As it is in this tenant."), **problem_responses(401, 403, 404)},
)  # fmt: skip
def read(request: Request, procedure_id: str, caller: Reader) -> Response:
    """Documents, channels, who decides, legal delay and what silence means, as `procedure` of a request names it."""
    services: Services = request.app.state.services
    found = procedure_view(services.acceptance.directory, caller.tenant, procedure_id)
    if found is None:
        raise Problem("not_found")
    return _json(found)


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
