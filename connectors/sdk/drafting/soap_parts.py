"""`[[deliver]]` with its `[[follow]]`, and `[[answer]]`, from operations of a WSDL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.contract.message_places import with_value_at
from connectors.sdk.contract.message_samples import for_writing, values_of
from connectors.sdk.contract.message_schemas import MessageSchemas
from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.drafting.addresses import fixed, setting
from connectors.sdk.drafting.conversions import reading_words, writing_words
from connectors.sdk.drafting.deliveries import CORE
from connectors.sdk.drafting.events import SampleEvents
from connectors.sdk.drafting.invented import field_value, vendor_value, wished
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.payments import ASKED, FOLLOW, STATE, ending_lines, says_amount, state_table
from connectors.sdk.drafting.questions import NEAREST
from connectors.sdk.drafting.targets import Target, Targets
from connectors.sdk.drafting.trade import trade_words
from connectors.sdk.drafting.writing import Line, Table, json_text, whole_streets
from connectors.sdk.mapping import Map, Row, converters_from
from connectors.sdk.soap import SoapContract
from connectors.sdk.statuses import CANONICAL, FINAL
from schemas.errors import HubError
from schemas.exchange import Evidence
from schemas.names import words_of
from schemas.registry import Registry

_PARIS = ZoneInfo("Europe/Paris")
_ONCE = "request.received"
_FORM = "/request/form/"
_REFERENCE = "720184"  # by which the package knows what the samples are about
_SURE = 7
_MOST = 60  # fields of one message for which a shared place is looked for
_IDS = frozenset({"id", "identifiant", "numero", "num", "number", "reference", "ref", "code", "key", "cle", "no"})
_STATES = ("status", "statut", "etat", "state", "resultat", "result", "resultrans", "phase", "situation", "avancement")
_CHANGES = ("modifier", "update", "maj", "changer", "set", "change", "rectifier", "mettre", "put")


@dataclass(slots=True)
class Asked:
    """The arguments of a call that no event fills: constants, and settings. `reference`: the field that `{reference}`
    fills."""

    arguments: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)


def asked(operation: Operation, reference: Field | None = None, *, optional: int = 0) -> Asked:
    """What a harmless call must say: each field that is required, and `reference`; where none is and there are at most
    so many `optional` ones, those: a contract that requires nothing has not said what it needs."""
    loose = len(operation.asks) <= optional and not any(one.required for one in operation.asks)
    found = Asked()
    for one in operation.asks:
        if one is reference:
            said = "{reference}"
        elif (one.required and not one.nullable) or (loose and one.type in ("text", "integer")):
            only = fixed(one)
            said = str(only) if only is not None else f"{{{setting(found, one)}}}"
        else:
            continue
        found.used.add(one.place)
        found.arguments = with_value_at(found.arguments, one.place, said)
    return found


def naming(operation: Operation) -> Field | None:
    """The argument that names whom or what is asked for."""
    texts = [one for one in operation.asks if one.type in ("text", "integer") and not one.choices]
    named = [one for one in texts if _IDS & frozenset(words_of(one.name))]
    required = [one for one in texts if one.required]
    return next(iter([*(one for one in named if one.required), *named, *required, *texts]), None)


@dataclass(slots=True)
class SoapParts:
    """The parts that the operations of one contract can be."""

    contract: Contract
    soap: SoapContract
    schemas: MessageSchemas
    registry: Registry
    slug: str

    # deliveries

    def deliver(self, operation: Operation, carries: str, targets: Targets, *, bare: bool = False) -> Part | None:
        """What says an event; None for one that this event is not about. `bare`: only what must be said."""
        name, drawn = "to-" + carries.partition(".")[2], Asked()
        version = targets.version
        events = SampleEvents(self.registry, carries, version, self.slug)
        sources = self._sources(operation, carries, targets, events)
        if bare:
            sources = {one.place: sources[one.place] for one in operation.asks if one.required and one.place in sources}
        if carries in CORE and not any(source.startswith(CORE[carries]) for source, _ in sources.values()):
            return None
        lines = whole_streets([self._line(name, one, sources.get(one.place), drawn) for one in operation.asks])
        said = {one.place: sources[one.place][0] for one in operation.asks if one.place in sources}
        spec: dict[str, Any] = {"type": carries} | ({"version": version} if version != 1 else {})
        spec |= {"operation": operation.name}
        spec |= {"map": name} if any(line.used for line in lines) else {}
        follow, rows = self._follow(operation)
        given = follow.pop("key") if follow else self._given(operation)
        changes = words_of(operation.name)[:1] and words_of(operation.name)[0] in _CHANGES
        spec |= {"again": "same-state" if changes and given is None else "none"}
        spec |= {"reference": given} if given is not None else {}
        notes = [f"{operation.name} : à vérifier. {operation.about}".rstrip(" .")]
        tables = [Table("[deliver]", spec, notes)]
        part = Part("deliver", operation, carries, tables, lines, settings=drawn.settings, values=drawn.values)
        if follow:
            part.settings, part.values = part.settings | follow.pop("settings"), part.values | follow.pop("values")
            state, gives = follow.pop("state"), follow.pop("gives")
            where = "statuses.csv"
            if carries == ASKED:
                follow, where = {**follow, **FOLLOW}, f"{where} et de [converters] {STATE}"
                part.lines, part.converters = [*lines, *ending_lines(state, gives)], {STATE: state_table(rows)}
            tables.append(Table("[follow]", follow, [f"À vérifier : le rythme, le délai, et les états de {where}."]))
            part.statuses = rows
        part.samples = dict(self._events(carries, events, said, operation))
        part.mapped = sum(line.used for line in lines)
        part.score = self._score(operation, carries, sources, bool(follow)) - 0.5 * len(part.settings) - 0.1 * bare
        part.trial = lambda: self._refused(
            operation, lines, events.data(_REFERENCE, self._values(said, operation, 0)), part
        )
        return part

    def _sources(
        self, operation: Operation, carries: str, targets: Targets, events: SampleEvents
    ) -> dict[str, tuple[str, str]]:
        """For each field that the event fills, its place there and the converters; a request has a form for others."""
        fields = [one for one in operation.asks if one.type != "bytes" and not one.choices][:_MOST]
        found: dict[str, tuple[str, str]] = {}
        for place, target in targets.assigned(fields).items():
            one = next(field for field in fields if field.place == place)
            words, pointer = writing_words(one, target.place), target.place.pointer
            words = "integer" if words == "cents" and says_amount(one) else words
            if words is not None and events.takes(_REFERENCE, pointer, wished(target.place) or "exemple"):
                found[place] = (pointer, words)
        for one in operation.asks if carries == _ONCE else ():
            plain = one.type in ("text", "integer", "number", "date", "boolean") and not one.nullable
            if one.place not in found and plain and (one.required or "/0" not in one.place):
                found[one.place] = (_FORM + "_".join(words_of(one.name)), _form_words(one))
        return found

    def _line(self, name: str, one: Field, source: tuple[str, str] | None, drawn: Asked) -> Line:
        if source is not None:
            cents = says_amount(one) and source[0].endswith("/cents")
            about = f"à vérifier : en centimes ? {one.about}".rstrip() if cents else one.about
            return Line(name, one.place, source[0], source[1], one.required and not one.nullable, about)
        if one.required and not one.nullable:
            only = fixed(one)
            said = f"={only}" if only is not None else f"={{{setting(drawn, one)}}}"
            return Line(name, one.place, said, "", False, one.about)
        return Line(name, one.place, "", "", False, f"{one.type} · {one.about}", used=False)

    def _given(self, operation: Operation) -> str | None:
        """Where an answer holds the identifier of what was made."""
        if operation.lists is not None:
            return None
        texts = [one for one in operation.gives if one.type in ("text", "integer") and not one.choices]
        found = [one for one in texts if one.required and _IDS & frozenset(words_of(one.name))]
        return found[0].place if found else None

    def _follow(self, operation: Operation) -> tuple[dict[str, Any], Sequence[Sequence[str]]]:
        """The operation that tells of what this one made: it asks by the name of a value that this one gives."""
        for given in operation.gives if operation.lists is None else ():
            for other in self.contract.operations:
                by = next((one for one in other.asks if one.name.lower() == given.name.lower()), None)
                if other.harmless and by is not None and other.lists is None and given.type in ("text", "integer"):
                    state = self._state(other)
                    if state is not None:
                        return self._following(given, other, by, state)
        return {}, ()

    def _following(
        self, given: Field, other: Operation, by: Field, state: Field
    ) -> tuple[dict[str, Any], Sequence[Sequence[str]]]:
        how = asked(other, by)
        spec = {
            "operation": other.name, "ask": how.arguments, "every": ["15s", "2m", "15m", "1h"], "until": "7d",
            "status": state.place, "key": given.place, "settings": how.settings, "values": how.values,
            "state": state, "gives": other.gives,
        }  # fmt: skip
        return spec, status_rows(state)

    def _state(self, operation: Operation) -> Field | None:
        found = [one for one in operation.gives if one.type == "text"]
        named = [one for one in found if frozenset(words_of(one.name)) & frozenset(_STATES)]
        return next((one for one in named if not one.place.split("/")[-1].isdecimal()), None)

    def _values(self, said: Mapping[str, str], operation: Operation, variant: int) -> dict[str, Any]:
        fields = {one.place: one for one in operation.asks}
        return {
            pointer: field_value(fields[place], variant) for place, pointer in said.items() if pointer.startswith(_FORM)
        }

    def _events(
        self, carries: str, events: SampleEvents, said: Mapping[str, str], operation: Operation
    ) -> Iterator[tuple[str, str]]:
        name = carries.replace(".", "-")
        for variant, ending in enumerate(("", ".again") if carries != _ONCE else ("",)):
            data = events.data(_REFERENCE, self._values(said, operation, variant), variant)
            event = {**events.event(name, data), "reference": _REFERENCE}
            yield f"events/{name}{ending}.json", json_text(event)

    def _score(
        self, operation: Operation, carries: str, sources: Mapping[str, tuple[str, str]], follows: bool
    ) -> float:
        shared = sum(not source.startswith(_FORM) for source, _ in sources.values())
        about = frozenset(words_of(operation.name)) & trade_words(carries)
        documents = sum(one.type == "bytes" and one.required for one in operation.asks)
        return shared + 0.1 * len(sources) + 2 * bool(about) + 4 * follows - 3 * documents

    def _refused(self, operation: Operation, lines: Sequence[Line], data: Mapping[str, Any], part: Part) -> str:
        """Why the contract refuses the call; "" when it takes it."""
        rows = [Row(one.map, one.target, one.source, one.convert, one.required) for one in lines if one.used]
        try:
            values = Map.of(rows, converters=converters_from({}, zone=_PARIS)).write(data, part.values) if rows else {}
            return "; ".join(map(str, self.schemas.faults(self.soap.write_request(operation.name, values))))
        except HubError as error:
            return f"{getattr(error, 'pointer', '')} {error}".strip()

    # questions

    def answer(self, operation: Operation, carries: str, targets: Targets) -> Part | None:
        """What answers for an evidence type; None for one of which the answer holds nothing."""
        chosen = self._chosen(operation, carries, targets)
        chosen = self._valid(operation, carries, chosen)
        reference = naming(operation)
        if not chosen or reference is None:
            return None
        record = self._record(operation, chosen)
        how = asked(operation, reference)
        fields = sorted({target.place.pointer.split("/")[1] for target in chosen.values()})
        spec: dict[str, Any] = {"type": carries, "fields": fields, "needs": ["reference"], "operation": operation.name}
        spec |= {"ask": how.arguments} | ({"list": operation.lists} if operation.lists is not None else {})
        spec |= {"map": carries}
        notes = [f"{operation.name} : à vérifier. {operation.about}".rstrip(" .")]
        if not any(one.score >= _SURE for one in chosen.values()):
            notes.append(f"À vérifier : aucun justificatif partagé ne dit cela ; {carries} est le plus proche.")
        lines = [self._answer_line(carries, one, chosen.get(one.place), targets) for one in operation.gives]
        part = Part("answer", operation, carries, [Table("[answer]", spec, notes)], lines)
        part.settings, part.values = how.settings, how.values
        whom = str(field_value(reference, 0, _REFERENCE))
        about = {"type": carries, "version": 1, "fields": fields, "reference": whom}
        part.samples = {
            f"questions/{carries}.json": json_text(about), f"answers/{operation.name}.json": json_text(record),
        }  # fmt: skip
        part.mapped = len(chosen) + len(how.used)
        part.score = sum(1 for one in chosen.values() if one.score >= _SURE) - 1 - 0.5 * len(part.settings)
        part.trial = lambda: self.refused(operation, how, whom)
        return part

    def _chosen(self, operation: Operation, carries: str, targets: Targets) -> dict[str, Target]:
        gives = [one for one in operation.gives if one.type != "bytes"][:_MOST]
        by = {one.place: one for one in gives}
        found = {
            place: target
            for place, target in targets.assigned(gives).items()
            if reading_words(by[place], target.place) is not None
        }
        if found or carries != NEAREST[0]:
            return found
        place = next(one for one in targets.places if one.pointer == NEAREST[1])
        texts = [one for one in gives if one.type in ("text", "integer") and "/0" not in one.place]
        return {texts[0].place: Target(place, 0)} if texts else {}

    def _record(self, operation: Operation, chosen: Mapping[str, Target]) -> Any:
        """An answer about somebody invented."""
        made = values_of(self.schemas.body(operation.name, answer=True))
        before = f"{operation.lists}/0/" if operation.lists is not None else ""
        for one in operation.gives:
            if one.place in chosen:
                place = chosen[one.place].place
                made = with_value_at(
                    made, before + one.place, vendor_value(one, place, reading_words(one, place) or "")
                )
        return made

    def _valid(self, operation: Operation, carries: str, chosen: dict[str, Target]) -> dict[str, Target]:
        """Those that make valid evidence of the answer."""
        by, kept = {one.place: one for one in operation.gives}, dict(chosen)
        while kept and (wrong := self._wrong(operation, carries, kept, by, self._record(operation, kept))):
            kept = {place: one for place, one in kept.items() if not one.place.pointer.startswith(wrong)}
        return kept

    def _wrong(
        self, operation: Operation, carries: str, kept: Mapping[str, Target], by: Mapping[str, Field], record: Any
    ) -> str:
        """The pointer of a field that is not valid; "" when all are."""
        first = next(iter(kept.values())).place.pointer
        try:
            answer = self.soap.write_answer(
                operation.name, for_writing(self.schemas.body(operation.name, answer=True), record)
            )
            if self.schemas.faults(answer):
                return first
            here: Any = record
            for step in [*operation.lists.split("/"), "0"] if operation.lists is not None else ():
                here = here[int(step)] if isinstance(here, list) else here[step]
            rows = [
                Row(carries, one.place.pointer, place, reading_words(by[place], one.place) or "")
                for place, one in kept.items()
            ]
            values = Map.of(rows, converters=converters_from({}, zone=_PARIS)).read(here)
            said = {"source": "x", "date": "2026-03-02", "quality": "authoritative"}
            evidence = {name: {"value": one, **said} for name, one in values.items()}
            self.registry.validate_evidence(Evidence(carries, 1, evidence))
        except HubError as error:
            steps = str(getattr(error, "pointer", "")).removeprefix("/values").split("/")
            near = "/" + steps[1] if len(steps) > 1 else first
            return near if any(one.place.pointer.startswith(near) for one in kept.values()) else first
        return ""

    def _answer_line(self, carries: str, one: Field, target: Target | None, targets: Targets) -> Line:
        proposed = target or targets.propose(one)
        words = (reading_words(one, proposed.place) or "") if proposed else ""
        about = one.about if target else f"{one.type} · {one.about}"
        return Line(
            carries, proposed.place.pointer if proposed else "", one.place, words, False, about, used=target is not None
        )

    def refused(self, operation: Operation, how: Asked, reference: str = "") -> str:
        """Why the contract refuses a harmless call; "" when it takes it."""
        said = _filled(how.arguments, {**how.values, "reference": reference})
        try:
            return "; ".join(map(str, self.schemas.faults(self.soap.write_request(operation.name, said))))
        except HubError as error:
            return str(error)


def status_rows(state: Field) -> list[Sequence[str]]:
    """Rows of `statuses.csv`: what the words of the contract seem to mean; without any, two to be written over."""
    if not state.choices:
        return [
            ("EN_COURS", "in_progress", "processing", "En cours (à vérifier)"),
            ("TERMINE", "fulfilled", "delivery", "Terminé (à vérifier)"),
        ]
    rows: list[Sequence[str]] = []
    for choice in map(str, state.choices):
        said = "_".join(words_of(choice))
        meant = next((word for word in CANONICAL if said in trade_words(f"status {word}")), "")
        rows.append((choice, meant, "", f"{choice} (à vérifier)"))
    if not any(row[1] in FINAL for row in rows):
        rows[-1] = (rows[-1][0], "fulfilled", "delivery", rows[-1][3])
    return rows


def _form_words(one: Field) -> str:
    if one.type in ("integer", "boolean", "date"):
        return one.type
    return "decimal" if one.type == "number" else "text"


def _filled(arguments: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(arguments, Mapping):
        return {name: _filled(part, values) for name, part in arguments.items()}
    if isinstance(arguments, list):
        return [_filled(part, values) for part in arguments]
    name = arguments[1:-1] if arguments.startswith("{") else ""
    return str(values[name]) if name else arguments
