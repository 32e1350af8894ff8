"""What an origin may bind by what it states: the identifiers of systems for which it speaks, and no others.

By an identifier of another system one may find a request, and never open, bind or decide one, whichever member carries
it (design, promise 10). Such identifiers are taken out here, before anything is looked up by them, so that what exists
and what does not is met by the same statements; they are kept as unproved, for an operator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bus.ledger import Transaction
from bus.sql import Insert
from hub.acceptance.mentions import citizen_of, request_record
from hub.clients.origin import Origin
from hub.storage.tables import unproved_references
from schemas.errors import InvalidMessage
from schemas.event import Event

Reference = Mapping[str, str]
Claim = tuple[str, Sequence[Reference], bool]  # a request or a person (an order key); whether a mark came with it
_CLAIM = Insert(
    unproved_references,
    conflict="(tenant, subject, system, native_id) DO UPDATE SET mark = 1, at = excluded.at "
    "WHERE excluded.mark = 1 AND unproved_references.mark = 0",
)


@dataclass(frozen=True, slots=True)
class Statement:
    """What an origin says in its own right. `event`: without the identifiers of others. `of_request`, `of_people`:
    those, of the request, and by the record of each person as it stands in `event`."""

    event: Event
    of_request: tuple[Reference, ...] = ()
    of_people: list[tuple[Mapping[str, Any], list[Reference]]] = field(default_factory=list)


def statement_of(origin: Origin, event: Event) -> Statement:
    """Raises InvalidMessage `reference_not_yours`: a request that no identifier of its origin names."""
    if origin.internal:
        return Statement(event)
    stripping = _Stripping(origin)
    data = stripping.data(event)
    return Statement(event if data is event.data else event.with_data(data), tuple(stripping.of_request),
                     stripping.of_people)  # fmt: skip


class _Stripping:
    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self.of_request: list[Reference] = []
        self.of_people: list[tuple[Mapping[str, Any], list[Reference]]] = []

    def data(self, event: Event) -> Mapping[str, Any]:
        data = event.data
        if citizen := citizen_of(event):
            data = _with(data, "citizen", self._person(citizen))
        if any(person.get("confidential") for person in data.get("household", ())):
            # Who is only named along may be found by any identifier; a mark on them binds.
            household = [self._person(p) if p.get("confidential") else p for p in data["household"]]
            data = _with(data, "household", household)
        if record := request_record(event):
            data = _with(data, "request", self._record(record))
        if "new_references" in data:
            data = _with(data, "new_references", self._references(data["new_references"]))
        return data

    def _record(self, record: Mapping[str, Any]) -> Mapping[str, Any]:
        own = self._references(record["references"])
        if not own:
            raise InvalidMessage(
                "none of these identifiers is of a system for which you speak", pointer="/data/request/references",
                code="reference_not_yours",
            )  # fmt: skip
        made = _with(record, "references", own)
        if "beneficiaries" in record:
            made = _with(made, "beneficiaries", self._each(record["beneficiaries"]))
        made = _with(made, "requester", self._party(record["requester"]))
        agent = record.get("representative")
        return _with(made, "representative", _with(agent, "person", self._party(agent["person"]))) if agent else made

    def _party(self, party: Mapping[str, Any]) -> Mapping[str, Any]:
        return _with(party, "citizen", self._person(party["citizen"])) if "citizen" in party else party

    def _each(self, people: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        made = [self._person(person) for person in people]
        return people if all(one is other for one, other in zip(made, people, strict=True)) else made

    def _references(self, references: Sequence[Reference]) -> Sequence[Reference]:
        own, foreign = self._split(references)
        self.of_request += foreign
        return own if foreign else references

    def _person(self, person: Mapping[str, Any]) -> Mapping[str, Any]:
        own, foreign = self._split(person.get("references", ()))
        if not foreign:
            return person
        stripped = {name: value for name, value in person.items() if name != "references"}
        if own:
            stripped["references"] = own
        self.of_people.append((stripped, foreign))
        return stripped

    def _split(self, references: Iterable[Reference]) -> tuple[list[Reference], list[Reference]]:
        own: list[Reference] = []
        foreign: list[Reference] = []
        for reference in references:
            (own if self._origin.speaks_for(reference["system"]) else foreign).append(reference)
        return own, foreign


def _with(data: Mapping[str, Any], name: str, value: Any) -> Mapping[str, Any]:
    return data if data[name] is value else {**data, name: value}


def keep_unproved(tx: Transaction, origin: Origin, claims: Iterable[Claim]) -> None:
    """Note what was claimed without proof, each claim once."""
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}
    for subject, references, mark in claims:
        for one in references:
            row = rows.setdefault((subject, one["system"], one["id"]), {
                "tenant": origin.tenant, "subject": subject, "system": one["system"], "native_id": one["id"],
                "origin": origin.name, "mark": 0, "at": tx.now,
            })  # fmt: skip
            row["mark"] |= int(mark)
    _CLAIM.send(tx.sql, list(rows.values()))
