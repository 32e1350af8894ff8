"""Reading a body: in chunks, against a limit of size and of time, before anything looks at it."""

from __future__ import annotations

import asyncio

from starlette.requests import ClientDisconnect, Request

from gateway.problems import Problem

READ_SECONDS = 30.0


async def read_body(request: Request, limit: int, *, seconds: float = READ_SECONDS) -> bytes:
    """The body, `limit` bytes at most. Raises Problem: too_large, too_slow, cut_short, content_encoding."""
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise Problem("content_encoding")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_large(limit)
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                chunks.append(chunk)
    except TimeoutError:
        raise Problem("too_slow", f"the body must arrive within {seconds:.0f} seconds") from None
    except ClientDisconnect:
        raise Problem("cut_short") from None
    return b"".join(chunks)


def too_large(limit: int) -> Problem:
    # What was not read is still on the line: the connection cannot be used again.
    return Problem("too_large", f"at most {limit} bytes are taken here", headers={"connection": "close"})


def media_type(request: Request) -> str:
    """The content type without its parameters, in lower case; empty when there is none."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
