"""Two identifiers of one system are two people until somebody says otherwise, however alike they are."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from hub.citizens.lookup import Found
from hub.citizens.repository import Link, link_citizen
from hub.storage.tables import citizen_identities, citizens
from schemas.event import Event
from tests.hub.citizens.town import BLANCHE, BY, TOWN, Town, origin, value

KHAN: dict[str, Any] = {
    "family_name": "KHAN", "given_names": ["Mohammad"], "gender": "male", "birthdate": "1990-05-14",
    "birthcountry": "99213",
}  # fmt: skip


def told(system: str | None, native: str, identity: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"identity": identity, **({"references": [{"system": system, "id": native}]} if system else {}), **more}


def people(town: Town) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).where(citizens.c.merged_into.is_(None))).scalar_one())


@pytest.mark.parametrize(
    "identity",
    [
        KHAN,
        KHAN | {"birthdate": "1990-01-01"},
        KHAN | {"birthdate": "1990"},
        KHAN | {"family_name": "SANS NOM"},
        KHAN | {"given_names": ["SANS PRENOM"]},
        KHAN | {"family_name": "X", "given_names": ["X"]},
        {"family_name": "MARTIN", "given_names": ["Marie"], "birthdate": "1962"},
        BLANCHE,
    ],
    ids=["whole", "presumed date", "year only", "no family name", "no given name", "signs", "few words", "all fields"],
)
def test_two_numbers_of_one_system_are_two_people_with_one_question(town: Town, identity: dict[str, Any]) -> None:
    town.say("koha", told("koha", "11", identity))
    town.say("koha", told("koha", "12", identity))
    for number in ("11", "12", "12"):
        town.say("koha", told("koha", number, identity))

    assert town.who("koha", "11") != town.who("koha", "12")
    (review,) = town.asked()
    assert (review.facts["score"], [one["field"] for one in review.facts["fields"]]) == (85, ["identifier"])
    assert people(town) == 2


def test_both_in_one_batch_are_two_people_with_one_question(town: Town) -> None:
    data = [{"citizen": told("koha", number, KHAN), "email": value("k@courriel.example", "koha")} for number in "12"]
    events = [
        Event(type="citizen.contact-changed", source=f"/{TOWN}/koha", id=f"b{place}", data=one)
        for place, one in enumerate(data)
    ]

    assert all(verdict.ok for verdict in town.acceptance.submit(town.ledger, origin("koha"), events))

    assert (people(town), len(town.asked())) == (2, 1)


def test_who_later_tells_what_both_have_is_somebody_new_and_asked_about_against_both(town: Town) -> None:
    for number in ("11", "12"):
        town.say("koha", told("koha", number, KHAN))

    town.say("publik", told("publik", "7", KHAN))
    town.say("publik", told("publik", "7", KHAN))

    mine = town.who("publik", "7")
    assert mine not in (town.who("koha", "11"), town.who("koha", "12"))
    assert len(town.asked()) == 3
    assert town.find(KHAN) == Found(None, "ambiguous")
    assert town.find(KHAN, references=[{"system": "koha", "id": "12"}]) == Found(town.who("koha", "12"), "matched")
    assert town.find(KHAN, references=[{"system": "koha", "id": "13"}]) == Found(None, "ambiguous")


def test_a_spelling_that_is_like_both_joins_neither(town: Town) -> None:
    for number in ("11", "12"):
        town.say("koha", told("koha", number, BLANCHE))

    town.say("publik", told("publik", "7", BLANCHE | {"family_name": "LOEVEN BRUCK"}))

    assert people(town) == 3
    assert len(town.asked()) == 3


def test_what_is_told_by_the_identity_alone_is_kept_beside_both_once(town: Town) -> None:
    for number in ("11", "12"):
        town.say("koha", told("koha", number, KHAN))

    seqs = [town.say("publik", told(None, "", KHAN)).seq for _ in range(3)]

    assert people(town) == 3
    assert [town.to(seq) for seq in seqs] == [[], [], []]


def test_what_a_portal_says_of_the_one_does_not_reach_the_other(town: Town) -> None:
    for number in ("11", "12"):
        town.say("koha", told("koha", number, KHAN))

    verdict = town.say("publik", told("publik", "7", KHAN))

    assert town.to(verdict.seq) == []


def test_a_mark_protects_whom_no_system_tells_apart_and_nobody_else(town: Town) -> None:
    for number in ("11", "12"):
        town.say("koha", told("koha", number, KHAN))

    town.say("koha", told("koha", "11", KHAN, confidential=True))
    town.say("publik", told("publik", "7", KHAN))

    with town.ledger.reading() as tx:
        marked = [town.people.is_confidential(tx, town.who(*one)) for one in
                  (("koha", "11"), ("koha", "12"), ("publik", "7"))]  # fmt: skip
    assert marked == [True, False, True]


def test_an_operator_says_that_two_numbers_are_one_person_and_takes_it_back(town: Town) -> None:
    for number in ("11", "12"):
        town.say("koha", told("koha", number, KHAN))
    town.do(town.reviews.merge_reviewed, town.asked()[0].id, BY)
    assert town.who("koha", "11") == town.who("koha", "12")
    town.say("publik", told("publik", "7", KHAN))
    assert town.who("publik", "7") == town.who("koha", "11")

    with town.ledger.reading() as tx:
        (merge,) = town.reviews.merges(tx)
    town.do(town.reviews.unmerge, merge.id, BY)

    assert town.who("koha", "11") != town.who("koha", "12")
    assert town.asked() == []


def test_a_package_that_answers_with_a_second_number_of_somebody_is_not_believed(town: Town) -> None:
    town.say("koha", told("koha", "11", KHAN))
    by_package = Link("told", f"{TOWN}.koha")
    with town.ledger.transaction() as tx:
        assert not link_citizen(tx, TOWN, "koha", "12", town.who("koha", "11"), by_package)
        assert link_citizen(tx, TOWN, "koha", "11", town.who("koha", "11"), by_package)
        assert link_citizen(tx, TOWN, "famille", "3", town.who("koha", "11"), by_package)


def test_one_event_that_names_both_numbers_says_that_they_are_one_person(town: Town) -> None:
    both = [{"system": "koha", "id": number} for number in ("11", "12")]

    town.say("koha", {"identity": KHAN, "references": both})

    assert town.who("koha", "11") == town.who("koha", "12")
    assert town.asked() == []


def test_a_crowd_of_one_name_opens_no_more_questions_than_the_quota(town: Town) -> None:
    for number in range(40):
        assert town.say("koha", told("koha", str(number), KHAN)).ok

    assert people(town) == 40
    assert len(town.asked()) <= 3 * 40


def test_the_very_same_words_of_a_first_of_the_month_are_linked_by_likeness_and_kept_once(town: Town) -> None:
    town.say("publik", told("publik", "7", BLANCHE | {"birthdate": "1991-11-01"}))

    for _ in range(3):
        town.say("koha", told(None, "", BLANCHE | {"birthdate": "1991-11-01"}))

    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizen_identities)).scalar_one() == 1
