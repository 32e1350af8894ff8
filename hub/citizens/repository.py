"""Citizens, as far as routing needs them: the link from each system's identifier to one person of one tenant.

Matching here is exact: a known identifier, else the same pivot identity. Only who is new to both is compared with those
who are like them (`hub.citizens.identities`). Nothing is listed, nothing is searched.
"""

from __future__ import annotations

import hmac
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from bus.ledger import Transaction
from bus.sql import Insert, Statement, around_found
from hub.citizens.identities import People
from hub.citizens.value_digests import Person, value_digest
from hub.citizens.values import ECHO_DAYS as ECHO_DAYS
from hub.citizens.values import KnownValues
from hub.citizens.values import Rank as Rank
from hub.storage.tables import citizen_links, citizens
from schemas.errors import InvalidMessage
from schemas.names import fold_name

_REQUIRED = ("family_name", "birthdate")
_LINKS = ("tenant", "system", "native_id", "citizen_id")

_PEOPLE = {
    dialect: Statement(f"""
        WITH found AS (
            SELECT (SELECT citizen_id FROM citizen_links WHERE tenant = :tenant AND system = named.system
                AND native_id = named.native_id) AS id FROM {{named(system text, native_id text)}}
            UNION SELECT (SELECT citizens.id FROM citizens WHERE tenant = :tenant AND pivot = pivots.digest)
            FROM {{pivots(digest text)}}
        )
        SELECT found.id, citizens.pivot, citizens.confidential, citizens.seen_at, citizens.merged_into,
            links.system, links.native_id
        FROM found {around}
    """)  # noqa: S608 (the text is our own)
    for dialect, around in around_found("citizens", "citizen_links", "citizen_id").items()
}
_IDENTIFIERS = Statement(
    "SELECT tenant, system, native_id, citizen_id FROM citizen_links WHERE citizen_id {ids:text} ORDER BY native_id"
)
_IDENTIFIERS_NOW = Statement("""
    SELECT citizens.id AS gone_id, links.tenant, links.system, links.native_id FROM citizens
    JOIN citizen_links AS links ON links.citizen_id = citizens.merged_into
    WHERE citizens.id {ids:text} ORDER BY links.native_id
""")
_OPEN = Insert(citizens)
_NAME = Statement(
    "UPDATE citizens SET pivot = named.pivot FROM {named(id text, pivot text)} WHERE citizens.id = named.id"
)
_SEE = Statement("UPDATE citizens SET seen_at = :now WHERE id {ids:text}")
_MARK = Statement("UPDATE citizens SET confidential = 1 WHERE id {ids:text}")
_LINK = Insert(citizen_links, conflict="DO NOTHING")


@dataclass(slots=True)
class Citizen:
    id: str
    tenant: str
    confidential: bool
    pivot: str | None = None
    merged_into: str | None = None


QUALITIES = ("declared", "verified", "authoritative")
Said = tuple[Person, str, Any]  # who a value is about, its field, the value


