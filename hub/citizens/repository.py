"""Citizens, as far as routing needs them: the link from each system's identifier to one person of one tenant.

Matching here is exact: a known identifier, else the same pivot identity. Only who is new to both is compared with those
who are like them (`hub.citizens.identities`). Two identifiers of one system are two people until somebody says
otherwise, however alike: several may have one pivot identity. Nothing is listed, nothing is searched.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
from sqlalchemy import select

from bus.ledger import Transaction
from bus.sql import Insert, Statement, around_found
from hub.citizens.catch_ups import ask_for_known
from hub.citizens.households import HouseholdNumbers
from hub.citizens.identities import ASKED, MOST, People, Person
from hub.citizens.matching import Comparison, Field
from hub.citizens.news import DATED, Digests, KnownNews, coming
from hub.citizens.news import Rank as Rank
from hub.citizens.pivots import in_use_of, is_unsure, pivot_of
from hub.storage.tables import citizen_links, citizens
from schemas.errors import InvalidMessage
from schemas.identities import given_names, is_no_name

# Who is marked is never left out of too many who have one pivot.
_SHARING = f"""SELECT id FROM citizens WHERE tenant = :tenant AND pivot = pivots.digest
    ORDER BY confidential DESC, id LIMIT {MOST}"""  # noqa: S608 (the text is our own)
_EACH_SHARING = {
    "sqlite": f"CROSS JOIN json_each((SELECT json_group_array(id) FROM ({_SHARING}))) AS sharing",  # noqa: S608
    "postgresql": f"CROSS JOIN LATERAL ({_SHARING}) AS sharing(value)",
}
_PEOPLE = {
    dialect: Statement(f"""
        WITH found AS (
            SELECT (SELECT citizen_id FROM citizen_links WHERE tenant = :tenant AND system = named.system
                AND native_id = named.native_id) AS id FROM {{named(system text, native_id text)}}
            UNION SELECT sharing.value FROM {{pivots(digest text)}} {_EACH_SHARING[dialect]}
        )
        SELECT found.id, citizens.pivot, citizens.confidential, citizens.seen_at, citizens.merged_into,
            citizens.in_use, links.system, links.native_id
        FROM found {around}
    """)  # noqa: S608 (the text is our own)
    for dialect, around in around_found("citizens", "citizen_links", "citizen_id").items()
}
_LINKS_OF = Statement("SELECT tenant, system, native_id, citizen_id FROM citizen_links WHERE citizen_id {ids:text}")
_IDENTIFIERS = Statement("""
    SELECT tenant, system, native_id, citizen_id, 0 AS since FROM citizen_links WHERE citizen_id {ids:text}
    UNION ALL SELECT tenant, system, native_id, citizen_id, since FROM household_links WHERE citizen_id {ids:text}
""")
_IDENTIFIERS_NOW = Statement("""
    SELECT citizens.id AS gone_id, links.tenant, links.system, links.native_id, 0 AS since FROM citizens
    JOIN citizen_links AS links ON links.citizen_id = citizens.merged_into
    WHERE citizens.id {ids:text}
    UNION ALL SELECT citizens.id, numbers.tenant, numbers.system, numbers.native_id, numbers.since FROM citizens
    JOIN household_links AS numbers ON numbers.citizen_id = citizens.merged_into
    WHERE citizens.id {ids:text}
""")
_RENUMBERED = Statement("""
    SELECT links.citizen_id, changed.system, changed.old_id FROM {named(system text, native_id text)}
    JOIN renumbered_ids AS changed
        ON changed.tenant = :tenant AND changed.system = named.system AND changed.old_id = named.native_id
    JOIN citizen_links AS links
        ON links.tenant = :tenant AND links.system = changed.system AND links.native_id = changed.new_id
""")
_DISPUTED = Statement("""
    SELECT citizen_id, other_id, facts FROM citizen_reviews
    WHERE state = 'open' AND kind = 'person' AND (citizen_id {ids:text} OR other_id {others:text})
