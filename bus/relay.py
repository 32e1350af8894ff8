"""The relay: takes unsent deliveries in order, builds what each connection may see, and puts it on the bus.

One relay is active at a time, by a lease. How far each connection was sent to is one number for each, kept now and
then: after a change of hands a little is sent twice, which is harmless, for the worker's receipt is idempotent.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import orjson
import structlog

from bus.api import Bus, Outgoing, Queue, Seal, connection_queue, delivery_context, outside_queue
from bus.ledger import DatabaseFault, LeaseLost, Ledger, StoredEvent, Transaction
from schemas.errors import AccessDenied, BusUnavailable, ConfigError, TopologyMismatch

_log = structlog.get_logger()
_EVENTS = 400  # per round
_BATCH = 2000  # deliveries per round of a connection that is behind
_PER_MESSAGE = 20  # events in one message to our own worker: a broker pays per message
_LEASE = 10.0
_GLANCE = 0.25  # seconds between two looks at a ledger that told of nothing
_KEEP_EVERY = 0.5  # seconds between two notes of how far was sent
_SEALED = "application/octet-stream"
_STRUCTURED = "application/cloudevents+json; charset=utf-8"


class Views(Protocol):
    """What the hub tells the relay about connections."""

    def connections(self) -> Sequence[str]:
        """All that may get deliveries."""
        ...

    def outside(self, connection: str) -> bool:
        """True when the package reads its own queue over AMQP, one CloudEvent a message."""
        ...

    def silent(self, tx: Transaction) -> tuple[set[str], set[str]]:
        """Of the outside connections: those that are paused (their deliveries wait) and those that only observe
        (nothing is put into their queues)."""
        ...

    def version(self) -> int:
        """Of the directory by which views are made now; 0 where it has none."""
        ...

    def note_observed(self, tx: Transaction, seen: Sequence[tuple[str, int, bytes]]) -> None:
        """Count what was not put into the queue of an outside package that only observes: connection, event, view."""
        ...

    def receipts(self) -> Sequence[str]:
        """The queues in which broker users find the receipts of what they published."""
        ...

    def view(self, tx: Transaction, stored: StoredEvent, connection: str) -> bytes:
        """The event as this connection may see it, in structured JSON."""
        ...


class Relay:
    """`resend_after`: seconds after which something sent and not received is sent again. `seal`: for messages to our
    own workers; a package that reads a queue of its own cannot open one."""

    def __init__(
        self, ledger: Ledger, bus: Bus, views: Views, *, owner: str, resend_after: float = 30.0,
        tidy_every: float = 5.0, seal: Seal | None = None,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._bus = bus
        self._views, self._seal = views, seal
        self._owner = owner
        self._resend_after = resend_after
        self._tidy_every = tidy_every
        self._token: int | None = None
        self._identity = ""
        self._tidied = float("-inf")
        self._prolonged = float("-inf")
        self._stuck: dict[str, tuple[float, float]] = {}  # connection -> (until, pause)
        self._front = 0  # the last event that was put on the bus for every connection that keeps up
        self._marks: dict[str, int] = {}  # the same for each connection
        self._kept: dict[str, int] = {}
        self._kept_at = float("-inf")
        self._rewound: set[str] = set()  # connections to which all goes again
        self._past: deque[tuple[float, dict[str, int]]] = deque()  # the marks of the last while
        self._again: dict[str, tuple[float, int]] = {}  # connection -> when was sent again, and up to which event
        self._behind = False  # more may go out at once
        self._version = 0  # of the directory by which the views were made that go out now, or of one before it
        self.sent = 0
        self.active = False

    def run(self, stop: threading.Event) -> None:
        seen, pause = 0, 0.1  # what comes while a step is under way is heard after it
        while not stop.is_set():
            try:
                moved = self.step()
                pause = 0.1
            except (BusUnavailable, LeaseLost) as error:
                self.active, self._token, moved = False, None, 0
                self._past.clear()
                _log.warning("relay waits", error=type(error).__name__)
                stop.wait(pause)
                pause = min(pause * 2, 2.0)
            if not (moved and self._behind) and not stop.is_set():
                seen = self._ledger.wait_for_change(seen, _GLANCE if self.active else 1.0)
        self._give_back()

    def step(self) -> int:
        """One round; how many deliveries went out. 0 also when another relay is active."""
        if not self._lead():
            return 0
        self._tidy()
        with self._ledger.reading() as tx:
            paused, observing = self._views.silent(tx)
            self._version = self._views.version()
            pairs, marks, rows = self._unsent(tx, set(self._views.connections()) - set(self.stuck()) - paused)
            stored, viewed, unseen = self._viewed(tx, pairs, rows) if pairs else ({}, [], [])
        front = max(rows, default=self._front)
        failed = self._set_aside(unseen)
        inner = [row for row in viewed if not self._views.outside(row[0])]
        outer = [row for row in viewed if self._views.outside(row[0]) and row[0] not in observing]
        failed += self._send_inside(inner, stored)
        self._observe([row for row in viewed if row[0] in observing])
        for round_ in _rounds(outer, lambda seq: stored[seq].order_key):
            away = {c for c, _ in failed}  # not `_stuck`: what was stuck before is tried again, and may go on now
            failed += self._send_outside([row for row in round_ if row[0] not in away])
        away = {c for c, _ in failed}
        failed += [(c, seq) for c, seq, _ in outer if c in away]
        self._advance(marks, front, failed)
        done = len(pairs) - len(set(failed))
        self.sent += done
        return done

    def _unsent(
        self, tx: Transaction, wanted: Collection[str]
    ) -> tuple[list[tuple[str, int]], dict[str, int], dict[int, Any]]:
        """What goes out now, in order; how far the connections will be then; and the rows of the events that go to all
        that keep up."""
        expected = tx.expected(self._front, _EVENTS)
        front = expected[-1][0] if expected else self._front
        self._behind = len(expected) == _EVENTS
        up = {c for c in wanted if self._marks.get(c, 0) >= self._front}
        pairs = [
            (connection, seq) for seq, connections, _ in expected for connection in connections if connection in up
        ]
        marks = dict.fromkeys(up, front)
        for connection in sorted(set(wanted) - up):
            late = tx.expected_of(connection, self._marks.get(connection, 0), _BATCH, last=self._front)
            pairs += [(connection, seq) for seq in late]
            marks[connection] = late[-1] if len(late) == _BATCH else self._front
            self._behind = True
        return pairs, marks, {seq: row for seq, _, row in expected}

    def _advance(self, marks: dict[str, int], front: int, failed: Iterable[tuple[str, int]]) -> None:
        for connection, seq in failed:
            marks[connection] = min(marks[connection], seq - 1)
        for connection, mark in marks.items():
            self._marks[connection] = max(mark, self._marks.get(connection, 0))
        self._front = front
        for connection in self._rewound:
            self._marks[connection] = 0
            self._behind = True
        self._rewound.clear()
        if time.monotonic() - self._kept_at >= _KEEP_EVERY:
            self._keep()

    def _keep(self) -> None:
        changed = {c: mark for c, mark in self._marks.items() if self._kept.get(c) != mark}
        self._kept_at = time.monotonic()
        if changed and self._token is not None:
            with self._ledger.transaction() as tx:
                tx.fence("relay", self._token, _LEASE)
                tx.sent_to(changed)
            self._kept |= changed

    def _viewed(
        self, tx: Transaction, pairs: Sequence[tuple[str, int]], rows: Mapping[int, Any]
    ) -> tuple[dict[int, StoredEvent], list[Row], list[tuple[str, int]]]:
        """The events, what each connection sees of them, and those that cannot be shown: one must not stop them all."""
        try:
            stored = tx.stored(sorted({seq for _, seq in pairs}), rows)
            return stored, [(c, s, self._views.view(tx, stored[s], c)) for c, s in pairs if s in stored], []
        except (BusUnavailable, DatabaseFault):
            raise
        except Exception as error:
            if len(pairs) == 1:
                _log.error("event cannot be shown", connection=pairs[0][0], seq=pairs[0][1], error=type(error).__name__)
                return {}, [], list(pairs)
        stored, viewed, unseen = {}, [], []
        for pair in pairs:
            found, seen, not_seen = self._viewed(tx, [pair], rows)
            stored |= found
            viewed += seen
            unseen += not_seen
        return stored, viewed, unseen

    def _set_aside(self, unseen: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Park what cannot be shown; give back what could not be parked."""
        if not unseen:
            return []
        inner = [pair for pair in unseen if not self._views.outside(pair[0])]
        with self._ledger.transaction() as tx:
            tx.park_unsent(inner, "ne peut pas être montré à ce raccordement", "not-shown")
        for connection in {c for c, _ in unseen} - {c for c, _ in inner}:
            self._hold_off(connection)  # nothing holds followers in a queue that an outside package reads
        return [pair for pair in unseen if self._views.outside(pair[0])]

    def _lead(self) -> bool:
        now = time.monotonic()
        if self._token is not None and now - self._prolonged < _LEASE / 4:
            return True
        with self._ledger.transaction() as tx:
            identity, token = tx.identity(), self._token
            if token is None:
                token = tx.take_lease("relay", self._owner, _LEASE)
                marks, self._front = tx.sent(), tx.last_seq()
                if self._bus.volatile or any(mark > self._front for mark in marks.values()):
                    marks = {}  # the bus lost what it had; or the ledger did, and these are of another life
                self._marks, self._kept = marks, dict(marks)
                self._again.clear()
            else:
                tx.fence("relay", token, _LEASE)
        self._identity, self._token = identity, token
        self.active = token is not None
        self._prolonged = now
        return self.active

    def _tidy(self) -> None:
        """Now and then: find missing or changed queues, and send again what got lost on the way."""
        now = time.monotonic()
        if now - self._tidied < self._tidy_every:
            return
        self._tidied = now
        for connection in self._views.connections():
            self._declare(connection)
        if not self._bus.volatile:
            for name in self._views.receipts():
                self._declare_receipts(name)
        self._past.append((now, dict(self._marks)))
        self._send_lost_again(now)

    def _send_lost_again(self, now: float) -> None:
        """What was sent long ago and is not received is lost, unless it still waits in its queue: a reader may be away
        for days, and the broker must not be filled with copies of its backlog. What a later one overtook is lost."""
        before: dict[str, int] = {}
        while self._past and self._past[0][0] <= now - self._resend_after:
            before = self._past.popleft()[1]
        if not before:
            return
        with self._ledger.reading() as tx:
            reached = tx.reached()
            late = {c: tx.expected_of(c, self._sent_again(c, now), _BATCH, last=last) for c, last in before.items()
                    if not self._views.outside(c)}  # fmt: skip
        for connection, seqs in late.items():
            if seqs and self._waiting(connection):
                self._repeat(connection, [seq for seq in seqs if seq < reached.get(connection, 0)], now)
            elif seqs:
                _log.warning("sent again", connection=connection, count=len(seqs))
                self._marks[connection] = seqs[0] - 1

    def _sent_again(self, connection: str, now: float) -> int:
        at, last = self._again.get(connection, (float("-inf"), 0))
        return last if now - at < self._resend_after else 0

    def _waiting(self, connection: str) -> bool:
        try:
            return bool(self._bus.depth(self._queue(connection)).ready)
        except TopologyMismatch:
            return False

    def _repeat(self, connection: str, seqs: Sequence[int], now: float) -> None:
        if not seqs:
            return
        _log.warning("sent again", connection=connection, count=len(seqs))
        with self._ledger.reading() as tx:
            stored, viewed, _ = self._viewed(tx, [(connection, seq) for seq in seqs], {})
        self._send_inside(viewed, stored)
        self._again[connection] = (now, seqs[-1])

    def _declare(self, connection: str) -> bool:
        kind = "outside" if self._views.outside(connection) else "connection"
        try:
            self._bus.declare([Queue(self._queue(connection), kind)])  # type: ignore[arg-type]
        except (ConfigError, AccessDenied) as error:
            _log.error("queue is not as declared", connection=connection, error=error.reason)
            self._hold_off(connection)
            return False
        return True

    def _declare_receipts(self, name: str) -> None:
        try:
            self._bus.declare([Queue(name, "receipts")])
        except (ConfigError, AccessDenied) as error:  # of one user: the deliveries of all go on
            _log.error("queue cannot be declared", queue=name, cause=error.reason)

    def _send(self, messages: Sequence[Message], media: str = "application/json") -> list[tuple[str, int]]:
        """Publish; what the bus did not take."""
        if not messages:
            return []
        headers = {"ledger": self._identity, "to": str(len({c for c, _, _ in messages}))}
        headers |= {"directory": str(self._version)} if self._version else {}
        outcomes = self._bus.publish(
            [
                Outgoing(self._queue(c), body, id=str(seqs[0]), content_type=media, headers=headers)
                for c, seqs, body in messages
            ]
        )
        failed: dict[str, str] = {}
        left: list[tuple[str, int]] = []
        for (connection, seqs, _), outcome in zip(messages, outcomes, strict=True):
            if not outcome.taken:
                failed[connection] = outcome.cause
                left += [(connection, seq) for seq in seqs]
        for connection, cause in failed.items():
            self._mend(connection, cause)
        for connection in {c for c, _, _ in messages} - set(failed):
            self._stuck.pop(connection, None)
        return left

    def _send_inside(self, rows: Sequence[Row], stored: Mapping[int, StoredEvent]) -> list[tuple[str, int]]:
        packed, seal = _packed(rows, _keys(stored)), self._seal
        if seal is None:
            return self._send(packed)
        context = {c: delivery_context(c, self._identity) for c, _, _ in packed}
        return self._send([(c, seqs, seal.seal(body, context[c])) for c, seqs, body in packed], _SEALED)

    def _send_outside(self, rows: Sequence[Row]) -> list[tuple[str, int]]:
        failed = self._send(_single(rows), _STRUCTURED)
        self._out({(c, seq) for c, seq, _ in rows} - set(failed))
        return failed

    def _observe(self, rows: Sequence[Row]) -> None:
        if rows:
            with self._ledger.transaction() as tx:
                tx.out([(c, seq) for c, seq, _ in rows])
                self._views.note_observed(tx, rows)

    def _out(self, pairs: Collection[tuple[str, int]]) -> None:
        if pairs:
            with self._ledger.transaction() as tx:
                tx.out(pairs)

    def _mend(self, connection: str, cause: str) -> None:
        _log.warning("queue did not take", connection=connection, cause=cause)
        self._hold_off(connection)
        if cause == "no such queue" and self._declare(connection):
            # What the lost queue held is lost with it: all that was sent and not received goes again.
            self._rewound.add(connection)
            self._stuck.pop(connection, None)

    def _hold_off(self, connection: str) -> None:
        pause = min(self._stuck.get(connection, (0.0, 0.25))[1] * 2, 10.0)
        self._stuck[connection] = (time.monotonic() + pause, pause)

    def stuck(self) -> list[str]:
        """Connections whose queue does not take messages now."""
        now = time.monotonic()
        return sorted(connection for connection, (until, _) in self._stuck.items() if until > now)

    def _queue(self, connection: str) -> str:
        return outside_queue(connection) if self._views.outside(connection) else connection_queue(connection)

    def _give_back(self) -> None:
        if self._token is not None:
            try:
                self._keep()
                with self._ledger.transaction() as tx:
                    tx.give_back("relay", self._token)
            except (BusUnavailable, LeaseLost):
                pass  # it expires by itself
        self.active = False


