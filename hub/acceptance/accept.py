"""The one way in. Whatever the road (HTTP, AMQP, a package's own call, a poll, what a handler returns, the hub itself),
a batch is checked, then admitted: authorise, validate, documents held; one commit for events, deliveries, timeline.

Nothing of a refused event is stored. A verdict is given per event; a duplicate is no error.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

import orjson
import structlog
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from bus.ledger import Entry, Ledger, Raced, Transaction
from hub.acceptance.form import check_form, check_schema, encode_within
from hub.acceptance.mentions import people_named
from hub.acceptance.restating import restate
from hub.acceptance.rules import Reading, Restated, Rules, Understood
from hub.acceptance.statements import Statement, statement_of
from hub.citizens.households import refuse_household_alone
from hub.citizens.identities import People
from hub.citizens.news import NewsBook
from hub.citizens.nir import doubtful_systems, refuse_nir, without_doubtful
from hub.citizens.questions import hold
from hub.citizens.repository import Citizens
from hub.clients.origin import Origin
from hub.documents import access
from hub.requests.repository import Request, note_unread
from hub.routing.directory import CurrentDirectory, Directory
from hub.settings.model import Limits
from hub.storage.keyed_digest import keyed_digest
from schemas.errors import BusUnavailable, InvalidMessage
from schemas.event import Event, Submitted
from schemas.registry import Registry

_log = structlog.get_logger()
Outcome = Literal["accepted", "duplicate", "echo", "skipped", "refused"]
_UNKNOWN = "unknown_request"
_WIDEST = Limits()
_NOTHING: Mapping[str, Restated] = {}
WORDED = 20  # breaches of a schema that are told in words in one batch


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event; `skipped`: it is of a request that the hub does not know, and that is no fault.
    `request_id` when it concerns a request; `error` when it was refused; `review` names the values that an operator
    must look at before they go to anybody."""

    outcome: Outcome
    seq: int | None = None
    request_id: str | None = None
    error: InvalidMessage | None = None
    review: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome != "refused"


