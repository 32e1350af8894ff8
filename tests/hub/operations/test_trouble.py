"""What needs somebody: each kind opens, is grouped by its cause, is told once, and closes when the cause is gone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import insert, select, update

from bus.api import DEAD_LETTERS
from bus.ledger import Ledger
from bus.tables import deliveries
from commands.main import app
from hub.acceptance.refused import keep_refused
from hub.operations import trouble
from hub.operations.shapes import Shapes, accept
from hub.operations.signals import KINDS as SIGNALS
from hub.operations.signals import Signals
from hub.operations.trouble import KINDS, Trouble, Troubles, find_trouble, list_troubles, open_trouble_counts
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings import procedures
from hub.settings.model import Tenant
from hub.storage.tables import (  # fmt: skip
    citizen_links,
    citizen_reviews,
    citizens,
    observed_calls,
    pulling_clients,
    question_days,
    request_links,
    request_steps,
    requests,
    unproved_references,
    unread_events,
)
from schemas.delivery import RecordFault
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.support.acceptance import acceptance_of

TOWN, CCAS = "saint-aubin", "val-fleuri"
KOHA, ACT = f"{TOWN}.koha", f"{TOWN}.etat-civil"
SORBIER = "SORBIER"
TERRACE = {"procedure": "occupation-domaine-public", "spoken": "incomplete", "spoken_at": 1_790_000_000.0}


class Clock:
    def __init__(self) -> None:
        self.at = 1_790_000_000.0

    def __call__(self) -> float:
        return self.at


class Watched:
    """A hub of two tenants in whose tables the tests put what needs somebody."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.ledger = Ledger(url, now=self.clock)
        self.ledger.create()
        members = [
            ConnectionRouting(name, name.partition(".")[0], name.partition(".")[2], name)
            for name in (KOHA, ACT, f"{CCAS}.koha")
        ]
        tenants = {one: Tenant(one, one, "21930001100018", "93001") for one in (TOWN, CCAS)}
        self.dead: int | None = 0
        acceptance = acceptance_of(Directory(members, procedures.load_procedures(), tenants))
        self.troubles = Troubles(self.ledger, acceptance, lambda: self.dead)

    def put(self, table: Any, **values: Any) -> None:
        with self.ledger.transaction() as tx:
            tx.sql.execute(insert(table).values(**values))

    def change(self, table: Any, condition: Any, **values: Any) -> None:
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(table).where(condition).values(**values))

    def look(self) -> list[Trouble]:
        self.troubles.look_now()
        with self.ledger.reading() as tx:
            return list_troubles(tx)

    def items(self, found: Trouble) -> list[trouble.Item]:
        with self.ledger.reading() as tx:
            return self.troubles.items(tx, found)

    def told(self, tenant: str = TOWN) -> list[tuple[str, str]]:
        """Kind and state of each event that the hub said of its troubles, in order."""
        with self.ledger.reading() as tx:
            events = [one for _, one in sorted(tx.load(range(1, tx.last_seq() + 1)).items())]
        return [(e.event.data["kind"], e.event.data["state"]) for e in events if e.tenant == tenant]

    # --- what may be wrong --------------------------------------------------------------------------------------------

    def request(self, number: int, tenant: str = TOWN, **more: Any) -> str:
        request_id = f"00000000-0000-0000-0000-{number:012d}"
        values = {
            "id": request_id, "tenant": tenant, "procedure": "changement-adresse", "status": "in_progress", "final": 0,
            "intake": f"{tenant}.portail", "confidential": 0, "citizen_id": f"person-{number}",
            "submitted_at": "2026-03-02T10:00:00Z", "received_at": self.clock.at, "status_at": self.clock.at,
        }  # fmt: skip
        self.put(requests, **(values | more))
        return request_id

    def claim(self, subject: str, native: str = "2026-0043", tenant: str = TOWN, **more: Any) -> None:
        values = {"system": "koha", "origin": f"{tenant}.pirate", "mark": 0, "at": self.clock.at}
        self.put(unproved_references, tenant=tenant, subject=subject, native_id=native, **(values | more))

    def review(self, review: str, kind: str = "person", tenant: str = TOWN, **more: Any) -> None:
        values = {
            "id": review, "tenant": tenant, "kind": kind, "state": "open", "citizen_id": f"person-{review}",
            "facts": "{}", "origin": f"{tenant}.koha", "opened_at": self.clock.at,
        }  # fmt: skip
        self.put(citizen_reviews, **(values | more))

    def unread(self, seq: int, request_id: str, tenant: str = TOWN, event_type: str = "document.received") -> None:
        self.put(unread_events, seq=seq, tenant=tenant, request_id=request_id, type=event_type, at=self.clock.at)

    def park(self, seq: int, cause: str, connection: str = KOHA) -> None:
        values = {"order_key": f"r:{seq}", "state": "parked", "at": self.clock.at, "cause": cause}
        self.put(deliveries, seq=seq, connection=connection, **values)

    def refuse(self, number: int, code: str = "unknown_request", connection: str = KOHA) -> None:
        event = Event("request.status-changed", f"/{connection.replace('.', '/')}", {"said": SORBIER}, id=f"e-{number}")
        refused = InvalidMessage(f"no request of {SORBIER}", code=code)
        with self.ledger.transaction() as tx:
            keep_refused(tx, connection, connection.partition(".")[0], [(event, refused)])

    def decision(self, request_id: str, mark: str | None = "question") -> None:
        self.put(request_steps, request_id=request_id, at=self.clock.at, kind="status", origin=ACT, seq=7,
                 status="granted", mark=mark)  # fmt: skip

    def asked(self, request_id: str, status: str = "incomplete", until: str | None = None, **more: Any) -> None:
        """A word of the deciding system: it is the last one unless it is marked."""
        values = {"origin": ACT, "seq": 7, "mark": None} | more
        self.put(request_steps, request_id=request_id, at=self.clock.at, kind="status", status=status, until=until,
                 **values)  # fmt: skip

    def hold(self, origin: str, held: int = 1, day: str = "2026-09-21", **more: Any) -> None:
        values = {"asked": 500, "urgent": 0, "since": self.clock.at, "last_at": self.clock.at}
        tenant = origin.partition(".")[0]
        self.put(question_days, origin=origin, day=day, tenant=tenant, held=held, **(values | more))

    def everything(self, tenant: str, start: int) -> None:
        """One of each kind."""
        self.hold(f"{tenant}.koha")
        request = self.request(start, tenant)
        self.claim(f"r:{request}", tenant=tenant)
        self.review(f"p{start}", tenant=tenant)
        self.review(f"v{start}", "value", tenant=tenant, field="address")
        self.review(f"l{start}", "links", tenant=tenant)
        self.refuse(start, connection=f"{tenant}.koha")
        self.unread(start, request, tenant=tenant)
        self.park(start, "issue inconnue après un arrêt", f"{tenant}.koha")
        self.decision(self.request(start + 1, tenant, status="withdrawn", final=1))
        self.asked(self.request(start + 2, tenant, **TERRACE))
        self.drift(f"{tenant}.koha")
        self.keep(f"{tenant}.koha", days=21)
        self.put(
            pulling_clients, client_id=f"loisirs-{start}", tenant=tenant, connection=f"{tenant}.loisirs", number=7,
            called_at=self.clock.at, waiting=1, alarm="silent", alarm_at=self.clock.at,
        )  # fmt: skip
        for kind in set(SIGNALS) - {"record-refused"}:
            self.signal(kind, f"{tenant}.koha")

    def keep(self, connection: str, number: int = 1, days: int = 0) -> None:
        """A call that was kept while its connection observed, so many days ago."""
        self.put(
            observed_calls, connection=connection, number=number, tenant=connection.partition(".")[0],
            mark=str(number), events=1, size=10, documents="", sealed=b"x", at=self.clock.at - days * 86_400.0,
        )  # fmt: skip

    def drift(self, connection: str, answer: Any = None) -> None:
        shapes = Shapes(self.ledger)
        for said in [*[{"id": 1}] * 20, *[{"id": 1, **(answer or {"mail": "x"})}] * 3]:
            shapes.of(connection, "warn").see("GET patrons", said)
        shapes.flush()

    def signal(self, kind: str, connection: str = KOHA, **more: Any) -> None:
        values = {"code": "encoding", "place": "ligne 3", "reason": "le fichier n'est pas lisible"}
        signals = Signals(self.ledger)
        signals.tell(connection, kind, [RecordFault(**(values | more))])


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Watched]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    hub = Watched(url)
    yield hub
    hub.ledger.close()


