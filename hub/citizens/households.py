"""Numbers of households: one number of a family package, of the CAF, stands for all who live together.

Such a number never says who is meant: by it alone nobody is found, linked or told. It is kept beside each of its
people, so that what is delivered to that system carries it; where somebody has several, the one told last. With a name
it says which of them: packages that number households tell no births.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, or_, select, update

from bus.ledger import Transaction
from bus.sql import Insert, Statement
from hub.citizens.identities import People, Person
from hub.storage.tables import citizens, household_links
from schemas.errors import InvalidMessage
from schemas.identities import given_names
from schemas.names import fold_name

Pair = tuple[str, str]  # system, number
Reference = Mapping[str, str]
_MOST = 20  # people under one number: more are no household

_COLUMNS = ("tenant", "system", "native_id", "citizen_id", "since", "since_seq")
_KEEP = Insert(
    household_links, _COLUMNS,
    conflict="(tenant, system, native_id, citizen_id) DO UPDATE SET since = excluded.since",
)  # fmt: skip
_UNDER = Statement("""
    SELECT numbers.system, numbers.native_id, numbers.citizen_id FROM {named(system text, native_id text)}
    JOIN household_links AS numbers ON numbers.tenant = :tenant AND numbers.system = named.system
        AND numbers.native_id = named.native_id
""")
_OF = Statement("SELECT citizen_id, system, native_id FROM household_links WHERE citizen_id {ids:text} ORDER BY since")


class HouseholdNumbers:
    """Those of the citizens that one batch concerns: read by `prefetch`, written by `save`."""

    def __init__(self, tx: Transaction, people: People | None) -> None:
        self._tx, self._people = tx, people
        self._identities: dict[str, list[Mapping[str, Any]]] = {}  # of those who may be meant, in all their forms
        self._under: dict[tuple[str, str, str], set[str]] = {}  # by tenant, system and number
        self._told: dict[str, dict[str, str]] = {}  # by citizen and system, the number told last
        self._new: list[dict[str, Any]] = []

    def parted(self, tenant: str, person: Person) -> tuple[Sequence[Reference], Sequence[Reference]]:
        """The references of a record: the person's own, and those of their household."""
        references, systems = person.get("references", ()), self._systems(tenant)
        if not systems:
            return references, ()
        shared = [one for one in references if one["system"] in systems]
        return [one for one in references if one not in shared], shared

    def prefetch(self, tenant: str, ids: Iterable[str]) -> None:
        """Read the numbers of these citizens, where the tenant has any such system."""
        unread = sorted(set(ids) - self._told.keys()) if self._systems(tenant) else []
        rows = _OF.send(self._tx.sql, ids=unread) if unread else ()
        self._told |= {one: {} for one in unread}
        for row in rows:
            self._told[row.citizen_id][row.system] = row.native_id

    def prefetch_people(self, tenant: str, persons: Iterable[Person]) -> set[str]:
        """Read who may be meant by these names beside a number of their household; who that is."""
        told = {(tenant, one["system"], one["id"]) for person in persons for one in self.parted(tenant, person)[1]}
        unread = sorted(told - self._under.keys())
        if not unread or self._people is None:
            return set()
        self._under |= {key: set() for key in unread}
        for row in _UNDER.send(self._tx.sql, tenant=tenant, named=[key[1:] for key in unread]):
            self._under[(tenant, row.system, row.native_id)].add(row.citizen_id)
        found = {one for key in unread for one in self._under[key] if len(self._under[key]) <= _MOST}
        self._read_identities(self._people, found - self._identities.keys())
        return found

    def named_among_them(self, tenant: str, person: Person) -> str | None:
        """The one of the people of a household whom a record names beside their number; None where that is nobody, or
        could be two."""
        keys = [(tenant, one["system"], one["id"]) for one in self.parted(tenant, person)[1]]
        found = {
            one for key in keys for one in self._under.get(key, ())
            if any(_is_called(person.get("identity", {}), known) for known in self._identities.get(one, ()))
        }  # fmt: skip
        return found.pop() if len(found) == 1 else None

    def systems(self, citizen_id: str) -> Collection[str]:
        """The systems that have a number for this citizen."""
        return self._told.get(citizen_id, {}).keys()

    def last(self, citizen_id: str, system: str) -> str | None:
        """The number of this citizen's household that was told last."""
        return self._told.get(citizen_id, {}).get(system)

    def untold(self, tenant: str, citizen_id: str, person: Person) -> list[Pair]:
        """Those of the numbers in a record that were not the last ones told of this citizen."""
        told = self._told.get(citizen_id, {})
        references = self.parted(tenant, person)[1]
        return [(one["system"], one["id"]) for one in references if told.get(one["system"]) != one["id"]]

    def keep(self, tenant: str, citizen_id: str, person: Person) -> None:
        """Remember that this citizen is one of those who have the numbers in a record."""
        for system, number in self.untold(tenant, citizen_id, person):
            self._told.setdefault(citizen_id, {})[system] = number
            row = (tenant, system, number, citizen_id, self._tx.now, self._tx.last_number)
            self._new.append(dict(zip(_COLUMNS, row, strict=True)))

    def newly_told(self) -> set[tuple[str, str]]:
        """Whom a number was told of since, with its system."""
        return {(row["citizen_id"], row["system"]) for row in self._new}

    def save(self) -> None:
        last = {tuple(row[name] for name in _COLUMNS[:-2]): row for row in self._new}
        _KEEP.send(self._tx.sql, list(last.values()))
        self._new.clear()

    def _read_identities(self, people: People, ids: Collection[str]) -> None:
        forms = select(citizens.c.id, citizens.c.merged_into).where(
            or_(citizens.c.id.in_(ids), citizens.c.merged_into.in_(ids))
        )
        whole = {row.id: row.merged_into or row.id for row in self._tx.sql.execute(forms)} if ids else {}
        for one, identity in people.identities(self._tx, whole).items() if whole else ():
            self._identities.setdefault(whole[one], []).append(identity)

    def _systems(self, tenant: str) -> Collection[str]:
        return self._people.households(tenant) if self._people is not None else ()


