"""Requests for civil records about invented people."""

from __future__ import annotations

import hashlib
from typing import Any

from schemas.delivery import Delivery
from schemas.event import Event

PROCEDURES = {"NAI": "acte-naissance", "MAR": "acte-mariage", "DEC": "acte-deces", "REC": "acte-reconnaissance"}

REQUESTER = {
    "citizen": {
        "identity": {
            "family_name": "OUALI", "given_names": ["Inès", "Léa"], "gender": "female", "birthdate": "1990-05-17",
        },
        "email": "ines.ouali@courriel.example",
        "phone": "+33600000000",
        "address": {
            "house_number": "12 bis", "street": "rue des Tilleuls", "complement": "Bât. C", "postal_code": "93999",
            "city": "Saint-Aubin",
        },
    }
}  # fmt: skip
HOLDER = {
    "identity": {
        "family_name": "MARCHETTI", "given_names": ["Ugo"], "gender": "male", "birthdate": "1984-03",
        "birthplace": "93001", "preferred_name": "Marchetti-Roy",
    }
}  # fmt: skip
SPOUSE = {"family_name": "ROY", "given_names": ["Anaïs"], "gender": "female"}
PARENTS = [
    {"role": "mother", "family_name": "OUALI", "given_names": ["Nadia"], "preferred_name": "MARCHETTI"},
    {"role": "father", "family_name": "MARCHETTI", "given_names": ["Paul"]},
]


def form(kind: str = "NAI", **changes: Any) -> dict[str, Any]:
    answers: dict[str, Any] = {
        "event_kind": kind, "document_kind": "EXTAF", "copies": 2, "motive": "Dossier « retraite » & notaire",
        "event_date": "1984-03", "event_place": {"city": "Saint-Aubin", "insee_code": "93001"},
        "requester_capacity": "Fils ou fille",
    }  # fmt: skip
    if kind == "REC":
        answers["recognition"] = {"subject": "recognised", "kind": "Paternelle"}
    if kind == "MAR":
        answers["spouse"] = SPOUSE
    answers |= changes
    return {key: value for key, value in answers.items() if value is not None}


def document(content: bytes, name: str) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"id": digest, "name": name, "media_type": "application/pdf", "size": len(content), "sha256": digest}


def request(kind: str = "NAI", answers: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "references": [{"system": "hubee", "id": "0d5c1f7e-58c2-4f5b-9a53-2f7a5f6d9e10"}],
        "procedure": PROCEDURES[kind], "submitted_at": "2026-03-02T09:14:05Z", "intake": "online",
        "requester": REQUESTER, "beneficiaries": [HOLDER], "form": form(kind) if answers is None else answers,
    }  # fmt: skip
    body |= changes
    return {key: value for key, value in body.items() if value is not None}


def delivery(body: dict[str, Any], key: str = "d-1") -> Delivery:
    event = Event("request.received", "/saint-aubin/hubee", {"request": body}, id="e-1", time="2026-03-02T09:15:00Z")
    return Delivery(event, key, request_id="0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201")