@pytest.mark.parametrize("kind", sorted({*SIGNALS} - {"nir-question"}))  # which has one cause alone: test_nir_question
def test_what_left_nothing_else_is_a_trouble_of_its_connection_and_code(hub: Watched, kind: str) -> None:
    hub.signal(kind, key="F-1")
    hub.signal(kind, key="F-1")
    hub.signal(kind, key="F-2", place="ligne 9")
    hub.signal(kind, code="separator")
    hub.signal(kind, ACT)

    found = {(one.about, one.cause.rpartition("(")[2]): one for one in hub.look()}

    assert {place: one.number for place, one in found.items()} == {
        (KOHA, "encoding)"): 2, (KOHA, "separator)"): 1, (ACT, "encoding)"): 1,
    }  # fmt: skip
    assert {one.kind for one in found.values()} == {kind}
    items = hub.items(found[KOHA, "encoding)"])
    assert [(one.name, one.reason) for one in items] == [
        ("ligne 3", "le fichier n'est pas lisible"), ("ligne 9", "le fichier n'est pas lisible"),
    ]  # fmt: skip
    assert hub.told() == [(kind, "opened")] * 3


@pytest.mark.parametrize(
    ("kind", "hours"), [("push-denied", 1), ("push-invalid", 24), ("not-acknowledged", 24), ("dump-shrunk", 24)]
)
def test_a_signal_closes_after_a_calm_and_begins_anew_when_it_comes_back(hub: Watched, kind: str, hours: int) -> None:
    hub.signal(kind)
    hub.clock.at += hours * 3600 - 60
    assert [one.number for one in hub.look()] == [1]
    hub.signal(kind)
    hub.clock.at += hours * 3600 - 60
    assert [one.number for one in hub.look()] == [2]

    hub.clock.at += 61
    assert hub.look() == []
    hub.signal(kind)
    assert [(one.number, one.since) for one in hub.look()] == [(1, hub.clock.at)]


