"""Where somebody lives: abroad, nowhere, or in France with five digits (odoo#985, addok#373)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from schemas.converters import convert
from schemas.event import Event
from schemas.registry import Registry

REGISTRY = Registry.load()
DOMICILED = {"street": "place de la Mairie", "postal_code": "38999", "city": "Valbruyère", "no_fixed_abode": True,
             "domiciled_with": "CCAS de Valbruyère"}  # fmt: skip


def accepts(address: Mapping[str, Any], version: int = 2) -> bool:
    return REGISTRY.schema_set.accepts(f"urn:unefois:record:address:v{version}", address)


def move(address: Mapping[str, Any], version: int = 2, **more: Any) -> Event:
    new = {"value": address, "source": "publik", "date": "2026-03-02", "quality": "declared"}
    citizen = {"references": [{"system": "publik", "id": "7"}], "address": address}
    return Event(
        "citizen.address-changed", "/t/publik", {"citizen": citizen, "new_address": new, **more}, version=version
    )


@pytest.mark.parametrize("address", [
    {"street": "Queen's Road Central", "city": "Hong Kong", "country": "HK"},
    {"city": "Dakar", "country": "SN"},
    {"city": "London", "postal_code": "SW1A 1AA", "country": "GB"},
    {"city": "Valbruyère", "no_fixed_abode": True},
    DOMICILED,
])  # fmt: skip
def test_an_address_that_has_no_postal_code_is_an_address(address: dict[str, Any]) -> None:
    assert accepts(address)


@pytest.mark.parametrize("address", [
    {"city": "Valbruyère"},
    {"city": "Valbruyère", "country": "FR"},
    {"city": "Valbruyère", "no_fixed_abode": False},
    {"city": "Bourg", "postal_code": "1000"},
    {"city": "Bourg", "postal_code": "1000", "country": "FR"},
    {"city": "Bourg", "postal_code": "1000", "no_fixed_abode": True},
])  # fmt: skip
def test_a_french_address_has_a_postal_code_of_five_digits(address: dict[str, Any]) -> None:
    assert not accepts(address)


@pytest.mark.parametrize("address", [
    {"city": "Dakar", "country": "SN"}, {"city": "Valbruyère", "no_fixed_abode": True}, DOMICILED,
])  # fmt: skip
def test_a_reader_of_the_first_version_gets_what_it_can_read(address: dict[str, Any]) -> None:
    told = convert(move(address, old_address=address, household=[{"references": [{"system": "p", "id": "8"}]}]), 1)

    REGISTRY.validate(told)
    new = told.data["new_address"]["value"]
    assert new["postal_code"] == address.get("postal_code", "00000")
    assert new.get("complement") == ("chez CCAS de Valbruyère" if "domiciled_with" in address else None)


def test_a_postal_code_kept_from_before_gets_its_zero_back_for_a_reader_of_the_second_version() -> None:
    told = convert(move({"city": "Bourg", "postal_code": "1000"}, 1), 2)

    REGISTRY.validate(told)
    assert told.data["citizen"]["address"]["postal_code"] == "01000"


def test_the_people_of_a_request_are_told_in_either_version() -> None:
    abroad = {"references": [{"system": "publik", "id": "7"}], "address": {"city": "Dakar", "country": "SN"}}
    record = {
        "references": [{"system": "publik", "id": "f/1"}], "procedure": "p", "submitted_at": "2026-03-02T09:14:05Z",
        "intake": "email", "requester": {"citizen": abroad}, "beneficiaries": [abroad],
        "representative": {"role": "agent", "person": {"citizen": abroad}},
    }  # fmt: skip
    told = convert(Event("request.received", "/t/publik", {"request": record}, version=2), 1)

    REGISTRY.validate(told)
    assert told.data["request"]["beneficiaries"][0]["address"]["postal_code"] == "00000"
    REGISTRY.validate(convert(told, 2))
