"""XML from strangers, read safely, and XML of ours, written well. The only file, with `soap.py`, that knows lxml.

A document type declaration is refused whatever it holds: no entity, no external file, no network, ever.
"""

from __future__ import annotations

import codecs
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from lxml import etree

from schemas.errors import InvalidMessage

MAX_BYTES = 10 * 1024 * 1024
MAX_DEPTH = 100
XSD = "http://www.w3.org/2001/XMLSchema"
MENDED = "\ufffd"  # stands in a mended document where there was what no XML may hold

Element = etree._Element
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_MOST_CHILDREN = 20_000  # of one element that are looked at for its shape

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
    content: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH, large_text: bool = False,
    charset: str = "", mend: bool = False,
) -> Element:  # fmt: skip
    """The root of a document; comments and processing instructions are left out. Its encoding is that of its byte order
    mark, else of its declaration, else `charset`, else UTF-8; what stands before the declaration and is blank is passed
    over. `large_text` allows texts of more than 10 MB (documents in base64). `mend`: bytes that are not of the
    encoding, and characters that no XML may hold, become `MENDED`, so that one of them does not hide all the others.

    Raises InvalidMessage (`not_xml`, `xml_too_large`, `xml_too_deep`, `xml_dtd`), which never echoes the content.
    """
    if len(content) > max_bytes:
        raise InvalidMessage(f"le XML dépasse {max_bytes} octets", code="xml_too_large")
    try:
        root = _root(in_utf8(content, charset), large_text)
    except (etree.XMLSyntaxError, ValueError) as error:
        if not mend:
            raise _not_xml(error) from None
        root = _mended_root(content, charset, large_text)
    if root.getroottree().docinfo.doctype:  # type: ignore[attr-defined]
        raise _no_dtd()
    _check_depth(root, max_depth)
    return root


def in_utf8(content: bytes, charset: str = "", errors: str = "strict") -> bytes:
    """A document in UTF-8, whatever encoding it is in (see `parse_xml`), from its first character on. Raises ValueError
    for an encoding that is none, or unknown."""
    encoding, mark = _encoding(content, charset)
    if encoding == "utf-8" and errors == "strict":  # which the parser checks
        return content[mark:].lstrip()
    return content[mark:].decode(encoding, errors).lstrip().encode()


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


def text_by_names(element: Element, path: str) -> str | None:
    """As `text_at`, with the names alone, whatever their namespaces ("Refus/code"); "" for an element without a text,
    None for no such element."""
    found: Element | None = element
    for name in path.split("/"):
        found = next((child for child in found if local_name(child) == name), None) if found is not None else None
    return None if found is None else _trimmed_text(found)


def as_tree(element: Element) -> Any:
    """An element as records of lists, for its shape: a text is `""`, an attribute `@` and its name; nothing is None."""
    tree: dict[str, Any] = {}
    for name, value in element.attrib.items():
        if name == _NIL and value in ("true", "1"):
            return None
        tree[f"@{str(name).rpartition('}')[2]}"] = ""
    for child in islice(element, _MOST_CHILDREN):
        if isinstance(child.tag, str):
            tree.setdefault(child.tag.rpartition("}")[2], []).append(as_tree(child))
    if not tree:
        return "" if (element.text or "").strip() else None
    return tree | ({"#text": ""} if (element.text or "").strip() else {})


def is_xsd_value(text: str, type_name: str) -> bool:
    """Whether `text` is a value of a type that XML Schema itself has ("date", "unsignedByte")."""
    element = etree.Element("value")
    element.text = text
    schema = _type_alone(type_name)
    with _validating:
        return bool(schema.validate(element))


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


def add_all(parent: Element, said: Mapping[str, Any]) -> Element:
    """Append what a table says, in its order: a text, a table of elements inside, or a list for one that repeats; None
    is left out. The parent. Raises as `add`."""
    for tag, value in said.items():
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, Mapping):
                add_all(add(parent, tag), one)
            elif one is not None:
                add(parent, tag, str(one))
    return parent


