"""Those who moved along are told of under their own links; nobody is moved by whoever may not say it of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update

from bus.ledger import Ledger
from hub.storage.tables import citizens
from schemas.event import Event
from tests.hub.acceptance.neighbours import BY, PORTAL, TOWN, Neighbours, by_number, named
from tests.support.clock import Clock
from tests.support.directories import connect

DAY = "2026-04-01"
BEGINS = "2026-04-01T00:00:00+02:00"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def town(ledger: Ledger, clock: Clock) -> Neighbours:
    """Aude and Bruno are known everywhere, their son Tancrède to the library and the school restaurant."""
    made = Neighbours(ledger, clock)
    made.know(*((who, system) for who in ("Aude", "Bruno") for system in ("portail", "koha", "eau", "agenda")))
    made.know(("Tancrède", "koha"), ("Tancrède", "famille"))
    return made


def test_a_member_is_told_of_under_his_own_links(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    assert town.got("koha", "Tancrède") == ["rue du Puits"]
    assert town.got("famille", "Tancrède") == ["rue du Puits"]  # which does not know the one who moved
    assert town.got("famille") == ["rue du Puits"]
    assert town.got("koha", "Aude") == ["rue du Puits"]


def test_who_gets_the_household_is_not_told_of_its_members_again(town: Neighbours) -> None:
    town.know(("Tancrède", "eau"))
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    assert (town.got("eau", "Aude"), town.got("eau", "Tancrède")) == (["rue du Puits"], [])
    town.look("2026-03-05T10:00:00+01:00")
    assert town.got("eau", "Tancrède") == []


def test_who_refused_the_household_is_told_of_its_members_later(town: Neighbours) -> None:
    town.know(("Tancrède", "eau"))
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    town.refuse("eau")
    town.do(_ask, town.who("Tancrède"))
    town.look()
    assert town.got("eau", "Tancrède") == ["rue du Puits"]


def _ask(tx: object, citizen_id: str) -> None:
    from hub.citizens.catch_ups import ask_later

    ask_later(tx, TOWN, [citizen_id], cause="load")  # type: ignore[arg-type]


def test_a_household_that_moves_from_where_it_lived_moves_whole(town: Neighbours) -> None:
    town.say("Aude", "rue des Lilas", household=[named("Bruno"), named("Tancrède")])
    town.clock.at("2026-09-01T09:00:00+02:00")
    town.say("Bruno", "rue du Puits", household=[named("Aude"), named("Tancrède")])
    for who in ("Aude", "Tancrède"):
        assert town.got("koha", who) == ["rue des Lilas", "rue du Puits"]
    assert town.asked() == []


def test_a_grown_up_who_lives_elsewhere_is_asked_about_and_not_moved(town: Neighbours) -> None:
    town.say("Bruno", "rue Haute")
    town.say("Aude", "rue des Lilas")
    town.say("Aude", "rue du Puits", household=[named("Bruno")])
    assert town.got("koha", "Bruno") == ["rue Haute"]
    assert town.asked() == ["other_address"]
    town.answer(take=True)
    assert town.got("koha", "Bruno") == ["rue Haute", "rue du Puits"]


def test_who_moved_along_by_a_request_and_was_asked_about_is_told_to_those_alone_who_hear_of_its_procedure(
    town: Neighbours,
) -> None:
    town.know(("Bruno", "famille"))
    town.say("Bruno", "rue Haute")
    town.say("Aude", "rue des Lilas")
    members = town.directory.connections.values()
    connect(town.acceptance.current, [
        replace(one, procedures=("acte-naissance",)) if one.system == "famille" else one for one in members
    ])  # fmt: skip
    record = {
        "references": [{"system": "portail", "id": "D1"}], "procedure": "changement-adresse", "intake": "online",
        "submitted_at": "2026-03-02T08:00:00Z", "requester": {"citizen": by_number("portail", "Aude")},
    }  # fmt: skip
    told = Event(type="request.received", source=f"/{TOWN}/portail", id="request-1", data={"request": record})
    assert town.acceptance.submit(town.ledger, PORTAL, [told])[0].error is None
    by_it = {"references": [{"system": "portail", "id": "D1"}]}
    town.say("Aude", "rue du Puits", household=[named("Bruno")], request=by_it)
    town.answer(take=True)
    assert town.got("koha", "Bruno") == ["rue Haute", "rue du Puits"]
    assert town.got("famille", "Bruno") == ["rue Haute"]


def test_neighbours_are_no_household(town: Neighbours) -> None:
    """A portal's user writes a neighbour into the form."""
    town.know(("Paulette", "koha"), ("Paulette", "portail"))
    town.say("Paulette", "rue Basse")
    town.say("Aude", "rue du Puits", household=[named("Paulette")], old_address={
        "street": "rue Basse", "house_number": "4", "postal_code": "93066", "city": "Saint-Denis", "country": "FR",
    })  # fmt: skip
    assert town.got("koha", "Paulette") == ["rue Basse"]
    assert town.asked() == ["other_address"]


