"""What a person may ask for: all that is held about them, and its erasure."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, select, update

from bus.ledger import Ledger
from bus.tables import deliveries, events, metadata
from hub.acceptance.kept_calls import calls_of_tenant, keep_call, room_of
from hub.acceptance.refused import keep_refused, refused_of_tenant
from hub.citizens.households import keep_number, people_of
from hub.citizens.lookup import find_citizen
from hub.citizens.pending import PendingPairs
from hub.clients.origin import Origin
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.exchanges.previews import Preview
from hub.exchanges.stored_evidence import Held
from hub.journal.entries import Entry, Justification
from hub.journal.sealing import Scope, Sealer, export_journal
from hub.journal.signing import Signer
from hub.journal.verify import verify_export
from hub.privacy.export_page import person_page
from hub.privacy.rights import MASKED, ErasureRefused, Rights
from hub.requests.timeline import request_view
from hub.settings.model import Retention
from hub.storage.tables import (  # fmt: skip
    citizens,
    evidence_corrections,
    idempotent_answers,
    journal,
    question_answers,
    request_steps,
    requests,
    unproved_references,
    unread_events,
)
from schemas.delivery import Polled, StoredDocument
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.exchange import Evidence
from schemas.manifest import Consumed
from tests.hub.exchanges.test_corrections import CAF, DAY, IDENTITY, TOWN, World
from tests.hub.exchanges.test_corrections import OTHER as ELSEWHERE
from tests.support.directories import connect

OPERATOR = Justification("mairie.dupont", "demande reçue au guichet")
PORTAL = Origin(f"{TOWN}.portail", TOWN, frozenset({"*"}), (f"/{TOWN}/portail",), connection=True)
MAELLE = {
    "references": [{"system": "portail", "id": "abonnement-1042"}], "identity": IDENTITY,
    "email": "maelle.corvisart@courriel.example", "phone": "+33 4 00 00 00 12",
}  # fmt: skip
TANCREDE = {
    "references": [{"system": "portail", "id": "abonnement-2077"}],
    "identity": {"family_name": "Lenoir", "given_names": ["Tancrède"], "birthdate": "2018-11-30"},
}
ILYES = {
    "references": [{"system": "portail", "id": "abonnement-3001"}], "email": "ilyes.benzerti@courriel.example",
    "identity": {"family_name": "Benzerti", "given_names": ["Ilyès"], "gender": "male", "birthdate": "1962"},
}  # fmt: skip
HERS = ("corvisart", "maëlle", "maelle", "odette", "abonnement-1042", "1987-03-09", "00 00 00 12", "tilleuls")


class House(World):
    """The world of corrections, with documents and a way for requests."""

    store: DocumentStore
    rights: Rights

    def open(self, folder: Path) -> House:
        self.store = DocumentStore(str(folder / "documents"), None, DocumentBook(self.ledger))
        self.rights = Rights(
            self.ledger, self.acceptance, self.people, self.journal, self.held, self.store, Retention(),
            self.corrections, PendingPairs(self.people, b"p" * 32),
        )  # fmt: skip
        member = self.directory.connections[CAF]
        types = ("request.received", "request.status-changed", "citizen.address-changed", "document.received")
        consumes = {name: Consumed(name, 1, ("",), "all") for name in types}
        self.directory.connections[CAF] = replace(member, consumes=consumes)
        for name in types:
            self.directory._by_type.setdefault((TOWN, name), []).append(self.directory.connections[CAF])
        return self

    def submit(self, *events: Event, origin: Origin = PORTAL) -> list[int]:
        verdicts = self.acceptance.submit(self.ledger, origin, events)
        assert all(verdict.ok for verdict in verdicts), verdicts
        return [verdict.seq for verdict in verdicts if verdict.seq is not None]

    def ended(self) -> None:
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).values(state="delivered"))

    def known_as(self, number: str) -> str:
        return self.rights.find_citizen_id(TOWN, reference=("portail", number))

    def document(self, content: bytes) -> StoredDocument:
        return self.store.for_tenant(TOWN).store(content, name="justificatif.txt", media_type="text/plain")

    def everything(self) -> str:
        """All rows of all tables as text: sealed content as it opens with the keys that are there, and as it is."""
        found: list[Any] = []
        with self.ledger.reading() as tx:
            for table in metadata.sorted_tables:
                for row in tx.sql.execute(select(table)):
                    found += [bytes(part) if isinstance(part, bytes | memoryview) else part for part in row]
            found += [stored.event.to_dict() for stored in tx.load(list(range(1, tx.last_seq() + 1))).values()]
            people = list(tx.sql.execute(select(citizens.c.id)).scalars())
            found += list(self.people.identities(tx, people).values())
            found += [held.evidence.values for held, _ in self.held.of_citizen(tx, people)]
            ids = set(tx.sql.execute(select(journal.c.citizen_id)).scalars()) - {None}
            found += [
                line.personal for one in ids for tenant in (TOWN, ELSEWHERE)
                for line in self.journal.of_citizen(tx, tenant, one)
            ]  # fmt: skip
        text = "\n".join(part.decode("utf-8", "replace") if isinstance(part, bytes) else str(part) for part in found)
        return text.lower()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    clock = [time.time() + 60]  # after the documents, which the file system dates
    ledger = Ledger(url, now=lambda: clock[0])
    ledger.create()
    yield House(ledger, clock).open(tmp_path)
    ledger.close()


def asked(
    number: int, requester: dict[str, Any], *documents: StoredDocument, beneficiaries: tuple[dict[str, Any], ...] = ()
) -> Event:
    record = {
        "references": [{"system": "portail", "id": f"D{number}"}], "procedure": "changement-adresse",
        "submitted_at": "2026-03-02T10:00:00Z", "intake": "online", "requester": {"citizen": requester},
        "documents": [document.to_data() for document in documents],
    }  # fmt: skip
    if beneficiaries:
        record["beneficiaries"] = list(beneficiaries)
    return Event(type="request.received", source=f"/{TOWN}/portail", id=f"request-{number}", data={"request": record})


def closed(number: int, reason: str = "") -> Event:
    link = {"references": [{"system": "portail", "id": f"D{number}"}]}
    data = {"request": link, "status": "withdrawn", "native": {"code": "F", "label": "Fermé"}}
    more = {"reason": reason} if reason else {}
    return Event(type="request.status-changed", source=f"/{TOWN}/portail", id=f"closed-{number}", data={**data, **more})


def moved(citizen: dict[str, Any], household: tuple[dict[str, Any], ...] = (), number: int = 1) -> Event:
    address = {"house_number": "12 bis", "street": "rue des Tilleuls", "postal_code": "93001", "city": "Saint-Aubin"}
    data: dict[str, Any] = {
        "citizen": citizen, "effective_on": "2026-03-01",
        "new_address": {"value": address, "source": "portail", "date": "2026-03-02", "quality": "declared"},
    }  # fmt: skip
    if household:
        data["household"] = list(household)
    return Event(type="citizen.address-changed", source=f"/{TOWN}/portail", id=f"move-{number}", data=data)


def lived(house: House) -> str:
    """Maëlle's life with the town: a closed request with her child, a move, evidence, exchanges, reads."""
    house.submit(
        asked(1, MAELLE, house.document(b"facture de Maelle Corvisart"), beneficiaries=(TANCREDE,)),
        moved(MAELLE, (TANCREDE,)),
    )
    house.submit(closed(1, "Mme Corvisart a renoncé"))
    maelle = house.known_as("abonnement-1042")
    values: dict[str, dict[str, Any]] = {
        "quotient": {"value": 680, "source": "CNAF", "date": "2026-10", "quality": "authoritative"},
        "adults": {"value": [{"family_name": "Corvisart", "given_names": ["Maëlle"], "birthdate": "1987-03-09"},
                             {"family_name": "Benzerti", "given_names": ["Ilyès"], "birthdate": "1962"}],
                   "source": "CNAF", "date": "2026-10", "quality": "authoritative"},
    }  # fmt: skip
    with house.ledger.transaction() as tx:
        held = Held(Evidence("family-quotient", 1, values), ("quotient", "adults"), CAF, tx.now)
        house.held.store(tx, maelle, "place", held, until=tx.now + 30 * DAY)
        preview = Preview(str(uuid.uuid4()), "portail", maelle, "cantine", {}, {"values": values})
        house.previews.store(tx, preview)
        facts = {
            "evidence": "family-quotient", "version": 1, "fields": ["quotient"], "procedure": "changement-adresse",
            "role": "agent", "assurance": "eidas1", "ground": "L114-8 I",
        }  # fmt: skip
        house.journal.write(tx, Entry(
            TOWN, "exchange", "exchange.answered", f"{TOWN}.portail", "answered", citizen_id=maelle, facts=facts,
            personal={"agent": "agent-17 pour Maëlle Corvisart"},
        ))  # fmt: skip
    house.obtained(maelle, "portail")
    return maelle


