"""A French postal code at the door: five digits, in both versions of an address (addok#373, pix PR 4914)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hub.clients.origin import Origin
from hub.routing.directory import Directory
from schemas.equal_values import canonical
from schemas.errors import InvalidMessage
from schemas.event import Event, Submitted
from tests.support.acceptance import acceptance_of

PORTAL = Origin("t.publik", "t", frozenset({"*"}), ("/t/publik",), connection=True)
PERSON = {"references": [{"system": "publik", "id": "7"}]}


def checked(event_type: str, data: Mapping[str, Any], version: int = 1) -> Submitted:
    (found,) = acceptance_of(Directory([], {}, {})).check(
        PORTAL, [Event(event_type, "/t/publik", data, version=version)]
    )
    return found


def move(address: Mapping[str, Any], person: Mapping[str, Any] = PERSON) -> dict[str, Any]:
    new = {"value": address, "source": "publik", "date": "2026-03-02", "quality": "declared"}
    return {"citizen": person, "new_address": new}


@pytest.mark.parametrize("version", [1, 2])
def test_four_digits_are_refused_with_their_place(version: int) -> None:
    found = checked("citizen.address-changed", move({"postal_code": "1000", "city": "Bourg"}), version)

    assert isinstance(found, InvalidMessage)
    assert (found.code, found.rule, found.pointer) == (
        "schema_violation",
        "pattern",
        "/data/new_address/value/postal_code",
    )


def test_so_are_those_of_a_person_named_along() -> None:
    person = {**PERSON, "address": {"postal_code": "1000", "city": "Bourg", "country": "FR"}}
    found = checked("citizen.contact-changed", {"citizen": person, "email": move("a@b.example")["new_address"]})

    assert isinstance(found, InvalidMessage)
    assert found.pointer == "/data/citizen/address/postal_code"


def test_four_digits_of_another_country_pass() -> None:
    assert isinstance(checked("citizen.address-changed", move({"postal_code": "1000", "city": "Bruxelles",
                                                               "country": "BE"})), Event)  # fmt: skip


def test_the_free_answers_of_a_form_are_nobodys_address() -> None:
    record = {
        "references": [{"system": "publik", "id": "f/1"}], "procedure": "p", "submitted_at": "2026-03-02T09:14:05Z",
        "intake": "online", "requester": {"citizen": PERSON},
        "form": {"lieu": {"postal_code": "1000", "city": "Bourg"}},
    }  # fmt: skip
    assert isinstance(checked("request.received", {"request": record}), Event)


def test_what_a_reader_of_the_first_version_says_back_of_an_address_is_no_news() -> None:
    said = {"street": "place de la Mairie", "city": "Valbruyère", "no_fixed_abode": True, "domiciled_with": "CCAS"}
    back = {"street": "Place de la mairie", "city": "VALBRUYERE", "postal_code": "00000", "complement": "chez CCAS"}

    assert canonical("new_address", said) == canonical("new_address", back)
    dakar = {"city": "DAKAR", "postal_code": "00000", "country": "SN"}
    assert canonical("new_address", {"city": "Dakar", "country": "SN"}) == canonical("new_address", dakar)
