"""Acceptance: who may say what, which request and citizen it concerns, and what the timeline keeps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bus.ledger import Ledger
from hub.acceptance.accept import Verdict
from hub.clients.origin import Origin
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.requests.repository import read, references, timeline
from hub.requests.timeline import request_view, timeline_lines
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Contact, Tenant
from schemas.delivery import StoredDocument
from schemas.event import Event
from schemas.manifest import Consumed
from tests.support.acceptance import acceptance_of

TOWN, OTHER = "saint-aubin", "val-fleuri"
CONTACT = Contact("Voirie", "1 place de la Mairie", "01 00 00 00 00", "voirie@saint-aubin.example")


def consumes(*types: str, scope: str = "all", procedures: tuple[str, ...] = ()) -> dict[str, Consumed]:
    return {t: Consumed(t, 1, ("/request", "/new_address", "/status"), scope, procedures) for t in types}


def origin(name: str, tenant: str = TOWN, speaks_for: frozenset[str] = frozenset()) -> Origin:
    sources = (f"/{tenant}/{name}",)
    return Origin(f"{tenant}.{name}", tenant, frozenset({"*"}), sources, connection=True, others=speaks_for)


class Desk:
    """A hub's door with four members in one town and one in another. `speaks_for`: whose identifiers the members may
    bind beside their own; none unless a test says so."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.speaks_for: frozenset[str] = frozenset()
        moves = consumes("citizen.address-changed", scope="linked")
        members = [
            ConnectionRouting(f"{TOWN}.portail", TOWN, "portail", "Portail",
                   consumes("request.status-changed", scope="held")),
            ConnectionRouting(f"{TOWN}.etat-civil", TOWN, "etat-civil", "État civil",
                   consumes("request.received", procedures=("acte-naissance",))),
            ConnectionRouting(f"{TOWN}.parapheur", TOWN, "parapheur", "Parapheur",
                   consumes("request.received"), ("occupation-domaine-public",)),
            ConnectionRouting(f"{TOWN}.koha", TOWN, "koha", "Bibliothèque", moves),
            ConnectionRouting(f"{TOWN}.accueil", TOWN, "accueil", "Accueil", moves),
            ConnectionRouting(f"{TOWN}.courriel", TOWN, "courriel", "Courriel", consumes("message.requested")),
            ConnectionRouting(f"{OTHER}.portail", OTHER, "portail", "Portail",
                   consumes("request.received", "request.status-changed")),
        ]  # fmt: skip
        roles = {"civil-status": "etat-civil", "signature-book": "parapheur", "citizen-relations": "accueil"}
        tenants = {
            slug: Tenant(slug, f"Ville de {slug}", "21930001100018", "93001", roles, {"default": CONTACT})
            for slug in (TOWN, OTHER)
        }
        self.directory = Directory(members, procedures.load_procedures(), tenants)
        self.acceptance = acceptance_of(self.directory)

    def submit(self, *events: Event, by: str = "portail", tenant: str = TOWN) -> list[Verdict]:
        return self.acceptance.submit(self.ledger, origin(by, tenant, self.speaks_for), events)

    def to(self, verdict: Verdict) -> list[str]:
        with self.ledger.reading() as tx:
            return [row.connection.partition(".")[2] for row in tx.deliveries_of([verdict.seq or 0])]

    def steps(self, request_id: str | None) -> list[dict[str, Any]]:
        with self.ledger.reading() as tx:
            return [s for s in timeline(tx, request_id or "") if s["kind"] != "delivery"]

    def status(self, request_id: str | None, tenant: str = TOWN) -> str:
        with self.ledger.reading() as tx:
            request = read(tx, tenant, request_id or "")
        assert request is not None
        return request.status


def person(**more: Any) -> dict[str, Any]:
    identity = {"family_name": "Sorbier", "given_names": ["Blanche"], "gender": "female", "birthdate": "1991-11-23",
                "birthplace": "93001"}  # fmt: skip
    return {"identity": identity, **more}


