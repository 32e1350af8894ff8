"""What a mail server's reply means: `replies.csv`, whose first line that fits decides. Pure.

The enhanced code (RFC 3463) says what the three digits cannot: whether a no concerns the recipient or us. What concerns
us concerns every message, so not one is refused for it: a person must act.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

from schemas.errors import AccessDenied, HubError, Refused, TryLater, refused_fault

REPLIES = Path(__file__).with_name("replies.csv")
PUTS_OFF = "le serveur de messagerie demande d'attendre"
_ENHANCED = re.compile(rb"([245])\.([0-9]{1,3})\.([0-9]{1,3})(?![0-9.])")


@dataclass(frozen=True, slots=True)
class _Line:
    """What is empty fits all."""

    steps: tuple[str, ...]
    enhanced: tuple[str, ...]
    replies: tuple[str, ...]
    becomes: str
    fault: str

    def fits(self, step: str, enhanced: str, reply: str) -> bool:
        return (
            (not self.steps or step in self.steps)
            and (not self.enhanced or any(fnmatchcase(enhanced, pattern) for pattern in self.enhanced))
            and (not self.replies or any(fnmatchcase(reply, pattern) for pattern in self.replies))
        )


def reply_error(code: int, text: bytes, step: str) -> HubError:
    """What this reply at this step ("connect", a command, "message" after the text) means. Its words are left out,
    since servers repeat addresses in them."""
    enhanced = enhanced_code(code, text)
    said = f"{code} {enhanced}".strip()
    line = next(line for line in _lines() if line.fits(step, enhanced, str(code)))
    detail, native = f"{step}: {said}", enhanced or str(code)
    if line.becomes == "denied":
        message = f"le serveur de messagerie ne nous laisse pas envoyer (code {said})"
        return AccessDenied(message, native=native, detail=detail, fault=line.fault)
    if line.becomes == "refused":
        message = f"le serveur de messagerie refuse ce message (code {said})"
        return Refused(message, native=native, detail=detail, fault=refused_fault(native))
    return TryLater(PUTS_OFF, detail=detail, fault=line.fault)


def enhanced_code(code: int, text: bytes) -> str:
    """The enhanced code at the head of the reply; "" for none, or for one of another class (RFC 2034 §4)."""
    match = _ENHANCED.match(text)
    if match is None or match[1] != str(code)[:1].encode():
        return ""
    return match[0].decode()


@cache
def _lines() -> tuple[_Line, ...]:
    with REPLIES.open(encoding="utf-8", newline="") as file:
        return tuple(_line_of(row) for row in csv.DictReader(file))


def _line_of(row: dict[str, str]) -> _Line:
    steps, enhanced, replies = (tuple(row[name].split()) for name in ("steps", "enhanced", "replies"))
    return _Line(steps, enhanced, replies, row["becomes"], row["fault"])