class Citizens:
    """The citizens that one batch of events concerns: read at once by `prefetch`, written at once by `save`.

    Without `people` only the very same identity is matched, and none is kept. `origin`: who speaks; `most`: how many
    questions it may open in a day."""

    def __init__(
        self, tx: Transaction, pepper: bytes, people: People | None = None, origin: str = "", most: int | None = None
    ) -> None:
        self._tx = tx
        self._pepper = pepper
        self._people = people
        self._origin = origin
        self.identities = people.session(tx, origin, most) if people is not None else None
        self._group: Callable[[Person], str] | None = None
        self._by_id: dict[str, Citizen] = {}
        self._links: dict[tuple[str, str, str], str] = {}
        self._pivots: dict[tuple[str, str], str] = {}
        self._systems: dict[str, set[str]] = {}
        self._new: dict[str, Citizen] = {}
        self._marked: list[str] = []
        self._fresh_marks: set[str] = set()
        self._long_unseen: set[str] = set()
        self._seen: set[str] = set()
        self._named: list[Citizen] = []
        self._new_links: list[dict[str, str]] = []
        self._values = KnownValues(tx, people.keys if people is not None else None, pepper, self._new)
        # By the identity of the object, which is kept beside, so that no other takes its place in memory.
        self._digests: dict[int, tuple[Any, str]] = {}
        self._pivots_of: dict[int, tuple[Person, str | None]] = {}

    def prefetch(
        self, tenant: str, people: Sequence[Person], values: Iterable[Said] = (), along: Sequence[Person] = ()
    ) -> None:
        """Read what concerns these people, and what is known of these values. `along`: people who are only named with
        others, and become known to nobody."""
        met, people = people, [*people, *along]
        if self._people is not None:
            self._group = self._people.grouping(tenant, self._origin)
        named = sorted({(r["system"], r["id"]) for person in people for r in person.get("references", ())})
        pivots = sorted({(pivot,) for person in people if (pivot := self._pivot_of(person)) is not None})
        statement = _PEOPLE[self._tx.sql.dialect.name]
        merged: dict[str, str] = {}
        for row in statement.send(self._tx.sql, tenant=tenant, named=named, pivots=pivots):
            if row.merged_into is not None:
                merged[row.id] = row.merged_into
            if row.id not in self._by_id:
                self._admit(Citizen(row.id, tenant, bool(row.confidential), row.pivot, row.merged_into))
                if row.seen_at < self._tx.now - 86_400:
                    self._long_unseen.add(row.id)
            if row.system is not None:
                self._links[(tenant, row.system, row.native_id)] = row.id
                self._systems.setdefault(row.id, set()).add(row.system)
        if merged:
            self._follow_merges(tenant, merged)
        if self.identities is not None:
            self.identities.prefetch(tenant, self._new_among(tenant, met))
        self._values.prefetch(
            (citizen_id, field) for person, field, _ in values for citizen_id in self._known_as(tenant, person)
        )

    def resolve(self, tenant: str, person: Person) -> Citizen:
        """The citizen that a record names, made if new; new identifiers and a `confidential` mark are kept.

        InvalidMessage `ambiguous_citizen` when its identifiers are links of different people."""
        pivot = self._pivot_of(person)
        known = self.check(tenant, person)
        citizen = self._by_id[known] if known else self._match_or_create(tenant, person, pivot)
        if citizen.id in self._long_unseen:
            self._seen.add(citizen.id)
        for reference in person.get("references", ()):
            self._link(citizen, (tenant, reference["system"], reference["id"]))
        if citizen.pivot is None and pivot is not None and (tenant, pivot) not in self._pivots:
            citizen.pivot = pivot
            self._pivots[(tenant, pivot)] = citizen.id
            self._named.append(citizen)
            if self.identities is not None:
                self.identities.add_identity(citizen.id, tenant, person)
        named = [citizen, *self._twins(tenant, pivot, citizen)]
        if self.identities is not None:
            for twin in named[1:]:
                self.identities.open_person_review(tenant, citizen.id, twin.id, {"score": 100, "fields": []})
        if person.get("confidential") or any(each.confidential for each in named):
            for each in named:
                self._mark(each)
        return citizen

    def check_together(self, tenant: str, people: Iterable[Person]) -> None:
        """Raise for the people of one event what `resolve` would raise for one of them, before any is resolved."""
        new: dict[Any, object] = {}
        for person in people:
            keys: list[Any] = [(tenant, r["system"], r["id"]) for r in person.get("references", ())]
            found = {self._links.get(key) or new.get(key) for key in keys} - {None}
            pivot = self._pivot_of(person)
            if not found and pivot is not None:
                found = {self._pivots.get((tenant, pivot)) or new.get(pivot)} - {None}
            if len(found) > 1:
                raise _ambiguous()
            who = found.pop() if found else object()
            new |= dict.fromkeys([*keys, pivot] if pivot is not None else keys, who)

    def asks_too_much(self, tenant: str, people: Iterable[Person]) -> bool:
        """Whether to know these people, of one event, would open more questions than the origin may open today. Changes
        nothing; raises as `resolve` does."""
        if self.identities is None:
            return False
        fresh, pairs, seen = 0, [], set()
        for person in people:
            known, pivot = self.check(tenant, person), self._pivot_of(person)
            if known is not None:
                pairs += [(known, twin.id) for twin in self._twins(tenant, pivot, self._by_id[known])]
            elif pivot is not None and pivot not in seen:
                seen.add(pivot)
                fresh += len(self.identities.match_newcomer(tenant, person).doubts)
        return bool(pairs or fresh) and not self.identities.may_ask(tenant, pairs, fresh)

    def mark_known(self, tenant: str, people: Iterable[Person]) -> bool:
        """Keep the marks on those of these people who are known; whether one of all is confidential."""
        marked = False
        for person in people:
            known, pivot = self.check(tenant, person), self._pivot_of(person)
            named = [self._by_id[known], *self._twins(tenant, pivot, self._by_id[known])] if known is not None else []
            if person.get("confidential") or any(each.confidential for each in named):
                marked = True
                for each in named:
                    self._mark(each)
        return marked

    def is_identified(self, person: Person) -> bool:
        """Whether the identity of a record is full enough to match on."""
        return self._pivot_of(person) is not None

    def is_marked(self, tenant: str, person: Person) -> bool:
        """Whether a person who is only named along must be kept confidential; the mark of such a person is kept."""
        if person.get("confidential"):
            return self.resolve(tenant, person).confidential
        ids, pivot = self.linked(tenant, person), self._pivot_of(person)
        ids.add(self._pivots.get((tenant, pivot)) if pivot is not None else None)
        return any(self._by_id[found].confidential for found in ids if found is not None)

    def take_fresh_marks(self) -> set[str]:
        """The citizens marked confidential since this was last asked."""
        fresh, self._fresh_marks = self._fresh_marks, set()
        return fresh

    def check(self, tenant: str, person: Person) -> str | None:
        """The known citizen that a record names, None when new. Changes nothing; raises as `resolve` does."""
        found = self._known_as(tenant, person)
        if len(found) > 1:
            raise _ambiguous()
        return next(iter(found), None)

    def linked(self, tenant: str, person: Person) -> set[str | None]:
        """Those who have the identifiers of a record."""
        links = self._links
        return {links[key] for r in person.get("references", ()) if (key := (tenant, r["system"], r["id"])) in links}

    def named(self, tenant: str, person: Person) -> set[str | None]:
        """Who has the very identity of a record."""
        pivot = self._pivot_of(person)
        return {self._pivots[(tenant, pivot)]} if pivot is not None and (tenant, pivot) in self._pivots else set()

    def _known_as(self, tenant: str, person: Person) -> set[str]:
        """Those who have the identifiers of a record; where nobody has, who has its identity."""
        found = self.linked(tenant, person) or self.named(tenant, person)
        return {citizen_id for citizen_id in found if citizen_id is not None}

    def _twins(self, tenant: str, pivot: str | None, citizen: Citizen) -> list[Citizen]:
        """The other citizen with this pivot identity, if any: linked to another identifier, and so not merged."""
        other = self._pivots.get((tenant, pivot)) if pivot is not None else None
        return [self._by_id[other]] if other is not None and other != citizen.id else []

    def _mark(self, citizen: Citizen) -> None:
        if not citizen.confidential:
            citizen.confidential = True
            self._marked.append(citizen.id)
            self._fresh_marks.add(citizen.id)

    def systems(self, citizen: Citizen) -> frozenset[str]:
        """The systems that have an identifier for this citizen."""
        return frozenset(self._systems.get(citizen.id, ()))

    def is_echo(self, citizen: Citizen, field: str, value: Any, holder: str, *, dated: float) -> bool:
        """Whether `holder` says what the hub knows already, what the hub delivered to it in the last month, or what it
        said itself before another said better. `dated`: what it says to be newer than that is news."""
        return self._values.is_echo(citizen.id, field, self._digest(value), holder, dated=dated)

    def yields(self, citizen: Citizen, field: str, rank: Rank, *, master: str) -> bool:
        """Whether another's value of this `rank` must wait for an operator: the known one is the master's and of at
        least the same rank."""
        return self._values.yields(citizen.id, field, rank, master=master)

    def learn(
        self, citizen: Citizen, field: str, value: Any, *, by: str, told: Sequence[str], system: str = "",
        rank: Rank = (0, 0.0),
    ) -> None:  # fmt: skip
        """Note the value now known of a field. `by`: the origin that published it; `told`: the connections that it is
        delivered to, from which it would be an echo; `system`, `rank`: whose value it is and what it is worth."""
        self._values.learn(citizen.id, field, self._digest(value), by=by, told=told, system=system, rank=rank)

    def save(self) -> None:
        sql, now = self._tx.sql, self._tx.now
        _OPEN.send(sql, [
            {"id": c.id, "tenant": c.tenant, "pivot": c.pivot, "confidential": int(c.confidential), "seen_at": now,
             "merged_into": c.merged_into}
            for c in self._new.values()
        ])  # fmt: skip
        if named := [(c.id, c.pivot) for c in self._named if c.id not in self._new]:
            _NAME.send(sql, named=named)
        if self._seen:
            _SEE.send(sql, ids=sorted(self._seen), now=now)
        if marked := [citizen_id for citizen_id in self._marked if citizen_id not in self._new]:
            _MARK.send(sql, ids=marked)
        _LINK.send(sql, self._new_links)
        if self.identities is not None:
            self.identities.save()
        self._values.save()

    def _new_among(self, tenant: str, people: Iterable[Person]) -> list[Person]:
        """Those with an identity whom nobody linked, and whose very identity is not known."""
        return [person for person in people if "identity" in person and not self._known_as(tenant, person)]

    def _match_or_create(self, tenant: str, person: Person, pivot: str | None) -> Citizen:
        """Somebody new; unless they are surely one of those whose identity is like theirs."""
        citizen = self._create(tenant, pivot)
        if self.identities is None or pivot is None:
            return citizen
        placed = self.identities.match_newcomer(tenant, person)
        for other, compared in placed.doubts:
            self.identities.open_person_review(tenant, citizen.id, other, compared.explanation())
        self.identities.add_identity(citizen.id, tenant, person, whole=placed.citizen_id)
        if placed.citizen_id is None:
            return citizen
        self._read_citizens([placed.citizen_id])
        citizen.merged_into = placed.citizen_id
        self._pivots[(tenant, pivot)] = placed.citizen_id
        links = [(r["system"], r["id"]) for r in person.get("references", ())]
        new = [link for link in links if (tenant, *link) not in self._links]
        self.identities.record_merge(tenant, citizen.id, placed.citizen_id, new, placed.score)
        return self._by_id[placed.citizen_id]

    def _follow_merges(self, tenant: str, merged: Mapping[str, str]) -> None:
        """Whoever was merged into another is that other: for their identifiers, and for their pivot identity."""
        self._read_citizens(merged.values())
        for key, citizen_id in self._links.items():
            self._links[key] = merged.get(citizen_id, citizen_id)
        for gone, kept in merged.items():
            pivot = self._by_id[gone].pivot
            if pivot is not None:
                self._pivots[(tenant, pivot)] = kept

    def _read_citizens(self, ids: Iterable[str]) -> None:
        """Read these citizens, with their links, where that was not done."""
        unread = sorted(set(ids) - set(self._by_id))
        for row in self._tx.sql.execute(select(citizens).where(citizens.c.id.in_(unread))) if unread else ():
            self._admit(Citizen(row.id, row.tenant, bool(row.confidential), row.pivot, row.merged_into))
            if row.seen_at < self._tx.now - 86_400:
                self._long_unseen.add(row.id)
        for row in _IDENTIFIERS.send(self._tx.sql, ids=unread) if unread else ():
            self._links[(row.tenant, row.system, row.native_id)] = row.citizen_id
            self._systems.setdefault(row.citizen_id, set()).add(row.system)

    def _create(self, tenant: str, pivot: str | None) -> Citizen:
        citizen = Citizen(str(uuid.uuid4()), tenant, False, pivot)
        self._new[citizen.id] = citizen
        self._admit(citizen)
        return citizen

    def _admit(self, citizen: Citizen) -> None:
        self._by_id[citizen.id] = citizen
        if citizen.pivot is not None:
            self._pivots[(citizen.tenant, citizen.pivot)] = citizen.id

    def _link(self, citizen: Citizen, key: tuple[str, str, str]) -> None:
        if key not in self._links:
            self._links[key] = citizen.id
            self._systems.setdefault(citizen.id, set()).add(key[1])
            self._new_links.append(dict(zip(_LINKS, (*key, citizen.id), strict=True)))

    def _digest(self, value: Any) -> str:
        found = self._digests.get(id(value))
        if found is None:
            found = self._digests[id(value)] = (value, value_digest(value))
        return found[1]

    def _pivot_of(self, person: Person) -> str | None:
        found = self._pivots_of.get(id(person))
        if found is None:
            found = self._pivots_of[id(person)] = (person, self._pivot(person))
        return found[1]

    def _pivot(self, person: Person) -> str | None:
        """A keyed digest: the table tells nobody who is in it. None when the identity is too thin to match on."""
        identity = person.get("identity")
        if not identity or any(name not in identity for name in _REQUIRED) or not identity.get("given_names"):
            return None
        names = [fold_name(name) for name in (identity["family_name"], *identity["given_names"])]
        if not all(names):
            return None  # signs in place of a name that nobody knows: others have the same
        parts = [*names, *(str(identity.get(k, "")) for k in ("gender", "birthdate", "birthplace", "birthcountry"))]
        if self._group is not None and (sectors := self._group(person)):
            parts.append(sectors)  # who is known in other sectors is not found
        return hmac.digest(self._pepper, "\x1f".join(parts).encode(), "sha256").hex()


