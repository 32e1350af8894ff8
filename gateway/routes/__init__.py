"""One file per resource."""

from __future__ import annotations

from gateway.routes import (
    citizens,
    corrections,
    deliveries,
    descriptions,
    documents,
    events,
    exchanges,
    health,
    inbound,
    oauth,
    preview,
    procedures,
    requests,
    webhooks,
)

ROUTERS = tuple(
    resource.router
    for resource in (
        oauth,
        events,
        requests,
        procedures,
        exchanges,
        corrections,
        citizens,
        preview,
        documents,
        webhooks,
        deliveries,
        inbound,
        descriptions,
        health,
    )
)
