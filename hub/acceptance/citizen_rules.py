"""What the events of a citizen mean: which values are news, and which wait for an operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hub.acceptance.mentions import citizen_of, household_of, values_of
from hub.acceptance.rules import AnyEvent, Reading, Understood, subject_key
from hub.citizens.repository import QUALITIES, Citizen, Rank
from hub.requests.notices import transmitted
from hub.requests.repository import seconds
from schemas.event import Event


class CitizenChanged:
    """Every type whose order is the citizen's; one that names no citizen is like any other event."""

    def understand(self, event: Event, reading: Reading) -> Understood:
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
        echoes = {name for name in values if _is_echo(reading, citizen, event, name)}
        if values and len(echoes) == len(values):
            understood.echo = True
            reading.step(understood, "echo")
            return understood
        held = {name for name in values.keys() - echoes if _is_held(reading, citizen, event, name)}
        understood.review = tuple(sorted(held))
        understood.held = not all(_ask(reading, citizen, event, name) for name in understood.review)
        if understood.held or (values and len(echoes | held) == len(values)):
            reading.step(understood, "held")
            return understood
        understood.event = event
        if kept_back := echoes | held:  # beside a news an echo is no news either
            news = {name: value for name, value in event.data.items() if name not in kept_back}
            understood.event = event.with_data(news)
        reading.route(understood, event, citizen=citizen, marked=citizen.confidential or any(marked))
        reading.step(understood, "change")
        if understood.request is not None and understood.route.withheld and not understood.route.to:
            # Nobody will answer: the portal hears what it would hear of anybody's change.
            said = transmitted(understood.request, f"{event.source} {event.id}", taken=True)
            reading.said.append(said)
        for name in values.keys() - kept_back:
            worth: dict[str, Any] = {}
            if reading.directory.master_of(tenant, name) is not None:
                system = reading.directory.system_of(reading.origin.name)
                worth = {"system": system, "rank": rank_of(event.data[name], reading.tx.now)}
            citizens.learn(citizen, name, values[name], by=reading.origin.name, told=understood.route.to, **worth)
        return understood


def _is_held(reading: Reading, citizen: Citizen, event: Event, name: str) -> bool:
    """Whether a value stands against what the master of its field said."""
    origin = reading.origin
    master = reading.directory.master_of(origin.tenant, name)
    if master is None or reading.citizens.identities is None:
        return False
    system = reading.directory.system_of(origin.name)
    if origin.internal or system == master:
        return False
    return reading.citizens.yields(citizen, name, rank_of(event.data[name], reading.tx.now), master=master)


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


def _is_echo(reading: Reading, citizen: Citizen, event: Event, name: str) -> bool:
    value = event.data[name]
    dated = seconds(value["date"], 0.0)
    return reading.citizens.is_echo(citizen, name, value["value"], reading.origin.name, dated=dated)
