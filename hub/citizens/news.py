"""What each reader knows of each field of each citizen, as keyed digests: news is judged reader by reader.

One record for a person and a field, sealed under the key of the person: what is known now, and of everybody who was
given something or said something the last few things. It is joined, where it is read, with the records of those who
were merged into that person, and each keeps its own: a merge that is taken back gives back what each knew. Digests
are under the hub's pepper, so that those of two people can be joined; a bare digest of a short text would soon be tried
out.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import is_
from typing import Any

import orjson
from sqlalchemy import select

from bus.ledger import Transaction, parts
from bus.sql import Insert, Statement
from bus.tables import OPEN
from hub.storage.keyed_digest import keyed_digest
from hub.storage.person_keys import PersonKey, PersonKeys
from hub.storage.tables import citizen_news, citizens

Entry = list[Any]
"""What a reader was given or said: see the places below. JSON, and so a list. Readers of a record share what is the
same: `_Record.alter` changes it for one of them."""
Entries = tuple[Entry, ...]
VIEW, LINK, LOW, HIGH, SEQ, HOW, AT, EFFECTIVE, WHOLE = range(9)
_WIDTH = WHOLE + 1  # one that was not written yet has behind these what will hold its number
# Digests: VIEW of what the reader sees, LINK of the identifier under which it is told, WHOLE of the value that it would
# say by itself. LOW, HIGH: between them lies the date of the value; SEQ: of the event; AT: when, in seconds.
GIVEN, SAID, BOTH = "g", "s", "b"  # both: given, and then said by who was given it
OBSERVES = "?"  # before the name of a reader that only observes: nothing of it has left the hub
KEPT = 3  # entries of each reader
Rank = tuple[int, float]  # what a value is worth: its index in `QUALITIES`, then its date in seconds since 1970
Pair = tuple[str, int]  # connection, seq

DATED = "new_address"
"""The field whose value may be true from a day to come only."""
_VIEW, _LINK, _PILOT = 12, 6, 12  # bytes of a digest
_CONTEXT = b"news:"
_LONG, _ZLIB = 2000, b"\x78"  # bytes: what is longer is compressed, for it repeats itself

# Each is looked up by itself, by an index, as `bus.sql.around_found` says.
_JOIN = {
    "sqlite": "JOIN {table} AS {name} ON {on}",
    "postgresql": "CROSS JOIN LATERAL (SELECT * FROM {table} AS {name} WHERE {on} OFFSET 0) AS {name}",
}


def _joined(dialect: str, table: str, name: str, on: str) -> str:
    return _JOIN[dialect].format(table=table, name=name, on=on)


# The records of each person and of whom was merged into them, with the keys under which they are: one statement.
_READ = {
    dialect: Statement(f"""
        WITH wanted AS (SELECT citizen_id, field FROM {{told(citizen_id text, field text)}}),
        people AS (SELECT DISTINCT citizen_id AS id FROM wanted)
        SELECT people.id AS whole, people.id AS id, '' AS field, CAST(NULL AS BYTEA) AS sealed,
            keys.wrapped AS wrapped, 0 AS at
        FROM people {_joined(dialect, "person_keys", "keys", "keys.citizen_id = people.id")}
        UNION ALL SELECT wanted.citizen_id, known.citizen_id, known.field, known.sealed,
            CAST(NULL AS BYTEA), known.at
        FROM wanted {_joined(dialect, "citizen_news", "known",
                             "known.citizen_id = wanted.citizen_id AND known.field = wanted.field")}
        UNION ALL SELECT people.id, merged.id, '', CAST(NULL AS BYTEA), keys.wrapped, 0
        FROM people {_joined(dialect, "citizens", "merged", "merged.merged_into = people.id")}
        {_joined(dialect, "person_keys", "keys", "keys.citizen_id = merged.id")}
        UNION ALL SELECT wanted.citizen_id, known.citizen_id, known.field, known.sealed,
            CAST(NULL AS BYTEA), known.at
        FROM wanted {_joined(dialect, "citizens", "merged", "merged.merged_into = wanted.citizen_id")}
        {_joined(dialect, "citizen_news", "known", "known.citizen_id = merged.id AND known.field = wanted.field")}
    """)  # noqa: S608 (the text is our own)
    for dialect in _JOIN
}  # fmt: skip
_KEEP = Insert(
    citizen_news,
    conflict="(citizen_id, field) DO UPDATE SET seq = excluded.seq, sealed = excluded.sealed, at = excluded.at",
)
_FIELDS = Statement("""
    SELECT people.id AS whole, known.field FROM {people(id text)}
    JOIN citizens AS one ON one.id = people.id OR one.merged_into = people.id
    JOIN citizen_news AS known ON known.citizen_id = one.id