def test_an_export_holds_what_the_hub_knows_about_the_person_with_sources_and_dates(house: House) -> None:
    maelle = lived(house)
    house.ended()

    told = house.rights.export(TOWN, maelle, OPERATOR)

    assert told["person"]["identity"] == IDENTITY
    assert told["links"] == [{"system": "portail", "id": "abonnement-1042"}]
    assert [view["status"] for view in told["requests"]] == ["withdrawn"]
    assert [document["name"] for document in told["documents"]] == ["justificatif.txt"]
    assert [event["type"] for event in told["events"]] == [
        "request.received", "citizen.address-changed", "request.status-changed",
    ]  # fmt: skip
    assert {delivery["to"] for event in told["events"] for delivery in event["deliveries"]} == {"CAF"}
    assert told["stored_evidence"][0]["values"]["quotient"]["value"] == 680
    assert [row["client"] for row in told["recipients"]] == ["portail"]
    assert any("a obtenu par un agent" in act["fr"] for act in told["acts"])
    assert any(value["field"] == "new_address" and "said" in value for value in told["values"])
    assert told["shown_evidence"][0]["decision"] == "open"
    assert orjson.dumps(told)


def test_an_export_and_its_page_hold_no_words_of_machines(house: House) -> None:
    maelle = lived(house)
    with house.ledger.transaction() as tx:
        (case,) = tx.sql.execute(select(requests.c.id)).scalars()
        failed = "ConnectError: refused by caf.intra:8443"
        data = {"connection": CAF, "sequence": 1, "type": "request.received", "cause": failed, "request": {"id": case}}
        assert house.acceptance.say_as_hub(tx, TOWN, [Event("delivery.parked", f"/{TOWN}/hub", data)])
        tx.sql.execute(update(deliveries).values(state="parked", cause=failed))

    told = house.rights.export(TOWN, maelle, OPERATOR)
    page = person_page(told, house.acceptance.registry, Retention())

    assert "delivery.parked" in {event["type"] for event in told["events"]}
    for text in (str(told), page):
        assert "caf.intra" not in text
        assert "ConnectError" not in text
    assert "delivery.parked" not in page.replace("request.received", "")


