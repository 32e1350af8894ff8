"""What the OpenAPI description says beyond the signatures: bodies checked by the schema registry, answers, examples."""

from __future__ import annotations

from typing import Any

from schemas.event import BATCH, STRUCTURED

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}


def schema_of(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


PROBLEM_REF = schema_of("Problem")
# Records of schemas/records/, which the description carries too.
_INSTANT, _DATE = schema_of("timestamp.v1"), schema_of("calendar-date.v1")

SCHEMAS: Json = {
    "Problem": {
        "type": "object",
        "description": "RFC 9457. Decide on `code` (or `type`), never on the sentences.",
        "required": ["type", "code", "title", "status"],
        "properties": {
            "tracking": {**_TEXT, "description": "Give it when you ask for help; a verdict has that of its batch."},
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
            "review": {
                "type": "array", "items": _TEXT,
                "description": "Values that go to nobody until an operator has decided: the system that is master of "
                "them says otherwise.",
            },
            "problem": PROBLEM_REF,
        },
    },
    "Accepted": {
        "allOf": [schema_of("Verdict"), {"properties": {"tracking": _TEXT}}],
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
            "verdicts": {"type": "array", "items": schema_of("Verdict")},
        },
    },
}  # fmt: skip


def problem_responses(*statuses: int) -> dict[int | str, Json]:
    """The refusals of a route; those that every route knows come with them."""
    descriptions = {
        400: "The call cannot be understood.", 401: "No valid token.", 403: "The token does not allow this.",
        404: "There is nothing here that this client may see.", 408: "The body came too slowly.", 409: "A conflict.",
        413: "Too large.", 415: "This content type is not taken.", 422: "The content breaks a rule.",
        429: "Too many failed attempts.", 500: "Our mistake.", 503: "Not now; see `Retry-After`.",
    }  # fmt: skip
    content = {"application/problem+json": {"schema": PROBLEM_REF}}
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
    202: json_response("Accepted", "One event, committed."),
    200: {
        "description": "One event that the hub already had; or a batch, with a verdict for each item.",
        "content": {"application/json": {"schema": {"anyOf": [schema_of("Accepted"), schema_of("Verdicts")]}}},
    },
    **problem_responses(400, 401, 403, 408, 409, 413, 415, 422),
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
SCHEMAS["TokenRequest"] = {
    "type": "object",
    "description": "One way to authenticate at a time: HTTP Basic, `client_id` and `client_secret`, or an assertion.",
    "required": ["grant_type"],
    "properties": {
        "grant_type": {"const": "client_credentials"},
        "scope": {**_TEXT, "description": "Separated by spaces; absent means all that the client has."},
        "client_id": _TEXT,
        "client_secret": _TEXT,
        "client_assertion_type": {"const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
        "client_assertion": {
            **_TEXT,
            "description": "JWT signed with ES256, PS256 or EdDSA: `iss` = `sub` = client id, `aud` = address of the "
            "token endpoint or of the hub, `exp` within 5 minutes, `jti` never used before.",
        },
    },
}
TOKEN_BODY = request_body("application/x-www-form-urlencoded", schema_of("TokenRequest"))
TOKEN_RESPONSES: dict[int | str, Json] = {
    200: json_response("Token", "A token of ten minutes."),
    **{s: json_response("TokenError", d) for s, d in ((400, "The call is wrong."), (401, "The client is not believed."),
                                            (429, "Too many failed attempts."))},
}  # fmt: skip

_EXCHANGE = {
    "id": "7c1c5e0e-0f0b-4a2e-8a57-3f6b0e2d9c11", "iss": "https://hub.example", "aud": "portail", "iat": 1795000000,
    "evidence": "family-quotient", "version": 1, "citizen": "b3VpLWMtZXN0LXVuZS1yZWZlcmVuY2U",
    "values": {"quotient": {"value": 815, "source": "CNAF", "date": "2026-10", "quality": "authoritative"}},
    "missing": [], "source": "saint-aubin.api-particulier", "obtained_at": "2026-11-18T10:26:40.000Z",
    "stored": False, "procedure": "formulaire-qf", "request": None, "grant": "cantine", "ground": "L114-8 I",
    "article": "6.1.e", "information": "Pour la démarche…", "signature": "eyJ…",
}  # fmt: skip
SCHEMAS |= {
    "Exchange": {
        "type": "object",
        "description": "What a source says of a citizen, and the proof.",
        "required": ["id", "evidence", "version", "citizen", "values", "source", "signature"],
        "properties": {
            "id": {**_TEXT, "description": "Of the exchange, in the journal too."},
            "iss": _TEXT, "aud": _TEXT, "iat": {"type": "integer"}, "evidence": _TEXT, "version": {"type": "integer"},
            "citizen": {**_TEXT, "description": "Your own reference of this citizen: nobody else has the same."},
            "values": {
                "type": "object",
                "description": "By field, as `/schemas/evidence/` says; only what the grant names.",
                "additionalProperties": schema_of("evidence-value.v1"),
            },
            "missing": {"type": "array", "items": _TEXT, "description": "Granted, and not given by the source."},
            "source": {"type": ["string", "null"], "description": "The connection that answered."},
            "obtained_at": {**_INSTANT, "description": "When the source said it."},
            "stored": {"type": "boolean", "description": "The hub had it, as the grant allows."},
            "procedure": _TEXT, "request": {"type": ["string", "null"]}, "grant": _TEXT,
            "ground": {**_TEXT, "description": "The text that lets the data pass."},
            "article": {**_TEXT, "description": "Of the RGPD."},
            "information": {**_TEXT, "description": "What the person must be told, in French."},
            "signature": {
                **_TEXT,
                "description": "JWS (EdDSA) of all the other members; its key is at `/.well-known/jwks.json`.",
            },
        },
        "examples": [_EXCHANGE],
    },
    "Receipt": {
        "type": "object",
        "description": "A line of the journal, and the proof that it is in a sealed segment (RFC 6962).",
    },
    "Reads": {
        "type": "object",
        "required": ["items"],
        "properties": {
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["at", "fr", "en"],
                    "properties": {
                        "id": _TEXT, "at": _INSTANT, "act": _TEXT, "outcome": _TEXT,
                        "fr": {**_TEXT, "description": "A sentence in French."},
                        "en": {**_TEXT, "description": "The same in English."},
                    },
                },
            },
        },
    },
}  # fmt: skip
_CORRECTION = {
    "correction": "0d9c3d3e-6d5d-5b0f-9a3f-2f4f4dd3a101", "change": "corrected", "cause": "source",
    "client": "portail", "reference": "b3VpLWMtZXN0LXVuZS1yZWZlcmVuY2U", "evidence": "family-quotient", "version": 1,
    "fields": ["quotient", "month"], "exchanges": ["7c1c5e0e-0f0b-4a2e-8a57-3f6b0e2d9c11"], "effective": "2026-10-01",
    "at": "2026-11-18T10:26:40.000Z", "told_at": None, "acknowledged_at": None,
}  # fmt: skip
SCHEMAS |= {
    "Correction": {
        "type": "object",
        "required": list(_CORRECTION),
        "properties": {
            "correction": {**_TEXT, "description": "Its id."},
            "change": {"enum": ["corrected", "erased"]},
            "cause": {
                "enum": ["source", "identity", "person"],
                "description": "The source says so; the hub had taken two people for one; the hub erased the person.",
            },
            "client": {**_TEXT, "description": "You."},
            "reference": {**_TEXT, "description": "Your own reference of the citizen."},
            "evidence": _TEXT, "version": {"type": "integer"}, "fields": {"type": "array", "items": _TEXT},
            "exchanges": {"type": "array", "items": _TEXT, "description": "By which you obtained it."},
            "effective": _DATE, "at": _INSTANT,
            "told_at": {"type": ["string", "null"], "description": "When a webhook or queue of yours took it."},
            "acknowledged_at": {"type": ["string", "null"]},
        },
        "examples": [_CORRECTION],
    },
    "Corrections": {
        "type": "object",
        "required": ["items"],
        "properties": {"items": {"type": "array", "items": schema_of("Correction")}},
    },
}  # fmt: skip
EXCHANGE_BODY = request_body("application/json", schema_of("exchange-question.v1"), "The record `exchange-question`.")

