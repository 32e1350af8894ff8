"""What is said of a person's birth and names, read by its meaning in this one place: dates of which parts are unknown,
dates that stand for one that nobody knew, given names in one text, and members that say nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import takewhile
from typing import Any

from schemas.checks import is_partial_date
from schemas.names import fold_name

NO_NAME = "-"
"""What stands for a name that the record asks for and nobody told: it is no name to match on."""

_DATE = re.compile(r"([0-9]{1,4}|)(?:([/.-])([0-9]{1,4}|)(?:\2([0-9]{1,4}|))?)?(?:[T ].*)?", re.DOTALL)
_BETWEEN_NAMES = re.compile(r"[\s,;/]+")
_NO_NAMES = frozenset({
    "", "X", "XX", "XXX", "SANS NOM", "SANS PRENOM", "SANS PRENOMS", "SNP", "INCONNU", "INCONNUE", "NON RENSEIGNE",
    "NON COMMUNIQUE", "NEANT",
})  # fmt: skip
_HOLD_PEOPLE = ("citizen", "household", "request", "requester", "beneficiaries", "representative", "person")


def partial_date(text: str) -> str | None:
    """A date as far as it is known, `YYYY`, `YYYY-MM` or `YYYY-MM-DD`, however it is written: year first or last, parts
    that nobody knows left out, empty or zeros (`1962-00-00`, `00/00/1962`, `07/1962`). None when it is none."""
    found = _DATE.fullmatch(text.strip())
    if found is None:
        return None
    parts = [part for part in found.group(1, 3, 4) if part is not None]
    if len(parts[0]) < 4:
        parts.reverse()
    of_no_month = len(parts) > 2 and bool(parts[2].strip("0")) and not parts[1].strip("0")
    return None if of_no_month or any(len(part) > 2 for part in parts[1:]) else dated_parts(*parts)


def dated_parts(year: str, month: str = "", day: str = "") -> str | None:
    """A date of which registers know a part: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. A part that is empty, zeros or no
    number is unknown, and what follows it is not told. None when there is no such date."""
    known = takewhile(lambda part: part.isascii() and part.isdigit() and int(part) > 0, (year, month, day))
    date = "-".join(part.zfill(size) for part, size in zip(known, (4, 2, 2), strict=False))
    return date if date[:1] in ("1", "2") and is_partial_date(date) else None


def certain_part(date: str) -> str:
    """What is surely known of a date (`YYYY`, `YYYY-MM` or `YYYY-MM-DD`). Where nobody knew the day, many registers
    wrote the first of the month; where nobody knew the month either, the first or the last day of the year."""
    if date[4:] in ("-01-01", "-12-31"):
        return date[:4]
    return date[:7] if date.endswith("-01") else date


def is_presumed(date: str) -> bool:
    """Whether a whole date may stand for one that nobody knew."""
    return len(date) == 10 and certain_part(date) != date


def same_birthdate(one: str, other: str) -> bool:
    """Whether two dates of birth (`YYYY`, `YYYY-MM` or `YYYY-MM-DD`) agree, as far as both are known."""
    return one.startswith(other) or other.startswith(one)


@lru_cache(maxsize=16_384)
def is_no_name(name: str) -> bool:
    """Whether this stands where a name is asked for that nobody knows, or that the person does not have."""
    return fold_name(name) in _NO_NAMES


def given_names(told: Iterable[str]) -> list[str]:
    """The given names one by one, in their order: `["Angela Claire, Louise"]` are three, `Jean-Pierre` is one, and what
    only stands for a name is none."""
    parts = (part for text in told if not is_no_name(text) for part in _BETWEEN_NAMES.split(text))
    return [part for part in parts if not is_no_name(part)]


def read_identity(told: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record `identity` without the members that say nothing (`""`, as FranceConnect writes them), its date of birth
    as the record has it. A name that is asked for and empty is NO_NAME; empty, when no name is told at all."""
    identity = {name: part for name, part in told.items() if not _is_blank(part)}
    if isinstance(date := identity.get("birthdate"), str):
        identity["birthdate"] = partial_date(date) or date
    if isinstance(names := identity.get("given_names"), list | tuple):
        identity["given_names"] = [name for name in names if not _is_blank(name)]
    lacking = [name for name in ("family_name", "given_names") if name in told and name not in identity]
    if len(lacking) == 2:
        return {}
    return identity | {name: [NO_NAME] if name == "given_names" else NO_NAME for name in lacking}


def read_people(value: Any) -> Any:
    """Event data, or a question, with the identity of each of its people as `read_identity` gives it; the same object
    where nothing changes. Whoever sends data without end costs no more than a look at what may hold people."""
    if isinstance(value, list | tuple):
        read = [read_people(part) for part in value]
        return read if any(new is not old for new, old in zip(read, value, strict=True)) else value
    if not isinstance(value, Mapping):
        return value
    changed = {name: read_people(value[name]) for name in _HOLD_PEOPLE if name in value}
    if isinstance(told := value.get("identity"), Mapping):
        identity = read_identity(told)
        changed["identity"] = told if identity == told else identity
    if all(new is value[name] for name, new in changed.items()):
        return value
    return {name: part for name, part in {**value, **changed}.items() if name != "identity" or part}


def _is_blank(part: Any) -> bool:
    if isinstance(part, list | tuple):
        return all(_is_blank(one) for one in part)
    return part is None or (isinstance(part, str) and not part.strip())