class Acceptance:
    """Checks and admits. `pepper` keys the digests of identities; without `people` only the very same identity is
    matched. `count` is told tenant, type, outcome and number;
    `ask` of a system of which the town must say what its numbers are (`hub.citizens.nir`)."""

    def __init__(
        self, registry: Registry, current: CurrentDirectory, rules: Rules, *, pepper: bytes,
        limits: Limits = _WIDEST, people: People | None = None,
        count: Callable[[str, str, str, int], None] = lambda tenant, event_type, outcome, number: None,
        ask: Callable[[str, str], None] = lambda tenant, system: None,
    ) -> None:  # fmt: skip
        self.ask_whose_numbers = ask
        self.registry, self.people, self.limits, self.rules = registry, people, limits, rules
        self.current, self._pepper, self._count = current, pepper, count
        self.news = NewsBook(people.keys if people is not None else None, pepper)

    @property
    def directory(self) -> Directory:
        """Who is connected now: it is replaced while the hub runs (a new webhook)."""
        return self.current.directory

    def submit(
        self, ledger: Ledger, origin: Origin, batch: object, *, whole: bool = False, skip: Collection[str] = (),
        before: Callable[[Transaction], None] = lambda tx: None,
        after: Callable[[Transaction, Sequence[Verdict]], None] = lambda tx, verdicts: None,
    ) -> list[Verdict]:  # fmt: skip
        """Accept a batch in a commit of its own: a verdict for each event, in order. `before` and `after` are done in
        the same commit; again when another process passed the same event through the door at the same moment. `skip`:
        the ids of events that are skipped when the hub does not know their request.

        Raises InvalidMessage for what is no batch, and with `whole` the refusal of the first event that is refused:
        then nothing of the batch is stored."""
        checked = self.check(origin, batch)

        def attempt() -> list[Verdict]:
            with ledger.transaction() as tx:
                before(tx)
                verdicts = self.admit(tx, origin, checked, skip=skip)
                if whole:
                    _raise_first(verdicts)
                after(tx, verdicts)
                return verdicts

        return looking_again()(attempt)

    def check_again(self, origin: Origin, checked: Sequence[Submitted]) -> list[Submitted]:
        """What `check` let through, by the directory that stands now."""
        return [self._checked(origin, one, False, True) if isinstance(one, Event) else one for one in checked]

    def accept(self, tx: Transaction, origin: Origin, batch: object) -> list[Verdict]:
        """As `submit`, in the commit of `tx`."""
        return self.admit(tx, origin, self.check(origin, batch))

    def check(self, origin: Origin, batch: object, *, read: bool = False, words: int = WORDED) -> list[Submitted]:
        """The rules that need no database: size of the batch; of each event size, source, type, schema. `read`: `Event`
        has just read them from the wire. `words`: so many breaches of a schema are told in words, the others by their
        code and `/data`. Raises InvalidMessage `not_a_batch` or `batch_too_long`."""
        if not isinstance(batch, list | tuple):
            raise InvalidMessage("a batch is a list of events", code="not_a_batch")
        most = self._limits_of(origin).batch_events
        if len(batch) > most:
            raise InvalidMessage(f"a batch holds at most {most} events", code="batch_too_long")
        checked: list[Submitted] = []
        for item in batch:
            checked.append(self._checked(origin, item, read, words > 0))
            words -= is_breach(checked[-1])
        return checked

    def admit(
        self, tx: Transaction, origin: Origin, checked: Sequence[Submitted], *, seconds: float | None = None,
        skip: Collection[str] = (), restated: Mapping[str, Restated] = _NOTHING,
    ) -> list[Verdict]:  # fmt: skip
        """The rules that need the database. `checked` came from `check` of the same origin. `seconds`: after so many at
        the door the rest is left, and has no verdict; the first event never is. `restated`: by their ids, the events by
        which the hub says again what it knows, where anybody lacks it; of the others `echo` without a number.

        Everything is decided by the directory that stands until the commit: what was checked by another is checked
        again. Raises DirectoryBehind where that one cannot be read here."""
        batch = _Batch(tx, self, origin, skip, restated)
        verdicts = batch.run(checked, seconds)
        for (event_type, outcome), number in Counter(map(self._counted, checked, verdicts)).items():
            self._count(origin.tenant, event_type, outcome, number)
        if batch.reading.said:
            self.say_as_hub(tx, origin.tenant, batch.reading.said)
        for act in batch.reading.afterwards:
            act()
        for event, facts in batch.reading.along:
            # What cannot be said of one who moved along keeps nobody else's address back.
            if (error := self.say_again(tx, origin.tenant, event, facts).error) is not None:
                _log.error("member of a household not told of", code=error.code)
        for citizen_id, fields in batch.reading.lacking:
            restate(self, tx, origin.tenant, citizen_id, fields)
        return verdicts

    def rehearse(self, ledger: Ledger, origin: Origin, batch: object, *, skip: Collection[str] = ()) -> list[Verdict]:
        """What `submit` would say of a batch now. Nothing is stored, counted or told: its transaction is rolled back,
        and for so long nobody else is at the door."""
        checked = self.check(origin, batch)

        def attempt() -> list[Verdict]:
            verdicts: list[Verdict] = []
            with contextlib.suppress(_Rehearsed), ledger.transaction() as tx:
                verdicts = _Batch(tx, self, origin, skip, _NOTHING).run(checked, None)
                raise _Rehearsed
            return verdicts

        return looking_again()(attempt)

    def say_again(self, tx: Transaction, tenant: str, event: Event, facts: Restated) -> Verdict:
        """Accept what the hub says again, or of somebody who moved along, for whoever lacks it."""
        hub = Origin.hub(tenant)
        (verdict,) = self.admit(tx, hub, self.check(hub, [event]), restated={event.id: facts})
        return verdict

    def say_as_hub(self, tx: Transaction, tenant: str, events: Sequence[Event]) -> list[int]:
        """Accept what the hub itself says in a tenant, however much that is; the numbers of what was not refused."""
        origin, most = Origin.hub(tenant), _WIDEST.batch_events
        parts = (events[start : start + most] for start in range(0, len(events), most))
        verdicts = [verdict for part in parts for verdict in self.accept(tx, origin, list(part))]
        return [verdict.seq for verdict in verdicts if verdict.seq is not None]

    def citizens(self, tx: Transaction, origin: str = "", most: int | None = None) -> Citizens:
        """The citizens, for one unit of work. `origin`: who speaks; `most`: how many questions it may open in a day."""
        return Citizens(tx, self._pepper, self.people, origin, most)

    def keyed(self, digest: bytes) -> bytes:
        """The digest of an event as the door keeps it: what an event says may be short, and guessed from its digest."""
        return keyed_digest(self._pepper, digest)

    def _checked(self, origin: Origin, item: object, read: bool, words: bool) -> Submitted:
        if isinstance(item, InvalidMessage):
            return item
        if not isinstance(item, Event):
            return InvalidMessage("this is not an event", code="not_an_event")
        try:
            self._authorise(origin, item)
            encoded = encode_within(item, self._limits_of(origin).event_bytes)
            item = check_schema(self.registry, item, words=words)
            check_form(item, encoded, read=read)
            return self._with_people_checked(origin, item)
        except InvalidMessage as error:
            return error

    def _limits_of(self, origin: Origin) -> Limits:
        """A town may set lower limits to those who call; the hub and its connections are held to the widest."""
        return _WIDEST if origin.internal or origin.connection else self.limits

    def _with_people_checked(self, origin: Origin, event: Event) -> Event:
        declared, doubtful = self.directory.identifiers(origin.tenant), set[str]()
        for pointer, person in people_named(event):
            refuse_nir(person, pointer, declared)
            doubtful |= doubtful_systems(person, declared)
            if self.directory.links_sectors(origin.tenant, person):
                message = "these systems are of sectors that are not linked here"
                raise InvalidMessage(message, pointer=f"{pointer}/references", code="sectors_not_linked")
        for system in sorted(doubtful):
            self.ask_whose_numbers(origin.tenant, system)
        if doubtful:
            event = event.with_data(without_doubtful(event.data, declared, "/data"))
        if households := self.directory.households(origin.tenant):
            for pointer, person in people_named(event):
                refuse_household_alone(person, pointer, households)
        return event

    def _counted(self, item: Submitted, verdict: Verdict) -> tuple[str, str]:
        known = isinstance(item, Event) and self.registry.versions(item.type)
        return item.type if known and isinstance(item, Event) else "unknown", verdict.outcome

    def _authorise(self, origin: Origin, event: Event) -> None:
        if not any(event.source == s or event.source.startswith(s + "/") for s in origin.sources):
            raise InvalidMessage("this source is not yours", pointer="/source", code="source_not_allowed")
        if event.extensions.get("tenant", origin.tenant) != origin.tenant:
            raise InvalidMessage("this tenant is not yours", pointer="/tenant", code="tenant_not_allowed")
        operation = self.registry.versions(event.type) and self.registry.category(event.type) == "operation"
        if ("*" not in origin.types and event.type not in origin.types) or (operation and not origin.internal):
            raise InvalidMessage("you may not publish this type", pointer="/type", code="type_not_allowed")


