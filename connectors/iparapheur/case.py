"""How the suite plays a signature book: acts to sign, and elected people who sign, refuse and send back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.conformance import Bench, Case
from connectors.iparapheur.connector import SignatureBook
from connectors.iparapheur.twin import ParapheurTwin
from schemas.delivery import Delivery
from schemas.event import Event

_REQUEST: dict[str, Any] = {
    "references": [{"system": "publik", "id": "occupation-domaine-public-77"}],
    "procedure": "occupation-domaine-public",
    "submitted_at": "2026-03-02T10:14:05.120+01:00",
    "requester": {"citizen": {"identity": {"family_name": "Corvisart", "given_names": ["Maëlle", "Odette"]}}},
    "form": {
        "lieu": "12 rue de l'Église", "du": "2026-05-01", "au": "2026-09-30", "surface_m2": 14,
        "mobilier": ["tables", "parasols"],
    },
}  # fmt: skip


def _act(key: str) -> Delivery:
    return Delivery(Event("request.received", "/saint-aubin/publik", {"request": _REQUEST}, id=f"e-{key}"), key)


@contextmanager
def signature_book(bench: Bench) -> Iterator[Case]:
    with ParapheurTwin(password="s3cret", now=bench.clock) as twin:  # noqa: S106
        settings = twin.settings(timeout_seconds=bench.timeout)
        sent_back: list[str] = []

        def deposited(count: int) -> list[str]:
            office = SignatureBook(bench.context(settings | {"timeout_seconds": 5}))
            made = [str(office.handle(_act(f"n-{len(twin.dossiers)}-{n}")).reference) for n in range(count)]
            office.close()
            return made

        def news(count: int) -> None:
            """Dossiers that were signed."""
            for dossier in deposited(count):
                twin.finish(dossier)

        def turn(value: int) -> None:
            """Rejected, or sent back to its start: each is one line more in the log of a dossier."""
            sent_back.extend([] if sent_back else deposited(1))
            if value:
                twin.reject(sent_back[0], "La surface est trop grande")
            else:
                twin.resume(sent_back[0])

        yield Case(
            connect=lambda: SignatureBook(bench.context(settings)),
            twin=twin,
            deliveries=[_act("d-1"), _act("d-2")],
            effects=lambda: [twin.created, sorted(twin.dossiers)],
            refuse=lambda: twin.say_ko("Le sous-type demandé par Maëlle Corvisart est inconnu"),
            deny=lambda: twin.misbehave("401"),
            news=news,
            turn=turn,
            personal=["Corvisart", "CORVISART", "Maëlle", "Église", "Marchand"],
        )


notes = """The contract gives a search no place to say KO: an error inside reads as an empty list, and the next poll
finds the dossiers. What cannot be archived is logged for a person, and tried again."""
cases = (signature_book,)
