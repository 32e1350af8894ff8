"""What API Particulier says -> the fields of evidence. Pure.

A scope that a token lacks takes its fields out of an answer without a word: what is not there is absent, never false
and never zero. What is there in another shape than the one due is no answer at all (TryLater)."""

from __future__ import annotations

import calendar
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from schemas.checks import is_date
from schemas.errors import TryLater
from schemas.times import to_rfc3339

Data = Mapping[str, Any]
Values = dict[str, dict[str, Any]]
_T = TypeVar("_T")
# The days and months of the API are those of the State's services, wherever the town is: not of the tenant's zone.
PARIS = ZoneInfo("Europe/Paris")
_CNAF_MSA = "CNAF/MSA"
_GENDERS = {"F": "female", "M": "male"}
_ROLES = {"allocataire": "recipient", "ouvrant_droit": "opens_right"}
_UAI = re.compile(r"[0-9]{7}[A-Z]")
_COMMUNE = re.compile(r"(?:0[1-9]|[1-9][0-9]|2[AB])[0-9]{3}")
_POSTAL = re.compile(r"([0-9]{5})(?:\s+(.*))?")
_BIRTHDATE = re.compile(r"([12][0-9]{3})-([0-9]{2})-([0-9]{2})")
_SCHOOL_YEAR = re.compile(r"(20[0-9]{2})(?:-(20[0-9]{2}))?")
_WRONGLY_READ = re.compile("[\x80-\x9f\ud800-\udfff]")  # what another encoding leaves where letters were
_UNSAYABLE = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_MID_OCTOBER = (10, 15)
_MOST_PEOPLE, _MOST_ADULTS, _LARGEST_QUOTIENT, _MOST_MONTHS = 50, 20, 1_000_000, 24


@dataclass(frozen=True, slots=True)
class Said:
    """Who says it and when, for the values of one answer."""

    at: datetime
    source: str

    def value(
        self, value: Any, *, on: str | None = None, quality: str = "authoritative", until: str | None = None
    ) -> dict[str, Any]:
        told = {"value": value, "source": self.source, "date": on or to_rfc3339(self.at), "quality": quality}
        return told | ({"valid_until": until} if until else {})


# The family, and its quotient


def family_quotient(data: Data, at: datetime) -> Values:
    """The quotient is of its month, and worth it until that month ends; the family is always that of today."""
    quotient, scheme = _table(data, "quotient_familial") or {}, _scheme(data)
    said = Said(at, scheme or _CNAF_MSA)
    values = _family(data, said) | _address(data, said)
    children = _list(data, "enfants")
    if children is not None:
        values["children_count"] = said.value(len(children))
    year, month = _integer(quotient, "annee"), _integer(quotient, "mois")
    if year is None or month is None or not (1 <= month <= 12 and 1000 <= year <= 2999):
        return values
    of = f"{year:04}-{month:02}"
    last = f"{of}-{calendar.monthrange(year, month)[1]}"
    told = {"quotient": _number(quotient, "valeur", _LARGEST_QUOTIENT), "month": of, "scheme": scheme}
    return values | {name: said.value(value, on=of, until=last) for name, value in told.items() if value is not None}


def family_composition(data: Data, at: datetime) -> Values:
    said = Said(at, _scheme(data) or _CNAF_MSA)
    return _family(data, said) | _address(data, said)


def residence_address(data: Data, at: datetime) -> Values:
    return _address(data, Said(at, _scheme(data) or _CNAF_MSA))


def _scheme(data: Data) -> str | None:
    scheme = _one_line(_table(data, "quotient_familial") or {}, "fournisseur", 20)
    if scheme not in (None, "CNAF", "MSA"):
        raise _malformed("fournisseur")
    return scheme


def _family(data: Data, said: Said) -> Values:
    found = {"adults": _list(data, "allocataires", _MOST_ADULTS), "children": _list(data, "enfants")}
    return {name: said.value(list(_members(people))) for name, people in found.items() if people is not None}


def birthdates(data: Data) -> list[str]:
    """Those of the adults of a family, as far as they are told."""
    return [person["birthdate"] for person in _members(_list(data, "allocataires") or ()) if "birthdate" in person]


