"""Where somebody was born, by the code that a record gives: read by its meaning, in this one place.

The code is that of the commune at birth; packages give the one of today, the one of a district, a postal code, or that
of a country. The communes of today with their postal and former codes come along (`communes.csv`, made by
`scripts/communes.py`), without the days on which they changed; INSEE's file of movements tells these, where a town
imported it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from typing import Literal

from schemas.errors import InvalidMessage

FRANCE = "99100"
COLUMNS = ("DATE_EFF", "COM_AV", "COM_AP")
Place = Literal["same", "moved", "city", "abroad", "unknown", "near", "differ"]

_KINDS = ("COM", "ARM", "COMD", "COMA", "")
_CODE = re.compile(r"(?:\d{2}|2[AB])\d{3}")
_ABROAD = re.compile(r"99\d{3}")
# The three towns whose births are recorded by district: the code of the town names any of its districts.
_DISTRICTS = {"75056": ("75101", "75120"), "69123": ("69381", "69389"), "13055": ("13201", "13216")}
# Departments that were parted: where a code went without its number being given to another. From when.
_PARTED = (
    ("75", ("92", "93", "94"), "1968-01-01"), ("78", ("91", "92", "93", "94", "95"), "1968-01-01"),
    ("20", ("2A", "2B"), "1976-01-01"),
)  # fmt: skip
# Overseas collectivities that were given another code: in no file of communes.
_OVERSEAS = {"97123": ("97701", "2007-02-22"), "97127": ("97801", "2007-02-22")} | {
    f"985{number:02}": (f"976{number:02}", "2011-03-31") for number in range(1, 18)
}
# What INSEE wrote where now stands the code of a country: the departments of Algeria, the protectorates.
_OLD_COUNTRIES = {**dict.fromkeys(("91352", "92352", "93352", "94352"), "99352"), "95350": "99350", "96351": "99351"}
_ALGERIA, _OF_ALGERIA, _INDEPENDENT = "99352", ("91", "92", "93", "94"), "1962-07-03"


@dataclass(frozen=True, slots=True)
class Movement:
    """From `on` (YYYY-MM-DD), what was `old` is in `new`. `on` is empty where nobody told the day."""

    old: str
    new: str
    on: str = ""


class Communes:
    """For comparing what two records say of one birth. `dated`: the movements with their days, where somebody has them
    (INSEE's file); asked for once, at the first comparison that needs them."""

    def __init__(self, dated: Callable[[], Iterable[Movement]] = tuple) -> None:
        self._dated = dated

    def compare(self, one: str, other: str, born: str, countries: tuple[str, str] = ("", "")) -> Place:
        """What two codes, each beside the country that its record names, say about the place where somebody was born
        on `born` (YYYY, YYYY-MM or YYYY-MM-DD). A code or a country that is not told is empty."""
        (here, land), (there, other_land) = (
            self._meant(code, country, born) for code, country in zip((one, other), countries, strict=True)
        )
        if here and there:
            return self._compare_communes(here, there, born)
        if not land or not other_land or land == other_land == FRANCE:
            return "unknown"
        if land == other_land:
            return "abroad"
        of_both = {land, other_land} == {FRANCE, _ALGERIA} and not (here or there)
        return "unknown" if of_both and born < _INDEPENDENT else "differ"  # France, until that day

    def may_be_one(self, one: str, other: str, born: str, countries: tuple[str, str] = ("", "")) -> bool:
        """Whether nothing that is told, as for `compare`, says that the two are two places."""
        return self.compare(one, other, born, countries) not in ("near", "differ")

    def codes_since(self, code: str, born: str) -> frozenset[str]:
        """The codes that a commune had after a day: where it went, and where that went."""
        found: set[str] = set()
        waiting = [(code, born)]
        while waiting:
            now, since = waiting.pop()
            for movement in self._later.get(now, ()):
                # A birth of which only the year is known may be on either side of a movement in that year.
                later = not movement.on or movement.on[: len(since)] >= since
                if later and movement.new not in found:
                    found.add(movement.new)
                    waiting.append((movement.new, movement.on or since))
        return frozenset(found - {code})

    def _meant(self, code: str, country: str, born: str) -> tuple[str, str]:
        """The commune and the country that a record names; empty where it does not."""
        if not code or _ABROAD.fullmatch(code):
            return "", code if code not in ("", FRANCE) else country or code
        if born < "1963" and (abroad := self._once_of(code, country, born)):
            return "", abroad
        return code, FRANCE

    def _once_of(self, code: str, country: str, born: str) -> str:
        """The country that this code named before Algeria, Morocco and Tunisia had one; "" for a commune of France."""
        abroad = _OLD_COUNTRIES.get(code) or (country if country == _ALGERIA and code[:2] in _OF_ALGERIA else "")
        return "" if not abroad or code in _of_today() or self.codes_since(code, born) else abroad

    def _compare_communes(self, one: str, other: str, born: str) -> Place:
        if one == other:
            return "same"
        if other in self.codes_since(one, born) or one in self.codes_since(other, born):
            return "moved"
        if any(_holds(town, district) for town, district in ((one, other), (other, one))):
            return "city"
        if any(_delivers(code, place) for code, place in ((one, other), (other, one))):
            return "city"
        return "near" if one[:2] == other[:2] and not one.startswith(("97", "98", "99")) else "differ"

    @cached_property
    def _later(self) -> Mapping[str, Sequence[Movement]]:
        later: dict[str, list[Movement]] = {}
        for movement in (*(tuple(self._dated()) or shipped_movements()), *_overseas_movements()):
            if movement.old != movement.new:
                later.setdefault(movement.old, []).append(movement)
        return later


@cache
def shipped_communes() -> Communes:
    """With what comes along."""
    return Communes()


def shipped_movements() -> Iterator[Movement]:
    """The former codes that come along; dated where a whole department was parted."""
    for code, _, _, former in _lines():
        before = former.split()
        for old in before:
            yield Movement(old, code, _parted_on(old, code))
            for between in before:  # Pierrefitte: 75059, then 93059, now in 93066
                if between[2:] == old[2:] and (on := _parted_on(old, between)):
                    yield Movement(old, between, on)


def read_movements(content: bytes) -> list[Movement]:
    """INSEE's file of movements (`v_mvt_commune_….csv`). InvalidMessage `not_a_file_of_movements` when it is not one; a
    line that is no movement of communes is left out."""
    try:
        reader = csv.DictReader(content.decode("utf-8-sig").splitlines())
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise _no_movements(f"the columns {', '.join(COLUMNS)} must be there")
        found = [movement for row in reader if (movement := _movement(row)) is not None]
    except (UnicodeDecodeError, csv.Error):
        raise _no_movements("it is no CSV file in UTF-8") from None
    if not found:
        raise _no_movements("it holds no movement")
    return found


def _movement(row: Mapping[str, str]) -> Movement | None:
    old, new, on = (str(row.get(name) or "") for name in ("COM_AV", "COM_AP", "DATE_EFF"))
    of_communes = all((row.get(name) or "") in _KINDS for name in ("TYPECOM_AV", "TYPECOM_AP"))
    try:
        date.fromisoformat(on)
    except ValueError:
        return None
    told = of_communes and old != new and _CODE.fullmatch(old) and _CODE.fullmatch(new)
    return Movement(old, new, on) if told else None


def _no_movements(reason: str) -> InvalidMessage:
    return InvalidMessage(f"this is not INSEE's file of movements: {reason}", code="not_a_file_of_movements")


def _lines() -> Iterator[tuple[str, str, str, str]]:
    text = files("schemas").joinpath("communes.csv").read_text("utf-8")
    for line in text.splitlines()[2:]:
        code, name, postal, former = line.split(";")
        yield code, name, postal, former


@cache
def _of_today() -> Mapping[str, str]:
    """The communes and districts of today, with their postal codes."""
    return {code: postal for code, _, postal, _ in _lines()}


def _overseas_movements() -> Iterator[Movement]:
    return (Movement(old, new, on) for old, (new, on) in _OVERSEAS.items())


def _parted_on(old: str, new: str) -> str:
    parted = (on for was, became, on in _PARTED if old[:2] == was and new[:2] in became)
    return next(parted, "")


def _holds(town: str, district: str) -> bool:
    bounds = _DISTRICTS.get(town)
    return bounds is not None and bounds[0] <= district <= bounds[1]


def _delivers(code: str, place: str) -> bool:
    """Whether this is no code of a commune but a postal code, of that place: 75012, which was Boulogne until 1968."""
    return code not in _of_today() and code in _of_today().get(place, "").split()
