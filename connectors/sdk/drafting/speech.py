"""What of an operation the declared format can say, by the document itself: bodies, answers, schemas as trees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.sdk.contract.json_sample import PROVED, SAMPLED
from connectors.sdk.contract.model import Operation
from connectors.sdk.contract.openapi import JSON, content_of, openapi_document, operation_name, operations_of, successes
from connectors.sdk.contract.schemas import Schemas, Whole
from connectors.sdk.contract_twins.openapi_check import check_of

FORM = "application/x-www-form-urlencoded"
_DEEPEST = 10


@dataclass(slots=True)
class Node:
    """A value of a schema. `parts`: the members of an object by name, the item of a list under `0`. `due`: the members
    that it must have."""

    place: str
    whole: Whole
    parts: dict[str, Node] = field(default_factory=dict)
    due: frozenset[str] = frozenset()

    def forget(self, mark: str) -> None:
        """Leave out the members that bear a mark: what is only read is in no call, whatever is required."""
        self.parts = {name: part for name, part in self.parts.items() if not part.whole.schema.get(mark)}
        for part in self.parts.values():
            part.forget(mark)

    def leaves(self) -> Iterator[Node]:
        if not self.parts:
            yield self
        for part in self.parts.values():
            yield from part.leaves()

    def must(self, wanted: Set[str]) -> Iterator[Node]:
        """The leaves that must be there where those `wanted` are: they, and what each object on the way requires."""
        if not self.parts:
            yield self
        for name, part in self.parts.items():
            if name in self.due or any(one == part.place or one.startswith(f"{part.place}/") for one in wanted):
                yield from part.must(wanted)


class Speech:
    """The operations of one document, by their names."""

    def __init__(self, path: Path) -> None:
        self.document = openapi_document(path)
        self.schemas = Schemas(self.document)
        self.check = check_of(path)
        self._own = {
            operation_name(method, place): (place, shared, own)
            for place, method, shared, own in operations_of(self.document)
        }

    def written(self, name: str) -> Mapping[str, Any]:
        """The operation as the document has it."""
        return self._own[name][2]

    def path(self, name: str) -> str:
        return self._own[name][0]

    def body(self, name: str) -> tuple[str, Node | None]:
        """The media type of the body that it takes, and the tree of its schema; None for no body."""
        kind, said = content_of(self.schemas.at(self.written(name).get("requestBody")))
        tree = self.tree(said.get("schema") or {}) if kind else None
        if tree is not None:
            tree.forget("readOnly")
        return kind, tree

    def answer(self, name: str) -> tuple[str, Node | None]:
        """The same of what a success answers: the first success that holds something."""
        own = self.written(name)
        for status in successes(own):
            kind, said = content_of(self.schemas.at((own.get("responses") or {}).get(status)))
            if kind:
                return kind, self.tree(said.get("schema") or {})
        return "", None

    def proofs(self, name: str) -> list[list[Mapping[str, Any]]]:
        """The ways to prove who calls, any of which will do; each may be several schemes together."""
        asked = self.written(name).get("security", self.document.get("security")) or []
        known = (self.document.get("components") or {}).get("securitySchemes") or {}
        ways = [[self.schemas.at(known[one]) for one in way if one in known] for way in asked]
        return [way for way in ways if way]

    def sampled(self, name: str) -> Any:
        """The sample that the document was made of, as this operation answers or says it; None of a contract."""
        if not self.document.get(SAMPLED):
            return None
        own = self.written(name)
        holders = [own.get("requestBody"), *((own.get("responses") or {}).get(one) for one in successes(own))]
        return next((content_of(self.schemas.at(one))[1].get("example") for one in holders if one), None)

    def proof(self) -> Mapping[str, str]:
        """How a call that was sampled with its headers proves itself; a bearer token where nothing is known."""
        return self.document.get(PROVED) or {"kind": "bearer"}

    def unspeakable(self, operation: Operation) -> str:
        """Why no declaration can make this call; "" when one can."""
        asked, body = self.body(operation.name)
        answered, _ = self.answer(operation.name)
        if asked and not JSON.match(asked) and asked != FORM:
            return f"it is sent as {asked}"
        if body is not None and body.whole.type == "array":
            return "it is sent a list"
        if answered and not JSON.match(answered):
            return f"it answers {answered}"
        return ""

    def tree(self, schema: Any) -> Node:
        return self._node("", schema, frozenset(), 0)

    def _node(self, place: str, schema: Any, seen: frozenset[str], depth: int) -> Node:
        whole = self.schemas.whole(schema)
        node = Node(place, whole)
        if whole.through & seen or depth > _DEEPEST:
            return node
        seen |= whole.through
        if whole.properties:
            node.due = whole.required
            for name, part in whole.properties.items():
                step = name.replace("~", "~0").replace("/", "~1")
                node.parts[name] = self._node(f"{place}/{step}", part, seen, depth + 1)
        elif whole.type == "array":
            node.due = frozenset({"0"})
            node.parts["0"] = self._node(f"{place}/0", whole.schema.get("items") or {}, seen, depth + 1)
        return node
