"""What reads as a NIR is seen and refused, and never repeated."""

from __future__ import annotations

from typing import Any

import pytest

from hub.citizens.nir import looks_like_nir, refuse_nir
from schemas.errors import InvalidMessage


@pytest.mark.parametrize("text", ["1850578006084", "1 85 05 78 006 084 91", "nss:185057800608491", "2690299006123"])
def test_a_number_that_reads_as_a_nir_is_seen(text: str) -> None:
    assert looks_like_nir(text)


@pytest.mark.parametrize(
    "text", ["abonnement-1042", "185057800608436", "C-1001", "9850578006084", "1859978006084", "18505780060841234",
             "550e8400-e29b-41d4-a716-446655440000"],
)  # fmt: skip
def test_other_numbers_are_not(text: str) -> None:
    assert not looks_like_nir(text)


@pytest.mark.parametrize(
    ("person", "pointer"),
    [
        ({"references": [{"system": "a", "id": "x"}, {"system": "b", "id": "1850578006084"}]}, "references/1/id"),
        ({"identity": {"family_name": "Sorbier", "given_names": ["185057800608491"]}}, "identity/given_names"),
    ],
)  # fmt: skip
def test_a_nir_is_refused_at_its_place_and_not_repeated(person: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        refuse_nir(person, "/data/citizen")

    assert (refused.value.code, refused.value.pointer) == ("nir_not_allowed", f"/data/citizen/{pointer}")
    assert "1850578006084" not in str(refused.value)
