"""The schemas of a WSDL: what its messages hold, and whether a message is one. The only file that imports xmlschema."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from xmlschema import XMLSchema10, XMLSchemaException
from xmlschema.validators import XsdElement, XsdGroup

from connectors.sdk.contract.model import Type
from connectors.sdk.contract.wsdl_imports import WSDL, wsdl_paths
from connectors.sdk.soap import SoapContract, soap_contract
from connectors.sdk.standard_schemas import contract_file
from connectors.sdk.xml import XSD, Element, XsdFault, add, new_root, parse_xml, write_xml
from schemas.errors import ConfigError, InvalidMessage

_XS = f"{{{XSD}}}"
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_LOCATED = (_ENCODING, "http://www.w3.org/2005/05/xmlmime")  # which contracts import without an address
_DEEPEST = 8  # levels that are told of a type which holds itself
_INTEGERS = (
    "integer", "int", "long", "short", "byte", "unsignedInt", "unsignedLong", "unsignedShort", "unsignedByte",
    "positiveInteger", "nonNegativeInteger", "negativeInteger", "nonPositiveInteger",
)  # fmt: skip
_TYPES: Mapping[str, Type] = {
    **dict.fromkeys(_INTEGERS, "integer"), **dict.fromkeys(("decimal", "float", "double"), "number"),
    "boolean": "boolean", "date": "date", "dateTime": "instant", "base64Binary": "bytes", "hexBinary": "bytes",
    "anyType": "any", "anySimpleType": "any",
}  # fmt: skip
_FACETS = {
    "maxLength": "maxLength", "minLength": "minLength", "minInclusive": "minimum", "maxInclusive": "maximum",
    "minExclusive": "exclusiveMinimum", "maxExclusive": "exclusiveMaximum", "totalDigits": "totalDigits",
    "fractionDigits": "fractionDigits",
}  # fmt: skip


_RULES = {"Group": "elements", "AtomicBuiltin": "type", "AtomicRestriction": "type"}


@dataclass(frozen=True, slots=True)
class Node:
    """An element or an attribute of a message. `required`, by what it stands in; `many`: it repeats. `branch`: of a
    choice, 0 for the first. `parts`: what stands inside. `built_in`: the name of its type in XML Schema. `pattern`: as
    Python writes it."""

    name: str
    type: Type = "any"
    required: bool = False
    many: bool = False
    nullable: bool = False
    about: str = ""
    choices: tuple[str, ...] = ()
    limits: Mapping[str, Any] = field(default_factory=dict)
    default: str | None = None
    branch: int = 0
    built_in: str = ""
    pattern: str = ""
    attribute: bool = False
    parts: tuple[Node, ...] = ()

    @property
    def may_be_nil(self) -> bool:
        """Whether it may stand there and say nothing: its attributes are due even so (XSD 1.0, 3.3.4)."""
        return self.nullable and not any(part.attribute and part.required for part in self.parts)


class MessageSchemas:
    """The types of a WSDL and of all that it imports. Raises ConfigError for what is no usable schema.
    `schemas_of` reads each contract once."""

    def __init__(self, wsdl: Path, soap: SoapContract) -> None:
        self._folder, self._soap = wsdl.parent, soap
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # an import that fails is no warning
                self._maps = self._built(wsdl)
        except (XMLSchemaException, OSError, ValueError, Warning) as error:
            said = str(error).strip().partition("\n")[0]
            raise ConfigError(f"{wsdl.name} has no usable schema ({said})") from None

    def body(self, operation: str, *, answer: bool = False) -> Node:
        """What the element in the body of a request, or of an answer, holds."""
        name = self._soap.body_name(operation, answer=answer)
        return _node(self._maps.elements[name], ()) if name else Node("")

    def detail(self, operation: str) -> tuple[Node, ...]:
        """What the `<detail>` of a fault of this operation may hold, one of them."""
        return tuple(_node(self._maps.elements[name], ()) for name in self._soap.faults(operation))

    def knows(self, element: Element) -> bool:
        return str(element.tag) in self._maps.elements

    def faults(self, element: Element, declared_as: str = "") -> list[XsdFault]:
        """Every breach of the element in the body of a message, or in a `<detail>`; an empty list means valid.
        `declared_as`: the element (`{namespace}name`) that it stands for, whatever its own name."""
        declared = self._maps.elements.get(declared_as or str(element.tag))
        if declared is None:
            return [XsdFault(f"/{_local(str(element.tag))}", "no element of the contract", 0)]
        return [_fault(error) for error in declared.iter_errors(element)]

    def _built(self, wsdl: Path) -> Any:
        first: Any = None
        sources = [(path, write_xml(node).decode()) for path, node in self._sources(wsdl, set())]
        rpc = sorted(name for name in self._soap.operations if self._soap.is_rpc(name))
        sources += [(wsdl, _wrapper(self._soap, name, answer)) for name in rpc for answer in (False, True)]
        for path, source in sources:
            if first is None:
                first = XMLSchema10(
                    source, base_url=path.parent.as_uri(), uri_mapper=self._mapped, allow="local", use_fallback=False,
                    locations={name: contract_file(name, self._folder).as_uri() for name in _LOCATED}, build=False,
                )  # fmt: skip
            else:
                XMLSchema10(source, base_url=path.parent.as_uri(), global_maps=first.maps, build=False)
        if first is None:
            raise ValueError("no schema in it")
        self._load_passed_over(wsdl, first.maps)
        first.maps.build()
        return first.maps

    def _load_passed_over(self, wsdl: Path, maps: Any) -> None:
        """Of several files of one namespace xmlschema loads the first that is imported."""
        for path in wsdl_paths(wsdl)[1:]:
            loaded = {Path(unquote(urlsplit(one.url).path)) for one in maps.iter_schemas() if one.url}
            if path not in loaded and parse_xml(path.read_bytes()).tag == f"{_XS}schema":
                XMLSchema10(path.as_uri(), global_maps=maps, build=False)

    def _sources(self, wsdl: Path, seen: set[Path]) -> Iterator[tuple[Path, Element]]:
        """The schemas that stand in the WSDL and in those that it imports."""
        if wsdl in seen:
            return
        seen.add(wsdl)
        try:
            root = parse_xml(wsdl.read_bytes())
        except InvalidMessage as error:
            raise ValueError(error.reason) from None
        for one in root.iterfind(f"{{{WSDL}}}import"):
            address = one.get("location", "")
            found = contract_file(address if "://" in address else str(wsdl.parent / address), self._folder)
            yield from self._sources(found, seen)
        if root.tag == f"{_XS}schema":  # a WSDL may import a schema in this way
            yield wsdl, root
        yield from ((wsdl, node) for node in root.iterfind(f"{{{WSDL}}}types/{_XS}schema"))

    def _mapped(self, address: str) -> str:
        foreign = address.startswith(("http:", "https:"))
        return contract_file(address, self._folder).as_uri() if foreign else address


@cache
def schemas_of(wsdl: Path) -> MessageSchemas:
    """The schemas of a WSDL, read once."""
    return MessageSchemas(wsdl, soap_contract(wsdl))


def _wrapper(soap: SoapContract, operation: str, answer: bool) -> str:
    """The element that stands around the parts of a call of rpc, as a schema of its own."""
    space, _, name = soap.body_name(operation, answer=answer).rpartition("}")
    parts = soap.parts(operation, answer=answer)
    spaces = sorted({(part.element or part.type).rpartition("}")[0][1:] for part in parts} - {XSD})
    prefixes = {XSD: "xs"} | {uri: f"p{number}" for number, uri in enumerate(spaces)}
    root = new_root(f"{_XS}schema", {prefix: uri for uri, prefix in prefixes.items()})
    if space:
        root.set("targetNamespace", space[1:])
    for uri in spaces:
        if uri != space[1:]:
            add(root, "import", None, namespace=uri)
    holder = add(add(add(root, "element", None, name=name), "complexType"), "sequence")
    for part in parts:
        uri, _, local = (part.element or part.type).rpartition("}")
        kind = f"{prefixes[uri[1:]]}:{local}"
        add(holder, "element", None, **({"ref": kind} if part.element else {"name": part.name, "type": kind}))
    return write_xml(root).decode()


# what a schema says, as nodes


def _node(declared: Any, above: tuple[Any, ...]) -> Node:
    """What an element holds; a type that stands in itself is told until it comes again."""
    made = Node(
        declared.local_name, required=(declared.min_occurs or 0) > 0, many=_repeats(declared),
        nullable=bool(declared.nillable), about=_about(declared), default=declared.fixed or declared.default,
    )  # fmt: skip
    return _typed(made, declared.type, above)


def _typed(node: Node, kind: Any, above: tuple[Any, ...]) -> Node:
    if kind.is_simple():
        return _scalar(node, kind)
    if any(kind is one for one in above) or len(above) > _DEEPEST:
        return replace(node, type="any")
    attributes = tuple(_attributes(kind))
    if kind.has_simple_content():
        value = _scalar(Node("_value_1", required=True), kind.content)
        return replace(node, parts=(value, *attributes)) if attributes else _scalar(node, kind.content)
    parts = tuple(_particles(kind.content, (*above, kind))) if isinstance(kind.content, XsdGroup) else ()
    own = "" if kind.name is None or not kind.name.startswith(_XS) else "anyType"
    return replace(node, parts=(*parts, *attributes), built_in=own, about=node.about or _about(kind))


def _particles(group: Any, above: tuple[Any, ...], *, must: bool = True, many: bool = False) -> Iterator[Node]:
    """The elements of a group; those of a group inside it stand beside its own."""
    must, many = must and group.min_occurs > 0, many or _repeats(group)
    choice = group.model == "choice"
    for number, one in enumerate(group):
        own = must and not (choice and number)
        if isinstance(one, XsdGroup):
            found: Iterator[Node] = _particles(one, above, must=own, many=many)
        elif isinstance(one, XsdElement):
            made = _node(one, above)
            found = iter([replace(made, required=made.required and own, many=made.many or many)])
        else:
            continue  # a place for anything
        yield from (replace(node, branch=node.branch or number) for node in found) if choice else found


def _attributes(kind: Any) -> Iterator[Node]:
    if (getattr(kind.base_type, "name", None) or "").startswith(f"{{{_ENCODING}}}"):
        return  # an array of SOAP's encoding, which has its own
    for name, declared in kind.attributes.items():
        if name is not None and declared.use != "prohibited":
            made = Node(
                declared.local_name, required=declared.use == "required", about=_about(declared),
                default=declared.fixed or declared.default, attribute=True,
            )  # fmt: skip
            yield _scalar(made, declared.type)


def _scalar(node: Node, kind: Any) -> Node:
    base = _built_in(kind)
    built_in = _local(base.name) if base is not None else "anySimpleType"
    read = "text" if kind.is_list() or kind.is_union() else _TYPES.get(built_in, "text")
    limits = _limits(kind, base)
    if built_in not in ("string", "anySimpleType", "anyType") and read in ("text", "integer"):
        limits["format"] = built_in
    elif built_in == "base64Binary":
        limits["format"] = "byte"
    own = kind.patterns if base is None or kind.patterns is not base.patterns else None
    if own is not None:
        limits["pattern"] = "|".join(own.regexps)
    return replace(
        node, type=read, limits=limits, choices=tuple(str(one) for one in kind.enumeration or () if str(one)),
        pattern="|".join(_bare(one.pattern) for one in own.patterns) if own is not None else "",
        built_in=built_in, about=node.about or _about(kind),
    )  # fmt: skip


def _limits(kind: Any, base: Any) -> dict[str, Any]:
    """The limits that the contract sets, without those of XML Schema's own types."""
    known = (base.facets if base is not None else None) or {}
    facets = {
        _local(str(name)): one for name, one in (kind.facets or {}).items() if name and known.get(name) is not one
    }
    limits = {ours: _plain(facets[name].value) for name, ours in _FACETS.items() if name in facets}
    if "length" in facets:
        limits |= {"minLength": facets["length"].value, "maxLength": facets["length"].value}
    return limits


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value if isinstance(value, int | float) else str(value)


def _built_in(kind: Any) -> Any:
    """The type of XML Schema that this one restricts."""
    while kind is not None and not (kind.name or "").startswith(_XS):
        kind = kind.base_type
    return kind


def _bare(pattern: str) -> str:
    """A pattern as Python has it, without what holds it to the whole text."""
    return pattern.removeprefix("^").removesuffix(r"$(?!\n\Z)")


def _repeats(declared: Any) -> bool:
    return declared.max_occurs is None or declared.max_occurs > 1


def _about(declared: Any) -> str:
    note = declared.annotation
    said = " ".join(text for one in (note.documentation if note is not None else ()) for text in one.itertext())
    return " ".join(said.split())


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _fault(error: Any) -> XsdFault:
    """The place below the root, and the rule; never a value."""
    steps = [step.rpartition(":")[2] for step in str(error.path or "").split("/")[2:]]
    name = re.sub(r"^Xsd|Facets?$", "", type(error.validator).__name__)
    rule = _RULES.get(name, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())
    return XsdFault("/" + "/".join(steps), rule, error.sourceline or 0)
