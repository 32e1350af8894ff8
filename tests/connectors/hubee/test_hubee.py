from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from connectors.conformance.case import MemoryDocuments
from connectors.hubee.client import HubEE
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import DAUGHTER, FATHER, File, HubEETwin, Person
from connectors.sdk.twin import TwinAnswer
from schemas.delivery import Delivery, Done, Polled, RecordFault
from schemas.errors import AccessDenied, HubError, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.registry import Registry
from schemas.secret import Secret
from tests.support.context import context_for

REGISTRY = Registry.load()
BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HubEE, "timeout", 0.5)


@pytest.fixture
def twin() -> Iterator[HubEETwin]:
    with HubEETwin() as twin:
        yield twin


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def hubee(twin: HubEETwin, documents: MemoryDocuments) -> Iterator[HubEEConnector]:
    connector = connector_of(twin, documents)
    yield connector
    connector.close()


def connector_of(twin: HubEETwin, documents: MemoryDocuments | None = None, **settings: Any) -> HubEEConnector:
    return HubEEConnector(context_for("hubee", twin.settings() | settings, documents=documents))


def read(connector: HubEEConnector, *, acknowledge: bool = True) -> list[Event]:
    """What one poll brings, committed one after the other, as the hub does."""
    events: list[Event] = []
    for polled in connector.poll(None):
        take(polled, events, acknowledge=acknowledge)
    return events


def read_until_fault(connector: HubEEConnector) -> tuple[list[Event], HubError]:
    events: list[Event] = []
    try:
        for polled in connector.poll(None):
            take(polled, events)
    except HubError as error:
        return events, error
    raise AssertionError("the poll told of no fault")


def read_with_faults(connector: HubEEConnector) -> tuple[list[Event], list[RecordFault]]:
    events: list[Event] = []
    faults: list[RecordFault] = []
    for polled in connector.poll(None):
        take(polled, events)
        faults += polled.faults
    return events, faults


def take(polled: Polled, events: list[Event], *, acknowledge: bool = True) -> None:
    for event in polled.events:
        REGISTRY.validate(event)
    events.extend(polled.events)
    if acknowledge and polled.acknowledge is not None:
        polled.acknowledge()


def says(case_id: str | None, status: str | None, reason: str | None = None) -> Delivery:
    data = {"status": status} | ({"reason": reason} if reason else {})
    event = Event(type="request.status-changed", source="/saint-aubin/etatcivil", data=data)
    return Delivery(event, key=f"key-{event.id}", reference=case_id)


# Requests come in


def test_a_civil_record_request_comes_in_whole(
    twin: HubEETwin, hubee: HubEEConnector, documents: MemoryDocuments
) -> None:
    case_id = twin.add_civil_record_request()

    [event] = read(hubee)

    request = event.data["request"]
    assert (event.type, event.id, event.subject) == ("request.received", f"case-{case_id}", case_id)
    assert request["references"][0] == {"system": "hubee", "id": case_id}
    assert request["procedure"] == "acte-naissance"
    assert request["submitted_at"] == event.time
    assert request["requester"]["citizen"] == {
        "identity": {"family_name": "MERCŒUR", "given_names": ["Odile", "Jeanne"], "gender": "female"},
        "email": DAUGHTER.email,
        "address": {
            "house_number": "12 bis", "street": "RUE DES TILLEULS", "postal_code": "93999", "city": "SAINT-AUBIN",
        },
    }  # fmt: skip
    assert request["beneficiaries"] == [
        {
            "identity": {
                "family_name": "MERCŒUR", "given_names": ["Anselme", "Émile"], "gender": "male",
                "birthdate": "1938-05-17", "birthplace": "93001",
            }
        }
    ]  # fmt: skip
    assert request["form"] == {
        "event_kind": "NAI", "document_kind": "EXTAF", "event_date": "1938-05-17", "copies": 1,
        "event_place": {"city": "SAINT-AUBIN", "insee_code": "93001"}, "motive": "Succession",
        "requester_capacity": "Fils ou fille",
    }  # fmt: skip
    assert [document["name"] for document in request["documents"]] == ["ActeEtatCivil-XML.xml", "ActeEtatCivil-PDF.pdf"]
    assert all(document["id"] in documents.contents for document in request["documents"])
    assert twin.notifications == []


