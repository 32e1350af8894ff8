"""`[poll]` from an operation that lists: how what is new is told, and which event each record is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.drafting.addresses import address, due, headers_due, said_or_set
from connectors.sdk.drafting.conversions import meanings, reading_words
from connectors.sdk.drafting.deliveries import sample_name
from connectors.sdk.drafting.invented import field_value, vendor_value
from connectors.sdk.drafting.part import Part
from connectors.sdk.drafting.speech import Speech
from connectors.sdk.drafting.targets import Target, Targets
from connectors.sdk.drafting.trade import trade_words
from connectors.sdk.drafting.trial import answer_with, call_fault
from connectors.sdk.drafting.writing import Line, Table, json_text
from schemas.names import words_of

STATUS, APPOINTMENT = "request.status-changed", "appointment.changed"
_CHANGED = ("updated", "modified", "changed", "modif", "modification", "maj", "update", "change", "processed")
_SINCE = ("since", "after", "from", "depuis", "start")
_PAGES: Mapping[str, str] = {
    "page": "page", "page_number": "page", "pagenumber": "page", "page_no": "page", "offset": "offset",
    "skip": "offset",
}  # fmt: skip
_SIZES = ("per_page", "page_size", "pagesize", "size", "limit", "page_limit")
_PAGE = 100
_PHASES: Mapping[str, str] = {
    "received": "qualification", "incomplete": "qualification", "in_progress": "processing", "granted": "delivery",
    "rejected": "delivery", "fulfilled": "delivery", "closed": "delivery", "withdrawn": "delivery",
}  # fmt: skip


def polls(operation: Operation, speech: Speech, targets: Mapping[str, Targets]) -> Iterator[Part]:
    """A part for each event that the records could be, where they have an identifier and a date of change."""
    if not operation.name.startswith("GET ") or operation.lists is None or speech.unspeakable(operation):
        return
    name, at = _named(operation), _changed(operation)
    if name is None or at is None:
        return
    for carries, candidates in targets.items():
        part = _Poll(operation, speech, candidates.inside(operation), name, at).part(carries)
        if part is not None:
            yield part


@dataclass(slots=True)
class _Poll:
    operation: Operation
    speech: Speech
    targets: Targets
    name: Field
    at: Field
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    converters: dict[str, Any] = field(default_factory=dict)

    def part(self, carries: str) -> Part | None:
        event: dict[str, Any] = {
            "type": carries, "id": f"{{{self.name.place}}}-{{{self.at.place}}}", "time": f"{self.at.place} | instant",
        }  # fmt: skip
        found = self._status(event) if carries == STATUS else self._appointment(event)
        if found is None:
            return None
        lines, used, statuses = found
        where = address(self.operation, reference=False)
        spec: dict[str, Any] = {"every": "5m", "call": where.call}
        query = self._query()
        spec |= {"query": query} if query else {}
        spec |= {"list": self.operation.lists} if self.operation.lists else {}
        spec["cursor"] = self._cursor()
        spec |= {"paging": paging} if (paging := self._paging()) else {}
        note = f"{self.operation.name} : à vérifier. {self.operation.about}".rstrip(" .")
        part = Part("poll", self.operation, carries, [Table("poll", spec, [note]), Table("[poll.event]", event)], [])
        part.lines = [*lines, *self._rest({line.source for line in lines})]
        part.settings, part.values = where.settings | self.settings, where.values | self.values
        part.converters, part.statuses = self.converters, statuses
        answer = self._answer(used)
        if answer is None:
            return None
        part.samples = {f"answers/{sample_name(self.operation.name)}.json": json_text(answer)}
        tried = {**spec, "headers": headers_due(part, self.operation)}
        part.trial = lambda: call_fault(self.speech, tried, (), {}, part.values, {})
        part.mapped = len(used) + len(where.used) + len(query)
        part.unsaid = self._unsaid()
        moved = any(word in _CHANGED for word in words_of(self.at.name))
        part.score = 3 + len(used) / 2 + (1 if moved else -2) - 0.5 * len(part.settings)
        return part

    def _status(self, event: dict[str, Any]) -> tuple[list[Line], dict[str, Any], list[Sequence[str]]] | None:
        status = next((one for one in self.operation.gives if _says(one, ("status", "statut", "etat", "state"))), None)
        if status is None:
            return None
        event |= {"about": self.name.place, "status": status.place, "unknown": "skip"}
        words = [str(choice) for choice in status.choices if str(choice).strip()]
        words = words or [str(status.example or "open"), "closed"]
        return [], {status.place: words[0]}, [status_row(word) for word in dict.fromkeys(words)]

    def _appointment(self, event: dict[str, Any]) -> tuple[list[Line], dict[str, Any], list[Sequence[str]]] | None:
        found = self.targets.assigned(self.operation.gives)
        by = {one.place: one for one in self.operation.gives}
        told = {one.place.pointer: place for place, one in found.items()}
        if not {"/appointment/starts_at", "/appointment/state"} <= told.keys():
            return None
        name = "appointment"
        state = by[told["/appointment/state"]]
        known = meanings(state, found[state.place].place)
        if not known:
            return None
        event["map"] = name
        self.converters["etat-rdv"] = {"table": {**{str(one): "booked" for one in state.choices}, **known}}
        lines = [Line(name, "/appointment/reference/system", "={system}"),
                 Line(name, "/appointment/reference/id", self.name.place, "text", True, self.name.about)]  # fmt: skip
        lines.append(Line(name, "/appointment/state", state.place, "etat-rdv", True, state.about))
        used: dict[str, Any] = {state.place: next(iter(known))}
        for place, target in found.items():
            pointer, words = target.place.pointer, reading_words(by[place], target.place)
            wanted = pointer.startswith("/appointment/") and pointer.count("/") == 2 and words is not None
            if wanted and pointer not in ("/appointment/state",) and place != self.name.place:
                lines.append(Line(name, pointer, place, words or "", pointer.endswith("starts_at"), by[place].about))
                used[place] = vendor_value(by[place], target.place, words or "")
        return lines, used, []

    def _cursor(self) -> dict[str, Any]:
        said: dict[str, Any] = {"kind": "since", "at": f"{self.at.place} | instant", "id": self.name.place}
        since = next((one.place for one in self.operation.asks if one.where == "query" and self._is_since(one)), "")
        return {**said, "param": since} if since else said

    def _is_since(self, one: Field) -> bool:
        words = words_of(one.place)
        return (
            one.type == "instant" and any(word in _SINCE for word in words) and any(word in _CHANGED for word in words)
        )

    def _query(self) -> dict[str, str]:
        found = {}
        for one in due(self.operation.asks, "query"):
            found[one.place] = said_or_set(self, one)
        return found

    def _answer(self, used: Mapping[str, Any]) -> Any:
        wanted = {self.name.place: field_value(self.name, 0, "4117"), self.at.place: "2026-03-02T09:00:00Z", **used}
        prefix = f"{self.operation.lists}/0"
        found = {prefix + place: said for place, said in wanted.items()}
        return answer_with(self.speech, self.operation.name, found)

    def _rest(self, used: Set[str]) -> Iterator[Line]:
        for one in self.operation.gives:
            if one.place not in used:
                target: Target | None = self.targets.propose(one)
                words = (reading_words(one, target.place) or "") if target else ""
                to = target.place.pointer if target else ""
                yield Line("polled", to, one.place, words, False, f"{one.type} · {one.about}", used=False)

    def _paging(self) -> dict[str, Any]:
        """How the next page is asked for, by the names of the parameters; nothing where none of them is known."""
        asked = {"_".join(words_of(one.place)): one for one in self.operation.asks if one.where == "query"}
        page = next((asked[name] for name in _PAGES if name in asked), None)
        size = next((asked[name] for name in _SIZES if name in asked), None)
        if page is None:
            return {}
        most = size.limits.get("maximum") if size is not None else None
        said: dict[str, Any] = {"kind": _PAGES["_".join(words_of(page.place))], "param": page.place}
        said |= {"first": 0} if said["kind"] == "page" and page.limits.get("minimum") == 0 else {}
        if size is not None:  # without one the last page is the empty one
            said["size"] = int(most) if isinstance(most, int) and 0 < most < _PAGE else _PAGE
            said["size_param"] = size.place
        return said

    def _unsaid(self) -> list[str]:
        asked = ["_".join(words_of(one.place)) for one in self.operation.asks if one.where == "query"]
        pages = [one for one in asked if one in (*_SIZES, "cursor", "page_token", "after")]
        said = f"The list has pages ({', '.join(pages)}): declare `[poll.paging]`, or only the first page is read."
        return [said] if pages and not self._paging() else []


def _named(operation: Operation) -> Field | None:
    """What names a record: `id`, or the shortest place that ends so."""
    texts = [one for one in operation.gives if one.type in ("text", "integer") and one.place.count("/") == 1]
    ends = [one for one in texts if words_of(one.name)[-1:] in (("id",), ("uuid",), ("reference",))]
    named = [*ends, *(one for one in texts if words_of(one.name)[:1] == ("id",))]
    about = {word.removesuffix("s") for word in words_of(operation.name)}
    return min(named, key=lambda one: (one.name != "id", not about & {*words_of(one.name)}), default=None)


def _changed(operation: Operation) -> Field | None:
    """The date of change: one that says so, before any other moment of the record."""
    moments = [one for one in operation.gives if one.type == "instant" and one.place.count("/") == 1]
    return next(
        (one for one in moments if any(word in _CHANGED for word in words_of(one.name))), next(iter(moments), None)
    )


def _says(one: Field, words: Sequence[str]) -> bool:
    return one.place.count("/") == 1 and one.type == "text" and words_of(one.name)[-1:] in [(word,) for word in words]


def status_row(native: str) -> Sequence[str]:
    """The line of `statuses.csv` for a native status: what it means, where the trade is sure."""
    said = "_".join(words_of(native))
    for canonical, phase in _PHASES.items():
        if said in trade_words(f"status {canonical}"):
            return native, canonical, phase, native
    return native, "", "", native
