"""The citizen's account: a portal shows a person who is signed in there their own requests, of all channels.

A grant for it says which portal, and how surely the person must be known; the proof is the one that an exchange asks
for. Of each request the person sees what its intake would see: who did what, no deliveries to others. What was written
to somebody else in it (reasons, documents) is theirs alone. Each look is in the journal before it is answered.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select

from bus.ledger import Transaction
from hub.clients.origin import Origin
from hub.clients.repository import Client
from hub.documents import access
from hub.exchanges.exchange import NOTHING, Exchanges, Withheld
from hub.exchanges.grants import Grant, NotAllowed
from hub.journal.entries import Entry
from hub.privacy.rights import DataSubject, data_subject
from hub.requests import repository as timelines
from hub.requests.repository import Request, RequestFilter
from hub.requests.timeline import Viewer, request_view, shown_references
from hub.storage.tables import request_people, requests
from schemas.errors import HubError, InvalidMessage
from schemas.event import Event
from schemas.exchange import NotMatched

COMPLETES = "document.received"
_NOBODY = str(uuid.UUID(int=0))
_DOCUMENT = ("name", "kind", "media_type", "size")  # not the id: the account opens no document


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Who is signed in at a portal. `reference`: what the portal calls the person; `role`: `beneficiary`, or
    `representative` of that person; `assurance`: how surely the portal knows who asks."""

    client: Client
    reference: str
    role: str
    assurance: str


class NoSuchRequest(HubError):
    """No request of this person has this id; somebody else's is not told from none."""

    code = "not_found"


@dataclass(frozen=True, slots=True)
class Page:
    """Requests of one person, oldest first, each with the identifiers that may be shown."""

    requests: Sequence[Request]
    references: Mapping[str, list[dict[str, str]]]


