"""A package joins a living town: its people are paired with those who are known, and nobody becomes known by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import func, select, update

from bus.ledger import Ledger
from connectors.sdk import find_manifests
from hub.citizens.pending import PendingPairs
from hub.operations import first_load
from hub.operations.first_load import FirstLoad, LoadReport, PackageFile, find_load, listed_people, withdraw_pairs
from hub.operations.import_undo import undo_import
from hub.operations.pairing_later import PairingLater
from hub.storage.tables import citizen_links, citizens, journal, loads, pending_blocks, pending_pairs
from schemas.delivery import Listed, RecordFault
from schemas.errors import InvalidMessage, TryLater
from tests.hub.citizens.town import BY, TOWN, Town, person

KOHA = f"{TOWN}.koha"
COLUMNS = "family_name;given_names;gender;birthdate;birthplace;id;confidential\n"
BLANCHE = "Lœvenbruck;Blanche Marie;female;1991-11-23;93066;"
ODETTE = "GARANCE;Odette;female;1984-03-09;93001;"
PIERRE = "SORBIER;Pierre;male;1972-05-17;93001;"
AIPD = "AIPD-2026-04"


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def pending_of(town: Town) -> PendingPairs:
    return PendingPairs(town.people, b"p" * 32)


def load(town: Town, *lines: str, connection: str = KOHA, days: int = 180) -> FirstLoad:
    content = (COLUMNS + "".join(f"{line}\n" for line in lines)).encode()
    people = PackageFile(town.acceptance, connection, content)
    return FirstLoad(town.ledger, town.acceptance, pending_of(town), connection, people, days=days)


def written(town: Town, *lines: str, **more: Any) -> LoadReport:
    *_, report = load(town, *lines, **more).write(AIPD, "odile", lambda tx, facts: None)
    return report


def later(town: Town) -> dict[str, int]:
    looking = PairingLater(town.ledger, town.acceptance, pending_of(town), town.reviews._journal)
    return {name: number for name, number in looking.look().items() if number}


def counted(town: Town, table: Any) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def numbers(report: LoadReport) -> dict[str, int]:
    return {verdict: number for verdict, number in report.counts.items() if number}


def test_a_report_says_whom_a_package_knows_and_writes_nothing(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-7", family_name="Garance", given_names=["Odette"], birthdate="1984-03-09",
                            birthplace="93001"))  # fmt: skip
    before = counted(town, citizen_links), counted(town, citizens)

    report = load(
        town, BLANCHE + "K-1;", ODETTE + "K-7;", PIERRE + "K-2;", BLANCHE.replace("11-23", "11-24") + "K-3;",
        PIERRE + "K-7;", PIERRE.replace("1972-05-17", "0072-05-17") + "K-4;",
    ).report()  # fmt: skip

    assert numbers(report) == {
        "matched": 1, "linked": 1, "doubtful": 1, "unmatched": 1, "contradictory": 1, "refused": 1,
    }  # fmt: skip
    assert [(one.line, one.verdict) for one in report.lines] == [
        (5, "doubtful"), (6, "contradictory"), (7, "refused"),
    ]  # fmt: skip
    assert (counted(town, citizen_links), counted(town, citizens)) == before
    assert counted(town, pending_pairs) == counted(town, loads) == 0


def test_a_load_links_who_is_known_and_makes_nobody_a_citizen(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    report = written(town, BLANCHE + "K-1;", PIERRE + "K-2;")

    assert numbers(report) == {"matched": 1, "unmatched": 1}
    assert town.who("koha", "K-1") == town.who("publik", "P-1")
    with town.ledger.reading() as tx:
        row = tx.sql.execute(select(citizen_links).where(citizen_links.c.native_id == "K-1")).one()
    assert (row.how, row.origin) == ("load", f"load:{report.load_id}")
    with town.ledger.reading() as tx:
        people = tx.sql.execute(select(citizens.c.id).where(citizens.c.merged_into.is_(None))).scalars().all()
    assert people == [town.who("publik", "P-1")]
    assert counted(town, pending_pairs) == 1


def test_a_load_of_a_household_system_pairs_by_identity_alone(ledger: Ledger) -> None:
    town = Town(ledger, numbers={"famille": "household"})
    town.say("publik", person("publik", "P-1"))
    report = written(town, BLANCHE + "F-1;", PIERRE + "F-1;", connection=f"{TOWN}.famille")
    assert numbers(report) == {"matched": 1, "unmatched": 1}
    assert counted(town, citizen_links) == 1  # the number of a household names nobody


# A pair that waits


def test_a_pending_pair_is_nowhere_in_plain(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    with town.ledger.reading() as tx:
        rows = [*tx.sql.execute(select(pending_pairs)), *tx.sql.execute(select(pending_blocks))]
    said = repr([[bytes(v) if isinstance(v, memoryview) else v for v in row] for row in rows]).casefold()
    assert "sorbier" not in said
    assert "pierre" not in said
    assert "k-2" not in said
    assert "1972" not in said


def test_somebody_who_becomes_known_later_is_linked_by_himself(town: Town) -> None:
    report = written(town, PIERRE + "K-2;", ODETTE + "K-3;")
    assert later(town) == {}
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip

    assert later(town) == {"matched": 1}

    assert town.who("koha", "K-2") == town.who("publik", "P-9")
    assert counted(town, pending_pairs) == 1
    assert later(town) == {}
    with town.ledger.reading() as tx:
        row = tx.sql.execute(select(citizen_links).where(citizen_links.c.native_id == "K-2")).one()
    assert (row.how, row.origin) == ("load", f"load:{report.load_id}")


def test_an_identity_that_is_completed_later_finds_its_pair(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate=None, birthplace=None, birthcountry=None))  # fmt: skip
    assert later(town) == {}
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    assert later(town) == {"matched": 1}


def test_who_is_only_alike_is_a_question_and_no_link(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-18", birthplace="93001", birthcountry=None))  # fmt: skip
    assert later(town) == {"doubtful": 1}
    assert len(town.asked()) == 1
    assert town.who("koha", "K-2") != town.who("publik", "P-9")
    assert later(town) == {}


def test_a_stranger_of_the_same_name_leaves_a_pair_waiting_and_is_not_compared_again(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="2001-08-30", birthplace="59350", birthcountry=None))  # fmt: skip
    later(town)
    assert counted(town, pending_pairs) == 1
    with town.ledger.reading() as tx:
        assert pending_of(town).look(tx, "", 100).met == {}


def test_an_identifier_that_another_was_given_meanwhile_is_not_taken_from_him(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    town.say("koha", person("koha", "K-2"))  # the package gave the number to somebody else
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    assert later(town) == {"contradictory": 1}
    assert town.who("koha", "K-2") != town.who("publik", "P-9")


def test_two_records_of_one_identity_are_one_link_and_one_question(town: Town) -> None:
    written(town, PIERRE + "K-2;", PIERRE + "K-3;")
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    assert later(town) == {"matched": 1, "doubtful": 1}
    assert len(town.asked()) == 1


def test_a_mark_of_a_pending_pair_holds_once_its_person_is_known(town: Town) -> None:
    report = written(town, PIERRE + "K-2;oui")
    assert report.marked == 1
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    later(town)
    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, town.who("publik", "P-9"))


def test_pairs_whose_digests_an_older_version_made_are_found_again(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    with town.ledger.transaction() as tx:
        tx.sql.execute(update(pending_pairs).values(pivot="0" * 64, made_of=0))
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    assert later(town) == {"matched": 1}


def test_pairs_of_a_connection_that_is_no_more_are_forgotten(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    with town.ledger.transaction() as tx:
        tx.sql.execute(update(pending_pairs).values(connection=f"{TOWN}.parti"))
    assert later(town) == {"removed": 1}
    assert counted(town, pending_pairs) == counted(town, pending_blocks) == 0


# Stopped, repeated, undone


def test_nothing_is_written_without_an_impact_assessment(town: Town) -> None:
    for reference in ("", "  ", "x" * 201, "AIPD\x07"):
        with pytest.raises(InvalidMessage) as refusal:
            next(load(town, PIERRE + "K-2;").write(reference, "odile", lambda tx, facts: None))
        assert refusal.value.code == "assessment_missing"
    assert counted(town, loads) == counted(town, pending_pairs) == 0


def test_a_load_that_was_killed_goes_on_under_its_id_and_counts_nobody_twice(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_load, "AT_ONCE", 1)
    town.say("publik", person("publik", "P-1"))
    lines = BLANCHE + "K-1;", PIERRE + "K-2;", ODETTE + "K-3;"
    stopped = next(load(town, *lines).write(AIPD, "odile", lambda tx, facts: None))
    first = stopped.load_id

    report = written(town, *lines)

    assert report.load_id == first
    assert numbers(report) == {"matched": 1, "unmatched": 2}
    assert counted(town, loads) == 1
    again = written(town, *lines)
    assert again.load_id != first
    assert numbers(again) == {"linked": 1, "unmatched": 2}
    assert counted(town, pending_pairs) == 2


def test_a_part_whose_commit_fails_leaves_nothing(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_load, "AT_ONCE", 1)

    def note(tx: Any, facts: Any) -> None:
        if facts.get("reached") == 2:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        [*load(town, ODETTE + "K-3;", PIERRE + "K-2;").write(AIPD, "odile", note)]
    assert counted(town, pending_pairs) == 1
    assert numbers(written(town, ODETTE + "K-3;", PIERRE + "K-2;")) == {"unmatched": 2}


def test_two_processes_do_not_write_one_load_at_once(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_load, "AT_ONCE", 1)
    lines = ODETTE + "K-3;", PIERRE + "K-2;"
    one, other = (load(town, *lines).write(AIPD, "odile", lambda tx, facts: None) for _ in range(2))
    next(one)
    next(other)  # takes over where the first one is
    with pytest.raises(InvalidMessage) as refusal:
        next(one)
    assert refusal.value.code == "load_running"


def test_a_load_is_taken_back_as_one(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    report = written(town, BLANCHE + "K-1;", PIERRE + "K-2;")

    gone = sum(withdraw_pairs(town.ledger, pending_of(town), KOHA, report.load_id))
    *_, done = undo_import(town.ledger, town.links, TOWN, report.load_id, BY, how="load")

    assert (gone, dict(done)) == (1, {"forgotten": 1, "parted": 0})
    assert counted(town, pending_pairs) == counted(town, pending_blocks) == 0
    with pytest.raises(Exception, match="No row was found"):
        town.who("koha", "K-1")
    with town.ledger.reading() as tx:
        assert find_load(tx, KOHA, report.load_id).undone_at is not None
        with pytest.raises(InvalidMessage):
            find_load(tx, f"{TOWN}.famille", report.load_id)
    assert numbers(written(town, BLANCHE + "K-1;", PIERRE + "K-2;")) == {"matched": 1, "unmatched": 1}


def test_who_was_linked_by_likeness_is_so_again_after_a_load_was_taken_back(town: Town) -> None:
    town.say("publik", person("publik", "P-1", family_name="Kermarec", given_names=["Yan"], gender="male",
                              birthdate="1979-06-14", birthplace="93001", birthcountry=None))  # fmt: skip
    line = "Kermarec;Yann;male;1979-06-14;93001;K-1;"
    report = written(town, line)
    assert town.who("koha", "K-1") == town.who("publik", "P-1")

    [*undo_import(town.ledger, town.links, TOWN, report.load_id, BY, how="load")]

    assert counted(town, citizens) == 1
    assert numbers(written(town, line)) == {"matched": 1}
    assert town.who("koha", "K-1") == town.who("publik", "P-1")


def test_a_load_that_is_taken_back_in_the_middle_writes_no_more(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_load, "AT_ONCE", 1)
    writing = load(town, ODETTE + "K-3;", PIERRE + "K-2;").write(AIPD, "odile", lambda tx, facts: None)
    first = next(writing)
    [*withdraw_pairs(town.ledger, pending_of(town), KOHA, first.load_id)]
    with pytest.raises(InvalidMessage) as refusal:
        next(writing)
    assert refusal.value.code == "load_undone"
    assert counted(town, pending_pairs) == 0


def test_what_was_linked_later_is_taken_back_with_its_load(town: Town) -> None:
    report = written(town, PIERRE + "K-2;")
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    later(town)
    *_, done = undo_import(town.ledger, town.links, TOWN, report.load_id, BY, how="load")
    assert dict(done) == {"forgotten": 1, "parted": 0}


def test_a_pair_past_its_time_is_not_linked(town: Town) -> None:
    written(town, PIERRE + "K-2;", days=0)
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    assert later(town) == {}


def test_a_file_of_another_form_is_refused_as_a_whole(town: Town) -> None:
    for content in (b"nom;prenom\n", COLUMNS.replace("id;", "system;id;").encode(), COLUMNS.encode("utf-16")):
        with pytest.raises(InvalidMessage) as refusal:
            PackageFile(town.acceptance, KOHA, content)
        assert refusal.value.code == "not_a_link_file"


def test_what_is_paired_later_stands_in_the_journal_without_a_name(town: Town) -> None:
    written(town, PIERRE + "K-2;")
    town.say("publik", person("publik", "P-9", family_name="Sorbier", given_names=["Pierre"], gender="male",
                              birthdate="1972-05-17", birthplace="93001", birthcountry=None))  # fmt: skip
    later(town)
    with town.ledger.reading() as tx:
        lines = [str(row) for row in tx.sql.execute(select(journal)) if "load.paired-later" in str(row)]
    assert len(lines) == 1
    assert "Sorbier" not in lines[0]


# What others met


# ushahidi/platform#1843, KingdomFirst/Excavator#83: a part that fails is neither kept by half nor passed over
def test_the_load_goes_on_at_the_part_that_failed(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_load, "AT_ONCE", 2)
    lines = [ODETTE.replace("GARANCE", name) + f"K-{number};" for number, name in enumerate(("Aulne", "Buis", "Cade",
             "Daphné", "Érable"))]  # fmt: skip
    failing = iter((False, False, True))  # the first commit begins the load

    def note(tx: Any, facts: Any) -> None:
        if next(failing, True):
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        [*load(town, *lines).write(AIPD, "odile", note)]
    assert counted(town, pending_pairs) == 2
    assert numbers(written(town, *lines)) == {"unmatched": 5}
    assert counted(town, pending_pairs) == 5


# SEED-platform/seed#513, teableio/teable#1828: an identifier is a text
def test_an_identifier_keeps_its_zeros_and_one_that_lost_them_is_refused(town: Town) -> None:
    town.say("koha", person("koha", "0042", birthcountry=None))
    report = load(town, BLANCHE + "42;", PIERRE + "007;").report()
    assert numbers(report) == {"refused": 1, "unmatched": 1}
    assert [one.reason for one in report.lines] == ["zeros_lost"]
    written(town, PIERRE + "007;")
    with town.ledger.reading() as tx:
        pairs = pending_of(town)
        (found,) = pairs.read(tx, [pairs.id_of(KOHA, "koha", "007")])
    assert found.person["references"][0]["id"] == "007"


# calpaterson/csvbase#11: a column of numbers in which one is missing is written with decimals
@pytest.mark.parametrize("written_as", ["1042.0", "1042,0"])
def test_an_identifier_that_got_a_decimal_is_refused(town: Town, written_as: str) -> None:
    town.say("publik", person("publik", "P-1"))
    report = load(town, f"{BLANCHE}{written_as};").report()
    assert [(one.verdict, one.reason) for one in report.lines] == [("refused", "decimal_number")]


# tbar0970/jethro-pmm#1002: several lines of one person; which of the numbers is meant, nobody knows
def test_two_numbers_of_a_package_for_one_person_are_one_link_and_one_question(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    report = load(town, BLANCHE + "K-1;", BLANCHE + "K-2;").report()
    assert numbers(report) == {"matched": 1, "doubtful": 1}
    assert [one.reason for one in report.lines] == ["same_system"]


# encontradosco/encontrados#150, CodeForPhilly/paws-data-pipeline#308: who is only like somebody is not them
@pytest.mark.parametrize(("other", "verdict"), [
    (BLANCHE.replace("Blanche Marie", "Rose"), "unmatched"), (BLANCHE.replace("1991", "1990"), "doubtful"),
    (BLANCHE.replace("female", "male"), "doubtful"),
])  # fmt: skip
def test_a_twin_or_a_namesake_is_not_taken_for_who_is_known(town: Town, other: str, verdict: str) -> None:
    town.say("publik", person("publik", "P-1"))
    assert numbers(written(town, other + "K-9;")) == {verdict: 1}
    assert town.who("publik", "P-1") not in linked_to(town, "K-9")


def linked_to(town: Town, native: str) -> list[str]:
    with town.ledger.reading() as tx:
        query = select(citizen_links.c.citizen_id).where(citizen_links.c.native_id == native)
        return list(tx.sql.execute(query).scalars())


# madrecha/jamku#923, t-markmann/nc-userimporter#26: the same record twice, in one file or in two
def test_the_same_record_twice_is_one_pair_or_one_link(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    lines = BLANCHE + "K-1;", BLANCHE + "K-1;", PIERRE + "K-2;", PIERRE + "K-2;"
    assert numbers(written(town, *lines)) == {"matched": 1, "linked": 1, "unmatched": 2}
    written(town, *lines, ODETTE + "K-3;")
    assert counted(town, pending_pairs) == 2
    with town.ledger.reading() as tx:
        linked = select(citizen_links.c.native_id).where(citizen_links.c.system == "koha")
        assert tx.sql.execute(linked).scalars().all() == ["K-1"]


# webhookdb/webhookdb#793: a list that breaks off in the middle is no list
def test_a_list_that_breaks_off_loads_nobody(town: Town) -> None:
    class Library:
        name, manifest = KOHA, find_manifests()["koha"]

        def people(self) -> Iterator[Listed]:
            yield Listed([person("koha", "K-1")])
            raise TryLater("la bibliothèque ne répond plus")

    with pytest.raises(TryLater):
        listed_people(town.acceptance, Library())
    assert counted(town, loads) == counted(town, pending_pairs) == 0


def test_a_listed_person_is_held_to_what_a_line_of_a_file_must_say(town: Town) -> None:
    without = person("koha", "K-2", birthdate=None)
    nir = person("koha", "1850578006084")

    class Library:
        name, manifest = KOHA, find_manifests()["koha"]

        def people(self) -> Iterator[Listed]:
            yield Listed([person("koha", "K-1"), without, nir, {}], [RecordFault("not_a_text", "/0", "", "207")])

    people = listed_people(town.acceptance, Library())
    report = FirstLoad(town.ledger, town.acceptance, pending_of(town), KOHA, people, days=1).report()
    assert numbers(report) == {"unmatched": 1, "refused": 4}
    assert "1850578006084" not in str(report.lines)


def test_a_package_that_cannot_be_asked_is_told_so_at_once(town: Town) -> None:
    class Mail:
        name, manifest = KOHA, find_manifests()["mail"]

        def people(self) -> Iterator[Listed]:
            raise AssertionError("it was asked")

    with pytest.raises(InvalidMessage) as refusal:
        listed_people(town.acceptance, Mail())
    assert refusal.value.code == "no_people_list"