@pytest.mark.parametrize("kind", ["record-refused", "file-aside"])
def test_what_only_a_person_can_see_to_stays_until_one_says_so(hub: Watched, kind: str) -> None:
    hub.signal(kind)
    hub.signal(kind, code="separator")
    hub.clock.at += 80 * 86_400
    first = hub.look()[0]

    (item,) = hub.items(first)
    assert item.remedies == (f'unefois trouble settle {first.id} "…"',)
    with hub.ledger.transaction() as tx:
        assert hub.troubles.settle(tx, first) == 1

    assert [one.id for one in hub.look()] != [first.id]
    assert len(hub.look()) == 1


def test_what_ends_by_itself_cannot_be_settled(hub: Watched) -> None:
    hub.signal("push-denied")
    (found,) = hub.look()
    with hub.ledger.transaction() as tx:
        assert hub.troubles.settle(tx, found) == 0
    assert len(hub.look()) == 1


def test_settling_what_the_connector_could_not_read_leaves_what_is_kept(hub: Watched) -> None:
    hub.refuse(1, "encoding")
    hub.signal("record-refused")
    (found,) = hub.look()
    assert found.number == 2
    (kept,) = (one for one in hub.items(found) if len(one.remedies) == 2)
    assert kept.remedies[0] == f"unefois refused submit {kept.name}"
    with hub.ledger.transaction() as tx:
        hub.troubles.settle(tx, found)

    assert [one.number for one in hub.look()] == [1]


# --- each kind ------------------------------------------------------------------------------------------------------


def test_claims_of_one_origin_in_one_system_are_one_trouble_until_they_are_proved(hub: Watched) -> None:
    mine = hub.request(1)
    hub.claim(f"r:{mine}")
    hub.claim("c:person-9", "C-1")

    (found,) = hub.look()
    assert (found.kind, found.about, found.number, found.urgent) == ("claim", f"{TOWN}.pirate", 2, False)
    by_name = {item.name: item for item in hub.items(found)}
    assert by_name["koha:2026-0043"].request_id == mine
    assert by_name["koha:2026-0043"].citizen_id == "person-1"
    assert by_name["koha:C-1"].citizen_id == "person-9"

    hub.put(request_links, tenant=TOWN, system="koha", native_id="2026-0043", request_id=mine)
    hub.put(citizen_links, tenant=TOWN, system="koha", native_id="C-1", citizen_id="person-9")
    assert hub.look() == []


