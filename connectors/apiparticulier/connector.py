"""API Particulier: a citizen's situation, asked of the administration that holds it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from connectors.apiparticulier import mapping
from connectors.apiparticulier.client import ApiParticulier
from connectors.apiparticulier.operations import SCHOOL, Operation, identity_parameters
from connectors.sdk import Probe
from connectors.sdk.evidence import Answer
from connectors.sdk.kinds.client import HttpConnector
from connectors.sdk.rate_limit import Limiter
from schemas.errors import HubError, Refused
from schemas.exchange import Evidence, NotMatched, Question
from schemas.identities import same_birthdate
from schemas.names import joined_name

_MONTH = re.compile(r"([12][0-9]{3})-(0[1-9]|1[0-2])")
_HISTORY_MONTHS = 24


@dataclass(frozen=True, slots=True)
class Part:
    """One operation, the fields of an evidence type that it gives, and how its answer is read."""

    operation: Operation
    fields: tuple[str, ...]
    read: Callable[[Mapping[str, Any], datetime], dict[str, dict[str, Any]]]


@cache
def evidence_parts() -> Mapping[str, tuple[Part, ...]]:
    """By type of evidence."""
    return {
        evidence: tuple(Part(Operation(one.operation), one.fields, mapping.reader(one)) for one in found)
        for evidence, found in mapping.TABLE.items()
    }


@dataclass(frozen=True, slots=True)
class _Way:
    """How one operation is asked. `by_identifier`: the person was named by an identifier, which may be that of somebody
    else; `stated`: it came from the asker and not from the hub's own links, so that the answer must name them."""

    mode: str
    params: Mapping[str, Any]
    by_identifier: bool = False
    stated: bool = False


