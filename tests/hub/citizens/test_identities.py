"""The people a hub knows: who is linked by itself, who is asked about, what is undone, and what clients call them."""

from __future__ import annotations

import secrets

import pytest
from sqlalchemy import event as hooks
from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.acceptance.deliveries import Deliveries
from hub.citizens.identities import citizen_of, reference_of
from hub.storage.tables import citizen_blocks, citizen_identities, citizen_links, citizen_reviews, citizens
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.hub.citizens.town import BY, TOWN, Town, origin, person, value
from tests.support.words import alone


def test_who_is_surely_the_same_is_linked_and_hears_of_the_other_system(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))

    verdict = town.say("koha", person("koha", "K-1", family_name="LOEVEN BRUCK", given_names=["Blanche"]))

    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    assert town.to(verdict.seq) == ["publik"]
    assert town.asked() == []


def test_another_spelling_is_known_the_next_time_without_being_compared(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person(family_name="LOEVEN BRUCK", given_names=["Blanche"]))
    compared: list[str] = []
    hooks.listen(town.ledger.engine, "before_cursor_execute", lambda *args: compared.append(args[2]))

    verdict = town.say("koha", person(family_name="LOEVEN BRUCK", given_names=["Blanche"]))

    assert town.to(verdict.seq) == ["publik"]
    assert not [statement for statement in compared if "citizen_blocks" in statement]


@pytest.mark.parametrize("named", ["by link", "by pivot"])
def test_who_is_known_costs_no_statement_more_than_without_matching(ledger: Ledger, named: str) -> None:
    known = person("publik", "P-1") if named == "by link" else person()
    with_people = Town(ledger)
    with_people.say("publik", person("publik", "P-1"))
    statements: list[str] = []
    hooks.listen(ledger.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))

    with_people.say("publik", known)
    matching, statements[:] = len(statements), []
    with_people.acceptance.people = None
    with_people.say("publik", known)

    assert matching == len(statements)


def test_who_may_be_the_same_is_a_question_that_holds_no_name(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))

    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))

    (review,) = town.asked()
    assert town.who("koha", "K-1") != town.who("publik", "P-1")
    assert (review.kind, review.facts["score"], review.origin) == ("person", 87, f"{TOWN}.koha")
    assert {one["field"]: one["level"] for one in review.facts["fields"]}["birthdate"] == "close"
    assert not alone("1991-11-24", str(review))
    assert "BRUCK" not in str(review).upper()


def test_twins_are_two_people_and_no_question(town: Town) -> None:
    town.say("publik", person("publik", "P-1", given_names=["Léa"]))
    town.say("publik", person("publik", "P-2", given_names=["Maud"]))

    assert town.who("publik", "P-1") != town.who("publik", "P-2")
    assert town.asked() == []


def test_two_files_of_one_system_are_a_question_however_alike(town: Town) -> None:
    town.say("koha", person("koha", "K-1"))
    town.say("koha", person("koha", "K-2", family_name="LOEVENBRUK"))

    assert town.who("koha", "K-1") != town.who("koha", "K-2")
    assert [review.facts["fields"][-1]["field"] for review in town.asked()] == ["identifier"]


def test_two_who_come_in_one_batch_are_compared_with_each_other(town: Town) -> None:
    events = [
        Event(type="citizen.contact-changed", source=f"/{TOWN}/koha", id=f"b{place}",
              data={"citizen": one, "email": value(f"{place}@courriel.example", "koha")})
        for place, one in enumerate([person(), person(family_name="Loeven Bruck", given_names=["Blanche"])])
    ]  # fmt: skip

    verdicts = town.acceptance.submit(town.ledger, origin("koha"), events)

    assert all(verdict.ok for verdict in verdicts)
    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).where(citizens.c.merged_into.is_(None))).scalar_one() == 1