def test_an_export_says_nothing_of_anybody_else_nor_of_agents(house: House) -> None:
    maelle = lived(house)
    house.submit(asked(2, ILYES), moved(ILYES, number=2))

    text = orjson.dumps(house.rights.export(TOWN, maelle, OPERATOR)).decode().lower()

    for word in (
        "dupont",
        "tancrède",
        "lenoir",
        "2018-11-30",
        "abonnement-2077",
        "benzerti",
        "ilyès",
        "abonnement-3001",
        "agent-17",
    ):
        assert word not in text
    assert orjson.dumps(MASKED).decode() in text


def test_a_child_who_was_named_along_finds_the_events_and_not_the_parent(house: House) -> None:
    lived(house)
    house.submit(moved(ILYES, (TANCREDE,), number=3))

    told = house.rights.export(TOWN, house.known_as("abonnement-2077"), OPERATOR)

    assert [event["type"] for event in told["events"]] == [
        "request.received", "citizen.address-changed", "citizen.address-changed", "request.status-changed",
        "citizen.address-changed",
    ]  # fmt: skip
    text = orjson.dumps(told["events"]).decode()
    assert "Tancr" in text
    for word in ("Maëlle", "Odette", "1987-03-09", "maelle.corvisart", "Benzerti"):
        assert word not in text


