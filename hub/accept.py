"""`accept`: the one way in. Authorise, validate, then one commit for the batch: door, event, deliveries, timeline.

Nothing of a refused event is stored. A verdict is given per event; a duplicate is no error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from bus.ledger import Entry, Ledger, Transaction
from hub import requests as timelines
from hub.citizens import Citizen, Citizens
from hub.directory import Directory, Facts, Route
from hub.notices import notices
from hub.requests import Request, Requests
from schemas.errors import BusUnavailable, InvalidMessage
from schemas.event import MAX_EVENT_BYTES, Event
from schemas.registry import Registry

Outcome = Literal["accepted", "duplicate", "echo", "refused"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks. `name` is `tenant.connection` or `tenant.client`. `types`: the event types it may publish, `*` for
    all; `sources`: prefixes that its events' `source` must be under; `internal`: the hub itself, which alone may speak
    of its own operation."""

    name: str
    tenant: str
    types: frozenset[str]
    sources: tuple[str, ...]
    internal: bool = False

    @staticmethod
    def hub(tenant: str) -> Origin:
        return Origin(f"{tenant}.hub", tenant, frozenset({"*"}), (f"/{tenant}/hub",), internal=True)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event. `request_id` when it concerns a request; `error` when it was refused."""

    outcome: Outcome
    seq: int | None = None
    request_id: str | None = None
    error: InvalidMessage | None = None

    @property
    def ok(self) -> bool:
        return self.outcome != "refused"


Submitted = Event | InvalidMessage  # what could not even be read keeps its place in the batch


class Acceptance:
    """Holds the rules; `directory` may be replaced while running (a new webhook, a reloaded settings file)."""

    def __init__(
        self, registry: Registry, directory: Directory, *, pepper: bytes,
        count: Callable[[str, str, str], None] = lambda tenant, event_type, outcome: None,
    ) -> None:  # fmt: skip
        self.registry = registry
        self.directory = directory
        self._pepper = pepper
        self._count = count

    def submit(self, ledger: Ledger, origin: Origin, batch: Sequence[Submitted]) -> list[Verdict]:
        """Accept a batch in a transaction of its own. Returns after the commit."""
        with ledger.transaction() as tx:
            return self.accept(tx, origin, batch)

    def accept(self, tx: Transaction, origin: Origin, batch: Sequence[Submitted]) -> list[Verdict]:
        """Accept a batch inside `tx`: valid events are committed with it, refused ones leave nothing."""
        checked = [self.check(origin, item) for item in batch]
        return self.admit(tx, origin, checked)

    def check(self, origin: Origin, item: Submitted) -> Submitted:
        """The rules that need no database: size, source, type, schema."""
        if isinstance(item, InvalidMessage):
            return item
        try:
            self._authorise(origin, item)
            self.registry.validate(item)
        except InvalidMessage as error:
            return error
        return item

    def admit(self, tx: Transaction, origin: Origin, checked: Sequence[Submitted]) -> list[Verdict]:
        """The rules that need the database. `checked` came from `check` of the same origin."""
        batch = _Batch(tx, self, origin)
        verdicts = batch.run(checked)
        for item, verdict in zip(checked, verdicts, strict=True):
            event_type = item.type if isinstance(item, Event) and self.registry.versions(item.type) else "unknown"
            self._count(origin.tenant, event_type, verdict.outcome)
        if batch.notices:
            self.accept(tx, Origin.hub(origin.tenant), batch.notices)
        return verdicts

    def citizens(self, tx: Transaction) -> Citizens:
        """The citizens, for one unit of work."""
        return Citizens(tx, self._pepper)

    def _authorise(self, origin: Origin, event: Event) -> None:
        if len(event.encode()) > MAX_EVENT_BYTES:
            raise InvalidMessage(f"an event has at most {MAX_EVENT_BYTES} bytes", code="too_large")
        if not any(event.source == s or event.source.startswith(s + "/") for s in origin.sources):
            raise InvalidMessage("this source is not yours", pointer="/source", code="source_not_allowed")
        if event.extensions.get("tenant", origin.tenant) != origin.tenant:
            raise InvalidMessage("this tenant is not yours", pointer="/tenant", code="tenant_not_allowed")
        operation = event.type in self.registry.types() and self.registry.category(event.type) == "operation"
        if ("*" not in origin.types and event.type not in origin.types) or (operation and not origin.internal):
            raise InvalidMessage("you may not publish this type", pointer="/type", code="type_not_allowed")


@dataclass(slots=True)
class _Found:
    """What the hub worked out about one event."""

    order_key: str
    route: Route = field(default_factory=lambda: Route(()))
    request: Request | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    echo: bool = False


class _Batch:
    def __init__(self, tx: Transaction, acceptance: Acceptance, origin: Origin) -> None:
        self._tx = tx
        self._acceptance = acceptance
        self._directory = acceptance.directory
        self._origin = origin
        self._requests = Requests(tx)
        self._citizens = acceptance.citizens(tx)
        self.notices: list[Event] = []

    def run(self, checked: Sequence[Submitted]) -> list[Verdict]:
        verdicts: list[Verdict | None] = [None] * len(checked)
        fresh: dict[int, tuple[Event, bytes]] = {}
        self._tx.hold_door()
        known = self._tx.known(self._key(e) for e in checked if isinstance(e, Event))
        here: dict[tuple[str, str, str], tuple[bytes, int]] = {}
        for place, item in enumerate(checked):
            if isinstance(item, InvalidMessage):
                verdicts[place] = Verdict("refused", error=item)
                continue
            digest, key = _digest(item), self._key(item)
            before = known.get(key)
            if before is not None:
                verdicts[place] = _again(before, digest)
            elif key in here and here[key][0] != digest:
                verdicts[place] = _conflict()
            elif key in here:
                verdicts[place] = Verdict("duplicate")
            else:
                here[key] = (digest, place)
                fresh[place] = (item, digest)
        self._prefetch([event for event, _ in fresh.values()])
        self._admit(fresh, verdicts)
        return [v if v is not None else Verdict("duplicate") for v in verdicts]

    def _admit(self, fresh: Mapping[int, tuple[Event, bytes]], verdicts: list[Verdict | None]) -> None:
        entries: list[Entry] = []
        places: list[tuple[int, _Found]] = []
        for place, (event, digest) in fresh.items():
            try:
                found = self._work_out(event)
            except InvalidMessage as error:
                verdicts[place] = Verdict("refused", error=error)
                continue
            request_id = found.request.id if found.request else None
            entries.append(Entry(
                self._origin.tenant, event, digest, found.order_key, request_id, self._origin.name, found.route.to,
                self._acceptance.registry.supersedes(event.type),
            ))  # fmt: skip
            places.append((place, found))
        seqs = self._tx.append(entries)
        for (place, found), seq in zip(places, seqs, strict=True):
            for step in found.steps:
                step["seq"] = seq
            outcome: Outcome = "duplicate" if seq is None else "echo" if found.echo else "accepted"
            verdicts[place] = Verdict(outcome, seq, found.request.id if found.request else None)
        if any(seq is None for seq in seqs):
            raise _Raced  # another process took the same pair between our look and our write: look again
        self._requests.save()
        self._citizens.save()

    def _work_out(self, event: Event) -> _Found:
        if event.type == "request.received":
            return self._request_received(event)
        if event.type == "request.status-changed":
            return self._status_changed(event)
        if "citizen" in event.data and self._acceptance.registry.order_of(event.type) == "citizen":
            return self._citizen_changed(event)
        return self._other(event)

    def _request_received(self, event: Event) -> _Found:
        record = event.data["request"]
        if record["procedure"] not in self._directory.catalogue:
            raise InvalidMessage(
                "no such procedure in the catalogue", pointer="/data/request/procedure", code="unknown_procedure"
            )
        for person in _people(record):
            self._citizens.check(self._origin.tenant, person)
        people = [self._citizens.resolve(self._origin.tenant, person) for person in _people(record)]
        confidential = any(person.confidential for person in people)
        request = self._requests.find(self._origin.tenant, record)
        if request is None:
            request = self._requests.open(
                self._origin.tenant, record, origin=self._origin.name, confidential=confidential,
                citizen_id=people[0].id if people else None,
            )  # fmt: skip
        found = _Found(f"r:{request.id}", request=request)
        self._step(found, event, "received")
        self._route(found, event, request)
        self.notices.extend(notices(self._tx, request, event, self._directory))
        return found

    def _status_changed(self, event: Event) -> _Found:
        request = self._request_of(event.data["request"])
        if request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        links = event.data.get("new_references", ())
        self._requests.link(request, ((r["system"], r["id"]) for r in links))
        at = timelines.seconds(event.time, self._tx.now)
        decides = self._directory.decides(self._origin.name, request.procedure)
        mark = self._requests.apply(request, event.data, origin=self._origin.name, decides=decides, at=at)
        found = _Found(f"r:{request.id}", request=request)
        self._step(found, event, "status", mark=mark)
        if mark is None:
            self._route(found, event, request)
            self.notices.extend(notices(self._tx, request, event, self._directory))
        return found

    def _citizen_changed(self, event: Event) -> _Found:
        citizen = self._citizens.resolve(self._origin.tenant, event.data["citizen"])
        request = self._request_of(event.data.get("request"))
        found = _Found(f"c:{citizen.id}", request=request)
        values = {name: value["value"] for name, value in event.data.items() if _is_value(value)}
        news = {n: v for n, v in values.items() if not self._citizens.is_echo(citizen, n, v, self._origin.name)}
        if values and not news:
            found.echo = True
            self._step(found, event, "echo")
            return found
        self._route(found, event, request, citizen)
        self._step(found, event, "change")
        for name, value in news.items():
            self._citizens.learn(citizen, name, value, (self._origin.name, *found.route.to))
        return found

    def _other(self, event: Event) -> _Found:
        request = self._request_of(event.data.get("request"))
        if event.data.get("request") and request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        subject = event.subject or (request.id if request else event.id)
        found = _Found(f"s:{hashlib.sha256(subject.encode()).hexdigest()[:32]}", request=request)
        self._route(found, event, request)
        return found

    def _route(self, found: _Found, event: Event, request: Request | None, citizen: Citizen | None = None) -> None:
        about = citizen.confidential if citizen else False
        systems = self._citizens.systems(citizen) if citizen else frozenset()
        found.route = self._directory.route(Facts(
            self._origin.tenant, event.type, self._origin.name, request.procedure if request else None,
            request.intake if request else None, systems, about or bool(request and request.confidential),
        ))  # fmt: skip
        if found.route.withheld and request is not None:
            names = ", ".join(self._directory.label(name) for name in found.route.withheld)
            reason = f"dossier confidentiel : rien n'est transmis à {names}"
            found.steps.append(
                self._requests.step(request, "withheld", origin=self._origin.name, at=self._tx.now, reason=reason)
            )

    def _step(self, found: _Found, event: Event, kind: str, mark: str | None = None) -> None:
        if found.request is not None:
            data = event.data if kind == "status" else {}
            step = self._requests.step(
                found.request, kind, origin=self._origin.name, at=self._tx.now, data=data, mark=mark
            )
            found.steps.append(step)

    def _request_of(self, link: Mapping[str, Any] | None) -> Request | None:
        return self._requests.find(self._origin.tenant, link) if link else None

    def _prefetch(self, events: Sequence[Event]) -> None:
        links = [link for e in events if (link := e.data.get("request"))]
        references = {(r["system"], r["id"]) for link in links for r in link.get("references", ())}
        references |= {(r["system"], r["id"]) for e in events for r in e.data.get("new_references", ())}
        ids = {link["id"] for link in links if "id" in link}
        if references or ids:
            self._requests.prefetch(self._origin.tenant, references, ids)
        people = [e.data["citizen"] for e in events if isinstance(e.data.get("citizen"), Mapping)]
        people += [p for e in events if e.type == "request.received" for p in _people(e.data["request"])]
        if people:
            values = [v["value"] for e in events if "citizen" in e.data for v in e.data.values() if _is_value(v)]
            self._citizens.prefetch(self._origin.tenant, people, values)

    def _key(self, event: Event) -> tuple[str, str, str]:
        return (self._origin.tenant, event.source, event.id)


class _Raced(BusUnavailable):
    """Two processes accepted the same event at once; the loser's transaction is undone and tried again."""


