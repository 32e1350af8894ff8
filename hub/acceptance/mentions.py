"""Whom and what an event names, by the shape of its data: the same for every type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.event import Event

Record = Mapping[str, Any]
DAY = "effective_on"
"""The member that says from which day on an event is true."""


def people_named(event: Event) -> Iterator[tuple[str, Record]]:
    """The people in an event, each with the JSON pointer to them."""
    if (citizen := citizen_of(event)) is not None:
        yield "/data/citizen", citizen
    for place, person in enumerate(household_of(event)):
        yield f"/data/household/{place}", person
    for person in people_of(request_record(event)):
        yield "/data/request", person


def citizen_of(event: Event) -> Record | None:
    """The citizen that an event is about; None where it names none."""
    citizen = event.data.get("citizen")
    return citizen if isinstance(citizen, Mapping) else None


def household_of(event: Event) -> list[Record]:
    return list(event.data.get("household", ()))


def request_record(event: Event) -> Record:
    """The request that an event brings whole (record `request`); empty for one that only names a request by a link."""
    record = event.data.get("request")
    return record if isinstance(record, Mapping) and "requester" in record else {}


def people_of(record: Record) -> list[Record]:
    """The citizens of a request, the beneficiary first: the case is about them."""
    agent = record.get("representative", {}).get("person", {}).get("citizen")
    requester = record.get("requester", {}).get("citizen")
    return [*record.get("beneficiaries", ()), *(person for person in (requester, agent) if person)]


def values_of(event: Event) -> dict[str, Any]:
    """What an event says about its citizen (records `value`), by field."""
    return {name: value["value"] for name, value in event.data.items() if _is_value(value)}


def day_in(event: Event) -> dict[str, Any]:
    """The day from which an event is true, with its name; empty where it says none."""
    return {DAY: event.data[DAY]} if DAY in event.data else {}


def by_request(request_id: str | None) -> dict[str, Any]:
    """The request by which something came, for what the hub says of it later: by it, that is routed."""
    return {"request": {"id": request_id}} if request_id else {}


def _is_value(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value and "quality" in value