class ApiParticulierConnector(HttpConnector):
    """Answers live questions: with the citizen's FranceConnect token when there is one and the operation takes it,
    otherwise by identity, with the town's own token."""

    max_bytes = 512 * 1024

    @cached_property
    def client(self) -> ApiParticulier:
        limiter = Limiter(self.context.now, self.settings["calls_per_minute"], self.name)
        return ApiParticulier(self.request, self.settings.get("token"), self.context.tenant_siret, limiter)

    def probe(self) -> Probe:
        try:
            status = self.client.ping()
        except HubError as error:
            return Probe(False, f"API Particulier ne répond pas comme attendu : {error.reason}")
        if self.settings.get("token") is None:
            return Probe(True, "API Particulier répond ; sans jeton, elle n'est interrogée que par FranceConnect.")
        if status in (401, 403):
            return Probe(False, f"API Particulier répond mais refuse notre jeton ({status}) : voir l'habilitation.")
        if status >= 500:
            return Probe(False, f"API Particulier est en panne ({status}).")
        return Probe(True, "API Particulier répond et accepte notre jeton.")

    def answer(self, question: Question) -> Evidence:
        """Ask only what gives the asked fields. Several operations make one answer or none: where one is away, all is
        asked again later; where one knows nobody, its fields are absent unless nobody is known anywhere."""
        if question.evidence not in evidence_parts() or question.version != 1:
            raise Refused("API Particulier ne donne pas ce justificatif", native="evidence_unknown")
        asked, end = set(question.fields), time.monotonic() + question.seconds
        wanted = [part for part in evidence_parts()[question.evidence] if asked.intersection(part.fields)]
        values: dict[str, dict[str, Any]] = {}
        unmatched: list[NotMatched] = []
        for part in wanted:
            try:
                values |= part.read(self._operation_data(part.operation, question, end), self.context.now())
            except NotMatched as error:
                unmatched.append(error)
        if unmatched and len(unmatched) == len(wanted):
            raise unmatched[0]
        return Evidence(question.evidence, 1, {name: value for name, value in values.items() if name in asked})

    def _operation_data(self, operation: Operation, question: Question, end: float) -> dict[str, Any]:
        way = self._way(operation, question)
        token = question.token if way.mode == "france_connect" else None
        data = self.client.operation_data(operation, way.mode, way.params, seconds=end - time.monotonic(), token=token)
        answer = mapping.answered(data, self.context.now())
        if way.by_identifier:
            _check_person(answer, question.identity, stated=way.stated)
        elif token is not None:
            _check_household(answer, question.identity)
        return data

    def _way(self, operation: Operation, question: Question) -> _Way:
        stated = question.parameters
        if "identifiant" in operation.rule.modes:
            identifier = question.reference or stated.get("identifier")
            if not identifier:
                raise Refused("France Travail ne répond qu'à l'identifiant du compte", native="identifier_missing")
            return _Way("identifiant", {"identifiant": identifier}, True, stated=question.reference is None)
        if "ine" in stated and "ine" in operation.rule.modes:
            return _Way("ine", {"ine": stated["ine"]}, True, stated=True)
        more = self._other_parameters(operation, question)
        if question.token is not None and "france_connect" in operation.rule.modes:
            return _Way("france_connect", more)
        return _Way("identite", identity_parameters(operation, question.identity) | more)

    def _other_parameters(self, operation: Operation, question: Question) -> dict[str, Any]:
        """The parameters beyond the person."""
        if operation == SCHOOL:
            return self._school_parameters(question.parameters)
        month = question.parameters.get("month") if question.evidence == "family-quotient" else None
        return _month_parameters(month, self.context.now()) if month is not None else {}

    def _school_parameters(self, stated: Mapping[str, Any]) -> dict[str, Any]:
        """Exactly one perimeter: the school that was named, else the departments, else the regions of the settings."""
        today = self.context.now().astimezone(mapping.PARIS)
        year = today.year if today.month >= 8 else today.year - 1
        asked: dict[str, Any] = {"anneeScolaire": stated.get("school_year", f"{year}-{year + 1}")}
        departments, regions = self.settings.get("school_departments"), self.settings.get("school_regions")
        if "school" in stated:
            return asked | {"codeEtablissement": stated["school"]}
        if departments:
            return asked | {"codesBcnDepartements[]": list(departments)}
        if regions:
            return asked | {"codesBcnRegions[]": list(regions)}
        raise Refused("Il faut nommer l'école, ou régler le département des écoles", native="school_missing")


def _month_parameters(text: object, now: datetime) -> dict[str, int]:
    match = _MONTH.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise Refused("Le mois du quotient s'écrit AAAA-MM", native="month_malformed")
    year, month, today = int(match[1]), int(match[2]), now.astimezone(mapping.PARIS)
    if not 0 <= (today.year - year) * 12 + today.month - month <= _HISTORY_MONTHS:
        raise Refused("Le quotient n'est donné que pour les 24 derniers mois", native="month_out_of_range")
    return {"annee": year, "mois": month}


def _check_person(answer: Answer, identity: Mapping[str, Any] | None, *, stated: bool) -> None:
    """Where the answer names its person, it must be the citizen; where an asker stated the identifier, it must name
    them."""
    told, born = mapping.named(answer), (identity or {}).get("birthdate")
    if told is None or identity is None or not born:
        if stated:
            raise NotMatched("Rien ne montre que cet identifiant est celui de la personne", native="unverified")
        return
    if joined_name(told[0]) != joined_name(identity["family_name"]) or not told[1].startswith(born):
        raise NotMatched("Cet identifiant est celui d'une autre personne", native="other_person")


def _check_household(answer: Answer, identity: Mapping[str, Any] | None) -> None:
    """A token may be that of another citizen than the one of the question. Where an answer names the adults, one of
    them was born on the citizen's day; names are not compared, since a register may spell them its own way."""
    born, told = (identity or {}).get("birthdate"), mapping.birthdates(answer)
    if born and told and not any(same_birthdate(one, born) for one in told):
        raise NotMatched("Le jeton FranceConnect est celui d'une autre personne", native="other_person")
