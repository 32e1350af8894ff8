"""A shorter way to the two busiest routes: speed and nothing else.

Without it the application answers the same through the layers of FastAPI: tests/gateway/test_fast_path.py asks both.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.access import Access, scope_of
from gateway.parameters import check_parameters
from gateway.problems import REFUSALS, refusal_response

PATHS = ("/v1/events", "/v1/exchanges")


class FastPathApp(FastAPI):
    """FastAPI, except that what is posted to a path of `fast` is answered there."""

    fast: Mapping[str, ASGIApp] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        fast = self.fast.get(scope["path"]) if posted else None
        if fast is not None:
            scope["app"] = self
            await fast(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class FastRoute:
    """An ASGI application that does what a route of FastAPI declares, with the same guard and the same refusals, and
    spares the work of the framework: most of the time of the busiest one. The endpoint takes the request and its
    caller, and nothing else."""

    def __init__(self, access: Access, declared: APIRoute) -> None:
        scope = scope_of(declared)
        assert scope is not None
        self._access, self._scope, self._declared, self._endpoint = access, scope, declared, declared.endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            caller = await self._access.caller(request, self._scope)
            check_parameters(request, self._declared)
            answer: Response = await self._endpoint(request, caller)
        except REFUSALS as error:
            answer = refusal_response(request, error)
        await answer(scope, receive, send)


def fast_routes(app: FastAPI, access: Access) -> dict[str, FastRoute]:
    """By its path, each route of PATHS. Raises ValueError when one is not there, or not there to be posted to."""
    found = {
        route.path: FastRoute(access, route)
        for route in app.routes
        if isinstance(route, APIRoute) and route.path in PATHS and "POST" in (route.methods or ())
    }
    if missing := set(PATHS) - found.keys():
        raise ValueError(f"no route to post to: {', '.join(sorted(missing))}")
    return found
