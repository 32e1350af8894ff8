"""The journal: who did what, when and by which right. A line is committed with what it tells, or neither is.

The road of an exchange inserts a row and no more. The sealer (`sealing.py`) comes by every few seconds, gives the new
rows their places and seals them. What is personal in a line is encrypted under the key of the person it is about.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Row, select

from bus.ledger import Transaction
from bus.sql import Insert
from hub.journal.verify import Proofs, leaf_hash
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import journal, journal_segments
from schemas.errors import HubError, InvalidMessage

KINDS = ("exchange", "read", "correction", "operator", "deliveries")
_NOBODY = uuid.UUID("8b1f6d0e-5a51-4a43-9a51-0b7b9c1c3f50")
_CONTENT = ("tenant", "kind", "act", "actor", "outcome", "citizen_id", "facts")
_COLUMNS = ("id", *_CONTENT, "sealed", "at")
_WRITE = Insert(journal, _COLUMNS, conflict="(id) DO NOTHING", returning="id")


class JournalConflict(HubError):
    """A line of this id is there already and says something else."""

    code = "journal_conflict"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line to be written. `act`: what was done, as `exchange.answered`. `actor`: a client, a connection, an
    operator. `facts`: nothing personal (evidence, fields, source, procedure, grant). `personal`: sealed under the key
    of the citizen (agent, reason, identity used); without a citizen, under a key of the tenant."""

    tenant: str
    kind: str
    act: str
    actor: str
    outcome: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    citizen_id: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    personal: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Justification:
    """Who acts on the data of a person, and why: both go to the journal. Raises InvalidMessage `reason_missing` for an
    empty reason."""

    actor: str
    reason: str

    def __post_init__(self) -> None:
        if not self.reason.strip():
            raise InvalidMessage("a reason is needed: it goes to the journal", code="reason_missing")


@dataclass(frozen=True, slots=True)
class Line:
    """One line that was written. `personal`: None once the key of the person was destroyed. `position`: None until it
    was sealed."""

    entry: Entry
    at: float
    position: int | None
    personal: Mapping[str, Any] | None


class Journal:
    """`keys` seal what is personal."""

    def __init__(self, keys: PersonKeys) -> None:
        self._keys = keys

    def write(self, tx: Transaction, *entries: Entry) -> None:
        """Write these lines in the caller's transaction, by one statement. The same entry twice is one line. Raises
        JournalConflict when an id is there with another content, KeyDestroyed when something personal is about somebody
        who was erased."""
        if not entries:
            return
        now = tx.now
        sealed = iter(self._keys.seal_many(tx, [_personal(entry) for entry in entries if entry.personal]))
        rows = [_content(entry) | {"sealed": next(sealed) if entry.personal else None, "at": now} for entry in entries]
        if len(_WRITE.run(tx.sql, rows)) < len(rows):
            self._check_same(tx, entries)

    def of_citizen(
        self, tx: Transaction, tenant: str, citizen_id: str, since: float | None = None, until: float | None = None,
        limit: int = 100,
    ) -> list[Line]:  # fmt: skip
        """The lines about one person, the newest first, what is personal in them opened."""
        query = select(journal).where(journal.c.citizen_id == citizen_id, journal.c.tenant == tenant)
        if since is not None:
            query = query.where(journal.c.at >= since)
        if until is not None:
            query = query.where(journal.c.at < until)
        return self._opened_lines(
            tx, tx.sql.execute(query.order_by(journal.c.at.desc(), journal.c.id).limit(limit)).all()
        )

    def find_line(self, tx: Transaction, entry_id: str) -> Line | None:
        rows = tx.sql.execute(select(journal).where(journal.c.id == entry_id)).all()
        return next(iter(self._opened_lines(tx, rows)), None)

    def receipt(self, tx: Transaction, entry_id: str) -> dict[str, Any] | None:
        """What proves that a line is in the journal, to be checked by `verify.receipt_fault`: the line as it was
        hashed, its hash, the Merkle path to the root of its segment, and the seal with its signature. None while the
        line waits for its seal, or when there is no such line."""
        row = tx.sql.execute(select(journal).where(journal.c.id == entry_id)).first()
        if row is None or row.position is None:
            return None
        segment = tx.sql.execute(
            select(journal_segments).where(journal_segments.c.last >= row.position).order_by(journal_segments.c.last)
            .limit(1)
        ).one()  # fmt: skip
        beside = select(journal.c.hash).where(journal.c.position.between(segment.first, segment.last))
        hashes = [bytes.fromhex(one) for one in tx.sql.execute(beside.order_by(journal.c.position)).scalars()]
        line = line_text(row, row.position)
        path = Proofs(hashes).of(row.position - segment.first)
        return {
            "line": line.decode(), "hash": leaf_hash(line).hex(), "path": [one.hex() for one in path],
            "seal": seal_of(segment), "signature": segment.signature, "key": segment.key,
        }  # fmt: skip

    def _opened_lines(self, tx: Transaction, rows: Sequence[Row[Any]]) -> list[Line]:
        sealed = [(_owner(row), bytes(row.sealed), _context(row.id)) for row in rows if row.sealed is not None]
        opened = iter(self._keys.open_many(tx, sealed))
        return [_line(row, {} if row.sealed is None else _json_or_none(next(opened))) for row in rows]

    def _check_same(self, tx: Transaction, entries: Sequence[Entry]) -> None:
        there = tx.sql.execute(select(journal).where(journal.c.id.in_([entry.id for entry in entries]))).all()
        lines = {row.id: (row, line) for row, line in zip(there, self._opened_lines(tx, there), strict=True)}
        for entry in entries:
            row, line = lines[entry.id]
            same = all(getattr(row, name) == value for name, value in _content(entry).items())
            if not same or (line.personal is not None and _sorted_json(line.personal) != _sorted_json(entry.personal)):
                raise JournalConflict("an entry of this id is in the journal with another content")


