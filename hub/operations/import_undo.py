"""An import of links taken back as one, part by part.

An identifier by which nothing was heard since is forgotten, and with it the form of an identity that it brought by
likeness: told again, both are new, and the corrected file finds them so. One by which something was heard is parted,
with what came by it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Row, and_, select

from bus.ledger import Ledger, Transaction, parts
from bus.tables import events
from hub.journal.entries import Justification
from hub.operations.heard import first_since
from hub.operations.links import Identifier, Links
from hub.storage.tables import citizen_links, request_people
from schemas.errors import InvalidMessage

AT_ONCE = 50  # identifiers in one transaction: others have their turn at the door in between
_LINK = citizen_links.c


def undo_import(
    ledger: Ledger, links: Links, tenant: str, import_id: str, by: Justification, *, how: str = "import"
) -> Iterator[Counter[str]]:
    """After each part, how many identifiers are `forgotten` and `parted` so far. Begun again, it goes on with the rest.
    Raises InvalidMessage `not_found` where no link is left of this import. Marks of confidentiality stay, and so do
    people whom the import made known, until nothing is heard of them for long. `how`: `load` takes a first load
    back."""
    with ledger.reading() as tx:
        rows = _imported(tx, tenant, import_id, how)
        heard = _heard(tx, tenant, rows)
    if not rows:
        raise InvalidMessage("no link is left of such an import", code="not_found")
    done = Counter({"forgotten": 0, "parted": 0})
    for start in range(0, len(rows), AT_ONCE):
        with ledger.transaction() as tx:
            tx.hold_door()
            still = _imported(tx, tenant, import_id, how, rows[start : start + AT_ONCE])
            done.update(_withdrawn(tx, links, tenant, (row.system, row.native_id), by, heard) for row in still)
        yield done


def _withdrawn(
    tx: Transaction, links: Links, tenant: str, identifier: Identifier, by: Justification, heard: set[Identifier]
) -> str:
    if identifier in heard and links.was_heard(tx, tenant, identifier):
        try:
            if not links.remove(tx, tenant, identifier, by).merge:
                return "parted"
        except InvalidMessage as error:
            if error.code != "only_link":  # what was heard is of this person, who has no other identifier
                raise
    links.forget(tx, tenant, identifier, by, with_form=True)
    return "forgotten"


def _imported(
    tx: Transaction, tenant: str, import_id: str, how: str, among: Sequence[Row[Any]] | None = None
) -> list[Row[Any]]:
    came = and_(_LINK.tenant == tenant, _LINK.how == how, _LINK.origin == f"{how}:{import_id}")
    query = select(_LINK.system, _LINK.native_id, _LINK.citizen_id, _LINK.since).where(came)
    if among is not None:
        query = query.where(_LINK.native_id.in_([row.native_id for row in among]))
    return [*tx.sql.execute(query.order_by(_LINK.system, _LINK.native_id))]


def _heard(tx: Transaction, tenant: str, rows: Sequence[Row[Any]]) -> set[Identifier]:
    """Those of whom something was heard since, or who have requests: whether by this identifier is looked at one by
    one."""
    since = min((row.since for row in rows), default=0.0)
    first = first_since(tx, since)
    spoken: set[str] = set()
    for some in parts(sorted({row.citizen_id for row in rows})):
        involved = select(request_people.c.citizen_id).where(request_people.c.citizen_id.in_(some))
        spoken |= {*tx.sql.execute(involved).scalars()}
        if first is not None:
            about = and_(events.c.tenant == tenant, events.c.seq >= first)
            keys = select(events.c.order_key).where(about, events.c.order_key.in_([f"c:{one}" for one in some]))
            spoken |= {key[2:] for key in tx.sql.execute(keys).scalars()}
    return {(row.system, row.native_id) for row in rows if row.citizen_id in spoken}
