"""JSON as other software writes it."""

from __future__ import annotations

import pytest

from schemas.json_text import parse_json, parse_mended_json


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'["\ud83d"]', ["�"]),
        (rb'["a\udE00b"]', ["a�b"]),
        (rb'["\ud83d\ude00"]', ["\N{GRINNING FACE}"]),
        (rb'["\ud83d\ud83d\ude00"]', ["�\N{GRINNING FACE}"]),
        (rb'["\\ud83d", "\ud83d"]', ["\\ud83d", "�"]),
        (rb'["\\\ud83d"]', ["\\�"]),
        (b'\xef\xbb\xbf["\\ud83d"]', ["�"]),
    ],
)
def test_half_a_pair_of_surrogates_hides_no_other_value(text: bytes, value: object) -> None:
    assert parse_mended_json(text) == value


@pytest.mark.parametrize("text", [rb'["\ud83d"', rb"\ud83d", b'["\xed\xa0\xbd"]', b""])
def test_what_is_no_json_stays_none(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_mended_json(text)


def test_what_is_told_to_the_hub_itself_is_not_mended() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        parse_json(rb'["\ud83d"]')
