"""One file per resource."""

from __future__ import annotations

from gateway.routes import descriptions, documents, events, health, inbound, oauth, requests, webhooks

ROUTERS = tuple(
    resource.router for resource in (oauth, events, requests, documents, webhooks, inbound, descriptions, health)
)