@pytest.mark.parametrize("moved_before", [True, False])
def test_a_package_moves_nobody_by_a_number_of_somebody_else(town: Neighbours, moved_before: bool) -> None:
    if moved_before:
        town.say("Aude", "rue des Lilas", household=[named("Tancrède")])
    before = town.got("koha", "Tancrède")
    town.say("Aude", "rue du Puits", household=[by_number("koha", "Tancrède")])
    assert town.got("koha", "Tancrède") == before
    assert town.asked() == ["named_by_others"]
    town.answer(take=False)
    town.say("Aude", "rue Haute")
    town.say("Aude", "rue du Puits", household=[by_number("koha", "Tancrède")])
    assert town.asked() == []


def test_a_number_of_its_own_names_whom_a_package_moves(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", by="koha", household=[by_number("koha", "Tancrède")])
    assert town.got("famille", "Tancrède") == ["rue du Puits"]
    assert town.got("koha", "Tancrède") == []  # who said it


def test_a_number_that_is_lent_beside_the_name_of_somebody_else_moves_nobody(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", by="koha", household=[named("Paulette", **by_number("koha", "Tancrède"))])
    assert town.got("famille", "Tancrède") == []


def test_who_is_unknown_is_not_made_known_and_binds_nothing(town: Neighbours) -> None:
    with town.ledger.reading() as tx:
        before = tx.sql.execute(citizens.select()).all()
    town.say("Aude", "rue du Puits", household=[named("Paulette"), by_number("famille", "nobody")])
    with town.ledger.reading() as tx:
        assert len(tx.sql.execute(citizens.select()).all()) == len(before)


@pytest.mark.parametrize("marked", ["Aude", "Tancrède"])
def test_a_mark_of_one_keeps_all_from_who_may_not_know(town: Neighbours, marked: str) -> None:
    with town.ledger.transaction() as tx:
        tx.sql.execute(update(citizens).where(citizens.c.id == town.who(marked)).values(confidential=1))
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    assert town.got("koha") == town.got("famille") == town.got("eau") == []


def test_a_child_of_two_homes_is_a_question_and_the_parents_move_on(town: Neighbours) -> None:
    town.say("Aude", "rue des Lilas", household=[named("Bruno"), named("Tancrède")])
    town.clock.at("2026-09-01T09:00:00+02:00")
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    assert town.got("famille", "Tancrède")[-1] == "rue du Puits"
    town.clock.at("2026-09-20T09:00:00+02:00")
    town.say("Bruno", "rue Haute", household=[named("Tancrède")])
    assert town.got("koha", "Bruno")[-1] == "rue Haute"
    assert town.got("famille", "Tancrède")[-1] == "rue du Puits"
    assert len(town.asked()) == 1


@pytest.mark.parametrize(("days", "who", "asked"), [
    (10, "Tancrède", ["two_homes"]), (59, "Tancrède", ["two_homes"]), (61, "Tancrède", []), (10, "Paulette", []),
])  # fmt: skip
def test_two_households_at_two_addresses_in_a_short_time(
    town: Neighbours, days: int, who: str, asked: list[str]
) -> None:
    """Both live at the same place at first, so that nothing else speaks against the second."""
    town.know((who, "famille"))
    town.say("Bruno", "rue du Puits")
    town.say("Aude", "rue du Puits", household=[named(who)])
    town.clock.now += days * 86_400
    town.say("Bruno", "rue Haute", household=[named(who)])
    assert town.asked() == asked
    assert town.got("famille", who) == ["rue du Puits", *([] if asked else ["rue Haute"])]


@pytest.mark.parametrize("take", [True, False])
def test_both_answers_work_and_it_is_asked_once(town: Neighbours, take: bool) -> None:
    town.say("Bruno", "rue du Puits")
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    town.say("Bruno", "rue Haute", household=[named("Tancrède")])
    town.answer(take=take)
    assert town.got("famille", "Tancrède") == ["rue du Puits", *(["rue Haute"] if take else [])]
    town.take()
    town.clock.now += 86_400
    town.say("Bruno", "rue Haute", household=[named("Tancrède")])
    assert town.asked() == []


def test_one_person_who_moves_twice_takes_the_child_along(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    town.clock.now += 86_400
    town.say("Aude", "rue Haute", household=[named("Tancrède")])
    assert town.got("famille", "Tancrède") == ["rue du Puits", "rue Haute"]
    assert town.asked() == []


def test_two_parents_who_name_the_child_at_one_address_are_no_question(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    town.say("Bruno", "rue du Puits", household=[named("Tancrède")])
    assert town.got("famille", "Tancrède") == ["rue du Puits"]
    assert town.asked() == []


def test_an_older_move_of_somebody_else_moves_no_member_back(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    town.say("Bruno", "rue Haute", date="2026-01-04", household=[named("Tancrède")])
    assert town.got("famille", "Tancrède") == ["rue du Puits"]
    assert town.asked() == []


def test_members_wait_for_the_day_as_the_one_who_moves(town: Neighbours) -> None:
    town.know(("Tancrède", "agenda"))
    town.say("Aude", "rue du Puits", on=DAY, household=[named("Tancrède")])
    assert (town.got("agenda", "Tancrède"), town.got("famille", "Tancrède")) == (["rue du Puits"], [])
    town.look(BEGINS)
    assert town.got("famille", "Tancrède") == ["rue du Puits"]
    assert town.got("koha", "Aude") == ["rue du Puits"]
    assert town.got("agenda", "Tancrède") == ["rue du Puits"]


def test_the_same_event_again_tells_members_no_more(town: Neighbours) -> None:
    for _ in range(3):
        town.say("Aude", "rue du Puits", household=[named("Tancrède")], event_id="same", date="2026-03-02")
    town.say("Aude", "rue du Puits", household=[named("Tancrède")])
    assert town.got("famille", "Tancrède") == ["rue du Puits"]


def test_whoever_is_named_twice_is_told_of_once(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède"), named("Tancrède")])
    assert town.got("famille", "Tancrède") == ["rue du Puits"]


_ = BY


def household_shown(town: Neighbours, package: str) -> list[str]:
    """Of whom a package is told beside the one who moved, as it would be given what is on its way to it."""
    name = f"{TOWN}.{package}"
    with town.ledger.transaction() as tx:
        tx.receive(name, sorted({row.seq for row in tx.deliveries_of(range(1, 20)) if row.connection == name}))
        claimed = tx.claim(name, 100)
        made = town.deliveries.deliveries(tx, name, claimed, {}, town.deliveries.identifiers(tx, claimed))
        return sorted(
            person["identity"]["given_names"][0]
            for one in made.values() for person in one.event.data.get("household", ())
        )  # fmt: skip


@pytest.mark.parametrize("person", [named("Tancrède"), by_number("koha", "Tancrède")])
def test_a_mark_that_comes_after_the_event_keeps_a_member_from_who_has_not_got_it_yet(
    town: Neighbours, person: dict[str, object]
) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède"), named("Bruno")])
    marked = {**person, "confidential": True}
    town.say("Tancrède", "rue Cachée", by="koha", citizen=marked)
    assert household_shown(town, "eau") == ["Bruno"]


def test_without_a_mark_the_household_is_shown_whole(town: Neighbours) -> None:
    town.say("Aude", "rue du Puits", household=[named("Tancrède"), named("Bruno")])
    assert household_shown(town, "eau") == ["Bruno", "Tancrède"]


def test_it_is_kept_out_of_the_queue_that_a_package_reads_itself(town: Neighbours) -> None:
    said = town.say("Aude", "rue du Puits", household=[named("Tancrède"), named("Bruno")])
    members, name = town.acceptance.directory.connections, f"{TOWN}.eau"
    members[name] = replace(members[name], outside=True)
    town.say("Tancrède", "rue Cachée", by="koha", citizen={**by_number("koha", "Tancrède"), "confidential": True})
    with town.ledger.reading() as tx:
        stored = tx.load([said.seq or 0])[said.seq or 0]
        queued = town.deliveries.view(tx, stored, name).decode()
    assert "Bruno" in queued
    assert "Tancr" not in queued
