"""The suite over every connector that is installed, and the pages that say what it found."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance import Outcome
from connectors.conformance.page import cells, general_page, page
from connectors.sdk import find_manifests
from connectors.sdk.recorded import FILE, recorded_tier

PAGE = Path(__file__).resolve().parents[2] / "docs" / "connectors-outcomes.md"


@cache
def outcome_of(slug: str) -> Outcome:
    return conformance.examine(find_manifests()[slug])


@pytest.mark.parametrize("slug", find_manifests())
def test_a_connector_keeps_every_promise_and_its_tier_is_computed(slug: str) -> None:
    outcome = outcome_of(slug)

    assert outcome.faults == ()
    assert outcome.tier == "gold"


@pytest.mark.parametrize("slug", find_manifests())
def test_the_page_of_a_connector_says_what_the_suite_found(slug: str) -> None:
    manifest = find_manifests()[slug]
    written = (manifest.folder / FILE).read_text(encoding="utf-8")

    assert cells(written) == cells(page(manifest, outcome_of(slug)))
    assert recorded_tier(manifest.folder) == outcome_of(slug).tier


def test_the_page_of_the_words_and_the_rules_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == general_page()
