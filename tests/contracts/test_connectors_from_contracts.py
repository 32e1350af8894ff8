"""A connector comes at once out of every OpenAPI and Swagger file of the vendors, and out of a sample of JSON: it
passes `check` and the whole suite as it is written, and its twin takes what it calls.

Run with `-s` (or `-rA`) to see the table: file, operations, accepted calls, fields mapped of fields found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance.case import Case
from connectors.sdk.check import connector_faults
from connectors.sdk.drafting.draft import Choices, Draft, contract_at, draft_connector
from connectors.sdk.mapping import fields_of
from schemas.manifest import Manifest
from schemas.registry import Registry
from tests.contracts.test_openapi_files import CONTRACTS, openapi_files

SAMPLE = CONTRACTS / "geo-adresse" / "sample-search-200.json"
FILES = [*openapi_files(), *([SAMPLE] if SAMPLE.exists() else [])]
_PROCEDURES = ("formulaire-qf",)
_ROWS: list[str] = []
pytestmark = pytest.mark.skipif(not FILES, reason="contracts folder absent")


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    """Print the table when all files are through."""
    yield
    print("\n" + "\n".join(["file | operations | accepted calls | mapped of found | tier | what it does", *_ROWS]))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRACTS)))
def test_a_connector_drafted_from_the_file_passes_as_it_is(path: Path, tmp_path: Path) -> None:
    slug = "d_" + re.sub(r"\W+", "_", path.parent.name.lower())[:20]
    registry = Registry.load()

    with contract_at(path, Choices()) as contract:
        operations = len(contract.operations)
        draft, _ = draft_connector(slug, contract, Choices(), tmp_path, registry)
    faults = connector_faults(tmp_path, registry, _PROCEDURES)
    manifest = Manifest.load(tmp_path / slug / "connector.toml", fields_of)
    outcome = conformance.examine(manifest)
    accepted = accepted_calls(manifest)

    _ROWS.append(_row(path, operations, accepted, draft, outcome.tier))
    assert [str(fault) for fault in faults] == []
    assert list(outcome.faults) == []
    assert accepted >= 1


def accepted_calls(manifest: Manifest) -> int:
    """How many calls the twin took: each delivery that it has the effect of, each question that it answered, each page
    that news came from."""
    with conformance.opened_case(manifest) as case:
        assert case.effects is not None
        return sum(_delivered(case)) + sum(_answered(case)) + sum(_polled(case))


def _delivered(case: Case) -> Iterator[int]:
    connector = case.connect()
    for delivery in case.deliveries:
        before, calls = str(case.effects() if case.effects else None), len(case.twin.operations)
        connector.handle(delivery)
        yield int(len(case.twin.operations) > calls and str(case.effects() if case.effects else None) != before)
    connector.close()


def _answered(case: Case) -> Iterator[int]:
    connector = case.connect()
    for asked in case.asked:
        calls = len(case.twin.operations)
        evidence = connector.answer(asked.question)
        yield int(len(case.twin.operations) > calls and bool(evidence.values))
    connector.close()


def _polled(case: Case) -> Iterator[int]:
    if case.news is None:
        return
    connector = case.connect()
    case.news(1)
    yield int(any(polled.events for polled in connector.poll(None)))
    connector.close()


def _row(path: Path, operations: int, accepted: int, draft: Draft, tier: str) -> str:
    mapped = f"{draft.mapped} of {draft.found}"
    return f"{path.relative_to(CONTRACTS)} | {operations} | {accepted} | {mapped} | {tier} | {'; '.join(draft.does)}"
