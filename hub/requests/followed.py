"""Where the appointments, payments and messages stand that systems tell of, each by its order key."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import select

from bus.ledger import Transaction
from bus.sql import Insert
from hub.storage.tables import followed_subjects

Kind = Literal["appointment", "payment", "message"]
Mark = Literal["late", "contradictory", "repeated"]
RANK: Mapping[str, Mapping[str, int]] = {
    "appointment": {"booked": 0, "cancelled": 1, "attended": 1, "missed": 1},
    "payment": {
        "requested": 0, "open": 1, "refused": 2, "abandoned": 2, "expired": 2, "cancelled": 2, "paid": 3, "refunded": 4,
    },
    "message": {"received": 0, "requested": 0, "sent": 1, "delivered": 2, "returned": 2, "failed": 2},
}  # fmt: skip
_AGAIN = frozenset({"booked", "open"})  # said again, they bring another hour, another link
_MONEY = 3  # from this rank on money has moved
_NOTE = Insert(
    followed_subjects,
    conflict="(tenant, order_key) DO UPDATE SET state = excluded.state, said_at = excluded.said_at, at = excluded.at, "
    "request_id = excluded.request_id",
)


@dataclass(frozen=True, slots=True)
class Standing:
    """The last state that was applied, and when it was said. `seq`: the first event of it; None for one of this
    batch."""

    state: str
    said_at: float
    request_id: str | None
    seq: int | None


class FollowedSubjects:
    """Those of one batch: read when they are spoken of, written at once by `save`."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._known: dict[tuple[str, str], Standing | None] = {}
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}

    def find(self, tenant: str, order_key: str) -> Standing | None:
        if (tenant, order_key) not in self._known:
            row = followed_subjects.c
            query = select(row.state, row.said_at, row.request_id, row.seq)
            found = self._tx.sql.execute(query.where(row.tenant == tenant, row.order_key == order_key)).first()
            self._known[tenant, order_key] = Standing(*found) if found is not None else None
        return self._known[tenant, order_key]

    def note(
        self, tenant: str, order_key: str, state: str, *, at: float, request_id: str | None
    ) -> dict[str, Any]:  # fmt: skip
        """This state was applied. The row of it: `seq` may be set on it until `save`, and must be the first time."""
        before, key = self.find(tenant, order_key), (tenant, order_key)
        first, known_as = (before.seq, before.request_id) if before else (None, None)
        self._known[key] = Standing(state, at, request_id or known_as, first)
        row = self._rows.setdefault(key, {"tenant": tenant, "order_key": order_key, "seq": first})
        row |= {"state": state, "said_at": at, "request_id": request_id or known_as, "at": self._tx.now}
        return row

    def save(self) -> None:
        """What was refused after all has no number, and is not kept."""
        _NOTE.send(self._tx.sql, [row for row in self._rows.values() if row["seq"] is not None])


def order_key_of(kind: Kind, reference: Mapping[str, str]) -> str:
    """All that is told of one appointment, payment or message is in one order, whatever subject its events name."""
    said = "\n".join((kind, reference["system"], reference["id"]))
    return f"s:{hashlib.sha256(said.encode()).hexdigest()[:32]}"


def objection(kind: Kind, known: Standing | None, state: str, at: float | None) -> Mark | None:
    """Why this state is kept and not applied; None when it is. `at`: when it was said, None where its source gives no
    time.

    An appointment goes by time alone: an older booking does not bring back what was cancelled. A payment and a message
    only go on, whoever's clock says what; and when money has moved, no deadline that runs out undoes it."""
    if known is None:
        return None
    if state == "requested" or (state == known.state and state not in _AGAIN):
        return "repeated"
    rank, before = RANK[kind][state], RANK[kind][known.state]
    older = at < known.said_at if at is not None else rank < before
    if kind == "appointment":
        return "late" if older else None
    if rank > before:
        return None
    if kind == "payment" and before >= _MONEY:
        return "late" if older else "contradictory"
    return "late" if older or (kind == "message" and rank < before) else None
