"""`[[deliver]]` from an operation that writes: which event it says, and field by field out of what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.contract.openapi import JSON
from connectors.sdk.drafting.addresses import Address, address, due, fixed, headers_due, said_or_set, setting
from connectors.sdk.drafting.answered import answered, told_back
from connectors.sdk.drafting.conversions import meanings, writing_words
from connectors.sdk.drafting.events import SampleEvents
from connectors.sdk.drafting.invented import field_value, wished
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.speech import Node, Speech
from connectors.sdk.drafting.targets import Place, Target, Targets
from connectors.sdk.drafting.trade import trade_words
from connectors.sdk.drafting.trial import answer_with, call_fault
from connectors.sdk.drafting.writing import Line, Table, json_text, whole_streets
from schemas.names import words_of
from schemas.registry import Registry

CORE: Mapping[str, tuple[str, ...]] = {
    "citizen.contact-changed": ("/email", "/phone"), "citizen.address-changed": ("/new_address",),
    "appointment.changed": ("/appointment",), "message.sms-requested": ("/message", "/to"),
    "message.requested": ("/text", "/subject", "/to"), "payment.requested": ("/payment",),
    "document.received": ("/document", "/kind"), "request.status-changed": ("/status", "/reason", "/native"),
}  # fmt: skip
"""What each event is for: a call that is told nothing of it is no call for it."""
ONCE = "request.received"
TOLD = (ONCE, *CORE)
"""The events that a call may say."""
_OF_SOMEBODY = ("citizen.contact-changed", "citizen.address-changed", "request.status-changed")


def deliveries(
    operation: Operation, speech: Speech, registry: Registry, targets: Mapping[str, Targets], slug: str
) -> Iterator[Part]:  # fmt: skip
    """A part for each event that the operation could say, as far as the declared format says it."""
    if operation.harmless or operation.name.startswith("DELETE ") or speech.unspeakable(operation):
        return
    for carries, candidates in targets.items():
        part = _Delivery(operation, speech, registry, candidates.inside(operation), slug).part(carries)
        if part is not None:
            yield part


@dataclass(slots=True)
class _Delivery:
    operation: Operation
    speech: Speech
    registry: Registry
    targets: Targets
    slug: str
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    converters: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, tuple[Field, Place]] = field(default_factory=dict)
    """The fields that the event fills, by their place."""
    offered: dict[str, tuple[Field, Place]] = field(default_factory=dict)
    """Those that it could fill, whether it is to or not."""

    def part(self, carries: str) -> Part | None:
        name = "to-" + carries.partition(".")[2]
        where = self._address(carries)
        if where is None:
            return None
        version = 2 if carries == "request.status-changed" else 1
        events = SampleEvents(self.registry, carries, version, self.slug)
        reference = str(field_value(where.reference, 0, "7201")) if where.reference else "7201"
        kind, body = self.speech.body(self.operation.name)
        lines = self._body_lines(name, body, events, reference)
        query = self._plain("query", events, reference)
        if lines is None or query is None or not self._has_core(carries):
            return None
        is_form = bool(kind) and not JSON.match(kind)
        spec: dict[str, Any] = {"type": carries, **({"version": version} if version != 1 else {})}
        spec |= {"scope": "linked"} if where.reference else {}
        spec |= {"call": where.call, "again": self._again()}
        spec |= {"query": query} if query else {}
        if lines and is_form:
            spec["form"] = _nested(lines)
        elif any(line.used for line in lines):
            spec["map"] = name
        spec |= self._headers() | answered(self.operation, self.speech)
        rest = list(self._rest(name, lines, query))
        notes = [f"{self.operation.name} : à vérifier. {self.operation.about}".rstrip(" ."), *self._doubts(carries)]
        notes += self._kept_back("query", rest) + (self._kept_back("form", rest) if is_form else [])
        part = Part("deliver", self.operation, carries, [Table("[deliver]", spec, notes)], [], score=0)
        part.lines = [self._as_comment(line) for line in lines] if is_form else lines
        part.lines = [*part.lines, *rest]
        part.settings, part.values = where.settings | self.settings, where.values | self.values
        part.converters = self.converters
        part.samples = dict(self._samples(carries, events, reference))
        part.trial = lambda: call_fault(
            self.speech, spec, lines, self._data(events, reference, 0), {**part.values, "reference": reference},
            self.converters,
        )  # fmt: skip
        part.mapped = len(where.used) + len(query) + sum(line.used for line in lines)
        part.score = self._score(carries, where)
        return part

    def _has_core(self, carries: str) -> bool:
        told = [place.pointer for _, place in self.sources.values()]
        return carries not in CORE or any(one.startswith(CORE[carries]) for one in told)

    def _address(self, carries: str) -> Address | None:
        """Of a change the last value of the path is what the event is about; of something new it is not."""
        path = self.operation.name.partition(" ")[2]
        ends = path.rstrip("/").endswith("}")
        writes_over = self.operation.name.startswith(("PUT ", "PATCH "))
        where = address(self.operation, reference=ends or writes_over)
        if carries in _OF_SOMEBODY and where.reference is None:
            return None
        return None if carries == ONCE and where.reference is not None else where

    def _body_lines(self, name: str, body: Node | None, events: SampleEvents, reference: str) -> list[Line] | None:
        """The lines of what is sent; None where something that must be there cannot be said."""
        if body is None:
            return []
        fields = {one.place: one for one in self.operation.asks if one.where in ("body", "form")}
        leaves = {leaf.place: leaf for leaf in body.leaves() if leaf.place and leaf.whole.type != "object"}
        said = {place: target for place in leaves if (target := self._source(fields.get(place), events, reference))}
        own = {place for place, target in said.items() if self._is_its_own(target)}
        must = {leaf.place for leaf in body.must(own) if leaf.place}
        found = {place: target for place, target in said.items() if place in own or place in must}
        lines = []
        for place in leaves:
            one = fields.get(place)
            line = (
                self._line(name, place, one, found.get(place), place in must)
                if place in found or place in must
                else None
            )
            if line is None and place in must:
                return None
            if line is not None:
                lines.append(line)
        return whole_streets(lines)

    def _source(self, one: Field | None, events: SampleEvents, reference: str) -> Target | None:
        """The shared place that fills a field, where the event can say what the field may hold."""
        target = self.targets.propose(one) if one is not None and one.type != "bytes" else None
        if one is None or target is None or fixed(one) is not None:
            return None
        if writing_words(one, target.place) is None:
            if not meanings(one, target.place) or target.place.shape != "enum":
                return None
            self.offered[one.place] = (one, target.place)
            return target
        said = self._said(one, target.place, 0)
        if not events.takes(reference, target.place.pointer, said):
            return None
        self.offered[one.place] = (one, target.place)
        return target

    def _is_its_own(self, target: Target) -> bool:
        """Whether a change of somebody whom the package knows is about this: what is said of them besides stays with
        us, unless the package asks for it."""
        carries = self.targets.carries
        return carries not in _OF_SOMEBODY or target.place.pointer.startswith(CORE[carries])

    def _line(self, name: str, place: str, one: Field | None, target: Target | None, due: bool) -> Line | None:
        about = one.about if one else ""
        to = place.lstrip("/")
        if (
            " " in to
            or one is None
            or one.type == "bytes"
            or (one.type == "any" and target is None and not one.choices)
        ):
            return None
        if target is not None:
            self.sources[place] = (one, target.place)
            return Line(name, to, target.place.pointer, self._words(one, target.place), one.required, about)
        only = fixed(one)
        source = f"={only}" if only is not None else f"={{{setting(self, one)}}}"
        return Line(name, to, source, _typed(one), due, about)

    def _words(self, one: Field, place: Place) -> str:
        words = writing_words(one, place)
        if words is not None:
            return words
        known = "-".join(words_of(one.place))
        self.converters[known] = {"table": dict(meanings(one, place))}
        return known

    def _plain(self, where: str, events: SampleEvents, reference: str) -> dict[str, Any] | None:
        """The query: what must be there, and what the event says."""
        found: dict[str, Any] = {}
        needed = due(self.operation.asks, where)
        for one in self.operation.asks:
            target = self._source(one, events, reference) if one.where == where else None
            shared = target is not None and (one in needed or self._is_its_own(target))
            if target is not None and shared and writing_words(one, target.place) is not None:
                self.sources[one.place] = (one, target.place)
                words = self._words(one, target.place)
                found[one.place] = f"{target.place.pointer} | {words}" if words else target.place.pointer
            elif one in needed:
                found[one.place] = said_or_set(self, one)
        return found

    def _headers(self) -> dict[str, Any]:
        made = headers_due(self, self.operation)
        return {"headers": made} if made else {}

    def _again(self) -> str:
        key = next((one.place for one in self.operation.asks if "idempotency" in one.place.lower()), "")
        if key:
            return f"key:{key}"
        return "same-state" if self.operation.name.startswith(("PUT ", "PATCH ")) else "none"

    def _kept_back(self, where: str, rest: Sequence[Line]) -> list[str]:
        """What a table of connector.toml could say and does not, for who must choose."""
        places = {one.place.lstrip("/") for one in self.operation.asks if _table_of(one) == where}
        said = [one for one in rest if one.target in places and one.source]
        return [f'Non transmis ({where}) : {one.target} = "{_read(one)}"' for one in said]

    def _rest(self, name: str, lines: Sequence[Line], query: Mapping[str, Any]) -> Iterator[Line]:
        said = {*(f"/{line.target}" for line in lines), *query}
        for one in self.operation.asks:
            if one.where in ("body", "form", "query") and one.place not in said:
                target = self.targets.propose(one)
                source = target.place.pointer if target else ""
                words = (writing_words(one, target.place) or "") if target else ""
                to = one.place.lstrip("/")
                yield Line(name, to, source, words, False, f"{one.type} · {one.about}", used=False)

    def _as_comment(self, line: Line) -> Line:
        return Line(line.map, line.target, line.source, line.convert, line.required, line.about, used=False)

    def _doubts(self, carries: str) -> list[str]:
        doubts = [] if self.sources else [f"À vérifier : rien de {carries} n'est lu ; les réglages disent tout."]
        if self._again() == "none":
            doubts.append("À vérifier : sans clé de l'éditeur, un appel sans réponse attend une personne (again).")
        return doubts

    def _samples(self, carries: str, events: SampleEvents, reference: str) -> Iterator[tuple[str, str]]:
        for variant, word in ((0, ""), (1, ".again")):
            if variant and carries == ONCE:
                continue
            name = f"{self.slug}-{carries.replace('.', '-')}"
            said = events.event(f"{name}-{variant}", self._data(events, reference, variant))
            yield f"events/{name}{word}.json", json_text(said)
        due = told_back(self.operation, self.speech)
        answer = answer_with(self.speech, self.operation.name, due) if due else None
        if answer is not None:
            yield f"answers/{sample_name(self.operation.name)}.json", json_text(answer)

    def _data(self, events: SampleEvents, reference: str, variant: int) -> dict[str, Any]:
        said = {place.pointer: self._said(one, place, variant) for one, place in self.sources.values()}
        return events.data(reference, said, variant)

    def _said(self, one: Field, place: Place, variant: int) -> Any:
        if writing_words(one, place) is None:
            known = list(dict.fromkeys(meanings(one, place).values()))
            return known[variant % len(known)]
        if place.shape in ("date", "instant"):
            return wished(place, variant)
        found = field_value(one, variant, wished(place, variant))
        return str(found) if "string" in place.facts.types else found

    def _score(self, carries: str, where: Address) -> float:
        words = frozenset(words_of(self.operation.name))
        told = {place.pointer: one.required for one, place in reversed(self.offered.values())}
        score = sum(1.5 if required else 1.0 for required in told.values())
        score += 2 if words & trade_words(carries) else -1 if carries == ONCE else -6
        score += 2 if carries in _OF_SOMEBODY[:2] else 0
        score += 1 if self._again() != "none" else 0
        return score - 0.5 * len(self.settings) - 0.25 * len(where.settings) - (12 if not self.sources else 0)


def sample_name(operation: str) -> str:
    """The file of an answer: `GET-users-id`."""
    return re.sub(r"[^A-Za-z0-9]+", "-", operation).strip("-")


def _typed(one: Field) -> str:
    return {"integer": "integer", "number": "decimal", "boolean": "boolean"}.get(one.type, "")


def _nested(lines: Sequence[Line]) -> dict[str, Any]:
    """A form as the nested table that connector.toml writes."""
    found: dict[str, Any] = {}
    for line in lines:
        *way, last = line.target.split("/")
        inner = found
        for step in way:
            inner = inner.setdefault(step, {})
        inner[last] = _read(line)
    return found


def _read(line: Line) -> str:
    """A source as connector.toml writes it."""
    source = line.source.removeprefix("=")
    return f"{source} | {line.convert}" if line.convert and line.source.startswith("/") else source


def _table_of(one: Field) -> str:
    return "form" if one.where == "body" else one.where
