"""Reading a body: in chunks, against limits of size, of time and of pace, before anything looks at it."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from gateway.openapi_schemas import own_schemas
from gateway.problems import Problem
from gateway.proxies import household
from schemas.event import decode_json
from schemas.shape import shape_faults

READ_SECONDS = 30.0
PACE_SECONDS, PACE_BYTES = 10.0, 40 * 1024  # so much in each such time, or the end of the body
SMALL_BYTES = 64 * 1024  # not counted: a line holds as much anyway, and lines are
PROVED_BYTES, UNPROVED_BYTES = 256 * 1024 * 1024, 64 * 1024 * 1024


class Purse:
    """Bytes for many callers, of which one has half at most."""

    def __init__(self, most: int) -> None:
        self._left, self._share = most, most // 2
        self._held: dict[str, int] = {}

    def take(self, who: str, size: int) -> None:
        """Raises Problem try_later when there is no room, or none for this caller."""
        held = self._held.get(who, 0) + size
        if size > self._left or held > self._share:
            raise Problem("try_later", headers={"retry-after": "2", "connection": "close"})
        self._left -= size
        self._held[who] = held

    def give_back(self, who: str, size: int) -> None:
        self._left += size
        self._held[who] -= size
        if not self._held[who]:
            del self._held[who]


class Budget:
    """How many bytes of bodies this process holds at once: for callers who proved who they are before it was read
    (`client_id` or `proved` of the scope), and fewer for all others, by address. `CallMiddleware` gives back what a
    call took."""

    def __init__(self, proved: int = PROVED_BYTES, unproved: int = UNPROVED_BYTES) -> None:
        self._proved, self._unproved = Purse(proved), Purse(unproved)

    def take(self, scope: Scope, size: int) -> None:
        """Raises Problem try_later when there is no room."""
        purse, who, held = scope.get("held") or (*self._purse_of(scope), 0)
        purse.take(who, size)
        scope["held"] = (purse, who, held + size)

    def give_back(self, scope: Scope) -> None:
        if "held" in scope:
            purse, who, held = scope.pop("held")
            purse.give_back(who, held)

    def _purse_of(self, scope: Scope) -> tuple[Purse, str]:
        proved = scope.get("client_id") or scope.get("proved")
        if proved:
            return self._proved, proved
        return self._unproved, household(scope["client"][0]) if scope.get("client") else ""


async def read_body(request: Request, limit: int) -> bytes:
    """The body, `limit` bytes at most. Raises Problem: too_large, too_slow, cut_short,
    content_encoding, and try_later when the process holds too much."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("content_encoding")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    budget: Budget | None = request.app.state.budget if limit > SMALL_BYTES else None
    chunks: list[bytes] = []
    size = fresh = 0
    end = None
    try:
        async with asyncio.timeout(min(PACE_SECONDS, READ_SECONDS)) as patience:
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise Problem("cut_short")
                chunk, more = message.get("body", b""), message.get("more_body", False)
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                if budget is not None:
                    budget.take(request.scope, len(chunk))
                chunks.append(chunk)
                fresh += len(chunk)
                if more and fresh >= PACE_BYTES:
                    end = end or (patience.when() or 0.0) + READ_SECONDS - PACE_SECONDS
                    patience.reschedule(min(end, asyncio.get_running_loop().time() + PACE_SECONDS))
                    fresh = 0
    except TimeoutError:
        raise too_slow() from None
    return b"".join(chunks)


def too_large(limit: int) -> Problem:
    # What was not read is still on the line: the connection cannot be used again.
    return Problem("too_large", f"at most {limit} bytes are taken here", headers={"connection": "close"})


def too_slow() -> Problem:
    pace = f"{PACE_BYTES // 1024} KiB in {PACE_SECONDS:.0f} seconds"
    detail = f"the body must arrive within {READ_SECONDS:.0f} seconds, and never slower than {pace}"
    return Problem("too_slow", detail, headers={"connection": "close"})


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty when there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_json(request: Request, limit: int) -> tuple[bytes, Any]:
    """The body as it came, and as JSON. Raises Problem unsupported_media_type too, and InvalidMessage not_json."""
    if media_type(request) != "application/json":
        raise Problem("unsupported_media_type", "send application/json", headers={"accept-post": "application/json"})
    body = await read_body(request, limit)
    return body, decode_json(body)


def check_shape(name: str, body: Any) -> None:
    """Raises Problem schema_violation with the first fault by our own schema of this name."""
    for fault in shape_faults(own_schemas()[name], body):
        raise Problem("schema_violation", fault.message, "".join(f"/{part}" for part in fault.path))
