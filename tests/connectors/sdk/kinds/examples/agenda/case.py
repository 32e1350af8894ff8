"""How the suite plays the bookings: an account that may change users, and webhooks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from connectors.conformance import Bench, Case
from connectors.sdk.discovery import connector_class
from schemas.delivery import Inbound
from tests.connectors.sdk.kinds.agenda import booking, contact_changed
from tests.connectors.sdk.kinds.twins import AgendaTwin


def _resigned(inbound: Inbound, body: bytes) -> Inbound:
    return AgendaTwin().webhook(body)


@contextmanager
def bookings(bench: Bench) -> Iterator[Case]:
    with AgendaTwin() as twin:
        settings = twin.settings(timeout_seconds=bench.timeout)
        cancelled = booking(status="excused")
        cancelled["meta"] |= {"event": "updated", "timestamp": "2026-03-02 11:20:00 +0100"}
        yield Case(
            connect=lambda: connector_class(bench.manifest)(bench.context(settings)), twin=twin,
            deliveries=[contact_changed(email="m.corvisart@nouveau.example")],
            effects=lambda: {number: dict(user) for number, user in twin.users.items()},
            refused=contact_changed("404", 2, email="m@nouveau.example"),
            deny=lambda: twin.misbehave("401", times=4),
            turns=[(contact_changed(number=3, email="a@n.example"), contact_changed(number=4, email="b@n.example"))],
            inbound=[twin.webhook(), twin.webhook(cancelled)], resigned=_resigned,
            forged=[twin.webhook(secret="another"), replace(twin.webhook(), headers={})],
            personal=["Corvisart", "m.corvisart@nouveau.example"],
        )  # fmt: skip


cases = (bookings,)
