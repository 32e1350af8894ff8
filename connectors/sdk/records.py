"""The records of a page, one by one: what one of them holds is told, and hides none of the others."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from typing import TypeVar

from schemas.delivery import RecordFault
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, TryLater, Unknown

_R = TypeVar("_R")
_T = TypeVar("_T")


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


def _key(key: Callable[[_R], str], record: _R) -> str:
    try:
        return key(record)
    except Exception:  # a record without a name counts each time
        return ""
