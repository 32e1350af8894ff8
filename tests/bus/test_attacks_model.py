"""Random lives of the rows of two connections: the ledger starts them in order, and leaves nothing over."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from bus.ledger import Ask, Claimed, Finished, Ledger, Transaction
from bus.tables import DELIVERED, EXPECTED, FINAL, PARKED, RECEIVED, REFUSED, SKIPPED, WAITING, deliveries  # fmt: skip
from tests.support.recording import TENANT
from tests.support.servers import Postgres

LANES, SINGLE = f"{TENANT}.lanes", f"{TENANT}.single"


@dataclass
class Lane:
    items: deque[Claimed] = field(default_factory=deque)
    unwritten: int = 0
    stopped: bool = False


@dataclass
class Side:
    """A worker without threads: what it has in hand, and what its package saw."""

    name: str
    single: bool
    keys: dict[int, str]
    in_hand: dict[int, str] = field(default_factory=dict)
    lanes: dict[str, Lane] = field(default_factory=dict)
    ended: list[Finished] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    over: set[int] = field(default_factory=set)
    attempted: set[int] = field(default_factory=set)
    excused: set[tuple[int, int]] = field(default_factory=set)
    unsure: bool = False

    def settle(self, tx: Transaction, number: int) -> list[Finished]:
        """Write the first of what ended; as `Worker.settle` does."""
        written, self.ended = self.ended[:number], self.ended[number:]
        tx.end({self.name: written})
        final = [one.seq for one in written if one.state in FINAL and one.order_key in self.held]
        tx.release(self.name, final, 1 if self.single else 500)
        if self.unsure:
            gone = {one.seq for one in written}
            kept = [seq for seq in self.in_hand if seq not in gone]
            tx.put_back(self.name, kept)
            tx.release_orphans(self.name, {self.in_hand[seq] for seq in kept})
            self.held = tx.held_keys(self.name)
        return written

    def ask(self, written: list[Finished], limit: int, arrived: list[int], stored: bool) -> Ask:
        gone = {one.seq for one in written}
        left = {seq: key for seq, key in self.in_hand.items() if seq not in gone}
        pairs = [(seq, self.keys[seq]) for seq in dict.fromkeys(arrived)]
        return Ask(self.name, limit, self.single, bool(left), pairs, {} if self.single else left, stored)

    def went(self, written: list[Finished], claimed: list[Claimed]) -> None:
        self.unsure = False
        for one in written:
            self.in_hand.pop(one.seq)
            self.attempted.discard(one.seq)
            self.lanes[one.order_key].unwritten -= 1
            if not self.lanes[one.order_key].unwritten:
                del self.lanes[one.order_key]
        for item in claimed:
            assert item.seq not in self.in_hand, "started twice without an outcome"
            self.in_hand[item.seq] = item.order_key
            lane = self.lanes.setdefault(item.order_key, Lane())
            lane.items.append(item)
            lane.unwritten += 1

    def call(self, key: str, state: str, due: float | None) -> None:
        """The package answers for the first one of a lane."""
        lane = self.lanes.get(key)
        if lane is None or not lane.items:
            return
        item = lane.items.popleft()
        if lane.stopped:
            state = RECEIVED
        if state != RECEIVED:
            before = {seq for seq, other in self.keys.items() if other == key and seq < item.seq}
            before -= {seq for seq, later in self.excused if later == item.seq}
            assert before <= self.over, f"{item.seq} of {key} before {before - self.over}"
            assert item.seq not in self.attempted, "attempted twice without an outcome"
            self.attempted.add(item.seq)
        lane.stopped = state not in (DELIVERED, REFUSED)
        if state in FINAL:
            self.over.add(item.seq)
        self.ended.append(Finished(item.seq, key, state, due=due if state == WAITING else None))

    def die(self, tx: Transaction, doubtful: str) -> None:
        parked = tx.recover(self.name, doubtful=doubtful, settling=0.0)
        assert self.unsure or all(item.seq in self.in_hand for item, _ in parked)
        # What ended and was not written is done again: the package knows it by its key, or is asked.
        self.over -= {one.seq for one in self.ended}
        self.in_hand.clear()
        self.lanes.clear()
        self.ended.clear()
        self.attempted.clear()
        tx.release_orphans(self.name)
        self.held = tx.held_keys(self.name)


KEYS = ("a", "b", "c")
_state = st.sampled_from([DELIVERED, DELIVERED, DELIVERED, REFUSED, WAITING, WAITING, PARKED, RECEIVED])
_turn = st.tuples(
    st.just("turn"), st.integers(0, 4), st.lists(st.integers(1, 14), max_size=8), st.integers(0, 5), st.booleans(),
    st.sampled_from(["made", "made", "made", "lost before", "lost after"]),
)  # fmt: skip
_call = st.tuples(st.just("call"), st.sampled_from(KEYS), _state, st.floats(0.0, 3.0))
_other = st.one_of(
    st.tuples(st.just("pass"), st.floats(0.1, 2.0)),
    st.tuples(st.just("die")),
    st.tuples(st.sampled_from(["replay", "skip"]), st.integers(1, 14)),
)
_steps = st.lists(st.tuples(st.booleans(), st.one_of(_turn, _turn, _call, _call, _call, _other)), max_size=40)


class Life:
    def __init__(self, ledger: Ledger, tx: Transaction, keys: list[str]) -> None:
        self.ledger, self.tx, self.time = ledger, tx, 100.0
        ledger.now = lambda: self.time
        named = dict(enumerate(keys, 1))
        self.sides = [Side(LANES, False, named), Side(SINGLE, True, named)]
        rows = [
            {"connection": side.name, "seq": seq, "order_key": key, "state": EXPECTED, "at": 0.0}
            for side in self.sides for seq, key in named.items()
        ]  # fmt: skip
        tx.sql.execute(insert(deliveries), rows)

    def step(self, side: Side, what: str, *more: Any) -> None:
        getattr(self, f"do_{what}")(side, *more)

    def do_turn(self, side: Side, number: int, arrived: list[int], limit: int, stored: bool, how: str) -> None:
        arrived = [seq for seq in arrived if seq in side.keys]
        kept, held = list(side.ended), set(side.held)
        savepoint = self.tx.sql.begin_nested()
        written = side.settle(self.tx, number)
        taken = self.tx.take([side.ask(written, limit, arrived, stored)])[side.name]
        if how == "lost before":
            savepoint.rollback()
        if how != "made":
            side.ended, side.held, side.unsure = kept, held, True
            return
        side.held |= taken.held
        side.went(written, taken.claimed)

    def do_call(self, side: Side, key: str, state: str, wait: float) -> None:
        side.call(key, state, self.time + wait)

    def do_pass(self, side: Side, seconds: float) -> None:
        self.time += seconds

    def do_die(self, side: Side) -> None:
        side.die(self.tx, "look-up-first" if side.single else "native-key")

    def do_replay(self, side: Side, seq: int) -> None:
        if seq in side.keys and self.tx.replay(side.name, seq):
            side.over.discard(seq)
            # A refusal held nobody: what is in hand already goes on.
            side.excused |= {(seq, later) for later in side.in_hand if later > seq}

    def do_skip(self, side: Side, seq: int) -> None:
        if seq in side.keys and self.tx.skip(side.name, seq, "abandonné"):
            side.over.add(seq)

    def end(self) -> None:
        """Everything arrives, everything is delivered."""
        for side in self.sides:
            for row in self.tx.deliveries_of(list(side.keys)):
                if row.connection == side.name and row.state == PARKED:
                    self.tx.skip(side.name, row.seq, "abandonné")
                    side.over.add(row.seq)
            for _ in range(80):
                self.time += 10
                for key in KEYS:
                    for _ in range(len(side.keys)):
                        side.call(key, DELIVERED, None)
                side.ended = [replace(one, state=RECEIVED) if one.state == PARKED else one for one in side.ended]
                self.do_turn(side, 100, list(side.keys), 5, True, "made")
            rows = [row for row in self.tx.deliveries_of(list(side.keys)) if row.connection == side.name]
            left = {row.seq: row.state for row in rows if row.state not in FINAL}
            assert not left
            assert len(rows) == len(side.keys)
            assert {row.seq for row in rows if row.state in (DELIVERED, REFUSED, SKIPPED)} <= side.over


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    if request.param == "sqlite":
        ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('model')}/hub.db")
    else:
        server: Postgres = request.getfixturevalue("postgres")
        ledger = Ledger(server.fresh_database())
    ledger.create()
    yield ledger
    ledger.close()


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(keys=st.lists(st.sampled_from(KEYS), min_size=1, max_size=14), steps=_steps)
def test_events_of_a_key_start_in_order_and_none_is_left_over(
    ledger: Ledger, keys: list[str], steps: list[Any]
) -> None:
    with ledger.engine.connect() as connection:
        life = Life(ledger, Transaction(ledger, connection), keys)
        for second, step in steps:
            life.step(life.sides[second], *step)
        life.end()
        connection.rollback()
