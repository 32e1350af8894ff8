"""A line of the journal is there with what it tells or not at all, and what is personal in it can be erased."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from hub.journal.entries import JournalConflict
from hub.storage.person_keys import KeyDestroyed
from hub.storage.tables import journal
from tests.hub.journal.house import House, checked, entry


class _Killed(Exception):
    """The process stops here."""


def test_a_line_is_there_with_what_it_tells_or_not_at_all(house: House) -> None:
    def fail() -> None:
        with house.ledger.transaction() as tx:
            house.journal.write(tx, entry())
            raise _Killed

    with pytest.raises(_Killed):
        fail()
    assert house.count(journal) == 0


def test_the_same_entry_written_twice_is_one_line(house: House) -> None:
    one, other = entry(1), entry(2)
    house.write(one)
    house.at += 5

    house.write(one, other, other)

    assert house.count(journal) == 2


@pytest.mark.parametrize("changed", [{"outcome": "refused"}, {"facts": {}}, {"personal": {"agent": "x"}}])
def test_another_content_under_the_same_id_is_an_error(house: House, changed: dict[str, Any]) -> None:
    one = entry(1)
    house.write(one)

    with pytest.raises(JournalConflict):
        house.write(entry(1, id=one.id, **changed))


def test_what_is_personal_is_not_readable_at_rest_nor_in_an_export(house: House) -> None:
    house.fill(3)

    with house.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal)).all()
        (line, *_) = house.journal.of_citizen(tx, "ville", "person-1")
    assert b"dupont" not in house.exported() + str(rows).encode()
    assert line.personal == {"agent": "é. dupont"}


def test_lines_of_a_person_come_newest_first_within_their_tenant_and_time(house: House) -> None:
    for number in (1, 5, 9, 3, 13):
        house.at += 10
        house.write(entry(number))

    with house.ledger.reading() as tx:
        found = house.journal.of_citizen(tx, "ville", "person-1", house.at - 40, house.at, 2)
        elsewhere = house.journal.of_citizen(tx, "ccas", "person-1")
    assert [line.entry.facts["number"] for line in found] == [5, 1]
    assert [line.entry.facts["number"] for line in elsewhere] == [9]


def test_a_line_about_nobody_has_its_personal_part_too(house: House) -> None:
    refused = entry(1, citizen_id=None)
    house.write(refused)

    with house.ledger.reading() as tx:
        line = house.journal.find_line(tx, refused.id)
    assert line is not None
    assert line.personal == {"agent": "é. dupont"}


def test_nothing_personal_is_written_about_who_was_erased(house: House) -> None:
    with house.ledger.transaction() as tx:
        house.keys.destroy(tx, "person-1")

    with pytest.raises(KeyDestroyed):
        house.write(entry(1))
    house.write(entry(1, personal={}))

    assert house.count(journal) == 1


def test_a_destroyed_key_erases_what_is_personal_and_the_journal_still_verifies(house: House) -> None:
    house.fill(3, 9)
    with house.ledger.transaction() as tx:
        house.keys.destroy(tx, "person-1")

    with house.ledger.reading() as tx:
        lines = house.journal.of_citizen(tx, "ville", "person-1")
        others = house.journal.of_citizen(tx, "ville", "person-2")
    assert {line.personal for line in lines} == {None}
    assert others[0].personal == {"agent": "é. dupont"}
    assert checked(house.exported()).ok
