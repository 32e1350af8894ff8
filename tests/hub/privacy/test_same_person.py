"""Whether a record of which nobody keeps an identifier is about somebody: the place of birth by its meaning."""

from __future__ import annotations

from typing import Any

import pytest

from hub.privacy.rights import DataSubject

BORN: dict[str, Any] = {
    "family_name": "Sorbier", "given_names": ["Blanche"], "birthdate": "1951-11-23", "birthplace": "75044",
    "birthcountry": "99100",
}  # fmt: skip
SUBJECT = DataSubject("saint-aubin", ("c-1",), frozenset(), (BORN,), frozenset())


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({}, True), ({"birthplace": "92044"}, True), ({"birthplace": None}, True), ({"birthplace": "92050"}, False),
        ({"birthplace": None, "birthcountry": "99352"}, False), ({"birthdate": "1951-11-24"}, False),
    ],
)  # fmt: skip
def test_a_record_with_the_code_of_today_is_about_the_same_person(changed: dict[str, Any], same: bool) -> None:
    told = {name: part for name, part in (BORN | changed).items() if part is not None}

    assert SUBJECT.names({"identity": told}) == same
