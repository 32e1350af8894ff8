"""Problems: every answer that says no, as RFC 9457. The codes are stable; `docs/problems.md` explains each.

A body begins with `tracking`, which the log line of the call carries too. It never holds personal data or a stack.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
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

_OF_STATUS = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
_BY_KIND: tuple[tuple[type[HubError], str], ...] = (
    (AccessDenied, "access_denied"), (BusUnavailable, "bus_unavailable"), (TryLater, "try_later"),
    (Refused, "refused"), (Unknown, "unknown_outcome"), (ConfigError, "config_error"),
    (InvalidMessage, "invalid_message"),
)  # fmt: skip


@cache
def codes() -> Mapping[str, tuple[int, str]]:
    """Status and title of every code, as `problems.csv` lists them: the call first, then its content, then the hub."""
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as table:
        return {row["code"]: (int(row["status"]), row["title"]) for row in csv.DictReader(table, delimiter=";")}


@dataclass(slots=True)
class Problem(Exception):
    """Raise to answer no. `code` is one of codes()."""

    code: str
    detail: str = ""
    pointer: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return codes()[self.code][0]

    def body(self) -> dict[str, Any]:
        """The members of RFC 9457, without `tracking`."""
        status, title = codes()[self.code]
        members = {"type": f"urn:unefois:problem:{self.code}", "code": self.code, "title": title, "status": status}
        members |= {"detail": self.detail} if self.detail else {}
        members |= {"pointer": self.pointer} if self.pointer is not None else {}
        return members | dict(self.more)


REFUSALS = (Problem, HubError, RequestValidationError, HTTPException)


def problem_of(error: HubError) -> Problem:
    """An error of the hub as its caller sees it. A code of a connector's own is kept under `reason`."""
    kind = next((code for known, code in _BY_KIND if isinstance(error, known)), "hub_error")
    code = error.code if error.code in codes() else kind
    more = {} if error.code in codes() else {"reason": error.code}
    more |= getattr(error, "problem_members", {})
    status, after = codes()[code][0], getattr(error, "after", None)
    headers = {"retry-after": str(math.ceil(after))} if status == 429 and after else {}
    if isinstance(error, InvalidMessage):
        more |= {"rule": error.rule} if error.rule else {}
        return Problem(code, error.reason, error.pointer, headers=headers, more=more)
    if status >= 500:  # what the hub lacks is said in its log, not to callers
        waits = {"retry-after": str(int(after or RETRY_SECONDS))} if status == 503 else {}
        return Problem(code, headers=waits, more=more)
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
    headers = dict(error.headers or {})
    if (allowed := headers.get("Allow", "").split(", ")) and "GET" in allowed and "HEAD" not in allowed:
        headers["Allow"] = ", ".join([*allowed, "HEAD"])
    return Problem(code, headers=headers)


def _problem_of_parameter(error: RequestValidationError) -> Problem:
    """The first fault; its value is not repeated."""
    first = error.errors()[0]
    place, *path = (str(part) for part in first["loc"])
    if place == "body":
        return Problem("schema_violation", first["msg"], "".join(f"/{part}" for part in path))
    return Problem("bad_parameter", f"{'.'.join(path)}: {first['msg']}", more={"in": place})
