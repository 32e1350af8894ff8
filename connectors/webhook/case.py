"""How the suite plays a subscriber: it verifies each message and keeps it once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from connectors.conformance import Bench, Case
from connectors.sdk import Secret
from connectors.webhook.connector import Webhook
from connectors.webhook.twin import WebhookTwin
from schemas.delivery import Delivery
from schemas.event import Event

_KEY = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=")
_LINK = {"references": [{"system": "publik", "id": "terrasse/7"}]}
_GRANTED = {
    "request": _LINK, "status": "granted", "native": {"code": "Archive", "label": "Arrêté signé"},
    "reason": "Madame Quenneville remplit les conditions.",
}  # fmt: skip
_TYPES = ["request.status-changed", "request.received"]


def _told(data: Mapping[str, Any], key: str, kind: str = "request.status-changed") -> Delivery:
    event = Event(kind, "/saint-aubin/iparapheur", data, id=f"e-{key}", time="2026-03-02T11:59:00.000Z")
    return Delivery(event, key, None, 1, "0197a1c2")


@contextmanager
def subscriber(bench: Bench) -> Iterator[Case]:
    with WebhookTwin([_KEY], now=bench.clock) as twin:
        settings: dict[str, Any] = {
            "url": twin.endpoint, "signing_keys": [_KEY], "types": _TYPES, "allow_insecure": True, "thin": False,
            "timeout_seconds": bench.timeout, "public_url": "https://hub.saint-aubin.example/",
        }  # fmt: skip
        yield Case(
            connect=lambda: Webhook(bench.context(settings)),
            twin=twin,
            deliveries=[_told(_GRANTED, "remise-1"), _told({"request": _LINK}, "remise-2", "request.received")],
            effects=lambda: twin.messages,
            deny=lambda: twin.misbehave("410"),
            turns=[(_told(_GRANTED, "remise-3"), _told(_GRANTED | {"status": "rejected"}, "remise-4"))],
            personal=["Quenneville"],
        )


notes = """A 2xx is all that Standard Webhooks ask for: whatever its body, the subscriber has taken the message."""
cases = (subscriber,)
