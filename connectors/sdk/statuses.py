"""Native status -> canonical status, as data: `statuses.csv` of a connector."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANONICAL = (
    "received", "transferred", "incomplete", "in_progress", "awaiting_payment", "granted", "rejected",
    "inadmissible", "fulfilled", "closed", "withdrawn",
)  # fmt: skip
FINAL = frozenset({"rejected", "inadmissible", "fulfilled", "closed", "withdrawn"})
"""Those after which nothing more is due."""


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
        """A CSV file, its columns named as the members of `StatusRow`. Raises ValueError for an unknown canonical
        status or direction."""
        with path.open(encoding="utf-8", newline="") as file:
            rows = [StatusRow(**row) for row in csv.DictReader(file)]
        for row in rows:
            if row.canonical and row.canonical not in CANONICAL:
                raise ValueError(f"{path.name}: unknown canonical status {row.canonical!r}")
            if row.direction not in ("in", "out", "both"):
                raise ValueError(f"{path.name}: direction must be in, out or both")
        return Statuses(rows)

    def canonical(self, native: str, *, procedure: str = "*") -> StatusRow | None:
        """What a native status means; None when the map does not know it (show it, apply nothing)."""
        return self._in.get((procedure, native)) or self._in.get(("*", native))

    def native(self, canonical: str, *, procedure: str = "*") -> StatusRow | None:
        """How to say a canonical status to the package; None when it has no word for it (say nothing)."""
        return self._out.get((procedure, canonical)) or self._out.get(("*", canonical))