def test_a_reason_is_needed_and_stands_in_the_journal(house: House) -> None:
    maelle = lived(house)
    with pytest.raises(InvalidMessage):
        Justification("mairie.dupont", "  ")

    house.rights.export(TOWN, maelle, OPERATOR)

    with house.ledger.reading() as tx:
        lines = house.journal.of_citizen(tx, TOWN, maelle)
    (line,) = [line for line in lines if line.entry.act == "citizen.exported"]
    assert line.entry.actor == OPERATOR.actor
    assert line.personal == {"reason": OPERATOR.reason}


def test_nobody_is_found_under_the_reference_of_another_tenant_or_of_another_client(house: House) -> None:
    maelle = lived(house)
    reference = house.people.reference_of("portail", maelle)

    assert house.rights.find_citizen_id(TOWN, client="portail", ref=reference) == maelle
    for tenant, client, ref in (
        (ELSEWHERE, "portail", reference),
        (TOWN, "cantine", reference),
        (TOWN, "portail", "x"),
    ):
        with pytest.raises(InvalidMessage):
            house.rights.find_citizen_id(tenant, client=client, ref=ref)
    with pytest.raises(InvalidMessage):
        house.rights.find_citizen_id(ELSEWHERE, reference=("portail", "abonnement-1042"))
    with pytest.raises(InvalidMessage):
        house.rights.export(ELSEWHERE, maelle, OPERATOR)


def test_an_open_request_and_a_delivery_without_an_end_stand_against_an_erasure(house: House) -> None:
    house.submit(asked(1, MAELLE))
    maelle = house.known_as("abonnement-1042")

    with pytest.raises(ErasureRefused) as refused:
        house.rights.erase(TOWN, maelle, OPERATOR)

    first, second = refused.value.obstacles
    assert "en cours" in first
    assert "CAF" in second
    assert house.rights.obstacles(TOWN, maelle) == [first, second]
    assert "maëlle" in house.everything()
    with house.ledger.reading() as tx:
        acts = [line.entry.act for line in house.journal.of_citizen(tx, TOWN, maelle)]
    assert "citizen.erasure-refused" in acts


def test_being_named_in_the_open_request_of_somebody_else_stands_against_an_erasure(house: House) -> None:
    house.submit(asked(1, ILYES))
    link = {"references": [{"system": "portail", "id": "D1"}]}
    named = moved(ILYES, (MAELLE,))
    house.submit(moved(MAELLE, number=7), Event(
        type=named.type, source=named.source, id=named.id, data={**named.data, "request": link},
    ))  # fmt: skip
    house.ended()

    with pytest.raises(ErasureRefused) as refused:
        house.rights.erase(TOWN, house.known_as("abonnement-1042"), OPERATOR)

    assert any("autre personne" in one for one in refused.value.obstacles)


def test_after_an_erasure_nothing_of_the_person_can_be_found_and_the_journal_still_verifies(
    house: House, tmp_path: Path
) -> None:
    maelle = lived(house)
    with house.ledger.transaction() as tx:
        (case,) = tx.sql.execute(select(requests.c.id)).scalars()
        body = orjson.dumps({"id": case, "documents": [{"name": "Corvisart.pdf"}]})
        answer = {"client_id": "portail", "key": "k", "digest": bytes(32), "status": 201, "body": body, "at": tx.now}
        tx.sql.execute(insert(idempotent_answers), [answer])
    house.ended()
    signer = Signer(None)
    sealer = Sealer(house.ledger, house.journal, signer, owner="here")
    sealer.seal_pending()
    assert all(word in house.everything() for word in ("corvisart", "odette", "abonnement-1042", "tilleuls"))

    erased = house.rights.erase(TOWN, maelle, OPERATOR)

    left = house.everything()
    assert [word for word in HERS if word in left] == ["tilleuls"]  # where her child is known to live, too
    assert erased.recipients_told == 1
    assert erased.deleted["events"] == 3
    assert erased.deleted["documents"] == 1
    assert list(house.store.names(TOWN)) == []
    assert any("journal" in one for one in erased.remaining)
    sealer.seal_pending()
    with (tmp_path / "journal.jsonl").open("xb") as out:
        export_journal(house.ledger, signer, out, Scope())
    with (tmp_path / "journal.jsonl").open("rb") as exported:
        assert verify_export(exported).ok
    with house.ledger.reading() as tx:
        lines = [row for row in tx.sql.execute(select(journal)) if row.act == "citizen.erased"]
        assert house.people.followed(tx, maelle) is None
        (told,) = tx.sql.execute(select(evidence_corrections)).all()
        assert house.journal.find_line(tx, lines[0].id).personal == {"reason": OPERATOR.reason}  # type: ignore[union-attr]
    assert (told.change, told.cause, told.client_id) == ("erased", "person", "portail")
    house.rights.erase(TOWN, house.known_as("abonnement-2077"), OPERATOR)
    assert "tilleuls" not in house.everything()


