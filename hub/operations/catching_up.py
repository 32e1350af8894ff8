"""Tell again what somebody lacks, a few people at a time: run by the process whose relay is active.

Each part is one commit under the door: what was asked is answered and forgotten, or neither. Killed in the middle, it
is asked still; two who are active for a moment come one after the other, and the second finds nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import structlog

from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import looking_again
from hub.acceptance.looking import keep_looking
from hub.citizens.catch_ups import (  # fmt: skip
    ALL,
    LOOK_AGAIN,
    CatchUp,
    due_catch_ups,
    end_catch_ups,
    is_asked_for_reader,
    next_part,
    put_off,
    wait_for_source,
)
from hub.routing.directory import Directory
from schemas.errors import InvalidMessage

_log = structlog.get_logger()
_AT_ONCE = 20  # people in one commit: others have their turn at the door in between
_FAILED = 3600.0  # seconds after which what could not be told for another reason is tried again


class Restated(Protocol):
    """What became of one field. `outcome`: `told`, `silent` (nobody lacks it), `nothing` (none is known) or `gone` (the
    hub keeps the value no more: `origin` must state it again)."""

    @property
    def outcome(self) -> str: ...
    @property
    def origin(self) -> str | None: ...


Restate = Callable[[Transaction, str, str, Collection[str] | None], Mapping[str, Restated]]
"""Tell the values of a person (tenant, citizen, fields; None: all that are known) to whoever lacks them."""
Lacked = Callable[[Transaction, Sequence[CatchUp]], Sequence[CatchUp]]
"""Of what the hub keeps no more: that which its reader, or somebody, lacks."""


class CatchingUp:
    """`take_effect` is done before for a value whose day has come. `per_second`: so many people at most. `directory` is
    asked for anew each time: it changes while the hub runs."""

    def __init__(
        self, ledger: Ledger, directory: Callable[[], Directory], restate: Restate,
        take_effect: Callable[[Transaction, CatchUp], None], lacked: Lacked, *, per_second: int,
    ) -> None:  # fmt: skip
        self._ledger, self._directory, self._per_second = ledger, directory, per_second
        self._restate, self._take_effect, self._lacked = restate, take_effect, lacked

    def run(self, stop: threading.Event, active: Callable[[], bool], *, every: float = 1.0) -> None:
        """Until `stop` is set, and only while `active`. An outage puts it off; it does not end it."""
        look = partial(self.look, stop, seconds=every)
        keep_looking(stop, active, look, every=every, late="catching up put off")

    def look(self, stop: threading.Event | None = None, *, seconds: float = 1.0) -> int:
        """Answer what is due, for so many people as may be in so many seconds; how many that were."""
        self._write_down()
        left = most = max(1, int(self._per_second * seconds))
        while left > 0 and not (stop is not None and stop.is_set()):
            number = self._part(min(_AT_ONCE, left))
            if not number:
                break
            left -= number
        return most - left

    def _write_down(self) -> None:
        """The next part of the people of connections that must be told what they lack."""
        with self._ledger.reading() as tx:
            if not is_asked_for_reader(tx):
                return
        with self._ledger.transaction() as tx:
            next_part(tx, systems_of(self._directory()))

    def _part(self, people: int) -> int:
        with self._ledger.reading() as tx:  # nobody is kept from the door where nothing is due
            if not due_catch_ups(tx, 1):
                return 0
        try:
            return looking_again()(self._answer, people)
        except InvalidMessage:
            return self._one_by_one(people)

    def _answer(self, people: int) -> int:
        with self._ledger.transaction() as tx:
            tx.hold_door()
            due = _by_citizen(due_catch_ups(tx, people))
            for asked in due:
                self._answer_of(tx, asked)
            return len(due)

    def _one_by_one(self, people: int) -> int:
        """One of them cannot be told: the others are."""
        for _ in range(people):
            try:
                if not self._answer(1):
                    break
            except InvalidMessage as error:
                with self._ledger.transaction() as tx:
                    for asked in _by_citizen(due_catch_ups(tx, 1)):
                        put_off(tx, asked, seconds=_FAILED)
                _log.warning("not told again", code=error.code)
        return people

    def _answer_of(self, tx: Transaction, asked: Sequence[CatchUp]) -> None:
        """All that is due about one person."""
        first = asked[0]
        fields = None if any(one.field == ALL for one in asked) else sorted({one.field for one in asked})
        end_catch_ups(tx, asked)
        for one in asked:
            if one.seq:
                self._take_effect(tx, one)
        found = self._restate(tx, first.tenant, first.citizen_id, fields)
        readers = {one.reader: one for one in asked}
        gone = {name: restated.origin for name, restated in sorted(found.items()) if restated.outcome == "gone"}
        missed = [replace(one, field=name, origin=origin) for name, origin in gone.items() for one in readers.values()]
        for one in self._lacked(tx, missed) if missed else ():
            wait_for_source(tx, one, one.field, one.origin, seconds=LOOK_AGAIN)


def systems_of(directory: Directory) -> dict[str, str | None]:
    """By connection, the system whose people it asks for; None where it asks for everybody's."""
    found: dict[str, str | None] = {}
    for member in directory.connections.values():
        scopes = {consumed.scope for name, consumed in member.consumes.items() if name.startswith("citizen.")}
        found[member.name] = None if "all" in scopes else directory.reading_system(member)
    return found


def _by_citizen(asked: Sequence[CatchUp]) -> list[list[CatchUp]]:
    found: dict[str, list[CatchUp]] = {}
    for one in asked:
        found.setdefault(one.citizen_id, []).append(one)
    return [*found.values()]
