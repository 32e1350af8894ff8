"""The files of a WSDL: itself and all that it imports, to be written down elsewhere; and what of them some operations
need."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from connectors.sdk.contract.model import NOWHERE
from connectors.sdk.contract.wsdl_imports import WSDL, wsdl_paths
from connectors.sdk.xml import XSD, Element, local_name, namespace, parse_xml, write_xml

_PROSE = ("documentation", "annotation")
_NAMES = ("type", "base", "ref", "element", "itemType", "memberTypes", "substitutionGroup", "message", "binding")
Name = tuple[str, str]
"""Namespace and local name of a global component."""


def wsdl_files(wsdl: Path) -> dict[str, bytes]:
    """Each file by its path beside the WSDL, which comes first. Raises ValueError for one that is not there."""
    return {path.relative_to(wsdl.parent).as_posix(): path.read_bytes() for path in wsdl_paths(wsdl)}


def reduced_files(wsdl: Path, operations: Collection[str]) -> dict[str, bytes]:
    """The same with these operations and the types that they need alone, without prose and the vendor's host."""
    roots = {path: parse_xml(path.read_bytes()) for path in wsdl_paths(wsdl)}
    for root in roots.values():
        _without_others(root, operations)
        _without_host(root)
    known = {name: node for root in roots.values() for schema in _schemas(root) for name, node in _globals(schema)}
    needed = _reached([name for root in roots.values() for name in _named_in_messages(root)], known)
    for root in roots.values():
        for schema in _schemas(root):
            for name, node in list(_globals(schema)):
                if name not in needed:
                    schema.remove(node)
    return {path.relative_to(wsdl.parent).as_posix(): write_xml(root) for path, root in roots.items()}


def _without_others(root: Element, operations: Collection[str]) -> None:
    """Without prose, and without the operations and the messages of others."""
    for node in [one for one in root.iter() if local_name(one) in _PROSE and namespace(one) in (XSD, WSDL)]:
        _remove(node)
    for node in list(root.iter(f"{{{WSDL}}}operation")):
        if node.get("name") not in operations:
            _remove(node)
    for node in [*root.iter(f"{{{WSDL}}}portType"), *root.iter(f"{{{WSDL}}}binding")]:
        if node.find(f"{{{WSDL}}}operation") is None:
            _remove(node)
    kept = {_local(node.get("binding", "")) for node in root.iter(f"{{{WSDL}}}port")}
    bindings = {node.get("name") for node in root.iter(f"{{{WSDL}}}binding")}
    for node in list(root.iter(f"{{{WSDL}}}port")) if kept else ():
        if _local(node.get("binding", "")) not in bindings:
            _remove(node)
    for node in list(root.iter(f"{{{WSDL}}}service")):
        if node.find(f"{{{WSDL}}}port") is None:
            _remove(node)
    said = {_local(node.get("message", "")) for node in root.iter() if node.get("message")}
    for node in list(root.iter(f"{{{WSDL}}}message")):
        if node.get("name") not in said:
            _remove(node)


def _without_host(root: Element) -> None:
    for port in root.iter(f"{{{WSDL}}}port"):
        for node in (one for one in port if one.get("location")):
            node.set("location", f"https://{NOWHERE}{urlsplit(node.get('location', '')).path}")


def _named_in_messages(root: Element) -> Iterator[Name]:
    for part in root.iter(f"{{{WSDL}}}part"):
        yield from _references(part)


def _reached(first: list[Name], known: Mapping[Name, Element]) -> set[Name]:
    """Those, and what they are made of."""
    found: set[Name] = set()
    while first:
        name = first.pop()
        if name not in found:
            found.add(name)
            first += [one for node in known[name].iter() for one in _references(node)] if name in known else []
    heads = {one: node.get("substitutionGroup") for one, node in known.items() if node.get("substitutionGroup")}
    more = [name for name, _ in heads.items() if name not in found and set(_references(known[name])) & found]
    return found | _reached(more, known) if more else found


def _references(node: Element) -> Iterator[Name]:
    for key in _NAMES:
        for word in (node.get(key) or "").split():
            prefix, _, name = word.rpartition(":")
            yield node.nsmap.get(prefix or None) or "", name


def _schemas(root: Element) -> list[Element]:
    return [root] if root.tag == f"{{{XSD}}}schema" else list(root.iter(f"{{{XSD}}}schema"))


def _globals(schema: Element) -> Iterator[tuple[Name, Element]]:
    for node in schema:
        if node.get("name"):
            yield (schema.get("targetNamespace") or "", str(node.get("name"))), node


def _remove(node: Element) -> None:
    parent = node.getparent()
    if parent is not None:
        parent.remove(node)


def _local(name: str) -> str:
    return name.rpartition(":")[2]
