"""`/oauth/token`: client credentials (RFC 6749 §4.4), with a secret or with `private_key_jwt` (RFC 7523)."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

import anyio
import orjson
import structlog
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.bodies import media_type, read_body
from gateway.openapi_schemas import TOKEN_BODY, TOKEN_RESPONSES
from gateway.problems import tracking_of
from gateway.proxies import household
from gateway.tokens import TOKEN_SECONDS, Tokens, asserted_client, check_assertion
from hub.clients import idempotency
from hub.clients import repository as clients
from hub.clients.repository import Client
from hub.services import Services

_log = structlog.get_logger()
_BODY_BYTES = 16 * 1024
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_FAILURES, _WINDOW = 10, 60.0
_AT_ONCE, _DOUBTED_AT_ONCE = 8, 2  # a digest or a signature each: few threads, and not those of other calls

router = APIRouter(tags=["access"])


@dataclass(slots=True)
class TokenError(Exception):
    """RFC 6749 §5.2."""

    error: str
    description: str
    status: int = 400
    basic: bool = False
    after: int = 0


class Attempts:
    """Failed attempts by client and address. After _FAILURES within _WINDOW seconds a further wrong one is told to
    wait, and all of that client from there are looked at few at a time. A right one always passes: else whoever
    shares an address with a client, as all do behind a proxy, could lock it out."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, str], list[float]] = {}
        self._lock = threading.Lock()
        self.usual, self.doubted = anyio.CapacityLimiter(_AT_ONCE), anyio.CapacityLimiter(_DOUBTED_AT_ONCE)

    def limiter(self, who: tuple[str, str], now: float) -> anyio.CapacityLimiter:
        return self.doubted if self.wait(who, now) else self.usual

    def wait(self, who: tuple[str, str], now: float) -> int:
        """How many seconds until a wrong one is looked at as usual; 0 when it is."""
        with self._lock:
            recent = [at for at in self._failed.get(who, ()) if at > now - _WINDOW]
        return int(recent[0] + _WINDOW - now) + 1 if len(recent) >= _FAILURES else 0

    def failed(self, who: tuple[str, str], now: float) -> None:
        with self._lock:
            if len(self._failed) > 10_000:
                self._failed.clear()
            recent = [at for at in self._failed.get(who, ()) if at > now - _WINDOW]
            self._failed[who] = [*recent, now][-_FAILURES:]


@dataclass(frozen=True, slots=True)
class Claim:
    """Who the caller says it is, and how it means to prove it: with a secret or with an assertion."""

    client_id: str
    secret: str | None = None
    assertion: str | None = None
    basic: bool = False


@router.post(
    "/oauth/token", summary="Get a token", response_model=None, responses=TOKEN_RESPONSES, openapi_extra=TOKEN_BODY
)
async def token(request: Request) -> Response:
    """A token of ten minutes, for the scopes asked for, or for all that the client has. Clients prove themselves with
    `client_secret_basic`, `client_secret_post` or `private_key_jwt` (ES256, PS256, EdDSA)."""
    body = await read_body(request, _BODY_BYTES)
    try:
        claim, form = _claimed(request, body)
        attempts: Attempts = request.app.state.attempts
        limiter = attempts.limiter(_who(request, claim), request.app.state.services.ledger.now())
        given = await anyio.to_thread.run_sync(_grant, request, claim, form, limiter=limiter)
    except TokenError as error:
        return _refused(request, error)
    return Response(orjson.dumps(given), headers={"pragma": "no-cache"}, media_type="application/json")


def _claimed(request: Request, body: bytes) -> tuple[Claim, Mapping[str, str]]:
    form = _form(media_type(request), body)
    if form.get("grant_type", "client_credentials") != "client_credentials":
        raise TokenError("unsupported_grant_type", "only client_credentials")
    if "grant_type" not in form:
        raise TokenError("invalid_request", "grant_type is missing")
    return _claim(request.headers.get("authorization", ""), form), form


def _grant(request: Request, claim: Claim, form: Mapping[str, str]) -> dict[str, Any]:
    services: Services = request.app.state.services
    tokens: Tokens = request.app.state.tokens
    client = _authenticated(request, services, claim)
    request.scope["client_id"] = client.id
    scopes = frozenset(form["scope"].split()) if form.get("scope") else client.scopes
    if not scopes <= client.scopes:
        raise TokenError("invalid_scope", "this client does not have all of these scopes")
    return {
        "access_token": tokens.issue(client.id, client.tenant, scopes, services.ledger.now()),
        "token_type": "Bearer", "expires_in": TOKEN_SECONDS, "scope": " ".join(sorted(scopes)),
    }  # fmt: skip


