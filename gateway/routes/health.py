"""`/healthz`, `/readyz`, `/metrics`: what the machines around the hub ask."""

from __future__ import annotations

from typing import Annotated

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.openapi_schemas import Json, json_response, problem_responses
from gateway.problems import Problem
from hub.operations.readiness import Readiness
from hub.services import Services

router = APIRouter(tags=["operation"])

# Without these nothing can be accepted. All else may be in trouble: what is accepted waits in the database.
_NEEDED = ("database", "directory")


def readiness_of(services: Services) -> Readiness:
    def workers() -> list[str]:
        connections = services.acceptance.directory.connections
        return [name for name, routing in connections.items() if routing.worked]

    return Readiness(
        services.ledger, services.bus, workers=workers, inlet=lambda: services.status().get("inlet", ""),
        behind=lambda: services.acceptance.current.behind,
    )  # fmt: skip


@router.get("/healthz", summary="Is the process alive?", response_model=None)
async def alive() -> Response:
    """200 as long as the process answers; it says nothing of the database or the broker."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get("/readyz", summary="Can calls be served?", response_model=None,
            responses={200: json_response("Ready", "Calls are served."), **problem_responses(503)})  # fmt: skip
async def ready(request: Request) -> Response:
    """200 as long as the database can be written to: `status` is `limited` when another part cannot do its work, and
    `parts` says which, why and what. 503 when nothing can be accepted."""
    readiness: Readiness = request.app.state.readiness
    found = await run_in_threadpool(readiness.parts)
    parts = {name: part.to_dict(name) for name, part in found.items()}
    missing = [name for name in _NEEDED if name in found and found[name].code]
    if missing:
        raise Problem("not_ready", "missing: " + ", ".join(missing), more={"missing": missing, "parts": parts})
    status = "limited" if any(part.code for part in found.values()) else "ready"
    return Response(orjson.dumps({"status": status, "parts": parts}), media_type="application/json")


_FIGURES: Json = {
    "description": "Text format of Prometheus.",
    "content": {"text/plain": {"schema": {"type": "string"}}},
}


@router.get("/metrics", summary="Figures for Prometheus", response_model=None,
            responses={200: _FIGURES, **problem_responses(401, 403)})  # fmt: skip
def figures(request: Request, caller: Annotated[Caller, needs("metrics:read")]) -> Response:
    """Events, deliveries by connection and state, ages, pauses, of the client's own tenant; and what belongs to none.
    No label says anything about a person."""
    services: Services = request.app.state.services
    text = services.metrics.render(services.ledger, services.status(), tenant=caller.tenant)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
