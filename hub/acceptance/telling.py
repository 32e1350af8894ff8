"""Who lacks what an event says about its citizen: news is judged reader by reader, of what is known now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Literal, NamedTuple

from hub.acceptance.mentions import DAY, values_of
from hub.acceptance.rules import Reading
from hub.citizens.news import (
    DATED,
    EFFECTIVE,
    GIVEN,
    HOW,
    KEPT,
    LINK,
    LOW,
    OBSERVES,
    SAID,
    SEQ,
    VIEW,
    WHOLE,
    Digests,
    Entry,
    Known,
    Now,
    Rank,
    coming,
    short,
)
from hub.citizens.repository import Citizen
from hub.routing.directory import ConnectionRouting, Directory
from hub.routing.views import granted_tree, project
from schemas.equal_values import canonical
from schemas.event import Event
from schemas.manifest import Consumed

Verdict = Literal["news", "same", "poorer", "old", "comes"]
"""`poorer`: its origin was given only a part of what is known, and returns that; `old`: something newer is known;
`comes`: its origin knows that it is true from a day to come, and says no more."""
_SAID_SINCE = "ce système a dit depuis une valeur plus récente : celle-ci ne lui est pas envoyée"
_BEFORE = 0.001  # seconds: the end of a day is the last thousandth before the next


def span_of(text: str, zone: tzinfo, now: float) -> tuple[float, float]:
    """Between which moments, in seconds since 1970, lies the date of a value: a date without a time is its whole day in
    the tenant's zone. Nothing is of the future."""
    if len(text) > 10:
        at = datetime.fromisoformat(text)
        moment = (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
        return min(round(moment, 3), now), min(round(moment, 3), now)
    day = date.fromisoformat(text)
    low = datetime.combine(day, time(), zone).timestamp()
    high = datetime.combine(day + timedelta(days=1), time(), zone).timestamp() if day < date.max else low
    return min(low, now), min(high - _BEFORE, now)


class Spoken:
    """What one event says of one field of its citizen, beside what is known of it."""

    __slots__ = (
        "_digests", "_returned", "_said", "_territory", "_value", "effective", "high", "low", "name", "views", "whole",
    )  # fmt: skip

    def __init__(
        self, event: Event, name: str, digests: Digests, *, zone: tzinfo, now: float, territory: str | None
    ) -> None:
        value = event.data[name]
        self.name, self._digests, self._value, self._territory = name, digests, value["value"], territory
        self._said = {name: {"value": canonical(name, value["value"], territory=territory)}}
        self._returned: dict[tuple[str, ...], str] = {}  # by what is granted, which many readers share
        self.whole = digests.of_view(0, self._said)
        self.views: dict[tuple[int, tuple[str, ...]], str] = {}
        self.low, self.high = span_of(value["date"], zone, now)
        self.effective = event.data.get(DAY)

    def sees(self, consumed: Consumed) -> bool:
        """Whether a reader is granted any of the value."""
        return self.view(consumed) != self.whole

    def view(self, consumed: Consumed) -> str:
        """The digest of what a reader sees. Who is granted nothing of the value is told that it changed: the whole."""
        key = consumed.version, consumed.fields
        found = self.views.get(key)
        if found is None:
            part = project(self._said, granted_tree(consumed.fields))
            seen = "value" in part.get(self.name, ())
            found = self.views[key] = self._digests.of_view(consumed.version, part) if seen else self.whole
        return found

    def returned(self, consumed: Consumed) -> str:
        """The digest of the whole value that a reader would say which knows no more of it than it is granted."""
        found = self._returned.get(consumed.fields)
        if found is None:
            given = project({self.name: {"value": self._value}}, granted_tree(consumed.fields)).get(self.name, {})
            part = given.get("value", self._value)
            found = self._returned[consumed.fields] = self.whole if part is self._value else self._partial(part)
        return found

    def _partial(self, part: Any) -> str:
        if isinstance(part, Mapping):
            part = {**dict.fromkeys(self._value, ""), **part}  # what it cannot see it leaves out
        return self._digests.of_view(0, {self.name: {"value": canonical(self.name, part, territory=self._territory)}})


@dataclass(slots=True)
class Telling:
    """What becomes of the values of one event. `news`: new values that pass; `kept`: the fields that the event spreads;
    `to`: the connections that get it, `later`: the fields that the hub says again, since some of those who lack them
    have the others."""

    news: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    to: tuple[str, ...] = ()
    later: set[str] = field(default_factory=set)


class _Reader(NamedTuple):
    """`name`: under which it stands in a record; `pilot`: whether it may stand there as one that observes, too."""

    name: str
    pilot: bool
    system: str
    version: int
    fields: tuple[str, ...]


class Judge:
    """Of one event about a citizen. `overrule`: an operator decided, whatever the dates say; `again`: the hub says what
    is known already; `to_come`: the event is of what is true from a day to come, and is judged beside what is known of
    that. `by`: who said it first, where the hub says it for them; by default the origin."""

    def __init__(
        self, reading: Reading, citizen: Citizen, event: Event, names: Iterable[str], *, again: bool = False,
        to_come: bool = False, by: str = "",
    ) -> None:  # fmt: skip
        self._reading, self._citizen, self._event = reading, citizen, event
        self._by = short(by or reading.origin.name)
        self._directory, self._origin = reading.directory, reading.origin
        self._news, self._now = reading.citizens.news, reading.tx.now
        self._overrule = reading.origin.internal and not again
        self._links: dict[str, str] = {}
        self._readers: dict[str, _Reader] = self._directory.worked_out.setdefault(("readers", event.type), {})
        place = _place(reading.directory, reading.tenant)
        self.now = {name: self._news.of(citizen.id, name) for name in names}
        self.coming = {DATED: self._news.of(citizen.id, coming(DATED))} if DATED in self.now else {}
        self._to_come = to_come
        self.returned: list[str] = []  # fields of which what was to come is no more, since what is known now stays
        self.known = {**self.now, **self.coming} if to_come else self.now
        self.spoken = {
            name: Spoken(event, name, self._news.digests, **place, now=self._now) for name in self.known
        }  # fmt: skip
        self._voices = [] if again else self._directory.voices(reading.origin.name)
        self.verdicts = {name: self._verdict(one) for name, one in self.spoken.items()}

    # --- what it is -----------------------------------------------------------------------------------------------

    def _verdict(self, said: Spoken) -> Verdict:
        now = self.known[said.name].now
        if now is None:
            return "news"
        if said.whole == now.digest and (said.effective == now.day or not self._to_come):
            return "same"
        if self.knows_what_comes(said):
            return "comes"
        if self._overrule:
            return "news"
        if self._returns_its_view(said, now):
            return "poorer"
        if said.high < now.low or self._is_stale(said, now):
            return "old"
        return "news"

    def _returns_its_view(self, said: Spoken, now: Now) -> bool:
        """Whether the origin was given only some of what is known now, and says it back."""
        for member in self._voices:
            last = self.known[said.name].last(self._reader(member).name)
            if last is not None and has_now(last, now) and last[WHOLE] == said.whole:
                return True
        return False

    def _is_stale(self, said: Spoken, now: Now) -> bool:
        """Whether the origin says what it said or was given before it could know better. What it says anew after it
        took what is known now is a change back, and news."""
        names = {self._reader(m).name: m.name for m in self._voices} or {short(self._origin.name): self._origin.name}
        known, before = self.known[said.name], list[bool]()
        for name, connection in names.items():
            entries = known.entries(name)
            if any(entry[WHOLE] == said.whole for entry in entries):
                before.append(self._is_before(said, now, entries[-1], connection))
        return bool(before) and all(before)

    def _is_before(self, said: Spoken, now: Now, last: Entry, connection: str) -> bool:
        """Whether what is said is of before its origin knew what is known now."""
        if not has_now(last, now):
            return said.low <= now.at
        if last[HOW] == SAID:
            return False
        taken = self._news.ended(connection, last[SEQ])
        return taken is None or said.low <= taken

    def waiting(self, name: str) -> Now | None:
        """What is true of a field from a day to come; None in the judgement of that itself."""
        known = self.coming.get(name) if not self._to_come else None
        return known.now if known is not None else None

    def knows_what_comes(self, said: Spoken) -> bool:
        """Whether the origin says, of no day, what it said or was given as true from a day to come."""
        comes = self.waiting(said.name)
        if comes is None or said.effective or said.whole != comes.digest or self._overrule:
            return False
        names = {short(self._origin.name), *(self._reader(m).name for m in self._voices)}
        return any(self.coming[said.name].last(name) is not None for name in names)

    def _knows_what_comes(self, member: ConnectionRouting, name: str) -> bool:
        """Whether a reader was given what is to come: what is known until then would overtake it."""
        return self.waiting(name) is not None and self._last(member, self.coming[name]) is not None

    # --- who is told ----------------------------------------------------------------------------------------------

    def tell(self, to: Sequence[str], held: Collection[str]) -> Telling:
        """Who of those to whom the event would go is told what. `held`: values that wait for an operator. Nothing is
        noted yet."""
        made = Telling([name for name, one in self.verdicts.items() if one == "news" and name not in held])
        members = [self._directory.connections[name] for name in to]
        candidates = [*made.news, *(name for name, one in self.verdicts.items() if one == "same")]
        members += self._overtaken(made, candidates)
        relevant = {m.name: self._relevant(m, candidates) for m in members}
        lacking = self._lacking(members, relevant)
        poorer = [name for name, one in self.verdicts.items() if one == "poorer"]
        made.later |= {name for name in poorer if any(self._lacks_known(m, self.spoken[name]) for m in members)}
        made.later |= {name for name, one in self.verdicts.items() if one == "old" and self._origin_lacks(name)}
        made.kept = made.news
        if not made.news and lacking:
            made.kept = [*Counter(lacking.values()).most_common(1)[0][0]]
        direct = []
        for member in members:
            lack = lacking.get(member.name, ())
            due = [name for name in relevant[member.name] if name in made.kept]
            if due and all(name in lack for name in due):
                direct.append(member.name)
                lack = tuple(name for name in lack if name not in due)
            made.later.update(lack)
        made.to = tuple(direct)
        return made

    def _relevant(self, member: ConnectionRouting, names: Sequence[str]) -> Sequence[str]:
        """Those of these fields of which a reader sees something; where it sees nothing of any, those that are new."""
        if len(names) == 1 and self.verdicts[names[0]] == "news":
            return names
        consumed = member.consumes[self._event.type]
        seen = [name for name in names if self.spoken[name].sees(consumed)]
        return seen or [name for name in names if self.verdicts[name] == "news"]

    def _lacking(
        self, members: Iterable[ConnectionRouting], relevant: Mapping[str, Sequence[str]]
    ) -> dict[str, tuple[str, ...]]:  # fmt: skip
        """By connection, what it lacks of the fields of which it sees something. Those that share what they have, and
        see the same, are judged once."""
        judged, found = dict[tuple[Any, ...], bool](), dict[str, tuple[str, ...]]()
        awaited = {name for name in self.spoken if self.waiting(name) is not None}
        for member in members:
            lack = []
            for name in relevant[member.name]:
                last = self._last(member, self.known[name])
                key = name, id(last), self._shared(member)
                if name in awaited or key not in judged:
                    judged[key] = self._lacks(member, self.spoken[name], last)
                if judged[key]:
                    lack.append(name)
            if lack:
                found[member.name] = tuple(lack)
        return found

    def _lacks(self, member: ConnectionRouting, said: Spoken, last: Entry | None) -> bool:
        if self._knows_what_comes(member, said.name):
            return False
        if last is None:
            return True
        view = said.view(member.consumes[self._event.type])
        same = last[VIEW] == view or (last[HOW] == SAID and last[WHOLE] == said.whole)  # it may read more since
        if same and (last[LINK] == self._link(member) or (last[HOW] == SAID and not last[LINK])):
            return self._is_of_another_day(member, said, last)
        if same or self._overrule:
            return True
        now = self.known[said.name].now
        high = max(said.high, now.high) if now is not None and now.digest == said.whole else said.high
        return bool(last[LOW] <= high)

    def _lacks_known(self, member: ConnectionRouting, said: Spoken) -> bool:
        """Whether a reader has not what is known now, of which the event says a part only."""
        last, now = self._last(member, self.known[said.name]), self.known[said.name].now
        if self._knows_what_comes(member, said.name):
            return False
        return now is not None and (last is None or last[VIEW] not in now.views or last[LINK] != self._link(member))

    def _origin_lacks(self, name: str) -> bool:
        said = self.spoken[name]
        return any(self._lacks_known(m, said) for m in self._voices if self._event.type in m.consumes)

    def _is_of_another_day(self, member: ConnectionRouting, said: Spoken, last: Entry) -> bool:
        """Whether the same value is to be true from another day, for a reader who is granted the day. Between two days
        that are there already there is nothing to tell: it is true."""
        days = said.effective, last[EFFECTIVE]
        if None in days or days[0] == days[1]:
            return False
        today = datetime.fromtimestamp(self._now, self._reading.zone).date().isoformat()
        if max(str(day) for day in days) <= today:
            return False
        return is_dated(member, self._event.type)

    def _is_other(self, name: str, entry: Entry) -> bool:
        """Whether a reader was given another value than the event says."""
        now = self.known[name].now
        return bool(entry[HOW] != SAID) and not (self.verdicts[name] == "same" and now and entry[VIEW] in now.views)

    def _overtaken(self, made: Telling, candidates: Sequence[str]) -> list[ConnectionRouting]:
        """What is on its way to the origin is older than what it says: it is given up, where it is sure to have had no
        effect; else the origin is told what it says, behind it, as it is where it says what is to come, or ends it."""
        turned = [*made.news, *self.returned] if self._to_come or self.returned else []
        found = []
        for member in self._voices:
            if self._event.type not in member.consumes or _observes(member):
                continue
            if self._to_come and not is_dated(member, self._event.type):
                continue
            given = {
                entry[SEQ] for name in candidates for entry in self.known[name].entries(self._reader(member).name)
                if self._is_other(name, entry) and self._news.ended(member.name, entry[SEQ]) is None
            } | self._under_way_since_long(member, candidates)  # fmt: skip
            twice = self._twice(member, candidates) if given else ()
            left = [seq for seq in given if not self._withdraw(member, seq, made, candidates)]
            for seq in twice:  # nothing else is between them any more
                self._withdraw(member, seq, made, candidates)
            if left or any(
                self._is_under_way(member, track[name]) for name in turned for track in (self.known, self.now)
            ):
                found.append(member)
        return found

    def _twice(self, member: ConnectionRouting, names: Sequence[str]) -> set[int]:
        """What is on its way to a reader and says what the event says, but for the last of it."""
        found = set[int]()
        for name in names:
            entries = [one for one in self.known[name].entries(self._reader(member).name) if one[HOW] != SAID]
            same = [one[SEQ] for one in entries if one[SEQ] and not self._is_other(name, one)]
            found |= {seq for seq in same[:-1] if self._news.ended(member.name, seq) is None}
        return found

    def _under_way_since_long(self, member: ConnectionRouting, names: Sequence[str]) -> set[int]:
        """What is on its way to a reader and is not among the last things that a record holds, since it has been given
        more than that."""
        full, noted, keys = [], set[int](), set[str]()
        for name in names:
            entries = self.known[name].entries(self._reader(member).name)
            if len(entries) >= KEPT and self._news.ended(member.name, entries[0][SEQ]) is None:
                full.append(name)
                noted |= {entry[SEQ] for entry in entries}
                keys |= {f"c:{record.citizen_id}" for record in self.known[name].records}
        if not full:
            return set()
        tx, tenant = self._reading.tx, self._reading.tenant
        stored = tx.load([seq for seq in tx.open_of(member.name, keys) if seq not in noted])
        of_day = {seq for seq, one in stored.items() if one.event.data.get(DAY)}
        other = stored.keys() - of_day if not self._to_come and self.waiting(DATED) else stored.keys()
        return {
            seq for seq in (of_day if self._to_come else other) for name in full
            if name in values_of(stored[seq].event) and self.spoken[name].whole
            != digest_of(self._news.digests, self._directory, tenant, stored[seq].event, name, self._now)
        }  # fmt: skip

    def _withdraw(self, member: ConnectionRouting, seq: int | None, made: Telling, candidates: Sequence[str]) -> bool:
        """What else the event said is said again. A change that a request declared stays: its portal waits for its
        end."""
        tx = self._reading.tx
        stored = tx.load([seq]).get(seq) if seq else None
        if stored is None or stored.request_id is not None or not tx.withdraw(member.name, stored.seq, _SAID_SINCE):
            return False
        values = values_of(stored.event)
        for name in values:
            known = self.known.get(name) or self._news.of(self._citizen.id, name)
            known.take_back(self._reader(member).name, stored.seq)
        made.later |= values.keys() - set(candidates)
        return True

    def _is_under_way(self, member: ConnectionRouting, known: Known) -> bool:
        last = known.last(self._reader(member).name)
        return last is not None and last[HOW] != SAID and self._news.ended(member.name, last[SEQ]) is None

    def _last(self, member: ConnectionRouting, known: Known) -> Entry | None:
        reader = self._reader(member)
        last = known.last(reader.name)
        if reader.pilot:
            observed = known.last(OBSERVES + reader.name)
            if observed is not None and (last is None or (observed[SEQ] or 0) > (last[SEQ] or 0)):
                return observed
        return last

    def _reader(self, member: ConnectionRouting) -> _Reader:
        found = self._readers.get(member.name)
        if found is None:
            system, consumed = self._directory.reading_system(member), member.consumes.get(self._event.type)
            granted = (consumed.version, consumed.fields) if consumed is not None else (0, ())
            pilot = member.mode == "pilot" and not _observes(member)
            name = (OBSERVES if _observes(member) else "") + short(member.name)
            found = self._readers[member.name] = _Reader(name, pilot, system, *granted)
        return found

    def _shared(self, member: ConnectionRouting) -> tuple[int, tuple[str, ...], str]:
        """What readers share that see the same and know the person by the same link."""
        reader = self._reader(member)
        return reader.version, reader.fields, self._link_in(reader.system)

    def _link(self, member: ConnectionRouting) -> str:
        return self._link_in(self._reader(member).system)

    def _link_in(self, system: str) -> str:
        found = self._links.get(system)
        if found is None:
            native = self._reading.citizens.reference(self._citizen, system)
            found = self._links[system] = self._news.digests.of_link(system, native)
        return found

    # --- what is noted --------------------------------------------------------------------------------------------

    def note(
        self, telling: Telling, routed: Sequence[str], numbered: Mapping[str, Any], worth: Mapping[str, Any]
    ) -> None:
        """Note what is known from now on, who is given it and who said it. `routed`: all to whom the event would go;
        `numbered` will hold its number; `worth`: by field, whose value it is and what it is worth."""
        members = [self._directory.connections[name] for name in routed]
        for name, said in self.spoken.items():
            verdict = self.verdicts[name]
            if verdict == "news" and name in telling.news:
                self._state(said, members, numbered, *worth.get(name, ("", (0, 0.0))))
            elif verdict == "same":
                self._state_again(said, members, numbered, name in telling.kept, worth.get(name))
            else:
                continue
            told = [self._directory.connections[one] for one in telling.to] if name in telling.kept else []
            self._note_given(said, [m for m in told if name in self._relevant(m, telling.kept)], numbered)
            self._note_said(said, numbered, telling.to)

    def _state(
        self, said: Spoken, members: Iterable[ConnectionRouting], numbered: Mapping[str, Any], system: str, rank: Rank
    ) -> None:
        now = Now(said.whole, self._views(said, members), said.low, said.high, 0, round(self._now, 3),
                  self._by, system, rank)  # fmt: skip
        now.day = said.effective if self._to_come and said.effective else ""
        self.known[said.name].state(now)
        self._news.number(now, "seq", numbered)

    def _state_again(
        self, said: Spoken, members: Iterable[ConnectionRouting], numbered: Mapping[str, Any], spread: bool,
        worth: tuple[str, Rank] | None,
    ) -> None:  # fmt: skip
        """A newer date is kept, and the word of who has more authority."""
        now = self.known[said.name].now
        assert now is not None
        views = [view for view in self._views(said, members) if view not in now.views]
        better = worth is not None and (worth[0] != now.system or worth[1] > now.rank) and self._is_master(said.name)
        newer = said.high > now.high and not self._origin.internal
        if not (views or newer or better or (spread and not self._origin.internal)):
            return
        now.views += views
        if newer:
            now.low, now.high = max(now.low, said.low), said.high
        if better and worth is not None:
            now.system, now.rank = worth
        if spread and not self._origin.internal:
            self._news.number(now, "seq", numbered)
        self.known[said.name].state(now)

    def _is_master(self, name: str) -> bool:
        master = self._directory.master_of(self._reading.tenant, name)
        return master is not None and self._directory.system_of(self._origin.name) == master

    def _views(self, said: Spoken, members: Iterable[ConnectionRouting]) -> list[str]:
        readers = (m for some in (members, self._voices) for m in some if self._event.type in m.consumes)
        alike = {(one.version, one.fields): m for m in readers for one in (self._reader(m),)}
        return [*dict.fromkeys(said.view(m.consumes[self._event.type]) for m in alike.values())]

    def note_given(self, name: str, to: Iterable[str], numbered: Mapping[str, Any]) -> None:
        """These connections are given a field by the event whose number this holds, or will hold."""
        self._note_given(self.spoken[name], [self._directory.connections[one] for one in to], numbered)

    def _note_given(
        self, said: Spoken, members: Iterable[ConnectionRouting], numbered: Mapping[str, Any]
    ) -> None:  # fmt: skip
        """Those who see the same under the same link share one entry."""
        alike: dict[tuple[Any, ...], list[ConnectionRouting]] = {}
        for member in members:
            alike.setdefault(self._shared(member), []).append(member)
        for (_, _, link), some in alike.items():
            now, consumed = self.known[said.name].now, some[0].consumes[self._event.type]
            assert now is not None
            entry: Entry = [
                said.view(consumed), link, now.low, now.high, None, GIVEN, int(self._now), said.effective,
                said.returned(consumed), numbered,
            ]  # fmt: skip
            self.known[said.name].note([self._reader(m).name for m in some], entry)

    def _note_said(self, said: Spoken, numbered: Mapping[str, Any], told: Collection[str]) -> None:
        """Who said it has it. Where that is known already nothing is written."""
        if self._origin.internal:
            return
        spoken: dict[str, tuple[str, str]] = {short(self._origin.name): (said.whole, "")}
        for member in self._voices:
            consumed = member.consumes.get(self._event.type)
            if member.name not in told:
                view = said.view(consumed) if consumed is not None else said.whole
                spoken[self._reader(member).name] = (view, self._link(member))
            else:
                spoken.pop(self._reader(member).name, None)
        for name, (view, link) in spoken.items():
            last = self.known[said.name].last(name)
            if last is not None and last[VIEW] == view and last[LINK] == link:
                self.known[said.name].say_again(name, last, said.low, said.high)
                continue
            entry: Entry = [view, link, said.low, said.high, None, SAID, int(self._now), said.effective, said.whole]
            self.known[said.name].note([name], [*entry, numbered])


def has_now(last: Entry, now: Now) -> bool:
    """Whether who was given or said this has what is known now."""
    return last[VIEW] in now.views or (last[HOW] == SAID and last[WHOLE] == now.digest)


def is_dated(member: ConnectionRouting, event_type: str) -> bool:
    """Whether a connection is granted the day, and so needs not wait for it."""
    consumed = member.consumes.get(event_type)
    return consumed is not None and DAY in granted_tree(consumed.fields)


def _observes(member: ConnectionRouting) -> bool:
    """Whether nothing that goes to this connection leaves the hub: of `pilot` the outcome alone says it, but where the
    package fetches for itself."""
    return member.mode == "observe" or (member.outside and member.mode != "live")


def given_again(
    digests: Digests, directory: Directory, event: Event, name: str, member: ConnectionRouting, native_id: str | None,
    seq: int, now: float,
) -> Entry:  # fmt: skip
    """What a reader is given of a field by an event that is tried again. `native_id`: as it calls the person."""
    said = Spoken(event, name, digests, **_place(directory, member.tenant), now=now)
    link, consumed = digests.of_link(directory.reading_system(member), native_id), member.consumes[event.type]
    return [
        said.view(consumed), link, said.low, said.high, seq, GIVEN, int(now), said.effective, said.returned(consumed)
    ]  # fmt: skip


def digest_of(digests: Digests, directory: Directory, tenant: str, event: Event, name: str, now: float) -> str:
    """Of the whole value that an event says of a field, as `Now.digest` holds it."""
    return Spoken(event, name, digests, **_place(directory, tenant), now=now).whole


def _place(directory: Directory, tenant: str) -> dict[str, Any]:
    town = directory.tenants.get(tenant)
    return {"zone": directory.zone_of(tenant), "territory": town.insee if town is not None else None}
