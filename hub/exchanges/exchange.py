"""Once-only exchanges: grant, citizen, source, minimise, sign, journal, answer. All of it, or one coded error.

An exchange is in the journal before its answer leaves; so is each one that was refused or failed. The legal basis comes
from the grant, never from the caller.
"""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import orjson
from sqlalchemy import select

from bus.ledger import Ledger, Transaction
from bus.questions import CallerLeft
from bus.sql import Insert
from bus.tables import events
from hub.acceptance.accept import Acceptance
from hub.citizens.identities import People
from hub.citizens.lookup import find_citizen
from hub.clients.repository import Client, find_client
from hub.exchanges.grants import GROUNDS, Grant, Granted, GrantQuery, Grants, NotAllowed, Rates
from hub.exchanges.previews import Decision, Preview, Previews, StillOpen
from hub.exchanges.sign_ins import SignIns, Visitor
from hub.exchanges.sources import SourceAway, SourcedEvidence, SourceNeeds, Sources
from hub.exchanges.stored_evidence import Held, HeldEvidence
from hub.journal.entries import Entry, Journal, JournalConflict
from hub.journal.signing import Signer
from hub.requests import repository as timelines
from hub.routing.directory import Directory
from hub.storage.group_commit import GroupCommit
from hub.storage.keyed_digest import keyed_digest
from hub.storage.person_keys import KeyDestroyed
from hub.storage.tables import evidence_recipients
from schemas.errors import HubError, InvalidMessage, TryLater
from schemas.exchange import AmbiguousIdentity, Evidence, NotMatched, Question
from schemas.identities import read_people
from schemas.registry import Registry
from schemas.secret import Secret
from schemas.times import to_rfc3339

QUESTION = "urn:unefois:record:exchange-question:v1"
_TYP = "unefois-exchange+jwt"
_RECEIVE = Insert(evidence_recipients)
_SECONDS = 20.0  # for the sources of one exchange
_READERS = 8  # exchanges that read at once; more would open a session of the database each, for a moment
_MOST_REFUSALS = 100  # lines that the refused questions of one client may make in a minute
AT_ADDRESS = "decided at an address that the client held"
SIGNED_IN = "decided by the person, signed in by FranceConnect ({level})"
NOTHING = "nothing can be had about this person this way: ask them to bring it; this says nothing of any entitlement"
_NOT_WAITING = "no exchange of yours waits under this id"


class Withheld(HubError):
    """The person is marked confidential: their evidence is asked of themselves. For the journal alone: who asks is told
    what is told of anybody whom no source knows, or of an exchange that is over."""

    code = "evidence_withheld"


class PreviewRequired(HubError):
    """The person must see the evidence first, at `address`, and agree; then `Exchanges.collect_answer` gives it."""

    code = "preview_required"

    def __init__(self, exchange: str, address: str) -> None:
        super().__init__("the person looks at the evidence at this address and decides; then collect the answer")
        self.problem_members = {"exchange": exchange} | ({"preview": address} if address else {})


class RefusedByPerson(HubError):
    """The person saw the evidence and does not want it used."""

    code = "refused_by_person"

    def __init__(self) -> None:
        super().__init__("the person does not want this evidence used: ask the person themselves")


class UnknownExchange(HubError):
    """No such exchange of this client waits for its collection."""

    code = "not_found"


class UnknownGround(HubError):
    """The procedure or request that should justify the exchange is not there for this client."""

    code = "unknown_request"


Answer = Mapping[str, Any]
"""What leaves, with the signature over it."""


