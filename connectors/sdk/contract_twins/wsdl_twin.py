"""A twin made from a WSDL: every operation is answered, and what the contract refuses is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.sdk.contract.message_places import leaves, node_at, scalars, value_at, with_value_at
from connectors.sdk.contract.message_samples import for_writing, scalar_of, values_of
from connectors.sdk.contract.message_schemas import Node
from connectors.sdk.contract.wsdl import code_in
from connectors.sdk.contract_twins.wsdl_check import WsdlCheck, wsdl_check
from connectors.sdk.soap_twin import SoapFault, SoapTwin
from connectors.sdk.twin import TwinAnswer, TwinCall, basic, route
from connectors.sdk.xml import Element
from schemas.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Kept:
    """What a twin keeps: `operation` opens an entry, whose identifier its answer has at `key`. `asked` asks for one, by
    the argument `by`: its identifier, or where it `searches` what the request that opened it says under that name."""

    operation: str
    key: str
    asked: str = ""
    by: str = ""
    searches: bool = False


@dataclass(slots=True)
class Entry:
    """What was opened: by which request, and what answers to an operation say of it, by place."""

    operation: str
    request: Any = None
    said: dict[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A no: a fault with a code in its `<detail>`, at `detail` where the contract has several places; with `inside`, a
    success that holds the code there. Without a code, a fault that blames the caller."""

    code: str = ""
    detail: str = ""
    inside: str = ""


