"""The suite over every connector that is installed, and the page that says what it found."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance import Outcome
from connectors.conformance.page import cells, page
from connectors.sdk import find_manifests

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
def test_the_page_says_of_a_connector_what_the_suite_found(slug: str) -> None:
    written = cells(page([(find_manifests()[slug], outcome_of(slug))]))

    assert {key: cell for key, cell in written.items() if key[0] == slug} == of_page(slug)


def test_every_connector_is_on_the_page_and_no_other() -> None:
    tiers = {first for heading, first, _ in cells(PAGE.read_text("utf-8")) if heading == "Tiers"}

    assert tiers == set(find_manifests())


def of_page(slug: str) -> Mapping[tuple[str, str, str], str]:
    return {key: cell for key, cell in cells(PAGE.read_text("utf-8")).items() if key[0] == slug}
