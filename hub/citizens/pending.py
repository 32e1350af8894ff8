"""Pairs that wait for their person: somebody of whom a package has a record and the hub knows nothing.

They are nobody's: no citizen is made of them, nothing is routed by them, and nothing lists them. Who has one is found
by keyed digests alone, those by which identities meet (`hub.citizens.pivots`, `hub.citizens.matching`) and one of the
identifier; identity and identifier are sealed under a key that is derived from the root key, for there is no person
under whose key they could be. Each has its end, which the load states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Row, delete, func, or_, select, update

from bus.ledger import Transaction, parts
from bus.sql import Insert, Statement
from hub.citizens.identities import People, Person
from hub.citizens.matching import Form
from hub.citizens.pivots import pivot_of
from hub.citizens.rekeying import KEYS
from hub.storage.cipher import RowCipher
from hub.storage.keyed_digest import keyed_digest
from hub.storage.tables import pending_blocks, pending_pairs

PURPOSE = "unefois pending pairs"  # of the key that seals them
_SEALED = b"pending-pair:"  # with the id: what is moved to another row does not open
_ROW = pending_pairs.c
_KEEP = Insert(
    pending_pairs,
    conflict="(id) DO UPDATE SET load_id = excluded.load_id, pivot = excluded.pivot, made_of = excluded.made_of,"
    " sealed = excluded.sealed, tried = excluded.tried, until = excluded.until",
)
_MEET = Insert(pending_blocks, conflict="DO NOTHING")
_TRIED = Statement("UPDATE pending_pairs SET tried = named.tried FROM {named(id text, tried text)}"
                   " WHERE pending_pairs.id = named.id")  # fmt: skip
# Who is known and may be meant by some of the pairs: has the very identity, or meets it under a block.
_MET = Statement("""
    SELECT pending_pairs.id, citizens.id AS citizen_id FROM pending_pairs
    JOIN citizens ON citizens.tenant = pending_pairs.tenant AND citizens.pivot = pending_pairs.pivot
    WHERE pending_pairs.id {ids:text}
    UNION SELECT pending_blocks.pair_id, citizen_blocks.citizen_id FROM pending_blocks
    JOIN citizen_blocks ON citizen_blocks.block = pending_blocks.block
    WHERE pending_blocks.pair_id {more:text}
""")


@dataclass(frozen=True, slots=True)
class PendingPair:
    """One that was opened. `person`: a `citizen` record with the identifier of the package; `shared`: that is the
    number of a household. `until`: in seconds since 1970."""

    id: str
    tenant: str
    connection: str
    load_id: str
    person: Person
    shared: bool
    until: float


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look through some pairs found. `met`: by pair, a digest of whom it may be, where that is another than
    before; `old`: those whose digests an older version made, which nobody can meet; `last`: the last pair that was
    looked at, "" at the end."""

    met: Mapping[str, str]
    old: Sequence[str]
    last: str


