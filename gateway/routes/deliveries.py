"""`/v1/deliveries`: what a package without a connector of ours pulls, and what it answers. Each client sees its own."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.bodies import check_shape, read_json
from gateway.openapi_schemas import json_response, problem_responses, request_body, schema_of
from gateway.problems import Problem, problem_of, tracking_of
from gateway.replays import ask_replay
from hub.acceptance import pulling
from hub.acceptance.pulling import MOST, Answer, NotPulling, Page
from hub.routing.directory import ConnectionRouting
from hub.services import Services
from schemas.errors import InvalidMessage

USUAL = 100
LONGEST_WAIT = 30
_BODY_BYTES, _BATCH_BYTES = 16 * 1024, 512 * 1024
_GLANCE = 0.5  # seconds between two looks for somebody who waits
_WAITING_AT_ONCE = 4  # calls of one client; a further one is answered at once
LARGEST = 2**53 - 1  # a number that every JSON reader holds

router = APIRouter(tags=["deliveries"])
Puller = Annotated[Caller, needs("deliveries:read")]
Number = Annotated[int, Path(ge=1, le=LARGEST, description="As a page gave it.")]


class Waiters:
    """How many calls of each client wait in this process."""

    def __init__(self) -> None:
        self._now: Counter[str] = Counter()

    def enter(self, client: str) -> bool:
        """False when it has its share here already."""
        if self._now[client] >= _WAITING_AT_ONCE:
            return False
        self._now[client] += 1
        return True

    def leave(self, client: str) -> None:
        self._now[client] -= 1
        if not self._now[client]:
            del self._now[client]


@router.get(
    "/v1/deliveries", summary="Pull your deliveries", response_model=None,
    responses={200: json_response("Deliveries", "What you have not answered, by number."),
               **problem_responses(400, 401, 403, 404)},
)  # fmt: skip
async def pull(
    request: Request,
    caller: Puller,
    limit: Annotated[int, Query(ge=1, le=MOST, description="How many you want before you at once.")] = USUAL,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT, description="Seconds to wait where there is nothing yet.")
    ] = 0,
) -> Response:  # fmt: skip
    """The same items in the same order, until each is answered; where there is room for more, new ones behind them, one
    at a time of each citizen or request. A number is yours: 1, 2, 3, never given twice; no time takes it back."""
    services: Services = request.app.state.services
    member = _member(services, caller)
    page = await run_in_threadpool(services.pulls.page, member, limit)
    if not page.items and wait:
        page = await _waited(request, services, caller, member, limit, wait, page)
    return _json({"items": [item.to_dict() for item in page.items], "waiting": page.waiting, "paused": page.paused})


@router.post(
    "/v1/deliveries", summary="Answer several deliveries", response_model=None,
    openapi_extra=request_body("application/json", schema_of("DeliveryAnswers"), "500 at most."),
    responses={200: json_response("DeliveryVerdicts", "A verdict for each, in order."),
               **problem_responses(400, 401, 403, 404, 408, 413, 415, 422)},
)  # fmt: skip
async def answer_several(request: Request, caller: Puller) -> Response:
    """Each by itself, all in one commit: `recorded`, `repeated` where you said the same before, or a `problem`."""
    services: Services = request.app.state.services
    member = _member(services, caller)
    _, body = await read_json(request, _BATCH_BYTES)
    check_shape("DeliveryAnswers", body)
    answers = [_answer(one, one["number"], f"/{place}") for place, one in enumerate(body)]
    verdicts = await run_in_threadpool(services.pulls.answer, member, answers)
    lines = [
        {"number": one.number, "outcome": "problem", "problem": problem_of(verdict).body()}
        if isinstance(verdict, InvalidMessage) else {"number": one.number, "outcome": verdict}
        for one, verdict in zip(answers, verdicts, strict=True)
    ]  # fmt: skip
    return _json({"tracking": tracking_of(request), "verdicts": lines})


@router.post(
    "/v1/deliveries/replay", summary="Be shown again what you had", response_model=None, status_code=202,
    openapi_extra=request_body("application/json", schema_of("DeliveryReplay")),
    responses={202: json_response("Replay", "Under way."),
               **problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429)},
)  # fmt: skip
async def replay(request: Request, caller: Puller) -> Response:
    """From one of your numbers on, in the old order and under the old numbers, as far as it is kept and you may have it
    still. While it lasts an old word may come after a newer one; the newest comes last."""
    services: Services = request.app.state.services
    member = _member(services, caller)
    _, body = await read_json(request, _BODY_BYTES)
    check_shape("DeliveryReplay", body)

    def act() -> dict[str, Any]:
        with services.ledger.transaction() as tx:
            seq = pulling.seq_of(tx, member, body["from"])
            if seq is None:
                raise Problem("not_found", pointer="/from")
            return ask_replay(services, tx, caller, member.name, seq=seq)

    return _json(await run_in_threadpool(act), 202)


@router.post(
    "/v1/deliveries/{number}", summary="Answer a delivery", response_model=None,
    openapi_extra=request_body("application/json", schema_of("DeliveryAnswer")),
    responses={200: json_response("DeliveryVerdict", "Recorded, now or before."),
               **problem_responses(400, 401, 403, 404, 408, 409, 410, 413, 415, 422)},
)  # fmt: skip
async def answer(request: Request, number: Number, caller: Puller) -> Response:
    """`delivered`: it is safe with you, perhaps under a `reference` of your own. `refused`: never, for a `reason`.
    `later`: show it again `after` so many seconds; those of the same citizen or request wait behind it."""
    services: Services = request.app.state.services
    member = _member(services, caller)
    _, body = await read_json(request, _BODY_BYTES)
    check_shape("DeliveryAnswer", body)
    (verdict,) = await run_in_threadpool(services.pulls.answer, member, [_answer(body, number, "")])
    if isinstance(verdict, InvalidMessage):
        raise verdict
    return _json({"tracking": tracking_of(request), "number": number, "outcome": verdict})


async def _waited(
    request: Request, services: Services, caller: Caller, member: ConnectionRouting, limit: int, wait: float,
    page: Page,
) -> Page:  # fmt: skip
    waiters: Waiters = request.app.state.waiters
    if not waiters.enter(caller.client.id):
        return page
    try:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait
        while not page.items and loop.time() < end and not await request.is_disconnected():
            await asyncio.sleep(min(_GLANCE, max(0.0, end - loop.time())))
            if await run_in_threadpool(services.pulls.ready, member):
                page = await run_in_threadpool(services.pulls.page, member, limit)
    finally:
        waiters.leave(caller.client.id)
    return page


def _member(services: Services, caller: Caller) -> ConnectionRouting:
    """The connection whose deliveries this client pulls. Raises NotPulling."""
    member = services.acceptance.directory.of_client(caller.tenant, caller.client.id)
    if member is None or not member.pulled:
        raise NotPulling
    return member


def _answer(body: dict[str, Any], number: int, place: str) -> Answer:
    for name in ("reason", "reference"):
        if name in body and not body[name].isprintable():
            raise Problem("schema_violation", "no control characters", f"{place}/{name}")
    return Answer(  # 1.0 is a whole number of JSON, and is told back as one
        int(number), body["outcome"], body.get("attempt"), body.get("reason", "").strip(), body.get("after"),
        body.get("reference"),
    )  # fmt: skip


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
