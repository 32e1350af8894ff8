"""How the suite plays an outgoing mail server that wants a login."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.conformance import Bench, Case
from connectors.conformance.examples import document_came, reopened
from connectors.mail.connector import Mail
from connectors.mail.twin import MailTwin
from schemas.delivery import Delivery
from schemas.event import Event

_MESSAGE: dict[str, Any] = {
    "request": {"references": [{"system": "publik", "id": "occupation-domaine-public-77"}]},
    "template": "acknowledgement",
    "to": {"email": "maelle.corvisart@courriel.example", "name": "Maëlle Corvisart"},
    "subject": "Accusé de réception de votre demande d'occupation du domaine public",
    "text": "Bonjour,\n\nVotre demande n° 77 a été reçue le 2 mars 2026.\n\nLa mairie",
}


def message(key: str, **changes: Any) -> Delivery:
    return Delivery(Event("message.requested", "/saint-aubin/hub", _MESSAGE | changes, id=f"e-{key}"), key)


@contextmanager
def server(bench: Bench) -> Iterator[Case]:
    store = bench.documents.store
    decision = store(b"%PDF decision", name="Décision.pdf", media_type="application/pdf").to_data()
    store(b"%PDF identity", name="x", media_type="application/pdf")
    with MailTwin(login=("unefois", "s3cret-smtp")) as twin:
        settings = twin.settings(timeout_seconds=bench.timeout, office="etat-civil@ville.example")
        yield Case(
            connect=lambda: Mail(bench.context(settings)),
            twin=twin,
            deliveries=[
                message("d-1"), message("d-2", template="decision", documents=[decision]), reopened(),
                document_came(b"%PDF identity"),
            ],
            effects=lambda: [(one.sender, one.recipients, one.message["Subject"]) for one in twin.messages],
            refuse=lambda: twin.misbehave("550", at="RCPT"),
            deny=lambda: twin.misbehave("535", at="AUTH"),
            turns=[(message("d-3"), message("d-4", subject="Votre demande a été refusée"))],
            personal=["Corvisart", "corvisart", "Maëlle", "n° 77 a été reçue", "Décision.pdf"],
        )  # fmt: skip


notes = """The operations are the steps of the conversation: `text` while the message goes over, `end` after it. Without
an answer to the end nobody knows whether the message left: it is parked, since SMTP knows no key of ours."""
cases = (server,)