def test_a_claim_that_is_proved_of_another_stays_a_claim(hub: Watched) -> None:
    hub.claim(f"r:{hub.request(1)}")
    hub.claim("c:person-9", "C-1")
    hub.put(request_links, tenant=TOWN, system="koha", native_id="2026-0043", request_id=hub.request(2))
    hub.put(citizen_links, tenant=TOWN, system="koha", native_id="C-1", citizen_id="person-8")

    (found,) = hub.look()

    assert found.number == 2


def test_a_claim_about_somebody_who_was_merged_is_proved_by_who_they_are_now(hub: Watched) -> None:
    hub.put(citizens, id="gone", tenant=TOWN, confidential=0, seen_at=0.0, merged_into="kept")
    hub.claim("c:gone", "C-1")
    hub.put(citizen_links, tenant=TOWN, system="koha", native_id="C-1", citizen_id="kept")

    assert hub.look() == []


def test_a_claim_that_was_proved_does_not_come_back_when_its_link_is_parted(hub: Watched) -> None:
    mine = hub.request(1)
    hub.claim(f"r:{mine}")
    hub.put(request_links, tenant=TOWN, system="koha", native_id="2026-0043", request_id=mine)
    hub.look()

    hub.change(request_links, request_links.c.request_id == mine, request_id=hub.request(2))

    assert hub.look() == []


def test_a_claimed_mark_is_a_trouble_of_its_own_first_and_of_the_same_day(hub: Watched) -> None:
    hub.claim("c:person-1", "C-1")
    hub.clock.at += 60
    hub.claim("c:person-2", "C-2", mark=1)

    first, second = hub.look()

    assert (first.urgent, first.number, second.urgent, second.number) == (True, 1, False, 1)
    assert "confidentialité" in first.cause


def test_a_system_that_the_town_does_not_have_is_not_named(hub: Watched) -> None:
    """It may be called anything, even by the name of a person."""
    hub.claim("c:person-1", "1", system="blanche-sorbier")
    hub.claim("c:person-2", "2", system="odile-marchetti")

    (found,) = hub.look()

    assert found.number == 2
    assert "sorbier" not in found.cause


def test_questions_about_people_and_values_close_when_an_operator_has_decided(hub: Watched) -> None:
    hub.review("q1")
    hub.review("q2")
    hub.review("v1", "value", field="address")
    hub.review("v2", "value", field="email")

    found = hub.look()

    assert sorted((one.kind, one.number) for one in found) == [("question", 2), ("value", 1), ("value", 1)]
    assert any("address" in one.cause for one in found if one.kind == "value")
    hub.change(citizen_reviews, citizen_reviews.c.kind == "person", state="distinct")
    hub.change(citizen_reviews, citizen_reviews.c.kind == "value", state="kept")
    assert hub.look() == []


def test_refused_events_are_grouped_by_connection_and_code_until_they_are_handed_in(hub: Watched) -> None:
    for number, code in enumerate(("unknown_request", "unknown_request", "schema_violation")):
        hub.refuse(number, code)
    hub.refuse(9, connection=ACT)

    found = hub.look()

    assert sorted((one.about, one.number) for one in found) == [(ACT, 1), (KOHA, 1), (KOHA, 2)]
    with hub.ledger.transaction() as tx:
        tx.sql.execute(trouble.refused_events.delete())
    assert hub.look() == []


def test_an_event_without_a_reader_waits_until_the_deciding_system_speaks(hub: Watched) -> None:
    mine, other = hub.request(1), hub.request(2)
    hub.unread(5, mine)
    hub.unread(6, other)
    hub.unread(7, other, event_type="message.requested")

    first, second = hub.look()
    assert {first.number, second.number} == {1, 2}
    assert {item.seq for one in (first, second) for item in hub.items(one)} == {5, 6, 7}

    hub.clock.at += 60
    hub.change(requests, requests.c.id == mine, spoken="in_progress", spoken_at=hub.clock.at)
    hub.change(requests, requests.c.id == other, status="closed", final=1)
    assert hub.look() == []

    hub.change(requests, requests.c.id == mine, spoken=None, spoken_at=None)  # taken up again: it was answered before
    assert hub.look() == []


def test_a_word_of_before_the_event_answers_nothing(hub: Watched) -> None:
    mine = hub.request(1, spoken="incomplete", spoken_at=hub.clock.at - 60)
    hub.unread(5, mine)

    assert [one.kind for one in hub.look()] == ["unread"]


