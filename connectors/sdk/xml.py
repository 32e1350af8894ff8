"""XML from strangers, read safely, and XML of ours, written well. The only file, with `soap.py`, that knows lxml.

A document type declaration is refused whatever it holds: no entity, no external file, no network, ever.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lxml import etree

from schemas.errors import InvalidMessage

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 100

Element = etree._Element

_validating = threading.Lock()  # a compiled schema holds the faults of its last run


@dataclass(frozen=True, slots=True)
class XsdFault:
    """Where a document breaks its schema, and by which rule. Holds names of elements, never their content."""

    path: str
    rule: str
    line: int

    def __str__(self) -> str:
        return f"{self.path} (line {self.line}): {self.rule}"


def parse_xml(
    content: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, large_text: bool = False
) -> Element:
    """The root of a document; comments and processing instructions are left out. `large_text` allows texts of more
    than 10 MB (documents in base64) and wants UTF-8, whatever the declaration says.

    Raises InvalidMessage (`not_xml`, `xml_too_large`, `xml_too_deep`, `xml_dtd`), which never echoes the content.
    """
    if len(content) > max_bytes:
        raise InvalidMessage(f"le XML dépasse {max_bytes} octets", code="xml_too_large")
    if large_text and b"<!DOCTYPE" in content:  # the parser's own limits on entities are off for large texts
        raise InvalidMessage("une déclaration de type de document n'est pas admise", code="xml_dtd")
    try:
        root = etree.fromstring(content, _safe_parser(large_text))
    except (etree.XMLSyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise InvalidMessage(
            f"le XML est illisible (ligne {line})" if line else "le XML est illisible", code="not_xml"
        ) from None
    if root.getroottree().docinfo.doctype:  # type: ignore[union-attr]
        raise InvalidMessage("une déclaration de type de document n'est pas admise", code="xml_dtd")
    _check_depth(root, max_depth)
    return root


def validate_xsd(document: Element, xsd_path: Path) -> list[XsdFault]:
    """Every breach of the schema, in order; an empty list means valid. The schema and what it imports are local files
    in or below its own folder: nothing is fetched. Raises ValueError when the schema itself is unusable."""
    schema = _schema(xsd_path.resolve())
    with _validating:
        if schema.validate(document):
            return []
        entries = [(entry.path, entry.type_name, entry.line) for entry in schema.error_log]  # type: ignore[attr-defined]
    return [XsdFault(_named_path(document, path), _rule(name), line) for path, name, line in entries]


def local_name(element: Element) -> str:
    """The tag without its namespace."""
    return etree.QName(element).localname


def namespace(element: Element) -> str:
    """The namespace of the tag; "" when it has none."""
    return etree.QName(element).namespace or ""


def text_at(element: Element, path: str, namespaces: Mapping[str, str] | None = None) -> str | None:
    """The trimmed text of the first element at `path` (ElementPath: "a/b", "p:a/p:b"); None when absent or empty."""
    found = element.find(path, dict(namespaces or {}))
    return None if found is None else _trimmed_text(found) or None


def texts_at(element: Element, path: str, namespaces: Mapping[str, str] | None = None) -> list[str]:
    """The trimmed texts of all elements at `path`, empty ones included."""
    return [_trimmed_text(found) for found in element.findall(path, dict(namespaces or {}))]


def new_root(tag: str, namespaces: Mapping[str | None, str] | None = None) -> Element:
    """The root of a new document. `tag` may be "{namespace}name"; the key None declares the default namespace."""
    return etree.Element(tag, nsmap=dict(namespaces or {}))  # type: ignore[arg-type]


def add(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """Append an element; a tag without a namespace takes its parent's. Raises InvalidMessage (`not_xml_text`) for
    characters that no XML may hold."""
    name = tag if tag.startswith("{") or not namespace(parent) else f"{{{namespace(parent)}}}{tag}"
    child = etree.SubElement(parent, name)
    try:
        child.text = text
        for key, value in attributes.items():
            child.set(key, value)
    except ValueError:
        raise InvalidMessage("le texte contient des caractères que XML n'admet pas", code="not_xml_text") from None
    return child


def write_xml(root: Element, *, encoding: str = "UTF-8", pretty: bool = False) -> bytes:
    """The document with its declaration. What `encoding` lacks is written as a reference (`&#128512;`)."""
    # Encoded here, since the C library that libxml2 would ask leaves out U+E0000 to U+E007F without a word.
    text = str(etree.tostring(root, encoding="unicode", pretty_print=pretty))
    return f"<?xml version='1.0' encoding='{encoding}'?>\n{text}".encode(encoding, "xmlcharrefreplace")


def _trimmed_text(element: Element) -> str:
    return "".join(str(part) for part in element.itertext()).strip()


def _safe_parser(large_text: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, attribute_defaults=False,
        huge_tree=large_text, encoding="UTF-8" if large_text else None, remove_comments=True, remove_pis=True,
    )  # fmt: skip


def _check_depth(root: Element, max_depth: int) -> None:
    level: list[Element] = [root]
    for _ in range(max_depth):
        level = [child for element in level for child in element]
        if not level:
            return
    raise InvalidMessage(f"le XML est imbriqué sur plus de {max_depth} niveaux", code="xml_too_deep")


class _LocalOnly(etree.Resolver):
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resolve(self, system_url: str, public_id: str, context: Any = None) -> Any:
        parts = urlsplit(system_url)
        path = Path(unquote(parts.path)).resolve()
        if parts.scheme not in ("", "file") or not path.is_relative_to(self.folder):
            raise ValueError(f"{self.folder.name}: a schema reaches outside its folder")
        return self.resolve_filename(str(path), context)  # type: ignore[attr-defined]


@cache
def _schema(xsd_path: Path) -> etree.XMLSchema:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    parser.resolvers.add(_LocalOnly(xsd_path.parent))
    try:
        return etree.XMLSchema(etree.parse(str(xsd_path), parser))
    except (etree.LxmlError, OSError) as error:
        raise ValueError(f"{xsd_path.name}: not a usable schema ({type(error).__name__})") from error


def _rule(type_name: str) -> str:
    return type_name.removeprefix("SCHEMAV_").removeprefix("CVC_").lower().replace("_", " ")


def _named_path(document: Element, path: str | None) -> str:
    """The place of a fault with the names of the elements (`/demande/individu[2]`): libxml2 gives `/*/*[2]`."""
    prefixes = {name: uri for element in document.iter() for name, uri in element.nsmap.items() if name}
    try:
        found = document.getroottree().xpath(path or "/*", namespaces=prefixes)
    except etree.XPathError:
        found = []
    if not isinstance(found, list) or not found or not isinstance(found[0], Element):
        return path or "/"
    return "/" + "/".join(reversed(list(_steps(found[0]))))


def _steps(element: Element) -> Iterator[str]:
    current: Element | None = element
    while current is not None:
        twins = [] if (parent := current.getparent()) is None else parent.findall(current.tag)
        yield local_name(current) + (f"[{twins.index(current) + 1}]" if len(twins) > 1 else "")
        current = parent
