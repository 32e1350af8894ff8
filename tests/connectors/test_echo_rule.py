"""The rule `echo` bites: a package that loses a part of what it is given is named, with the address that it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from connectors import conformance
from connectors.conformance import Bench, Case, Stand, stands_of
from connectors.conformance.echo import ADDRESSES, SAID
from connectors.koha import mapping
from connectors.sdk import find_manifests
from schemas.equal_values import canonical
from schemas.errors import Refused
from schemas.event import Event
from schemas.registry import Registry

KOHA = find_manifests()["koha"]
Change = Callable[[Mapping[str, Any]], dict[str, Any]]


def changed(**to: Any) -> Change:
    def change(address: Mapping[str, Any]) -> dict[str, Any]:
        return {name: part for name, part in {**address, **to}.items() if part is not None}

    return change


def faults(stands: list[Stand] | None = None) -> str:
    return "\n".join(conformance.examine(KOHA, stands, only=["echo"]).faults)


@pytest.mark.parametrize(("change", "number"), [
    (changed(complement=None), 2), (changed(country=None), 6), (changed(city="Saint-Aubin"), 4),
    (lambda address: changed(street=address.get("street", "x").replace("bis", "ter"))(address), 1),
])  # fmt: skip
def test_a_package_that_changes_what_it_is_given_is_told(
    change: Change, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = mapping.address_of
    monkeypatch.setattr(mapping, "address_of", lambda patron: change(read(patron) or {}))
    assert f"value {number} of the echo: /new_address is told back as another value" in faults()


def test_a_package_that_tells_nothing_back_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapping, "address_of", lambda patron: None)
    assert "value 1 of the echo: nothing was told back" in faults()


def test_a_contact_that_is_told_and_not_told_back_is_told() -> None:
    """Koha tells no contacts: a manifest that says so is found out."""
    both = replace(KOHA, publishes=(*KOHA.publishes, "citizen.contact-changed"))
    told = "\n".join(conformance.examine(both, only=["echo"]).faults)
    assert "citizen.contact-changed, value 3 of the echo: nothing was told back" in told


def test_a_package_that_refuses_what_it_cannot_hold_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    written = mapping.address_fields

    def refuse(address: Mapping[str, Any], layout: mapping.Layout) -> Mapping[str, Any]:
        if "country" in address:
            raise Refused("L'adresse est à l'étranger")
        return written(address, layout)

    monkeypatch.setattr(mapping, "address_fields", refuse)
    assert faults() == ""


def test_a_case_that_does_not_show_it_is_a_fault() -> None:
    @contextmanager
    def silent(bench: Bench) -> Iterator[Case]:
        with stands_of(KOHA)[0](bench) as case:
            yield replace(case, retell=None)

    assert "a `retell` is missing in its case" in faults([silent])


@pytest.mark.parametrize("slug", ["hubee", "parascol", "publik", "rdvsp"])
def test_the_rule_is_for_those_who_are_told_and_tell(slug: str) -> None:
    (rule,) = (rule for rule in conformance.rules() if rule.name == "echo")
    assert rule.not_for(find_manifests()[slug])
    assert not rule.not_for(KOHA)


def test_the_values_of_the_rule_are_valid_and_each_address_is_another() -> None:
    registry = Registry.load()
    for address in ADDRESSES:
        value = {"value": address, "source": "x", "date": "2026-03-02", "quality": "declared"}
        data = {"citizen": {"references": [{"system": "koha", "id": "1"}]}, "new_address": value}
        registry.validate(Event("citizen.address-changed", "/t/koha", data, id="1", time="2026-03-02T12:00:00Z"))
    for field in ("email", "phone"):
        for said in SAID[field]:
            value = {"value": said, "source": "x", "date": "2026-03-02", "quality": "declared"}
            data = {"citizen": {"references": [{"system": "koha", "id": "1"}]}, field: value}
            registry.validate(Event("citizen.contact-changed", "/t/koha", data, id="1", time="2026-03-02T12:00:00Z"))
    assert len({str(canonical("new_address", address)) for address in ADDRESSES}) == len(ADDRESSES)
