"""The HTTP application of one hub. `create_app` makes it from the services it is given; nothing is global."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from gateway import openapi, problems
from gateway.access import Access, Quick, guard_all
from gateway.entry import Entry
from gateway.page import Page
from gateway.reading import Budget
from gateway.routes import ROUTERS, events, inbound
from gateway.routes.health import Readiness
from gateway.routes.oauth import Attempts
from gateway.tokens import Tokens
from hub.services import Services


def create_app(services: Services) -> FastAPI:
    """Every route of the hub, each guarded or named as public. Raises AssertionError when one is neither."""
    app = FastAPI(
        title="Unefois", version=openapi.VERSION, description=openapi.DESCRIPTION, openapi_tags=openapi.TAGS,
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, strict_content_type=True,
    )  # fmt: skip
    app.state.services = services
    app.state.tokens = Tokens(services.settings)
    app.state.access = Access(services, app.state.tokens)
    app.state.attempts = Attempts()
    app.state.readiness = Readiness(services)
    app.state.page = Page()
    app.state.budget = Budget()
    app.state.pushing = inbound.limiter()
    app.router.routes.append(Quick(events.route))
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # flat: one list to match, and to walk in `guard_all`
    problems.install(app)
    app.add_middleware(Entry, budget=app.state.budget, tls=services.settings.public_url.startswith("https://"))
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
