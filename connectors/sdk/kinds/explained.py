"""What becomes of a value or a record, in words for who tries a table, without a value."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.sdk.mapping import Traced
from connectors.sdk.trace import shape
from schemas.errors import InvalidMessage


@dataclass(frozen=True, slots=True)
class Explained:
    """What a table makes of a record. `event`: its type and version, its identifier by shape, or why there is none.
    `lines`: one for each row of its map. `fault`: why it cannot be read; "" when it can, or is for another table."""

    event: str
    lines: Sequence[str] = ()
    fault: str = ""

    def __iter__(self) -> Iterator[str]:
        yield f"Événement    {self.event}{f' : non conforme : {self.fault}' if self.fault else ''}"
        yield from (f"Correspondance {line}" for line in self.lines)


def explained(traced: Traced) -> str:
    """One row: the target, where it is read, and the kind of what was found there."""
    row = traced.row
    read = f"{row.source} | {row.convert}" if row.convert else row.source
    if traced.faults:
        found = " ; ".join(fault.reason for fault in traced.faults)
    else:
        found = shape(traced.data) if traced.data else "absent"
    return f"{row.target} <- {read} : {found}"


def told(error: InvalidMessage) -> str:
    """A fault with its place in the record."""
    return f"{error.pointer or '/'} : {error.reason}"


def identifier(template: str, name: Any) -> str:
    """An identifier by its template and its shape."""
    return f"identifiant {template} ({shape(name)})"
