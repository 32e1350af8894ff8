"""The ledger: what was accepted, and where each delivery stands. All of it is SQL, the same on SQLite and PostgreSQL.

`Ledger.transaction()` gives the unit of work; its methods are the only statements that change a delivery.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

import orjson
from sqlalchemy import (
    Connection,
    Double,
    Engine,
    Row,
    Select,
    bindparam,
    case,
    cast,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    literal,
    select,
    text,
    tuple_,
    update,
)  # fmt: skip
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from bus.tables import (
    DELIVERED,
    EXPECTED,
    FINAL,
    HELD,
    OPEN,
    PARKED,
    RECEIVED,
    REFUSED,
    SENT,
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
    subscriptions,
    switches,
)  # fmt: skip
from schemas.errors import BusUnavailable
from schemas.event import Event

_T = TypeVar("_T")
# A process that stands still in the middle of a transaction, or a network that swallows everything, must not hold the
# rows of a lease for longer than the lease itself.
_PATIENCE: Mapping[str, Any] = MappingProxyType({
    "options": "-c idle_in_transaction_session_timeout=10s", "tcp_user_timeout": 15_000,
    "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
})  # fmt: skip
_LOST_A_RACE = ("40001", "40P01")  # serialization failure, deadlock
# Written out, not bound: a partial index serves a query only when the planner sees that the states are its own.
_IS_OPEN = text(f"deliveries.state IN {OPEN}")
_IS_HELD = text(f"deliveries.state IN {OPEN} AND deliveries.state = 'held'")
_BEFORE_IS_OPEN = text(f"earlier.state IN {OPEN}")
_NOT_BELIEVED = 600.0  # seconds: leases are of a minute at most
_NAMED = 5000
_LAST = 2**62  # a number that no event reaches
_AWAY = ("OperationalError", "InterfaceError", "InternalError")  # the last: a standby that may not be written to
_FEW = 500  # followers released at once: a key with a long backlog must not be rewritten at each step
DOOR_DAYS = 400  # 13 months and a margin


class Cipher(Protocol):
    """Encrypts bodies at rest; `context` binds a body to its place."""

    def encrypt(self, plain: bytes, context: bytes) -> bytes: ...

    def decrypt(self, sealed: bytes, context: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An accepted event with what the hub decided about it."""

    seq: int
    tenant: str
    event: Event
    order_key: str
    request_id: str | None
    origin: str
    accepted_at: float


