"""Citizens, as far as routing needs them: the link from each system's identifier to one person of one tenant.

Matching here is exact: a known identifier, else the same pivot identity. Nothing is listed, nothing is searched.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import delete, insert, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from bus.ledger import Transaction, parts
from hub.tables import citizen_links, citizen_values, citizens
from schemas.errors import InvalidMessage

ECHO_DAYS = 30
_REQUIRED = ("family_name", "birthdate")


@dataclass(slots=True)
class Citizen:
    id: str
    tenant: str
    confidential: bool
    pivot: bytes | None = None


class Citizens:
    """The citizens that one batch of events concerns: read at once by `prefetch`, written at once by `save`."""

    def __init__(self, tx: Transaction, pepper: bytes) -> None:
        self._tx = tx
        self._pepper = pepper
        self._by_id: dict[str, Citizen] = {}
        self._links: dict[tuple[str, str, str], str] = {}
        self._pivots: dict[tuple[str, bytes], str] = {}
        self._systems: dict[str, set[str]] = {}
        self._new: list[Citizen] = []
        self._marked: list[str] = []
        self._fresh_marks: set[str] = set()
        self._said: set[tuple[str, str, str]] = set()
        self._long_unseen: set[str] = set()
        self._seen: set[str] = set()
        self._named: list[Citizen] = []
        self._new_links: list[dict[str, str]] = []
        self._values: dict[tuple[str, str], dict[str, dict[bytes, float]]] = {}
        self._told: list[dict[str, Any]] = []
        self._digests: dict[int, tuple[Any, bytes]] = {}

    def prefetch(self, tenant: str, people: Iterable[Mapping[str, Any]], values: Iterable[Any] = ()) -> None:
        """Read what concerns these people, and what is known of these values of theirs."""
        people, digests = list(people), {self._digest(value) for value in values}
        wanted = sorted({(r["system"], r["id"]) for person in people for r in person.get("references", ())})
        pivots = sorted({p for person in people if (p := self._pivot(person)) is not None})
        ids: set[str] = set()
        for some in parts(wanted):
            pairs = tuple_(citizen_links.c.system, citizen_links.c.native_id).in_(some)
            for row in self._tx.sql.execute(select(citizen_links).where(citizen_links.c.tenant == tenant, pairs)):
                self._links[(tenant, row.system, row.native_id)] = row.citizen_id
                ids.add(row.citizen_id)
        for column, values_of in ((citizens.c.id, sorted(ids)), (citizens.c.pivot, pivots)):
            for named in parts(values_of):
                for row in self._tx.sql.execute(select(citizens).where(citizens.c.tenant == tenant, column.in_(named))):
                    self._admit(Citizen(row.id, tenant, bool(row.confidential), row.pivot))
                    if row.seen_at < self._tx.now - 86_400:
                        self._long_unseen.add(row.id)
        if self._by_id:
            self._read_around([c for c in self._by_id if c not in self._systems], digests)

    def resolve(self, tenant: str, person: Mapping[str, Any]) -> Citizen:
        """The citizen that a record names, made if new; new identifiers and a `confidential` mark are kept.

        InvalidMessage `ambiguous_citizen` when its identifiers are links of different people."""
        pivot = self._pivot(person)
        known = self.check(tenant, person)
        citizen = self._by_id[known] if known else self._open(tenant, pivot)
        if citizen.id in self._long_unseen:
            self._seen.add(citizen.id)
        for reference in person.get("references", ()):
            self._link(citizen, (tenant, reference["system"], reference["id"]))
        if citizen.pivot is None and pivot is not None and (tenant, pivot) not in self._pivots:
            citizen.pivot = pivot
            self._pivots[(tenant, pivot)] = citizen.id
            self._named.append(citizen)
        named = [citizen, *self._twin(tenant, pivot, citizen)]
        if person.get("confidential") or any(each.confidential for each in named):
            for each in named:
                self._mark(each)
        return citizen

    def check_together(self, tenant: str, people: Iterable[Mapping[str, Any]]) -> None:
        """Raise for the people of one event what `resolve` would raise for one of them, before any is resolved."""
        new: dict[Any, object] = {}
        for person in people:
            keys: list[Any] = [(tenant, r["system"], r["id"]) for r in person.get("references", ())]
            found = {self._links.get(key) or new.get(key) for key in keys} - {None}
            pivot = self._pivot(person)
            if not found and pivot is not None:
                found = {self._pivots.get((tenant, pivot)) or new.get(pivot)} - {None}
            if len(found) > 1:
                raise _ambiguous()
            who = found.pop() if found else object()
            new |= dict.fromkeys([*keys, pivot] if pivot is not None else keys, who)

    def is_marked(self, tenant: str, person: Mapping[str, Any]) -> bool:
        """Whether a person who is only named along must be kept confidential; the mark of such a person is kept."""
        if person.get("confidential"):
            return self.resolve(tenant, person).confidential
        ids = {self._links.get((tenant, r["system"], r["id"])) for r in person.get("references", ())}
        pivot = self._pivot(person)
        ids.add(self._pivots.get((tenant, pivot)) if pivot is not None else None)
        return any(self._by_id[found].confidential for found in ids if found is not None)

    def take_fresh_marks(self) -> set[str]:
        """The citizens marked confidential since this was last asked."""
        fresh, self._fresh_marks = self._fresh_marks, set()
        return fresh

    def check(self, tenant: str, person: Mapping[str, Any]) -> str | None:
        """The known citizen that a record names, None when new. Changes nothing; raises as `resolve` does."""
        keys = ((tenant, r["system"], r["id"]) for r in person.get("references", ()))
        found = {self._links[key] for key in keys if key in self._links}
        if len(found) > 1:
            raise _ambiguous()
        pivot = self._pivot(person)
        if not found and pivot is not None:
            return self._pivots.get((tenant, pivot))
        return found.pop() if found else None

    def _twin(self, tenant: str, pivot: bytes | None, citizen: Citizen) -> list[Citizen]:
        """Another citizen, known by the identity under which this one is named: a mark of one holds for both."""
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
        digest = self._digest(value)
        known = self._values.get((citizen.id, field), {})
        since = self._tx.now - ECHO_DAYS * 86_400
        if digest in known.get("", {}) or known.get(holder, {}).get(digest, since) > since:
            return True
        said = known.get(_said_by(holder), {}).get(digest, since)
        return said > since and dated <= max(known.get("", {"": since}).values())

    def learn(self, citizen: Citizen, field: str, value: Any, *, by: str, told: Iterable[str]) -> None:
        """This is now the value, as `by` says; `told` are the connections it goes to."""
        digest, now, said = self._digest(value), self._tx.now, _said_by(by)
        known = self._values.setdefault((citizen.id, field), {})
        known[""] = known[said] = {digest: now}
        for holder in told:
            known.setdefault(holder, {})[digest] = now
        self._said.add((citizen.id, field, said))
        self._told.extend(
            {"citizen_id": citizen.id, "field": field, "holder": h, "digest": digest, "at": now}
            for h in ("", said, *told)
        )

    def save(self) -> None:
        sql = self._tx.sql
        dialect = sqlite_insert if sql.dialect.name == "sqlite" else postgresql_insert
        if self._new:
            rows = [
                {"id": c.id, "tenant": c.tenant, "pivot": c.pivot, "confidential": int(c.confidential),
                 "seen_at": self._tx.now}
                for c in self._new
            ]  # fmt: skip
            sql.execute(insert(citizens), rows)
        fresh = {c.id for c in self._new}
        for citizen in self._named:
            if citizen.id not in fresh:
                sql.execute(update(citizens).where(citizens.c.id == citizen.id).values(pivot=citizen.pivot))
        if self._seen:
            sql.execute(update(citizens).where(citizens.c.id.in_(self._seen)).values(seen_at=self._tx.now))
        marked = [c for c in self._marked if c not in fresh]
        if marked:
            sql.execute(update(citizens).where(citizens.c.id.in_(marked)).values(confidential=1))
        if self._new_links:
            sql.execute(dialect(citizen_links).on_conflict_do_nothing(), self._new_links)
        self._save_values(dialect)

    def _save_values(self, dialect: Any) -> None:
        latest = {(r["citizen_id"], r["field"], r["holder"], r["digest"]): r for r in self._told}
        if not latest:
            return
        # Of what the hub knows and of what each said, the last alone is kept.
        single = self._said | {(citizen_id, field, "") for citizen_id, field, _ in self._said}
        rows = [row for (who, field, holder, digest), row in latest.items()
                if (who, field, holder) not in single or digest in self._values[(who, field)][holder]]  # fmt: skip
        of = tuple_(citizen_values.c.citizen_id, citizen_values.c.field, citizen_values.c.holder)
        for some in parts(sorted(single)):
            self._tx.sql.execute(delete(citizen_values).where(of.in_(some)))
        query = dialect(citizen_values)
        key = ["citizen_id", "field", "holder", "digest"]
        query = query.on_conflict_do_update(index_elements=key, set_={"at": query.excluded.at})
        self._tx.sql.execute(query, rows)

    def _open(self, tenant: str, pivot: bytes | None) -> Citizen:
        citizen = Citizen(str(uuid.uuid4()), tenant, False, pivot)
        self._new.append(citizen)
        self._admit(citizen)
        return citizen

    def _admit(self, citizen: Citizen) -> None:
        self._by_id[citizen.id] = citizen
        if citizen.pivot is not None:
            self._pivots[(citizen.tenant, citizen.pivot)] = citizen.id

    def _link(self, citizen: Citizen, key: tuple[str, str, str]) -> None:
        if self._links.setdefault(key, citizen.id) == citizen.id:
            row = {"tenant": key[0], "system": key[1], "native_id": key[2], "citizen_id": citizen.id}
            if key[1] not in self._systems.setdefault(citizen.id, set()) or row not in self._new_links:
                self._systems[citizen.id].add(key[1])
                self._new_links.append(row)

    def _digest(self, value: Any) -> bytes:
        found = self._digests.get(id(value))
        if found is None:  # kept with its value, so that no other object takes its place in memory
            found = self._digests[id(value)] = (value, value_digest(value))
        return found[1]

    def _read_around(self, ids: list[str], digests: set[bytes]) -> None:
        """All systems of the people found, their current values, and who was told the values at hand."""
        for citizen_id in ids:
            self._systems[citizen_id] = set()
        for some in parts(ids):
            for row in self._tx.sql.execute(select(citizen_links).where(citizen_links.c.citizen_id.in_(some))):
                self._systems[row.citizen_id].add(row.system)
                self._links[(row.tenant, row.system, row.native_id)] = row.citizen_id
            for row in self._tx.sql.execute(_values_at_hand(some, digests)):
                field = self._values.setdefault((row.citizen_id, row.field), {})
                field.setdefault(row.holder, {})[row.digest] = row.at

    def _pivot(self, person: Mapping[str, Any]) -> bytes | None:
        """A keyed digest: the table tells nobody who is in it. None when the identity is too thin to match on."""
        identity = person.get("identity")
        if not identity or any(name not in identity for name in _REQUIRED) or not identity.get("given_names"):
            return None
        names = [identity["family_name"], *identity["given_names"]]
        parts = [
            *map(plain, names),
            *(str(identity.get(k, "")) for k in ("gender", "birthdate", "birthplace", "birthcountry")),
        ]
        return hmac.digest(self._pepper, "\x1f".join(parts).encode(), "sha256")


def _said_by(holder: str) -> str:
    return f"<{holder}"[:128]


def _ambiguous() -> InvalidMessage:
    return InvalidMessage(
        "these identifiers belong to different people", pointer="/data/citizen", code="ambiguous_citizen"
    )


def _values_at_hand(ids: list[str], digests: set[bytes]) -> Any:
    at_hand = or_(citizen_values.c.holder == "", citizen_values.c.digest.in_(digests))
    return select(citizen_values).where(citizen_values.c.citizen_id.in_(ids), at_hand)


def reference_of(tx: Transaction, tenant: str, system: str, citizen_ids: Iterable[str]) -> dict[str, str]:
    """The identifier that one system gives to each of these citizens; where it has several, the first in order."""
    ids = sorted(set(citizen_ids))
    query = select(citizen_links).where(
        citizen_links.c.tenant == tenant, citizen_links.c.system == system, citizen_links.c.citizen_id.in_(ids)
    )
    found: dict[str, str] = {}
    for row in tx.sql.execute(query.order_by(citizen_links.c.native_id)) if ids else ():
        found.setdefault(row.citizen_id, row.native_id)
    return found


def plain(text: str) -> str:
    """Upper case, no accents or ligatures, hyphens and apostrophes as spaces: how names are compared."""
    text = text.upper()
    if not text.isascii():
        bare = unicodedata.normalize("NFKD", text.translate(_SPELT))
        text = "".join(c for c in bare if not unicodedata.combining(c))
    return " ".join(_APART.split(text)).strip()


def value_digest(value: Any) -> bytes:
    """A digest of what a value says, whatever its case, accents, spaces or the order of its members."""
    return hashlib.sha256(orjson.dumps(_canonical(value), option=orjson.OPT_SORT_KEYS)).digest()


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping) and "postal_code" in value and "city" in value:
        # Packages cut an address in their own ways, and drop the keys that say the place more precisely.
        line = " ".join(str(value.get(k) or "") for k in ("house_number", "street", "complement"))
        return [_place(line), _place(str(value["postal_code"])).replace(" ", ""), _place(str(value["city"]))]
    if isinstance(value, Mapping):
        return {k: _canonical(v) for k, v in value.items() if v not in ("", None)}
    return _text(value) if isinstance(value, str) else value


_APART = re.compile(r"[\W_]+")
_SPELT = str.maketrans({"Œ": "OE", "Æ": "AE", "Ø": "O", "Ł": "L", "Đ": "D", "Ð": "D", "Þ": "TH", "ʼ": "'"})
_WHOLE = {"ST": "SAINT", "STE": "SAINTE"}
_AT_DIGITS = re.compile(r"(?<=\d)(?=[^\W\d])")
_PHONE = re.compile(r"(\+|00)?\d{6,15}")


def _place(text: str) -> str:
    """As `plain`, with the letters and words that packages spell in two ways, and 12bis as 12 bis."""
    words = plain(_AT_DIGITS.sub(" ", text)).split()
    return " ".join(_WHOLE.get(word, word) for word in words)


def _text(text: str) -> str:
    """An e-mail address whatever its case, a telephone number whatever its punctuation and prefix, else as `plain`."""
    if "@" in text:
        return text.strip().casefold()
    digits = re.sub(r"\(0\)|[\s.()/-]", "", text)
    if not _PHONE.fullmatch(digits):
        return plain(text)
    return re.sub(r"^(\+|00)33", "0", digits).replace("+", "00", 1)


def link_citizen(tx: Transaction, tenant: str, system: str, native_id: str, citizen_id: str) -> bool:
    """Remember a system's identifier of a citizen. False when the identifier is somebody else's: it stays so."""
    dialect = sqlite_insert if tx.sql.dialect.name == "sqlite" else postgresql_insert
    row = {"tenant": tenant, "system": system, "native_id": native_id, "citizen_id": citizen_id}
    tx.sql.execute(dialect(citizen_links).on_conflict_do_nothing(), [row])
    same = (citizen_links.c.tenant == tenant, citizen_links.c.system == system, citizen_links.c.native_id == native_id)
    return bool(tx.sql.execute(select(citizen_links.c.citizen_id).where(*same)).scalar_one() == citizen_id)