Row = tuple[str, int, bytes]
Message = tuple[str, list[int], bytes]


def _packed(rows: Iterable[Row], keys: Mapping[int, bytes]) -> list[Message]:
    """Several events of one connection in one message: `[{"seq": 1, "key": "…", "event": {…}}, …]`."""
    by_connection: dict[str, list[Row]] = {}
    for row in rows:
        by_connection.setdefault(row[0], []).append(row)
    messages = []
    for connection, mine in by_connection.items():
        for start in range(0, len(mine), _PER_MESSAGE):
            part = mine[start : start + _PER_MESSAGE]
            body = b",".join(b'{"seq":%d,"key":%s,"event":%s}' % (seq, keys[seq], view) for _, seq, view in part)
            messages.append((connection, [seq for _, seq, _ in part], b"[" + body + b"]"))
    return messages


def _keys(stored: Mapping[int, StoredEvent]) -> dict[int, bytes]:
    return {seq: orjson.dumps(one.order_key) for seq, one in stored.items()}


def _single(rows: Iterable[Row]) -> list[Message]:
    return [(connection, [seq], view) for connection, seq, view in rows]


def _rounds(rows: Sequence[Row], key_of: Callable[[int], str]) -> list[list[Row]]:
    """Split so that no round holds two events of one key for one connection: a message that is not taken must not be
    overtaken by its follower, for an outside reader has no ledger to put them in order."""
    rounds: list[list[Row]] = []
    depth: dict[tuple[str, str], int] = {}
    for row in rows:
        place = depth.get((row[0], key_of(row[1])), 0)
        depth[(row[0], key_of(row[1]))] = place + 1
        if place == len(rounds):
            rounds.append([])
        rounds[place].append(row)
    return rounds
