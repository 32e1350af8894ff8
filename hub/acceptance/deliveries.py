"""The desk: what the relay and the worker ask of the hub about deliveries. It implements their two protocols."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import structlog
from sqlalchemy import select

from bus.api import receipts_queue
from bus.ledger import Claimed, StoredEvent, Transaction
from bus.tables import DELIVERED, FINAL, PARKED, REFUSED
from bus.worker import Ended, Identifiers
from hub.acceptance.accept import Acceptance
from hub.acceptance.marked_since import without_marked
from hub.acceptance.mentions import DAY, values_of
from hub.acceptance.observation import Observation
from hub.acceptance.refused import keep_refused
from hub.acceptance.restating import restate
from hub.acceptance.rules import may_know
from hub.acceptance.telling import given_again
from hub.citizens.catch_ups import ask_for_known
from hub.citizens.households import keep_number
from hub.citizens.news import SEQ, Known, base_of, is_coming, short
from hub.citizens.nir import doubtful_systems, is_refused
from hub.citizens.repository import Link, ask_identifiers, identifiers_of, link_citizen
from hub.clients.origin import Origin
from hub.clients.repository import Client
from hub.journal.sealing import look_again
from hub.requests import repository as timelines
from hub.requests.notices import transmitted
from hub.requests.repository import Request, Requests
from hub.routing.directory import ConnectionRouting
from hub.routing.views import granted_tree, project
from hub.storage.tables import citizen_links, citizens, household_links, requests
from schemas.converters import convert
from schemas.delivery import Delivery, Done, delivery_key
from schemas.errors import InvalidMessage
from schemas.event import Event

_log = structlog.get_logger()
_CACHE = 4000
_REFUSED = {
    "request.received": "la demande", "request.status-changed": "la demande rouverte",
    "document.received": "le document", "appointment.changed": "le rendez-vous",
    "payment.requested": "la demande de paiement", "message.letter-requested": "le courrier à envoyer",
    "message.sms-requested": "le SMS à envoyer", "message.received": "le message reçu",
}  # fmt: skip
OBSERVED = "Observation : préparé, rien n'est sorti"


@dataclass(frozen=True, slots=True)
class Observed(Done):
    """A delivery that was prepared and not sent; `sample`: what would have gone out, redacted, None where one is
    kept."""

    answer: str = OBSERVED
    sample: str | None = None


class Deliveries:
    """Implements `bus.relay.Views` and `bus.worker.Desk` for the connections of a directory. Without an `observation`
    nothing of what connections observe is counted."""

    def __init__(
        self, acceptance: Acceptance, broker_users: Callable[[], Sequence[str]] = tuple,
        observation: Observation | None = None,
    ) -> None:  # fmt: skip
        self._acceptance, self._observation = acceptance, observation
        self.broker_users = broker_users
        self._encoded: OrderedDict[tuple[int, int, tuple[str, ...]], bytes] = OrderedDict()

    def connections(self) -> Sequence[str]:
        """Those whose deliveries the bus carries."""
        return [m.name for m in self._acceptance.directory.connections.values() if not m.pulled]

    def outside(self, connection: str) -> bool:
        member = self._acceptance.directory.connections.get(connection)
        return member is not None and member.outside

    def silent(self, tx: Transaction) -> tuple[set[str], set[str]]:
        members = [m for m in self._acceptance.current.at(tx).connections.values() if m.outside]
        paused = tx.paused() if members else {}
        return {m.name for m in members if m.name in paused}, {m.name for m in members if m.mode != "live"}

    def note_observed(self, tx: Transaction, seen: Sequence[tuple[str, int, bytes]]) -> None:
        if self._observation is None:
            return
        by_connection: dict[str, list[Event]] = {}
        for connection, _, view in seen:
            by_connection.setdefault(connection, []).append(Event.from_dict(orjson.loads(view)))
        for connection, events in sorted(by_connection.items()):
            ended = [(event, DELIVERED, "", None) for event in events]
            self._observation.count_out(tx, connection, ended)

    def receipts(self) -> Sequence[str]:
        return [receipts_queue(user) for user in self.broker_users()]

    def origin(self, connection: str) -> Origin:
        """Under which name and with which rights a connection's own events are accepted."""
        return self._acceptance.directory.origin_of(connection)

    def version(self) -> int:
        return self._acceptance.directory.version

    def shown_since(self, tx: Transaction, connection: str) -> int:
        return self._acceptance.current.at(tx).shown_since(connection)

    def origin_of(self, client: Client) -> Origin:
        """Under which name and with which rights a client's events are accepted: those of the connection as which it
        speaks, as its manifest declares them, else its own."""
        member = self._acceptance.directory.of_client(client.tenant, client.id)
        return client.origin if member is None else self._acceptance.directory.origin_as(member.name, client.id)

    def pulls(self, tx: Transaction, member: ConnectionRouting) -> bool:
        """Whether this connection is still one whose package pulls, as this client."""
        now = self._acceptance.current.at(tx).of_client(member.tenant, member.client)
        return now is not None and now.pulled and now.name == member.name

    def view(self, tx: Transaction, stored: StoredEvent, connection: str) -> bytes:
        member = self._acceptance.current.at(tx).connections[connection]
        if member.outside:
            reference = self._reference(tx, member, stored)
            view = self._granted_view(stored, member)
            view = without_marked(self._acceptance, tx, member, {stored.seq: view}, {stored.seq: stored})[stored.seq]
            return with_recipient(view, self._acceptance.directory.reading_system(member), reference).encode()
        consumed = member.consumes.get(stored.event.type)
        key = (stored.seq, consumed.version if consumed else 0, consumed.fields if consumed else ())
        encoded = self._encoded.get(key)
        if encoded is None:  # the same fields for the next connection: encoded once
            encoded = self._encoded[key] = self._granted_view(stored, member).encode()
            if len(self._encoded) > _CACHE:
                self._encoded.popitem(last=False)
        return encoded

    def identifiers(self, tx: Transaction, claimed: Iterable[Claimed]) -> Identifiers:
        return self.ask_identifiers(tx, [c.order_key for c in claimed])()

    def ask_identifiers(self, tx: Transaction, keys: Iterable[str]) -> Callable[[], Identifiers]:
        tx.ask_directory()  # it is wanted with them
        return ask_identifiers(tx, [key[2:] for key in keys if key.startswith("c:")])

    def deliveries(
        self, tx: Transaction, connection: str, claimed: Sequence[Claimed], views: Mapping[int, Event],
        identifiers: Identifiers,
    ) -> dict[int, Delivery]:  # fmt: skip
        member = self._acceptance.current.at(tx).connections[connection]
        missing = tx.load([c.seq for c in claimed if c.seq not in views])
        seen = {**views, **{seq: self._granted_view(stored, member) for seq, stored in missing.items()}}
        seen = without_marked(self._acceptance, tx, member, seen, missing)
        keys = {c.seq: (c.order_key, _request_id(seen[c.seq])) for c in claimed}
        references = self._references(tx, member, keys, identifiers)
        live, reader = self._live(tx, member, keys), self._acceptance.directory.reading_system(member)
        return {
            c.seq: Delivery(
                event=with_recipient(seen[c.seq], reader, references.get(c.seq)),
                key=delivery_key(connection, seen[c.seq]),
                reference=references.get(c.seq),
                attempt=c.attempt,
                request_id=keys[c.seq][1],
                live=c.seq in live,
            )
            for c in claimed
        }

    def check(self, connection: str, events: Sequence[Event]) -> None:
        try:
            for checked in self._acceptance.check(self.origin(connection), events):
                if isinstance(checked, InvalidMessage):
                    raise checked
        except InvalidMessage as error:
            raise InvalidMessage(
                f"le connecteur a rendu un événement invalide ({error.code}) : {error.reason}",
                pointer=error.pointer,
                code=error.code,
            ) from None

    def settle(self, tx: Transaction, connection: str, ended: Sequence[Ended]) -> None:
        member = self._acceptance.current.at(tx).connections.get(connection)
        if member is None:
            self._settle_removed(tx, connection, ended)
            return
        for item in ended:
            if item.done is not None and item.done.reference:
                self._keep_reference(tx, member, item)
        self._accept_returned(tx, member, [item.done.events for item in ended if item.done is not None])
        parked = [self._parked(item, connection) for item in ended if item.finished.state == PARKED]
        if parked:
            self._acceptance.say_as_hub(tx, member.tenant, parked)
        self._take_back(tx, connection, ended)

        self._count_observed(tx, connection, ended)
        self._announce_refusals(tx, member, [item for item in ended if item.finished.state == REFUSED])
        over = [item for item in ended if item.delivery.request_id and item.finished.state in FINAL]
        changes = [item.finished.seq for item in over if item.delivery.event.type.startswith("citizen.")]
        self._announce_outcomes(tx, member.tenant, changes)

    def _take_back(self, tx: Transaction, connection: str, ended: Sequence[Ended]) -> None:
        """What was refused, or prepared only, its reader does not know."""
        refused, observed = dict[str, list[tuple[str, int]]](), dict[str, list[tuple[str, int]]]()
        for item in ended:
            finished, key = item.finished, item.finished.order_key
            if key.startswith("c:") and finished.state == REFUSED:
                refused.setdefault(key[2:], []).append((connection, finished.seq))
            elif key.startswith("c:") and finished.state == DELIVERED and finished.answer == OBSERVED:
                observed.setdefault(key[2:], []).append((connection, finished.seq))
        if refused:
            self._acceptance.news.take_back_of(tx, refused)
        if observed and self._member(connection).mode != "observe":
            self._acceptance.news.take_back_of(tx, observed, observed=True)

    def _settle_removed(self, tx: Transaction, connection: str, ended: Sequence[Ended]) -> None:
        """The connection was removed during its call: nothing speaks for it any more, and what the call returned is
        kept for an operator."""
        returned = [event for item in ended if item.done is not None for event in item.done.events]
        error = InvalidMessage("ce raccordement a été retiré", code="not_found")
        if returned:
            keep_refused(tx, connection, connection.partition(".")[0], [(event, error) for event in returned])

    def _count_observed(self, tx: Transaction, connection: str, ended: Sequence[Ended]) -> None:
        if self._observation is None or all(item.delivery.live for item in ended):
            return
        observed = [
            (
                item.delivery.event, item.finished.state, item.finished.fault or "",
                item.done.sample if isinstance(item.done, Observed) else None,
            )
            for item in ended if not item.delivery.live and item.finished.state in (DELIVERED, REFUSED, PARKED)
        ]  # fmt: skip
        self._observation.count_out(tx, connection, observed)

    def _accept_returned(self, tx: Transaction, member: ConnectionRouting, returned: Sequence[Sequence[Event]]) -> None:
        """Accept what handlers returned. Their calls are done, and to replay them would repeat them: what is refused is
        kept sealed, for an operator."""
        events = [event for some in returned for event in some]
        if not events:
            return
        origin = self.origin(member.name)
        checked = [item for some in returned for item in self._acceptance.check(origin, some)]
        verdicts = self._acceptance.admit(tx, origin, checked)
        refused = [(event, v.error) for event, v in zip(events, verdicts, strict=True) if v.error is not None]
        if refused:
            keep_refused(tx, member.name, member.tenant, refused)
            _log.error("returned events refused", connection=member.name, codes=sorted({e.code for _, e in refused}))

    def submit_refused(self, tx: Transaction, connection: str, event: Event) -> InvalidMessage | None:
        """Hand in again, as this connection, what the door refused before; why it is refused again, or None. Kept with
        its new cause then."""
        member = self._acceptance.directory.connections.get(connection)
        if member is None:
            raise InvalidMessage("no such connection in the directory", code="not_found")
        (verdict,) = self._acceptance.accept(tx, self.origin(connection), [event])
        if verdict.error is not None:
            keep_refused(tx, connection, member.tenant, [(event, verdict.error)])
        return verdict.error

    def skip(self, tx: Transaction, connection: str, seq: int, cause: str) -> bool:
        """Give a parked delivery up for an operator, and say so where its end was waited for. False when it is not
        parked."""
        if not tx.skip(connection, seq, cause):
            return False
        self._acceptance.news.take_back(tx, [(connection, seq)])
        stored = tx.load([seq])[seq]
        if stored.request_id and stored.event.type.startswith("citizen."):
            self._announce_outcomes(tx, stored.tenant, [seq])
        return True

    def replay(self, tx: Transaction, connection: str, seq: int) -> bool:
        """Try a parked or refused delivery again for an operator. False when it is neither. Raises InvalidMessage when
        a mark has since made it confidential to this connection, and `overtaken` when the connection has since been
        given, or has said, something newer of all that a refused one says. Of one that is overtaken in part, the hub
        says what the connection still lacks in an event of its own, and the refused one stays refused."""
        stored = tx.load([seq]).get(seq)
        if stored is not None:
            request = timelines.read(tx, stored.tenant, stored.request_id)
            if not self._may_know(tx, connection, stored, request):
                raise InvalidMessage("dossier confidentiel : rien n'est transmis à ce raccordement", code="refused")
        if stored is not None and self._is_refused(tx, connection, seq):
            overtaken, left = self._overtaken(tx, connection, stored)
            if overtaken and left:
                restate(self._acceptance, tx, stored.tenant, stored.order_key[2:], left)
                return True
            if overtaken:
                message = "ce raccordement a reçu ou dit depuis une valeur plus récente"
                raise InvalidMessage(message, code="overtaken")
        if not tx.replay(connection, seq):
            return False
        look_again(tx, connection, seq)
        return True

    def _is_refused(self, tx: Transaction, connection: str, seq: int) -> bool:
        return any(row.connection == connection and row.state == REFUSED for row in tx.deliveries_of([seq]))

    def _overtaken(self, tx: Transaction, connection: str, stored: StoredEvent) -> tuple[set[str], set[str]]:
        """The fields of a refused event about a citizen of which its connection has something newer, and the others.
        Where it has none, it is noted as given again."""
        values, member = values_of(stored.event), self._acceptance.directory.connections.get(connection)
        consumed = member.consumes.get(stored.event.type) if member is not None else None
        if not values or member is None or consumed is None or not stored.order_key.startswith("c:"):
            return set(), set()
        tx.hold_door()
        book, directory = self._acceptance.news, self._acceptance.directory
        news, known = book.known(tx, [stored.order_key[2:]])
        beside = {base_of(one.field) for one in known if is_coming(one.field) and _is_of_day(stored.event, one)}
        mine = {
            base_of(one.field): one for one in known
            if base_of(one.field) in values and is_coming(one.field) == (base_of(one.field) in beside)
        }  # fmt: skip
        overtaken = {
            name for name, one in mine.items()
            if any((entry[SEQ] or 0) > stored.seq for entry in one.entries(short(connection)))
        }  # fmt: skip
        if not overtaken:
            found = identifiers_of(tx, [stored.order_key[2:]])
            native = found.get((member.tenant, directory.reading_system(member), stored.order_key[2:]))
            for name, one in mine.items():
                entry = given_again(book.digests, directory, stored.event, name, member, native, stored.seq, tx.now)
                one.note([short(connection)], entry)
            news.save()
        return overtaken, values.keys() - overtaken

    def may_get(self, tx: Transaction, connection: str, stored: StoredEvent) -> bool:
        """Whether a connection that had an event may have it still: it reads the type, for these procedures and within
        its scope, and no mark keeps it from it."""
        member = self._acceptance.directory.connections.get(connection)
        consumed = member.consumes.get(stored.event.type) if member is not None else None
        if member is None or consumed is None:
            return False
        request = timelines.read(tx, stored.tenant, stored.request_id)
        if not self._may_know(tx, connection, stored, request):
            return False
        for allowed in (member.procedures, consumed.procedures):
            if allowed and request is not None and request.procedure not in allowed:
                return False
        return consumed.scope != "linked" or self._reference(tx, member, stored) is not None

    def _may_know(self, tx: Transaction, connection: str, stored: StoredEvent, request: Request | None) -> bool:
        query = select(citizens.c.confidential).where(citizens.c.id == stored.order_key.removeprefix("c:"))
        marked = stored.order_key.startswith("c:") and bool(tx.sql.execute(query).scalar())
        if not marked and not (request is not None and request.confidential):
            return True
        return may_know(self._acceptance.directory, connection, request)

    def _granted_view(self, stored: StoredEvent, member: ConnectionRouting) -> Event:
        consumed = member.consumes.get(stored.event.type)
        fields = consumed.fields if consumed else ()
        tree = granted_tree(fields)
        event = convert(stored.event, consumed.version) if consumed else stored.event
        # The sender may have a correlation of its own; readers take the name for ours.
        extensions = {name: value for name, value in event.extensions.items() if name != "correlationid"}
        if stored.request_id is not None:
            extensions["correlationid"] = stored.request_id
        return replace(event, data=project(event.data, tree) if tree else {}, extensions=extensions)

    def _reference(self, tx: Transaction, member: ConnectionRouting, stored: StoredEvent) -> str | None:
        known = identifiers_of(tx, [stored.order_key[2:]] if stored.order_key.startswith("c:") else [])
        keys = {stored.seq: (stored.order_key, stored.request_id)}
        return self._references(tx, member, keys, known).get(stored.seq)

    def _references(
        self, tx: Transaction, member: ConnectionRouting, keys: Mapping[int, tuple[str, str | None]],
        identifiers: Identifiers,
    ) -> dict[int, str]:  # fmt: skip
        people = {seq: key[2:] for seq, (key, _) in keys.items() if key.startswith("c:")}
        cases = {seq: request for seq, (key, request) in keys.items() if request and seq not in people}
        by_case = timelines.references(tx, sorted(set(cases.values()))) if cases else {}
        own = self._acceptance.directory.reading_system(member)
        found = {
            seq: native for seq, citizen in people.items()
            if (native := identifiers.get((member.tenant, own, citizen))) is not None
        }  # fmt: skip
        for seq, request in cases.items():
            mine = [native for system, native in by_case.get(request, ()) if system == own]
            if mine:
                found[seq] = mine[0]
        return found

    def _live(self, tx: Transaction, member: ConnectionRouting, keys: Mapping[int, tuple[str, str | None]]) -> set[int]:
        """Which deliveries are really sent: all in `live`, none in `observe`, the named ones in `pilot`."""
        if member.mode != "pilot":
            return set(keys) if member.mode == "live" else set()
        cases = {request for _, request in keys.values() if request}
        people = {key[2:] for key, _ in keys.values() if key.startswith("c:")}
        query = select(requests.c.id).where(requests.c.id.in_(cases), requests.c.procedure.in_(member.pilot_procedures))
        piloted = {row.id for row in tx.sql.execute(query)}
        named, digest = set(member.pilot_citizens), self._acceptance.news.digests.of_pilot
        for table in (citizen_links, household_links):
            links = select(table).where(table.c.citizen_id.in_(people))
            piloted |= {r.citizen_id for r in tx.sql.execute(links) if digest(r.system, r.native_id) in named}
        return {seq for seq, (key, request) in keys.items() if request in piloted or key[2:] in piloted}

    def _keep_reference(self, tx: Transaction, member: ConnectionRouting, item: Ended) -> None:
        assert item.done is not None
        assert item.done.reference is not None
        delivery, key = item.delivery, item.finished.order_key
        if key.startswith("c:"):
            if self._may_keep(member, item.done.reference) and self._may_link(tx, member, key[2:]):
                directory = self._acceptance.directory
                tell = directory.tells_by_link(member.tenant, member.system)
                if member.system in directory.households(member.tenant):
                    keep_number(tx, member.tenant, member.system, item.done.reference, key[2:])
                    if tell:
                        ask_for_known(tx, member.tenant, [key[2:]], cause="link")
                else:
                    link = Link("told", member.name)
                    link_citizen(tx, member.tenant, member.system, item.done.reference, key[2:], link, tell=tell)
                self._note_link(tx, member, item)
        elif delivery.request_id is not None:
            book = Requests(tx)
            book.prefetch(member.tenant, [(member.system, item.done.reference)], [delivery.request_id])
            request = book.find(member.tenant, {"id": delivery.request_id})
            if request is not None:
                try:
                    book.link(request, [{"system": member.system, "id": item.done.reference}])
                except InvalidMessage as error:  # it stays with the request that had it first
                    _log.warning("reference not kept", connection=member.name, code=error.code)
                book.save()

    def _note_link(self, tx: Transaction, member: ConnectionRouting, item: Ended) -> None:
        """A package that gave somebody an identifier when it was told of them has been told under it."""
        system, key = self._acceptance.directory.reading_system(member), item.finished.order_key[2:]
        native = identifiers_of(tx, [key]).get((member.tenant, system, key))
        if native is not None and item.delivery.reference != native:
            link = self._acceptance.news.digests.of_link(system, native)
            self._acceptance.news.relink(tx, member.name, key, item.finished.seq, link)

    def _may_keep(self, member: ConnectionRouting, native_id: str) -> bool:
        """Whether an identifier that a package gave somebody is surely no social security number."""
        declared = self._acceptance.directory.identifiers(member.tenant)
        person = {"references": [{"system": member.system, "id": native_id}]}
        if doubtful_systems(person, declared):
            self._acceptance.ask_whose_numbers(member.tenant, member.system)
            return False
        return not is_refused(person["references"][0], declared)

    def _may_link(self, tx: Transaction, member: ConnectionRouting, citizen_id: str) -> bool:
        """Whether the systems that know this person are of sectors that may know them together with this one."""
        directory = self._acceptance.directory
        if not directory.separates(member.tenant):
            return True
        systems = {system for _, system, _ in identifiers_of(tx, [citizen_id])} | {member.system}
        return not directory.links_sectors(member.tenant, {"references": [{"system": name} for name in systems]})

    def _announce_refusals(self, tx: Transaction, member: ConnectionRouting, refused: Sequence[Ended]) -> None:
        """A package that will not take a request, or what was sent for one, says a step with its reason: the portal is
        told, and where nobody else has it, somebody must act."""
        told = []
        for item in refused:
            request_id, what = item.delivery.request_id, _REFUSED.get(item.delivery.event.type)
            request = timelines.read(tx, member.tenant, request_id) if request_id and what else None
            if request is None or self._acceptance.directory.holds(member.name, request.intakes):
                continue
            seq, reason = item.finished.seq, (item.finished.cause or "sans motif")[:2000]
            others = [row for row in tx.deliveries_of([seq]) if row.connection != member.name and row.state != REFUSED]
            if not self._acceptance.directory.is_treated([row.connection for row in others], request.intakes):
                timelines.note_unread(tx, [(seq, item.delivery.event.type, request)])
            told.append(Event(
                type="request.status-changed", source=f"/{member.tenant}/hub",
                id=f"refused-{hashlib.sha256(f'{member.name} {seq} {reason}'.encode()).hexdigest()[:32]}",
                data={
                    "request": {"id": request.id}, "status": None, "reason": reason,
                    "native": {"code": "refused", "label": f"{member.label} ne prend pas {what}"[:300]},
                },
            ))  # fmt: skip
        if told:
            self._acceptance.say_as_hub(tx, member.tenant, told)

    def _announce_outcomes(self, tx: Transaction, tenant: str, seqs: Sequence[int]) -> None:
        """Of changes that a request declared: once every connection has answered, say so to the portal that holds it.

        A step, never a decision: `transferred`, or that nobody took it; again when a replay changes that."""
        if not seqs:
            return
        tx.hold_door()  # two connections may end at the same moment: one looks after the other
        by_seq: dict[int, list[Any]] = {}
        for row in tx.deliveries_of(seqs):
            by_seq.setdefault(row.seq, []).append(row)
        over = {seq: rows for seq, rows in by_seq.items() if all(row.state in FINAL for row in rows)}
        told = [self._outcome_event(tx, stored, over[seq]) for seq, stored in tx.load(list(over)).items()]
        if told:
            self._acceptance.say_as_hub(tx, tenant, told)

    def _outcome_event(self, tx: Transaction, stored: StoredEvent, rows: Sequence[Any]) -> Event:
        taken = any(row.state == DELIVERED and not self._observed(row) for row in rows)
        request = timelines.read(tx, stored.tenant, stored.request_id)
        assert request is not None
        return transmitted(request, f"{stored.event.source} {stored.event.id}", taken=taken)

    def _observed(self, row: Any) -> bool:
        member = self._acceptance.directory.connections.get(row.connection)
        return row.answer == OBSERVED or (member is not None and member.mode == "observe")

    def _parked(self, item: Ended, connection: str) -> Event:
        data = {"connection": connection, "sequence": item.finished.seq, "type": item.delivery.event.type,
                "cause": (item.finished.cause or "")[:1000]}  # fmt: skip
        if item.delivery.request_id is not None:
            data["request"] = {"id": item.delivery.request_id}
        tenant = self._member(connection).tenant
        return Event(type="delivery.parked", source=f"/{tenant}/hub", data=data, subject=connection)

    def _member(self, connection: str) -> ConnectionRouting:
        return self._acceptance.directory.connections[connection]


def _is_of_day(event: Event, known: Known) -> bool:
    """Whether an event says what is to come, from that day."""
    return known.now is not None and known.now.day == event.data.get(DAY)


def with_recipient(event: Event, system: str, reference: str | None) -> Event:
    """The event as a connection reads it: with the identifier that the system of its reader gives to the matter."""
    if reference is None:
        return event
    return event.with_data({**event.data, "recipient": {"system": system, "reference": reference}})


def _request_id(event: Event) -> str | None:
    value = event.extensions.get("correlationid")
    return str(value) if value is not None else None
