"""A gateway of the DGFiP on loopback: households of our own invention, strict about tokens and headers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.apiimpot.client import LATEST, ONE_YEAR
from connectors.sdk import Secret
from connectors.sdk.rest_twin import EvidenceTwin, TwinRefusal
from connectors.sdk.twin import TwinAnswer, TwinCall, route

CLIENT, SECRET = "unefois", "secret-impot"
_BASE = "/impotparticulier/1.0"
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_KIND = "application/prs.dgfip.part.situations.ir.assiettes.v1+json"
_LATEST_KIND = "application/prs.dgfip.part.derniere.situations.ir.assiettes.v1+json"
_UNKNOWN = {"fault": {"code": 900901, "message": "Invalid Credentials"}}

HOUSEHOLDS: Mapping[str, dict[str, Any]] = {
    "3012345678901": {
        "annRevenu": 2025, "rfr": 24310, "sitFam": "M", "nbPart": 3.0, "pac": {"nbPac": 2, "nbPacF": 2},
        "nmNaiDec1": "CORVISART", "nmUsaDec1": "DELMAS-ROCHE", "prnmDec1": "MAËLLE ODETTE",
        "dateNaisDec1": {"jour": "09", "mois": "03", "annee": "1987"}, "dptNaissDec1": "2A", "lieuNaissDec1": "AFA",
        "nmNaiDec2": "DELMAS-ROCHE", "prnmDec2": "BASTIEN LOUP",
        "dateNaisDec2": {"jour": "21", "mois": "11", "annee": "1985"},
        "aft": "APPARTEMENT 12 4 BIS CHEMIN DU VIEUX LAVOIR 93001 SAINT-AUBIN",
        "aftDetail": {"complementAdresse": "APPARTEMENT 12", "voie": "4 BIS CHEMIN DU VIEUX LAVOIR",
                      "getcommune": "SAINT-AUBIN", "getcodePostal": "93001"},
        "revenuBrutGlobal": 27011, "impAvImput": 912, "montTotIr": 640, "revImposable": 24310,
        "datRec": "31/07/2026", "datEtab": "09/07/2026", "numRole": "22", "fipNum": "939000000000A",
        "rev": {"tspr": [{"code": "1AJ", "valeur": "18400"}]},
    },
    "1123456789012": {
        "annRevenu": 2025, "rfr": 0, "sitFam": "C", "nbPart": 1.5, "nmNaiDec1": "BENZERTI", "prnmDec1": "ILYÈS",
        "dateNaisDec1": {"jour": "00", "mois": "00", "annee": "1962"}, "aft": "LES QUATRE VENTS 93001 SAINT-AUBIN",
        "revenuBrutGlobal": -1200, "indDeficit": "O", "impAvImput": 0,
    },
}  # fmt: skip


class ApiImpotTwin(EvidenceTwin[str]):
    """`log_in` gives a FranceConnect token. `scopes`: the resources that our client was granted. `hidden`: properties
    that it does not show. `asked` keeps the path and the headers of each call."""

    def __init__(self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        super().__init__(now=now)
        self.scopes = frozenset({ONE_YEAR, LATEST})
        self.hidden: frozenset[str] = frozenset()
        self.households = {number: dict(data) for number, data in HOUSEHOLDS.items()}
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    def settings(self) -> dict[str, Any]:
        return {
            "base_url": f"{self.url}{_BASE}", "token_url": f"{self.url}/token", "client_id": CLIENT,
            "client_secret": Secret(SECRET),
        }  # fmt: skip

    def log_in(self, number: str) -> Secret:
        """The access token of the citizen who has this tax number."""
        return self.open_login(number)

    @route("POST", "/token")
    def _token(self, call: TwinCall) -> TwinAnswer:
        return self.grant(call, CLIENT, SECRET, scopes=self.scopes)

    @route("GET", f"{_BASE}/{{path:rest}}")
    def _situation(self, call: TwinCall, path: str) -> TwinAnswer:
        self.asked.append((f"/{path}", call.headers))
        try:
            answer = self._checked(call, path.split("/"))
        except TwinRefusal as refusal:
            answer = refusal.answer
        self.given.append((f"/{path}", answer))
        return answer

    def _checked(self, call: TwinCall, parts: list[str]) -> TwinAnswer:
        granted = self.bearer(call)
        if granted is None:
            raise TwinRefusal(401, _UNKNOWN)
        if not _UUID.fullmatch(call.headers.get("x-correlation-id", "")):
            raise _refused(400, "4000")
        if parts[0] == "spi":
            number, parts = parts[1], parts[2:]
            if not re.fullmatch(r"[0-9]{13}", number):
                raise _refused(400, "4001")
            return self._of(number, parts, granted, call.headers.get("accept", ""))
        if "x-franceconnect-oauth" not in call.headers:
            raise _refused(400, "4003")
        citizen = self.logged_in(call.headers["x-franceconnect-oauth"])
        if citizen is None:
            raise TwinRefusal(401, _UNKNOWN)
        return self._of(citizen, parts, granted, call.headers.get("accept", ""))

    def _of(self, number: str, parts: list[str], granted: frozenset[str], accept: str) -> TwinAnswer:
        latest = parts == ["dernieresituation", "ir", "assiettes", "deuxans"]
        if not latest and parts[:-1] != ["situations", "ir", "assiettes", "annrev"]:
            raise TwinRefusal(404, "<!DOCTYPE html><title>404</title>")
        if (LATEST if latest else ONE_YEAR) not in granted:
            raise _refused(403, "4031")
        if accept != (kind := _LATEST_KIND if latest else _KIND):
            raise TwinRefusal(406, {"fault": {"message": "Not Acceptable"}})
        if not latest and not re.fullmatch(r"[12][0-9]{3}", parts[-1]):
            raise _refused(400, "4002")
        household = self.households.get(number)
        if household is None:
            raise _refused(410, "4102")
        if not latest and int(parts[-1]) not in (household["annRevenu"], household["annRevenu"] - 1):
            raise _refused(410, "4101")
        hidden = self.hidden | (frozenset() if latest else {"annRevenu"})
        shown = {name: value for name, value in household.items() if name not in hidden}
        return TwinAnswer(200, shown, {"Content-Type": kind})

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, [{"codeapp": "5000"}])


def _refused(status: int, code: str) -> TwinRefusal:
    return TwinRefusal(status, {"erreur": {"codeapp": code, "message": "Erreur"}})
