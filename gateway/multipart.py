"""A form with one file (RFC 7578), read from bytes that are already within their limit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message

from gateway.problems import Problem

_MOST_PARTS = 10
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")  # RFC 2046 §5.1.1
_KIND = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_KIND_LETTERS = 64


@dataclass(frozen=True, slots=True)
class File:
    name: str
    media_type: str
    content: bytes
    kind: str | None = None


def one_file(content_type: str, body: bytes) -> File:
    """The one file of the form; a text field `kind` says what it is. Raises Problem: bad_request, bad_form,
    kind_refused, cut_short."""
    files, kind = [], None
    for headers, content in _parts(content_type, body):
        if file_name(headers) is not None:
            files.append((headers, content))
        elif headers.get_param("name", header="content-disposition") == "kind":
            kind = _kind(content)
    if len(files) != 1:
        raise Problem("bad_request", "the form must hold one file")
    headers, content = files[0]
    media_type = headers.get_content_type() if "content-type" in headers else "application/octet-stream"
    return File(file_name(headers) or "document", media_type, content, kind)


def _kind(content: bytes) -> str | None:
    kind = content.decode("utf-8", "replace").strip()
    if kind and (len(kind) > _KIND_LETTERS or not _KIND.fullmatch(kind)):
        raise Problem("kind_refused", f"a slug of at most {_KIND_LETTERS} characters, such as site-plan", "/kind")
    return kind or None


def file_name(headers: Message) -> str | None:
    """What `Content-Disposition` calls the file. Raises Problem bad_form."""
    try:
        return headers.get_filename()
    except (ValueError, LookupError, TypeError):  # an encoding (RFC 2231) that is none
        raise Problem("bad_form", "the name of the file cannot be read") from None


def _parts(content_type: str, body: bytes) -> list[tuple[Message, bytes]]:
    pieces = (b"\r\n" + body).split(b"\r\n--" + _boundary(content_type), _MOST_PARTS + 1)
    if len(pieces) < 2 or not pieces[-1].startswith(b"--"):
        raise Problem("cut_short", "the form has no end, or too many parts")
    return [_part(piece) for piece in pieces[1:-1]]


def _boundary(content_type: str) -> bytes:
    head = Message()
    head["content-type"] = content_type
    try:
        boundary = (head.get_boundary() or "").encode("ascii")
    except (ValueError, LookupError, TypeError):  # `boundary*`, an encoding (RFC 2231) of what is not ASCII, or none
        raise Problem("bad_form", "the boundary of the form cannot be read") from None
    if not boundary:
        raise Problem("bad_request", "the form has no boundary")
    if not _BOUNDARY.fullmatch(boundary):
        raise Problem("bad_form", "the boundary of the form is not one (RFC 2046)")
    return boundary


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
