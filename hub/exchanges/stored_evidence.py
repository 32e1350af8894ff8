"""Evidence that a grant allows to keep for a while: sealed under the key of the person it is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, select

from bus.ledger import Transaction
from bus.sql import Insert, Statement
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import evidence_held
from schemas.exchange import Evidence

_KEEP = Insert(
    evidence_held,
    conflict="(citizen_id, place) DO UPDATE SET sealed = excluded.sealed, at = excluded.at, until = excluded.until",
)
# With the key that it is sealed under: two round trips would be most of what a stored value costs.
_FIND = Statement("""
    SELECT held.sealed, person_keys.wrapped FROM evidence_held AS held
    JOIN person_keys ON person_keys.citizen_id = held.citizen_id
    WHERE held.citizen_id = :citizen_id AND held.place = :place AND held.at BETWEEN :since AND :now
""")


@dataclass(frozen=True, slots=True)
class Held:
    """A value as it was obtained. `fields`: those that were asked for, given or not; `at`: when the source said it."""

    evidence: Evidence
    fields: tuple[str, ...]
    connection: str
    at: float


class HeldEvidence:
    """`place` names grant, procedure and question: a value never serves another."""

    def __init__(self, keys: PersonKeys) -> None:
        self._keys = keys

    def find(self, tx: Transaction, citizen_id: str, place: str, *, since: float) -> Held | None:
        """The value of this place, when it is not older than `since`, nor of a day to come (a clock was set back), and
        its person was not erased."""
        row = _FIND.run(tx.sql, citizen_id=citizen_id, place=place, since=since, now=tx.now).first()
        if row is None or row.wrapped is None:
            return None
        plain = self._keys.key_of(citizen_id, bytes(row.wrapped)).open(bytes(row.sealed), place.encode())
        return _held(orjson.loads(plain))

    def store(self, tx: Transaction, citizen_id: str, place: str, held: Held, *, until: float) -> None:
        """Keep it until then at most."""
        evidence = held.evidence
        plain = orjson.dumps({
            "type": evidence.type, "version": evidence.version, "values": evidence.values, "fields": held.fields,
            "connection": held.connection, "at": held.at,
        })  # fmt: skip
        sealed = self._keys.seal(tx, citizen_id, plain, place.encode())
        _KEEP.run(tx.sql, [{
            "citizen_id": citizen_id, "place": place, "type": evidence.type, "connection": held.connection,
            "sealed": sealed, "at": held.at, "until": until,
        }])  # fmt: skip

    def last_known(self, tx: Transaction, citizen_id: str, place: str) -> float | None:
        """When a value of this place was obtained, however long ago."""
        held = evidence_held.c
        query = select(held.at).where(held.citizen_id == citizen_id, held.place == place)
        return tx.sql.execute(query).scalar()

    def forget(self, tx: Transaction, citizen_id: str, evidence_type: str | None = None) -> int:
        """Forget what is kept about somebody, of one type or of all: it was corrected, or erased."""
        held = evidence_held.c
        mine = delete(evidence_held).where(held.citizen_id == citizen_id)
        return int(tx.sql.execute(mine if evidence_type is None else mine.where(held.type == evidence_type)).rowcount)

    def of_citizen(self, tx: Transaction, citizens: Sequence[str]) -> list[tuple[Held, float]]:
        """All that is kept about one person, who may have several ids, and until when; what was erased is left out."""
        query = select(evidence_held).where(evidence_held.c.citizen_id.in_(citizens)).order_by(evidence_held.c.at)
        rows = tx.sql.execute(query).all()
        items = [(row.citizen_id, bytes(row.sealed), row.place.encode()) for row in rows]
        opened = zip(rows, self._keys.open_many(tx, items), strict=True)
        return [(_held(orjson.loads(plain)), row.until) for row, plain in opened if plain is not None]


def _held(raw: Mapping[str, Any]) -> Held:
    evidence = Evidence(raw["type"], raw["version"], raw["values"])
    return Held(evidence, tuple(raw["fields"]), raw["connection"], raw["at"])