def test_a_crowd_that_shares_everything_but_a_name_is_not_compared_without_end(town: Town) -> None:
    for number in range(45):
        name = "Nom" + chr(97 + number % 26) + chr(97 + number // 26)
        town.say("koha", person("koha", f"K-{number}", family_name=name))

    with town.ledger.reading() as tx:
        assert len({row.citizen_id for row in tx.sql.execute(select(citizen_links))}) == 45
        assert tx.sql.execute(select(func.count()).select_from(citizen_reviews)).scalar_one() < 45 * 3


def test_the_tables_tell_nobody_who_is_in_them(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1", birthdate="1991-11-24"))

    with town.ledger.reading() as tx:
        kept = [
            tx.sql.execute(select(table)).all()
            for table in (citizens, citizen_identities, citizen_blocks, citizen_reviews)
        ]
    written = str(kept).upper()
    assert not any(part in written for part in ("BRUCK", "BLANCHE"))
    assert not any(alone(number, written) for number in ("1991", "1991-11-24", "93066"))


def test_systems_of_two_sectors_do_not_know_a_person_as_the_same(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True)

    town.say("ccas", person("ccas", "S-1"))
    verdict = town.say("cantine", person("cantine", "C-1"))

    assert town.who("ccas", "S-1") != town.who("cantine", "C-1")
    assert town.to(verdict.seq) == []
    assert town.asked() == []


def test_sectors_that_the_tenant_links_do(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True, link=(("social", "school"),))

    town.say("ccas", person("ccas", "S-1"))
    town.say("cantine", person("cantine", "C-1"))
    town.say("listes", person("listes", "L-1"))

    assert town.who("ccas", "S-1") == town.who("cantine", "C-1") != town.who("listes", "L-1")


def test_nobody_links_two_sectors_by_naming_both(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True)
    both = {"references": [{"system": "ccas", "id": "S-1"}, {"system": "listes", "id": "L-1"}]}

    verdict = town.say("publik", both)

    assert verdict.error is not None
    assert (verdict.error.code, verdict.error.pointer) == ("sectors_not_linked", "/data/citizen/references")


def test_what_a_package_answers_links_no_two_sectors(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True, link=(("social", "school"),))
    town.say("ccas", person("ccas", "S-1"))
    desk, members = Deliveries(town.acceptance), town.acceptance.directory.connections

    with ledger.reading() as tx:
        who = town.who("ccas", "S-1")
        assert desk._may_link(tx, members[f"{TOWN}.cantine"], who)
        assert not desk._may_link(tx, members[f"{TOWN}.listes"], who)


def test_no_operator_merges_over_sectors(ledger: Ledger) -> None:
    town = Town(ledger, sectors=True)
    town.say("ccas", person("ccas", "S-1"))
    town.say("listes", person("listes", "L-1"))

    with pytest.raises(InvalidMessage, match="sectors"):
        town.do(town.reviews.merge, TOWN, town.who("ccas", "S-1"), town.who("listes", "L-1"), BY)


def test_a_nir_is_refused_at_the_door(town: Town) -> None:
    verdict = town.say("koha", {"references": [{"system": "koha", "id": "1850578006084"}]})

    assert verdict.error is not None
    assert (verdict.error.code, verdict.error.pointer) == ("nir_not_allowed", "/data/citizen/references/0/id")
    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(func.count()).select_from(citizen_links)).scalar_one() == 0


def test_two_clients_cannot_join_on_their_references() -> None:
    key, citizen = secrets.token_bytes(32), "550e8400-e29b-41d4-a716-446655440000"

    mine, theirs = reference_of(key, "portail", citizen), reference_of(key, "ecole", citizen)

    assert mine == reference_of(key, "portail", citizen) != theirs
    assert citizen_of(key, "portail", mine) == citizen
    assert citizen_of(key, "ecole", mine) is None
    assert citizen_of(secrets.token_bytes(32), "portail", mine) is None
    assert citizen_of(key, "portail", mine[:-2] + "é") is None


def test_who_was_erased_is_compared_with_nobody(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    who = town.who("publik", "P-1")

    town.do(town.people.keys.destroy, who)
    town.say("koha", person("koha", "K-1", family_name="LOEVENBRUK"))

    assert town.who("koha", "K-1") != who
    with town.ledger.reading() as tx:
        assert town.people.identity_of(tx, who) is None


def test_an_id_that_nobody_has_any_more_is_nobody_and_not_everybody(town: Town) -> None:
    """Compared with NULL, `merged_into` gave all who were never merged, of all tenants."""
    town.say("publik", person("publik", "P-1"))
    gone = "00000000-0000-4000-8000-000000000000"

    with town.ledger.reading() as tx:
        assert town.people.members(tx, gone) == []
        assert town.people.identity_of(tx, gone) is None
        assert town.people.native_ids(tx, TOWN, gone) == {}
