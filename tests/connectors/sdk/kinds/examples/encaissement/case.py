"""How the suite plays the payment service: payments that are opened, and that people make, leave or forget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from connectors.conformance import Bench, Case
from connectors.sdk import Connector
from connectors.sdk.discovery import connector_class
from schemas.delivery import Opened
from tests.connectors.sdk.kinds.encaissement import PaymentTwin, payment

_FORGOTTEN = "OP-0"  # a payment that nobody makes


@contextmanager
def payments(bench: Bench) -> Iterator[Case]:
    with PaymentTwin() as twin:
        twin.known_keys = any(one["again"].startswith("key:") for one in bench.manifest.declared["deliver"])
        settings: dict[str, Any] = twin.settings(timeout_seconds=bench.timeout)
        opened = [Opened(_FORGOTTEN, "request.received", bench.clock() - timedelta(minutes=1))]

        def connect() -> Connector:
            since = replace(bench.context(settings), opened=lambda at: [one for one in opened if one.at >= at])
            return connector_class(bench.manifest)(since)

        def news(count: int) -> None:
            """Payments that were made."""
            for number in range(len(opened), len(opened) + count):
                opened.append(Opened(f"OP-{number}", "request.received", bench.clock() - timedelta(minutes=1)))
                twin.settle(f"OP-{number}", "C", jour="02032026", heure="1259", montant=4550)

        def turn(value: int) -> None:
            """Somebody begins to pay, and hesitates."""
            twin.settle("OP-1", "H" if value else "C", jour="02032026", heure="1259")

        yield Case(
            connect=connect, twin=twin, deliveries=[payment(1), payment(2, "cantine-18")],
            effects=lambda: dict(twin.opened), refuse=lambda: twin.refuse("ouvrirEncaissement", "R3"),
            deny=lambda: twin.misbehave("401", times=4), news=news, turn=turn,
            personal=["Corvisart", "maelle.corvisart@courriel.example"],
        )  # fmt: skip


cases = (payments,)
