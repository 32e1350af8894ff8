"""API Impôt particulier: what the tax office settled for a citizen's household."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from typing import Any

from connectors.apiimpot import mapping
from connectors.apiimpot.client import READ, Asked, error_of
from connectors.sdk import Probe
from connectors.sdk.http import HttpAnswer
from connectors.sdk.kinds.client import HttpConnector
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.exchange import AuthorisationExpired, Evidence, NotMatched, Question
from schemas.identities import same_birthdate
from schemas.names import joined_name

FIELDS = (
    "tax_year", "reference_tax_income", "household_parts", "total_income", "tax_before_credits", "tax_address",
    "declarants",
)  # fmt: skip
_NOBODY = Asked()
_TAX_NUMBER = re.compile(r"[0-9]{13}")


class ApiImpotConnector(HttpConnector):
    """Answers live questions: by the citizen's FranceConnect token, else by the tax number of the hub's links."""

    max_bytes = 512 * 1024

    def probe(self) -> Probe:
        """Asks for the situation of nobody: 400 says that we are let in."""
        try:
            status = self._call(_NOBODY, str(uuid.uuid4())).status
        except HubError as error:
            return Probe(False, f"La DGFiP ne répond pas comme attendu : {error.reason}")
        if status == 403:
            return Probe(False, "La DGFiP répond mais refuse la ressource : voir l'habilitation.")
        return Probe(True, "La DGFiP répond et accepte notre jeton.")

    def answer(self, question: Question) -> Evidence:
        """One call, for the year that was asked for or the latest that is settled. Where the situation names its
        declarants, the citizen must be one of them: number or token may be somebody else's."""
        if question.evidence != "tax-situation" or question.version != 1:
            raise Refused("La DGFiP ne donne pas ce justificatif", native="evidence_unknown")
        fields = set(question.fields).intersection(FIELDS)
        if not fields:
            return Evidence("tax-situation", 1, {})
        asked = self._asked(question)
        data = self._situation(asked, question)
        _check_person(data, question.identity, by_token=asked.token is not None)
        values = mapping.tax_situation(data, asked.year)
        return Evidence("tax-situation", 1, {name: value for name, value in values.items() if name in fields})

    def _asked(self, question: Question) -> Asked:
        year = question.parameters.get("tax_year")
        if year is not None and (type(year) is not int or not 1990 <= year < self.context.now().year):
            raise Refused("Cette année de revenus n'est pas connue de la DGFiP", native="tax_year_out_of_range")
        if question.token is not None:
            return Asked(year, token=question.token)
        number = "".join((question.reference or "").split())
        if not number:
            raise Refused("Il faut le numéro fiscal de la personne ou son jeton FranceConnect", native="person_missing")
        if not _TAX_NUMBER.fullmatch(number):
            raise Refused("Le numéro fiscal compte 13 chiffres", native="tax_number_malformed")
        return Asked(year, number)

    def _situation(self, asked: Asked, question: Question) -> dict[str, Any]:
        """What the tax office says. A citizen's token that died must not look like the end of our own."""
        if asked.scope not in self.settings["scopes"].split():
            raise AuthorisationExpired(f"L'habilitation ne couvre pas {asked.scope}")
        end = time.monotonic() + question.seconds
        try:
            answer = self._call(asked, question.id, question.seconds)
        except AccessDenied:
            if asked.token is not None and self._lets_us_in(question.id, end - time.monotonic()):
                raise Refused(
                    "Le jeton FranceConnect de l'usager n'est pas ou plus valable : il vit 60 secondes",
                    native="france_connect_token",
                ) from None
            raise
        if answer.status != 200:
            raise error_of(answer)
        return answer.json_object()

    def _lets_us_in(self, exchange: str, seconds: float) -> bool:
        try:
            self._call(_NOBODY, exchange, seconds)
        except HubError:
            return False
        return True

    def _call(self, asked: Asked, exchange: str, seconds: float | None = None) -> HttpAnswer:
        if seconds is not None and seconds <= 0:
            raise TryLater("DGFiP : le temps de la question est passé", fault="away.timeout")
        headers = asked.headers(exchange, self.settings.get("teleservice", ""))
        return self.request("GET", asked.path, headers=headers, expect=READ, seconds=seconds)


def _check_person(data: Mapping[str, Any], identity: Mapping[str, Any] | None, *, by_token: bool) -> None:
    """For a token the day of birth is enough: names are not compared, since a register may spell them its own way."""
    born = (identity or {}).get("birthdate")
    named = [one for one in mapping.declarants(data) if "family_name" in one and "birthdate" in one]
    if identity is None or not born or not named:
        return
    name = joined_name(identity["family_name"])
    like = [one for one in named if by_token or joined_name(one["family_name"]) == name]
    if not any(same_birthdate(one["birthdate"], born) for one in like):
        whose = "jeton FranceConnect" if by_token else "numéro fiscal"
        raise NotMatched(f"Ce {whose} est celui d'un autre foyer", native="other_person")
