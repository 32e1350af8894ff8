"""A WSDL as a `Contract`: its operations, with places as the kit writes them (`arg0/lignes/0/libelle`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from connectors.sdk.contract.message_schemas import Node, schemas_of
from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.wsdl_imports import WSDL
from connectors.sdk.soap import SoapContract, soap_contract
from connectors.sdk.xml import Element, parse_xml

_HARMLESS = re.compile(
    r"(get|list|read|search|find|query|fetch|count|check(?!in|out)|is(?=[A-Z])|has(?=[A-Z])|lire|lister|recup[eé]rer|r?e?chercher"
    r"|consulter|obtenir|afficher|verifier|tester|etat|statut|status|echo|ping)",
    re.IGNORECASE,
)
_CODE = re.compile(r".*code|type|num[eé]ro|id", re.IGNORECASE)
_DEEP = 3  # how far inside an answer its list is looked for


def is_wsdl(path: Path) -> bool:
    """Whether the file looks like a WSDL, by its name or by its first words."""
    return path.suffix.lower() == ".wsdl" or (path.suffix.lower() == ".xml" and WSDL.encode() in _start(path))


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def read_wsdl(path: Path) -> Contract:
    """What a WSDL says, with all that it imports. Raises ConfigError for one that cannot be used."""
    path = path.resolve()
    soap, root = soap_contract(path), parse_xml(path.read_bytes())
    about = _told(root)
    names = [name for name in about if name in soap.operations] + sorted(soap.operations - about.keys())
    return Contract(
        "soap", path, title=_title(root), base=soap.address,
        operations=tuple(_operation(path, soap, name, about.get(name, "")) for name in names),
    )  # fmt: skip


def fields_of(nodes: Sequence[Node], where: str = "", required: bool = True) -> Iterator[Field]:
    """The values that nodes hold, each with its place. `required`: whether what they stand in must be there."""
    for node in nodes:
        place = f"{where}/{node.name}" if where else node.name
        must = required and node.required
        if node.parts:
            yield from fields_of(node.parts, f"{place}/0" if node.many else place, must and not node.may_be_nil)
        elif node.type != "any" or node.built_in:
            yield Field(
                f"{place}/0" if node.many else place, node.type, must, about=node.about, example=node.default,
                choices=node.choices, limits=node.limits, nullable=node.nullable,
            )  # fmt: skip


def list_in(node: Node) -> str | None:
    """Where an answer holds its list of records; None for one that gives one record."""
    place: list[str] = []
    for _ in range(_DEEP):
        records = [part for part in node.parts if part.many and part.parts]
        inside = [part for part in node.parts if part.parts and not part.many]
        if len(records) == 1 and not inside:
            return "/".join([*place, records[0].name])
        if records or len(inside) != 1:
            return None
        node = inside[0]
        place.append(node.name)
    return None


def _operation(path: Path, soap: SoapContract, name: str, about: str) -> Operation:
    schemas = schemas_of(path)
    answer = schemas.body(name, answer=True)
    lists = list_in(answer)
    given = answer.parts
    for step in lists.split("/") if lists else ():
        given = next(part.parts for part in given if part.name == step)
    return Operation(
        name, about, tuple(fields_of(schemas.body(name).parts)), tuple(fields_of(given)), lists,
        harmless=_HARMLESS.match(name) is not None, faults=tuple(_codes(schemas.detail(name))),
    )  # fmt: skip


def code_in(detail: Node) -> Node | None:
    """What names a fault, of what stands in its `<detail>`."""
    named = [part for part in detail.parts if not part.parts and _CODE.fullmatch(part.name)]
    return min(named, key=lambda part: (not part.choices, "code" not in part.name.lower()), default=None)


def _codes(details: Sequence[Node]) -> Iterator[str]:
    """The ways inside a `<detail>` to what names the fault: `RefusMetier/code`."""
    for node in details:
        code = code_in(node)
        yield node.name if code is None else f"{node.name}/{code.name}"


def _told(root: Element) -> Mapping[str, str]:
    """What the file says of each operation, in its order."""
    found: dict[str, str] = {}
    for one in root.iterfind(f"{{{WSDL}}}portType/{{{WSDL}}}operation"):
        notes = one.iterfind(f"{{{WSDL}}}documentation")
        said = " ".join(str(text) for note in notes for text in note.itertext())
        found.setdefault(one.get("name", ""), " ".join(said.split()))
    return found


def _title(root: Element) -> str:
    service = root.find(f"{{{WSDL}}}service")
    return root.get("name") or (service.get("name") if service is not None else None) or ""
