"""`[[answer]]` from an operation that reads: which evidence it gives, and about whom it is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.contract_twins.places import with_value
from connectors.sdk.drafting.addresses import Address, address, headers_due, said_or_set
from connectors.sdk.drafting.conversions import meanings, reading_words, writing_words
from connectors.sdk.drafting.deliveries import sample_name
from connectors.sdk.drafting.invented import field_value, vendor_value
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.speech import Speech
from connectors.sdk.drafting.targets import Place, Target, Targets, identity_places
from connectors.sdk.drafting.trade import trade_words
from connectors.sdk.drafting.trial import answer_with, call_fault
from connectors.sdk.drafting.writing import Line, Table, json_text
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.mapping import Map, Row
from connectors.sdk.mapping.declared import Converters
from connectors.sdk.mapping.places import WHOLE
from schemas.errors import HubError
from schemas.exchange import Evidence
from schemas.names import words_of
from schemas.registry import Registry

NEAREST = ("library-card", "/card_number")
"""Where an operation answers nothing that is shared: a text that only says that somebody is known there."""
_ASKING = frozenset({"q", "query", "search", "text", "reference", "id", "code"})


def questions(
    operation: Operation, speech: Speech, registry: Registry, targets: Mapping[str, Targets]
) -> Iterator[Part]:  # fmt: skip
    """A part for each evidence that the operation could give; for none the nearest, which says so."""
    if not operation.name.startswith("GET ") or speech.unspeakable(operation) or not operation.gives:
        return
    for carries, candidates in targets.items():
        part = _Question(operation, speech, registry, candidates.inside(operation)).part(carries)
        if part is not None:
            yield part


@dataclass(slots=True)
class _Question:
    operation: Operation
    speech: Speech
    registry: Registry
    targets: Targets
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, Place] = field(default_factory=dict)
    """Parameters that the citizen's identity fills."""
    converters: dict[str, Any] = field(default_factory=dict)

    def part(self, carries: str) -> Part | None:
        where = address(self.operation, reference=True)
        query = self._query(where)
        if query is None or not (where.reference or self.asked):
            return None
        chosen = self._chosen(carries)
        if not chosen:
            return None
        record, chosen, lines = self._held(carries, chosen)
        if not chosen:
            return None
        fields = sorted({target.place.pointer.split("/")[1] for target in chosen.values()})
        spec: dict[str, Any] = {
            "type": carries,
            "fields": fields,
            "needs": ["reference" if where.reference else "identity"],
        }
        spec |= {"call": where.call} | ({"query": query} if query else {})
        if self.operation.lists is not None:
            spec["list"] = self.operation.lists or WHOLE
        spec["map"] = carries
        part = Part("answer", self.operation, carries, [Table("[answer]", spec, self._notes(carries, chosen))], lines)
        part.settings, part.values = where.settings | self.settings, where.values | self.values
        part.converters = self.converters
        reference = str(field_value(where.reference, 0, "7201")) if where.reference else ""
        tried = {**spec, "headers": headers_due(part, self.operation)}
        facts = {**part.values, "reference": reference}
        part.trial = lambda: call_fault(self.speech, tried, (), {"identity": _WHOM}, facts, self.converters)
        part.samples = self._samples(carries, fields, where, record)
        part.mapped = len(chosen) + len(where.used) + len(query)
        part.score = self._usefulness(carries, chosen) - 0.5 * len(part.settings)
        part.score += 1 if self.asked else 0
        return part

    def _usefulness(self, carries: str, chosen: Mapping[str, Target]) -> float:
        sure = [one.place.pointer for one in chosen.values() if one.score >= _SURE]
        if frozenset(words_of(self.operation.name)) & trade_words(carries):
            return len(sure) + 2 - (6 if not sure else 0)
        own = carries == "residence-address" or any(not one.startswith("/address/") for one in sure)
        return len(sure) - (1 if carries == "residence-address" else 3) - (0 if own else 9)

    def _query(self, where: Address) -> dict[str, Any] | None:
        """What the call must say; the citizen's identity where its words ask for it, else their reference."""
        found: dict[str, Any] = {}
        fields = [one for one in self.operation.asks if one.where == "query"]
        for one in fields:
            place = identity_places(self.registry).propose(one)
            if place is not None and not where.reference and self._asks(one, place.place):
                self.asked[one.place] = place.place
        told = {place.pointer for place in self.asked.values()}
        if "/identity/family_name" not in told or len(told) < _WHO:
            self.asked.clear()
        if not where.reference and not self.asked:
            where.reference = self._asking(fields)
        for one in fields:
            if one.place in self.asked:
                found[one.place] = self._identity(one, self.asked[one.place])
            elif one is where.reference:
                found[one.place] = "{reference}"
            elif one.required:
                found[one.place] = said_or_set(self, one)
        return found

    def _asks(self, one: Field, place: Place) -> bool:
        return bool(meanings(one, place)) if place.shape == "enum" else not one.choices

    def _identity(self, one: Field, place: Place) -> str:
        """A value of the citizen's identity, in the package's own words."""
        if place.shape == "enum":
            name = "-".join(words_of(one.place))
            self.converters[name] = {"table": dict(meanings(one, place))}
            return f"{place.pointer} | {name}"
        return f"{place.pointer} | {writing_words(one, place) or 'text'}"

    def _asking(self, fields: Sequence[Field]) -> Field | None:
        """The parameter that names whom or what is asked for."""
        texts = [one for one in fields if one.type in ("text", "integer", "any") and not one.choices]
        named = [one for one in texts if frozenset(words_of(one.place)) & _ASKING]
        needed = [one for one in texts if one.required]
        return next(iter([*(one for one in named if one.required), *needed, *named]), None)

    def _chosen(self, carries: str) -> dict[str, Target]:
        """The fields of the answer that fill the evidence, by their places."""
        gives = [one for one in self.operation.gives if one.type != "bytes"]
        found = self.targets.assigned(gives)
        by = {one.place: one for one in gives}
        found = {place: target for place, target in found.items() if reading_words(by[place], target.place) is not None}
        if found or carries != NEAREST[0]:
            return found
        place = next(one for one in self.targets.places if one.pointer == NEAREST[1])
        texts = [one for one in gives if one.type in ("text", "integer") and one.limits.get("format") is None]
        best = min(texts, key=lambda one: (not one.required, one.place.count("/")), default=None)
        return {best.place: Target(place, 0)} if best is not None else {}

    def _held(
        self, carries: str, chosen: dict[str, Target]
    ) -> tuple[Any, dict[str, Target], list[Line]]:  # fmt: skip
        """An answer about somebody invented, and the lines with which it makes valid evidence; those with which it does
        not are kept for later."""
        by = {one.place: one for one in self.operation.gives}
        kept = dict(chosen)
        record: Any = None
        while kept:
            prefix = self.operation.lists + "/0" if self.operation.lists is not None else ""
            wanted = {prefix + place: _wanted(by[place], target) for place, target in kept.items()}
            record = self._of_one(answer_with(self.speech, self.operation.name, wanted))
            wrong = (
                next(iter(kept.values())).place.pointer if record is None else self._wrong(carries, record, kept, by)
            )
            if wrong is None:
                break
            kept = {place: one for place, one in kept.items() if not one.place.pointer.startswith(wrong)}
        return record, kept, list(self._lines(carries, chosen, kept, by))

    def _of_one(self, record: Any) -> Any:
        """A list answers a question when it holds one record: several would be several people."""
        place = self.operation.lists
        found = value_at(record, place) if place is not None else None
        return with_value(record, place or "", found[:1]) if isinstance(found, list) else record

    def _wrong(self, carries: str, record: Any, kept: Mapping[str, Target], by: Mapping[str, Field]) -> str | None:
        """The pointer of the first value that is not valid, as far as the field; None when all are."""
        rows = [
            Row(carries, one.place.pointer, place, reading_words(by[place], one.place) or "")
            for place, one in kept.items()
        ]
        here = record if self.operation.lists is None else value_at(record, f"{self.operation.lists}/0")
        try:
            values = Map.of(rows, converters=Converters(zone=_PARIS)).read(here)
            said = {"source": "x", "date": "2026-03-02", "quality": "authoritative"}
            self.registry.validate_evidence(
                Evidence(carries, 1, {name: {"value": one, **said} for name, one in values.items()})
            )
        except HubError as error:
            pointer = str(getattr(error, "pointer", ""))
            steps = pointer.removeprefix("/values").split("/")
            fitting = ["/" + "/".join(one for one in steps[1:] if one != "value")] if len(steps) > 1 else []
            near = [
                one.place.pointer
                for one in kept.values()
                if fitting and (one.place.pointer + "/").startswith(fitting[0] + "/")
            ]
            own = [one.place.pointer for place, one in kept.items() if place == pointer]
            return (own or near or [next(iter(kept.values())).place.pointer])[0]
        return None

    def _lines(
        self, carries: str, chosen: Mapping[str, Target], kept: Mapping[str, Target], by: Mapping[str, Field]
    ) -> Iterator[Line]:  # fmt: skip
        for place, one in by.items():
            target = kept.get(place) or chosen.get(place) or self.targets.propose(one)
            words = (reading_words(one, target.place) or "") if target else ""
            used = place in kept
            about = one.about if used else f"{one.type} · {one.about}"
            yield Line(carries, target.place.pointer if target else "", place, words, False, about, used=used)

    def _notes(self, carries: str, chosen: Mapping[str, Target]) -> list[str]:
        notes = [f"{self.operation.name} : à vérifier. {self.operation.about}".rstrip(" .")]
        if not any(one.score >= _SURE for one in chosen.values()):
            notes.append(f"À vérifier : aucun justificatif partagé ne dit cela ; {carries} est le plus proche.")
        return notes

    def _samples(self, carries: str, fields: Sequence[str], where: Address, record: Any) -> dict[str, str]:
        asked: dict[str, Any] = {"type": carries, "version": 1, "fields": list(fields)}
        if where.reference is not None:
            asked["reference"] = str(field_value(where.reference, 0, "7201"))
        else:
            asked["identity"] = _WHOM
        return {
            f"questions/{carries}.json": json_text(asked),
            f"answers/{sample_name(self.operation.name)}.json": json_text(record),
        }


def _blamed(pointer: str, kept: Mapping[str, Target]) -> str:
    """The place that a fault is about: of the record, or of the evidence; the first where it says neither."""
    at = pointer.removeprefix("/values").replace("/value", "", 1)
    own = [one.place.pointer for place, one in kept.items() if place == pointer]
    near = [one.place.pointer for one in kept.values() if at and f"{one.place.pointer}/".startswith(f"{at}/")]
    return (own or near or [next(iter(kept.values())).place.pointer])[0]


_WHOM: Mapping[str, Any] = {
    "family_name": "Mercoeur", "given_names": ["Odile"], "gender": "female", "birthdate": "1971-05-14",
    "birthplace": "93001", "birthcountry": "99100",
}  # fmt: skip
_PARIS = ZoneInfo("Europe/Paris")
_SURE = 7
_WHO = 2
"""How much of an identity a call must ask for, so that it is about a person."""


def _wanted(one: Field, target: Target) -> Any:
    return vendor_value(one, target.place, reading_words(one, target.place) or "")
