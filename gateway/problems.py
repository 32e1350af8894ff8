"""Problems: every answer that says no, as RFC 9457. The codes are stable; `docs/problems.md` explains each.

A body begins with `tracking`, which the log line of the call carries too. It never holds personal data or a stack.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from schemas.errors import (
    AccessDenied,
    BusUnavailable,
    ConfigError,
    HubError,
    InvalidMessage,
    Refused,
    TryLater,
    Unknown,
)

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 5

CODES: Mapping[str, tuple[int, str]] = {
    # the call
    "not_json": (400, "The body is not the JSON that is expected"),
    "not_an_event": (400, "This is not a CloudEvent"),
    "not_a_batch": (400, "A batch is a JSON array of events"),
    "bad_request": (400, "The call cannot be understood"),
    "bad_parameter": (400, "A parameter is wrong"),
    "bad_cursor": (400, "This cursor was not given by this list"),
    "digest_mismatch": (400, "The content is not the one that its digest announces"),
    "token_missing": (401, "A bearer token is needed"),
    "token_invalid": (401, "The token is not valid"),
    "token_expired": (401, "The token has expired"),
    "client_disabled": (401, "This client is disabled"),
    "access_denied": (401, "The caller did not prove who it is"),
    "scope_missing": (403, "The token lacks the scope that this needs"),
    "source_not_allowed": (403, "This source is not yours"),
    "tenant_not_allowed": (403, "This tenant is not yours"),
    "type_not_allowed": (403, "You may not publish this type"),
    "no_grant": (403, "No grant lets this client obtain this evidence"),
    "field_not_granted": (403, "The grant does not cover these fields"),
    "procedure_not_covered": (403, "The grant does not cover this procedure"),
    "asker_not_covered": (403, "The grant does not let this kind of person ask"),
    "assurance_too_low": (403, "The identity is not sure enough"),
    "authorisation_expired": (403, "The authorisation to ask the source is over"),
    "explicit_request_missing": (403, "The person must ask for this exchange explicitly"),
    "refused_by_person": (403, "The person does not want this evidence used"),
    "evidence_withheld": (403, "This is asked of the person alone"),
    "identity_not_matched": (404, "Nobody was found under this identity"),
    "not_found": (404, "There is nothing here"),
    "unknown_document": (404, "There is no such document"),
    "not_receiving": (404, "This connection takes no calls"),
    "method_not_allowed": (405, "This method does not exist here"),
    "too_slow": (408, "The body did not arrive in time"),
    "cut_short": (400, "The body ended before its end"),
    "id_reused": (409, "This source and id named another event before"),
    "identity_ambiguous": (409, "Several people were found under this identity"),
    "preview_required": (409, "The person must see the evidence first"),
    "reference_taken": (409, "This reference belongs to another request"),
    "too_large": (413, "Too large"),
    "batch_too_long": (413, "Too many events in one batch"),
    "unsupported_media_type": (415, "This content type is not taken here"),
    "content_encoding": (415, "Compressed bodies are not taken"),
    "media_type_refused": (415, "Documents of this media type are not taken"),
    "media_type_mismatch": (415, "The content is not of the media type it announces"),
    # the content
    "invalid_message": (422, "The message breaks a rule"),
    "schema_violation": (422, "The data breaks the schema of its type"),
    "unknown_type": (422, "This type of event is not known"),
    "unknown_schema": (422, "This version of the type is not known"),
    "unknown_procedure": (422, "This procedure is not in the catalogue"),
    "unknown_request": (422, "The request that this names is not known"),
    "nir_not_allowed": (422, "The hub may not keep a social security number"),
    "sectors_not_linked": (422, "The references are of sectors that are not linked"),
    "ambiguous_citizen": (422, "The references name different persons"),
    "reference_not_yours": (422, "A client gives references of its own only"),
    "document_not_yours": (422, "This names a document that you may not read"),
    "idempotency_key_reused": (422, "This Idempotency-Key was used with another body"),
    "empty_document": (422, "The document is empty"),
    "reserved_document": (422, "Documents of this kind are not kept here"),
    "url_refused": (422, "The hub does not call this address"),
    "too_many_webhooks": (422, "This client has as many webhooks as it may have"),
    "no_source": (422, "No source of this tenant answers this evidence"),
    "source_needs": (422, "The sources must be told more of the citizen"),
    "unknown_evidence": (422, "This type of evidence is not known"),
    "refused": (422, "The package refused"),
    "rate_exceeded": (429, "Too many questions; see Retry-After"),
    # the hub
    "internal_error": (500, "The hub made a mistake"),
    "hub_error": (500, "The hub cannot do this"),
    "config_error": (500, "A setting of the hub is wrong"),
    "document_damaged": (500, "The stored document is damaged"),
    "no_converter": (500, "The hub cannot convert between these versions"),
    "source_fault": (502, "The source gave an answer that cannot be used"),
    "unknown_outcome": (502, "Whether the call had its effect is not known"),
    "source_away": (503, "The source of this evidence is away"),
    "try_later": (503, "Not possible now; try again"),
    "bus_unavailable": (503, "A part of the hub is away; try again"),
    "not_ready": (503, "The hub is not ready"),
}
_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_BY_KIND: tuple[tuple[type[HubError], str], ...] = (
    (AccessDenied, "access_denied"), (BusUnavailable, "bus_unavailable"), (TryLater, "try_later"),
    (Refused, "refused"), (Unknown, "unknown_outcome"), (ConfigError, "config_error"),
    (InvalidMessage, "invalid_message"),
)  # fmt: skip


@dataclass(slots=True)
class Problem(Exception):
    """Raise to answer no. `code` is one of CODES."""

    code: str
    detail: str = ""
    pointer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return CODES[self.code][0]

    def body(self) -> dict[str, Any]:
        """The members of RFC 9457, without `tracking`."""
        status, title = CODES[self.code]
        members = {"type": f"urn:unefois:problem:{self.code}", "code": self.code, "title": title, "status": status}
        members |= {"detail": self.detail} if self.detail else {}
        members |= {"pointer": self.pointer} if self.pointer is not None else {}
        return members | dict(self.more)


REFUSALS = (Problem, HubError, RequestValidationError, HTTPException)


def problem_of(error: HubError) -> Problem:
    """An error of the hub as its caller sees it. A code of a connector's own is kept under `reason`."""
    kind = next((code for known, code in _BY_KIND if isinstance(error, known)), "hub_error")
    code = error.code if error.code in CODES else kind
    more = {} if error.code in CODES else {"reason": error.code}
    more |= getattr(error, "problem_members", {})
    if isinstance(error, InvalidMessage):
        more |= {"rule": error.rule} if error.rule else {}
        return Problem(code, error.reason, error.pointer, more=more)
    if CODES[code][0] >= 500:  # what the hub lacks is said in its log, not to callers
        after = getattr(error, "after", None) or RETRY_SECONDS
        return Problem(code, headers={"retry-after": str(int(after))} if CODES[code][0] == 503 else {}, more=more)
    after = getattr(error, "after", None)
    headers = {"retry-after": str(math.ceil(after))} if CODES[code][0] == 429 and after else {}
    return Problem(code, error.reason, headers=headers, more=more)