def _members(people: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for person in people:
        if not isinstance(person, Mapping):
            raise _malformed("une personne de la famille")
        names = (_one_line(person, "prenoms", 400) or "").split()
        told = {
            "family_name": _one_line(person, "nom_naissance", 100),
            "preferred_name": _one_line(person, "nom_usage", 100),
            "given_names": [name[:100] for name in names[:20]],
            "gender": _GENDERS.get(_one_line(person, "sexe", 1) or ""),
            "birthdate": _birthdate(_one_line(person, "date_naissance", 10) or ""),
        }
        if known := {name: value for name, value in told.items() if value}:
            yield known


def _birthdate(text: str) -> str | None:
    """Some registers write 00 for a day or a month that they do not know."""
    match = _BIRTHDATE.fullmatch(text)
    if match is None:
        return None
    year, month, day = match.groups()
    if not 1 <= int(month) <= 12:
        return year if month == "00" else None
    if day == "00":
        return f"{year}-{month}"
    return text if is_date(text) else None


def _address(data: Data, said: Said) -> Values:
    """As the family declared it: it may be out of date. The name on the letter box is left out, it may be that of
    another person than the citizen."""
    stated = _table(data, "adresse") or {}
    place = _POSTAL.fullmatch(_one_line(stated, "code_postal_ville", 120) or "")
    postal_code, city = place.groups() if place else (None, _one_line(stated, "code_postal_ville", 100))
    parts = [_one_line(stated, f"complement_information{name}", 90) for name in ("", "_geographique")]
    parts.append(_one_line(stated, "lieu_dit", 90))
    told = {
        "street": _one_line(stated, "numero_libelle_voie", 200),
        "complement": ", ".join(part for part in parts if part)[:200],
        "postal_code": postal_code,
        "city": (city or "")[:100],
        "country_name": _one_line(stated, "pays", 100),
    }
    known = {name: value for name, value in told.items() if value}
    return {"address": said.value(known, quality="declared")} if known.keys() - {"country_name"} else {}


# Rights


def entitlement(name: str) -> Callable[[Data, datetime], Values]:
    """A reader of an allowance, told under the field `name`."""

    def read(data: Data, at: datetime) -> Values:
        told = {
            "entitled": _boolean(data, "est_beneficiaire"),
            "increased": _boolean(data, "avec_majoration"),
            "from": _date(data, "date_debut_droit"),
        }
        return _right(name, told, at)

    return read


def disabled_child(data: Data, at: datetime) -> Values:
    status = _one_line(data, "status", 40)
    if status is not None and status not in (*_ROLES, "non_beneficiaire"):
        raise _malformed("status")
    entitled = None if status is None else status in _ROLES
    told = {"entitled": entitled, "role": _ROLES.get(status or ""), "from": _date(data, "date_debut_droit")}
    return _right("child", told, at)


def _right(name: str, told: Mapping[str, Any], at: datetime) -> Values:
    known = {part: value for part, value in told.items() if value is not None}
    return {name: Said(at, _CNAF_MSA).value(known)} if known else {}


def complementary_health(data: Data, at: datetime) -> Values:
    return _values(
        Said(at, "RNCPS"),
        {
            "entitled": _boolean(data, "est_beneficiaire"),
            "contribution": _boolean(data, "avec_participation"),
            "from": _date(data, "date_debut_droit"),
        },
    )


# Studies and school


def student_status(data: Data, at: datetime) -> Values:
    """One admission is told: the one that runs today before another, an enrolment before an admission, then the latest.
    No admission at all in an answer that lists them is no enrolment."""
    said, admissions = Said(at, "MESRI"), _list(data, "admissions")
    if admissions is None:
        return {}
    if not admissions:
        return {"enrolled": said.value(False)}
    if not all(isinstance(one, Mapping) for one in admissions):
        raise _malformed("admissions")
    today = at.astimezone(PARIS).date().isoformat()
    best = max(admissions, key=lambda one: _rank(one, today))
    ends = _date(best, "date_fin")
    told = {
        "enrolled": _boolean(best, "est_inscrit"),
        "period_from": _date(best, "date_debut"),
        "period_to": ends,
        "institution": _institution(_table(best, "etablissement_etudes") or {}, "nom", "uai"),
        "city": _commune(best),
        "kind": _one_line(_table(best, "regime_formation") or {}, "libelle", 200),
    }
    return _values(said, told, until=ends)


def _rank(admission: Data, today: str) -> tuple[bool, bool, str, str]:
    begins, ends = _date(admission, "date_debut") or "", _date(admission, "date_fin") or ""
    return begins <= today <= (ends or today), bool(_boolean(admission, "est_inscrit")), ends, begins


def _commune(admission: Data) -> dict[str, str] | None:
    code = _one_line(admission, "code_cog_insee_commune", 5) or ""
    return {"insee_code": code} if _COMMUNE.fullmatch(code) else None


def scholarship(data: Data, at: datetime) -> Values:
    """Version 4 says it in `statut_boursier`, version 3 beside the rest."""
    status = _table(data, "statut_boursier")
    level, period = _table(data, "echelon_bourse") or {}, _table(data, "periode_versement_bourse") or {}
    place = _table(data, "etablissement_etudes") or {}
    provisional, city = _boolean(level, "echelon_bourse_regionale_provisoire"), _one_line(place, "nom_commune", 100)
    told = {
        "holder": _boolean(data if status is None else status, "est_boursier"),
        "level": _one_line(level, "echelon", 20),
        "period_from": _date(period, "date_rentree"),
        "period_months": _integer(period, "duree", _MOST_MONTHS),
        "institution": _institution(place, "nom_etablissement"),
        "city": {"name": city} if city else None,
        "final": None if provisional is None else not provisional,
    }
    return _values(Said(at, "CNOUS"), told)


def school_registration(data: Data, at: datetime) -> Values:
    match = _SCHOOL_YEAR.fullmatch(_one_line(data, "annee_scolaire", 9) or "")
    first = int(match[1]) if match else None
    year = f"{first}-{first + 1}" if first else None
    school = _table(data, "etablissement") or {}
    told = {
        "enrolled": _boolean(data, "est_scolarise"),
        "school_year": year,
        "school": _institution(school, "nom", "code_uai"),
        "level": _one_line(_table(data, "module_elementaire_formation") or {}, "libelle", 200),
        "scholarship_holder": _pupil_scholarship(data, first, at.astimezone(PARIS).date()),
    }
    return _values(Said(at, "MEN"), told, until=f"{first + 1}-08-31" if first else None)


def _pupil_scholarship(data: Data, first: int | None, today: date) -> bool | None:
    """Before mid-October schools have not entered all scholarships: "no" is not known to be true until then."""
    held = _boolean(data, "est_boursier")
    early = first is None or today < date(first, *_MID_OCTOBER)
    return None if held is False and early else held


def job_seeker_status(data: Data, at: datetime) -> Values:
    registration = _table(data, "inscription") or {}
    category = _table(registration, "categorie") or {}
    label, code = _one_line(category, "libelle", 190), _integer(category, "code")
    begins, ends = _date(registration, "date_debut"), _date(registration, "date_fin")
    today = at.astimezone(PARIS).date().isoformat()
    told = {
        "registered": begins <= today <= (ends or today) if begins else None,
        "category": f"{code} - {label}" if code is not None and label else label,
        "registered_on": begins,
        "ended_on": ends,
    }
    return _values(Said(at, "France Travail"), told)


def named(data: Data) -> tuple[str, str] | None:
    """The birth name and the date of birth of whom an answer is about; None when the answer does not tell."""
    identity = _table(data, "identite") or {}
    name = _one_line(identity, "nom_naissance", 200) or _one_line(identity, "nom", 200)
    born = _date(identity, "date_naissance")
    return (name, born) if name and born else None


# Reading, strictly


def _values(said: Said, told: Mapping[str, Any], *, until: str | None = None) -> Values:
    return {name: said.value(value, until=until) for name, value in told.items() if value is not None}


def _institution(place: Data, name: str, uai: str = "") -> dict[str, str] | None:
    code = (_one_line(place, uai, 8) or "").upper() if uai else ""
    known = {"name": _one_line(place, name, 200) or "", "uai": code if _UAI.fullmatch(code) else ""}
    return {part: value for part, value in known.items() if value} or None


def _typed(kind: type[_T], data: Data, name: str) -> _T | None:
    """What stands under `name`, None when nothing does."""
    value = data.get(name)
    if value is None:
        return None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise _malformed(name)
    return value


def _boolean(data: Data, name: str) -> bool | None:
    return _typed(bool, data, name)


def _integer(data: Data, name: str, most: int = 9999) -> int | None:
    value = _number(data, name, most)
    if value is not None and value != int(value):
        raise _malformed(name)
    return None if value is None else int(value)


def _number(data: Data, name: str, most: int) -> float | int | None:
    """Never below zero; a sum or a date beyond all measure is none."""
    value = _typed(int, data, name) if isinstance(data.get(name), int) else _typed(float, data, name)
    if value is not None and not 0 <= value <= most:
        raise _malformed(name)
    return value


def _table(data: Data, name: str) -> dict[str, Any] | None:
    return _typed(dict, data, name)


def _list(data: Data, name: str, most: int = _MOST_PEOPLE) -> list[Any] | None:
    found = _typed(list, data, name)
    if found is not None and len(found) > most:
        raise _malformed(name)
    return found


def _one_line(data: Data, name: str, longest: int) -> str | None:
    value = _typed(str, data, name)
    if value is None:
        return None
    if _WRONGLY_READ.search(value):
        raise _malformed(name)
    return " ".join(_UNSAYABLE.sub(" ", value).split())[:longest].strip() or None


def _date(data: Data, name: str) -> str | None:
    """A whole date of the calendar; one that does not exist is not told (a sandbox answer ends on a 31 June)."""
    text = _one_line(data, name, 40)
    return text if text is not None and is_date(text) else None


def _malformed(name: str) -> TryLater:
    return TryLater(f"API Particulier : {name} n'a pas la forme attendue", fault="away.not-json")
