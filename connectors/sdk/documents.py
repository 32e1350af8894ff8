"""What comes with a document from outside, made fit for the shared record `document`: its name, its media type."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sdk.multipart import decode_base64
from schemas.errors import InvalidMessage
from schemas.names import ascii_letters

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")  # RFC 6838 §4.2
_LONGEST_NAME = 255


def file_name(given: str | None, fallback: str = "document") -> str:
    """A name that cannot step out of a folder nor hide its end: the last part of a path, without what does not print;
    `fallback` when nothing is left."""
    last = (given or "").replace("\\", "/").rpartition("/")[2]
    shown = "".join(c if c.isprintable() else " " if c.isspace() else "" for c in last)
    name = shown.strip()[-_LONGEST_NAME:]
    return name if name.strip(".") else fallback


def media_type(given: str | None) -> str:
    """`type/subtype` without parameters; `application/octet-stream` for what is none."""
    media = (given or "").partition(";")[0].strip()
    return media if _MEDIA_TYPE.fullmatch(media) else "application/octet-stream"


def decoded_file(content: object, most: int, pointer: str) -> bytes:
    """A file that stands in JSON as base64. Raises InvalidMessage, at `pointer`, for what is none, and for more than
    `most` bytes: a text that must be too long is not even decoded."""
    if not isinstance(content, str):
        raise InvalidMessage("le contenu du fichier manque", pointer=pointer, code="file_without_content")
    too_large = InvalidMessage(f"fichier de plus de {most // 1024**2} Mio", pointer=pointer, code="document_too_large")
    if len(content) > most * 3 // 2:
        raise too_large
    try:
        decoded = decode_base64(content)
    except ValueError:
        raise InvalidMessage("le contenu du fichier n'est pas du base64", pointer=pointer, code="bad_base64") from None
    if len(decoded) > most:
        raise too_large
    return decoded


def attachment_names(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """A safe, distinct name for each attachment of one delivery: plain ASCII, no folder, no hidden file."""
    return [f"pj-{number:02d}-{_ascii_name(document['name'])}" for number, document in enumerate(documents, start=1)]


def _ascii_name(name: str) -> str:
    stem, dot, suffix = re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_letters(name)).strip("._-").rpartition(".")
    stem, suffix = (stem, suffix) if dot else (suffix, "")
    return f"{stem[:80].strip('._-') or 'document'}{'.' + suffix[:10] if suffix else ''}"
