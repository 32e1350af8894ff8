"""The records of a page, one by one: what one of them holds is told, and hides none of the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from schemas.delivery import RecordFault
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, TryLater, Unknown
from schemas.event import Event

_R = TypeVar("_R")


def each(
    records: Iterable[_R], read: Callable[[_R], Sequence[Event]], *, key: Callable[[_R], str]
) -> tuple[list[Event], list[RecordFault]]:
    """The events of the records that `read` understands, and the faults of the others. Raises what concerns the package
    as a whole: it is away, it does not let us in, its answer was lost."""
    events: list[Event] = []
    faults: list[RecordFault] = []
    for record in records:
        try:
            events += read(record)
        except (TryLater, AccessDenied, Unknown, BusUnavailable):
            raise
        except Exception as error:  # whatever one record holds
            faults.append(record_fault(error, key=_key(key, record)))
    return events, faults


def record_fault(error: Exception, *, key: str = "", place: str = "") -> RecordFault:
    """What an error says of one record. The message of one that is not ours may quote the record: its kind and its
    place in the code are told."""
    if isinstance(error, HubError):
        pointer = error.pointer if isinstance(error, InvalidMessage) else ""
        return RecordFault(error.code, " ".join(part for part in (place, pointer) if part), error.reason, key)
    frames = traceback.extract_tb(error.__traceback__)[-1:]
    code = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames]
    return RecordFault(f"connector.{type(error).__name__}", " ".join([*([place] if place else []), *code]), "", key)


def _key(key: Callable[[_R], str], record: _R) -> str:
    try:
        return key(record)
    except Exception:  # a record without a name counts each time
        return ""
