"""Those of a household who were marked confidential after the event that names them: a mark keeps them from who has
not been given that event yet, on whichever road it comes, and from who is sent it again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bus.ledger import StoredEvent, Transaction
from hub.acceptance.mentions import household_of
from hub.acceptance.rules import may_know
from hub.citizens.repository import Citizens
from hub.requests import repository as timelines
from hub.routing.directory import ConnectionRouting, Directory
from schemas.event import Event


class Door(Protocol):
    """What this needs of `hub.acceptance.accept.Acceptance`."""

    @property
    def directory(self) -> Directory: ...

    def citizens(self, tx: Transaction) -> Citizens: ...


def without_marked(
    acceptance: Door, tx: Transaction, member: ConnectionRouting, seen: Mapping[int, Event],
    stored: Mapping[int, StoredEvent],
) -> dict[int, Event]:  # fmt: skip
    """The views of a connection without those of a household whom it may not know any more. `stored`: the whole events,
    as far as they were read."""
    named = [seq for seq, event in seen.items() if household_of(event)]
    if not named:
        return dict(seen)
    whole = {**stored, **tx.load([seq for seq in named if seq not in stored])}
    citizens = acceptance.citizens(tx)
    citizens.prefetch(
        member.tenant, (), (), [p for seq in named if seq in whole for p in household_of(whole[seq].event)]
    )
    return {**seen, **{seq: _shown(acceptance, tx, member, seen[seq], whole.get(seq), citizens) for seq in named}}


def _shown(
    acceptance: Door, tx: Transaction, member: ConnectionRouting, view: Event, stored: StoredEvent | None,
    citizens: Citizens,
) -> Event:  # fmt: skip
    mine, people = household_of(view), household_of(stored.event) if stored is not None else []
    marked = [_is_marked(citizens, member.tenant, person) for person in people]
    if stored is None or len(people) != len(mine):  # emptied since: by what is left no mark is found
        left = []
    elif not any(marked) or _may_know(acceptance, tx, member, stored):
        return view
    else:
        left = [person for person, kept_from in zip(mine, marked, strict=True) if not kept_from]
    data = {name: value for name, value in view.data.items() if name != "household"}
    return view.with_data({**data, "household": left} if left else data)


def _is_marked(citizens: Citizens, tenant: str, person: Mapping[str, object]) -> bool:
    told = {name: value for name, value in person.items() if name != "confidential"}
    return bool(person.get("confidential")) or citizens.is_marked(tenant, told)


def _may_know(acceptance: Door, tx: Transaction, member: ConnectionRouting, stored: StoredEvent) -> bool:
    request = timelines.read(tx, stored.tenant, stored.request_id)
    return may_know(acceptance.directory, member.name, request)
