"""The form of an event, which needs no database: its size, its texts, its attributes."""

from __future__ import annotations

from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.identities import read_people
from schemas.postal_codes import check_postal_codes
from schemas.registry import Registry

_TIME = 40  # characters of a time


def encode_within(event: Event, most_bytes: int) -> bytes:
    """The event as JSON. Raises InvalidMessage: `not_json`, `too_large`."""
    try:
        encoded = event.encode()
    except TypeError:
        raise InvalidMessage("data must be JSON", pointer="/data", code="not_json") from None
    if len(encoded) > most_bytes:
        raise InvalidMessage(f"an event has at most {most_bytes} bytes", code="too_large")
    return encoded


def check_schema(registry: Registry, event: Event, *, words: bool) -> Event:
    """The event, held to its schema; with its identities read by their meaning where they break it as they are written
    (`""` for what nobody told, `00/00/1962`). Raises InvalidMessage as `Registry.validate`."""
    try:
        registry.validate(event, words=False)
        return event
    except InvalidMessage as error:
        data = read_people(event.data) if error.code == "schema_violation" else event.data
        if data is event.data and not words:
            raise
    read = event if data is event.data else event.with_data(data)
    registry.validate(read, words=words)
    return read


def check_form(event: Event, encoded: bytes, *, read: bool) -> None:
    """Raises InvalidMessage: `not_an_event`, `schema_violation`. `encoded`: the event as JSON. `read`: `Event` has just
    read it from the wire, so its attributes are right."""
    if event.time is not None and len(event.time) > _TIME:
        raise InvalidMessage("time is too precise", pointer="/time", code="not_an_event")
    if not read:
        _read_again(event)
    if b'"postal_code"' in encoded:
        check_postal_codes(event.data)


def _read_again(event: Event) -> None:
    """An event that a connector made has passed no reader yet: it is held to the form of any other."""
    read = Event.from_dict(event.to_dict())
    if read.id != event.id or len(read.extensions) != len(event.extensions):
        raise InvalidMessage("an extension has the name of an attribute", code="not_an_event")