def test_parked_deliveries_are_grouped_by_connection_and_what_is_the_same_of_their_cause(hub: Watched) -> None:
    hub.park(1, f"abandonné après 12 essais : « {SORBIER} » inconnue de blanche@example.fr (code 40871)")
    hub.park(2, "abandonné après 13 essais : « MARCHETTI » inconnue de odile@example.fr (code 40872)")
    hub.park(3, "issue inconnue après un arrêt")
    hub.park(4, "issue inconnue après un arrêt", ACT)

    found = hub.look()

    assert sorted((one.about, one.number) for one in found) == [(ACT, 1), (KOHA, 1), (KOHA, 2)]
    assert not any(word in one.cause for one in found for word in (SORBIER, "blanche", "40871"))
    hub.change(deliveries, deliveries.c.connection == KOHA, state="received")
    assert [one.about for one in hub.look()] == [ACT]


def test_a_connection_with_a_flood_of_causes_is_a_few_troubles(hub: Watched) -> None:
    for number in range(40):
        hub.park(number + 1, "motif " + "x" * (number + 1))

    found = hub.look()

    assert len(found) == 21
    assert sum(one.number for one in found) == 40
    (rest,) = [one for one in found if one.number > 1]
    assert len(hub.items(rest)) == 20


def test_a_decision_after_a_withdrawal_waits_until_the_request_is_no_more_withdrawn(hub: Watched) -> None:
    withdrawn = hub.request(1, status="withdrawn", final=1)
    hub.decision(withdrawn)
    hub.decision(hub.request(2))  # not withdrawn
    hub.decision(hub.request(3, status="withdrawn"), mark="late")

    (found,) = hub.look()

    assert (found.kind, found.about, found.number) == ("decision-after-withdrawal", "changement-adresse", 1)
    hub.change(requests, requests.c.id == withdrawn, status="granted")
    assert hub.look() == []


def test_documents_asked_for_without_a_date_wait_for_one(hub: Watched) -> None:
    """The delay of an implicit rejection is suspended until a date (CRPA L114-5): without one nobody has said until
    when."""
    first, second = hub.request(1, **TERRACE), hub.request(2, **TERRACE)
    hub.asked(first)
    hub.asked(second)

    (found,) = hub.look()
    assert (found.kind, found.about, found.number) == ("undated-documents", "occupation-domaine-public", 2)
    assert {item.request_id for item in hub.items(found)} == {first, second}

    hub.asked(first, until="2026-12-15")
    hub.change(requests, requests.c.id == second, spoken="in_progress")
    assert hub.look() == []


def test_a_date_of_an_earlier_request_for_documents_is_not_that_of_the_next(hub: Watched) -> None:
    mine = hub.request(1, **TERRACE)
    hub.asked(mine, until="2026-12-15")
    assert hub.look() == []
    hub.asked(mine)  # said again, the date stands
    hub.asked(mine, "in_progress", origin=KOHA)  # no word of who decides
    assert hub.look() == []

    hub.asked(mine, "in_progress")
    hub.asked(mine)

    assert [one.number for one in hub.look()] == [1]


def test_only_a_date_of_who_decides_counts(hub: Watched) -> None:
    mine = hub.request(1, **TERRACE)
    hub.asked(mine)
    hub.asked(mine, until="2026-12-15", origin=KOHA, mark="not_deciding")

    assert [one.kind for one in hub.look()] == ["undated-documents"]


def test_documents_without_a_date_are_no_trouble_where_they_suspend_nothing_or_the_procedure_has_a_delay(
    hub: Watched,
) -> None:
    directory = hub.troubles._acceptance.current
    terrace = directory.directory.catalogue["occupation-domaine-public"]
    dated = {"occupation-domaine-public": replace(terrace, documents_delay="P1M")}
    acceptance = acceptance_of(Directory([], directory.directory.catalogue | dated, directory.directory.tenants))
    hub.asked(hub.request(1, **(TERRACE | {"procedure": "changement-adresse"})))
    hub.asked(hub.request(2, **(TERRACE | {"final": 1})))
    assert hub.look() == []

    hub.asked(hub.request(3, **TERRACE))
    assert len(hub.look()) == 1
    Troubles(hub.ledger, acceptance).look_now()
    with hub.ledger.reading() as tx:
        assert list_troubles(tx) == []


