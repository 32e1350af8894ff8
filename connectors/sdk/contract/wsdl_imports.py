"""The files of a WSDL: itself, and all that it imports or includes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from connectors.sdk.standard_schemas import contract_file, is_standard
from connectors.sdk.xml import XSD, local_name, namespace, parse_xml

WSDL = "http://schemas.xmlsoap.org/wsdl/"
_IMPORTS = ("import", "include", "redefine")


def wsdl_paths(wsdl: Path) -> list[Path]:
    """Each file once, the WSDL first. Raises ValueError for one that is not there or outside the folder, InvalidMessage
    for one that is no XML."""
    found: list[Path] = []
    waiting = [wsdl]
    while waiting:
        path = waiting.pop(0)
        if path not in found:
            found.append(path)
            waiting += list(_imported(path, wsdl.parent))
    return found


def _imported(path: Path, folder: Path) -> Iterator[Path]:
    for node in parse_xml(path.read_bytes()).iter():
        address = node.get("schemaLocation") or node.get("location") or ""
        if namespace(node) in (XSD, WSDL) and local_name(node) in _IMPORTS and address and not is_standard(address):
            yield contract_file(address if "://" in address else str(path.parent / address), folder)
