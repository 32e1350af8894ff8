"""What events of appointments, payments and messages mean: a step of their request, told on; never its status."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, tzinfo
from typing import Any

from hub.acceptance.mentions import citizen_of
from hub.acceptance.rules import Reading, Understood
from hub.citizens.repository import Citizen
from hub.requests.followed import Kind, Mark, Standing, objection, order_key_of
from hub.requests.repository import Request, seconds
from schemas.errors import InvalidMessage
from schemas.event import Event

# What is asked of others: they, too, say what became of it.
_ASKED: Mapping[Kind, Collection[str]] = {
    "payment": ("payment.requested",), "message": ("message.letter-requested", "message.sms-requested"),
}  # fmt: skip
_BY = {"citizen": "par l'usager", "service": "par le service"}


class SubjectTold:
    """A type that tells where one appointment, payment or message stands. `begins`: the state that the type itself
    says; without it the data does.

    A system begins what it names by its own identifier. Of what another asked for it may say something when it was
    asked (a payment service, of a payment), and not otherwise: by the same refusal as when there is none. What comes
    late is a line of the timeline, told to nobody."""

    def __init__(self, kind: Kind, begins: str | None = None, *, acts: bool = False) -> None:
        self._kind, self._begins, self._acts = kind, begins, acts

    def understand(self, event: Event, reading: Reading) -> Understood:
        thing = event.data[self._kind]
        key = order_key_of(self._kind, thing["reference"])
        known = reading.followed.find(reading.tenant, key)
        if not self._may_speak(reading, thing["reference"], known):
            message = "this identifier is not of a system for which you speak"
            pointer = f"/data/{self._kind}/reference"
            raise InvalidMessage(message, pointer=pointer, code="reference_not_yours")
        understood = Understood(key, request=self._request(event, reading, known))
        person = citizen_of(event)
        if person is not None:
            reading.citizens.check_together(reading.tenant, [person])
            if reading.asks_too_much([person]):
                return reading.hold(understood, [person])
        # Nothing was said in the future: a clock that is wrong must not make all that follows late.
        at = min(seconds(event.time, reading.tx.now), reading.tx.now) if event.time else None
        state = self._begins or thing["state"]
        mark = objection(self._kind, known, state, at)
        if mark is not None and not self._has_room(understood.request, reading, mark):
            return understood
        zone = reading.directory.tenants[reading.tenant].zone
        native = {"code": state, "label": said_of(self._kind, thing, zone)}
        step = {"native": native, "reason": event.data.get("reason")}
        citizen, marked = self._citizen(person, reading)
        reading.step(understood, self._kind, data=step, mark=mark, said_at=at)
        if mark is None:
            self._note(understood, reading, known, state, at)
            request = understood.request
            acts = self._acts and request is not None and (reading.origin.by_grant or reading.holds(request))
            reading.route(understood, event, citizen=citizen, marked=marked, acts=acts)
        return understood

    def _has_room(self, request: Request | None, reading: Reading, mark: Mark) -> bool:
        """Of what changes nothing an origin may say so much of one request: then repetitions leave no line any more,
        and all else is refused."""
        if request is None or not reading.requests.is_full(request, origin=reading.origin.name):
            return True
        if mark != "repeated":
            message = "you have said too much of this request that changes nothing"
            raise InvalidMessage(message, pointer=f"/data/{self._kind}", code="too_many_steps")
        return False

    def _may_speak(self, reading: Reading, reference: Mapping[str, str], known: Standing | None) -> bool:
        if reading.origin.internal or reading.origin.speaks_for(reference["system"]):
            return True
        return self._begins is None and known is not None and reading.was_sent(known.seq, _ASKED.get(self._kind, ()))

    def _request(self, event: Event, reading: Reading, known: Standing | None) -> Request | None:
        """The request that the event names, else the one of which this is known to be."""
        link = event.data.get("request")
        if link:
            request = reading.request_of(link)
            if request is None:
                raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
            return request
        return reading.request_known(known.request_id) if known is not None and known.request_id else None

    def _citizen(self, person: Mapping[str, Any] | None, reading: Reading) -> tuple[Citizen | None, bool]:
        """Whom it is about, and whether they must be kept confidential. By identifiers of others alone nobody is made
        known; a mark on whom they name protects all the same."""
        if person is None:
            return None, False
        if reading.is_named_by_others_alone(person):
            marked = reading.is_marked_elsewhere(person)
            reading.heed_marks()
            return None, marked
        citizen = reading.citizens.resolve(reading.tenant, person)
        reading.heed_marks()
        return citizen, citizen.confidential

    def _note(
        self, understood: Understood, reading: Reading, known: Standing | None, state: str, at: float | None
    ) -> None:  # fmt: skip
        row = reading.followed.note(
            reading.tenant, understood.order_key, state, at=reading.tx.now if at is None else at,
            request_id=understood.request.id if understood.request else None,
        )  # fmt: skip
        if known is None:
            understood.numbered.append(row)


def said_of(kind: Kind, thing: Mapping[str, Any], zone: tzinfo) -> str:
    """What the timeline says of it beside its state, in French."""
    if kind == "appointment":
        begins = datetime.fromisoformat(thing["starts_at"]).astimezone(zone).strftime("le %d/%m/%Y à %H h %M")
        parts = [
            thing.get("subject"),
            begins,
            thing.get("place", {}).get("name"),
            _BY.get(thing.get("cancelled_by", "")),
        ]
    elif kind == "payment":
        parts = [_euros(thing["amount"]["cents"]) if "amount" in thing else None, thing.get("subject")]
    else:
        parts = [_CHANNELS.get(thing.get("channel", "")), thing.get("subject")]
    return ", ".join(part for part in parts if part)[:300]


_CHANNELS = {"email": "courriel", "letter": "courrier", "sms": "SMS"}


def _euros(cents: int) -> str:
    return f"{cents // 100:,}".replace(",", "\u202f") + f",{cents % 100:02} €"


FOLLOWED: Mapping[str, SubjectTold] = {
    "appointment.changed": SubjectTold("appointment"),
    "payment.requested": SubjectTold("payment", "requested"), "payment.changed": SubjectTold("payment"),
    "message.letter-requested": SubjectTold("message", "requested"),
    "message.sms-requested": SubjectTold("message", "requested"), "message.changed": SubjectTold("message"),
    "message.received": SubjectTold("message", "received", acts=True),
}  # fmt: skip
"""The rule of each type that tells of an appointment, a payment or a message."""