def test_dead_letters_are_the_trouble_of_whoever_runs_the_hub(hub: Watched) -> None:
    hub.dead = 3
    (found,) = hub.look()
    assert (found.kind, found.tenant, found.about, found.number) == ("dead-letter", "", DEAD_LETTERS, 3)

    hub.clock.at += 60
    hub.dead = None  # the broker is away
    assert hub.look() == [found]

    hub.dead = 0
    assert hub.look() == []
    assert hub.told() == []


def test_what_is_held_is_one_trouble_an_origin_and_day_however_much_it_is(hub: Watched) -> None:
    hub.hold(KOHA, 27_480)
    hub.hold(KOHA, 12, day="2026-09-22", urgent=1)
    hub.hold(ACT, 0)

    urgent, found = hub.look()

    assert (urgent.about, urgent.number, urgent.urgent) == (KOHA, 12, True)
    assert (found.about, found.number, found.urgent) == (KOHA, 27_480, False)
    assert "2026-09-21" in found.cause
    hub.change(question_days, question_days.c.origin == KOHA, held=0)
    assert hub.look() == []


# --- what holds for all of them --------------------------------------------------------------------------------------


def test_each_change_of_a_shape_is_one_trouble_until_it_is_accepted(hub: Watched) -> None:
    hub.drift(KOHA, {"mail": "x", "id": "A-1"})
    found = {one.cause: one for one in hub.look()}
    hub.drift(KOHA, {"mail": "x", "id": "A-1"})

    said = "la forme des réponses a changé : /mail est apparu (GET patrons)"
    assert set(found) == {
        said, "la forme des réponses a changé : /id était integer, devient string (GET patrons)"
    }  # fmt: skip
    assert {one.id for one in hub.look()} == {one.id for one in found.values()}
    (item,) = hub.items(found[said])
    assert (item.name, item.connection) == ("/mail", KOHA)
    assert item.remedies == (f"unefois connection shape {KOHA}", f"unefois connection shape {KOHA} --accept")

    with hub.ledger.transaction() as tx:
        accept(tx, KOHA)
    assert hub.look() == []
    hub.drift(KOHA, {"mail": "x", "id": "A-1"})
    assert hub.look() == []


def test_calls_that_are_kept_are_a_trouble_when_they_will_soon_be_forgotten(hub: Watched) -> None:
    hub.keep(KOHA, 1, days=19)
    hub.keep(KOHA, 2)
    hub.keep(ACT, 1)
    assert hub.look() == []

    hub.clock.at += 2 * 86_400.0
    (found,) = hub.look()
    (item,) = hub.items(found)

    assert (found.kind, found.about, found.number) == ("observed-calls", KOHA, 2)
    assert (found.since, found.last_at) == (hub.clock.at - 21 * 86_400.0, hub.clock.at - 2 * 86_400.0)
    assert item.remedies[1] == f'unefois connection report {KOHA} --drop --reason "…"'
    hub.change(observed_calls, observed_calls.c.connection == KOHA, at=hub.clock.at)
    assert hub.look() == []


def test_two_tenants_do_not_mix(hub: Watched) -> None:
    hub.everything(TOWN, 10)
    hub.everything(CCAS, 20)

    found = hub.look()

    for tenant in (TOWN, CCAS):
        mine = [one for one in found if one.tenant == tenant]
        assert sorted(one.kind for one in mine) == sorted(KINDS)
        assert all(one.number == 1 for one in mine)
        assert {kind for kind, _ in hub.told(tenant)} == set(KINDS)
    with hub.ledger.reading() as tx:
        assert open_trouble_counts(tx)[CCAS, "parked"] == (1, 1)
        assert {one.tenant for one in list_troubles(tx, CCAS)} == {CCAS}
    assert len({one.id for one in found}) == len(found)


def test_a_trouble_is_told_once_when_it_opens_and_once_when_it_closes(hub: Watched) -> None:
    hub.park(1, "issue inconnue après un arrêt")
    (opened,) = hub.look()
    hub.clock.at += 30
    hub.park(2, "issue inconnue après un arrêt")
    (grown,) = hub.look()
    hub.look()
    assert (opened.number, grown.number, grown.since, grown.opened_at) == (1, 2, opened.since, opened.opened_at)
    assert hub.told() == [("parked", "opened")]

    hub.change(deliveries, deliveries.c.seq > 0, state="skipped")
    hub.look()
    hub.look()

    assert hub.told() == [("parked", "opened"), ("parked", "closed")]
    with hub.ledger.reading() as tx:
        kept = find_trouble(tx, opened.id)
    assert kept is not None
    assert (kept.closed_at, kept.number) == (hub.clock.at, 2)


