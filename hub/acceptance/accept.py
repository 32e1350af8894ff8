"""`accept`: the one way in. Authorise, validate, then one commit for the batch: door, event, deliveries, timeline.

Nothing of a refused event is stored. A verdict is given per event; a duplicate is no error.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal

import orjson
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random

from bus.ledger import Entry, Ledger, Raced, Transaction
from hub.citizens.identities import People
from hub.citizens.lookup import find_citizen
from hub.citizens.nir import refuse_nir
from hub.citizens.repository import QUALITIES, Citizen, Citizens, Rank
from hub.clients.origin import Origin
from hub.exchanges.corrections import Corrections, Told
from hub.requests import repository as timelines
from hub.requests.notices import notices
from hub.requests.repository import Request, Requests
from hub.routing.directory import Directory, Facts, Route
from schemas.errors import InvalidMessage
from schemas.event import MAX_EVENT_BYTES, Event, Submitted
from schemas.exchange import CHANGED, TOLD
from schemas.registry import Registry

_TIME = 40  # characters of a time
_NOBODY = Route(())
Outcome = Literal["accepted", "duplicate", "echo", "refused"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one event. `request_id` when it concerns a request; `error` when it was refused; `review` names
    the values that an operator must look at before they go to anybody."""

    outcome: Outcome
    seq: int | None = None
    request_id: str | None = None
    error: InvalidMessage | None = None
    review: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return self.outcome != "refused"


class Acceptance:
    """Holds the rules; `directory` may be replaced while running (a new webhook, a reloaded settings file)."""

    def __init__(
        self, registry: Registry, directory: Directory, *, pepper: bytes,
        count: Callable[[str, str, str, int], None] = lambda tenant, event_type, outcome, number: None,
        people: People | None = None,
    ) -> None:  # fmt: skip
        self.registry = registry
        self.directory = directory
        self._pepper = pepper
        self._count = count
        self.people = people
        self.corrections: Corrections | None = None

    def submit(self, ledger: Ledger, origin: Origin, batch: Sequence[Submitted]) -> list[Verdict]:
        """Accept a batch in a transaction of its own. Returns after the commit."""
        with ledger.transaction() as tx:
            return self.accept(tx, origin, batch)

    def accept(self, tx: Transaction, origin: Origin, batch: Sequence[Submitted]) -> list[Verdict]:
        """Accept a batch inside `tx`: valid events are committed with it, refused ones leave nothing."""
        checked = [self.check(origin, item) for item in batch]
        return self.admit(tx, origin, checked)

    def check(self, origin: Origin, item: Submitted, *, read: bool = False) -> Submitted:
        """The rules that need no database: size, source, type, schema. `read`: `Event` has just read it from the wire,
        so its form is right."""
        if isinstance(item, InvalidMessage):
            return item
        try:
            self._authorise(origin, item)
            self.registry.validate(item)
            _check_form(item, read)
            self._check_people(origin, item)
        except InvalidMessage as error:
            return error
        return item

    def admit(self, tx: Transaction, origin: Origin, checked: Sequence[Submitted]) -> list[Verdict]:
        """The rules that need the database. `checked` came from `check` of the same origin."""
        batch = _Batch(tx, self, origin)
        verdicts = batch.run(checked)
        for (event_type, outcome), number in Counter(map(self._counted, checked, verdicts)).items():
            self._count(origin.tenant, event_type, outcome, number)
        if batch.notices:
            self.accept(tx, Origin.hub(origin.tenant), batch.notices)
        if batch.told and self.corrections is not None:
            self.corrections.publish(tx, batch.told, partial(self.say, tx))
        return verdicts

    def say(self, tx: Transaction, tenant: str, events: Sequence[Event]) -> list[int]:
        """Accept what the hub itself says in a tenant; the numbers of what was not refused."""
        verdicts = self.accept(tx, Origin.hub(tenant), events)
        return [verdict.seq for verdict in verdicts if verdict.seq is not None]

    def citizens(self, tx: Transaction, origin: str = "") -> Citizens:
        """The citizens, for one unit of work. `origin`: who speaks."""
        return Citizens(tx, self._pepper, self.people, origin)

    def _check_people(self, origin: Origin, event: Event) -> None:
        for pointer, person in _named(event):
            refuse_nir(person, pointer)
            if self.directory.links_sectors(origin.tenant, person):
                message = "these systems are of sectors that are not linked here"
                raise InvalidMessage(message, pointer=f"{pointer}/references", code="sectors_not_linked")

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


