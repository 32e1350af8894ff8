"""What operators decide about people holds, reaches the systems, and can be taken back."""

from __future__ import annotations

from dataclasses import replace

import orjson
import pytest
from sqlalchemy import func, select, text

from bus.ledger import Ledger
from hub.acceptance.accept import Verdict
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.journal.entries import Justification
from hub.operations.retention import Keeper
from hub.settings.model import Retention
from hub.storage.tables import (
    citizen_blocks,
    citizen_identities,
    citizen_links,
    citizen_merges,
    citizen_reviews,
    citizens,
    journal,
    requests,
)
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.hub.citizens.town import BY, TOWN, Town, address, origin, person, two
from tests.support.directories import connect


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def test_names_are_shown_for_a_reason_that_goes_to_the_journal(town: Town) -> None:
    review = two(town)

    shown = town.do(town.reviews.read_review, review, BY)

    assert {one["identity"]["family_name"] for one in shown["people"]} == {"Lœvenbruck"}
    with town.ledger.reading() as tx:
        line = tx.sql.execute(select(journal)).one()
    assert (line.kind, line.act, line.actor) == ("read", "review.read", "odile")
    assert "guichet" not in str(line)


@pytest.mark.parametrize("reason", ["", "  "])
def test_nobody_looks_without_a_reason(reason: str) -> None:
    with pytest.raises(InvalidMessage, match="reason"):
        Justification("odile", reason)


def test_two_people_who_are_not_the_same_are_never_asked_about_again(town: Town) -> None:
    review = two(town)

    town.do(town.reviews.declare_distinct, review, BY)
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))

    assert town.asked() == []
    with pytest.raises(InvalidMessage, match="two people"):
        town.do(town.reviews.merge, TOWN, town.who("publik", "P-1"), town.who("koha", "K-1"), BY)


def test_a_merge_moves_all_and_tells_the_systems_of_either(town: Town) -> None:
    review = two(town)

    kept = town.do(town.reviews.merge_reviewed, review, BY)

    assert town.who("koha", "K-1") == town.who("publik", "P-1") == kept
    ((seq, data),) = town.last("citizen.merged")
    assert town.to(seq) == ["koha", "publik"]
    assert len(data["citizen"]["references"]) == 2
    assert town.to(town.say("koha", person(birthdate="1991-11-24")).seq) == ["publik"]


def test_a_merge_that_is_taken_back_leaves_two_people_as_they_were(town: Town) -> None:
    review = two(town)
    before = [town.who("publik", "P-1"), town.who("koha", "K-1")]
    kept = town.do(town.reviews.merge_reviewed, review, BY)
    (gone,) = set(before) - {kept}

    town.do(town.reviews.unmerge, gone, BY)

    assert [town.who("publik", "P-1"), town.who("koha", "K-1")] == before
    assert sorted(town.to(seq) for seq, _ in town.last("citizen.unmerged")) == [["koha"], ["publik"]]
    assert town.asked() == []
    assert town.to(town.say("koha", person(birthdate="1991-11-24")).seq) == []


def test_merges_upon_merges_come_back_one_by_one(town: Town) -> None:
    names = ["A-1", "B-1", "C-1"]
    for number, name in enumerate(names):
        town.say("koha", person("koha", name, birthdate=f"1991-0{number + 1}-14"))
    a, b, c = (town.who("koha", name) for name in names)

    town.do(town.reviews.merge, TOWN, a, b, BY)
    town.do(town.reviews.merge, TOWN, c, a, BY)
    assert {town.who("koha", name) for name in names} == {c}
    town.do(town.reviews.unmerge, b, BY)
    assert [town.who("koha", name) for name in names] == [c, b, c]
    town.do(town.reviews.unmerge, a, BY)

    assert [town.who("koha", name) for name in names] == [a, b, c]
    with town.ledger.reading() as tx:
        assert [town.people.members(tx, one) for one in (a, b, c)] == [[a], [b], [c]]


def test_a_question_that_others_have_answered_is_closed(town: Town) -> None:
    review = two(town)
    town.say("famille", person("famille", "F-1", birthdate="1991-12-23"))
    first, second, third = town.who("publik", "P-1"), town.who("koha", "K-1"), town.who("famille", "F-1")

    town.do(town.reviews.merge, TOWN, third, first, BY)
    town.do(town.reviews.merge, TOWN, third, second, BY)
    town.do(town.reviews.merge_reviewed, review, BY)

    assert review not in {one.id for one in town.asked()}


