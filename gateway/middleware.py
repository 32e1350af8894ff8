"""What every call passes first: a tracking id, security headers, the access log, and the last net for mistakes."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterable
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.bodies import Budget
from gateway.problems import Problem, problem_response
from hub.operations.logs import code_places

_log = structlog.get_logger()

Field = tuple[bytes, bytes]

HEADERS: tuple[Field, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
# What stands after these opens a preview, or names a citizen.
_SECRET = re.compile(r"(?<=^/preview/)[^/]+|(?<=^/v1/citizens/)[^/]+")
_PROBES = ("/healthz", "/readyz", "/metrics")
_TLS = (b"strict-transport-security", b"max-age=31536000; includeSubDomains")


class CallMiddleware:
    """ASGI middleware. The log holds method, path, status, time, client and tracking id: no query, no body."""

    def __init__(self, app: ASGIApp, budget: Budget, tls: bool) -> None:
        self._app = app
        self._budget = budget
        self._headers = (*HEADERS, _TLS) if tls else HEADERS
        self._log = structlog.get_logger().bind()  # bound once: a logger is made anew for each line otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        tracking = scope["tracking"] = os.urandom(16).hex()
        start, status = time.perf_counter(), 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = completed(message["headers"], self._headers, tracking)
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        except Exception as error:
            # The last net: our own mistake. Its message may quote data, so only its kind and place are logged.
            _log.error("mistake", tracking=tracking, error=type(error).__name__, where=code_places(error))
            scope["problem"] = "internal_error"
            if status == 0:
                await problem_response(Problem("internal_error"), tracking)(scope, receive, send_with_headers)
        finally:
            self._budget.give_back(scope)
            self._log_call(scope, tracking, status, time.perf_counter() - start)

    def _log_call(self, scope: Scope, tracking: str, status: int, seconds: float) -> None:
        probe, failed = scope["path"] in _PROBES, status >= 500
        level = logging.DEBUG if probe else logging.WARNING if failed else logging.INFO
        if not self._log.is_enabled_for(level):
            return
        path = _SECRET.sub("…", scope["path"][:200])
        line: dict[str, Any] = {"method": scope.get("asked", scope["method"]), "path": path, "status": status,
                                "ms": round(seconds * 1000, 1), "tracking": tracking}  # fmt: skip
        for name in ("client_id", "connection", "problem"):
            if scope.get(name):
                line[name] = scope[name]
        self._log.log(level, "call", **line)


class Crowded:
    """What answers on the lines that are beyond a limit: 503 to all but the question whether the process lives."""

    def __init__(self, app: ASGIApp, budget: Budget, tls: bool) -> None:
        self._app = app
        self._refusing = CallMiddleware(_refuse, budget, tls)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        alive = scope["type"] != "http" or scope["path"] == "/healthz"
        await (self._app if alive else self._refusing)(scope, receive, send)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    problem = Problem("try_later", "too many connections", headers={"retry-after": "2", "connection": "close"})
    scope["problem"] = problem.code
    await problem_response(problem, scope["tracking"])(scope, receive, send)


def completed(given: Iterable[Field], fixed: Iterable[Field], tracking: str) -> list[Field]:
    """The fields of an answer, with the fixed ones that it does not set itself, and its tracking id."""
    fields = list(given)
    names = {name.lower() for name, _ in fields}
    fields += [pair for pair in fixed if pair[0] not in names]
    return [*fields, (b"tracking-id", tracking.encode())]