def write_xml(root: Element, *, encoding: str = "UTF-8", pretty: bool = False) -> bytes:
    """The document with its declaration. What `encoding` lacks is written as a reference (`&#128512;`)."""
    # Encoded here, since the C library that libxml2 would ask leaves out U+E0000 to U+E007F without a word.
    text = str(etree.tostring(root, encoding="unicode", pretty_print=pretty))
    return f"<?xml version='1.0' encoding='{encoding}'?>\n{text}".encode(encoding, "xmlcharrefreplace")


def _trimmed_text(element: Element) -> str:
    return "".join(str(part) for part in element.itertext()).strip()


_MARKS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_UNMARKED = ((re.compile(rb"(?:\s\0)*<\0"), "utf-16-le"), (re.compile(rb"(?:\0\s)*\0<"), "utf-16-be"))
_DECLARED = re.compile(rb"\s*<\?xml\s[^>]{0,200}?\bencoding\s*=\s*[\"']([A-Za-z0-9._:-]{1,40})[\"']")
# Others are no encodings of text, or take long to read.
_KNOWN = re.compile(r"ascii|utf-8|iso8859-\d+|cp125\d|cp850|mac-roman|utf-(16|32)(-[lb]e)?")
_NEVER = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9A-Fa-f]+)|([0-9]+));")


def _encoding(content: bytes, charset: str) -> tuple[str, int]:
    """The encoding of a document (XML 1.0, appendix F), and the length of its byte order mark."""
    for mark, name in _MARKS:
        if content.startswith(mark):
            return name, len(mark)
    for start, name in _UNMARKED:
        if start.match(content):
            return name, 0
    declared = _DECLARED.match(content)
    name = _known(declared[1].decode()) if declared else ""
    # A declaration that is read byte by byte is in no encoding of two bytes, whatever it says: .NET writes such.
    return (name if name and not name.startswith(("utf-16", "utf-32")) else _known(charset) or "utf-8"), 0


def _known(label: str) -> str:
    """The name of an encoding of text; "" for no label. Raises ValueError for another."""
    if not label:
        return ""
    try:
        name = codecs.lookup(label).name
    except LookupError:
        name = label
    if not _KNOWN.fullmatch(name):
        raise ValueError("this encoding is not read")
    return "utf-8" if name == "ascii" else name  # what is ASCII is UTF-8, and what is called so often is


def _mended_root(content: bytes, charset: str, large_text: bool) -> Element:
    try:
        text = in_utf8(content, charset, "replace").decode()
        return _root(_REFERENCE.sub(_allowed_reference, _NEVER.sub(MENDED, text)).encode(), large_text)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _not_xml(error) from None


def _allowed_reference(found: re.Match[str]) -> str:
    digits = (found[1] or found[2]).lstrip("0")
    number = int(digits or "0", 16 if found[1] else 10) if len(digits) <= 7 else 0x110000
    never = number > 0x10FFFF or 0xD800 <= number <= 0xDFFF or _NEVER.fullmatch(chr(number))
    return MENDED if never else found[0]


def _root(document: bytes, large_text: bool) -> Element:
    if large_text and b"<!DOCTYPE" in document:  # the parser's own limits on entities are off for large texts
        raise _no_dtd()
    return etree.fromstring(document, _safe_parser(large_text))


def _not_xml(error: Exception) -> InvalidMessage:
    line = getattr(error, "lineno", None)
    return InvalidMessage(f"le XML est illisible (ligne {line})" if line else "le XML est illisible", code="not_xml")


def _no_dtd() -> InvalidMessage:
    return InvalidMessage("une déclaration de type de document n'est pas admise", code="xml_dtd")


def _safe_parser(large_text: bool) -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, attribute_defaults=False,
        huge_tree=large_text, encoding="UTF-8", remove_comments=True, remove_pis=True,
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


@cache
def _type_alone(type_name: str) -> etree.XMLSchema:
    xsd = new_root(f"{{{XSD}}}schema", {"xs": XSD})
    etree.SubElement(xsd, f"{{{XSD}}}element", name="value", type=f"xs:{type_name}")
    return etree.XMLSchema(xsd)


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
