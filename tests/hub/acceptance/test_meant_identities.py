"""What the door reads of a person by its meaning is accepted as the shared record says it."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.operations.link_import import import_links
from hub.storage.tables import citizens
from schemas.errors import InvalidMessage
from tests.hub.acceptance.test_accept import TOWN, Desk, person, received
from tests.support.town import HEADER


def asks(number: str = "1", **identity: Any) -> Any:
    who = person()
    return received(number, requester={"citizen": who | {"identity": {**who["identity"], **identity}}})


def told(ledger: Ledger, request_id: str | None) -> dict[str, Any]:
    with ledger.reading() as tx:
        (stored,) = tx.events_of_request(request_id or "")
    identity: dict[str, Any] = stored.event.data["request"]["requester"]["citizen"]["identity"]
    return identity


@pytest.mark.parametrize("written", ["1962-00-00", "00/00/1962", "1962"])
def test_a_date_of_which_a_part_is_unknown_is_accepted_as_far_as_it_is_known(ledger: Ledger, written: str) -> None:
    (verdict,) = Desk(ledger).submit(asks(birthdate=written))

    assert verdict.outcome == "accepted"
    assert told(ledger, verdict.request_id)["birthdate"] == "1962"


def test_what_is_no_date_is_refused_at_its_place(ledger: Ledger) -> None:
    (verdict,) = Desk(ledger).submit(asks(birthdate="31/02/1962", birthplace=""))

    assert verdict.error is not None
    assert verdict.error.pointer == "/data/request/requester/citizen/identity/birthdate"


@pytest.mark.parametrize("empty", ["birthplace", "family_name"])
def test_an_empty_member_of_franceconnect_is_absent(ledger: Ledger, empty: str) -> None:
    (verdict,) = Desk(ledger).submit(asks(**{empty: ""}))

    assert verdict.outcome == "accepted"
    assert told(ledger, verdict.request_id).get(empty) in (None, "-")


def test_two_people_without_a_family_name_are_two(ledger: Ledger) -> None:
    desk = Desk(ledger)

    desk.submit(asks(family_name=""), asks("2", family_name=""))

    with ledger.reading() as tx:
        assert len(tx.sql.execute(select(citizens.c.id)).all()) == 2


def test_the_same_event_sent_again_is_a_duplicate_however_its_date_is_written(ledger: Ledger) -> None:
    desk = Desk(ledger)

    first = desk.submit(asks(birthdate="00/07/1962"))
    again = desk.submit(asks(birthdate="07/1962"))

    assert [verdict.outcome for verdict in (*first, *again)] == ["accepted", "duplicate"]


def test_a_file_of_links_is_read_as_the_door_reads(ledger: Ledger) -> None:
    desk = Desk(ledger)
    line = "SORBIER;Blanche, Ida;female;{};;koha;K-1;\n"

    assert import_links(ledger, desk.acceptance, TOWN, HEADER + line.format("00/07/1962")) == 1
    with pytest.raises(InvalidMessage, match="birthdate"):
        import_links(ledger, desk.acceptance, TOWN, HEADER + line.format("00/13/1962"))
