"""What the events of a request mean."""

from __future__ import annotations

from hub.acceptance.mentions import people_of
from hub.acceptance.rules import Reading, Understood
from hub.requests import repository as timelines
from hub.requests.notices import notices
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
        citizens.check_together(tenant, people)
        request = requests.find(tenant, record)
        if request is not None:
            requests.check_links(request, record["references"])
        known = [citizens.resolve(tenant, person) for person in people]
        ids = list(dict.fromkeys(citizen.id for citizen in known))
        confidential = any(citizen.confidential for citizen in known)
        if request is None:
            request = requests.open(tenant, record, origin=reading.origin.name, people=ids, confidential=confidential)
        else:
            requests.link(request, record["references"])
            requests.involve(request, ids)
        reading.heed_marks({one.id for one in known if one.confidential and not request.confidential})
        understood = Understood(f"r:{request.id}", request=request)
        reading.step(understood, "received")
        reading.route(understood, event)
        reading.said.extend(notices(reading.tx, request, event, reading.directory))
        return understood


class StatusChanged:
    """A step of a request: applied, or kept with the reason why it was not. No status is told twice."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        request = reading.request_of(event.data["request"])
        if request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        repeated = reading.requests.repeats(request, event.data, origin=reading.origin.name)
        reading.requests.link(request, event.data.get("new_references", ()))
        # Nothing happened in the future: a clock that is wrong must not make all that follows late.
        at = min(timelines.seconds(event.time, reading.tx.now), reading.tx.now)
        before, origin = request.status, reading.origin.name
        decides = reading.directory.decides(origin, request.procedure)
        mark = (
            "repeated"
            if repeated
            else reading.requests.apply(request, event.data, origin=origin, decides=decides, at=at)
        )
        understood = Understood(f"r:{request.id}", request=request)
        reading.step(understood, "status", data=event.data, mark=mark)
        if mark is None:
            reading.route(understood, event)
            if request.status != before:
                reading.said.extend(notices(reading.tx, request, event, reading.directory))
        return understood
