"""What was held because its people raised too many questions: an operator admits it, or gives it up.

To admit an event is to hand it in again in the name of its origin, free of the day's number of questions, under a new
id: the door knows the old one.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bus.ledger import Transaction
from hub.acceptance.accept import Acceptance
from hub.acceptance.deliveries import Deliveries
from hub.citizens.questions import allow_first_load, held_numbers, let_go, number_held
from hub.clients.origin import Origin
from hub.clients.repository import find_client
from hub.journal.entries import Entry, Journal, Justification
from schemas.errors import InvalidMessage
from schemas.event import Event

AT_ONCE = 100  # events in one transaction
LONGEST = 30  # days of a first load


@dataclass(frozen=True, slots=True)
class Handled:
    """What became of a part: how many are held no more, how many were refused and stay, by code, and the last number
    that was looked at; None when nothing was left. `again`: admitted, and held again until a question is answered."""

    done: int
    refused: Mapping[str, int]
    last: int | None
    again: int = 0


class Held:
    def __init__(self, acceptance: Acceptance, deliveries: Deliveries, journal: Journal) -> None:
        self._acceptance, self._deliveries, self._journal = acceptance, deliveries, journal

    def admit(self, tx: Transaction, origin: str, day: str, by: Justification, *, after: int = 0) -> Handled:
        """Hand in again what was held on a day, the oldest first, a part of it. Raises InvalidMessage `not_found` when
        the origin is there no more."""
        speaker = replace(self._origin(tx, origin), unlimited=True)
        tx.hold_door()  # two who admit the same
        numbers = held_numbers(tx, origin, day, after=after, limit=AT_ONCE)
        stored = tx.load(numbers)  # one that is missing was forgotten
        events = {seq: _again(stored[seq].event) for seq in numbers if seq in stored}
        verdicts = dict(zip(events, self._acceptance.accept(tx, speaker, list(events.values())), strict=True))
        refused = {seq: one.error.code for seq, one in verdicts.items() if one.error is not None}
        done = [seq for seq in numbers if seq not in refused]
        again = number_held(tx, [one.seq for one in verdicts.values() if one.seq is not None])
        handled = self._note(tx, "held.admitted", origin, day, by, numbers, done, Counter(refused.values()))
        return replace(handled, done=handled.done - again, again=again)

    def allow_first_load(self, tx: Transaction, origin: str, days: int, by: Justification) -> None:
        """For so many days from now an origin may open any number of questions, as a first load does; 0 ends it. Raises
        InvalidMessage `not_found` when there is no such origin, `bad_parameter` for more than LONGEST."""
        if not 0 <= days <= LONGEST:
            raise InvalidMessage(f"a first load takes at most {LONGEST} days", code="bad_parameter")
        tenant = self._origin(tx, origin).tenant
        allow_first_load(tx, origin, tx.now + days * 86_400 if days else None)
        self._journal.write(tx, Entry(
            tenant, "operator", "first-load.allowed", by.actor, "done", facts={"origin": origin, "days": days},
            personal={"reason": by.reason},
        ))  # fmt: skip

    def drop(self, tx: Transaction, origin: str, day: str, by: Justification, *, after: int = 0) -> Handled:
        """Give up a part of what was held on a day. The events stay as long as any other."""
        numbers = held_numbers(tx, origin, day, after=after, limit=AT_ONCE)
        return self._note(tx, "held.dropped", origin, day, by, numbers, numbers, {})

    def _note(
        self, tx: Transaction, act: str, origin: str, day: str, by: Justification, numbers: list[int],
        done: list[int], refused: Mapping[str, int],
    ) -> Handled:  # fmt: skip
        let_go(tx, origin, day, done)
        if numbers:
            self._journal.write(tx, Entry(
                origin.partition(".")[0], "operator", act, by.actor, "done",
                facts={"origin": origin, "day": day, "events": len(done)}, personal={"reason": by.reason},
            ))  # fmt: skip
        return Handled(len(done), refused, numbers[-1] if numbers else None)

    def _origin(self, tx: Transaction, name: str) -> Origin:
        tenant, _, own = name.partition(".")
        client = find_client(tx, own)
        if client is not None and client.tenant == tenant:
            return client.origin
        if name in self._acceptance.directory.connections:
            return self._deliveries.origin(name)
        raise InvalidMessage("no client or connection of this name", code="not_found")


def _again(event: Event) -> Event:
    return replace(event, id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{event.source} {event.id}")))
