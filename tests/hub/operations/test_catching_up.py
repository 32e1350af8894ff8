"""What was asked is answered a few people at a time, once, whoever dies in the middle."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pytest
import structlog
from sqlalchemy import event, func, select

from bus.ledger import Ledger, Transaction
from hub.acceptance.restating import Restated
from hub.citizens.catch_ups import (  # fmt: skip
    LOOK_AGAIN,
    CatchUp,
    ask_for_reader,
    ask_later,
    missed_of,
    standing,
    wait_for_source,
)
from hub.operations.catching_up import CatchingUp
from hub.routing.directory import ConnectionRouting, Directory
from hub.storage.tables import catch_ups, citizens
from schemas.errors import BusUnavailable, InvalidMessage
from schemas.manifest import Consumed
from tests.support.clock import Clock

TOWN = "valbruyere"


class Told:
    """In place of the rules: who was told again, as far as that was committed."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.people: list[tuple[str, tuple[str, ...] | None]] = []
        self.outcomes: Mapping[str, Restated] = {}
        self.faulty: set[str] = set()
        self.dies_at = ""
        self.days: list[int] = []

    def __call__(
        self, tx: Transaction, tenant: str, citizen_id: str, fields: Collection[str] | None
    ) -> Mapping[str, Restated]:
        assert tenant == TOWN
        if citizen_id == self.dies_at:
            self.dies_at = ""
            raise KeyboardInterrupt
        if citizen_id in self.faulty:
            raise InvalidMessage("no", code="unknown_citizen")
        tx.count_up(f"told-{citizen_id}")
        self.people.append((citizen_id, None if fields is None else tuple(fields)))
        return self.outcomes

    def take_effect(self, tx: Transaction, asked: CatchUp) -> None:
        self.days.append(asked.seq)

    def times(self, *ids: str) -> list[int]:
        with self.ledger.reading() as tx:
            return [tx.counter(f"told-{one}") for one in ids]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def told(ledger: Ledger) -> Told:
    return Told(ledger)


def _all(tx: object, missed: Sequence[CatchUp]) -> Sequence[CatchUp]:
    return missed


def catching_up(ledger: Ledger, told: Told, *, per_second: int = 100, connections: tuple[str, ...] = ()) -> CatchingUp:
    reads = {"citizen.address-changed": Consumed("citizen.address-changed", 2, ("/new_address",), "all")}
    members = [ConnectionRouting(f"{TOWN}.{name}", TOWN, name, name, reads) for name in connections]
    return CatchingUp(ledger, lambda: Directory(members, {}, {}), told, told.take_effect, _all, per_second=per_second)


def ask(ledger: Ledger, *ids: str, **more: object) -> None:
    with ledger.transaction() as tx:
        ask_later(tx, TOWN, ids, cause="link", **more)  # type: ignore[arg-type]


def left(ledger: Ledger) -> int:
    with ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(catch_ups)).scalar_one())


def test_so_many_people_a_second_at_most(ledger: Ledger, told: Told) -> None:
    ask(ledger, *(f"p{number:02}" for number in range(50)))
    loop = catching_up(ledger, told, per_second=30)
    assert [loop.look(), loop.look(), loop.look()] == [30, 20, 0]
    assert len(told.people) == len({*told.people}) == 50
    assert left(ledger) == 0


def test_all_that_is_asked_of_a_person_is_answered_at_once(ledger: Ledger, told: Told) -> None:
    ask(ledger, "a", fields=["new_phone", "new_address"])
    ask(ledger, "a", fields=["new_phone"], reader=f"{TOWN}.koha")
    ask(ledger, "b", fields=["new_phone"])
    ask(ledger, "b")
    catching_up(ledger, told).look()
    assert told.people == [("a", ("new_address", "new_phone")), ("b", None)]
    assert left(ledger) == 0


def test_a_value_whose_day_has_come_takes_effect_before_it_is_told(ledger: Ledger, told: Told, clock: Clock) -> None:
    ask(ledger, "a", fields=["new_address"], seq=7, due=clock.now + 60)
    ask(ledger, "b", fields=["new_address"])
    catching_up(ledger, told).look()
    assert (told.people, told.days) == ([("b", ("new_address",))], [])
    clock.now += 60
    catching_up(ledger, told).look()
    assert (told.people[1:], told.days) == ([("a", ("new_address",))], [7])
    assert left(ledger) == 0


def test_killed_in_the_middle_it_tells_everybody_once(ledger: Ledger, told: Told) -> None:
    ask(ledger, *"abcdef")
    told.dies_at = "d"
    with pytest.raises(KeyboardInterrupt):
        catching_up(ledger, told).look()
    assert told.times(*"abcdef") == [0] * 6
    catching_up(ledger, told).look()
    assert told.times(*"abcdef") == [1] * 6


def test_two_who_are_active_at_once_tell_everybody_once(ledger: Ledger, told: Told) -> None:
    ids = [f"p{number:02}" for number in range(60)]
    ask(ledger, *ids)
    loops = [threading.Thread(target=catching_up(ledger, told).look) for _ in range(3)]
    for loop in loops:
        loop.start()
    for loop in loops:
        loop.join()
    catching_up(ledger, told).look()
    assert told.times(*ids) == [1] * 60