class WsdlTwin(SoapTwin):
    """`with WsdlTwin(wsdl) as twin: twin.address`. Every operation is answered without code: by the file that `samples`
    gives for it (its elements, as JSON), else by values made from the schema. Subclass it, with `wsdl` and methods
    marked `@operation`, where a package does what its contract does not say.

    What the contract or its schemas refuse is answered by a fault that blames the caller. `keeps`: what it remembers:
    an entry that nobody opened is a fault. `opened` holds the entries by identifier; `taken` the last request of each
    other operation that is not `harmless`. `known_by`: the argument by which an operation knows a call again, and
    does nothing twice; "" where each call says what is, and replaces the last. `settle` says how an entry stands,
    `pending` is the no until then. `refuse` says no to the next calls of an operation. `told`: what an operation
    answers instead of its sample; `absent`: what it answers about nobody; `nobody`: texts of people whom it does
    not know; `about_people`: operations that are asked about somebody, each with the texts that name nobody.
    `account`: the one that HTTP Basic must name, where one is set.
    """

    def __init__(
        self, wsdl: Path | None = None, *, keeps: Sequence[Kept] = (), harmless: Iterable[str] = (),
        samples: Callable[[str], Path | None] = lambda name: None,
    ) -> None:  # fmt: skip
        if wsdl is not None:
            self.wsdl = wsdl
        super().__init__()
        self.contract: WsdlCheck = wsdl_check(self.wsdl.resolve())
        self.samples, self.keeps, self.harmless = samples, list(keeps), frozenset(harmless)
        self.opened: dict[str, Entry] = {}
        self.taken: dict[str, Any] = {}
        self.known_by: dict[str, str] = {}
        self.told: dict[str, Callable[[Any], Any]] = {}
        self.absent: dict[str, Any] = {}
        self.pending: Refusal | None = None
        self.nobody: frozenset[str] = frozenset()
        self.about_people: dict[str, frozenset[str]] = {}
        self.account: tuple[str, str] | None = None
        self._refusals: dict[str, list[Refusal]] = {}

    def settle(self, identifier: str, operation: str, said: Mapping[str, Any]) -> None:
        """What an operation says of an entry from now on, as `{"return/etat": "P"}`; one that nobody opened is."""
        self.opened.setdefault(identifier, Entry("")).said[operation] = said

    def refuse(self, operation: str, *codes: str, detail: str = "", inside: str = "") -> None:
        self._refusals.setdefault(operation, []).extend(Refusal(code, detail, inside) for code in codes)

    def effects(self) -> Any:
        """All that it holds, as a value that can be compared."""
        return {name: (one.operation, one.request) for name, one in self.opened.items()} | self.taken

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        proved = self.account is None or call.headers.get("authorization") == basic(*self.account)
        return None if proved else TwinAnswer(401, {"error": "401"})

    def beyond_contract(self, call: TwinCall) -> bool:
        """Its own description, which no operation gives."""
        return call.method == "GET"

    @route("GET", "/{where:rest}")
    def description(self, call: TwinCall, where: str) -> TwinAnswer:
        return TwinAnswer(200, self.wsdl.read_bytes(), {"Content-Type": "text/xml; charset=utf-8"})

    def speaks(self, name: str) -> bool:
        return name in self.messages.operations

    def breach(self, name: str, content: Element) -> str:
        return self.contract.breach(content) or super().breach(name, content)

    def said(self, name: str, request: Any) -> Mapping[str, Any] | str:
        if waiting := self._refusals.get(name):
            return self._refused(name, waiting.pop(0))
        if name in self._operations:
            return super().said(name, request)
        return self._written(name, self._answer(name, request))

    def fault(self, name: str, no: Refusal) -> SoapFault:
        """The fault of an operation for a no, as its contract has it."""
        for element, detail in zip(self.messages.faults(name), self.contract.schemas.detail(name), strict=True):
            at = code_in(detail)
            if at is not None and no.code and no.detail in ("", f"{detail.name}/{at.name}") and _takes(at, no.code):
                values = for_writing(detail, {**values_of(detail), at.name: no.code})
                return SoapFault("Server", no.code, self.messages.write_element(element, values))
        return SoapFault("Client", no.code or "refused")

    def usual(self, name: str, request: Any = None) -> Any:
        """What an operation answers of anything."""
        if name in self.told:
            return self.told[name](request)
        path = self.samples(name)
        if path is None:
            return values_of(self._given(name))
        try:
            return json.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read as JSON ({type(error).__name__})", key=str(path)) from None

    def _given(self, name: str) -> Node:
        return self.contract.schemas.body(name, answer=True)

    def _written(self, name: str, values: Any) -> Mapping[str, Any]:
        written: Mapping[str, Any] = for_writing(self._given(name), values)
        return written

    def _refused(self, name: str, no: Refusal) -> Mapping[str, Any]:
        if not no.inside:
            raise self.fault(name, no)
        return self._written(name, with_value_at(self.usual(name), no.inside, no.code))

    def _answer(self, name: str, request: Any) -> Any:
        texts = {str(value) for _, value in leaves(request)}
        if self.nobody & texts or (name in self.about_people and texts <= self.about_people[name]):
            return self._nothing(name)
        for kept in self.keeps:
            if kept.asked == name:
                return self._about(kept, request)
        for kept in self.keeps:
            if kept.operation == name:
                return with_value_at(self.usual(name, request), kept.key, self._open(kept, request))
        if name not in self.harmless:
            self.taken[f"{name} {self._key(name, request)}"] = request
        return self.usual(name, request)

    def _key(self, name: str, request: Any) -> str:
        """What a call replaces: the call of the same key, every call, or none."""
        by = self.known_by.get(name)
        if by is None:
            return str(len(self.taken) + 1)
        return str(value_at(request, by)) if by else ""

    def _open(self, kept: Kept, request: Any) -> str:
        """The identifier of a new entry, or of the one that the same key opened."""
        if kept.operation in self.known_by:
            key = self._key(kept.operation, request)
            for identifier, entry in self.opened.items():
                if entry.operation == kept.operation and self._key(kept.operation, entry.request) == key:
                    self.opened[identifier] = Entry(kept.operation, request, entry.said)
                    return identifier
        identifier = self.identifier(kept, len(self.opened) + 1)
        self.opened[identifier] = Entry(kept.operation, request)
        return identifier

    def identifier(self, kept: Kept, number: int) -> str:
        """The identifier of the entry of this number, as the contract allows it."""
        return identifier_of(node_at(self._given(kept.operation), kept.key), number)

    def _about(self, kept: Kept, request: Any) -> Any:
        asked = str(value_at(request, kept.by))
        found = self._search(kept, asked) if kept.searches else asked if asked in self.opened else None
        if found is None:
            return self._nothing(kept.asked)
        entry = self.opened[found]
        if self.pending and not kept.searches and kept.asked not in entry.said:
            return self._refused(kept.asked, self.pending)
        made = self._echoed(kept, found, entry)
        for place, value in entry.said.get(kept.asked, {}).items():
            made = with_value_at(made, place, value)
        return made

    def _search(self, kept: Kept, asked: str) -> str | None:
        own = _last(kept.by)
        entries = (one for one in self.opened.items() if one[1].operation == kept.operation)
        return next(
            (key for key, one in entries if asked in [str(v) for n, v in leaves(one.request) if n == own]), None
        )

    def _echoed(self, kept: Kept, identifier: str, entry: Entry) -> Any:
        """The usual answer with what was said when it was opened, under the same names and of the same types."""
        made = self.usual(kept.asked)
        opening = self.contract.schemas.body(entry.operation) if entry.operation else Node("")
        types, values = {part.name: part for _, part in scalars(opening)}, dict(leaves(entry.request))
        for place, part in scalars(self._given(kept.asked)):
            if part.name.lower() == _last(kept.key).lower():
                made = with_value_at(made, place, identifier)
            elif part.name in values and _alike(part, types.get(part.name)) and value_at(made, place) is not None:
                made = with_value_at(made, place, values[part.name])
        return made

    def _nothing(self, name: str) -> Any:
        """What is answered about nobody: nothing, where the contract allows that."""
        if name in self.absent:
            return (
                self._refused(name, self.absent[name]) if isinstance(self.absent[name], Refusal) else self.absent[name]
            )
        if not any(part.required for part in self._given(name).parts):
            return {}
        return self._refused(name, self.pending or Refusal())


def identifier_of(node: Node | None, number: int) -> str:
    """The identifier of the entry of this number, as the contract allows it."""
    if node is None or node.type == "integer":
        return str(number)
    made = str(scalar_of(node))
    if not node.pattern and node.built_in == "string":
        made = f"{node.name}-{number}"
        most = node.limits.get("maxLength", len(made))
        return made if len(made) <= most else str(number).zfill(node.limits.get("minLength", 1))
    digits = re.search(r"(\d+)(?=\D*$)", made)
    return (
        made[: digits.start()] + str(number).zfill(len(digits[1]))[-len(digits[1]) :] + made[digits.end() :]
        if digits
        else made
    )


def _takes(at: Node, code: str) -> bool:
    return (not at.choices or code in at.choices) and (at.type != "integer" or code.isdecimal())


def _alike(one: Node, other: Node | None) -> bool:
    same = other is not None and (one.type, one.choices, one.pattern) == (other.type, other.choices, other.pattern)
    return same and not one.many


def _last(place: str) -> str:
    return place.rpartition("/")[2]