def _looking_again() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(_Raced), stop=stop_after_attempt(5), wait=wait_random(0, 0.05), reraise=True
    )


def submit_safely(acceptance: Acceptance, ledger: Ledger, origin: Origin, batch: Sequence[Submitted]) -> list[Verdict]:
    """`submit`, again when another process passed the same event through the door at the same moment."""
    return _looking_again()(acceptance.submit, ledger, origin, batch)


def submit_whole(
    acceptance: Acceptance, ledger: Ledger, origin: Origin, events: Sequence[Event],
    also: Callable[[Transaction], None] = lambda tx: None,
) -> list[Verdict]:  # fmt: skip
    """Accept all of `events`, and do `also`, in one commit, or nothing: raises the InvalidMessage of the first that is
    refused."""

    def attempt() -> list[Verdict]:
        with ledger.transaction() as tx:
            verdicts = acceptance.accept(tx, origin, events)
            for verdict in verdicts:
                if verdict.error is not None:
                    raise verdict.error
            also(tx)
            return verdicts

    return _looking_again()(attempt)


def _again(before: tuple[bytes, int], digest: bytes) -> Verdict:
    return Verdict("duplicate", before[1]) if before[0] == digest else _conflict()


def _conflict() -> Verdict:
    message = "this source and id were used before with another content"
    return Verdict("refused", error=InvalidMessage(message, pointer="/id", code="id_reused"))


def _digest(event: Event) -> bytes:
    """What makes two events the same: not the time they were sent at, nor the attributes of the way."""
    content = [event.type, event.version, event.subject, event.data]
    return hashlib.sha256(orjson.dumps(content, default=dict, option=orjson.OPT_SORT_KEYS)).digest()


def _people(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The citizens of a request, the beneficiary first: the case is about them."""
    requester = record["requester"].get("citizen")
    return [*record.get("beneficiaries", ()), *([requester] if requester else ())]


def _is_value(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value and "quality" in value
