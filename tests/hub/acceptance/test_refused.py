"""What a handler returned and the door refused: kept sealed, grouped, handed in again."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Finished, Ledger
from bus.tables import DELIVERED
from bus.worker import Ended
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.refused import find_refused, refused_event, refused_groups, refused_of_group
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Tenant
from hub.storage.cipher import BodyCipher
from hub.storage.tables import refused_events
from schemas.delivery import Delivery, Done, delivery_key
from schemas.event import Event
from schemas.secret import Secret
from tests.support.acceptance import acceptance_of

TOWN = "saint-aubin"
NAME = f"{TOWN}.parapheur"
KEY = Secret(base64.b64encode(bytes(range(32))).decode())
NATIVE = {"code": "X", "label": "Visa de Blanche Sorbier"}


class Clock:
    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def __call__(self) -> float:
        return self.at


class Desk:
    """The hub's side of one connection, as its worker uses it."""

    def __init__(self, url: str, **more: Any) -> None:
        self.clock = Clock()
        self.ledger = Ledger(url, cipher=BodyCipher(KEY), now=self.clock)
        self.ledger.create()
        routing = ConnectionRouting(NAME, TOWN, "parapheur", "Parapheur", publishes=("*",), **more)
        tenant = Tenant(TOWN, "Ville", "21930001100018", "93001")
        directory = Directory([routing], procedures.load_procedures(), {TOWN: tenant})
        self.deliveries = Deliveries(acceptance_of(directory))

    def settle(self, *events: Event) -> None:
        """A handler is done and returned these events."""
        handled = Event("message.requested", f"/{TOWN}/hub", {}, id="handled")
        ended = Ended(Delivery(handled, "key"), Finished(1, DELIVERED, "s:x"), Done("fait", events=events))
        with self.ledger.transaction() as tx:
            self.deliveries.settle(tx, NAME, [ended])

    def rows(self) -> list[Any]:
        with self.ledger.reading() as tx:
            return list(tx.sql.execute(select(refused_events)))


def step(number: int = 1, reference: str = "nobody") -> Event:
    link = {"references": [{"system": "parapheur", "id": reference}]}
    data = {"request": link, "status": "in_progress", "native": NATIVE}
    return Event("request.status-changed", f"/{TOWN}/parapheur", data, id=f"step-{number}")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    desk = Desk(url)
    yield desk
    desk.ledger.close()


def test_what_the_door_refuses_is_kept_sealed_with_its_cause(desk: Desk) -> None:
    desk.settle(step(1), step(2))

    with desk.ledger.reading() as tx:
        (group,) = refused_groups(tx)
        found = refused_of_group(tx, NAME, "unknown_request")
        assert (group.connection, group.code, group.number) == (NAME, "unknown_request", 2)
        assert {refused_event(tx, one.id).id for one in found} == {"step-1", "step-2"}
        assert refused_event(tx, found[0].id).data["native"] == NATIVE
    assert not any("Sorbier" in str(part) or b"Sorbier" in bytes(row.sealed) for row in desk.rows() for part in row)


def test_the_same_event_again_is_one_row_with_its_latest_day(desk: Desk) -> None:
    desk.settle(step(), step())
    desk.clock.at += 60
    desk.settle(step())

    (row,) = desk.rows()

    assert (row.at, row.last_at) == (1_790_000_000.0, 1_790_000_060.0)


def test_an_event_of_another_place_does_not_open(desk: Desk) -> None:
    """Whoever owns the database can move a row, not make it another's."""
    desk.settle(step(1), step(2))
    first, second = desk.rows()
    with desk.ledger.transaction() as tx:
        tx.sql.execute(refused_events.update().where(refused_events.c.id == first.id).values(sealed=second.sealed))

    with desk.ledger.reading() as tx, pytest.raises(Exception, match="does not open"):
        refused_event(tx, first.id)


def test_what_is_refused_again_stays_with_its_new_cause(desk: Desk) -> None:
    desk.settle(step())
    (row,) = desk.rows()

    with desk.ledger.transaction() as tx:
        error = desk.deliveries.submit_refused(tx, NAME, refused_event(tx, row.id))

    assert error is not None
    with desk.ledger.reading() as tx:
        kept = find_refused(tx, row.id)
        assert kept is not None
        assert kept.code == error.code == "unknown_request"


def test_what_a_handler_returns_of_an_unknown_request_is_no_fault_where_its_manifest_says_so(tmp_path: Path) -> None:
    desk = Desk(f"sqlite:///{tmp_path}/hub.db", skips_unknown=True)
    odd = replace(step(2), data={**step(2).data, "status": "approuvé"})

    desk.settle(step(1), odd)

    assert [(row.code, row.id) for row in desk.rows()] == [("schema_violation", delivery_key(NAME, odd))]
    desk.ledger.close()
