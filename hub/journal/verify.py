"""Checks an export of the journal without the hub: this file, the standard library and `cryptography` are enough.

    python -m hub.journal.verify FILE [KEY ...]

An export is lines of JSON: a header; then, segment by segment, the seal and the journal's lines; an end. A line is
hashed as it is written, byte by byte. The hashes of a segment make a Merkle tree as in RFC 6962; its root stands in the
seal, which is signed (Ed25519) and holds the hash of the seal before it. The end signs the number of lines and a digest
of the whole file. In an export of a part, each line is followed by its inclusion proof instead.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "unefois journal 1"
SEAL, END = b"unefois journal seal 1\n", b"unefois journal export 1\n"
"""What a signature is about stands before what is signed: one kind is never taken for another."""
START = "0" * 64
"""Stands before the first seal."""
FLOOR_DAYS = 366
"""Twelve months in any year, the least that lines are kept: regulation (EU) 2022/1463 art. 17."""
_LINE = b'{"n":'
_MOST = 16 * 1024 * 1024  # bytes of one line of a file

Seal = Mapping[str, Any]


# --- hashes -------------------------------------------------------------------------------------------------------


def leaf_hash(line: bytes) -> bytes:
    return hashlib.sha256(b"\0" + line).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


class MerkleTree:
    """The Merkle tree hash of RFC 6962 over leaves that come one by one."""

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._whole: list[bytes] = []  # of the complete subtrees, the largest first
        for leaf in leaves:
            self.add(leaf)

    def add(self, leaf: bytes) -> None:
        whole, size = self._whole, self.size
        self.size += 1
        while size & 1:
            leaf = _node(whole.pop(), leaf)
            size >>= 1
        whole.append(leaf)

    def root(self) -> bytes:
        if not self._whole:
            return hashlib.sha256(b"").digest()
        *others, root = self._whole
        for left in reversed(others):
            root = _node(left, root)
        return root


class Proofs:
    """All inclusion proofs of one tree."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels = [list(leaves)]
        while len(level := self._levels[-1]) > 1:
            above = [_node(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
            self._levels.append(above + level[len(above) * 2 :])  # who has nobody beside goes up as it is

    def of(self, index: int) -> list[bytes]:
        """The hashes beside the way from one leaf to the root, from below."""
        beside = ((level, (index >> height) ^ 1) for height, level in enumerate(self._levels))
        return [level[at] for level, at in beside if at < len(level)]


def root_by(path: Sequence[bytes], leaf: bytes, index: int, size: int) -> bytes | None:
    """The root that a leaf and its path lead to (RFC 9162, 2.1.3.2); None when the path is not of such a tree."""
    if not 0 <= index < size:
        return None
    at, last, root = index, size - 1, leaf
    for beside in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            root = _node(beside, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = _node(root, beside)
        at, last = at >> 1, last >> 1
    return root if last == 0 else None


# --- seals --------------------------------------------------------------------------------------------------------


def canonical_json(value: Any) -> bytes:
    """The one way in which a value is written where its bytes count."""
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def seal_hash(seal: Seal) -> str:
    return hashlib.sha256(canonical_json(seal)).hexdigest()


def key_text(public: bytes) -> str:
    return base64.urlsafe_b64encode(public).decode().rstrip("=")


def thumbprint(key: str) -> str:
    """The name of a public key, given as in the `x` of a JWK: RFC 7638."""
    return key_text(hashlib.sha256(canonical_json({"crv": "Ed25519", "kty": "OKP", "x": key})).digest())


def signed_by(key: str, kind: bytes, what: Any, signature: str) -> bool:
    """True when this is the signature of that key under it, and is written as it should be."""
    try:
        raw = bytes.fromhex(signature)
        public = base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
        Ed25519PublicKey.from_public_bytes(public).verify(raw, kind + canonical_json(what))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return raw.hex() == signature


def receipt_fault(receipt: Mapping[str, Any], trusted: Collection[str] = ()) -> str | None:
    """Why a receipt proves nothing, in one sentence; None when it proves that its line is under its seal. `trusted`:
    the thumbprints of the keys that are taken; any key by default."""
    try:
        seal, key = receipt["seal"], receipt["key"]
        if thumbprint(key) != seal["kid"] or (trusted and seal["kid"] not in trusted):
            return "the seal is not of a key that is trusted"
        if not signed_by(key, SEAL, seal, receipt["signature"]):
            return "the seal is not signed by its key"
        leaf = leaf_hash(receipt["line"].encode())
        index = json.loads(receipt["line"])["n"] - seal["first"]
        size = seal["last"] - seal["first"] + 1
        root = root_by([bytes.fromhex(one) for one in receipt["path"]], leaf, index, size)
    except (KeyError, TypeError, ValueError, AttributeError):
        return "this is no receipt"
    if leaf.hex() != receipt.get("hash") or root is None or root.hex() != seal["root"]:
        return "the line is not under the seal"
    return None


# --- exports ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Report:
    """What was found: how many lines of the journal were read, and the first fault, None when all is as it was
    sealed. `head`: the hash of the last seal, to be compared with one that was written down."""

    lines: int
    first_fault: str | None
    segments: int = 0
    head: str | None = None
    keys: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.first_fault is None

    def to_dict(self) -> dict[str, Any]:
        return {
            "lines": self.lines, "ok": self.ok, "first_fault": self.first_fault, "segments": self.segments,
            "head": self.head, "keys": list(self.keys),
        }  # fmt: skip


class _Fault(Exception):
    pass


def verify_export(file: BinaryIO, trusted: Collection[str] = ()) -> Report:
    """Read an export from its beginning to its end or its first fault. `trusted`: thumbprints of the keys that may have
    sealed; without any, the file says itself whose it is."""
    reading = ExportVerifier(file, trusted)
    fault = None
    try:
        reading.run()
    except _Fault as found:
        fault = str(found)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        fault = f"row {reading.row}: not as an export is written"
    seals = reading.seals
    return Report(reading.lines, fault, seals, reading.head, tuple(sorted(reading.used)))


class ExportVerifier:
    def __init__(self, file: BinaryIO, trusted: Collection[str]) -> None:
        self._file, self._trusted = file, frozenset(trusted)
        self._digest = hashlib.sha256()
        self._keys: Mapping[str, str] = {}
        self._header: Mapping[str, Any] = {}
        self._seal: Seal | None = None
        self.row = self.lines = self.seals = 0
        self.head: str | None = None
        self.used: set[str] = set()

    def run(self) -> None:
        self._header = self._read_header()
        read = self._read_whole if self._header["whole"] else self._read_part
        self._read_end(read())

    def _next_row(self) -> bytes:
        """One row without its end. All but the last one are part of the digest."""
        self.row += 1
        raw = self._file.readline(_MOST)
        if not raw.endswith(b"\n"):
            raise _Fault(f"row {self.row}: the file is cut off")
        return raw[:-1]

    def _digested(self, raw: bytes) -> bytes:
        self._digest.update(raw)
        self._digest.update(b"\n")
        return raw

    def _parsed(self, raw: bytes) -> dict[str, Any]:
        found = json.loads(raw)
        if not isinstance(found, dict) or canonical_json(found) != raw:
            raise _Fault(f"row {self.row}: not as an export is written")
        return found

    def _read_header(self) -> Mapping[str, Any]:
        header = self._parsed(self._digested(self._next_row()))
        if header["format"] != FORMAT:
            raise _Fault("row 1: not an export of a journal, or of another version")
        self._keys = header["keys"]
        for kid, key in self._keys.items():
            if thumbprint(key) != kid:
                raise _Fault("row 1: a key does not bear its own name")
        return header

    def _check_seal(self, row: Mapping[str, Any]) -> Seal:
        seal: Seal = row["seal"]
        where = f"row {self.row}, segment {seal['segment']}"
        self._check_key(seal["kid"], where)
        if not signed_by(self._keys[seal["kid"]], SEAL, seal, row["signature"]):
            raise _Fault(f"{where}: the seal is forged or changed")
        before = self._seal
        if before is not None and seal["segment"] <= before["segment"]:
            raise _Fault(f"{where}: stands behind segment {before['segment']}")
        if before is not None and seal["segment"] == before["segment"] + 1:
            if seal["previous"] != self.head or seal["first"] != before["last"] + 1:
                raise _Fault(f"{where}: does not follow the segment before it")
        elif before is not None and self._header["whole"]:
            raise _Fault(f"{where}: segment {before['segment'] + 1} is missing")
        start = (seal["segment"], seal["first"], seal["previous"]) == (1, 1, START)
        if before is None and self._header["whole"] and not start:
            raise _Fault(f"{where}: the journal does not begin here")
        if seal["last"] < seal["first"]:
            raise _Fault(f"{where}: the seal is forged or changed")
        self._seal, self.head, self.seals = seal, seal_hash(seal), self.seals + 1
        if "time_stamp" in row and self.head not in row["time_stamp"]:
            raise _Fault(f"{where}: its time stamp is of something else")
        return seal

    def _check_key(self, kid: str, where: str) -> None:
        if kid not in self._keys or (self._trusted and kid not in self._trusted):
            raise _Fault(f"{where}: sealed by another key than the one that is trusted")
        self.used.add(kid)

    def _read_whole(self) -> bytes:
        """All segments from the first; the row after the last of them."""
        while True:
            raw = self._next_row()
            if raw.startswith(_LINE):
                raise _Fault(f"row {self.row}: line {_number(raw)} is under no seal")
            row = self._parsed(raw)
            if "end" in row:
                return raw
            self._digested(raw)
            seal = self._check_seal(row)
            if row.get("expired"):
                self._check_expiry(seal)
            else:
                self._read_lines(seal)

    def _check_expiry(self, seal: Seal) -> None:
        age = datetime.fromisoformat(self._header["made_at"]) - datetime.fromisoformat(seal["sealed_at"])
        if age < timedelta(days=FLOOR_DAYS):
            raise _Fault(f"row {self.row}, segment {seal['segment']}: its lines went before their time")

    def _read_lines(self, seal: Seal) -> None:
        tree, update = MerkleTree(), self._digest.update
        add, readline = tree.add, self._file.readline
        number, last = seal["first"], seal["last"]
        while number <= last:
            raw = readline(_MOST)
            self.row += 1
            if not raw.startswith(b'{"n":%d,' % number) or raw[-1:] != b"\n":
                self._raise_missing(raw, number, seal)
            add(hashlib.sha256(b"\0" + raw[:-1]).digest())
            update(raw)
            number += 1
        self.lines += tree.size
        if tree.root().hex() != seal["root"]:
            raise _Fault(
                f"segment {seal['segment']}: a line between {seal['first']} and {last} is not the one that was sealed"
            )

    def _raise_missing(self, raw: bytes, number: int, seal: Seal) -> None:
        self.lines += number - seal["first"]
        if not raw.endswith(b"\n"):
            raise _Fault(f"row {self.row}: the file is cut off")
        found = f"line {_number(raw)}" if raw.startswith(_LINE) else "something else"
        raise _Fault(f"row {self.row}, segment {seal['segment']}: line {number} is missing, {found} is in its place")

    def _read_part(self) -> bytes:
        """Lines with their proofs, each behind its seal; the row after the last."""
        number = 0
        while True:
            raw = self._next_row()
            if raw.startswith(_LINE):
                number = self._check_line(self._digested(raw), number)
                continue
            row = self._parsed(raw)
            if "end" in row:
                return raw
            self._digested(raw)
            self._check_seal(row)

    def _check_line(self, line: bytes, before: int) -> int:
        seal = self._seal
        number = int(json.loads(line)["n"])
        if seal is None:
            raise _Fault(f"row {self.row}: line {number} is under no seal")
        if number <= before:
            raise _Fault(f"row {self.row}: line {number} stands behind line {before}")
        proof = self._parsed(self._digested(self._next_row()))["proof"]
        path = [bytes.fromhex(one) for one in proof]
        root = root_by(path, leaf_hash(line), number - seal["first"], seal["last"] - seal["first"] + 1)
        if root is None or root.hex() != seal["root"]:
            raise _Fault(f"row {self.row - 1}, segment {seal['segment']}: line {number} is not the one that was sealed")
        self.lines += 1
        return number

    def _read_end(self, raw: bytes) -> None:
        row = self._parsed(raw)
        end = row["end"]
        self._check_key(end["kid"], f"row {self.row}")
        if not signed_by(self._keys[end["kid"]], END, end, row["signature"]):
            raise _Fault(f"row {self.row}: the end is forged or changed")
        if end["lines"] != self.lines or end["segments"] != self.seals:
            raise _Fault(f"row {self.row}: {end['lines']} lines were exported, {self.lines} are here")
        if end["digest"] != self._digest.hexdigest():
            raise _Fault(f"row {self.row}: the file is not the one that was exported")
        if self._file.read(1):
            raise _Fault(f"row {self.row + 1}: something stands behind the end")


def _number(raw: bytes) -> str:
    return raw[len(_LINE) : len(_LINE) + 20].split(b",")[0].decode("ascii", "replace")


def trusted_keys(named: Iterable[str]) -> list[str]:
    """Thumbprints from what is given to `--key`: a thumbprint itself, or a file with a key set (JWKS)."""
    found: list[str] = []
    for one in named:
        if Path(one).is_file():
            keys = json.loads(Path(one).read_text(encoding="utf-8-sig"))
            found += [thumbprint(key["x"]) for key in keys.get("keys", [keys])]
        else:
            found.append(one)
    return found


def main(arguments: Sequence[str]) -> int:
    with Path(arguments[0]).open("rb") as file:
        report = verify_export(file, trusted_keys(arguments[1:]))
    sys.stdout.write(json.dumps(report.to_dict()) + "\n")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