def problem_response(problem: Problem, tracking: str) -> Response:
    body = orjson.dumps({"tracking": tracking, **problem.body()})
    return Response(body, problem.status, {"cache-control": "no-store", **problem.headers}, MEDIA_TYPE)


def tracking_of(request: Request) -> str:
    return str(request.scope.get("tracking", ""))


def refusal_response(request: Request, error: Exception) -> Response:
    """The answer to a call that ended with one of REFUSALS."""
    problem = _problem_from(error)
    request.scope["problem"] = problem.code
    return problem_response(problem, tracking_of(request))


def install(app: FastAPI) -> None:
    """Make every refusal of the application a problem."""
    for kind in REFUSALS:
        app.add_exception_handler(kind, refusal_response)


def _problem_from(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HubError):
        return problem_of(error)
    if isinstance(error, RequestValidationError):
        return _problem_of_parameter(error)
    assert isinstance(error, HTTPException)
    code = _OF_STATUS.get(error.status_code, "bad_request" if error.status_code < 500 else "internal_error")
    return Problem(code, headers=dict(error.headers or {}))


def _problem_of_parameter(error: RequestValidationError) -> Problem:
    """The first fault; its value is not repeated."""
    first = error.errors()[0]
    place, *path = (str(part) for part in first["loc"])
    if place == "body":
        return Problem("schema_violation", first["msg"], "".join(f"/{part}" for part in path))
    return Problem("bad_parameter", f"{'.'.join(path)}: {first['msg']}", more={"in": place})
