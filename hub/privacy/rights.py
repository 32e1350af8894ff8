"""The rights of a person: all that the hub holds or knows about them (RGPD art. 15), and its erasure (art. 17).

Other people stay out of an export: whoever is named beside the person is masked. An erasure is one commit; what stands
against it is said before anything is touched, what stays is said after.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

from sqlalchemy import Table, and_, delete, insert, or_, select, update

from bus.ledger import Ledger, StoredEvent, Transaction, parts
from bus.tables import DELIVERED, FINAL, deliveries, events
from hub.acceptance.accept import Acceptance
from hub.acceptance.kept_calls import calls_of_tenant, reduce_call
from hub.acceptance.refused import drop_refused, refused_of_tenant
from hub.citizens.households import numbers_of
from hub.citizens.identities import People
from hub.citizens.news import AT, HOW, OBSERVES, SAID, base_of
from hub.citizens.pending import PendingPair, PendingPairs
from hub.clients import repository as clients
from hub.documents.files import DocumentStore
from hub.documents.repository import document_ids
from hub.exchanges import corrections
from hub.exchanges.corrections import Change, Corrections
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Entry, Journal, Justification
from hub.privacy import transparency
from hub.requests import timeline
from hub.requests.repository import short_number
from hub.routing.directory import Directory
from hub.settings.model import Retention
from hub.storage.tables import (  # fmt: skip
    catch_ups,
    citizen_blocks,
    citizen_identities,
    citizen_links,
    citizen_merges,
    citizen_news,
    citizen_reviews,
    citizens,
    document_uses,
    documents,
    evidence_recipients,
    exchange_previews,
    followed_subjects,
    household_links,
    idempotent_answers,
    question_answers,
    renumbered_ids,
    request_people,
    request_steps,
    requests,
    unproved_references,
    unread_events,
)
from schemas.communes import shipped_communes
from schemas.errors import HubError, InvalidMessage
from schemas.event import Event
from schemas.exchange import TOLD
from schemas.names import fold_name, fold_text
from schemas.registry import Registry
from schemas.times import to_rfc3339

MASKED = {"masked": "another person"}
_DAY = 86_400.0
_PART = 500
_LINES = 100_000  # of the journal, about one person
_PEOPLE = frozenset({"citizen", "other", "beneficiaries", "household", "adults", "children", "declarants"})
_JOURNAL = (
    "Les lignes du journal (RGPD art. 17.3.b et e : obligation et preuve) : leurs parties personnelles ne sont plus"
    " lisibles, la clé qui les ouvrait est détruite."
)
_DOOR = (
    "Les couples source et identifiant des événements, avec une empreinte, 400 jours : un renvoi n'est pas pris pour"
    " une nouveauté."
)
_ELSEWHERE = (
    "Ce que les services raccordés et les destinataires gardent dans leurs propres fichiers : c'est à eux de l'effacer."
)
_BACKUPS = (
    "Les sauvegardes antérieures : après une restauration, effacez de nouveau (« citizen.erased » dans le journal)."
)
_WRITTEN = ("to", "sender")  # to whom a message goes, from whom it comes
_CONTACTS = ("email", "phone", "name")


class ErasureRefused(HubError):
    """What stands against an erasure, in French, one sentence each."""

    code = "erasure_refused"

    def __init__(self, obstacles: Sequence[str]) -> None:
        super().__init__("this person cannot be erased now")
        self.obstacles = tuple(obstacles)


@dataclass(frozen=True, slots=True)
class DataSubject:
    """One person of one tenant. `ids`: all under which things are kept about them, the one that holds first."""

    tenant: str
    ids: tuple[str, ...]
    links: frozenset[tuple[str, str]]
    identities: tuple[Mapping[str, Any], ...]
    requests: frozenset[str]

    def names(self, person: Mapping[str, Any]) -> bool:
        """Whether a record is about this person: one of their identifiers; else their names and birth date."""
        said = {(r.get("system"), r.get("id")) for r in person.get("references", ()) if isinstance(r, Mapping)}
        if said & self.links:
            return True
        if any(system in {mine for mine, _ in self.links} for system, _ in said):
            return False  # their own system tells them apart
        identity = person.get("identity", person)
        return any(_same_identity(identity, mine) for mine in self.identities)


@dataclass(slots=True)
class MentioningEvents:
    """The events that speak of somebody, and the documents that others name: those stay."""

    stored: list[StoredEvent] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    kept_documents: set[str] = field(default_factory=set)
    last: int = 0


@dataclass(frozen=True, slots=True)
class Erased:
    """What went, by kind; how many recipients are told; what stays and why, in French."""

    deleted: Mapping[str, int]
    recipients_told: int
    remaining: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rights:
    """`held` reads stored evidence; `corrections` tells past recipients."""

    ledger: Ledger
    acceptance: Acceptance
    people: People
    journal: Journal
    held: HeldEvidence
    documents: DocumentStore
    retention: Retention
    corrections: Corrections
    pending: PendingPairs

    @property
    def directory(self) -> Directory:
        return self.acceptance.directory

    @property
    def registry(self) -> Registry:
        return self.acceptance.registry

    def find_citizen_id(
        self, tenant: str, *, reference: tuple[str, str] | None = None, client: str = "", ref: str = ""
    ) -> str:
        """The citizen whom a system, or a client, calls so. Raises InvalidMessage `unknown_citizen`, or
        `household_reference` for a number that several people have."""
        with self.ledger.reading() as tx:
            if reference is not None:
                if reference[0] in self.directory.households(tenant):
                    message = "this is the number of a household: name one of its people"
                    raise InvalidMessage(message, code="household_reference")
                mine = (citizen_links.c.tenant == tenant, citizen_links.c.system == reference[0])
                query = select(citizen_links.c.citizen_id).where(*mine, citizen_links.c.native_id == reference[1])
                found = tx.sql.execute(query).scalar()
            else:
                found = self.people.citizen_of(client, ref)
            if found is None or self.people.tenant_of(tx, found) != tenant:
                raise InvalidMessage("nobody of this tenant is known under this reference", code="unknown_citizen")
            return self.people.followed(tx, found) or found

    # --- of whom the hub knows nothing, but a package does ------------------------------------------------------

    def read_pending(self, connection: str, native_id: str, by: Justification) -> dict[str, Any]:
        """What is kept of a record of a package that waits for its person (RGPD art. 15): by what the package calls
        them, for nothing else finds them. In the journal before it is given. Raises InvalidMessage `not_found`."""
        with self.ledger.transaction() as tx:
            pair = self._pending(tx, connection, native_id)
            self._note_pending(tx, pair, "pending-pair.read", by)
            return self._pending_pair(tx, pair)

    def erase_pending(self, connection: str, native_id: str, by: Justification) -> None:
        """Forget it (RGPD art. 17, 21). The next load of the package tells of them again, unless it leaves them out.
        Raises InvalidMessage `not_found`."""
        with self.ledger.transaction() as tx:
            pair = self._pending(tx, connection, native_id)
            self.pending.drop(tx, [pair.id])
            self._note_pending(tx, pair, "pending-pair.erased", by)

    def _pending(self, tx: Transaction, connection: str, native_id: str) -> PendingPair:
        system = self.directory.connections[connection].system
        found = self.pending.read(tx, [self.pending.id_of(connection, system, native_id)])
        if not found:
            raise InvalidMessage("no pending pair of this connection has this identifier", code="not_found")
        return found[0]

    def _note_pending(self, tx: Transaction, pair: PendingPair, act: str, by: Justification) -> None:
        """Without the identifier: there is no key of a person under which it could be sealed, and one day destroyed."""
        self.journal.write(tx, Entry(
            pair.tenant, "read" if act.endswith("read") else "operator", act, by.actor, "done",
            facts={"connection": pair.connection, "pair": pair.id}, personal={"reason": by.reason},
        ))  # fmt: skip

    # --- export -------------------------------------------------------------------------------------------------

    def export(self, tenant: str, citizen_id: str, by: Justification) -> dict[str, Any]:
        """All that the hub holds or knows about this person. The export is in the journal before it is given."""
        with self.ledger.transaction() as tx:
            self.journal.write(tx, Entry(
                tenant, "read", "citizen.exported", by.actor, "answered", citizen_id=citizen_id,
                personal={"reason": by.reason},
            ))  # fmt: skip
        who = self._read_subject(tenant, citizen_id)
        spoken = self._find_mentions(who)
        town = self.directory.tenants.get(tenant)
        with self.ledger.reading() as tx:
            return {
                "made_at": to_rfc3339(tx.now), "tenant": tenant,
                "controller": town.label if town else tenant, "timezone": town.zone.key if town else "Europe/Paris",
                "person": self._person(tx, who),
                "links": [{"system": system, "id": native} for system, native in sorted(who.links)],
                "households": [{"system": s, "id": native} for s, native in numbers_of(tx, tenant, who.ids)],
                "values": self._values(tx, who), "questions": _questions(tx, who), "merges": _merges(tx, who),
                "pending_pairs": [self._pending_pair(tx, pair) for pair in self._pairs_of(tx, who)],
                "requests": self._requests(tx, who), "documents": self._documents(tx, who, spoken),
                "events": self._events(tx, who, spoken), "acts": self._acts(tx, who),
                "observed": self._observed(tx, who),
                "stored_evidence": self._stored_evidence(tx, who), "shown_evidence": _previews(tx, who),
                "recipients": [self._recipient(tx, row) for row in corrections.received_by(tx, who.ids)],
                "corrections": [_correction(row) for row in corrections.of_citizen(tx, who.ids)],
            }  # fmt: skip

    def _person(self, tx: Transaction, who: DataSubject) -> dict[str, Any]:
        rows = tx.sql.execute(select(citizens).where(citizens.c.id.in_(who.ids))).all()
        seen = max(row.seen_at for row in rows)
        identity = self.people.identity_of(tx, who.ids[0])
        confidential = any(row.confidential for row in rows)
        return {
            "identity": identity, "identities": [one for one in who.identities if one != identity],
            "ids": list(who.ids), "confidential": confidential, "last_seen": to_rfc3339(seen),
            "kept_until": None if confidential else to_rfc3339(seen + self.retention.links_days * _DAY),
        }  # fmt: skip

    def _values(self, tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
        """Of each field who said it and who was told it, and when last: the value itself is kept as a digest alone.
        `on`: of what is to come, the day on which all others are told it."""
        _, known = self.acceptance.news.known(tx, who.ids)
        values = []
        for one in sorted(known, key=lambda one: one.field):
            said, given = dict[str, str](), dict[str, str]()
            for reader in sorted(one.readers()):
                if reader.startswith(OBSERVES):  # nothing of it has left the hub
                    continue
                label = self._label(tx, f"{who.tenant}.{reader}")
                for entry in one.entries(reader):
                    (said if entry[HOW] == SAID else given)[label] = to_rfc3339(float(entry[AT]))
            day = one.now.day if one.now is not None else ""
            values.append({"field": base_of(one.field), "on": day or None, "said": said, "given": given})
        return values

    def _pairs_of(self, tx: Transaction, who: DataSubject) -> list[PendingPair]:
        """Records of packages that are not linked with anybody, and say that they are of this person."""
        found = self.pending.of_person(tx, who.tenant, who.identities, who.links)
        return [pair for pair in found if who.names(pair.person)]

    def _pending_pair(self, tx: Transaction, pair: PendingPair) -> dict[str, Any]:
        return {
            "from": self._label(tx, pair.connection), "connection": pair.connection,
            "id": pair.person["references"][0]["id"], "identity": pair.person["identity"],
            "kept_until": to_rfc3339(pair.until),
        }  # fmt: skip

    def _requests(self, tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
        views = []
        for request_id in sorted(who.requests):
            view = timeline.request_view(tx, self.directory, who.tenant, request_id, timeline.PERSON)
            if view is None:
                continue
            row = tx.sql.execute(select(requests).where(requests.c.id == request_id)).one()
            days = self.retention.requests_days if row.final else self.retention.idle_requests_days
            views.append({**view, "kept_until": to_rfc3339(row.status_at + days * _DAY) if row.final else None})
        return sorted(views, key=lambda view: str(view["received_at"]))

    def _documents(self, tx: Transaction, who: DataSubject, spoken: MentioningEvents) -> list[dict[str, Any]]:
        asked = (document for procedure in self.directory.catalogue.values() for document in procedure.documents)
        kinds, found = {document.kind: document.label for document in asked}, []
        for some in parts(sorted(spoken.documents)):
            query = select(documents).where(documents.c.tenant == who.tenant, documents.c.id.in_(some))
            found += [
                {"id": row.id, "name": row.name, "media_type": row.media_type, "size": row.size, "kind": row.kind,
                 "kind_label": kinds.get(row.kind),
                 "stored_at": to_rfc3339(row.stored_at)}
                for row in tx.sql.execute(query)
            ]  # fmt: skip
        return found

    def _events(self, tx: Transaction, who: DataSubject, spoken: MentioningEvents) -> list[dict[str, Any]]:
        by_seq: dict[int, list[Any]] = {}
        for some in parts([stored.seq for stored in spoken.stored]):
            for row in tx.deliveries_of(some):
                by_seq.setdefault(row.seq, []).append(row)
        contacts = {said for stored in spoken.stored for said in _contacts(stored.event.data, who)}
        shown = []
        for stored in spoken.stored:
            until = stored.accepted_at + self.retention.events_days * _DAY
            shown.append({
                "seq": stored.seq, "type": stored.event.type, "from": self._label(tx, stored.origin),
                "accepted_at": to_rfc3339(stored.accepted_at), "request": stored.request_id,
                "kept_until": to_rfc3339(until) if stored.request_id is None else None,
                "data": _masked(self._readable(stored), who, contacts | _written_to(stored.event.data, who)),
                "deliveries": [
                    {"to": self._label(tx, row.connection), "connection": row.connection, "state": row.state,
                     "at": to_rfc3339(row.at), "told": row.state == DELIVERED}
                    for row in by_seq.get(stored.seq, ())
                ],
            })  # fmt: skip
        return shown

    def _readable(self, stored: StoredEvent) -> Mapping[str, Any]:
        """The data without what a machine said of a failure: that is for operators, and says nothing of the person."""
        said = self.registry.category(stored.event.type) == "operation"
        return {name: value for name, value in stored.event.data.items() if not (said and name == "cause")}

    def _acts(self, tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
        lines = [
            line for one in who.ids for line in self.journal.of_citizen(tx, who.tenant, one, limit=_LINES)
        ]  # fmt: skip
        return [transparency.describe_line(tx, self, line) for line in sorted(lines, key=lambda line: -line.at)]

    def _observed(self, tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
        """What a package pushed about them while its connection observed: kept, told to nobody."""
        return [
            {"type": event.type, "from": self._label(tx, call.connection), "received_at": to_rfc3339(call.at),
             "kept_until": to_rfc3339(call.until), "data": self._shown(event.data, who)}
            for call in calls_of_tenant(tx, who.tenant) for event in call.events if _may_name(event, who)
        ]  # fmt: skip

    def _shown(self, data: Mapping[str, Any], who: DataSubject) -> Any:
        return _masked(data, who, {*_contacts(data, who), *_written_to(data, who)})

    def _stored_evidence(self, tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
        return [
            {"type": held.evidence.type, "version": held.evidence.version, "from": self._label(tx, held.connection),
             "obtained_at": to_rfc3339(held.at), "kept_until": to_rfc3339(until),
             "values": _masked(held.evidence.values, who, set())}
            for held, until in self.held.of_citizen(tx, who.ids)
        ]  # fmt: skip

    def _recipient(self, tx: Transaction, row: Any) -> dict[str, Any]:
        procedure = self.directory.catalogue.get(row.procedure)
        return {
            "exchange": row.exchange_id, "at": to_rfc3339(row.at), "tenant": row.client_tenant,
            "client": self._label(tx, f"{row.client_tenant}.{row.client_id}"),
            "evidence": row.type, "fields": row.fields.split(),
            "from": self._label(tx, row.connection), "procedure": row.procedure, "kept_until": to_rfc3339(row.until),
            "procedure_label": procedure.label if procedure is not None else None,
        }  # fmt: skip

    def _label(self, tx: Transaction, name: str) -> str:
        """What people call a connection, a client, or the hub itself."""
        member = self.directory.connections.get(name)
        client = clients.find_client(tx, name.partition(".")[2]) if member is None else None
        if client is not None and f"{client.tenant}.{client.id}" == name:
            return client.label
        return "Unefois" if name.endswith(".hub") else self.directory.label(name)

    # --- erasure ------------------------------------------------------------------------------------------------

    def obstacles(self, tenant: str, citizen_id: str) -> list[str]:
        """What stands against an erasure, in French; nothing is changed, nothing is written."""
        who = self._read_subject(tenant, citizen_id)
        spoken = self._find_mentions(who)
        with self.ledger.reading() as tx:
            return self._obstacles(tx, who, spoken)

    def erase(self, tenant: str, citizen_id: str, by: Justification) -> Erased:
        """Forget this person. Raises Refused, then only the refusal is kept, in the journal."""
        who = self._read_subject(tenant, citizen_id)
        spoken = self._find_mentions(who)
        try:
            with self.ledger.transaction() as tx:
                tx.hold_door()
                now = self._subject(tx, tenant, citizen_id)
                if now != who:  # something came in meanwhile
                    who, spoken = now, MentioningEvents()
                self._scan_events(tx, who, spoken)
                if against := self._obstacles(tx, who, spoken):
                    raise ErasureRefused(against)
                erased = self._erase(tx, who, spoken, by)
        except ErasureRefused as refused:
            with self.ledger.transaction() as tx:
                self.journal.write(tx, Entry(
                    tenant, "operator", "citizen.erasure-refused", by.actor, "refused", citizen_id=who.ids[0],
                    facts={"obstacles": len(refused.obstacles)}, personal={"reason": by.reason},
                ))  # fmt: skip
            raise
        orphans = spoken.documents - spoken.kept_documents
        before = datetime.fromtimestamp(self.ledger.now(), UTC)
        released = self.documents.release(tenant, sorted(orphans), stored_before=before)
        return Erased({**erased.deleted, "documents": released}, erased.recipients_told, erased.remaining)

    def _obstacles(self, tx: Transaction, who: DataSubject, spoken: MentioningEvents) -> list[str]:
        found = []
        for request_id in sorted(who.requests):
            view = timeline.request_view(tx, self.directory, who.tenant, request_id)
            if view is not None and not view["final"]:
                found.append(_open_request(view))
        others = {s.request_id for s in spoken.stored if s.request_id} - who.requests
        for request_id in sorted(others):
            view = timeline.request_view(tx, self.directory, who.tenant, request_id)
            if view is not None and not view["final"]:
                number = short_number(request_id)
                found.append(f"Nommé dans la demande {number} d'une autre personne, qui n'est pas close.")
        for some in parts([stored.seq for stored in spoken.stored]):
            found += [
                f"L'événement {row.seq} n'a pas de fin chez {self._label(tx, row.connection)} (état : {row.state})."
                for row in tx.deliveries_of(some) if row.state not in FINAL
            ]  # fmt: skip
        return found

    def _erase(self, tx: Transaction, who: DataSubject, spoken: MentioningEvents, by: Justification) -> Erased:
        act = str(uuid.uuid4())
        notices = self.corrections.about(tx, who.tenant, who.ids, Change(
            f"erase {act}", by.actor, "erased", "person", datetime.fromtimestamp(tx.now, UTC).date().isoformat(),
        ))  # fmt: skip
        self.corrections.publish(tx, notices, partial(self.acceptance.say_as_hub, tx))
        gone = Counter(self._forget_events(tx, spoken))
        gone["refused_events"] = self._forget_refused(tx, who)
        gone["observed_events"] = self._forget_observed(tx, who)
        gone["followed_subjects"] = self._forget_subjects(tx, who, spoken)
        gone["request_texts"] = self._empty_requests(tx, who)
        gone["pending_pairs"] = self.pending.drop(tx, [pair.id for pair in self._pairs_of(tx, who)])
        gone["recipients"] = _delete_rows(tx, evidence_recipients, evidence_recipients.c.citizen_id.in_(who.ids))
        protected = self._forget_person(tx, who, gone)
        for citizen_id in who.ids:
            self.people.keys.destroy(tx, citizen_id)
        # Not under the key that was just destroyed: why somebody was erased stays, and must name nobody.
        self.journal.write(tx, Entry(
            who.tenant, "operator", "citizen.erased", by.actor, "erased", id=act,
            facts={"citizens": list(who.ids), "told": len(notices), "gone": dict(gone)}, personal={"reason": by.reason},
        ))  # fmt: skip
        return Erased(dict(gone), len(notices), self._what_remains(who, len(notices), protected=protected))

    def _forget_events(self, tx: Transaction, spoken: MentioningEvents) -> dict[str, int]:
        gone = Counter({"events": len(spoken.stored), "deliveries": 0})
        for some in parts([stored.seq for stored in spoken.stored]):
            gone["deliveries"] += _delete_rows(tx, deliveries, deliveries.c.seq.in_(some))
            _delete_rows(tx, document_uses, document_uses.c.seq.in_(some))
            _delete_rows(tx, unread_events, unread_events.c.seq.in_(some))
            _delete_rows(tx, events, events.c.seq.in_(some))
        return dict(gone)

    def _forget_refused(self, tx: Transaction, who: DataSubject) -> int:
        """What a connection brought about them and the door refused."""
        kept = refused_of_tenant(tx, who.tenant)
        return sum(drop_refused(tx, row_id) for row_id, event in kept if _may_name(event, who))

    def _forget_observed(self, tx: Transaction, who: DataSubject) -> int:
        """What a package told of them while its connection observed, and that waits to be handed in."""
        forgotten = 0
        for call in calls_of_tenant(tx, who.tenant):
            staying = tuple(event for event in call.events if not _may_name(event, who))
            if len(staying) < len(call.events):
                reduce_call(tx, call, staying)
                forgotten += len(call.events) - len(staying)
        return forgotten

    def _forget_subjects(self, tx: Transaction, who: DataSubject, spoken: MentioningEvents) -> int:
        """Where the person's own appointments, payments and messages stand; those of a request go with it."""
        keys = sorted({one.order_key for one in spoken.stored if one.order_key.startswith("s:")})
        row = followed_subjects.c
        return sum(
            _delete_rows(tx, followed_subjects, and_(row.tenant == who.tenant, row.order_key.in_(some)))
            for some in parts(keys)
        )

    def _empty_requests(self, tx: Transaction, who: DataSubject) -> int:
        """Of closed requests the shell stays: procedure, status, dates, file numbers. Words and people go."""
        emptied = 0
        for some in parts(sorted(who.requests)):
            shell = update(requests).where(requests.c.id.in_(some))
            emptied += tx.sql.execute(shell.values(reason=None)).rowcount
            words = {"reason": None, "native_label": None}
            said = (request_steps.c.request_id.in_(some), request_steps.c.kind != "withheld")  # those are the hub's own
            tx.sql.execute(update(request_steps).where(*said).values(words))
        mine = requests.c.citizen_id.in_(who.ids)
        tx.sql.execute(update(requests).where(mine).values(citizen_id=None))
        _delete_rows(tx, request_people, request_people.c.citizen_id.in_(who.ids))
        for row in tx.sql.execute(select(idempotent_answers)).all():
            if row.body and any(one.encode() in bytes(row.body) for one in who.requests):
                key = (idempotent_answers.c.client_id == row.client_id, idempotent_answers.c.key == row.key)
                tx.sql.execute(delete(idempotent_answers).where(*key))
        return emptied

    def _forget_person(self, tx: Transaction, who: DataSubject, gone: Counter[str]) -> bool:
        """All rows of the person. A mark of confidentiality is kept, with nothing but the keyed digest of the identity
        that it protects; whether there is one."""
        rows = tx.sql.execute(select(citizens).where(citizens.c.id.in_(who.ids))).all()
        for system, native in who.links:
            row = renumbered_ids.c
            _delete_rows(tx, renumbered_ids, and_(row.tenant == who.tenant, row.system == system, row.new_id == native))
        for table in (citizen_news, citizen_links, household_links, citizen_identities, citizen_blocks, catch_ups):
            gone[str(table.name)] = _delete_rows(tx, table, table.c.citizen_id.in_(who.ids))
        subjects = [f"c:{one}" for one in who.ids] + [f"r:{one}" for one in sorted(who.requests)]
        gone["unproved_references"] = sum(
            _delete_rows(tx, unproved_references, unproved_references.c.subject.in_(some)) for some in parts(subjects)
        )
        either = or_(citizen_reviews.c.citizen_id.in_(who.ids), citizen_reviews.c.other_id.in_(who.ids))
        gone["citizen_reviews"] = _delete_rows(tx, citizen_reviews, either)
        pair = or_(citizen_merges.c.gone_id.in_(who.ids), citizen_merges.c.kept_id.in_(who.ids))
        gone["citizen_merges"] = _delete_rows(tx, citizen_merges, pair)
        _delete_rows(tx, question_answers, question_answers.c.gone_id.in_(who.ids))
        gone["citizens"] = _delete_rows(tx, citizens, citizens.c.id.in_(who.ids))
        if not any(row.confidential for row in rows):
            return False
        marks = [
            {"id": str(uuid.uuid4()), "tenant": who.tenant, "pivot": pivot, "confidential": 1, "seen_at": tx.now,
             "merged_into": None, "in_use": None}
            for pivot in sorted({row.pivot for row in rows} - {None})
        ]  # fmt: skip
        if marks:
            tx.sql.execute(insert(citizens), marks)
        return bool(marks)

    def _what_remains(self, who: DataSubject, recipients: int, *, protected: bool) -> tuple[str, ...]:
        days, stays = self.retention.requests_days, [_JOURNAL, _DOOR, _ELSEWHERE, _BACKUPS]
        if who.requests:
            stays.insert(0, (
                f"{len(who.requests)} demande(s) close(s), sans nom ni texte (RGPD art. 17.3.b : mission de service"
                f" public) : démarche, état, dates, numéros de dossier, {days} jours après la clôture."
            ))  # fmt: skip
        if recipients:
            stays.append(
                f"{recipients} information(s) aux destinataires (RGPD art. 19), sous leurs propres références, jusqu'à"
                " leur accusé ou la fin de leur conservation."
            )  # fmt: skip
        if protected:
            stays.append("La marque de confidentialité, sur une empreinte à clé de l'identité : elle protège.")
        return tuple(stays)

    # --- who, and what is said of them ---------------------------------------------------------------------------

    def _read_subject(self, tenant: str, citizen_id: str) -> DataSubject:
        with self.ledger.reading() as tx:
            return self._subject(tx, tenant, citizen_id)

    def _subject(self, tx: Transaction, tenant: str, citizen_id: str) -> DataSubject:
        return data_subject(tx, self.people, tenant, citizen_id)

    def _find_mentions(self, who: DataSubject) -> MentioningEvents:
        """Looks through all events of the tenant: whom one names stands nowhere but in its sealed content."""
        spoken = MentioningEvents()
        while True:
            with self.ledger.reading() as tx:
                if not self._scan_events(tx, who, spoken, _PART):
                    return spoken

    def _scan_events(
        self, tx: Transaction, who: DataSubject, spoken: MentioningEvents, limit: int | None = None
    ) -> int:
        """Look at the events after those seen, so many at most; how many there were."""
        query = select(events.c.seq).where(events.c.seq > spoken.last, events.c.tenant == who.tenant)
        seqs = list(tx.sql.execute(query.order_by(events.c.seq).limit(limit)).scalars())
        for some in parts(seqs):
            for stored in tx.load(some).values():
                data = stored.event.data
                mine = _is_about(stored, who) or any(who.names(person) for person in _persons(data))
                (spoken.documents if mine else spoken.kept_documents).update(document_ids(data))
                if mine:
                    spoken.stored.append(stored)
        spoken.last = seqs[-1] if seqs else spoken.last
        spoken.stored.sort(key=lambda stored: stored.seq)
        return len(seqs)