""")
_OPEN = Insert(citizens)
_NAME = Statement(
    "UPDATE citizens SET pivot = named.pivot, in_use = named.in_use"
    " FROM {named(id text, pivot text, in_use text)} WHERE citizens.id = named.id"
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
    in_use: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """How an identifier came to its citizen. `how`: told (with somebody new, or beside an identifier that is known),
    identity (the very same), likeness (with its `score`), import, load, operator, renumbered."""

    how: str
    origin: str
    score: int | None = None

    def row(self, tx: Transaction, key: tuple[str, str, str], citizen_id: str) -> dict[str, Any]:
        tenant, system, native_id = key
        return {
            "tenant": tenant, "system": system, "native_id": native_id, "citizen_id": citizen_id, "since": tx.now,
            "how": self.how, "origin": self.origin, "score": self.score, "since_seq": tx.last_number,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Place:
    """Whom a record names, None for somebody new; what must be asked about them and others, with the facts. `score`: of
    the likeness by which they were found. `is_form`: the identity is kept as another form of theirs; `changed`: from
    now on it is the one that is shown; `in_use`: nothing but the name in use is another. `binds`: the identifiers of
    the record are theirs."""

    citizen_id: str | None = None
    asks: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    score: int = 0
    is_form: bool = False
    changed: bool = False
    in_use: bool = False
    binds: bool = True


_TOLD_APART = Comparison((Field("identifier", "differ"),)).explanation()  # a system knows two of this identity
_ALIKE = Comparison(()).explanation()
MOST_FORMS = 16  # of one person: whoever tells another name each day is asked about
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
        self.how: str | None = None  # its links came about, where whoever was found does not say it: `import`
        self.identities = people.session(tx, origin, most) if people is not None else None
        self._group: Callable[[Person], str] | None = None
        self._by_id: dict[str, Citizen] = {}
        self._links: dict[tuple[str, str, str], str] = {}
        self._pivots: dict[tuple[str, str], list[str]] = {}  # who has the identity, each once
        self._disputed: set[tuple[str, str]] = set()  # by person and system
        self._asked_about: set[str] = set()  # of whom what is disputed was read
        self._in_use: dict[tuple[str, str | None], set[str]] = {}  # by person and pivot: names in use beside it
        self._systems: dict[str, set[str]] = {}
        self._new: dict[str, Citizen] = {}
        self._marked: list[str] = []
        self._fresh_marks: set[str] = set()
        self._long_unseen: set[str] = set()
        self._seen: set[str] = set()
        self._named: list[Citizen] = []
        self._new_links: list[dict[str, Any]] = []
        self._numbers = HouseholdNumbers(tx, people)
        self.news = KnownNews(tx, people.keys if people is not None else None, Digests(pepper), self._new)
        self._natives: dict[tuple[str, str], str] = {}  # by citizen and system, under which that system is told
        # By the identity of the object, which is kept beside, so that no other takes its place in memory.
        self._pivots_of: dict[int, tuple[Person, str | None]] = {}
        self._keys_of: dict[int, tuple[Person, list[tuple[str, str, str]]]] = {}

    def prefetch(
        self, tenant: str, people: Sequence[Person], values: Iterable[Said] = (), along: Sequence[Person] = ()
    ) -> None:
        """Read what concerns these people, and what is known of these values. `along`: people who are only named with
        others, and become known to nobody."""
        met, people = people, [*people, *along]
        if self._people is not None:
            self._group = self._people.grouping(tenant, self._origin)
        named = sorted({key[1:] for person in people for key in self._keys(tenant, person)})
        pivots = sorted({(pivot,) for person in people if (pivot := self._pivot_of(person)) is not None})
        statement = _PEOPLE[self._tx.sql.dialect.name]
        merged: dict[str, str] = {}
        for row in statement.send(self._tx.sql, tenant=tenant, named=named, pivots=pivots):
            if row.merged_into is not None:
                merged[row.id] = row.merged_into
            if row.id not in self._by_id:
                self._admit(Citizen(row.id, tenant, bool(row.confidential), row.pivot, row.merged_into, row.in_use))
                if row.seen_at < self._tx.now - 86_400:
                    self._long_unseen.add(row.id)
            if row.system is not None:
                self._links[(tenant, row.system, row.native_id)] = row.id
                self._add_system(row.id, row.system, row.native_id)
        if merged:
            self._follow_merges(tenant, merged)
        self._read_citizens(self._numbers.prefetch_people(tenant, filter(self._is_thin, met)))
        self._numbers.prefetch(tenant, self._by_id)
        self._find_renumbered(tenant, [key for key in named if (tenant, *key) not in self._links])
        self._find_disputed(one for person in met if _is_nameless(person) for one in self.linked(tenant, person))
        if self.identities is not None:
            self.identities.prefetch(tenant, self._new_among(tenant, met))
            self.identities.read_forms(one for person in met for one in self._to_compare(tenant, person))
        read = [(citizen_id, field) for person, field, _ in values for citizen_id in self._known_as(tenant, person)]
        read += [(citizen_id, coming(field)) for citizen_id, field in read if field == DATED]
        self.news.prefetch(read)

    def resolve(self, tenant: str, person: Person) -> Citizen:
        """The citizen that a record names, made if new; new identifiers and a `confidential` mark are kept.

        InvalidMessage `ambiguous_citizen` when its identifiers are links of different people, or when it names one by
        the identity of another whom the same system knows."""
        place, pivot = self._place(tenant, person), self._pivot_of(person)
        link = self._how(tenant, person, place)
        citizen = (
            self._by_id[place.citizen_id]
            if place.citizen_id
            else self._create(tenant, person, pivot, by_name=not place.binds)
        )
        if place.is_form:
            self._keep_form(citizen, person, pivot, place)
        if citizen.id in self._long_unseen:
            self._seen.add(citizen.id)
        for key in self._keys(tenant, person) if place.binds else ():
            self._link(citizen, key, link)
        if place.citizen_id or self.is_named(tenant, person):
            self._numbers.keep(tenant, citizen.id, person)
        fresh = citizen.pivot is None and pivot is not None and not place.is_form
        if fresh:
            self._name(citizen, person, pivot)
        if self.identities is not None:
            for other, facts in place.asks:
                self.identities.open_person_review(tenant, citizen.id, other, facts)
                if "link" in facts:
                    self._disputed.add((other, facts["link"]))
        self._heed_mark(citizen, pivot, told=bool(person.get("confidential")) or (fresh and citizen.confidential))
        return citizen

    def open_apart(self, tenant: str, person: Person) -> Citizen:
        """Somebody new, whoever else has this identity: an operator said that they are two. `prefetch` was given it."""
        return self._create(tenant, person, self._pivot_of(person))

    def check_together(self, tenant: str, people: Sequence[Person], along: Sequence[Person] = ()) -> None:
        """Raise for the people of one event what `resolve` would raise for one of them, before any is resolved; and
        where one identifier names two of them, or of those only named `along`, who cannot be one person."""
        self._check_one_each(tenant, [*people, *along])
        if len(people) == 1:
            self._place(tenant, people[0])
            return
        new: dict[tuple[str, str, str], object] = {}
        alike: dict[str, dict[object, set[str]]] = {}  # by identity: who has it, and the systems that know them
        for person in people:
            keys, pivot, place = self._keys(tenant, person), self._pivot_of(person), self._place(tenant, person)
            keys = keys if place.binds else []
            found: set[Any] = {new[key] for key in keys if key in new}
            found |= self.linked(tenant, person) if place.binds else set()
            if len(found) > 1:
                raise _ambiguous()
            who, systems = found.pop() if found else place.citizen_id, {key[1] for key in keys}
            if who is None and pivot is not None and not is_unsure(pivot):
                who = _one_of({**self._known_by(self._having(tenant, pivot)), **alike.get(pivot, {})}, systems)
            who = who or object()
            new |= dict.fromkeys(keys, who)
            if pivot is not None:
                alike.setdefault(pivot, {}).setdefault(who, self._systems.get(str(who), set()) | systems).update(
                    systems
                )

    def _check_one_each(self, tenant: str, people: Sequence[Person]) -> None:
        told: dict[tuple[str, str, str], dict[str | None, Person]] = {}  # by identifier: each identity once
        for person in people if len(people) > 1 and self.identities is not None else ():
            pivot = self._pivot_of(person) or repr(sorted(person.get("identity", {}).items()))
            for key in self._keys(tenant, person) if "identity" in person else ():
                before = told.setdefault(key, {})
                if pivot not in before and self._is_contradicted(tenant, person, before.values()):
                    raise _ambiguous()
                before[pivot] = person

    def _is_contradicted(self, tenant: str, person: Person, others: Collection[Person]) -> bool:
        """Too many identities cannot be one person's either, and are not compared without end."""
        assert self.identities is not None
        many = len(others) > MOST_FORMS
        return many or any(self.identities.contradict(tenant, person, other) for other in others)

    def asks_too_much(self, tenant: str, people: Iterable[Person]) -> bool:
        """Whether to know these people, of one event, would open more questions than the origin may open today, or
        cannot be said before a question is answered (`is_disputed`). Changes nothing; raises as `resolve` does."""
        if self.identities is None:
            return False
        people = [*people]
        if any(self.is_disputed(tenant, person) for person in people):
            return True
        fresh, pairs, seen = 0, list[tuple[str, str]](), dict[str, int]()
        for person in people:
            place, pivot = self._place(tenant, person), self._pivot_of(person)
            if place.citizen_id is not None:
                pairs += [(place.citizen_id, other) for other, _ in place.asks]
            elif pivot is not None:  # with those of the same words in this event there may be a question, too
                fresh += min(ASKED, seen.get(pivot, 0)) if pivot in seen else len(place.asks)
                seen[pivot] = seen.get(pivot, 0) + bool(self._keys(tenant, person))
            else:
                fresh += len(place.asks)
        return bool(pairs or fresh) and not self.identities.may_ask(tenant, pairs, fresh)

    def is_disputed(self, tenant: str, person: Person) -> bool:
        """Whether a record names its person by nothing but an identifier under which two people were told, and nobody
        has said yet whether they are one."""
        known = [(self._links[key], key[1]) for key in self._keys(tenant, person) if key in self._links]
        return bool(known) and _is_nameless(person) and self._disputed.issuperset(known)

    def mark_known(self, tenant: str, people: Iterable[Person]) -> bool:
        """Keep the marks on those of these people who are known; whether one of all is confidential."""
        marked = False
        for person in people:
            known, told = self.check(tenant, person), bool(person.get("confidential"))
            if known is not None:
                self._heed_mark(self._by_id[known], self._pivot_of(person), told=told)
            marked |= told or (known is not None and self._by_id[known].confidential)
        return marked

    def is_identified(self, person: Person) -> bool:
        """Whether the identity of a record is full enough to match on."""
        identity = person.get("identity") or {}
        told = [identity.get("family_name", ""), *(identity.get("given_names") or ())]
        return self._pivot_of(person) is not None and not any(is_no_name(str(name)) for name in told)

    def is_named(self, tenant: str, person: Person) -> bool:
        """Whether a record says who is meant: by an identifier of that person, or by a full identity."""
        return bool(self._keys(tenant, person)) or self.is_identified(person)

    def is_marked(self, tenant: str, person: Person) -> bool:
        """Whether a person who is only named along must be kept confidential; the mark of such a person is kept."""
        if person.get("confidential"):
            return self.resolve(tenant, person).confidential
        return any(self._by_id[one].confidential for one in self.linked(tenant, person) | self.named(tenant, person))

    def take_fresh_marks(self) -> set[str]:
        """The citizens marked confidential since this was last asked."""
        fresh, self._fresh_marks = self._fresh_marks, set()
        return fresh

    def known(self, citizen_id: str) -> Citizen:
        """Who has this id; the person into whom they were merged."""
        self._read_citizens([citizen_id])
        whole = self._by_id[citizen_id].merged_into or citizen_id
        self._read_citizens([whole])
        self._numbers.prefetch(self._by_id[whole].tenant, [whole])
        return self._by_id[whole]

    def foresee(self, tenant: str, person: Person) -> _Place:
        """Whom `resolve` will take a record for, and what it will ask. Changes nothing; raises as it does."""
        return self._place(tenant, person)

    def check(self, tenant: str, person: Person) -> str | None:
        """The known citizen that a record names, None when new. Changes nothing; raises as `resolve` does."""
        return self._place(tenant, person).citizen_id

    def linked(self, tenant: str, person: Person) -> set[str]:
        """Those who have the identifiers of a record."""
        return {self._links[key] for key in self._keys(tenant, person) if key in self._links}

    def named(self, tenant: str, person: Person) -> set[str]:
        """Those who have the very identity of a record."""
        return set(self._having(tenant, self._pivot_of(person)))

    def _keys(self, tenant: str, person: Person) -> list[tuple[str, str, str]]:
        """The identifiers by which a record names its person: none of their household."""
        found = self._keys_of.get(id(person))
        if found is None:
            keys = [(tenant, one["system"], one["id"]) for one in self._numbers.parted(tenant, person)[0]]
            found = self._keys_of[id(person)] = (person, keys)
        return found[1]

    def _having(self, tenant: str, pivot: str | None) -> list[str]:
        return self._pivots.get((tenant, pivot), []) if pivot is not None else []

    def _place(self, tenant: str, person: Person) -> _Place:
        """Changes nothing. InvalidMessage `ambiguous_citizen` as `resolve` says."""
        linked, pivot = self.linked(tenant, person), self._pivot_of(person)
        if len(linked) > 1:
            raise _ambiguous()
        if not linked and self._is_thin(person) and (found := self._numbers.named_among_them(tenant, person)):
            return _Place(found)
        if not linked:
            return self._place_by_identity(tenant, person, pivot) if pivot is not None else _Place()
        known = next(iter(linked))
        if pivot is None:
            return self._place_by_name(tenant, person, known)
        if known in self._having(tenant, pivot):
            renamed = "preferred_name" in person.get("identity", ()) and self._is_renamed(person, known, pivot)
            return _Place(known, is_form=renamed, changed=renamed, in_use=renamed, score=100 * renamed)
        return self._place_at_link(tenant, person, known, pivot)

    def _place_by_name(self, tenant: str, person: Person, known: str) -> _Place:
        """Who has an identifier (`known`), told with a name at most: the link is believed unless the name is that of
        another. Then they are whom that name alone names beside this person, and a person decides about the two."""
        against = self.identities.name_against(person, known) if self.identities and "identity" in person else None
        if self.identities is None or against is None:
            return _Place(known)
        if (before := self.identities.told_by_name(person, known)) is None:
            system = next(key[1] for key in self._keys(tenant, person) if key in self._links)
            return _Place(None, ((known, against.explanation() | {"link": system}),), binds=False)
        self._read_citizens([before])
        whole = self._by_id[before].merged_into or before
        self._read_citizens([whole])
        return _Place(whole, binds=whole == known)

    def _is_renamed(self, person: Person, known: str, pivot: str | None) -> bool:
        """Whether a record tells a name in use that was not told before; the birth name stays."""
        name, names = in_use_of(person["identity"], self._pepper, pivot), self._in_use.get((known, pivot), set())
        may = self.identities is not None and bool(self._origin) and len(names) < MOST_FORMS
        return may and name is not None and name not in names

    def _place_at_link(self, tenant: str, person: Person, known: str, pivot: str) -> _Place:
        """Who has an identifier (`known`), told with an identity that was not known to be theirs. The link is believed
        unless the two contradict: then the identity is."""
        sharing, identities = self._having(tenant, pivot), self.identities
        twins = tuple((one, self._same(known, one)) for one in sharing[:ASKED])
        compared = identities.compare_with(tenant, person, known) if identities else []
        against = None if identities is None or compared else identities.name_against(person, known)
        if identities is None or not (compared or against):
            return _Place(known, twins)
        decided = identities.questions_with(tenant, known, sharing)
        if against is not None:
            return self._place_against_link(tenant, person, pivot, known, against, decided)
        best = max(compared, key=lambda one: one.score)
        new = len(compared) < MOST_FORMS and "distinct" not in decided.values()  # a form of theirs that is not known
        if best.verdict != "new":
            return _Place(known, twins, best.score, is_form=new, changed=best.is_change and bool(self._origin))
        if new and self._origin and any(identities.is_told_change(one, person) for one in compared):
            return _Place(known, twins, best.score, is_form=True, changed=True)
        return self._place_against_link(tenant, person, pivot, known, best, decided)

    def _place_against_link(
        self, tenant: str, person: Person, pivot: str, known: str, best: Comparison, decided: Mapping[str, str]
    ) -> _Place:
        """Whom an identity names that cannot be of who has the identifier. A person decides about the two; nothing of
        the one goes by way of the other meanwhile."""
        told = {key[1] for key in self._keys(tenant, person)}
        sharing = self._having(tenant, pivot)
        if not is_unsure(pivot) and len(sharing) == 1 and self._systems.get(sharing[0], set()) & told:
            raise _ambiguous()
        if len(before := [one for one in sharing if one in decided]) == 1:
            return _Place(before[0], binds=False)
        place = self._place_by_identity(tenant, person, pivot)
        system = next(key[1] for key in self._keys(tenant, person) if key in self._links)
        asks = {known: best.explanation() | {"link": system}, **dict(place.asks)}
        return replace(place, asks=tuple(asks.items())[:ASKED], binds=False)

    def _place_by_identity(self, tenant: str, person: Person, pivot: str) -> _Place:
        """By the very same identity, where one alone has it and no system tells them apart; else by likeness."""
        sharing, told = self._having(tenant, pivot), {key[1] for key in self._keys(tenant, person)}
        known = self._known_by(sharing)
        if not is_unsure(pivot) and (found := _one_of(known, told)) is not None:
            return _Place(found)
        if self.identities is None:
            return _Place()
        apart, placed = {one for one in sharing if known[one] & told}, self.identities.match_newcomer(tenant, person)
        alone = not apart if is_unsure(pivot) else not sharing
        if placed.citizen_id is not None and alone:
            self._read_citizens([placed.citizen_id])
            return _Place(placed.citizen_id, score=placed.score, is_form=placed.citizen_id not in sharing)
        asks = {one: _TOLD_APART if one in apart else _ALIKE for one in sharing
                if one in apart or not is_unsure(pivot)}  # fmt: skip
        for one, compared in placed.ranked:
            asks.setdefault(one, compared.explanation())
        return _Place(None, tuple(asks.items())[:ASKED])

    def _known_by(self, ids: Iterable[str]) -> dict[Any, set[str]]:
        return {one: self._systems.get(one, set()) for one in ids}

    def _same(self, one: str, other: str) -> Mapping[str, Any]:
        """What is said of two who are known, and have the very same identity."""
        return _TOLD_APART if self._systems.get(one, set()) & self._systems.get(other, set()) else _ALIKE

    def _known_as(self, tenant: str, person: Person) -> set[str]:
        """Those who have the identifiers of a record; where nobody has, those who have its identity."""
        return self.linked(tenant, person) or self.named(tenant, person)

    def _heed_mark(self, citizen: Citizen, pivot: str | None, *, told: bool) -> None:
        """A mark protects whoever may be meant by it: others with the very same identity too, whom no system tells
        from this one."""
        twins = [
            self._by_id[one] for one in self._having(citizen.tenant, pivot)
            if one != citizen.id and self._same(citizen.id, one) is _ALIKE
        ]  # fmt: skip
        if not told:
            twins = [twin for twin in twins if twin.confidential]
        if twins and self.identities is not None:
            decided = self.identities.questions_with(citizen.tenant, citizen.id, [twin.id for twin in twins])
            twins = [twin for twin in twins if decided.get(twin.id) != "distinct"]
        for one in (citizen, *twins) if told or twins else ():
            self._mark(one)

    def _mark(self, citizen: Citizen) -> None:
        if not citizen.confidential:
            citizen.confidential = True
            self._marked.append(citizen.id)
            self._fresh_marks.add(citizen.id)

    def systems(self, citizen: Citizen) -> frozenset[str]:
        """The systems that have an identifier for this citizen, or a number of their household."""
        return frozenset((*self._systems.get(citizen.id, ()), *self._numbers.systems(citizen.id)))

    def newly_linked(self) -> set[tuple[str, str]]:
        """Of those who were known before, the links and numbers that they got since: person and system."""
        told = {(row["citizen_id"], row["system"]) for row in self._new_links} | self._numbers.newly_told()
        return {(citizen_id, system) for citizen_id, system in told if citizen_id not in self._new}

    def natives(self) -> dict[tuple[str, str], list[str]]:
        """By citizen and system, the identifiers of those whom this has read or made."""
        found: dict[tuple[str, str], list[str]] = {}
        for (_, system, native_id), citizen_id in self._links.items():
            found.setdefault((citizen_id, system), []).append(native_id)
        return found

    def identity_of(self, citizen: Citizen) -> Mapping[str, Any] | None:
        """As `People.identity_of`; None where no identities are kept."""
        return self._people.identity_of(self._tx, citizen.id) if self._people is not None else None

    def reference(self, citizen: Citizen, system: str) -> str | None:
        """The identifier under which this system is told of a citizen, as `identifiers_of` chooses it; None without."""
        return self._numbers.last(citizen.id, system) or self._natives.get((citizen.id, system))

    def save(self) -> None:
        sql, now = self._tx.sql, self._tx.now
        _OPEN.send(sql, [
            {"id": c.id, "tenant": c.tenant, "pivot": c.pivot, "confidential": int(c.confidential), "seen_at": now,
             "merged_into": c.merged_into, "in_use": c.in_use}
            for c in self._new.values()
        ])  # fmt: skip
        if named := [(c.id, c.pivot, c.in_use) for c in self._named if c.id not in self._new]:
            _NAME.send(sql, named=named)
        if self._seen:
            _SEE.send(sql, ids=sorted(self._seen), now=now)
        if marked := [citizen_id for citizen_id in self._marked if citizen_id not in self._new]:
            _MARK.send(sql, ids=marked)
        _LINK.send(sql, self._new_links)
        self._numbers.save()
        if self.identities is not None:
            self.identities.save()
        self.news.save()

    def _new_among(self, tenant: str, people: Iterable[Person]) -> list[Person]:
        """Those with an identity whom nobody linked, and who are surely nobody of those who have it."""
        return [
            person for person in people
            if (pivot := self._pivot_of(person)) is not None and not self.linked(tenant, person)
            and (is_unsure(pivot) or len(self._having(tenant, pivot)) != 1 or self._systems_meet(tenant, person, pivot))
        ]  # fmt: skip

    def _to_compare(self, tenant: str, person: Person) -> set[str]:
        """Who has the identifiers of a record, where its identity is not known to be theirs."""
        if (pivot := self._pivot_of(person)) is None:
            return self.linked(tenant, person) if "identity" in person else set()
        return self.linked(tenant, person).difference(self._having(tenant, pivot))

    def _systems_meet(self, tenant: str, person: Person, pivot: str) -> bool:
        told = {key[1] for key in self._keys(tenant, person)}
        return any(self._systems.get(one, set()) & told for one in self._having(tenant, pivot))

    def _keep_form(self, citizen: Citizen, person: Person, pivot: str | None, place: _Place) -> None:
        """Keep an identity as another form of somebody: a person who was merged into them, and can be parted again."""
        assert self.identities is not None
        tenant = citizen.tenant
        in_use = in_use_of(person["identity"], self._pepper, pivot)
        form = Citizen(str(uuid.uuid4()), tenant, False, pivot, citizen.id, in_use)
        self._new[form.id] = self._by_id[form.id] = form
        self._add_pivot(form, citizen.id)
        self.identities.add_identity(form.id, tenant, person, whole=citizen.id, changed=place.changed)
        links = [key[1:] for key in self._keys(tenant, person) if key not in self._links and place.binds]
        numbers = self._numbers.untold(tenant, citizen.id, person)
        how = "in_use" if place.in_use else "form" if self.linked(tenant, person) else "likeness"
        self.identities.record_merge(tenant, form.id, citizen.id, links, place.score, how, numbers)

    def _name(self, citizen: Citizen, person: Person, pivot: str | None) -> None:
        citizen.pivot, citizen.in_use = pivot, in_use_of(person.get("identity"), self._pepper, pivot)
        self._add_pivot(citizen, citizen.id)
        self._named.append(citizen)
        if self.identities is not None:
            self.identities.add_identity(citizen.id, citizen.tenant, person)

    def _follow_merges(self, tenant: str, merged: Mapping[str, str]) -> None:
        """Whoever was merged into another is that other: for their identifiers, and for their pivot identity."""
        self._read_citizens(merged.values())
        for key, citizen_id in self._links.items():
            self._links[key] = merged.get(citizen_id, citizen_id)
        for gone, kept in merged.items():
            self._add_pivot(self._by_id[gone], kept)

    def _find_renumbered(self, tenant: str, unknown: Sequence[tuple[str, str]]) -> None:
        """An identifier that its system changed lately is still that of its person."""
        for row in _RENUMBERED.run(self._tx.sql, tenant=tenant, named=unknown) if unknown else ():
            self._read_citizens([row.citizen_id])
            self._links[(tenant, row.system, row.old_id)] = row.citizen_id

    def _find_disputed(self, ids: Iterable[str]) -> None:
        """Of those whom an identifier alone names: the systems whose identifier was told with another identity, and
        about whom it is asked still."""
        unread = sorted({*ids} - self._asked_about)
        self._asked_about.update(unread)
        for row in _DISPUTED.run(self._tx.sql, ids=unread, others=unread) if unread else ():
            if (system := orjson.loads(row.facts).get("link")) is not None:
                self._disputed |= {(row.citizen_id, system), (row.other_id, system)}

    def _read_citizens(self, ids: Iterable[str]) -> None:
        """Read these citizens, with their links, where that was not done."""
        unread = sorted(set(ids) - set(self._by_id))
        for row in self._tx.sql.execute(select(citizens).where(citizens.c.id.in_(unread))) if unread else ():
            self._admit(Citizen(row.id, row.tenant, bool(row.confidential), row.pivot, row.merged_into, row.in_use))
            if row.seen_at < self._tx.now - 86_400:
                self._long_unseen.add(row.id)
        for row in _LINKS_OF.send(self._tx.sql, ids=unread) if unread else ():
            self._links[(row.tenant, row.system, row.native_id)] = row.citizen_id
            self._add_system(row.citizen_id, row.system, row.native_id)

    def _is_thin(self, person: Person) -> bool:
        """Whether an identity is told that is not full enough to match on by itself."""
        return "identity" in person and ((pivot := self._pivot_of(person)) is None or is_unsure(pivot))

    def _create(self, tenant: str, person: Person, pivot: str | None, *, by_name: bool = False) -> Citizen:
        in_use = in_use_of(person.get("identity"), self._pepper, pivot)
        citizen = Citizen(str(uuid.uuid4()), tenant, False, pivot, in_use=in_use)
        self._new[citizen.id] = citizen
        self._admit(citizen)
        named = pivot is not None or by_name or (bool(self._keys(tenant, person)) and not _is_nameless(person))
        if self.identities is not None and named:
            self.identities.add_identity(citizen.id, tenant, person)
        return citizen

    def _admit(self, citizen: Citizen) -> None:
        self._by_id[citizen.id] = citizen
        if citizen.merged_into is None:
            self._add_pivot(citizen, citizen.id)

    def _add_pivot(self, form: Citizen, whole: str) -> None:
        """`whole`: who has this form of an identity."""
        if form.pivot is None:
            return
        if whole not in (having := self._pivots.setdefault((form.tenant, form.pivot), [])):
            having.append(whole)
        if form.in_use is not None:
            self._in_use.setdefault((whole, form.pivot), set()).add(form.in_use)

    def _how(self, tenant: str, person: Person, place: _Place) -> Link:
        """How new identifiers of a record come to whom it names."""
        if place.citizen_id is None or self.linked(tenant, person):
            return Link(self.how or "told", self._origin)
        if place.is_form and not place.in_use:
            return Link(self.how or "likeness", self._origin, place.score)
        return Link(self.how or "identity", self._origin)

    def _link(self, citizen: Citizen, key: tuple[str, str, str], link: Link) -> None:
        if key not in self._links:
            self._links[key] = citizen.id
            self._add_system(citizen.id, *key[1:])
            if self.identities is not None:
                self.identities.add_native_id(citizen.id, *key[1:])
            self._new_links.append(link.row(self._tx, key, citizen.id))

    def _add_system(self, citizen_id: str, system: str, native_id: str) -> None:
        self._systems.setdefault(citizen_id, set()).add(system)
        known = self._natives.setdefault((citizen_id, system), native_id)
        if native_id < known:
            self._natives[(citizen_id, system)] = native_id

    def _pivot_of(self, person: Person) -> str | None:
        found = self._pivots_of.get(id(person))
        if found is None:
            found = self._pivots_of[id(person)] = (person, self._pivot(person))
        return found[1]

    def _pivot(self, person: Person) -> str | None:
        identity = person.get("identity")
        return pivot_of(identity, self._pepper, self._group(person) if self._group else "") if identity else None


