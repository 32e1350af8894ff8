"""`/healthz`, `/readyz`, `/metrics`: what the machines around the hub ask."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bus.api import INLET
from gateway.access import Caller, needs
from gateway.openapi_schemas import Json, problem_responses
from gateway.problems import Problem
from hub.services import Services
from hub.storage.migrations import upgrade
from schemas.errors import HubError, TopologyMismatch

_KEPT_SECONDS = 2.0

router = APIRouter(tags=["operation"])


class Readiness:
    """What is missing before calls can be served; looked at every two seconds at most, however often it is asked."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._lock = threading.Lock()
        self._until = 0.0
        self._missing: list[str] = []

    def missing(self) -> list[str]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._missing = self._look()
                self._until = time.monotonic() + _KEPT_SECONDS
            return self._missing

    def _look(self) -> list[str]:
        missing = []
        try:
            if not upgrade.current(self._services.ledger):
                missing.append("migrations")
        except HubError:
            missing.append("database")
        try:
            self._services.bus.depth(INLET)
        except TopologyMismatch:
            pass  # no inlet: the broker answers all the same
        except HubError:
            missing.append("bus")
        return missing


@router.get("/healthz", summary="Is the process alive?", response_model=None)
async def alive() -> Response:
    """200 as long as the process answers; it says nothing of the database or the broker."""
    return Response(b'{"status":"alive"}', media_type="application/json")


@router.get("/readyz", summary="Can calls be served?", response_model=None, responses=problem_responses(503))
async def ready(request: Request) -> Response:
    """200 when the database and the bus answer and the database has its newest form; else 503 and what is `missing`."""
    readiness: Readiness = request.app.state.readiness
    missing = await run_in_threadpool(readiness.missing)
    if missing:
        raise Problem("not_ready", "missing: " + ", ".join(missing), more={"missing": missing})
    return Response(orjson.dumps({"status": "ready"}), media_type="application/json")


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