def test_who_asks_for_their_own_record_is_told_once(twin: HubEETwin, hubee: HubEEConnector) -> None:
    holder = Person("MADAME", "BENZERTI", "Odile Jeanne", born="1962", born_in="TUNIS")
    twin.add_civil_record_request(holder=holder, capacity=("PersonneConcernee", "La personne concernée"))

    [event] = read(hubee)

    citizen = event.data["request"]["requester"]["citizen"]
    assert citizen["identity"] == {
        "family_name": "BENZERTI", "given_names": ["Odile", "Jeanne"], "gender": "female", "birthdate": "1962",
        "preferred_name": "MERCŒUR",
    }  # fmt: skip
    assert citizen["email"] == DAUGHTER.email
    assert "beneficiaries" not in event.data["request"]


@pytest.mark.parametrize(
    ("kind", "excerpt", "procedure", "codes"),
    [
        ("MARIAGE", "COPIE-INTEGRALE", "acte-mariage", ("MAR", "CPI")),
        ("DECES", "EXTRAIT-SANS-FILIATION", "acte-deces", ("DEC", "EXTSF")),
        ("NAISSANCE", "EXTRAIT-PLURILINGUE", "acte-naissance", ("NAI", "EXTPL")),
    ],
)
def test_each_kind_of_record_is_its_own_procedure(
    twin: HubEETwin, hubee: HubEEConnector, kind: str, excerpt: str, procedure: str, codes: tuple[str, str]
) -> None:
    twin.add_civil_record_request(kind=kind, excerpt=excerpt)

    [event] = read(hubee)

    request = event.data["request"]
    assert request["procedure"] == procedure
    assert (request["form"]["event_kind"], request["form"]["document_kind"]) == codes


def test_the_town_may_name_its_procedures(twin: HubEETwin) -> None:
    connector = connector_of(twin, procedure_map={"EtatCivil/NAISSANCE": "copie-acte"})
    twin.add_civil_record_request()
    assert read(connector)[0].data["request"]["procedure"] == "copie-acte"