@dataclass(slots=True)
class _Found:
    """What the hub worked out about one event."""

    order_key: str
    route: Route = _NOBODY
    request: Request | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    echo: bool = False
    event: Event | None = None  # what of the event is spread, when that is not all of it
    review: tuple[str, ...] = ()


class _Batch:
    def __init__(self, tx: Transaction, acceptance: Acceptance, origin: Origin) -> None:
        self._tx = tx
        self._acceptance = acceptance
        self._directory = acceptance.directory
        self._origin = origin
        self._requests = Requests(tx)
        self._citizens = acceptance.citizens(tx, origin.name)
        self._marked: set[str] = set()
        self._routes: dict[Facts, Route] = {}
        self.notices: list[Event] = []
        self.told: list[Told] = []

    def run(self, checked: Sequence[Submitted]) -> list[Verdict]:
        self._tx.hold_door()
        events = [e for e in checked if isinstance(e, Event)]
        asked = self._tx.ask_known(map(self._key, events))
        self._prefetch(events)  # for those that are known, too: they are few, and one round trip is saved
        known = asked()
        verdicts: dict[int, Verdict] = {}
        here: dict[tuple[str, str, str], tuple[bytes, int]] = {}  # those that pass now, each with its place
        found: dict[int, _Found] = {}
        copies: dict[int, int] = {}
        for place, item in enumerate(checked):
            try:
                if isinstance(item, InvalidMessage):
                    raise item
                digest, key = _digest(item), self._key(item)
                if key in known:
                    verdicts[place] = _again(known[key], digest)
                elif key in here:
                    _again(here[key], digest)
                    copies[place] = here[key][1]
                else:
                    found[place] = self._work_out(item)
                    here[key] = (digest, place)
            except InvalidMessage as error:
                verdicts[place] = Verdict("refused", error=error)
        verdicts |= self._append(checked, found, {place: digest for digest, place in here.values()})
        verdicts |= {place: replace(verdicts[first], outcome="duplicate") for place, first in copies.items()}
        self._requests.save()
        self._citizens.save()
        withhold(self._tx, self._directory, self._origin.tenant, self._marked, self._requests.concealed)
        return [verdicts[place] for place in range(len(checked))]

    def _append(
        self, checked: Sequence[Submitted], found: Mapping[int, _Found], digests: Mapping[int, bytes]
    ) -> dict[int, Verdict]:
        entries = []
        for place, it in found.items():
            event = it.event or checked[place]
            assert isinstance(event, Event)
            entries.append(Entry(
                self._origin.tenant, event, digests[place], it.order_key, it.request.id if it.request else None,
                self._origin.name, it.route.to, self._acceptance.registry.supersedes(event.type),
            ))  # fmt: skip
        verdicts: dict[int, Verdict] = {}
        for (place, it), seq in zip(found.items(), self._tx.append(entries), strict=True):
            if seq is None:
                raise Raced("this source and id passed the door just now")
            for step in it.steps:
                step["seq"] = seq
            request_id = it.request.id if it.request else None
            verdicts[place] = Verdict("echo" if it.echo else "accepted", seq, request_id, review=it.review)
        return verdicts

    def _work_out(self, event: Event) -> _Found:
        if event.type == "request.received":
            return self._request_received(event)
        if event.type == "request.status-changed":
            return self._status_changed(event)
        if event.type == CHANGED:
            return self._evidence_changed(event)
        if "citizen" in event.data and self._acceptance.registry.order_of(event.type) == "citizen":
            return self._citizen_changed(event)
        return self._other(event)

    def _request_received(self, event: Event) -> _Found:
        record = event.data["request"]
        if record["procedure"] not in self._directory.catalogue:
            raise InvalidMessage(
                "no such procedure in the catalogue", pointer="/data/request/procedure", code="unknown_procedure"
            )
        tenant, people = self._origin.tenant, _people(record)
        self._citizens.check_together(tenant, people)
        request = self._requests.find(tenant, record)
        if request is not None:
            self._requests.check_links(request, record["references"])
        citizens = [self._citizens.resolve(tenant, person) for person in people]
        ids = list(dict.fromkeys(citizen.id for citizen in citizens))
        confidential = any(citizen.confidential for citizen in citizens)
        if request is None:
            request = self._requests.open(
                tenant, record, origin=self._origin.name, people=ids, confidential=confidential
            )
        else:
            self._requests.link(request, record["references"])
            self._requests.involve(request, ids)
        self._heed_marks({citizen.id for citizen in citizens if citizen.confidential and not request.confidential})
        found = _Found(f"r:{request.id}", request=request)
        self._step(found, event, "received")
        self._route(found, event, request)
        self.notices.extend(notices(self._tx, request, event, self._directory))
        return found

    def _status_changed(self, event: Event) -> _Found:
        request = self._request_of(event.data["request"])
        if request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        self._requests.link(request, event.data.get("new_references", ()))
        # Nothing happened in the future: a clock that is wrong must not make all that follows late.
        at = min(timelines.seconds(event.time, self._tx.now), self._tx.now)
        before = request.status
        decides = self._directory.decides(self._origin.name, request.procedure)
        mark = self._requests.apply(request, event.data, origin=self._origin.name, decides=decides, at=at)
        found = _Found(f"r:{request.id}", request=request)
        self._step(found, event, "status", mark=mark)
        if mark is None:
            self._route(found, event, request)
            if request.status != before:
                self.notices.extend(notices(self._tx, request, event, self._directory))
        return found

    def _citizen_changed(self, event: Event) -> _Found:
        tenant, household = self._origin.tenant, event.data.get("household", ())
        self._citizens.check_together(tenant, [event.data["citizen"], *household])
        citizen = self._citizens.resolve(tenant, event.data["citizen"])
        marked = [self._citizens.is_marked(tenant, person) for person in household]
        self._heed_marks()
        request = self._request_of(event.data.get("request"))
        found = _Found(f"c:{citizen.id}", request=request)
        values = {name: value["value"] for name, value in event.data.items() if _is_value(value)}
        echoes = {name for name in values if self._is_echo(citizen, event, name)}
        if values and len(echoes) == len(values):
            found.echo = True
            self._step(found, event, "echo")
            return found
        held = {name for name in values.keys() - echoes if self._is_held(citizen, event, name)}
        found.review = tuple(sorted(held))
        if values and len(echoes | held) == len(values):
            self._step(found, event, "held")
            return found
        if echoes or held:  # beside a news an echo is no news either
            kept_back = echoes | held
            found.event = event.with_data({name: value for name, value in event.data.items() if name not in kept_back})
        self._route(found, event, request, citizen, marked=citizen.confidential or any(marked))
        self._step(found, event, "change")
        for name in values.keys() - echoes - held:
            worth: dict[str, Any] = {}
            if self._directory.master_of(tenant, name) is not None:
                worth = {"system": self._directory.system_of(self._origin.name), "rank": self._rank(event, name)}
            self._citizens.learn(citizen, name, values[name], by=self._origin.name, told=found.route.to, **worth)
        return found

    def _is_held(self, citizen: Citizen, event: Event, name: str) -> bool:
        """Whether a value stands against what the master of its field said: then an operator is asked."""
        master = self._directory.master_of(self._origin.tenant, name)
        if master is None or self._citizens.identities is None:
            return False
        system, rank = self._directory.system_of(self._origin.name), self._rank(event, name)
        if self._origin.internal or system == master:
            return False
        if not self._citizens.yields(citizen, name, rank, master=master):
            return False
        facts = {"type": event.type, "by": self._origin.name, "master": master, "quality": event.data[name]["quality"]}
        said = {"type": event.type, "data": {name: event.data[name]}}
        self._citizens.identities.doubt_value(self._origin.tenant, citizen.id, name, said, facts)
        return True

    def _rank(self, event: Event, name: str) -> Rank:
        said, now = event.data[name], self._tx.now
        return QUALITIES.index(said["quality"]), min(timelines.seconds(said["date"], now), now)

    def _is_echo(self, citizen: Citizen, event: Event, name: str) -> bool:
        said = event.data[name]
        dated = timelines.seconds(said["date"], 0.0)
        return self._citizens.is_echo(citizen, name, said["value"], self._origin.name, dated=dated)

    def _evidence_changed(self, event: Event) -> _Found:
        """The hub is its reader: it goes to nobody as it is."""
        if self._acceptance.corrections is None:
            raise InvalidMessage("this hub follows no evidence", pointer="/type", code="type_not_allowed")
        tenant, person = self._origin.tenant, event.data["citizen"]
        self._citizens.is_marked(tenant, person)
        self._heed_marks()
        known = self._citizens.check(tenant, person)
        if known is None and self._acceptance.people is not None:
            found = find_citizen(
                self._tx, self._acceptance.people, tenant, identity=person.get("identity"),
                references=person.get("references", ()), reference=None, client_id="",
            )  # fmt: skip
            if found.verdict == "ambiguous":
                message = "it is not sure who this is: give the identifier of a system that the hub knows"
                raise InvalidMessage(message, pointer="/data/citizen", code="ambiguous_citizen")
            known = found.citizen_id
        self.told += self._acceptance.corrections.changed(
            self._tx, tenant, self._origin.name, self._directory.connections, event, known
        )
        return _Found(f"c:{known}" if known is not None else f"s:{event.id}"[:200])

    def _other(self, event: Event) -> _Found:
        request = self._request_of(event.data.get("request"))
        if event.data.get("request") and request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        person = event.data.get("citizen")
        marked = person is not None and self._citizens.is_marked(self._origin.tenant, person)
        self._heed_marks()
        subject = event.subject or (request.id if request else event.id)
        found = _Found(f"s:{hashlib.sha256(subject.encode()).hexdigest()[:32]}", request=request)
        self._route(found, event, request, marked=marked)
        return found

    def _heed_marks(self, also: Collection[str] = ()) -> None:
        """What concerns a citizen who was just marked is confidential from here on. `also`: marked before, and now
        found among the people of a request."""
        marked = self._citizens.take_fresh_marks()
        self._marked |= marked
        if marked or also:
            self._requests.conceal({*marked, *also})

    def _route(
        self, found: _Found, event: Event, request: Request | None, citizen: Citizen | None = None, *,
        marked: bool = False,
    ) -> None:  # fmt: skip
        if citizen is not None:
            systems = self._citizens.systems(citizen)
        else:
            linked = request is not None and self._directory.asks_for_links(self._origin.tenant, event.type)
            systems = self._requests.systems(request) if linked and request is not None else frozenset()
        facts = Facts(
            self._origin.tenant, event.type, self._origin.name, request.procedure if request else None,
            request.intake if request else None, systems, marked or bool(request and request.confidential),
            alone=f"{self._origin.tenant}.{event.data['client']}" if event.type in TOLD else None,
        )  # fmt: skip
        if facts not in self._routes:
            self._routes[facts] = self._directory.route(facts)
        found.route = self._routes[facts]
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
        about = [e for e in events if isinstance(e.data.get("citizen"), Mapping)]
        people = [e.data["citizen"] for e in about]
        household = [person for e in events for person in e.data.get("household", ())]
        people += [person for person in household if person.get("confidential")]
        along = [person for person in household if not person.get("confidential")]
        people += [p for e in events if e.type == "request.received" for p in _people(e.data["request"])]
        if people or along:
            said = [(e.data["citizen"], k, v["value"]) for e in about for k, v in e.data.items() if _is_value(v)]
            self._citizens.prefetch(self._origin.tenant, people, said, along)

    def _key(self, event: Event) -> tuple[str, str, str]:
        return (self._origin.tenant, event.source, event.id)


