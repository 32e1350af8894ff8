"""What the gateways must remember between calls: answers under an `Idempotency-Key`, assertions and nonces used."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select

from bus.ledger import Ledger, Transaction
from bus.sql import Insert
from hub.storage.tables import idempotent_answers, used_assertions, used_nonces
from schemas.errors import TryLater

MOST_NONCES = 10_000  # of one connection
SKEW_SECONDS = 60.0  # by which the clocks of two gateways may differ
KEPT_SECONDS = 24 * 3600
_ANSWER = Insert(idempotent_answers, conflict="DO NOTHING")
_USE = Insert(used_assertions, conflict="DO NOTHING", returning="jti")
_USE_NONCE = Insert(used_nonces, conflict="DO NOTHING", returning="connection")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer given before. `digest` is that of the body that was asked with."""

    digest: bytes
    status: int
    body: bytes


def find_answer(ledger: Ledger, client_id: str, key: str) -> Answer | None:
    """The answer given under this key within KEPT_SECONDS."""
    table = idempotent_answers
    query = select(table).where(table.c.client_id == client_id, table.c.key == key)
    with ledger.reading() as tx:
        row = tx.sql.execute(query.where(table.c.at > tx.now - KEPT_SECONDS)).first()
    return Answer(bytes(row.digest), row.status, bytes(row.body)) if row else None


def store_answer(ledger: Ledger, client_id: str, key: str, answer: Answer) -> Answer:
    """Keep an answer; gives back the one that is kept, when another call was faster. Old ones go."""
    table = idempotent_answers
    row = {"client_id": client_id, "key": key, "digest": answer.digest, "status": answer.status, "body": answer.body}
    with ledger.transaction() as tx:
        tx.sql.execute(delete(table).where(table.c.client_id == client_id, table.c.at <= tx.now - KEPT_SECONDS))
        _ANSWER.run(tx.sql, [row | {"at": tx.now}])
        kept = tx.sql.execute(select(table).where(table.c.client_id == client_id, table.c.key == key)).one()
    return Answer(bytes(kept.digest), kept.status, bytes(kept.body))


def use_assertion(ledger: Ledger, client_id: str, jti: str, expires: float) -> bool:
    """True the first time. Those that have expired are forgotten: they are refused for that."""
    table = used_assertions
    with ledger.transaction() as tx:
        tx.sql.execute(delete(table).where(table.c.expires < tx.now - 60))
        return bool(_USE.run(tx.sql, [{"client_id": client_id, "jti": jti, "expires": expires}]))


def use_nonce(ledger: Ledger, connection: str, mark: bytes, until: datetime) -> bool:
    """See `connectors.sdk.first_use.FirstUse`: True once, over all processes. Of two who bring it at one moment the
    unique key lets one pass. Raises TryLater when the connection has used MOST_NONCES that are still good."""
    with ledger.transaction() as tx:
        if _used_nonces(tx, connection) >= MOST_NONCES:
            forget_nonces(tx)
            if _used_nonces(tx, connection) >= MOST_NONCES:
                raise TryLater("trop d'appels signés à la fois", after=SKEW_SECONDS)
        row = {"mark": mark, "connection": connection, "until": until.timestamp() + SKEW_SECONDS}
        return bool(_USE_NONCE.run(tx.sql, [row]))


def forget_nonces(tx: Transaction) -> int:
    """Forget those whose calls would not be taken any more; how many."""
    return int(tx.sql.execute(delete(used_nonces).where(used_nonces.c.until < tx.now)).rowcount)


def _used_nonces(tx: Transaction, connection: str) -> int:
    query = select(func.count()).select_from(used_nonces).where(used_nonces.c.connection == connection)
    return int(tx.sql.execute(query).scalar_one())
