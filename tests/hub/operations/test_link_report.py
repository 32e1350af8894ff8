"""A file of links is shown line by line before anything is written, and written as it was shown."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.operations import link_import
from hub.operations.link_import import LinkImport, Report
from hub.storage.tables import citizen_links, citizens, household_links
from schemas.errors import InvalidMessage
from tests.hub.citizens.town import TOWN, Town, address, person
from tests.support.town import HEADER

# As a file says her whom `person` tells of.
BLANCHE = "Lœvenbruck;Blanche Marie;female;1991-11-23;93066;"
ODETTE = "GARANCE;Odette;female;1984-03-09;93001;"
KHAN = "KHAN;Mohammad;male;1990-05-17;99213;"


@pytest.fixture
def town(ledger: Ledger) -> Town:
    return Town(ledger)


def one(town: Town, *lines: str, header: str = HEADER) -> LinkImport:
    return LinkImport(town.ledger, town.acceptance, TOWN, header + "".join(f"{line}\n" for line in lines))


def told(report: Report) -> list[tuple[int, str, str]]:
    return [(paired.line, paired.verdict, paired.reason) for paired in report.lines]


def reported(town: Town, *lines: str, **more: Any) -> list[tuple[int, str, str]]:
    return told(one(town, *lines, **more).report())


def kept(town: Town, *lines: str, **more: Any) -> Report:
    return [*one(town, *lines, **more).write()][-1]


def count(town: Town, table: Any) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def test_a_report_pairs_each_line_and_writes_nothing(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    lines = [
        f"{BLANCHE}publik;P-1;", f"{BLANCHE}koha;K-1;", ODETTE + "famille;F-1;", ODETTE + "koha;K-2;",
        "GARANCE;Odette;female;1984-03-08;93001;publik;P-2;", "TREMBLAY;Ilyès;male;1977-02-14;93001;publik;P-1;",
        "TREMBLAY;Ilyès;male;0020;93001;publik;P-3;",
    ]  # fmt: skip

    report = one(town, *lines).report()

    assert told(report) == [
        (2, "matched", "known"), (3, "matched", "likeness"), (4, "new", "nobody"), (5, "matched", "same_line"),
        (6, "doubtful", "likeness"), (7, "contradictory", "other_person"), (8, "refused", "schema_violation"),
    ]  # fmt: skip
    assert report.lines[3].other == 4
    assert (report.lines[4].other, report.lines[6].column) == (4, "birthdate")
    assert dict(report.counts) == {"matched": 3, "doubtful": 1, "new": 1, "contradictory": 1, "refused": 1}
    assert (count(town, citizen_links), count(town, citizens), town.asked()) == (1, 1, [])


def test_what_is_written_is_what_was_shown_and_written_again_it_changes_nothing(town: Town) -> None:
    lines = [
        ODETTE + "famille;F-1;", ODETTE + "koha;K-2;", "GARANCE;Odette;female;1984-03-08;93001;publik;P-2;",
        BLANCHE + "koha;K-1;",
    ]  # fmt: skip
    shown = reported(town, *lines)

    report = kept(town, *lines)
    assert told(report) == shown
    assert town.who("koha", "K-2") == town.who("famille", "F-1")
    assert len(town.asked()) == 1

    assert {verdict for _, verdict, _ in told(kept(town, *lines))} == {"matched"}
    assert (count(town, citizen_links), len(town.asked())) == (4, 1)


# NHSDigital/manage-vaccinations-in-schools#2265: of two people under one number the last line won
def test_two_people_on_one_card_are_both_left_out(town: Town) -> None:
    lines = [BLANCHE + "koha;K-1;", ODETTE + "koha;K-1;", ODETTE + "famille;F-1;"]

    assert reported(town, *lines) == [
        (2, "contradictory", "two_people"), (3, "contradictory", "two_people"), (4, "new", "nobody"),
    ]  # fmt: skip
    assert [each.other for each in kept(town, *lines).lines] == [3, 2, 0]
    assert count(town, citizen_links) == 1


# NHSDigital/manage-vaccinations-in-schools#1922: the same person twice in a file was an error
def test_a_line_said_twice_and_one_spelt_otherwise_are_one(town: Town) -> None:
    lines = [ODETTE + "koha;K-1;", ODETTE + "koha;K-1;", "Garance;ODETTE;female;09/03/1984;93001;koha;K-1;x"]

    assert reported(town, *lines) == [(2, "new", "nobody"), (3, "matched", "repeated"), (4, "matched", "repeated")]
    kept(town, *lines)
    assert count(town, citizens) == 1
    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, town.who("koha", "K-1"))  # the last of the lines says so


# fli-iam/shanoir-ng#3504: an import wrote over an identifier, and nobody saw whose it had been
def test_a_line_that_contradicts_a_link_never_moves_it_nor_what_is_told(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    town.say("koha", person("koha", "K-1"))

    kept(town, ODETTE + "koha;K-1;", ODETTE + "publik;P-9;")

    assert town.who("koha", "K-1") == town.who("publik", "P-1") != town.who("publik", "P-9")
    moved = town.say("publik", {"references": [{"system": "publik", "id": "P-9"}]}, new_address=address("rue X", "p"))
    assert town.to(moved.seq) == []  # her card is not told of another's move


@pytest.mark.parametrize("written", ["01/01/1980", "1/1/1980", "00/00/1980", "1980", "1980-00-00"])
def test_a_date_of_a_spreadsheet_is_read_as_the_door_reads_it_and_breaks_no_later_event(
    town: Town, written: str
) -> None:
    kept(town, f"GARANCE;Odette;female;{written};93001;koha;K-1;")

    verdict = town.say("koha", {"references": [{"system": "koha", "id": "K-1"}]}, email="o@courriel.example")
    assert verdict.outcome == "accepted"
    with town.ledger.reading() as tx:
        known = town.people.identity_of(tx, town.who("koha", "K-1"))
    assert known is None or known["birthdate"] in ("1980", "1980-01-01")


# dannymcc/may#250, tableflowhq/csv-import#243
@pytest.mark.parametrize("written", ["12/31/1980", "45123", "01/01/80", "31 déc. 1980", "1980-13-01"])
def test_a_date_that_nobody_can_read_is_refused_by_its_line(town: Town, written: str) -> None:
    assert reported(town, f"GARANCE;Odette;female;{written};93001;koha;K-1;", ODETTE + "koha;K-2;") == [
        (2, "refused", "schema_violation"), (3, "new", "nobody"),
    ]  # fmt: skip


# sparna-git/xls2rdf#13, ChurchCRM/CRM#4329, seven1m/onebody#673, modoboa/modoboa#650, czue/django-wedding-website#35
@pytest.mark.parametrize("word", ["VRAI", "x", "yes", "O", "oui", "1", "T", "TRUE", "Y", "Oui, menacée"])
def test_each_word_for_yes_marks(town: Town, word: str) -> None:
    kept(town, f"{ODETTE}koha;K-1;{word}")

    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, town.who("koha", "K-1"))


# riasvdv/statamic-data-import#15, commercetools/sphere-node-product-csv-sync#159
@pytest.mark.parametrize("word", ["", "FAUX", "false", "FALSE", "0", "non", "N"])
def test_each_word_for_no_marks_nobody(town: Town, word: str) -> None:
    kept(town, f"{ODETTE}koha;K-1;{word}")

    with town.ledger.reading() as tx:
        assert not town.people.is_confidential(tx, town.who("koha", "K-1"))


def test_an_unknown_word_for_the_mark_is_refused_and_said_to_be_urgent(town: Town) -> None:
    report = one(town, ODETTE + "koha;K-1;peut-être", BLANCHE + "koha;K-2;").report()

    assert (report.lines[0].verdict, report.lines[0].reason, report.lines[0].column) == (
        "refused", "unknown_word", "confidential",
    )  # fmt: skip
    assert report.lost_marks == 1


# react-csv/react-csv#136, pagermon/pagermon#440
def test_a_number_that_a_spreadsheet_has_spoilt_is_refused(town: Town) -> None:
    lines = [
        ODETTE + "koha;1,77E+12;", ODETTE + "koha;1.77E+12;", ODETTE + "koha;0012345;", ODETTE + "koha;12345;",
        BLANCHE + "koha;#REF!;", BLANCHE + "koha;1E5A;",
    ]  # fmt: skip

    assert reported(town, *lines) == [
        (2, "refused", "scientific_number"), (3, "refused", "scientific_number"), (4, "new", "nobody"),
        (5, "refused", "zeros_lost"), (6, "refused", "spreadsheet_error"), (7, "new", "nobody"),
    ]  # fmt: skip
    kept(town, lines[2])
    assert reported(town, lines[3]) == [(2, "refused", "zeros_lost")]


def test_a_social_security_number_is_refused_and_not_shown(town: Town) -> None:
    (line,) = one(town, ODETTE + "koha;184037811602568;").report().lines

    assert (line.verdict, line.reason, line.native_id) == ("refused", "nir_not_allowed", "")


# gopaljilab/Clinical-Insight-Engine#922: hundreds of "unknown patient" became one
def test_people_without_a_name_are_not_one(town: Town) -> None:
    lines = [f"SANS NOM;X;female;1980;;koha;K-{number};" for number in range(3)]

    kept(town, *lines)

    assert len({town.who("koha", f"K-{number}") for number in range(3)}) == 3


# gip-inclusion/rdv-insertion#1978: a package writes zeros behind its numbers
def test_two_numbers_of_one_system_are_two_people_with_a_question(town: Town) -> None:
    lines = [KHAN + "koha;122435;", KHAN + "koha;122435000000000;"]

    report = one(town, *lines).report()
    assert told(report) == [(2, "new", "nobody"), (3, "doubtful", "same_system")]
    assert report.lines[1].other == 2
    kept(town, *lines)

    assert town.who("koha", "122435") != town.who("koha", "122435000000000")
    assert [review.facts["score"] for review in town.asked()] == [85]


@pytest.mark.parametrize("parts", [1, 2])
def test_two_numbers_of_one_system_are_one_person_where_the_file_says_so(town: Town, parts: int) -> None:
    lines = [KHAN + "koha;11;;", KHAN + "koha;12;;oui"]
    header = HEADER.replace("\n", ";same_person\n")

    if parts == 2:
        kept(town, lines.pop(0), header=header)
    assert reported(town, *lines, header=header)[-1][1:] == ("matched", "same_person")
    kept(town, *lines, header=header)

    assert town.who("koha", "11") == town.who("koha", "12")
    assert town.asked() == []


def test_a_column_that_nobody_reads_is_no_file_of_links(town: Town) -> None:
    """It may be the one with the mark."""
    with pytest.raises(InvalidMessage, match="first line"):
        one(town, ODETTE + "koha;K-1;;oui", header=HEADER.replace("\n", ";menace\n"))


# gip-inclusion/rdv-insertion#1881: a CAF number is that of all who live together
def test_a_number_of_a_household_is_kept_beside_each_of_its_people(ledger: Ledger) -> None:
    town = Town(ledger, numbers={"famille": "household"})
    lines = [ODETTE + "famille;77;", "GARANCE;Paul;male;1981-05-06;93001;famille;77;", ODETTE + "koha;K-1;"]

    assert reported(town, *lines) == [(2, "new", "nobody"), (3, "new", "nobody"), (4, "matched", "same_line")]
    kept(town, *lines)
    assert (count(town, household_links), count(town, citizens), count(town, citizen_links)) == (2, 2, 1)


def test_a_failure_half_way_keeps_what_was_told_and_the_rest_follows(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_import, "AT_ONCE", 2)
    lines = [f"NOM{number:02};Odette;female;19{40 + number}-03-09;93001;koha;K-{number};" for number in range(5)]
    noted: list[Any] = []

    def note(tx: Any, facts: Any) -> None:
        noted.append(facts)
        if len(noted) == 2:
            raise InvalidMessage("the disk is full")

    reports: list[int] = []
    writing = one(town, *lines).write(note)
    with pytest.raises(InvalidMessage):
        reports += [report.kept for report in writing]
    assert (reports, count(town, citizen_links)) == ([], 2)
    assert noted[0] == {"import": noted[0]["import"], "from": 2, "to": 3, "kept": 2}

    assert told(kept(town, *lines)) == [
        (2, "matched", "known"), (3, "matched", "known"), (4, "new", "nobody"), (5, "new", "nobody"),
        (6, "new", "nobody"),
    ]  # fmt: skip


def test_a_long_file_is_compared_with_itself_by_the_very_same_identity(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_import, "IN_MIND", 2)
    lines = [ODETTE + "koha;K-1;", BLANCHE + "koha;K-2;", ODETTE + "famille;F-1;", BLANCHE + "koha;K-2;"]

    assert reported(town, *lines) == [
        (2, "new", "nobody"), (3, "new", "nobody"), (4, "matched", "same_line"), (5, "matched", "repeated"),
    ]  # fmt: skip