def _authenticated(request: Request, services: Services, claim: Claim) -> Client:
    attempts: Attempts = request.app.state.attempts
    now = services.ledger.now()
    with services.ledger.reading() as tx:
        client = clients.find_client(tx, claim.client_id) if claim.client_id.isprintable() else None
    fault = _fault(services, client, claim, now)
    if fault is None and client is not None:
        return client
    who = _who(request, claim)
    after = attempts.wait(who, now)
    attempts.failed(who, now)
    _log.warning("client refused", client_id=client.id if client else "", cause=fault, tracking=tracking_of(request))
    if after:
        raise TokenError("invalid_client", "too many failed attempts", 429, after=after)
    raise TokenError("invalid_client", "the client did not prove who it is", 401, basic=claim.basic)


def _who(request: Request, claim: Claim) -> tuple[str, str]:
    return claim.client_id, household(request.client.host) if request.client else ""


def _fault(services: Services, client: Client | None, claim: Claim, now: float) -> str | None:
    """Why the client is not believed; None when it is. The log says it, the answer does not."""
    if claim.secret is not None:
        # The comparison is made for unknown clients too: the time taken says nothing.
        known = (client or _NOBODY).has_secret(claim.secret, now)
        return None if known and client is not None and not client.disabled else "unknown, disabled, or wrong secret"
    if client is None or client.disabled or client.jwks is None or claim.assertion is None:
        return "unknown, disabled, or without keys"
    audiences = (services.settings.public_url, f"{services.settings.public_url}/oauth/token")
    checked = check_assertion(claim.assertion, client.jwks, client_id=client.id, audiences=audiences, now=now)
    if isinstance(checked, str):
        return checked
    fresh = idempotency.use_assertion(services.ledger, client.id, checked.jti, checked.expires)
    return None if fresh else "this jti was used before"


_NOBODY = Client("", "", "", frozenset(), frozenset())


def _claim(authorization: str, form: Mapping[str, str]) -> Claim:
    scheme, _, credentials = authorization.partition(" ")
    ways = [bool(authorization), "client_secret" in form, "client_assertion" in form]
    if sum(ways) > 1:
        raise TokenError("invalid_request", "one way to authenticate at a time")
    if authorization:
        if scheme.lower() != "basic":
            raise TokenError("invalid_client", "Authorization must be Basic", 401, basic=True)
        return _basic(credentials)
    if "client_assertion" in form:
        return _asserted(form)
    if "client_secret" not in form or "client_id" not in form:
        raise TokenError("invalid_client", "client_id and client_secret, or a client_assertion", 401)
    return Claim(form["client_id"], form["client_secret"])


def _basic(credentials: str) -> Claim:
    try:
        client_id, colon, secret = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = ""
    if not colon:
        raise TokenError("invalid_client", "the Basic credentials cannot be read", 401, basic=True)
    return Claim(unquote_plus(client_id), unquote_plus(secret), basic=True)  # RFC 6749 §2.3.1


def _asserted(form: Mapping[str, str]) -> Claim:
    if form.get("client_assertion_type") != _ASSERTION:
        raise TokenError("invalid_request", f"client_assertion_type must be {_ASSERTION}")
    client_id = asserted_client(form["client_assertion"])
    if client_id is None or form.get("client_id", client_id) != client_id:
        raise TokenError("invalid_client", "the assertion names no client, or another one", 401)
    return Claim(client_id, assertion=form["client_assertion"])


def _form(kind: str, body: bytes) -> dict[str, str]:
    if kind != "application/x-www-form-urlencoded":
        raise TokenError("invalid_request", "send application/x-www-form-urlencoded")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=20)
    except ValueError:
        raise TokenError("invalid_request", "the form cannot be read") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise TokenError("invalid_request", "a parameter is given twice")
    return {name: value for name, value in form.items() if value}


def _refused(request: Request, error: TokenError) -> Response:
    request.scope["problem"] = error.error
    headers = {"pragma": "no-cache"}
    if error.basic:
        headers["www-authenticate"] = 'Basic realm="unefois", charset="UTF-8"'
    if error.after:
        headers["retry-after"] = str(error.after)
    body = {"tracking": tracking_of(request), "error": error.error, "error_description": error.description}
    return Response(orjson.dumps(body), error.status, headers, "application/json")
