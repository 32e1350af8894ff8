"""`/v1/webhooks`: be called when something happens, as Standard Webhooks describes. Each client sees its own."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Caller, needs
from gateway.bodies import check_shape, read_json
from gateway.openapi_schemas import json_response, problem_responses, request_body, schema_of
from gateway.problems import Problem
from gateway.replays import ask_replay
from hub.clients import webhooks
from hub.clients.webhooks import Webhook
from hub.services import Services
from schemas.times import from_rfc3339

_BODY_BYTES = 16 * 1024
_URL = re.compile(r"https?://[^\s/@?#\\]+([/?][^\s#\\]*)?")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")

router = APIRouter(tags=["webhooks"])
Owner = Annotated[Caller, needs("webhooks:write")]


@router.post(
    "/v1/webhooks", summary="Make a webhook", response_model=None, status_code=201,
    openapi_extra=request_body("application/json", schema_of("NewWebhook")),
    responses={201: json_response("WebhookWithKey", "Made. The key is shown this once."),
               **problem_responses(400, 401, 403, 413, 415, 422)},
)  # fmt: skip
async def make(request: Request, caller: Owner) -> Response:
    """The hub calls `url` for each event of `types` about the requests of this client, signed with the key that the
    answer shows once, and tries again over days. `thin` (the default) sends identifiers only: read the rest here."""
    _, wanted = await read_json(request, _BODY_BYTES)
    return await run_in_threadpool(_make_webhook, request.app.state.services, caller, wanted)


@router.get(
    "/v1/webhooks", summary="List your webhooks", response_model=None,
    responses={200: json_response("Webhooks", "All of this client's."), **problem_responses(401, 403)},
)  # fmt: skip
def listing(request: Request, caller: Owner) -> Response:
    """The keys are not shown again; rotate one that is lost."""
    return _json({"items": [hook.to_dict() for hook in _own_webhooks(request.app.state.services, caller)]})


@router.get(
    "/v1/webhooks/{webhook_id}", summary="Read a webhook", response_model=None,
    responses={200: json_response("Webhook", "As it was made."), **problem_responses(401, 403, 404)},
)  # fmt: skip
def read(request: Request, webhook_id: str, caller: Owner) -> Response:
    return _json(_own_webhook(request.app.state.services, caller, webhook_id).to_dict())


@router.delete(
    "/v1/webhooks/{webhook_id}", summary="Remove a webhook", response_model=None, status_code=204,
    responses={204: {"description": "Gone; what it still had to get is given up."}, **problem_responses(401, 403, 404)},
)  # fmt: skip
def remove(request: Request, webhook_id: str, caller: Owner) -> Response:
    services: Services = request.app.state.services
    webhooks.remove(services.ledger, _own_webhook(services, caller, webhook_id))
    services.reload()
    return Response(status_code=204)


@router.post(
    "/v1/webhooks/{webhook_id}/rotate", summary="Give a webhook a new key", response_model=None,
    responses={
        200: json_response("WebhookWithKey", "The new key, shown this once."), **problem_responses(401, 403, 404),
    },
)  # fmt: skip
def rotate(request: Request, webhook_id: str, caller: Owner) -> Response:
    """The key before goes on signing beside the new one until the next rotation: change over without a gap."""
    services: Services = request.app.state.services
    hook = _own_webhook(services, caller, webhook_id)
    key = webhooks.rotate(services.ledger, services.root_key, hook)
    services.reload()
    return _json({**hook.to_dict(), "key": key})


@router.post(
    "/v1/webhooks/{webhook_id}/replay", summary="Be sent again what a webhook had", response_model=None,
    status_code=202, openapi_extra=request_body("application/json", schema_of("WebhookReplay")),
    responses={202: json_response("Replay", "Under way."),
               **problem_responses(400, 401, 403, 404, 408, 409, 413, 415, 422, 429)},
)  # fmt: skip
async def replay(request: Request, webhook_id: str, caller: Owner) -> Response:
    """All that it was given since then, in the old order and under the old `webhook-id`, as far as it is kept and you
    may have it still. While it lasts an old word may come after a newer one; the newest comes last."""
    _, wanted = await read_json(request, _BODY_BYTES)
    return await run_in_threadpool(_replay, request.app.state.services, caller, webhook_id, wanted)


def _replay(services: Services, caller: Caller, webhook_id: str, wanted: Any) -> Response:
    hook = _own_webhook(services, caller, webhook_id)
    check_shape("WebhookReplay", wanted)
    try:
        since = from_rfc3339(wanted["since"])
    except ValueError:
        raise Problem("schema_violation", "a moment as RFC 3339 writes it: 2026-03-02T09:14:05Z", "/since") from None
    with services.ledger.transaction() as tx:
        return _json(ask_replay(services, tx, caller, hook.connection, since=since), 202)


def _make_webhook(services: Services, caller: Caller, wanted: Any) -> Response:
    _check_wanted(services, wanted)
    for place, event_type in enumerate(wanted["types"]):
        scope = webhooks.SCOPES_OF_TYPES.get(event_type)
        if scope is not None and scope not in caller.client.scopes:
            raise Problem("scope_missing", f"{event_type} needs {scope}", f"/types/{place}")
    hook = webhooks.add(
        services.ledger, services.root_key, tenant=caller.tenant, client=caller.client.id,
        url=wanted["url"], types=wanted["types"], thin=wanted.get("thin", True),
    )  # fmt: skip
    services.reload()
    return _json({**hook.to_dict(), "key": hook.keys[0]}, 201, {"location": f"/v1/webhooks/{hook.id}"})


def _check_wanted(services: Services, wanted: Any) -> None:
    check_shape("NewWebhook", wanted)
    for place, event_type in enumerate(wanted["types"]):
        if event_type not in services.webhook_types:
            known = ", ".join(services.webhook_types)
            raise Problem("unknown_type", f"webhooks tell of: {known}", f"/types/{place}")
    development = services.settings.mode == "development"
    if not (_may_call(wanted["url"], development=development) and services.callable_address(wanted["url"])):
        raise Problem("url_refused", "https, to a name or address outside, without user and fragment", "/url")


def _may_call(url: str, *, development: bool) -> bool:
    """A first look: the connector checks the address that the name leads to each time it calls."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removesuffix(".")
        bool(parts.port)
    except ValueError:
        return False
    if not _URL.fullmatch(url) or not host:
        return False
    if development and host in _LOOPBACK:
        return True
    return parts.scheme == "https" and _is_outside(host)


def _is_outside(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return "." in host.strip(".") and not host.endswith((".localhost", ".local", ".internal"))


def _own_webhooks(services: Services, caller: Caller) -> list[Webhook]:
    key = services.root_key
    return webhooks.list_webhooks(services.ledger, key, tenant=caller.tenant, client=caller.client.id)


def _own_webhook(services: Services, caller: Caller, webhook_id: str) -> Webhook:
    for hook in _own_webhooks(services, caller):
        if hook.id == webhook_id:
            return hook
    raise Problem("not_found")


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")
