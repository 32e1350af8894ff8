"""`[[follow]]`: what a package was given and has not ended, asked for on a schedule until a final status.

Where the open references are kept: nowhere of their own. The hub keeps with each delivery the reference that the
package gave, in the commit of its outcome; the poll's cursor keeps which of them were seen, when each is asked next and
what it said last, in the commit of the events. So a stop anywhere loses nothing: a reference is in the first or in
both, and what was asked and not committed is asked again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.kinds.events import STATUS_CHANGED, EventReader, Language
from connectors.sdk.kinds.texts import Facts, pointer_in, required
from connectors.sdk.poll_cursor import PollCursor
from connectors.sdk.statuses import FINAL
from schemas.delivery import Opened, Polled, RecordFault
from schemas.errors import AccessDenied, ConfigError, HubError, InvalidMessage, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.exchange import NotMatched
from schemas.manifest import seconds_of

Ask = Callable[[Mapping[str, Any], Facts], Any]
"""(a `[[follow]]`, what its placeholders name beside the facts of the connection) -> the answer as a record. Raises
HubError."""
FOLLOW_FACTS = ("reference", "status", "change", "asked_system", "asked_id")
"""What placeholders of a `[[follow]]` may name beside the facts of the connection: the identifier that the package
gave, the native status that it says now, what tells this change from any other (when the reference was opened, and how
many it has said since), and how the system that asked calls what it asked for."""
_LATE = timedelta(minutes=15)  # a delivery may be committed this long after its own date
_AWAY = 3  # failed calls in a row after which the package is away
_LONGEST_CODE = 100
_PART = 25  # calls after which what was read is committed
_OVER = "aucun état final dans le délai prévu : cette opération n'est plus suivie"


@dataclass(frozen=True, slots=True)
class OpenReference:
    """One reference of one `[[follow]]`. `asked`: answers so far; `said`: the native status that was told last, of
    `changes` told. `asked_system` and `asked_id`: its reference of the system that asked, "" where that said none."""

    reference: str
    opened: datetime
    due: datetime
    asked: int = 0
    said: str = ""
    changes: int = 0
    asked_system: str = ""
    asked_id: str = ""

    @property
    def change(self) -> str:
        """What tells the next thing that it says from any other, and is the same when it is asked for again."""
        return f"{self.opened.astimezone(UTC):%Y%m%dT%H%M%S}.{self.changes + 1}"

    def facts(self, code: str) -> Facts:
        """What `FOLLOW_FACTS` name, where its native status is `code`."""
        return {
            "reference": self.reference, "status": code, "change": self.change, "asked_system": self.asked_system,
            "asked_id": self.asked_id,
        }  # fmt: skip

    @staticmethod
    def from_dict(stored: Mapping[str, Any]) -> OpenReference:
        moments = {name: datetime.fromisoformat(stored[name]) for name in ("opened", "due")}
        return OpenReference(**{**stored, **moments})

    def to_dict(self) -> dict[str, Any]:
        return {
            "reference": self.reference, "opened": self.opened.isoformat(), "due": self.due.isoformat(),
            "asked": self.asked, "said": self.said, "changes": self.changes, "asked_system": self.asked_system,
            "asked_id": self.asked_id,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Looked:
    """What one call brought. `left`: the reference as it is followed on, None when it has ended. `away`: the call
    failed, for a reason that is not of this reference."""

    left: OpenReference | None
    events: Sequence[Event] = ()
    faults: Sequence[RecordFault] = ()
    away: HubError | None = None


class Follow:
    """One `[[follow]]`."""

    def __init__(
        self, raw: Mapping[str, Any], number: int, language: Language, new_event: Callable[..., Event], ask: Ask
    ) -> None:
        """Raises ConfigError or ValueError for a table that cannot be."""
        self.number = number
        self.every = [timedelta(seconds=seconds_of(one)) for one in raw["every"]]
        self.until = timedelta(seconds=seconds_of(raw["until"]))
        self._raw, self._statuses, self._ask = raw, language.statuses, ask
        self._status = language.value(raw["status"], "text")
        self._time = language.value(raw["time"], "instant") if "time" in raw else None
        self._final = frozenset(raw.get("final", ()))
        self._answer = EventReader(_event_table(raw, number, "map"), language, new_event, FOLLOW_FACTS)
        self._end = EventReader(_event_table(raw, number, "ended"), language, new_event, FOLLOW_FACTS)
        self.skips_unknown = self._answer.skips_unknown

    def opens(self, event_type: str, openers: frozenset[str]) -> bool:
        """Whether a delivery of this type opens a reference; `openers`: the types whose deliveries give one."""
        return event_type in (frozenset(self._raw["opened_by"]) if "opened_by" in self._raw else openers)

    def begin(self, one: Opened, asked: Mapping[str, str]) -> OpenReference:
        """`asked`: how the system that asked calls it."""
        entry = OpenReference(one.reference, one.at, one.at + self.every[0])
        return replace(entry, asked_system=asked.get("system", ""), asked_id=asked.get("id", ""))

    def look(self, entry: OpenReference, now: datetime) -> Looked:
        """Ask once. Raises AccessDenied and ConfigError."""
        facts = {"reference": entry.reference}
        try:
            record = self._ask(self._raw, facts)
            code = self._code(record, facts)
        except InvalidMessage as error:
            return self._wait(entry, now, [self._fault(entry, error.code, error.reason, error.pointer)])
        except (Refused, NotMatched) as error:
            if self._statuses.canonical(error.native) is not None:  # the refusal is how it ends
                return self._told(entry, now, error.native, {}, self._end, ends=True)
            return self._wait(entry, now, [self._fault(entry, error.fault, error.reason)])
        except (TryLater, Unknown) as error:
            return self._later(entry, now, error)
        return self._told(entry, now, code, record, self._answer, ends=self._is_final(code))

    def _code(self, record: Any, facts: Facts) -> str:
        place = pointer_in(self._raw["status"])
        code = required(self._status(record, facts), place)
        if len(code) > _LONGEST_CODE:
            raise InvalidMessage("ce n'est pas un statut", pointer=place, code="bad_value")
        return str(code)

    def _later(self, entry: OpenReference, now: datetime, error: HubError) -> Looked:
        if error.native:  # the package's own "not yet"
            return self._wait(entry, now)
        if error.fault.startswith("bad-return"):  # one answer that nobody can read
            return self._wait(entry, now, [self._fault(entry, error.fault, error.reason)])
        return Looked(replace(entry, due=now + self._gap(entry)), away=error)

    def _told(
        self, entry: OpenReference, now: datetime, code: str, record: Any, reader: EventReader, *, ends: bool
    ) -> Looked:
        if code == entry.said and not ends:
            return self._wait(entry, now)
        try:
            event = self._event(entry, code, record, reader)
        except InvalidMessage as error:
            return self._wait(entry, now, [self._fault(entry, error.code, error.reason, error.pointer)])
        if ends:
            return Looked(None, [event])
        waiting = self._wait(replace(entry, said=code, changes=entry.changes + 1), now)
        return replace(waiting, events=[event, *waiting.events])

    def _event(self, entry: OpenReference, code: str, record: Any, reader: EventReader) -> Event:
        facts = entry.facts(code)
        event = reader.read(record, facts)
        assert event is not None  # a follow is for every record
        at = self._time(record, facts) if self._time is not None else None
        return event if at is None else replace(event, time=at)

    def _wait(self, entry: OpenReference, now: datetime, faults: Sequence[RecordFault] = ()) -> Looked:
        """Until its next date; after the last one it has ended."""
        end = entry.opened + self.until
        if now < end:
            return Looked(replace(entry, asked=entry.asked + 1, due=min(now + self._gap(entry, 1), end)), (), faults)
        if "over" not in self._raw:
            return Looked(None, (), [*faults, self._fault(entry, "follow-over", _OVER)])
        try:
            return Looked(None, [self._event(entry, self._raw["over"], {}, self._end)], faults)
        except InvalidMessage as error:
            return Looked(None, (), [*faults, self._fault(entry, error.code, error.reason, error.pointer)])

    def _gap(self, entry: OpenReference, more: int = 0) -> timedelta:
        return self.every[min(entry.asked + more, len(self.every) - 1)]

    def _is_final(self, code: str) -> bool:
        row = self._statuses.canonical(code)
        return code in self._final or (row is not None and row.canonical in FINAL)

    def _fault(self, entry: OpenReference, code: str, reason: str, place: str = "") -> RecordFault:
        return RecordFault(code, f"follow[{self.number}]{place}", reason, entry.reference)


class Follows:
    """All `[[follow]]` of a connector. `ask` is its kind's."""

    def __init__(
        self, raw: Mapping[str, Any], language: Language, context: Context, new_event: Callable[..., Event], ask: Ask
    ) -> None:
        """`raw`: the tables of the connector. `new_event`: `Connector.event`."""
        found = enumerate(raw.get("follow", ()))
        self.all = [Follow(one, number, language, new_event, ask) for number, one in found]
        self._openers = frozenset(one["type"] for one in raw.get("deliver", ()) if "reference" in one)
        self._context = context

    def poll(
        self, cursor: Mapping[str, Any] | None,
        pages: Callable[[Mapping[str, Any] | None], Iterator[Polled]] | None = None, every: float = 0.0,
    ) -> Iterator[Polled]:  # fmt: skip
        """What the open references say, then what `pages` reads, which has a rhythm and a cursor of its own: neither is
        in the other's way. Raises what the package's absence is, once all is read that can be."""
        if not self.all:
            yield from pages(cursor) if pages is not None else ()
            return
        whole: dict[str, Any] = (
            dict(cursor) if cursor and "followed" in cursor else {"followed": {}, "pages": cursor, "read": None}
        )
        away: HubError | None = None
        try:
            for polled in self._followed(whole["followed"]):
                whole = {**whole, "followed": polled.cursor}
                yield replace(polled, cursor=whole)
        except (TryLater, Unknown) as error:
            away = error
        now = self._context.now()
        if pages is not None and (whole["read"] is None or now >= _moment(whole["read"]) + timedelta(seconds=every)):
            for polled in pages(whole["pages"]):
                whole = whole if polled.cursor is None else {**whole, "pages": polled.cursor}
                yield replace(polled, cursor=None if polled.cursor is None else whole)
            yield Polled(cursor={**whole, "read": now.isoformat()})
        if away is not None:
            raise away

    def _followed(self, stored: Mapping[str, Any]) -> Iterator[Polled]:
        now = self._context.now()
        book = self._book(stored, now)
        due = sorted((entry.due, key) for key, entry in book.open.items() if entry.due <= now)
        part, away = _Part(stored), 0
        for calls, (_, key) in enumerate(due, 1):
            follow = self.all[int(key.partition(":")[0])]
            try:
                looked = follow.look(book.open[key], now)
            except (AccessDenied, ConfigError):
                yield from part.rest(book)
                raise
            book.keep(key, looked.left)
            part.add(looked, follow)
            away = away + 1 if looked.away is not None else 0
            if away == _AWAY:
                break
            if looked.events or calls % _PART == 0:
                yield part.flush(book)
        yield from part.rest(book)
        if part.away is not None:
            raise part.away

    def _book(self, stored: Mapping[str, Any], now: datetime) -> _Book:
        """What is followed, with what was opened since it was last looked."""
        longest = max(follow.until for follow in self.all)
        seen = PollCursor.from_dict(stored, _LATE) if stored else PollCursor(now - longest, {}, _LATE)
        found = {key: OpenReference.from_dict(one) for key, one in stored.get("open", {}).items()}
        book = _Book({key: one for key, one in found.items() if int(key.partition(":")[0]) < len(self.all)}, seen)
        news = [
            one for one in self._context.opened(seen.horizon) if seen.is_news(f"{one.type}:{one.reference}", one.at)
        ]
        for one in news:
            following = [follow for follow in self.all if follow.opens(one.type, self._openers)]
            asked = (one.asked() or {}) if following else {}
            for follow in following:
                book.open.setdefault(f"{follow.number}:{one.reference}", follow.begin(one, asked))
        if news:
            book.seen = seen.after({f"{one.type}:{one.reference}": one.at for one in news})
        return book