""")
_NO_NEWS = Statement("DELETE FROM citizen_news WHERE citizen_id = :citizen_id AND field = :field")


def coming(field_name: str) -> str:
    """Under which what is to come of a field is kept, beside what is known now: with its own readers, as a field of its
    own."""
    return f"{field_name}+"


def is_coming(field_name: str) -> bool:
    return field_name.endswith("+")


def base_of(field_name: str) -> str:
    """The field itself, of what is known now or to come of it."""
    return field_name.removesuffix("+")


class Digests:
    """The digests of views and links, and of who is in a pilot, under a key that is the hub's."""

    def __init__(self, pepper: bytes) -> None:
        self._key = keyed_digest(pepper, b"unefois news of readers")

    def of_view(self, version: int, said: Any) -> str:
        """Of what a reader is shown: `said` is JSON. `version`: of the event that it reads; 0 for the whole value, as
        whoever says it knows it."""
        return self._digest(b"view %d " % version + orjson.dumps(said, option=orjson.OPT_SORT_KEYS), _VIEW)

    def of_link(self, system: str, native_id: str | None) -> str:
        """Of the identifier under which a reader is told; empty where its system has none."""
        return self._digest(f"link {system} {native_id}".encode(), _LINK) if native_id is not None else ""

    def of_pilot(self, system: str, native_id: str) -> str:
        """Of somebody for whom a pilot sends, as the directory keeps them: its history outlives an erasure."""
        return self._digest(f"pilot {system} {native_id}".encode(), _PILOT)

    def _digest(self, content: bytes, size: int) -> str:
        return base64.b64encode(keyed_digest(self._key, content)[:size]).decode()


@dataclass(slots=True)
class Now:
    """What is known now of a field. `digest`: of the whole value; `views`: of what readers see of it; `low`, `high`:
    between these moments lies its date; `seq`: the event that says it best; `at`: when it was accepted; `by`: who said
    it; `system`, `rank`: whose value it is and what it is worth, where the field has a master; `times`: how often the
    hub has said it again; `day`: of what is to come, from which day it is true."""

    digest: str
    views: list[str]
    low: float
    high: float
    seq: int
    at: float
    by: str
    system: str = ""
    rank: Rank = (0, 0.0)
    times: int = 0
    day: str = ""

    def row(self) -> list[Any]:
        return [getattr(self, name) for name in Now.__slots__]


