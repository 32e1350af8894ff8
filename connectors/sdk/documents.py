"""What comes with a document from outside, made fit for the shared record `document`: its name, its media type."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

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


def attachment_names(documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """A safe, distinct name for each attachment of one delivery: plain ASCII, no folder, no hidden file."""
    return [f"pj-{number:02d}-{_ascii_name(document['name'])}" for number, document in enumerate(documents, start=1)]


def _ascii_name(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem, dot, suffix = re.sub(r"[^A-Za-z0-9._-]+", "_", ascii_name).strip("._-").rpartition(".")
    stem, suffix = (stem, suffix) if dot else (suffix, "")
    return f"{stem[:80].strip('._-') or 'document'}{'.' + suffix[:10] if suffix else ''}"