_Stated = dict[int, Statement | InvalidMessage]
_Known = dict[tuple[str, str, str], tuple[bytes, int]]


class _Rehearsed(Exception):
    """Ends a transaction of which nothing is to stay."""


class _Batch:
    """Deduplication and storing of one batch; what its events mean is their rules' affair."""

    def __init__(
        self, tx: Transaction, acceptance: Acceptance, origin: Origin, skip: Collection[str],
        restated: Mapping[str, Restated],
    ) -> None:  # fmt: skip
        self._tx, self._acceptance, self._origin, self._skip = tx, acceptance, origin, skip
        self._restated = restated
        self.reading = self._reading(acceptance.directory)

    def _reading(self, directory: Directory) -> Reading:
        tx, acceptance, origin = self._tx, self._acceptance, self._origin
        most = None if origin.internal or origin.unlimited else acceptance.limits.questions_per_day
        citizens = acceptance.citizens(tx, origin.name, most)
        citizens.news.start_anew(directory.began(origin.tenant))
        reading = Reading(
            tx, origin, directory, citizens, lambda tenant, events: acceptance.say_as_hub(tx, tenant, events),
            acceptance.news,
        )  # fmt: skip
        reading.restated = self._restated
        return reading

    def _looked_up(self, checked: Sequence[Submitted]) -> tuple[_Stated, _Known]:
        """What these events state, and which of them are known; what they name is read with that."""
        asked = self._tx.ask_known(self._key(e) for e in checked if isinstance(e, Event))
        stated = {place: self._stated(e) for place, e in enumerate(checked) if isinstance(e, Event)}
        self.reading.prefetch(
            [one for one in stated.values() if isinstance(one, Statement)]
        )  # for those that are known, too: they are few, and one round trip is saved
        return stated, asked()

    def _begin_again(self, directory: Directory, checked: Sequence[Submitted]) -> Sequence[Submitted]:
        """Nothing is written yet; what was read and checked by another directory does not count."""
        origin = directory.origin_now(self._origin, self.reading.directory)
        if origin is None:
            raise BusUnavailable(f"{self._origin.name} is not connected any more, or not by this client")
        self._origin = origin
        self.reading = self._reading(directory)
        return self._acceptance.check_again(self._origin, checked)

    def run(self, checked: Sequence[Submitted], seconds: float | None) -> list[Verdict]:
        began = time.monotonic()
        self._tx.hold_door()
        stated, known = self._looked_up(checked)
        directory = self._acceptance.current.at(self._tx)  # its answer came with the others
        anew = directory is not self.reading.directory or self._acceptance.current.checks_anew
        if anew or (self._origin.client and directory.origin_now(self._origin, directory) != self._origin):
            checked = self._begin_again(directory, checked)
            stated, known = self._looked_up(checked)
        until = max(began, self._tx.door_since) + seconds if seconds is not None else inf
        verdicts: dict[int, Verdict] = {}
        here: _Known = {}  # those that pass now, each with its place
        found: dict[int, Understood] = {}
        copies: dict[int, int] = {}
        for place, item in enumerate(checked):
            if place and time.monotonic() > until:
                checked = checked[:place]
                break
            try:
                if isinstance(item, InvalidMessage):
                    raise item
                bare, key = _digest(item), self._key(item)
                digest = self._acceptance.keyed(bare)
                if key in known:
                    verdicts[place] = _again(known[key], digest, bare)
                elif key in here:
                    _again(here[key], digest)
                    copies[place] = here[key][1]
                else:
                    # Not of what is known already: its documents may have been forgotten since.
                    access.check_named(self._tx, self._origin, item)
                    understood = self._understood(item, stated[place])
                    if understood.silent:
                        verdicts[place] = Verdict("echo")
                        continue
                    found[place], here[key] = understood, (digest, place)
            except InvalidMessage as error:
                skipped = error.code == _UNKNOWN and self._may_skip(item)
                verdicts[place] = Verdict("skipped") if skipped else Verdict("refused", error=error)
        verdicts |= self._append(checked, found, {place: digest for digest, place in here.values()})
        verdicts |= {place: replace(verdicts[first], outcome="duplicate") for place, first in copies.items()}
        self.reading.save()
        return [verdicts[place] for place in range(len(checked))]

    def _may_skip(self, item: Submitted) -> bool:
        return isinstance(item, Event) and (self._origin.skips_unknown or item.id in self._skip)

    def _stated(self, event: Event) -> Statement | InvalidMessage:
        try:
            return statement_of(self._origin, event)
        except InvalidMessage as error:
            return error

    def _understood(self, event: Event, stated: Statement | InvalidMessage) -> Understood:
        if isinstance(stated, InvalidMessage):
            raise stated
        understood = self._acceptance.rules.rule_of(event.type).understand(stated.event, self.reading)
        self.reading.claim(understood, stated)
        return understood

    def _append(
        self, checked: Sequence[Submitted], found: Mapping[int, Understood], digests: Mapping[int, bytes]
    ) -> dict[int, Verdict]:
        entries = []
        for place, it in found.items():
            event = it.event or checked[place]
            assert isinstance(event, Event)
            entries.append(Entry(
                self._origin.tenant, event, digests[place], it.order_key, it.request.id if it.request else None,
                self._origin.name, it.route.to, self._acceptance.registry.supersedes(event.type),
                self.reading.directory.version or None,
            ))  # fmt: skip
        verdicts: dict[int, Verdict] = {}
        unread: list[tuple[int, str, Request]] = []
        held: list[tuple[int, bool]] = []
        for (place, it), seq, entry in zip(found.items(), self._tx.append(entries), entries, strict=True):
            if seq is None:
                raise Raced("this source and id passed the door just now")
            for row in (*it.steps, *it.numbered):
                row["seq"] = seq
            if it.unread and it.request is not None:
                unread.append((seq, entry.event.type, it.request))
            if it.held:
                held.append((seq, it.urgent))
            request_id = it.request.id if it.request else None
            verdicts[place] = Verdict("echo" if it.echo else "accepted", seq, request_id, review=it.review)
        note_unread(self._tx, unread)
        hold(self._tx, self._origin.name, held)
        return verdicts

    def _key(self, event: Event) -> tuple[str, str, str]:
        return (self._origin.tenant, event.source, event.id)


def is_breach(checked: Submitted) -> bool:
    """Whether this was refused for its schema."""
    return isinstance(checked, InvalidMessage) and checked.code == "schema_violation"


def looking_again() -> Retrying:
    """Tries again what lost a race for the door, a few times."""
    return Retrying(
        retry=retry_if_exception_type(Raced), stop=stop_after_attempt(5), wait=wait_random(0, 0.05), reraise=True
    )


def _raise_first(verdicts: Sequence[Verdict]) -> None:
    for verdict in verdicts:
        if verdict.error is not None:
            raise verdict.error


def _again(before: tuple[bytes, int], *digests: bytes) -> Verdict:
    """`digests`: as it is kept now, and as older versions kept it."""
    if before[0] not in digests:
        message = "this source and id were used before with another content"
        raise InvalidMessage(message, pointer="/id", code="id_reused")
    return Verdict("duplicate", before[1])


def _digest(event: Event) -> bytes:
    """What makes two events the same: not the time they were sent at, nor the attributes of the way."""
    content = [event.type, event.version, event.subject, event.data]
    return hashlib.sha256(orjson.dumps(content, default=dict, option=orjson.OPT_SORT_KEYS)).digest()