def _one_of(known: Mapping[Any, set[str]], told: set[str]) -> Any | None:
    """Who is meant by an identity that all of `known` have, each with the systems that know them: the only one, unless
    one of the systems that tell (`told`) of them knows that one already; told by no identifier, who has none either."""
    if len(known) == 1:
        return next((one for one, systems in known.items() if not systems & told), None)
    bare = [one for one, systems in known.items() if not systems] if not told else []
    return bare[0] if len(bare) == 1 else None


def _is_nameless(person: Person) -> bool:
    """Whether nothing says what the person is called, as `Form.of` reads it."""
    identity = person.get("identity") or {}
    given = given_names(map(str, identity.get("given_names") or ()))
    return not given or is_no_name(str(identity.get("family_name", "")))


def _ambiguous() -> InvalidMessage:
    return InvalidMessage(
        "these identifiers belong to different people", pointer="/data/citizen", code="ambiguous_citizen"
    )


def identifiers_of(tx: Transaction, citizen_ids: Iterable[str]) -> dict[tuple[str, str, str], str]:
    """By tenant, system and citizen, the identifier that a system gives to each of these citizens; where it has
    several, the first in order; of numbers of a household, the one told last. Who was merged into another has the
    identifiers of that one."""
    return ask_identifiers(tx, citizen_ids)()


