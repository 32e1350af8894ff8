"""`/v1/exchanges`: evidence about a citizen from its source. An answer is in the journal before it leaves."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable
from typing import Annotated

import anyio
import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from bus.questions import CallerLeft
from gateway.access import Caller, needs
from gateway.bodies import read_json
from gateway.openapi_schemas import EXCHANGE_BODY, json_response, problem_responses
from gateway.problems import Problem
from hub.exchanges.exchange import Answer
from hub.services import Services

_AT_ONCE = 100  # exchanges under way; a question to a source may take seconds
_WAITING = 100  # those that wait behind them; a further one is told to come back
_ID = re.compile(r"[0-9a-f-]{36}")

router = APIRouter(tags=["exchanges"])
Asker = Annotated[Caller, needs("exchanges:write")]
Reader = Annotated[Caller, needs("exchanges:read")]


@router.post(
    "/v1/exchanges", summary="Obtain evidence about a citizen", response_model=None, openapi_extra=EXCHANGE_BODY,
    responses={
        200: json_response("Exchange", "The evidence, signed; in the journal."),
        **problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429),
    },
)  # fmt: skip
async def ask(request: Request, caller: Asker) -> Response:
    """The body is the record `exchange-question`. What you may obtain, for what and on which legal ground is in your
    grant: see `unefois client show`. `identity_not_matched` says that nothing can be had this way, never that somebody
    is not entitled. Tell the person what `information` says."""
    services: Services = request.app.state.services
    _, question = await read_json(request, services.settings.limits.event_bytes)
    left = threading.Event()
    answer = await _unless_left(request, left, lambda: services.exchanges.exchange(caller.client, question, left=left))
    return _json(answer)


@router.post(
    "/v1/exchanges/{exchange_id}", summary="Collect what the person agreed to", response_model=None,
    responses={
        200: json_response("Exchange", "The evidence, signed; in the journal."),
        **problem_responses(401, 403, 404, 409),
    },
)  # fmt: skip
async def collect(request: Request, exchange_id: str, caller: Asker) -> Response:
    """After `preview_required`: once the person saw the evidence at the address and agreed, this gives it, once."""
    services: Services = request.app.state.services
    if not _ID.fullmatch(exchange_id):
        raise Problem("not_found")
    # No source is asked: it does not wait behind those who ask one.
    return _json(await run_in_threadpool(services.exchanges.collect_answer, caller.client, exchange_id))


@router.get(
    "/v1/exchanges/{exchange_id}/receipt", summary="Prove an exchange", response_model=None,
    responses={
        200: json_response("Receipt", "Where it stands in the journal."), **problem_responses(401, 403, 404, 503),
    },
)  # fmt: skip
def receipt(request: Request, exchange_id: str, caller: Reader) -> Response:
    """The line of the journal of an exchange of yours, with the proof that it is in a sealed segment. A segment is
    sealed every few seconds: `try_later` until then."""
    services: Services = request.app.state.services
    with services.ledger.reading() as tx:
        line = services.journal.find_line(tx, exchange_id) if _ID.fullmatch(exchange_id) else None
        if line is None or line.entry.kind != "exchange" or line.entry.actor != caller.origin.name:
            raise Problem("not_found")
        proof = services.journal.receipt(tx, exchange_id)
    if proof is None:
        raise Problem("try_later", headers={"retry-after": "5"})
    return Response(orjson.dumps(proof), media_type="application/json")


class Crowd:
    """The exchanges that this process has taken on. Of one event loop: it counts before anything is awaited, for those
    that arrive in one moment would otherwise all find room."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(_AT_ONCE)
        self._taken = 0

    async def do(self, work: Callable[[], Answer]) -> Answer:
        """In a thread, when its turn comes. Raises Problem (try_later) where too many wait already."""
        if self._taken >= _AT_ONCE + _WAITING:
            raise Problem("try_later", headers={"retry-after": "2"})
        self._taken += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limiter)
        finally:
            self._taken -= 1


async def _unless_left(request: Request, left: threading.Event, work: Callable[[], Answer]) -> Answer:
    """Do the work in a thread, and tell it when the caller has hung up."""
    crowd: Crowd = request.app.state.exchanging
    watch = asyncio.ensure_future(_watch_for_hang_up(request, left))
    try:
        return await crowd.do(work)
    except CallerLeft:
        raise Problem("bad_request", "the caller left") from None  # for the log: no fault of the hub
    finally:
        watch.cancel()


async def _watch_for_hang_up(request: Request, left: threading.Event) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    left.set()


def _json(answer: Answer) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")
