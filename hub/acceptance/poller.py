"""Polling: what a connector reads is accepted, its last part in one commit with its cursor, and acknowledged after that
commit. What is seen again after a stop between two parts is known at the door."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog

from bus.ledger import LeaseLost, Ledger, Transaction
from hub.acceptance.accept import Acceptance, Verdict
from hub.acceptance.turns import Pace
from hub.clients.origin import Origin
from schemas.delivery import Polled
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, TryLater
from schemas.event import MAX_BATCH, Event

_log = structlog.get_logger()
_LONGEST = 300.0


class Poller:
    """Polls one connection every `every` seconds; one poller is active at a time, by a lease.

    With `observe` it reads and checks, and neither accepts nor acknowledges."""

    def __init__(
        self, connection: str, ledger: Ledger, acceptance: Acceptance, origin: Callable[[], Origin],
        poll: Callable[[Mapping[str, Any] | None], Iterator[Polled]], *, owner: str, every: float,
        observe: bool = False, lease: float = 60.0,
    ) -> None:  # fmt: skip
        self.connection = connection
        self.active = False
        self.refused = 0
        self._not_taken = 0
        self.trouble = ""
        self._ledger, self._acceptance, self._origin, self._poll = ledger, acceptance, origin, poll
        self._owner, self._every, self._observe, self._lease = owner, every, observe, lease
        self._name = f"poll:{connection}"
        self._again = threading.Event()
        self._pace = Pace(MAX_BATCH)

    def run(self, stop: threading.Event) -> None:
        pause = self._every
        try:
            while not stop.is_set():
                started = time.monotonic()
                pause = self._round(stop, pause)
                self._again.wait(max(0.0, pause - (time.monotonic() - started)))
                self._again.clear()
        finally:
            self._give_back()

    def hurry(self) -> None:
        """Poll now; also wakes a poller that must stop."""
        self._again.set()

    def _round(self, stop: threading.Event, pause: float) -> float:
        try:
            self.once(stop)
            self.trouble = f"{self._not_taken} événement(s) refusé(s) à l'entrée" if self._not_taken else ""
        except AccessDenied as error:
            self._pause(error.reason)
            _log.error("connection paused", connection=self.connection, cause=error.code)
        except TryLater as error:
            self.trouble = error.reason
            _log.warning("poll put off", connection=self.connection, cause=error.reason)
            return min(max(pause * 2, error.after or 0.0), max(_LONGEST, self._every))
        except HubError as error:
            self.trouble = error.reason
            _log.warning("poll failed", connection=self.connection, cause=error.reason)
            return min(pause * 2, max(_LONGEST, self._every))
        except LeaseLost:
            return min(pause * 2, max(_LONGEST, self._every))
        except Exception as error:  # a package's oddity must not end the polling of its connection
            self.trouble = f"erreur du connecteur ({type(error).__name__})"
            _log.error("poll failed", connection=self.connection, error=type(error).__name__)
            return min(pause * 2, max(_LONGEST, self._every))
        return self._every

    def once(self, stop: threading.Event | None = None) -> int:
        """One pass; how many events were accepted. 0 also when another poller is active or the connection is paused."""
        with self._ledger.transaction() as tx:
            token = tx.take_lease(self._name, self._owner, self._lease)
            paused = self.connection in tx.paused()
            cursor = tx.cursor(self.connection)
        self.active = token is not None
        if token is None or paused:
            return 0
        accepted, blocked, self._not_taken = 0, False, 0
        for polled in self._poll(cursor):
            if stop is not None and stop.is_set():
                break
            taken, refused = self._accept(polled, token, move=not blocked)
            accepted += taken
            blocked = blocked or refused > 0
        return accepted

    def _accept(self, polled: Polled, token: int, *, move: bool) -> tuple[int, int]:
        """How many events were accepted, and how many refused."""
        if self._observe:
            checked = self._acceptance.check(self._origin(), polled.events)
            self._count_refused([error for error in checked if isinstance(error, InvalidMessage)])
            return 0, 0

        def fenced(tx: Transaction) -> None:
            tx.fence(self._name, token, self._lease)
            if self.connection in tx.paused():
                raise TryLater("the connection was paused meanwhile")

        verdicts: list[Verdict] = []

        def move_cursor(tx: Transaction, last: Sequence[Verdict]) -> None:
            whole = len(verdicts) + len(last) == len(polled.events)
            if whole and polled.cursor is not None and move and all(verdict.ok for verdict in [*verdicts, *last]):
                tx.move_cursor(self.connection, polled.cursor)

        try:
            for part in self._parts(polled.events):
                began = time.monotonic()
                verdicts += self._acceptance.submit(
                    self._ledger, self._origin(), part, before=fenced, after=move_cursor
                )
                self._pace.note(self.connection, len(part), time.monotonic() - began)
        except InvalidMessage as error:  # what it is as a whole
            self._count_refused([error])
            return 0, 1
        refused = [verdict.error for verdict in verdicts if verdict.error is not None]
        self._count_refused(refused)
        if polled.acknowledge is not None and not refused:
            # What was refused stays in the package, and is seen again: it must not vanish unread.
            polled.acknowledge()
        return sum(v.outcome == "accepted" for v in verdicts), len(refused)

    def _parts(self, events: Sequence[Event]) -> Iterator[Sequence[Event]]:
        """What one commit takes: it must not keep the door from others for long. What is no batch, or too long for one,
        is not divided: it is refused as one."""
        if not isinstance(events, list | tuple) or not 0 < len(events) <= MAX_BATCH:
            yield events
            return
        start = 0
        while start < len(events):
            part = events[start : start + self._pace.of(self.connection)]
            yield part
            start += len(part)

    def _count_refused(self, faults: Sequence[InvalidMessage]) -> None:
        self.refused += len(faults)
        self._not_taken += len(faults)
        for fault in faults:
            _log.error("polled event refused", connection=self.connection, code=fault.code, pointer=fault.pointer)

    def _pause(self, cause: str) -> None:
        self.trouble = cause
        try:
            with self._ledger.transaction() as tx:
                tx.pause(self.connection, cause)
        except BusUnavailable:
            pass  # the next poll is denied again

    def _give_back(self) -> None:
        try:
            with self._ledger.transaction() as tx:
                token = tx.take_lease(self._name, self._owner, 0.0)
                if token is not None:
                    tx.give_back(self._name, token)
        except BusUnavailable:
            pass  # it expires by itself
