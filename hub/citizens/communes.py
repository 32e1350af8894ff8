"""INSEE's file of the movements of communes, as a town imported it: kept in the database, for all processes."""

from __future__ import annotations

import zlib

from sqlalchemy import delete, insert, select

from bus.ledger import Ledger, Transaction
from hub.storage.tables import commune_files
from schemas.communes import Communes, read_movements


def import_movements(tx: Transaction, content: bytes) -> int:
    """Keep INSEE's file in place of the one that was there; how many movements it holds. A process that runs takes it
    at its next start. InvalidMessage when it is not that file."""
    number = len(read_movements(content))
    tx.sql.execute(delete(commune_files))
    tx.sql.execute(insert(commune_files).values(id=1, content=zlib.compress(content), imported_at=tx.now))
    return number


def dated_communes(ledger: Ledger) -> Communes:
    """With the days of the imported file; without one, with what comes along."""
    with ledger.reading() as tx:
        kept = tx.sql.execute(select(commune_files.c.content)).scalar_one_or_none()
    return Communes(lambda: read_movements(zlib.decompress(kept)) if kept is not None else ())