@dataclass(slots=True)
class _Exchange:
    """One exchange on its way. What is not known yet is None."""

    id: str
    client: Client
    question: Mapping[str, Any]
    tenant: str  # whose data
    procedure: str = ""
    request_id: str | None = None
    previewed: bool = False  # the person must look first
    grant: Grant | None = None
    granted: Granted | None = None
    fields: tuple[str, ...] = ()
    citizen_id: str | None = None
    confidential: bool = False
    source: str | None = None
    stored: bool = False
    code: str = ""
    decided: str = ""  # how the decision of the person was taken, for the journal

    @property
    def evidence(self) -> str:
        return str(self.question["evidence"])

    @property
    def version(self) -> int:
        return int(self.question.get("version", 1))

    @property
    def asker(self) -> Mapping[str, Any]:
        asker: Mapping[str, Any] = self.question["asker"]
        return asker

    @property
    def parameters(self) -> Mapping[str, Any]:
        parameters: Mapping[str, Any] = self.question.get("parameters", {})
        return parameters


class Refusals:
    """Counts what is refused to each client, in this process: what needs no grant must not fill the journal."""

    def __init__(self) -> None:
        self._counted: dict[str, tuple[int, int]] = {}  # by client: the minute, and how many
        self._lock = threading.Lock()

    def note(self, client_id: str, error: HubError, now: float, write: Callable[[str], None]) -> None:
        """Have a refusal written down by its code. Raises NotAllowed `rate_exceeded` beyond a hundred in one minute:
        one line tells of all that follow."""
        number = self._count(client_id, now)
        if number <= _MOST_REFUSALS:
            write(error.code)
            return
        if number == _MOST_REFUSALS + 1:
            write("rate_exceeded")
        raise NotAllowed("rate_exceeded", after=60 - now % 60) from None

    def _count(self, client_id: str, now: float) -> int:
        """The how manieth of this minute this one is."""
        minute = int(now // 60)
        with self._lock:
            last, number = self._counted.get(client_id, (minute, 0))
            number = number + 1 if last == minute else 1
            self._counted[client_id] = (minute, number)
        return number


@dataclass(slots=True)
class Exchanges:
    """Asks for one client after the other; safe for several threads."""

    ledger: Ledger
    registry: Registry
    acceptance: Acceptance
    grants: Grants
    rates: Rates
    people: People
    sources: Sources
    held: HeldEvidence
    previews: Previews
    sign_ins: SignIns
    journal: Journal
    signer: Signer
    issuer: str
    refusals: Refusals = field(default_factory=Refusals)
    _readers: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(_READERS))
    _group_commit: GroupCommit[tuple[_Exchange, Evidence]] = field(init=False)

    def __post_init__(self) -> None:
        self._group_commit = GroupCommit(self.ledger, self._hand_over)

    def exchange(self, client: Client, question: Any, *, left: threading.Event | None = None) -> Answer:
        """One exchange. `question` is the record `exchange-question`; `left` is set when nobody waits any more.

        Raises InvalidMessage (the question is malformed), NotAllowed (the grant), UnknownGround, NotMatched (of
        a person marked confidential, too), AmbiguousIdentity, TryLater (a source is away). Each is in the journal
        first; when that cannot be written, BusUnavailable. A client to whom more than a hundred questions are refused
        in one minute gets NotAllowed `rate_exceeded` for the others; one line tells of them all."""
        exchange = self._checked_question(client, question)
        try:
            return self._obtain(exchange, left or threading.Event())
        except PreviewRequired:
            raise
        except KeyDestroyed:  # erased while the question was under way: the line is about nobody any more
            exchange.citizen_id = None
            self._note_outcome(exchange, NotMatched.code, failed=True)
            raise NotMatched(NOTHING) from None
        except (NotAllowed, InvalidMessage, UnknownGround) as error:
            self._note_refusal(exchange, error)
            raise
        except (NotMatched, Withheld) as error:
            self._note_outcome(exchange, Withheld.code if exchange.confidential else error.code, failed=True)
            raise NotMatched(NOTHING) from None
        except HubError as error:
            withheld = exchange.confidential and isinstance(error, SourceAway)
            self._note_outcome(exchange, Withheld.code if withheld else error.code, failed=True)
            raise
        except Exception:
            self._note_outcome(exchange, "internal_error", failed=True)
            raise

    def look_at_preview(self, token: str, secret: str | None) -> Visitor | None:
        """What whoever is at this address, with this secret of a sign-in, may see. None when it is over."""
        with self.ledger.reading() as tx:
            return self.sign_ins.visitor(tx, token, secret)

    def decide_preview(self, token: str, decision: Decision, secret: str | None = None) -> Visitor | None:
        """Write down what the person at this address decided, if they may; the first time counts. A no is in the
        journal at once. None when there is nothing to decide any more."""
        with self.ledger.transaction() as tx:
            visitor = self.sign_ins.visitor(tx, token, secret)
            if visitor is None or visitor.preview is None:
                return visitor
            preview = self.previews.record_decision(tx, token, decision, visitor.level)
            client = find_client(tx, visitor.preview.client_id)
            if preview is None or client is None:
                return None
            if secret is not None:
                self.sign_ins.close(tx, preview, secret)
            if preview.decision == "refused":
                exchange = self._exchange_of(client, preview)
                exchange.code = RefusedByPerson.code
                self._write_journal(tx, exchange)
            return replace(visitor, preview=preview)

    def collect_answer(self, client: Client, exchange_id: str) -> Answer:
        """The answer of an exchange that the person was shown. Raises PreviewRequired until they decided,
        RefusedByPerson, or UnknownExchange when there is none, or no more, or the person has been marked confidential
        since; NotAllowed where it would be refused today."""
        with self.ledger.transaction() as tx:
            self.acceptance.current.at(tx)
            try:
                preview = self.previews.collect(tx, client.id, exchange_id)
            except StillOpen:
                raise PreviewRequired(exchange_id, "") from None
            if preview is None:
                raise UnknownExchange(_NOT_WAITING)
            if preview.decision == "refused":
                no: HubError | None = RefusedByPerson()  # whose line is there since they said so
            else:
                exchange = self._exchange_of(client, preview)
                no = self._refusal_today(tx, exchange)
                exchange.code = no.code if no is not None else ""
                evidence = Evidence(exchange.evidence, exchange.version, preview.body["values"])
                if no is None:
                    self._hand_over(tx, [(exchange, evidence)])
                else:
                    self._write_journal(tx, exchange)
        if isinstance(no, Withheld):
            raise UnknownExchange(_NOT_WAITING)
        if no is not None:
            raise no
        return preview.body

    @property
    def directory(self) -> Directory:
        return self.acceptance.directory

    def labels(self, preview: Preview) -> dict[str, Any]:
        """What the parts of an answer are called in French: `evidence`, `procedure`, and `fields` by name; `zone`: of
        the town whose citizen sees it."""
        body = preview.body
        procedure = self.directory.catalogue.get(str(body["procedure"]))
        marks = self.registry.evidence(str(body["evidence"]), int(body["version"]))["x-unefois"]
        return {
            "evidence": marks["label"],
            "fields": marks["fields"],
            "procedure": procedure.label if procedure else body["procedure"],
            "zone": self.directory.tenants[preview.exchange["tenant"]].zone,
        }

    # --- steps --------------------------------------------------------------------------------------------------

    def _checked_question(self, client: Client, question: Any) -> _Exchange:
        schemas = self.registry.schema_set
        question = question if schemas.accepts(QUESTION, question) else read_people(question)
        if not schemas.accepts(QUESTION, question):
            fault = schemas.fault(QUESTION, question)
            raise InvalidMessage(fault.sentence, pointer=fault.pointer, code="schema_violation", rule=fault.rule)
        exchange = _Exchange(str(uuid.uuid4()), client, question, str(question.get("tenant", client.tenant)))
        exchange.procedure, exchange.request_id = str(question.get("procedure", "")), question.get("request")
        return exchange

    def _obtain(self, exchange: _Exchange, left: threading.Event) -> Answer:
        if exchange.request_id is not None:
            with self.ledger.reading() as tx:
                self._justify(tx, exchange, exchange.request_id)
        if exchange.procedure not in self.directory.catalogue:
            raise InvalidMessage("this is not in the catalogue", pointer="/procedure", code="unknown_procedure")
        # The rate has its own transaction: inside of another, many questions would wait for each other in a circle.
        by = self.directory
        self._apply_grant(exchange, self.ledger.now())
        with self._readers, self.ledger.reading() as tx:
            tx.ask_directory()  # its answer comes with the next
            self._identify_citizen(tx, exchange)
            by = self._granted_by(tx, exchange, by)
            held = self._find_stored(tx, exchange)
            if exchange.confidential:
                held, exchange.source, exchange.stored = None, None, False
            began = 0 if held else tx.last_seq()
            question, natives = (None, {}) if held else self._question_to_sources(tx, exchange)
        evidence, obtained_at = (held.evidence, held.at) if held else (None, 0.0)
        if question is not None:
            answered = self._ask_sources(exchange, question, natives, left)
            evidence, obtained_at, exchange.source = answered.evidence, answered.at, answered.connection
        assert evidence is not None
        evidence = _minimised(evidence, exchange.fields)
        if left.is_set():
            raise CallerLeft
        if question is None and not exchange.previewed:
            answer = self._signed(exchange, evidence, obtained_at)
            self._group_commit.commit((exchange, evidence))
            return answer
        with self.ledger.transaction() as tx:
            if question is not None:
                self._check_again(tx, exchange, began)
                self._granted_by(tx, exchange, by)
                evidence = _minimised(evidence, exchange.fields)
            answer = self._signed(exchange, evidence, obtained_at)
            self._store_evidence(tx, exchange, evidence, obtained_at, fresh=question is not None)
            if not exchange.previewed:
                self._hand_over(tx, [(exchange, evidence)])
                return answer
            exchange.code = PreviewRequired.code
            self._write_journal(tx, exchange, step="preview")
            token = self.previews.store(tx, self._preview_of(exchange, answer))
        raise PreviewRequired(exchange.id, f"{self.issuer}/preview/{token}")

    def _justify(self, tx: Transaction, exchange: _Exchange, request_id: str) -> None:
        """The request that the client names must be its own, and gives the procedure."""
        request = timelines.read(tx, exchange.client.tenant, request_id)
        if request is None or exchange.client.origin.name not in request.intakes:
            raise UnknownGround("there is no such request of yours")
        if exchange.procedure not in ("", request.procedure):
            raise UnknownGround("the request is of another procedure")
        exchange.procedure = request.procedure

    def _granted_by(self, tx: Transaction, exchange: _Exchange, by: Directory) -> Directory:
        """The directory that stands. What was granted by another is decided again."""
        directory = self.acceptance.current.at(tx)
        if directory is not by:
            if exchange.procedure not in directory.catalogue:
                raise InvalidMessage("this is not in the catalogue", pointer="/procedure", code="unknown_procedure")
            self._decide(exchange, tx.now)
        return directory

    def _apply_grant(self, exchange: _Exchange, now: float) -> None:
        grant = self._decide(exchange, now)
        self.rates.check(grant, now)
        self.registry.check_parameters(exchange.evidence, exchange.version, exchange.parameters)

    def _decide(self, exchange: _Exchange, now: float) -> Grant:
        ask = _grant_query(exchange, exchange.question.get("fields", ()))
        try:
            exchange.grant, exchange.granted, exchange.fields = self.grants.decide(ask, now)
        except NotAllowed as error:
            exchange.grant = error.grant
            if error.code != PreviewRequired.code:
                raise
            shown = replace(ask, preview_shown=True)
            exchange.grant, exchange.granted, exchange.fields = self.grants.decide(shown, now)
            exchange.previewed = True
        return exchange.grant

    def _identify_citizen(self, tx: Transaction, exchange: _Exchange) -> None:
        citizen, client = exchange.question["citizen"], exchange.client
        references = citizen.get("references", ())
        for place, reference in enumerate(references):
            if reference["system"] != client.id or self._names_a_system_of(exchange.tenant, client):
                pointer = f"/citizen/references/{place}/system"
                raise InvalidMessage(f"the system must be {client.id}", pointer=pointer, code="reference_not_yours")
        found = find_citizen(
            tx, self.people, exchange.tenant, identity=citizen.get("identity"), references=references,
            reference=citizen.get("reference"), client_id=client.id,
        )  # fmt: skip
        if found.verdict == "ambiguous":
            raise AmbiguousIdentity("several people are known under this identity")
        if found.citizen_id is None and "identity" not in citizen:
            raise NotMatched(NOTHING)
        exchange.citizen_id = found.citizen_id
        if found.citizen_id is not None:
            exchange.confidential = self.people.is_confidential(tx, found.citizen_id)

    def _names_a_system_of(self, tenant: str, client: Client) -> bool:
        """Whether the references of a client of one tenant would read as those of a package of another."""
        members = self.directory.connections.values()
        return tenant != client.tenant and any((m.tenant, m.system) == (tenant, client.id) for m in members)

    def _check_again(self, tx: Transaction, exchange: _Exchange, began: int) -> None:
        """While the source was asked, somebody may have been marked, erased, merged, or become known; or a source told
        of a change, which finds no recipient yet, and what we got may be from before it."""
        tx.hold_door()  # what is being accepted is seen here, or sees us
        changes = (events.c.seq > began, events.c.type == "evidence.changed", events.c.tenant == exchange.tenant)
        if tx.sql.execute(select(events.c.seq).where(*changes).limit(1)).first() is not None:
            raise TryLater("a source changed something meanwhile: ask again", after=1.0)
        asked = exchange.citizen_id
        self._identify_citizen(tx, exchange)
        if asked is not None and exchange.citizen_id != asked:
            exchange.citizen_id = asked
            raise TryLater("the hub learnt meanwhile who this is", after=1.0)
        if exchange.citizen_id is None:
            exchange.citizen_id = self._create_citizen(tx, exchange)
            exchange.confidential = self.people.is_confidential(tx, exchange.citizen_id)
        if exchange.confidential:
            raise Withheld("this must be asked of the person")

    def _must_not_be_confidential(self, tx: Transaction, citizen_id: str) -> None:
        if self.people.is_confidential(tx, citizen_id):
            raise Withheld("this must be asked of the person")

    def _find_stored(self, tx: Transaction, exchange: _Exchange) -> Held | None:
        """A value that was obtained before and is still good enough for this grant and this procedure."""
        granted = exchange.granted
        assert granted is not None
        assert exchange.grant is not None
        if exchange.citizen_id is None or not granted.max_age:
            return None
        oldest = tx.now - granted.max_age.total_seconds()
        held = self.held.find(tx, exchange.citizen_id, self._storage_place(exchange), since=oldest)
        if held is None or not set(exchange.fields) <= set(held.fields):
            return None
        exchange.source, exchange.stored = held.connection, True
        return held

    def _question_to_sources(self, tx: Transaction, exchange: _Exchange) -> tuple[Question, Mapping[str, str]]:
        """What the sources are asked, and what each system calls the citizen."""
        citizen = exchange.question["citizen"]
        identity = citizen.get("identity")
        natives: Mapping[str, str] = {}
        if exchange.citizen_id is not None:
            if citizen.keys() - {"identity"}:  # named by a reference: their own identity is asked for, not one like it
                kept = self.people.identity_of(tx, exchange.citizen_id)
                identity = {**(identity or {}), **(kept or {})} or None
            natives = self.people.native_ids(tx, exchange.tenant, exchange.citizen_id)
        token = exchange.question.get("france_connect_token")
        if token and identity is None:
            raise SourceNeeds(["identity"])  # what it brings could be of anybody
        return Question(
            id=exchange.id, evidence=exchange.evidence, version=exchange.version, fields=exchange.fields,
            procedure=exchange.procedure, seconds=_SECONDS, identity=identity, parameters=exchange.parameters,
            token=Secret(token) if token else None,
        ), natives  # fmt: skip

    def _ask_sources(
        self, exchange: _Exchange, question: Question, natives: Mapping[str, str], left: threading.Event
    ) -> SourcedEvidence:
        """Raises what the sources raise. Of a person who is confidential they are not asked: it reads as if they knew
        nobody."""
        try:
            if exchange.confidential:
                raise self.sources.unmatched(exchange.tenant, question, natives)
            return self.sources.ask_sources(exchange.tenant, question, natives, left=left)
        except SourceAway as error:
            if exchange.citizen_id is not None:
                with self.ledger.reading() as tx:
                    error.last = self.held.last_known(tx, exchange.citizen_id, self._storage_place(exchange))
            raise

    def _create_citizen(self, tx: Transaction, exchange: _Exchange) -> str:
        """Who was not known until now, known from now on: what was obtained about them must be shown to them."""
        person = {name: exchange.question["citizen"][name] for name in ("identity", "references")
                  if name in exchange.question["citizen"]}  # fmt: skip
        people = self.acceptance.citizens(tx, f"{exchange.tenant}.{exchange.client.id}")
        people.prefetch(exchange.tenant, [person])
        citizen = people.resolve(exchange.tenant, person)
        people.save()
        return citizen.id

    def _signed(self, exchange: _Exchange, evidence: Evidence, obtained_at: float) -> Answer:
        grant, client = exchange.grant, exchange.client
        assert grant is not None
        assert exchange.citizen_id is not None
        body = {
            "id": exchange.id, "iss": self.issuer, "aud": client.id, "iat": int(self.ledger.now()),
            "evidence": exchange.evidence, "version": exchange.version,
            "citizen": self.people.reference_of(client.id, exchange.citizen_id),
            "values": evidence.values, "missing": sorted(set(exchange.fields) - set(evidence.values)),
            "source": exchange.source, "obtained_at": to_rfc3339(obtained_at), "stored": exchange.stored,
            "procedure": exchange.procedure, "request": exchange.request_id, "grant": grant.id,
            "ground": grant.ground, "article": grant.article, "information": self._information(exchange, evidence),
        }  # fmt: skip
        return body | {"signature": self.signer.jws(orjson.dumps(body), _TYP)}

    def _information(self, exchange: _Exchange, evidence: Evidence) -> str:
        """What the person must be told (CRPA L114-8 I, RGPD art. 14), in French."""
        assert exchange.grant is not None
        labels = self.registry.evidence(exchange.evidence, exchange.version)["x-unefois"]["fields"]
        procedure = self.directory.catalogue[exchange.procedure].label
        sources = sorted({str(value["source"]) for value in evidence.values.values()})
        what = ", ".join(labels[name] for name in exchange.fields if name in evidence.values) or "aucune donnée"
        return (
            f"Pour la démarche « {procedure} », {self.directory.tenants[exchange.client.tenant].label} a obtenu "
            f"directement auprès de {', '.join(sources) or exchange.source} : {what}. "
            f"Fondement : {GROUNDS[exchange.grant.ground].text}. "
            "Vous pouvez demander l'accès à ces données et leur rectification."
        )

    def _preview_of(self, exchange: _Exchange, answer: Answer) -> Preview:
        assert exchange.grant is not None
        assert exchange.citizen_id is not None
        kept_of = ("evidence", "version", "asker", "explicit_request")
        question = {name: exchange.question[name] for name in kept_of if name in exchange.question}
        kept = {
            "id": exchange.id, "said": question, "tenant": exchange.tenant, "procedure": exchange.procedure,
            "request_id": exchange.request_id, "fields": exchange.fields, "citizen_id": exchange.citizen_id,
            "source": exchange.source, "stored": exchange.stored,
        }  # fmt: skip
        return Preview(exchange.id, exchange.client.id, exchange.citizen_id, exchange.grant.id, kept, answer)

    def _exchange_of(self, client: Client, preview: Preview) -> _Exchange:
        """The exchange that waits for its collection."""
        kept = dict(preview.exchange)
        exchange = _Exchange(question=kept.pop("said"), client=client, **kept)
        exchange.decided = SIGNED_IN.format(level=preview.level) if preview.level else AT_ADDRESS
        exchange.grant = next(
            (g for g in self.grants.of_client(client.id, client.tenant) if g.id == preview.grant), None
        )
        return exchange

    def _refusal_today(self, tx: Transaction, exchange: _Exchange) -> HubError | None:
        """Why what the person agreed to may not be given any more."""
        ask = replace(_grant_query(exchange, exchange.fields), preview_shown=True)
        assert exchange.citizen_id is not None
        try:
            Grants([exchange.grant] if exchange.grant else []).decide(ask, tx.now)
            self._must_not_be_confidential(tx, exchange.citizen_id)
        except (NotAllowed, Withheld) as error:
            return error
        return None

    def _note_refusal(self, exchange: _Exchange, error: HubError) -> None:
        def write(code: str) -> None:
            self._note_outcome(exchange, code, failed=False)

        self.refusals.note(exchange.client.id, error, self.ledger.now(), write)

    def _note_outcome(self, exchange: _Exchange, code: str, *, failed: bool) -> None:
        """Write down that nothing left."""
        exchange.code = code
        try:
            with self.ledger.transaction() as tx:
                self._write_journal(tx, exchange, failed=failed)
        except JournalConflict:
            return  # its line is there: only the word that it was committed got lost
        except KeyDestroyed:
            exchange.citizen_id = None
            with self.ledger.transaction() as tx:
                self._write_journal(tx, exchange, failed=failed)

    def _write_journal(
        self, tx: Transaction, exchange: _Exchange, *, fingerprint: str = "", failed: bool = False, step: str = ""
    ) -> None:
        """In the journal of all whom it concerns."""
        self.journal.write(tx, *_entries(exchange, fingerprint=fingerprint, failed=failed, step=step))

    def _hand_over(self, tx: Transaction, some: Sequence[tuple[_Exchange, Evidence]]) -> None:
        """Write down, of each, that it is answered and who receives it, by two statements for all."""
        for exchange, evidence in some:  # of what was granted, what there was: no more was obtained
            exchange.fields = tuple(name for name in exchange.fields if name in evidence.values)
        noted = [_entries(exchange, fingerprint=_fingerprint(evidence)) for exchange, evidence in some]
        self.journal.write(tx, *chain.from_iterable(noted))
        _RECEIVE.run(tx.sql, [_recipient(exchange, tx.now) for exchange, _ in some])

    def _store_evidence(
        self, tx: Transaction, exchange: _Exchange, evidence: Evidence, obtained_at: float, *, fresh: bool
    ) -> None:
        """Keep the value where the grant allows it, for as long as it does."""
        granted, source = exchange.granted, exchange.source
        assert granted is not None
        assert source is not None
        assert exchange.citizen_id is not None
        # Not every answer names its person: one that a citizen's own token brought must not be kept for another.
        by_token = "france_connect_token" in exchange.question
        if fresh and granted.max_age and not exchange.previewed and not by_token:
            held = Held(evidence, exchange.fields, source, obtained_at)
            until = obtained_at + granted.max_age.total_seconds()
            self.held.store(tx, exchange.citizen_id, self._storage_place(exchange), held, until=until)

    def _storage_place(self, exchange: _Exchange) -> str:
        """Where a stored value of this exchange lies: it never serves another grant, procedure or question."""
        assert exchange.grant is not None
        asked = [exchange.tenant, exchange.grant.id, exchange.procedure, exchange.evidence, exchange.version,
                 exchange.parameters]  # fmt: skip
        asked_as = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)  # a parameter may be somebody's number
        return keyed_digest(self.people.pepper, asked_as).hex()


