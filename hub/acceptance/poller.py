"""Polling: what a connector reads is accepted, its last part in one commit with its cursor, and acknowledged after that
commit. What is seen again after a stop between two parts is known at the door.

Nothing that one record holds stops the others: what the door refuses is kept sealed in the same commit, what the
connector could not read and the package would not hear is told, and the poll goes on behind it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import structlog

from bus.ledger import LeaseLost, Ledger, Transaction
from hub.acceptance.accept import Acceptance, Verdict
from hub.acceptance.kept_calls import keeps_calls
from hub.acceptance.observation import Observation
from hub.acceptance.refused import can_be_kept, divided, settle_polled
from hub.acceptance.turns import Pace
from hub.clients.origin import Origin
from schemas.delivery import Polled, RecordFault
from schemas.errors import AccessDenied, BusUnavailable, HubError, InvalidMessage, TryLater
from schemas.event import MAX_BATCH, Event

_log = structlog.get_logger()
_LONGEST = 300.0
REFUSED, NOT_ACKNOWLEDGED, POLL_ERROR = "record-refused", "not-acknowledged", "poll-error"


class Signals(Protocol):
    """Where it is told what went wrong and left nothing in the ledger. None of these raises."""

    def tell(self, connection: str, kind: str, faults: Sequence[RecordFault]) -> None:
        """A line in the log for each, a figure, and a trouble of this kind."""
        ...

    def tell_error(self, connection: str, kind: str, error: Exception) -> None:
        """As `tell`, of what was raised."""
        ...

    def note(self, connection: str, kind: str, faults: Sequence[RecordFault]) -> None:
        """The line and the figure alone, of what makes its trouble by being kept."""
        ...

    def skipped(self, connection: str, number: int) -> None:
        """So many were skipped, and that is no trouble."""
        ...

    def over(self, connection: str, kind: str) -> None:
        """It went well again."""
        ...


class Poller:
    """Polls one connection every `every` seconds; one poller is active at a time, by a lease.

    While `observation` observes the connection it reads, checks and counts, and neither accepts, nor acknowledges, nor
    moves the cursor: the first poll after that reads all of it again. It waits for the calls that were kept meanwhile,
    which came before.

    `place`: of a second poller of the connection, under which its lease and its cursor stand."""

    def __init__(
        self, connection: str, ledger: Ledger, acceptance: Acceptance, origin: Callable[[], Origin],
        poll: Callable[[Mapping[str, Any] | None], Iterator[Polled]], *, owner: str, every: float, signals: Signals,
        observation: Observation | None = None, lease: float = 60.0, place: str = "",
    ) -> None:  # fmt: skip
        self.connection = connection
        self.active = False
        self.refused = 0
        self._not_taken = 0
        self.trouble = ""
        self._ledger, self._acceptance, self._origin, self._poll = ledger, acceptance, origin, poll
        self._owner, self._every, self._observation, self._lease = owner, every, observation, lease
        self._signals = signals
        self._blocked = self._looks_only = False
        self._failed = not place  # perhaps: whoever polled before us may have told so
        self._name, self._cursor = place or f"poll:{connection}", place or connection
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
        longer = min(pause * 2, max(_LONGEST, self._every))
        try:
            self.once(stop)
            self._note_success()
        except AccessDenied as error:
            self._pause(error)
            _log.error("connection paused", connection=self.connection, cause=error.code)
        except TryLater as error:
            self.trouble = error.reason
            _log.warning("poll put off", connection=self.connection, cause=error.reason)
            return min(max(pause * 2, error.after or 0.0), max(_LONGEST, self._every))
        except LeaseLost:
            return longer
        except BusUnavailable as error:  # ours is away, not the package
            self.trouble = error.reason
            _log.warning("poll put off", connection=self.connection, cause=error.reason)
            return longer
        except Exception as error:  # a package's oddity must not end the polling of its connection
            of_connector = f"erreur du connecteur ({type(error).__name__})"
            self.trouble = error.reason if isinstance(error, HubError) else of_connector
            self._failed = True
            self._signals.tell_error(self.connection, POLL_ERROR, error)
            return longer
        return self._every

    def _note_success(self) -> None:
        self.trouble = f"{self._not_taken} enregistrement(s) refusé(s)" if self._not_taken else ""
        if self._failed and self.active and not self._blocked:
            self._signals.over(self.connection, POLL_ERROR)
            self._failed = False

    def once(self, stop: threading.Event | None = None) -> int:
        """One pass; how many events were accepted. 0 also when another poller is active or the connection is paused."""
        with self._ledger.transaction() as tx:
            token = tx.take_lease(self._name, self._owner, self._lease)
            paused = self.connection in tx.paused()
            cursor = tx.cursor(self._cursor)
            observes = self._observation is not None and self._observation.observes(self.connection, tx)
            behind = not observes and keeps_calls(tx, self.connection)
        self.active = token is not None
        if token is None or paused or behind:
            return 0
        accepted, self._not_taken, self._blocked = 0, 0, False
        self._looks_only = observes  # to the end of this pass: what was only looked at must not be passed by
        for polled in self._poll(cursor):
            if stop is not None and stop.is_set():
                break
            self._note_faults(polled.faults)
            accepted += self._accept(polled, token)
        return accepted

    def _accept(self, polled: Polled, token: int) -> int:
        """How many events were accepted."""
        try:
            if self._observation is not None and self._looks_only:
                self._note_refused(
                    polled.events, self._observation.look_at(self.connection, self._origin(), polled), kept=False
                )
                return 0
            verdicts = self._submit(polled, token)
            events, withheld = divided(polled)
        except InvalidMessage as error:  # what it is as a whole: none of it was taken, and the cursor must not pass it
            self._blocked = self._failed = True
            self.refused, self._not_taken = self.refused + 1, self._not_taken + 1
            self._signals.tell_error(self.connection, POLL_ERROR, error)
            return 0
        self._note_refused(events, [verdict.error for verdict in verdicts])
        self._note_refused([event for event, _ in withheld], [error for _, error in withheld])
        if skipped := sum(verdict.outcome == "skipped" for verdict in verdicts):
            self._signals.skipped(self.connection, skipped)
        self._acknowledge(polled)
        return sum(verdict.outcome == "accepted" for verdict in verdicts)

    def _submit(self, polled: Polled, token: int) -> list[Verdict]:
        verdicts: list[Verdict] = []
        origin = self._origin()
        events, withheld = divided(polled)

        def fenced(tx: Transaction) -> None:
            tx.fence(self._name, token, self._lease)
            if self.connection in tx.paused():
                raise TryLater("the connection was paused meanwhile")

        def settle(tx: Transaction, last: Sequence[Verdict]) -> None:
            """What is refused is kept before the cursor passes it; a poll that began before the connection observed
            ends here."""
            if self._observation is not None:
                self._observation.must_not_observe(self.connection, tx)
            part = events[len(verdicts) : len(verdicts) + len(last)]
            said = [(event, verdict.error) for event, verdict in zip(part, last, strict=True)]
            settle_polled(tx, self.connection, origin.tenant, said)
            whole = len(verdicts) + len(last) == len(events)
            if whole and withheld:
                settle_polled(tx, self.connection, origin.tenant, withheld)
            if whole and polled.cursor is not None and not self._blocked:
                tx.move_cursor(self._cursor, polled.cursor)

        for part in self._parts(events):
            began = time.monotonic()
            verdicts += self._acceptance.submit(
                self._ledger, origin, part, before=fenced, after=settle, skip=polled.skip_unknown
            )
            self._pace.note(self.connection, len(part), time.monotonic() - began)
        return verdicts

    def _acknowledge(self, polled: Polled) -> None:
        """What the package does not hear it shows again, and the door knows it: nothing behind it has to wait."""
        if polled.acknowledge is None:
            return
        try:
            polled.acknowledge()
        except AccessDenied:
            raise
        except Exception as error:  # also a connector's own: it is committed
            self._signals.tell_error(self.connection, NOT_ACKNOWLEDGED, error)

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

    def _note_faults(self, faults: Sequence[RecordFault]) -> None:
        if faults:
            self._not_taken += len(faults)
            self._signals.tell(self.connection, REFUSED, faults)

    def _note_refused(
        self, events: Sequence[object], errors: Sequence[InvalidMessage | None], *, kept: bool = True
    ) -> None:
        refused = [(event, error) for event, error in zip(events, errors, strict=True) if error is not None]
        self.refused += len(refused)
        self._not_taken += len(refused)
        for event, error in refused:
            fault = RecordFault(error.code, error.pointer, error.reason, str(getattr(event, "id", "")))
            noted = kept and can_be_kept(event)
            (self._signals.note if noted else self._signals.tell)(self.connection, REFUSED, [fault])

    def _pause(self, error: AccessDenied) -> None:
        self.trouble = error.reason
        try:
            with self._ledger.transaction() as tx:
                tx.pause(self.connection, error.reason, error.fault)
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
