"""A link never beats a contradiction: where identifier and identity disagree, the identity is believed and a person
decides. Nothing of the one goes by way of the other."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from bus.tables import events
from hub.acceptance.accept import Verdict
from hub.citizens.lookup import Found
from hub.citizens.repository import identifiers_of
from hub.settings.model import Limits
from hub.storage.tables import citizen_identities, citizen_links, citizen_reviews, citizens, request_people
from schemas.event import Event
from tests.hub.citizens.town import BY, TOWN, Town, address, origin, value

HER: dict[str, Any] = {
    "family_name": "Tavernier", "given_names": ["Solène"], "gender": "female", "birthdate": "1991-04-17",
    "birthplace": "93066",
}  # fmt: skip
HIM: dict[str, Any] = {
    "family_name": "Okonkwo", "given_names": ["Emeka"], "gender": "male", "birthdate": "1988-09-03",
    "birthplace": "69123",
}  # fmt: skip
FOYER = {"system": "famille", "id": "foyer-77"}


def of(identity: dict[str, Any] | None, *references: dict[str, str], **more: Any) -> dict[str, Any]:
    return ({"identity": identity} if identity else {}) | {"references": list(references) or [FOYER]} | more


def count(town: Town, table: Any) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def submit(town: Town, by: str, *said: tuple[str, dict[str, Any]]) -> list[Verdict]:
    batch = [
        Event(type=kind, source=f"/{TOWN}/{by}", id=f"s{count(town, events)}-{place}", data=data)
        for place, (kind, data) in enumerate(said)
    ]
    return town.acceptance.submit(town.ledger, origin(by), batch)


def requested(number: int, **more: Any) -> tuple[str, dict[str, Any]]:
    record = {
        "references": [{"system": "famille", "id": f"R-{number}"}], "procedure": "changement-adresse",
        "submitted_at": "2026-11-02T09:00:00Z", "intake": "online", **more,
    }  # fmt: skip
    return "request.received", {"request": record}


def involved(town: Town, verdict: Verdict) -> set[str]:
    with town.ledger.reading() as tx:
        query = select(request_people.c.citizen_id).where(request_people.c.request_id == verdict.request_id)
        return set(tx.sql.execute(query).scalars())


@pytest.fixture
def household(town: Town) -> Town:
    """The library knows her; the household's number was first told with her name."""
    town.say("koha", of(HER, {"system": "koha", "id": "K-1"}))
    town.say("famille", of(HER))
    assert town.who("famille", "foyer-77") == town.who("koha", "K-1")
    return town


def test_his_email_does_not_reach_her_library_card(household: Town) -> None:
    verdict = household.say("famille", of(HIM), email="emeka@courriel.example")

    assert verdict.ok
    assert household.to(verdict.seq) == []
    assert household.who("famille", "foyer-77") == household.who("koha", "K-1")
    (review,) = household.asked()
    assert review.facts["link"] == "famille"
    assert review.facts["score"] < 70
    assert {one["field"] for one in review.facts["fields"]} >= {"family_name", "birthdate"}
    with household.ledger.reading() as tx:
        stored = tx.load([verdict.seq or 0])[verdict.seq or 0]
        assert identifiers_of(tx, [stored.order_key.removeprefix("c:")]) == {}


def test_she_goes_on_to_be_found_by_the_number_and_he_by_his_name(household: Town) -> None:
    household.say("famille", of(HIM))

    assert household.to(household.say("famille", of(HER)).seq) == ["koha"]
    household.say("publik", of(HIM, {"system": "publik", "id": "P-2"}))
    assert household.to(household.say("famille", of(HIM)).seq) == ["publik"]
    assert len(household.asked()) == 1
    assert count(household, citizens) == 2


@pytest.mark.parametrize("him", [HIM, HIM | {"birthdate": "1988"}, HIM | {"birthdate": "1988-01-01"}])
def test_he_is_one_person_however_often_he_is_told(household: Town, him: dict[str, Any]) -> None:
    for _ in range(3):
        assert household.say("famille", of(him)).ok

    assert count(household, citizens) == 2
    assert len(household.asked()) == 1


