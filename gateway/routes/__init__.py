"""One file per resource."""

from __future__ import annotations

from gateway.routes import events, health, inbound, oauth, requests

ROUTERS = (oauth.router, events.router, requests.router, inbound.router, health.router)
