"""The people the hub knows: their identities at rest, how somebody is found among them, and what clients call them.

Not a population file: nothing lists people, and nobody is found by a name alone. An identity is sealed under the key of
its person; alike identities meet by keyed digests. Who is known by a link or by the very same identity never comes
here: that is the road of `hub.citizens.repository`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy import select

from bus.ledger import Transaction
from bus.sql import Insert, Statement
from hub.citizens.matching import Comparison, Form, blocking_keys, compare, compare_names, stands_alone
from hub.citizens.questions import Quota
from hub.journal.entries import Entry, Journal
from hub.storage.person_keys import Item, KeyDestroyed, PersonKeys
from hub.storage.tables import (
    citizen_blocks,
    citizen_identities,
    citizen_links,
    citizen_merges,
    citizen_reviews,
    citizens,
)
from schemas.communes import Communes, shipped_communes
from schemas.identities import certain_part

MOST = 32  # people under one block: what more of them share says nothing about any
ASKED = 3  # the likest, of whom an operator is asked
_DAY = len("YYYY-MM-DD")
_IDENTITY = b"identity:"
VALUE = b"review:"
Person = Mapping[str, Any]
"""A record `citizen`: an identity, identifiers of systems (`references`), or both."""
Grouping = Callable[[str, str], Callable[[Person], str] | None]
"""(tenant, origin) -> a function from a person record to the name of the sectors among which that person may be
matched; None where the tenant declares no sectors. `Directory.grouping` is one."""
Households = Callable[[str], Collection[str]]
"""By tenant, the systems whose numbers are those of households. `Directory.households` is one."""

_CANDIDATES = {
    dialect: Statement(f"""
        SELECT wanted.block, (SELECT {gathered} FROM (
            SELECT citizen_id FROM citizen_blocks WHERE citizen_blocks.block = wanted.block LIMIT {MOST + 1}
        ) AS found) AS ids FROM {{wanted(block text)}}
    """)  # noqa: S608 (the text is our own)
    for dialect, gathered in {
        "sqlite": "json_group_array(citizen_id)",
        "postgresql": "array_to_json(array_agg(citizen_id))::text",
    }.items()
}
_SEALED = Statement("""
    SELECT citizens.id, citizens.merged_into, citizen_identities.sealed FROM citizens
    JOIN citizen_identities ON citizen_identities.citizen_id = citizens.id WHERE citizens.id {ids:text}
""")
# All that was ever told of these people, also as those who were merged into them.
_ALL_FORMS = Statement("""
    SELECT citizens.id, citizens.merged_into, citizen_identities.sealed, citizen_identities.changed_at FROM citizens
    JOIN citizen_identities ON citizen_identities.citizen_id = citizens.id
    WHERE citizens.id {ids:text} OR citizens.merged_into {whole:text}
""")
_ASKED_BESIDE = Statement(
    "SELECT citizen_id, other_id FROM citizen_reviews WHERE kind = 'person' AND citizen_id = :who"
    " UNION SELECT citizen_id, other_id FROM citizen_reviews WHERE kind = 'person' AND other_id = :who"
)
_QUESTIONS = Statement("SELECT id, state FROM citizen_reviews WHERE id {ids:text}")
_WHOLE = Statement("SELECT coalesce(merged_into, id) AS id FROM citizens WHERE id = :id")
_MEMBERS = Statement("""
    SELECT citizens.id FROM (SELECT coalesce(merged_into, id) AS id FROM citizens WHERE id = :id) AS whole
    JOIN citizens ON citizens.id = whole.id OR citizens.merged_into = whole.id
""")
_MARKED = Statement("""
    SELECT max(citizens.confidential) FROM (
        SELECT coalesce(merged_into, id) AS id FROM citizens WHERE id = :id
    ) AS whole JOIN citizens ON citizens.id = whole.id OR citizens.merged_into = whole.id
