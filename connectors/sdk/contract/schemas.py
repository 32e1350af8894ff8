"""The schemas of an OpenAPI document, with references followed and alternatives decided."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.errors import ConfigError

_MERGED = ("properties", "required", "allOf", "oneOf", "anyOf", "$ref")
Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Whole:
    """A schema in one piece: no reference, no `allOf`, of `oneOf` and `anyOf` one branch that is not null.
    `through`: the references that were followed to it."""

    schema: Schema
    through: frozenset[str] = frozenset()

    @property
    def type(self) -> str:
        """Its one type; "" where it says none."""
        return _type_of(self.schema)

    @property
    def nullable(self) -> bool:
        return bool(self.schema.get("nullable"))

    @property
    def properties(self) -> Mapping[str, Any]:
        found = self.schema.get("properties")
        return found if isinstance(found, Mapping) else {}

    @property
    def required(self) -> frozenset[str]:
        found = self.schema.get("required")
        return frozenset(str(name) for name in found) if isinstance(found, list) else frozenset()


class Schemas:
    """The schemas of one document. `branch`: which alternative is taken, the last where there are fewer. Raises
    ConfigError for a reference that leads nowhere, to another file, or to itself."""

    def __init__(self, document: Mapping[str, Any], branch: int = 0) -> None:
        self._document, self._branch = document, branch

    def taking(self, branch: int) -> Schemas:
        """The same document with another alternative taken."""
        return Schemas(self._document, branch)

    def at(self, node: Any) -> Mapping[str, Any]:
        """A parameter, a body, an answer or a header, its references followed; {} for what is none."""
        return self._followed(node)[0]

    def whole(self, node: Any) -> Whole:
        return self._whole(node, frozenset())

    def _followed(self, node: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
        through: set[str] = set()
        while isinstance(node, Mapping) and isinstance(node.get("$ref"), str):
            reference = node["$ref"]
            if reference in through:
                raise ConfigError(f"{reference} refers to itself")
            through.add(reference)
            # OpenAPI 3.1 lets keywords stand beside a reference
            beside = {name: part for name, part in node.items() if name != "$ref"}
            found = self._target(reference)
            node = {**found, **beside} if isinstance(found, Mapping) and beside else found
        return (node if isinstance(node, Mapping) else {}), frozenset(through)

    def _target(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise ConfigError(f"{reference} leads to another file: write the contract as one file")
        found: Any = self._document
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~").replace("%7B", "{").replace("%7D", "}")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            elif isinstance(found, Mapping) and name in found:
                found = found[name]
            else:
                raise ConfigError(f"{reference} leads nowhere")
        return found

    def _whole(self, node: Any, inside: frozenset[str]) -> Whole:
        """`inside`: the references whose parts are being put together: what is made of itself adds nothing."""
        own, through = self._followed(node)
        if through & inside:
            return Whole({})
        inside |= through
        made: dict[str, Any] = {name: part for name, part in own.items() if name not in _MERGED}
        properties: dict[str, Any] = {}
        required: list[str] = []
        for part in self._parts(own):
            piece = self._whole(part, inside)
            through |= piece.through
            made = {**{name: one for name, one in piece.schema.items() if name not in _MERGED}, **made}
            properties.update(piece.properties)
            required += piece.required
        properties.update(own.get("properties") or {})
        properties.update(self._told_apart(own, properties))
        required += Whole(own).required
        if properties:
            made["properties"] = properties
        if required:
            made["required"] = sorted(set(required))
        if self._may_be_null(own):
            made["nullable"] = True
        return Whole(made, through)

    def _parts(self, own: Schema) -> Iterator[Any]:
        yield from own.get("allOf") or ()
        yield from self._taken(own)

    def _taken(self, own: Schema) -> Iterator[Any]:
        for word in ("oneOf", "anyOf"):
            branches = [one for one in own.get(word) or () if not _is_null(one)]
            yield from branches[: self._branch + 1][-1:]

    def _told_apart(self, own: Schema, properties: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The member by which the alternative that was taken is told from the others, with the word for it."""
        said = own.get("discriminator")
        name = said.get("propertyName") if isinstance(said, Mapping) else None
        references = [one.get("$ref") for one in self._taken(own) if isinstance(one, Mapping)]
        if isinstance(name, str) and references and isinstance(references[0], str):
            words = {target: word for word, target in (said.get("mapping") or {}).items()}  # type: ignore[union-attr]
            last = references[0].rpartition("/")[2]
            word = words.get(references[0]) or words.get(last) or last
            yield name, {"type": "string", **self.at(properties.get(name)), "const": word}

    def _may_be_null(self, own: Schema) -> bool:
        kinds = own.get("type")
        branches = [*(own.get("oneOf") or ()), *(own.get("anyOf") or ())]
        return (
            bool(own.get("nullable")) or (isinstance(kinds, list) and "null" in kinds) or any(map(_is_null, branches))
        )


def _is_null(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("type") == "null"


def _type_of(schema: Schema) -> str:
    said = schema.get("type")
    kinds = [one for one in said if one != "null"] if isinstance(said, list) else [said] if said else []
    if kinds:
        return str(kinds[0])
    if schema.get("properties"):
        return "object"
    return "array" if "items" in schema else ""
