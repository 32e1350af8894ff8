"""What the shared schemas refuse of events and evidence, told of the record that they were made of."""

from __future__ import annotations

from functools import cache

from connectors.sdk.mapping import Map
from connectors.sdk.records import ADMITTED
from schemas.errors import InvalidMessage
from schemas.exchange import Evidence
from schemas.pointers import steps_of
from schemas.registry import Registry

_DATA = "/data"


@cache
def _registry() -> Registry:
    return Registry.load()


def of_record(error: InvalidMessage, mapped: Map | None) -> InvalidMessage:
    """What the shared schema refused of an event, told of the value of the record that the broken member was made of;
    of the record as a whole where no row of the map made it."""
    place = _origin(error.pointer.removeprefix(_DATA), mapped)
    words = "".join(str(error).partition(ADMITTED)[1:])
    said = f"la valeur n'est pas admise{f' ({error.rule})' if error.rule else ''}{words}"
    return InvalidMessage(said, pointer=place, code=error.code, rule=error.rule)


def check_evidence(evidence: Evidence) -> None:
    """Raises InvalidMessage with a pointer into the evidence."""
    _registry().validate_evidence(evidence)


def _origin(pointer: str, mapped: Map | None) -> str:
    """The place in the record of what stands at `pointer` in the data of the event, or below it."""
    wanted = steps_of(pointer)
    best, found = 0, ""
    for line in mapped.lines if mapped is not None else ():
        target, places = line.target.steps, line.source.places
        size = len(target)
        if (
            places
            and size > best
            and all(a in (b, "*") for a, b in zip(target, wanted, strict=False))
            and size <= len(wanted)
        ):
            best, found = size, places[0].pointer
    return found