def test_who_was_erased_holds_up_nobody(town: Town) -> None:
    settled(town)
    town.do(town.people.keys.destroy, town.who("koha", "K-1"))

    said = address("rue Vieille", "koha", date="2025-01-01")
    verdict = town.say("koha", person("koha", "K-1"), new_address=said)

    assert verdict.ok


def test_the_hub_takes_back_what_it_linked_by_itself(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", family_name="LOEVEN BRUCK", given_names=["Blanche"]))
    with town.ledger.reading() as tx:
        (merge,) = town.reviews.merges(tx, tenant=TOWN)
    assert (merge.actor, merge.how, merge.score) == ("hub", "likeness", 98)

    town.do(town.reviews.unmerge, merge.id, BY)

    assert town.who("koha", "K-1") != town.who("publik", "P-1")
    assert town.to(town.say("koha", person("koha", "K-1")).seq) == []


def test_requests_follow_a_merge_and_come_back(town: Town) -> None:
    record = {
        "references": [{"system": "koha", "id": "D-1"}], "procedure": "acte-naissance",
        "submitted_at": "2026-11-02T09:00:00Z", "intake": "online",
        "requester": {"citizen": person("koha", "K-1", birthdate="1991-11-24")},
    }  # fmt: skip
    event = Event(type="request.received", source=f"/{TOWN}/koha", id="r1", data={"request": record})
    town.acceptance.submit(town.ledger, origin("koha"), [event])
    gone = town.who("koha", "K-1")
    town.say("publik", person("publik", "P-1"))
    kept = town.who("publik", "P-1")

    def whose() -> str:
        with town.ledger.reading() as tx:
            return str(tx.sql.execute(select(requests.c.citizen_id)).scalar_one())

    town.do(town.reviews.merge, TOWN, kept, gone, BY)
    assert whose() == kept
    town.do(town.reviews.unmerge, gone, BY)
    assert whose() == gone


def test_a_mark_of_one_holds_for_both_and_stays_when_they_part(town: Town) -> None:
    town.say("publik", person("publik", "P-1") | {"confidential": True})
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))
    kept, gone = town.who("publik", "P-1"), town.who("koha", "K-1")

    town.do(town.reviews.merge, TOWN, kept, gone, BY)
    assert town.to(town.say("koha", person("koha", "K-1")).seq) == []
    town.do(town.reviews.unmerge, gone, BY)

    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, kept)
        assert town.people.is_confidential(tx, gone)


