"""ZIP archives that others made: read within bounds, whatever they claim to hold."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Callable

from schemas.errors import InvalidMessage

MAX_MEMBERS = 1_000
MAX_BYTES = 256 * 1024 * 1024  # of all members together, read
_PIECE = 256 * 1024
_UNREADABLE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError, ValueError, KeyError,
    OverflowError, LookupError,
)  # fmt: skip


def is_archive(content: bytes) -> bool:
    return content.startswith(b"PK\x03\x04")


def only_member(content: bytes, wanted: Callable[[str], bool]) -> tuple[str, bytes]:
    """Name and content of the one file that is `wanted`, by its name. Raises InvalidMessage `archive` when there is
    none or more than one, or when it cannot be read, and `too_large`."""
    with _opened(content) as archive:
        found = [one for one in _members(archive) if wanted(one.filename)]
        if len(found) != 1:
            said = f"L'archive doit contenir un seul fichier à lire : elle en a {len(found)}."
            raise InvalidMessage(said, code="archive")
        return found[0].filename, _read(archive, found[0], MAX_BYTES)


def without_compression(content: bytes) -> bytes:
    """The same archive with its members as they are: what reads it next has nothing to inflate. Raises as
    `only_member`."""
    made, left = io.BytesIO(), MAX_BYTES
    with _opened(content) as archive, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as plain:
        for one in _members(archive):
            body = _read(archive, one, left)
            left -= len(body)
            plain.writestr(one.filename, body)
    return made.getvalue()


def _opened(content: bytes) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(content))
    except _UNREADABLE:
        raise _unreadable() from None


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    found = [one for one in archive.infolist() if not one.is_dir()]
    if len(found) > MAX_MEMBERS:
        raise InvalidMessage(f"L'archive contient plus de {MAX_MEMBERS} fichiers.", code="too_large")
    return found


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int) -> bytes:
    """Counted while it is read: what an archive says of its sizes proves nothing."""
    content = bytearray()
    try:
        with archive.open(member) as file:
            while piece := file.read(_PIECE):
                content += piece
                if len(content) > most:
                    raise InvalidMessage("L'archive est trop grande une fois ouverte.", code="too_large")
    except _UNREADABLE:
        raise _unreadable() from None
    return bytes(content)


def _unreadable() -> InvalidMessage:
    return InvalidMessage("L'archive ne se lit pas (abîmée, ou protégée par un mot de passe).", code="archive")