def received(
    number: str = "1", procedure: str = "acte-naissance", by: str = "portail", tenant: str = TOWN, **more: Any
) -> Event:
    record = {
        "references": [{"system": by, "id": number}], "procedure": procedure, "submitted_at": "2026-11-02T09:00:00Z",
        "intake": "online", "requester": {"citizen": person()}, **more,
    }  # fmt: skip
    return Event(type="request.received", source=f"/{tenant}/{by}", id=f"r{number}", data={"request": record})


def status(word: str | None, number: str = "1", *, by: str = "etat-civil", system: str = "portail", event_id: str = "",
           time: str | None = None, **more: Any) -> Event:  # fmt: skip
    data = {"request": {"references": [{"system": system, "id": number}]}, "status": word,
            "native": {"code": "X", "label": "Libellé"}, **more}  # fmt: skip
    return Event(
        type="request.status-changed", source=f"/{TOWN}/{by}", id=event_id or f"s-{word}-{by}", data=data, time=time
    )


def moved(by: str = "portail", event_id: str = "m1", **citizen: Any) -> Event:
    address = {"house_number": "5", "street": "allée des Érables", "postal_code": "93001", "city": "Saint-Aubin"}
    value = {"value": address, "source": by, "date": "2026-11-02", "quality": "declared"}
    return Event(type="citizen.address-changed", source=f"/{TOWN}/{by}", id=event_id,
                 data={"citizen": person(**citizen), "new_address": value})  # fmt: skip


def test_a_request_goes_to_the_packages_of_its_procedure(desk: Desk) -> None:
    birth, terrace = desk.submit(received("1"), received("2", "occupation-domaine-public"))

    assert desk.to(birth) == ["etat-civil"]
    assert desk.to(terrace) == ["parapheur"]


def test_an_unknown_procedure_is_refused_with_its_pointer(desk: Desk) -> None:
    verdict = desk.submit(received(procedure="vol-spatial"))[0]

    assert verdict.error is not None
    assert (verdict.error.code, verdict.error.pointer) == ("unknown_procedure", "/data/request/procedure")


