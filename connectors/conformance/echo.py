"""What a connector is given and tells back: the same value, however its package keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from connectors.conformance.examination import Examination, Opened
from connectors.conformance.outcome import echoed
from schemas.delivery import Delivery
from schemas.equal_values import canonical
from schemas.errors import Refused
from schemas.event import Event

_TOWN = {"postal_code": "93001", "city": "Saint-Aubin"}
ADDRESSES: Sequence[Mapping[str, Any]] = (
    {"house_number": "12 bis", "street": "rue des Tilleuls", **_TOWN},
    {"house_number": "7B", "street": "av. du Dr Roux", "complement": "Bât. C, porte 12", **_TOWN},
    {"street": "18 ter, avenue du 8 Mai 1945", "postal_code": "93001", "city": "SAINT AUBIN CEDEX 2"},
    {"complement": "lieu-dit Les Grands Prés", "postal_code": "01000", "city": "L’Haÿ-en-Œuvre"},
    {"house_number": "12-14", "street": "place de l'Église", "complement": "appartement 12", **_TOWN},
    {"house_number": "5", "street": "Hauptstraße", "postal_code": "77694", "city": "Kehl", "country": "DE"},
    {"house_number": "5", "street": "Hauptstraße", "postal_code": "77694", "city": "Kehl"},
)
"""Invented, one after the other for one person: numbers with their suffix, told apart or in the street, abbreviations,
no street, capitals, and one that only the country tells from the next. All of them fit version 1 of an address."""


SAID: Mapping[str, Sequence[Any]] = {
    "new_address": ADDRESSES,
    "email": ("n.q@courriel.example", "N.Q+carte@Elan.example", "solène@élan.example"),
    "phone": ("06 00 00 00 12", "+33 6 00 00 00 13", "0590 00 00 14", "+32 470 00 00 15"),
}
"""By the field of an event."""


def echo(exam: Examination) -> None:
    """A value that is taken is told back as the same value, at another hour; or it is refused."""
    with exam.opened() as opened:
        given = [one for one in opened.case.deliveries if one.event.type in echoed(exam.manifest)]
        if opened.case.retell is None:
            exam.fault("what it is given and tells back is not shown: a `retell` is missing in its case")
            return
        for delivery in given:
            for number, told in enumerate(_said_otherwise(delivery)):
                _given_and_told_back(exam, opened, told, number)


def _said_otherwise(delivery: Delivery) -> Iterator[Delivery]:
    """The delivery with each of the invented values in place of its own."""
    data = delivery.event.data
    for field in [name for name in SAID if name in data]:
        for number, said in enumerate(SAID[field]):
            value = {**data[field], "value": said}
            mark = f"echo-{field}-{number}"
            event = replace(delivery.event, data={**data, field: value}, id=f"{delivery.event.id}-{mark}")
            yield replace(delivery, event=event, key=f"{delivery.key}-{mark}")


def _given_and_told_back(exam: Examination, opened: Opened, delivery: Delivery, number: int) -> None:
    where = f"{delivery.event.type}, value {number + 1} of the echo"
    opened.bench.clock.move(300)
    before = exam.committed(opened, f"{where}: poll")
    try:
        opened.connector.handle(delivery)
    except Refused as error:
        exam.overhear(error)
        return
    assert opened.case.retell is not None
    opened.bench.clock.move(300)
    opened.case.retell(str(delivery.reference))
    told = [event for event in exam.committed(opened, f"{where}: poll", before.cursor).events
            if event.type == delivery.event.type]  # fmt: skip
    exam.expect(bool(told), f"{where}: nothing was told back")
    for event in told[-1:]:
        for field in _values(event):
            same = field not in delivery.event.data or _is_one(field, delivery.event, event, opened)
            exam.expect(same, f"{where}: /{field} is told back as another value")


def _values(event: Event) -> Iterator[str]:
    yield from (name for name, said in event.data.items() if isinstance(said, Mapping) and "quality" in said)


def _is_one(field: str, given: Event, told: Event, opened: Opened) -> bool:
    town = opened.connector.context.tenant_insee
    one, other = (canonical(field, event.data[field]["value"], territory=town) for event in (given, told))
    return bool(one == other)
