"""What the OpenAPI description says beyond the signatures: bodies checked by the schema registry, answers, examples.
The schemas of its own are in `openapi_schemas.json`; the records of `schemas/records/` come beside them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from schemas.event import BATCH, STRUCTURED

Json = dict[str, Any]


@cache
def own_schemas() -> Json:
    """By name, the schemas of `openapi_schemas.json`."""
    found: Json = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    return found


def schema_of(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def problem_responses(*statuses: int) -> dict[int | str, Json]:
    """The refusals of a route; those that every route knows come with them."""
    descriptions = {
        400: "The call cannot be understood.", 401: "No valid token.", 403: "The token does not allow this.",
        404: "There is nothing here that this client may see.", 408: "The body came too slowly.", 409: "A conflict.",
        410: "This was taken back.",
        413: "Too large.", 415: "This content type is not taken.", 422: "The content breaks a rule.",
        429: "Too many failed attempts.", 500: "Our mistake.", 503: "Not now; see `Retry-After`.",
    }  # fmt: skip
    content = {"application/problem+json": {"schema": schema_of("Problem")}}
    return {
        status: {"description": descriptions[status], "content": content} for status in sorted({*statuses, 500, 503})
    }


def json_response(name: str, description: str, **more: Any) -> Json:
    """An answer with a JSON body of a named schema."""
    return {"description": description, "content": {"application/json": {"schema": schema_of(name)}}, **more}


def request_body(media: str, schema: Json, description: str = "", **more: Any) -> Json:
    """`openapi_extra` of a route that reads its body itself."""
    content = {media: {"schema": schema, **more}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


_EVENT: Json = {
    "specversion": "1.0", "id": "portail-2026-000481", "source": "/saint-aubin/portail", "type": "request.received",
    "data": {
        "request": {
            "references": [{"system": "portail", "id": "2026-000481"}], "procedure": "occupation-domaine-public",
            "submitted_at": "2026-03-02T09:14:05Z", "intake": "online",
            "requester": {"organisation": {"name": "Café des Tilleuls", "siret": "99999000500012"}},
        }
    },
}  # fmt: skip
_SUBMITTED: Json = {
    "procedure": "changement-adresse", "submitted_at": "2026-03-02T09:14:05Z", "intake": "online",
    "requester": {
        "citizen": {
            "identity": {
                "family_name": "Corvisart", "given_names": ["Maëlle", "Odette"], "gender": "female",
                "birthdate": "1987-03-09", "birthplace": "2A004", "birthcountry": "99100",
            }
        }
    },
}  # fmt: skip
_BYTES: Json = {"type": "string", "format": "binary"}
_FORM: Json = {
    "type": "object", "required": ["file"], "properties": {"file": _BYTES, "kind": {"type": "string"}},
}  # fmt: skip

EVENTS_BODY = {
    "requestBody": {
        "required": True,
        "description": "Structured (one), batch (up to 500), or binary: `ce-*` headers and the data as the body.",
        "content": {
            STRUCTURED: {"schema": schema_of("Event"), "example": _EVENT},
            BATCH: {"schema": {"type": "array", "maxItems": 500, "items": schema_of("Event")}, "example": [_EVENT]},
            "application/json": {"schema": {"type": "object"}, "example": _EVENT["data"]},
        },
    }
}
EVENTS_RESPONSES: dict[int | str, Json] = {
    202: json_response("Accepted", "One event, committed."),
    200: {
        "description": "One event that the hub already had; or a batch, with a verdict for each item.",
        "content": {"application/json": {"schema": {"anyOf": [schema_of("Accepted"), schema_of("Verdicts")]}}},
    },
    **problem_responses(400, 401, 403, 408, 409, 413, 415, 422, 429),
}
TOKEN_BODY = request_body("application/x-www-form-urlencoded", schema_of("TokenRequest"))
TOKEN_RESPONSES: dict[int | str, Json] = {
    200: json_response("Token", "A token of ten minutes."),
    400: json_response("TokenError", "The call is wrong."),
    401: json_response("TokenError", "The client is not believed."),
    429: json_response("TokenError", "Too many failed attempts."),
}
EXCHANGE_BODY = request_body("application/json", schema_of("exchange-question.v1"), "The record `exchange-question`.")
REQUEST_BODY = request_body(
    "application/json",
    {
        "allOf": [schema_of("request.v2")],
        "description": "The record `request`; here `references` may be left out.",
    },
    "64 KiB at most.",
    example=_SUBMITTED,
)
COMPLETION_BODY = request_body(
    "application/json",
    {
        "type": "object",
        "required": ["document"],
        "additionalProperties": False,
        "properties": {
            "document": schema_of("document.v1"),
            "kind": {"type": "string", "description": "As the catalogue names it; that of the document when absent."},
        },
    },
    "A document that you stored before.",
)
DOCUMENT_BODY: Json = {
    "requestBody": {
        "required": True,
        "description": "10 MiB at most.",
        "content": {"*/*": {"schema": _BYTES}, "multipart/form-data": {"schema": _FORM}},
    },
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}
        for name, description in (
            ("Content-Disposition", "`attachment; filename*=UTF-8''plan.pdf`"),
            ("Content-Digest", "`sha-256=:…:` (RFC 9530)"),
            ("Repr-Digest", "`sha-256=:…:` (RFC 9530)"),
        )
    ],
}
DOCUMENT_ANSWER: Json = {"description": "The bytes, with `Repr-Digest`.", "content": {"*/*": {"schema": _BYTES}}}