def test_in_one_batch_the_second_is_somebody_else_too(town: Town) -> None:
    email = {"email": value("a@courriel.example", "famille")}

    verdicts = submit(
        town, "famille", *(("citizen.contact-changed", {"citizen": of(one)} | email) for one in (HER, HIM, HER))
    )

    assert all(verdict.ok for verdict in verdicts)
    assert (count(town, citizens), count(town, citizen_links), len(town.asked())) == (2, 1, 1)


def test_what_is_told_under_the_number_alone_waits_until_somebody_says_whose_it_is(household: Town) -> None:
    household.say("famille", of(HIM))
    alone = household.say("famille", of(None), email="emeka@courriel.example")
    assert alone.ok
    assert household.to(alone.seq) == []
    assert household.find(references=[FOYER]).verdict == "ambiguous"

    name = {part: HER[part] for part in ("family_name", "given_names")}
    assert household.to(household.say("famille", of(name)).seq) == ["koha"]

    household.do(household.reviews.declare_distinct, household.asked()[0].id, BY)

    assert household.to(household.say("famille", of(None), email="solene@courriel.example").seq) == ["koha"]
    assert household.find(references=[FOYER]).citizen_id == household.who("koha", "K-1")


def test_in_the_batch_of_the_contradiction_the_number_alone_says_nobody(household: Town) -> None:
    email = {"email": value("a@courriel.example", "famille")}

    verdicts = submit(
        household, "famille", *(("citizen.contact-changed", {"citizen": of(one)} | email) for one in (HIM, None))
    )

    assert [household.to(verdict.seq) for verdict in verdicts] == [[], []]


@pytest.mark.parametrize("born", [False, True])
def test_two_names_without_a_birth_are_two_people(town: Town, born: bool) -> None:
    her, him = ({part: one[part] for part in ("family_name", "given_names")} for one in (HER, HIM))
    town.say("famille", of(her))
    town.say("koha", of(None, {"system": "koha", "id": "K-1"}))
    town.do(town.reviews.merge, TOWN, town.who("koha", "K-1"), town.who("famille", "foyer-77"), BY)

    verdict = town.say("famille", of(HIM if born else him))

    assert town.to(verdict.seq) == []
    assert [one.facts["link"] for one in town.asked()] == ["famille"]
    assert town.to(town.say("famille", of(her)).seq) == ["koha"]
    assert town.to(town.say("famille", of(HIM if born else him)).seq) == []
    assert len(town.asked()) == 1


def test_a_birth_that_is_told_later_completes_the_name(town: Town) -> None:
    town.say("famille", of({part: HER[part] for part in ("family_name", "given_names")}))
    town.say("famille", of(HER))

    assert town.asked() == []
    assert town.find(HER).citizen_id == town.who("famille", "foyer-77")
    with town.ledger.reading() as tx:
        assert town.people.identity_of(tx, town.who("famille", "foyer-77")) == HER


def test_a_request_under_the_number_alone_is_received_and_waits(household: Town) -> None:
    household.say("famille", of(HIM))

    (verdict,) = submit(household, "famille", requested(7, requester={"citizen": of(None)}))

    assert verdict.ok
    assert involved(household, verdict) == set()


def test_a_mark_of_his_does_not_conceal_her(household: Town) -> None:
    household.say("famille", of(HIM, confidential=True))

    with household.ledger.reading() as tx:
        assert not household.people.is_confidential(tx, household.who("koha", "K-1"))
        assert household.people.is_confidential(tx, household.find(HIM).citizen_id or "")


@pytest.mark.parametrize("member", ["requester", "beneficiaries", "representative"])
def test_his_request_is_not_hers(household: Town, member: str) -> None:
    record = {
        "requester": {"requester": {"citizen": of(HIM)}},
        "beneficiaries": {
            "requester": {"citizen": of(None, {"system": "famille", "id": "9"})},
            "beneficiaries": [of(HIM)],
        },
        "representative": {
            "requester": {"citizen": of(None, {"system": "famille", "id": "9"})},
            "representative": {"person": {"citizen": of(HIM)}, "role": "guardian"},
        },
    }[member]

    (verdict,) = submit(household, "famille", requested(1, **record))

    assert verdict.error is None, verdict.error
    assert household.who("koha", "K-1") not in involved(household, verdict)
    assert len(household.asked()) == 1