def test_one_who_cannot_be_told_keeps_nobody_waiting_and_is_tried_again(
    ledger: Ledger, told: Told, clock: Clock
) -> None:
    told.faulty = {"b"}
    ask(ledger, *"abc")
    with structlog.testing.capture_logs() as logs:
        catching_up(ledger, told).look()
    assert told.times(*"abc") == [1, 0, 1]
    assert [line["code"] for line in logs] == ["unknown_citizen"]
    assert not any("b" in str(value) for line in logs for key, value in line.items() if key == "citizen_id")
    told.faulty = set()
    clock.now += 3600
    catching_up(ledger, told).look()
    assert told.times(*"abc") == [1, 1, 1]


def test_what_only_its_source_knows_waits_for_it_and_ends_when_it_came(
    ledger: Ledger, told: Told, clock: Clock
) -> None:
    told.outcomes = {"new_address": Restated("gone", origin=f"{TOWN}.portail"), "new_phone": Restated("told")}
    ask(ledger, "a", reader=f"{TOWN}.koha")
    catching_up(ledger, told).look()
    with ledger.reading() as tx:
        (row,) = standing(tx)
        assert (row["origin"], row["reader"], row["number"]) == (f"{TOWN}.portail", f"{TOWN}.koha", 1)
    clock.now += LOOK_AGAIN
    told.outcomes = {"new_address": Restated("silent")}
    catching_up(ledger, told).look()
    assert told.people[-1] == ("a", ("new_address",))
    assert left(ledger) == 0


def test_the_people_of_a_connection_are_written_down_and_told(ledger: Ledger, told: Told) -> None:
    with ledger.transaction() as tx:
        for one in "abc":
            tx.sql.execute(citizens.insert().values(id=one, tenant=TOWN, confidential=0, seen_at=tx.now))
        ask_for_reader(tx, TOWN, f"{TOWN}.koha", cause="live")
    loop = catching_up(ledger, told, connections=("koha",))
    loop.look()
    loop.look()
    assert told.times(*"abc") == [1, 1, 1]


def test_nobody_is_told_by_who_is_not_active(ledger: Ledger, told: Told) -> None:
    ask(ledger, "a")
    stop, looks = threading.Event(), list[bool]()

    def active() -> bool:
        looks.append(False)
        if len(looks) == 3:
            stop.set()
        return False

    catching_up(ledger, told).run(stop, active, every=0.001)
    assert told.people == []
    assert len(looks) == 3


def test_an_outage_puts_it_off_and_does_not_end_it(ledger: Ledger, told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(ledger, "a")
    stop, loop, transactions = threading.Event(), catching_up(ledger, told), ledger.transaction
    away = iter([True, True])

    def transaction() -> object:
        if next(away, False):
            raise BusUnavailable("away")
        stop.set()
        return transactions()

    monkeypatch.setattr(ledger, "transaction", transaction)
    loop.run(stop, lambda: True, every=0.001)
    assert told.times("a") == [1]


def wait(ledger: Ledger, origin: str, *ids: str, field: str = "new_address") -> None:
    with ledger.transaction() as tx:
        for one in ids:
            wait_for_source(tx, CatchUp(one, TOWN, field, "", 0, "load"), field, origin, seconds=LOOK_AGAIN)


def test_what_one_origin_must_state_again_comes_person_by_person_in_the_order_it_was_missed(
    ledger: Ledger, clock: Clock
) -> None:
    wait(ledger, f"{TOWN}.koha", "d", "b")
    wait(ledger, f"{TOWN}.publik", "a")
    wait(ledger, f"{TOWN}.koha", "b", field="email")
    clock.now += 1
    wait(ledger, f"{TOWN}.koha", "c", "a", field="email")

    found, cursor = list[list[tuple[str, str]]](), dict[str, Any]()
    with ledger.reading() as tx:
        while (missed := missed_of(tx, f"{TOWN}.koha", cursor, 1)).asked:
            found.append([(one.citizen_id, one.field) for one in missed.asked])
            cursor = dict(missed.cursor)
    assert found == [
        [("b", "email"), ("b", "new_address")], [("d", "new_address")], [("a", "email")], [("c", "email")],
    ]  # fmt: skip


def test_what_an_origin_must_state_again_is_found_where_it_was_left_and_not_sorted(ledger: Ledger) -> None:
    if ledger.engine.dialect.name != "sqlite":
        pytest.skip("SQLite says in words what it reads")
    wait(ledger, f"{TOWN}.koha", *(f"p{number:03}" for number in range(300)))
    asked: list[tuple[str, Any]] = []
    with ledger.reading() as tx:
        event.listen(tx.sql, "before_cursor_execute", lambda *a: asked.append((a[2], a[3])))
        missed_of(tx, f"{TOWN}.koha", {"at": 1.0, "citizen": "p100"}, 3)
        sought, values = next(one for one in asked if one[0].startswith("SELECT DISTINCT"))
        plan = [row[3] for row in tx.sql.exec_driver_sql(f"EXPLAIN QUERY PLAN {sought}", values)]
    assert "catch_ups_origin (origin=? AND (asked_at,citizen_id)>(?,?))" in plan[0]
    assert not [line for line in plan if "TEMP B-TREE" in line]
