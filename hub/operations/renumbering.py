"""A package that changed its identifiers: each link goes on under the new one, all at once or none.

The whole file is one mapping: `a;b` and `b;a` are a swap, `a;b` and `b;c` a chain. The reverse file undoes it. For a
while an old identifier that is nobody's still finds its person, for what is on its way (`hub.citizens.repository`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from sqlalchemy import Table, and_, delete, insert, select, update

from bus.ledger import Transaction, parts
from bus.tables import deliveries, events
from hub.acceptance.accept import Acceptance
from hub.citizens.catch_ups import ask_for_known
from hub.citizens.nir import doubtful_systems, is_refused
from hub.operations.parting import speakers
from hub.storage.tables import (
    citizen_links,
    citizen_merges,
    household_links,
    renumbered_ids,
    request_links,
    unproved_references,
)
from schemas.errors import InvalidMessage
from schemas.registry import check_document
from schemas.tables import Row, read_rows

COLUMNS = ("old", "new")
Kind = Literal["people", "requests"]
"""Whose identifiers they are; a system may call a person and a request the same."""
_TABLES: Mapping[Kind, tuple[Table, str, str, str]] = {
    "people": (citizen_links, "citizen_id", "c:", "citizen."),
    "requests": (request_links, "request_id", "r:", "request."),
}
_CITIZEN = "urn:unefois:record:citizen:v1"
_FAULTS = {
    "encoding": "the file is not in UTF-8", "header": f"the first line must name {' and '.join(COLUMNS)}",
    "quote": "a quote is opened and not closed", "cell": "a cell is too long or holds a control character",
}  # fmt: skip


@dataclass(slots=True)
class Renumbering:
    """What a file would do. `known`: old -> new of what the hub knows; `unknown`: how many it does not; `joined`: new
    ones that are the very same person's already, so that the old one only goes; `swapped`, `chained`: of how many the
    new one is another's old one; `refused`: lines, each with why, without what they hold."""

    known: dict[str, str] = field(default_factory=dict)
    unknown: int = 0
    unchanged: int = 0
    joined: int = 0
    swapped: int = 0
    chained: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)


