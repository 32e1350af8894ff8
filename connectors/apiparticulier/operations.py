"""The operations of API Particulier that answer for evidence, and what each must be told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.sdk import values
from schemas.communes import FRANCE
from schemas.errors import Refused
from schemas.identities import given_names

_GENDERS = {"male": "M", "female": "F"}
_DATE_PARTS = ("anneeDateNaissance", "moisDateNaissance", "jourDateNaissance")


@dataclass(frozen=True, slots=True)
class Operation:
    """One resource under its base path. `france_connect`: it may be asked with the citizen's own token. `identity`: it
    may be asked by civil identity; else by an identifier. The rest says which parts of an identity it demands."""

    path: str
    france_connect: bool = True
    identity: bool = True
    usual_name: bool = False
    given_names: int = 3
    country: bool = False
    gender: bool = True
    full_birthdate: bool = True
    birthplace: bool = True


def _benefit(name: str) -> Operation:
    """Those of the CNAF and the MSA take partial dates and people born abroad."""
    return Operation(f"/v3/dss/{name}", usual_name=True, country=True, full_birthdate=False)


FAMILY_QUOTIENT = _benefit("quotient_familial")
STUDENT = Operation("/v3/mesri/statut_etudiant", given_names=1)
SCHOLARSHIP = Operation("/v4/cnous/etudiant_boursier", gender=False)
SCHOOL = Operation("/v4/men/scolarites", france_connect=False, birthplace=False)
JOB_SEEKER = Operation("/v3/france_travail/statut", france_connect=False, identity=False)
_BENEFITS = (
    "revenu_solidarite_active", "prime_activite", "allocation_soutien_familial", "allocation_adulte_handicape",
    "allocation_enfant_handicape", "complementaire_sante_solidaire",
)  # fmt: skip
BY_PATH: Mapping[str, Operation] = {
    one.path: one for one in (FAMILY_QUOTIENT, STUDENT, SCHOLARSHIP, SCHOOL, JOB_SEEKER, *map(_benefit, _BENEFITS))
}


def identity_parameters(operation: Operation, identity: Mapping[str, Any] | None) -> dict[str, Any]:
    """The query of a person's identity, as `operation` demands it. Raises Refused, with what lacks in `native` and
    before anything is sent, when the operation could not take it."""
    if not operation.identity or identity is None:
        raise Refused("API Particulier a besoin de l'identité de la personne", native="identity_missing")
    date = _birthdate(operation, identity.get("birthdate"))
    names = given_names(identity["given_names"])[: operation.given_names]
    if not names:
        raise _lacks("given_names", "les prénoms")
    asked: dict[str, Any] = {"nomNaissance": identity["family_name"], "prenoms[]": names, **date}
    usual = identity.get("preferred_name")
    if operation.usual_name and usual and usual != identity["family_name"]:
        asked["nomUsage"] = usual
    return asked | _gender(operation, identity) | _birthplace(operation, identity)


def _gender(operation: Operation, identity: Mapping[str, Any]) -> dict[str, str]:
    gender = _GENDERS.get(identity.get("gender", ""))
    if gender is None and operation.gender:
        raise _lacks("gender", "le sexe")
    return {"sexeEtatCivil": gender} if gender else {}


def _birthplace(operation: Operation, identity: Mapping[str, Any]) -> dict[str, str]:
    """Somebody born abroad has no commune: what the identity holds in its place is left out. The country follows from
    the commune where it is not told; the commune is nowhere demanded (of the CNAF and the MSA since May 2026)."""
    place = identity.get("birthplace", "")
    country = identity.get("birthcountry") or values.country_of_birthplace(place)
    if operation.country and not country:
        raise _lacks("birthcountry", "le pays de naissance")
    asked = {"codeCogInseePaysNaissance": str(country)} if operation.country else {}
    if operation.birthplace and country == FRANCE and place and not place.startswith("99"):
        asked["codeCogInseeCommuneNaissance"] = place
    return asked


def _birthdate(operation: Operation, text: str | None) -> dict[str, int]:
    """Year, month and day as they are known: a part that is unknown, and what follows it, is not said."""
    known: dict[str, int] = {}
    for name, part in zip(_DATE_PARTS, (text or "").split("-"), strict=False):
        if not part.isdigit() or not int(part):
            break
        known[name] = int(part)
    if operation.full_birthdate and len(known) < len(_DATE_PARTS):
        raise _lacks("full_birthdate", "la date de naissance complète")
    return known


def _lacks(part: str, said: str) -> Refused:
    return Refused(f"Il manque à l'identité {said} pour interroger API Particulier", native=f"identity_without_{part}")
