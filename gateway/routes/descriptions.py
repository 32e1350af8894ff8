"""`/schemas/…`, `/openapi.json`, `/asyncapi.json`, `/docs`: what the hub is, for programs and for people."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import orjson
from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from gateway.openapi_schemas import problem_responses
from gateway.pages import DocsPage
from gateway.problems import Problem
from hub.services import Services
from schemas.asyncapi import asyncapi
from schemas.validators import opened

_FOR_AN_HOUR = {"cache-control": "public, max-age=3600"}


class _SchemaResponse(Response):
    media_type = "application/schema+json"


router = APIRouter(tags=["descriptions"])
_Face = Annotated[
    Literal["writer", "reader"],
    Query(description="A writer's schema is closed; a reader's lets unknown properties pass."),
]


@router.get("/schemas", summary="List the event types", response_model=None)
def listing(request: Request) -> Response:
    """Each type and version with its title, what it means, and where its schema is."""
    services: Services = request.app.state.services
    registry = services.acceptance.registry
    return _json({"events": registry.listing(), "schemas": [f"/schemas/{name}" for name in registry.names()]})


@router.get(
    "/schemas/{name:path}", summary="Read a schema", response_model=None, response_class=_SchemaResponse,
    responses=problem_responses(404),
)  # fmt: skip
def schema(request: Request, name: str, face: _Face = "writer") -> Response:
    """JSON Schema 2020-12, with all that it refers to: `events/request.received.v1.json`, `records/request.v1.json`."""
    services: Services = request.app.state.services
    try:
        found: Any = services.acceptance.registry.bundled(name)
    except KeyError:
        raise Problem("not_found") from None
    return _json(opened(found) if face == "reader" else found, media_type="application/schema+json")


@router.get("/openapi.json", summary="Describe HTTP (OpenAPI 3.1)", response_model=None)
def openapi(request: Request) -> Response:
    return _json(request.app.openapi())


@router.get("/asyncapi.json", summary="Describe AMQP (AsyncAPI 3.0)", response_model=None)
def broker(request: Request) -> Response:
    services: Services = request.app.state.services
    return _json(asyncapi(services.acceptance.registry))


@router.get("/.well-known/jwks.json", summary="The hub's public key (RFC 7517)", response_model=None)
def keys(request: Request) -> Response:
    """With it anybody verifies the signature of an exchange and the seals of the journal."""
    services: Services = request.app.state.services
    return _json(services.signer.jwks())


@router.get(
    "/docs", summary="This description, for people", response_model=None, response_class=HTMLResponse,
)  # fmt: skip
def docs(request: Request) -> Response:
    page: DocsPage = request.app.state.docs_page
    headers = {**_FOR_AN_HOUR, "content-security-policy": page.policy}
    return Response(page.html, headers=headers, media_type="text/html; charset=utf-8")


def _json(body: Any, media_type: str = "application/json") -> Response:
    return Response(orjson.dumps(body), headers=_FOR_AN_HOUR, media_type=media_type)
