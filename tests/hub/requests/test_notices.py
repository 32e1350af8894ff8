"""The hub writes to the person when it is the declared issuer: once for the receipt, once for each decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bus.ledger import Entry, Ledger
from hub.requests.notices import notices
from hub.requests.reception import Reception
from hub.requests.repository import Requests
from hub.routing.directory import Directory
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from schemas.event import Event
from tests.hub.requests.examples import CONTACT

TOWN, PORTAL = "saint-aubin", "saint-aubin.portail"
CATALOGUE = load_procedures()
SLUG = next(slug for slug, procedure in CATALOGUE.items() if procedure.acknowledgement == "hub")


def written(ledger: Ledger, email: str | None = "a@ville.example", *, issuer: Any = "hub", contact: bool = True,
            number: str = "D-1", decided: bool = False, insee: str = "93001",
            reception: Reception | None = None) -> Any:  # fmt: skip
    citizen = {"references": [{"system": "portail", "id": "P-1"}]} | ({"email": email} if email else {})
    record = {"procedure": SLUG, "submitted_at": "2026-11-02T08:00:00Z", "requester": {"citizen": citizen},
              "references": [{"system": "portail", "id": number}]}  # fmt: skip
    contacts = {"default": CONTACT} if contact else {}
    town = Tenant(TOWN, "Ville de Saint-Aubin", "21930001100018", insee, contacts=contacts)
    directory = Directory([], {SLUG: replace(CATALOGUE[SLUG], acknowledgement=issuer)}, {TOWN: town})
    event = Event("request.received", f"/{TOWN}/portail", {"request": record})
    with ledger.transaction() as tx:
        request = Requests(tx).open(
            TOWN, record, origin=PORTAL, people=[], confidential=False, reception=reception
        )  # fmt: skip
        if decided:
            tx.append([Entry(TOWN, event, b"", f"r:{request.id}", request.id, PORTAL, (), False)])
            event = Event("request.status-changed", f"/{TOWN}/metier", {"status": "rejected"})
        return [list(notices(tx, request, event, directory)) for _ in range(2)]


def test_the_receipt_is_one_message_however_often_it_is_made(ledger: Ledger) -> None:
    (first,), (second,) = written(ledger)

    assert (first.id, first.type, first.source) == (second.id, "message.requested", f"/{TOWN}/hub")
    assert first.data["to"] == {"email": "a@ville.example"}
    assert CATALOGUE[SLUG].label in first.data["text"]
    assert CONTACT.phone in first.data["text"]
    assert "(référence de dépôt : D-1)" in first.data["text"]


def test_a_number_that_the_hub_made_for_a_client_is_not_read_by_people(ledger: Ledger) -> None:
    (first,), _ = written(ledger, number="3f0c8b1a-1111-4222-8333-444455556666")
    assert "référence de dépôt" not in first.data["text"]


@pytest.mark.parametrize(("reception", "insee", "said"), [
    (Reception("2026-02-26", "2026-03-02"), "93001",
     ("reçue le 2 mars 2026", "La première administration saisie l'avait reçue le 26 février 2026",
      "Sans décision expresse le 26 avril 2026")),
    (Reception("2026-06-01", "2026-06-01"), "93001",
     ("reçue le 1er juin 2026", "Sans décision expresse le 1er août 2026")),
    (Reception("2026-01-01T01:00:00Z", "2026-01-01T01:00:00Z"), "97105",
     ("reçue le 31 décembre 2025", "Sans décision expresse le 28 février 2026")),
])  # fmt: skip
def test_the_receipt_says_the_true_dates(
    ledger: Ledger, reception: Reception, insee: str, said: tuple[str, ...]
) -> None:
    (first,), _ = written(ledger, reception=reception, insee=insee)

    for part in said:
        assert part in first.data["text"]
    assert ("première administration" in first.data["text"]) == (reception.first != reception.competent)


def test_a_decision_carries_the_number_under_which_it_was_filed(ledger: Ledger) -> None:
    (first,), _ = written(ledger, decided=True)
    assert "(référence de dépôt : D-1) a été rejetée" in first.data["text"]


@pytest.mark.parametrize("case", [{"email": None}, {"issuer": "portal"}, {"issuer": "none"}, {"contact": False}])
def test_nobody_is_written_to_without_an_address_a_contact_or_the_duty(ledger: Ledger, case: dict[str, Any]) -> None:
    assert written(ledger, **case) == [[], []]
