"""What is remembered of a full dump until the next: of each key and each group of watched columns a keyed digest.

It lives in the cursor, which is committed with the events: 26 bytes a key with two groups, so that a town of 100,000
rows takes 3.5 MB of text, read back only when a new dump lies there. Nobody who reads it learns a key or a value: the
digests are drawn with a secret that only this hub has.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import struct
import unicodedata
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MAX_GROUPS = 8
REMEMBERED = 30  # dumps for which a key that is no longer there is still known
_KEY, _VALUE = 8, 6
UNTOLD = b"\xff" * _VALUE
"""Of a group that is to be told whatever it holds."""
UNKNOWN = b"\0" * _VALUE
"""Of a group that nothing is known of: its next value is remembered, and not told."""


@dataclass(slots=True)
class Known:
    """One key. `revision`: grows with each change that is told. `values`: a digest of each group. `pending`: one bit a
    group, set from before its change is told until that is committed for sure. `absent`: in how many dumps in a row it
    was missing."""

    revision: int
    values: list[bytes]
    pending: int = 0
    absent: int = 0


class Digests:
    """Digests under the secret of this hub and connection."""

    def __init__(self, secret: bytes) -> None:
        self._key = hashlib.sha256(secret + b"\0dump").digest()

    def of_key(self, key: str) -> bytes:
        return self._drawn(b"key\0" + key.encode(), _KEY)

    def of_values(self, cells: Iterable[str]) -> bytes:
        """The same for the same letters, however spaces or accents are coded."""
        said = "\x1f".join(" ".join(unicodedata.normalize("NFC", cell).split()) for cell in cells)
        return self._drawn(b"values\0" + said.encode(), _VALUE)

    def of_file(self, content: bytes) -> str:
        """What tells this export from any other."""
        return self._drawn(b"file\0" + content, _KEY).hex()

    @property
    def mark(self) -> str:
        """What tells this secret from another."""
        return self._drawn(b"mark", _KEY).hex()

    def _drawn(self, content: bytes, size: int) -> bytes:
        return hashlib.blake2b(content, digest_size=size, key=self._key).digest()


@dataclass(slots=True)
class DumpState:
    """All that is known. `file`, `written`: the last dump that was taken or begun, and when it was written, in
    nanoseconds. `first`: nobody was in it so far. `forgotten`: a state is there that this hub cannot read, as after its secret was changed."""

    known: dict[bytes, Known] = field(default_factory=dict)
    file: str = ""
    written: int = 0
    first: bool = True
    forgotten: bool = False

    @staticmethod
    def read(cursor: Mapping[str, Any] | None, digests: Digests, groups: Sequence[str]) -> DumpState:
        """What `to_cursor` made. `groups`: what each group is of; one that was not there then is UNKNOWN of all."""
        if not cursor:
            return DumpState()
        try:
            written = int(cursor["written"])
            if cursor["secret"] != digests.mark:
                return DumpState(written=written, forgotten=True)
            known = _unpacked(zlib.decompress(base64.b64decode(cursor["known"])), cursor["groups"], groups)
        except (KeyError, TypeError, ValueError, binascii.Error, zlib.error, struct.error):
            return DumpState(forgotten=True)
        return DumpState(known, str(cursor.get("file", "")), written, first=not known)

    def to_cursor(self, digests: Digests, groups: Sequence[str]) -> Mapping[str, Any]:
        shape = _shape(len(groups))
        packed = b"".join(
            shape.pack(key, one.absent, one.pending, one.revision, b"".join(one.values))
            for key, one in sorted(self.known.items())
        )
        text = base64.b64encode(zlib.compress(packed, 1)).decode()
        return {
            "secret": digests.mark,
            "groups": list(groups),
            "file": self.file,
            "written": self.written,
            "known": text,
        }

    @property
    def present(self) -> int:
        """How many keys the last dump held."""
        return sum(not one.absent for one in self.known.values())


def group_of(spec: Mapping[str, Any]) -> str:
    """What tells one group of watched columns from another, or from what it was before its table was changed."""
    said = "\x1f".join([spec["type"], spec.get("on", "change"), *spec.get("watch", ())])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _shape(groups: int) -> struct.Struct:
    return struct.Struct(f">{_KEY}sBBI{_VALUE * groups}s")


def _unpacked(packed: bytes, before: Sequence[str], groups: Sequence[str]) -> dict[bytes, Known]:
    places = [list(before).index(group) if group in before else None for group in groups]
    found = {}
    for key, absent, pending, revision, joined in _shape(len(before)).iter_unpack(packed):
        values = [UNKNOWN if at is None else joined[at * _VALUE : (at + 1) * _VALUE] for at in places]
        bits = sum(1 << new for new, at in enumerate(places) if at is not None and pending >> at & 1)
        found[key] = Known(revision, values, bits, absent)
    return found
