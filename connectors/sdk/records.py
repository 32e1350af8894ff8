"""Records read one by one: each becomes events that the shared schemas accept, or a fault that names it and hides none
of the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from schemas.delivery import RecordFault
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, TryLater, Unknown, detailed_fault
from schemas.event import Event
from schemas.exchange import Evidence
from schemas.registry import Registry, check_document
from schemas.validators import LISTED

_R = TypeVar("_R")
_T = TypeVar("_T")

PERSON = "urn:unefois:record:citizen:v1"
"""The shared schema of a person whom a package lists."""
ADMITTED = " ; admises : "
"""Before the words that a schema lists, in a sentence about a value that is none of them."""


def each(
    records: Iterable[_R], read: Callable[[_R], Iterable[_T]], *, key: Callable[[_R], str]
) -> tuple[list[_T], list[RecordFault]]:
    """What `read` makes of the records that it understands (events), and the faults of the others; of one record all or
    nothing. Raises what concerns the package as a whole: it is away, it does not let us in, its answer was lost."""
    made: list[_T] = []
    faults: list[RecordFault] = []
    for record in records:
        try:
            made += list(read(record))
        except (TryLater, AccessDenied, Unknown, BusUnavailable):
            raise
        except Exception as error:  # whatever one record holds
            faults.append(record_fault(error, key=_key(key, record)))
    return made, faults


def record_fault(error: Exception, *, key: str = "", place: str = "") -> RecordFault:
    """What an error says of one record. The message of one that is not ours may quote the record: its kind and its
    place in the code are told."""
    if isinstance(error, HubError):
        pointer = error.pointer if isinstance(error, InvalidMessage) else ""
        return RecordFault(error.code, " ".join(part for part in (place, pointer) if part), error.reason, key)
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    code = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return RecordFault(f"connector.{type(error).__name__}", " ".join([*([place] if place else []), *code]), "", key)


def check_record(event: Event) -> Event:
    """`event` when its shared schema accepts it: asked before a file is put away or a page left behind, while one can
    still say which record it is. Raises InvalidMessage with the schema's code, pointer and rule, and a sentence in
    French that holds nothing of the data."""
    try:
        _registry().validate(event)
    except InvalidMessage as error:
        place = error.pointer.removeprefix("/data") or "l'ensemble"
        rule = f" ({error.rule})" if error.rule else ""
        words = f"{ADMITTED}{str(error).removeprefix(LISTED)}" if str(error).startswith(LISTED) else ""
        raise InvalidMessage(
            f"la valeur de {place} n'est pas admise{rule}{words}",
            pointer=error.pointer,
            code=error.code,
            rule=error.rule,
        ) from None
    return event


def check_evidence(evidence: Evidence) -> Evidence:
    """`evidence` when its shared schema accepts it. Raises TryLater for a value that makes no sense: it is the source
    that must mend it, and nothing of it is guessed or left out in silence."""
    try:
        _registry().validate_evidence(evidence)
    except InvalidMessage as error:
        fault = detailed_fault("bad-return", *error.pointer.split("/"))
        raise TryLater("la réponse de la source n'est pas utilisable", fault=fault, detail=error.pointer) from None
    return evidence


@cache
def _registry() -> Registry:
    return Registry.load()


def _key(key: Callable[[_R], str], record: _R) -> str:
    try:
        return key(record)
    except Exception:  # a record without a name counts each time
        return ""


def check_person(person: Mapping[str, Any], system: str) -> Mapping[str, Any]:
    """`person` when it is a shared `citizen` record with an identity and one identifier, of this `system`: what a
    package lists of its people (`Connector.people`). Raises InvalidMessage as `check_record` does."""
    references = person.get("references", ())
    if not person.get("identity") or len(references) != 1 or references[0].get("system") != system:
        raise InvalidMessage("une identité et un seul identifiant, du logiciel, sont attendus", code="wrong_shape")
    check_document(_registry().schema_set, PERSON, person, "")
    return person