def _grant_query(exchange: _Exchange, fields: Sequence[str]) -> GrantQuery:
    """What the grants are asked, before the person was shown anything."""
    asker = exchange.asker
    return GrantQuery(
        client=exchange.client.id, tenant=exchange.client.tenant, of_tenant=exchange.tenant,
        evidence=exchange.evidence, version=exchange.version, fields=tuple(fields), procedure=exchange.procedure,
        asker=asker["role"], assurance=asker["assurance"],
        explicit_request=bool(exchange.question.get("explicit_request", False)),
    )  # fmt: skip


def _entries(exchange: _Exchange, *, fingerprint: str = "", failed: bool = False, step: str = "") -> list[Entry]:
    """Of who asked, and of whose data it is when that is another and a grant leads there."""
    grant, client = exchange.grant, exchange.client
    act = "exchange.answered" if not exchange.code else "exchange.failed" if failed else "exchange.refused"
    facts = {
        "evidence": exchange.evidence, "version": exchange.version, "fields": list(exchange.fields),
        "procedure": exchange.procedure, "request": exchange.request_id, "source": exchange.source,
        "stored": exchange.stored, "role": exchange.asker["role"], "assurance": exchange.asker["assurance"],
        "grant": grant.id if grant else None, "ground": grant.ground if grant else None,
        "article": grant.article if grant else None, "code": exchange.code or None,
        "of": exchange.tenant if exchange.tenant != client.tenant else None, "decided": exchange.decided or None,
    }  # fmt: skip
    personal = {"agent": exchange.asker.get("agent"), "fingerprint": fingerprint or None}
    entry = Entry(
        id=str(uuid.uuid5(uuid.UUID(exchange.id), step)) if step else exchange.id, tenant=client.tenant,
        kind="exchange", act=act, actor=client.origin.name, outcome=exchange.code or "answered",
        citizen_id=exchange.citizen_id,
        facts={name: fact for name, fact in facts.items() if fact is not None},
        personal={name: fact for name, fact in personal.items() if fact is not None},
    )  # fmt: skip
    entries = [entry]
    if exchange.tenant != client.tenant and grant is not None:
        other = str(uuid.uuid5(uuid.UUID(entry.id), exchange.tenant))
        entries.append(replace(entry, id=other, tenant=exchange.tenant))
    return entries


def _recipient(exchange: _Exchange, now: float) -> dict[str, Any]:
    """Who received what, for as long as a correction must reach them (RGPD art. 19)."""
    assert exchange.grant is not None
    return {
        "exchange_id": exchange.id, "tenant": exchange.tenant, "citizen_id": exchange.citizen_id,
        "client_tenant": exchange.client.tenant, "client_id": exchange.client.id, "type": exchange.evidence,
        "version": exchange.version, "fields": " ".join(exchange.fields), "connection": exchange.source,
        "procedure": exchange.procedure, "at": now, "until": now + exchange.grant.retention_days * 86_400,
    }  # fmt: skip


def _minimised(evidence: Evidence, fields: Sequence[str]) -> Evidence:
    return Evidence(evidence.type, evidence.version, {f: evidence.values[f] for f in fields if f in evidence.values})


def _fingerprint(evidence: Evidence) -> str:
    """Of what was handed over (implementing regulation EU 2022/1463 art. 17); sealed in the journal, for a short value
    is soon guessed from its digest."""
    return hashlib.sha256(orjson.dumps(evidence.values, option=orjson.OPT_SORT_KEYS)).hexdigest()
