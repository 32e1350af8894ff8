"""What API Particulier says -> the fields of evidence. Pure: `evidence.csv` says which member is which field, and this
file reads what is more than one value."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.evidence import Answer, EvidencePart, EvidenceTable, Reader, Said, Saying
from connectors.sdk.values import present
from schemas.identities import given_names, partial_date

Data = Mapping[str, Any]
Values = dict[str, dict[str, Any]]
# The days and months of the API are those of the State's services, wherever the town is: not of the tenant's zone.
PARIS = ZoneInfo("Europe/Paris")
_SERVICE, _CNAF_MSA = "API Particulier", "CNAF/MSA"
_SOURCES = {
    "student-status": "MESRI", "scholarship": "CNOUS", "job-seeker-status": "France Travail",
    "complementary-health": "RNCPS", "school-registration": "MEN",
}  # fmt: skip
_GENDERS = {"F": "female", "M": "male"}
_ROLES = {"allocataire": "recipient", "ouvrant_droit": "opens_right"}
_UAI = re.compile(r"[0-9]{7}[A-Z]")
_COMMUNE = re.compile(r"(?:0[1-9]|[1-9][0-9]|2[AB])[0-9]{3}")
_POSTAL = re.compile(r"([0-9]{5})(?:\s+(.*))?")
_SCHOOL_YEAR = re.compile(r"(20[0-9]{2})(?:-(20[0-9]{2}))?")
_MID_OCTOBER = (10, 15)
_MOST, _MOST_ADULTS = 50, 20


def reader(part: EvidencePart) -> Callable[[Data, datetime], Values]:
    """What reads the answers of one operation for one type of evidence."""
    source = _SOURCES.get(part.evidence, _CNAF_MSA)

    def read(data: Data, at: datetime) -> Values:
        answer = answered(data, at)
        if part.evidence == "student-status":
            answer = _told_admission(answer)
        return part.values(answer, Said.at(at, source))

    return read


def answered(data: Data, at: datetime) -> Answer:
    return Answer(data, _SERVICE, at)


# The family, and its quotient. The family is always that of today


def _known_scheme(quotient: Answer, name: str) -> str | None:
    return _one_of(quotient, name, ("CNAF", "MSA"))


def _one_of(answer: Answer, name: str, words: Sequence[str]) -> str | None:
    word = answer.text(name, 40)
    if word is not None and word not in words:
        raise answer.malformed(name)
    return word


def _month(family: Answer, name: str = "quotient_familial") -> str | None:
    quotient = family.part(name)
    year, month = quotient.integer("annee"), quotient.integer("mois")
    known = year is not None and month is not None and 1 <= month <= 12 and 1000 <= year <= 2999
    return f"{year:04}-{month:02}" if known else None


def _said_by_scheme(family: Answer, said: Said) -> Said:
    return replace(said, source=_known_scheme(family.part("quotient_familial"), "fournisseur") or said.source)


def _said_of_month(family: Answer, said: Said) -> Said | None:
    """The quotient is of its month, and worth it until that month ends."""
    month = _month(family)
    if month is None:
        return None
    last = f"{month}-{calendar.monthrange(int(month[:4]), int(month[5:]))[1]}"
    return replace(_said_by_scheme(family, said), date=month, until=last)


def _said_by_the_family(family: Answer, said: Said) -> Said:
    """As the family declared it: it may be out of date."""
    return replace(_said_by_scheme(family, said), quality="declared")


def birthdates(family: Answer) -> list[str]:
    """Those of the adults of a family, as far as they are told."""
    return [person["birthdate"] for person in _members(family.parts("allocataires") or ()) if "birthdate" in person]


def _people(family: Answer, name: str) -> list[dict[str, Any]] | None:
    people = family.parts(name, _MOST_ADULTS if name == "allocataires" else _MOST)
    return None if people is None else list(_members(people))


def _count(family: Answer, name: str) -> int | None:
    people = family.parts(name)
    return None if people is None else len(people)


def _members(people: Sequence[Answer]) -> Iterator[dict[str, Any]]:
    for person in people:
        born = person.text("date_naissance", 10) or ""
        known = present({
            "family_name": person.text("nom_naissance", 100),
            "preferred_name": person.text("nom_usage", 100),
            "given_names": [name[:100] for name in given_names([person.text("prenoms", 400) or ""])[:20]],
            "gender": _GENDERS.get(person.text("sexe", 1) or ""),
            "birthdate": partial_date(born),
        })  # fmt: skip
        if known:
            yield known


def _address(family: Answer, name: str) -> dict[str, str] | None:
    """The name on the letter box is left out, it may be that of another person than the citizen."""
    stated = family.part(name)
    place = _POSTAL.fullmatch(stated.text("code_postal_ville", 120) or "")
    postal_code, city = place.groups() if place else (None, stated.text("code_postal_ville", 100))
    names = ("complement_information", "complement_information_geographique", "lieu_dit")
    known = present({
        "street": stated.text("numero_libelle_voie", 200),
        "complement": ", ".join(part for name in names if (part := stated.text(name, 90)))[:200],
        "postal_code": postal_code,
        "city": (city or "")[:100],
        "country_name": stated.text("pays", 100),
    })  # fmt: skip
    return known if known.keys() - {"country_name"} else None


# Rights


def _child_entitled(right: Answer, name: str) -> bool | None:
    status = _one_of(right, name, (*_ROLES, "non_beneficiaire"))
    return None if status is None else status in _ROLES


def _child_role(right: Answer, name: str) -> str | None:
    return _ROLES.get(right.text(name, 40) or "")


# Studies, school and work


def _told_admission(student: Answer) -> Answer:
    """The one that runs today before another, an enrolment before an admission, then the latest. No admission at all in
    an answer that lists them is no enrolment."""
    admissions = student.parts("admissions")
    if not admissions:
        return replace(student, data={} if admissions is None else {"est_inscrit": False})
    return max(admissions, key=_rank)


def _rank(admission: Answer) -> tuple[bool, bool, str, str]:
    begins, ends = admission.date("date_debut") or "", admission.date("date_fin") or ""
    runs = begins <= _today(admission) <= (ends or _today(admission))
    return runs, bool(admission.boolean("est_inscrit")), ends, begins


def _said_of_admission(admission: Answer, said: Said) -> Said:
    return replace(said, until=admission.date("date_fin"))


def _fitting(pattern: re.Pattern[str], longest: int) -> Reader:
    """A code in capitals; what is none is not told."""

    def read(answer: Answer, name: str) -> str | None:
        code = (answer.text(name, longest) or "").upper()
        return code if pattern.fullmatch(code) else None

    return read


def _first_year(pupil: Answer, name: str = "annee_scolaire") -> int | None:
    match = _SCHOOL_YEAR.fullmatch(pupil.text(name, 9) or "")
    return int(match[1]) if match else None


def _school_year(pupil: Answer, name: str) -> str | None:
    first = _first_year(pupil, name)
    return f"{first}-{first + 1}" if first else None


def _said_of_school_year(pupil: Answer, said: Said) -> Said:
    first = _first_year(pupil)
    return replace(said, until=f"{first + 1}-08-31" if first else None)


def _pupil_scholarship(pupil: Answer, name: str) -> bool | None:
    """Before mid-October schools have not entered all scholarships: "no" is not known to be true until then."""
    held, first = pupil.boolean(name), _first_year(pupil)
    early = first is None or pupil.at.astimezone(PARIS).date() < date(first, *_MID_OCTOBER)
    return None if held is False and early else held


def _registered(seeker: Answer, name: str) -> bool | None:
    registration = seeker.part(name)
    begins, ends = registration.date("date_debut"), registration.date("date_fin")
    return begins <= _today(seeker) <= (ends or _today(seeker)) if begins else None


def _category(registration: Answer, name: str) -> str | None:
    category = registration.part(name)
    label, code = category.text("libelle", 190), category.integer("code")
    return f"{code} - {label}" if code is not None and label else label


def named(answer: Answer) -> tuple[str, str] | None:
    """The birth name and the date of birth of whom an answer is about; None when the answer does not tell."""
    identity = answer.part("identite")
    name = identity.text("nom_naissance", 200) or identity.text("nom", 200)
    born = identity.date("date_naissance")
    return (name, born) if name and born else None


def _today(answer: Answer) -> str:
    return answer.at.astimezone(PARIS).date().isoformat()


_READERS: Mapping[str, Reader] = {
    "month": _month, "scheme": _known_scheme, "count": _count, "people": _people,
    "address": _address, "uai": _fitting(_UAI, 8), "commune": _fitting(_COMMUNE, 5), "entitled": _child_entitled,
    "role": _child_role, "registered": _registered, "category": _category, "school-year": _school_year,
    "scholarship": _pupil_scholarship,
}  # fmt: skip
_SAYINGS: Mapping[str, Saying] = {
    "quotient": _said_of_month, "scheme": _said_by_scheme, "declared": _said_by_the_family,
    "admission": _said_of_admission, "school-year": _said_of_school_year,
}  # fmt: skip
TABLE = EvidenceTable(Path(__file__).with_name("evidence.csv"), readers=_READERS, sayings=_SAYINGS)