def data_subject(tx: Transaction, people: People, tenant: str, citizen_id: str) -> DataSubject:
    """Who this is in a tenant, under all that was merged into them. Raises InvalidMessage `unknown_citizen`."""
    whole = people.followed(tx, citizen_id)
    if whole is None or people.tenant_of(tx, whole) != tenant:
        raise InvalidMessage("nobody of this tenant is known under this reference", code="unknown_citizen")
    ids = (whole, *(one for one in people.members(tx, whole) if one != whole))
    links = select(citizen_links.c.system, citizen_links.c.native_id).where(
        citizen_links.c.tenant == tenant, citizen_links.c.citizen_id.in_(ids)
    )
    cases = select(request_people.c.request_id).where(request_people.c.citizen_id.in_(ids))
    known = people.identities(tx, ids)
    return DataSubject(
        tenant, ids, frozenset((row.system, row.native_id) for row in tx.sql.execute(links)),
        tuple(known[one] for one in sorted(known)), frozenset(tx.sql.execute(cases).scalars()),
    )  # fmt: skip


def _is_about(stored: StoredEvent, who: DataSubject) -> bool:
    if stored.event.type in TOLD:
        return False  # names nobody
    return stored.request_id in who.requests or stored.order_key.removeprefix("c:") in who.ids


