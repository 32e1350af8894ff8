"""What the hub keeps no more and somebody lacks is asked of the connection that said it, where that can be asked.

A part of a poller's work: its questions are what is read, and what the package says comes through the ordinary door
under that connection's name, so that whoever lacks it is told it and nobody else. Where it stands is a place in the
order in which the values were missed: each is asked for once, and again when it was looked for once more and is still
missed (`hub.operations.catching_up`, a day later). Nothing is asked of a connection that observes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sqlalchemy import and_, select

from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import Acceptance
from hub.acceptance.mentions import citizen_of
from hub.citizens.catch_ups import CatchUp, Missed, end_catch_ups, missed_of
from hub.operations.lacking import still_lacked
from hub.storage.tables import citizen_links
from schemas.delivery import Polled
from schemas.errors import InvalidMessage, TryLater
from schemas.event import Event

EVERY = 30.0  # seconds between two looks
PEOPLE = 30
"""People of whom a connection is asked in one look: one a second, on the average. Fewer where its `rate` is lower."""
State = Callable[[Sequence[str]], Iterator[Polled]]
Rate = Callable[[], float | None]


def place_of(connection: str) -> str:
    """Under which lease and cursor of this stand."""
    return f"state:{connection}"


class Asking:
    """What is asked of one connection. `state`: `Connector.state`; `away`: whether its package is known not to answer;
    `rate`: calls a second, None for no limit. `every`: seconds between two looks."""

    every = EVERY

    def __init__(
        self, ledger: Ledger, acceptance: Acceptance, connection: str, state: State, *,
        away: Callable[[], bool] = lambda: False, rate: Rate = lambda: None,
    ) -> None:  # fmt: skip
        self._ledger, self._acceptance, self._connection, self._state = ledger, acceptance, connection, state
        self._away, self._rate = away, rate

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """What the package says of the next people, and behind it where that ends. Raises as `Connector.state`, and
        TryLater while the package is away."""
        member = self._acceptance.directory.connections.get(self._connection)
        if member is None or member.mode == "observe":
            return
        with self._ledger.reading() as tx:
            missed = missed_of(tx, self._connection, cursor or {}, self._people())
            asked = still_lacked(tx, self._acceptance, missed.asked).lacked
            names = self._names(tx, {one.citizen_id for one in asked})
        if not missed.asked:
            return
        if self._away():
            raise TryLater("this package is known to be away")
        if names:
            for polled in self._state(names):
                yield self._as_said_again(polled, names, missed)
        yield Polled(cursor=missed.cursor, acknowledge=partial(self._settle, missed.asked))

    # --- inside -------------------------------------------------------------------------------------------------

    def _people(self) -> int:
        rate = self._rate()
        return PEOPLE if rate is None else max(1, min(PEOPLE, int(rate * EVERY)))

    def _names(self, tx: Transaction, ids: Collection[str]) -> list[str]:
        """How the package calls these people."""
        member, link = self._acceptance.directory.connections[self._connection], citizen_links.c
        mine = and_(link.tenant == member.tenant, link.system == member.system, link.citizen_id.in_(sorted(ids)))
        return list(tx.sql.execute(select(link.native_id).where(mine).order_by(link.native_id)).scalars())

    def _as_said_again(self, polled: Polled, names: Collection[str], missed: Missed) -> Polled:
        """Only of those who were asked for, under identifiers that the door has not seen: the same for one question."""

        def named(event: Event) -> Event:
            return replace(event, id=_again(event.id, missed)) if isinstance(event, Event) else event

        events = [named(event) for event in polled.events if self._is_asked(event, names)]
        kept = {event.id for event in events}
        withheld: dict[str, InvalidMessage] = {_again(name, missed): why for name, why in polled.withheld.items()}
        return replace(
            polled, events=events, cursor=None, acknowledge=None,
            skip_unknown=[_again(name, missed) for name in polled.skip_unknown],
            withheld={name: why for name, why in withheld.items() if name in kept},
        )  # fmt: skip

    def _is_asked(self, event: Event, names: Collection[str]) -> bool:
        system = self._acceptance.directory.connections[self._connection].system
        told = (citizen_of(event) or {}).get("references", ())
        return any(one.get("system") == system and one.get("id") in names for one in told)

    def _settle(self, asked: Sequence[CatchUp]) -> None:
        """Those that nobody lacks any more are ended; of the others it is looked later whether they came."""
        with self._ledger.transaction() as tx:
            tx.hold_door()
            end_catch_ups(tx, still_lacked(tx, self._acceptance, asked).ended)


def _again(name: str, missed: Missed) -> str:
    return f"again-{hashlib.sha256(f'{missed.first} {name}'.encode()).hexdigest()[:32]}"