def ask_identifiers(tx: Transaction, citizen_ids: Iterable[str]) -> Callable[[], dict[tuple[str, str, str], str]]:
    """As `identifiers_of`, whose answer is there when it is called for: what is asked in between goes with it."""
    ids = sorted(set(citizen_ids))
    own = _IDENTIFIERS.send(tx.sql, ids=ids) if ids else ()
    merged = _IDENTIFIERS_NOW.send(tx.sql, ids=ids) if ids else ()

    def found() -> dict[tuple[str, str, str], str]:
        first: dict[tuple[str, str, str], tuple[float, str]] = {}

        def choose(key: tuple[str, str, str], row: Any) -> None:
            one = (-row.since, row.native_id)  # in the order of the program, not of a database
            first[key] = min(one, first.get(key, one))

        for row in own:
            choose((row.tenant, row.system, row.citizen_id), row)
        linked = {citizen_id for _, _, citizen_id in first}
        for row in merged:
            if row.gone_id not in linked:
                choose((row.tenant, row.system, row.gone_id), row)
        return {key: native_id for key, (_, native_id) in first.items()}

    return found


def link_citizen(
    tx: Transaction, tenant: str, system: str, native_id: str, citizen_id: str, link: Link, *, tell: bool = False
) -> bool:
    """Remember a system's identifier of a citizen, or of whom they were merged into. False when the identifier is
    somebody else's: it stays so; and when the system knows them by another. `tell`: where it is new, what is known of
    the person is told to whoever lacks it, later."""
    merged = select(citizens.c.merged_into).where(citizens.c.id == citizen_id)
    citizen_id = tx.sql.execute(merged).scalar_one_or_none() or citizen_id
    theirs = (citizen_links.c.citizen_id == citizen_id, citizen_links.c.tenant == tenant)
    known = tx.sql.execute(select(citizen_links.c.native_id).where(*theirs, citizen_links.c.system == system))
    if native_ids := set(known.scalars()):
        return native_id in native_ids
    tx.hold_door()  # from which event on it counts is said exactly
    _LINK.send(tx.sql, [link.row(tx, (tenant, system, native_id), citizen_id)])
    same = (citizen_links.c.tenant == tenant, citizen_links.c.system == system, citizen_links.c.native_id == native_id)
    kept = bool(tx.sql.execute(select(citizen_links.c.citizen_id).where(*same)).scalar_one() == citizen_id)
    if kept and tell:
        ask_for_known(tx, tenant, [citizen_id], cause="link")
    return kept