def test_what_a_rule_did_with_the_person_goes_with_them(house: House) -> None:
    maelle = lived(house)
    house.ended()
    with house.ledger.transaction() as tx:
        tx.sql.execute(insert(question_answers), [
            {"act_id": "act", "place": place, "review_id": "r", "outcome": "merged", "gone_id": who, "at": 0.0}
            for place, who in enumerate((maelle, "another"))
        ])  # fmt: skip

    house.rights.erase(TOWN, maelle, OPERATOR)

    with house.ledger.reading() as tx:
        assert list(tx.sql.execute(select(question_answers.c.gone_id)).scalars()) == ["another"]


def test_what_was_claimed_of_the_person_and_their_requests_goes_with_them(house: House) -> None:
    maelle = lived(house)
    house.ended()
    with house.ledger.transaction() as tx:
        (case,) = tx.sql.execute(select(requests.c.id)).scalars()
        (seq, *_) = tx.sql.execute(select(events.c.seq).where(events.c.request_id == case)).scalars()
        tx.sql.execute(insert(unproved_references), [
            {"tenant": TOWN, "subject": subject, "system": "koha", "native_id": "1", "origin": CAF, "mark": 1,
             "at": 0.0}
            for subject in (f"c:{maelle}", f"r:{case}", "c:another")
        ])  # fmt: skip
        unread = {"seq": seq, "tenant": TOWN, "request_id": case, "type": "request.received", "at": 0.0}
        tx.sql.execute(insert(unread_events), [unread])

    erased = house.rights.erase(TOWN, maelle, OPERATOR)

    assert erased.deleted["unproved_references"] == 2
    with house.ledger.reading() as tx:
        assert list(tx.sql.execute(select(unproved_references.c.subject)).scalars()) == ["c:another"]
        assert list(tx.sql.execute(select(unread_events.c.seq))) == []


def test_the_shell_of_a_closed_request_is_still_read_after_an_erasure(house: House) -> None:
    maelle = lived(house)
    with house.ledger.transaction() as tx:
        (case,) = tx.sql.execute(select(requests.c.id)).scalars()
        step = {"request_id": case, "at": tx.now, "kind": "withheld", "origin": CAF, "reason": "dossier confidentiel"}
        tx.sql.execute(insert(request_steps), [step])
    house.ended()

    house.rights.erase(TOWN, maelle, OPERATOR)

    with house.ledger.reading() as tx:
        view = request_view(tx, house.directory, TOWN, case)
    assert view is not None
    assert (view["status"], view["reason"]) == ("withdrawn", None)
    assert view["references"] == [{"system": "portail", "id": "D1"}]
    assert len(view["timeline"]) == 3


def test_what_a_package_pushed_about_the_person_while_it_was_observed_goes_with_them(house: House) -> None:
    maelle = lived(house)
    house.ended()
    brought = [replace(moved(who, number=8), id=f"kept-{place}") for place, who in enumerate((MAELLE, ILYES, MAELLE))]
    with house.ledger.transaction() as tx:
        for mark, events_of_call in enumerate((brought[:2], brought[2:], brought[1:2])):
            assert keep_call(tx, CAF, TOWN, str(mark), Polled(events_of_call, {"page": mark}))
        assert keep_call(tx, f"{ELSEWHERE}.caf", ELSEWHERE, "0", Polled(brought[:1]))
    told = house.rights.export(TOWN, maelle, OPERATOR)

    assert [one["from"] for one in told["observed"]] == ["CAF", "CAF"]
    assert "maëlle" in str(told["observed"]).lower()
    assert "ilyès" not in str(told["observed"]).lower()
    assert person_page(told, house.acceptance.registry, Retention()).count("pendant l’essai de ce logiciel") == 2

    erased = house.rights.erase(TOWN, maelle, OPERATOR)

    assert erased.deleted["observed_events"] == 2
    with house.ledger.reading() as tx:
        left = [(call.number, [event.id for event in call.events], call.cursor) for call in calls_of_tenant(tx, TOWN)]
        assert left == [(1, ["kept-1"], {"page": 0}), (3, ["kept-1"], {"page": 2})]
        assert room_of(tx, CAF).events == 2
        assert [call.number for call in calls_of_tenant(tx, ELSEWHERE)] == [1]