@pytest.mark.parametrize("known", [True, False])
def test_one_number_for_two_people_of_one_request_is_refused_and_nothing_is_stored(town: Town, known: bool) -> None:
    if known:
        town.say("famille", of(HER))
    before = [count(town, table) for table in (citizens, citizen_links, citizen_identities, citizen_reviews, events)]

    (verdict,) = submit(town, "famille", requested(1, requester={"citizen": of(HER)}, beneficiaries=[of(HIM)]))

    assert verdict.error is not None
    assert verdict.error.code == "ambiguous_citizen"
    after = [count(town, table) for table in (citizens, citizen_links, citizen_identities, citizen_reviews, events)]
    assert after == before


@pytest.mark.parametrize("mark", [{}, {"confidential": True}])
def test_one_number_for_two_people_of_one_household_is_refused(town: Town, mark: dict[str, Any]) -> None:
    data = {"citizen": of(HER), "household": [of(HIM, **mark)], "new_address": address("Puits", "famille")}

    (verdict,) = submit(town, "famille", ("citizen.address-changed", data))

    assert verdict.error is not None
    assert verdict.error.code == "ambiguous_citizen"
    assert count(town, citizens) == 0


def test_the_number_of_one_with_the_identity_of_another_of_the_same_package_is_refused(town: Town) -> None:
    for number, one in (("11", HER), ("12", HIM)):
        town.say("koha", of(one, {"system": "koha", "id": number}))

    verdict = town.say("koha", of(HIM, {"system": "koha", "id": "11"}))

    assert verdict.error is not None
    assert verdict.error.code == "ambiguous_citizen"
    assert town.asked() == []


def test_the_number_of_one_with_the_identity_of_another_of_the_town_is_believed_by_the_identity(town: Town) -> None:
    town.say("koha", of(HIM, {"system": "koha", "id": "12"}))
    town.say("famille", of(HER))

    verdict = town.say("famille", of(HIM))

    assert town.to(verdict.seq) == ["koha"]
    assert len(town.asked()) == 1
    assert town.who("famille", "foyer-77") != town.who("koha", "12")


def test_an_appointment_of_his_is_not_hers(household: Town) -> None:
    thing = {
        "reference": {"system": "famille", "id": "RV-1"}, "state": "booked", "starts_at": "2026-12-01T09:00:00+01:00",
        "ends_at": "2026-12-01T09:30:00+01:00",
    }  # fmt: skip

    (verdict,) = submit(household, "famille", ("appointment.changed", {"appointment": thing, "citizen": of(HIM)}))

    assert verdict.error is None, verdict.error
    assert len(household.asked()) == 1
    assert household.to(verdict.seq) == []


def test_an_exchange_about_him_by_the_number_is_ambiguous(household: Town) -> None:
    household.say("famille", of(HIM))

    assert household.find(HIM, references=[FOYER]) == Found(None, "ambiguous")
    assert household.find(HER, references=[FOYER]) == Found(household.who("koha", "K-1"), "matched")
    assert household.find(HIM).verdict == "matched"


def test_who_does_not_speak_for_the_system_asks_and_changes_nothing_by_it(household: Town) -> None:
    for said in (of(HIM, {"system": "koha", "id": "K-1"}), of(HIM, {"system": "koha", "id": "K-404"})):
        assert household.say("publik", said).ok

    assert household.asked() == []
    assert household.find(HER) == Found(household.who("koha", "K-1"), "matched")


def test_the_answer_that_they_are_one_makes_his_name_another_form_of_hers(household: Town) -> None:
    household.say("famille", of(HIM))

    household.do(household.reviews.merge_reviewed, household.asked()[0].id, BY)

    assert household.to(household.say("famille", of(HIM)).seq) == ["koha"]
    assert household.find(HIM) == Found(household.who("koha", "K-1"), "matched")
    assert household.asked() == []


def test_the_answer_that_they_are_two_is_remembered(household: Town) -> None:
    household.say("famille", of(HIM))
    household.do(household.reviews.declare_distinct, household.asked()[0].id, BY)

    verdict = household.say("famille", of(HIM))

    assert household.to(verdict.seq) == []
    assert household.asked() == []
    assert count(household, citizens) == 2


