"""The wire format of API Impôt particulier: two families of addresses, its headers, and what its errors mean."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.sdk import Secret
from connectors.sdk.error_table import error_row
from connectors.sdk.http import HttpAnswer, HttpClient, retry_after, segment
from schemas.errors import AccessDenied, HubError, Refused, TryLater
from schemas.exchange import AuthorisationExpired

ONE_YEAR, LATEST = "RessourceIR", "RessourceIRDerniere2"
ERRORS = Path(__file__).with_name("errors.csv")
SCOPES = f"{ONE_YEAR} {LATEST}"
_MAX_BYTES = 512 * 1024
_READ = (200, 204, 400, 403, 404, 410, 429)
_KINDS = {
    ONE_YEAR: "application/prs.dgfip.part.situations.ir.assiettes.v1+json",
    LATEST: "application/prs.dgfip.part.derniere.situations.ir.assiettes.v1+json",
}
_CODE = re.compile(r"[0-9]{3,6}")
_PAUSE = 60.0  # seconds to wait after an error whose answer names none


@dataclass(frozen=True, slots=True)
class Asked:
    """One situation: the income of a year, or the latest that is settled (`year` None). By tax number, or by the
    citizen's FranceConnect token."""

    year: int | None
    tax_number: str = ""
    token: Secret | None = None

    @property
    def scope(self) -> str:
        return LATEST if self.year is None else ONE_YEAR

    @property
    def path(self) -> str:
        person = "" if self.token else f"/spi/{segment(self.tax_number)}"
        if self.year is None:
            return f"{person}/dernieresituation/ir/assiettes/deuxans"
        return f"{person}/situations/ir/assiettes/annrev/{self.year}"


class ApiImpot:
    """Asks for a tax situation, by an OAuth 2 token of the client-credentials grant."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.scopes = frozenset(settings.get("scopes", SCOPES).split())
        self._teleservice = settings.get("teleservice", "")
        plain = HttpClient(
            settings["base_url"], timeout=settings.get("timeout_seconds", 10), max_bytes=_MAX_BYTES,
            service="la DGFiP",
        )  # fmt: skip
        self._http = plain.with_client_credentials(
            settings["token_url"], settings["client_id"], settings["client_secret"], " ".join(sorted(self.scopes))
        )

    def situation(self, asked: Asked, *, exchange: str, seconds: float) -> dict[str, Any]:
        """What the tax office says. Raises what `Connector.answer` may raise, and AccessDenied when our own client is
        not let in. `exchange` becomes the correlation of the call."""
        if asked.scope not in self.scopes:
            raise AuthorisationExpired(f"L'habilitation ne couvre pas {asked.scope}")
        end = time.monotonic() + seconds
        try:
            answer = self._call(asked.path, _KINDS[asked.scope], exchange, seconds, token=asked.token)
        except AccessDenied:
            if asked.token is not None and self._lets_us_in(exchange, end - time.monotonic()):
                raise Refused(
                    "Le jeton FranceConnect de l'usager n'est pas ou plus valable : il vit 60 secondes",
                    native="france_connect_token",
                ) from None
            raise
        if answer.status != 200:
            raise error_of(answer)
        return answer.json_object()

    def ping(self, *, exchange: str) -> int:
        """Ask for the situation of nobody: the status of the answer. 400 says that we are let in."""
        return self._call("/dernieresituation/ir/assiettes/deuxans", _KINDS[LATEST], exchange, None).status

    def _lets_us_in(self, exchange: str, seconds: float) -> bool:
        """A citizen's token that died must not look like the end of our own."""
        try:
            self._call("/dernieresituation/ir/assiettes/deuxans", _KINDS[LATEST], exchange, max(seconds, 0.0))
        except HubError:
            return False
        return True

    def _call(
        self, path: str, kind: str, exchange: str, seconds: float | None, *, token: Secret | None = None
    ) -> HttpAnswer:
        if seconds is not None and seconds <= 0:
            raise TryLater("DGFiP : le temps de la question est passé", fault="away.timeout")
        headers: dict[str, str | Secret] = {"accept": kind, "x-correlation-id": correlation(exchange)}
        if self._teleservice:
            headers["id_teleservice"] = self._teleservice
        if token is not None:
            headers["x-franceconnect-oauth"] = token
        return self._http.request("GET", path, headers=headers, expect=_READ, seconds=seconds)

    def close(self) -> None:
        self._http.close()


def correlation(exchange: str) -> str:
    """The exchange's own identifier when it is a UUID, otherwise always the same one for it."""
    try:
        return str(uuid.UUID(exchange))
    except ValueError:
        return str(uuid.uuid5(uuid.NAMESPACE_OID, exchange))


def error_of(answer: HttpAnswer) -> HubError:
    """What the hub says of an answer that is no situation. The body of errors is not described: only a `codeapp` is
    looked for in it, and "nobody" without one is the word of whoever stands between."""
    code = _codeapp(answer)
    wish = retry_after(answer.headers)
    row = error_row(ERRORS, status=str(answer.status), codeapp=code)
    if row is None:
        return TryLater(f"DGFiP : réponse {answer.status} inattendue", after=wish, fault="away.not-json")
    said = f"{row.meaning} ({code or answer.status})"
    return row.error(said, native=code or str(answer.status), after=wish or _PAUSE)


def _codeapp(answer: HttpAnswer) -> str:
    """ "" when there is none."""
    try:
        body = answer.json_object()
    except TryLater:
        return ""
    inside = body.get("erreur")
    code = str((inside if isinstance(inside, dict) else body).get("codeapp", ""))
    return code if _CODE.fullmatch(code) else ""
