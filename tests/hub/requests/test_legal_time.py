"""Who moves a legal date, and from which day: from the event of a package to the dates that are shown."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bus.ledger import Ledger
from hub.clients.origin import Origin
from hub.requests.timeline import request_view
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from schemas.event import Event
from tests.support.acceptance import acceptance_of

TOWN = "saint-aubin"
NOVEMBER = datetime(2026, 11, 28, 9, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(("speaker", "said", "silence_on"), [
    ("koha", {"status": "incomplete", "documents_until": "2026-07-01"}, "2026-08-01"),  # a library asks for nothing
    ("voirie", {"status": "incomplete", "documents_until": "2026-07-01"}, "2026-08-22"),  # from 10 June on, as it says
    ("voirie", {"status": "incomplete"}, "2026-08-01"),
])  # fmt: skip
def test_only_who_decides_moves_a_legal_date_and_from_the_day_on_which_it_spoke(
    tmp_path: Path, speaker: str, said: dict[str, Any], silence_on: str
) -> None:
    """A letter of 1 June, and documents asked for on 10 June: the hub hears of both on 28 November."""
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db", now=lambda: NOVEMBER)
    ledger.create()
    town = Tenant(TOWN, "Ville", "21930001100018", "93001", {"signature-book": "voirie"})
    members = [ConnectionRouting(f"{TOWN}.{name}", TOWN, name, name) for name in ("koha", "voirie")]
    acceptance = acceptance_of(Directory(members, load_procedures(), {TOWN: town}))

    def tell(name: str, kind: str, data: dict[str, Any], at: str) -> str:
        source = f"/{TOWN}/{name}"
        others = frozenset({"portail"})  # so that it may name the request, and has standing
        origin = Origin(f"{TOWN}.{name}", TOWN, frozenset({"*"}), (source,), connection=True, others=others)
        event = Event(kind, source, data, id=f"{name}-{kind}", time=at, version=2)
        (verdict,) = acceptance.submit(ledger, origin, [event])
        assert verdict.ok, verdict
        return verdict.request_id or ""

    record = {
        "references": [{"system": "portail", "id": "L-1"}], "procedure": "occupation-domaine-public",
        "submitted_at": "2026-06-01T08:00:00Z", "intake": "mail",
        "requester": {"organisation": {"name": "Café des Tilleuls", "siret": "99999000500012"}},
    }  # fmt: skip
    request_id = tell("portail", "request.received", {"request": record}, "2026-11-28T08:00:00Z")
    data = {"request": {"id": request_id}, "native": {"code": "I", "label": "Incomplet"}, **said}
    tell(speaker, "request.status-changed", data, "2026-06-10T08:00:00Z")

    with ledger.reading() as tx:
        view = request_view(tx, acceptance.directory, TOWN, request_id)
    assert view is not None
    assert (view["clocks"]["silence_on"], view["clocks"]["suspended"]) == (silence_on, False)
    ledger.close()
