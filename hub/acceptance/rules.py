"""What an event means, by its type: rules that `hub.wiring` registers, and the one reading that a batch gives them.

A new event type wants a schema. It gets a rule of its own only where it means more than its order says; nothing here
or in `accept.py` names a type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, Protocol

from bus.ledger import Transaction
from bus.tables import SKIPPED
from hub.acceptance.mentions import citizen_of, household_of, people_of, request_record, values_of
from hub.acceptance.statements import Claim, Reference, Statement, keep_unproved
from hub.citizens.catch_ups import ask_for_known
from hub.citizens.news import NewsBook
from hub.citizens.repository import Citizen, Citizens
from hub.clients.origin import Origin
from hub.requests import repository as timelines
from hub.requests.followed import FollowedSubjects
from hub.requests.repository import Request, Requests
from hub.routing.directory import Directory, Facts, Route
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.registry import Registry

_NOBODY = Route(())
_TOO_MANY = "trop de personnes à reconnaître en un jour : un opérateur doit reprendre l'envoi"
_DISPUTED = "deux personnes sous un même identifiant : un opérateur doit dire qui c'est, puis reprendre l'envoi"


@dataclass(slots=True)
class Understood:
    """What a rule makes of one event. `order_key`: design, promise 3. `event`: what of it is spread, when that is not
    all of it. `echo`: it says what is known already. `review`: values that wait for an operator. `unread`: somebody
    must act on it, and nobody who treats the request gets it. `held`: its questions are too many, and it waits for an
    operator; `urgent`: the same day. `numbered`: rows that are to hold the number of the event, beside its `steps`.
    `silent`: there is nobody to whom the hub would say it, and so it says nothing."""

    order_key: str
    route: Route = _NOBODY
    request: Request | None = None
    steps: list[dict[str, Any]] = field(default_factory=list)
    numbered: list[dict[str, Any]] = field(default_factory=list)
    echo: bool = False
    event: Event | None = None
    review: tuple[str, ...] = ()
    unread: bool = False
    held: bool = False
    urgent: bool = False
    silent: bool = False


@dataclass(frozen=True, slots=True)
class Restated:
    """Of what the hub says again: whom it is about, and the facts by which what was said first was routed. `mover`: it
    is about somebody who moved along with this one, and may be news, as the connection or client `said_by` said it;
    `told`: who knows it by the household, from the event whose number `by` holds."""

    citizen_id: str
    procedure: str | None = None
    intakes: tuple[str, ...] = ()
    confidential: bool = False
    mover: str | None = None
    said_by: str = ""
    told: frozenset[str] = frozenset()
    by: Mapping[str, Any] = field(default_factory=dict)


class Rule(Protocol):
    """The meaning of one or several event types. Stateless: what it reads and changes is in the reading."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        """Raises InvalidMessage when the event must be refused; then it has changed nothing."""
        ...


class Rules:
    """Which rule an event falls under: that of its type, else that of its order (`request`, `citizen`, `subject`), else
    `AnyEvent`."""

    def __init__(self, registry: Registry, by_type: Mapping[str, Rule], by_order: Mapping[str, Rule]) -> None:
        any_event = AnyEvent()
        self._rules = {
            event_type: by_type.get(event_type) or by_order.get(registry.order_of(event_type)) or any_event
            for event_type in registry.types()
        }

    def rule_of(self, event_type: str) -> Rule:
        return self._rules[event_type]


class AnyEvent:
    """What has no rule of its own goes to whoever asks for it, in the order of its own subject."""

    def understand(self, event: Event, reading: Reading) -> Understood:
        link, person = event.data.get("request"), citizen_of(event)
        request = reading.request_of(link)
        if link and request is None:
            raise InvalidMessage("no such request", pointer="/data/request", code="unknown_request")
        acts = request is not None and (reading.origin.by_grant or reading.holds(request))
        if person is not None and person.get("confidential") and reading.asks_too_much([person]):
            return reading.hold(Understood(subject_key(event, request), request=request), [person])
        marked = person is not None and reading.citizens.is_marked(reading.tenant, person)
        reading.heed_marks()
        understood = Understood(subject_key(event, request), request=request)
        reading.route(understood, event, marked=marked, acts=acts)
        return understood


def subject_key(event: Event, request: Request | None = None) -> str:
    """The order key of an event that names neither a request's nor a citizen's order: its own subject."""
    subject = event.subject or (request.id if request else event.id)
    return f"s:{hashlib.sha256(subject.encode()).hexdigest()[:32]}"


class Reading:
    """What one batch of one origin reads and changes: citizens, requests and marks, read at once by `prefetch` and
    written at once by `save`. `said`: what the hub itself says because of it; `lacking`: by citizen the fields that it
    says again, since some lack them and not all; `along`: what it says of those who moved along; `restated`: by the id
    of an event, what the hub says again; `afterwards`: what is done in the same commit once the events have their
    numbers. `say_as_hub` accepts what the hub itself says in a tenant, in the same
    commit, and gives the numbers of what was not refused."""

    def __init__(
        self, tx: Transaction, origin: Origin, directory: Directory, citizens: Citizens,
        say: Callable[[str, Sequence[Event]], Sequence[int]], news: NewsBook,
    ) -> None:  # fmt: skip
        self.news = news
        self.tx, self.origin, self.tenant, self.directory = tx, origin, origin.tenant, directory
        self.requests, self.citizens, self.say_as_hub = Requests(tx), citizens, say
        self.followed = FollowedSubjects(tx)
        self.said: list[Event] = []
        self.afterwards: list[Callable[[], None]] = []
        self.lacking: list[tuple[str, set[str]]] = []
        self.restated: Mapping[str, Restated] = {}
        self.along: list[tuple[Event, Restated]] = []
        self._marked: set[str] = set()
        self._parties = directory.parties(origin)
        self._claims: list[Claim] = []
        # By the record of a person (which `prefetch` was given, and keeps), what else was said of whom it is.
        self._of_others: dict[int, tuple[Mapping[str, Any], Sequence[Reference]]] = {}
        self._routes: dict[Facts, Route] = {}

    @property
    def zone(self) -> tzinfo:
        """The time zone in which the days of the tenant are counted."""
        return self.directory.zone_of(self.tenant)

    def prefetch(self, stated: Sequence[Statement]) -> None:
        """Read all that these statements name, in a few statements of the database."""
        events = [one.event for one in stated]
        links = [link for event in events if (link := event.data.get("request"))]
        references = {(r["system"], r["id"]) for link in links for r in link.get("references", ())}
        references |= {(r["system"], r["id"]) for e in events for r in e.data.get("new_references", ())}
        ids = {link["id"] for link in links if "id" in link}
        if references or ids:
            self.requests.prefetch(self.tenant, references, ids, self._parties)
        about = [(event, citizen) for event in events if (citizen := citizen_of(event)) is not None]
        household = [person for event in events for person in household_of(event)]
        people = [citizen for _, citizen in about]
        people += [person for person in household if person.get("confidential")]
        people += [person for event in events for person in people_of(request_record(event))]
        along = [person for person in household if not person.get("confidential")]
        if people or along:
            said = [(citizen, name, value) for event, citizen in about for name, value in values_of(event).items()]
            self.citizens.prefetch(self.tenant, people, said, along)
        self._of_others |= {id(person): (person, others) for one in stated for person, others in one.of_people}

    def request_of(self, link: Mapping[str, Any] | None) -> Request | None:
        """The request that a record `request-link` names; None when it names none, or one that is not there for this
        origin: only its intake, those it was sent to, those who have an identifier of it and who decides may speak of
        it."""
        return self.requests.find(self.tenant, link, self._is_party) if link else None

    def request_known(self, request_id: str) -> Request | None:
        """A request that the hub itself knows to be meant."""
        self.requests.prefetch(self.tenant, (), {request_id}, self._parties)
        return self.requests.find(self.tenant, {"id": request_id})

    def was_sent(self, seq: int | None, types: Collection[str]) -> bool:
        """Whether the origin, or a system for which it speaks, is or was given the event of this number, of one of
        these types."""
        if seq is None or not types:
            return False
        stored = self.tx.load([seq]).get(seq)
        rows = self.tx.deliveries_of([seq]) if stored is not None and stored.event.type in types else ()
        return any(row.connection in self._parties and row.state != SKIPPED for row in rows)

    def _is_party(self, request: Request) -> bool:
        origin, systems = self.origin, self.requests.systems(request)
        return (
            origin.internal or origin.by_grant or self.holds(request) or self.requests.was_sent(request)
            or any(map(origin.speaks_for, systems)) or self.directory.decides(origin.name, request.procedure)
        )  # fmt: skip

    def holds(self, request: Request) -> bool:
        """Whether the origin brought this request, or acts for who did."""
        return self.directory.holds(self.origin.name, request.intakes)

    def is_named_by_others_alone(self, person: Mapping[str, Any]) -> bool:
        """Whether the origin names this person by nothing but identifiers of systems for which it does not speak."""
        return id(person) in self._of_others and not self.citizens.is_named(self.tenant, person)

    def identifiers_of_others(self, person: Mapping[str, Any]) -> Sequence[Reference]:
        """Identifiers by which this person may be found, and no more."""
        return self._of_others[id(person)][1] if id(person) in self._of_others else ()

    def is_marked_elsewhere(self, person: Mapping[str, Any]) -> bool:
        """Whether somebody who is named by identifiers of others must be kept confidential."""
        named = {"references": list(self.identifiers_of_others(person))}
        self.citizens.prefetch(self.tenant, (), (), [named])
        return self.citizens.is_marked(self.tenant, named) or bool(person.get("confidential"))

    def asks_too_much(self, people: Sequence[Mapping[str, Any]]) -> bool:
        """Whether to know these people, all that an event makes known, would open more questions than the origin may
        open today, or cannot be said before a question is answered."""
        return self.citizens.asks_too_much(self.tenant, people)

    def hold(self, understood: Understood, people: Sequence[Mapping[str, Any]]) -> Understood:
        """The event is accepted, linked to none of its people and told to nobody, until an operator admits it. A mark
        protects all the same who is known."""
        understood.held, understood.urgent = True, any(person.get("confidential") for person in people)
        marked = self.citizens.mark_known(self.tenant, people)
        self.heed_marks()
        if understood.request is not None:
            understood.request.confidential |= marked
            disputed = any(self.citizens.is_disputed(self.tenant, person) for person in people)
            understood.steps.append(self.requests.step(
                understood.request, "held", origin=self.origin.name, at=self.tx.now,
                reason=_DISPUTED if disputed else _TOO_MANY,
            ))  # fmt: skip
        return understood

    def claim(self, understood: Understood, stated: Statement) -> None:
        """Keep what the statement says of identifiers of others."""
        if stated.of_request:
            self._claims.append((understood.order_key, stated.of_request, False))
        for person, references in stated.of_people:
            known = self.citizens.check(self.tenant, person)
            subject = f"c:{known}" if known else understood.order_key
            self._claims.append((subject, references, bool(person.get("confidential"))))

    def heed_marks(self, also: Collection[str] = ()) -> None:
        """What concerns a citizen who was just marked is confidential from here on. `also`: marked before, and now
        found among the people of a request."""
        marked = self.citizens.take_fresh_marks()
        self._marked |= marked
        if marked or also:
            self.requests.conceal({*marked, *also})

    def route(
        self, understood: Understood, event: Event, *, citizen: Citizen | None = None, marked: bool = False,
        alone: str | None = None, acts: bool = False,
    ) -> None:  # fmt: skip
        """Who gets the event. `citizen`: whom it is about, for connections that ask for those they know; `marked`:
        somebody in it is confidential; `alone`: the one client or connection that may get it; `acts`: somebody must act
        on it. Noted, when nobody who treats the request gets it."""
        found = self.routed(understood, event, citizen=citizen, marked=marked, alone=alone, acts=acts)
        self.take_route(understood, found, acts=acts)

    def facts(
        self, event: Event, request: Request | None = None, *, citizen: Citizen | None = None, marked: bool = False,
        alone: str | None = None, acts: bool = False,
    ) -> Facts:  # fmt: skip
        """What routing needs to know of an event, as `route` is told it."""
        if citizen is not None:
            systems = self.citizens.systems(citizen)
        else:
            linked = request is not None and self.directory.asks_for_links(self.tenant, event.type)
            systems = self.requests.systems(request) if linked and request is not None else frozenset()
        return Facts(
            tenant=self.tenant, type=event.type, origin=self.origin.name,
            procedure=request.procedure if request else None, intakes=request.intakes if request else (),
            systems=systems, confidential=marked or bool(request and request.confidential), alone=alone, acts=acts,
        )  # fmt: skip

    def routed(self, understood: Understood, event: Event, **more: Any) -> Route:
        """As `route`, of which nothing is noted yet."""
        facts = self.facts(event, understood.request, **more)
        if facts not in self._routes:
            self._routes[facts] = self.directory.route(facts)
        return self._routes[facts]

    def take_route(self, understood: Understood, route: Route, *, acts: bool = False) -> None:
        """This is the way of the event."""
        request = understood.request
        understood.route = route
        intakes = request.intakes if request else ()
        understood.unread = acts and not self.directory.is_treated(route.to, intakes)
        if understood.route.withheld and request is not None:
            names = ", ".join(self.directory.label(name) for name in understood.route.withheld)
            reason = f"dossier confidentiel : rien n'est transmis à {names}"
            understood.steps.append(
                self.requests.step(request, "withheld", origin=self.origin.name, at=self.tx.now, reason=reason)
            )

    def step(self, understood: Understood, kind: str, *, data: Mapping[str, Any] | None = None,
             mark: str | None = None, said_at: float | None = None) -> None:  # fmt: skip
        """A line of the request's timeline, where the event concerns one."""
        if understood.request is not None:
            step = self.requests.step(
                understood.request, kind, origin=self.origin.name, at=self.tx.now, data=data, mark=mark,
                said_at=said_at,
            )  # fmt: skip
            understood.steps.append(step)

    def save(self) -> None:
        self.requests.save()
        self.followed.save()
        linked = {one for one, system in self.citizens.newly_linked()
                  if self.directory.tells_by_link(self.tenant, system)}  # fmt: skip
        if linked:  # what was known before this batch, and those who know them now may lack
            ask_for_known(self.tx, self.tenant, linked, cause="link")
        self.citizens.save()
        if self._claims:
            keep_unproved(self.tx, self.origin, self._claims)
        if self._marked or self.requests.concealed:
            withhold(self.tx, self.directory, self.news, self.tenant, self._marked, self.requests.concealed)


def may_know(directory: Directory, connection: str, request: Request | None) -> bool:
    """Whether a connection gets what is confidential and came by this request, or by none."""
    procedure, intakes = (request.procedure, request.intakes) if request is not None else (None, ())
    return directory.may_know(connection, procedure, intakes)


def withhold(
    tx: Transaction, directory: Directory, news: NewsBook, tenant: str, citizens: Collection[str],
    requests: Collection[str],
) -> None:  # fmt: skip
    """These citizens and requests are confidential from now on: a mark stops what is still on its way, too."""
    if not citizens and not requests:
        return
    connections = [one.name for one in directory.connections.values() if one.tenant == tenant]
    withheld = []
    people, shown = {f"c:{one}" for one in citizens}, directory.pulled(tenant)
    for connection, seq, request_id in tx.on_their_way(connections, people, requests, shown):
        request = timelines.read(tx, tenant, request_id)
        if not may_know(directory, connection, request):
            withheld.append((connection, seq))
    tx.withhold(withheld, "dossier confidentiel : rien n'est transmis", shown)
    news.take_back(tx, withheld)
