"""How the suite plays a civil-status office: it collects requests, and its agents answer by return files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from connectors.conformance import Bench, Case
from connectors.conformance.examples import document_came, message_came, reopened
from connectors.etatcivil.connector import EtatCivil
from connectors.etatcivil.twin import CivilStatusTwin
from schemas.delivery import Delivery
from schemas.event import Event

_PROOF = b"%PDF identity"
_REQUESTER = {
    "citizen": {
        "identity": {"family_name": "OUALI", "given_names": ["Inès", "Léa"], "birthdate": "1990-05-17"},
        "email": "ines.ouali@courriel.example",
        "address": {"street": "12 bis rue des Tilleuls", "postal_code": "93999", "city": "Saint-Aubin"},
    }
}  # fmt: skip
_HOLDER = {
    "identity": {
        "family_name": "MARCHETTI", "given_names": ["Ugo"], "gender": "male", "birthdate": "1984-03",
        "birthplace": "93001",
    }
}  # fmt: skip
_FORM: dict[str, Any] = {
    "event_kind": "NAI", "document_kind": "EXTAF", "copies": 2, "motive": "Dossier « retraite » & notaire",
    "event_date": "1984-03", "event_place": {"city": "Saint-Aubin", "insee_code": "93001"},
    "requester_capacity": "Fils ou fille",
}  # fmt: skip


def request(number: str, key: str, *, documents: Sequence[Mapping[str, Any]] = (), **form: Any) -> Delivery:
    """A request for a birth record, with a proof of identity unless other documents are named."""
    proof = {
        "id": hashlib.sha256(_PROOF).hexdigest(), "name": "Pièce d'identité.pdf", "media_type": "application/pdf",
        "size": len(_PROOF), "sha256": hashlib.sha256(_PROOF).hexdigest(),
    }  # fmt: skip
    body = {
        "references": [{"system": "hubee", "id": number}], "procedure": "acte-naissance",
        "submitted_at": "2026-03-02T09:14:05Z", "intake": "online", "requester": _REQUESTER,
        "beneficiaries": [_HOLDER], "form": _FORM | form, "documents": documents or [proof],
    }  # fmt: skip
    event = Event(
        "request.received", "/saint-aubin/hubee", {"request": body}, id=f"e-{key}", time="2026-03-02T09:15:00Z"
    )
    return Delivery(event, key, request_id="0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201")


@contextmanager
def office(bench: Bench) -> Iterator[Case]:
    bench.documents.store(_PROOF, name="x", media_type="application/pdf")
    with CivilStatusTwin() as twin:
        settings = twin.connection_settings(timeout=max(bench.timeout, 0.5))
        added: list[str] = []

        def taken() -> list[str]:
            twin.collect()
            assert not twin.rejected, f"the office cannot read {twin.rejected}"
            return sorted([*twin.requests, *twin.follow_ups])

        def news(count: int) -> None:
            """Requests that were dropped, and rejected."""
            counter = EtatCivil(bench.context(settings | {"timeout": 5.0}))
            added.extend(str(counter.handle(request(f"n-{n}", f"n-{n}")).reference) for n in range(count))
            counter.close()
            twin.collect()
            for reference in added:
                twin.reject(reference, "Acte introuvable")

        yield Case(
            connect=lambda: EtatCivil(bench.context(settings)),
            twin=twin,
            deliveries=[request("0d5c1f7e", "d-1"), reopened(), message_came(), document_came(_PROOF)],
            effects=taken,
            refused=request("0d5c1f7f", "d-3", copies=400),
            deny=lambda: twin.misbehave("denied"),
            turns=[(message_came("m-3", reason="Merci"), message_came("m-4", reason="Une pièce manque"))],
            news=news,
            turn=lambda value: twin.answer(added[0], ("REJETEE", "EN_COURS")[value], ("Acte introuvable", "")[value]),
            personal=["MARCHETTI", "OUALI", "ines.ouali", "Tilleuls", "Acte introuvable", "1984-03"],
        )


cases = (office,)
