"""A package that changed its identifiers: all go on under the new ones, swaps and chains too, or none does."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import insert, select

from bus.ledger import Ledger
from hub.acceptance.accept import Acceptance
from hub.operations.renumbering import Kind, Renumber, Renumbering
from hub.operations.retention import Keeper
from hub.settings.model import Retention
from hub.storage.tables import citizen_links, citizen_merges, renumbered_ids, request_links, unproved_references
from schemas.errors import InvalidMessage
from tests.hub.citizens.town import BY, TOWN, Town, person

HEADER = "old;new\n"


@pytest.fixture
def town(ledger: Ledger) -> Town:
    town = Town(ledger)
    for number in range(1, 5):
        town.say("koha", person("koha", f"{number}", birthdate=f"1991-0{number}-14"))
    return town


def planned(town: Town, text: str, kind: Kind = "people") -> Renumbering:
    return renumber(town.acceptance, town.ledger, text, kind, write=False)


def renumbered(town: Town, text: str, kind: Kind = "people") -> Renumbering:
    return renumber(town.acceptance, town.ledger, text, kind, write=True)


def renumber(acceptance: Acceptance, ledger: Ledger, text: str, kind: Kind, *, write: bool) -> Renumbering:
    with ledger.transaction() as tx:
        it = Renumber(acceptance, TOWN, "koha", kind)
        plan = it.plan(tx, HEADER + text)
        if write:
            it.write(tx, plan, "odile")
        return plan


def owners(town: Town) -> dict[str, str]:
    with town.ledger.reading() as tx:
        rows = tx.sql.execute(select(citizen_links).where(citizen_links.c.system == "koha"))
        return {row.native_id: row.citizen_id for row in rows}


def test_a_file_is_looked_at_before_anything_is_written(town: Town) -> None:
    before = owners(town)

    plan = planned(town, "1;A1\n9;A9\n2;3\n3;2\n4;4\n")

    assert (len(plan.known), plan.unknown, plan.unchanged, plan.swapped, plan.chained) == (3, 1, 1, 2, 0)
    assert plan.refused == []
    assert owners(town) == before


def test_a_swap_and_a_chain_are_right_and_the_reverse_file_undoes_them(town: Town) -> None:
    before = owners(town)

    renumbered(town, "1;2\n2;1\n3;4\n4;5\n")
    assert owners(town) == {"2": before["1"], "1": before["2"], "4": before["3"], "5": before["4"]}

    renumbered(town, "2;1\n1;2\n4;3\n5;4\n")
    assert owners(town) == before
    with town.ledger.reading() as tx:
        rows = {(row.old_id, row.new_id) for row in tx.sql.execute(select(renumbered_ids))}
    assert rows == {("5", "4")}


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("1;2\n", 2, "somebody else's"), ("3;X\n3;Y\n", 3, "old identifier stands"),
        ("3;X\n4;X\n", 3, "new identifier stands"), ("3;X\n;Y\n", 3, "missing"),
        ("3;255081416802538\n", 2, "social security"), (f"3;{'x' * 300}\n", 2, "is none"),
        ('3;X\n4;"Y\n', 3, "quote"),
    ],
)  # fmt: skip
def test_a_line_that_is_wrong_is_named_without_what_it_holds_and_nothing_is_written(
    town: Town, text: str, line: int, why: str
) -> None:
    before = owners(town)

    plan = planned(town, text)
    with pytest.raises(InvalidMessage) as refused:
        renumbered(town, text)

    assert refused.value.code == "lines_refused"
    ((where, said),) = plan.refused
    assert (where, why in said) == (line, True)
    assert owners(town) == before


@pytest.mark.parametrize("content", [b"a;b\n1;2\n", "old;new\n1;é\n".encode("latin-1")])
def test_what_is_no_such_file_is_refused(town: Town, content: bytes) -> None:
    with town.ledger.transaction() as tx, pytest.raises(InvalidMessage) as refused:
        Renumber(town.acceptance, TOWN, "koha").plan(tx, content)
    assert refused.value.code == "not_a_renumbering"


def test_how_a_link_came_is_said_and_since_when_it_holds_stays(town: Town) -> None:
    def row(native: str) -> tuple[str, str | None, float]:
        with town.ledger.reading() as tx:
            found = tx.sql.execute(select(citizen_links).where(citizen_links.c.native_id == native)).one()
        return found.how, found.origin, found.since

    since = row("1")[2]
    renumbered(town, "1;A1\n")

    assert row("A1") == ("renumbered", "odile", since)


def test_what_is_on_its_way_under_the_old_identifier_finds_its_person_for_a_while(town: Town) -> None:
    who = owners(town)["1"]
    renumbered(town, "1;A1\n")
    renumbered(town, "A1;B1\n")

    assert town.say("koha", person("koha", "1", birthdate="1991-01-14")).ok
    assert town.say("koha", {"references": [{"system": "koha", "id": "A1"}]}).ok
    assert {native for native, owner in owners(town).items() if owner == who} == {"B1"}
    assert len(owners(town)) == 4

    later = town.ledger.now() + 31 * 86_400
    town.ledger.now = lambda: later
    keeper = Keeper(town.ledger, store_of(town), Retention())
    keeper.forget_expired()
    town.say("koha", {"references": [{"system": "koha", "id": "1"}]})
    assert owners(town)["1"] != who


def store_of(town: Town):  # type: ignore[no-untyped-def]
    from hub.documents.files import DocumentStore
    from hub.documents.repository import DocumentBook

    return DocumentStore("memory://renumbered", None, DocumentBook(town.ledger))


def test_who_has_both_already_keeps_the_new_one(town: Town) -> None:
    town.say("koha", person("koha", "A1", birthdate="1991-09-14"))
    town.do(town.reviews.merge, TOWN, owners(town)["1"], owners(town)["A1"], BY)
    who = owners(town)["1"]

    plan = renumbered(town, "1;A1\n")

    assert (plan.joined, plan.refused) == (1, [])
    assert [native for native, owner in owners(town).items() if owner == who] == ["A1"]


def test_a_merge_is_taken_back_under_the_new_identifiers(town: Town) -> None:
    kept, gone = owners(town)["1"], owners(town)["2"]
    town.do(town.reviews.merge, TOWN, kept, gone, BY)

    renumbered(town, "1;A1\n2;A2\n")
    with town.ledger.reading() as tx:
        moved = orjson.loads(tx.sql.execute(select(citizen_merges.c.moved)).scalar_one())
    assert moved["links"] == [["koha", "A2"]]
    town.do(town.reviews.unmerge, gone, BY)

    assert {native: who for native, who in owners(town).items() if native.startswith("A")} == {"A1": kept, "A2": gone}


def test_the_requests_of_a_system_are_renumbered_apart_from_its_people(town: Town) -> None:
    before = owners(town)
    with town.ledger.transaction() as tx:
        tx.sql.execute(insert(request_links), [
            {"tenant": TOWN, "system": system, "native_id": "1", "request_id": "r"} for system in ("koha", "publik")
        ])  # fmt: skip

    renumbered(town, "1;2026-1\n", "requests")

    with town.ledger.reading() as tx:
        found = {(row.system, row.native_id) for row in tx.sql.execute(select(request_links))}
    assert found == {("koha", "2026-1"), ("publik", "1")}
    assert owners(town) == before


def test_what_others_claimed_follows(town: Town) -> None:
    who = owners(town)["1"]
    claim = {"tenant": TOWN, "subject": f"c:{who}", "system": "koha", "native_id": "1", "origin": "x", "mark": 0,
             "at": 1.0}  # fmt: skip
    with town.ledger.transaction() as tx:
        tx.sql.execute(insert(unproved_references), claim)

    renumbered(town, "1;A1\n")

    with town.ledger.reading() as tx:
        assert tx.sql.execute(select(unproved_references.c.native_id)).scalars().all() == ["A1"]
