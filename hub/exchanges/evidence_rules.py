"""What the events about evidence mean: a source says that it changed, and the hub says so to whoever obtained it."""

from __future__ import annotations

from hub.acceptance.rules import Reading, Understood, subject_key
from hub.citizens.identities import People
from hub.citizens.lookup import find_citizen
from hub.exchanges.corrections import Corrections
from schemas.errors import InvalidMessage
from schemas.event import Event


class EvidenceChanged:
    """`evidence.changed`. The hub is its reader: it goes to nobody as it is."""

    def __init__(self, corrections: Corrections, people: People) -> None:
        self._corrections, self._people = corrections, people

    def understand(self, event: Event, reading: Reading) -> Understood:
        tx, tenant, person = reading.tx, reading.tenant, event.data["citizen"]
        held = bool(person.get("confidential")) and reading.asks_too_much([person])
        if not held:
            reading.citizens.is_marked(tenant, person)
            reading.heed_marks()
        known = reading.citizens.check(tenant, person)
        if known is None or "references" not in person:  # an identity that several have names none of them
            others = reading.identifiers_of_others(person)
            found = find_citizen(
                tx, self._people, tenant, identity=person.get("identity"),
                references=[*person.get("references", ()), *others], reference=None, client_id="",
            )  # fmt: skip
            if found.verdict == "ambiguous" and not others:
                message = "it is not sure who this is: give the identifier of a system that the hub knows"
                raise InvalidMessage(message, pointer="/data/citizen", code="ambiguous_citizen")
            known = found.citizen_id
        told = self._corrections.changed(tx, tenant, reading.origin.name, reading.directory.connections, event, known)
        if told:
            reading.afterwards.append(lambda: self._corrections.publish(tx, told, reading.say_as_hub))
        understood = Understood(f"c:{known}" if known is not None else f"s:{event.id}"[:200])
        return reading.hold(understood, [person]) if held else understood


class RecipientTold:
    """`evidence.corrected` and `evidence.erased`: to the one client that obtained it, and to nobody else."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        understood = Understood(subject_key(event))
        reading.route(understood, event, alone=f"{reading.tenant}.{event.data['client']}")
        return understood
