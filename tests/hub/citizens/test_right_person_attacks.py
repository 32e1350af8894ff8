"""Attacks on who is who: order, replays, batches, merges, threads, garbage, erasure between two events."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest
from sqlalchemy import delete, func, select

from hub.acceptance.accept import Verdict
from hub.citizens.lookup import Found
from hub.storage.tables import citizen_identities, citizen_links, citizen_reviews, citizens
from schemas.event import Event
from tests.hub.citizens.test_contradictions import FOYER, HER, HIM, of
from tests.hub.citizens.town import BY, TOWN, Town, address, origin, value

THIRD: dict[str, Any] = {
    "family_name": "Belkacem", "given_names": ["Nour"], "gender": "female", "birthdate": "1974-06-21",
}  # fmt: skip


def told(by: str, number: str, person: dict[str, Any]) -> Event:
    data = {"citizen": person, "email": value(f"{number}@courriel.example", by)}
    return Event(type="citizen.contact-changed", source=f"/{TOWN}/{by}", id=number, data=data)


def submit(town: Town, by: str, *said: Event) -> list[Verdict]:
    return town.acceptance.submit(town.ledger, origin(by), list(said))


def count(town: Town, table: Any) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_in_whatever_order_three_of_one_number_are_three_people(town: Town, order: tuple[int, ...]) -> None:
    for place, one in enumerate((HER, HIM, THIRD)):
        town.say("koha", of(one, {"system": "koha", "id": f"K-{place}"}))

    seqs = {one: town.say("famille", of((HER, HIM, THIRD)[one])).seq for one in order}

    assert [town.to(seqs[one]) for one in range(3)] == [["koha"]] * 3
    assert count(town, citizens) == 3
    assert len(town.asked()) == 2  # each of the others against the first, who has the number
    orders = set()
    with town.ledger.reading() as tx:
        orders = {stored.order_key for stored in tx.load([seq or 0 for seq in seqs.values()]).values()}
    assert orders == {f"c:{town.who('koha', f'K-{place}')}" for place in range(3)}


def test_a_replay_is_a_duplicate_and_asks_nothing(town: Town) -> None:
    said = [told("famille", "a", of(HER)), told("famille", "b", of(HIM))]
    submit(town, "famille", *said)

    again = submit(town, "famille", *said, *reversed(said))

    assert {verdict.outcome for verdict in again} == {"duplicate"}
    assert (count(town, citizens), count(town, citizen_reviews), count(town, citizen_links)) == (2, 1, 1)


def test_a_refused_event_between_two_changes_nothing_of_them(town: Town) -> None:
    both = {"citizen": of(HER), "household": [of(HIM)], "new_address": address("Puits", "famille")}
    refused = Event(type="citizen.address-changed", source=f"/{TOWN}/famille", id="r", data=both)

    verdicts = submit(town, "famille", told("famille", "a", of(HER)), refused, told("famille", "b", of(HIM)))

    assert [verdict.outcome for verdict in verdicts] == ["accepted", "refused", "accepted"]
    assert (count(town, citizens), count(town, citizen_links)) == (2, 1)


def test_who_was_merged_is_known_by_all_their_names_and_contradicted_by_others(town: Town) -> None:
    town.say("koha", of(HER, {"system": "koha", "id": "K-1"}))
    town.say("famille", of(HIM))
    town.do(town.reviews.merge, TOWN, town.who("koha", "K-1"), town.who("famille", "foyer-77"), BY)

    for one in (HER, HIM):
        assert town.to(town.say("famille", of(one)).seq) == ["koha"]
    assert town.to(town.say("famille", of(THIRD)).seq) == []
    assert len(town.asked()) == 1


def test_two_batches_at_one_moment_make_each_person_once(town: Town) -> None:
    def load(number: int) -> bool:
        batch = [told("koha", f"{number}-{place}", of(HER, {"system": "koha", "id": str(place)})) for place in (11, 12)]
        other = [told("famille", f"{number}-{place}", of(one)) for place, one in enumerate((HIM, THIRD))]
        return all(v.ok for v in (*submit(town, "koha", *batch), *submit(town, "famille", *other)))

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(load, range(4)))

    assert count(town, citizens) == 4
    assert len(town.asked()) == 2


@pytest.mark.parametrize("name", ["\x00", "A\x00B", "\ud7ff\U0010ffff", "'; DROP TABLE citizens; --", "~", "\x1f"])
def test_garbage_in_a_name_is_a_name_or_a_refusal(town: Town, name: str) -> None:
    for number in ("11", "12", "11"):
        person = of(HER | {"family_name": name}, {"system": "koha", "id": number})
        verdict = town.say("koha", person)
        assert verdict.ok or verdict.error is not None

    assert count(town, citizens) in (0, 2)


def test_who_was_erased_in_between_is_somebody_new_and_contradicts_nobody(town: Town) -> None:
    town.say("famille", of(HER))
    her = town.who("famille", "foyer-77")
    town.say("famille", of(HIM))
    with town.ledger.transaction() as tx:  # as an erasure does
        for column in (citizen_links.c.citizen_id, citizen_identities.c.citizen_id, citizens.c.id):
            tx.sql.execute(delete(column.table).where(column == her))
        town.people.keys.destroy(tx, her)

    town.say("famille", of(HIM))
    town.say("famille", of(HER))

    assert town.who("famille", "foyer-77") == town.find(HIM).citizen_id
    assert count(town, citizens) == 2


def test_a_household_member_by_a_foreign_number_reads_the_same_whether_it_is_known_or_not(town: Town) -> None:
    for number, one in (("11", HER), ("12", HIM)):
        town.say("koha", of(one, {"system": "koha", "id": number}))

    for number in ("11", "404"):
        member = of(HIM, {"system": "koha", "id": number})
        data = {"citizen": of(THIRD, {"system": "publik", "id": "P-3"}), "household": [member],
                "new_address": address(f"rue {number}", "publik")}  # fmt: skip
        event = Event(type="citizen.address-changed", source=f"/{TOWN}/publik", id=number, data=data)
        (verdict,) = submit(town, "publik", event)
        assert (verdict.outcome, verdict.error) == ("accepted", None)

    assert count(town, citizen_reviews) == 0


def test_a_person_by_a_foreign_number_reads_the_same_whether_it_is_known_or_not(town: Town) -> None:
    for number, one in (("11", HER), ("12", HIM)):
        town.say("koha", of(one, {"system": "koha", "id": number}))

    outcomes = []
    for number in ("11", "404"):
        outcomes.append(town.say("publik", of(HIM, {"system": "koha", "id": number})).outcome)

    assert outcomes == ["accepted", "accepted"]
    assert count(town, citizen_reviews) == 0


def test_a_second_link_of_his_own_does_not_free_the_number(town: Town) -> None:
    town.say("famille", of(HER))
    town.say("famille", of(HIM))

    town.say("famille", of(HIM, FOYER, {"system": "famille", "id": "80"}))
    assert town.find(references=[{"system": "famille", "id": "80"}]) == Found(None, "new")
    town.say("famille", of(HIM, {"system": "famille", "id": "80"}))

    assert town.who("famille", "80") == town.find(HIM).citizen_id != town.who("famille", "foyer-77")


def test_his_mark_after_he_was_told_by_her_number_conceals_him_alone(town: Town) -> None:
    town.say("koha", of(HER, {"system": "koha", "id": "K-1"}))
    town.say("famille", of(HER))
    town.say("famille", of(HIM, confidential=True))

    assert town.to(town.say("famille", of(HER)).seq) == ["koha"]
    with town.ledger.reading() as tx:
        assert not town.people.is_confidential(tx, town.who("koha", "K-1"))
