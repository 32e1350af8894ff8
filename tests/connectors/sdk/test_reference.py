"""docs/kit.md says what the docstrings say."""

from __future__ import annotations

from pathlib import Path

from connectors.sdk.reference import page

PAGE = Path(__file__).resolve().parents[3] / "docs" / "kit.md"


def test_the_page_of_the_kit_is_what_its_docstrings_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m connectors.sdk.reference > docs/kit.md"


def test_everything_on_the_page_says_what_it_is_for() -> None:
    parts = page().split("\n### ")[1:]

    assert [part.split("\n")[0] for part in parts if not part.split("\n", 1)[1].strip("\n -`").strip()] == []
