"""What can be bad in a return file of the civil-status office, and in what is dropped for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from connectors.conformance.case import Bench
from connectors.conformance.contents import Content, left_at
from connectors.etatcivil.case import request
from connectors.etatcivil.connector import EtatCivil
from connectors.etatcivil.twin import CivilStatusTwin

_ZIP = b"PK\x03\x04" + b"\x00" * 60
_HEAD = b"reference;statut;date;motif\r\n"


_returned = partial(left_at, CivilStatusTwin, EtatCivil)


def _dropped_with(name: str) -> Callable[[Bench], str]:
    """The office opens the ZIP as a stranger's."""

    def act(bench: Bench) -> str:
        with CivilStatusTwin() as office:
            document = bench.documents.store(b"%PDF", name=name, media_type="application/pdf")
            connector = EtatCivil(bench.context(office.connection_settings()))
            named: dict[str, Any] = document.to_data()
            connector.handle(request("0d5c1f7e", "d-1", documents=[named]))
            connector.close()
            office.collect()
            assert office.rejected == [], "the office cannot open it"
            [collected] = office.requests.values()
            return f"dropped as {', '.join(collected.attachments)}"

    return act


contents = (
    Content("a return file that is a ZIP", _returned("retour-a.csv", _ZIP)),
    Content("a ZIP, as for a record", _returned("acte.zip", _ZIP)),
    Content("a return file of 9 KiB", _returned("retour-a.csv", _HEAD + b"x" * 9000)),
    Content("a return file in another encoding", _returned("retour-a.csv", _HEAD + b"a;REJETEE;;\xe9")),
    Content("a return file with two lines", _returned("retour-a.csv", _HEAD + b"a;b;c;d\r\na;b;c;d")),
    Content("a return about another request", _returned("retour-a.csv", _HEAD + b"b;TRAITEE;2026-03-04;")),
    Content(
        "a return about a request that we never dropped",
        _returned("retour-hubee-1-ffff.csv", _HEAD + b"hubee-1-ffff;TRAITEE;2026-03-04;"),
    ),
    Content("a link to a file of the machine", _returned("retour-a.csv", None)),
    Content("a hidden file", _returned(".retour-a.csv", _HEAD)),
    Content("an attachment to drop, named `../../x.sh`", _dropped_with("../../x.sh")),
)
