"""Addresses in a message: From, To, Reply-To, Cc, written so that no reader can see one that is not there. Pure.

Python's own writer breaks a long name in two and leaves the quotes of one half behind (cpython#80222): a comma in it
then ends the name, and what follows is another recipient. So a name is one plain phrase, or encoded (RFC 2047).
"""

from __future__ import annotations

import base64
import re
import unicodedata
from email.policy import Policy

from schemas.checks import is_visible

_PLAIN = re.compile(r"[A-Za-z0-9]+( [A-Za-z0-9]+)*")
_LONGEST_PLAIN = 60  # characters that fit into one line beside the name of the header
_WORD = 42  # bytes whose base64, with what stands around it, stays below the 75 characters of RFC 2047
_LOCAL = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\u0080-\U0010ffff-]+)*"
)
_DOMAIN = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what IDNA takes for a dot
_KEPT = re.compile("[ßς]")


class AddressLine(str):
    """The value of a header that holds one address, as it goes out: a policy of `email` neither parses nor folds it."""

    name: str

    def __new__(cls, name: str, display: str, address: str) -> AddressLine:
        made = super().__new__(cls, f"{_phrase(display)}\r\n <{address}>" if display else address)
        made.name = name
        return made

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


def mail_address(text: str) -> str | None:
    """One address as mail servers know it: its domain in ASCII (IDNA), its local part as it is. None for what is not
    one address, or holds what cannot be seen."""
    local, _, domain = unicodedata.normalize("NFC", text).rpartition("@")
    if not is_visible(text) or not _LOCAL.fullmatch(local):
        return None
    plain = _ascii_domain(domain)
    address = f"{local}@{plain}"
    fits = len(local.encode()) <= 64 and len(address.encode()) <= 254
    return address if fits and _DOMAIN.fullmatch(plain) else None


def _ascii_domain(domain: str) -> str:
    try:
        return ".".join(map(_ascii_label, _DOTS.split(domain)))
    except UnicodeError:
        return ""


def _ascii_label(label: str) -> str:
    """Python knows IDNA 2003, which made "ss" of "ß": today (RFC 5891) that would be the domain of somebody else."""
    lower = label.lower()
    if not _KEPT.search(lower):
        return label.encode("idna").decode().lower()
    encoded = f"xn--{lower.encode('punycode').decode()}"
    if len(encoded) > 63:
        raise UnicodeError("label too long")
    return encoded


def _phrase(display: str) -> str:
    if len(display) <= _LONGEST_PLAIN and _PLAIN.fullmatch(display):
        return display
    return "\r\n ".join(f"=?utf-8?b?{base64.b64encode(part).decode()}?=" for part in _parts(display))


def _parts(display: str) -> list[bytes]:
    """Its bytes in UTF-8, in pieces that cut no character (RFC 2047 §5)."""
    parts = [b""]
    for character in display:
        encoded = character.encode("utf-8", "replace")
        if len(parts[-1]) + len(encoded) > _WORD:
            parts.append(b"")
        parts[-1] += encoded
    return parts
