"""What there is too much of is counted, and told, before anything slower looks at it."""

from __future__ import annotations

import time
from typing import Any

import pytest

from schemas.counts import Counts, Excess
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.registry import Registry
from schemas.validators import SchemaSet

REGISTRY = Registry.load()
MOVED: dict[str, Any] = REGISTRY.schema("citizen.address-changed")["examples"][0]
ASKED: dict[str, Any] = REGISTRY.schema("request.received", 2)["examples"][1]


def refused(event: Event) -> tuple[InvalidMessage, float]:
    """The refusal, and the seconds that it took: the best of three, for the first one imports the reference."""
    took, fault = [], None
    for _ in range(3):
        start = time.perf_counter()
        with pytest.raises(InvalidMessage) as caught:
            REGISTRY.validate(event)
        took.append(time.perf_counter() - start)
        fault = caught.value
    assert fault is not None
    return fault, min(took)


def test_a_household_of_twenty_thousand_is_counted_and_not_read() -> None:
    crowd = Event("citizen.address-changed", "/town/portal", {**MOVED, "household": [{}] * 21_000})

    fault, seconds = refused(crowd)

    assert (fault.pointer, fault.rule) == ("/data/household", "maxItems")
    assert "at most 30 items" in fault.reason
    assert seconds < 0.05


def test_five_thousand_members_that_no_schema_has_are_counted_and_not_read() -> None:
    request = {**ASKED["request"], **{f"k{n}": 1 for n in range(5000)}}

    fault, seconds = refused(Event("request.received", "/town/portal", {"request": request}, version=2))

    assert (fault.pointer, fault.rule) == ("/data/request/k0", "unevaluatedProperties")
    assert seconds < 0.05


def test_a_crowd_in_one_branch_of_a_choice_is_told_there() -> None:
    person = {"citizen": {"references": [{"system": "publik", "id": "1"}] * 900}}
    request = {**ASKED["request"], "requester": person}

    fault, _ = refused(Event("request.received", "/town/portal", {"request": request}, version=2))

    assert (fault.pointer, fault.rule) == ("/data/request/requester/citizen/references", "maxItems")


def test_a_list_that_another_branch_allows_is_not_in_excess() -> None:
    few = {"properties": {"names": {"type": "array", "maxItems": 1}}}
    many = {"properties": {"names": {"type": "array", "maxItems": 9}}}
    counts = Counts({"urn:x": {"anyOf": [few, many]}})

    assert counts.excess("urn:x", {"names": ["a", "b"]}) is None
    assert counts.excess("urn:x", {"names": ["a"] * 10}) == Excess(("names",), "maxItems", 1)


def test_an_unknown_member_is_named_although_the_first_ones_are_of_a_schema_that_is_referred_to() -> None:
    base = {"$id": "urn:base", "properties": {"source": {"type": "string"}}}
    closed = {"$id": "urn:closed", "$ref": "urn:base", "properties": {"value": True}, "unevaluatedProperties": False}

    fault = SchemaSet([base, closed]).fault("urn:closed", {"source": "caf", "shoe": 42})

    assert (fault.pointer, fault.rule) == ("/shoe", "unevaluatedProperties")


def test_a_text_of_the_whole_size_in_the_wrong_place_is_not_copied_into_messages() -> None:
    wrong = {name: [{}] * 3000 for name in ("old_address", "household", "effective_on", "request")}

    _, seconds = refused(Event("citizen.address-changed", "/town/portal", {**MOVED, **wrong}))

    assert seconds < 0.05
