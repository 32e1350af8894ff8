"""What is a NIR is seen and refused, and never repeated; what may be one is a question about its system."""

from __future__ import annotations

from typing import Any

import pytest

from hub.citizens.nir import doubtful_systems, looks_like_nir, may_be_nir, refuse_nir, without_doubtful
from schemas.errors import InvalidMessage


def keyed(number: str) -> str:
    return f"{number}{97 - int(number.replace('2A', '19').replace('2B', '18')) % 97:02}"


WIDE, ARABIC = ({48 + digit: first + digit for digit in range(10)} for first in (0xFF10, 0x660))

# Born in a month that the act does not tell, in Algeria or a protectorate, in Corsica, overseas, abroad.
NUMBERS = [
    "1850578006084", "2690299006123", "1622093066012", "1624293066012", "1625093066012", "1629993066012",
    "1620796351012", "1620791352012", "185052B033084", "185052A004084", "1850597411084",
    "1850520004084", "3850599350084", "7850578006084",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_with_its_key_is_seen_and_without_its_key_it_may_be_one(number: str) -> None:
    assert looks_like_nir(keyed(number))
    assert not may_be_nir(keyed(number))
    assert may_be_nir(number)
    wrong = keyed(number)[:-2] + f"{int(keyed(number)[-2:]) % 97 + 1:02}"
    assert not looks_like_nir(wrong)
    assert not may_be_nir(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "1 85 05 78 006 084 91", "nss:185057800608491", "185.05.78.006.084-91", "1\u202f850578006084\u202f91",
        "1850578006084\u201391", "1850578006084\u200b91", "185057800608491".translate(WIDE),
        "185057800608491".translate(ARABIC),
    ],
)  # fmt: skip
def test_a_number_is_seen_however_it_is_spaced(text: str) -> None:
    assert looks_like_nir(text)


@pytest.mark.parametrize(
    "text",
    [
        "abonnement-1042", "185057800608436", "C-1001", "9850578006084", "18505780060841234", "1621378006084",
        "1624378006084", "1850578000084", "1850500006084", "1850578006000", "550e8400-e29b-41d4-a716-446655440000",
        "018505780060849118505780060849ab", "a1850578-0060-8491-a716-446655440000", "185057800608491-2",
        "2026-185057800608491",
    ],
)  # fmt: skip
def test_other_numbers_are_not_and_neither_is_a_part_of_one(text: str) -> None:
    assert not looks_like_nir(text)
    assert not may_be_nir(text)


CLOCK = "1770712345678"  # milliseconds since 1970
ASKED: dict[str, Any] = {"references": [{"system": "portail", "id": CLOCK}, {"system": "koha", "id": "K-1"}]}


@pytest.mark.parametrize(
    ("person", "pointer"),
    [
        ({"references": [{"system": "a", "id": "x"}, {"system": "b", "id": "185057800608491"}]}, "references/1/id"),
        ({"references": [{"system": "nirs", "id": CLOCK}]}, "references/0/id"),
        ({"identity": {"family_name": "Sorbier", "given_names": ["185057800608491"]}}, "identity/given_names"),
        ({"identity": {"family_name": "Sorbier 1850578006084", "given_names": ["A"]}}, "identity/family_name"),
    ],
)  # fmt: skip
def test_a_nir_is_refused_at_its_place_and_not_repeated(person: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        refuse_nir(person, "/data/citizen", {"nirs": "nir"})

    assert (refused.value.code, refused.value.pointer) == ("nir_not_allowed", f"/data/citizen/{pointer}")
    assert "1850578006084" not in str(refused.value)


def test_a_number_of_which_nobody_can_tell_is_refused_to_no_one() -> None:
    refuse_nir(ASKED, "/data/citizen", {})
    refuse_nir(ASKED, "/data/citizen", {"portail": "own"})


def test_until_the_town_answered_such_a_number_is_taken_out_and_afterwards_it_stays() -> None:
    data = {
        "request": {"references": [{"system": "portail", "id": CLOCK}], "beneficiaries": [ASKED]},
        "form": {"n": CLOCK},
    }

    assert doubtful_systems(ASKED, {}) == {"portail"}
    assert without_doubtful(data, {}, "/data") == {
        "request": {
            "references": [{"system": "portail", "id": CLOCK}],  # of a request, not of a person
            "beneficiaries": [{"references": [{"system": "koha", "id": "K-1"}]}],
        },
        "form": {"n": CLOCK},
    }
    assert doubtful_systems(ASKED, {"portail": "own"}) == set()
    assert without_doubtful(data, {"portail": "own"}, "/data") == data


def test_whom_nothing_else_names_waits_for_the_answer() -> None:
    with pytest.raises(InvalidMessage) as refused:
        without_doubtful({"citizen": {"references": [{"system": "portail", "id": CLOCK}]}}, {}, "/data")

    assert (refused.value.code, refused.value.pointer) == ("nir_not_allowed", "/data/citizen/references/0/id")
    assert CLOCK not in str(refused.value)