""")
_NAMED = Statement("SELECT citizen_id, system, native_id FROM citizen_links WHERE citizen_id {ids:text}")
# Who has an identity and is told of anew was a name alone before.
_KEEP = Insert(citizen_identities, conflict="(citizen_id) DO UPDATE SET sealed = excluded.sealed")
_MEET = Insert(citizen_blocks, conflict="DO NOTHING")
_ASK = Insert(citizen_reviews, conflict="DO NOTHING", returning="id")
_MERGE = Insert(citizen_merges, conflict="DO NOTHING")


@dataclass(frozen=True, slots=True)
class PersonMatch:
    """What matching found for a person whom no link and no pivot identity names. `ranked`: the likest at or above
    REVIEW, the likest first. `citizen_id`: the one citizen at or above LINK, with that score; else None, and all of
    them are `doubts`."""

    citizen_id: str | None = None
    score: int = 0
    ranked: tuple[tuple[str, Comparison], ...] = ()

    @property
    def doubts(self) -> tuple[tuple[str, Comparison], ...]:
        return self.ranked if self.citizen_id is None else ()


def reference_of(key: bytes, client_id: str, citizen_id: str) -> str:
    """What one client calls a citizen: the same each time, and nothing that another client could compare with its own.
    `key`: 32 bytes. Made by encryption (AES-SIV, RFC 5297) and kept nowhere."""
    sealed = AESSIV(key).encrypt(uuid.UUID(citizen_id).bytes, [client_id.encode()])
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")


def citizen_of(key: bytes, client_id: str, reference: str) -> str | None:
    """The citizen whom a client calls so; None when the hub gave this client no such reference."""
    try:
        sealed = base64.b64decode(reference + "=" * (-len(reference) % 4), altchars=b"-_", validate=True)
        return str(uuid.UUID(bytes=AESSIV(key).decrypt(sealed, [client_id.encode()])))
    except (InvalidTag, binascii.Error, ValueError):
        return None


def review_id(tenant: str, kind: str, *about: str) -> str:
    """The same question has the same id."""
    return hashlib.sha256("\x1f".join((tenant, kind, *about)).encode()).hexdigest()[:32]


class People:
    """`pepper` keys the digests, `key` (32 bytes) the references. `grouping` says among whom somebody is matched,
    `households` whose numbers name nobody."""

    def __init__(
        self, keys: PersonKeys, pepper: bytes, key: bytes, *, communes: Communes | None = None,
        grouping: Grouping = lambda tenant, origin: None, households: Households = lambda tenant: (),
    ) -> None:  # fmt: skip
        self.keys, self.pepper, self.grouping, self.households = keys, pepper, grouping, households
        self.communes = communes or shipped_communes()
        self._key = key

    def session(self, tx: Transaction, origin: str = "", most: int | None = None) -> Identities:
        """For one unit of work. `origin`: who speaks in it; `most`: how many questions it may open in a day."""
        return Identities(tx, self, origin, most)

    def blocks(self, tenant: str, sectors: str, form: Form | None) -> tuple[str, ...]:
        """Where an identity meets those it is compared with: others of the tenant and of these sectors ("": it declares
        none). Nowhere, where it is too thin (`Form.of`)."""
        return tuple(blocking_keys(form, self.pepper, f"{tenant}\x1f{sectors}")) if form is not None else ()

    def reference_of(self, client_id: str, citizen_id: str) -> str:
        return reference_of(self._key, client_id, citizen_id)

    def citizen_of(self, client_id: str, reference: str) -> str | None:
        """As the function of this name. After a merge, an old reference gives who is no more: see `followed`."""
        return citizen_of(self._key, client_id, reference)

    def followed(self, tx: Transaction, citizen_id: str) -> str | None:
        """Who this is now: the same, or whom they were merged into. None when there is nobody."""
        found: str | None = _WHOLE.run(tx.sql, id=citizen_id).scalar()
        return found

    def members(self, tx: Transaction, citizen_id: str) -> list[str]:
        """Every id under which things are kept about this person: their own, and those merged into it."""
        return sorted(_MEMBERS.run(tx.sql, id=citizen_id).scalars())

    def tenant_of(self, tx: Transaction, citizen_id: str) -> str | None:
        return tx.sql.execute(select(citizens.c.tenant).where(citizens.c.id == citizen_id)).scalar_one_or_none()

    def is_confidential(self, tx: Transaction, citizen_id: str) -> bool:
        return bool(_MARKED.run(tx.sql, id=citizen_id).scalar())

    def identity_of(self, tx: Transaction, citizen_id: str) -> Mapping[str, Any] | None:
        """The identity of this person now (`identity` record): the last that was told as a change, else as it was first
        told. None when it never was, or was erased. The other forms are for nobody but the person."""
        whole = self.followed(tx, citizen_id)
        rows = [] if whole is None else _ALL_FORMS.run(tx.sql, ids=[whole], whole=[whole]).all()
        for row in sorted(rows, key=lambda row: (row.changed_at, row.id == whole), reverse=True):
            plain = self.keys.open(tx, row.id, bytes(row.sealed), _IDENTITY + row.id.encode())
            if plain is not None:
                found: Mapping[str, Any] = orjson.loads(plain)
                return found
        return None

    def identities(self, tx: Transaction, ids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
        """Those of these ids that have one."""
        rows = _SEALED.run(tx.sql, ids=sorted(ids)).all()
        items: list[Item] = [(row.id, bytes(row.sealed), _IDENTITY + row.id.encode()) for row in rows]
        opened = zip(rows, self.keys.open_many(tx, items), strict=True)
        return {row.id: orjson.loads(plain) for row, plain in opened if plain is not None}

    def native_ids(self, tx: Transaction, tenant: str, citizen_id: str) -> Mapping[str, str]:
        """By system, what it calls this person; where a system has several identifiers, the first in order."""
        rows = select(citizen_links.c.system, citizen_links.c.native_id).where(
            citizen_links.c.tenant == tenant, citizen_links.c.citizen_id.in_(self.members(tx, citizen_id))
        )
        found: dict[str, str] = {}
        for system, native in tx.sql.execute(rows.order_by(citizen_links.c.system, citizen_links.c.native_id)):
            found.setdefault(system, native)
        return found


def _is_told_apart(compared: Comparison) -> bool:
    """Whether a system knows the two under two identifiers: they are two people until somebody says otherwise."""
    return any(field.name == "identifier" for field in compared.fields)


def _named(person: Person) -> Form | None:
    return Form.of(person.get("identity") or {}, born=False)


def _seal_each(tx: Transaction, keys: PersonKeys, items: Sequence[Item]) -> list[bytes | None]:
    """Each item encrypted under the key of its person, in order; None for a person whose key was destroyed."""
    try:
        return [*keys.seal_many(tx, items)]
    except KeyDestroyed:
        return [_seal_each(tx, keys, [item])[0] for item in items] if len(items) > 1 else [None]


class Identities:
    """The matching of one transaction. `prefetch` reads all candidates for its new people by one statement; identities,
    blocking keys, reviews and merges are collected and written by `save`."""

    def __init__(self, tx: Transaction, people: People, origin: str, most: int | None = None) -> None:
        self._tx, self._people, self._origin = tx, people, origin
        self._quota = Quota(tx, origin, most)
        self._matched: dict[int, tuple[Person, int, PersonMatch]] = {}  # and how many were new at that moment
        self._forms: dict[int, tuple[Person, Form | None, tuple[str, ...]]] = {}
        self._meeting: dict[str, list[str]] = {}  # by block; one that too many share is empty
        self._crowded: set[str] = set()
        self._known: dict[str, tuple[Form, str]] = {}  # by the id of an identity: its form, and whose it is
        self._natives: dict[str, dict[str, set[str]]] = {}  # by person and system
        self._named: set[str] = set()  # of whom those of before are there
        self._states: dict[str, str | None] = {}  # of questions of before
        self._of_whole: dict[str, dict[str, Form]] = {}  # by person: the forms of their identity
        self._names: dict[str, dict[str, Form]] = {}  # the same, of those who are a name alone
        self._read: set[str] = set()  # of whom all forms are there
        self._kept: list[tuple[str, Mapping[str, Any], bool]] = []
        self._blocks: list[dict[str, str]] = []
        self._asked: dict[str, dict[str, Any]] = {}
        self._values: list[tuple[str, Item]] = []
        self._merges: list[dict[str, Any]] = []

    def prefetch(self, tenant: str, persons: Iterable[Person]) -> None:
        """Read who is like these people."""
        met = self._meeting
        wanted = {block for person in persons for block in self._form(tenant, person)[1] if block not in met}
        if not wanted:
            return
        self._meeting |= {block: [] for block in wanted}
        statement = _CANDIDATES[self._tx.sql.dialect.name]
        found: dict[str, list[str]] = {}
        for row in statement.run(self._tx.sql, wanted=[(block,) for block in sorted(wanted)]):
            ids = orjson.loads(row.ids or "[]")
            if len(ids) > MOST:
                self._crowded.add(row.block)
            elif ids:
                found[row.block] = ids
        self._read_identities({citizen_id for ids in found.values() for citizen_id in ids})
        self._meeting |= found

    def match_newcomer(self, tenant: str, person: Person) -> PersonMatch:
        """Compare a person whom no link and no pivot identity names with the candidates under their blocking keys."""
        known = self._matched.get(id(person))
        if known is None or known[1] != len(self._kept):
            known = self._matched[id(person)] = (person, len(self._kept), self._match(tenant, person))
        return known[2]

    def may_ask(self, tenant: str, pairs: Iterable[tuple[str, str]], fresh: int) -> bool:
        """Whether the origin may open today those questions about these pairs that were not opened before, and `fresh`
        others."""
        more = {review_id(tenant, "person", *sorted(pair)) for pair in pairs}
        return self._quota.allows(self._asked.keys(), more, fresh)

    def _match(self, tenant: str, person: Person) -> PersonMatch:
        self.prefetch(tenant, [person])
        form, meeting = self._form(tenant, person)
        if form is None:
            return PersonMatch()
        likely = Counter(one for block in meeting for one in self._meeting.get(block, ())[:MOST])
        named = self._namesakes(meeting[0])
        best: dict[str, Comparison] = {}
        for identity, _ in likely.most_common(MOST):
            if identity in self._known:
                other, whole = self._known[identity]
                compared = self._compared(form, other, whole, person, MOST if named is None else len(named - {whole}))
                if whole not in best or compared.score > best[whole].score:
                    best[whole] = compared
        ranked = sorted(best.items(), key=lambda one: -one[1].score)
        likest = tuple(one for one in ranked if one[1].verdict != "new")[:ASKED]
        if ranked and stands_alone([compared for _, compared in ranked]) and not _is_told_apart(ranked[0][1]):
            return PersonMatch(ranked[0][0], ranked[0][1].score, likest)
        return PersonMatch(ranked=likest)

    def read_forms(self, ids: Iterable[str]) -> None:
        """Read all forms of the identity of these people."""
        unread = sorted(set(ids) - self._read)
        if not unread:
            return
        self._read.update(unread)
        rows = _ALL_FORMS.run(self._tx.sql, ids=unread, whole=unread).all()
        items: list[Item] = [(row.id, bytes(row.sealed), _IDENTITY + row.id.encode()) for row in rows]
        for row, plain in zip(rows, self._people.keys.open_many(self._tx, items), strict=True):
            if plain is not None:
                self._note_form(row.merged_into or row.id, row.id, orjson.loads(plain))

    def _note_form(self, whole: str, citizen_id: str, identity: Mapping[str, Any]) -> None:
        if (form := Form.of(identity)) is not None:
            self._of_whole.setdefault(whole, {})[citizen_id] = form
            self._names.get(whole, {}).pop(citizen_id, None)
        elif (name := Form.of(identity, born=False)) is not None:
            self._names.setdefault(whole, {})[citizen_id] = name

    def compare_with(self, tenant: str, person: Person, citizen_id: str) -> list[Comparison]:
        """An identity with each form of that of somebody; empty where the one or the other is too thin."""
        self.read_forms([citizen_id])
        form = self._form(tenant, person)[0]
        known = self._of_whole.get(citizen_id, {}).values() if form is not None else ()
        return [compare(form, other, self._people.communes) for other in known if form is not None]

    def contradict(self, tenant: str, one: Person, other: Person) -> bool:
        """Whether two identities cannot be of one person."""
        forms = self._form(tenant, one)[0], self._form(tenant, other)[0]
        if forms[0] is not None and forms[1] is not None:
            return compare(forms[0], forms[1], self._people.communes).verdict == "new"
        named = _named(one), _named(other)
        return named[0] is not None and named[1] is not None and compare_names(named[0], named[1]).verdict == "new"

    def name_against(self, person: Person, citizen_id: str) -> Comparison | None:
        """How a name contradicts every form of somebody, where nothing is told of a birth on either side; None where it
        does not, or nothing is known of their name."""
        self.read_forms([citizen_id])
        form = _named(person)
        known = [*self._of_whole.get(citizen_id, {}).values(), *self._names.get(citizen_id, {}).values()]
        compared = [compare_names(form, other) for other in known] if form is not None else []
        best = max(compared, key=lambda one: one.score, default=None)
        return best if best is not None and best.verdict == "new" else None

    def told_by_name(self, person: Person, citizen_id: str) -> str | None:
        """Who was told before by this name alone, and asked about beside somebody: under the id of that time."""
        form, rows = _named(person), _ASKED_BESIDE.run(self._tx.sql, who=citizen_id).all()
        pairs = [(row.citizen_id, row.other_id) for row in rows]
        pairs += [(asked["citizen_id"], asked["other_id"]) for asked in self._asked.values()]
        others = {other for pair in pairs if citizen_id in pair for other in pair if other} - {citizen_id}
        known = self._people.identities(self._tx, others) | {one: told for one, told, _ in self._kept if one in others}
        called = (one for one in sorted(known) if not known[one].get("birthdate"))
        return next((one for one in called if Form.of(known[one], born=False) == form), None)

    def is_told_change(self, compared: Comparison, person: Person) -> bool:
        """Whether an identity reads as a change of civil status of somebody: born on the same day, at a place that may
        be the same, under another name. With the same name, it may be a twin."""
        levels, born = {field.name: field.level for field in compared.fields}, str(person["identity"]["birthdate"])
        place_differs = levels["birthplace"] in ("near", "differ")
        certain = len(born) == _DAY and certain_part(born) == born and levels["birthdate"] == "same"
        return certain and not place_differs and levels["family_name"] == "differ"

    def questions_with(self, tenant: str, citizen_id: str, others: Collection[str]) -> dict[str, str]:
        """Of these others, those about whom it was asked whether they are this person: the state of the question."""
        asked = {review_id(tenant, "person", *sorted((citizen_id, other))): other for other in others}
        if unread := sorted(asked.keys() - self._states.keys()):
            self._states |= dict.fromkeys(unread)
            self._states |= {row.id: row.state for row in _QUESTIONS.run(self._tx.sql, ids=unread)}
        states = {other: self._states[one] or (one in self._asked and "open") for one, other in asked.items()}
        return {other: state for other, state in states.items() if state}

    def add_identity(
        self, citizen_id: str, tenant: str, person: Person, *, whole: str | None = None, changed: bool = False
    ) -> None:
        """Keep the identity of `citizen_id`, and find it for who comes later in this transaction. `whole`: the citizen
        into whom they were merged; None for themselves. `changed`: it is the one to be shown from now on."""
        form, meeting = self._form(tenant, person)
        self._kept.append((citizen_id, person["identity"], changed))
        if whole is None:
            self._read.add(citizen_id)
        self._note_form(whole or citizen_id, citizen_id, person["identity"])
        if form is None:
            return
        self._blocks += [{"block": block, "citizen_id": citizen_id} for block in meeting]
        self._known[citizen_id] = (form, whole or citizen_id)
        for block in meeting:
            self._meeting.setdefault(block, []).append(citizen_id)

    def record_merge(
        self, tenant: str, gone: str, kept: str, links: Sequence[tuple[str, str]], score: int, how: str,
        numbers: Sequence[tuple[str, str]] = (),
    ) -> None:  # fmt: skip
        """Keep a merge that matching made without an operator, with the links and the numbers of households that moved:
        `unmerge` undoes it. `how`: `likeness`, or `form`, another identity of whom an identifier names,
        `in_use`, nothing but another name in use of the very same identity."""
        moved = orjson.dumps({"links": links, "score": score, "how": how, "numbers": numbers}).decode()
        row = {"gone_id": gone, "kept_id": kept, "tenant": tenant, "moved": moved, "actor": "hub", "at": self._tx.now}
        self._merges.append(row)

    def open_person_review(self, tenant: str, citizen_id: str, other_id: str, facts: Mapping[str, Any]) -> None:
        """An operator must say whether these two are one person, unless one did already."""
        first, second = sorted((citizen_id, other_id))
        self._open_review(tenant, "person", (first, second), facts, citizen_id=first, other_id=second)

    def open_links_review(self, tenant: str, citizen_id: str, facts: Mapping[str, Any]) -> None:
        """An operator must say whether all identifiers of this person are theirs, unless one did already."""
        self._open_review(tenant, "links", (citizen_id,), facts, citizen_id=citizen_id)

    def doubt_value(
        self, tenant: str, citizen_id: str, field: str, said: Mapping[str, Any], facts: Mapping[str, Any], *,
        about: str | None = None,
    ) -> bool:  # fmt: skip
        """An operator must say whether this value is to be taken: who is master of the field says otherwise, or the
        facts say why. What is said `about` (by default all of it) is asked once. False when the origin may ask no more
        today."""
        content = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        key = content if about is None else about.encode()
        digest = hashlib.sha256(self._people.pepper + key).hexdigest()
        named = (citizen_id, field, digest)
        if not self._quota.allows(self._asked.keys(), {review_id(tenant, "value", *named)}):
            return False
        review = self._open_review(tenant, "value", named, facts, citizen_id=citizen_id, field=field)
        self._values.append((review, (citizen_id, content, VALUE + review.encode())))
        return True

    def save(self) -> int:
        """How many questions were opened."""
        tx, keys = self._tx, self._people.keys
        kept = [*{one[0]: one for one in self._kept}.values()]  # of who was a name alone at first, the last
        items: list[Item] = [(who, orjson.dumps(what), _IDENTITY + who.encode()) for who, what, _ in kept]
        sealed = _seal_each(tx, keys, [*items, *(item for _, item in self._values)])
        for (review, _), content in zip(self._values, sealed[len(items) :], strict=True):
            self._asked[review]["sealed"] = content
        _KEEP.run(tx.sql, [
            {"citizen_id": who, "sealed": content, "changed_at": tx.now if changed else 0.0}
            for (who, _, changed), content in zip(kept, sealed, strict=False) if content is not None
        ])  # fmt: skip
        _MEET.run(tx.sql, self._blocks)
        _MERGE.run(tx.sql, self._merges)
        self._journal_changes({who for who, _, changed in self._kept if changed})
        opened = len(_ASK.run(tx.sql, [self._asked[review] for review in sorted(self._asked)]))
        self._quota.count(opened)
        return opened

    def _journal_changes(self, forms: Collection[str]) -> None:
        """An identifier that is known told of another civil status: who told it, of whom."""
        for merge in self._merges:
            if merge["gone_id"] in forms:
                facts = {"form": merge["gone_id"], "score": orjson.loads(merge["moved"])["score"]}
                Journal(self._people.keys).write(self._tx, Entry(
                    merge["tenant"], "operator", "citizen.form-told", self._origin, "done", citizen_id=merge["kept_id"],
                    facts=facts,
                ))  # fmt: skip

    def _namesakes(self, block: str) -> set[str] | None:
        """Who has the name of a block of names; None when they are too many."""
        if block in self._crowded:
            return None
        return {self._known[one][1] for one in self._meeting.get(block, ()) if one in self._known}

    def _compared(self, form: Form, other: Form, whole: str, person: Person, namesakes: int) -> Comparison:
        compared = compare(form, other, self._people.communes, namesakes)
        natives = self._natives.get(whole, {})
        if any(r["id"] not in natives.get(r["system"], {r["id"]}) for r in person.get("references", ())):
            return compared.with_field("identifier", "differ")  # their own system tells them apart
        return compared

    def _form(self, tenant: str, person: Person) -> tuple[Form | None, tuple[str, ...]]:
        found = self._forms.get(id(person))
        if found is None:
            form = Form.of(person.get("identity") or {})
            group = self._people.grouping(tenant, self._origin)
            meeting = self._people.blocks(tenant, group(person) if group else "", form)
            found = self._forms[id(person)] = (person, form, meeting)
        return found[1], found[2]

    def _read_identities(self, ids: set[str]) -> None:
        """The identities of these people, and what systems call them."""
        unread = sorted(ids - set(self._known))
        rows = _SEALED.run(self._tx.sql, ids=unread).all() if unread else []
        items: list[Item] = [(row.id, bytes(row.sealed), _IDENTITY + row.id.encode()) for row in rows]
        for row, plain in zip(rows, self._people.keys.open_many(self._tx, items), strict=True):
            form = Form.of(orjson.loads(plain)) if plain is not None else None
            if form is not None:
                self._known[row.id] = (form, row.merged_into or row.id)
        whole = sorted({owner for _, owner in self._known.values()} - self._named)
        self._named.update(whole)
        for row in _NAMED.run(self._tx.sql, ids=whole) if whole else ():
            self.add_native_id(row.citizen_id, row.system, row.native_id)

    def add_native_id(self, citizen_id: str, system: str, native_id: str) -> None:
        self._natives.setdefault(citizen_id, {}).setdefault(system, set()).add(native_id)

    def _open_review(self, tenant: str, kind: str, about: Sequence[str], facts: Mapping[str, Any], **names: str) -> str:
        review = review_id(tenant, kind, *about)
        self._asked.setdefault(review, {
            "id": review, "tenant": tenant, "kind": kind, "state": "open", "other_id": None, "field": None,
            "facts": orjson.dumps(facts).decode(), "sealed": None, "origin": self._origin, "opened_at": self._tx.now,
            "decided_at": None, "decided_by": None, **names,
        })  # fmt: skip
        return review
