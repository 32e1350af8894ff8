"""Observation: what a connection in mode `observe` brings is looked at as the door would, and counted; what its package
pushes is kept and handed in when the connection goes live. What is prepared for the package is counted where it ends
(`hub.acceptance.deliveries`).

To know the door's verdict, a batch is admitted in a transaction that is rolled back: nothing of it stays, nobody is
told. A rehearsal knows nothing of the rehearsals before it, so a status may be `unknown_request` here whose request was
only observed as well.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

import orjson

from bus.ledger import Ledger, Transaction
from hub.acceptance import kept_calls, observed
from hub.acceptance.accept import Acceptance, Verdict, looking_again
from hub.acceptance.observed import IN, LATE, OUT, Seen
from hub.acceptance.refused import divided, settle_polled
from hub.clients.origin import Origin
from schemas.delivery import Delivery, Inbound, Polled, RecordFault
from schemas.errors import InvalidMessage, TryLater
from schemas.event import Event
from schemas.words import words_in

CALL = "call"
_AT_ONCE = 50  # events that are rehearsed while others wait at the door
_MOST_SAMPLES = 10_000  # that a process remembers to have made
_FULL_SECONDS = 3_600.0
_HANDING_SECONDS = 5.0
_BESIDE = 50  # kept calls that a live call hands in before itself
Describe = Callable[[str, Any, Any], str]
"""(connection, what would go out or came in, what was said) -> its shape, without a value and without any name that
what was said holds."""


class CallsWait(TryLater):
    """Calls of before are kept still: those that come now must not pass them."""


class ModeChanged(TryLater):
    """Under the lock of the door the connection is in another mode than it was a moment ago: nothing was done."""

    def __init__(self) -> None:
        super().__init__("ce raccordement vient de changer de mode", after=_HANDING_SECONDS)


class Observation:
    """For all connections of one hub. `describe` makes samples; it is asked once for each kind by a process."""

    def __init__(self, ledger: Ledger, acceptance: Acceptance, describe: Describe) -> None:
        self._ledger, self._acceptance, self._describe = ledger, acceptance, describe
        self._known: set[tuple[str, tuple[str, str, str, str]]] = set()
        self._lock = threading.Lock()

    def begin_anew(self) -> None:
        """Another directory stands: who begins to observe by it is counted anew, and its samples are made again."""
        with self._lock:
            self._known.clear()

    def observes(self, connection: str, tx: Transaction | None = None) -> bool:
        """By the directory of this process, or by the one that stands for a transaction: to who holds the door, until
        its commit."""
        current = self._acceptance.current
        member = (current.directory if tx is None else current.at(tx)).connections.get(connection)
        return member is not None and member.mode == "observe"

    def must_not_observe(self, connection: str, tx: Transaction) -> None:
        """In a commit that accepts what a connection brought: raises ModeChanged where it observes meanwhile."""
        tx.hold_door()
        if self.observes(connection, tx):
            raise ModeChanged

    # --- out ------------------------------------------------------------------------------------------------------

    def prepared(self, connection: str, delivery: Delivery, message: Any) -> str | None:
        """The sample of what a connector prepared; None where there is one already."""
        place = (OUT, delivery.event.type, "delivered", "")
        said = [dict(delivery.event.data), delivery.reference]
        return self._sampled(connection, place, message, said)

    def count_out(self, tx: Transaction, connection: str, ended: Sequence[tuple[Event, str, str, str | None]]) -> None:
        """Count deliveries that were observed: the event as the connection sees it, how the delivery ended, the code
        of its cause, and the sample of what was prepared. Without one the view of the event is the sample."""
        found = []
        for event, outcome, code, sample in ended:
            code = _harmless(code, event.data)
            if sample is None:
                data = dict(event.data)
                sample = self._sampled(connection, (OUT, event.type, outcome, code), data, data)
            found.append(Seen(OUT, event.type, outcome, code, sample=sample))
        observed.count_seen(tx, connection, found)

    # --- in -------------------------------------------------------------------------------------------------------

    def look_at(self, connection: str, origin: Origin, polled: Polled) -> list[InvalidMessage | None]:
        """Count what a poll brought, each record once however often it is read. What the rules of form say of each
        event. Raises InvalidMessage for what is no batch."""
        checked = self._acceptance.check(origin, polled.events)
        marks = {place: self._mark(connection, event) for place, event in enumerate(polled.events)}
        faults = {self._mark(connection, fault): fault for fault in polled.faults}
        with self._ledger.reading() as tx:
            new = observed.unmarked(tx, connection, [*marks.values(), *faults])
        places = [place for place, mark in marks.items() if mark in new]
        errors = [one if isinstance(one, InvalidMessage) else None for one in checked]
        if not new:
            return errors
        found = self._rehearsed(connection, origin, [polled.events[p] for p in places], polled.skip_unknown)
        with self._ledger.transaction() as tx:
            mine = observed.mark(tx, connection, new)
            told = [one for place, one in zip(places, found, strict=True) if marks[place] in mine]
            unread = [_unreadable("record", fault.code) for mark, fault in faults.items() if mark in mine]
            observed.count_seen(tx, connection, [*told, *unread])
        return errors

    def keep(self, connection: str, origin: Origin, polled: Polled) -> None:
        """Keep what a call brought, and count it. Raises InvalidMessage, as the door would, when an event breaks a
        rule of form: its package is told, and nothing is kept; ModeChanged when it does not observe any more; TryLater
        when there is no room."""
        for checked in self._acceptance.check(origin, polled.events):
            if isinstance(checked, InvalidMessage):
                self.count_unread(connection, checked)
                raise checked
        found = self._rehearsed(connection, origin, polled.events, polled.skip_unknown)
        unread = [_unreadable("record", fault.code) for fault in polled.faults]
        mark = self._mark(connection, *polled.events)
        with self._ledger.transaction() as tx:
            tx.hold_door()  # calls are kept in one order
            if not self.observes(connection, tx):
                raise ModeChanged
            if polled.events and kept_calls.is_full(tx, connection):
                raise TryLater("l'observation garde déjà tout ce qu'elle peut garder", after=_FULL_SECONDS)
            if polled.events and kept_calls.keep_call(tx, connection, origin.tenant, mark, polled):
                observed.count_seen(tx, connection, [*found, *unread, Seen(IN, CALL, "kept")])
            elif not polled.events:  # it says nothing to anybody
                observed.count_seen(tx, connection, [*unread, Seen(IN, CALL, "skipped")])

    def count_unread(self, connection: str, error: InvalidMessage, call: Inbound | None = None) -> None:
        """Count a call that was not taken. `call`: as it came, where its connector refused it; its shape is kept."""
        seen = _unreadable(CALL, _harmless(error.code, _said(call)) if call is not None else error.code)
        sample = None if call is None else self._sampled(connection, seen.place, call, call)
        with self._ledger.transaction() as tx:
            observed.count_seen(tx, connection, [Seen(IN, CALL, "unreadable", seen.code, sample=sample)])

    # --- going live -----------------------------------------------------------------------------------------------

    def let_none_pass(self, connection: str, tx: Transaction) -> None:
        """In the commit of a call that came after the connection went live: raises CallsWait while older ones wait, and
        ModeChanged where it observes again."""
        self.must_not_observe(connection, tx)
        if kept_calls.keeps_calls(tx, connection):
            raise CallsWait("des appels gardés pendant l'observation passent d'abord", after=_HANDING_SECONDS)

    def waiting(self) -> list[str]:
        """The connections whose kept calls are to be handed in now."""
        with self._ledger.reading() as tx:
            names, paused = kept_calls.connections_with_calls(tx), tx.paused()
            known = self._acceptance.current.at(tx).connections
            return [name for name in names if name in known and name not in paused and not self.observes(name, tx)]

    def hand_in(
        self, connection: str, origin: Callable[[], Origin], *, most: int = _BESIDE,
        stop: threading.Event | None = None,
    ) -> int:  # fmt: skip
        """Hand in what was kept, the oldest call first, each in a commit of its own that forgets it: a stop between
        two loses and doubles nothing, and two processes take turns at the door. How many calls."""
        handed = 0
        while handed < most and not (stop is not None and stop.is_set()):
            if not looking_again()(partial(self._hand_in_first, connection, origin)):
                break
            handed += 1
        return handed

    def _hand_in_first(self, connection: str, origin_of: Callable[[], Origin]) -> bool:
        with self._ledger.transaction() as tx:
            tx.hold_door()
            known = self._acceptance.current.at(tx).connections
            if connection not in known or self.observes(connection, tx) or connection in tx.paused():
                return False
            origin = origin_of()
            call = kept_calls.first_call(tx, connection)
            if call is None:
                return False
            polled = Polled(call.events, call.cursor, skip_unknown=call.skip_unknown, withheld=call.withheld)
            events, withheld = divided(polled)
            verdicts = self._acceptance.admit(
                tx, origin, self._acceptance.check(origin, events), skip=call.skip_unknown
            )
            said = [(event, verdict.error) for event, verdict in zip(events, verdicts, strict=True)]
            settle_polled(tx, connection, origin.tenant, [*said, *withheld])
            if polled.cursor is not None:
                tx.move_cursor(connection, polled.cursor)
            kept_calls.forget_call(tx, connection, call.number)
            late = [_counted(LATE, event, verdict) for event, verdict in zip(events, verdicts, strict=True)]
            held_back = [_unreadable(event.type, error.code, LATE) for event, error in withheld]
            observed.count_seen(tx, connection, [*late, *held_back, Seen(LATE, CALL, "accepted")])
            return True

    # --- parts ----------------------------------------------------------------------------------------------------

    def _rehearsed(self, connection: str, origin: Origin, events: Sequence[Event], skip: Collection[str]) -> list[Seen]:
        found: list[Seen] = []
        for start in range(0, len(events), _AT_ONCE):
            part = events[start : start + _AT_ONCE]
            verdicts = self._acceptance.rehearse(self._ledger, origin, part, skip=skip)
            found += [self._taken(connection, *pair) for pair in zip(part, verdicts, strict=True)]
        return found

    def _taken(self, connection: str, event: Event, verdict: Verdict) -> Seen:
        seen = _counted(IN, event, verdict)
        if not isinstance(event, Event):
            return seen
        kind = event.type if self._acceptance.registry.versions(event.type) else "unknown"
        data = dict(event.data) if kind != "unknown" else {}
        sample = self._sampled(connection, (IN, kind, seen.outcome, seen.code), data, data)
        return Seen(IN, kind, seen.outcome, seen.code, sample=sample)

    def _sampled(self, connection: str, place: tuple[str, str, str, str], message: Any, said: Any) -> str | None:
        with self._lock:
            if (connection, place) in self._known:
                return None
        sample = self._describe(connection, message, said)
        with self._lock:
            if len(self._known) >= _MOST_SAMPLES:
                self._known.clear()
            self._known.add((connection, place))
        return sample

    def _mark(self, connection: str, *brought: Event | RecordFault) -> str:
        """What names these, keyed: it says nothing to whoever reads it."""
        content = [
            [one.source, one.id, one.type, one.subject, one.data] if isinstance(one, Event)
            else ["", one.code, one.key or one.place] if isinstance(one, RecordFault) else repr(type(one))
            for one in brought
        ]  # fmt: skip
        try:
            said = orjson.dumps(
                [connection, content], default=dict, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
            )
        except (TypeError, ValueError):  # what cannot be written down is not told from its like
            said = f"{connection} {[getattr(one, 'type', '') for one in brought]!r}".encode(errors="replace")
        return self._acceptance.keyed(hashlib.sha256(said).digest())[:16].hex()


def _counted(direction: str, event: Event, verdict: Verdict) -> Seen:
    code = verdict.error.code if verdict.error is not None else ""
    return Seen(direction, str(getattr(event, "type", "unknown")), verdict.outcome, code)


def _unreadable(kind: str, code: str, direction: str = IN) -> Seen:
    return Seen(direction, kind, "unreadable" if direction == IN else "refused", code)


def _said(call: Inbound) -> Any:
    try:
        return orjson.loads(call.body)
    except ValueError:
        return None


def _harmless(code: str, data: Any) -> str:
    """A code as it may be shown: `other` for one that repeats a word of what it is about."""
    words = words_in(code)
    return "other" if words and not words.isdisjoint(words_in(data)) else code