@dataclass(frozen=True, slots=True)
class Entry:
    """An event about to be written, with the connections that must get it."""

    tenant: str
    event: Event
    digest: bytes
    order_key: str
    request_id: str | None
    origin: str
    connections: Sequence[str]
    supersedes: bool = False


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
    """How an attempt ended. `state` is delivered, refused, waiting (with `due`), parked, or received (not tried)."""

    seq: int
    order_key: str
    state: str
    cause: str | None = None
    answer: str | None = None
    reference: str | None = None
    due: float | None = None
    doubt: bool = False


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
            connection.commit()
        if tx.woke:
            self.wake()

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        """A look at committed state; never waits for a writer."""
        with _translated(), self.engine.connect().execution_options(reading=True) as connection:
            yield Transaction(self, connection)

    def wake(self) -> None:
        with self._changed:
            self._changes += 1
            self._changed.notify_all()

    def wait_for_change(self, seen: int, timeout: float) -> int:
        """Sleep until a transaction of this process brought work, `timeout` seconds at most. Give back the last result
        as `seen` to miss nothing."""
        with self._changed:
            self._changed.wait_for(lambda: self._changes != seen, timeout)
            return self._changes

    def close(self) -> None:
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

    @property
    def now(self) -> float:
        return self.ledger.now()

    # --- acceptance ---------------------------------------------------------------------------------------------

    def hold_door(self) -> None:
        """Accept alone until the commit. Two processes that looked up the same new person at once would otherwise each
        make one, and the events of that person would lose their order and their way."""
        self._allocate(0)

    def known(self, keys: Iterable[tuple[str, str, str]]) -> dict[tuple[str, str, str], tuple[bytes, int]]:
        """Of these (tenant, source, id), those already at the door, each with its digest and `seq`."""
        wanted = list(keys)
        if not wanted:
            return {}
        by_tenant: dict[str, list[tuple[str, str]]] = {}
        for tenant, source, event_id in wanted:
            by_tenant.setdefault(tenant, []).append((source, event_id))
        found = {}
        for tenant, pairs in by_tenant.items():
            for part in parts(pairs):
                query = select(door).where(door.c.tenant == tenant, tuple_(door.c.source, door.c.id).in_(part))
                for row in self.sql.execute(query):
                    found[(row.tenant, row.source, row.id)] = (row.digest, row.seq)
        return found

    def append(self, entries: Sequence[Entry]) -> list[int | None]:
        """Write events and their deliveries. None where somebody else passed the door with the same key just now."""
        if not entries:
            return []
        now = self.now
        seqs = self._allocate(len(entries))
        admitted = self._pass_door(entries, seqs, now)
        fresh = [(e, s) for e, s in zip(entries, seqs, strict=True) if s in admitted]
        if fresh:
            self.sql.execute(insert(events), [self._event_row(entry, seq, now) for entry, seq in fresh])
            rows = [
                {"connection": c, "seq": seq, "order_key": entry.order_key, "state": EXPECTED, "at": now}
                for entry, seq in fresh
                for c in entry.connections
            ]
            if rows:
                self.sql.execute(insert(deliveries), rows)
                self.woke = True
            for entry, seq in fresh:
                if entry.supersedes:
                    self._supersede(entry, seq)
        return [seq if seq in admitted else None for seq in seqs]

    def load(self, seqs: Sequence[int]) -> dict[int, StoredEvent]:
        rows = (row for part in parts(seqs) for row in self.sql.execute(select(events).where(events.c.seq.in_(part))))
        return {row.seq: self._stored(row) for row in rows}

    def last_seq(self) -> int:
        return int(self.sql.execute(select(func.coalesce(func.max(events.c.seq), 0))).scalar_one())

    # --- subscriptions and switches -----------------------------------------------------------------------------

    def subscribe(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Record since which event each connection is subscribed to each type. Known ones keep their start."""
        start, now = self.last_seq(), self.now
        rows = [
            {"connection": connection, "type": event_type, "since_seq": start, "since": now}
            for connection, types in wanted.items()
            for event_type in types
        ]
        if rows:
            self.sql.execute(self._insert_ignore(subscriptions), rows)

    def pause(self, connection: str, cause: str) -> None:
        self._switch(connection, 1, cause)

    def resume(self, connection: str) -> None:
        self._switch(connection, 0, None)
        self.woke = True

    def paused(self) -> dict[str, str]:
        rows = self.sql.execute(select(switches).where(switches.c.paused == 1))
        return {row.connection: row.cause or "" for row in rows}

    def cursor(self, connection: str) -> Mapping[str, Any] | None:
        row = self.sql.execute(select(cursors.c.cursor).where(cursors.c.connection == connection)).scalar()
        return orjson.loads(row) if row else None

    def move_cursor(self, connection: str, cursor: Mapping[str, Any]) -> None:
        values = {"cursor": orjson.dumps(cursor).decode(), "at": self.now}
        self._upsert(cursors, {"connection": connection}, values)

    # --- relay --------------------------------------------------------------------------------------------------

    def unsent(self, limit: int, connections: Sequence[str]) -> list[tuple[str, int]]:
        """(connection, seq) not yet on the bus, oldest first, of these connections."""
        query = select(deliveries.c.connection, deliveries.c.seq).where(deliveries.c.state == EXPECTED)
        query = query.where(deliveries.c.connection.in_(list(connections)))
        rows = self.sql.execute(query.order_by(deliveries.c.seq).limit(limit))
        return [(row.connection, row.seq) for row in rows]

    def mark_sent(self, pairs: Iterable[tuple[str, int]], *, state: str = SENT) -> None:
        """`state` is delivered for queues that an outside package reads by itself."""
        for connection, seqs in _grouped(pairs).items():
            self.sql.execute(
                update(deliveries)
                .where(deliveries.c.connection == connection, deliveries.c.seq.in_(seqs))
                .where(deliveries.c.state == EXPECTED)
                .values(state=state, at=self.now)
            )

    def park_unsent(self, pairs: Iterable[tuple[str, int]], cause: str) -> None:
        """What cannot be put on the bus waits for an operator, and its followers behind it."""
        for connection, seqs in _grouped(pairs).items():
            self.sql.execute(
                update(deliveries)
                .where(deliveries.c.connection == connection, deliveries.c.seq.in_(seqs))
                .where(deliveries.c.state == EXPECTED)
                .values(state=PARKED, at=self.now, cause=cause)
            )

    def sent_before(self, at: float) -> list[str]:
        """The connections that have something on the bus since before that time, which they have not received."""
        query = select(deliveries.c.connection).where(deliveries.c.state == SENT, deliveries.c.at < at).distinct()
        return [row.connection for row in self.sql.execute(query)]

    def newest_received(self, connection: str) -> int:
        """The last event of which a worker of this connection has committed a receipt; 0 when there is none."""
        query = select(func.coalesce(func.max(deliveries.c.seq), 0)).where(deliveries.c.connection == connection)
        return int(self.sql.execute(query.where(deliveries.c.state.not_in((EXPECTED, SENT)))).scalar_one())

    def send_again(self, *, sent_before: float, connection: str | None = None, before: int | None = None) -> int:
        """What was put on the bus before that time, and before an event, and never received is unsent again."""
        query = update(deliveries).where(deliveries.c.state == SENT, deliveries.c.at < sent_before)
        if connection is not None:
            query = query.where(deliveries.c.connection == connection)
        if before is not None:
            query = query.where(deliveries.c.seq < before)
        changed = self.sql.execute(query.values(state=EXPECTED, at=self.now)).rowcount
        self.woke = self.woke or changed > 0
        return changed

    # --- worker -------------------------------------------------------------------------------------------------

    def receive(self, connection: str, seqs: Sequence[int]) -> None:
        """The receipt: idempotent, and a late copy of something further along changes nothing."""
        self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq.in_(list(seqs)))
            .where(deliveries.c.state.in_((EXPECTED, SENT)))
            .values(state=RECEIVED, at=self.now)
        )

    def claim(self, connection: str, limit: int, *, one_per_key: bool = False, busy: bool = False) -> list[Claimed]:
        """Commit an attempt for what may run now, in order; what stands behind an earlier event becomes held.

        What died as started before runs alone: it is claimed only when nothing else is running (`busy` false).
        """
        while candidates := self._candidates(connection, max(limit, _FEW)):
            claimed, behind = self._claim_of(connection, candidates, limit, one_per_key=one_per_key, busy=busy)
            if claimed or not behind:  # else only followers were found, and others may stand after them
                return claimed
        return []

    def _claim_of(
        self, connection: str, candidates: Sequence[Row[Any]], limit: int, *, one_per_key: bool, busy: bool
    ) -> tuple[list[Claimed], int]:
        """What of the candidates was claimed, and how many of them became held."""
        blocked = self._blockers(connection, candidates)
        free, behind, taken = [], [], set()
        for row in candidates:
            first = blocked.get(row.order_key)
            if (first is not None and first < row.seq) or (one_per_key and row.order_key in taken):
                behind.append(row.seq)
                blocked.setdefault(row.order_key, row.seq)
            else:
                free.append(row)
                taken.add(row.order_key)
        suspects = [row for row in free if row.deaths]
        if suspects:
            free = [] if busy else suspects[:1]
        free = free[:limit]
        self._to_state(connection, behind, HELD)
        started = self._start(connection, [row.seq for row in free])
        return [_claimed(row, row.attempts + 1) for row in free if row.seq in started], len(behind)

    def _start(self, connection: str, seqs: Sequence[int]) -> set[int]:
        """Those that are started now: not what was withheld or given up since we looked."""
        if not seqs:
            return set()
        rows = self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq.in_(list(seqs)))
            .where(deliveries.c.state.in_((RECEIVED, WAITING)))
            .values(state=STARTED, at=self.now, attempts=deliveries.c.attempts + 1, due=None)
            .returning(deliveries.c.seq)
        )
        return {row.seq for row in rows}

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
        plain = [o.seq for o in outcomes if o.state == DELIVERED and not o.answer and not o.reference]
        self._to_state(connection, plain, DELIVERED, only=STARTED)
        untried = [o.seq for o in outcomes if o.state == RECEIVED]
        if untried:
            self.sql.execute(
                update(deliveries)
                .where(deliveries.c.connection == connection, deliveries.c.seq.in_(untried))
                .where(deliveries.c.state == STARTED)
                .values(state=RECEIVED, at=self.now, attempts=deliveries.c.attempts - 1)
            )
        done = set(plain) | set(untried)
        rows = [
            {"c": connection, "s": o.seq, "state": o.state, "cause": o.cause, "answer": o.answer,
             "reference": o.reference, "due": o.due, "doubt": int(o.doubt), "at": self.now}
            for o in outcomes if o.seq not in done
        ]  # fmt: skip
        if rows:
            # What was given up meanwhile (a webhook that was removed) stays so.
            where = (
                deliveries.c.connection == bindparam("c"), deliveries.c.seq == bindparam("s"),
                deliveries.c.state == STARTED,
            )  # fmt: skip
            names = ("state", "cause", "answer", "reference", "due", "doubt", "at")
            values: dict[str, Any] = {name: bindparam(name) for name in names}
            self.sql.execute(update(deliveries).where(*where).values(values), rows)
        self.release(connection, [o.seq for o in outcomes if o.state in FINAL], followers)

    def recover(self, connection: str, *, doubtful: str, settling: float) -> list[tuple[Claimed, str]]:
        """Settle what a dead worker left as started. `doubtful` is the connector's idempotency: `native-key` runs
        again, `look-up-first` is looked up after `settling` seconds, `none` is parked. Twice dead is parked. Gives back
        what was parked, and why."""
        mine = (deliveries.c.connection == connection, deliveries.c.state == STARTED)
        spent = deliveries.c.deaths >= 1
        cause = case((spent, "a arrêté deux fois le programme"), else_="issue inconnue après un arrêt")
        parked = self.sql.execute(
            update(deliveries).where(*mine).where(spent if doubtful != "none" else text("1=1"))
            .values(state=PARKED, deaths=deliveries.c.deaths + 1, at=self.now, cause=cause).returning(deliveries)
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

    def release_orphans(self, connection: str) -> None:
        """The net: held events with nothing before them go on, whatever forgot them."""
        earlier = deliveries.alias("earlier")
        blocked = exists().where(
            earlier.c.connection == deliveries.c.connection, earlier.c.order_key == deliveries.c.order_key,
            _BEFORE_IS_OPEN, (earlier.c.seq < deliveries.c.seq) | (earlier.c.state == STARTED),
        )  # fmt: skip
        firsts = (
            select(func.min(deliveries.c.seq).label("seq")).where(deliveries.c.connection == connection, _IS_HELD)
            .group_by(deliveries.c.order_key).subquery()
        )  # fmt: skip
        rows = self.sql.execute(
            select(deliveries.c.seq).join(firsts, firsts.c.seq == deliveries.c.seq)
            .where(deliveries.c.connection == connection, ~blocked)
            .limit(_FEW)
        )  # fmt: skip
        self.release(connection, [row.seq for row in rows])

    def next_due(self, connection: str) -> float | None:
        query = select(func.min(deliveries.c.due))
        where = (deliveries.c.connection == connection, deliveries.c.state == WAITING)
        return self.sql.execute(query.where(*where)).scalar()

    def hurry(self, connection: str) -> None:
        """The package is back: what waited for it is due now. What waits to be looked up keeps its time."""
        self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.state == WAITING, deliveries.c.doubt == 0)
            .values(due=self.now)
        )

    # --- operators ----------------------------------------------------------------------------------------------

    def replay(self, connection: str, seq: int) -> bool:
        """Try a parked or refused delivery again, from its first attempt. False when it is neither."""
        self._hold_lease(connection)
        beside = deliveries.alias()
        # A refusal held nobody: a later event of its key may be running now. They never run side by side.
        running = exists().where(
            beside.c.connection == connection, beside.c.order_key == deliveries.c.order_key, beside.c.state == STARTED
        )
        changed = self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq == seq)
            .where(deliveries.c.state.in_((PARKED, REFUSED)))
            .values(state=case((running, HELD), else_=RECEIVED), attempts=0, deaths=0, due=None, at=self.now)
        ).rowcount
        self.woke = True
        return changed == 1

    def skip(self, connection: str, seq: int, cause: str) -> bool:
        """Give a parked delivery up and let its followers go on. False when it is not parked."""
        self._hold_lease(connection)
        changed = self.sql.execute(
            update(deliveries)
            .where(deliveries.c.connection == connection, deliveries.c.seq == seq, deliveries.c.state == PARKED)
            .values(state=SKIPPED, at=self.now, answer=cause)
        ).rowcount
        if changed:
            self.release(connection, [seq])
            self.woke = True
        return changed == 1

    def on_their_way(
        self, connections: Sequence[str], keys: Collection[str], requests: Collection[str]
    ) -> list[tuple[str, int, str | None]]:
        """(connection, seq, request) of what is open and not being tried: of these keys, or about these requests."""
        waiting = deliveries.c.state.in_([s for s in OPEN if s != STARTED])
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

    def withhold(self, pairs: Iterable[tuple[str, int]], cause: str) -> None:
        """Skip deliveries that are not being tried, and let their followers go on."""
        for connection, seqs in _grouped(pairs).items():
            for some in parts(seqs):
                self.sql.execute(
                    update(deliveries)
                    .where(deliveries.c.connection == connection, deliveries.c.seq.in_(some))
                    .where(deliveries.c.state.in_([s for s in OPEN if s != STARTED]))
                    .values(state=SKIPPED, at=self.now, answer=cause)
                )
                self.release(connection, some)

    def counts(self) -> dict[str, dict[str, int]]:
        """Deliveries by connection and state."""
        query = select(deliveries.c.connection, deliveries.c.state, func.count())
        found: dict[str, dict[str, int]] = {}
        for connection, state, number in self.sql.execute(query.group_by(deliveries.c.connection, deliveries.c.state)):
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
        open_ones = select(deliveries.c.connection, seq).where(deliveries.c.state.in_(OPEN))
        first = open_ones.group_by(deliveries.c.connection).subquery()
        query = select(first.c.connection, events.c.accepted_at).join(events, events.c.seq == first.c.seq)
        return {row.connection: row.accepted_at for row in self.sql.execute(query)}

    def open_connections(self) -> list[str]:
        """The connections that have something without an end."""
        rows = self.sql.execute(select(deliveries.c.connection).where(_IS_OPEN).distinct())
        return [row.connection for row in rows]

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

    def prune(self, *, events_before: float, of_requests: Select[str] | None = None, limit: int = 5000) -> int:
        """Delete events that every connection has finished, and door rows past their 13 months. Those of the requests
        that `of_requests` selects are kept. How many events went."""
        unfinished = exists().where(deliveries.c.seq == events.c.seq, deliveries.c.state.in_(OPEN))
        old = select(events.c.seq).where(events.c.accepted_at < events_before, ~unfinished)
        if of_requests is not None:
            old = old.where(events.c.request_id.is_(None) | events.c.request_id.not_in(of_requests))
        seqs = [row.seq for row in self.sql.execute(old.limit(limit))]
        if seqs:
            self.sql.execute(delete(deliveries).where(deliveries.c.seq.in_(seqs)))
            self.sql.execute(delete(events).where(events.c.seq.in_(seqs)))
        self.sql.execute(delete(door).where(door.c.accepted_at < self.now - DOOR_DAYS * 86_400))
        return len(seqs)

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

    @property
    def _lease_clock(self) -> Any:
        """One clock for all who want a lease: that of the database, for those of several hosts differ."""
        if self.sql.dialect.name == "sqlite":
            return literal(self.now, Double)
        return cast(func.extract("epoch", func.clock_timestamp()), Double)

    # --- inside -------------------------------------------------------------------------------------------------

    def _candidates(self, connection: str, limit: int) -> list[Row[Any]]:
        columns = (deliveries.c.seq, deliveries.c.order_key, deliveries.c.attempts, deliveries.c.deaths,
                   deliveries.c.doubt, deliveries.c.state)  # fmt: skip
        mine = select(*columns).where(deliveries.c.connection == connection)
        ready = mine.where(deliveries.c.state == RECEIVED).order_by(deliveries.c.seq).limit(limit)
        due = mine.where(deliveries.c.state == WAITING, deliveries.c.due <= self.now).limit(limit)
        rows = [*self.sql.execute(due), *self.sql.execute(ready)]
        return sorted(rows, key=lambda row: row.seq)[:limit]

    def _blockers(self, connection: str, candidates: Sequence[Row[Any]]) -> dict[str, int]:
        """The first open event of each key that is not a candidate itself."""
        seqs = [row.seq for row in candidates]
        keys = (
            select(deliveries.c.order_key).distinct()
            .where(deliveries.c.connection == connection, deliveries.c.seq.in_(seqs)).subquery()
        )  # fmt: skip
        first = (
            select(deliveries.c.seq).where(deliveries.c.connection == connection, _IS_OPEN)
            .where(deliveries.c.order_key == keys.c.order_key, deliveries.c.seq.not_in(seqs))
            .order_by(deliveries.c.seq).limit(1).correlate(keys).scalar_subquery()
        )  # fmt: skip
        rows = self.sql.execute(select(keys.c.order_key, first))
        return {row[0]: row[1] for row in rows if row[1] is not None}

    def _to_state(self, connection: str, seqs: Sequence[int], state: str, *, only: str | None = None) -> None:
        if seqs:
            query = update(deliveries).where(deliveries.c.connection == connection, deliveries.c.seq.in_(list(seqs)))
            if only is not None:
                query = query.where(deliveries.c.state == only)
            self.sql.execute(query.values(state=state, at=self.now, cause=None))

    def _hold_lease(self, connection: str) -> None:
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

    def _switch(self, connection: str, paused: int, cause: str | None) -> None:
        self._upsert(switches, {"connection": connection}, {"paused": paused, "cause": cause, "at": self.now})

    def _allocate(self, number: int) -> list[int]:
        # A counter row, not a sequence: its lock lasts until the commit, so `seq` order is commit order.
        self.sql.execute(self._insert_ignore(counters), [{"name": "events", "value": 0}])
        last = self.sql.execute(
            update(counters).where(counters.c.name == "events")
            .values(value=counters.c.value + number).returning(counters.c.value)
        ).scalar_one()  # fmt: skip
        return list(range(last - number + 1, last + 1))

    def _pass_door(self, entries: Sequence[Entry], seqs: Sequence[int], now: float) -> set[int]:
        rows = [
            {"tenant": e.tenant, "source": e.event.source, "id": e.event.id, "digest": e.digest, "seq": s,
             "accepted_at": now}
            for e, s in zip(entries, seqs, strict=True)
        ]  # fmt: skip
        query = self._insert_ignore(door).returning(door.c.seq)
        return {row.seq for row in self.sql.execute(query, rows)}

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
            "accepted_at": now,
        }  # fmt: skip

    def _stored(self, row: Row[Any]) -> StoredEvent:
        data = row.data
        if self.ledger.cipher is not None:
            data = self.ledger.cipher.decrypt(data, f"event:{row.seq}".encode())
        event = Event(
            type=row.type, source=row.source, data=orjson.loads(data), id=row.id, subject=row.subject, time=row.time,
            version=row.version, extensions=MappingProxyType(orjson.loads(row.extensions) if row.extensions else {}),
        )  # fmt: skip
        return StoredEvent(row.seq, row.tenant, event, row.order_key, row.request_id, row.origin, row.accepted_at)

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


def _claimed(row: Row[Any], attempt: int) -> Claimed:
    return Claimed(row.seq, row.order_key, attempt, row.deaths, bool(row.doubt))


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
        return create_engine(
            url, pool_size=10, max_overflow=40, pool_pre_ping=True, pool_timeout=10, connect_args=arguments,
            hide_parameters=True,
        )  # fmt: skip
    engine = create_engine(
        url, pool_size=20, max_overflow=40, connect_args={"timeout": 30}, hide_parameters=True
    )  # fmt: skip

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


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except NoConnectionFree as error:
        raise BusUnavailable("all connections to the database are in use") from error
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _LOST_A_RACE:
            raise Raced("two transactions wanted the same rows") from error
        if error.connection_invalidated or type(error).__name__ in _AWAY:
            raise BusUnavailable(f"the database is away ({type(error).__name__})") from error
        raise
