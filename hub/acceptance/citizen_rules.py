"""What the events of a citizen mean: which values are news to whom, and which wait for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hub.acceptance.mentions import citizen_of, household_of, values_of
from hub.acceptance.rules import AnyEvent, Reading, Restated, Understood, subject_key
from hub.acceptance.telling import Judge, Telling
from hub.citizens.repository import QUALITIES, Citizen, Rank
from hub.requests.notices import transmitted
from hub.requests.repository import seconds
from schemas.event import Event


class CitizenChanged:
    """Every type whose order is the citizen's; one that names no citizen is like any other event."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        if (original := reading.restated.get(event.id)) is not None:
            return _again(event, reading, original)
        person = citizen_of(event)
        if person is None:
            return AnyEvent().understand(event, reading)
        tenant, citizens, household = reading.tenant, reading.citizens, household_of(event)
        known = [person, *(other for other in household if other.get("confidential"))]
        citizens.check_together(tenant, known, [other for other in household if not other.get("confidential")])
        if reading.asks_too_much(known):
            request = reading.request_of(event.data.get("request"))
            return reading.hold(Understood(subject_key(event, request), request=request), known)
        citizen = citizens.resolve(tenant, person)
        marked = [citizens.is_marked(tenant, other) for other in household]
        reading.heed_marks()
        understood = Understood(f"c:{citizen.id}", request=reading.request_of(event.data.get("request")))
        values = values_of(event)
        if reading.is_named_by_others_alone(person):
            understood.review = tuple(sorted(values))
            reading.step(understood, "held")
            return understood
        judge = Judge(reading, citizen, event, values)
        held = {
            name for name, one in judge.verdicts.items() if one == "news" and _is_held(reading, citizen, event, name)
        }
        understood.review = tuple(sorted(held))
        understood.held = not all(_ask(reading, citizen, event, name) for name in understood.review)
        if understood.held:
            reading.step(understood, "held")
            return understood
        _spread(reading, understood, citizen, event, judge, marked=citizen.confidential or any(marked))
        return understood


def _spread(
    reading: Reading, understood: Understood, citizen: Citizen, event: Event, judge: Judge, *, marked: bool
) -> None:  # fmt: skip
    """Who is told what; nothing, where nobody lacks any of it."""
    values = [*judge.spoken]
    routed = reading.routed(understood, event, citizen=citizen, marked=marked)
    telling = judge.tell(routed.to, understood.review) if values else Telling(to=routed.to)
    numbered: dict[str, Any] = {}
    understood.numbered.append(numbered)
    judge.note(telling, routed.to, numbered, {name: _worth(reading, event, name) for name in values})
    if telling.later:
        reading.lacking.append((citizen.id, telling.later))
    if values and not telling.kept:
        understood.echo = not understood.review
        reading.step(understood, "held" if understood.review else "echo")
        return
    understood.event = event
    if len(telling.kept) < len(values):  # beside a news what is known is no news either
        unsaid = values_of(event).keys() - set(telling.kept)
        understood.event = event.with_data({name: one for name, one in event.data.items() if name not in unsaid})
    reading.take_route(understood, replace(routed, to=telling.to))
    reading.step(understood, "change")
    answered = routed.withheld or routed.to  # else nobody reads this: no service is asked
    if understood.request is not None and answered and not telling.to:
        # Nobody will answer: the portal hears what it would hear of anybody's change.
        said = transmitted(understood.request, f"{event.source} {event.id}", taken=True)
        reading.said.append(said)


def _again(event: Event, reading: Reading, original: Restated) -> Understood:
    """What is known already, said by the hub for whoever lacks it; nothing, where nobody does."""
    citizen = reading.citizens.known(original.citizen_id)
    understood = Understood(f"c:{citizen.id}")
    facts = reading.facts(event, citizen=citizen, marked=citizen.confidential or original.confidential)
    route = reading.directory.route(replace(facts, procedure=original.procedure, intakes=original.intakes))
    judge = Judge(reading, citizen, event, values_of(event), again=True)
    telling = judge.tell(route.to, [name for name, one in judge.verdicts.items() if one != "same"])
    if telling.later:
        reading.lacking.append((citizen.id, telling.later))
    if not telling.to:
        understood.silent = True
        return understood
    for name in telling.kept:
        if (now := judge.known[name].now) is not None:
            now.times += 1
            judge.known[name].state(now)
    numbered: dict[str, Any] = {}
    understood.numbered.append(numbered)
    judge.note(telling, route.to, numbered, {})
    unsaid = values_of(event).keys() - set(telling.kept)
    understood.event = event.with_data({name: one for name, one in event.data.items() if name not in unsaid})
    understood.route = replace(route, to=telling.to)
    return understood


def _worth(reading: Reading, event: Event, name: str) -> tuple[str, Rank]:
    """Whose value it is and what it is worth, where the field has a master."""
    if reading.directory.master_of(reading.tenant, name) is None:
        return "", (0, 0.0)
    return reading.directory.system_of(reading.origin.name), rank_of(event.data[name], reading.tx.now)


def _is_held(reading: Reading, citizen: Citizen, event: Event, name: str) -> bool:
    """Whether a value stands against what the master of its field said."""
    origin = reading.origin
    master = reading.directory.master_of(origin.tenant, name)
    if master is None or reading.citizens.identities is None:
        return False
    if origin.internal or reading.directory.system_of(origin.name) == master:
        return False
    now = reading.citizens.news.of(citizen.id, name).now
    return now is not None and now.system == master and now.rank >= rank_of(event.data[name], reading.tx.now)


def _ask(reading: Reading, citizen: Citizen, event: Event, name: str) -> bool:
    """Ask an operator about a value that is held. False when the origin may ask no more today."""
    tenant, identities = reading.tenant, reading.citizens.identities
    assert identities is not None
    facts = {
        "type": event.type, "by": reading.origin.name, "master": reading.directory.master_of(tenant, name),
        "quality": event.data[name]["quality"],
    }  # fmt: skip
    said = {"type": event.type, "data": {name: event.data[name]}}
    return identities.doubt_value(tenant, citizen.id, name, said, facts)


def rank_of(value: Mapping[str, Any], now: float) -> Rank:
    """What a value is worth: how well it is known, then of when it is; never of the future."""
    return QUALITIES.index(value["quality"]), min(seconds(value["date"], now), now)
