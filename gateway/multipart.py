"""A form with one file (RFC 7578), read from bytes that are already within their limit."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message

from gateway.problems import Problem

_MOST_PARTS = 10


@dataclass(frozen=True, slots=True)
class File:
    name: str
    media_type: str
    content: bytes
    kind: str | None = None


def one_file(content_type: str, body: bytes) -> File:
    """The one file of the form; a text field `kind` says what it is. Raises Problem bad_request, cut_short."""
    files, kind = [], None
    for headers, content in _parts(content_type, body):
        if headers.get_filename() is not None:
            files.append((headers, content))
        elif headers.get_param("name", header="content-disposition") == "kind":
            kind = content.decode("utf-8", "replace").strip()[:64] or None
    if len(files) != 1:
        raise Problem("bad_request", "the form must hold one file")
    headers, content = files[0]
    media_type = headers.get_content_type() if "content-type" in headers else "application/octet-stream"
    return File(headers.get_filename() or "document", media_type, content, kind)


def _parts(content_type: str, body: bytes) -> list[tuple[Message, bytes]]:
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_boundary()
    if not boundary or len(boundary) > 70:
        raise Problem("bad_request", "the form has no boundary")
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"), _MOST_PARTS + 1)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Problem("cut_short", "the form has no end, or too many parts")
    return [_part(piece) for piece in pieces[1:-1]]


def _part(piece: bytes) -> tuple[Message, bytes]:
    start, blank, content = piece.partition(b"\r\n\r\n")
    if not blank:
        raise Problem("bad_request", "a part of the form has no header")
    headers = Message()
    for line in start.strip().split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name:
            headers[name.decode("latin-1").strip()] = _decode_header(value).strip()
    return headers, content


def _decode_header(value: bytes) -> str:
    """Browsers write file names as UTF-8."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
