"""A change of civil status that is told on a known link is another form of the same person: the one of before still
finds, and is shown to nobody but the person by way of the data protection officer."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from hub.citizens.lookup import Found
from hub.citizens.repository import Citizens
from hub.journal.entries import Journal
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_blocks, citizen_identities, citizen_merges, citizens, person_keys
from tests.hub.citizens.town import BY, TOWN, Town

LEO: dict[str, Any] = {
    "family_name": "Dupont", "given_names": ["Léo"], "gender": "male", "birthdate": "1990-05-14", "birthplace": "93066",
}  # fmt: skip
LEA = LEO | {"family_name": "Lenoir", "given_names": ["Léa"], "gender": "female"}


def of(identity: dict[str, Any], system: str = "publik", native: str = "7", **more: Any) -> dict[str, Any]:
    return {"identity": identity, "references": [{"system": system, "id": native}]} | more


def shown(town: Town, who: str) -> dict[str, Any]:
    with town.ledger.reading() as tx:
        return dict(town.people.identity_of(tx, who) or {})


def whole(town: Town) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).where(citizens.c.merged_into.is_(None))).scalar_one())


@pytest.fixture
def changed(town: Town) -> Town:
    town.say("publik", of(LEO))
    town.say("publik", of(LEA))
    return town


def test_another_name_and_gender_of_who_was_born_that_day_is_another_form_of_theirs(changed: Town) -> None:
    assert whole(changed) == 1
    assert changed.asked() == []
    assert shown(changed, changed.who("publik", "7")) == LEA
    assert changed.find(LEO) == changed.find(LEA) == Found(changed.who("publik", "7"), "matched")


def test_a_change_is_in_the_journal_without_a_name(changed: Town) -> None:
    with changed.ledger.reading() as tx:
        (line,) = Journal(changed.people.keys).of_citizen(tx, TOWN, changed.who("publik", "7"))

    assert (line.entry.act, line.entry.actor) == ("citizen.form-told", f"{TOWN}.publik")
    assert set(line.entry.facts) == {"form", "score"}


def test_another_package_that_tells_the_new_name_or_the_one_of_before_means_the_same_person(changed: Town) -> None:
    changed.say("koha", of(LEA, "koha", "K-1"))
    changed.say("famille", of(LEO, "famille", "F-1"))
    changed.take()

    assert changed.who("koha", "K-1") == changed.who("famille", "F-1") == changed.who("publik", "7")
    assert changed.to(changed.say("publik", of(LEA)).seq) == ["famille", "koha"]
    assert shown(changed, changed.who("koha", "K-1")) == LEA
    assert changed.asked() == []


def test_the_form_of_before_stays_that_of_before_whoever_tells_it_again(changed: Town) -> None:
    for one in (LEO, LEO | {"family_name": "Dupond"}, LEA, LEO):
        changed.say("publik", of(one))

    assert shown(changed, changed.who("publik", "7")) == LEA
    assert (whole(changed), changed.asked()) == (1, [])


def test_a_question_shows_the_form_of_now_alone(changed: Town) -> None:
    changed.say("koha", of(LEA | {"birthdate": "1990-05-15"}, "koha", "K-1"))

    (review,) = changed.asked()
    read = changed.do(changed.reviews.read_review, review.id, BY)

    assert "Dupont" not in str(read)
    assert "Léo" not in str(read)
    assert "Lenoir" in str(read)


def test_a_change_is_undone_by_unmerge_and_not_made_again(changed: Town) -> None:
    with changed.ledger.reading() as tx:
        (merge,) = changed.reviews.merges(tx, tenant=TOWN)
    assert merge.actor == "hub"

    changed.do(changed.reviews.unmerge, merge.id, BY)
    changed.say("publik", of(LEA))

    assert shown(changed, changed.who("publik", "7")) == LEO
    assert changed.find(LEA) == Found(merge.id, "matched")
    assert (whole(changed), changed.asked()) == (2, [])


def test_forms_are_sealed_each_under_a_key_of_its_own(changed: Town) -> None:
    with changed.ledger.reading() as tx:
        rows = tx.sql.execute(select(citizen_identities)).all()
        keys = set(tx.sql.execute(select(person_keys.c.citizen_id)).scalars())
        kept = [tx.sql.execute(select(table)).all() for table in (citizens, citizen_blocks, citizen_merges)]
    assert {row.citizen_id for row in rows} <= keys
    assert len(rows) == 2
    assert not any(name in str([rows, *kept]).upper() for name in ("DUPONT", "LENOIR"))


@pytest.mark.parametrize(
    "twin",
    [LEO | {"given_names": ["Maud"], "gender": "female"}, LEO | {"given_names": ["Rémi"]}],
    ids=["given name and gender", "given name"],
)
def test_the_same_family_name_with_another_given_name_may_be_a_twin_and_is_a_question(
    town: Town, twin: dict[str, Any]
) -> None:
    town.say("publik", of(LEO))

    town.say("publik", of(twin))

    assert whole(town) == 2
    assert town.asked()[0].facts["link"] == "publik"
    assert shown(town, town.who("publik", "7")) == LEO


@pytest.mark.parametrize(
    "other",
    [LEA | {"birthdate": "1990-05-15"}, LEA | {"birthdate": "1990"}, LEA | {"birthplace": "69123"}],
    ids=["another day", "the year alone", "another place"],
)
def test_another_name_without_the_same_birth_is_no_change(town: Town, other: dict[str, Any]) -> None:
    town.say("publik", of(LEO))

    town.say("publik", of(other))

    assert (whole(town), len(town.asked())) == (2, 1)


def test_a_presumed_date_of_birth_proves_no_change(town: Town) -> None:
    town.say("publik", of(LEO | {"birthdate": "1990-01-01"}))

    town.say("publik", of(LEA | {"birthdate": "1990-01-01"}))

    assert (whole(town), len(town.asked())) == (2, 1)


def test_a_family_name_that_changes_alone_is_shown_and_a_spelling_is_not(town: Town) -> None:
    two = LEO | {"given_names": ["Léo", "Marie"]}
    town.say("publik", of(two))

    town.say("publik", of(two | {"family_name": "DUPOND"}))
    assert shown(town, town.who("publik", "7")) == two
    town.say("publik", of(two | {"family_name": "Lenoir"}))

    assert shown(town, town.who("publik", "7"))["family_name"] == "Lenoir"
    assert (whole(town), town.asked()) == (1, [])


def test_a_spelling_is_compared_once_and_known_afterwards(town: Town) -> None:
    town.say("publik", of(LEO))
    for _ in range(3):
        town.say("publik", of(LEO | {"family_name": "DUPOND"}))

    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizen_merges)).scalar_one() == 1


def test_who_does_not_speak_for_the_system_changes_no_form(town: Town) -> None:
    town.say("publik", of(LEO))

    assert town.say("koha", of(LEA)).ok

    assert shown(town, town.who("publik", "7")) == LEO
    assert town.asked() == []


def test_a_new_name_that_another_has_already_is_a_question_and_both_stay(town: Town) -> None:
    town.say("publik", of(LEO))
    town.say("koha", of(LEA, "koha", "K-1"))

    for _ in range(2):
        town.say("publik", of(LEA))

    assert town.who("koha", "K-1") != town.who("publik", "7")
    assert len(town.asked()) == 1
    assert town.find(LEA) == Found(None, "ambiguous")
    town.do(town.reviews.merge_reviewed, town.asked()[0].id, BY)
    assert town.find(LEA) == town.find(LEO) == Found(town.who("koha", "K-1"), "matched")
    assert shown(town, town.who("publik", "7")) == LEA


def test_a_name_of_every_day_is_a_question_in_the_end(town: Town) -> None:
    for number in range(30):
        name = "Nom" + chr(97 + number % 26) * 4 + chr(97 + number // 26)
        town.say("publik", of(LEO | {"family_name": name, "given_names": ["Léo", "Marie"]}))

    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizen_identities)).scalar_one() <= 20


def test_all_forms_go_with_the_person(changed: Town) -> None:
    with changed.ledger.transaction() as tx:
        members = changed.people.members(tx, changed.who("publik", "7"))
        for one in members:
            PersonKeys(b"k" * 32).destroy(tx, one)
    assert len(members) == 2
    assert shown(changed, members[0]) == {}


def test_what_is_imported_by_an_operator_changes_no_form(town: Town) -> None:
    town.say("publik", of(LEO))
    with town.ledger.transaction() as tx:
        book = Citizens(tx, b"pepper", town.people)
        book.prefetch(TOWN, [of(LEA)])
        book.resolve(TOWN, of(LEA))
        book.save()

    assert shown(town, town.who("publik", "7")) == LEO
    assert len(town.asked()) == 1


def test_a_married_name_is_the_name_in_use_and_the_birth_name_stays(town: Town) -> None:
    town.say("publik", of(LEA))
    for name in ("Tavernier", "TAVERNIER", "Lenoir"):
        town.say("publik", of(LEA | {"preferred_name": name}))
    town.say("publik", of(LEA))

    who = town.who("publik", "7")
    assert shown(town, who) == LEA | {"preferred_name": "Tavernier"}
    assert town.find(LEA) == Found(who, "matched")
    with town.ledger.reading() as tx:
        (merge,) = town.reviews.merges(tx, tenant=TOWN)
    town.do(town.reviews.unmerge, merge.id, BY)
    assert shown(town, who) == LEA
    assert town.find(LEA) == Found(who, "matched")


def test_the_name_in_use_in_place_of_the_birth_name_changes_nothing_that_is_shown(town: Town) -> None:
    town.say("publik", of(LEA | {"preferred_name": "Tavernier"}))

    town.say("publik", of(LEA | {"family_name": "Tavernier"}))

    assert shown(town, town.who("publik", "7"))["family_name"] == "Lenoir"
    assert (whole(town), town.asked()) == (1, [])


def test_who_tells_another_name_in_use_each_time_makes_no_end_of_forms(town: Town) -> None:
    for number in range(40):
        town.say("publik", of(LEA | {"preferred_name": "Nom" + chr(97 + number % 26) * 3 + chr(97 + number // 26)}))

    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizen_identities)).scalar_one() <= 17


def test_a_name_in_use_by_the_identity_alone_changes_nothing(town: Town) -> None:
    town.say("publik", of(LEA))

    town.say("koha", {"identity": LEA | {"preferred_name": "Tavernier"}})

    assert shown(town, town.who("publik", "7")) == LEA
