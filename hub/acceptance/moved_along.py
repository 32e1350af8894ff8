"""Those who moved along (`household` of a change of address): each of them that the hub knows is told under their own
links to whoever does not get it by the household of the event.

The hub says an event of its own for each, routed as the first one, and of no timeline. Who moves along is a word about
others, and so it moves nobody whose address says otherwise: that is a question for an operator.

- Who is named by nothing but identifiers of systems for which the origin does not speak is found, and not moved
  (design, promise 10).
- Whose known address is not the former one of the mover is not moved: neighbours are no household.
- A child, or who may be one, whom two people name at two addresses within `TWO_HOMES_DAYS` may live in both in turn
  (code civil, art. 373-2-9): nobody but the parents and the judge says which one it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hub.acceptance.mentions import by_request, day_in, household_of
from hub.acceptance.rules import Reading, Restated
from hub.acceptance.telling import Judge, Spoken
from hub.citizens.news import DATED
from hub.citizens.repository import Citizen
from hub.requests.repository import Request
from hub.routing.views import granted_tree
from schemas.errors import InvalidMessage
from schemas.event import Event

TWO_HOMES_DAYS = 60
_MOST = 50  # references in a record
_ADULT = 18  # code civil, art. 414
OTHERS, TWO_HOMES, ELSEWHERE = "named_by_others", "two_homes", "other_address"
"""Why it is asked whether somebody moved along."""


@dataclass(frozen=True, slots=True)
class Along:
    """Somebody who is told of as having moved along. `why` it must be asked; None where it need not."""

    citizen: Citizen
    why: str | None = None


def moved_along(reading: Reading, event: Event, mover: Citizen, judge: Judge) -> list[Along]:
    """Who of a household that the hub knows moved along, each once; nobody who is there already, or of whom something
    newer is known. Changes nothing."""
    said, found = judge.spoken[DATED], dict[str, Along]()
    named = [(person, *_whom(reading, person)) for person in household_of(event)]
    reading.citizens.news.prefetch((one.id, DATED) for _, one, _ in named if one is not None)
    former = judge.now[DATED].now
    for person, one, by_others in named:
        if one is None or one.id in found or one.id == mover.id:
            continue
        known = reading.citizens.news.of(one.id, DATED)
        if known.now is not None and (known.now.digest == said.whole or said.high < known.now.low):
            continue
        why = None
        if by_others:
            why = OTHERS
        elif _has_two_homes(reading, person, one, mover, said):
            why = TWO_HOMES
        elif known.now is not None and (former is None or former.digest != known.now.digest):
            why = ELSEWHERE
        found[one.id] = Along(one, why)
    return [*found.values()]


def ask_along(
    reading: Reading, event: Event, judge: Judge, along: Sequence[Along], request_id: str | None
) -> bool:  # fmt: skip
    """Ask an operator about those of whom it must be asked, each once for one address. False when the origin may ask no
    more today."""
    identities, asked = reading.citizens.identities, True
    for one in along:
        if one.why is None or identities is None:
            continue
        value = event.data[DATED]
        facts = {"type": event.type, "by": reading.origin.name, "why": one.why, "quality": value["quality"]}
        data = {DATED: value, **day_in(event), **by_request(request_id)}
        said = {"type": event.type, "version": event.version, "data": data}
        about = f"along {judge.spoken[DATED].whole}"
        asked &= identities.doubt_value(reading.tenant, one.citizen.id, DATED, said, facts, about=about)
    return asked


def say_along(
    reading: Reading, event: Event, mover: Citizen, along: Sequence[Along], request: Request | None,
    told: Collection[str], numbered: Mapping[str, Any],
) -> None:  # fmt: skip
    """Let the hub say it of each of whom nothing must be asked, in the same commit. `request`: by which the event was
    routed; `told`: who gets the event, which will have this number."""
    if not along:
        return
    members = [reading.directory.connections[name] for name in told]
    knows = {m.name for m in members if "household" in granted_tree(m.consumes[event.type].fields)}
    knows |= {m.name for m in reading.directory.voices(reading.origin.name) if event.type in m.consumes}
    natives, moved = reading.citizens.natives(), list[str]()
    for one in along:
        links = [(system, native) for (who, system), ids in natives.items() if who == one.citizen.id for native in ids]
        if one.why is not None or not links:  # who has no link is told of to nobody by one
            continue
        references = [{"system": system, "id": native} for system, native in sorted(links)[:_MOST]]
        which = f"{event.source} {event.id} {one.citizen.id}"
        said = Event(
            type=event.type, version=event.version, source=f"/{reading.tenant}/hub",
            id=f"along-{hashlib.sha256(which.encode()).hexdigest()[:32]}",
            data={"citizen": {"references": references}, DATED: event.data[DATED], **day_in(event),
                  **by_request(request.id if request else None)},
        )  # fmt: skip
        facts = Restated(
            one.citizen.id, request.procedure if request else None, request.intakes if request else (),
            request.confidential if request else False, mover=mover.id, said_by=reading.origin.name,
            told=frozenset(knows), by=numbered,
        )  # fmt: skip
        reading.along.append((said, facts))
        moved.append(one.citizen.id)
    if moved:
        news = reading.citizens.news
        news.number(news.of(mover.id, DATED).moved_with(moved), 0, numbered)


def _whom(reading: Reading, person: Mapping[str, Any]) -> tuple[Citizen | None, bool]:
    """Whom a record names, and whether by nothing but identifiers for which the origin does not speak."""
    citizens, tenant = reading.citizens, reading.tenant
    told = person.get("references", ())
    own, named = [one for one in told if reading.origin.speaks_for(one["system"])], person
    if len(own) < len(told):
        named = {name: part for name, part in person.items() if name != "references"}
        named |= {"references": own} if own else {}
    try:
        if citizens.is_identified(named) and not citizens.linked(tenant, named) | citizens.named(tenant, named):
            return None, False  # who is only alike is not looked for: that is asked of those whom an event is about
        if citizens.is_named(tenant, named):
            found = citizens.foresee(tenant, named).citizen_id
            return (citizens.known(found) if found else None), False
        linked = citizens.linked(tenant, person)
        return (citizens.known(next(iter(linked))), True) if len(linked) == 1 else (None, False)
    except InvalidMessage:  # its identifiers are of two people
        return None, False


def _has_two_homes(reading: Reading, person: Mapping[str, Any], one: Citizen, mover: Citizen, said: Spoken) -> bool:
    home = reading.citizens.news.of(one.id, DATED).home
    if home is None or home[0] == mover.id or home[1] == said.whole:
        return False
    since = reading.tx.now - TWO_HOMES_DAYS * 86_400
    return bool(home[2] > since) and not _is_adult(reading, person, one)


def _is_adult(reading: Reading, person: Mapping[str, Any], one: Citizen) -> bool:
    """Whether somebody is surely of age today. Of whom no whole birthdate is known it is not sure."""
    known, town = reading.citizens.identity_of(one), reading.directory.tenants.get(reading.tenant)
    born = str((known or {}).get("birthdate") or person.get("identity", {}).get("birthdate") or "")
    if len(born) < len("YYYY-MM-DD") or town is None:
        return False
    today = datetime.fromtimestamp(reading.tx.now, town.zone).date()
    try:
        birth = date.fromisoformat(born)
    except ValueError:
        return False
    years = today.year - birth.year - ((today.month, today.day) < (birth.month, birth.day))
    return years >= _ADULT