def test_the_decision_of_the_deciding_system_reaches_the_portal_that_holds_the_request(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id

    verdict = desk.submit(status("fulfilled"), by="etat-civil")[0]

    assert desk.status(request) == "fulfilled"
    assert desk.to(verdict) == ["portail"]


def test_another_system_may_add_a_step_and_not_a_decision(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id

    step = desk.submit(status("in_progress", by="portail"))[0]
    decision = desk.submit(status("rejected", by="portail"))[0]

    assert desk.status(request) == "in_progress"
    assert step.ok
    assert desk.to(decision) == []
    assert [s.get("mark") for s in desk.steps(request)] == [None, None, "not_deciding"]


def test_a_late_or_contradictory_step_is_kept_marked_and_not_applied(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id
    desk.submit(status("fulfilled", time="2026-11-20T10:00:00Z"), by="etat-civil")

    desk.submit(status("in_progress", event_id="late", time="2026-11-10T10:00:00Z"), by="etat-civil")
    desk.submit(status("in_progress", by="portail", event_id="odd", time="2026-11-21T10:00:00Z"))

    assert desk.status(request) == "fulfilled"
    assert [s.get("mark") for s in desk.steps(request)] == [None, None, "late", "contradictory"]


TERRACE = "occupation-domaine-public"
SHOP = {"organisation": {"name": "Café des Halles", "siret": "21930001100018", "email": "cafe@courriel.example"}}


def decided(word: str = "granted", event_id: str = "g1", **more: Any) -> Event:
    return status(word, "7", by="parapheur", event_id=event_id, **more)


def letters(desk: Desk, request: str | None) -> list[str]:
    with desk.ledger.reading() as tx:
        found = [s.event for s in tx.events_of_request(request or "") if s.event.type == "message.requested"]
    return [event.data["template"] for event in found]


@pytest.mark.parametrize("word", ["granted", "rejected", "incomplete", "in_progress"])
def test_a_status_that_is_said_again_is_told_to_nobody_and_written_to_nobody(desk: Desk, word: str) -> None:
    request = desk.submit(received("7", TERRACE, requester=SHOP))[0].request_id
    first = desk.submit(decided(word, reason="Vu."), by="parapheur")[0]
    written = letters(desk, request)

    again = [desk.submit(decided(word, f"g{n}", reason="Vu."), by="parapheur")[0] for n in (2, 3)]

    assert desk.to(first) == ["portail"]
    assert [desk.to(verdict) for verdict in again] == [[], []]
    assert letters(desk, request) == written
    assert [s.get("mark") for s in desk.steps(request)] == [None, None, "repeated", "repeated"]
    assert desk.status(request) == word


def test_a_status_that_is_said_again_in_the_same_batch_is_told_once(desk: Desk) -> None:
    request = desk.submit(received("7", TERRACE, requester=SHOP))[0].request_id

    told = desk.submit(decided(), decided(event_id="g2"), by="parapheur")

    assert [desk.to(verdict) for verdict in told] == [["portail"], []]
    assert letters(desk, request) == ["acknowledgement", "decision"]


def test_a_reference_that_is_known_already_is_no_news(desk: Desk) -> None:
    desk.submit(received("7", TERRACE))
    own = {"new_references": [{"system": "parapheur", "id": "P-7"}]}

    told = [desk.submit(decided(event_id=f"g{n}", **own), by="parapheur")[0] for n in (1, 2)]

    assert [desk.to(verdict) for verdict in told] == [["portail"], []]


def plan(desk: Desk, folder: Path) -> dict[str, Any]:
    """The record of a document that is stored."""
    store = DocumentStore(str(folder / "documents"), None, DocumentBook(desk.ledger))
    return store.for_tenant(TOWN).store(b"%PDF-1.7", name="plan.pdf", media_type="application/pdf").to_data()


@pytest.mark.parametrize(
    "news", [{"reason": "Autre motif."}, {"native": {"code": "Y", "label": "Au visa"}}, {"phase": "processing"},
             {"new_references": [{"system": "parapheur", "id": "P-8"}]}, {"documents": []}],
    ids=lambda news: next(iter(news)),
)  # fmt: skip
def test_the_same_status_with_something_new_is_told(desk: Desk, tmp_path: Path, news: dict[str, Any]) -> None:
    request = desk.submit(received("7", TERRACE, requester=SHOP))[0].request_id
    desk.submit(decided(), by="parapheur")
    news = {"documents": [plan(desk, tmp_path)]} if "documents" in news else news

    assert desk.to(desk.submit(decided(event_id="g2", **news), by="parapheur")[0]) == ["portail"]
    assert letters(desk, request) == ["acknowledgement", "decision"]  # the letter says the decision, once


def test_documents_asked_for_again_after_the_portal_answered_are_asked_for_again(desk: Desk, tmp_path: Path) -> None:
    request = desk.submit(received("7", TERRACE))[0].request_id
    desk.submit(decided("incomplete", "i1", reason="Un plan."), by="parapheur")
    data = {"request": {"id": request}, "document": plan(desk, tmp_path), "kind": "plan"}
    answer = Event(type="document.received", source=f"/{TOWN}/portail", id="d1", data=data)
    assert desk.submit(answer)[0].ok

    again = desk.submit(decided("incomplete", "i2", reason="Un plan."), by="parapheur")[0]

    assert desk.to(again) == ["portail"]
    assert desk.steps(request)[-1].get("mark") is None


def test_the_same_status_by_another_system_or_after_a_reopening_is_told(desk: Desk) -> None:
    request = desk.submit(received("7", TERRACE, requester=SHOP))[0].request_id
    desk.submit(status("in_progress", "7", by="koha", event_id="k"), by="koha")
    assert desk.to(desk.submit(decided("in_progress", "p"), by="parapheur")[0]) == ["portail"]
    desk.submit(decided("rejected", "g1"), by="parapheur")
    desk.submit(status("received", "7", by="portail", event_id="r", reopened=True))

    assert desk.to(desk.submit(decided("rejected", "g2"), by="parapheur")[0]) == ["portail"]
    assert letters(desk, request) == ["acknowledgement", "decision", "decision"]


def test_the_portal_that_holds_a_request_may_reopen_it_and_nobody_else(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id
    desk.submit(status("fulfilled"), by="etat-civil")

    desk.submit(status("received", by="koha", event_id="k", reopened=True), by="koha")
    assert desk.status(request) == "fulfilled"
    desk.submit(status("received", by="portail", event_id="p", reopened=True))

    assert desk.status(request) == "received"


def test_a_native_status_without_a_word_is_kept_and_told_to_nobody(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id

    verdict = desk.submit(status(None, by="etat-civil"), by="etat-civil")[0]

    assert desk.to(verdict) == []
    assert desk.steps(request)[-1]["mark"] == "unknown"


def test_a_status_of_an_unknown_request_is_refused(desk: Desk) -> None:
    verdict = desk.submit(status("in_progress", "99"), by="etat-civil")[0]

    assert verdict.error is not None
    assert verdict.error.code == "unknown_request"


def test_a_request_of_another_tenant_does_not_exist(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id
    claim = {"request": {"id": request}, "status": "withdrawn", "native": {"code": "X", "label": "X"}}
    foreign = Event(type="request.status-changed", source=f"/{OTHER}/portail", id="x", data=claim)

    verdict = desk.submit(foreign, tenant=OTHER)[0]

    assert verdict.error is not None
    assert verdict.error.code == "unknown_request"
    with desk.ledger.reading() as tx:
        assert read(tx, OTHER, request or "") is None
        assert request_view(tx, desk.directory, OTHER, request or "") is None


def test_the_same_reference_in_two_tenants_is_two_requests(desk: Desk) -> None:
    here = desk.submit(received())[0]
    there = desk.submit(received(tenant=OTHER), tenant=OTHER)[0]

    assert here.request_id != there.request_id
    assert desk.to(there) == []


def test_a_reference_cannot_be_taken_from_another_request(desk: Desk) -> None:
    desk.submit(received("1"), received("2"))
    for number in ("1", "2"):
        stolen = status("in_progress", number, event_id=f"steal-{number}",
                        new_references=[{"system": "etat-civil", "id": "N-1"}])  # fmt: skip
        verdict = desk.submit(stolen, by="etat-civil")[0]

    assert verdict.error is not None
    assert verdict.error.code == "reference_taken"


def test_an_address_goes_to_the_systems_that_know_the_citizen(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    desk.submit(moved(references=[{"system": "koha", "id": "C-1"}], event_id="first"))

    verdict = desk.submit(_elsewhere(moved(event_id="second")))[0]

    assert desk.to(verdict) == ["koha"]


def test_a_confidential_change_goes_to_the_deciding_service_only_and_the_timeline_says_so(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    links = [{"system": "koha", "id": "C-1"}, {"system": "accueil", "id": "A-1"}]
    request = desk.submit(received("1", "changement-adresse"))[0].request_id
    event = moved(references=links, confidential=True)
    event = event.with_data({**event.data, "request": {"id": request}})

    verdict = desk.submit(event)[0]

    assert desk.to(verdict) == ["accueil"]
    withheld = [s for s in desk.steps(request) if s["kind"] == "withheld"]
    assert withheld[0]["reason"] == "dossier confidentiel : rien n'est transmis à Bibliothèque"


def test_a_confidential_mark_outlives_the_event_that_set_it(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    links = [{"system": "koha", "id": "C-1"}]
    desk.submit(moved(references=links, confidential=True))

    verdict = desk.submit(_elsewhere(moved(event_id="later")))[0]

    assert desk.to(verdict) == []


def test_identifiers_of_two_people_are_refused_and_change_nothing(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    first = moved(references=[{"system": "koha", "id": "C-1"}], event_id="a")
    other = {"identity": {"family_name": "Garance", "given_names": ["Odette"], "birthdate": "1984"},
             "references": [{"system": "accueil", "id": "A-2"}]}  # fmt: skip
    second = Event(type=first.type, source=first.source, id="b", data={**first.data, "citizen": other})
    desk.submit(first, second)
    both = {"references": [{"system": "koha", "id": "C-1"}, {"system": "accueil", "id": "A-2"}]}

    verdict = desk.submit(Event(type=first.type, source=first.source, id="c", data={**first.data, "citizen": both}))[0]

    assert verdict.error is not None
    assert verdict.error.code == "ambiguous_citizen"
    with desk.ledger.reading() as tx:
        assert tx.accepted() == 2


def test_the_hub_acknowledges_once_when_it_is_the_declared_issuer(desk: Desk) -> None:
    shop = {"organisation": {"name": "Café des Halles", "siret": "21930001100018", "email": "cafe@courriel.example"}}
    terrace = received("7", "occupation-domaine-public", requester=shop)
    request = desk.submit(terrace)[0].request_id
    desk.submit(terrace)
    desk.submit(status("granted", "7", by="parapheur", event_id="g"), by="parapheur")

    with desk.ledger.reading() as tx:
        messages = [s.event.data for s in tx.events_of_request(request or "") if s.event.type == "message.requested"]

    assert [m["template"] for m in messages] == ["acknowledgement", "decision"]
    assert "Voies et délais de recours" in messages[0]["text"]
    assert messages[1]["to"] == {"email": "cafe@courriel.example"}


def test_the_hub_writes_to_nobody_when_the_portal_acknowledges(desk: Desk) -> None:
    request = desk.submit(received(requester={"citizen": person(email="b@courriel.example")}))[0].request_id

    with desk.ledger.reading() as tx:
        assert [s.event.type for s in tx.events_of_request(request or "")] == ["request.received"]


def test_nobody_but_the_hub_may_speak_of_its_operation(desk: Desk) -> None:
    data = {"connection": "saint-aubin.koha", "sequence": 1, "type": "request.received", "cause": "x"}
    verdict = desk.submit(Event(type="delivery.parked", source=f"/{TOWN}/portail", data=data))[0]

    assert verdict.error is not None
    assert verdict.error.code == "type_not_allowed"


def test_the_timeline_reads_in_french_and_keeps_native_words(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id
    desk.submit(status("fulfilled"), by="etat-civil")

    with desk.ledger.reading() as tx:
        view = request_view(tx, desk.directory, TOWN, request or "")
        assert references(tx, [request or ""])[request or ""] == [("portail", "1")]
    assert view is not None
    text = "\n".join(timeline_lines(view))
    assert "délivrée" in text
    assert "État civil : délivrée (« Libellé »)" in text
    assert "Sorbier" not in text


def _elsewhere(event: Event) -> Event:
    address = {**event.data["new_address"]["value"], "house_number": "99"}
    return event.with_data({**event.data, "new_address": {**event.data["new_address"], "value": address}})


@pytest.mark.parametrize("spelling", ["MERCŒUR", "Mercoeur", "mercœur"])
def test_a_name_is_the_same_however_its_letters_are_joined(desk: Desk, spelling: str) -> None:
    def who(name: str) -> dict[str, Any]:
        return {"identity": {"family_name": name, "given_names": ["Odile"], "birthdate": "1961-04-02"}}

    known = {**who("Mercœur"), "references": [{"system": "koha", "id": "C-9"}]}
    event = moved(by="koha")
    desk.submit(event.with_data({**event.data, "citizen": known}), by="koha")
    again = _elsewhere(moved(event_id="again"))

    verdict = desk.submit(again.with_data({**again.data, "citizen": who(spelling)}))[0]

    assert desk.to(verdict) == ["koha"]


def test_an_event_that_comes_again_is_a_duplicate_although_its_document_is_forgotten(desk: Desk) -> None:
    """A poll that reads the same thing again must not stand still for it."""
    book, paper = DocumentBook(desk.ledger), {"id": "d", "name": "a.pdf", "media_type": "application/pdf", "size": 1}
    book.record(TOWN, StoredDocument(**paper, sha256="0" * 64))
    event = received("1", documents=[{**paper, "sha256": "0" * 64}])
    assert desk.submit(event)[0].outcome == "accepted"
    book.remove(TOWN, "d")

    assert desk.submit(event)[0].outcome == "duplicate"
    assert desk.submit(received("2", documents=[{**paper, "sha256": "0" * 64}]))[0].error is not None
