"""The ledger: what was accepted, and where each delivery stands. All of it is SQL, the same on SQLite and PostgreSQL.

`Ledger.transaction()` gives the unit of work; its methods are the only statements that change a delivery.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import attrgetter
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Engine,
    Row,
    Select,
    TextClause,
    case,
    cast,
    create_engine,
    delete,
    event,
    exists,
    func,
    literal,
    select,
    text,
    update,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from bus import statements
from bus.sql import Sent, Statement, commit, gathers, sent_so_far
from bus.statements import CHANNEL
from bus.tables import (
    DELIVERED,
    EXPECTED,
    FINAL,
    HELD,
    OPEN,
    PARKED,
    RECEIVED,
    REFUSED,
    SKIPPED,
    STARTED,
    SUPERSEDED,
    WAITING,
    counters,
    cursors,
    deliveries,
    door,
    events,
    leases,
    metadata,
    sending,
    subscriptions,
    switches,
)  # fmt: skip
from schemas.errors import BusUnavailable
from schemas.event import Event

_T = TypeVar("_T")
# A process that stands still in the middle of a transaction, or a network that swallows everything, must not hold the
# rows of a lease for longer than the lease itself.
_PATIENCE: Mapping[str, Any] = MappingProxyType({
    # Every statement is about rows that an index finds; a plan that was made while the tables were small would go on
    # reading all of them when they are large.
    "options": "-c idle_in_transaction_session_timeout=10s -c enable_seqscan=off -c enable_hashjoin=off"
               " -c enable_mergejoin=off"
               # What is forbidden has a price that no plan reaches, and seems worth compiling.
               " -c jit=off",
    "tcp_user_timeout": 15_000,
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
})  # fmt: skip
_LOST_A_RACE = ("40001", "40P01")  # serialization failure, deadlock
# Written out, not bound: a partial index serves a query only when the planner sees that the states are its own.
_IS_OPEN = text(f"deliveries.state IN {OPEN}")
_IS_REFUSED = text("deliveries.state IN ('parked','refused') AND deliveries.state = 'refused'")
_IS_WAITING = text("deliveries.state = 'waiting'")
_IS_EXPECTED = text("deliveries.state = 'expected'")
_IS_HELD = text("deliveries.state = 'held'")
_BEFORE_IS_OPEN = text(f"earlier.state IN {OPEN}")
_NOT_BELIEVED = 600.0  # seconds: leases are of a minute at most
_NAMED = 5000
_LAST = 2**62  # a number that no event reaches
_AWAY = ("OperationalError", "InterfaceError", "InternalError")  # the last: a standby that may not be written to
_FEW = 500  # followers released at once: a key with a long backlog must not be rewritten at each step
_PRUNED = "pruned"  # the counter of the last event that was looked at in order to forget it
_PRUNE_PART = 20_000  # events looked at by one call at least
_FRESH = 2.0  # seconds after its last use in which a connection to the database is believed to stand
_GLANCE = 0.2  # seconds between two looks of the listener whether it should end
DOOR_DAYS = 400  # 13 months and a margin


class Cipher(Protocol):
    """Encrypts bodies at rest; `context` binds a body to its place."""

    def encrypt(self, plain: bytes, context: bytes) -> bytes: ...

    def decrypt(self, sealed: bytes, context: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An accepted event with what the hub decided about it. `directory`: the version by which it was routed, None
    before there was one."""

    seq: int
    tenant: str
    event: Event
    order_key: str
    request_id: str | None
    origin: str
    accepted_at: float
    directory: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """An event about to be written, with the connections that must get it, by the `directory` of that version."""

    tenant: str
    event: Event
    digest: bytes
    order_key: str
    request_id: str | None
    origin: str
    connections: Sequence[str]
    supersedes: bool = False
    directory: int | None = None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery whose attempt is committed: call the handler now. `doubt`: look the effect up first."""

    seq: int
    order_key: str
    attempt: int
    deaths: int
    doubt: bool


@dataclass(frozen=True, slots=True)
class Finished:
    """How an attempt ended. `state` is delivered, refused, waiting (with `due`), parked, or received (not tried).
    `fault`: the code of the cause of what is neither delivered nor untried."""

    seq: int
    order_key: str
    state: str
    cause: str | None = None
    answer: str | None = None
    reference: str | None = None
    due: float | None = None
    doubt: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """What a worker wants to start, `limit` at most. What died as started before runs alone: it is started only when
    nothing else is running (`busy` false). `arrived`: seq and key of what came by the bus just now, and gets its
    receipt. `in_hand`: seq and key of what this worker runs already; what stands behind only these may start, and runs
    after them. `stored`: start what was received earlier as well. `begun`: seq and key of what arrived and was started
    before, in this transaction; it is in hand."""

    connection: str
    limit: int
    one_per_key: bool = False
    busy: bool = False
    arrived: Sequence[tuple[int, str]] = ()
    in_hand: Mapping[int, str] = field(default_factory=dict)
    stored: bool = True
    begun: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, slots=True)
class Taken:
    """What a worker may start, the keys of which something became held, and whether more could be started later."""

    claimed: list[Claimed]
    held: frozenset[str] = frozenset()
    more: bool = False

    def only(self, connection: str, started: Collection[tuple[str, int]]) -> Taken:
        """Without those that were not started after all."""
        return replace(self, claimed=[one for one in self.claimed if (connection, one.seq) in started])


Started = Collection[tuple[str, int]]  # connection and seq


@dataclass(slots=True)
class _Candidate:
    seq: int
    order_key: str
    attempts: int = 0
    deaths: int = 0
    doubt: int = 0
    state: str = EXPECTED


_by_seq = attrgetter("seq")


@dataclass(slots=True)
class _Plan:
    ask: Ask
    candidates: list[Any]  # _Candidate, or a row of the ledger
    full: bool
    stored: bool
    free: list[Any] = field(default_factory=list)
    behind: list[Any] = field(default_factory=list)
    chosen: list[Any] = field(default_factory=list)


class Tls(Protocol):
    """PEM files: authorities, our certificate, its key; None where there is none."""

    @property
    def ca(self) -> Path | None: ...
    @property
    def cert(self) -> Path | None: ...
    @property
    def key(self) -> Path | None: ...


class Raced(BusUnavailable):
    """Another transaction wrote the same at the same moment. This one is undone: do it again, and see what it did."""


DatabaseFault = SQLAlchemyError  # as it is raised inside a transaction, whose end translates it


class LeaseLost(Exception):
    """Somebody else holds the lease now: stop acting for it."""


class Ledger:
    """Open with `Ledger(url)`. `now` is the clock in seconds since 1970; `cipher` encrypts event data at rest."""

    def __init__(
        self, url: str, *, cipher: Cipher | None = None, now: Callable[[], float] = time.time, tls: Tls | None = None
    ) -> None:
        self.engine = _engine(url, tls)
        self.cipher = cipher
        self.now = now
        self._writer = threading.RLock() if self.engine.dialect.name == "sqlite" else None
        self._changed = threading.Condition()
        self._changes = 0
        self.numbers = False  # whether the row that numbers the events was seen
        self._closed = threading.Event()
        self._ear: threading.Thread | None = None

    def create(self) -> None:
        """Make all tables that are missing."""
        with self.engine.begin() as connection:
            metadata.create_all(connection)

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A unit of work: all of it or nothing. Raises BusUnavailable when the database is away."""
        with _translated(), self._exclusive(), self.engine.connect() as connection:
            tx = Transaction(self, connection)
            yield tx
            if tx.woke and self._writer is None:
                statements.NOTIFY.send(connection)
            try:
                commit(connection)
            except BaseException:
                connection.invalidate()  # it would go back to the pool with its transaction open, and hold its rows
                raise
        if tx.woke:
            self.wake()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A look at committed state; never waits for a writer. On PostgreSQL each statement sees the state of its own
        moment, as in any transaction there, and needs none."""
        with _translated(), self.engine.connect().execution_options(reading=True) as connection:
            yield Transaction(self, connection)

    def wake(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def wait_for_change(self, seen: int, timeout: float) -> int:
        """Sleep until a transaction brought work, `timeout` seconds at most. Give back the last result as `seen` to
        miss nothing of this process; what another one brings is heard soon on PostgreSQL."""
        if self._writer is None and self._ear is None:
            self._ear = threading.Thread(target=self._listen, name="ledger listens", daemon=True)
            self._ear.start()
        with self._changed:
            self._changed.wait_for(lambda: self._changes != seen, timeout)
            return self._changes

    def _listen(self) -> None:
        """Hear what other processes commit. Who waits looks for itself now and then, so that nothing depends on it."""
        while not self._closed.is_set():
            try:
                with self.engine.connect().execution_options(reading=True) as connection:
                    connection.exec_driver_sql(f"LISTEN {CHANNEL}")
                    driver: Any = connection.connection.driver_connection
                    while not self._closed.is_set():
                        for _ in driver.notifies(timeout=_GLANCE, stop_after=1):
                            self.wake()
            except Exception:  # the driver's own errors come here untranslated
                self._closed.wait(1.0)

    def close(self) -> None:
        self._closed.set()
        if self._ear is not None:
            self._ear.join(5)
        self.engine.dispose()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        if self._writer is None:
            yield
        else:
            with self._writer:
                yield


class Transaction:
    def __init__(self, ledger: Ledger, connection: Connection) -> None:
        self.ledger = ledger
        self.sql = connection
        self.woke = False
        self._door: Sent | None = None  # the row that is locked while we hold the door
        self._began = time.monotonic()
        self._last: int | None = None  # the last number given to an event since
        self._ahead: _Ahead | None = None
        self._directory: Sent | None = None

    @property
    def now(self) -> float:
        return self.ledger.now()

    # --- acceptance ---------------------------------------------------------------------------------------------

    def hold_door(self) -> None:
        """Accept alone until the commit. Two processes that looked up the same new person at once would otherwise each
        make one, and the events of that person would lose their order and their way."""
        if self.sql.dialect.name == "sqlite":
            self.ask_directory()
            return  # who writes is alone
        if self._door is None:
            self._door = statements.HOLD_DOOR.send(self.sql)
            if not self.ledger.numbers:  # the first event of all makes the row
                if not self._door.all():
                    self._door = None
                    self._allocate(0)
                    self._door = statements.HOLD_DOOR.send(self.sql)
                else:
                    self.ledger.numbers = True
            self._directory = statements.DIRECTORY.send(self.sql)

    def ask_directory(self) -> None:
        """Ask which version of the directory stands; who holds the door sees it stand until the commit."""
        if self._directory is None:
            self._directory = statements.DIRECTORY.send(self.sql)

    @property
    def directory(self) -> int:
        """The version of the directory that stands; 0 before the first."""
        self.ask_directory()
        assert self._directory is not None
        rows = self._directory.all()
        return int(rows[0].value) if rows else 0

    @property
    def holds_door(self) -> bool:
        """Whether nobody else accepts until the commit."""
        if self.sql.dialect.name == "sqlite":
            return not self.sql.get_execution_options().get("reading", False)
        return self._door is not None

    def next_directory(self) -> int:
        """A new version of the directory, from this commit on. Nobody accepts by an older one after it."""
        self.hold_door()
        self.count_up("directory")
        self._directory = None
        return self.directory

    @property
    def last_number(self) -> int:
        """The number of the last event that was accepted before, or by us; exact for who holds the door."""
        if self._door is not None:
            return self._last if self._last is not None else int(self._door.all()[0].value)
        if not self.holds_door:
            return self.counter("events")
        if self._last is None:
            self._last = self.counter("events")
        return self._last

    @property
    def door_since(self) -> float:
        """When we came to hold the door, by the monotonic clock; not before the first answer of the database."""
        return self._door.answered_at if self._door is not None else self._began

    def known(self, keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], tuple[bytes, int]]:
        """Of these (tenant, source, id), those already at the door, each with its digest and `seq`."""
        return self.ask_known(keys)()

    def ask_known(
        self, keys: Iterable[tuple[str, str, str]]
    ) -> Callable[[], dict[tuple[str, str, str], tuple[bytes, int]]]:
        """As `known`, whose answer is there when it is called for: what is asked in between goes with it."""
        by_tenant: dict[str, list[tuple[str, str]]] = {}
        for tenant, source, event_id in keys:
            by_tenant.setdefault(tenant, []).append((source, event_id))
        asked = {t: statements.KNOWN.send(self.sql, tenant=t, keys=pairs) for t, pairs in by_tenant.items()}
        return lambda: {
            (tenant, row.source, row.id): (row.digest, row.seq)
            for tenant, rows in asked.items() for row in rows if row.seq is not None
        }  # fmt: skip

    def append(self, entries: Sequence[Entry]) -> list[int | None]:
        """Write events and their deliveries. None where somebody else passed the door with the same key just now; while
        we hold the door, that is Raced, at the latest at the commit."""
        if not entries:
            return []
        now = self.now
        seqs = self._allocate(len(entries))
        admitted = self._pass_door(entries, seqs, now)
        fresh = [(e, s) for e, s in zip(entries, seqs, strict=True) if s in admitted]
        if fresh:
            statements.WRITE_EVENTS.send(self.sql, [self._event_row(entry, seq, now) for entry, seq in fresh])
            rows = [
                {"connection": c, "seq": seq, "order_key": entry.order_key, "state": EXPECTED, "at": now}
                for entry, seq in fresh
                for c in entry.connections
            ]
            if rows:
                statements.EXPECT.send(self.sql, rows)
                self.woke = True
            for entry, seq in fresh:
                if entry.supersedes:
                    self._supersede(entry, seq)
        return [seq if seq in admitted else None for seq in seqs]

    def load(self, seqs: Sequence[int]) -> dict[int, StoredEvent]:
        return {row.seq: self._stored(row) for row in statements.LOAD.send(self.sql, seqs=seqs)} if seqs else {}

    def last_seq(self) -> int:
        return int(self.sql.execute(select(func.coalesce(func.max(events.c.seq), 0))).scalar_one())

    # --- subscriptions and switches -----------------------------------------------------------------------------

    def subscribe(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Record since which event each connection is subscribed to each type. Known ones keep their start."""
        start, now = self.last_number, self.now
        rows = [
            {"connection": connection, "type": event_type, "since_seq": start, "since": now}
            for connection, types in wanted.items()
            for event_type in types
        ]
        if rows:
            self.sql.execute(self._insert_ignore(subscriptions), rows)

    def unsubscribe(self, connection: str, types: Iterable[str]) -> None:
        """Forget the starting points of these types: who subscribes again starts anew."""
        gone = delete(subscriptions).where(subscriptions.c.connection == connection)
        self.sql.execute(gone.where(subscriptions.c.type.in_(list(types))))

    def pause(self, connection: str, cause: str, fault: str | None = None) -> None:
        """`fault`: the code of the cause, when it is not a person who pauses it."""
        self._switch(connection, 1, cause, fault)

    def resume(self, connection: str) -> None:
        self._switch(connection, 0, None, None)
        self.woke = True

    def paused(self) -> dict[str, str]:
        rows = self.sql.execute(select(switches).where(switches.c.paused == 1))
        return {row.connection: row.cause or "" for row in rows}

    def pause_faults(self) -> dict[str, str]:
        """The code of the cause, of each connection that no person paused."""
        rows = self.sql.execute(select(switches).where(switches.c.paused == 1, switches.c.fault.is_not(None)))
        return {row.connection: row.fault for row in rows}

    def resumed(self) -> dict[str, float]:
        """When each connection was last resumed, of those that are not paused now."""
        return {row.connection: row.at for row in self.sql.execute(select(switches).where(switches.c.paused == 0))}

    def cursor(self, connection: str) -> Mapping[str, Any] | None:
        row = self.sql.execute(select(cursors.c.cursor).where(cursors.c.connection == connection)).scalar()
        return orjson.loads(row) if row else None

    def move_cursor(self, connection: str, cursor: Mapping[str, Any]) -> None:
        values = {"cursor": orjson.dumps(cursor).decode(), "at": self.now}
        self._upsert(cursors, {"connection": connection}, values)

    # --- relay --------------------------------------------------------------------------------------------------

    def expected(self, after: int, most: int) -> list[tuple[int, list[str], Any]]:
        """The events after this one, `most` at most, that some connections have not received, and which; in order. The
        third is for `stored`."""
        rows = statements.AFTER[self.sql.dialect.name].send(self.sql, after=after, most=most)
        return [(row.seq, row.connections.split(" "), row) for row in rows]

    def stored(self, seqs: Collection[int], read: Mapping[int, Any]) -> dict[int, StoredEvent]:
        """As `load`, where some of the rows were `read` by `expected`."""
        return {seq: self._stored(read[seq]) for seq in seqs if seq in read} | self.load(
            [seq for seq in seqs if seq not in read]
        )

    def expected_of(self, connection: str, after: int, most: int, *, last: int = _LAST) -> list[int]:
        """What a connection has not received, of the events after one and up to the last one, oldest first."""
        return [
            row.seq
            for row in statements.EXPECTED_OF.send(self.sql, connection=connection, after=after, last=last, most=most)
        ]

    def expected_keys(self, connection: str, most: int) -> list[tuple[int, str]]:
        """What a connection has not received, oldest first, each with the key that keeps it in order."""
        mine = select(deliveries.c.seq, deliveries.c.order_key).where(deliveries.c.connection == connection)
        rows = self.sql.execute(mine.where(_IS_EXPECTED).order_by(deliveries.c.seq).limit(most))
        return [(row.seq, row.order_key) for row in rows]

    def sent(self) -> dict[str, int]:
        """How far the events of each connection were put on the bus: all expected ones up to this one."""
        return {row.connection: row.seq for row in self.sql.execute(select(sending))}

    def sent_to(self, marks: Mapping[str, int]) -> None:
        """Keep how far each connection was sent to."""
        statements.SENT_TO.send(self.sql, [{"connection": connection, "seq": seq} for connection, seq in marks.items()])

    def out(self, pairs: Iterable[tuple[str, int]]) -> None:
        """These are in the queue of an outside package, or only observed: for us they are delivered."""
        for connection, seqs in _grouped(pairs).items():
            statements.OUT.send(self.sql, connection=connection, seqs=seqs, at=self.now)

    def park_unsent(self, pairs: Iterable[tuple[str, int]], cause: str, fault: str) -> None:
        """What cannot be put on the bus waits for an operator, and its followers behind it."""
        for connection, seqs in _grouped(pairs).items():
            self.sql.execute(
                update(deliveries)
                .where(deliveries.c.connection == connection, deliveries.c.seq.in_(seqs))
                .where(deliveries.c.state == EXPECTED)
                .values(state=PARKED, at=self.now, cause=cause, fault=fault)
            )

    def reached(self) -> dict[str, int]:
        """By connection, the last event of which its worker has committed a receipt."""
        prefix = "worker:"
        rows = self.sql.execute(select(leases.c.name, leases.c.reached).where(leases.c.name.startswith(prefix)))
        return {row.name.removeprefix(prefix): row.reached for row in rows}

    # --- worker -------------------------------------------------------------------------------------------------

    def turn(self, turns: Mapping[str, tuple[int, int]], seconds: float) -> dict[str, bool]:
        """The beginning of what workers commit: by connection its token, and the last event received. Prolongs the
        leases. Those that are still held, each with whether the connection is paused."""
        return self.ask_turn(turns, seconds)()

    def ask_turn(self, turns: Mapping[str, tuple[int, int]], seconds: float | None) -> Callable[[], dict[str, bool]]:
        """As `turn`, whose answer is there when it is called for. Without `seconds` nothing is prolonged or noted; who
        wants one of these leases waits for the commit all the same."""
        self.ask_directory()
        named = [(f"worker:{connection}", token, reached) for connection, (token, reached) in sorted(turns.items())]
        dialect = self.sql.dialect.name
        if seconds is None:
            found = statements.FENCE[dialect].send(self.sql, turns=[(name, token) for name, token, _ in named])
        else:
            found = statements.TURN[dialect].send(self.sql, turns=named, seconds=seconds, now=self.now)
        return lambda: {row.name.removeprefix("worker:"): bool(row.paused) for row in found}

    def ask_first(self, pairs: Sequence[tuple[str, int]]) -> Callable[[], Started]:
        """Start those of these pairs of connection and seq that are new and have no open event of their key before
        them. Which these are is there when it is called for."""
        rows = statements.START_FIRST.send(self.sql, pairs=pairs, at=self.now) if pairs else ()
        return lambda: {(row.connection, row.seq) for row in rows}

    def start_again(self, pairs: Sequence[tuple[str, int]]) -> None:
        """What was started by a transaction of which nobody knows whether it was committed."""
        self._set(statements.START_AGAIN, pairs)

    def look_ahead(self, keys: Mapping[tuple[str, str], int]) -> None:
        """Ask already which events of these keys are open, each key with how many of its events arrive or are in hand.
        `take` needs not ask then, if nothing else was done in between."""
        if self.sql.dialect.name == "sqlite" or not keys:
            return
        most = 1 + max(keys.values())
        rows = statements.FIRSTS["postgresql"].send(self.sql, keys=list(keys), most=most)
        self._ahead = _Ahead(rows, keys, most, self.place)

    @property
    def place(self) -> int:
        """For `unchanged`."""
        return sent_so_far(self.sql)

    def unchanged(self, since: int) -> bool:
        """Whether nothing was done since it was at that place. On SQLite, which counts nothing, nobody knows."""
        return self.sql.dialect.name != "sqlite" and self.place == since

    def receive(self, connection: str, seqs: Sequence[int]) -> None:
        """The receipt: idempotent, and a late copy of something further along changes nothing."""
        self._set(statements.RECEIVE, [(connection, seq) for seq in seqs])

    def claim(self, connection: str, limit: int, *, one_per_key: bool = False, busy: bool = False) -> list[Claimed]:
        """What `take` starts of what one connection received before."""
        return self.take([Ask(connection, limit, one_per_key=one_per_key, busy=busy)])[connection].claimed

    def take(self, asks: Sequence[Ask]) -> dict[str, Taken]:
        """For each connection: commit the receipts of what arrived, and an attempt for what may run now, in order;
        what stands behind an earlier event becomes held."""
        taken, started = self.try_to_take(asks)
        really = started()
        return {connection: found.only(connection, really) for connection, found in taken.items()}

    def try_to_take(self, asks: Sequence[Ask]) -> tuple[dict[str, Taken], Callable[[], Started]]:
        """As `take`, but among what is claimed may be what was withheld or given up just now. What was really started
        the second result says, also after the commit: nothing must be tried before."""
        plans = [self._plan(ask) for ask in asks]
        self._block(plans)
        chosen = [(plan.ask.connection, row.seq) for plan in plans for row in plan.chosen]
        self._set(statements.HOLD, [(plan.ask.connection, row.seq) for plan in plans for row in plan.behind])
        # Those that may still be: not what was withheld or given up since we looked.
        rows = statements.START.send(self.sql, pairs=chosen, at=self.now) if chosen else None
        picked = set(chosen)
        self._set(statements.RECEIVE, [
            pair for plan in plans for row in plan.free
            if row.state == EXPECTED and (pair := (plan.ask.connection, row.seq)) not in picked
        ])  # fmt: skip
        if rows is not None and any(plan.stored for plan in plans):  # where none can be started, others may stand after
            picked &= {(row.connection, row.seq) for row in rows}
        begun = {(ask.connection, seq) for ask in asks for seq, _ in ask.begun}
        taken = {plan.ask.connection: self._taken(plan, picked) for plan in plans}
        again = {(c, one.seq) for c, found in taken.items() for one in found.claimed} - picked
        return taken, lambda: {*begun, *again, *((row.connection, row.seq) for row in rows or ())}

    def _plan(self, ask: Ask) -> _Plan:
        most = max(ask.limit, _FEW)
        before = self._candidates(ask.connection, most) if ask.stored and ask.limit else []
        known = {row.seq for row in before}
        fresh = [_Candidate(seq, key) for seq, key in ask.arrived if seq not in known]
        candidates = sorted([*fresh, *before], key=_by_seq)
        return _Plan(ask, candidates, full=len(before) >= most, stored=bool(before))

    def _block(self, plans: Sequence[_Plan]) -> None:
        """Decide of each plan what is free, what must wait behind another event of its key, and what is started."""
        opened, most = self._open_of(plans)
        for plan in plans:
            stored = {row.seq for row in plan.candidates if row.state != EXPECTED}.union(plan.ask.in_hand)
            arrived = {-row.seq for row in plan.candidates if row.state == EXPECTED}  # or are late copies
            taken = set[str]()
            blocked: dict[str, int] = {}
            new: set[int] = set()
            beyond: dict[str, int] = {}  # of a key with a long row, the last one that we looked at
            for key in {row.order_key for row in plan.candidates}:
                seqs = opened.get((plan.ask.connection, key), ())
                new.update(-seq for seq in seqs if seq < 0)
                first = next((abs(seq) for seq in seqs if seq not in stored and seq not in arrived), None)
                if first is not None:
                    blocked[key] = first
                if len(seqs) >= most:
                    beyond[key] = abs(seqs[-1])
            for row in plan.candidates:
                seen = row.seq <= beyond.get(row.order_key, _LAST)
                if row.state == EXPECTED and row.seq not in new and seen:
                    continue  # a late copy of what is further along
                first = blocked.get(row.order_key)
                if (first is not None and first < row.seq) or (plan.ask.one_per_key and row.order_key in taken):
                    plan.behind.append(row)
                    blocked.setdefault(row.order_key, row.seq)
                else:
                    plan.free.append(row)
                    taken.add(row.order_key)
            suspects = [row for row in plan.free if row.deaths]
            if suspects:  # a replayed one may stand before it
                alone = next(row for row in plan.free if row.order_key == suspects[0].order_key)
                plan.chosen = [] if plan.ask.busy or not plan.ask.limit else [alone]
            else:
                plan.chosen = plan.free[: plan.ask.limit]

    def _taken(self, plan: _Plan, started: Collection[tuple[str, int]]) -> Taken:
        connection, held = plan.ask.connection, frozenset(row.order_key for row in plan.behind)
        begun = [Claimed(seq, key, attempt=1, deaths=0, doubt=False) for seq, key in plan.ask.begun]
        claimed = [_claimed(row, row.attempts + 1) for row in plan.chosen if (connection, row.seq) in started]
        if not claimed and plan.behind and plan.stored:  # only followers were found, and others may stand after them
            again = self.take([replace(plan.ask, arrived=(), begun=())])[connection]
            return replace(again, claimed=begun + again.claimed, held=again.held | held)
        return Taken(begun + claimed, held, plan.full or len(plan.free) > len(plan.chosen))

    def _set(self, statement: Statement, pairs: Sequence[tuple[str, int]]) -> None:
        if pairs:
            statement.send(self.sql, pairs=pairs, at=self.now)

    def put_back(self, connection: str, kept: Collection[int]) -> int:
        """What is started but not among `kept` was claimed by a transaction that seemed to fail: nobody tried it."""
        return self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.state == STARTED)
            .where(deliveries.c.seq.not_in(list(kept)))
            .values(state=RECEIVED, at=self.now, attempts=deliveries.c.attempts - 1)
        ).rowcount

    def finish(self, connection: str, outcomes: Sequence[Finished], *, followers: int = _FEW) -> None:
        """Write how attempts ended, and let the next few followers of what is over go on."""
        self.end({connection: outcomes})
        self.release(connection, [o.seq for o in outcomes if o.state in FINAL], followers)

    def end(self, outcomes: Mapping[str, Sequence[Finished]]) -> None:
        """Write how attempts ended, by connection. What was given up meanwhile (a webhook removed) stays so."""
        plain: list[tuple[str, int]] = []
        untried: list[tuple[str, int]] = []
        others: list[tuple[Any, ...]] = []
        for connection, mine in outcomes.items():
            for o in mine:
                if o.state == DELIVERED and not o.answer and not o.reference:
                    plain.append((connection, o.seq))
                elif o.state == RECEIVED:
                    untried.append((connection, o.seq))
                else:
                    others.append(
                        (connection, o.seq, o.state, o.cause, o.answer, o.reference, o.due, int(o.doubt), o.fault)
                    )  # fmt: skip
        self._set(statements.DELIVER, plain)
        self._set(statements.UNTRIED, untried)
        self._set(statements.END, others)

    def recover(self, connection: str, *, doubtful: str, settling: float) -> list[tuple[Claimed, str]]:
        """Settle what a dead worker left as started. `doubtful` is the connector's idempotency: `native-key` runs
        again, `look-up-first` is looked up after `settling` seconds, `none` is parked. Twice dead is parked. Gives back
        what was parked, and why."""
        mine = (deliveries.c.connection == connection, deliveries.c.state == STARTED)
        spent = deliveries.c.deaths >= 1
        cause = case((spent, "a arrêté deux fois le programme"), else_="issue inconnue après un arrêt")
        fault = case((spent, "died-twice"), else_="unknown.stop")
        parked = self.sql.execute(
            update(deliveries).where(*mine).where(spent if doubtful != "none" else text("1=1"))
            .values(state=PARKED, deaths=deliveries.c.deaths + 1, at=self.now, cause=cause, fault=fault)
            .returning(deliveries)
        ).all()  # fmt: skip
        later = {"state": RECEIVED} if doubtful == "native-key" else {
            "state": WAITING, "doubt": 1, "due": deliveries.c.at + settling,
        }  # fmt: skip
        self.sql.execute(update(deliveries).where(*mine).values(deaths=deliveries.c.deaths + 1, at=self.now, **later))
        return [(_claimed(row, row.attempts), row.cause) for row in parked]

    def release(self, connection: str, seqs: Sequence[int], followers: int = _FEW) -> None:
        """Let what is held behind these events be looked at again, the next few of each key."""
        if not seqs:
            return
        keys = (
            select(deliveries.c.order_key).distinct()
            .where(deliveries.c.connection == connection, deliveries.c.seq.in_(list(seqs))).subquery()
        )  # fmt: skip
        held = select(deliveries.c.seq).where(deliveries.c.connection == connection, _IS_HELD)
        held = held.where(deliveries.c.order_key == keys.c.order_key)
        # Up to the first that must still wait: a seek in the index for each key, however long its backlog is.
        beyond = held.order_by(deliveries.c.seq).offset(followers).limit(1).correlate(keys).scalar_subquery()
        behind = select(keys.c.order_key, func.coalesce(beyond, _LAST).label("beyond")).subquery()
        few = (
            select(deliveries.c.seq).join(behind, behind.c.order_key == deliveries.c.order_key)
            .where(deliveries.c.connection == connection, _IS_HELD, deliveries.c.seq < behind.c.beyond)
        )  # fmt: skip
        for free in parts([row.seq for row in self.sql.execute(few)]):
            self.sql.execute(
                update(deliveries)
                .where(deliveries.c.connection == connection, deliveries.c.seq.in_(free))
                .values(state=RECEIVED, at=self.now)
            )

    def release_orphans(self, connection: str, running: Collection[str] = ()) -> None:
        """The net: held events with nothing before them go on, whatever forgot them. `running`: the keys of what is
        started; a replayed one may stand before it."""
        firsts = (
            select(deliveries.c.order_key, func.min(deliveries.c.seq).label("seq"))
            .where(deliveries.c.connection == connection, _IS_HELD, deliveries.c.order_key.not_in(set(running)))
            .group_by(deliveries.c.order_key).subquery()
        )  # fmt: skip
        earlier = deliveries.alias("earlier")
        blocked = exists().where(
            earlier.c.connection == connection, earlier.c.order_key == firsts.c.order_key, _BEFORE_IS_OPEN,
            earlier.c.seq < firsts.c.seq,
        )  # fmt: skip
        rows = self.sql.execute(select(firsts.c.seq).where(~blocked).limit(_FEW))
        self.release(connection, [row.seq for row in rows])

    def held_keys(self, connection: str) -> set[str]:
        """The keys of which something is held."""
        query = select(deliveries.c.order_key).where(deliveries.c.connection == connection, _IS_HELD).distinct()
        return {row.order_key for row in self.sql.execute(query)}

    def next_due(self, connection: str) -> float | None:
        query = select(func.min(deliveries.c.due))
        where = (deliveries.c.connection == connection, deliveries.c.state == WAITING)
        return self.sql.execute(query.where(*where)).scalar()

    def hurry(self, connection: str, *, settling: float | None = None) -> int:
        """The package is back: what waited for it is due now. What waits to be looked up keeps its time, or where
        `settling` is given, is due as soon as it may be: so many seconds after its attempt. How many are due now."""
        waits = update(deliveries).where(deliveries.c.connection == connection, _IS_WAITING)
        sure, doubt = waits.where(deliveries.c.doubt == 0), waits.where(deliveries.c.doubt == 1)
        self.sql.execute(sure.where(deliveries.c.due > self.now).values(due=self.now))
        if settling is not None:
            soonest = deliveries.c.at + settling
            self.sql.execute(doubt.where(deliveries.c.due > soonest).values(due=soonest))
        mine = (deliveries.c.connection == connection, _IS_WAITING, deliveries.c.due <= self.now)
        return int(self.sql.execute(select(func.count()).select_from(deliveries).where(*mine)).scalar_one())

    # --- operators ----------------------------------------------------------------------------------------------

    def replay(self, connection: str, seq: int) -> bool:
        """Try a parked or refused delivery again, from its first attempt. False when it is neither."""
        return self._again(connection, [seq], (PARKED, REFUSED)) == 1

    def send_again(self, connection: str, seqs: Sequence[int]) -> int:
        """Send what was delivered, or parked, once more, in its old order; how many that is. Whatever of the same key
        is open and came later waits behind it."""
        return self._again(connection, seqs, (DELIVERED, PARKED))

    def park_open(self, connection: str, seqs: Collection[int], cause: str, fault: str) -> None:
        """Whatever of these has no end and is not parked yet waits for an operator."""
        open_states = [state for state in OPEN if state != PARKED]
        self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq.in_(list(seqs)))
            .where(deliveries.c.state.in_(open_states))
            .values(state=PARKED, at=self.now, cause=cause, fault=fault, due=None)
        )

    def _again(self, connection: str, seqs: Sequence[int], states: Sequence[str]) -> int:
        self.hold_lease(connection)
        beside = deliveries.alias()
        # A refusal held nobody: a later event of its key may be running now. They never run side by side.
        running = exists().where(
            beside.c.connection == connection, beside.c.order_key == deliveries.c.order_key, beside.c.state == STARTED
        )
        changed = self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq.in_(list(seqs)))
            .where(deliveries.c.state.in_(states))
            .values(state=case((running, HELD), else_=RECEIVED), attempts=0, deaths=0, due=None, at=self.now)
        ).rowcount
        self.woke = True
        return changed

    def skip(self, connection: str, seq: int, cause: str) -> bool:
        """Give a parked delivery up and let its followers go on. False when it is not parked."""
        self.hold_lease(connection)
        return self._give_up(connection, seq, cause, deliveries.c.state == PARKED)

    def withdraw(self, connection: str, seq: int, cause: str) -> bool:
        """Give up a delivery that was surely not begun, for it says what its reader knows better, and let its followers
        go on. False when it may have had an effect, waits for an operator or is over."""
        sure = deliveries.c.state.in_((EXPECTED, RECEIVED, HELD, WAITING))
        return self._give_up(connection, seq, cause, sure, deliveries.c.doubt == 0)

    def _give_up(self, connection: str, seq: int, cause: str, *where: ColumnElement[bool]) -> bool:
        changed = self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq == seq, *where)
            .values(state=SKIPPED, at=self.now, answer=cause)
        ).rowcount
        if changed:
            self.release(connection, [seq])
            self.woke = True
        return changed == 1

    def open_of(self, connection: str, keys: Collection[str]) -> list[int]:
        """Its deliveries of these order keys that are not over, oldest first."""
        row = deliveries.c
        query = select(row.seq).where(row.connection == connection, _IS_OPEN, row.order_key.in_(sorted(keys)))
        return [found.seq for found in self.sql.execute(query.order_by(row.seq))]

    def on_their_way(
        self, connections: Sequence[str], keys: Collection[str], requests: Collection[str],
        shown: Collection[str] = (),
    ) -> list[tuple[str, int, str | None]]:  # fmt: skip
        """(connection, seq, request) of what is open and not being tried: of these keys, or about these requests.
        `shown`: the connections whose packages pull what is theirs; what one was shown is not under way, and counts."""
        waiting = _may_be_called_back(shown)
        query = select(deliveries.c.connection, deliveries.c.seq, events.c.request_id)
        query = query.join(events, events.c.seq == deliveries.c.seq).where(waiting)
        found: set[tuple[str, int, str | None]] = set()
        for some in parts(keys):
            of_key = (deliveries.c.connection.in_(list(connections)), _IS_OPEN, deliveries.c.order_key.in_(some))
            found |= {(row[0], row[1], row[2]) for row in self.sql.execute(query.where(*of_key))}
        for some in parts(requests):
            about = events.c.request_id.in_(some)
            found |= {(row[0], row[1], row[2]) for row in self.sql.execute(query.where(about))}
        return sorted(found, key=lambda row: row[:2])

    def withhold(self, pairs: Iterable[tuple[str, int]], cause: str, shown: Collection[str] = ()) -> None:
        """Skip deliveries that are not being tried, and let their followers go on. `shown`: as of `on_their_way`."""
        for connection, seqs in _grouped(pairs).items():
            for some in parts(seqs):
                self.sql.execute(
                    update(deliveries)
                    .where(deliveries.c.connection == connection, deliveries.c.seq.in_(some))
                    .where(_may_be_called_back(shown))
                    .values(state=SKIPPED, at=self.now, answer=cause)
                )
                self.release(connection, some)

    def still_to_come(self, connection: str, most: int, *, held: bool = True) -> int:
        """How many of its deliveries are open and neither started nor parked, and perhaps not `held` behind others;
        `most` stands for that or more."""
        mine = select(deliveries.c.seq).where(deliveries.c.connection == connection, _IS_OPEN)
        besides = (STARTED, PARKED) if held else (STARTED, PARKED, HELD)
        few = mine.where(deliveries.c.state.not_in(besides)).limit(most).subquery()
        return int(self.sql.execute(select(func.count()).select_from(few)).scalar_one())

    def open_before(self, connection: str, at: float, most: int) -> list[int]:
        """Its oldest deliveries that are open, not parked, and were accepted before then."""
        row = deliveries.c
        query = select(row.seq).where(row.connection == connection, _IS_OPEN, row.seq < self.first_since(at))
        query = query.where(row.state != PARKED).order_by(row.seq).limit(most)
        return [found.seq for found in self.sql.execute(query)]

    def first_since(self, at: float) -> int:
        """The number of the first event that was accepted then or later; one beyond the last where there is none. The
        numbers are in the order of acceptance: looked for by halves."""
        low = self.sql.execute(select(func.min(events.c.seq))).scalar()
        beyond = self.last_seq() + 1
        if low is None:
            return beyond
        while low < beyond:
            middle = (low + beyond) // 2
            query = select(events.c.seq, events.c.accepted_at).where(events.c.seq >= middle)
            found = self.sql.execute(query.order_by(events.c.seq).limit(1)).first()
            if found is not None and found.accepted_at < at:
                low = found.seq + 1
            else:
                beyond = middle
        return int(low)

    def after(self, connection: str, seq: int, *, window: int, most: int) -> tuple[list[Row[Any]], int]:
        """Its deliveries after an event in order, `most` at most, and the event up to which these are all."""
        last = min(seq + window, self.last_seq())
        mine = select(deliveries).where(deliveries.c.seq > seq, deliveries.c.seq <= last)
        rows = list(self.sql.execute(mine.where(deliveries.c.connection == connection)
                                     .order_by(deliveries.c.seq).limit(most)))  # fmt: skip
        return rows, rows[-1].seq if len(rows) == most else last

    def counts(self) -> dict[str, dict[str, int]]:
        """Deliveries by connection and state. Reads all of them: for a person who asks, not for a machine."""
        return self._counted([None])

    def standing(self) -> dict[str, dict[str, int]]:
        """Those of `counts` that are open or were refused. However many have ended, it costs what these few cost."""
        return self._counted([_IS_OPEN, _IS_REFUSED])

    def _counted(self, conditions: Sequence[TextClause | None]) -> dict[str, dict[str, int]]:
        by = (deliveries.c.connection, deliveries.c.state)
        found: dict[str, dict[str, int]] = {}
        for condition in conditions:
            query = select(*by, func.count()).group_by(*by)
            for connection, state, number in self.sql.execute(query if condition is None else query.where(condition)):
                found.setdefault(connection, {})[state] = number
        return found

    def accepted(self) -> int:
        return int(self.sql.execute(select(func.count()).select_from(door)).scalar_one())

    def due(self) -> int:
        """How many deliveries the accepted events called for."""
        return int(self.sql.execute(select(func.count()).select_from(deliveries)).scalar_one())

    def troubles(self, *, tenant: str | None = None, state: str = PARKED, limit: int = 100) -> list[Mapping[str, Any]]:
        """Deliveries in a state, oldest first, with what an operator needs and no personal data."""
        query = (
            select(deliveries, events.c.type, events.c.tenant, events.c.id, events.c.request_id)
            .join(events, events.c.seq == deliveries.c.seq)
            .where(deliveries.c.state == state)
        )
        if tenant is not None:
            query = query.where(events.c.tenant == tenant)
        return [dict(row._mapping) for row in self.sql.execute(query.order_by(deliveries.c.seq).limit(limit))]

    def deliveries_of(self, seqs: Sequence[int]) -> list[Row[Any]]:
        query = select(deliveries).order_by(deliveries.c.seq, deliveries.c.connection)
        return [row for part in parts(seqs) for row in self.sql.execute(query.where(deliveries.c.seq.in_(part)))]

    def referenced(self, connection: str, since: float) -> list[Row[Any]]:
        """`seq`, `reference`, `at` and `type` of the deliveries that ended since then with an identifier of the
        package; oldest first."""
        row = deliveries.c
        query = select(row.seq, row.reference, row.at, events.c.type).join(events, events.c.seq == row.seq)
        query = query.where(row.connection == connection, row.reference.is_not(None), row.at >= since)
        return list(self.sql.execute(query.where(row.state == DELIVERED).order_by(row.at, row.seq)))

    def events_of_request(self, request_id: str) -> list[StoredEvent]:
        query = select(events).where(events.c.request_id == request_id).order_by(events.c.seq)
        return [self._stored(row) for row in self.sql.execute(query)]

    def held_behind(self, connection: str, order_key: str) -> int:
        query = select(func.count()).select_from(deliveries).where(deliveries.c.connection == connection)
        query = query.where(deliveries.c.order_key == order_key, deliveries.c.state == HELD)
        return int(self.sql.execute(query).scalar_one())

    def oldest_open(self) -> dict[str, float]:
        """When the oldest event was accepted that a connection has not ended."""
        seq = func.min(deliveries.c.seq).label("seq")
        open_ones = select(deliveries.c.connection, seq).where(_IS_OPEN)
        first = open_ones.group_by(deliveries.c.connection).subquery()
        query = select(first.c.connection, events.c.accepted_at).join(events, events.c.seq == first.c.seq)
        return {row.connection: row.accepted_at for row in self.sql.execute(query)}

    def open_number(self, connection: str) -> int:
        """How many deliveries of a connection have no end."""
        query = select(func.count()).select_from(deliveries).where(deliveries.c.connection == connection, _IS_OPEN)
        return int(self.sql.execute(query).scalar_one())

    def abandon(self, connection: str, cause: str) -> None:
        """Skip all that a connection, which is gone, still had to get."""
        self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.state.in_(OPEN))
            .values(state=SKIPPED, at=self.now, answer=cause)
        )

    def identity(self) -> str:
        """Which ledger this is, by a number drawn once: a message on the bus from another one is not ours."""
        drawn = {"name": "identity", "value": secrets.randbits(62)}
        self.sql.execute(self._insert_ignore(counters), [drawn])
        return str(self.sql.execute(select(counters.c.value).where(counters.c.name == "identity")).scalar_one())

    def count_up(self, name: str, number: int = 1) -> None:
        self.sql.execute(self._insert_ignore(counters), [{"name": name, "value": 0}])
        self.sql.execute(update(counters).where(counters.c.name == name).values(value=counters.c.value + number))

    def counter(self, name: str) -> int:
        return int(self.sql.execute(select(counters.c.value).where(counters.c.name == name)).scalar() or 0)

    def prune(
        self, *, events_before: float, of_requests: Select[str] | None = None, but: Select[int] | None = None,
        limit: int = 5000,
    ) -> int:  # fmt: skip
        """Delete events that every connection has finished, and door rows past their 13 months. Those of the requests
        that `of_requests` selects are kept, and those whose numbers `but` selects. How many events went.

        Goes on from where the last call ended, and looks at a part of what is old only: 0 says that it found nothing
        there. In 24 such calls or so it comes by every event."""
        after = self.counter(_PRUNED)
        till = self._part_to_prune(after)
        part = (events.c.seq > after, events.c.seq <= till, events.c.accepted_at < events_before)
        unfinished = exists().where(deliveries.c.seq == events.c.seq, deliveries.c.state.in_(OPEN))
        old = select(events.c.seq).where(*part, ~unfinished)
        if of_requests is not None:
            kept = of_requests.subquery()
            old = old.where(~exists().where(next(iter(kept.c)) == events.c.request_id))
        if but is not None:
            needed = but.subquery()
            old = old.where(~exists().where(next(iter(needed.c)) == events.c.seq))
        seqs = [row.seq for row in self.sql.execute(old.order_by(events.c.seq).limit(limit))]
        if len(seqs) == limit:
            till = seqs[-1]
        elif till == _LAST or self.sql.execute(select(events.c.seq).where(*part).limit(1)).first() is None:
            till = 0  # nothing old is left behind: begin again
        if till != after:
            self._upsert(counters, {"name": _PRUNED}, {"value": till})
        for some in parts(seqs):
            self.sql.execute(delete(deliveries).where(deliveries.c.seq.in_(some)))
            self.sql.execute(delete(events).where(events.c.seq.in_(some)))
        self.sql.execute(delete(door).where(door.c.accepted_at < self.now - DOOR_DAYS * 86_400))
        return len(seqs)

    def _part_to_prune(self, after: int) -> int:
        """The last event of the next part: one of 24, but of some size."""
        first = self.sql.execute(select(func.min(events.c.seq))).scalar() or 0
        most = max(_PRUNE_PART, (self.last_seq() - first) // 24)
        beyond = select(events.c.seq).where(events.c.seq > after).order_by(events.c.seq).offset(most - 1).limit(1)
        return int(self.sql.execute(beyond).scalar() or _LAST)

    # --- leases -------------------------------------------------------------------------------------------------

    def take_lease(self, name: str, owner: str, seconds: float) -> int | None:
        """The fencing token when the lease is ours until then, None when somebody else's is still running."""
        self.sql.execute(self._insert_ignore(leases), [{"name": name, "owner": "", "token": 0, "until": 0.0}])
        # Nobody takes a lease for that long: it was taken by a clock that has been put right since.
        now = self._lease_clock
        over, mine = (leases.c.until < now) | (leases.c.until > now + _NOT_BELIEVED), leases.c.owner == owner
        token = case((mine & ~over, leases.c.token), else_=leases.c.token + 1)
        row = self.sql.execute(
            update(leases).where(leases.c.name == name, mine | over)
            .values(owner=owner, token=token, until=now + seconds)
            .returning(leases.c.token)
        ).scalar()  # fmt: skip
        return None if row is None else int(row)

    def fence(self, name: str, token: int, seconds: float) -> None:
        """Prolong our lease, or raise LeaseLost. Holds the lease row until the commit: nobody acts beside us."""
        changed = self.sql.execute(
            update(leases)
            .where(leases.c.name == name, leases.c.token == token)
            .values(until=self._lease_clock + seconds)
        ).rowcount
        if changed != 1:
            raise LeaseLost(name)

    def give_back(self, name: str, token: int) -> None:
        self.sql.execute(update(leases).where(leases.c.name == name, leases.c.token == token).values(until=0.0))

    def leased(self) -> set[str]:
        """The names for which somebody may act now."""
        now = self._lease_clock
        held = select(leases.c.name).where(leases.c.until > now, leases.c.until <= now + _NOT_BELIEVED)
        return set(self.sql.execute(held).scalars())

    def try_write(self) -> None:
        """Change nothing, as one who writes."""
        self.sql.execute(delete(counters).where(counters.c.name == ""))

    @property
    def _lease_clock(self) -> Any:
        """One clock for all who want a lease: that of the database, for those of several hosts differ."""
        if self.sql.dialect.name == "sqlite":
            return literal(self.now, Double)
        return cast(func.extract("epoch", func.clock_timestamp()), Double)

    # --- inside -------------------------------------------------------------------------------------------------

    def _candidates(self, connection: str, most: int) -> list[Row[Any]]:
        due = statements.DUE.send(self.sql, connection=connection, now=self.now, most=most)
        ready = statements.READY.send(self.sql, connection=connection, most=most)
        return sorted([*due, *ready], key=lambda row: row.seq)[:most]

    def _open_of(self, plans: Sequence[_Plan]) -> tuple[dict[tuple[str, str], Sequence[int]], int]:
        """By connection and key, its first open events in order, so many of them (the second result) that there is one
        that is neither a candidate nor in hand. Those that were not received have a minus."""
        keys = dict.fromkeys((plan.ask.connection, row.order_key) for plan in plans for row in plan.candidates)
        if not keys:
            return {}, 0
        dialect = self.sql.dialect.name
        apart = Counter(
            (plan.ask.connection, key) for plan in plans
            for key in (*(row.order_key for row in plan.candidates), *plan.ask.in_hand.values())
        )  # fmt: skip
        most = 1 + max(apart.values())
        if self._ahead is not None and self.unchanged(self._ahead.place) and self._ahead.tells(keys, most):
            return self._ahead.firsts(), self._ahead.most
        return _firsts(statements.FIRSTS[dialect].send(self.sql, keys=list(keys), most=most)), most

    def hold_lease(self, connection: str) -> None:
        """Nobody claims or ends deliveries of a connection until the commit."""
        self.sql.execute(select(leases.c.name).where(leases.c.name == f"worker:{connection}").with_for_update())

    def _supersede(self, entry: Entry, seq: int) -> None:
        """Earlier events of this type and key that have not started are out of date."""
        older = select(events.c.seq).where(
            events.c.order_key == entry.order_key, events.c.type == entry.event.type, events.c.seq < seq
        )
        self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection.in_(list(entry.connections)), deliveries.c.order_key == entry.order_key)
            .where(deliveries.c.state.in_([s for s in OPEN if s != STARTED]), deliveries.c.seq.in_(older))
            .values(state=SUPERSEDED, at=self.now)
        )
        for connection in entry.connections:
            self.release(connection, [seq])

    def _switch(self, connection: str, paused: int, cause: str | None, fault: str | None) -> None:
        switched = {"paused": paused, "cause": cause, "at": self.now, "fault": fault}
        self._upsert(switches, {"connection": connection}, switched)

    def _allocate(self, number: int) -> list[int]:
        if self._door is not None:
            first = self._last if self._last is not None else int(self._door.all()[0].value)
            self._last = first + number
            statements.NUMBERED.send(self.sql, value=self._last)
            return list(range(first + 1, self._last + 1))
        query = (
            update(counters).where(counters.c.name == "events")
            .values(value=counters.c.value + number).returning(counters.c.value)
        )  # fmt: skip
        last = self.sql.execute(query).scalar()
        if last is None:
            self.sql.execute(self._insert_ignore(counters), [{"name": "events", "value": 0}])
            last = self.sql.execute(query).scalar_one()
        self._last = last if self.holds_door else None
        return list(range(last - number + 1, last + 1))

    def _pass_door(self, entries: Sequence[Entry], seqs: Sequence[int], now: float) -> set[int]:
        rows = [
            {"tenant": e.tenant, "source": e.event.source, "id": e.event.id, "digest": e.digest, "seq": s,
             "accepted_at": now}
            for e, s in zip(entries, seqs, strict=True)
        ]  # fmt: skip
        if self._door is not None:
            statements.PASS_HELD_DOOR.send(self.sql, rows)
            return set(seqs)
        return set(statements.PASS_DOOR.run(self.sql, rows))

    def _event_row(self, entry: Entry, seq: int, now: float) -> dict[str, Any]:
        event = entry.event
        data = orjson.dumps(event.data, default=dict)
        if self.ledger.cipher is not None:
            data = self.ledger.cipher.encrypt(data, f"event:{seq}".encode())
        return {
            "seq": seq, "tenant": entry.tenant, "source": event.source, "id": event.id, "type": event.type,
            "version": event.version, "subject": event.subject, "time": event.time,
            "extensions": orjson.dumps(dict(event.extensions)).decode() if event.extensions else None,
            "order_key": entry.order_key, "request_id": entry.request_id, "origin": entry.origin, "data": data,
            "accepted_at": now, "directory": entry.directory,
        }  # fmt: skip

    def _stored(self, row: Row[Any]) -> StoredEvent:
        data = row.data
        if self.ledger.cipher is not None:
            data = self.ledger.cipher.decrypt(data, f"event:{row.seq}".encode())
        event = Event(
            type=row.type, source=row.source, data=orjson.loads(data), id=row.id, subject=row.subject, time=row.time,
            version=row.version, extensions=MappingProxyType(orjson.loads(row.extensions) if row.extensions else {}),
        )  # fmt: skip
        return StoredEvent(
            row.seq, row.tenant, event, row.order_key, row.request_id, row.origin, row.accepted_at, row.directory
        )

    def _insert_ignore(self, table: Any) -> Any:
        return self._dialect_insert(table).on_conflict_do_nothing()

    def _upsert(self, table: Any, key: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        query = self._dialect_insert(table).values(**key, **values)
        self.sql.execute(query.on_conflict_do_update(index_elements=list(key), set_=dict(values)))

    def _dialect_insert(self, table: Any) -> Any:
        return (sqlite_insert if self.sql.dialect.name == "sqlite" else postgresql_insert)(table)


def parts(items: Iterable[_T]) -> Iterator[list[_T]]:
    """So many at a time that a statement may name them: SQLite takes 32,766 values, PostgreSQL 65,535."""
    rest = iter(items)
    while part := list(islice(rest, _NAMED)):
        yield part


def _claimed(row: Any, attempt: int) -> Claimed:
    return Claimed(row.seq, row.order_key, attempt, row.deaths, bool(row.doubt))


@dataclass(frozen=True, slots=True)
class _Ahead:
    """What was asked ahead about some keys, and after how many statements."""

    rows: Sent
    keys: Mapping[tuple[str, str], int]
    most: int
    place: int

    def tells(self, keys: Iterable[tuple[str, str]], most: int) -> bool:
        return most <= self.most and all(key in self.keys for key in keys)

    def firsts(self) -> dict[tuple[str, str], Sequence[int]]:
        return _firsts(self.rows)


def _firsts(rows: Iterable[Any]) -> dict[tuple[str, str], Sequence[int]]:
    return {(row.connection, row.key): [int(seq) for seq in (row.firsts or "").split()] for row in rows}


def _may_be_called_back(shown: Collection[str]) -> ColumnElement[bool]:
    waits = deliveries.c.state.in_([state for state in OPEN if state != STARTED])
    return waits | (deliveries.c.connection.in_(list(shown)) & (deliveries.c.state == STARTED)) if shown else waits


def _grouped(pairs: Iterable[tuple[str, int]]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for connection, seq in pairs:
        groups.setdefault(connection, []).append(seq)
    return groups


def _engine(url: str, tls: Tls | None) -> Engine:
    if not url.startswith("sqlite"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        secure = {"sslmode": "verify-full", "sslrootcert": str(tls.ca)} if tls and tls.ca else {}
        if tls and tls.ca and tls.cert and tls.key:
            secure |= {"sslcert": str(tls.cert), "sslkey": str(tls.key)}
        arguments = {"connect_timeout": 5, **_PATIENCE, **secure}
        engine = create_engine(
            url, pool_size=10, max_overflow=40, pool_timeout=10, connect_args=arguments, hide_parameters=True,
            isolation_level="AUTOCOMMIT",
        )  # fmt: skip
        gathers(engine)
        _make_sure_of_what_rested(engine)
        return engine
    engine = create_engine(
        url, pool_size=20, max_overflow=40, connect_args={"timeout": 30}, hide_parameters=True
    )  # fmt: skip

    @event.listens_for(engine, "do_connect")
    def _private(*_: object) -> None:
        _make_private(engine.url.database)

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "busy_timeout=30000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("reading", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine


def _make_private(path: str | None) -> None:
    """Make the file of a new database readable by its owner alone; SQLite gives those beside it (-wal, -shm) the same
    permissions. One that is there keeps its own."""
    if not path or path == ":memory:" or path.startswith("file:"):
        return
    with contextlib.suppress(OSError):  # it is there; any other trouble is SQLite's to tell
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


def _make_sure_of_what_rested(engine: Engine) -> None:
    """Ask a connection whether it still stands, but not one that worked a moment ago: that would cost each transaction
    a round trip."""

    @event.listens_for(engine, "checkin")
    def _rests(_connection: object, record: Any) -> None:
        record.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _wakes(connection: Any, record: Any, _proxy: object) -> None:
        if time.monotonic() - record.info.get("rests_since", float("inf")) < _FRESH:
            return
        try:
            engine.dialect.do_ping(connection)
        except Exception as error:  # the driver's own
            raise DisconnectionError from error


def _at_the_door(error: DBAPIError) -> bool:
    """Whether an event passed the door that had passed it just before."""
    about: Any = getattr(error.orig, "diag", None)
    return about is not None and about.sqlstate == "23505" and about.constraint_name == "door_pkey"


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except NoConnectionFree as error:
        raise BusUnavailable("all connections to the database are in use") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _LOST_A_RACE or _at_the_door(error):
            raise Raced("two transactions wanted the same rows") from error
        if error.connection_invalidated or type(error).__name__ in _AWAY:
            raise BusUnavailable(f"the database is away ({type(error).__name__})") from error
        raise
