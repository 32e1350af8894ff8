"""Hostile events at the door: half-stored state, marks passed by, times that poison, names that are not one's own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.documents.repository import DocumentBook
from hub.operations.link_import import import_links
from hub.requests.repository import references
from hub.routing.directory import Directory
from hub.storage.tables import citizen_links, citizens, request_links, requests
from schemas.delivery import StoredDocument
from schemas.event import MAX_BATCH, Event
from tests.hub.acceptance.test_accept import TOWN, Desk, consumes, moved, person, received, status  # fmt: skip
from tests.support.acceptance import acceptance_of


def count(ledger: Ledger, table: Any) -> int:
    with ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def contact(event_id: str, by: str = "portail", who: dict[str, Any] | None = None, **values: str) -> Event:
    said = {
        name: {"value": value, "source": by, "date": "2026-11-02", "quality": "declared"}
        for name, value in values.items()
    }
    data = {"citizen": who or person(), **said}
    return Event(type="citizen.contact-changed", source=f"/{TOWN}/{by}", id=event_id, data=data)


def house(event: Event, number: str, event_id: str, by: str = "portail") -> Event:
    value = {**event.data["new_address"]["value"], "house_number": number}
    data = {**event.data, "new_address": {**event.data["new_address"], "value": value}}
    return Event(type=event.type, source=f"/{TOWN}/{by}", id=event_id, data=data)


def with_members(desk: Desk, *changes: Any) -> Desk:
    """The same door, where some members read more."""
    members = {m.name: m for m in desk.directory.connections.values()} | {m.name: m for m in changes}
    desk.directory = Directory(members.values(), desk.directory.catalogue, desk.directory.tenants)
    desk.acceptance = acceptance_of(desk.directory, registry=desk.acceptance.registry)
    return desk


# --- nothing half-stored ------------------------------------------------------------------------------------------


def test_a_refused_request_leaves_no_citizen_and_no_link(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    desk.submit(moved(references=[{"system": "koha", "id": "C-1"}]))
    before = count(desk.ledger, citizens), count(desk.ledger, citizen_links)
    child = {"references": [{"system": "portail", "id": "P-9"}]}
    parent = {"references": [{"system": "portail", "id": "P-9"}, {"system": "koha", "id": "C-1"}]}

    verdict = desk.submit(received(beneficiaries=[child], requester={"citizen": parent}))[0]

    assert verdict.error is not None
    assert verdict.error.code == "ambiguous_citizen"
    assert (count(desk.ledger, citizens), count(desk.ledger, citizen_links)) == before
    assert count(desk.ledger, requests) == 0


def test_a_refused_status_leaves_no_reference(desk: Desk) -> None:
    desk.speaks_for = frozenset({"portail"})
    desk.submit(received("1"), received("2"))
    known = count(desk.ledger, request_links)
    links = [{"system": "etat-civil", "id": "new"}, {"system": "portail", "id": "2"}]

    verdict = desk.submit(status("in_progress", "1", new_references=links), by="etat-civil")[0]

    assert verdict.error is not None
    assert verdict.error.code == "reference_taken"
    assert count(desk.ledger, request_links) == known


def test_a_copy_of_a_refused_event_in_the_same_batch_is_refused_too(desk: Desk) -> None:
    wrong = received("1", procedure="no-such-thing")

    verdicts = desk.submit(wrong, wrong)

    assert [v.outcome for v in verdicts] == ["refused", "refused"]


def test_a_corrected_event_may_follow_its_refusal_in_the_same_batch(desk: Desk) -> None:
    verdicts = desk.submit(received("1", procedure="no-such-thing"), received("1"), received("1"))

    assert [v.outcome for v in verdicts] == ["refused", "accepted", "duplicate"]
    assert verdicts[2].seq == verdicts[1].seq


def test_a_batch_may_name_more_than_a_statement_can_hold(desk: Desk) -> None:
    def crowd(number: int) -> Event:
        known = [{"references": [{"system": f"s{k}", "id": f"{number}-{m}"} for k in range(10)]} for m in range(8)]
        return received(str(number), beneficiaries=known)

    verdicts = desk.submit(*(crowd(number) for number in range(MAX_BATCH)))

    assert {v.outcome for v in verdicts} == {"accepted"}


def test_a_town_imports_all_its_links_at_once(desk: Desk) -> None:
    lines = ["family_name;given_names;gender;birthdate;birthplace;system;id;confidential"]
    lines += [f"N{n};Camille;female;1980-01-01;93001;koha;C-{n};" for n in range(20_000)]

    assert import_links(desk.ledger, desk.acceptance, TOWN, "\n".join(lines)) == 20_000


# --- the confidential mark ----------------------------------------------------------------------------------------


LINKED = [{"system": "koha", "id": "C-1"}, {"system": "accueil", "id": "A-1"}]


def test_the_mark_of_a_household_member_keeps_the_whole_move(desk: Desk) -> None:
    event = moved(references=LINKED)
    child = {"references": [{"system": "ecole", "id": "E-1"}], "confidential": True}

    first = desk.submit(event.with_data({**event.data, "household": [child]}))[0]
    unmarked = {"references": [{"system": "ecole", "id": "E-1"}]}
    later = house(event, "9", "later")
    second = desk.submit(later.with_data({**later.data, "household": [unmarked]}))[0]

    assert desk.to(first) == []
    assert desk.to(second) == []


def test_the_mark_of_a_representative_keeps_the_request(desk: Desk) -> None:
    with_members(desk, replace(desk.directory.connections[f"{TOWN}.parapheur"], procedures=()))
    mother = {"references": [{"system": "portail", "id": "M-1"}], "confidential": True}
    child = {"identity": {"family_name": "Sorbier", "given_names": ["Ysée"], "birthdate": "2019-04-01"}}

    verdict = desk.submit(
        received(beneficiaries=[child], representative={"role": "parent", "person": {"citizen": mother}})
    )[0]

    assert desk.to(verdict) == ["etat-civil"]


def test_the_mark_of_one_of_two_linked_identities_is_the_mark_of_both(desk: Desk) -> None:
    threatened = person(confidential=True)
    desk.submit(received("1", requester={"citizen": threatened}))  # known by identity alone
    desk.submit(contact("c", who={"references": LINKED}, email="a@courriel.example"))  # known by identifiers alone

    verdict = desk.submit(moved(references=LINKED))[0]  # names both at once
    by_reference = moved(event_id="again")
    by_reference = house(by_reference.with_data({**by_reference.data, "citizen": {"references": LINKED}}), "9", "again")
    later = desk.submit(by_reference)[0]

    assert desk.to(verdict) == []
    assert desk.to(later) == []


def test_a_document_about_a_marked_citizen_goes_to_nobody(desk: Desk) -> None:
    with_members(desk, replace(desk.directory.connections[f"{TOWN}.koha"], consumes=consumes("document.received")))
    desk.submit(contact("c", who=person(confidential=True), email="a@courriel.example"))
    record = {"id": "d", "name": "a.pdf", "media_type": "application/pdf", "size": 1, "sha256": "0" * 64}

    known = Event(type="document.received", source=f"/{TOWN}/portail", id="d1",
                  data={"document": record, "kind": "proof-of-address", "citizen": person()})  # fmt: skip
    marked = Event(type="document.received", source=f"/{TOWN}/portail", id="d2",
                   data={"document": record, "kind": "plan", "citizen": {
                       "references": [{"system": "x", "id": "1"}], "confidential": True}})  # fmt: skip

    assert [desk.to(v) for v in desk.submit(known, marked)] == [[], []]


def test_a_request_sent_again_with_the_mark_is_confidential_from_then_on(desk: Desk) -> None:
    with_members(desk, replace(desk.directory.connections[f"{TOWN}.koha"], consumes=consumes("request.status-changed")))
    desk.submit(received("1"))
    again = received("1", requester={"citizen": person(confidential=True)})
    desk.submit(Event(type=again.type, source=again.source, id="again", data=again.data))

    verdict = desk.submit(status("in_progress"), by="etat-civil")[0]

    assert desk.to(verdict) == ["portail"]


@pytest.mark.parametrize("at_once", [True, False])
def test_a_mark_set_later_keeps_the_requests_that_were_open(desk: Desk, at_once: bool) -> None:
    with_members(desk, replace(desk.directory.connections[f"{TOWN}.koha"], consumes=consumes("request.status-changed")))
    child = {"identity": {"family_name": "Sorbier", "given_names": ["Ysée"], "birthdate": "2019-04-01"}}
    desk.submit(received("1", beneficiaries=[child]))
    mark = contact("c", who=person(confidential=True), email="a@courriel.example")
    step = status("in_progress", by="portail")

    verdict = desk.submit(mark, step)[1] if at_once else [*desk.submit(mark), *desk.submit(step)][1]

    assert desk.to(verdict) == []


def test_what_was_still_on_its_way_when_the_mark_came_is_withheld(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    before = desk.submit(moved(references=LINKED))[0]
    assert desk.to(before) == ["accueil", "koha"]

    desk.submit(contact("c", who=person(confidential=True), email="a@courriel.example"))

    with desk.ledger.reading() as tx:
        assert {row.state for row in tx.deliveries_of([before.seq or 0])} == {"skipped"}


def test_a_mark_read_from_a_file_stops_what_is_on_its_way(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    before = desk.submit(moved(references=LINKED))[0]
    head = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"

    import_links(desk.ledger, desk.acceptance, TOWN, head + "Sorbier;Blanche;female;1991-11-23;93001;ecole;E-1;oui\n")

    with desk.ledger.reading() as tx:
        assert {row.state for row in tx.deliveries_of([before.seq or 0])} == {"skipped"}


def test_what_was_on_its_way_to_the_deciding_service_goes_on(desk: Desk) -> None:
    with_members(desk, replace(desk.directory.connections[f"{TOWN}.parapheur"], procedures=()))
    request = desk.submit(received("1"))[0]
    assert desk.to(request) == ["etat-civil", "parapheur"]

    desk.submit(contact("c", who=person(confidential=True), email="a@courriel.example"))

    with desk.ledger.reading() as tx:
        states = {row.connection.partition(".")[2]: row.state for row in tx.deliveries_of([request.seq or 0])}
    assert states == {"etat-civil": "expected", "parapheur": "skipped"}


# --- times --------------------------------------------------------------------------------------------------------


def test_a_time_far_ahead_poisons_nothing(desk: Desk) -> None:
    request = desk.submit(received())[0].request_id
    desk.submit(status("in_progress", event_id="a", time="2999-01-01T00:00:00Z"), by="etat-civil")

    desk.submit(status("awaiting_payment", event_id="b"), by="etat-civil")

    assert desk.status(request) == "awaiting_payment"


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-02T09:00:00",
        "yesterday",
        "2026-02-30T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "2026-11-02T09:00:00." + "1" * 60 + "Z",
    ],
)
def test_no_time_of_a_connector_stops_the_others(desk: Desk, time: str) -> None:
    desk.submit(received())

    verdicts = desk.submit(status("in_progress", event_id="a", time=time), received("2"), by="portail")

    assert verdicts[1].outcome == "accepted"


def test_a_connectors_event_is_held_to_the_same_form_as_any_other(desk: Desk) -> None:
    long_id, control, odd = (
        replace(received("1"), id="x" * 600), replace(received("2"), subject="a\nb"),
        replace(received("3"), extensions={"Bad Name": 1}),
    )  # fmt: skip

    assert {v.outcome for v in desk.submit(long_id, control, odd)} == {"refused"}


def test_text_that_no_database_takes_is_refused(desk: Desk) -> None:
    desk.submit(received())

    verdict = desk.submit(status("in_progress", reason="a\x00b"), by="etat-civil")[0]

    assert verdict.error is not None
    assert verdict.error.pointer == "/data/reason"


# --- names that are not one's own ---------------------------------------------------------------------------------


def test_a_correlation_of_the_senders_own_is_not_taken_for_ours(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    from hub.acceptance.deliveries import Deliveries as Door

    request = desk.submit(received())[0].request_id
    spoof = moved(references=LINKED)
    spoof = replace(spoof, extensions={"correlationid": request})
    verdict = desk.submit(spoof)[0]
    name = f"{TOWN}.koha"
    with desk.ledger.transaction() as tx:
        tx.receive(name, [verdict.seq or 0])
        claimed = tx.claim(name, 1)
        door = Door(desk.acceptance)
        (delivery,) = door.deliveries(tx, name, claimed, {}, door.identifiers(tx, claimed)).values()

    assert delivery.request_id is None
    assert "correlationid" not in delivery.event.extensions


def test_a_connection_linked_to_a_request_reads_its_steps(desk: Desk) -> None:
    """`linked` is for requests too: those that have an identifier in this system."""
    desk.speaks_for = frozenset({"parapheur"})
    linked = consumes("request.status-changed", scope="linked")
    with_members(desk, replace(desk.directory.connections[f"{TOWN}.parapheur"], consumes=linked, procedures=()))
    desk.submit(received("1"), received("2"))
    signed = [{"system": "parapheur", "id": "S-1"}]
    desk.submit(status("in_progress", "1", event_id="a", new_references=signed), by="etat-civil")

    mine, other = desk.submit(
        status("awaiting_payment", "1", event_id="b"), status("awaiting_payment", "2", event_id="c"), by="etat-civil"
    )

    assert desk.to(mine) == ["parapheur", "portail"]
    assert desk.to(other) == ["portail"]


def test_new_identifiers_of_a_request_sent_again_are_kept(desk: Desk) -> None:
    desk.speaks_for = frozenset({"etat-civil"})
    request = desk.submit(received("1"))[0].request_id or ""
    again = received("1", references=[{"system": "portail", "id": "1"}, {"system": "etat-civil", "id": "E-1"}])
    desk.submit(Event(type=again.type, source=again.source, id="again", data=again.data))

    with desk.ledger.reading() as tx:
        assert references(tx, [request])[request] == [("etat-civil", "E-1"), ("portail", "1")]


def test_references_of_two_requests_are_refused(desk: Desk) -> None:
    desk.submit(received("1"), received("2"))
    both = received("1", references=[{"system": "portail", "id": "1"}, {"system": "portail", "id": "2"}])

    verdict = desk.submit(Event(type=both.type, source=both.source, id="both", data=both.data))[0]

    assert verdict.error is not None
    assert verdict.error.code == "reference_taken"


# --- echoes -------------------------------------------------------------------------------------------------------


def test_a_person_may_move_back_within_the_month(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    away, back = house(moved(references=LINKED), "7", "away"), house(moved(references=LINKED), "1", "back")
    first = house(moved(references=LINKED), "1", "first")

    verdicts = [desk.submit(event)[0] for event in (first, away, back)]

    assert [v.outcome for v in verdicts] == ["accepted"] * 3


def test_what_a_portal_repeats_after_another_spoke_is_no_news(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    here, there = house(moved(references=LINKED), "1", "a"), house(moved(references=LINKED), "2", "b", by="accueil")
    desk.submit(here)
    desk.submit(there, by="accueil")

    assert desk.submit(house(moved(references=LINKED), "1", "c"))[0].outcome == "echo"


def test_an_echo_beside_a_news_is_not_spread(desk: Desk) -> None:
    desk.speaks_for = frozenset({"koha", "accueil"})
    with_members(
        desk,
        replace(
            desk.directory.connections[f"{TOWN}.koha"], consumes=consumes("citizen.contact-changed", scope="linked")
        ),
    )
    who = person(references=LINKED)
    desk.submit(contact("a", who=who, email="old@courriel.example"))
    desk.submit(contact("b", who=who, email="new@courriel.example"))

    stale = contact("c", by="koha", who=who, email="old@courriel.example", phone="0400000012")
    verdict = desk.submit(stale, by="koha")[0]

    assert verdict.outcome == "accepted"
    with desk.ledger.reading() as tx:
        stored = tx.load([verdict.seq or 0])[verdict.seq or 0].event
    assert set(stored.data) == {"citizen", "phone"}
    assert desk.submit(stale, by="koha")[0].outcome == "duplicate"


# --- what the hub says --------------------------------------------------------------------------------------------


def test_a_second_decision_is_told_as_well(desk: Desk) -> None:
    shop = {"organisation": {"name": "Café des Halles", "siret": "21930001100018", "email": "cafe@courriel.example"}}
    request = desk.submit(received("7", "occupation-domaine-public", requester=shop))[0].request_id
    for event_id, word in (("g", "granted"), ("g2", "granted"), ("r", "rejected")):
        desk.submit(status(word, "7", by="parapheur", event_id=event_id), by="parapheur")

    with desk.ledger.reading() as tx:
        events = [s.event for s in tx.events_of_request(request or "") if s.event.type == "message.requested"]

    decisions = [e.data["text"] for e in events if e.data["template"] == "decision"]
    assert [text.split(" a été ")[1].split(".")[0] for text in decisions] == ["acceptée", "rejetée"]


def test_a_decision_with_many_documents_is_told(desk: Desk) -> None:
    shop = {"organisation": {"name": "Café des Halles", "siret": "21930001100018", "email": "cafe@courriel.example"}}
    request = desk.submit(received("7", "occupation-domaine-public", requester=shop))[0].request_id
    record = {"name": "a.pdf", "media_type": "application/pdf", "size": 1, "sha256": "0" * 64}
    many = [{"id": f"d{n}", **record} for n in range(30)]
    for item in many:
        DocumentBook(desk.ledger).record(TOWN, StoredDocument(**item))
    desk.submit(status("granted", "7", by="parapheur", documents=many), by="parapheur")

    with desk.ledger.reading() as tx:
        messages = [s.event.data for s in tx.events_of_request(request or "") if s.event.type == "message.requested"]

    assert [m["template"] for m in messages] == ["acknowledgement", "decision"]
    assert len(messages[1]["documents"]) == 20
