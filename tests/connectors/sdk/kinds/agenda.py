"""The bookings of a town, declared; a connection to them, and people who do not exist."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from connectors.conformance.case import MemoryDocuments
from connectors.sdk import Context, Secret
from connectors.sdk.discovery import find_manifests
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.manifest import Manifest
from tests.support.context import ANSWER_SECRET, NOON, PARIS

EXAMPLES = Path(__file__).parent / "examples"
SETTINGS: dict[str, Any] = {
    "base_url": "http://127.0.0.1:9/api/v1", "email": "hub@ville.example", "password": Secret("a-password"),
    "organisation": 29, "webhook_secret": Secret("a-webhook-secret"), "procedures": {"4501": "titre-identite"},
}  # fmt: skip
BOOKING: dict[str, Any] = {
    "data": {
        "id": 88123, "status": "unknown", "motif": {"id": 4501}, "created_by_type": "User",
        "starts_at": "2026-03-09 14:30:00 +0100",
        "users": [
            {
                "id": 7201, "first_name": "Maëlle", "last_name": "Corvisart", "birth_name": None,
                "email": "maelle.corvisart@courriel.example",
            }
        ],
    },
    "meta": {"model": "Rdv", "event": "created", "timestamp": "2026-03-02 10:14:05 +0100"},
}  # fmt: skip


def example(name: str = "agenda") -> Manifest:
    return find_manifests(EXAMPLES)[name]


def context_of(manifest: Manifest, settings: Mapping[str, Any] = SETTINGS, **more: Any) -> Context:
    name = manifest.id
    usual: dict[str, Any] = {"documents": MemoryDocuments(), "now": lambda: NOON, "zone": PARIS}
    return Context(
        tenant="saint-aubin", connection=name, system=name, settings=settings, manifest=manifest,
        tenant_siret="21930001100018", tenant_insee="93001", answer_secret=ANSWER_SECRET, **(usual | more),
    )  # fmt: skip


def booking(**data: Any) -> dict[str, Any]:
    found = copy.deepcopy(BOOKING)
    found["data"] |= data
    return found


def contact_changed(reference: str | None = "7201", number: int = 1, **values: Any) -> Delivery:
    said = {"source": "portail", "date": "2026-03-02", "quality": "declared"}
    data = {
        "citizen": {"references": [{"system": "agenda", "id": reference or "0"}]},
        **{name: {"value": value, **said} for name, value in values.items()},
    }
    event = Event("citizen.contact-changed", "/saint-aubin/portail", data, id=f"contact-{number}")
    return Delivery(event, key=f"key-{number}", reference=reference)