def test_reading_the_same_case_twice_gives_the_same_event(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_civil_record_request()
    crashed = read(hubee, acknowledge=False)
    again = read(hubee)
    assert [event.encode() for event in crashed] == [event.encode() for event in again]
    assert read(hubee) == []


def test_a_notification_is_deleted_only_after_its_acknowledgement(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_civil_record_request()
    polled = next(hubee.poll(None))
    assert len(twin.notifications) == 1
    assert polled.acknowledge is not None
    polled.acknowledge()
    polled.acknowledge()
    assert twin.notifications == []


def test_sixty_cases_come_in_by_pages(twin: HubEETwin, hubee: HubEEConnector) -> None:
    cases = [twin.add_civil_record_request() for _ in range(60)]
    assert [event.subject for event in read(hubee)] == cases
    assert twin.notifications == []


def test_cases_that_are_not_ready_do_not_block_the_intake(twin: HubEETwin, hubee: HubEEConnector) -> None:
    waiting = [twin.add_civil_record_request(status="PENDING") for _ in range(25)]
    ready = [twin.add_civil_record_request() for _ in range(5)]

    assert [event.subject for event in read(hubee)] == ready
    assert len(twin.notifications) == 25

    for case_id in waiting:
        twin.make_ready(case_id)
    assert [event.subject for event in read(hubee)] == waiting


def test_a_bounded_page_full_of_waiting_cases_ends_the_poll() -> None:
    with HubEETwin(largest_page=25) as twin:
        for _ in range(25):
            twin.add_civil_record_request(status="PENDING")
        twin.add_civil_record_request()
        assert read(connector_of(twin)) == []


def test_an_attachment_that_does_not_match_its_digest_is_never_published(
    twin: HubEETwin, hubee: HubEEConnector, documents: MemoryDocuments
) -> None:
    bad = twin.add_civil_record_request(digest="wrong")
    good = twin.add_civil_record_request(date="1940-01-01")

    events, (fault,) = read_with_faults(hubee)

    assert [event.subject for event in events] == [good]
    assert (fault.code, fault.place) == ("digest_mismatch", f"dossier HubEE {bad}")
    assert "empreinte" in fault.reason
    assert [item["caseId"] for item in twin.notifications] == [bad]
    assert len(documents.contents) == 2


def test_an_absent_digest_is_recorded(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_civil_record_request(digest="absent")
    [event] = read(hubee)
    request = event.data["request"]
    assert request["form"]["documents_without_digest"] == [document["id"] for document in request["documents"]]


def test_an_xml_bomb_is_refused_and_nothing_is_stored(
    twin: HubEETwin, hubee: HubEEConnector, documents: MemoryDocuments
) -> None:
    twin.add_case([File("form.xml", "ActeEtatCivil-XML", "application/xml", BOMB)])
    good = twin.add_civil_record_request()

    events, faults = read_with_faults(hubee)

    assert [event.subject for event in events] == [good]
    assert len(faults) == 1
    assert len(documents.contents) == 2


def test_a_civil_record_request_without_its_form_is_kept_by_hubee(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_case([File("scan.pdf", "Piece", "application/pdf", b"%PDF")])
    events, faults = read_with_faults(hubee)
    assert (events, len(faults), len(twin.notifications)) == ([], 1, 1)


def test_an_attachment_over_ten_mebibytes_is_not_downloaded(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_case([File("big.pdf", "Piece", "application/pdf", bytes(10 * 1024 * 1024 + 1))])
    _, (fault,) = read_with_faults(hubee)
    assert "10 Mio" in fault.reason
    assert not any("/attachments/" in path for _, path in twin.calls)


def test_what_hubee_found_corrupted_is_left_out_and_told(twin: HubEETwin) -> None:
    twin.process = "FormulaireQF"
    twin.add_case(
        [
            File("../../etc/passwd", "Pièce", "application/pdf", b"%PDF"),
            File("virus.pdf", "Justificatif", "application/pdf", b"", "CORRUPTED"),
        ]
    )
    [event] = read(connector_of(twin))
    request = event.data["request"]
    assert [document["name"] for document in request["documents"]] == [".._.._etc_passwd"]
    assert request["form"] == {"documents_refused_by_hubee": ["Justificatif"]}


def test_a_case_for_another_organisation_or_process_is_not_taken(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_civil_record_request(siret="21930002900019")
    twin.add_civil_record_request(process="CERTDC")
    events, faults = read_with_faults(hubee)
    assert (events, {fault.code for fault in faults}) == ([], {"not_ours"})
    assert len(twin.notifications) == 2


def test_a_notification_that_says_nothing_is_told_and_passed_over(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.notifications.append({"id": None, "processCode": "EtatCivil"})
    twin.notifications.append({"id": "00000000-0000-4000-8000-000000000000", "processCode": "EtatCivil"})
    good = twin.add_civil_record_request()

    events, faults = read_with_faults(hubee)

    assert [event.subject for event in events] == [good]
    assert [fault.place for fault in faults] == ["notification sans dossier"] * 2


def test_a_case_on_which_the_connector_breaks_is_told_by_its_place_and_leaves_the_others_alone(
    twin: HubEETwin, hubee: HubEEConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    sick, good = twin.add_civil_record_request(), twin.add_civil_record_request()
    case = HubEE.case

    def broken(self: HubEE, case_id: str) -> Any:
        if case_id == sick:
            raise AttributeError("'str' object has no attribute 'Quenneville'")
        return case(self, case_id)

    monkeypatch.setattr(HubEE, "case", broken)
    events, (fault,) = read_with_faults(hubee)

    assert [event.subject for event in events] == [good]
    assert fault.code == "connector.AttributeError"
    assert fault.place.startswith(f"dossier HubEE {sick} test_hubee.py:")
    assert "Quenneville" not in str(fault)


# dinum-HubEE/Documentations: an event that was acknowledged already is answered 400 the second time
def test_an_event_that_hubee_shows_as_read_is_not_acknowledged_again(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    event_id = twin.add_event(case_id, message="Une précision")
    twin.misbehave("500", times=1, on="/notifications/")
    with pytest.raises(HubError):
        read(hubee)  # told as read, and the notification stays
    assert (twin.event_status(case_id, event_id), len(twin.notifications)) == ("RECEIVED", 1)
    twin.calls.clear()

    (again,) = read(hubee)

    assert again.id == f"event-{event_id}"
    assert twin.notifications == []
    assert not [path for method, path in twin.calls if method == "PATCH"]


def test_an_event_that_was_read_between_our_look_and_our_word_is_read(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    event_id = twin.add_event(case_id, message="Une précision")
    (polled,) = list(hubee.poll(None))
    hubee.client.mark_read(case_id, event_id)

    assert polled.acknowledge is not None
    polled.acknowledge()

    assert twin.notifications == []


def test_an_event_that_hubee_refuses_to_have_read_stays_and_the_next_is_taken(
    twin: HubEETwin, hubee: HubEEConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    events = [twin.add_event(case_id, message=text) for text in ("Une", "Deux")]
    mark = HubEE._mark_read

    def deaf(self: HubEE, case: str, event: str) -> None:
        if event == events[0]:
            raise Refused("HubEE refuse", native="400")
        mark(self, case, event)

    monkeypatch.setattr(HubEE, "_mark_read", deaf)
    refused = []
    for polled in hubee.poll(None):
        assert polled.acknowledge is not None
        try:
            polled.acknowledge()
        except Refused:
            refused.append([event.id for event in polled.events])

    assert refused == [[f"event-{events[0]}"]]
    assert [item["eventId"] for item in twin.notifications] == [events[0]]


def test_one_case_that_hubee_cannot_show_leaves_the_others_alone(twin: HubEETwin, hubee: HubEEConnector) -> None:
    sick = [twin.add_civil_record_request() for _ in range(4)]
    good = twin.add_civil_record_request()
    for case_id in sick:
        twin.misbehave("500", times=1, on=f"/cases/{case_id}")

    events, error = read_until_fault(hubee)

    assert [event.subject for event in events] == [good]
    assert isinstance(error, TryLater)
    assert [event.subject for event in read(hubee)] == sick


# Events of the online service


def test_a_reopened_case_is_told_with_its_reason(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    hubee.handle(says(case_id, "fulfilled"))
    twin.close_case(case_id)
    event_id = twin.reopen(case_id, "La date était fausse")

    closed, again = read(hubee)

    assert closed.data["native"] == {"code": "CLOSED", "label": "Clôturé par le service en ligne"}
    assert closed.data["status"] is None
    assert "reopened" not in closed.data
    assert (again.type, again.id) == ("request.status-changed", f"event-{event_id}")
    assert again.data == {
        "request": {"references": [{"system": "hubee", "id": case_id}]}, "status": "received",
        "native": {"code": "HUBEE_NOTIFIED", "label": "Notifié à la collectivité"}, "phase": "qualification",
        "reopened": True, "reason": "La date était fausse",
    }  # fmt: skip
    assert twin.event_status(case_id, event_id) == "RECEIVED"
    assert twin.notifications == []


def test_a_reopening_is_known_even_when_hubee_does_not_say_from_where(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    hubee.handle(says(case_id, "fulfilled"))
    twin.reopen(case_id, tell_before=False)
    [event] = read(hubee)
    assert event.data["reopened"] is True


def test_a_reopening_within_the_second_of_the_decision_is_one(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.pace = timedelta(0)
    case_id = twin.add_civil_record_request()
    read(hubee)
    hubee.handle(says(case_id, "fulfilled"))
    twin.reopen(case_id, tell_before=False)
    [event] = read(hubee)
    assert event.data["reopened"] is True


@pytest.mark.parametrize("first", ["reopened", "document"])
@pytest.mark.parametrize("together", [True, False])
def test_a_case_reopened_twice_with_missing_documents_is_told_each_time(
    twin: HubEETwin, hubee: HubEEConnector, first: str, together: bool
) -> None:
    def deposit() -> object:
        file = File("livret.pdf", "LivretFamille", "application/pdf", b"%PDF livret")
        return twin.add_event(case_id, "ATTACH_DEPOSIT", files=[file])

    case_id = twin.add_civil_record_request()
    read(hubee)
    told: list[Event] = []
    for _ in range(2):
        hubee.handle(says(case_id, "fulfilled"))
        acts = [lambda: twin.reopen(case_id, "La copie est illisible"), deposit]
        for act in acts if first == "reopened" else acts[::-1]:
            act()
            told += [] if together else read(hubee)
        told += read(hubee)
    kinds = ["request.status-changed", "document.received"]
    assert [event.type for event in told] == (kinds if first == "reopened" else kinds[::-1]) * 2
    assert [event.data["reopened"] for event in told if event.type == kinds[0]] == [True, True]
    assert len({event.id for event in told}) == 4
    assert twin.announced(case_id) == ["SI_RECEIVED", "DONE"] * 2


@pytest.mark.parametrize("status", ["received", "in_progress", "fulfilled", "rejected"])
def test_a_step_told_with_the_present_status_changes_nothing_and_leaves_its_reason(
    twin: HubEETwin, hubee: HubEEConnector, status: str
) -> None:
    case_id = twin.add_civil_record_request()
    hubee.handle(says(case_id, status))
    before = (twin.status(case_id), [method for method, _ in twin.calls].count("PATCH"))
    hubee.handle(says(case_id, status, "Fichier illisible"))
    hubee.handle(says(case_id, status, "Fichier illisible"))
    assert (twin.status(case_id), [method for method, _ in twin.calls].count("PATCH")) == before
    assert twin.messages(case_id) == ["Fichier illisible"]


def test_a_step_told_of_a_case_that_the_online_service_has_closed_is_no_trouble(
    twin: HubEETwin, hubee: HubEEConnector
) -> None:
    case_id = twin.add_civil_record_request()
    hubee.handle(says(case_id, "fulfilled"))
    twin.close_case(case_id)
    assert hubee.handle(says(case_id, "fulfilled", "Fichier illisible")) == Done("HubEE est déjà plus loin : CLOSED")
    with pytest.raises(Refused, match="de CLOSED à REFUSED"):
        hubee.handle(says(case_id, "rejected"))


def test_a_reopened_case_is_told_everything_again(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    hubee.handle(says(case_id, "fulfilled"))
    twin.reopen(case_id)
    hubee.handle(says(case_id, "fulfilled"))
    assert twin.announced(case_id) == ["SI_RECEIVED", "DONE", "SI_RECEIVED", "DONE"]


def test_documents_that_the_online_service_adds_come_in(
    twin: HubEETwin, hubee: HubEEConnector, documents: MemoryDocuments
) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    file = File("livret.pdf", "LivretFamille", "application/pdf", b"%PDF livret")
    event_id = twin.add_event(case_id, "ATTACH_DEPOSIT", message="Voici le livret", files=[file])

    document, message = read(hubee)

    assert (document.type, document.id) == ("document.received", f"event-{event_id}-{file.id}")
    assert document.data["kind"] == "LivretFamille"
    assert documents.read(document.data["document"]["id"]) == b"%PDF livret"
    assert message.data["native"] == {"code": "ATTACH_DEPOSIT", "label": "Message du service en ligne"}
    assert message.data["status"] is None
    assert message.data["reason"] == "Voici le livret"


def test_a_deposit_that_is_not_finished_waits(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    read(hubee)
    file = File("livret.pdf", "LivretFamille", "application/pdf", b"", "PENDING")
    twin.add_event(case_id, "ATTACH_DEPOSIT", files=[file])
    twin.add_event(case_id, "ATTACH_DEPOSIT", event_status="IN_PROGRESS")
    assert read(hubee) == []
    assert len(twin.notifications) == 2


# What becomes of a request goes back


def test_a_receipt_is_told_by_status_and_event(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()

    done = hubee.handle(says(case_id, "transferred"))

    assert done == Done("HubEE informé : SI_RECEIVED")
    assert (twin.status(case_id), twin.announced(case_id)) == ("SI_RECEIVED", ["SI_RECEIVED"])


def test_a_decision_goes_through_the_steps_that_the_workflow_asks(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    assert hubee.handle(says(case_id, "fulfilled")) == Done("HubEE informé : DONE")
    assert twin.announced(case_id) == ["SI_RECEIVED", "DONE"]


def test_a_refusal_carries_its_reason_to_the_citizen(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    hubee.handle(says(case_id, "rejected", "Aucun acte à ce nom " + "x" * 1200))
    assert twin.announced(case_id) == ["SI_RECEIVED", "REFUSED"]
    [message] = twin.messages(case_id)
    assert message.startswith("Aucun acte à ce nom")
    assert len(message) == 1000


def test_the_same_status_twice_is_told_once(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    delivery = says(case_id, "transferred")
    assert hubee.handle(delivery) == hubee.handle(delivery) == hubee.look_up(delivery)
    hubee.handle(says(case_id, "in_progress"))
    assert twin.announced(case_id) == ["SI_RECEIVED"]


def test_a_second_demand_for_missing_papers_is_told_with_its_own_words() -> None:
    with HubEETwin("recensementCitoyen") as twin:
        hubee = connector_of(twin)
        case_id = twin.add_case([])
        hubee.handle(says(case_id, "incomplete", "Il manque le livret"))
        hubee.handle(says(case_id, "incomplete", "La photographie est illisible"))
        assert twin.announced(case_id) == ["ADD_AWAITING", "ADD_AWAITING"]
        assert twin.messages(case_id) == ["Il manque le livret", "La photographie est illisible"]


def test_a_stop_between_status_and_event_leaves_the_event_alone(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    delivery = says(case_id, "transferred")
    twin.misbehave("timeout", on="/events")
    with pytest.raises(Unknown):
        hubee.handle(delivery)
    assert (twin.status(case_id), twin.announced(case_id)) == ("SI_RECEIVED", [])

    assert hubee.look_up(delivery) is None
    assert hubee.handle(delivery) == Done("HubEE informé : SI_RECEIVED")
    assert twin.announced(case_id) == ["SI_RECEIVED"]
    assert [path for method, path in twin.calls if method == "PATCH"] == [f"/teledossiers/v1/cases/{case_id}"]


def test_a_lost_answer_is_found_by_looking_up(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    delivery = says(case_id, "transferred")
    twin.misbehave("lose_answer", on="/events")
    with pytest.raises(Unknown):
        hubee.handle(delivery)
    assert hubee.look_up(delivery) == Done("HubEE informé : SI_RECEIVED")


def test_a_status_without_a_word_is_not_told(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    for status in ("closed", "withdrawn", "granted", "awaiting_payment", "incomplete", None):
        delivery = says(case_id, status)
        assert hubee.handle(delivery).answer.startswith("Rien à dire à HubEE")
        assert hubee.look_up(delivery) == hubee.handle(delivery)
    assert (twin.announced(case_id), twin.calls) == ([], [])


def test_a_late_step_does_not_take_the_case_back(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    hubee.handle(says(case_id, "fulfilled"))
    assert hubee.handle(says(case_id, "in_progress")) == Done("HubEE est déjà plus loin : DONE")
    with pytest.raises(Refused, match="de DONE à REFUSED"):
        hubee.handle(says(case_id, "rejected"))
    assert twin.announced(case_id) == ["SI_RECEIVED", "DONE"]


def test_a_death_certificate_is_taken_up_then_done() -> None:
    with HubEETwin("CERTDC") as twin:
        hubee = connector_of(twin)
        case_id = twin.add_case([File("dd.xml", "DD", "application/xml", b"<InsermDeclarationDeces/>")])
        [event] = read(hubee)
        assert event.data["request"]["procedure"] == "certificat-deces"
        assert "beneficiaries" not in event.data["request"]
        hubee.handle(says(case_id, "fulfilled"))
        assert twin.announced(case_id) == ["IN_PROGRESS", "DONE"]
        with pytest.raises(Refused):
            hubee.handle(says(case_id, "rejected"))


def test_a_request_without_a_case_is_refused(hubee: HubEEConnector, twin: HubEETwin) -> None:
    with pytest.raises(Refused):
        hubee.handle(says(None, "transferred"))
    with pytest.raises(Refused):
        hubee.handle(says("00000000-0000-4000-8000-000000000000", "transferred"))


def test_the_partner_is_named_in_every_call(twin: HubEETwin) -> None:
    connector = connector_of(twin, editor_name="x" * 51)
    with pytest.raises(Refused):
        read(connector)
    assert read(connector_of(twin, editor_name="Ville", application_name="Unefois", software_version="1")) == []


# When things go wrong


def test_an_expired_token_is_renewed(twin: HubEETwin, hubee: HubEEConnector) -> None:
    read(hubee)
    twin.forget_tokens()
    twin.add_civil_record_request()
    assert len(read(hubee)) == 1


def test_a_wrong_secret_asks_for_a_human(twin: HubEETwin) -> None:
    connector = connector_of(twin, client_secret=Secret("faux"))
    with pytest.raises(AccessDenied):
        read(connector)
    assert not connector.probe().ok


def test_a_forbidden_subscription_asks_for_a_human(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.misbehave("403", on="/notifications")
    with pytest.raises(AccessDenied):
        read(hubee)


@pytest.mark.parametrize("fault", ["500", "429", "timeout", "html", "half", "drop"])
def test_a_poll_that_fails_is_tried_later(twin: HubEETwin, hubee: HubEEConnector, fault: str) -> None:
    case_id = twin.add_civil_record_request()
    twin.misbehave(fault, on="/notifications")
    with pytest.raises(TryLater):
        read(hubee)
    assert [event.subject for event in read(hubee)] == [case_id]


@pytest.mark.parametrize("fault", ["500", "timeout", "drop", "lose_answer"])
def test_a_telling_that_may_have_happened_is_unknown(twin: HubEETwin, hubee: HubEEConnector, fault: str) -> None:
    case_id = twin.add_civil_record_request()
    twin.misbehave(fault, on="PATCH")
    delivery = says(case_id, "transferred")
    with pytest.raises(Unknown):
        hubee.handle(delivery)
    if hubee.look_up(delivery) is None:
        hubee.handle(delivery)
    assert twin.announced(case_id) == ["SI_RECEIVED"]


def test_a_busy_hubee_says_when_to_come_back(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    twin.misbehave("429", on="PATCH")
    with pytest.raises(TryLater) as caught:
        hubee.handle(says(case_id, "transferred"))
    assert caught.value.after == 7.0


@pytest.mark.parametrize(("code", "error"), [(400, Refused), (403, AccessDenied), (429, TryLater), (500, Unknown)])
def test_a_success_that_holds_an_error_is_no_success(
    twin: HubEETwin, hubee: HubEEConnector, code: int, error: type[HubError], monkeypatch: pytest.MonkeyPatch
) -> None:
    case_id = twin.add_civil_record_request()
    answer = twin.answer
    body = {"errors": [{"code": code, "message": "Not to be repeated: MERCŒUR"}]}
    monkeypatch.setattr(twin, "answer", lambda call: TwinAnswer(200, body) if call.method == "PATCH" else answer(call))
    with pytest.raises(error) as caught:
        hubee.handle(says(case_id, "transferred"))
    assert "MERCŒUR" not in str(caught.value)
    assert twin.announced(case_id) == []


def test_a_refused_step_is_final(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    twin.misbehave("400", on="PATCH")
    with pytest.raises(Refused, match="de HUBEE_NOTIFIED à SI_RECEIVED") as caught:
        hubee.handle(says(case_id, "transferred"))
    assert caught.value.native == "400"


def test_a_stopped_hubee_is_tried_later_and_probed_as_away(twin: HubEETwin, hubee: HubEEConnector) -> None:
    case_id = twin.add_civil_record_request()
    assert hubee.probe().ok
    twin.stop()
    assert not hubee.probe().ok
    with pytest.raises(TryLater):
        hubee.handle(says(case_id, "transferred"))
    with pytest.raises(TryLater):
        read(hubee)
    twin.start()
    assert len(read(hubee)) == 1


def test_a_fault_names_no_person(twin: HubEETwin, hubee: HubEEConnector) -> None:
    twin.add_civil_record_request(digest="wrong")
    _, faults = read_with_faults(hubee)
    for name in (FATHER.name, DAUGHTER.given, DAUGHTER.email, "secret-essai"):
        assert name not in str(faults)
