"""What happens to the identifiers of a system that is declared, or no more declared, to number households.

They were links before, and one of them may have been told of several people: from now on they find nobody. Done at the
start of a hub, and written in the journal.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import and_, delete, exists, func, select, text

from bus.ledger import Ledger, Transaction
from hub.journal.entries import Entry, Journal
from hub.routing.directory import Directory
from hub.storage.tables import citizen_links, household_links

Change = tuple[str, str, bool]  # tenant, system; whether its numbers are those of households now

_SHARE = text("""
    INSERT INTO household_links (tenant, system, native_id, citizen_id, since, since_seq)
    SELECT tenant, system, native_id, citizen_id, since, since_seq FROM citizen_links
    WHERE tenant = :tenant AND system = :system ON CONFLICT DO NOTHING
""")
_OWN = text("""
    INSERT INTO citizen_links (tenant, system, native_id, citizen_id, since, how, since_seq)
    SELECT tenant, system, native_id, min(citizen_id), min(since), 'told', min(since_seq) FROM household_links
    WHERE tenant = :tenant AND system = :system
    GROUP BY tenant, system, native_id HAVING count(*) = 1 ON CONFLICT DO NOTHING
""")


def settle_households(ledger: Ledger, directory: Directory, journal: Journal) -> None:
    """Make links that are there what the declarations of today say: numbers of households, of the same people, or the
    other way round links again, where one person alone has the number. Numbers of several people are forgotten then."""
    with ledger.reading() as tx:
        if not [*_changes(tx, directory)]:
            return
    with ledger.transaction() as tx:
        settle_households_in(tx, directory, journal)


def settle_households_in(tx: Transaction, directory: Directory, journal: Journal) -> None:
    """As `settle_households`, in the commit of what declares it otherwise."""
    tx.hold_door()
    for change in [*_changes(tx, directory)]:
        _settle(tx, journal, *change)


def _changes(tx: Transaction, directory: Directory) -> Iterator[Change]:
    for tenant in directory.tenants:
        for system in sorted(directory.households(tenant)):
            mine = and_(citizen_links.c.tenant == tenant, citizen_links.c.system == system)
            if tx.sql.execute(select(exists().where(mine))).scalar():
                yield tenant, system, True
        had = select(household_links.c.system).where(household_links.c.tenant == tenant).distinct()
        for system in sorted(tx.sql.execute(had).scalars()):
            if directory.has_own_numbers(tenant, system):
                yield tenant, system, False


def _settle(tx: Transaction, journal: Journal, tenant: str, system: str, shared: bool) -> None:
    before = citizen_links if shared else household_links
    mine = and_(before.c.tenant == tenant, before.c.system == system)
    number = tx.sql.execute(select(func.count(before.c.native_id.distinct())).where(mine)).scalar_one()
    moved = tx.sql.execute(_SHARE if shared else _OWN, {"tenant": tenant, "system": system}).rowcount
    tx.sql.execute(delete(before).where(mine))
    facts = {"system": system, "numbers": number, "kept": moved}
    act = "links.household" if shared else "links.personal"
    journal.write(tx, Entry(tenant=tenant, kind="operator", act=act, actor="hub", outcome="done", facts=facts))
