"""An invented payment service: its twin, connections to it, and what is given to it by people who do not exist."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.soap import SoapConnector
from connectors.sdk.soap_twin import SoapFault, SoapTwin, operation
from connectors.sdk.twin import TwinAnswer, TwinCall, basic
from schemas.delivery import Delivery, Opened, Polled
from schemas.event import Event
from schemas.manifest import Manifest
from tests.connectors.sdk.kinds.agenda import EXAMPLES, context_of, example
from tests.support.context import NOON

SETTINGS: dict[str, Any] = {"regie": "090", "timeout_seconds": 2}


class PaymentTwin(SoapTwin):
    """Holds `opened` by number. `settle` says how a payment stands; `refuse` gives the next calls of an operation a
    code of the package's own."""

    wsdl = EXAMPLES / "encaissement" / "contract" / "encaissement.wsdl"

    def __init__(self) -> None:
        super().__init__()
        self.opened: dict[str, dict[str, Any]] = {}
        self.states: dict[str, dict[str, Any]] = {}
        self.refusals: dict[str, list[str]] = {}
        self.listed: list[dict[str, Any]] = []
        self.accounts: list[dict[str, Any]] = []
        self.sessions: list[str] = []
        self.account: tuple[str, str] | None = None
        self.known_keys = False  # whether `objet` is a key by which it knows a call again

    def settings(self, **more: Any) -> dict[str, Any]:
        return {**SETTINGS, "url": self.address, **more}

    def settle(self, number: str, state: str, **said: Any) -> None:
        self.states[number] = {"numeroOperation": number, "etat": state, **said}

    def refuse(self, name: str, *codes: str) -> None:
        self.refusals.setdefault(name, []).extend(codes)

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if self.account is None or call.headers.get("authorization") == basic(*self.account):
            return None
        return TwinAnswer(401, "<html><body>401</body></html>")

    @operation("lireRegie")
    def _about(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check("lireRegie", request)
        return {"return": "Régie d'essai"}

    @operation("ouvrirEncaissement")
    def _open(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check("ouvrirEncaissement", request)
        key = request["arg0"]["objet"]
        known = [number for number, one in self.opened.items() if self.known_keys and one["objet"] == key]
        number = known[0] if known else f"OP-{len(self.opened) + 1}"
        self.opened[number] = request["arg0"]
        return {"return": {"numeroOperation": number, "adresse": f"https://payer.example/{number}"}}

    @operation("etatEncaissement")
    def _state(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check("etatEncaissement", request)
        number = request["arg0"]["numeroOperation"]
        if number not in self.states:
            raise _refusal("P5")
        return {"return": self.states[number]}

    @operation("chercherEncaissement")
    def _search(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check("chercherEncaissement", request)
        found = [number for number, one in self.opened.items() if one["dossier"] == request["arg0"]["dossier"]]
        return {"return": {"numeroOperation": found[0], "etat": "C"}} if found else {}

    @operation("listerReglements")
    def _list(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check("listerReglements", request)
        size = request.get("taille") or 100
        start = (request["page"] - 1) * size
        since = request.get("depuis")
        fitting = [one for one in self.listed if since is None or _at(one) >= since]
        return {"reglement": fitting[start : start + size]}

    @operation("lireCompte")
    def _account(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        self._check("lireCompte", request)
        return {"compte": self.accounts}

    @operation("ouvrirSession")
    def _session(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["secret"] != "a-secret":
            raise SoapFault("FailedAuthentication")
        self.sessions.append(f"jeton-{len(self.sessions) + 1}")
        return {"jeton": self.sessions[-1]}

    def _check(self, name: str, request: Mapping[str, Any]) -> None:
        if self.sessions and (request.get("arg0") or {}).get("jeton") != self.sessions[-1]:
            raise SoapFault("FailedAuthentication")
        if codes := self.refusals.get(name):
            raise _refusal(codes.pop(0))


def _at(one: Mapping[str, Any]) -> datetime:
    found: datetime = one["modifieLe"]
    return found


def _refusal(code: str) -> SoapFault:
    return SoapFault("Server", "refus", {"RefusMetier": {"code": code, "libelle": "Mme Corvisart a déjà payé"}})


class Clock:
    """A clock that a test moves; `opened` is what the hub says of deliveries."""

    def __init__(self, now: datetime = NOON) -> None:
        self.now = now
        self.opened: list[Opened] = []

    def __call__(self) -> datetime:
        return self.now

    def later(self, **by: float) -> None:
        self.now += timedelta(**by)

    def open(self, reference: str = "OP-1", event_type: str = "request.received") -> None:
        self.opened.append(Opened(reference, event_type, self.now))

    def opened_since(self, since: datetime) -> list[Opened]:
        return [one for one in self.opened if one.at >= since]


def connection(
    twin: PaymentTwin, clock: Clock | None = None, *, manifest: Manifest | None = None, **settings: Any
) -> SoapConnector:
    manifest, clock = manifest or example("encaissement"), clock or Clock()
    context = context_of(manifest, twin.settings(**settings), now=clock, opened=clock.opened_since)
    made = connector_class(manifest)(context)
    assert isinstance(made, SoapConnector)
    return made


def payment(number: int = 1, reference: str = "cantine-17", **form: Any) -> Delivery:
    said = {"montant_centimes": 4550, "objet": "Cantine de mars"} | form
    data = {
        "request": {
            "references": [{"system": "portail", "id": reference}],
            "requester": {"citizen": {"email": "maelle.corvisart@courriel.example"}},
            "form": {name: value for name, value in said.items() if value is not None},
        }
    }
    event = Event("request.received", "/saint-aubin/portail", data, id=f"payment-{number}", version=2)
    return Delivery(event, key=f"key-{number}", request_id="6f0d9d0e-7c1f-4b52-9a59-30a4c9b6a001")


def polled(connector: SoapConnector, cursor: Mapping[str, Any] | None) -> tuple[list[Polled], Mapping[str, Any] | None]:
    """One poll, and the cursor as the hub keeps it then."""
    found = []
    for one in connector.poll(cursor):
        found.append(one)
        cursor = one.cursor if one.cursor is not None else cursor
    return found, cursor