def withhold(
    tx: Transaction, directory: Directory, tenant: str, citizens: Collection[str], requests: Collection[str]
) -> None:
    """These citizens and requests are confidential from now on: a mark stops what is still on its way, too."""
    if not citizens and not requests:
        return
    members = [member.name for member in directory.connections.values() if member.tenant == tenant]
    withheld = []
    for connection, seq, request_id in tx.on_their_way(members, {f"c:{citizen}" for citizen in citizens}, requests):
        request = timelines.read(tx, tenant, request_id) if request_id else None
        procedure, intake = (request.procedure, request.intake) if request else (None, None)
        if not directory.may_know(connection, procedure, intake):
            withheld.append((connection, seq))
    tx.withhold(withheld, "dossier confidentiel : rien n'est transmis")


def _looking_again() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(Raced), stop=stop_after_attempt(5), wait=wait_random(0, 0.05), reraise=True
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


def _check_form(event: Event, read: bool) -> None:
    try:
        encoded = event.encode()
    except TypeError:
        raise InvalidMessage("data must be JSON", pointer="/data", code="not_json") from None
    if len(encoded) > MAX_EVENT_BYTES:
        raise InvalidMessage(f"an event has at most {MAX_EVENT_BYTES} bytes", code="too_large")
    if event.time is not None and len(event.time) > _TIME:
        raise InvalidMessage("time is too precise", pointer="/time", code="not_an_event")
    if not read:
        _read_again(event)
    if b"\\u0000" in encoded:  # perhaps; or the six characters themselves
        _refuse_nul(event.data, "/data")