_LIST: Json = {"type": "array"}
_NULL_TEXT: Json = {"type": ["string", "null"]}
_RECEIVED = {
    "at": "2026-03-02T09:14:05.310Z", "kind": "received", "origin": "saint-aubin.portail", "seq": 1204,
    "text": "Reçue par portail",
}  # fmt: skip
_LINE: Json = {
    "id": {**_TEXT, "description": "Given by the hub."},
    "procedure": {**_TEXT, "description": "Entry of the catalogue."},
    "label": {**_TEXT, "description": "What the town calls it."},
    "status": schema_of("status.v1"),
    "phase": {"enum": ["qualification", "processing", "delivery", None]},
    "final": {"type": "boolean", "description": "Nothing more is expected."},
    "submitted_at": _INSTANT,
    "references": {**_LIST, "items": schema_of("system-reference.v1")},
}
NEW_WEBHOOK: Json = {
    "type": "object",
    "required": ["url", "types"],
    "additionalProperties": False,
    "properties": {
        "url": {**_TEXT, "maxLength": 2000, "description": "https, outside."},
        "types": {**_LIST, "minItems": 1, "maxItems": 20, "uniqueItems": True, "items": _TEXT},
        "thin": {"type": "boolean", "default": True, "description": "Identifiers only: read the rest here."},
    },
    "examples": [{"url": "https://portail.example/hooks/unefois", "types": ["request.status-changed"]}],
}
_WEBHOOK: Json = {"id": _TEXT, **NEW_WEBHOOK["properties"]}
_MADE = {"id": "0b1d7a52-3c1e-4f6a-8f56-0d2a6e3c9b10", "url": "https://portail.example/hooks/unefois",
         "types": ["request.status-changed"], "thin": True}  # fmt: skip
