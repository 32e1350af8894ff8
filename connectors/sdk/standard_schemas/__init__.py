"""The files that a contract imports: those of its own folder, and what contracts use of the web's own schemas, so that
none is fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

_HERE = Path(__file__).parent
STANDARD: Mapping[str, str] = {
    "http://schemas.xmlsoap.org/soap/encoding": "soap-encoding.xsd",
    "http://www.w3.org/2005/05/xmlmime": "xmlmime.xsd",
    "http://www.w3.org/XML/1998/namespace": "xml.xsd",
    "http://www.w3.org/2001/xml.xsd": "xml.xsd",
}
"""Addresses (of http, without a slash at the end) and our files."""


def contract_file(address: str, folder: Path) -> Path:
    """The file that an address in a contract stands for: its own, one of `STANDARD`, or for another address of the web
    the file of its name in the contract's folder. Raises ValueError for one outside, or that is not there."""
    parts = urlsplit(address)
    if parts.scheme in ("http", "https"):
        known = STANDARD.get(f"http://{parts.netloc}{parts.path}".rstrip("/"))
        path = _HERE / known if known else folder / Path(unquote(parts.path)).name
        if not path.is_file():
            raise ValueError(f"it imports {address}, which is not in its folder as {path.name}")
        return path
    path = Path(unquote(parts.path) if parts.scheme == "file" else address).resolve()
    if parts.scheme not in ("", "file") or not (path.is_relative_to(folder) or path.parent == _HERE):
        raise ValueError(f"{folder.name}: the contract reaches outside its folder")
    return path
