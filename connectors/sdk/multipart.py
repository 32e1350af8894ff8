"""An answer of several parts taken apart (RFC 2046 §5.1.1, RFC 2387): a message, and documents beside it (MTOM)."""

from __future__ import annotations

import base64
import binascii
import quopri
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesHeaderParser


@dataclass(frozen=True, slots=True)
class Parts:
    """`root`: the part that the others belong to. `beside`: the others and itself, by Content-ID without brackets."""

    root: bytes = field(repr=False)
    charset: str = ""
    beside: Mapping[str, bytes] = field(default_factory=dict, repr=False)


def parts_of(content_type: str, body: bytes) -> Parts:
    """The parts of an answer; one that is not of several parts is its own root. Raises ValueError for one whose parts
    cannot be told apart, or that ends before its last boundary."""
    kind = _kind(content_type)
    if kind.get_content_maintype() != "multipart":
        return Parts(body, _charset(kind))
    found = [_part(piece) for piece in _pieces(body, kind.get_boundary() or "")]
    start = str(kind.get_param("start") or "").strip("<> ")
    by_id = {_id(head): content for head, content in found}
    root, content = next(((head, content) for head, content in found if _id(head) == start), found[0])
    return Parts(content, _charset(root), by_id)


def _pieces(body: bytes, boundary: str) -> list[bytes]:
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode("latin-1"))
    if not boundary or len(pieces) < 3 or not pieces[-1].startswith(b"--"):
        raise ValueError("the parts cannot be told apart")
    return pieces[1:-1]


def _part(piece: bytes) -> tuple[Message, bytes]:
    head, _, content = piece.partition(b"\r\n\r\n")
    fields = BytesHeaderParser().parsebytes(head.lstrip() + b"\r\n\r\n")
    match str(fields.get("content-transfer-encoding", "")).strip().lower():
        case "base64":
            return fields, decode_base64(content.decode("ascii"))
        case "quoted-printable":
            return fields, quopri.decodestring(content)
    return fields, content


def decode_base64(text: str) -> bytes:
    """What base64 stands for, blanks aside. Raises ValueError for anything that is not base64 from end to end: Python
    leaves out what it does not know."""
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("this is not base64") from error


def _id(head: Message) -> str:
    return str(head.get("content-id", "")).strip("<> ")


def _charset(kind: Message) -> str:
    return str(kind.get_content_charset() or "")


def _kind(content_type: str) -> Message:
    kind = Message()
    kind["content-type"] = content_type
    return kind
