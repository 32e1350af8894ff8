"""Letters that an encoding does not know."""

from __future__ import annotations

import pytest

from connectors.sdk.letters import is_held, nearest


@pytest.mark.parametrize(
    ("text", "encoding", "near"),
    [
        ("Łódź", "iso-8859-1", "Lódz"), ("Cœur", "cp1252", "Cœur"), ("Cœur", "iso-8859-1", "Coeur"),
        ("Şafak Ğ", "cp1252", "Safak G"), ("1 000 €", "ascii", "1 000 EUR"), ("木", "cp1252", "木"),
    ],
)  # fmt: skip
def test_a_letter_is_changed_only_where_the_encoding_lacks_it(text: str, encoding: str, near: str) -> None:
    assert nearest(text, encoding) == near


def test_what_has_no_nearest_letter_is_found() -> None:
    assert not is_held(nearest("木", "cp1252"), "cp1252")
    assert is_held("Élise", "cp1252")
