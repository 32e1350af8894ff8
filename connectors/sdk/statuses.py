"""Native status -> canonical status, as data: `statuses.csv` of a connector."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from schemas.errors import ConfigError
from schemas.fault import Fault
from schemas.shape import nearest
from schemas.sheet import Sheet, SheetRow, read_sheet

CANONICAL = (
    "received", "transferred", "incomplete", "in_progress", "awaiting_payment", "granted", "rejected",
    "inadmissible", "fulfilled", "closed", "withdrawn",
)  # fmt: skip
FINAL = frozenset({"rejected", "inadmissible", "fulfilled", "closed", "withdrawn"})
"""Those after which nothing more is due."""

_PHASES = ("qualification", "processing", "delivery")
_DIRECTIONS = ("in", "out", "both")


@dataclass(frozen=True, slots=True)
class StatusRow:
    procedure: str  # "*" for every procedure
    native: str
    canonical: str  # "" where the native status says nothing to others
    phase: str  # qualification, processing, delivery or ""
    label: str  # the package's own words, in French
    direction: str  # "in": native -> canonical only, "out": canonical -> native only, "both"


def status_changed(
    request: Mapping[str, Any], code: str, row: StatusRow | None, *, label: str = "", **more: Any
) -> dict[str, Any]:
    """The data of `request.status-changed`: in the package's own word `code`, where it stands with `request` (a link).

    `row`: the line of `code` in `statuses.csv`; without one the word is shown as `label` and applied to nothing.
    `more`: the event's other members (`reason`, `documents`, `reopened`, `new_references`); empty ones are left out.
    """
    members = {"phase": row.phase if row else "", **more}
    return {
        "request": request,
        "status": (row.canonical or None) if row else None,
        "native": {"code": code, "label": row.label if row else label or code},
        **{name: value for name, value in members.items() if value},
    }


class Statuses:
    """The status map of one connector. A row of the procedure itself wins over a row for "*"."""

    def __init__(self, rows: Iterable[StatusRow]) -> None:
        self.rows = tuple(rows)
        self._in = {(r.procedure, r.native): r for r in reversed(self.rows) if r.direction in ("in", "both")}
        self._out = {(r.procedure, r.canonical): r for r in reversed(self.rows) if r.direction in ("out", "both")}

    @staticmethod
    def load(path: Path) -> Statuses:
        """A table, its columns named as the members of `StatusRow`. Raises ConfigError with its first fault."""
        sheet = _sheet(path)
        for fault in _faults(sheet):
            raise ConfigError(str(fault), key=path.name)
        return Statuses(StatusRow(**row.cells) for row in sheet.rows)

    def canonical(self, native: str, *, procedure: str = "*") -> StatusRow | None:
        """What a native status means; None when the map does not know it (show it, apply nothing)."""
        return self._in.get((procedure, native)) or self._in.get(("*", native))

    def native(self, canonical: str, *, procedure: str = "*") -> StatusRow | None:
        """How to say a canonical status to the package; None when it has no word for it (say nothing)."""
        return self._out.get((procedure, canonical)) or self._out.get(("*", canonical))


def status_faults(path: Path) -> list[Fault]:
    """Every fault of a `statuses.csv` at once, each with its line."""
    return list(_faults(_sheet(path)))


def _sheet(path: Path) -> Sheet:
    return read_sheet(path, [one.name for one in fields(StatusRow)])


def _faults(sheet: Sheet) -> Iterator[Fault]:
    yield from sheet.faults
    seen: dict[tuple[str, str], int] = {}
    for row in sheet.rows:
        for column, message in _row_faults(row):
            yield Fault(str(sheet.path), column, message, line=row.line)
        key = (row.cells["procedure"], row.cells["native"])
        first = seen.setdefault(key, row.line)
        if first != row.line and row.cells["direction"] != "out":
            yield Fault(str(sheet.path), "native", f"line {first} reads the same word already", line=row.line)


def _row_faults(row: SheetRow) -> Iterator[tuple[str, str]]:
    for column, known in (("canonical", CANONICAL), ("phase", _PHASES), ("direction", _DIRECTIONS)):
        word = row.cells[column]
        if word not in known and (word or column == "direction"):
            yield column, f'no such {column} "{word}"{nearest(word, known)}: one of {", ".join(known)}'
    for column in ("procedure", "native", "label"):
        if not row.cells[column]:
            yield column, "missing"