@dataclass(slots=True)
class _Record:
    """What is kept of one id. `over`: of whom was merged into it, [id, when it was written]: what is known now was said
    with theirs in mind."""

    citizen_id: str
    at: float = 0.0
    now: Now | None = None
    of: dict[str, Entries] = field(default_factory=dict)
    over: list[list[Any]] = field(default_factory=list)
    home: list[Any] | None = None
    along: list[list[Any]] = field(default_factory=list)
    changed: bool = False

    @staticmethod
    def read(citizen_id: str, at: float, plain: bytes) -> _Record:
        kept = orjson.loads(plain if plain[:1] == b"{" else zlib.decompress(plain))
        now = kept.get("now")
        entries = kept["entries"]
        of = dict[str, Entries]()
        for names, places in kept["of"]:
            of |= dict.fromkeys(names, tuple([entries[place] for place in places]))
        made = _Record(citizen_id, at, None, of, kept.get("over", []), kept.get("home"))
        made.along = kept.get("along", [])
        if now is not None:
            made.now = Now(*now)
            made.now.rank = (made.now.rank[0], made.now.rank[1])
        return made

    def forget_before(self, began: Mapping[str, int]) -> None:
        """Of those that began after an event, keep what came after it."""
        for who in [*self.of]:
            start = began.get(who.removeprefix(OBSERVES), 0)
            if start:
                self._leave(who, tuple(entry for entry in self.of[who] if (entry[SEQ] or 0) > start))

    def drop(self, who: str, which: Callable[[Entry], bool]) -> int:
        """Forget such entries of a reader; how many."""
        entries = self.of.get(who, ())
        left = tuple(entry for entry in entries if not which(entry))
        if len(left) < len(entries):
            self._leave(who, left)
            self.changed = True
        return len(entries) - len(left)

    def alter(self, who: str, entry: Entry, changes: Mapping[int, Any]) -> None:
        """Of this reader alone: others may share the entry."""
        made = [*entry]
        for place, value in changes.items():
            made[place] = value
        self.of[who] = tuple(made if one is entry else one for one in self.of[who])
        self.changed = True

    def _leave(self, who: str, entries: Entries) -> None:
        if entries:
            self.of[who] = entries
        else:
            del self.of[who]

    def plain(self) -> bytes:
        # Readers that are granted the same are given the same, and share it.
        sharing = dict[int, tuple[Entries, list[str]]]()
        for who, mine in self.of.items():
            sharing.setdefault(id(mine), (mine, []))[1].append(who)
        met, entries, of = dict[int, int](), list[Entry](), dict[tuple[int, ...], list[str]]()
        for mine, names in sharing.values():
            places = []
            for entry in mine:
                if len(entry) > _WIDTH:
                    entry[SEQ] = entry.pop()["seq"]
            for entry in mine[-KEPT:]:
                place = met.get(id(entry))
                if place is None:
                    place = met[id(entry)] = len(entries)
                    entries.append(entry)
                places.append(place)
            of.setdefault(tuple(places), []).extend(names)
        kept: dict[str, Any] = {"entries": entries, "of": [[names, places] for places, names in of.items()]}
        if self.now is not None:
            kept["now"] = self.now.row()
        if self.over:
            kept["over"] = self.over
        if self.home:
            kept["home"] = self.home
        if self.along:
            kept["along"] = self.along
        plain = orjson.dumps(kept)
        return zlib.compress(plain, 1) if len(plain) > _LONG else plain


