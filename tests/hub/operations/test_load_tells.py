"""After a load each reader is told what it lacks, once, whoever dies in the middle; what cannot be told is named."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import pytest
from sqlalchemy import delete, select

from bus.ledger import Ledger
from bus.tables import deliveries, events
from hub.acceptance.days import take_effect
from hub.acceptance.restating import restate
from hub.operations import catching_up, first_load
from hub.operations.catching_up import CatchingUp
from hub.operations.import_undo import undo_import
from hub.operations.lacking import Lack, lacking_of, missing_of, still_lacked, waiting_of
from hub.storage.tables import citizen_links
from schemas.errors import InvalidMessage
from tests.hub.citizens.town import BY, TOWN, Town, address, person
from tests.hub.operations.test_first_load import BLANCHE, KOHA, ODETTE, PIERRE, later, load, numbers, written

SORBIER: dict[str, Any] = {
    "family_name": "Sorbier", "given_names": ["Pierre"], "gender": "male", "birthdate": "1972-05-17",
    "birthplace": "93001", "birthcountry": None,
}  # fmt: skip
GARANCE = SORBIER | {
    "family_name": "Garance", "given_names": ["Odette"], "gender": "female", "birthdate": "1984-03-09",
}  # fmt: skip


@pytest.fixture
def town(ledger: Ledger) -> Town:
    """Three people whom two packages know, before the library comes."""
    town = Town(ledger)
    for number, more in enumerate(({}, GARANCE, SORBIER)):
        town.say("famille", person("famille", f"F-{number}", **more))
        town.say("publik", person("publik", f"P-{number}", **more),
                 new_address=address(f"{number} rue des Lilas", "publik"))  # fmt: skip
    catch_up(town)  # what these two lacked of each other
    return town


LINES = (BLANCHE + "K-0;", ODETTE + "K-1;", PIERRE + "K-2;")


def catch_up(town: Town) -> int:
    def again(tx: Any, tenant: str, citizen_id: str, fields: Any) -> Any:
        return restate(town.acceptance, tx, tenant, citizen_id, fields)

    looking = CatchingUp(
        town.ledger,
        lambda: town.acceptance.directory,
        again,
        partial(take_effect, town.acceptance),
        lambda tx, missed: still_lacked(tx, town.acceptance, missed).lacked,
        per_second=100,
    )
    return looking.look()


def told(town: Town, reader: str = "koha") -> list[tuple[str, str, str]]:
    """By identifier of the portal: what the reader got, of whom, and who said it."""
    with town.ledger.reading() as tx:
        rows = tx.sql.execute(
            select(deliveries.c.seq).where(deliveries.c.connection == f"{TOWN}.{reader}").order_by(deliveries.c.seq)
        )
        stored = tx.load([row.seq for row in rows])
        return [
            (one.event.type, one.event.data.get("new_address", {}).get("value", {}).get("street", ""), one.origin)
            for one in stored.values()
        ]


def lacks(town: Town, *lines: str) -> list[Lack]:
    report = load(town, *lines).report()
    with town.ledger.reading() as tx:
        return lacking_of(tx, town.acceptance, KOHA, report.people)


def test_a_report_counts_what_the_package_lacks_and_names_nobody(town: Town) -> None:
    found = lacks(town, *LINES)
    assert [(one.type, one.name, one.people, one.hub, dict(one.sources)) for one in found] == [
        ("citizen.address-changed", "new_address", 3, 3, {}), ("citizen.contact-changed", "email", 3, 3, {}),
    ]  # fmt: skip


def test_what_the_hub_keeps_no_more_is_counted_by_the_source_that_must_state_it_again(town: Town) -> None:
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(events).where(events.c.type == "citizen.address-changed"))
    (found,) = [one for one in lacks(town, *LINES) if one.name == "new_address"]
    assert (found.people, found.hub, dict(found.sources)) == (3, 0, {f"{TOWN}.publik": 3})


def test_the_package_is_told_what_it_lacks_and_nobody_else_anything(town: Town) -> None:
    before = {name: told(town, name) for name in ("famille", "publik")}
    written(town, *LINES)
    assert told(town) == []

    catch_up(town)

    got = told(town)
    assert sorted(street for _, street, _ in got if street) == ["0 rue des Lilas", "1 rue des Lilas", "2 rue des Lilas"]
    assert {origin for _, _, origin in got} == {f"{TOWN}.hub"}
    assert {name: told(town, name) for name in ("famille", "publik")} == before
    assert lacks(town, *LINES) == []
    catch_up(town)
    assert told(town) == got


def test_the_same_values_told_again_and_the_load_made_again_tell_nobody_twice(town: Town) -> None:
    written(town, *LINES)
    catch_up(town)
    got = told(town)

    for number, more in enumerate(({}, GARANCE, SORBIER)):
        verdict = town.say("publik", person("publik", f"P-{number}", **more),
                           new_address=address(f"{number} rue des Lilas", "publik", date="2026-04-04"))  # fmt: skip
        assert verdict.outcome == "echo"
    assert numbers(written(town, *LINES, "QUINTIN;Isée;female;1999-02-11;93001;K-9;")) == {"linked": 3, "unmatched": 1}
    catch_up(town)

    assert told(town) == got


def test_an_older_value_that_comes_after_the_load_stays_away(town: Town) -> None:
    written(town, *LINES)
    catch_up(town)
    got = told(town)
    town.say("publik", person("publik", "P-0"), new_address=address("77 rue des Ronces", "publik", date="2019-05-17"))
    catch_up(town)
    assert told(town) == got


def test_who_was_marked_confidential_is_neither_counted_nor_told(town: Town) -> None:
    town.say("publik", person("publik", "P-0") | {"confidential": True})
    assert [one.people for one in lacks(town, *LINES)] == [2, 2]
    written(town, *LINES)
    catch_up(town)
    assert "0 rue des Lilas" not in [street for _, street, _ in told(town)]


def test_somebody_who_becomes_known_later_is_told_of_as_well(town: Town) -> None:
    written(town, "QUINTIN;Isée;female;1999-02-11;93001;K-9;")
    catch_up(town)
    assert told(town) == []
    newcomer = person("publik", "P-9", family_name="Quintin", given_names=["Isée"], birthdate="1999-02-11",
                      birthplace="93001", birthcountry=None)  # fmt: skip
    town.say("publik", newcomer, new_address=address("9 rue des Lilas", "publik"))
    assert later(town) == {"matched": 1}
    catch_up(town)
    assert [street for _, street, _ in told(town)] == ["9 rue des Lilas"]


@pytest.mark.parametrize("part", [1, 2])
def test_killed_between_the_load_and_the_telling_nothing_is_lost_or_doubled(
    town: Town, monkeypatch: pytest.MonkeyPatch, part: int
) -> None:
    monkeypatch.setattr(first_load, "AT_ONCE", part)
    monkeypatch.setattr(catching_up, "_AT_ONCE", 1)
    next(load(town, *LINES).write("AIPD-1", "odile", lambda tx, facts: None))
    dead, calls = threading.Event(), iter(range(100))

    def again(tx: Any, tenant: str, citizen_id: str, fields: Any) -> Any:
        if next(calls) == 1:
            raise KeyboardInterrupt  # after the rows of somebody were written, before their commit
        return restate(town.acceptance, tx, tenant, citizen_id, fields)

    looking = CatchingUp(
        town.ledger,
        lambda: town.acceptance.directory,
        again,
        partial(take_effect, town.acceptance),
        lambda tx, missed: still_lacked(tx, town.acceptance, missed).lacked,
        per_second=100,
    )
    try:
        looking.look(dead)
    except KeyboardInterrupt:
        dead.set()
    written(town, *LINES)
    catch_up(town)
    streets = sorted(street for _, street, _ in told(town) if street)
    assert streets == ["0 rue des Lilas", "1 rue des Lilas", "2 rue des Lilas"]


def test_a_source_is_given_its_own_identifiers_of_what_it_must_state_again(town: Town) -> None:
    report = written(town, *LINES)
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(events).where(events.c.type == "citizen.address-changed"))
    with town.ledger.reading() as tx:
        assert waiting_of(tx, KOHA, report.load_id) == (3, {})
    catch_up(town)
    with town.ledger.reading() as tx:
        assert waiting_of(tx, KOHA, report.load_id) == (0, {f"{TOWN}.publik": 3})
        content, lines = missing_of(tx, town.acceptance, KOHA, f"{TOWN}.publik")
        with pytest.raises(InvalidMessage):
            missing_of(tx, town.acceptance, KOHA, f"{TOWN}.famille")
    assert lines == 3
    assert content.decode().splitlines() == ["id;field", "P-0;new_address", "P-1;new_address", "P-2;new_address"]

    # the source states one again: the package is told, and it is owed no more
    town.say("publik", person("publik", "P-1", **GARANCE), new_address=address("1 rue des Lilas", "publik"))
    assert [street for _, street, _ in told(town) if street] == ["1 rue des Lilas"]


def test_a_load_that_is_taken_back_before_the_telling_tells_nobody(town: Town) -> None:
    report = written(town, *LINES)
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(citizen_links).where(citizen_links.c.origin == f"load:{report.load_id}"))
    catch_up(town)
    assert told(town) == []


def test_a_load_that_told_people_is_taken_back_and_the_right_file_finds_them_as_before(town: Town) -> None:
    """What the hub said again to the package, and what others said since, came by no identifier of the load; what the
    package said did."""
    lines = LINES[1:]
    report = written(town, *lines)
    catch_up(town)
    town.say("publik", person("publik", "P-1", **GARANCE), new_address=address("9 rue Neuve", "publik"))
    town.say("koha", {"references": [{"system": "koha", "id": "K-2"}]}, new_address=address("8 quai Neuf", "koha"))

    *_, done = undo_import(town.ledger, town.links, TOWN, report.load_id, BY, how="load")

    assert dict(done) == {"forgotten": 1, "parted": 1}
    assert numbers(written(town, *lines)) == {"matched": 1, "linked": 1}
    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    assert town.who("koha", "K-2") != town.who("publik", "P-2")
