"""What citizens write into forms, read one value at a time: telephone, e-mail, sex, country, names, dates, postal code.

Each reader takes any text and raises nothing. It gives the value in the form that the shared schemas ask for, or None
when nobody can say what was meant; `Unread` keeps such an answer word for word, beside the request and not in its way.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Generic, TypeVar

from schemas import identities, phones
from schemas.checks import is_date, is_siret, is_visible
from schemas.communes import FRANCE
from schemas.names import joined_name
from schemas.yes_no import yes_or_no

UNREAD_ANSWERS = "unread_answers"
"""The member of a request's `form` that holds what could not be read: by the name of the answer, as it was written."""

_T = TypeVar("_T")
_MOST_NAMES = 20  # record `identity`
_MOST_UNREAD, _LONGEST, _ALL = 50, 1000, 8000  # answers; characters of one, and of all: an event has 64 KiB
_LONGEST_NUMBER = 60  # characters, with an extension
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_EMAIL = re.compile(r"[^@\x00-\x20\x7f,;<>]{1,64}@[^@\x00-\x20\x7f,;<>.]{1,63}(\.[^@\x00-\x20\x7f,;<>.]{1,63})+")
_WRITTEN_PHONE = re.compile(r"[+0-9][0-9 .()/-]{2,29}")  # record `phone`
_EXTENSION = re.compile(r"[\s,;]*(?:poste|post\.?|ext\.?|extension|p\.|x|#)\s*[0-9]{1,6}\s*$", re.IGNORECASE)
_LETTER = re.compile(r"[^\W\d_]")
_GENDERS = {
    **dict.fromkeys(("FEMALE", "FEMME", "FEMININ", "F", "MME", "MADAME", "MLLE", "MADEMOISELLE", "2"), "female"),
    **dict.fromkeys(("MALE", "HOMME", "MASCULIN", "M", "H", "MR", "MONSIEUR", "1"), "male"),
}
_FRENCH_DATE = re.compile(r"([0-9]{1,2})[/.-]([0-9]{1,2})[/.-]([0-9]{4})")
_INSEE = re.compile(r"(?:0[1-9]|[1-9][0-9]|2[AB])[0-9]{3}")
_FOREIGN_CODE = re.compile(r"99[0-9]{3}")
_RNA = re.compile(r"W[0-9]{9}")
_ANY_POSTAL_CODE = re.compile(r"[0-9A-Za-z][0-9A-Za-z -]{0,11}")  # record `address`
_STREET = re.compile(r"(\d{1,5}(?:\s*(?:bis|ter|quater))?)\s*,?\s+(\S.*)", re.IGNORECASE)
_POSTAL_CODE = re.compile(r"(?:F-|FR-)?([0-9]{4,5})(?:\.0)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reading(Generic[_T]):
    """What a text says. `value`: None when it cannot be read. `whole`: False when the text says more than the value."""

    value: _T | None
    whole: bool = True


@dataclass(slots=True)
class Unread:
    """The answers of one form that could not be read, or not wholly: at most fifty, by their names in the form.
    `territory`: the INSEE code of the town whose form it is, by which a national telephone number is read."""

    territory: str = ""
    answers: dict[str, str] = field(default_factory=dict)

    def read(self, name: str, text: str, reader: Callable[[str], Reading[_T]]) -> _T | None:
        """The value of an optional answer. What is not read is kept, and None is given; an empty text says nothing."""
        if not text.strip():
            return None
        found = reader(text)
        if found.value is None or not found.whole:
            self.keep(name, text)
        return found.value

    def read_first(self, written: Sequence[tuple[str, str]], reader: Callable[[str], Reading[_T]]) -> _T | None:
        """The first of several optional answers, each with its name, that can be read; where none can, the first that
        says something is kept."""
        said = [one for one in written if one[1].strip()]
        best = next((one for one in said if reader(one[1]).value is not None), said[0] if said else ("", ""))
        return self.read(*best, reader)

    def phone(self, text: str) -> Reading[str]:
        """A reader of telephone numbers as the people of this town write them."""
        return phone(text, phones.region_of(self.territory))

    def read_mark(self, name: str, answer: object) -> bool | None:
        """A mark of confidentiality protects: an answer that is neither yes nor no marks the person, and is kept for
        whoever treats the request. None for no, which takes back no other answer's yes."""
        said = yes_or_no(answer)
        if said is None:
            self.keep(name, str(answer))
        return None if said is False else True

    def keep(self, name: str, text: str) -> None:
        """Keep an answer as it was written, on one line; cut where there is too much."""
        if len(self.answers) < _MOST_UNREAD and (line := one_line(text)):
            left = _ALL - sum(map(len, self.answers.values()))
            self.answers.setdefault(one_line(name)[:200] or "?", line[: max(min(left, _LONGEST), 0)])

    def added_to(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The request with what was kept, in its form."""
        if not self.answers:
            return dict(request)
        return {**request, "form": {**request.get("form", {}), UNREAD_ANSWERS: dict(self.answers)}}


def named(family: str | None, given: Sequence[str] | None) -> Mapping[str, Any]:
    """The beginning of an identity: its names. Some people have one alone; {} where none is told."""
    return identities.read_identity({"family_name": family or "", "given_names": given or []})


def one_line(text: str) -> str:
    """The text without line breaks, tabs and other control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())


def present(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members that say something: False and 0 do, an empty text, list or object does not."""
    return {name: value for name, value in members.items() if value or value == 0}


def phone(text: str, region: str = "FR") -> Reading[str]:
    """One telephone number: as it is written where the shared form allows, else in the international form. `(+33)…` is
    read; an extension is not part of a number, and two numbers are none."""
    line = one_line(text)
    if len(line) > _LONGEST_NUMBER:
        return Reading(None)
    number = _EXTENSION.sub("", line)
    if _LETTER.search(number):  # a library would dial them, as American keypads do
        return Reading(None)
    written = phones.international(number, region)
    if written is None:
        return Reading(None)
    return Reading(number if _WRITTEN_PHONE.fullmatch(number) else written, whole=number == line)


def email(text: str) -> Reading[str]:
    """One address that mail can be sent to. Of two nobody can say which one is meant."""
    line = one_line(text)
    return Reading(line if len(line) <= 254 and _EMAIL.fullmatch(line) and is_visible(line) else None)


def gender(text: str) -> Reading[str]:
    """`female` or `male`, as civil records know them; any other answer is the person's own and is not guessed at."""
    return Reading(_GENDERS.get(joined_name(text)))


def given_names(text: str) -> Reading[list[str]]:
    """The given names, in their order: the first twenty. What only stands for a name (`SANS PRENOM`) is kept whole.
    None when there is none."""
    line = one_line(text)
    names = identities.given_names([line]) or ([line] if line.strip(" ,;/") else [])
    fit = len(names) <= _MOST_NAMES and all(len(name) <= 100 for name in names)
    return Reading([name[:100] for name in names[:_MOST_NAMES]] or None, whole=fit)


def country(text: str) -> Reading[str]:
    """The ISO 3166-1 code of two letters, from such a code, one of three letters or a name in French."""
    return Reading((_country(text) or {}).get("code"))


def birth_country(text: str) -> Reading[str]:
    """The INSEE code of a country (`99…`), from such a code, one of ISO 3166-1 (`FR`, `FRA`) or a name in French."""
    line = one_line(text)
    if _FOREIGN_CODE.fullmatch(line):
        return Reading(line)
    return Reading((_country(line) or {}).get("insee") or None)


def country_of_birthplace(code: str | None) -> str | None:
    """The INSEE code of the country that the code of a birthplace names: its own, or that of France."""
    if not code:
        return None
    return code if _FOREIGN_CODE.fullmatch(code) else FRANCE


def insee_code(text: str) -> Reading[str]:
    line = one_line(text).upper()
    return Reading(line if _INSEE.fullmatch(line) else None)


def siret(text: str) -> Reading[str]:
    """14 digits with their key, however they are spaced."""
    digits = re.sub(r"[\s.]", "", text)
    return Reading(digits if is_siret(digits) else None)


def rna(text: str) -> Reading[str]:
    line = re.sub(r"\s", "", text).upper()
    return Reading(line if _RNA.fullmatch(line) else None)


def calendar_date(text: str) -> Reading[str]:
    """A day: `YYYY-MM-DD`, or as the French write it, `JJ/MM/AAAA`. Before the year 1000 it is a slip of the hand."""
    iso = _iso(one_line(text))
    return Reading(iso if is_date(iso) and iso[0] in "12" else None)


def partial_date(text: str) -> Reading[str]:
    """A day, or a month or a year alone: what a birth record knows, unknown parts left out or zeros (`00/00/1962`)."""
    return Reading(identities.partial_date(one_line(text)))


def dated_parts(year: str, month: str = "", day: str = "") -> str | None:
    """A date of which registers know a part: `YYYY`, `YYYY-MM` or `YYYY-MM-DD`. A part that is empty, zeros or no
    number is unknown, and what follows it is not told. None when there is no such date."""
    return identities.dated_parts(year, month, day)


def street_line(text: str) -> tuple[str, str]:
    """The number and the street of a line such as `12 bis, rue des Tilleuls`; "" for a number that is not there."""
    match = _STREET.fullmatch(text)
    return (match[1], match[2]) if match else ("", text)


def text_of(longest: int) -> Callable[[str], Reading[str]]:
    """A reader of free text of one line: what is too long is cut."""
    return lambda text: Reading(one_line(text)[:longest].strip() or None, whole=len(one_line(text)) <= longest)


def postal_code(text: str) -> Reading[str]:
    """A postal code of any country as people type it: `38 999` is `38999`, and nothing is added to it."""
    line, digits = one_line(text), "".join(text.split())
    return Reading(digits if has_five_digits(digits) else line if _ANY_POSTAL_CODE.fullmatch(line) else None)


def town(city: str, code: str, land: str) -> dict[str, str] | None:
    """Town, postal code and country as an address has them: without a country it is in France, where a code has five
    digits. None without a town, and for a country or a code that cannot be read."""
    told, postal = country(land or "FR").value, postal_code(code).value or ""
    fits = has_five_digits(postal) if told == "FR" else bool(postal) or not code
    if not city or told is None or not fits:
        return None
    return present({"postal_code": postal, "city": city[:100], "country": "" if told == "FR" else told})


def french_postal_code(text: str) -> str | None:
    """The five digits of a French postal code; None when the text is none.

    For what comes out of a spreadsheet, where a number has lost its leading zero: `1000` is `01000`. Where people type,
    four digits are one too few, and `has_five_digits` says so."""
    match = _POSTAL_CODE.fullmatch("".join(text.split()))
    if match is None or not int(match[1]):
        return None
    return match[1].zfill(5)


def address_version(data: Any) -> int:
    """The version of an event (`request.received`, `citizen.address-changed`) that can say each of the addresses in its
    data: 2 where one has no postal code."""
    if isinstance(data, Mapping):
        if "city" in data and "country" in data and "postal_code" not in data:
            return 2
        return max((address_version(part) for name, part in data.items() if name != "form"), default=1)
    return max(map(address_version, data), default=1) if isinstance(data, list | tuple) else 1


def has_five_digits(text: str) -> bool:
    """Whether this is a French postal code as it stands."""
    return len(text) == 5 and text.isascii() and text.isdigit()


def _iso(line: str) -> str:
    found = _FRENCH_DATE.fullmatch(line)
    if found is None:
        return line
    day, month, year = (int(part) for part in found.groups())
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return line


def _country(text: str) -> Mapping[str, str] | None:
    line = one_line(text)
    return _countries().get(line.upper()) or _countries().get(joined_name(line))


@cache
def _countries() -> Mapping[str, Mapping[str, str]]:
    """Each country, by its codes and by its folded names. Their INSEE codes: code officiel géographique 2025, Licence
    Ouverte 2.0; a territory without one has that of its group."""
    rows: Sequence[Mapping[str, str]] = list(
        csv.DictReader(files("connectors.sdk").joinpath("countries.csv").read_text("utf-8").splitlines(), delimiter=";")
    )
    named = {joined_name(name): row for row in rows for name in (row["name"], *row["also"].split("|")) if name}
    return named | {row["alpha3"]: row for row in rows} | {row["code"]: row for row in rows}