class Known:
    """What is known of one field of one person, in whichever records: read together, written to the person's own."""

    __slots__ = ("field", "own", "records")

    def __init__(self, own: _Record, field_name: str) -> None:
        self.own, self.field = own, field_name
        self.records = [own]

    @property
    def now(self) -> Now | None:
        """What is known now: of several who are one, what is newest, by date and then in order of acceptance."""
        if len(self.records) == 1:
            return self.own.now
        heeded = {(one, at) for one, at in self.own.over}
        found = [r.now for r in self.records if r.now is not None and (r.citizen_id, r.at) not in heeded]
        return max(found, key=lambda now: (now.high, now.seq)) if found else None

    def entries(self, who: str) -> Entries:
        """What a reader was given or said, oldest first."""
        if len(self.records) == 1:
            return self.own.of.get(who, ())
        found = [entry for record in self.records for entry in record.of.get(who, ())]
        return tuple(sorted(found, key=lambda entry: (entry[SEQ] or 0, entry[AT])))

    def last(self, who: str) -> Entry | None:
        entries = self.entries(who)
        return entries[-1] if entries else None

    def readers(self) -> set[str]:
        return {who for record in self.records for who in record.of}

    @property
    def home(self) -> list[Any] | None:
        """Who named this person last as one of their household: their id, the digest of the address, when."""
        return max((r.home for r in self.records if r.home), key=lambda home: float(home[2]), default=None)

    def moved_with(self, ids: Sequence[str]) -> list[Any]:
        """Those who moved along by an event, whose number is to be set first in what this gives: who does not take it
        does not know it of them either."""
        moved: list[Any] = [0, [*ids]]
        self.own.along = [*self.own.along, moved][-KEPT:]
        self.own.changed = True
        return moved

    def members_of(self, seq: int) -> list[str]:
        """Those who moved along by this event."""
        return [one for record in self.records for number, ids in record.along if number == seq for one in ids]

    def live_with(self, mover: str, digest: str, at: float) -> None:
        """Somebody who moved has named this person as one of their household."""
        self.own.home, self.own.changed = [mover, digest, at], True

    def state(self, now: Now) -> None:
        """This is known from now on."""
        self.own.now = now
        self.own.over = [[record.citizen_id, record.at] for record in self.records[1:]]
        self.own.changed = True

    def note(self, names: Iterable[str], entry: Entry) -> None:
        """Readers were given this, or said it. Behind the entry may stand what will hold the number of its event as
        `seq`, when it is written."""
        sharing = dict[int, tuple[Entries, Entries]]()  # those who share what was before share this
        for who in names:
            before = self.own.of.get(who, ())
            if id(before) not in sharing:
                sharing[id(before)] = before, _with(before, entry)
            self.own.of[who] = sharing[id(before)][1]
        self.own.changed = True

    def drop(self, names: Iterable[str], which: Callable[[Entry], bool]) -> int:
        """Forget such entries of these readers in this person's own record; how many."""
        return sum(self.own.drop(who, which) for who in names)

    def put_before(self, who: str, said: Sequence[Entry], given: Sequence[Entry]) -> None:
        """What a reader said comes before what it was given: that is what it knows last, unless it is taken back."""
        first = min((entry[SEQ] for entry in given if entry[SEQ]), default=None)
        for record in self.records:
            entries = record.of.get(who, ())
            moved = [entry for entry in entries if any(entry is one for one in said)]
            if not moved:
                continue
            left = [entry for entry in entries if not any(entry is one for one in moved)]
            place = next((n for n, entry in enumerate(left) if any(entry is one for one in given)), len(left))
            earlier = [[*one[:SEQ], first - 1, *one[SEQ + 1 : _WIDTH]] if first else one for one in moved]
            record.of[who], record.changed = (*left[:place], *earlier, *left[place:]), True

    def say_again(self, who: str, entry: Entry, low: float, high: float) -> None:
        """A reader says this itself, perhaps with a newer date."""
        changes: dict[int, Any] = {LOW: low, HIGH: high} if low > entry[HIGH] else {}
        if entry[HOW] == GIVEN:
            changes[HOW] = BOTH
        for record in self.records if changes else ():
            if any(one is entry for one in record.of.get(who, ())):
                record.alter(who, entry, changes)

    def take_back(self, who: str, seq: int) -> Entry | None:
        """The reader did not take what it was given by this event; what was before stands again. What it said itself
        since it has, whatever became of that."""
        for record in self.records:
            entry = next((e for e in record.of.get(who, ()) if e[SEQ] == seq and e[HOW] != SAID), None)
            if entry is None:
                continue
            if entry[HOW] == BOTH:
                record.alter(who, entry, {HOW: SAID})
                return None
            record.drop(who, partial(is_, entry))
            return entry
        return None


def _with(before: Entries, entry: Entry) -> Entries:
    made = (*before, entry)
    if before and entry[SEQ] and (before[-1][SEQ] or 0) > entry[SEQ]:
        made = tuple(sorted(made, key=lambda one: one[SEQ] or 0))  # a delivery that is tried again
    return made[-2 * KEPT :]  # what was to come is read beside what is known now, before it is one record


