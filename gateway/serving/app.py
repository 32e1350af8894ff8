"""The HTTP application of one hub. `create_app` makes it from the services it is given; nothing is global."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from gateway import problems
from gateway.access import Access, guard_all
from gateway.bodies import PROVED_BYTES, Budget
from gateway.checking import Checking
from gateway.fast_path import FastPathApp, fast_routes
from gateway.heads import HeadMiddleware
from gateway.middleware import CallMiddleware, Crowded
from gateway.pages import DocsPage, PreviewPage
from gateway.routes import ROUTERS, exchanges, inbound
from gateway.routes.deliveries import Waiters
from gateway.routes.health import readiness_of
from gateway.routes.oauth import Attempts
from gateway.serving import openapi
from gateway.tokens import Tokens
from hub.services import Services


def create_app(services: Services, *, fast: bool = True) -> FastAPI:
    """Every route of the hub, each guarded or named as public. Raises AssertionError when one is neither. `fast` False:
    without the fast path, which changes nothing but the time."""
    app = FastPathApp(
        title="Unefois", version=openapi.VERSION, description=openapi.DESCRIPTION, openapi_tags=openapi.TAGS,
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, strict_content_type=True,
    )  # fmt: skip
    app.state.services = services
    app.state.tokens = Tokens(services.root_key, services.settings.public_url)
    app.state.access = Access(services, app.state.tokens)
    app.state.attempts = Attempts()
    app.state.readiness = readiness_of(services)
    app.state.docs_page = DocsPage(lambda: app.openapi())
    app.state.preview_page = PreviewPage()
    app.state.budget = Budget(max(PROVED_BYTES, 4 * services.settings.limits.document_bytes))
    app.state.checking = Checking()
    app.state.pushing = inbound.limiter()
    app.state.waiters = Waiters()
    app.state.exchanging = exchanges.Crowd()
    for router in ROUTERS:
        app.router.routes.extend(router.routes)  # flat: one list to match, and to walk in `guard_all`
    problems.install(app)
    tls = services.settings.public_url.startswith("https://")
    app.add_middleware(CallMiddleware, budget=app.state.budget, tls=tls)
    app.add_middleware(HeadMiddleware, answered=_answers_heads(app))
    if fast:
        shortcuts = fast_routes(app, app.state.access)
        app.fast = {path: CallMiddleware(route, app.state.budget, tls) for path, route in shortcuts.items()}
    app.state.crowded = Crowded(app, app.state.budget, tls)
    guard_all(app)
    app.openapi = cache(lambda: openapi.document(app, services))  # type: ignore[method-assign]
    return app


def _answers_heads(app: FastAPI) -> Callable[[Scope], bool]:
    own = [route for route in app.routes if isinstance(route, APIRoute) and "HEAD" in (route.methods or ())]
    return lambda scope: any(route.matches(scope)[0] is Match.FULL for route in own)
