"""Settings and calls of one Publik connection, for tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from connectors.conformance.case import MemoryDocuments
from connectors.publik.connector import Publik
from connectors.publik.twin import PublikTwin
from connectors.sdk import Inbound, Secret
from connectors.sdk.signed_query import sign
from schemas.delivery import Delivery
from schemas.event import Event
from schemas.exchange import Question
from tests.support.context import NOON, context_for
from tests.support.patience import LONG

FIXTURES = Path(__file__).parent / "fixtures"
ORIG, KEY = "demarches.saint-aubin.example", "clef-push"
SLUG = "changement-d-adresse"
MOVE: dict[str, Any] = {
    "procedure": "changement-adresse",
    "fields": {
        "nom_naissance": "/requester/identity/family_name",
        "prenoms": "/requester/identity/given_names",
        "civilite": "/requester/identity/gender",
        "date_naissance": "/requester/identity/birthdate",
        "commune_naissance": "/requester/identity/birthplace",
        "courriel": "/requester/email",
        "menace": "/requester/confidential",
        "ancienne_voie": "/old_address/street",
        "ancien_code_postal": "/old_address/postal_code",
        "ancienne_ville": "/old_address/city",
        "nouvelle_adresse_raw": "/new_address/ban_key",
        "nouvelle_adresse_structured.housenumber": "/new_address/house_number",
        "nouvelle_adresse_structured.street": "/new_address/street",
        "nouvelle_adresse_structured.postcode": "/new_address/postal_code",
        "nouvelle_adresse_structured.city": "/new_address/city",
        "batiment": "/new_address/complement",
        "date_demenagement": "/effective_on",
        "nouveau_telephone": ["/contact/phone", "/requester/phone"],
        "commentaire": "/form/commentaire",
    },
    "household": {
        "block": "foyer",
        "fields": {
            "nom": "/identity/family_name",
            "prenom": "/identity/given_names",
            "naissance": "/identity/birthdate",
        },
    },
    "documents": {"justificatif": "proof-of-address"},
}
TERRACE: dict[str, Any] = {
    "procedure": "occupation-domaine-public",
    "fields": {
        "raison_sociale": "/organisation/name",
        "siret": "/organisation/siret",
        "gerant_nom": "/requester/identity/family_name",
        "gerant_prenom": "/requester/identity/given_names",
        "surface": "/form/surface_m2",
        "mobilier": "/form/mobilier",
    },
}
BIRTH: dict[str, Any] = {
    "procedure": "inscription-scolaire",
    "fields": {
        "nom": "/requester/identity/family_name",
        "prenom": "/requester/identity/given_names",
        "enfant_nom": "/beneficiary/identity/family_name",
        "enfant_prenom": "/beneficiary/identity/given_names",
        "enfant_sexe": "/beneficiary/identity/gender",
    },
}


CANTEEN: dict[str, Any] = {
    "form": "cantine",
    "registered": ["open"],
    "not_registered": ["closed"],
    "fields": {"school_year": "annee", "school": "ecole", "days": "jours"},
}
PARENT = "0c6f5b1e2d3a4f5b8c7d9e0f1a2b3c4d"
MEALS = {"annee": "2026/2027", "ecole": "École du Vieux Lavoir", "jours": "Lundi, Mardi,jeudi", "enfant": "Tancrède"}


def about(parent: str | None = PARENT, **parameters: Any) -> Question:
    fields = ("registered", "school_year", "school", "days")
    return Question(
        "echange-1", "canteen-registration", 1, fields, "tarif-cantine", 5.0, reference=parent, parameters=parameters
    )


def settings(url: str = "http://127.0.0.1:9", **more: Any) -> dict[str, Any]:
    return {
        "base_url": url, "client_id": "unefois", "client_secret": Secret("clef-api"), "timeout_seconds": LONG,
        "incoming_id": ORIG, "incoming_secret": Secret(KEY),
        "forms": {SLUG: MOVE, "terrasse": TERRACE, "inscription": BIRTH},
    } | more  # fmt: skip


def town_settings() -> dict[str, Any]:
    """Of a town whose catalogue is the hub's own."""
    return settings(forms={SLUG: MOVE})


def connector(twin: PublikTwin | None = None, *, documents: MemoryDocuments | None = None, **more: Any) -> Publik:
    url = twin.url if twin else "http://127.0.0.1:9"
    return Publik(context_for("publik", settings(url, **more), documents=documents))


def fixture() -> dict[str, Any]:
    body: dict[str, Any] = json.loads((FIXTURES / "changement-adresse.json").read_text(encoding="utf-8"))
    return body


def pushed(
    body: object, *, slug: str = SLUG, key: str = KEY, orig: str = ORIG, at: datetime = NOON, nonce: str = "6e6f6e6365"
) -> Inbound:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    query = sign({}, orig=orig, key=Secret(key), now=at, nonce=nonce)
    return Inbound("POST", f"/{slug}", {"content-type": "application/json"}, dict(parse_qsl(query)), raw, query)


def status(reference: str | None, word: str | None = "in_progress", *, key: str = "remise-1", **data: Any) -> Delivery:
    said: Mapping[str, Any] = {"status": word, "native": {"code": "EN_COURS", "label": "En cours"}, **data}
    return Delivery(Event("request.status-changed", "/saint-aubin/etatcivil", said), key, reference)
