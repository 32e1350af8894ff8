"""`/in/{connection}`: where a package or portal pushes in its own format. Its connector proves who calls, by the head
where that can be, before the body is read; what it brings is accepted as one whole before the answer leaves."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import anyio
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bus.ledger import Transaction
from gateway.bodies import read_body
from gateway.openapi_schemas import problem_responses
from gateway.problems import Problem, problem_of
from hub.acceptance.observation import CallsWait, ModeChanged
from hub.acceptance.poller import NOT_ACKNOWLEDGED, REFUSED
from hub.clients.origin import Origin
from hub.operations.signals import PUSH_DENIED, PUSH_INVALID
from hub.services import Services
from schemas.delivery import Connector, Inbound, Polled, Reply
from schemas.errors import AccessDenied, HubError, InvalidMessage, TryLater

MOST_BYTES = 16 * 1024 * 1024  # a document of 10 MiB in base64, and what is around it
_AT_ONCE = 16  # calls that connectors work on; others wait, so that a slow package does not take all threads
CANNOT_READ = "connector_cannot_read"
_PAUSE_SECONDS = 60.0
_METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

router = APIRouter(tags=["packages"])


@router.api_route("/in/{where:path}", methods=_METHODS, response_model=None, include_in_schema=False)
async def push(request: Request, where: str) -> Response:
    services: Services = request.app.state.services
    name, path = _connection(services, where)
    request.scope["connection"] = name
    head = Inbound(
        request.method, path, dict(request.headers), dict(request.query_params), b"",
        request.scope["query_string"].decode("latin-1"),
    )  # fmt: skip
    limiter: anyio.CapacityLimiter = request.app.state.pushing
    refused = await anyio.to_thread.run_sync(_admit, request, services, name, head, limiter=limiter)
    if refused is not None:
        return refused
    inbound = replace(head, body=await read_body(request, MOST_BYTES))
    return await anyio.to_thread.run_sync(_work, request, services, name, inbound, limiter=limiter)


def limiter() -> anyio.CapacityLimiter:
    return anyio.CapacityLimiter(_AT_ONCE)


def _admit(request: Request, services: Services, name: str, head: Inbound) -> Response | None:
    """All that needs no body. The answer that refuses; None when the body may be read."""
    receiver = _receiver(services, name)
    try:
        with services.ledger.reading() as tx:
            if name in tx.paused():
                raise TryLater("this connection is paused", after=_PAUSE_SECONDS)
        with _understood(services, name):
            proved = receiver.knows_caller(head)
        if proved:
            request.scope["proved"] = name
    except HubError as error:
        return _refused(request, services, receiver, name, error)
    return None


def _receiver(services: Services, name: str) -> Connector:
    receiver = services.receiver(name)
    if receiver is None:
        raise Problem("not_found")
    return receiver


def _work(request: Request, services: Services, name: str, inbound: Inbound) -> Response:
    receiver = _receiver(services, name)
    try:
        reply = _received(services, receiver, name, inbound)
    except HubError as error:
        return _refused(request, services, receiver, name, error)
    return Response(orjson.dumps(dict(reply.body)), reply.status, media_type="application/json")


def _received(services: Services, receiver: Connector, name: str, inbound: Inbound) -> Reply:
    try:
        with _understood(services, name):
            reply = receiver.receive(inbound)
    except InvalidMessage as error:
        if services.observation.observes(name):
            services.observation.count_unread(name, error, inbound)
        raise
    services.signals.tell(name, REFUSED, reply.polled.faults)
    try:
        _take(services, name, reply.polled)
    except CallsWait:  # it went live a moment ago: what came before goes before
        services.observation.hand_in(name, lambda: services.deliveries.origin(name))
        _take(services, name, reply.polled)
    except ModeChanged:  # we know it now
        _take(services, name, reply.polled)
    return reply


def _take(services: Services, name: str, polled: Polled) -> None:
    if name not in services.acceptance.directory.connections:  # it was removed this moment
        raise Problem("not_found")
    origin = services.deliveries.origin(name)
    if services.observation.observes(name):  # nothing is acknowledged: that would be a call to the package
        services.observation.keep(name, origin, polled)
    else:
        _accept(services, origin, name, polled)


def _accept(services: Services, origin: Origin, name: str, polled: Polled) -> None:
    """All of it or nothing: what a package pushes in one call belongs together, but what may be skipped."""

    def move_cursor(tx: Transaction, _: object) -> None:
        if polled.cursor is not None:
            tx.move_cursor(name, polled.cursor)

    verdicts = services.acceptance.submit(
        services.ledger, origin, polled.events, whole=True, skip=polled.skip_unknown,
        before=partial(services.observation.let_none_pass, name), after=move_cursor,
    )  # fmt: skip
    if skipped := sum(verdict.outcome == "skipped" for verdict in verdicts):
        services.signals.skipped(name, skipped)
    if polled.acknowledge is not None:
        try:
            polled.acknowledge()
        except Exception as error:  # it is committed: at worst the package says it again, and the door knows it
            services.signals.tell_error(name, NOT_ACKNOWLEDGED, error)


@contextlib.contextmanager
def _understood(services: Services, name: str) -> Iterator[None]:
    """What a connector raises that is none of our errors is a call that it cannot read. To say 500 would ask for the
    same call again and again; what this machine lacks (a disk, memory) may be there the next time, and stays one."""
    try:
        yield
    except (HubError, OSError, MemoryError):
        raise
    except Exception as error:
        services.signals.tell_error(name, PUSH_INVALID, error)
        raise InvalidMessage("the connector cannot read this call", code=CANNOT_READ) from None


def _refused(request: Request, services: Services, receiver: Connector, name: str, error: HubError) -> Response:
    request.scope["problem"] = error.code
    if isinstance(error, AccessDenied):
        services.signals.tell_error(name, PUSH_DENIED, error)
    elif isinstance(error, InvalidMessage) and error.code != CANNOT_READ:  # that one was told, with its place
        services.signals.tell_error(name, PUSH_INVALID, error)
    own = receiver.refusal(error)
    if own is None:
        raise problem_of(error)
    status, body = own
    after = {"retry-after": str(int(error.after))} if isinstance(error, TryLater) and error.after else None
    return Response(orjson.dumps(dict(body)), status, after, "application/json")


def _connection(services: Services, where: str) -> tuple[str, str]:
    """`tenant.connection` and what follows. Names are unique in one hub, so the tenant may be left out."""
    first, _, rest = where.partition("/")
    second, _, deeper = rest.partition("/")
    connections = services.acceptance.directory.declared
    if f"{first}.{second}" in connections:
        return f"{first}.{second}", f"/{deeper}" if deeper else ""
    for name in connections:
        if name.partition(".")[2] == first:
            return name, f"/{rest}" if rest else ""
    raise Problem("not_found")


DESCRIBED = {
    path: {
        "post": {
            "tags": ["packages"], "summary": "Push in the package's own format", "operationId": name,
            "description": "The connector of the connection proves who calls (signature, Basic) and reads the body, "
            "16 MiB at most; what follows the name of the connection is handed to it. Its README says what it takes. "
            "Answered once all that the call brought is committed; refused as a whole otherwise.",
            "parameters": [
                {"name": part, "in": "path", "required": True, "schema": {"type": "string"}} for part in parts
            ],
            "requestBody": {"required": True, "content": {"*/*": {}}},
            "responses": {
                "200": {"description": "Committed; the body is the one that the package expects."},
                **{str(status): refusal for status, refusal in problem_responses(401, 404, 408, 413, 422, 503).items()},
            },
        }
    }
    for path, name, parts in (
        ("/in/{connection}", "push", ("connection",)),
        ("/in/{tenant}/{connection}", "push_of_tenant", ("tenant", "connection")),
    )
}  # fmt: skip
