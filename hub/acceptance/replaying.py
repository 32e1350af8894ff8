"""What a connection had is sent again from a point on, for who lost it: the same events under the same keys, as it may
see them now.

Step by step, through the ledger: what is sent again takes its old place in the order of its key, so that whatever is
newer and open waits behind it. A step follows the order of acceptance up to the present, and takes what was delivered
meanwhile with it: while it lasts an old word may come after a newer one, and the newest comes last.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update

from bus.ledger import Ledger, StoredEvent, Transaction
from bus.tables import DELIVERED, PARKED, STARTED
from hub.acceptance.deliveries import OBSERVED, Deliveries
from hub.acceptance.looking import keep_looking
from hub.journal.sealing import look_again
from hub.storage.tables import delivery_replays
from schemas.errors import InvalidMessage

EVERY = 1.0  # seconds between two steps
AT_ONCE = 200  # deliveries that a step sends again
OPEN_AT_MOST = 500  # that still have to go out: more is not sent again before
WINDOW = 20_000  # events that a step passes by
PAUSE = 600.0  # seconds after the end of one in which no other begins
_ROW = delivery_replays.c


class TooSoon(InvalidMessage):
    """`after`: seconds until another may begin."""

    def __init__(self, after: float) -> None:
        super().__init__("the last one ended less than ten minutes ago: ask again later", code="replay_too_soon")
        self.after = after


@dataclass(frozen=True, slots=True)
class Replay:
    """`since`, `asked_at`, `ended_at`: seconds since 1970; `ended_at` None while it lasts. `sent`: how many so far."""

    connection: str
    since: float
    asked_at: float
    sent: int
    ended_at: float | None


class Replays:
    """`ask` begins one, `step` goes on with it. One at a time for a connection."""

    def __init__(self, ledger: Ledger, deliveries: Deliveries) -> None:
        self._ledger, self._desk = ledger, deliveries

    def ask(self, tx: Transaction, connection: str, *, since: float | None = None, seq: int | None = None) -> Replay:
        """Send what the connection had again, from the moment `since` or the event `seq` on. The one that is under way
        where that began as early.

        Raises InvalidMessage `replay_running` where the one under way began later, `replay_too_soon` (`after`: seconds)
        within ten minutes after the last one ended."""
        start = seq if seq is not None else tx.first_since(since or 0.0)
        at = since if since is not None else _accepted_at(tx, start)
        tx.hold_lease(connection)
        known, now = self.find(tx, connection), tx.now
        if known is not None and known.ended_at is None:
            if known.since <= at:
                return known
            raise InvalidMessage("one that begins later is under way; ask when it has ended", code="replay_running")
        if known is not None and now < (left := (known.ended_at or 0.0) + PAUSE):
            raise TooSoon(left - now)
        tx.sql.execute(delete(delivery_replays).where(_ROW.connection == connection))
        tx.sql.execute(insert(delivery_replays), [{
            "connection": connection, "since": at, "position": start - 1, "sent": 0, "asked_at": now,
            "ended_at": None,
        }])  # fmt: skip
        return Replay(connection, at, now, 0, None)

    def find(self, tx: Transaction, connection: str) -> Replay | None:
        """The last one of a connection, under way or ended."""
        row = tx.sql.execute(select(delivery_replays).where(_ROW.connection == connection)).first()
        return None if row is None else Replay(row.connection, row.since, row.asked_at, row.sent, row.ended_at)

    def run(self, stop: threading.Event, active: Callable[[], bool]) -> None:
        """Go on with all that are under way until `stop` is set, and only while `active`."""
        keep_looking(stop, active, self.step_all, every=EVERY, late="replays put off")

    def step_all(self) -> int:
        """One step of each that is under way; how many deliveries go out again."""
        with self._ledger.reading() as tx:
            names = list(tx.sql.execute(select(_ROW.connection).where(_ROW.ended_at.is_(None))).scalars())
        return sum(self.step(name) for name in names)

    def step(self, connection: str) -> int:
        """Send the next few again; how many."""
        with self._ledger.transaction() as tx:
            tx.hold_lease(connection)
            job = tx.sql.execute(
                select(delivery_replays).where(_ROW.connection == connection, _ROW.ended_at.is_(None))
            ).first()
            if job is None or tx.still_to_come(connection, OPEN_AT_MOST, held=False) == OPEN_AT_MOST:
                return 0
            rows, position = tx.after(connection, job.position, window=WINDOW, most=AT_ONCE)
            running = next((row.seq for row in rows if row.state == STARTED), None)
            if running is not None:  # it would end as delivered behind those that go before it: wait until it has
                position = running - 1
            seqs = self._wanted(tx, connection, [row for row in rows if row.seq <= position])
            sent = tx.send_again(connection, seqs) if seqs else 0
            for seq in seqs:
                look_again(tx, connection, seq)
            over = running is None and position >= tx.last_seq()
            values: dict[str, Any] = {"position": position, "sent": job.sent + sent}
            mine = update(delivery_replays).where(_ROW.connection == connection)
            tx.sql.execute(mine.values(values | ({"ended_at": tx.now} if over else {})))
            return sent

    def _wanted(self, tx: Transaction, connection: str, rows: Sequence[Row[Any]]) -> list[int]:
        """Those that the connection had, or never pulled in time, and may see now."""
        had = [
            row.seq for row in rows
            if (row.state == DELIVERED and row.answer != OBSERVED)
            or (row.state == PARKED and row.fault == "not-pulled")
        ]  # fmt: skip
        stored: Mapping[int, StoredEvent] = tx.load(had)
        return [seq for seq in had if seq in stored and self._desk.may_get(tx, connection, stored[seq])]


def _accepted_at(tx: Transaction, seq: int) -> float:
    found = tx.load([seq]).get(seq)
    return found.accepted_at if found is not None else tx.now