@dataclass(frozen=True, slots=True)
class Accounts:
    """All of it by a grant. Every method raises NotAllowed (the grant) and NotMatched (nobody is known under this
    reference, or nothing of them may be shown: the same)."""

    exchanges: Exchanges

    def list_requests(
        self, who: SignedIn, *, after: tuple[float, str] | None, limit: int, only: RequestFilter
    ) -> Page:  # fmt: skip
        """So many requests of this person after a position, and one more when there are more."""
        grant = self._granted(who, "requests.shown")
        with self.exchanges.ledger.transaction() as tx:
            person = self._person(tx, who)
            if person is not None:
                mine = replace(only, citizen=person.ids[0])
                found = timelines.list_requests(
                    tx, who.client.tenant, intake=None, after=after, limit=limit + 1, only=mine
                )
                links = shown_references(tx, self.exchanges.directory, found, Viewer("portal", who.client.origin.name))
                self._note(tx, who, grant, "requests.shown", person, count=min(len(found), limit))
        if person is None:
            raise NotMatched(NOTHING)
        return Page(found, links)

    def read_request(self, who: SignedIn, request_id: str) -> dict[str, Any]:
        """One request of this person. Raises NoSuchRequest."""
        grant = self._granted(who, "request.shown")
        with self.exchanges.ledger.transaction() as tx:
            person = self._owner(tx, who, grant, "request.shown", request_id)
            if isinstance(person, DataSubject):
                self._note(tx, who, grant, "request.shown", person, request=request_id)
                return self._view(tx, who, person, request_id)
        raise person

    def add_document(self, who: SignedIn, request_id: str, document: Mapping[str, Any], kind: Any) -> dict[str, Any]:
        """Complete a request of this person by a document that the portal stored before: whoever treats the request is
        told as of any document that comes for it. The same document again changes nothing. Raises NoSuchRequest,
        InvalidMessage `document_not_yours`, `schema_violation`."""
        ledger, act = self.exchanges.ledger, "request.completed"
        grant = self._granted(who, act)
        with ledger.transaction() as tx:
            person = self._owner(tx, who, grant, act, request_id)
        if not isinstance(person, DataSubject):
            raise person
        origin, event = who.client.origin, _document_event(who.client.origin, request_id, document, kind)

        def note(tx: Transaction, _: object) -> None:
            self._note(tx, who, grant, act, person, request=request_id)

        acceptance, by_grant = self.exchanges.acceptance, _of_grant(origin)
        for checked in acceptance.check(by_grant, [event]):
            if isinstance(checked, InvalidMessage):
                raise checked
        acceptance.submit(
            ledger, by_grant, [event], whole=True,
            before=lambda tx: access.check_named(tx, origin, event), after=note,
        )  # fmt: skip
        with ledger.reading() as tx:
            return self._view(tx, who, person, request_id)

    # --- steps --------------------------------------------------------------------------------------------------

    def _granted(self, who: SignedIn, act: str) -> Grant:
        exchanges, client, now = self.exchanges, who.client, self.exchanges.ledger.now()
        with exchanges.ledger.reading() as tx:
            exchanges.acceptance.current.at(tx)
        try:
            grant = exchanges.grants.decide_account(
                client.id, client.tenant, asker=who.role, assurance=who.assurance, now=now
            )
            exchanges.rates.check(grant, now)
        except NotAllowed as error:
            refused = error.grant

            def write(code: str) -> None:
                with exchanges.ledger.transaction() as tx:
                    self._note(tx, who, refused, act, None, code)

            exchanges.refusals.note(client.id, error, now, write)
            raise
        return grant

    def _person(self, tx: Transaction, who: SignedIn) -> DataSubject | None:
        """Whom the portal calls so. Another's reference, and one that nobody has, are nobody by the same statements; so
        is a protected person to who asks in their name."""
        people, client = self.exchanges.people, who.client
        citizen_id = people.citizen_of(client.id, who.reference) or _NOBODY
        try:
            person = data_subject(tx, people, client.tenant, citizen_id)
        except InvalidMessage:
            self._note(tx, who, None, "account.refused", None, NotMatched.code)
            return None
        if who.role != "beneficiary" and any(people.is_confidential(tx, one) for one in person.ids):
            self._note(tx, who, None, "account.refused", None, Withheld.code)
            return None
        return person

    def _owner(
        self, tx: Transaction, who: SignedIn, grant: Grant, act: str, request_id: str
    ) -> DataSubject | HubError:  # fmt: skip
        """The person, when this is a request of theirs; else why not, which is in the journal."""
        person = self._person(tx, who)
        if person is None:
            return NotMatched(NOTHING)
        query = select(requests.c.id).join(request_people, request_people.c.request_id == requests.c.id).where(
            requests.c.id == request_id, requests.c.tenant == person.tenant,
            request_people.c.citizen_id.in_(person.ids),
        )  # fmt: skip
        if tx.sql.execute(query.limit(1)).first() is not None:
            return person
        self._note(tx, who, grant, act, person, NoSuchRequest.code)
        return NoSuchRequest("there is no such request of this person")

    def _view(self, tx: Transaction, who: SignedIn, person: DataSubject, request_id: str) -> dict[str, Any]:
        whole = self._is_alone(tx, person, request_id) or _asked(tx, person, request_id)
        viewer = Viewer("portal", who.client.origin.name, reasons=whole)
        view = request_view(tx, self.exchanges.directory, person.tenant, request_id, viewer)
        assert view is not None
        documents = access.of_request(tx, request_id) if whole else []
        shown = [{name: record[name] for name in _DOCUMENT if name in record} for _, record in documents]
        return {**view, "documents": shown}

    def _is_alone(self, tx: Transaction, person: DataSubject, request_id: str) -> bool:
        query = select(request_people.c.citizen_id).where(request_people.c.request_id == request_id)
        return set(tx.sql.execute(query).scalars()) <= set(person.ids)

    def _note(
        self, tx: Transaction, who: SignedIn, grant: Grant | None, act: str, person: DataSubject | None,
        outcome: str = "answered", **more: Any,
    ) -> None:  # fmt: skip
        facts = {"grant": grant.id if grant else None, "role": who.role, "assurance": who.assurance, **more}
        self.exchanges.journal.write(tx, Entry(
            tenant=who.client.tenant, kind="read", act=act, actor=who.client.origin.name, outcome=outcome,
            citizen_id=person.ids[0] if person is not None else None,
            facts={name: fact for name, fact in facts.items() if fact is not None},
        ))  # fmt: skip


def _document_event(origin: Origin, request_id: str, document: Mapping[str, Any], kind: Any) -> Event:
    """Named after what it says: the same document of the same kind for the same request is the same event."""
    return Event(
        COMPLETES, f"{origin.sources[0]}/account",
        {"document": dict(document), "kind": kind, "request": {"id": request_id}},
        id=str(uuid.uuid5(uuid.UUID(request_id), f"{document.get('id')} {kind}")),
    )  # fmt: skip


def _of_grant(origin: Origin) -> Origin:
    """Who speaks, with standing for any request by the grant: for this event alone, after all that it names was held
    against the portal's own rights."""
    return replace(origin, types=frozenset({COMPLETES}), by_grant=True)


def _asked(tx: Transaction, person: DataSubject, request_id: str) -> bool:
    """Whether this person is the one who asked, to whom its answers are written."""
    for stored in tx.events_of_request(request_id):
        if stored.event.type == "request.received":
            asker = stored.event.data["request"]["requester"].get("citizen")
            return asker is not None and person.names(asker)
    return False