def test_what_the_door_refused_about_the_person_goes_with_them(house: House) -> None:
    maelle = lived(house)
    house.ended()
    refused = InvalidMessage("no such request", code="unknown_request")
    shapeless = replace(moved(MAELLE, number=9), id="odd", data={"citizen": {**MAELLE, "references": 7}})
    brought = [replace(moved(who, number=8), id=f"again-{place}") for place, who in enumerate((MAELLE, ILYES))]
    with house.ledger.transaction() as tx:
        keep_refused(tx, CAF, TOWN, [(event, refused) for event in (*brought, shapeless)])
        keep_refused(tx, f"{ELSEWHERE}.caf", ELSEWHERE, [(replace(brought[0], id="theirs"), refused)])

    erased = house.rights.erase(TOWN, maelle, OPERATOR)

    assert erased.deleted["refused_events"] == 2
    with house.ledger.reading() as tx:
        assert [event.id for _, event in refused_of_tenant(tx, TOWN)] == ["again-1"]
        assert [event.id for _, event in refused_of_tenant(tx, ELSEWHERE)] == ["theirs"]


def test_the_number_of_a_household_is_told_erased_and_names_nobody(house: House) -> None:
    maelle = lived(house)
    house.ended()
    with house.ledger.transaction() as tx:
        for one in (maelle, "another"):
            keep_number(tx, TOWN, "parascol", "1204", one)

    told = house.rights.export(TOWN, maelle, OPERATOR)
    assert told["households"] == [{"system": "parascol", "id": "1204"}]
    assert "1204 (numéro de votre foyer)" in person_page(told, house.acceptance.registry, Retention())

    assert house.rights.erase(TOWN, maelle, OPERATOR).deleted["household_links"] == 1
    with house.ledger.reading() as tx:
        assert people_of(tx, TOWN, "parascol", "1204") == ["another"]


def test_nobody_is_named_by_the_number_of_a_household(house: House) -> None:
    town = house.directory.tenants[TOWN]
    household = replace(town, identifiers={"caf": "household"})
    connect(house.acceptance.current, house.directory.connections.values(), tenants={TOWN: household})

    with pytest.raises(InvalidMessage) as refused:
        house.rights.find_citizen_id(TOWN, reference=("caf", "1204"))
    assert refused.value.code == "household_reference"


def test_a_record_that_waits_for_its_person_is_exported_to_them_and_erased_with_them(house: House) -> None:
    maelle = lived(house)
    house.ended()
    hers = {"identity": IDENTITY, "references": [{"system": "caf", "id": "C-77"}]}
    alike = {
        **hers,
        "identity": {**IDENTITY, "birthdate": "1990-05-17"},
        "references": [{"system": "caf", "id": "C-78"}],
    }
    with house.ledger.transaction() as tx:
        house.rights.pending.keep(tx, TOWN, CAF, "9509159d2c9f", [(hers, False), (alike, False)], tx.now + 86_400)

    told = house.rights.export(TOWN, maelle, OPERATOR)
    assert [(one["id"], one["connection"]) for one in told["pending_pairs"]] == [("C-77", CAF)]
    assert "C-77" in person_page(told, house.acceptance.registry, Retention())

    assert house.rights.erase(TOWN, maelle, OPERATOR).deleted["pending_pairs"] == 1
    with house.ledger.reading() as tx:
        assert house.rights.pending.counts(tx) == {CAF: 1}


