"""What the hub says again is for those alone who would have heard it first, and for no portal."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import delete, select

from bus.ledger import Ledger
from bus.tables import REFUSED, events
from hub.acceptance.restating import restate
from hub.clients import repository as clients
from hub.clients import webhooks
from hub.operations.renumbering import Renumber
from hub.storage.tables import citizen_links, citizen_news, request_steps, requests
from schemas.event import Event
from schemas.manifest import Consumed
from tests.hub.citizens.town import TOWN, origin
from tests.hub.news.town import ADDRESS, Readers, home, said

MOVE, OTHER = "changement-adresse", "formulaire-qf"


def brought(town: Readers, *, by: str = "publik", procedure: str = MOVE, **more: Any) -> None:
    """A portal brings the request of the first person."""
    town.number += 1
    record = {
        "references": [{"system": by, "id": "D-1"}], "procedure": procedure,
        "submitted_at": "2026-03-02T08:00:00Z", "intake": "online",
        "requester": {"citizen": {"references": [{"system": by, "id": f"{by}-1"}]}}, **more,
    }  # fmt: skip
    event = Event(type="request.received", source=f"/{TOWN}/{by}", id=f"t{town.number}", data={"request": record})
    (verdict,) = town.acceptance.submit(town.ledger, origin(by), [event])
    assert verdict.ok, verdict


def declared(town: Readers, street: str, date: str = "2026-03-02", by: str = "publik", **more: Any) -> list[str]:
    """It declares a move; whom that reaches."""
    request = {"references": [{"system": by, "id": "D-1"}]}
    told = town.tell(by, "1", version=2, new_address=said(home(street), by, date), request=request, **more)
    assert told.ok, told
    return town.to(told.seq)


def steps(town: Readers) -> list[tuple[str, str | None]]:
    """The timelines of all requests."""
    row = request_steps.c
    with town.ledger.reading() as tx:
        query = select(row.kind, row.native_label).order_by(row.id)
        return [(one.kind, one.native_label) for one in tx.sql.execute(query)]


def numbers(town: Readers, kind: str) -> list[int]:
    """The events of a type."""
    return [seq for seq, _ in town.last(kind)]


def _in_a_month(town: Readers) -> str:
    return datetime.fromtimestamp(town.ledger.now() + 30 * 86_400, UTC).date().isoformat()


def reads(*procedures: str) -> Consumed:
    return Consumed(ADDRESS, 2, ("/citizen", "/new_address"), "linked", procedures=procedures)


# --- a reader that is limited to procedures -----------------------------------------------------------------------


@pytest.fixture
def town(ledger: Ledger) -> Readers:
    """Two packages know somebody who moves by a request."""
    made = Readers(ledger)
    for name in ("publik", "koha", "famille"):
        made.change(name, consumes={ADDRESS: reads()})
    made.link("1", "publik", "koha")
    brought(made)
    return made


def limit(town: Readers, procedure: str, how: str) -> None:
    """The third package hears of one procedure alone, as its connection or as its subscription says."""
    if how == "connection":
        town.change("famille", procedures=(procedure,))
    else:
        town.change("famille", consumes={ADDRESS: reads(procedure)})


@pytest.mark.parametrize("how", ["connection", "subscription"])
@pytest.mark.parametrize(("procedure", "outcome", "to"), [(OTHER, "silent", []), (MOVE, "told", ["famille"])])
def test_a_reader_of_some_procedures_is_told_again_of_these_alone(
    town: Readers, how: str, procedure: str, outcome: str, to: list[str]
) -> None:
    limit(town, procedure, how)
    assert declared(town, "rue Neuve") == ["koha"]
    town.take_all()
    town.link("1", "famille")

    assert town.restate("1")["new_address"].outcome == outcome
    assert [name for name in ("famille", "koha") if town.waiting(name)] == to


def test_nor_is_it_told_of_who_refused_or_of_what_comes(town: Readers) -> None:
    limit(town, OTHER, "subscription")
    town.link("1", "famille")
    town.change("koha", consumes={ADDRESS: replace(reads(), fields=("/citizen", "/new_address", "/effective_on"))})
    assert declared(town, "rue Neuve") == ["koha"]
    (seq,) = town.waiting("koha")
    town.end("koha", seq, REFUSED)
    assert town.restate("1")["new_address"].to == (f"{TOWN}.koha",)
    town.take_all()

    declared(town, "rue du Puits", effective_on=_in_a_month(town))
    (seq,) = town.waiting("koha")
    town.end("koha", seq, REFUSED)
    town.restate("1")

    assert (len(town.waiting("koha")), town.waiting("famille")) == (1, [])


def test_of_somebody_who_is_known_by_nothing_any_more_nothing_is_said_again(town: Readers) -> None:
    town.see("koha", "/citizen", "/new_address", "/effective_on")
    assert declared(town, "rue du Puits", effective_on=_in_a_month(town)) == ["koha"]
    who, before = town.id_of("1"), town.count_events()
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(citizen_links))
        told = restate(town.acceptance, tx, TOWN, who)

    assert {one.outcome for one in told.values()} <= {"gone"}
    assert town.count_events() == before


def test_where_the_request_is_kept_no_more_nobody_knows_who_may_hear_it(town: Readers) -> None:
    limit(town, OTHER, "connection")
    town.change("ccas", consumes={ADDRESS: reads()})
    assert declared(town, "rue Neuve") == ["koha"]
    town.take_all()
    town.link("1", "famille", "ccas")
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(requests))

    told = town.restate("1")["new_address"]

    assert (told.outcome, told.origin) == ("gone", f"{TOWN}.publik")
    assert town.waiting("famille") == town.waiting("ccas") == []
    assert town.moves("publik", "1", "rue Neuve") == ["ccas", "famille"]  # said outside of any procedure


def test_of_who_moved_along_the_source_is_the_package_that_said_so(town: Readers) -> None:
    """That can be asked to state it again; the hub cannot."""
    town.link("2", "publik", "koha")
    declared(town, "rue Neuve", household=[{"references": [{"system": "publik", "id": "publik-2"}]}])
    town.take_all()
    town.link("2", "famille")
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(events))

    told = town.restate("2")["new_address"]

    assert (told.outcome, told.origin) == ("gone", f"{TOWN}.publik")


@pytest.mark.parametrize(("procedure", "to"), [(OTHER, []), (MOVE, ["famille"])])
def test_who_moved_along_by_a_request_is_told_of_again_within_its_procedure(
    town: Readers, procedure: str, to: list[str]
) -> None:
    limit(town, procedure, "connection")
    town.link("2", "publik", "koha")
    child = {"references": [{"system": "publik", "id": "publik-2"}]}
    declared(town, "rue Neuve", household=[child])
    town.take_all()
    town.link("2", "famille")

    town.restate("2")

    assert [name for name in ("famille", "koha") if town.waiting(name)] == to


# --- portals ------------------------------------------------------------------------------------------------------


def test_what_is_said_again_is_no_step_of_a_request_and_no_notice_to_its_portal(town: Readers) -> None:
    town.change("guichet", consumes={"request.status-changed": Consumed("request.status-changed", 1, ("",), "held")},
                holds=(f"{TOWN}.publik",))  # fmt: skip
    declared(town, "rue Neuve")
    town.take_all()
    town.link("1", "famille")
    timeline, notices = steps(town), numbers(town, "request.status-changed")
    assert len(notices) == 1  # that it was passed on

    told = town.restate("1")["new_address"]
    assert told.to == (f"{TOWN}.famille",)
    (seq,) = town.waiting("famille")
    town.end("famille", seq, REFUSED)
    town.restate("1")
    town.take_all()

    assert steps(town) == timeline
    assert numbers(town, "request.status-changed") == notices
    with town.ledger.reading() as tx:
        named = select(events.c.request_id).where(events.c.seq >= (told.seq or 0))
        assert {*tx.sql.execute(named).scalars()} == {None}


def hears(town: Readers, name: str, *holds: str) -> None:
    """A webhook of a portal, which hears of people too."""
    kinds = {ADDRESS: Consumed(ADDRESS, 1, ("/citizen", "/new_address"), "all")}
    town.change(name, consumes=kinds, holds=tuple(f"{TOWN}.{one}" for one in holds))


def test_what_a_client_said_is_no_news_to_its_webhook_however_it_comes_back(town: Readers) -> None:
    hears(town, "webhook-1", "publik")
    hears(town, "webhook-2", "autre")
    assert town.moves("publik", "1", "rue Neuve") == ["koha", "webhook-2"]
    town.take_all()

    assert town.moves("koha", "1", "rue Neuve") == []
    assert town.restate("1")["new_address"].outcome == "silent"
    assert town.moves("koha", "1", "rue Autre", "2026-04-02") == ["publik", "webhook-1", "webhook-2"]


def test_the_webhook_of_a_package_knows_what_the_package_said_and_what_its_client_said(town: Readers) -> None:
    hears(town, "webhook-1", "publik", "appli")
    town.moves("publik", "1", "rue Neuve")
    town.take_all()
    assert town.moves("koha", "1", "rue Neuve") == []

    town.tell("appli", "1", new_address=said(home("rue Autre"), "appli", "2026-04-02"), citizen={
        "references": [{"system": "publik", "id": "publik-1"}, {"system": "appli", "id": "appli-1"}],
        "identity": {"family_name": "Lœvenbruck", "given_names": ["Blanche1"], "gender": "female",
                     "birthdate": "1991-11-23", "birthplace": "93066", "birthcountry": "99100"},
    })  # fmt: skip
    assert town.waiting("webhook-1") == []


# --- identifiers that change --------------------------------------------------------------------------------------


def renumber(town: Readers, system: str, text: str) -> None:
    act = Renumber(town.acceptance, TOWN, system)
    with town.ledger.transaction() as tx:
        act.write(tx, act.plan(tx, f"old;new\n{text}"), "odile")


@pytest.mark.parametrize("system", ["koha", "publik"])
@pytest.mark.parametrize("taken", [True, False])
def test_to_renumber_a_package_tells_nothing_again(ledger: Ledger, system: str, *, taken: bool) -> None:
    town = Readers(ledger)
    for who in ("1", "2", "3"):
        town.link(who, "publik", "koha", "famille")
        town.moves("publik", who, f"{who} rue Neuve")
    if taken:
        town.take_all()

    renumber(town, system, f"{system}-1;{system}-2\n{system}-2;{system}-1\n{system}-3;N-3\n")
    town.take_all()

    assert [town.to(town.tell("famille", who, new_address=said(home(f"{who} rue Neuve"), "famille")).seq)
            for who in ("1", "2", "3")] == [[], [], []]  # fmt: skip
    with town.ledger.reading() as tx:
        people = {*tx.sql.execute(select(citizen_news.c.citizen_id)).scalars()}
    assert len(people) == 3
    before = town.count_events()
    for who in people:
        assert {one.outcome for one in _restate(town, who).values()} == {"silent"}
    assert town.count_events() == before


def _restate(town: Readers, citizen_id: str) -> Any:
    with town.ledger.transaction() as tx:
        return restate(town.acceptance, tx, TOWN, citizen_id, None)


# --- a client that is disabled ------------------------------------------------------------------------------------


def hook_of(town: Readers) -> webhooks.Webhook:
    made = webhooks.add(town.ledger, None, tenant=TOWN, client="appli", url="https://appli.example/hub",
                        types=["evidence.corrected"], thin=False)  # fmt: skip
    hears(town, made.connection.partition(".")[2], "appli")
    return made


def test_what_the_webhooks_of_a_disabled_client_were_not_given_is_taken_back(town: Readers) -> None:
    clients.add(town.ledger, client_id="appli", tenant=TOWN, label="", scopes=[])
    name = hook_of(town).connection.partition(".")[2]
    town.moves("publik", "1", "rue Neuve")
    town.take_all()
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    assert town.waiting(name)
    assert town.moves("koha", "1", "rue Autre", "2026-04-02") == []

    assert clients.disable(town.ledger, "appli", town.acceptance.news.take_back)

    assert town.waiting(name) == []
    with town.ledger.transaction() as tx:
        clients.enable(tx, "appli")
    town.take_all()
    assert town.restate("1")["new_address"].to == (f"{TOWN}.{name}",)
    (seq,) = town.waiting(name)
    assert town.end(name, seq)["new_address"]["value"]["street"] == "rue Autre"
    assert town.restate("1")["new_address"].outcome == "silent"


def test_a_new_webhook_of_a_client_that_is_enabled_again_is_told(town: Readers) -> None:
    clients.add(town.ledger, client_id="appli", tenant=TOWN, label="", scopes=[])
    first = hook_of(town)
    town.moves("publik", "1", "rue Neuve")
    clients.disable(town.ledger, "appli", town.acceptance.news.take_back)
    webhooks.remove(town.ledger, first)
    with town.ledger.transaction() as tx:
        clients.enable(tx, "appli")
    second = hook_of(town).connection
    town.take_all()

    told = town.restate("1")["new_address"].to

    assert (second in told, first.connection == second) == (True, False)
