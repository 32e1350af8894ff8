"""A request as people read it: every step has its sentence, and what was not applied says so."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, get_args

import pytest

from bus.ledger import Entry, Ledger
from bus.tables import deliveries
from hub.clients import repository as clients
from hub.requests.authority import Mark
from hub.requests.repository import PHASES, Requests
from hub.requests.timeline import OPERATOR, PERSON, STATUS, Viewer, request_view, timeline_lines
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from schemas.event import Event

TOWN, PORTAL, OFFICE = "saint-aubin", "saint-aubin.portail", "saint-aubin.etat-civil"
OTHER = "val-fleuri"  # where a system of the same name as one of ours decides
DIRECTORY = Directory(
    [ConnectionRouting(OFFICE, TOWN, "etat-civil", "État civil"),
     ConnectionRouting(f"{OTHER}.koha", OTHER, "koha", "Koha")], load_procedures(),
    {TOWN: Tenant(TOWN, "Ville de Saint-Aubin", "21930001100018", "93001"),
     OTHER: Tenant(OTHER, "Ville de Val-Fleuri", "21930002900010", "93002", {"signature-book": "koha"})},
)  # fmt: skip


def viewed(
    ledger: Ledger, *steps: dict[str, Any], viewer: Viewer = OPERATOR, confidential: bool = False, **links: str
) -> dict[str, Any]:  # fmt: skip
    record = {"procedure": "occupation-domaine-public", "submitted_at": "2026-11-02T08:00:00Z",
              "references": [{"system": "portail", "id": "D-1"}]}  # fmt: skip
    with ledger.transaction() as tx:
        book = Requests(tx)
        request = book.open(TOWN, record, origin=PORTAL, people=[], confidential=confidential)
        book.link(request, [{"system": system, "id": native} for system, native in links.items()])
        for step in steps:
            book.step(request, step.pop("kind"), at=step.pop("at", tx.now), **step)
        book.save()
    with ledger.reading() as tx:
        view = request_view(tx, DIRECTORY, TOWN, request.id, viewer)
        assert request_view(tx, DIRECTORY, OTHER, request.id) is None
    assert view is not None
    return view


def test_every_status_has_a_word_and_a_phase() -> None:
    assert set(STATUS) == set(PHASES)


@pytest.mark.parametrize(("step", "sentence"), [
    ({"kind": "received", "origin": PORTAL}, "Reçue par Portail de la ville"),
    ({"kind": "status", "origin": OFFICE, "data": {"status": "granted", "native": {"label": "Signé"}}},
     "État civil : accordée (« Signé »)"),
    ({"kind": "status", "origin": OFFICE, "data": {"native": {"code": "X9"}}, "mark": "unknown", "reason": "visa"},
     "État civil : état sans équivalent (« X9 »), motif : visa — état inconnu de la table, non appliqué"),
    ({"kind": "status", "origin": OFFICE, "data": {"native": {"code": "X9"}}, "mark": "step", "reason": "visa"},
     "État civil : état sans équivalent (« X9 »), motif : visa — étape : l'état ne change pas"),
    ({"kind": "status", "origin": OFFICE, "data": {"status": "granted", "native": {"label": "Signé"}},
      "mark": "question"}, "État civil : accordée (« Signé ») — la demande était retirée : un agent doit trancher"),
    ({"kind": "withheld", "origin": OFFICE, "reason": "retenu"}, "Retenu"),
    ({"kind": "echo", "origin": f"{TOWN}.hub"}, "Unefois répète ce que la plateforme lui a appris : rien n'est envoyé"),
])  # fmt: skip
def test_a_step_is_a_sentence(ledger: Ledger, step: dict[str, Any], sentence: str) -> None:
    clients.add(ledger, client_id="portail", tenant=TOWN, label="Portail de la ville", scopes=[])

    view = viewed(ledger, dict(step))

    assert [one["text"] for one in view["timeline"]] == [sentence]
    assert timeline_lines(view)[0].endswith(": reçue")


def test_the_clock_stands_while_documents_are_missing(ledger: Ledger) -> None:
    """Until the date that the deciding system fixed; without one nothing stands, since nothing says for how long."""
    until = date.today() + timedelta(days=40)  # noqa: DTZ011 (the request is opened now)
    asked = {"kind": "status", "origin": OFFICE, "data": {"status": "incomplete", "documents_until": str(until)}}
    undated = {"kind": "status", "origin": OFFICE, "data": {"status": "incomplete"}}
    library = {"kind": "status", "origin": OFFICE, "data": asked["data"], "mark": "not_deciding"}
    brought = {"kind": "status", "origin": OFFICE, "data": {"status": "in_progress"}}

    plain, first, second, third, fourth = (
        viewed(ledger, *map(dict, steps))["clocks"]
        for steps in ((), (asked,), (undated,), (library,), (asked, brought))
    )

    assert (first["suspended"], first["silence_on"] > plain["silence_on"]) == (True, True)
    for clock in (second, third, fourth):
        assert (clock["suspended"], clock["silence_on"]) == (False, plain["silence_on"])


def test_a_late_poll_moves_no_suspension(ledger: Ledger) -> None:
    """The day on which documents were asked for is that of who asked, not that on which the hub heard of it."""
    today = date.today()  # noqa: DTZ011 (the request is opened now)
    until, told = str(today + timedelta(days=20)), datetime.now(UTC).timestamp()
    days = [told - 10 * 86_400, told]
    asked = [{"kind": "status", "origin": OFFICE, "said_at": day,
              "data": {"status": "incomplete", "documents_until": until}} for day in days]  # fmt: skip

    early, late = (viewed(ledger, dict(step))["clocks"]["silence_on"] for step in asked)

    assert date.fromisoformat(early) - date.fromisoformat(late) == timedelta(days=10)


def test_a_step_of_another_package_does_not_say_that_the_documents_came(ledger: Ledger) -> None:
    until = str(date.today() + timedelta(days=40))  # noqa: DTZ011
    asked = {"kind": "status", "origin": OFFICE, "data": {"status": "incomplete", "documents_until": until}}
    goes_on = {"kind": "status", "data": {"status": "in_progress"}}

    alone, library, office, hub = (
        viewed(ledger, *map(dict, steps))["clocks"]["suspended"]
        for steps in (
            (asked,),
            (asked, goes_on | {"origin": f"{TOWN}.koha"}),
            (asked, goes_on | {"origin": OFFICE}),
            (asked, goes_on | {"origin": f"{TOWN}.hub"}),
        )
    )

    assert (alone, library, office, hub) == (True, True, False, False)


def test_a_date_that_follows_is_that_of_the_suspension(ledger: Ledger) -> None:
    """Asked for without a date, then with one: it stands from the day of the request for documents."""
    first = {"kind": "status", "origin": OFFICE, "data": {"status": "incomplete"}}
    until = str(date.today() + timedelta(days=9))  # noqa: DTZ011
    then = first | {"data": {"status": "incomplete", "documents_until": until}}

    once, twice = viewed(ledger, dict(then)), viewed(ledger, dict(first), dict(then))

    assert once["clocks"] == twice["clocks"]


def test_the_view_shows_both_dates_and_the_zone_in_which_days_are_counted(ledger: Ledger) -> None:
    view = viewed(ledger)

    assert view["timezone"] == "Europe/Paris"
    assert view["received"] == {"first": view["received_at"], "competent": view["received_at"]}
    assert all("said_at" not in step for step in viewed(ledger, {"kind": "received", "origin": PORTAL})["timeline"])


WITHHELD = {"kind": "withheld", "origin": OFFICE, "reason": "dossier confidentiel : rien n'est transmis à Koha"}
ECHO = {"kind": "echo", "origin": f"{TOWN}.koha"}


def test_a_portal_is_not_told_what_a_mark_or_a_delivery_made(ledger: Ledger) -> None:
    portal = Viewer("portal", PORTAL)

    view = viewed(ledger, dict(WITHHELD), dict(ECHO), viewer=portal, confidential=True, koha="K-1")

    assert "confidential" not in view
    assert view["references"] == [{"system": "portail", "id": "D-1"}]
    assert view["timeline"] == []


def test_a_portal_sees_the_number_of_whoever_said_something(ledger: Ledger) -> None:
    said = {"kind": "status", "origin": f"{TOWN}.koha", "data": {"status": "in_progress", "native": {"label": "Lu"}}}

    view = viewed(ledger, said, viewer=Viewer("portal", PORTAL), koha="K-1", parapheur="P-1")

    assert view["references"] == [{"system": "koha", "id": "K-1"}, {"system": "portail", "id": "D-1"}]


def test_the_person_reads_no_words_of_machines(ledger: Ledger) -> None:
    said = {"kind": "status", "origin": OFFICE, "data": {"status": "in_progress", "native": {"code": "SI_RECEIVED"}}}
    whole, shown = (viewed(ledger, dict(said), viewer=viewer) for viewer in (OPERATOR, PERSON))
    assert whole["timeline"][0]["text"] == "État civil : en cours (« SI_RECEIVED »)"
    assert shown["timeline"][0]["text"] == "État civil : en cours"


def test_the_person_reads_who_received_what_without_what_went_wrong_inside(ledger: Ledger) -> None:
    record = {"procedure": "occupation-domaine-public", "submitted_at": "2026-11-02T08:00:00Z",
              "references": [{"system": "portail", "id": "D-2"}]}  # fmt: skip
    with ledger.transaction() as tx:
        book = Requests(tx)
        request = book.open(TOWN, record, origin=PORTAL, people=[], confidential=False)
        book.save()
        event = Event("request.received", f"/{TOWN}/portail", {"request": record})
        (seq,) = tx.append([Entry(TOWN, event, b"", f"r:{request.id}", request.id, PORTAL, [OFFICE], False)])
        row = {"state": "parked", "cause": "ConnectError: [Errno 111] refused by etat-civil.intra:8443"}
        tx.sql.execute(deliveries.update().where(deliveries.c.seq == seq).values(row))
    with ledger.reading() as tx:
        texts = [
            view["timeline"][0]["text"] for viewer in (OPERATOR, PERSON)
            if (view := request_view(tx, DIRECTORY, TOWN, request.id, viewer)) is not None
        ]  # fmt: skip
    assert "etat-civil.intra:8443" in texts[0]
    assert texts[1] == "État civil n'a pas reçu la demande : un opérateur doit agir"


@pytest.mark.parametrize("mark", get_args(Mark))
@pytest.mark.parametrize("viewer", [OPERATOR, PERSON, Viewer("portal", PORTAL)])
def test_every_mark_of_a_step_is_said_in_french(ledger: Ledger, mark: str, viewer: Viewer) -> None:
    """A step whose mark has no words would hide the whole request."""
    step = {"kind": "status", "origin": OFFICE, "data": {"native": {"code": "R", "label": "Visa refusé"}}, "mark": mark}

    (shown,) = viewed(ledger, step, viewer=viewer)["timeline"]

    assert shown["text"].startswith("État civil : état sans équivalent (« Visa refusé ») — ")


@pytest.mark.parametrize("viewer", [OPERATOR, PERSON])
def test_the_operator_and_the_person_see_the_mark_and_what_it_stopped(ledger: Ledger, viewer: Viewer) -> None:
    view = viewed(ledger, dict(WITHHELD), viewer=viewer, confidential=True, koha="K-1")

    assert view["confidential"] is True
    assert [step["kind"] for step in view["timeline"]] == ["withheld"]
    assert {"system": "koha", "id": "K-1"} in view["references"]