class KnownNews:
    """What is known of the citizens that one batch concerns: read at once by `prefetch`, written at once by `save`.
    `new`: the ids of citizens of whom nothing is kept yet. Without `keys` (a hub that keeps no identities) nothing is
    sealed, and the pepper alone keys the digests."""

    def __init__(
        self, tx: Transaction, keys: PersonKeys | None, digests: Digests, new: Collection[str] = frozenset()
    ) -> None:
        self._tx, self._keys, self.digests, self._new = tx, keys, digests, new
        self._known: dict[tuple[str, str], Known] = {}
        self._wrapped: dict[str, bytes] = {}
        self._unwrapped: dict[str, PersonKey] = {}
        self._gone: set[str] = set()
        self._began: Mapping[str, int] = {}
        self._noted: list[tuple[Any, int | str, Mapping[str, Any]]] = []
        self._dropped: list[tuple[str, str]] = []
        self._rows: dict[tuple[str, int], tuple[str, float]] = {}

    def start_anew(self, began: Mapping[str, int]) -> None:
        """What these connections (`tenant.name`) were given or said up to an event is of others, who had their names
        and were removed: nobody knows it by them. Before anything is read."""
        self._began = {short(name): seq for name, seq in began.items()}

    def prefetch(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Read what is known of these fields of citizens."""
        unread = sorted({one for one in wanted if one not in self._known and one[0] not in self._new})
        if not unread:
            return
        for whole, name in unread:
            self._known[(whole, name)] = Known(_Record(whole), name)
        rows = _READ[self._tx.sql.dialect.name].send(self._tx.sql, told=unread).all()
        for row in rows:
            if not row.field and row.wrapped is not None:
                self._wrapped[row.id] = bytes(row.wrapped)
            elif not row.field:
                self._gone.add(row.id)
                self._wrapped.pop(row.id, None)
                self._unwrapped.pop(row.id, None)
        for row in rows:
            if not row.field:
                continue
            plain = self._opened(row.id, row.field, bytes(row.sealed))
            if plain is None:
                continue
            known, record = self._known[(row.whole, row.field)], _Record.read(row.id, row.at, plain)
            if self._began:
                record.forget_before(self._began)
            if row.id == row.whole:
                known.own = known.records[0] = record
            else:
                known.records.append(record)

    def of(self, citizen_id: str, field_name: str) -> Known:
        """What is known of a field of a person, who is merged into nobody."""
        found = self._known.get((citizen_id, field_name))
        if found is None and citizen_id in self._new:
            found = self._known[(citizen_id, field_name)] = Known(_Record(citizen_id), field_name)
        if found is None:
            self.prefetch([(citizen_id, field_name)])
            found = self._known[(citizen_id, field_name)]
        return found

    def absorb(self, citizen_id: str, source: str, target: str) -> None:
        """What its readers were given of one field counts for another; of the first one nothing is known any more."""
        known, to = self.of(citizen_id, source), self.of(citizen_id, target)
        for record in known.records:
            for who, entries in record.of.items():
                for entry in entries:
                    to.note([who], entry)
            if record.at:
                self._dropped.append((record.citizen_id, source))
        self._known[(citizen_id, source)] = Known(_Record(citizen_id), source)

    def number(self, place: Any, name: int | str, numbered: Mapping[str, Any]) -> None:
        """A `Now`, or who moved along, gets the number of its event when it is written: `numbered["seq"]`."""
        self._noted.append((place, name, numbered))

    def ended(self, connection: str, seq: int | None) -> float | None:
        """When a connection (`tenant.name`) took what it was given by an event; None while that is open. Of an event
        that is kept no more nobody knows it: the beginning of time."""
        if not seq:  # of this very batch
            return None
        if (connection, seq) not in self._rows:
            names = short(connection), OBSERVES + short(connection)
            given = (entry for known in self._known.values() for name in names for entry in known.entries(name))
            wanted = {(connection, one[SEQ]) for one in given if one[HOW] != SAID and one[SEQ]} | {(connection, seq)}
            self._rows |= dict.fromkeys(wanted, ("delivered", 0.0))
            for row in _STATES.send(self._tx.sql, pairs=sorted(wanted)):
                self._rows[(row.connection, row.seq)] = (row.state, row.at)
        state, at = self._rows[(connection, seq)]
        return at if state not in OPEN else None

    def drop_overwritten(self, tenant: str, known: Known) -> None:
        """Who said a thing, and then took what was on its way to them before, has the latter: what they said counts no
        more. While that is on its way still it counts for the case that they do not take it."""
        for who in known.readers():
            entries = known.entries(who)
            given = [number for number, entry in enumerate(entries) if entry[HOW] != SAID]
            if not given or entries[-1][HOW] != SAID:
                continue
            taken = self.ended(f"{tenant}.{who}", entries[given[-1]][SEQ])
            said = entries[given[-1] + 1 :]
            if taken is None:
                known.put_before(who, said, [entries[n] for n in given if self._is_open(tenant, who, entries[n])])
                continue
            # Of one second nobody knows which came last: neither is known, and it is told.
            unsure = any(entry[AT] == int(taken) for entry in said)
            wrong = [*entries] if unsure else [one for one in said if taken >= one[AT]]
            for record in known.records:
                record.drop(who, wrong.__contains__)

    def _is_open(self, tenant: str, who: str, given: Entry) -> bool:
        return self.ended(f"{tenant}.{who}", given[SEQ]) is None

    def save(self) -> None:
        for place, name, numbered in self._noted:
            if isinstance(name, int):
                place[name] = numbered["seq"]
            else:
                setattr(place, name, numbered["seq"])
        self._noted.clear()
        for citizen_id, name in self._dropped:
            _NO_NEWS.send(self._tx.sql, citizen_id=citizen_id, field=name)
        self._dropped.clear()
        changed = [
            (record, name) for (_, name), known in self._known.items() for record in known.records if record.changed
        ]
        if changed:
            self._write(changed)

    def _write(self, changed: Sequence[tuple[_Record, str]]) -> None:
        now = self._tx.now
        if self._keys is not None:
            missing = {record.citizen_id for record, _ in changed} - self._wrapped.keys() - self._gone
            found = self._keys.wrapped(self._tx, missing) if missing else {}
            self._wrapped |= {one: key for one, key in found.items() if key is not None}
        rows = []
        for record, name in changed:
            record.changed = False
            # A merged one keeps the time of its last word: by it, it is known again.
            record.at = max(now, record.at + 0.000_1) if record.at else now
            sealed = self._sealed(record.citizen_id, name, record.plain())
            if sealed is not None:
                seq = record.now.seq if record.now is not None else 0
                rows.append({"citizen_id": record.citizen_id, "field": name, "seq": seq, "sealed": sealed,
                             "at": record.at})  # fmt: skip
        _KEEP.send(self._tx.sql, sorted(rows, key=lambda row: (row["citizen_id"], row["field"])))

    def _sealed(self, citizen_id: str, name: str, plain: bytes) -> bytes | None:
        if self._keys is None:
            return plain
        key = self._key_of(self._keys, citizen_id)
        return key.seal(plain, _context(citizen_id, name)) if key is not None else None

    def _opened(self, citizen_id: str, name: str, sealed: bytes) -> bytes | None:
        if self._keys is None:
            return sealed if sealed[:1] in (b"{", _ZLIB) else None
        key = self._key_of(self._keys, citizen_id)
        return key.open(sealed, _context(citizen_id, name)) if key is not None else None

    def _key_of(self, keys: PersonKeys, citizen_id: str) -> PersonKey | None:
        found, wrapped = self._unwrapped.get(citizen_id), self._wrapped.get(citizen_id)
        if found is None and wrapped is not None:
            found = self._unwrapped[citizen_id] = keys.key_of(citizen_id, wrapped)
        return found


def _context(citizen_id: str, name: str) -> bytes:
    return _CONTEXT + f"{citizen_id}:{name}".encode()


class NewsBook:
    """Acts on what is known outside a batch: what was not taken, forgotten, renumbered. Each holds the door, under
    which alone records are read and written."""

    def __init__(self, keys: PersonKeys | None, pepper: bytes) -> None:
        self.keys, self.digests = keys, Digests(pepper)

    def session(self, tx: Transaction, new: Collection[str] = frozenset()) -> KnownNews:
        return KnownNews(tx, self.keys, self.digests, new)

    def fields_of(self, tx: Transaction, ids: Iterable[str]) -> dict[str, set[str]]:
        """By person, the fields of which anything is known. Who was merged into another is that other."""
        return self._fields_of(tx, self._whole(tx, ids).values())

    def known(self, tx: Transaction, ids: Iterable[str]) -> tuple[KnownNews, list[Known]]:
        """All that is known of these people, and what writes it."""
        return self._known(tx, self._whole(tx, ids).values())

    def _fields_of(self, tx: Transaction, whole: Iterable[str]) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {one: set() for one in whole}
        for some in parts(sorted(found)):
            for row in _FIELDS.send(tx.sql, people=[(one,) for one in some]):
                found[row.whole].add(row.field)
        return found

    def _known(self, tx: Transaction, whole: Iterable[str]) -> tuple[KnownNews, list[Known]]:
        news = self.session(tx)
        pairs = [(one, name) for one, names in self._fields_of(tx, whole).items() for name in sorted(names)]
        news.prefetch(pairs)
        return news, [news.of(*pair) for pair in pairs]

    def take_back(self, tx: Transaction, pairs: Iterable[Pair], *, observed: bool = False) -> None:
        """These connections did not take what they were given: refused, skipped, withheld; `observed`: it was prepared
        and did not leave. What is of no citizen is passed over."""
        wanted = sorted(set(pairs))
        by_key: dict[str, list[Pair]] = {}
        for some in parts(wanted):
            for row in _KEYS.send(tx.sql, pairs=some):
                if row.order_key.startswith("c:"):
                    by_key.setdefault(row.order_key[2:], []).append((row.connection, row.seq))
        if by_key:
            self.take_back_of(tx, by_key, observed=observed)

    def take_back_of(self, tx: Transaction, of: Mapping[str, Sequence[Pair]], *, observed: bool = False) -> None:
        """As `take_back`, by the citizen who is named in the order key."""
        tx.hold_door()
        whole = self._whole(tx, of)
        news, known = self._known(tx, whole.values())
        members: dict[str, list[Pair]] = {}
        by_person: dict[str, list[Known]] = {}
        for one in known:
            by_person.setdefault(one.own.citizen_id, []).append(one)
        for citizen_id, pairs in of.items():
            for one in by_person.get(whole.get(citizen_id, ""), ()):
                for connection, seq in pairs:
                    for member in one.members_of(seq):
                        members.setdefault(member, []).append((connection, seq))
                    who = short(connection)
                    entry = one.take_back(who, seq)
                    if entry is not None and observed:
                        one.note([OBSERVES + who], entry)
        news.save()
        if members:
            self.take_back_of(tx, members, observed=observed)

    def relink(self, tx: Transaction, connection: str, citizen_id: str, seq: int, link: str) -> None:
        """A package gave somebody an identifier when it took this event: under it, it was told."""
        tx.hold_door()
        news, known = self.known(tx, [citizen_id])
        for one in known:
            for record in one.records:
                for entry in record.of.get(short(connection), ()):
                    if entry[SEQ] == seq:
                        record.alter(short(connection), entry, {LINK: link})
        news.save()

    def renumber(
        self, tx: Transaction, ids: Collection[str], names: Collection[str], changed: Mapping[str, str]
    ) -> None:
        """These readers call these people otherwise from now on: `changed` maps the digests of links."""
        readers = {short(one) for one in names} | {OBSERVES + short(one) for one in names}
        for some in parts(sorted(ids)):
            news, known = self.known(tx, some)
            for record in (record for one in known for record in one.records):
                for who in readers & record.of.keys():
                    for entry in record.of[who]:
                        if entry[LINK] in changed:
                            record.alter(who, entry, {LINK: changed[entry[LINK]]})
            news.save()

    def forget(self, tx: Transaction, ids: Sequence[str], names: Collection[str]) -> None:
        """What these said of a person, or were told, is known of that person no more. Where one of them said what is
        known now, all is forgotten: others were given what was wrong, and what comes next is news to everybody."""
        whose = {short(one) for one in names}
        news, known = self.known(tx, ids)
        for one in known:
            now = one.now
            wrong = now is not None and now.by in whose
            for record in one.records:
                if wrong and (record.of or record.now):
                    record.of, record.now, record.changed = {}, None, True
                for who in [*record.of]:
                    if who.removeprefix(OBSERVES) in whose:
                        del record.of[who]
                        record.changed = True
        news.save()

    def restore_authority(self, tx: Transaction, citizen_id: str, field_name: str, system: str, rank: Rank) -> None:
        """What is known of a field now is the word of this system, which the hub said again."""
        news = self.session(tx)
        known = news.of(citizen_id, field_name)
        if known.own.now is not None:
            known.own.now.system, known.own.now.rank, known.own.changed = system, rank, True
        news.save()

    def pass_by(self, tx: Transaction, tenant: str, after: str, most: int, act: Callable[[Known], None]) -> str | None:
        """Do this to what is known of the next people of a tenant, in order of their ids: `most` records or so. The id
        after which to go on; None when there is nobody more."""
        row = citizen_news.c
        mine = select(row.citizen_id, row.field).join(citizens, citizens.c.id == row.citizen_id)
        mine = mine.where(row.citizen_id > after, citizens.c.tenant == tenant).order_by(row.citizen_id, row.field)
        pairs = [(one.citizen_id, one.field) for one in tx.sql.execute(mine.limit(most))]
        if not pairs:
            return None
        last = str(pairs[-1][0])
        pairs += [
            (one.citizen_id, one.field)
            for one in tx.sql.execute(select(row.citizen_id, row.field).where(row.citizen_id == last))
        ]
        news = self.session(tx)
        news.prefetch(pairs)
        for pair in dict.fromkeys(pairs):
            act(news.of(*pair))
        news.save()
        return last

    def _whole(self, tx: Transaction, ids: Iterable[str]) -> dict[str, str]:
        """By id, who it is now."""
        found: dict[str, str] = {}
        for some in parts(sorted(set(ids))):
            query = select(citizens.c.id, citizens.c.merged_into).where(citizens.c.id.in_(some))
            found |= {row.id: row.merged_into or row.id for row in tx.sql.execute(query)}
        return found


_STATES = Statement("""
    SELECT deliveries.connection, deliveries.seq, deliveries.state, deliveries.at
    FROM {pairs(connection text, seq bigint)}
    JOIN deliveries ON deliveries.seq = pairs.seq AND deliveries.connection = pairs.connection
""")
_KEYS = Statement("""
    SELECT deliveries.connection, deliveries.seq, deliveries.order_key FROM {pairs(connection text, seq bigint)}
    JOIN deliveries ON deliveries.seq = pairs.seq AND deliveries.connection = pairs.connection
""")


def short(name: str) -> str:
    """A connection or client without its tenant, as records name it."""
    return name.partition(".")[2] or name
