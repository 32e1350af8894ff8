"""What must be told again is asked once, by whatever makes it needed, and of those of whom something is known."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.citizens.catch_ups import (
    LOOK_AGAIN,
    ask_for_known,
    ask_for_reader,
    ask_later,
    due_catch_ups,
    end_catch_ups,
    end_days,
    is_asked_for_reader,
    move_catch_ups,
    next_part,
    note_granted,
    put_off,
    standing,
    wait_for_source,
)
from hub.storage.tables import catch_ups, citizen_links, citizens
from tests.support.clock import Clock

TOWN = "valbruyere"
LIBRARY = f"{TOWN}.koha"


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rows(ledger: Ledger) -> list[tuple[str, str, str, int, str]]:
    with ledger.reading() as tx:
        found = tx.sql.execute(select(catch_ups).order_by(catch_ups.c.citizen_id, catch_ups.c.field, catch_ups.c.seq))
        return [(row.citizen_id, row.field, row.reader, row.seq, row.cause) for row in found]


def know(ledger: Ledger, *ids: str, system: str | None = None, merged_into: str | None = None) -> None:
    with ledger.transaction() as tx:
        for one in ids:
            tx.sql.execute(citizens.insert().values(
                id=one, tenant=TOWN, confidential=0, seen_at=tx.now, merged_into=merged_into,
            ))  # fmt: skip
            if system is not None:
                tx.sql.execute(citizen_links.insert().values(
                    tenant=TOWN, system=system, native_id=f"n-{one}", citizen_id=one, since=tx.now,
                ))  # fmt: skip


def test_what_is_asked_twice_is_asked_once_for_the_sooner_time(ledger: Ledger, clock: Clock) -> None:
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["a", "b", "a"], cause="load", due=clock.now + 60)
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["a"], cause="link")
        ask_later(tx, TOWN, ["b"], cause="link", due=clock.now + 600)
    with ledger.reading() as tx:
        assert [(one.citizen_id, one.cause) for one in due_catch_ups(tx, 10)] == [("a", "link")]
        assert {(row.citizen_id, row.due - clock.now) for row in tx.sql.execute(select(catch_ups))} == {
            ("a", 0),
            ("b", 60),
        }
    assert len(rows(ledger)) == 2


def test_it_is_kept_for_whom_it_is_asked_and_about_which_field(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["a"], cause="load", reader=LIBRARY, fields=["new_phone", "new_address"])
        ask_later(tx, TOWN, ["a"], cause="merge")
        ask_later(tx, TOWN, [], cause="merge")
    assert rows(ledger) == [
        ("a", "", "", 0, "merge"), ("a", "new_address", LIBRARY, 0, "load"), ("a", "new_phone", LIBRARY, 0, "load"),
    ]  # fmt: skip


def test_so_many_people_at_most_are_due_at_once_with_all_that_is_asked_of_them(ledger: Ledger, clock: Clock) -> None:
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["late"], cause="link", due=clock.now - 1)
        ask_later(tx, TOWN, ["first"], cause="link", due=clock.now - 9)
        ask_later(tx, TOWN, ["first"], cause="load", reader=LIBRARY)
    with ledger.reading() as tx:
        found = due_catch_ups(tx, 1)
    assert [(one.citizen_id, one.reader) for one in found] == [("first", ""), ("first", LIBRARY)]
    with ledger.transaction() as tx:
        end_catch_ups(tx, found)
        put_off(tx, due_catch_ups(tx, 5), seconds=30)
    with ledger.reading() as tx:
        assert not due_catch_ups(tx, 5)
    clock.now += 31
    with ledger.reading() as tx:
        assert [one.citizen_id for one in due_catch_ups(tx, 5)] == ["late"]


def test_a_day_that_comes_is_no_reason_to_look_before_it(ledger: Ledger, clock: Clock) -> None:
    day = clock.now + 86_400
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["a"], cause="date", due=day, fields=["new_address"], seq=7)
        ask_later(tx, TOWN, ["a"], cause="link")
        end_catch_ups(tx, due_catch_ups(tx, 5))
    with ledger.reading() as tx:
        assert not due_catch_ups(tx, 5)
        assert [(one["cause"], one["number"], one["later"]) for one in standing(tx)] == [("date", 1, 1)]
    clock.now = day
    with ledger.reading() as tx:
        assert [(one.seq, one.field) for one in due_catch_ups(tx, 5)] == [(7, "new_address")]


def test_another_value_ends_the_day_of_the_one_before(ledger: Ledger, clock: Clock) -> None:
    with ledger.transaction() as tx:
        for seq, name in ((7, "new_address"), (8, "new_address"), (7, "new_phone")):
            ask_later(tx, TOWN, ["a"], cause="date", due=clock.now + 60, fields=[name], seq=seq)
        ask_later(tx, TOWN, ["a"], cause="link", fields=["new_address"])
        end_days(tx, "a", "new_address", but=8)
    assert [(name, seq) for _, name, _, seq, _ in rows(ledger)] == [
        ("new_address", 0), ("new_address", 8), ("new_phone", 7),
    ]  # fmt: skip


def test_what_is_asked_of_somebody_merged_is_asked_of_who_they_are(ledger: Ledger, clock: Clock) -> None:
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["gone", "kept"], cause="link")
        ask_later(tx, TOWN, ["gone"], cause="date", due=clock.now + 60, fields=["new_address"], seq=3)
        move_catch_ups(tx, "gone", "kept")
    assert rows(ledger) == [("kept", "", "", 0, "link"), ("kept", "new_address", "", 3, "date")]


def test_what_the_hub_keeps_no_more_is_counted_by_who_must_state_it_and_looked_at_again(
    ledger: Ledger, clock: Clock
) -> None:
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ["a", "b"], cause="load", reader=LIBRARY)
        asked = due_catch_ups(tx, 5)
        end_catch_ups(tx, asked)
        for one in asked:
            wait_for_source(tx, one, "new_address", f"{TOWN}.portail", seconds=LOOK_AGAIN)
    with ledger.reading() as tx:
        assert standing(tx) == [
            {"tenant": TOWN, "reader": LIBRARY, "cause": "load", "origin": f"{TOWN}.portail", "number": 2, "later": 0}
        ]
        assert not due_catch_ups(tx, 5)
    clock.now += LOOK_AGAIN
    with ledger.reading() as tx:
        assert len(due_catch_ups(tx, 5)) == 2


def test_a_connection_is_told_of_its_own_people_part_by_part(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.citizens.catch_ups._LOOKED_AT", 2)
    know(ledger, "a", "c", "e", system="koha")
    know(ledger, "b", "d", system="famille")
    know(ledger, "z", system="koha", merged_into="a")
    with ledger.transaction() as tx:
        ask_for_reader(tx, TOWN, LIBRARY, cause="live")
    parts = []
    for _ in range(5):
        with ledger.transaction() as tx:
            parts.append(next_part(tx, {LIBRARY: "koha"}))
    assert parts == [1, 1, 1, 0, 0]
    assert [(one, reader, cause) for one, _, reader, _, cause in rows(ledger)] == [
        ("a", LIBRARY, "live"), ("c", LIBRARY, "live"), ("e", LIBRARY, "live"),
    ]  # fmt: skip
    with ledger.reading() as tx:
        assert not is_asked_for_reader(tx)


def test_a_connection_that_wants_everybody_is_told_of_everybody_and_one_that_left_of_nobody(ledger: Ledger) -> None:
    know(ledger, "a", system="famille")
    know(ledger, "b")
    with ledger.transaction() as tx:
        ask_for_reader(tx, TOWN, LIBRARY, cause="live")
        ask_for_reader(tx, TOWN, f"{TOWN}.gone", cause="live")
        assert next_part(tx, {LIBRARY: None}) == 2
        next_part(tx, {LIBRARY: None})
        assert not is_asked_for_reader(tx)
    assert {reader for _, _, reader, _, _ in rows(ledger)} == {LIBRARY}


READS = {"citizen.address-changed": {"version": 2, "scope": "linked", "fields": ["/new_address/value/city"],
                                     "procedures": None}}  # fmt: skip


@pytest.mark.parametrize(("mode", "more", "cause"), [
    ("live", {}, "live"),
    ("observe", {"fields": ["/new_address/value"]}, "widened"),
    ("observe", {"fields": ["/new_address/value/city", "/effective_on"]}, "widened"),
    ("observe", {"version": 3}, "widened"),
    ("observe", {"scope": "all"}, "widened"),
    ("observe", {"fields": ["/new_address/value/city/name"]}, None),
    ("observe", {"procedures": ["move"]}, None),
    ("observe", {}, None),
])  # fmt: skip
def test_a_connection_is_told_what_it_lacks_when_it_is_granted_more(
    ledger: Ledger, mode: str, more: dict[str, object], cause: str | None
) -> None:
    name = "citizen.address-changed"
    with ledger.transaction() as tx:
        note_granted(tx, {LIBRARY: (TOWN, {"mode": "observe", "reads": READS})})
        assert not is_asked_for_reader(tx)  # what is new begins with a load
    with ledger.transaction() as tx:
        note_granted(tx, {LIBRARY: (TOWN, {"mode": mode, "reads": {name: READS[name] | more}})})
        assert is_asked_for_reader(tx) == (cause is not None)
        next_part(tx, {LIBRARY: None})
        next_part(tx, {LIBRARY: None})
        note_granted(tx, {LIBRARY: (TOWN, {"mode": mode, "reads": {name: READS[name] | more}})})
        assert not is_asked_for_reader(tx)


def test_procedures_that_were_taken_away_from_a_limit_are_more(ledger: Ledger) -> None:
    name = "citizen.address-changed"
    limited = {name: READS[name] | {"procedures": ["move"]}}
    with ledger.transaction() as tx:
        note_granted(tx, {LIBRARY: (TOWN, {"mode": "live", "reads": limited})})
        note_granted(tx, {LIBRARY: (TOWN, {"mode": "live", "reads": READS})})
        assert is_asked_for_reader(tx)


def test_nothing_is_asked_of_somebody_of_whom_nothing_is_known(ledger: Ledger) -> None:
    know(ledger, "a", "b")
    with ledger.transaction() as tx:
        ask_for_known(tx, TOWN, ["a", "b"], cause="link")
    assert rows(ledger) == []
