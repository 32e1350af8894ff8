"""The form of an event, which needs no database: its size, its texts, its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from schemas.checks import is_french_postal_code
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.identities import read_people
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
        _refuse_short_postal_codes(event.data, "/data")


def _read_again(event: Event) -> None:
    """An event that a connector made has passed no reader yet: it is held to the form of any other."""
    read = Event.from_dict(event.to_dict())
    if read.id != event.id or len(read.extensions) != len(event.extensions):
        raise InvalidMessage("an extension has the name of an attribute", code="not_an_event")


def _refuse_short_postal_codes(value: Any, pointer: str) -> None:
    """A French postal code has five digits, whichever version of an address says it: four are a number that a
    spreadsheet has cut. The free answers of a form are nobody's address."""
    if isinstance(value, Mapping):
        code, french = value.get("postal_code"), value.get("country", "FR") == "FR"
        if isinstance(code, str) and french and "city" in value and not is_french_postal_code(code):
            raise InvalidMessage(
                "a French postal code has five digits", pointer=f"{pointer}/postal_code", code="schema_violation",
                rule="pattern",
            )  # fmt: skip
        for name, below in value.items():
            if name != "form" and isinstance(below, Mapping | list | tuple):
                _refuse_short_postal_codes(below, f"{pointer}/{name}")
    elif isinstance(value, list | tuple):
        for position, below in enumerate(value):
            _refuse_short_postal_codes(below, f"{pointer}/{position}")