def test_what_was_delivered_is_an_echo_after_a_merge_too(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue Neuve", "publik", date="2026-03-03"))
    born = person("koha", "K-1", birthdate="1991-11-24")
    town.say("koha", born, new_address=address("rue Vieille", "koha"))
    kept, gone = town.who("publik", "P-1"), town.who("koha", "K-1")

    town.do(town.reviews.merge, TOWN, kept, gone, BY)

    again, other = (address(f"rue {name}", "koha", date="2026-03-04") for name in ("Neuve", "Autre"))
    assert town.to(town.say("koha", person("koha", "K-1"), new_address=again).seq) == []
    assert town.to(town.say("koha", person("koha", "K-1"), new_address=other).seq) == ["publik"]


def test_an_event_in_flight_finds_its_recipient_after_a_merge(town: Town) -> None:
    from hub.citizens.repository import identifiers_of

    town.do(town.reviews.merge_reviewed, two(town), BY)

    with town.ledger.reading() as tx:
        gone = tx.sql.execute(select(citizens.c.id).where(citizens.c.merged_into.is_not(None))).scalar_one()
        assert identifiers_of(tx, [gone]) == {
            (TOWN, "koha", gone): "K-1", (TOWN, "publik", gone): "P-1",
        }  # fmt: skip


def test_who_is_forgotten_leaves_nothing_behind(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", family_name="LOEVEN BRUCK", given_names=["Blanche"]))
    town.say("koha", person("koha", "K-2", birthdate="1991-11-24"))
    with town.ledger.transaction() as tx:
        tx.sql.execute(text("UPDATE deliveries SET state = 'delivered'"))
    later = town.ledger.now() + 400 * 86_400
    town.ledger.now = lambda: later

    store = DocumentStore("memory://people", None, DocumentBook(town.ledger))
    keeper = Keeper(town.ledger, store, Retention(events_days=30, links_days=90))
    keeper.forget_expired()
    keeper.forget_expired()

    with town.ledger.reading() as tx:
        for table in (citizens, citizen_links, citizen_identities, citizen_blocks, citizen_reviews, citizen_merges):
            assert tx.sql.execute(select(func.count()).select_from(table)).scalar_one() == 0, table.name


def settled(town: Town, quality: str = "declared") -> None:
    """The master has said an address, of 2 March 2026, and the library knows the same person."""
    town.say("koha", person("koha", "K-1"))
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Tilleuls", "publik", quality=quality))


def test_what_stands_against_the_master_is_held_and_asked_about(town: Town) -> None:
    settled(town)

    verdict = town.say("koha", person("koha", "K-1"), new_address=address("rue Vieille", "koha"))

    assert (verdict.outcome, verdict.review, town.to(verdict.seq)) == ("accepted", ("new_address",), [])
    (review,) = town.asked()
    assert (review.kind, review.field) == ("value", "new_address")
    assert "Vieille" not in str(review)
    assert "rue Vieille" in str(town.do(town.reviews.read_review, review.id, BY))


@pytest.mark.parametrize(
    ("quality", "date", "held"),
    [("declared", "2026-05-01", False), ("verified", "2026-03-02", False), ("declared", "2026-03-02", True)],
)
def test_better_or_newer_news_passes(town: Town, quality: str, date: str, held: bool) -> None:
    settled(town)
    town.take()

    said = address("rue Neuve", "koha", quality=quality, date=date)
    verdict = town.say("koha", person("koha", "K-1"), new_address=said)

    assert bool(verdict.review) is held
    assert town.to(verdict.seq) == ([] if held else ["publik"])


def test_nothing_declared_is_better_than_what_a_master_has_authority_for(town: Town) -> None:
    settled(town, quality="authoritative")

    said = address("rue Neuve", "koha", quality="verified", date="2026-10-01")

    assert town.say("koha", person("koha", "K-1"), new_address=said).review == ("new_address",)


def test_the_master_is_never_held_and_an_echo_stays_silent(town: Town) -> None:
    settled(town)

    again = town.say("koha", person("koha", "K-1"), new_address=address("Rue des TILLEULS", "koha"))
    other = town.say("publik", person("publik", "P-1"), new_address=address("rue Neuve", "publik"))

    assert (again.outcome, again.review) == ("echo", ())
    assert town.to(other.seq) == ["koha"]


@pytest.mark.parametrize("quality", ["declared", "authoritative"])
@pytest.mark.parametrize("by", ["publik", "koha"])
def test_an_older_value_stays_away_whoever_says_it_and_however_well_it_is_known(
    town: Town, by: str, quality: str
) -> None:
    settled(town)
    town.take()
    who = person(by, {"publik": "P-1", "koha": "K-1"}[by])

    older = town.say(by, who, new_address=address("rue Vieille", by, date="2026-03-01", quality=quality))

    assert (older.outcome, older.review, town.to(older.seq)) == ("echo", (), [])
    assert town.asked() == []


def test_a_held_value_that_is_taken_goes_to_all(town: Town) -> None:
    settled(town)
    town.take()
    said = address("rue Vieille", "koha")
    town.say("koha", person("koha", "K-1"), new_address=said)

    town.do(town.reviews.accept_value, town.asked()[0].id, BY)

    seq, data = town.last("citizen.address-changed")[-1]
    assert data["new_address"] == said
    assert "publik" in town.to(seq)
    assert town.asked() == []


def by_a_request(town: Town, procedure: str, street: str) -> Verdict:
    """The library is told of a move by a request of its own, against what the master of addresses said. Families hear
    of one procedure alone."""
    settled(town)
    town.say("famille", person("famille", "F-1"))
    members = [
        replace(one, procedures=("acte-naissance",)) if one.name == f"{TOWN}.famille" else one
        for one in town.acceptance.directory.connections.values()
    ]
    connect(town.acceptance.current, members)
    town.take()
    record = {
        "references": [{"system": "koha", "id": "D-1"}], "procedure": procedure, "submitted_at": "2026-03-02T08:00:00Z",
        "intake": "desk", "requester": {"citizen": {"references": [{"system": "koha", "id": "K-1"}]}},
    }  # fmt: skip
    told = Event(type="request.received", source=f"/{TOWN}/koha", id="d-1", data={"request": record})
    assert town.acceptance.submit(town.ledger, origin("koha"), [told])[0].error is None
    link = {"references": [{"system": "koha", "id": "D-1"}]}
    return town.say("koha", person("koha", "K-1"), new_address=address(street, "koha"), request=link)


@pytest.mark.parametrize(("procedure", "to"), [
    ("changement-adresse", ["publik"]), ("acte-naissance", ["famille", "publik"]),
])  # fmt: skip
def test_a_held_value_goes_to_those_alone_who_hear_of_the_procedure_by_which_it_came(
    town: Town, procedure: str, to: list[str]
) -> None:
    assert by_a_request(town, procedure, "rue Vieille").review == ("new_address",)
    (review,) = [one for one in town.asked() if one.kind == "value"]

    town.do(town.reviews.accept_value, review.id, BY)

    seq, data = town.last("citizen.address-changed")[-1]
    assert data["new_address"]["value"]["street"] == "rue Vieille"
    assert [name for name in town.to(seq) if name != "koha"] == to


def test_a_held_value_whose_request_is_kept_no_more_is_taken_by_nobody(town: Town) -> None:
    """Nobody knows any more who may hear it."""
    by_a_request(town, "changement-adresse", "rue Vieille")
    (review,) = [one for one in town.asked() if one.kind == "value"]
    with town.ledger.transaction() as tx:
        tx.sql.execute(text("DELETE FROM requests"))

    with pytest.raises(InvalidMessage) as refused:
        town.do(town.reviews.accept_value, review.id, BY)

    assert refused.value.code == "expired"
    assert [one.id for one in town.asked()] == [review.id]


def test_the_same_value_is_asked_about_once_whether_by_a_request_or_by_none(town: Town) -> None:
    by_a_request(town, "changement-adresse", "rue Vieille")

    town.say("koha", person("koha", "K-1"), new_address=address("rue Vieille", "koha"))

    assert len([one for one in town.asked() if one.kind == "value"]) == 1


def test_what_a_master_said_by_a_request_is_told_again_to_those_alone_who_hear_of_its_procedure(town: Town) -> None:
    by_a_request(town, "changement-adresse", "rue Vieille")
    (review,) = [one for one in town.asked() if one.kind == "value"]
    record = {
        "references": [{"system": "publik", "id": "D-2"}], "procedure": "changement-adresse", "intake": "online",
        "submitted_at": "2026-03-02T08:00:00Z",
        "requester": {"citizen": {"references": [{"system": "publik", "id": "P-1"}]}},
    }  # fmt: skip
    told = Event(type="request.received", source=f"/{TOWN}/publik", id="d-2", data={"request": record})
    town.acceptance.submit(town.ledger, origin("publik"), [told])
    link = {"references": [{"system": "publik", "id": "D-2"}]}
    said = address("rue du Puits", "publik", date="2026-03-02")
    assert town.to(town.say("publik", person("publik", "P-1"), new_address=said, request=link).seq) == ["koha"]
    town.take()
    town.do(town.reviews.accept_value, review.id, BY)
    town.take()

    assert town.do(town.reviews.reopen, review.id, BY)

    seq, data = town.last("citizen.address-changed")[-1]
    assert data["new_address"]["value"]["street"] == "rue du Puits"
    assert town.to(seq) == ["koha", "publik"]


def test_a_held_value_that_is_not_taken_is_not_asked_about_again(town: Town) -> None:
    settled(town)
    town.take()
    said = address("rue Vieille", "koha")
    town.say("koha", person("koha", "K-1"), new_address=said)

    town.do(town.reviews.keep, town.asked()[0].id, BY)
    town.say("koha", person("koha", "K-1"), new_address=said)

    assert town.asked() == []


def test_two_people_who_were_said_to_be_two_are_a_question_again(town: Town) -> None:
    review = two(town)
    town.do(town.reviews.declare_distinct, review, BY)

    town.do(town.reviews.reopen, review, BY)

    (asked,) = town.asked()
    assert (asked.id, asked.decided_by) == (review, None)
    kept = town.do(town.reviews.merge_reviewed, review, BY)
    assert town.who("koha", "K-1") == town.who("publik", "P-1") == kept
    with pytest.raises(InvalidMessage) as refused:
        town.do(town.reviews.reopen, review, BY)
    assert refused.value.code == "merged"


def test_a_merge_overrules_what_was_said_and_is_taken_back_as_any_other(town: Town) -> None:
    review = two(town)
    before = [town.who("publik", "P-1"), town.who("koha", "K-1")]
    town.do(town.reviews.declare_distinct, review, BY)

    with town.ledger.transaction() as tx:
        kept = town.reviews.merge_reviewed(tx, review, BY, overrule=True)
    (gone,) = set(before) - {kept}
    with town.ledger.reading() as tx:
        assert [one.state for one in town.reviews.decided_reviews(tx, tenant=TOWN)] == ["same"]
        assert [one.how for one in town.reviews.merges(tx)] == ["operator"]
    town.do(town.reviews.unmerge, gone, BY)

    assert [town.who("publik", "P-1"), town.who("koha", "K-1")] == before


def held_value(town: Town) -> str:
    settled(town)
    town.take()
    town.say("koha", person("koha", "K-1"), new_address=address("rue Vieille", "koha"))
    return str(town.asked()[0].id)


def test_a_value_that_was_kept_back_is_a_question_again_and_may_be_taken(town: Town) -> None:
    review = held_value(town)
    town.do(town.reviews.keep, review, BY)

    assert town.do(town.reviews.reopen, review, BY)
    town.do(town.reviews.accept_value, review, BY)

    assert town.last("citizen.address-changed")[-1][1]["new_address"]["value"]["street"] == "rue Vieille"


def test_after_a_value_that_was_taken_wrongly_the_master_is_told_again_and_holds_again(town: Town) -> None:
    review = held_value(town)
    town.do(town.reviews.accept_value, review, BY)

    assert town.do(town.reviews.reopen, review, BY)

    seq, data = town.last("citizen.address-changed")[-1]
    assert data["new_address"]["value"]["street"] == "rue des Tilleuls"
    assert town.to(seq) == ["koha", "publik"]
    assert [one.id for one in town.asked()] == [review]
    other = town.say("koha", person("koha", "K-1"), new_address=address("rue Neuve", "koha"))
    assert other.review == ("new_address",)


def test_a_master_whose_word_is_kept_no_more_must_say_it_again(town: Town) -> None:
    review = held_value(town)
    town.do(town.reviews.accept_value, review, BY)
    with town.ledger.transaction() as tx:
        tx.sql.execute(text("DELETE FROM events WHERE origin = 'saint-aubin.publik'"))

    assert not town.do(town.reviews.reopen, review, BY)
    assert len(town.asked()) == 1


def test_what_was_held_is_kept_for_as_long_as_the_decision_can_be_taken_back(town: Town) -> None:
    review = held_value(town)
    town.do(town.reviews.keep, review, BY)
    later = town.ledger.now() + 40 * 86_400
    town.ledger.now = lambda: later

    store = DocumentStore("memory://decided", None, DocumentBook(town.ledger))
    Keeper(town.ledger, store, Retention(events_days=30)).forget_expired()

    with pytest.raises(InvalidMessage) as refused:
        town.do(town.reviews.reopen, review, BY)
    assert refused.value.code == "expired"


def test_an_open_question_is_no_decision_to_take_back(town: Town) -> None:
    with pytest.raises(InvalidMessage) as refused:
        town.do(town.reviews.reopen, two(town), BY)
    assert refused.value.code == "not_decided"


def test_a_review_says_what_it_costs_in_whole_numbers(town: Town) -> None:
    two(town)

    (review,) = town.asked()
    assert review.facts["score"] == 100 - sum(one["cost"] for one in review.facts["fields"])
    assert orjson.dumps(review.facts)