def test_whoever_waits_is_found_by_the_identifier_and_each_look_is_in_the_journal(house: House) -> None:
    system = house.directory.connections[CAF].system
    hers = {"identity": IDENTITY, "references": [{"system": system, "id": "C-77"}]}
    with house.ledger.transaction() as tx:
        house.rights.pending.keep(tx, TOWN, CAF, "9509159d2c9f", [(hers, False)], tx.now + 86_400)

    assert house.rights.read_pending(CAF, "C-77", OPERATOR)["identity"] == IDENTITY
    with pytest.raises(InvalidMessage):
        house.rights.read_pending(CAF, "C-78", OPERATOR)
    house.rights.erase_pending(CAF, "C-77", OPERATOR)
    with pytest.raises(InvalidMessage):
        house.rights.erase_pending(CAF, "C-77", OPERATOR)

    with house.ledger.reading() as tx:
        acts = [row.act for row in tx.sql.execute(select(journal)) if row.act.startswith("pending-pair")]
        assert house.rights.pending.counts(tx) == {}
    assert acts == ["pending-pair.read", "pending-pair.erased"]
    assert "corvisart" not in house.everything().casefold()


def test_other_people_keep_what_is_theirs_when_one_is_erased(house: House) -> None:
    maelle = lived(house)
    shared = house.document(b"facture de Maelle Corvisart")
    house.submit(asked(2, ILYES, shared), moved(ILYES, number=2))
    house.ended()

    house.rights.erase(TOWN, maelle, OPERATOR)

    left = house.everything()
    assert "benzerti" in left
    assert "abonnement-3001" in left
    assert "abonnement-2077" in left
    assert list(house.store.names(TOWN)) == [shared.id]


def test_who_was_erased_and_comes_again_is_somebody_new(house: House) -> None:
    maelle = lived(house)
    house.ended()
    house.rights.erase(TOWN, maelle, OPERATOR)

    house.submit(moved(MAELLE, number=9))

    assert house.known_as("abonnement-1042") != maelle
    with pytest.raises(InvalidMessage):
        house.rights.find_citizen_id(TOWN, client="portail", ref=house.people.reference_of("portail", maelle))


def test_a_mark_of_confidentiality_outlives_an_erasure_and_nothing_else_does(house: House) -> None:
    house.submit(moved({**MAELLE, "confidential": True}))
    house.ended()
    erased = house.rights.erase(TOWN, house.known_as("abonnement-1042"), OPERATOR)

    assert any("confidentialité" in one for one in erased.remaining)
    assert [word for word in HERS if word in house.everything()] == []
    house.submit(moved(MAELLE, number=9))
    with house.ledger.reading() as tx:
        assert house.people.is_confidential(tx, house.known_as("abonnement-1042"))


def test_an_erasure_takes_all_that_was_merged_into_the_person(house: House) -> None:
    maelle = lived(house)
    twice = {"references": [{"system": "koha", "id": "0012345"}]}
    house.submit(moved(twice, number=4), origin=replace(PORTAL, others=frozenset({"koha"})))
    with house.ledger.transaction() as tx:
        gone = find_citizen(
            tx, house.people, TOWN, identity=None, references=twice["references"], reference=None, client_id=""
        ).citizen_id
        tx.sql.execute(update(citizens).where(citizens.c.id == gone).values(merged_into=maelle))
    house.ended()

    erased = house.rights.erase(TOWN, maelle, OPERATOR)

    assert erased.deleted["citizens"] == 2
    assert "0012345" not in house.everything()


def test_a_former_form_of_the_identity_is_exported_to_the_person_and_erased_with_them(house: House) -> None:
    changed = {**MAELLE["identity"], "family_name": "Quintin", "given_names": ["Maël"], "gender": "male"}
    house.submit(moved(MAELLE), moved({**MAELLE, "identity": changed}, number=2))
    maelle = house.known_as("abonnement-1042")
    house.ended()

    person = house.rights.export(TOWN, maelle, OPERATOR)["person"]
    erased = house.rights.erase(TOWN, maelle, OPERATOR)

    assert (person["identity"], person["identities"]) == (changed, [MAELLE["identity"]])
    assert (erased.deleted["citizens"], erased.deleted["citizen_identities"]) == (2, 2)
    assert [word for word in (*HERS, "quintin") if word in house.everything()] == []
