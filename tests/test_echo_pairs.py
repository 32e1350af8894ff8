"""A → B → A → B over every pair of packages, as their manifests declare them: what one tells of a person is given to
another, which keeps it in its own way and tells it back. It is the same value all the way: only the first is news."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from connectors.conformance import stands_of
from connectors.conformance.echo import ADDRESSES
from connectors.conformance.examination import Examination, Opened
from connectors.conformance.outcome import echoed
from connectors.sdk import find_manifests
from schemas.equal_values import canonical
from schemas.errors import Refused
from schemas.event import Event

MOVED = "citizen.address-changed"
TOWN = "93001"
Package = tuple[str, int]  # a connector, and which of its cases

PACKAGES: list[Package] = [
    (slug, number)
    for slug, manifest in find_manifests().items()
    if MOVED in manifest.publishes
    for number, _ in enumerate(stands_of(manifest))
]
BOTH = [one for one in PACKAGES if MOVED in echoed(find_manifests()[one[0]])]


@contextmanager
def opened(package: Package) -> Iterator[tuple[Examination, Opened]]:
    manifest = find_manifests()[package[0]]
    examination = Examination(manifest, stands_of(manifest)[package[1]])
    with examination.opened() as found:
        yield examination, found
    assert examination.faults == []


def moves(events: list[Event]) -> list[Mapping[str, Any]]:
    return [event.data["new_address"]["value"] for event in events if event.type == MOVED]


def told_first(package: Package) -> list[Mapping[str, Any]]:
    """What a package tells of its own accord: what its poll brings, and what it calls in."""
    with opened(package) as (examination, found):
        events = list[Event]()
        if found.case.news is not None:
            found.case.news(1)
            events += examination.committed(found, "poll").events
        for inbound in found.case.inbound:
            events += found.connector.receive(inbound).polled.events
    return moves(events)


def told_back(package: Package, address: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What a package tells, at another hour, of the address that it is given; None where it refuses it."""
    with opened(package) as (examination, found):
        given = next(one for one in found.case.deliveries if one.event.type == MOVED)
        value = {**given.event.data["new_address"], "value": address}
        delivery = replace(given, event=given.event.with_data({**given.event.data, "new_address": value}))
        before = examination.committed(found, "poll")
        try:
            found.connector.handle(delivery)
        except Refused:
            return None
        found.bench.clock.move(300)
        assert found.case.retell is not None
        found.case.retell(str(delivery.reference))
        return moves(examination.committed(found, "poll", before.cursor).events)[-1]


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return bool(canonical("new_address", one, territory=TOWN) == canonical("new_address", other, territory=TOWN))


def bounces(first: Package, second: Package, address: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """What is told of an address that goes there and back twice, and is not the address."""
    said, now = [], address
    for package in (second, first, second, first):
        back = told_back(package, now) if package in BOTH else now
        if back is None:
            break
        said += [] if same(address, back) else [back]
        now = back
    return said


def test_the_packages_that_may_bounce_are_found_by_their_manifests() -> None:
    assert {slug for slug, _ in PACKAGES} >= {"filedrop", "koha", "parascol", "publik"}
    assert {slug for slug, _ in BOTH} >= {"filedrop", "koha"}


@pytest.mark.parametrize("second", BOTH, ids=str)
@pytest.mark.parametrize("first", PACKAGES, ids=str)
def test_what_a_package_tells_comes_back_as_the_same_from_every_other(first: Package, second: Package) -> None:
    told = told_first(first)
    assert told
    assert [bounces(first, second, address) for address in told] == [[]] * len(told)


@pytest.mark.parametrize("second", BOTH, ids=str)
@pytest.mark.parametrize("first", BOTH, ids=str)
@pytest.mark.parametrize("address", ADDRESSES, ids=range(len(ADDRESSES)))
def test_an_address_bounces_between_no_two_packages(
    address: Mapping[str, Any], first: Package, second: Package
) -> None:
    assert bounces(first, second, address) == []
