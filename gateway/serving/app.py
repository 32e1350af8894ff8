"""The HTTP application of one hub. `create_app` makes it from the services it is given; nothing is global."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway import problems
from gateway.access import Access, Quick, guard_all
from gateway.bodies import Budget
from gateway.middleware import CallMiddleware
from gateway.pages import Page, PreviewPage
from gateway.routes import ROUTERS, events, exchanges, inbound
from gateway.routes.health import Readiness
from gateway.routes.oauth import Attempts
from gateway.serving import openapi
from gateway.tokens import Tokens
from hub.services import Services


class Gateway(FastAPI):
    """`quick` takes what is posted to the busiest paths before the layers of FastAPI do; without it, these do."""

    quick: Mapping[str, ASGIApp] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posted = scope["type"] == "http" and scope["method"] == "POST"
        quick = self.quick.get(scope["path"]) if posted and self.quick else None
        if quick is not None:
            scope["app"] = self
            await quick(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(services: Services) -> Gateway:
    """Every route of the hub, each guarded or named as public. Raises AssertionError when one is neither."""
    app = Gateway(
        title="Unefois", version=openapi.VERSION, description=openapi.DESCRIPTION, openapi_tags=openapi.TAGS,
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, strict_content_type=True,
    )  # fmt: skip
    app.state.services = services
    app.state.tokens = Tokens(services.settings)
    app.state.access = Access(services, app.state.tokens)
    app.state.attempts = Attempts()
    app.state.readiness = Readiness(services)
    app.state.page = Page()
    app.state.preview = PreviewPage()
    app.state.budget = Budget()
    app.state.pushing = inbound.limiter()
    app.state.exchanging = exchanges.limiter()
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # flat: one list to match, and to walk in `guard_all`
    problems.install(app)
    tls = services.settings.public_url.startswith("https://")
    app.add_middleware(CallMiddleware, budget=app.state.budget, tls=tls)
    asking = next(route for route in exchanges.router.routes if isinstance(route, APIRoute))
    app.quick = {
        route.path: CallMiddleware(Quick(app.state.access, route), app.state.budget, tls)
        for route in (events.route, asking)
    }
    guard_all(app)
    _describe(app, services)
    return app


def _describe(app: FastAPI, services: Services) -> None:
    described: list[dict[str, Any]] = []

    def document() -> dict[str, Any]:
        if not described:
            described.append(openapi.document(app, services))
        return described[0]

    app.openapi = document  # type: ignore[method-assign]
