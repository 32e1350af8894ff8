"""`/v1/corrections`: what a client obtained and its source has since corrected or erased (RGPD art. 19)."""

from __future__ import annotations

import re
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.openapi_schemas import json_response, problem_responses
from gateway.problems import Problem
from hub.services import Services

_MOST, _USUAL = 200, 50
_ID = re.compile(r"[0-9a-f-]{36}")

router = APIRouter(tags=["exchanges"])
Reader = Annotated[Caller, needs("exchanges:read")]


@router.get(
    "/v1/corrections", summary="What you were not told of yet", response_model=None,
    responses={200: json_response("Corrections", "The oldest first."), **problem_responses(400, 401, 403)},
)  # fmt: skip
def listing(request: Request, caller: Reader, limit: Annotated[int, Query(ge=1, le=_MOST)] = _USUAL) -> Response:
    """Corrections of evidence that you obtained and may still keep. One that a webhook or queue of yours took is not in
    it; where you have neither, acknowledge each here. No value is told: ask again if you still need it."""
    services: Services = request.app.state.services
    with services.ledger.reading() as tx:
        items = services.corrections.open_of(tx, caller.tenant, caller.client.id, limit)
    return _json({"items": items})


@router.get(
    "/v1/corrections/{correction_id}", summary="Read a correction", response_model=None,
    responses={200: json_response("Correction", "One of yours, told or not."), **problem_responses(401, 403, 404)},
)  # fmt: skip
def read(request: Request, correction_id: str, caller: Reader) -> Response:
    """`reference` is your own for the citizen, as the answers of these exchanges gave it."""
    services: Services = request.app.state.services
    with services.ledger.reading() as tx:
        found = services.corrections.one_of(tx, caller.tenant, caller.client.id, _checked_id(correction_id))
    return _json(_found_or_404(found))


@router.post(
    "/v1/corrections/{correction_id}/acknowledge", summary="Acknowledge a correction", response_model=None,
    responses={
        200: json_response("Correction", "With the moment of its first acknowledgement."),
        **problem_responses(401, 403, 404),
    },
)  # fmt: skip
def acknowledge(request: Request, correction_id: str, caller: Reader) -> Response:
    """You have taken note, and corrected or erased what you keep. It is written to the journal; a second time changes
    nothing."""
    services: Services = request.app.state.services
    with services.ledger.transaction() as tx:
        found = services.corrections.acknowledge(tx, caller.tenant, caller.client.id, _checked_id(correction_id))
    return _json(_found_or_404(found))


def _checked_id(correction_id: str) -> str:
    if not _ID.fullmatch(correction_id):
        raise Problem("not_found")
    return correction_id


def _found_or_404(found: dict[str, Any] | None) -> dict[str, Any]:
    if found is None:
        raise Problem("not_found")
    return found


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
