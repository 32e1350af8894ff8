"""The events of a declared table: `[[webhook.event]]`, `[[poll.event]]`, `[[dump.change]]`, `[[sql.event]]`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sdk.kinds.explained import Explained, explained, identifier, told
from connectors.sdk.kinds.hooks import hook_named
from connectors.sdk.kinds.shapes import of_record
from connectors.sdk.kinds.texts import Facts, Only, pointer_in, reading, rendering, required
from connectors.sdk.links import reference_link
from connectors.sdk.mapping import Converters, MappingTable
from connectors.sdk.records import each, record_fault
from connectors.sdk.shapes import strange_record
from connectors.sdk.statuses import Statuses, status_changed
from schemas.delivery import Polled, RecordFault
from schemas.errors import InvalidMessage
from schemas.event import Event

Strange = Callable[[Any], str]
STATUS_CHANGED = "request.status-changed"
STATUS_VERSION = 2
_LONGEST_ID = 512
_UNWRITABLE = re.compile(r"[\x00-\x1f\x7f]")
_UNREADABLE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Language:
    """What the texts of one connection's tables may name. `settings`: None while only the files are checked. `facts`:
    by name, those that placeholders may hold."""

    tables: MappingTable
    converters: Converters
    settings: Mapping[str, Any] | None
    facts: Facts
    statuses: Statuses
    hooks: Mapping[str, Callable[[Any], Any]]
    system: str
    unknown: str

    def value(self, text: str, convert: str = "") -> Callable[[Any, Facts], Any]:
        """See `reading`."""
        return reading(text, self.converters, self.settings, convert)


def not_strange(record: Any) -> str:
    return ""


class EventReader:
    """One such table: which records it is for, and what event each of them is."""

    def __init__(
        self, raw: Mapping[str, Any], language: Language, new_event: Callable[..., Event], more: Collection[str] = ()
    ) -> None:
        """`new_event`: `Connector.event`. `more`: names of facts that `read` will be given. Raises ConfigError or
        ValueError for a table that cannot be."""
        self.type: str = raw["type"]
        self.skips_unknown = raw.get("unknown", language.unknown) == "skip"
        self._raw, self._language, self._event = raw, language, new_event
        self._version: int = raw.get("version", STATUS_VERSION if self.type == STATUS_CHANGED else 1)
        self._only = Only(raw.get("only", {}))
        self._before = _hook(raw.get("before"), language)
        self._id = rendering(raw["id"], {*language.facts, *more})
        self._time = language.value(raw["time"], "instant") if "time" in raw else None
        self._map = language.tables[raw["map"]] if "map" in raw else None
        words = ("about", "status", "label", "procedure")
        self._values = {name: language.value(raw[name], "text") for name in words if name in raw}

    def read(self, record: Any, facts: Facts | None = None) -> Event | None:
        """The event of a record; None when it is not for this table. Raises InvalidMessage with its place in the
        record, whatever it holds."""
        if not isinstance(record, Mapping):
            raise InvalidMessage("un objet est attendu", code="wrong_shape")
        if not self._only.fits(record):
            return None
        known = {**self._language.facts, **(facts or {})}
        record = self._before(record)
        data, name, at = self._data(record, known), self._name(record, known), self._at(record)
        try:
            return self._event(self.type, data, id=name, time=at, version=self._version)
        except InvalidMessage as error:
            raise of_record(error, self._map) from None

    def explain(self, record: Any) -> Explained:
        """What becomes of a record, without a value: the event, row by row, or why it is passed by."""
        word = f"{self.type}, version {self._version}"
        lines: list[str] = []
        try:
            if isinstance(record, Mapping) and (unmet := self._only.unmet(record)):
                return Explained(f"{self.type} : passé, ce n'est pas la valeur attendue en {', '.join(unmet)}")
            if self._map is not None:
                lines = [explained(one) for one in self._map.trace(self._before(record), self._language.facts)]
            event = self.read(record)
        except InvalidMessage as error:
            return Explained(word, lines, told(error))
        return Explained(f"{word} : conforme, {identifier(self._raw['id'], event.id if event else '')}", lines)

    def name_of(self, record: Any, facts: Facts | None = None) -> str:
        """The identifier that the event would have; "" when the record does not say it."""
        try:
            return self._name(self._before(record), {**self._language.facts, **(facts or {})})
        except InvalidMessage:
            return ""

    def _name(self, record: Any, facts: Facts) -> str:
        name = required(self._id(record, facts), pointer_in(self._raw["id"]))
        if len(name) > _LONGEST_ID or _UNWRITABLE.search(name):
            raise InvalidMessage(
                "l'identifiant n'est pas utilisable", pointer=pointer_in(self._raw["id"]), code="bad_identifier"
            )
        return str(name)

    def _at(self, record: Any) -> str | None:
        if self._time is None:
            return None
        return str(required(self._time(record, self._language.facts), pointer_in(self._raw["time"])))

    def _data(self, record: Any, facts: Facts) -> Mapping[str, Any]:
        mapped = self._map.read(record, facts) if self._map is not None else {}
        if "status" not in self._values:
            return mapped
        said = {name: read(record, facts) for name, read in self._values.items()}
        code, about = (required(said[name], pointer_in(self._raw[name])) for name in ("status", "about"))
        row = self._language.statuses.canonical(code, procedure=said.get("procedure") or "*")
        link = reference_link(self._language.system, about)
        return status_changed(link, code, row, label=said.get("label") or "", **mapped)


@dataclass(slots=True)
class Collected:
    """What a page of records gave. `skip_unknown`: identifiers of the events that are nobody's loss when the hub does
    not know their request. `withheld`: see `Polled`."""

    events: list[Event] = field(default_factory=list)
    faults: list[RecordFault] = field(default_factory=list)
    skip_unknown: set[str] = field(default_factory=set)
    errors: list[InvalidMessage] = field(default_factory=list)
    withheld: dict[str, InvalidMessage] = field(default_factory=dict)

    def polled(self, cursor: Mapping[str, Any] | None = None, acknowledge: Callable[[], None] | None = None) -> Polled:
        skipped = frozenset(self.skip_unknown)
        return Polled(self.events, cursor, acknowledge, self.faults, skipped, self.withheld)

    def refuse(self, error: InvalidMessage, place: str, key: str = "") -> None:
        """Keep what is wrong with the record at `place`, a JSON pointer."""
        error.pointer = place + error.pointer
        self.errors.append(error)
        self.faults.append(record_fault(error, key=key))


def collect(
    records: Sequence[Any], readers: Sequence[EventReader], *, place: str = "", facts: Facts | None = None,
    before: Callable[[Any], Any] | None = None, strange: Strange = not_strange,
) -> Collected:  # fmt: skip
    """The events of all records that can be read, and a fault for each that cannot: one hides no other. `place`: the
    pointer to the list. `before`: what becomes of each record first. `strange`: see `Shapes.strange`."""
    found = Collected()
    for number, record in enumerate(records):
        collect_one(found, record, readers, place=f"{place}/{number}", facts=facts, before=before, strange=strange)
    return found


def collected(
    records: Sequence[Any], read: Callable[[Any], Iterable[Event]], *, place: str = "", key: Callable[[Any], str]
) -> Collected:
    """What `read` makes of records in code, one that it cannot read hiding none of the others (see `each`). `key`: what
    names a record."""
    found = Collected()
    for number, record in enumerate(records):
        events, faults = each([record], read, key=key)
        found.events += events
        inside = "" if not faults or faults[0].place.startswith("/") else " "
        found.faults += [replace(fault, place=f"{place}/{number}{inside}{fault.place}".strip()) for fault in faults]
    return found


def collect_one(
    found: Collected, record: Any, readers: Sequence[EventReader], *, place: str = "", facts: Facts | None = None,
    before: Callable[[Any], Any] | None = None, strange: Strange = not_strange,
) -> None:  # fmt: skip
    """Add to `found` what one record gives."""
    reader, odd = None, strange(record)
    try:
        record = record if before is None else before(record)
        for reader in readers:
            event = reader.read(record, facts)
            if event is not None:
                found.events.append(event)
                found.skip_unknown |= {event.id} if reader.skips_unknown else set()
                found.withheld |= {event.id: strange_record(odd)} if odd else {}
    except InvalidMessage as error:
        found.refuse(error, place, reader.name_of(record, facts) if reader is not None else "")


def _hook(name: str | None, language: Language) -> Callable[[Any], Any]:
    """The function that `before = "py:…"` names. What it cannot do with a record is InvalidMessage."""
    if name is None:
        return lambda record: record
    function = hook_named(language.hooks, name)

    def before(record: Any) -> Any:
        try:
            return function(record)
        except _UNREADABLE as error:
            raise InvalidMessage("l'enregistrement n'a pas la forme attendue", code="wrong_shape") from error

    return before
