"""News is judged reader by reader, of what is known now (issue 17, part 1)."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from bus.ledger import Ledger
from bus.tables import DELIVERED, OPEN, PARKED, REFUSED, SKIPPED, STARTED, deliveries
from hub.acceptance import telling
from hub.acceptance.deliveries import OBSERVED
from hub.citizens.news import GIVEN, SAID, NewsBook
from hub.storage.tables import citizen_links, citizen_news
from schemas.errors import InvalidMessage
from tests.hub.citizens.town import BY, TOWN
from tests.hub.news.town import ADDRESS, CONTACT, Readers, home, said


@pytest.fixture
def town(ledger: Ledger) -> Readers:
    """Two packages know somebody who moved, as the first of them said; the third does not."""
    made = Readers(ledger)
    made.link("1", "publik", "koha")
    assert made.moves("publik", "1", "rue Neuve") == ["koha"]
    made.take_all()
    return made


# --- who lacks it is told -----------------------------------------------------------------------------------------


def test_a_reader_linked_later_is_told_and_nobody_else(town: Readers) -> None:
    town.link("1", "famille")

    assert town.moves("koha", "1", "rue Neuve") == ["famille"]
    assert town.moves("publik", "1", "RUE NEUVE") == []


@pytest.mark.parametrize("values", [{"email": "a@courriel.example"}, {"phone": "01 99 00 00 12"}])
def test_so_it_is_with_the_other_fields(town: Readers, values: dict[str, str]) -> None:
    told = {name: said(one, "publik") for name, one in values.items()}
    town.tell("publik", "1", CONTACT, **told)
    town.take_all()
    town.link("1", "famille")

    assert town.to(town.tell("koha", "1", CONTACT, **told).seq) == ["famille"]
    assert town.tell("famille", "1", CONTACT, **told).outcome == "echo"


def test_a_new_connection_is_told(town: Readers) -> None:
    town.change("ccas")
    town.link("1", "ccas")

    assert town.moves("publik", "1", "rue Neuve") == ["ccas"]


def test_who_is_merged_is_told_what_the_other_was_told(town: Readers) -> None:
    town.link("2", "famille")
    kept, gone = town.id_of("1"), town.id_of("2")
    town.do(town.reviews.merge, TOWN, kept, gone, BY)

    assert town.moves("koha", "1", "rue Neuve") == ["famille"]
    town.take_all()
    assert town.moves("publik", "1", "rue Neuve") == []


def test_a_merge_that_is_taken_back_leaves_each_what_it_knew(town: Readers) -> None:
    town.change("ccas")
    town.link("2", "famille", "ccas")
    town.moves("famille", "2", "rue Vieille", "2026-01-05")
    town.take_all()
    kept, gone = town.id_of("1"), town.id_of("2")
    town.do(town.reviews.merge, TOWN, kept, gone, BY)
    assert town.moves("publik", "1", "rue Neuve") == ["ccas", "famille"]
    town.take_all()

    town.do(town.reviews.unmerge, gone, BY)

    assert town.moves("koha", "1", "rue Neuve") == []
    assert town.moves("ccas", "2", "rue Vieille", "2026-01-05") == []
    assert town.moves("famille", "2", "rue Autre", "2026-04-05") == ["ccas"]


@pytest.mark.parametrize("state", [REFUSED, "skipped"])
def test_a_reader_that_did_not_take_it_is_told_again(town: Readers, state: str) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    (seq,) = town.waiting("koha")
    if state == REFUSED:
        town.end("koha", seq, REFUSED)
    else:
        town.end("koha", seq, PARKED)
        with town.ledger.transaction() as tx:
            assert town.desk.skip(tx, f"{TOWN}.koha", seq, "fait à la main")

    assert town.moves("publik", "1", "rue Autre", "2026-04-02") == ["koha"]


def test_what_a_mark_withheld_was_not_given(town: Readers) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    person = {"references": [{"system": "publik", "id": "publik-1"}], "confidential": True}
    town.number += 1
    marked = town.tell("publik", "1", CONTACT, citizen=person, email=said("a@courriel.example", "publik"))
    assert town.to(marked.seq) == []

    with town.ledger.transaction() as tx:
        (known,) = [one for one in town.acceptance.news.known(tx, [town.id_of("1")])[1] if one.field == "new_address"]
    now = known.now
    assert now is not None
    assert known.last("koha") is not None
    assert known.last("koha")[0] not in now.views  # type: ignore[index]


def test_what_was_only_observed_is_told_when_the_connection_goes_live(town: Readers) -> None:
    town.link("1", "famille")
    town.change("famille", mode="observe")
    assert town.moves("publik", "1", "rue Neuve") == ["famille"]
    assert town.moves("publik", "1", "rue Neuve") == []  # it would have it
    town.take_all()

    town.change("famille", mode="live")

    assert town.moves("koha", "1", "rue Neuve") == ["famille"]
    assert town.moves("koha", "1", "rue Neuve") == []


def test_a_pilot_that_did_not_send_it_knows_it_once_live_no_more(town: Readers) -> None:
    town.link("1", "famille")
    town.change("famille", mode="pilot")
    town.moves("publik", "1", "rue Neuve")
    (seq,) = town.waiting("famille")
    town.end("famille", seq, DELIVERED, OBSERVED)
    assert town.moves("publik", "1", "rue Neuve") == []

    town.change("famille", mode="live")

    assert town.moves("publik", "1", "rue Neuve") == ["famille"]


def test_another_identifier_lacks_what_was_told_under_the_one_before(town: Readers) -> None:
    with town.ledger.transaction() as tx:
        here = citizen_links.c.native_id == "koha-1"
        tx.sql.execute(citizen_links.update().where(here).values(native_id="koha-9"))

    assert town.moves("publik", "1", "rue Neuve") == ["koha"]


def test_a_reader_that_gave_the_identifier_when_it_took_it_has_it(town: Readers) -> None:
    town.see("famille", "/citizen", "/new_address", scope="all")
    assert town.moves("publik", "1", "rue Neuve") == ["famille"]
    (seq,) = town.waiting("famille")
    town.end("famille", seq, reference="F-77")

    assert town.who("famille", "F-77") == town.id_of("1")
    assert town.moves("koha", "1", "rue Neuve") == []


# --- who has it is not --------------------------------------------------------------------------------------------


def test_what_was_given_or_said_is_silent(town: Readers) -> None:
    outcomes = [town.tell(by, "1", new_address=said(home("r. Neuve"), by, date)).outcome
                for by, date in (("koha", "2026-03-03"), ("publik", "2026-03-04"), ("koha", "2026-03-05"))]  # fmt: skip

    assert outcomes == ["echo"] * 3


def test_there_and_back_is_told_to_each_once(town: Readers) -> None:
    """A → B → A: the move, another, and the move back."""
    assert town.moves("publik", "1", "rue Autre", "2026-04-02") == ["koha"]
    town.take_all()
    assert town.moves("koha", "1", "rue Autre", "2026-04-03") == []
    assert town.moves("publik", "1", "rue Neuve", "2026-05-02") == ["koha"]
    town.take_all()
    assert town.moves("koha", "1", "rue Neuve", "2026-05-03") == []


def test_a_part_that_a_reader_was_given_comes_back_as_no_poorer_value(town: Readers) -> None:
    town.link("1", "famille")
    town.see("koha", "/citizen", "/new_address/value/street", "/new_address/value/city")
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    town.take_all()
    part = {"street": "Rue AUTRE", "postal_code": "00000", "city": "Saint-Aubin"}

    verdict = town.tell("koha", "1", new_address=said(part, "koha", "2026-04-03"))

    assert (verdict.outcome, town.to(verdict.seq)) == ("echo", [])
    assert town.moves("publik", "1", "rue Autre", "2026-04-02") == []
    more = part | {"street": "rue Encore"}
    assert town.to(town.tell("koha", "1", new_address=said(more, "koha", "2026-04-04")).seq) == ["famille", "publik"]


def test_a_reader_of_the_town_alone_is_told_nothing_of_a_move_within_it(town: Readers) -> None:
    town.link("1", "famille")
    town.see("famille", "/new_address/value/city")
    assert town.moves("publik", "1", "rue Autre", "2026-04-02") == ["famille", "koha"]

    assert town.moves("publik", "1", "rue Encore", "2026-04-03") == ["koha"]
    away = said(home("rue Loin", "Dunkerque"), "publik", "2026-04-04")
    assert town.to(town.tell("publik", "1", new_address=away).seq) == ["famille", "koha"]


def test_wider_fields_lack_what_they_did_not_see(town: Readers) -> None:
    town.link("1", "famille")
    town.see("famille", "/new_address/value/city")
    town.moves("publik", "1", "rue Neuve")
    town.take_all()

    town.see("famille", "/new_address")

    assert town.moves("koha", "1", "rue Neuve") == ["famille"]


# --- nothing older overtakes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("date", ["2026-03-01", "2026-03-01T23:59:00+01:00", "1999-06-07"])
@pytest.mark.parametrize("by", ["koha", "publik"])
def test_an_older_value_stays_away(town: Readers, by: str, date: str) -> None:
    assert town.tell(by, "1", new_address=said(home("rue Vieille"), by, date)).outcome == "echo"


@pytest.mark.parametrize("date", ["2026-03-02", "2026-03-02T00:30:00+01:00", "2026-03-02T23:10:00Z"])
def test_the_same_day_is_not_older(town: Readers, date: str) -> None:
    assert town.moves("publik", "1", "rue Autre", date) == ["koha"]


def test_a_date_of_the_future_is_now(town: Readers) -> None:
    assert town.moves("publik", "1", "rue Autre", "2099-06-07") == ["koha"]
    town.take_all()
    assert town.moves("publik", "1", "rue Encore", "2098-06-07") == ["koha"]


def test_a_late_export_is_no_change_back(town: Readers) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")

    assert town.moves("koha", "1", "rue Neuve", "2026-05-02") == []  # on its way to it
    town.take_all()
    assert town.moves("koha", "1", "rue Neuve", "2026-05-02") == []  # of before it took it
    later = town.ledger.now() + 3 * 86_400
    town.ledger.now = lambda: later
    assert town.moves("koha", "1", "rue Neuve", "2099-01-05") == ["publik"]


def test_what_is_on_its_way_to_who_says_something_newer_is_given_up(town: Readers) -> None:
    older = town.tell("publik", "1", new_address=said(home("rue Autre"), "publik", "2026-04-02"))

    assert town.moves("koha", "1", "rue Encore", "2026-04-03") == ["publik"]
    assert town.waiting("koha") == []
    with town.ledger.reading() as tx:
        (row,) = tx.deliveries_of([older.seq or 0])
    assert (row.state, row.answer) == (SKIPPED, telling._SAID_SINCE)
    town.take_all()
    assert town.moves("publik", "1", "rue Encore", "2026-04-03") == []


@pytest.mark.parametrize("state", [STARTED, PARKED])
def test_what_may_have_reached_its_origin_is_followed_by_what_it_said(town: Readers, state: str) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    with town.ledger.transaction() as tx:
        tx.sql.execute(update(deliveries).where(deliveries.c.state.in_(OPEN)).values(state=state))

    assert town.moves("koha", "1", "rue Encore", "2026-04-03") == ["koha", "publik"]
    shown = [town.end("koha", town.waiting("koha")[0])["new_address"]["value"]["street"] for _ in range(2)]
    assert shown == ["rue Autre", "rue Encore"]
    assert town.moves("publik", "1", "rue Encore", "2026-04-03") == []


def test_who_says_what_is_on_its_way_to_it_has_it_though_it_refuses_that(town: Readers) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    assert town.moves("koha", "1", "rue Autre", "2026-04-03") == []
    town.end("koha", town.waiting("koha")[0], REFUSED)

    assert town.moves("publik", "1", "rue Autre", "2026-04-04") == []
    assert town.moves("publik", "1", "rue Neuve", "2026-05-02") == ["koha"]  # which it had before


def test_all_that_is_on_its_way_to_who_says_something_newer_is_given_up(town: Readers) -> None:
    for day, street in enumerate(("rue Autre", "rue Longue", "rue Courte", "rue Droite", "rue Basse"), 2):
        assert town.moves("publik", "1", street, f"2026-04-0{day}") == ["koha"]

    assert town.moves("koha", "1", "rue Encore", "2026-04-09") == ["publik"]

    assert town.waiting("koha") == []


def test_of_much_that_is_on_its_way_the_same_value_and_other_fields_stay(town: Readers) -> None:
    town.tell("publik", "1", CONTACT, email=said("a@courriel.example", "publik"))
    for day, street in enumerate(("rue Encore", "rue Longue", "rue Courte", "rue Droite"), 2):
        town.moves("publik", "1", street, f"2026-04-0{day}")

    town.moves("koha", "1", "rue Encore", "2026-04-09")

    shown = [town.end("koha", town.waiting("koha")[0]) for _ in range(2)]
    assert [set(one) & {"email", "new_address"} for one in shown] == [{"email"}, {"new_address"}]
    assert shown[1]["new_address"]["value"]["street"] == "rue Encore"
    assert town.waiting("koha") == []


def test_what_else_was_on_its_way_is_said_again(town: Readers) -> None:
    both = {"email": said("a@courriel.example", "publik"), "phone": said("01 99 00 00 12", "publik")}
    town.tell("publik", "1", CONTACT, **both)

    town.tell("koha", "1", CONTACT, email=said("b@courriel.example", "koha", "2026-04-03"))

    (seq,) = town.waiting("koha")
    assert set(town.end("koha", seq)) == {"citizen", "phone", "recipient"}


def test_a_refused_delivery_that_is_replayed_never_overtakes(town: Readers) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    (seq,) = town.waiting("koha")
    town.end("koha", seq, REFUSED)
    assert town.moves("publik", "1", "rue Encore", "2026-04-03") == ["koha"]

    with pytest.raises(InvalidMessage) as refused:
        town.replay("koha", seq)

    assert refused.value.code == "overtaken"
    assert town.waiting("koha") != [seq]


def test_nor_what_its_reader_has_said_itself_since(town: Readers) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    (seq,) = town.waiting("koha")
    town.end("koha", seq, REFUSED)
    town.moves("koha", "1", "rue Encore", "2026-04-03")

    with pytest.raises(InvalidMessage) as refused:
        town.replay("koha", seq)
    assert refused.value.code == "overtaken"


def test_a_refused_delivery_that_nothing_has_overtaken_is_replayed_and_given(town: Readers) -> None:
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    (seq,) = town.waiting("koha")
    town.end("koha", seq, REFUSED)

    assert town.replay("koha", seq)
    assert town.moves("publik", "1", "rue Autre", "2026-04-02") == []
    town.end("koha", seq, REFUSED)
    assert town.moves("publik", "1", "rue Autre", "2026-04-02") == ["koha"]


def test_of_what_is_overtaken_in_part_the_rest_is_said_again(town: Readers) -> None:
    both = {"email": said("a@courriel.example", "publik"), "phone": said("01 99 00 00 12", "publik")}
    town.tell("publik", "1", CONTACT, **both)
    (seq,) = town.waiting("koha")
    town.end("koha", seq, REFUSED)
    town.tell("publik", "1", CONTACT, email=said("b@courriel.example", "publik", "2026-04-02"))
    town.take_all()

    assert town.replay("koha", seq)

    (again,) = town.waiting("koha")
    assert again != seq
    assert {"citizen", "phone", "recipient"} == set(town.end("koha", again))
    assert town.tell("publik", "1", CONTACT, **both | {"email": said("b@courriel.example", "publik")}).outcome == "echo"


# --- several fields -----------------------------------------------------------------------------------------------


def test_each_is_told_what_it_lacks_of_an_event_with_several_fields(town: Readers) -> None:
    town.link("1", "famille")
    email, phone = said("a@courriel.example", "publik"), said("01 99 00 00 12", "publik")
    town.tell("publik", "1", CONTACT, email=email)
    (seq,) = town.waiting("famille")
    town.end("famille", seq, REFUSED)
    town.take_all()

    verdict = town.tell("publik", "1", CONTACT, email=email, phone=phone)

    assert town.to(verdict.seq) == ["famille", "koha"]
    shown = {name: [set(town.end(name, one)) - {"citizen", "recipient"} for one in town.waiting(name)]
             for name in ("koha", "famille")}  # fmt: skip
    rest = {name: [set(town.end(name, one)) - {"citizen", "recipient"} for one in town.waiting(name)]
            for name in ("koha", "famille")}  # fmt: skip
    assert (shown, rest) == ({"koha": [{"phone"}], "famille": [{"phone"}]}, {"koha": [], "famille": [{"email"}]})
    assert town.tell("koha", "1", CONTACT, email=email, phone=phone).outcome == "echo"


# --- what is kept -------------------------------------------------------------------------------------------------


def test_the_record_is_sealed_and_gone_with_the_key_of_the_person(town: Readers) -> None:
    with town.ledger.reading() as tx:
        (row,) = tx.sql.execute(select(citizen_news)).all()
        (known,) = town.acceptance.news.known(tx, [town.id_of("1")])[1]
    assert known.now is not None
    assert known.now.digest.encode() not in bytes(row.sealed)
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(bytes(row.sealed))

    with town.ledger.transaction() as tx:
        town.people.keys.destroy(tx, town.id_of("1"))
    with town.ledger.reading() as tx:
        assert [one.now for one in town.acceptance.news.known(tx, [town.id_of("1")])[1]] == [None]


def test_a_record_keeps_few_entries_of_each(town: Readers) -> None:
    for month in range(4, 10):
        town.moves("publik", "1", f"rue du {month} mai", f"2026-0{month}-02")
        town.take_all()

    with town.ledger.reading() as tx:
        (known,) = town.acceptance.news.known(tx, [town.id_of("1")])[1]
    assert {who: len(known.entries(who)) for who in known.readers()} == {"koha": 3, "publik": 3}


def test_who_knows_nothing_any_more_and_then_began_anew_is_read_as_anybody(ledger: Ledger) -> None:
    """All that was known of a reader was dropped, of one second: nothing of it stands in the record."""
    book = NewsBook(None, b"pepper")
    with ledger.transaction() as tx:
        tx.hold_door()
        news = book.session(tx)
        known = news.of("somebody", "new_address")
        for seq, how in ((5, GIVEN), (6, SAID)):
            known.note(["koha"], [f"view {seq}", "", 0.0, 0.0, seq, how, 0, None, ""])
        known.note(["publik"], ["view 6", "", 0.0, 0.0, 6, SAID, 0, None, ""])
        news.drop_overwritten(TOWN, known)
        news.save()

    with ledger.transaction() as tx:
        news = book.session(tx)
        news.start_anew({f"{TOWN}.koha": 7})
        assert news.of("somebody", "new_address").readers() == {"publik"}


# --- said again ---------------------------------------------------------------------------------------------------


def test_the_hub_says_again_what_somebody_lacks_and_then_no_more(town: Readers) -> None:
    town.link("1", "famille")
    before = town.count_events()

    told = town.restate("1")["new_address"]

    assert (told.outcome, told.to) == ("told", (f"{TOWN}.famille",))
    (seq,) = town.waiting("famille")
    shown = town.end("famille", seq)
    assert shown["new_address"] == said(home("rue Neuve"), "publik")
    assert {name: one.outcome for name, one in town.restate("1").items()} == {"new_address": "silent"}
    assert town.count_events() == before + 1


def test_it_is_said_again_as_often_as_somebody_lacks_it(town: Readers) -> None:
    town.link("1", "famille")
    for _ in range(3):
        assert town.restate("1")["new_address"].outcome == "told"
        (seq,) = town.waiting("famille")
        town.end("famille", seq, REFUSED)


def test_where_the_event_is_gone_its_origin_must_say_it_again(town: Readers) -> None:
    town.link("1", "famille")
    town.forget_events()

    told = town.restate("1", "new_address", "email")

    assert (told["new_address"].outcome, told["new_address"].origin) == ("gone", f"{TOWN}.publik")
    assert told["email"].outcome == "unknown"
    assert town.moves("publik", "1", "rue Neuve") == ["famille"]


def test_several_fields_of_one_event_are_said_in_one_and_to_whom_lacks_a_part_apart(town: Readers) -> None:
    both = {"email": said("a@courriel.example", "publik"), "phone": said("01 99 00 00 12", "publik")}
    town.tell("publik", "1", CONTACT, **both)
    town.take_all()
    town.link("1", "famille")
    town.change("ccas")
    town.link("1", "ccas")
    town.see("ccas", "/citizen", "/phone")

    told = town.restate("1", "email", "phone")

    assert {one.outcome for one in told.values()} == {"told"}
    assert [set(town.end("famille", one)) for one in town.waiting("famille")] == [
        {"citizen", "email", "phone", "recipient"}
    ]
    assert [set(town.end("ccas", one)) for one in town.waiting("ccas")] == [{"citizen", "phone", "recipient"}]
    assert town.restate("1", "email")["email"].outcome == "silent"


def test_a_confidential_person_is_said_again_to_nobody(town: Readers) -> None:
    town.link("1", "famille")
    town.number += 1
    person = {"references": [{"system": "publik", "id": "publik-1"}], "confidential": True}
    town.tell("publik", "1", CONTACT, citizen=person, email=said("a@courriel.example", "publik"))

    assert town.restate("1")["new_address"].outcome == "silent"


def test_a_value_that_is_not_the_current_one_any_more_is_not_said_again(town: Readers) -> None:
    town.link("1", "famille")
    town.moves("publik", "1", "rue Autre", "2026-04-02")
    town.take_all()

    assert town.restate("1")["new_address"].outcome == "silent"
    with town.ledger.reading() as tx:
        (known,) = town.acceptance.news.known(tx, [town.id_of("1")])[1]
        assert known.now is not None
        assert tx.load([known.now.seq])[known.now.seq].event.data["new_address"]["value"] == home("rue Autre")


def test_who_states_something_older_and_lacks_what_is_known_is_told(town: Readers) -> None:
    town.link("1", "famille")

    verdict: Any = town.tell("famille", "1", ADDRESS, new_address=said(home("rue Vieille"), "famille", "2024-02-05"))

    assert (verdict.outcome, town.to(verdict.seq)) == ("echo", [])
    (seq,) = town.waiting("famille")
    assert town.end("famille", seq)["new_address"]["value"] == home("rue Neuve")