def _read_again(event: Event) -> None:
    """An event that a connector made has passed no reader yet: it is held to the form of any other."""
    read = Event.from_dict(event.to_dict())
    if read.id != event.id or len(read.extensions) != len(event.extensions):
        raise InvalidMessage("an extension has the name of an attribute", code="not_an_event")


def _refuse_nul(value: Any, pointer: str) -> None:
    """No database takes the character 0 in a text."""
    if isinstance(value, str) and "\x00" in value:
        raise InvalidMessage("the character U+0000 is not taken", pointer=pointer, code="schema_violation")
    if isinstance(value, Mapping):
        for name, below in value.items():
            _refuse_nul(name, pointer)
            _refuse_nul(below, f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list | tuple):
        for place, below in enumerate(value):
            _refuse_nul(below, f"{pointer}/{place}")


def _again(before: tuple[bytes, int], digest: bytes) -> Verdict:
    if before[0] != digest:
        message = "this source and id were used before with another content"
        raise InvalidMessage(message, pointer="/id", code="id_reused")
    return Verdict("duplicate", before[1])


def _digest(event: Event) -> bytes:
    """What makes two events the same: not the time they were sent at, nor the attributes of the way."""
    content = [event.type, event.version, event.subject, event.data]
    return hashlib.sha256(orjson.dumps(content, default=dict, option=orjson.OPT_SORT_KEYS)).digest()


def _people(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The citizens of a request, the beneficiary first: the case is about them."""
    agent = record.get("representative", {}).get("person", {}).get("citizen")
    requester = record["requester"].get("citizen")
    return [*record.get("beneficiaries", ()), *(person for person in (requester, agent) if person)]


def _named(event: Event) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The people in an event, each with the pointer to them."""
    data = event.data
    if isinstance(data.get("citizen"), Mapping):
        yield "/data/citizen", data["citizen"]
    for place, person in enumerate(data.get("household", ())):
        yield f"/data/household/{place}", person
    record = data.get("request")
    if event.type == "request.received" and isinstance(record, Mapping):
        for person in _people(record):
            yield "/data/request", person


def _is_value(value: Any) -> bool:
    return isinstance(value, Mapping) and "value" in value and "quality" in value
