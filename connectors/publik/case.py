"""How the suite plays a portal: forms that are filed and pushed, a workflow that takes triggers, a canteen."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

from connectors.conformance import Asked, Bench, Case
from connectors.publik.connector import Publik
from connectors.publik.twin import PublikTwin, file_field
from connectors.sdk import Inbound, Secret
from connectors.sdk.signed_query import sign
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.exchange import Question

_ORIG, _KEY = "demarches.saint-aubin.example", "clef-push"
_SLUG, _PARENT = "changement-d-adresse", "0c6f5b1e2d3a4f5b8c7d9e0f1a2b3c4d"
_MOVE: dict[str, Any] = {
    "procedure": "changement-adresse",
    "fields": {
        "nom": "/requester/identity/family_name", "prenoms": "/requester/identity/given_names",
        "civilite": "/requester/identity/gender", "naissance": "/requester/identity/birthdate",
        "courriel": "/requester/email", "voie": "/new_address/street", "code_postal": "/new_address/postal_code",
        "ville": "/new_address/city", "le": "/effective_on", "telephone": ["/contact/phone", "/requester/phone"],
        "commentaire": "/form/commentaire",
    },
    "household": {
        "block": "foyer",
        "fields": {
            "nom": "/identity/family_name", "prenom": "/identity/given_names", "naissance": "/identity/birthdate",
        },
    },
    "documents": {"justificatif": "proof-of-address"},
}  # fmt: skip
_FILED: dict[str, Any] = {
    "nom": "Quenneville", "prenoms": "Solène, Irma", "civilite": "Mme", "naissance": "09/03/1987",
    "courriel": "solene.quenneville@courriel.example", "voie": "4 chemin du Vieux Lavoir", "code_postal": "93001",
    "ville": "Saint-Aubin", "le": "01/04/2026", "telephone": "04 00 00 00 12", "foyer": "Tancrède Quenneville",
    "foyer_raw": [{"prenom": "Tancrède", "nom": "Quenneville", "naissance": "2018-11-30"}],
    "justificatif": file_field("facture.pdf", b"%PDF-1.4 facture"), "commentaire": None,
}  # fmt: skip
_CANTEEN: dict[str, Any] = {
    "form": "cantine", "registered": ["open"], "not_registered": ["closed"],
    "fields": {"school_year": "annee", "school": "ecole", "days": "jours"},
}  # fmt: skip
_MEALS = {"annee": "2026/2027", "ecole": "École du Vieux Lavoir", "jours": "Lundi, Mardi,jeudi", "enfant": "Tancrède"}
_STREETS = ("4 chemin du Vieux Lavoir", "7 rue du Marché")


def _status(reference: str, word: str, key: str) -> Delivery:
    said = {"status": word, "native": {"code": "EN_COURS", "label": "En cours"}}
    return Delivery(Event("request.status-changed", "/saint-aubin/etatcivil", said, id=f"e-{key}"), key, reference)


def _about(parent: str) -> Question:
    fields = ("registered", "school_year", "school", "days")
    return Question("echange-1", "canteen-registration", 1, fields, "tarif-cantine", 5.0, reference=parent)


def settings(url: str, timeout: float = 2.0) -> dict[str, Any]:
    """Those of a connection to a portal at this address."""
    return {
        "base_url": url, "client_id": "unefois", "client_secret": Secret("clef-api"), "timeout_seconds": timeout,
        "incoming_id": _ORIG, "incoming_secret": Secret(_KEY), "forms": {_SLUG: _MOVE}, "canteen": _CANTEEN,
        "catch_up_days": 1,
    }  # fmt: skip


def signed(body: bytes, at: datetime, *, key: str = _KEY, nonce: str = "0" * 32, slug: str = _SLUG) -> Inbound:
    """A push of the portal, signed at this hour."""
    query = sign({}, orig=_ORIG, key=Secret(key), now=at, nonce=nonce)
    return Inbound("POST", f"/{slug}", {"content-type": "application/json"}, dict(parse_qsl(query)), body, query)


def form(number: str, **fields: Any) -> dict[str, Any]:
    """A form about a move as the portal pushes it."""
    return {
        "id": number, "receipt_time": "2026-03-02T10:14:05", "last_update_time": "2026-03-02T10:14:09",
        "url": f"https://demarches.saint-aubin.example/{_SLUG}/{number}/", "fields": _FILED | fields,
        "user": {"id": 7, "name": "S. Q.", "NameID": [_PARENT]}, "submission": {"backoffice": False, "channel": "web"},
        "workflow": {"status": {"id": "new", "name": "Nouvelle", "endpoint": False}, "data": None}, "roles": {},
    }  # fmt: skip


@contextmanager
def portal(bench: Bench) -> Iterator[Case]:
    with PublikTwin(now=bench.clock()) as twin:
        filed = [twin.submit("terrasse", {}) for _ in range(2)]
        first, second = (f"terrasse/{one.number}" for one in filed)
        meals = twin.submit("cantine", _MEALS, user={"NameID": [_PARENT]})
        meals.status = "open"
        nonces = itertools.count(1)

        def submit(**changes: Any) -> None:
            at = (bench.clock() - timedelta(minutes=1)).astimezone(ZoneInfo("Europe/Paris"))
            twin.submit(_SLUG, _FILED | changes, user={"NameID": [_PARENT]}, received=at.strftime("%Y-%m-%dT%H:%M:%S"))

        def submit_all(count: int) -> None:
            for _ in range(count):
                submit()

        def push(body: bytes, key: str = _KEY) -> Inbound:
            return signed(body, bench.clock(), key=key, nonce=f"{next(nonces):032x}")

        def pushed(number: str, key: str = _KEY, **fields: Any) -> Inbound:
            return push(json.dumps(form(number, **fields)).encode(), key)

        yield Case(
            connect=lambda: Publik(bench.context(settings(twin.url, bench.timeout))),
            twin=twin,
            deliveries=[_status(first, "in_progress", "remise-1"), _status(second, "granted", "remise-2")],
            effects=lambda: [one.jumps for one in filed],
            refused=_status("terrasse/99", "in_progress", "remise-3"),
            deny=lambda: twin.misbehave("401"),
            turns=[(_status(first, "in_progress", "remise-4"), _status(first, "incomplete", "remise-5"))],
            news=lambda count: submit_all(count),
            turn=lambda value: submit(voie=_STREETS[value]),
            inbound=[pushed("42"), pushed("43", voie=_STREETS[1])],
            resigned=lambda inbound, body: replace(push(body), path=inbound.path),
            forged=[pushed("44", "autre"), replace(pushed("45"), query={}, query_string="")],
            personal=["Quenneville", "Solène", "Lavoir", "Marché", "solene.", "Tancrède"],
            asked=[Asked(_about(_PARENT), _about("f" * 32), narrow=lambda: meals.fields.pop("ecole"))],
        )


cases = (portal,)
