"""`/v1/events`: one event or a batch, in the three HTTP forms of CloudEvents. Answered once committed."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.bodies import media_type, read_body
from gateway.openapi_schemas import EVENTS_BODY, EVENTS_RESPONSES
from gateway.problems import Problem, problem_of, tracking_of
from hub.acceptance.accept import Verdict, is_breach
from hub.services import Services
from schemas.errors import TryLater
from schemas.event import BATCH, MAX_BATCH_BYTES, STRUCTURED, Event, Submitted, decode_batch, decode_json

BATCH_BYTES = MAX_BATCH_BYTES
COMMIT_SECONDS = 30.0
_SMALL_BYTES = 16 * 1024  # what the loop checks itself: a good event of this size takes it a fraction of a millisecond

router = APIRouter(tags=["events"])


@router.post(
    "/v1/events", summary="Publish one event or a batch", response_model=None, responses=EVENTS_RESPONSES,
    openapi_extra=EVENTS_BODY,
)  # fmt: skip
async def publish(request: Request, caller: Annotated[Caller, needs("events:write")]) -> Response:
    """A 2xx answer means committed: 202 for a new event, 200 for one that the hub already has, 200 with a verdict for
    each item, in order, for a batch. `source` + `id` name an event for ever: in doubt, send it again unchanged."""
    services: Services = request.app.state.services
    kind = media_type(request)
    if kind == BATCH:
        return await _batch(request, services, caller)
    return await _one(request, services, caller, kind)


async def _one(request: Request, services: Services, caller: Caller, kind: str) -> Response:
    body = await read_body(request, services.settings.limits.event_bytes)
    event = _read(request, kind, body)
    (verdict,) = await commit(services, caller, await checked(request, services, caller, event, len(body), read=True))
    if verdict.error is not None:
        raise problem_of(verdict.error)
    status = 200 if verdict.outcome == "duplicate" else 202
    answer = {"tracking": tracking_of(request), **_verdict_members(event, verdict)}
    return Response(orjson.dumps(answer), status, media_type="application/json")


async def _batch(request: Request, services: Services, caller: Caller) -> Response:
    body = await read_body(request, BATCH_BYTES)

    def read() -> tuple[list[Submitted], list[Submitted]]:
        items = decode_batch(body)
        return items, services.acceptance.check(caller.origin, items, read=True)

    items, found = await request.app.state.checking.run(request, caller.client.id, read)
    verdicts = await commit(services, caller, found) if items else []
    lines = [_verdict_members(item, verdict) for item, verdict in zip(items, verdicts, strict=True)]
    answer = {"tracking": tracking_of(request), "verdicts": lines}
    return Response(orjson.dumps(answer), 200, media_type="application/json")


async def checked(
    request: Request, services: Services, caller: Caller, event: Event, size: int, *, read: bool = False
) -> list[Submitted]:
    """One event of `size` bytes after `Acceptance.check`. On the loop only what is small, and takes no words."""

    def check(words: int) -> list[Submitted]:
        return services.acceptance.check(caller.origin, [event], read=read, words=words)

    if size <= _SMALL_BYTES:
        found = check(words=0)
        if not is_breach(found[0]):
            return found
    wording: list[Submitted] = await request.app.state.checking.run(request, caller.client.id, lambda: check(words=1))
    return wording


async def commit(services: Services, caller: Caller, found: list[Submitted]) -> list[Verdict]:
    """A verdict for each, in order. Raises TryLater when the commit does not come."""
    try:
        # A caller that hangs up does not undo what is being committed.
        async with asyncio.timeout(COMMIT_SECONDS):
            return await services.batcher.expect(caller.origin, found)
    except TimeoutError:
        raise TryLater("the commit takes too long; send the same again") from None


def _read(request: Request, kind: str, body: bytes) -> Event:
    if kind == STRUCTURED:
        return Event.from_dict(decode_json(body))
    headers = dict(request.headers)
    if "ce-specversion" in headers or "ce-type" in headers:
        return Event.from_http(headers, body)
    raise Problem(
        "unsupported_media_type", f"send {STRUCTURED}, {BATCH}, or application/json with the ce-* headers",
        headers={"accept-post": f"{STRUCTURED}, {BATCH}, application/json"},
    )  # fmt: skip


def _verdict_members(item: Submitted, verdict: Verdict) -> dict[str, Any]:
    line: dict[str, Any] = {"outcome": verdict.outcome}
    if isinstance(item, Event):
        line |= {"source": item.source, "id": item.id}
    if verdict.seq is not None:
        line["sequence"] = verdict.seq
    if verdict.request_id is not None:
        line["request"] = verdict.request_id
    if verdict.review:
        line["review"] = list(verdict.review)
    if verdict.error is not None:
        line["problem"] = problem_of(verdict.error).body()
    return line
