"""What the events of a request mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub.acceptance.mentions import people_of
from hub.acceptance.rules import Reading, Understood
from hub.requests import repository as timelines
from hub.requests.authority import objection, speaker_of, takes_up_again
from hub.requests.notices import notices
from hub.requests.reception import Reception, reception_of
from hub.requests.repository import Request
from schemas.errors import InvalidMessage
from schemas.event import Event


class RequestReceived:
    """Opens a request, or adds to the one that its references name."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        record, requests, citizens = event.data["request"], reading.requests, reading.citizens
        if record["procedure"] not in reading.directory.catalogue:
            raise InvalidMessage(
                "no such procedure in the catalogue", pointer="/data/request/procedure", code="unknown_procedure"
            )
        tenant, people = reading.tenant, people_of(record)
        reception = reception_of(record, now=reading.tx.now, zone=reading.directory.tenants[tenant].zone)
        citizens.check_together(tenant, people)
        request = requests.find(tenant, record)
        if request is not None:
            requests.check_links(request, record["references"])
            if not reading.holds(request):
                return self._told_by_another(request, record, reading)
        if reading.asks_too_much(people):
            # It is received and dated; whose it is stays open.
            request = self._taken_in(request, record, reception, reading)
            understood = Understood(f"r:{request.id}", request=request)
            reading.step(understood, "received", data=_unread(record))
            return reading.hold(understood, people)
        known = [citizens.resolve(tenant, person) for person in people]
        ids = list(dict.fromkeys(citizen.id for citizen in known))
        confidential = any(citizen.confidential for citizen in known)
        fresh = request is None
        request = self._taken_in(request, record, reception, reading, people=ids, confidential=confidential)
        reading.heed_marks({one.id for one in known if one.confidential and not request.confidential})
        understood = Understood(f"r:{request.id}", request=request)
        reading.step(understood, "received", data=_unread(record))
        reading.route(understood, event, acts=fresh)
        reading.said.extend(notices(reading.tx, request, event, reading.directory))
        return understood

    def _taken_in(
        self, request: Request | None, record: Mapping[str, Any], reception: Reception, reading: Reading, *,
        people: Sequence[str] = (), confidential: bool = False,
    ) -> Request:  # fmt: skip
        if request is None:
            return reading.requests.open(
                reading.tenant, record, origin=reading.origin.name, people=people, confidential=confidential,
                reception=reception,
            )  # fmt: skip
        reading.requests.link(request, record["references"])
        reading.requests.involve(request, people)
        return request

    def _told_by_another(self, request: Request, record: Mapping[str, Any], reading: Reading) -> Understood:
        """Who was sent a request may say that it came in there, under its own number: it brings nobody and nothing."""
        reading.requests.link(request, record["references"])
        understood = Understood(f"r:{request.id}", request=request)
        reading.step(understood, "received")
        return understood


_SHOWN, _LONGEST_NAME = 20, 60  # names of answers in one line of the timeline, and their length


def _unread(record: Mapping[str, Any]) -> Mapping[str, str]:
    """Which answers of its form the intake could not read and kept as they were written: by name alone, for what was
    written may be anything."""
    kept = record.get("form", {}).get("unread_answers")
    names = [one for name in kept if (one := _printable(name, _LONGEST_NAME))] if isinstance(kept, Mapping) else []
    more = ", …" if len(names) > _SHOWN else ""
    return {"reason": f"{', '.join(names[:_SHOWN])}{more}"} if names else {}


def _printable(text: str, longest: int) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:longest]


class StatusChanged:
    """A step of a request: applied, or kept with the reason why it was not. No status is told twice; a refusal inside a
    package is told to the portal as the step that it is. Of what changes nothing an origin may say so much of one
    request: then repetitions leave no line any more, and all else is refused."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        request = reading.request_of(event.data["request"])
        if request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        origin, requests, data = reading.origin, reading.requests, event.data
        repeated = requests.repeats(request, data, origin=origin.name)
        # Nothing happened in the future: a clock that is wrong must not make all that follows late.
        at = min(timelines.seconds(event.time, reading.tx.now), reading.tx.now)
        before, speaker = request.status, speaker_of(reading.directory, origin, request, data)
        mark = "repeated" if repeated else objection(request, data, speaker, at=at)
        if mark is not None and requests.is_full(request, origin=origin.name):
            if not repeated:
                message = "you have said too much of this request that changes nothing"
                raise InvalidMessage(message, pointer="/data/request", code="too_many_steps")
            return Understood(f"r:{request.id}", request=request)
        requests.link(request, data.get("new_references", ()))
        reopens = takes_up_again(request, data, speaker) and not speaker.decides
        if mark is None:
            requests.apply(request, data, decides=speaker.decides, reopens=reopens, at=at)
        understood = Understood(f"r:{request.id}", request=request)
        reading.step(understood, "status", data=data, mark=mark, said_at=at)
        if mark is None:
            reading.route(understood, event, acts=reopens)
            if request.status != before:
                reading.said.extend(notices(reading.tx, request, event, reading.directory))
        elif mark in _STEPS and data.get("reason"):
            understood.event = event.with_data(_as_step(data, request))
            reading.route(understood, understood.event)
        return understood


_STEPS = ("step", "not_deciding")  # told to the portal where they have a reason


def _as_step(data: Mapping[str, Any], request: Request) -> Mapping[str, Any]:
    """What the portal is told of words that change nothing: how its request stands, and who said what."""
    kept = {name: value for name, value in data.items() if name != "reopened"}
    return {**kept, "status": request.status, **({"phase": request.phase} if request.phase else {})}
