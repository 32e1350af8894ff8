"""What the OpenAPI description says beyond the signatures: bodies checked by the schema registry, answers, examples."""

from __future__ import annotations

from typing import Any

from schemas.event import BATCH, STRUCTURED

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
PROBLEM_REF: Json = {"$ref": "#/components/schemas/Problem"}

SCHEMAS: Json = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457. Decide on `code` (or `type`), never on the sentences.",
        "required": ["tracking", "type", "code", "title", "status"],
        "properties": {
            "tracking": {**_TEXT, "description": "Give this when you ask for help: the log has it too."},
            "type": {**_TEXT, "description": "`urn:unefois:problem:<code>`"},
            "code": _TEXT,
            "title": _TEXT,
            "status": {"type": "integer"},
            "detail": {**_TEXT, "description": "What to mend, in this case."},
            "pointer": {**_TEXT, "description": "RFC 6901 pointer to the fault in what was sent."},
            "rule": {**_TEXT, "description": "The schema keyword that was broken."},
        },
        "examples": [
            {
                "tracking": "6f0c3a6b1f6b4c1c9a2f6f2d0f8b7e11", "type": "urn:unefois:problem:schema_violation",
                "code": "schema_violation", "title": "The data breaks the schema of its type", "status": 422,
                "detail": "a required property is missing: procedure", "pointer": "/data/request", "rule": "required",
            }
        ],
    },
    "Event": {
        "type": "object",
        "description": "One CloudEvent 1.0. The schemas of `data` are under `/schemas`.",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {**_TEXT, "maxLength": 512, "description": "With `source`, names the event for ever."},
            "source": {**_TEXT, "maxLength": 512, "description": "`/<tenant>/<client>`, or a path under it."},
            "type": {**_TEXT, "examples": ["request.received"]},
            "subject": {**_TEXT, "maxLength": 512},
            "time": {**_TEXT, "format": "date-time"},
            "dataschema": {**_TEXT, "description": "`urn:unefois:<type>:v<number>`; absent means version 1."},
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object"},
        },
    },
    "Verdict": {
        "type": "object",
        "required": ["outcome"],
        "properties": {
            "outcome": {
                "enum": ["accepted", "duplicate", "echo", "refused"],
                "description": "`duplicate`: the hub has it already. `echo`: the hub told you this itself; "
                "nothing is sent on.",
            },
            "source": _TEXT,
            "id": _TEXT,
            "sequence": {"type": "integer", "description": "Order of acceptance."},
            "request": {**_TEXT, "description": "The request that it concerns, as the hub names it."},
            "problem": PROBLEM_REF,
        },
    },
    "Accepted": {
        "allOf": [{"$ref": "#/components/schemas/Verdict"}, {"properties": {"tracking": _TEXT}}],
        "examples": [
            {
                "tracking": "0c9ae1…", "outcome": "accepted", "source": "/saint-aubin/portail",
                "id": "portail-2026-000481", "sequence": 1204, "request": "5d7f2c7e-5f0e-4b8e-9f57-0b7a1a9f5a11",
            }
        ],
    },
    "Verdicts": {
        "type": "object",
        "required": ["tracking", "verdicts"],
        "properties": {
            "tracking": _TEXT,
            "verdicts": {"type": "array", "items": {"$ref": "#/components/schemas/Verdict"}},
        },
    },
}  # fmt: skip


def problems(*statuses: int) -> dict[int | str, Json]:
    """The refusals of a route; those that every route knows come with them."""
    said = {
        400: "The call cannot be understood.", 401: "No valid token.", 403: "The token does not allow this.",
        404: "There is nothing here that this client may see.", 408: "The body came too slowly.", 409: "A conflict.",
        413: "Too large.", 415: "This content type is not taken.", 422: "The content breaks a rule.",
        429: "Too many failed attempts.", 500: "Our mistake.", 503: "Not now; see `Retry-After`.",
    }  # fmt: skip
    content = {"application/problem+json": {"schema": PROBLEM_REF}}
    return {status: {"description": said[status], "content": content} for status in sorted({*statuses, 500, 503})}


def schema_of(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def told(name: str, description: str, **more: Any) -> Json:
    """An answer with a JSON body of a named schema."""
    return {"description": description, "content": {"application/json": {"schema": schema_of(name)}}, **more}


def body(media: str, schema: Json, description: str = "", **more: Any) -> Json:
    """`openapi_extra` of a route that reads its body itself."""
    content = {media: {"schema": schema, **more}}
    return {"requestBody": {"required": True, "description": description, "content": content}}


_EXAMPLE = {
    "specversion": "1.0", "id": "portail-2026-000481", "source": "/saint-aubin/portail", "type": "request.received",
    "data": {
        "request": {
            "references": [{"system": "portail", "id": "2026-000481"}], "procedure": "occupation-domaine-public",
            "submitted_at": "2026-03-02T09:14:05Z", "intake": "online",
            "requester": {"organisation": {"name": "Café des Tilleuls", "siret": "99999000500012"}},
        }
    },
}  # fmt: skip

EVENTS_BODY = {
    "requestBody": {
        "required": True,
        "description": "Structured (one), batch (up to 500), or binary: `ce-*` headers and the data as the body.",
        "content": {
            STRUCTURED: {"schema": schema_of("Event"), "example": _EXAMPLE},
            BATCH: {"schema": {"type": "array", "maxItems": 500, "items": schema_of("Event")}, "example": [_EXAMPLE]},
            "application/json": {"schema": {"type": "object"}, "example": _EXAMPLE["data"]},
        },
    }
}
EVENTS_RESPONSES: dict[int | str, Json] = {
    202: told("Accepted", "One event, committed."),
    200: {
        "description": "One event that the hub already had; or a batch, with a verdict for each item.",
        "content": {"application/json": {"schema": {"anyOf": [schema_of("Accepted"), schema_of("Verdicts")]}}},
    },
    **problems(400, 401, 403, 408, 409, 413, 415, 422),
}

SCHEMAS |= {
    "Token": {
        "type": "object",
        "required": ["access_token", "token_type", "expires_in", "scope"],
        "properties": {
            "access_token": _TEXT, "token_type": {"const": "Bearer"}, "expires_in": {"type": "integer"}, "scope": _TEXT,
        },
        "examples": [{"access_token": "eyJ…", "token_type": "Bearer", "expires_in": 600, "scope": "events:write"}],
    },
    "TokenError": {
        "type": "object",
        "description": "RFC 6749 §5.2.",
        "required": ["error"],
        "properties": {"tracking": _TEXT, "error": _TEXT, "error_description": _TEXT},
    },
}  # fmt: skip
TOKEN_BODY = body(
    "application/x-www-form-urlencoded",
    {
        "type": "object",
        "required": ["grant_type"],
        "properties": {
            "grant_type": {"const": "client_credentials"},
            "scope": {**_TEXT, "description": "Separated by spaces; absent means all that the client has."},
            "client_id": _TEXT,
            "client_secret": _TEXT,
            "client_assertion_type": _TEXT,
            "client_assertion": {**_TEXT, "description": "JWT: iss = sub = client_id, aud, exp within 5 minutes, jti."},
        },
    },
)
TOKEN_RESPONSES: dict[int | str, Json] = {
    200: told("Token", "A token of ten minutes."),
    **{s: told("TokenError", d) for s, d in ((400, "The call is wrong."), (401, "The client is not believed."),
                                            (429, "Too many failed attempts."))},
}  # fmt: skip