class PendingPairs:
    """All in the caller's transaction. `key`: 32 bytes, derived from the root key for `PURPOSE`."""

    def __init__(self, people: People, key: bytes) -> None:
        self._people, self._key, self._cipher = people, key, RowCipher(key)

    def id_of(self, connection: str, system: str, native_id: str) -> str:
        """The id of the pair of what a package calls somebody: the same each time."""
        return self.digest("pair", connection, system, native_id)[:32]

    def digest(self, *texts: str) -> str:
        """A keyed digest, which tells nobody what it was made of."""
        return keyed_digest(self._key, "\x1f".join(texts).encode()).hex()

    def keep(
        self, tx: Transaction, tenant: str, connection: str, load_id: str, people: Sequence[tuple[Person, bool]],
        until: float,
    ) -> None:  # fmt: skip
        """Keep these people of a package, each with whether its identifier is the number of a household. The same
        identifier again is one pair, with what was said of it last."""
        rows, blocks = dict[str, dict[str, Any]](), dict[str, Sequence[str]]()
        for person, shared in people:
            (reference,) = person["references"]
            pair_id = self.id_of(connection, reference["system"], reference["id"])
            pivot, blocks[pair_id] = self._keys_of(tenant, connection, person)
            plain = orjson.dumps({"person": person, "shared": shared})
            rows[pair_id] = {
                "id": pair_id, "tenant": tenant, "connection": connection, "load_id": load_id, "pivot": pivot,
                "made_of": KEYS, "sealed": self._cipher.seal(plain, _SEALED + pair_id.encode()), "tried": "",
                "until": until,
            }  # fmt: skip
        tx.sql.execute(delete(pending_blocks).where(pending_blocks.c.pair_id.in_(sorted(rows))))
        _KEEP.run(tx.sql, [rows[pair_id] for pair_id in sorted(rows)])
        _MEET.run(tx.sql, [{"pair_id": pair_id, "block": b} for pair_id in sorted(blocks) for b in blocks[pair_id]])

    def look(self, tx: Transaction, after: str, most: int) -> Looked:
        """So many pairs after one of them, in the order of their ids: those that may now be somebody who was not known
        when they were last compared. Writes nothing."""
        query = (
            select(_ROW.id, _ROW.made_of, _ROW.tried)
            .where(_ROW.id > after, _ROW.until > tx.now)
            .order_by(_ROW.id)
            .limit(most)
        )
        rows = tx.sql.execute(query).all()
        ids, met = [row.id for row in rows], dict[str, list[str]]()
        for row in _MET.run(tx.sql, ids=ids, more=ids) if ids else ():
            met.setdefault(row.id, []).append(row.citizen_id)
        before = {row.id: row.tried for row in rows}
        found = {pair_id: _digest_of(who) for pair_id, who in met.items()}
        changed = {pair_id: digest for pair_id, digest in found.items() if digest != before[pair_id]}
        old = [row.id for row in rows if row.made_of != KEYS]
        return Looked(changed, old, ids[-1] if len(ids) == most else "")

    def make_anew(self, tx: Transaction, ids: Collection[str]) -> None:
        """New digests for pairs whose own an older version made."""
        for pair in self.read(tx, ids):
            pivot, blocks = self._keys_of(pair.tenant, pair.connection, pair.person)
            tx.sql.execute(update(pending_pairs).where(_ROW.id == pair.id).values(pivot=pivot, made_of=KEYS, tried=""))
            tx.sql.execute(delete(pending_blocks).where(pending_blocks.c.pair_id == pair.id))
            _MEET.run(tx.sql, [{"pair_id": pair.id, "block": block} for block in blocks])

    def note_tried(self, tx: Transaction, tried: Mapping[str, str]) -> None:
        """These pairs were compared with all whom they may be (`Looked.met`), and stay."""
        if tried:
            _TRIED.run(tx.sql, named=sorted(tried.items()))

    def read(self, tx: Transaction, ids: Collection[str]) -> list[PendingPair]:
        """Those of them that are there. Raises ConfigError when one does not open."""
        found = []
        for some in parts(sorted(ids)):
            found += [self._opened(row) for row in tx.sql.execute(select(pending_pairs).where(_ROW.id.in_(some)))]
        return found

    def of_person(
        self, tx: Transaction, tenant: str, identities: Iterable[Mapping[str, Any]], links: Collection[tuple[str, str]]
    ) -> list[PendingPair]:
        """Those that may be somebody of these identities, or has one of these identifiers. Whether it is that person is
        for the caller to say."""
        connections = tx.sql.execute(select(_ROW.connection).where(_ROW.tenant == tenant).distinct()).scalars().all()
        ids = {self.id_of(connection, *link) for connection in connections for link in links}
        pivots, blocks = set[str](), set[str]()
        for identity in identities:
            for connection in connections:
                pivot, more = self._keys_of(tenant, connection, {"identity": identity})
                pivots |= {pivot} if pivot else set()
                blocks |= {*more}
        met = select(pending_blocks.c.pair_id).where(pending_blocks.c.block.in_(sorted(blocks)))
        either = or_(_ROW.pivot.in_(sorted(pivots)), _ROW.id.in_(sorted(ids)), _ROW.id.in_(met))
        rows = tx.sql.execute(select(pending_pairs).where(_ROW.tenant == tenant, either)).all()
        return [self._opened(row) for row in rows]

    def drop(self, tx: Transaction, ids: Collection[str]) -> int:
        """Forget these pairs; how many were there."""
        gone = 0
        for some in parts(sorted(ids)):
            tx.sql.execute(delete(pending_blocks).where(pending_blocks.c.pair_id.in_(some)))
            gone += tx.sql.execute(delete(pending_pairs).where(_ROW.id.in_(some))).rowcount
        return gone

    def ids_of(self, tx: Transaction, connection: str, load_id: str = "", most: int = 500) -> list[str]:
        """So many at most of the pairs of a connection, or of one of its loads."""
        mine = (_ROW.connection == connection, *([_ROW.load_id == load_id] if load_id else []))
        return [*tx.sql.execute(select(_ROW.id).where(*mine).limit(most)).scalars()]

    def counts(self, tx: Transaction, load_id: str = "") -> dict[str, int]:
        """How many wait, by connection; of one load where it is named."""
        query = select(_ROW.connection, func.count().label("number")).group_by(_ROW.connection)
        rows = tx.sql.execute(query.where(_ROW.load_id == load_id) if load_id else query)
        return {row.connection: int(row.number) for row in rows}

    # --- inside -------------------------------------------------------------------------------------------------

    def _keys_of(self, tenant: str, connection: str, person: Person) -> tuple[str | None, tuple[str, ...]]:
        """The pivot and the blocks by which a record meets others, as `hub.citizens.repository` makes them for what the
        connection says."""
        group = self._people.grouping(tenant, connection)
        sectors, identity = group(person) if group is not None else "", person.get("identity") or {}
        blocks = self._people.blocks(tenant, sectors, Form.of(identity))
        return pivot_of(identity, self._people.pepper, sectors), blocks

    def _opened(self, row: Row[Any]) -> PendingPair:
        plain = self._cipher.open(bytes(row.sealed), _SEALED + row.id.encode())
        told = orjson.loads(plain)
        return PendingPair(
            row.id, row.tenant, row.connection, row.load_id, told["person"], told["shared"], row.until
        )  # fmt: skip


def _digest_of(ids: Iterable[str]) -> str:
    return hashlib.sha256("\x1f".join(sorted(ids)).encode()).hexdigest()[:16]
