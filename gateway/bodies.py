"""Reading a body: in chunks, against a limit of size and of time, before anything looks at it."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from gateway.problems import Problem
from schemas.event import decode_json

READ_SECONDS = 30.0
BUDGET_BYTES = 256 * 1024 * 1024


class Budget:
    """How many bytes of bodies this process holds at once. `CallMiddleware` gives back what a call took."""

    def __init__(self, most: int = BUDGET_BYTES) -> None:
        self._left = most

    def take(self, scope: Scope, size: int) -> None:
        """Raises Problem try_later when there is no room."""
        if size > self._left:
            raise Problem("try_later", headers={"retry-after": "2", "connection": "close"})
        self._left -= size
        scope["held"] = scope.get("held", 0) + size

    def give_back(self, scope: Scope) -> None:
        self._left += scope.pop("held", 0)


async def read_body(request: Request, limit: int) -> bytes:
    """The body, `limit` bytes at most. Raises Problem: too_large, too_slow, cut_short,
    content_encoding, and try_later when the process holds too much."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("content_encoding")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    budget: Budget = request.app.state.budget
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_SECONDS):
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Problem("cut_short")
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                budget.take(request.scope, len(chunk))
                chunks.append(chunk)
    except TimeoutError:
        raise Problem("too_slow", f"the body must arrive within {READ_SECONDS:.0f} seconds") from None
    return b"".join(chunks)


def too_large(limit: int) -> Problem:
    # What was not read is still on the line: the connection cannot be used again.
    return Problem("too_large", f"at most {limit} bytes are taken here", headers={"connection": "close"})


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty when there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, limit: int) -> tuple[bytes, Any]:
    """The body as it came, and as JSON. Raises Problem unsupported_media_type too, and InvalidMessage not_json."""
    if media_type(request) != "application/json":
        raise Problem("unsupported_media_type", "send application/json", headers={"accept-post": "application/json"})
    body = await read_body(request, limit)
    return body, decode_json(body)
