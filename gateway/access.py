"""Access: the one place where a bearer token becomes a client, its tenant and what it may do.

Every route names its scope through `needs`; the few that need none are in PUBLIC. `guard_all` stops the start when a
route is neither.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Security
from fastapi.openapi.models import OAuthFlowClientCredentials, OAuthFlows
from fastapi.routing import APIRoute
from fastapi.security import OAuth2, SecurityScopes
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from gateway.parameters import check_parameters
from gateway.problems import Problem
from gateway.tokens import Tokens
from hub.clients import repository as clients
from hub.clients.origin import Origin
from hub.clients.repository import Client
from hub.services import Services

CACHE_SECONDS = 5.0
_CACHE_SIZE = 10_000

SCOPES = {
    "events:write": "Publish events.",
    "requests:read": "Read the requests that the client brought, and the catalogue of procedures.",
    "requests:write": "Submit requests.",
    "documents:read": "Read documents that the client stored or that concern its requests.",
    "documents:write": "Store documents.",
    "webhooks:write": "Make, list, rotate and remove the client's webhooks.",
    "deliveries:read": "Pull and answer the deliveries of the connection that names the client.",
    "exchanges:write": "Obtain evidence about a citizen, as far as the client's grants go.",
    "exchanges:read": "Prove exchanges of the client.",
    "citizens:read": "Show a citizen what was obtained about them.",
    "metrics:read": "Read the figures of the hub.",
}

# Each for a reason: proofs of life and descriptions hold nothing, `/oauth/token` checks the client itself, and a call
# to `/in` is checked by the connector, as its package signs it. The address of a preview holds 256 random bits that its
# person alone was given; keys are there for all who verify.
PUBLIC = frozenset({
    "/healthz", "/readyz", "/oauth/token", "/openapi.json", "/asyncapi.json", "/docs", "/schemas",
    "/schemas/{name:path}", "/in/{where:path}", "/preview/{token}", "/preview/{token}/sign-in",
    "/franceconnect/signed-in", "/franceconnect/signed-out", "/.well-known/jwks.json",
})  # fmt: skip

_SCHEME = OAuth2(
    flows=OAuthFlows(clientCredentials=OAuthFlowClientCredentials(tokenUrl="/oauth/token", scopes=SCOPES)),
    scheme_name="client",
    description="A short token from `/oauth/token`, sent as `Authorization: Bearer …`.",
    auto_error=False,
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, after all checks. `scopes` are those of its token; `origin` says under which name and with which
    rights what it says is accepted: its own, or those of the connection as which it speaks."""

    client: Client
    scopes: frozenset[str]
    origin: Origin

    @property
    def tenant(self) -> str:
        return self.client.tenant


class Access:
    """Checks tokens. What the database says of a client is believed for CACHE_SECONDS, and no longer than the directory
    stands that says as whom it speaks."""

    def __init__(self, services: Services, tokens: Tokens) -> None:
        self._ledger = services.ledger
        self._deliveries, self._acceptance = services.deliveries, services.acceptance
        self._tokens = tokens
        self._known: dict[str, tuple[Caller, float, float]] = {}
        self._directory = services.acceptance.directory
        self._looking: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Future[Caller]] = {}

    async def caller(self, request: Request, scope: str) -> Caller:
        """Raises Problem: 401 without a valid token of an enabled client, 403 without the scope."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _unauthorised("token_missing", "")
        caller = self._remembered(token)
        if caller is None:
            caller = await self._looked_up(token)
        request.scope["client_id"] = caller.client.id
        if scope not in caller.scopes:
            header = {"www-authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'}
            raise Problem("scope_missing", f"this needs the scope {scope}", headers=header)
        return caller

    def _remembered(self, token: str) -> Caller | None:
        if self._directory is not self._acceptance.directory:
            self._known.clear()
            self._directory = self._acceptance.directory
        known = self._known.get(token)
        if known is None or known[1] < time.monotonic() or known[2] <= self._ledger.now():
            return None
        return known[0]

    async def _looked_up(self, token: str) -> Caller:
        """One look for all calls that wait for the same."""
        place = (asyncio.get_running_loop(), token)
        looking = self._looking.get(place)
        if looking is None:
            looking = self._looking[place] = asyncio.ensure_future(run_in_threadpool(self._look_up, token))
            looking.add_done_callback(lambda _: self._looking.pop(place))
        return await asyncio.shield(looking)

    def _look_up(self, token: str) -> Caller:
        claims = self._tokens.read(token)
        if claims is None:
            raise _unauthorised("token_invalid", "invalid_token")
        if claims.expires <= self._ledger.now():
            raise _unauthorised("token_expired", "invalid_token")
        with self._ledger.reading() as tx:
            client = clients.find_client(tx, claims.client_id)
        if client is None or client.disabled or client.tenant != claims.tenant:
            raise _unauthorised("client_disabled", "invalid_token")
        if claims.issued + 1 <= client.tokens_from:  # `iat` is in whole seconds
            raise _unauthorised("token_expired", "invalid_token")
        # A scope taken from the client is gone from its tokens too.
        caller = Caller(client, claims.scopes & client.scopes, self._deliveries.origin_of(client))
        if len(self._known) >= _CACHE_SIZE:
            self._known.clear()
        self._known[token] = (caller, time.monotonic() + CACHE_SECONDS, claims.expires)
        return caller


async def _guard(security: SecurityScopes, request: Request, _token: str | None = Security(_SCHEME)) -> Caller:
    access: Access = request.app.state.access
    (scope,) = security.scopes
    caller = await access.caller(request, scope)
    check_parameters(request, request.scope["route"])
    return caller


def needs(scope: str) -> Any:
    """The dependency of a route that this scope opens; it gives the Caller."""
    assert scope in SCOPES
    return Security(_guard, scopes=[scope])


def scope_of(route: APIRoute) -> str | None:
    """The scope that opens a route; None when it is not guarded."""
    scopes = [scope for d in route.dependant.dependencies if d.call is _guard for scope in d.own_oauth_scopes or ()]
    return scopes[0] if scopes else None


def guard_all(app: FastAPI) -> None:
    """Raises AssertionError naming the first route that is neither public nor guarded."""
    for route in app.routes:
        path = getattr(route, "path", "")
        guarded = isinstance(route, APIRoute) and scope_of(route) is not None
        if not guarded and path not in PUBLIC:
            raise AssertionError(f"{path} is neither guarded nor public")


def _unauthorised(code: str, error: str) -> Problem:
    header = f'Bearer error="{error}"' if error else "Bearer"
    return Problem(code, headers={"www-authenticate": header})
