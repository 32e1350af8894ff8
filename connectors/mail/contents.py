"""What can be bad in a document that goes with a message."""

from __future__ import annotations

from collections.abc import Callable

from connectors.conformance.case import Bench
from connectors.conformance.contents import Content, error_of, said
from connectors.mail.case import message
from connectors.mail.connector import Mail
from connectors.mail.twin import MailTwin


def _sent_with(name: str, *, spoilt: bool = False) -> Callable[[Bench], str]:
    def act(bench: Bench) -> str:
        with MailTwin() as twin:
            document = bench.documents.store(b"%PDF", name=name, media_type="application/pdf")
            bench.documents.contents[document.id] = b"%PDX" if spoilt else b"%PDF"
            connector = Mail(bench.context(twin.settings()))
            error = error_of(lambda: connector.handle(message("d-1", documents=[document.to_data()])))
            if error is None:
                return f"sent as {', '.join(twin.messages[0].attachments)}"
            assert twin.messages == [], "it was sent nevertheless"
            return f"{said(error)}: {error}"

    return act


contents = (
    Content("a document that changed since it was named", _sent_with("a.pdf", spoilt=True)),
    Content("a document named `../a.pdf`", _sent_with("../a.pdf")),
)