def line_text(row: Any, position: int) -> bytes:
    """A line as it is hashed and exported: all of it, what is personal as it is encrypted."""
    line = {
        "n": position, "id": row.id, "at": journal_time(row.at), "tenant": row.tenant, "kind": row.kind, "act": row.act,
        "actor": row.actor, "outcome": row.outcome, "citizen": row.citizen_id, "facts": orjson.Fragment(row.facts),
        "sealed": None if row.sealed is None else bytes(row.sealed).hex(),
    }  # fmt: skip
    return orjson.dumps(line)


def seal_of(segment: Any) -> dict[str, Any]:
    """What the signature of a segment is about."""
    return {
        "segment": segment.number, "first": segment.first, "last": segment.last, "root": segment.root,
        "previous": segment.previous, "sealed_at": segment.sealed_at, "kid": segment.kid,
    }  # fmt: skip


def journal_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds")


def _content(entry: Entry) -> dict[str, Any]:
    if entry.kind not in KINDS:
        raise ValueError(f"{entry.kind!r} is no kind of entry")
    return {
        "id": entry.id, "tenant": entry.tenant, "kind": entry.kind, "act": entry.act, "actor": entry.actor,
        "outcome": entry.outcome, "citizen_id": entry.citizen_id, "facts": _sorted_json(entry.facts).decode(),
    }  # fmt: skip


def _personal(entry: Entry) -> tuple[str, bytes, bytes]:
    return _owner(entry), _sorted_json(entry.personal), _context(entry.id)


def _owner(what: Any) -> str:
    """Whose key seals: the citizen's, or that of the tenant for a line about nobody that the hub knows."""
    return what.citizen_id or str(uuid.uuid5(_NOBODY, what.tenant))


def _context(entry_id: str) -> bytes:
    return f"journal:{entry_id}".encode()


def _sorted_json(facts: Mapping[str, Any]) -> bytes:
    return orjson.dumps(dict(facts), option=orjson.OPT_SORT_KEYS, default=_json_default)


def _json_default(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError


def _json_or_none(plain: bytes | None) -> Mapping[str, Any] | None:
    return None if plain is None else orjson.loads(plain)


def _line(row: Row[Any], personal: Mapping[str, Any] | None) -> Line:
    entry = Entry(
        tenant=row.tenant, kind=row.kind, act=row.act, actor=row.actor, outcome=row.outcome, id=row.id,
        citizen_id=row.citizen_id, facts=orjson.loads(row.facts), personal=personal or {},
    )  # fmt: skip
    return Line(entry, row.at, row.position, personal)
