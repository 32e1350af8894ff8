"""Numbers of households: kept beside each of their people, and no word about who is meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Finished, Ledger
from bus.tables import DELIVERED, SKIPPED
from bus.worker import Ended
from hub.acceptance.accept import Verdict
from hub.acceptance.deliveries import Deliveries
from hub.citizens.repository import identifiers_of
from hub.operations.renumbering import Renumber
from hub.storage.tables import citizen_links, household_links
from schemas.delivery import Delivery, Done
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.hub.citizens.town import BY, TOWN, Town, address, origin, person

HER = {"family_name": "Maillard", "given_names": ["Ysoline"], "gender": "female", "birthdate": "1991-04-02"}
HIM = {"family_name": "Orsoni", "given_names": ["Gaspard"], "gender": "male", "birthdate": "1988-09-17"}
CARD, FOYER = {"system": "koha", "id": "11"}, {"system": "famille", "id": "foyer-77"}


def of(identity: dict[str, Any] | None, *references: dict[str, str]) -> dict[str, Any]:
    told = {"references": list(references)} if references else {}
    return told | ({"identity": identity} if identity else {})


@pytest.fixture
def town(ledger: Ledger) -> Town:
    """She has a card of the library, and both are known to the family package by one number."""
    town = Town(ledger, numbers={"famille": "household"})
    assert town.say("koha", of(HER, CARD)).ok
    for one in (HER, HIM):
        assert town.say("famille", of(one, FOYER)).ok
    return town


def people_of(town: Town, number: str = "foyer-77") -> list[str]:
    with town.ledger.reading() as tx:
        query = select(household_links.c.citizen_id).where(household_links.c.native_id == number)
        return sorted(tx.sql.execute(query).scalars())


def deliveries(town: Town, seq: int | None) -> Sequence[Any]:
    with town.ledger.reading() as tx:
        return tx.deliveries_of([seq or 0])


def links(town: Town) -> list[str]:
    with town.ledger.reading() as tx:
        return sorted(f"{one.system}:{one.native_id}" for one in tx.sql.execute(select(citizen_links)))


def numbers(town: Town, citizen_id: str) -> dict[str, str]:
    with town.ledger.reading() as tx:
        return {system: native for (_, system, _), native in identifiers_of(tx, [citizen_id]).items()}


def filed(town: Town, requester: dict[str, Any], beneficiary: dict[str, Any]) -> Verdict:
    record = {
        "procedure": "formulaire-qf", "references": [{"system": "famille", "id": "D-1"}],
        "submitted_at": "2026-03-02T09:00:00+01:00", "intake": "desk", "requester": {"citizen": requester},
        "beneficiaries": [beneficiary],
    }  # fmt: skip
    event = Event("request.received", f"/{TOWN}/famille", {"request": record}, id="d-1")
    return town.acceptance.submit(town.ledger, origin("famille"), [event])[0]


def test_his_email_does_not_go_to_her_library_card(town: Town) -> None:
    hers, his = town.say("famille", of(HER, FOYER)), town.say("famille", of(HIM, FOYER))

    assert (town.to(hers.seq), town.to(his.seq)) == (["koha"], [])
    assert len(people_of(town)) == 2
    assert not town.asked()
    assert links(town) == ["koha:11"]


def test_what_is_told_of_either_goes_to_the_family_package_under_their_number(town: Town) -> None:
    mother = town.who("koha", "11")
    told = town.say("koha", of(HER, CARD), new_address=address("3 rue des Ormes", "koha"))

    assert town.to(told.seq) == ["famille"]
    assert numbers(town, mother) == {"koha": "11", "famille": "foyer-77"}


def test_an_address_told_for_the_mother_of_a_household_is_hers_alone(town: Town) -> None:
    town.say("publik", of(HIM, {"system": "publik", "id": "P-8"}))
    told = town.say("famille", of(HER, FOYER), new_address=address("3 rue des Ormes", "famille"))

    assert town.to(told.seq) == ["koha"]


@pytest.mark.parametrize("named", [of(None, FOYER), of(None, FOYER, {"system": "famille", "id": "foyer-78"})])
def test_a_number_of_a_household_alone_names_nobody(town: Town, named: dict[str, Any]) -> None:
    refused = town.say("famille", named)

    assert refused.error is not None
    assert (refused.error.code, refused.error.pointer) == ("household_reference", "/data/citizen/references")
    refused = filed(town, of(HER, CARD), named)
    assert refused.error is not None
    assert refused.error.code == "household_reference"


def test_beside_an_identifier_of_another_it_still_names_nobody(town: Town) -> None:
    """The library's number is not the family package's to tell: it finds, and binds nothing."""
    held = town.say("famille", of(None, FOYER, CARD))

    assert (held.outcome, held.review, town.to(held.seq)) == ("accepted", ("email",), [])
    assert len(people_of(town)) == 2


def test_both_of_a_household_stand_in_one_request(town: Town) -> None:
    assert filed(town, of(HER, FOYER), of(HIM, FOYER)).ok
    assert len(people_of(town)) == 2


def test_two_people_who_share_an_undeclared_number_are_no_one_person(ledger: Ledger) -> None:
    refused = filed(Town(ledger), of(HER, FOYER), of(HIM, FOYER))

    assert refused.error is not None
    assert refused.error.code == "ambiguous_citizen"


def test_who_asks_by_a_number_of_a_household_finds_nobody_whether_there_is_one(town: Town) -> None:
    known, unknown = (town.find(references=[{"system": "famille", "id": one}]) for one in ("foyer-77", "foyer-0"))

    assert (known.verdict, known) == ("new", unknown)
    assert town.find(HER, references=[FOYER]).citizen_id == town.who("koha", "11")
    assert town.find(references=[FOYER, CARD]).citizen_id == town.who("koha", "11")


NAMED = {"family_name": "MAILLARD", "given_names": ["YSOLINE ANNE"]}


def test_a_name_beside_the_number_says_which_of_them_is_meant(town: Town) -> None:
    """Packages that number households tell no births."""
    before = len(people_of(town))
    told = town.say("famille", of(NAMED, FOYER), new_address=address("3 rue des Ormes", "famille"))

    assert town.to(told.seq) == ["koha"]
    assert len(people_of(town)) == before


@pytest.mark.parametrize("named", [
    of(NAMED), of(NAMED, {"system": "famille", "id": "foyer-12"}), of(NAMED | {"given_names": ["Gaspard"]}, FOYER),
    of(NAMED | {"gender": "male"}, FOYER),
])  # fmt: skip
def test_a_name_alone_in_another_household_or_contradicted_is_not_hers(town: Town, named: dict[str, Any]) -> None:
    told = town.say("famille", named)

    assert (told.outcome, town.to(told.seq)) == ("accepted", [])
    assert len(people_of(town)) == 2
    assert people_of(town, "foyer-12") == []


def test_a_name_that_two_of_a_household_have_is_nobody_s(town: Town) -> None:
    town.say("famille", of(HER | {"birthdate": "2015-06-01"}, FOYER))

    assert town.to(town.say("famille", of(NAMED, FOYER)).seq) == []


def test_an_exchange_does_not_ask_by_a_name_and_a_number(town: Town) -> None:
    assert town.find(NAMED, references=[FOYER]).verdict == "new"


def test_the_number_that_the_family_package_answers_is_that_of_a_household(town: Town) -> None:
    event = Event("citizen.contact-changed", f"/{TOWN}/koha", {"citizen": of(HER, CARD)})
    key = f"c:{town.who('koha', '11')}"
    ended = Ended(Delivery(event, "key"), Finished(1, key, DELIVERED), Done("noté", reference="foyer-90"))
    with town.ledger.transaction() as tx:
        Deliveries(town.acceptance).settle(tx, f"{TOWN}.famille", [ended])

    assert people_of(town, "foyer-90") == [town.who("koha", "11")]
    assert links(town) == ["koha:11"]


def test_who_moved_to_another_household_is_known_by_the_number_told_last(town: Town) -> None:
    town.say("famille", of(HER, {"system": "famille", "id": "foyer-12"}))
    assert numbers(town, town.who("koha", "11"))["famille"] == "foyer-12"

    town.say("famille", of(HER, FOYER))
    assert numbers(town, town.who("koha", "11"))["famille"] == "foyer-77"
    assert len(people_of(town)) == 2


def test_two_numbers_tell_nobody_apart(town: Town) -> None:
    """A child of two households; a slip of the hand is a question, and no more because the numbers differ."""
    near = HER | {"birthdate": "1991-04-03"}
    town.say("famille", of(near, {"system": "famille", "id": "foyer-12"}))
    assert "identifier" not in str(town.asked()[0].facts)


def test_all_of_a_household_are_listed_by_its_number_and_each_with_it(town: Town) -> None:
    known = town.do(town.links.read_person, TOWN, "famille:foyer-77", BY)

    assert sorted(one.citizen_id for one in known) == people_of(town)
    assert {tuple(one.numbers) for one in known} == {(("famille", "foyer-77"),)}
    assert [one.system for one in town.do(town.links.read_person, TOWN, "koha:11", BY)[0].links] == ["koha"]


def test_a_number_that_was_claimed_before_its_system_told_it_is_listed_once(town: Town) -> None:
    number = {"system": "famille", "id": "foyer-12"}
    assert town.say("koha", of(HER, CARD, number)).ok  # who does not speak for the family package
    town.say("famille", of(HER, number))

    (known,) = town.do(town.links.read_person, TOWN, "famille:foyer-12", BY)
    assert ("famille", "foyer-12") in known.numbers
    assert known.unproved == []


def test_a_number_is_taken_from_one_of_its_people(town: Town) -> None:
    number, mother = ("famille", "foyer-77"), town.who("koha", "11")
    town.take()
    told = town.say("koha", of(HER, CARD))
    with pytest.raises(InvalidMessage) as refused:
        town.do(town.links.remove_number, TOWN, number, "", BY)
    assert refused.value.code == "household_reference"

    assert town.do(town.links.remove_number, TOWN, number, "koha:11", BY).stopped >= 1
    assert mother not in people_of(town)
    assert [row.state for row in deliveries(town, told.seq)] == [SKIPPED]
    assert town.to(town.say("koha", of(HER, CARD)).seq) == []

    town.do(town.links.remove_number, TOWN, number, "", BY)  # of whom alone has it now
    assert people_of(town) == []


def test_a_package_that_renumbers_its_households_is_followed(town: Town) -> None:
    mother, before = town.who("koha", "11"), people_of(town)
    renumber = Renumber(town.acceptance, TOWN, "famille")
    with town.ledger.transaction() as tx:
        plan = renumber.plan(tx, "old;new\nfoyer-77;F-1\nfoyer-0;F-2\n")
        renumber.write(tx, plan, "odile")

    assert (plan.known, plan.unknown, plan.refused) == ({"foyer-77": "F-1"}, 1, [])
    assert (people_of(town), people_of(town, "F-1")) == ([], before)
    assert numbers(town, mother)["famille"] == "F-1"


def test_two_households_are_not_made_one_by_a_renumbering(town: Town) -> None:
    town.say("famille", of(HIM, {"system": "famille", "id": "foyer-12"}))
    with town.ledger.transaction() as tx:
        plan = Renumber(town.acceptance, TOWN, "famille").plan(tx, "old;new\nfoyer-77;foyer-12\n")

    assert [line for line, _ in plan.refused] == [2]


def test_a_number_that_came_with_a_likeness_goes_with_it(town: Town) -> None:
    town.say("koha", person("koha", "12"))
    town.say("famille", person("famille", "foyer-12"))
    town.say("famille", person("famille", "foyer-90", given_names=["Blanche"]))
    assert people_of(town, "foyer-90") == [town.who("koha", "12")]

    with town.ledger.reading() as tx:
        [merge] = town.reviews.merges(tx, tenant=TOWN)
    town.do(town.reviews.unmerge, merge.id, BY)
    assert people_of(town, "foyer-90") == [merge.id]
    assert numbers(town, town.who("koha", "12"))["famille"] == "foyer-12"


def test_a_merge_moves_the_numbers_of_a_household_and_gives_them_back(town: Town) -> None:
    mother, man = town.who("koha", "11"), next(one for one in people_of(town) if one != town.who("koha", "11"))
    town.say("famille", of(HIM, {"system": "famille", "id": "foyer-90"}))

    town.do(town.reviews.merge, TOWN, mother, man, BY)
    assert (people_of(town), people_of(town, "foyer-90")) == ([mother], [mother])

    town.do(town.reviews.unmerge, man, BY)
    assert (people_of(town), people_of(town, "foyer-90")) == (sorted([mother, man]), [man])
