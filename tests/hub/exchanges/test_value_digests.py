"""What is the same however packages spell it has one digest."""

from __future__ import annotations

from typing import Any

import pytest

from hub.exchanges.sign_ins import value_digest

ADDRESS = {"house_number": "12 bis", "street": "rue Saint-Antoine", "postal_code": "93001", "city": "Saint-Aubin"}


@pytest.mark.parametrize(("one", "other"), [
    (ADDRESS, {"house_number": "12", "complement": "", "street": "BIS RUE ST ANTOINE", "postal_code": "93 001",
               "city": "SAINT AUBIN", "ban_key": "93001_0001"}),
    ("+33 6 12.34.56.78", "0612345678"), ("+262 (0)692 11 22 33", "0692112233"),
    (ADDRESS | {"street": "av. du Dr Roux"}, ADDRESS | {"street": "AVENUE DU DOCTEUR ROUX"}),
    ("Blanche@Ville.Example", "blanche@ville.example "),
    ({"a": "x", "b": None}, {"b": "", "a": "X"}),
])  # fmt: skip
def test_a_value_is_the_same_however_packages_spell_it(one: Any, other: Any) -> None:
    assert value_digest(one) == value_digest(other)


@pytest.mark.parametrize("changed", [{"house_number": "12 ter"}, {"city": "Saint-Ouen"}, {"street": "rue Antoine"}])
def test_another_address_has_another_digest(changed: dict[str, str]) -> None:
    assert value_digest(ADDRESS) != value_digest(ADDRESS | changed)
