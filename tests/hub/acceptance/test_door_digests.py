"""What the door remembers of an event for a year tells nobody what the event said."""

from __future__ import annotations

from sqlalchemy import select, update

from bus.ledger import Ledger
from bus.tables import door
from hub.acceptance.accept import _digest
from tests.hub.acceptance.test_accept import Desk, received


def test_the_digest_of_an_event_is_keyed(ledger: Ledger) -> None:
    Desk(ledger).submit(received())

    with ledger.reading() as tx:
        kept = bytes(tx.sql.execute(select(door.c.digest)).scalar_one())

    assert kept != _digest(received())
    assert len(kept) == 32


def test_what_an_older_version_let_pass_is_a_duplicate_and_another_content_is_refused(ledger: Ledger) -> None:
    desk = Desk(ledger)
    desk.submit(received())
    with ledger.transaction() as tx:
        tx.sql.execute(update(door).values(digest=_digest(received())))

    (same,), (other,) = desk.submit(received()), desk.submit(received(procedure="occupation-domaine-public"))

    assert same.outcome == "duplicate"
    assert other.error is not None
    assert other.error.code == "id_reused"
