"""The operations of API Particulier that answer for evidence, and what each must be told: `operations.csv`. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from connectors.sdk import values
from schemas.communes import FRANCE
from schemas.errors import Refused
from schemas.identities import given_names
from schemas.sheet import sheet_rows

BIRTH = ("anneeDateNaissance", "moisDateNaissance", "jourDateNaissance")
COUNTRY, COMMUNE, GENDER, NAMES = (
    "codeCogInseePaysNaissance", "codeCogInseeCommuneNaissance", "sexeEtatCivil", "prenoms[]",
)  # fmt: skip
GENDERS = {"male": "M", "female": "F"}
_GROUPS = {
    "@civil": ("nomNaissance", NAMES, GENDER), "@birth": BIRTH,
    "@place": (COMMUNE, "nomCommuneNaissance", "codeCogInseeDepartementNaissance"),
}  # fmt: skip
_COLUMNS = ("path", "needs", "takes", "unknown", "most_names", "modes", "scopes")
# What an identity lacks when a parameter that is needed cannot be said.
_LACKS = {
    BIRTH[2]: ("full_birthdate", "la date de naissance complète"), NAMES: ("given_names", "les prénoms"),
    GENDER: ("gender", "le sexe"), COUNTRY: ("birthcountry", "le pays de naissance"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rule:
    """What one operation demands in identity mode, and takes beside that; `unknown`: its code for nobody. `modes`: the
    ways to ask it. `scopes`: which scope gives which member of the answer."""

    needs: tuple[str, ...]
    takes: tuple[str, ...]
    unknown: str
    most_names: int
    modes: tuple[str, ...]
    scopes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Operation:
    """One resource under its base path."""

    path: str

    @property
    def rule(self) -> Rule:
        return rules()[self.path]


FAMILY_QUOTIENT = Operation("/v3/dss/quotient_familial")
STUDENT = Operation("/v3/mesri/statut_etudiant")
SCHOOL = Operation("/v4/men/scolarites")


@cache
def rules() -> Mapping[str, Rule]:
    """By base path."""
    return {row["path"]: _rule(row) for row in sheet_rows(Path(__file__).with_name("operations.csv"), _COLUMNS)}


def _rule(row: Mapping[str, str]) -> Rule:
    needs, takes = (
        tuple(name for word in row[cell].split() for name in _GROUPS.get(word, (word,))) for cell in ("needs", "takes")
    )
    scopes = dict(pair.split("=") for pair in row["scopes"].split())
    return Rule(needs, takes, row["unknown"], int(row["most_names"]), tuple(row["modes"].split()), scopes)


def identity_parameters(operation: Operation, identity: Mapping[str, Any] | None) -> dict[str, Any]:
    """The query of a person's identity, as `operation` demands it. Raises Refused, with what lacks in `native` and
    before anything is sent, when the operation could not take it."""
    rule = operation.rule
    if "identite" not in rule.modes or identity is None:
        raise Refused("API Particulier a besoin de l'identité de la personne", native="identity_missing")
    known = {name: value for name, value in _said(identity, rule.most_names) if value}
    for name, (part, words) in _LACKS.items():
        if name in rule.needs and name not in known:
            raise _lacks(part, words)
    return {name: known[name] for name in (*rule.needs, *rule.takes) if name in known}


def _said(identity: Mapping[str, Any], most_names: int) -> Iterator[tuple[str, Any]]:
    """Who was born abroad has no commune; where the country is not told, the commune says it, which nobody demands (the
    CNAF and the MSA since May 2026). Of a date of birth, a part that is unknown, and what follows it, is not said."""
    place, usual = identity.get("birthplace", ""), identity.get("preferred_name")
    country = identity.get("birthcountry") or values.country_of_birthplace(place)
    yield "nomNaissance", identity["family_name"]
    yield NAMES, given_names(identity["given_names"])[:most_names]
    yield "nomUsage", usual if usual != identity["family_name"] else None
    yield GENDER, GENDERS.get(identity.get("gender", ""))
    yield COUNTRY, country
    yield COMMUNE, place if country in ("", None, FRANCE) and not place.startswith("99") else None
    date = takewhile(lambda part: part.isdigit() and int(part), (identity.get("birthdate") or "").split("-"))
    yield from zip(BIRTH, map(int, date), strict=False)


def _lacks(part: str, said: str) -> Refused:
    return Refused(f"Il manque à l'identité {said} pour interroger API Particulier", native=f"identity_without_{part}")