def _may_name(event: Event, who: DataSubject) -> bool:
    """Of an event that the door refused, so that nothing in it needs to have its form: then the name alone tells."""
    try:
        return any(who.names(person) for person in _persons(event.data))
    except (TypeError, AttributeError, ValueError):
        content = f" {fold_text(event.encode().decode())} "
        named = (fold_name(str(one.get("family_name", ""))) for one in who.identities)
        return any(name and f" {name} " in content for name in named)


def _same_identity(said: Mapping[str, Any], mine: Mapping[str, Any]) -> bool:
    """Whether two identities are of one person, as far as they go."""
    if not said.get("given_names") or not said.get("family_name") or not said.get("birthdate"):
        return False
    names = [[fold_name(one) for one in (who["family_name"], *who.get("given_names", ())[:1])] for who in (said, mine)]
    apart = said.get("gender", mine.get("gender")) != mine.get("gender", said.get("gender"))
    here, there = ((one.get("birthplace", ""), one.get("birthcountry", "")) for one in (said, mine))
    if names[0] != names[1] or said["birthdate"] != mine.get("birthdate") or apart:
        return False
    return shipped_communes().may_be_one(here[0], there[0], said["birthdate"], (here[1], there[1]))


def _is_person(key: str, value: Mapping[str, Any]) -> bool:
    named = "identity" in value or "family_name" in value or "given_names" in value
    return named or (key in _PEOPLE and "references" in value)


