"""Previews: evidence that its person looks at before it is used (regulation EU 2018/1724 art. 14, paragraph 5).

The client gets an address that cannot be guessed and leads the person there. What is shown is sealed under the person's
key and gone after a few minutes; the client has it only once the person agreed.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson
from sqlalchemy import delete, insert, select, update

from bus.ledger import Transaction
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import exchange_previews

SECONDS = 900.0
Decision = Literal["open", "used", "refused"]


@dataclass(frozen=True, slots=True)
class Preview:
    """`exchange`: what its collection needs to know of it; `body`: the answer, with its signature.
    `level`: that of the person who signed in and decided; None when whoever held the address did."""

    id: str
    client_id: str
    citizen_id: str
    grant: str
    exchange: Mapping[str, Any]
    body: Mapping[str, Any]
    decision: Decision = "open"
    level: str | None = None


class StillOpen(Exception):
    """The person has not decided yet."""


class Previews:
    def __init__(self, keys: PersonKeys) -> None:
        self._keys = keys

    def store(self, tx: Transaction, preview: Preview) -> str:
        """Keep it for SECONDS; the token of its address, which only its digest is kept of."""
        token = secrets.token_urlsafe(32)
        tx.sql.execute(delete(exchange_previews).where(exchange_previews.c.until < tx.now))
        plain = orjson.dumps({"exchange": preview.exchange, "body": preview.body})
        sealed = self._keys.seal(tx, preview.citizen_id, plain, preview.id.encode())
        tx.sql.execute(insert(exchange_previews), [{
            "id": preview.id, "token": digest(token), "client_id": preview.client_id, "grant_id": preview.grant,
            "citizen_id": preview.citizen_id, "sealed": sealed, "decision": "open", "until": tx.now + SECONDS,
        }])  # fmt: skip
        return token

    def find_by_token(self, tx: Transaction, token: str) -> Preview | None:
        """What the person of this address may see; None when it is over."""
        table = exchange_previews.c
        row = tx.sql.execute(select(exchange_previews).where(table.token == digest(token), table.until > tx.now))
        return self._opened(tx, row.first())

    def record_decision(
        self, tx: Transaction, token: str, decision: Decision, level: str | None = None
    ) -> Preview | None:
        """Write down what the person decided, and how surely they are known; the first time counts. None when it is
        over."""
        table = exchange_previews.c
        mine = (table.token == digest(token), table.until > tx.now, table.decision == "open")
        tx.sql.execute(update(exchange_previews).where(*mine).values(decision=decision, level=level))
        return self.find_by_token(tx, token)

    def collect(self, tx: Transaction, client_id: str, exchange_id: str) -> Preview | None:
        """Take away what the person decided on. None when the client has no such preview; raises StillOpen."""
        table = exchange_previews.c
        mine = (table.id == exchange_id, table.client_id == client_id, table.until > tx.now)
        preview = self._opened(tx, tx.sql.execute(select(exchange_previews).where(*mine)).first())
        if preview is None:
            return None
        if preview.decision == "open":
            raise StillOpen
        # Whoever deletes the row has it: two calls at once do not both get the answer.
        gone = tx.sql.execute(delete(exchange_previews).where(*mine)).rowcount
        return preview if gone else None

    def _opened(self, tx: Transaction, row: Any) -> Preview | None:
        if row is None:
            return None
        plain = self._keys.open(tx, row.citizen_id, bytes(row.sealed), row.id.encode())
        if plain is None:
            return None
        kept = orjson.loads(plain)
        preview = Preview(row.id, row.client_id, row.citizen_id, row.grant_id, kept["exchange"], kept["body"])
        return replace(preview, decision=row.decision, level=row.level)


def digest(token: str) -> str:
    """What is kept of a secret that opens something."""
    return hashlib.sha256(token.encode()).hexdigest()