def test_the_same_trouble_has_the_same_id_when_it_comes_back(hub: Watched) -> None:
    hub.park(1, "issue inconnue après un arrêt")
    (first,) = hub.look()
    hub.change(deliveries, deliveries.c.seq == 1, state="delivered")
    hub.look()
    hub.clock.at += 3600
    hub.park(2, "issue inconnue après un arrêt")

    (again,) = hub.look()

    assert (again.id, again.opened_at, again.closed_at) == (first.id, hub.clock.at, None)
    assert [state for _, state in hub.told()] == ["opened", "closed", "opened"]


def test_nothing_is_closed_that_was_not_looked_at(hub: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.park(1, "erreur du connecteur (KeyError)")
    hub.park(2, "issue inconnue après un arrêt")
    assert len(hub.look()) == 2

    monkeypatch.setattr(trouble, "_MOST", 1)

    assert len(hub.look()) == 2
    assert [state for _, state in hub.told()] == ["opened", "opened"]


def test_a_connection_with_many_hides_none_of_the_others(hub: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trouble, "_MOST", 3)
    for seq in range(1, 10):
        hub.park(seq, "issue inconnue après un arrêt", ACT)
    hub.park(10, "issue inconnue après un arrêt", KOHA)

    assert {one.about: one.number for one in hub.look()} == {ACT: 3, KOHA: 1}


def test_the_event_and_the_row_name_nobody(hub: Watched) -> None:
    hub.everything(TOWN, 10)
    found = hub.look()

    with hub.ledger.reading() as tx:
        said = [one.event for one in tx.load(range(1, tx.last_seq() + 1)).values()]
    for text in (str([one.data for one in said]), str(found)):
        assert not any(word in text for word in (SORBIER, "2026-0043", "person-", "00000000-0000"))
    assert {event.type for event in said} == {"trouble.changed"}
    assert all(event.subject == event.data["id"] for event in said)


def test_every_remedy_is_a_command_that_parses(hub: Watched) -> None:
    hub.everything(TOWN, 10)
    hub.claim("c:person-1", "C-1")
    lines = [line for one in hub.look() for item in hub.items(one) for line in item.remedies]

    assert len(lines) >= len(KINDS)
    for line in lines:
        program, *words = shlex.split(line)
        command: Any = typer.main.get_command(app)
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        command.make_context(program, words)


def test_a_look_reads_no_table_from_end_to_end(hub: Watched) -> None:
    """Of those that grow with the work of the hub."""
    if hub.ledger.engine.dialect.name != "sqlite":
        pytest.skip("SQLite says in words what it reads")
    hub.everything(TOWN, 10)
    hub.look()
    with hub.ledger.reading() as tx:
        scope = hub.troubles._scope(tx, TOWN)
        plans = []
        for kind in KINDS.values():
            for query in kind.items(scope):
                text = query.limit(10).compile(tx.sql.engine, compile_kwargs={"literal_binds": True})
                plans += [row[3] for row in tx.sql.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}")]
    big = {"deliveries", "events", "requests", "request_steps", "request_links", "citizen_links", "citizens"}
    scans = [line for line in plans if line.startswith("SCAN") and line.split()[1] in big and "INDEX" not in line]
    assert plans
    assert scans == []


def test_a_new_kind_is_one_select_and_one_line(hub: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    def idle(scope: trouble._Scope) -> Iterator[Any]:
        row = requests.c
        yield trouble._items(about=row.procedure, at=row.received_at).where(row.tenant == scope.tenant)

    monkeypatch.setattr(trouble, "KINDS", {"idle": replace(KINDS["unread"], items=idle, cause=lambda *_: "rien")})
    hub.request(1)

    assert [(one.kind, one.cause) for one in hub.look()] == [("idle", "rien")]
    assert hub.told() == [("idle", "opened")]


def test_two_looks_at_once_tell_a_trouble_once(hub: Watched) -> None:
    import threading

    hub.park(1, "issue inconnue après un arrêt")
    looks = [threading.Thread(target=hub.troubles.look_now) for _ in range(4)]
    for look in looks:
        look.start()
    for look in looks:
        look.join()

    assert hub.told() == [("parked", "opened")]
    with hub.ledger.reading() as tx:
        assert len(tx.sql.execute(select(trouble.troubles)).all()) == 1