def _ambiguous() -> InvalidMessage:
    return InvalidMessage(
        "these identifiers belong to different people", pointer="/data/citizen", code="ambiguous_citizen"
    )


def identifiers_of(tx: Transaction, citizen_ids: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """By tenant, system and citizen, the identifier that a system gives to each of these citizens; where it has
    several, the first in order. Who was merged into another has the identifiers of that one."""
    return ask_identifiers(tx, citizen_ids)()


def ask_identifiers(tx: Transaction, citizen_ids: Iterable[str]) -> Callable[[], dict[tuple[str, str, str], str]]:
    """As `identifiers_of`, whose answer is there when it is called for: what is asked in between goes with it."""
    ids = sorted(set(citizen_ids))
    own = _IDENTIFIERS.send(tx.sql, ids=ids) if ids else ()
    merged = _IDENTIFIERS_NOW.send(tx.sql, ids=ids) if ids else ()

    def found() -> dict[tuple[str, str, str], str]:
        first: dict[tuple[str, str, str], str] = {}
        for row in own:
            first.setdefault((row.tenant, row.system, row.citizen_id), row.native_id)
        linked = {citizen_id for _, _, citizen_id in first}
        for row in merged:
            if row.gone_id not in linked:
                first.setdefault((row.tenant, row.system, row.gone_id), row.native_id)
        return first

    return found


def link_citizen(tx: Transaction, tenant: str, system: str, native_id: str, citizen_id: str) -> bool:
    """Remember a system's identifier of a citizen, or of whom they were merged into. False when the identifier is
    somebody else's: it stays so."""
    merged = select(citizens.c.merged_into).where(citizens.c.id == citizen_id)
    citizen_id = tx.sql.execute(merged).scalar_one_or_none() or citizen_id
    _LINK.send(tx.sql, [dict(zip(_LINKS, (tenant, system, native_id, citizen_id), strict=True))])
    same = (citizen_links.c.tenant == tenant, citizen_links.c.system == system, citizen_links.c.native_id == native_id)
    return bool(tx.sql.execute(select(citizen_links.c.citizen_id).where(*same)).scalar_one() == citizen_id)
