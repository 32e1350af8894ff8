"""The OpenAPI 3.1 description: FastAPI's, with the shared schemas and the bodies that the registry checks."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from gateway.openapi_schemas import own_schemas, problem_responses
from gateway.routes import inbound
from hub.services import Services
from schemas.registry import Registry, definition_of, embedded

VERSION = "1"
DESCRIPTION = """
The hub between a town's packages, its portals and outside administrations.

Get a token at `/oauth/token`, send it as `Authorization: Bearer …`. A client belongs to one tenant and sees what it
brought itself; all else is 404. A 2xx answer to a write means committed. Every refusal is `application/problem+json`
with a stable `code` (RFC 9457) and a `tracking` id, which is also in the header `tracking-id` of every answer.
""".strip()
TAGS = [
    {"name": "access", "description": "Tokens for programs."},
    {"name": "events", "description": "Tell the hub what happened: CloudEvents 1.0."},
    {"name": "requests", "description": "Submit a request and follow it."},
    {"name": "procedures", "description": "What may be asked for here: documents, channels, delays, silence."},
    {"name": "documents", "description": "Store a document before the event that names it; read those you may."},
    {"name": "exchanges", "description": "Ask for evidence instead of asking the citizen; see who obtained what."},
    {"name": "webhooks", "description": "Be called when something happens (Standard Webhooks)."},
    {"name": "deliveries", "description": "Pull what concerns your package, and answer."},
    {"name": "packages", "description": "Where packages and portals push in their own format."},
    {"name": "descriptions", "description": "Schemas and descriptions, open to all."},
    {"name": "operation", "description": "For the machines around the hub."},
]


def document(app: FastAPI, services: Services) -> dict[str, Any]:
    made = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags,
        servers=[{"url": services.settings.public_url}],
    )  # fmt: skip
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    schemas |= own_schemas() | shared(services.acceptance.registry)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    made["paths"] |= inbound.DESCRIBED
    for operations in made["paths"].values():
        for operation in operations.values():
            operation.get("responses", {}).pop("422", None) if _is_fastapis_422(operation) else None
            if "security" in operation:  # every guarded call refuses a parameter that it does not know
                operation["responses"].setdefault("400", problem_responses(400)[400])
    return made


def shared(registry: Registry) -> dict[str, Any]:
    """The records of the registry, as components: `request.v1`."""
    set_ = registry.schema_set.schemas
    return {
        definition_of(uri): embedded(schema, lambda name: f"#/components/schemas/{name}")
        for uri, schema in set_.items()
        if uri.startswith("urn:unefois:record:")
    }


def _is_fastapis_422(operation: dict[str, Any]) -> bool:
    content = operation.get("responses", {}).get("422", {}).get("content", {})
    return "HTTPValidationError" in str(content)
