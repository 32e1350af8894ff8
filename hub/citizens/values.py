"""What is known of the values of citizens, as digests under the key of each: an echo is found again, and whoever reads
the table learns no telephone number. A bare digest of a short text is no secret: all that it may be are soon tried.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import delete, insert, select, update

from bus.ledger import Ledger, Transaction
from bus.sql import Insert, Statement
from bus.tables import counters
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_merges, citizen_values

ECHO_DAYS = 30
_NOW = ""  # the digest of the row that says what is known now, and the name of the hub in it
_PLAIN = "values-to-key"  # the counter that step 0016 of the database leaves where there are digests without a key
_BARE, _KEYED = 64, 48  # characters of a digest of the value alone, and of one under a key
_MANY = 500  # people at once

# Each is looked up by itself, by an index, as `bus.sql.around_found` says.
_JOIN = {
    "sqlite": "JOIN {table} AS {name} ON {on}",
    "postgresql": "CROSS JOIN LATERAL (SELECT * FROM {table} AS {name} WHERE {on} OFFSET 0) AS {name}",
}


def _joined(dialect: str, table: str, name: str, on: str) -> str:
    return _JOIN[dialect].format(table=table, name=name, on=on)


# What is kept of the values, and the keys of each person and of whom was merged into them: one statement.
_READ = {
    dialect: Statement(f"""
        WITH wanted AS (SELECT citizen_id, field FROM {{told(citizen_id text, field text)}}),
        people AS (SELECT DISTINCT citizen_id AS id FROM wanted)
        SELECT wanted.citizen_id, wanted.field, known.digest, known.holders, NULL AS id, CAST(NULL AS BYTEA) AS wrapped
        FROM wanted
        {_joined(dialect, "citizen_values", "known",
                 "known.citizen_id = wanted.citizen_id AND known.field = wanted.field")}
        UNION ALL SELECT people.id, NULL, NULL, NULL, keys.citizen_id, keys.wrapped FROM people
        {_joined(dialect, "person_keys", "keys", "keys.citizen_id = people.id")}
        UNION ALL SELECT people.id, NULL, NULL, NULL, keys.citizen_id, keys.wrapped FROM people
        {_joined(dialect, "citizens", "merged", "merged.merged_into = people.id")}
        {_joined(dialect, "person_keys", "keys", "keys.citizen_id = merged.id")}
    """)  # noqa: S608 (the text is our own)
    for dialect in _JOIN
}  # fmt: skip
_KEEP = Insert(
    citizen_values,
    conflict="(citizen_id, field, digest) DO UPDATE SET holders = excluded.holders, at = excluded.at",
)

Rank = tuple[int, float]  # what a value is worth: its index in `QUALITIES`, then its date in seconds since 1970


class _Fresh(str):
    """The digest of a value that was learnt in this transaction: it gets its key when it is written."""

    __slots__ = ()


class KnownValues:
    """Those of the citizens that one batch concerns. `new`: the ids of citizens of whom nothing is kept yet. Without
    `keys` (a hub that keeps no identities) `pepper` keys the digests."""

    def __init__(self, tx: Transaction, keys: PersonKeys | None, pepper: bytes, new: Collection[str]) -> None:
        self._tx, self._keys, self._pepper, self._new = tx, keys, pepper, new
        self._rows: dict[tuple[str, str], dict[str, str]] = {}  # by citizen and field: by digest, who holds it
        self._of: dict[str, dict[str, bytes]] = {}  # by citizen: the keys of all whom they are, by id
        self._holders: dict[tuple[str, str, str], dict[str, Any]] = {}
        self._learnt: set[tuple[str, str, str]] = set()
        self._digests: dict[tuple[bytes, str], str] = {}

    def prefetch(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Read what is kept of these fields of citizens."""
        unread = sorted({one for one in wanted if one not in self._rows and one[0] not in self._new})
        if not unread:
            return
        sql = self._tx.sql
        rows = _READ[sql.dialect.name].send(sql, told=unread)
        self._rows |= {one: {} for one in unread}
        for row in rows:
            if row.digest is not None:
                self._rows[(row.citizen_id, row.field)][row.digest] = row.holders or "{}"
            elif row.wrapped is not None and self._keys is not None:
                key = self._keys.digest_key(row.id, bytes(row.wrapped))
                self._of.setdefault(row.citizen_id, {})[row.id] = key

    def is_echo(self, citizen_id: str, field: str, digest: str, holder: str, *, dated: float) -> bool:
        """See `Citizens.is_echo`."""
        since = self._tx.now - ECHO_DAYS * 86_400
        said = self._held(citizen_id, field, _NOW)
        known, known_at = said.get(_NOW, (None, since))[:2]
        if self._is(citizen_id, known, digest) or self._held(citizen_id, field, digest).get(holder, since) > since:
            return True
        own, own_at = said.get(holder, (None, since))
        return self._is(citizen_id, own, digest) and own_at > since and dated <= known_at

    def yields(self, citizen_id: str, field: str, rank: Rank, *, master: str) -> bool:
        """See `Citizens.yields`."""
        known = self._held(citizen_id, field, _NOW).get(_NOW, ())
        return len(known) > 2 and known[2] == master and tuple(known[3:]) >= rank

    def learn(
        self, citizen_id: str, field: str, digest: str, *, by: str, told: Collection[str], system: str, rank: Rank
    ) -> None:
        """See `Citizens.learn`."""
        now, fresh = self._tx.now, _Fresh(digest)
        said = self._held(citizen_id, field, _NOW)
        said[_NOW] = (fresh, now, system, *rank)
        said[by] = (fresh, now)
        self._learnt.add((citizen_id, field, _NOW))
        if told:
            self._held(citizen_id, field, digest).update(dict.fromkeys(told, now))
            self._learnt.add((citizen_id, field, digest))

    def save(self) -> None:
        if not self._learnt:
            return
        keys = self._own_keys({citizen_id for citizen_id, _, _ in self._learnt})
        rows = [
            {"citizen_id": citizen_id, "field": field, "digest": self._keyed(keys[citizen_id], digest),
             "holders": self._written(keys[citizen_id], (citizen_id, field, digest)), "at": self._tx.now}
            for citizen_id, field, digest in self._learnt if citizen_id in keys
        ]  # fmt: skip
        _KEEP.send(self._tx.sql, sorted(rows, key=lambda row: (row["citizen_id"], row["field"], row["digest"])))

    def _held(self, citizen_id: str, field: str, digest: str) -> dict[str, Any]:
        """What is kept about a value of somebody, whichever of the keys of who was merged it is under."""
        place = (citizen_id, field, digest)
        if place not in self._holders:
            if (citizen_id, field) not in self._rows:
                self.prefetch([(citizen_id, field)])
            rows, found = self._rows.get((citizen_id, field), {}), dict[str, Any]()
            for one in self._variants(citizen_id, digest):
                if one in rows:
                    held = orjson.loads(rows[one])
                    found |= held if not found else {who: max(at, found.get(who, at)) for who, at in held.items()}
            self._holders[place] = found
        return self._holders[place]

    def _is(self, citizen_id: str, kept: str | None, digest: str) -> bool:
        return kept is not None and (kept == digest or kept in self._variants(citizen_id, digest))

    def _variants(self, citizen_id: str, digest: str) -> list[str]:
        if digest == _NOW:
            return [digest]
        if self._keys is None:
            return [self._keyed(_peppered(self._pepper, citizen_id), digest)]
        return [self._keyed(key, digest) for key in self._of.get(citizen_id, {}).values()]

    def _keyed(self, key: bytes, digest: str) -> str:
        found = self._digests.get((key, digest))
        if found is None:
            found = self._digests[(key, digest)] = keyed(key, digest)
        return found

    def _written(self, key: bytes, place: tuple[str, str, str]) -> str:
        return orjson.dumps({
            name: (self._keyed(key, str(said[0])), *said[1:])
            if isinstance(said, tuple) and isinstance(said[0], _Fresh) else said
            for name, said in self._holders[place].items()
        }).decode()  # fmt: skip

    def _own_keys(self, ids: Collection[str]) -> Mapping[str, bytes]:
        """The key of each, made where there is none; without those whose key was destroyed, of whom nothing is kept."""
        if self._keys is None:
            return {citizen_id: _peppered(self._pepper, citizen_id) for citizen_id in ids}
        known = {one: key for one in ids if (key := self._of.get(one, {}).get(one)) is not None}
        missing = set(ids) - known.keys()
        return known | (self._keys.digest_keys(self._tx, missing) if missing else {})