SCHEMAS |= {
    "RequestLine": {"type": "object", "properties": _LINE},
    "Step": {
        "type": "object",
        "description": "One thing that happened. `delivery`: who was told, how it stands, what it answered.",
        "required": ["at", "kind", "text"],
        "properties": {
            "at": _INSTANT,
            "kind": {"enum": ["received", "status", "change", "echo", "held", "withheld", "delivery"]},
            "text": {**_TEXT, "description": "A sentence in French."},
            "origin": _TEXT, "connection": _TEXT, "type": _TEXT, "state": _TEXT, "cause": _TEXT, "answer": _TEXT,
            "status": _TEXT, "phase": _TEXT, "native_code": _TEXT, "native_label": _TEXT, "reason": _TEXT,
            "mark": {**_TEXT, "description": "Why a status was kept but not applied."},
            "seq": {"type": "integer"},
        },
        "examples": [_RECEIVED],
    },
    "Request": {
        "type": "object",
        "properties": {
            **_LINE,
            "reason": {**_NULL_TEXT, "description": "Why, in the words of who decided."},
            "intake": {**_TEXT, "description": "Who brought it."},
            "confidential": {"type": "boolean"},
            "received_at": _INSTANT,
            "clocks": {
                "type": "object",
                "description": "Legal dates, computed from the procedure; the hub decides nothing by them.",
                "properties": {
                    "registration_due": _NULL_TEXT, "receipt_due": _NULL_TEXT, "silence_on": _NULL_TEXT,
                    "silence": {**_NULL_TEXT, "description": "What silence means on that day."},
                    "suspended": {"type": "boolean"}, "passed": {"type": "boolean"},
                },
            },
            "documents": {**_LIST, "items": schema_of("document.v1"), "description": "See `/v1/documents/{id}`."},
            "timeline": {**_LIST, "items": schema_of("Step")},
        },
        "examples": [
            {
                "id": "5d7f2c7e-5f0e-4b8e-9f57-0b7a1a9f5a11", "procedure": "occupation-domaine-public",
                "label": "Occupation du domaine public", "status": "received", "phase": "qualification",
                "final": False, "reason": None, "intake": "saint-aubin.portail", "confidential": False,
                "submitted_at": "2026-03-02T09:14:05Z", "received_at": "2026-03-02T09:14:05.310Z",
                "references": [{"system": "portail", "id": "2026-000481"}], "documents": [], "timeline": [_RECEIVED],
            }
        ],
    },
    "Requests": {
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {**_LIST, "items": schema_of("RequestLine")},
            "next": {**_NULL_TEXT, "description": "Cursor of the next page; null on the last."},
        },
    },
    "Timeline": {"type": "object", "properties": {"items": {**_LIST, "items": schema_of("Step")}}},
    "NewWebhook": NEW_WEBHOOK,
    "Webhook": {"type": "object", "properties": _WEBHOOK, "examples": [_MADE]},
    "WebhookWithKey": {
        "type": "object",
        "properties": {**_WEBHOOK, "key": {**_TEXT, "description": "`whsec_…`, of Standard Webhooks."}},
        "examples": [{**_MADE, "key": "whsec_…"}],
    },
    "Webhooks": {"type": "object", "properties": {"items": {**_LIST, "items": schema_of("Webhook")}}},
}  # fmt: skip

_SUBMITTED = {k: v for k, v in _EXAMPLE["data"]["request"].items() if k != "references"}  # type: ignore[index]
REQUEST_BODY = request_body(
    "application/json",
    {
        "allOf": [schema_of("request.v1")],
        "description": "The record `request`; here `references` may be left out.",
    },
    "64 KiB at most.",
    example=_SUBMITTED,
)
_BYTES: Json = {"type": "string", "format": "binary"}
DOCUMENT_BODY: Json = {
    "requestBody": {
        "required": True,
        "description": "10 MiB at most.",
        "content": {
            "*/*": {"schema": _BYTES},
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file"], "properties": {"file": _BYTES, "kind": _TEXT}}
            },
        },
    },
    "parameters": [
        {"name": name, "in": "header", "required": False, "description": description, "schema": _TEXT}
        for name, description in (
            ("Content-Disposition", "`attachment; filename*=UTF-8''plan.pdf`"),
            ("Content-Digest", "`sha-256=:…:` (RFC 9530)"),
            ("Repr-Digest", "`sha-256=:…:` (RFC 9530)"),
        )
    ],
}
DOCUMENT_ANSWER: Json = {"description": "The bytes, with `Repr-Digest`.", "content": {"*/*": {"schema": _BYTES}}}
