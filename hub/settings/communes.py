"""Communes change: they merge, split, and are given another code. A birthplace is the code at birth; packages often
give the code of today. Read from movements in the form of the INSEE file `v_mvt_commune`, of which only four columns
are needed: the hub's own short file is beside this one, and a town may name the official one in `communes_file`."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Literal

from schemas.errors import ConfigError

COLUMNS = ("DATE_EFF", "COM_AV", "COM_AP")
Place = Literal["same", "moved", "city", "near", "differ"]
_OWN = Path(__file__).with_name("communes.csv")
_KINDS = ("COM", "ARM", "COMD", "COMA", "")
_CODE = re.compile(r"(?:\d{2}|2[AB])\d{3}")
# The three towns whose births are recorded by district: the code of the town names any of its districts.
_DISTRICTS = {"75056": ("75101", "75120"), "69123": ("69381", "69389"), "13055": ("13201", "13216")}


@dataclass(frozen=True, slots=True)
class Movement:
    """From `on` (YYYY-MM-DD), what was `old` is in `new`."""

    old: str
    new: str
    on: str


class Communes:
    """The movements, for comparing two codes of one birth."""

    def __init__(self, movements: Iterable[Movement] = ()) -> None:
        self._later: dict[str, list[Movement]] = {}
        for movement in movements:
            if movement.old != movement.new:
                self._later.setdefault(movement.old, []).append(movement)

    def compare(self, one: str, other: str, born: str) -> Place:
        """What two INSEE codes say about the place where somebody was born on `born` (YYYY, YYYY-MM or YYYY-MM-DD)."""
        if one == other:
            return "same"
        if other in self.codes_since(one, born) or one in self.codes_since(other, born):
            return "moved"
        if _within(one, other) or _within(other, one):
            return "city"
        return "near" if one[:2] == other[:2] and not one.startswith(("97", "98", "99")) else "differ"

    def codes_since(self, code: str, born: str) -> frozenset[str]:
        """The codes that a commune had after a day: where it went, and where that went."""
        found: set[str] = set()
        waiting = [(code, born)]
        while waiting:
            now, since = waiting.pop()
            for movement in self._later.get(now, ()):
                # A birth of which only the year is known may be on either side of a movement in that year.
                if movement.on[: len(since)] >= since and movement.new not in found:
                    found.add(movement.new)
                    waiting.append((movement.new, movement.on))
        return frozenset(found - {code})


@cache
def shipped_communes() -> Communes:
    """With the movements that the hub brings along."""
    return load_communes(_OWN)


def load_communes(path: Path) -> Communes:
    """Read a file of movements. ConfigError when it is not one; a line that is no movement of communes is left out."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            if not set(COLUMNS) <= set(reader.fieldnames or ()):
                raise ConfigError(f"must have the columns {', '.join(COLUMNS)}", key="communes_file")
            return Communes(movement for row in reader if (movement := _movement(row)) is not None)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot be read ({type(error).__name__})", key="communes_file") from None


def _movement(row: Mapping[str, str]) -> Movement | None:
    old, new, on = (str(row.get(name) or "") for name in ("COM_AV", "COM_AP", "DATE_EFF"))
    of_communes = all((row.get(name) or "") in _KINDS for name in ("TYPECOM_AV", "TYPECOM_AP"))
    try:
        date.fromisoformat(on)
    except ValueError:
        return None
    return Movement(old, new, on) if of_communes and _CODE.fullmatch(old) and _CODE.fullmatch(new) else None


def _within(town: str, district: str) -> bool:
    bounds = _DISTRICTS.get(town)
    return bounds is not None and bounds[0] <= district <= bounds[1]