def keyed(key: bytes, digest: str) -> str:
    """The digest of a value under a key of its person; the name of the row that is of no value stays."""
    return hmac.digest(key, digest.encode(), "sha256").hex()[:_KEYED] if digest else digest


def key_plain_digests(ledger: Ledger, keys: PersonKeys) -> None:
    """Put under the key of their person the digests that an older version kept without one. Once for a database: who
    comes at the same moment waits until it is done."""
    with ledger.reading() as tx:
        if not tx.counter(_PLAIN):
            return
    with ledger.transaction() as tx:
        if not tx.sql.execute(delete(counters).where(counters.c.name == _PLAIN)).rowcount:
            return
        ids = [*tx.sql.execute(select(citizen_values.c.citizen_id).distinct()).scalars()]
        for start in range(0, len(ids), _MANY):
            _key_people(tx, keys, ids[start : start + _MANY])
        _key_merges(tx, keys)


def _key_people(tx: Transaction, keys: PersonKeys, ids: Collection[str]) -> None:
    of = keys.digest_keys(tx, ids)
    mine = citizen_values.c.citizen_id.in_(ids)
    rows = [dict(row._mapping) for row in tx.sql.execute(select(citizen_values).where(mine))]
    tx.sql.execute(delete(citizen_values).where(mine))
    made = [
        row | {"digest": _rekeyed(key, row["digest"]), "holders": _rewritten(key, row["holders"])}
        for row in rows if (key := of.get(row["citizen_id"])) is not None
    ]  # fmt: skip
    if made:
        tx.sql.execute(insert(citizen_values), made)


def _key_merges(tx: Transaction, keys: PersonKeys) -> None:
    """What a merge remembers of the values that moved, so that it can be taken back."""
    for row in tx.sql.execute(select(citizen_merges)).all():
        moved = orjson.loads(row.moved)
        key = keys.digest_keys(tx, [row.kept_id]).get(row.kept_id) if moved.get("values") else None
        if key is None:
            continue
        for value in moved["values"]:
            value["digest"] = _rekeyed(key, value["digest"])
            value |= {name: _rewritten(key, value[name]) for name in ("before", "after") if value.get(name)}
        here = citizen_merges.c.gone_id == row.gone_id
        tx.sql.execute(update(citizen_merges).where(here).values(moved=orjson.dumps(moved).decode()))


def _rekeyed(key: bytes, digest: str) -> str:
    return keyed(key, digest) if len(digest) == _BARE else digest


def _rewritten(key: bytes, holders: str) -> str:
    return orjson.dumps({
        name: [_rekeyed(key, said[0]), *said[1:]] if isinstance(said, list) else said
        for name, said in orjson.loads(holders).items()
    }).decode()  # fmt: skip


def _peppered(pepper: bytes, citizen_id: str) -> bytes:
    return hmac.digest(pepper, citizen_id.encode(), "sha256")
