"""How the suite plays HubEE: an online service that deposits cases and takes them up again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.conformance import Bench, Case
from connectors.hubee.client import HubEE
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import DAUGHTER, FATHER, HubEETwin
from schemas.delivery import Delivery
from schemas.event import Event

_NOBODY = "00000000-0000-4000-8000-000000000000"


def _says(case: str, status: str, key: str, reason: str | None = None) -> Delivery:
    data: dict[str, Any] = {"status": status} | ({"reason": reason} if reason else {})
    return Delivery(Event("request.status-changed", "/saint-aubin/etatcivil", data, id=f"e-{key}"), key, case)


@contextmanager
def online_service(bench: Bench) -> Iterator[Case]:
    patience, HubEE.timeout = HubEE.timeout, bench.timeout
    try:
        with HubEETwin() as twin:
            first, second = twin.add_civil_record_request(), twin.add_civil_record_request()
            twin.notifications.clear()
            added: list[str] = []
            yield Case(
                connect=lambda: HubEEConnector(bench.context(twin.settings())),
                twin=twin,
                deliveries=[
                    _says(first, "transferred", "d-1"), _says(first, "rejected", "d-2", "Aucun acte"),
                    _says(second, "fulfilled", "d-3"),
                ],
                effects=lambda: [twin.announced(first), twin.announced(second)],
                refused=_says(_NOBODY, "transferred", "d-4"),
                deny=lambda: twin.misbehave("403"),
                turns=[(_says(first, "in_progress", "d-5"), _says(first, "rejected", "d-6", "Aucun acte"))],
                before_again=lambda: twin.reopen(first, "La date était fausse"),
                news=lambda count: added.extend(twin.add_civil_record_request() for _ in range(count)),
                turn=lambda value: twin.add_event(added[0], message=("Une pièce manque", "Merci")[value]),
                personal=[FATHER.name, FATHER.given, DAUGHTER.given, DAUGHTER.email, DAUGHTER.street, "Aucun acte"],
            )  # fmt: skip
    finally:
        HubEE.timeout = patience


cases = (online_service,)
