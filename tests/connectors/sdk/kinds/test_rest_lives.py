"""A REST package that is declared alone, in a running hub: it is told a move, and tells one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bus.tables import events
from schemas.event import Event
from tests.connectors.sdk.kinds.agenda import EXAMPLES
from tests.connectors.sdk.kinds.twins import LibraryTwin
from tests.support.town import TENANT, Town

MOVE = {
    "citizen": {"references": [{"system": "portail", "id": "u-1"}]},
    "new_address": {
        "value": {"street": "4 chemin du Vieux Lavoir", "postal_code": "93001", "city": "Saint-Aubin"},
        "source": "portail", "date": "2026-03-02", "quality": "declared",
    },
}  # fmt: skip


@pytest.fixture
def library() -> Iterator[LibraryTwin]:
    with LibraryTwin() as twin:
        yield twin


@pytest.fixture
def town(tmp_path: Path, library: LibraryTwin) -> Iterator[Town]:
    ours = tmp_path / "ours" / "mediatheque"
    shutil.copytree(EXAMPLES / "mediatheque", ours, ignore=shutil.ignore_patterns("case.py", "__pycache__"))
    (tmp_path / "secret").write_text("a-client-secret", encoding="utf-8")
    settings = {
        "base_url": library.url, "client_id": "hub", "client_secret": {"file": str(tmp_path / "secret")},
        "catch_up_days": 1, "timeout_seconds": 5,
    }  # fmt: skip
    town = Town(tmp_path, {"mediatheque": {"connector": "mediatheque", "settings": settings}}, connectors_dir="ours")
    yield town
    town.close()


def told(town: Town) -> list[str]:
    with town.hub.ledger.reading() as tx:
        return [str(row.id) for row in tx.sql.execute(select(events)).all()]


def test_it_is_told_a_move_and_tells_those_of_its_own_desk(town: Town, library: LibraryTwin) -> None:
    card = library.add(1, datetime.now(UTC) - timedelta(days=9))
    town.link(("Quenneville", "portail", "u-1"), ("Quenneville", "mediatheque", card))
    town.start()

    verdicts = town.submit(Event("citizen.address-changed", f"/{TENANT}/portail", MOVE, id="m-1"))
    assert [verdict.outcome for verdict in verdicts] == ["accepted"]
    town.until(lambda: library.readers[card]["address"]["street"] == "4 chemin du Vieux Lavoir")
    town.until(lambda: town.counts("mediatheque") == {"delivered": 1})

    library.add(2, datetime.now(UTC) - timedelta(minutes=1))
    for poller in town.hub.pollers.values():
        poller.hurry()
    town.until(lambda: any(name.startswith("reader/C0002/") for name in told(town)))
