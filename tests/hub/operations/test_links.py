"""An identifier that was linked wrongly is taken away, with what came by it, and nothing links it again by itself."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from bus.ledger import Ledger
from hub.operations.links import Removed
from hub.storage.tables import (
    citizen_identities,
    citizen_links,
    citizen_reviews,
    evidence_recipients,
    journal,
    request_people,
    requests,
    unproved_references,
)
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.hub.citizens.town import BLANCHE, BY, TOWN, Town, address, origin, person, value


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


K, P = ("koha", "K-1"), ("publik", "P-1")
LIKE = {"given_names": ["Blanche"]}


def by_identity(town: Town) -> None:
    town.say("publik", person(*P))
    town.say("koha", person(*K))


def by_likeness(town: Town) -> None:
    town.say("publik", person(*P))
    town.say("koha", person(*K, **LIKE))


def by_identity_and_a_name_in_use(town: Town) -> None:
    town.say("publik", person(*P))
    town.say("koha", person(*K, preferred_name="Sorbier"))


def told_beside(town: Town) -> None:
    named = [{"system": system, "id": native} for system, native in (P, K)]
    data = {"citizen": {"references": named}, "email": value("a@courriel.example", "publik")}
    event = Event(type="citizen.contact-changed", source=f"/{TOWN}/publik", id="both", data=data)
    town.say("publik", person(*P))
    speaks = replace(origin("publik"), others=frozenset({"koha"}))
    assert town.acceptance.submit(town.ledger, speaks, [event])[0].ok


def by_an_operator(town: Town) -> None:
    town.say("publik", person(*P))
    town.say("koha", person(*K, birthdate="1991-11-24"))
    town.do(town.reviews.merge, TOWN, town.who(*P), town.who(*K), BY)


def by_import(town: Town) -> None:
    town.say("publik", person(*P))
    with town.ledger.transaction() as tx:
        book = town.acceptance.citizens(tx)
        book.how = "import"
        book.prefetch(TOWN, [person(*K)])
        book.resolve(TOWN, person(*K))
        book.save()


def removed(town: Town, identifier: tuple[str, str] = K) -> Removed:
    done: Removed = town.do(town.links.remove, TOWN, identifier, BY)
    return done


@pytest.mark.parametrize(
    ("link", "said"),
    [(by_identity, person(*K)), (by_identity_and_a_name_in_use, person(*K, preferred_name="Sorbier")),
     (by_likeness, person(*K, **LIKE)), (told_beside, person(*K)),
     (by_an_operator, person(*K, birthdate="1991-11-24")), (by_import, person(*K))],
)  # fmt: skip
def test_every_link_is_undone_and_the_next_events_do_not_make_it_again(town: Town, link: Any, said: Any) -> None:
    link(town)
    before = town.who(*P)
    assert town.who(*K) == before

    done = removed(town)
    for one in (said, person(*P), {"references": said["references"]}):
        town.say(one["references"][0]["system"], one)

    assert town.who(*P) == before
    assert town.who(*K) == done.citizen_id != before
    assert town.asked() == []
    assert town.to(town.say("koha", said).seq) == []


@pytest.mark.parametrize("link", [by_likeness, by_an_operator])
def test_whoever_was_known_first_is_parted_with_the_identity_that_is_theirs(town: Town, link: Any) -> None:
    link(town)

    done = removed(town, P)

    assert done.merge
    assert done.citizen_id == town.who(*P) != town.who(*K)
    with town.ledger.reading() as tx:
        koha = town.people.identity_of(tx, town.who(*K)) or {}
        assert koha != town.people.identity_of(tx, town.who(*P)) == person()["identity"]
    assert town.find(person()["identity"]).citizen_id == town.who(*P)


@pytest.mark.parametrize("link", [by_identity, by_likeness, told_beside, by_an_operator, by_import])
def test_a_removal_is_taken_back_by_a_merge_that_overrules_it(town: Town, link: Any) -> None:
    link(town)
    before = town.who(*P)
    other = removed(town).citizen_id

    with pytest.raises(InvalidMessage) as refused:
        town.do(town.reviews.merge, TOWN, before, other, BY)
    with town.ledger.transaction() as tx:
        town.reviews.merge(tx, TOWN, before, other, BY, overrule=True)

    assert refused.value.code == "declared_distinct"
    assert town.who(*K) == town.who(*P) == before
    assert town.to(town.say("koha", person(*K, **LIKE)).seq) == ["publik"]


def test_the_systems_of_either_are_told(town: Town) -> None:
    by_identity(town)

    removed(town)

    told = town.last("citizen.unmerged")
    assert sorted(town.to(seq) for seq, _ in told) == [["koha"], ["publik"]]
    assert {one["id"] for _, data in told for one in data["citizen"]["references"]} == {"K-1", "P-1"}


def test_who_is_parted_keeps_a_copy_of_the_identity_that_came_along(town: Town) -> None:
    by_identity(town)

    done = removed(town)

    with town.ledger.reading() as tx:
        assert town.people.identity_of(tx, done.citizen_id or "") == town.people.identity_of(tx, town.who(*P))
        sealed = [row.sealed for row in tx.sql.execute(select(citizen_identities))]
    assert len(set(sealed)) == 2
    assert town.find(person()["identity"]).verdict == "ambiguous"


def test_a_new_system_that_tells_the_shared_identity_is_asked_about(town: Town) -> None:
    by_identity(town)
    removed(town)

    town.say("famille", person("famille", "F-1"))

    assert town.who("famille", "F-1") not in {town.who(*K), town.who(*P)}
    assert len(town.asked()) == 2


def request(town: Town, number: str, by: str, who: dict[str, Any]) -> str:
    record = {
        "references": [{"system": by, "id": number}], "procedure": "acte-naissance",
        "submitted_at": "2026-11-02T09:00:00Z", "intake": "online", "requester": {"citizen": who},
    }  # fmt: skip
    event = Event(type="request.received", source=f"/{TOWN}/{by}", id=number, data={"request": record})
    assert town.acceptance.submit(town.ledger, origin(by), [event])[0].ok
    with town.ledger.reading() as tx:
        return str(tx.sql.execute(select(requests.c.id).order_by(requests.c.received_at.desc())).scalars().first())


@pytest.mark.parametrize("link", [by_identity, by_likeness, by_an_operator])
def test_the_requests_that_came_with_it_go_along_and_the_others_stay(town: Town, link: Any) -> None:
    link(town)
    theirs = request(town, "D-1", "koha", {"references": [{"system": "koha", "id": "K-1"}]})
    town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]})
    request(town, "D-2", "publik", person(*P))
    kept = town.who(*P)

    other = removed(town).citizen_id

    with town.ledger.reading() as tx:
        whose = {(row.request_id == theirs, row.citizen_id) for row in tx.sql.execute(select(request_people))}
        about = {row.id == theirs: row.citizen_id for row in tx.sql.execute(select(requests))}
    assert whose == {(True, other), (False, kept)}
    assert about == {True: other, False: kept}


def test_what_was_said_by_it_is_known_of_the_other_no_more_and_the_right_word_is_news_again(town: Town) -> None:
    by_identity(town)
    town.say("famille", person("famille", "F-1"))
    town.say("publik", person(*P), "vrai@courriel.example")
    town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]}, "autre@courriel.example")

    removed(town)

    again = town.say("publik", person(*P), "vrai@courriel.example")
    assert (again.outcome, town.to(again.seq)) == ("accepted", ["famille"])
    koha = town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]}, "vrai@courriel.example")
    assert koha.outcome == "accepted"


def test_what_is_on_its_way_by_the_link_is_not_sent(town: Town) -> None:
    by_identity(town)
    town.take()
    to_koha = town.say("publik", person(*P), "vrai@courriel.example").seq
    to_publik = town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]}, "autre@courriel.example").seq

    done = removed(town)

    with town.ledger.reading() as tx:
        states = {(row.connection, row.seq): row.state for row in tx.deliveries_of([to_koha or 0, to_publik or 0])}
    assert states == {(f"{TOWN}.koha", to_koha): "skipped", (f"{TOWN}.publik", to_publik): "skipped"}
    assert done.stopped >= 1


def test_a_question_about_a_value_that_came_by_it_is_asked_no_more(town: Town) -> None:
    by_identity(town)
    town.say("publik", person(*P), new_address=address("rue des Tilleuls", "publik"))
    koha = {"references": [{"system": "koha", "id": "K-1"}]}
    town.say("koha", koha, new_address=address("rue Vieille", "koha"))
    assert len(town.asked()) == 1

    assert removed(town).questions == 1
    assert town.asked() == []


def test_a_mark_holds_for_both(town: Town) -> None:
    town.say("publik", person(*P) | {"confidential": True})
    town.say("koha", person(*K))

    other = removed(town).citizen_id or ""

    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, other)
        assert town.people.is_confidential(tx, town.who(*P))


def test_who_obtained_evidence_since_the_link_is_told(town: Town) -> None:
    by_identity(town)
    row = {
        "tenant": TOWN, "citizen_id": town.who(*P), "client_tenant": TOWN, "client_id": "portail",
        "type": "family-quotient", "version": 1, "fields": "quotient", "connection": f"{TOWN}.koha",
        "procedure": "cantine",
    }  # fmt: skip
    now = town.ledger.now()
    with town.ledger.transaction() as tx:
        dated = [(str(uuid.uuid4()), now - 9_000), (since := str(uuid.uuid4()), now + 1)]
        tx.sql.execute(insert(evidence_recipients), [row | {"exchange_id": name, "at": at, "until": now + 9_000}
                                                     for name, at in dated])  # fmt: skip
        tx.sql.execute(update(citizen_links).values(since=now))

    removed(town)

    ((_, told),) = town.last("evidence.corrected")
    assert told["exchanges"] == [since]


def test_whoever_claimed_the_identifier_for_the_other_is_no_trouble_any_more(town: Town) -> None:
    by_identity(town)
    claim = {"tenant": TOWN, "subject": f"c:{town.who(*P)}", "system": "koha", "native_id": "K-1", "origin": "x",
             "mark": 0, "at": 1.0}  # fmt: skip
    with town.ledger.transaction() as tx:
        tx.sql.execute(insert(unproved_references), claim)

    removed(town)

    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(unproved_references)).all() == []


def test_a_removal_is_in_the_journal_without_the_identifier(town: Town) -> None:
    by_identity(town)

    removed(town)

    with town.ledger.reading() as tx:
        (line,) = tx.sql.execute(select(journal).where(journal.c.act == "link.removed"))
    assert (line.actor, line.citizen_id) == ("odile", town.who(*K))
    assert "K-1" not in str(line)


def test_the_only_thing_known_of_somebody_is_not_parted_from_them(town: Town) -> None:
    town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]})

    with pytest.raises(InvalidMessage) as refused:
        removed(town)

    assert refused.value.code == "only_link"


def test_whom_one_identifier_alone_told_of_is_not_parted_from_it(town: Town) -> None:
    town.say("koha", person(*K))

    with pytest.raises(InvalidMessage) as refused:
        removed(town)

    assert refused.value.code == "only_link"


@pytest.mark.parametrize("linked", [by_identity, by_likeness])
def test_an_identifier_that_was_parted_is_not_parted_again_and_stays_told_apart(town: Town, linked: Any) -> None:
    linked(town)
    removed(town)
    town.say("koha", person(*K))

    with pytest.raises(InvalidMessage) as refused:
        removed(town)

    assert refused.value.code == "only_link"
    with pytest.raises(InvalidMessage, match="two"):
        town.do(town.reviews.merge, TOWN, town.who(*K), town.who(*P), BY)


def test_whom_an_identity_alone_told_of_too_is_parted_from_their_only_identifier(town: Town) -> None:
    town.say("koha", person(*K))
    town.say("publik", person())

    removed(town)

    assert town.find(BLANCHE).verdict == "ambiguous"


def test_an_identifier_that_nobody_has_is_refused(town: Town) -> None:
    with pytest.raises(InvalidMessage) as refused:
        removed(town, ("koha", "K-9"))
    assert refused.value.code == "unknown_citizen"


def test_a_merge_of_several_identifiers_gives_back_the_one_that_is_taken(town: Town) -> None:
    town.say("publik", person(*P))
    for system, native in (K, ("famille", "F-1")):
        town.say(system, person(system, native, birthdate="1991-11-24"))
    kept = town.who(*P)
    town.do(town.reviews.merge, TOWN, kept, town.who(*K), BY)

    done = removed(town)

    assert not done.merge
    assert (town.who(*P), town.who("famille", "F-1"), town.who(*K)) == (kept, kept, done.citizen_id)
    with town.ledger.reading() as tx:
        assert (town.people.identity_of(tx, done.citizen_id or "") or {})["birthdate"] == "1991-11-24"


def test_a_record_that_its_system_deleted_is_forgotten_and_new_when_it_is_told_again(town: Town) -> None:
    by_identity(town)
    kept = town.who(*P)

    done = town.do(town.links.forget, TOWN, K, BY)

    assert done.citizen_id is None
    with town.ledger.reading() as tx:
        assert [row.system for row in tx.sql.execute(select(citizen_links))] == ["publik"]
    town.say("koha", person(*K, family_name="Autre", given_names=["Zoé"], birthdate="1970-01-05"))
    assert town.who(*K) != kept
    town.do(town.links.forget, TOWN, K, BY)
    town.say("koha", person(*K))
    assert town.who(*K) == kept


def test_the_identifiers_of_a_person_are_read_for_a_reason(town: Town) -> None:
    by_likeness(town)
    with town.ledger.transaction() as tx:
        tx.sql.execute(update(citizen_links).where(citizen_links.c.system == "publik").values(since=0, origin=None))

    (found,) = town.do(town.links.read_person, TOWN, "koha:K-1", BY)

    assert [(one.system, one.id, one.how, one.by) for one in found.links] == [
        ("publik", "P-1", "told", None), ("koha", "K-1", "likeness", f"{TOWN}.koha"),
    ]  # fmt: skip
    assert found.links[0].since is None
    assert [(one.how, one.score) for one in found.merges] == [("likeness", found.links[1].score)]
    with town.ledger.reading() as tx:
        (line,) = tx.sql.execute(select(journal).where(journal.c.act == "links.read"))
    assert (line.kind, line.citizen_id) == ("read", found.citizen_id)
    assert "Lœvenbruck" not in str(found)


def test_a_form_that_a_package_told_is_said_to_be_one_and_is_undone(town: Town) -> None:
    town.say("publik", person(*P))
    town.say("publik", person(*P, given_names=["Blanche"]))

    (found,) = town.do(town.links.read_person, TOWN, "publik:P-1", BY)
    ((merge,), (link,)) = found.merges, found.links
    assert (merge.how, link.how) == ("form", "told")
    town.do(town.reviews.unmerge, merge.id, BY)

    (found,) = town.do(town.links.read_person, TOWN, "publik:P-1", BY)
    assert found.merges == []


def test_a_review_and_a_merge_name_their_people_too(town: Town) -> None:
    by_likeness(town)
    town.say("koha", person("koha", "K-2", birthdate="1991-11-24"))

    with town.ledger.reading() as tx:
        (merge,) = town.reviews.merges(tx)
        review = tx.sql.execute(select(citizen_reviews.c.id)).scalars().first()
    assert [one.citizen_id for one in town.do(town.links.read_person, TOWN, merge.id, BY)] == [town.who(*P)]
    assert len(town.do(town.links.read_person, TOWN, review, BY)) == 2
    for unknown in ("koha:K-9", "nobody", "0" * 32):
        with pytest.raises(InvalidMessage):
            town.do(town.links.read_person, TOWN, unknown, BY)
    assert town.do(lambda tx: tx.sql.execute(text("SELECT count(*) FROM journal")).scalar()) == 2 + 1
