"""Which character of a document no text of ours may hold, and where it stands."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.checks import unfit_character


def found(document: Any) -> tuple[str, str] | None:
    return unfit_character(document, orjson.dumps(document))


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"a": "x\x00"}, ("/a", "U+0000")),
        ({"a": ["x", {"b/c": "l\x92Église"}]}, ("/a/1/b~1c", "U+0092")),
        ({"a": 1, "b\x85": 2}, ("", "U+0085")),
        ({"a": "\\\x00"}, ("/a", "U+0000")),
        ({"many": [{"n": n} for n in range(500)] + ["\x80"]}, ("/many/500", "U+0080")),
    ],
)
def test_it_is_named_with_its_place(document: Any, place: tuple[str, str]) -> None:
    assert found(document) == place


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "é\u00a0À", "\u20ac", "\u2019", "", "\\" * 1000])
def test_what_only_looks_like_one_passes(text: str) -> None:
    assert found({"a": text, text: [text]}) is None


def test_below_sixteen_levels_the_part_that_holds_it_is_named() -> None:
    document: Any = "\x81"
    for _ in range(40):
        document = {"a": document}

    assert found(document) == ("/a" * 16, "U+0000 or U+0080 to U+009F")
