"""What is said of births and names is read by its meaning, the same for every reader."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.checks import is_partial_date
from schemas.identities import (
    certain_part,
    given_names,
    is_no_name,
    is_presumed,
    partial_date,
    read_identity,
    read_people,
)


@pytest.mark.parametrize(
    ("written", "known"),
    [
        ("1962-00-00", "1962"), ("00/00/1962", "1962"), ("07/1962", "1962-07"), ("1962-07", "1962-07"),
        ("1962-07-00", "1962-07"), ("00/07/1962", "1962-07"), ("00.07.1962", "1962-07"), ("//1962", "1962"),
        ("09/03/1987", "1987-03-09"), ("9/3/1987", "1987-03-09"), ("1987-03-09", "1987-03-09"), ("1987", "1987"),
        ("1987-03-09T00:00:00", "1987-03-09"), ("09/03/1987 00:00", "1987-03-09"), (" 1987 ", "1987"),
        ("1962-00-09", None),  # a day of no month is a slip
        ("0000-00-00", None), ("00/00/0000", None), ("13/1962", None), ("31/02/1987", None), ("09/03/87", None),
        ("09/03/0020", None), ("12/03", None), ("09/03-1987", None), ("vers 1987", None), ("", None), ("1987-", "1987"),
        ("1962-003-09", None), ("١٩٦٢", None),
    ],
)  # fmt: skip
def test_a_date_is_read_as_far_as_it_is_known(written: str, known: str | None) -> None:
    assert partial_date(written) == known


@given(st.text(max_size=12) | st.from_regex(r"[0-9]{0,4}[-/.][0-9]{0,4}[-/.][0-9]{0,4}", fullmatch=True))
def test_whatever_is_written_gives_a_date_or_none(text: str) -> None:
    read = partial_date(text)

    assert read is None or (is_partial_date(read) and partial_date(read) == read)


@pytest.mark.parametrize(
    ("date", "certain"),
    [
        ("1962-01-01", "1962"), ("1962-12-31", "1962"), ("1962-07-01", "1962-07"), ("1962-07-14", "1962-07-14"),
        ("1962-12-30", "1962-12-30"), ("1962-11-30", "1962-11-30"), ("1962-01-31", "1962-01-31"),
    ],
)  # fmt: skip
def test_the_default_dates_of_registers_are_presumed(date: str, certain: str) -> None:
    assert certain_part(date) == certain
    assert is_presumed(date) == (certain != date)


@pytest.mark.parametrize("date", ["1962", "1962-07"])
def test_a_date_that_says_what_it_does_not_know_presumes_nothing(date: str) -> None:
    assert not is_presumed(date)


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (["Angela Claire Louise"], ["Angela", "Claire", "Louise"]),
        (["Angela, Claire,Ida"], ["Angela", "Claire", "Ida"]),
        (["Angela", "Claire"], ["Angela", "Claire"]), (["Jean-Pierre"], ["Jean-Pierre"]), (["D'Arcy"], ["D'Arcy"]),
        (["-"], []), (["SANS PRENOM"], []), (["Sans prénom"], []), (["X"], []), (["Ali X"], ["Ali"]), (["  "], []),
        (["Ali", "-"], ["Ali"]), (["Xavier"], ["Xavier"]), (["Sans"], ["Sans"]), ([], []),
    ],
)  # fmt: skip
def test_given_names_are_parted_in_one_place(told: list[str], names: list[str]) -> None:
    assert given_names(told) == names


def test_what_stands_for_a_name_is_none() -> None:
    assert [name for name in ("SANS NOM", "sans-nom", "X", ".", "Inconnu", "Sanson", "Ix") if is_no_name(name)] == [
        "SANS NOM", "sans-nom", "X", ".", "Inconnu",
    ]  # fmt: skip


KNOWN = {"family_name": "Benzerti", "given_names": ["Ilyès"], "birthdate": "1962"}


@pytest.mark.parametrize(
    ("told", "read"),
    [
        (KNOWN, KNOWN),
        (KNOWN | {"birthplace": "", "preferred_name": " ", "gender": None}, KNOWN),
        (KNOWN | {"birthdate": "00/00/1962"}, KNOWN),
        (KNOWN | {"birthdate": "vers 1962"}, KNOWN | {"birthdate": "vers 1962"}),  # the schema says that it is none
        (KNOWN | {"family_name": ""}, KNOWN | {"family_name": "-"}),
        (KNOWN | {"given_names": [""]}, KNOWN | {"given_names": ["-"]}),
        (KNOWN | {"given_names": ["Ilyès", ""]}, KNOWN),
        ({"family_name": "", "given_names": [], "birthdate": "1962"}, {}),
        ({"given_names": ["Ilyès"]}, {"given_names": ["Ilyès"]}),  # a name that is not even asked for stays missing
    ],
)
def test_a_member_that_says_nothing_is_absent(told: dict[str, Any], read: dict[str, Any]) -> None:
    assert read_identity(told) == read


def test_the_people_of_an_event_are_read_wherever_they_stand_and_nothing_else_is() -> None:
    person = {"identity": KNOWN | {"birthplace": ""}, "references": [{"system": "koha", "id": ""}]}
    data = {"request": {"beneficiaries": [person], "form": {"identity": {"birthplace": ""}}, "procedure": ""}}

    read = read_people(data)

    assert read["request"]["beneficiaries"] == [{"identity": KNOWN, "references": [{"system": "koha", "id": ""}]}]
    assert read["request"]["form"] == {"identity": {"birthplace": ""}}
    assert read["request"]["procedure"] == ""
    assert read_people({"citizen": {"identity": KNOWN}, "x": [1, "", None]}) == {
        "citizen": {"identity": KNOWN},
        "x": [1, "", None],
    }
    assert read_people({"citizen": {"identity": {"family_name": ""}, "email": "a"}})["citizen"]["email"] == "a"
    assert "identity" not in read_people({"citizen": {"identity": {"family_name": "", "given_names": []}}})["citizen"]


def test_what_needs_no_reading_stays_the_same_object_and_nobody_is_looked_for_elsewhere() -> None:
    whole = {"citizen": {"identity": KNOWN}, "household": [{"identity": KNOWN}]}
    pit: Any = {"request": {"procedure": {"citizen": {"identity": {"birthplace": ""}}}}}

    assert read_people(whole) is whole
    assert read_people(pit) is pit
