"""How an event names the request or the citizen that it is about: the shared records `request-link`, `citizen`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.delivery import Delivery


def reference_link(system: str, identifier: str) -> dict[str, Any]:
    """Who or what `system` calls `identifier`."""
    return {"references": [{"system": system, "id": identifier}]}


def request_link(delivery: Delivery) -> Mapping[str, Any]:
    """The request of a delivered `request.received`: by its references, and by the hub's own id when known."""
    link = {"references": delivery.event.data["request"]["references"]}
    return link | ({"id": delivery.request_id} if delivery.request_id else {})