def test_contradictions_count_among_the_questions_of_a_day(household: Town) -> None:
    household.acceptance.limits = Limits(questions_per_day=1)
    household.say("famille", of(HIM))
    third = {"family_name": "Belkacem", "given_names": ["Nour"], "gender": "female", "birthdate": "1974-06-21"}

    verdict = household.say("famille", of(third))

    assert verdict.ok
    assert household.to(verdict.seq) == []
    assert len(household.asked()) == 1
    assert household.find(third).verdict == "new"
    assert household.say("famille", of(HIM)).ok


def test_a_number_told_with_her_again_after_she_was_erased_is_hers_anew(household: Town) -> None:
    household.say("famille", of(HIM))
    with household.ledger.transaction() as tx:
        for table in (citizen_links, citizen_identities):
            tx.sql.execute(table.delete().where(table.c.citizen_id == household.who("koha", "K-1")))

    household.say("famille", of(HIM))

    assert household.who("famille", "foyer-77") == household.find(HIM).citizen_id


@pytest.mark.parametrize("thin", [{"family_name": "Okonkwo"}, {"family_name": "\u200b", "given_names": ["\u200b"]}])
def test_an_identity_too_thin_to_compare_contradicts_nothing(household: Town, thin: dict[str, Any]) -> None:
    verdict = household.say("famille", of(thin))

    assert household.to(verdict.seq) == ["koha"] if verdict.ok else verdict.error is not None
    assert household.asked() == []


# What is told with nothing of a birth: a name contradicts as well.

BY_NAME = {name: part for name, part in HIM.items() if not name.startswith("birth")}


def test_a_name_alone_is_believed_against_the_number(household: Town) -> None:
    verdict = household.say("famille", of(BY_NAME), email="emeka@courriel.example")

    assert verdict.ok
    assert household.to(verdict.seq) == []
    (review,) = household.asked()
    assert review.facts["link"] == "famille"
    assert [one["field"] for one in review.facts["fields"]] == ["family_name", "given_names", "gender"]


def test_who_is_told_by_a_name_alone_is_one_person_however_often(household: Town) -> None:
    said = ("citizen.contact-changed", {"citizen": of(BY_NAME), "email": value("e@courriel.example", "famille")})
    assert all(verdict.ok for verdict in submit(household, "famille", said, said))
    for _ in range(2):
        assert household.to(household.say("famille", of(BY_NAME)).seq) == []

    assert (count(household, citizens), len(household.asked())) == (2, 1)


def test_a_name_alone_that_an_operator_merged_is_theirs_from_then_on(household: Town) -> None:
    household.say("famille", of(BY_NAME))
    household.do(household.reviews.merge_reviewed, household.asked()[0].id, BY)

    assert household.to(household.say("famille", of(BY_NAME)).seq) == ["koha"]
    assert count(household, citizens) == 2


@pytest.mark.parametrize(
    "told",
    [
        {"family_name": "Tavernier", "given_names": ["Solène"]},
        {"family_name": "TAVERNIER", "given_names": ["Solene Marie"]},
        {"family_name": "Lacombe", "given_names": ["Solène"]},
        {"family_name": "-", "given_names": ["-"]},
    ],
)  # fmt: skip
def test_a_name_that_may_be_hers_goes_to_her(household: Town, told: dict[str, Any]) -> None:
    assert household.to(household.say("famille", of(told)).seq) == ["koha"]
    assert count(household, citizen_reviews) == 0


@pytest.mark.parametrize("other", [HER, {name: part for name, part in HER.items() if name != "birthdate"}])
def test_two_names_under_one_number_in_one_request_are_refused(town: Town, other: dict[str, Any]) -> None:
    (verdict,) = submit(town, "famille", requested(1, beneficiaries=[of(BY_NAME), of(other)],
                                                   requester={"citizen": of(other)}))  # fmt: skip

    assert verdict.error is not None
    assert verdict.error.code == "ambiguous_citizen"
    assert count(town, citizens) == 0


def test_an_exchange_by_her_number_and_his_name_alone_is_ambiguous(household: Town) -> None:
    found = household.find(BY_NAME, references=[FOYER])

    assert (found.citizen_id, found.verdict) == (None, "ambiguous")
    assert household.find({"family_name": "Tavernier", "given_names": ["Solène"]}, references=[FOYER]).citizen_id
