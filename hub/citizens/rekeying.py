"""New keys for everybody whose identity is kept, once after each change of what they are made of.

Pivots and blocks are digests: a version that folds names otherwise, or meets people otherwise, would find nobody whom
the version before kept. So the first start after such a change makes them anew, tenant by tenant and some people at a
time: whoever is stopped goes on where it was, and of several who start at once each takes its part. What that changes
in who is who is asked, never decided: two who are now the very same are a question, and so is somebody whose
identifiers came together by an identity that no longer says who somebody is. The counts stand in the journal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from sqlalchemy import Row, func, select, update

from bus.ledger import Ledger, Transaction
from bus.sql import Insert, Statement
from bus.tables import counters
from hub.citizens.identities import Identities, People
from hub.citizens.matching import Form, compare
from hub.citizens.pivots import UNSURE, in_use_of, is_unsure, pivot_of
from hub.journal.entries import Entry, Journal
from hub.storage.tables import citizen_blocks, citizen_identities, citizens, rekeyings

KEYS = 1
"""Raised with every change of `fold_name`, `pivot_of`, `Form` or `blocking_keys`."""

_MADE = "identity-keys"  # the counter that says by which KEYS all keys of this database were made
_PART = 500
_MOST = 3  # questions about one person
_COUNTS = ("people", "changed", "unsure", "asked", "unplaced")
_log = structlog.get_logger()

_NEXT = Statement("""
    SELECT citizens.id, citizens.pivot, citizens.in_use, coalesce(citizens.merged_into, citizens.id) AS whole
    FROM citizen_identities JOIN citizens ON citizens.id = citizen_identities.citizen_id
    WHERE citizens.tenant = :tenant AND citizen_identities.citizen_id > :after
    ORDER BY citizen_identities.citizen_id LIMIT :most
""")
_LINKED = Statement(
    "SELECT citizen_id, system FROM citizen_links WHERE citizen_id {ids:text} ORDER BY citizen_id, system"
)
_BLOCKS = Statement("SELECT citizen_id, block FROM citizen_blocks WHERE citizen_id {ids:text}")
_SHARING = Statement("""
    SELECT pivot, id, coalesce(merged_into, id) AS whole FROM citizens WHERE tenant = :tenant AND pivot {pivots:text}
    ORDER BY pivot, id