def _is_called(told: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Whether what is told of a name is that of somebody known, and nothing told beside it contradicts."""
    given, theirs = (given_names(one.get("given_names", ()))[:1] for one in (told, known))
    if not given or [*map(fold_name, given)] != [*map(fold_name, theirs)]:
        return False
    if told.get("gender", known.get("gender")) != known.get("gender", told.get("gender")):
        return False
    born, theirs_born = told.get("birthdate", ""), known.get("birthdate", "")
    same_birth = born.startswith(theirs_born) or theirs_born.startswith(born)
    return same_birth and not _family_names(told).isdisjoint(_family_names(known))


def _family_names(identity: Mapping[str, Any]) -> set[str]:
    told = (identity.get(name, "") for name in ("family_name", "preferred_name"))
    return {fold_name(name) for name in told} - {""}


def refuse_household_alone(person: Mapping[str, Any], pointer: str, households: Collection[str]) -> None:
    """InvalidMessage `household_reference` where nothing names a person but numbers of their household."""
    references = person.get("references", ())
    if references and "identity" not in person and all(one["system"] in households for one in references):
        message = "this is the number of a household: say who of its people is meant"
        raise InvalidMessage(message, pointer=f"{pointer}/references", code="household_reference")


def keep_number(tx: Transaction, tenant: str, system: str, native_id: str, citizen_id: str) -> None:
    """Remember that a citizen is one of those who have this number."""
    tx.hold_door()  # from which event on it counts is said exactly
    row = (tenant, system, native_id, citizen_id, tx.now, tx.last_number)
    _KEEP.send(tx.sql, [dict(zip(_COLUMNS, row, strict=True))])


def numbers_of(tx: Transaction, tenant: str, ids: Collection[str]) -> list[Pair]:
    """The numbers of households that somebody who is all of these has, in order."""
    mine = and_(household_links.c.tenant == tenant, household_links.c.citizen_id.in_(ids))
    columns = household_links.c.system, household_links.c.native_id
    return [
        (row.system, row.native_id)
        for row in tx.sql.execute(select(*columns).distinct().where(mine).order_by(*columns))
    ]


def people_of(tx: Transaction, tenant: str, system: str, native_id: str) -> list[str]:
    """Those who have this number."""
    same = and_(
        household_links.c.tenant == tenant, household_links.c.system == system, household_links.c.native_id == native_id
    )
    return sorted(tx.sql.execute(select(household_links.c.citizen_id).where(same)).scalars())


def forget_number(tx: Transaction, tenant: str, pair: Pair, citizen_id: str) -> bool:
    """Take a number away from one of its people; whether they had it."""
    return bool(tx.sql.execute(delete(household_links).where(_row(tenant, pair, citizen_id))).rowcount)


def move_numbers(tx: Transaction, tenant: str, gone: str, kept: str) -> dict[str, Sequence[Pair]]:
    """Give the numbers of one to another, as whom they are from now on: those that moved, and those that both had."""
    theirs, ours = numbers_of(tx, tenant, [gone]), numbers_of(tx, tenant, [kept])
    moved, shared = [one for one in theirs if one not in ours], [one for one in theirs if one in ours]
    _hand_over(tx, tenant, moved, gone, kept)
    for pair in shared:
        forget_number(tx, tenant, pair, gone)
    return {"numbers": moved, "shared_numbers": shared}


def move_numbers_back(tx: Transaction, tenant: str, moved: Mapping[str, Any], gone: str, kept: str) -> None:
    """Undo `move_numbers`, of what is still there."""
    held = numbers_of(tx, tenant, [kept])
    back = [pair for one in moved.get("numbers", ()) if (pair := (one[0], one[1])) in held]
    shared = [pair for one in moved.get("shared_numbers", ()) if (pair := (one[0], one[1])) in held]
    _hand_over(tx, tenant, back, kept, gone)
    for system, native_id in shared:
        keep_number(tx, tenant, system, native_id, gone)


def _hand_over(tx: Transaction, tenant: str, pairs: Iterable[Pair], giver: str, taker: str) -> None:
    for pair in pairs:
        moved = {"citizen_id": taker, "since_seq": tx.last_number}
        tx.sql.execute(update(household_links).where(_row(tenant, pair, giver)).values(moved))


def _row(tenant: str, pair: Pair, citizen_id: str) -> ColumnElement[bool]:
    row = household_links.c
    return and_(row.tenant == tenant, row.system == pair[0], row.native_id == pair[1], row.citizen_id == citizen_id)