class Renumber:
    """For one system of a tenant, in the caller's transaction."""

    def __init__(self, acceptance: Acceptance, tenant: str, system: str, kind: Kind = "people") -> None:
        self._acceptance, self._tenant, self._system, self._kind = acceptance, tenant, system, kind
        self._table, self._whose, self._subject, self._types = _TABLES[kind]
        if kind == "people" and system in acceptance.directory.households(tenant):
            self._table = household_links

    def plan(self, tx: Transaction, content: bytes | str) -> Renumbering:
        """What this file would do. Changes nothing. Raises InvalidMessage when it is no such file."""
        made = Renumbering()
        rows = list(self._lines(content, made))
        owners = self._owners(tx, {one for row in rows for one in (row["old"], row["new"])})
        olds = {row["old"] for row in rows}
        for row in rows:
            old, new = row["old"], row["new"]
            if old not in owners:
                made.unknown += 1
            elif new in owners and new not in olds and owners[new] != owners[old]:
                made.refused.append((row.line, "the new identifier is somebody else's already"))
            else:
                made.known[old] = new
                made.joined += new in owners and new not in olds
        made.swapped = sum(made.known.get(new) == old for old, new in made.known.items())
        made.chained = sum(new in made.known for new in made.known.values()) - made.swapped
        made.refused.sort()
        return made

    def write(self, tx: Transaction, plan: Renumbering, by: str) -> None:
        """Do it, whole. InvalidMessage `lines_refused` where a line was."""
        if plan.refused:
            raise InvalidMessage(f"{len(plan.refused)} line(s) refused: nothing is written", code="lines_refused")
        tx.hold_door()
        if self._kind == "people":
            self._move_news(tx, plan.known)
        more = {"how": "renumbered", "origin": by} if self._table is citizen_links else {}
        joined = self._owners(tx, {*plan.known.values()} - plan.known.keys()) if more and plan.joined else {}
        self._move_rows(tx, self._table, plan.known, more)
        self._move_rows(
            tx, unproved_references, plan.known, {}, unproved_references.c.subject.startswith(self._subject)
        )
        self._move_deliveries(tx, plan.known)
        if self._kind == "people":
            self._move_merges(tx, plan.known)
        if self._table is citizen_links:  # the old number of a household finds nobody, as the new one
            self._remember(tx, plan.known)
            # Who was told under the old one lacks it under the new one; of all others the link is what it was.
            people = {one for owners in joined.values() for one in owners}
            ask_for_known(tx, self._tenant, people, cause="renumber")

    # --- inside -------------------------------------------------------------------------------------------------

    def _lines(self, content: bytes | str, made: Renumbering) -> Iterator[Row]:
        try:
            table = read_rows(content, COLUMNS, required=COLUMNS)
        except InvalidMessage as error:
            raise InvalidMessage(_FAULTS.get(error.code, error.reason), code="not_a_renumbering") from None
        made.refused += [(one.line, _FAULTS.get(one.code, "the columns are not right")) for one in table.faults.told]
        olds, news = set[str](), set[str]()
        for row in table.rows:
            fault = self._fault(row, olds, news)
            olds.add(row["old"])
            news.add(row["new"])
            if fault is not None:
                made.refused.append((row.line, fault))
            elif row["old"] == row["new"]:
                made.unchanged += 1
            else:
                yield row

    def _fault(self, row: Row, olds: Collection[str], news: Collection[str]) -> str | None:
        old, new = row["old"], row["new"]
        if not (old and new):
            return "an identifier is missing"
        if old in olds or new in news:
            return f"the {'old' if old in olds else 'new'} identifier stands in a line above"
        person: dict[str, Any] = {"references": [{"system": self._system, "id": new}]}
        try:
            check_document(self._acceptance.registry.schema_set, _CITIZEN, person, "")
        except InvalidMessage:
            return "the new identifier is none"
        declared = self._acceptance.directory.identifiers(self._tenant)
        if is_refused(person["references"][0], declared) or doubtful_systems(person, declared):
            return "the new identifier reads as a social security number"
        return None

    def _owners(self, tx: Transaction, ids: Collection[str]) -> dict[str, set[str]]:
        """Whose each of these is; the number of a household is of several."""
        row, found = self._table.c, dict[str, set[str]]()
        for some in parts(sorted(ids)):
            here = and_(row.tenant == self._tenant, row.system == self._system, row.native_id.in_(some))
            for one in tx.sql.execute(select(row.native_id, row[self._whose].label("owner")).where(here)):
                found.setdefault(one.native_id, set()).add(one.owner)
        return found

    def _move_rows(
        self, tx: Transaction, table: Table, known: Mapping[str, str], more: Mapping[str, Any], *where: Any
    ) -> None:
        """All are taken out before any is put back: a new identifier may be another's old one."""
        row, moved = table.c, list[dict[str, Any]]()
        for some in parts(sorted({*known})):
            here = and_(row.tenant == self._tenant, row.system == self._system, row.native_id.in_(some), *where)
            moved += [dict(one._mapping) for one in tx.sql.execute(select(table).where(here))]
            tx.sql.execute(delete(table).where(here))
        there = self._there(tx, table, {known[one["native_id"]] for one in moved}, *where)
        key = [column.name for column in table.primary_key]
        rows = [{**one, "native_id": known[one["native_id"]], **more} for one in moved]
        if rows := [one for one in rows if tuple(one[name] for name in key) not in there]:
            tx.sql.execute(insert(table), rows)

    def _there(self, tx: Transaction, table: Table, ids: Collection[str], *where: Any) -> set[tuple[Any, ...]]:
        """The keys of rows that are there under new identifiers: the same person's."""
        row, found = table.c, set[tuple[Any, ...]]()
        for some in parts(sorted(ids)):
            here = and_(row.tenant == self._tenant, row.system == self._system, row.native_id.in_(some), *where)
            found |= {tuple(one) for one in tx.sql.execute(select(*table.primary_key).where(here))}
        return found

    def _move_deliveries(self, tx: Transaction, known: Mapping[str, str]) -> None:
        """What a package called what it opened: its poll follows that by the new identifier."""
        names = sorted(speakers(self._acceptance.directory, self._tenant, {self._system}))
        row = deliveries.c
        query = select(row.connection, row.seq, row.reference).join(events, events.c.seq == row.seq)
        mine = and_(row.connection.in_(names), row.reference.is_not(None), events.c.type.startswith(self._types))
        for one in tx.sql.execute(query.where(mine)).all():
            if (new := known.get(one.reference)) is not None:
                here = and_(row.connection == one.connection, row.seq == one.seq)
                tx.sql.execute(update(deliveries).where(here).values(reference=new))

    def _move_news(self, tx: Transaction, known: Mapping[str, str]) -> None:
        """Who was told of somebody under the old identifier has been told under the new one."""
        book, names = self._acceptance.news, speakers(self._acceptance.directory, self._tenant, {self._system})
        owners = {one for some in self._owners(tx, set(known)).values() for one in some}
        digest = book.digests.of_link
        book.renumber(
            tx, owners, names, {digest(self._system, old): digest(self._system, new) for old, new in known.items()}
        )

    def _move_merges(self, tx: Transaction, known: Mapping[str, str]) -> None:
        """What a merge moved, so that it is taken back under the new identifiers."""
        row = citizen_merges.c
        mine = and_(row.tenant == self._tenant, row.moved.contains(f'["{self._system}",', autoescape=True))
        for one in tx.sql.execute(select(citizen_merges).where(mine)).all():
            moved = orjson.loads(one.moved)
            changed = {
                name: [[system, known.get(native, native) if system == self._system else native]
                       for system, native in moved[name]]
                for name in ("links", "numbers", "shared_numbers") if name in moved
            }  # fmt: skip
            if any(moved[name] != links for name, links in changed.items()):
                text = orjson.dumps(moved | changed).decode()
                tx.sql.execute(update(citizen_merges).where(row.gone_id == one.gone_id).values(moved=text))

    def _remember(self, tx: Transaction, known: Mapping[str, str]) -> None:
        """What an old identifier is now, where it is not somebody's new one; what led to it leads on."""
        row, news = renumbered_ids.c, set(known.values())
        before = self._remembered(tx)
        led = {old: known.get(new, new) for old, new in before.items() if old not in news}
        now = led | {old: new for old, new in known.items() if old not in news}
        changed = {old: new for old, new in now.items() if before.get(old) != new}
        for some in parts(sorted({*changed, *(before.keys() & news)})):
            here = and_(row.tenant == self._tenant, row.system == self._system, row.old_id.in_(some))
            tx.sql.execute(delete(renumbered_ids).where(here))
        made: Sequence[dict[str, Any]] = [
            {"tenant": self._tenant, "system": self._system, "old_id": old, "new_id": new, "at": tx.now}
            for old, new in changed.items() if old != new
        ]  # fmt: skip
        if made:
            tx.sql.execute(insert(renumbered_ids), made)

    def _remembered(self, tx: Transaction) -> dict[str, str]:
        row = renumbered_ids.c
        mine = select(renumbered_ids).where(row.tenant == self._tenant, row.system == self._system)
        return {one.old_id: one.new_id for one in tx.sql.execute(mine)}
