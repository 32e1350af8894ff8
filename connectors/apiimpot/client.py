"""The wire format of API Impôt particulier: two families of addresses, its headers, and what its errors mean."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from pathlib import Path

from connectors.sdk import Secret
from connectors.sdk.error_table import error_row
from connectors.sdk.http import HttpAnswer, retry_after, segment
from connectors.sdk.kinds.calls import value_at
from schemas.errors import HubError, TryLater

ONE_YEAR, LATEST = "RessourceIR", "RessourceIRDerniere2"
ERRORS = Path(__file__).with_name("errors.csv")
SCOPES = f"{ONE_YEAR} {LATEST}"
READ = (200, 204, 400, 403, 404, 410, 429)
_CODE = re.compile(r"[0-9]{3,6}")
_PAUSE = 60.0  # seconds to wait after an error whose answer names none


@dataclass(frozen=True, slots=True)
class Asked:
    """One situation: the income of a year, or the latest that is settled (`year` None). By tax number, or by the
    citizen's FranceConnect token; with neither, that of nobody."""

    year: int | None = None
    tax_number: str = ""
    token: Secret | None = None

    @property
    def scope(self) -> str:
        return LATEST if self.year is None else ONE_YEAR

    @property
    def path(self) -> str:
        person = f"/spi/{segment(self.tax_number)}" if self.tax_number else ""
        if self.year is None:
            return f"{person}/dernieresituation/ir/assiettes/deuxans"
        return f"{person}/situations/ir/assiettes/annrev/{self.year}"

    def headers(self, exchange: str, teleservice: str) -> dict[str, str | Secret]:
        """`exchange` becomes the correlation of the call."""
        latest = "" if self.year else "derniere."
        kind = f"application/prs.dgfip.part.{latest}situations.ir.assiettes.v1+json"
        own: dict[str, str | Secret] = {"accept": kind, "x-correlation-id": correlation(exchange)}
        own |= {"id_teleservice": teleservice} if teleservice else {}
        return own | ({"x-franceconnect-oauth": self.token} if self.token is not None else {})


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
    code = str(value_at(body, "/erreur/codeapp") or body.get("codeapp", ""))
    return code if _CODE.fullmatch(code) else ""
