"""What the events of a citizen mean: which values are news to whom, and which wait for an operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import orjson

from hub.acceptance.days import comes_at, end_coming, wait_for_day
from hub.acceptance.mentions import DAY, by_request, citizen_of, day_in, household_of, values_of
from hub.acceptance.moved_along import ask_along, moved_along, say_along
from hub.acceptance.rules import AnyEvent, Reading, Restated, Understood, subject_key
from hub.acceptance.telling import Judge, Telling, is_dated
from hub.citizens.news import DATED
from hub.citizens.repository import QUALITIES, Citizen, Rank
from hub.requests.notices import transmitted, transmitted_on
from hub.requests.repository import seconds
from hub.routing.directory import Route
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
        begins = comes_at(event, reading.zone, reading.tx.now) if DATED in values else None
        judge = Judge(reading, citizen, event, values)
        if begins is not None and not _is_known_now(judge):
            judge = Judge(reading, citizen, event, values, to_come=True)
        else:
            begins = None
        held = {
            name for name, one in judge.verdicts.items() if one == "news" and _is_held(reading, citizen, event, name)
        }
        understood.review = tuple(sorted(held))
        mark = citizen.confidential or any(marked)
        along = [] if mark or held or not _is_news(judge) else moved_along(reading, event, citizen, judge)
        came_by = understood.request.id if understood.request else None
        understood.held = not all(_ask(reading, citizen, event, name, came_by) for name in understood.review)
        understood.held |= not ask_along(reading, event, judge, along, came_by)
        if understood.held:
            reading.step(understood, "held")
            return understood
        if begins is None and DATED not in held and _ends_what_comes(event, judge):
            _end_coming(reading, citizen, judge)
            judge.returned = [] if _is_news(judge) else [DATED]
        numbered = _spread(reading, understood, citizen, event, judge, marked=mark, begins=begins)
        say_along(reading, event, citizen, along, understood.request, understood.route.to, numbered)
        return understood


def _is_news(judge: Judge) -> bool:
    return judge.verdicts.get(DATED) == "news"


def _is_known_now(judge: Judge) -> bool:
    """Whether an event of a day to come says what is known now: that somebody stays, whatever was to come before."""
    comes = judge.coming[DATED].now
    return judge.verdicts[DATED] == "same" and (comes is None or judge.spoken[DATED].high >= comes.low)


def _ends_what_comes(event: Event, judge: Judge) -> bool:
    """Whether what was true from a day to come is no more: another value is, or what is known now was said again with
    a day. Said without a day, it is what whoever knows nothing of that day goes on to say."""
    comes = judge.waiting(DATED)
    if comes is None:
        return False
    again = judge.verdicts[DATED] == "same" and DAY in event.data and judge.spoken[DATED].high >= comes.low
    return again or _is_news(judge)


def _spread(
    reading: Reading, understood: Understood, citizen: Citizen, event: Event, judge: Judge, *, marked: bool,
    begins: float | None,
) -> Mapping[str, Any]:  # fmt: skip
    """Who is told what; nothing, where nobody lacks any of it. `begins`: the day from which it is true, for which all
    wait who are not granted it. What will hold the number of the event."""
    values = [*judge.spoken]
    routed = reading.routed(understood, event, citizen=citizen, marked=marked)
    at_once = _at_once(reading, event, routed, begins)
    telling = judge.tell(at_once, understood.review) if values else Telling(to=at_once)
    numbered = _numbered(understood)
    judge.note(telling, routed.to, numbered, {name: _worth(reading, event, name) for name in values})
    if telling.later:
        reading.lacking.append((citizen.id, telling.later))
    if values and not telling.kept:
        understood.echo = not understood.review
        reading.step(understood, "held" if understood.review else "echo")
        return numbered
    understood.event = event
    if len(telling.kept) < len(values):  # beside a news what is known is no news either
        understood.event = _reduced(event, telling.kept)
    reading.take_route(understood, replace(routed, to=telling.to))
    reading.step(understood, "change")
    if begins is not None and DATED in telling.kept:
        _wait_for_day(reading, citizen, begins, numbered)
        if understood.request is not None and (routed.withheld or len(at_once) < len(routed.to)):
            name = f"{event.source} {event.id}"
            reading.said.append(transmitted_on(understood.request, name, event.data[DAY]))
            return numbered
    answered = routed.withheld or routed.to  # else nobody reads this: no service is asked
    if understood.request is not None and answered and not telling.to:
        # Nobody will answer: the portal hears what it would hear of anybody's change.
        said = transmitted(understood.request, f"{event.source} {event.id}", taken=True)
        reading.said.append(said)
    return numbered


def _at_once(reading: Reading, event: Event, route: Route, begins: float | None) -> tuple[str, ...]:
    """Who gets the event now: of what is true from a day to come, those that are granted the day."""
    if begins is None:
        return route.to
    return tuple(name for name in route.to if is_dated(reading.directory.connections[name], event.type))


def _again(event: Event, reading: Reading, original: Restated) -> Understood:
    """What is known already, said by the hub for whoever lacks it; nothing, where nobody does."""
    citizen = reading.citizens.known(original.citizen_id)
    understood = Understood(f"c:{citizen.id}")
    facts = reading.facts(event, citizen=citizen, marked=citizen.confidential or original.confidential)
    route = reading.directory.route(replace(facts, procedure=original.procedure, intakes=original.intakes))
    begins = comes_at(event, reading.zone, reading.tx.now)
    judge = Judge(
        reading, citizen, event, values_of(event), again=original.mover is None, to_come=begins is not None,
        by=original.said_by,
    )  # fmt: skip
    if original.mover is not None:
        return _along(event, reading, original, citizen, judge, understood, route, begins)
    at_once = _at_once(reading, event, route, begins)
    telling = judge.tell(at_once, [name for name, one in judge.verdicts.items() if one != "same"])
    if telling.later:
        reading.lacking.append((citizen.id, telling.later))
    if not telling.to:
        understood.silent = True
        return understood
    for name in telling.kept:
        if (now := judge.known[name].now) is not None:
            now.times += 1
            judge.known[name].state(now)
    numbered = _numbered(understood)
    judge.note(telling, route.to, numbered, {})
    understood.event = _reduced(event, telling.kept)
    understood.route = replace(route, to=telling.to)
    return understood


def _along(
    event: Event, reading: Reading, original: Restated, citizen: Citizen, judge: Judge, understood: Understood,
    route: Route, begins: float | None,
) -> Understood:  # fmt: skip
    """The address of somebody who moved along. Who knows it by the household has it, as of the event that said it."""
    assert original.mover is not None
    if begins is None and _ends_what_comes(event, judge):
        _end_coming(reading, citizen, judge)
    at_once = _at_once(reading, event, route, begins)
    telling = judge.tell([name for name in at_once if name not in original.told], ())
    numbered = _numbered(understood)
    judge.note(telling, route.to, numbered, {})
    judge.note_given(DATED, [name for name in route.to if name in original.told], original.by)
    reading.citizens.news.of(citizen.id, DATED).live_with(original.mover, judge.spoken[DATED].whole, reading.tx.now)
    if begins is not None:
        _wait_for_day(reading, citizen, begins, numbered)
    understood.event, understood.route = event, replace(route, to=telling.to)
    return understood


def _numbered(understood: Understood) -> dict[str, Any]:
    """What will hold the number of the event."""
    numbered: dict[str, Any] = {}
    understood.numbered.append(numbered)
    return numbered


def _reduced(event: Event, kept: Collection[str]) -> Event:
    """The event with these of its values alone."""
    unsaid = values_of(event).keys() - set(kept)
    return event.with_data({name: one for name, one in event.data.items() if name not in unsaid})


def _wait_for_day(reading: Reading, citizen: Citizen, begins: float, numbered: Mapping[str, Any]) -> None:
    """All who are not granted the day are told when it begins."""
    wait = partial(wait_for_day, reading.tx, reading.tenant, citizen.id, begins)
    reading.afterwards.append(lambda: wait(numbered["seq"]))


def _end_coming(reading: Reading, citizen: Citizen, judge: Judge) -> None:
    """What was to come does not, and is judged beside nothing any more."""
    end_coming(reading.tx, reading.citizens.news, reading.tenant, citizen.id)
    judge.coming = {}


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


def _ask(reading: Reading, citizen: Citizen, event: Event, name: str, request_id: str | None) -> bool:
    """Ask an operator about a value that is held, once by whatever requests it came. False when the origin may ask no
    more today."""
    tenant, identities = reading.tenant, reading.citizens.identities
    assert identities is not None
    facts = {
        "type": event.type, "by": reading.origin.name, "master": reading.directory.master_of(tenant, name),
        "quality": event.data[name]["quality"],
    }  # fmt: skip
    said: dict[str, Any] = {"type": event.type, "data": {name: event.data[name], **day_in(event)}}
    if event.version > 1:
        said["version"] = event.version
    about = orjson.dumps(said, option=orjson.OPT_SORT_KEYS).decode()
    said["data"] |= by_request(request_id)
    return identities.doubt_value(tenant, citizen.id, name, said, facts, about=about)


def rank_of(value: Mapping[str, Any], now: float) -> Rank:
    """What a value is worth: how well it is known, then of when it is; never of the future."""
    return QUALITIES.index(value["quality"]), min(seconds(value["date"], now), now)