""")
_MERGED_BY_HAND = Statement("SELECT DISTINCT kept_id FROM citizen_merges WHERE actor <> 'hub' AND kept_id {ids:text}")
_NAME = Statement(
    "UPDATE citizens SET pivot = named.pivot, in_use = named.in_use"
    " FROM {named(id text, pivot text, in_use text)} WHERE citizens.id = named.id"
)
_UNMEET = Statement("DELETE FROM citizen_blocks WHERE citizen_id {ids:text}")
_MEET = Insert(citizen_blocks, conflict="DO NOTHING")
_BEGIN = Insert(rekeyings, conflict="DO NOTHING")
_END = Insert(counters, conflict="(name) DO UPDATE SET value = excluded.value")
Groups = Callable[[str], Mapping[str, str]]
"""`Directory.groups`."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Somebody whose identity is kept. `systems`: that of each identifier of the whole person; `sectors`: None
    where nobody can say among whom they were matched."""

    id: str
    whole: str
    pivot: str | None
    in_use: str | None
    identity: Mapping[str, Any]
    systems: Sequence[str]
    sectors: str | None


def make_keys_anew(ledger: Ledger, people: People, journal: Journal, groups: Groups) -> None:
    """Where the keys of this database were made by an older KEYS. Gives back when all are made, whoever made them."""
    with ledger.reading() as tx:
        if tx.counter(_MADE) >= KEYS:
            return
        tenants = sorted(tx.sql.execute(select(citizens.c.tenant).distinct()).scalars())
        kept = tx.sql.execute(select(func.count()).select_from(citizen_identities)).scalar_one()
    if kept:
        _log.info("keys of identities are made anew", people=kept)
    for tenant in tenants:
        while _make_part(ledger, people, journal, groups(tenant), tenant):
            pass
    with ledger.transaction() as tx:
        _END.run(tx.sql, [{"name": _MADE, "value": KEYS}])


def _make_part(ledger: Ledger, people: People, journal: Journal, groups: Mapping[str, str], tenant: str) -> bool:
    """Some people of a tenant, in one transaction. False when there is nobody more."""
    with ledger.transaction() as tx:
        state = _held_state(tx, tenant)
        if state.done_at is not None:
            return False
        rows = _NEXT.run(tx.sql, tenant=tenant, after=state.after, most=_PART).all()
        part = _Part(tx, people, tenant, groups, rows)
        part.make()
        counts = {name: getattr(state, name) + part.counts[name] for name in _COUNTS}
        ends = len(rows) < _PART
        reached = {"after": "", "done_at": tx.now} if ends else {"after": rows[-1].id}
        mine = (rekeyings.c.version == KEYS, rekeyings.c.tenant == tenant)
        tx.sql.execute(update(rekeyings).where(*mine).values(**counts, **reached))
        if ends and counts["people"]:
            journal.write(tx, Entry(tenant, "operator", "citizens.rekeyed", "hub", "done", facts=counts))
    if ends and counts["people"]:
        _log.info("keys of identities were made anew", tenant=tenant, **counts)
    return not ends


def _held_state(tx: Transaction, tenant: str) -> Row[Any]:
    """How far a tenant is; nobody else goes on with it before the commit."""
    new = {"version": KEYS, "tenant": tenant, "after": "", "done_at": None, **dict.fromkeys(_COUNTS, 0)}
    _BEGIN.run(tx.sql, [new])
    mine = select(rekeyings).where(rekeyings.c.version == KEYS, rekeyings.c.tenant == tenant)
    return tx.sql.execute(mine.with_for_update()).one()


class _Part:
    """Some people of a tenant. `counts` says what was done."""

    def __init__(
        self, tx: Transaction, people: People, tenant: str, groups: Mapping[str, str], rows: Sequence[Row[Any]]
    ) -> None:
        self._first = not tx.counter(_MADE)  # the identities are of a version that linked two of one system by itself
        self._tx, self._people, self._tenant, self._groups = tx, people, tenant, groups
        self.counts: Mapping[str, int] = dict.fromkeys(_COUNTS, 0)
        self._kept = self._read(rows)

    def make(self) -> None:
        known = [one for one in self._kept if one.sectors is not None]
        made = {one.id: self._pivot(one) for one in known}
        changed = [one for one in known if made[one.id] != one.pivot]
        used = {one.id: in_use_of(one.identity, self._people.pepper, made[one.id]) for one in known}
        others = [one for one in known if one in changed or used[one.id] != one.in_use]
        _NAME.run(self._tx.sql, named=[(one.id, made[one.id], used[one.id]) for one in others])
        self._meet_anew(known)
        new = {one.id: pivot for one in changed if (pivot := made[one.id]) is not None}
        unsure = {one for one, pivot in new.items() if is_unsure(pivot)}
        asking = self._people.session(self._tx, f"{self._tenant}.hub")
        self._ask_who_is_the_same(asking, {one: pivot for one, pivot in new.items() if one not in unsure})
        self._ask_whose_identifiers(asking, unsure)
        self.counts = {
            "people": len(self._kept), "changed": len(changed), "unsure": len(unsure), "asked": asking.save(),
            "unplaced": len(self._kept) - len(known),
        }  # fmt: skip

    def _read(self, rows: Sequence[Row[Any]]) -> list[_Kept]:
        identities = self._people.identities(self._tx, [row.id for row in rows])
        linked: dict[str, list[str]] = defaultdict(list)
        for row in _LINKED.run(self._tx.sql, ids=sorted({row.whole for row in rows})):
            linked[row.citizen_id].append(row.system)
        return [
            _Kept(row.id, row.whole, row.pivot, row.in_use, identity, linked[row.whole],
                  self._sectors(row.pivot, identity, linked[row.whole]))
            for row in rows if (identity := identities.get(row.id)) is not None
        ]  # fmt: skip

    def _sectors(self, pivot: str | None, identity: Mapping[str, Any], systems: Sequence[str]) -> str | None:
        """Among whom somebody was matched: what their key says, else the sector of a system that knows them."""
        if not self._groups:
            return ""
        alike = {pivot, UNSURE + pivot[: -len(UNSURE)]} if pivot else set()
        for sectors in sorted({"", *self._groups.values()}):
            if pivot_of(identity, self._people.pepper, sectors) in alike:
                return sectors
        return next((self._groups[system] for system in systems if system in self._groups), None)

    def _pivot(self, one: _Kept) -> str | None:
        return pivot_of(one.identity, self._people.pepper, one.sectors or "")

    def _meet_anew(self, known: Sequence[_Kept]) -> None:
        """The blocks of those who have others now."""
        before: dict[str, set[str]] = defaultdict(set)
        for row in _BLOCKS.run(self._tx.sql, ids=[one.id for one in known]):
            before[row.citizen_id].add(row.block)
        now = {one.id: self._blocks(one) for one in known}
        moved = [citizen_id for citizen_id, blocks in now.items() if blocks != before[citizen_id]]
        _UNMEET.run(self._tx.sql, ids=moved)
        _MEET.run(self._tx.sql, [{"block": b, "citizen_id": one} for one in moved for b in sorted(now[one])])

    def _blocks(self, one: _Kept) -> set[str]:
        return {*self._people.blocks(self._tenant, one.sectors or "", Form.of(one.identity))}

    def _ask_who_is_the_same(self, asking: Identities, made: Mapping[str, str]) -> None:
        """Of each person with a new pivot (`made`, by id): whether others who have it are the same."""
        sharing: dict[str, list[Row[Any]]] = defaultdict(list)
        for row in _SHARING.run(self._tx.sql, tenant=self._tenant, pivots=sorted(set(made.values()))):
            sharing[row.pivot].append(row)
        whole = {one.id: one.whole for one in self._kept}
        pairs = {
            tuple(sorted((one, row.id)))
            for one, pivot in made.items()
            for row in [row for row in sharing[pivot] if row.whole != whole[one]][:_MOST]
        }
        wholes = {row.id: row.whole for rows in sharing.values() for row in rows}
        people = self._people.identities(self._tx, {one for pair in pairs for one in pair})
        systems: dict[str, set[str]] = defaultdict(set)
        for row in _LINKED.run(self._tx.sql, ids=sorted({wholes[one] for pair in pairs for one in pair})):
            systems[row.citizen_id].add(row.system)
        for pair in sorted(pairs):
            forms = [Form.of(people.get(one, {})) for one in pair]
            first, second = (wholes[one] for one in pair)
            facts = self._facts(*forms, apart=bool(systems[first] & systems[second]))
            asking.open_person_review(self._tenant, first, second, facts)

    def _facts(self, one: Form | None, other: Form | None, *, apart: bool) -> dict[str, Any]:
        """`apart`: a system knows the two under two identifiers."""
        if one is None or other is None:
            return {"why": "folding"}
        compared = compare(one, other, self._people.communes)
        return (compared.with_field("identifier", "differ") if apart else compared).explanation() | {"why": "folding"}

    def _ask_whose_identifiers(self, asking: Identities, unsure: Collection[str]) -> None:
        """Of each person to whom the very same identity may have brought several identifiers, though it does not say
        who somebody is (`unsure`, by id), or though a system has two: whether all are theirs."""
        several = {
            one.id: len(one.systems) for one in self._kept
            if one.id == one.whole and len(one.systems) > (1 if one.id in unsure else self._most_before(one))
        }  # fmt: skip
        if not several:
            return
        decided = {row.kept_id for row in _MERGED_BY_HAND.run(self._tx.sql, ids=sorted(several))}
        for citizen_id in sorted(set(several) - decided):
            facts = {"identifiers": several[citizen_id], "why": "folding"}
            asking.open_links_review(self._tenant, citizen_id, facts)

    def _most_before(self, one: _Kept) -> int:
        """The identifiers that nobody doubts: once each system has one. Later versions give none two by itself."""
        return len(set(one.systems)) if self._first else len(one.systems)