def _persons(value: Any, key: str = "") -> Iterator[Mapping[str, Any]]:
    """All people whom event data names, wherever they stand."""
    if isinstance(value, Mapping):
        if _is_person(key, value):
            yield value
        else:
            for name, part in value.items():
                yield from _persons(part, name)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _persons(part, key)


def _masked(value: Any, who: DataSubject, contacts: Collection[str], key: str = "") -> Any:
    """The same without anybody else. `contacts`: how the person is written to, and by which name."""
    if isinstance(value, Mapping):
        if _is_person(key, value):
            return dict(value) if who.names(value) else MASKED
        if key in _WRITTEN and not {str(value[name]) for name in _CONTACTS if name in value} & set(contacts):
            return MASKED
        return {name: _masked(part, who, contacts, name) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(part, who, contacts, key) for part in value]
    return value


def _contacts(data: Any, who: DataSubject) -> Iterator[str]:
    """The e-mail addresses and telephone numbers under which the person stands in event data."""
    for person in _persons(data):
        if who.names(person):
            yield from (str(person[name]) for name in ("email", "phone") if name in person)


def _written_to(data: Mapping[str, Any], who: DataSubject) -> set[str]:
    """Whom a message about this person alone goes to or comes from, in the words of that message."""
    citizen = data.get("citizen")
    if not isinstance(citizen, Mapping) or not who.names(citizen):
        return set()
    parties = (data[name] for name in _WRITTEN if isinstance(data.get(name), Mapping))
    return {str(party[name]) for party in parties for name in _CONTACTS if name in party}


