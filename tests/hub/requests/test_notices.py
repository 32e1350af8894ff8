"""The hub writes to the person when it is the declared issuer: once for the receipt, once for each decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bus.ledger import Ledger
from hub.requests.notices import notices
from hub.requests.repository import Requests
from hub.routing.directory import Directory
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from schemas.event import Event
from tests.hub.requests.examples import CONTACT

TOWN, PORTAL = "saint-aubin", "saint-aubin.portail"
CATALOGUE = load_procedures()
SLUG = next(slug for slug, procedure in CATALOGUE.items() if procedure.acknowledgement == "hub")


def written(ledger: Ledger, email: str | None = "a@ville.example", *, issuer: Any = "hub", contact: bool = True) -> Any:
    citizen = {"references": [{"system": "portail", "id": "P-1"}]} | ({"email": email} if email else {})
    record = {"procedure": SLUG, "submitted_at": "2026-11-02T08:00:00Z", "requester": {"citizen": citizen},
              "references": [{"system": "portail", "id": "D-1"}]}  # fmt: skip
    contacts = {"default": CONTACT} if contact else {}
    town = Tenant(TOWN, "Ville de Saint-Aubin", "21930001100018", "93001", contacts=contacts)
    directory = Directory([], {SLUG: replace(CATALOGUE[SLUG], acknowledgement=issuer)}, {TOWN: town})
    event = Event("request.received", f"/{TOWN}/portail", {"request": record})
    with ledger.transaction() as tx:
        request = Requests(tx).open(TOWN, record, origin=PORTAL, people=[], confidential=False)
        return [list(notices(tx, request, event, directory)) for _ in range(2)]


def test_the_receipt_is_one_message_however_often_it_is_made(ledger: Ledger) -> None:
    (first,), (second,) = written(ledger)

    assert (first.id, first.type, first.source) == (second.id, "message.requested", f"/{TOWN}/hub")
    assert first.data["to"] == {"email": "a@ville.example"}
    assert CATALOGUE[SLUG].label in first.data["text"]
    assert CONTACT.phone in first.data["text"]


@pytest.mark.parametrize("case", [{"email": None}, {"issuer": "portal"}, {"issuer": "none"}, {"contact": False}])
def test_nobody_is_written_to_without_an_address_a_contact_or_the_duty(ledger: Ledger, case: dict[str, Any]) -> None:
    assert written(ledger, **case) == [[], []]
