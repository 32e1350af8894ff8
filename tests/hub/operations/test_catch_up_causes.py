"""Whatever lets somebody know a person later asks that what is known of them be told again; nothing else does."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.operations.import_undo import undo_import
from hub.operations.link_import import LinkImport
from hub.operations.renumbering import Renumber
from hub.storage.tables import catch_ups
from tests.hub.citizens.town import BY, TOWN, Town, address, person, two
from tests.support.statements import statements_to

HEADER = "family_name;given_names;gender;birthdate;birthplace;system;id;confidential\n"
BLANCHE = "Lœvenbruck;Blanche Marie;female;1991-11-23;93066;{system};{native};\n"


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def asked(town: Town) -> dict[str, str]:
    """By person, why it is asked that what is known of them be told again."""
    with town.ledger.reading() as tx:
        return {row.citizen_id: row.cause for row in tx.sql.execute(select(catch_ups))}


def named(*told: str) -> dict[str, Any]:
    """By systems, each followed by its identifier."""
    return {"references": [{"system": one, "id": two} for one, two in zip(told[::2], told[1::2], strict=True)]}


def test_a_link_that_an_event_made_for_somebody_who_was_known(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Lilas", "publik"))
    assert asked(town) == {}  # nobody knows less than was just told
    town.say("koha", person("koha", "K-1"))
    assert asked(town) == {town.who("publik", "P-1"): "link"}


def test_no_link_no_question_and_no_statement(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Lilas", "publik"))
    with statements_to(town.ledger.engine) as statements:
        town.say("publik", named("publik", "P-1"), new_address=address("rue du Puits", "publik"))
    assert statements
    assert not any("catch_ups" in one for one in statements)
    assert asked(town) == {}


def test_a_link_of_a_system_that_is_told_of_nobody_by_its_links(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Lilas", "publik"))
    town.say("abonnements", person("abonnements", "A-1"))
    assert town.who("abonnements", "A-1") == town.who("publik", "P-1")
    assert asked(town) == {}


def test_a_file_of_links_and_its_undoing(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Lilas", "publik"))
    lines = BLANCHE.format(system="koha", native="K-1") + "Nouvel;Aimé;male;1980-04-17;93001;koha;K-2;\n"
    file = LinkImport(town.ledger, town.acceptance, TOWN, HEADER + lines)
    (report,) = file.write()
    assert report.kept == 2
    assert asked(town) == {town.who("publik", "P-1"): "import"}  # of the other one nothing is known

    town.say("koha", named("koha", "K-1"), "blanche@courriel.example")
    [*undo_import(town.ledger, town.links, TOWN, file.id, BY)]
    assert asked(town)[town.who("publik", "P-1")] in ("import", "unmerge")


def test_a_merge_and_its_undoing(town: Town) -> None:
    review = two(town)
    assert asked(town) == {}
    pair = {town.who("publik", "P-1"), town.who("koha", "K-1")}

    kept = town.do(town.reviews.merge_reviewed, review, BY)
    assert asked(town) == {kept: "merge"}

    (gone,) = pair - {kept}
    town.do(town.reviews.unmerge, gone, BY)
    assert asked(town).keys() == pair


def test_what_was_asked_of_one_is_asked_of_whom_they_became(town: Town) -> None:
    review = two(town)
    pair = {town.who("publik", "P-1"), town.who("koha", "K-1")}
    for one in pair:
        with town.ledger.transaction() as tx:
            tx.sql.execute(catch_ups.insert().values(
                citizen_id=one, field="new_address", reader="", seq=9, tenant=TOWN, cause="date", due=tx.now + 60,
                asked_at=tx.now,
            ))  # fmt: skip
    kept = town.do(town.reviews.merge_reviewed, review, BY)
    assert asked(town).keys() == {kept}


def test_an_identifier_that_is_parted(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Lilas", "publik"))
    town.say("koha", person("koha", "K-1"))
    with town.ledger.transaction() as tx:
        tx.sql.execute(catch_ups.delete())
    town.do(town.links.remove, TOWN, ("koha", "K-1"), BY)
    assert asked(town) == {town.who("publik", "P-1"): "unmerge"}  # of the other one nothing is known


def test_a_new_identifier_that_was_the_persons_already(town: Town) -> None:
    town.say("koha", person() | named("koha", "K-1", "koha", "K-9"))
    town.say("koha", person("koha", "K-2", family_name="Autre", birthdate="1960-02-03"))
    act = Renumber(town.acceptance, TOWN, "koha")
    with town.ledger.transaction() as tx:
        act.write(tx, act.plan(tx, "old;new\nK-1;K-9\nK-2;K-8\n"), "odile")
    assert asked(town) == {town.who("koha", "K-9"): "renumber"}  # the other one is told as before


@pytest.mark.parametrize("numbers", [{}, {"famille": "household"}])
def test_a_number_of_a_household_is_a_link(ledger: Ledger, numbers: Any) -> None:
    town = Town(ledger, numbers=numbers)
    town.say("publik", person("publik", "P-1"), new_address=address("rue des Lilas", "publik"))
    town.say("famille", person("famille", "F-1"))
    assert asked(town) == {town.who("publik", "P-1"): "link"}