@dataclass(slots=True)
class _Book:
    """What is open, by number of the `[[follow]]` and reference; and which references were seen."""

    open: dict[str, OpenReference]
    seen: PollCursor

    def keep(self, key: str, entry: OpenReference | None) -> None:
        if entry is None:
            self.open.pop(key, None)
        else:
            self.open[key] = entry

    def to_dict(self) -> dict[str, Any]:
        return {**self.seen.to_dict(), "open": {key: entry.to_dict() for key, entry in self.open.items()}}


@dataclass(slots=True)
class _Part:
    """What is committed together. `written`: the cursor as it is kept."""

    written: Mapping[str, Any]
    events: list[Event] = field(default_factory=list)
    faults: list[RecordFault] = field(default_factory=list)
    skip_unknown: set[str] = field(default_factory=set)
    away: HubError | None = None

    def add(self, looked: Looked, follow: Follow) -> None:
        self.events += looked.events
        self.faults += looked.faults
        self.skip_unknown |= {event.id for event in looked.events} if follow.skips_unknown else set()
        self.away = self.away or looked.away

    def flush(self, book: _Book) -> Polled:
        self.written = book.to_dict()
        made = Polled(self.events, self.written, None, self.faults, frozenset(self.skip_unknown))
        self.events, self.faults, self.skip_unknown = [], [], set()
        return made

    def rest(self, book: _Book) -> Iterator[Polled]:
        """What is not committed yet; nothing where nothing is new: no write for each look."""
        anything = book.open or book.seen.seen or self.written
        if self.events or self.faults or (anything and book.to_dict() != self.written):
            yield self.flush(book)


def _event_table(raw: Mapping[str, Any], number: int, map_key: str) -> dict[str, Any]:
    """The table of the event that a `[[follow]]` makes, of an answer (`map`) or of an end without one (`ended`)."""
    event_type = raw.get("type", STATUS_CHANGED)
    made = {"type": event_type, "id": raw.get("id", f"follow{number or ''}-{{reference}}-{{status}}-{{change}}")}
    made |= {name: raw[name] for name in ("version", "unknown") if name in raw}
    if event_type == STATUS_CHANGED:
        made |= {"about": "={reference}", "status": "={status}"}
        made |= {"label": raw["label"]} if "label" in raw and map_key == "map" else {}
    return made | ({"map": raw[map_key]} if map_key in raw else {})


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