def _questions(tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
    either = or_(citizen_reviews.c.citizen_id.in_(who.ids), citizen_reviews.c.other_id.in_(who.ids))
    rows = tx.sql.execute(select(citizen_reviews).where(either).order_by(citizen_reviews.c.opened_at))
    return [
        {"kind": row.kind, "state": row.state, "field": row.field, "opened_at": to_rfc3339(row.opened_at),
         "decided_at": _time_or_none(row.decided_at)}
        for row in rows
    ]  # fmt: skip


def _merges(tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
    pair = or_(citizen_merges.c.gone_id.in_(who.ids), citizen_merges.c.kept_id.in_(who.ids))
    rows = tx.sql.execute(select(citizen_merges).where(pair).order_by(citizen_merges.c.at))
    return [{"gone": row.gone_id, "kept": row.kept_id, "at": to_rfc3339(row.at)} for row in rows]


def _previews(tx: Transaction, who: DataSubject) -> list[dict[str, Any]]:
    mine = exchange_previews.c.citizen_id.in_(who.ids)
    rows = tx.sql.execute(select(exchange_previews).where(mine, exchange_previews.c.until > tx.now))
    return [
        {"exchange": row.id, "client": row.client_id, "decision": row.decision, "level": row.level,
         "kept_until": to_rfc3339(row.until)}
        for row in rows
    ]  # fmt: skip


def _correction(row: Any) -> dict[str, Any]:
    return {
        "change": row.change, "cause": row.cause, "evidence": row.type, "fields": row.fields.split(),
        "client": row.client_id, "tenant": row.client_tenant, "effective": row.effective, "at": to_rfc3339(row.at),
        "told_at": _time_or_none(row.told_at), "acknowledged_at": _time_or_none(row.acknowledged_at),
        "kept_until": to_rfc3339(row.until),
    }  # fmt: skip


def _open_request(view: Mapping[str, Any]) -> str:
    number, status = short_number(view["id"]), timeline.STATUS[view["status"]]
    text = f"Demande {number} en cours (« {view['label']} », {status}, reçue le {str(view['received_at'])[:10]})"
    due = view.get("clocks", {}).get("silence_on")
    return text + (f" : délai légal jusqu'au {due}." if due else ".")


def _delete_rows(tx: Transaction, table: Table, condition: Any) -> int:
    return int(tx.sql.execute(delete(table).where(condition)).rowcount)


def _time_or_none(at: float | None) -> str | None:
    return to_rfc3339(at) if at is not None else None
