"""From every WSDL of the vendors a connector comes at once: it passes `check` and the suite unchanged, and its twin
accepts a call of it. Prints the table: file, operations, accepted calls, fields mapped of fields found."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance.case import Case
from connectors.sdk import Manifest
from connectors.sdk.check import connector_faults
from connectors.sdk.contract.reading import read_contract
from connectors.sdk.drafting.draft import Choices, draft_connector
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.registry import Registry
from tests.contracts.test_openapi_files import CONTRACTS
from tests.contracts.test_wsdl_files import FILES

REGISTRY = Registry.load()
pytestmark = pytest.mark.skipif(not FILES, reason="contracts folder absent")
_ROWS: list[str] = []


@pytest.fixture(scope="module", autouse=True)
def _table() -> Iterator[None]:
    yield
    print("\nfile | operations | accepted calls | mapped of found\n" + "\n".join(_ROWS))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRACTS)))
def test_a_connector_comes_at_once_and_its_call_is_accepted(path: Path, tmp_path: Path) -> None:
    contract = read_contract(path)
    draft, _ = draft_connector("essai", contract, Choices(), tmp_path, REGISTRY)
    manifest = Manifest.load(tmp_path / "essai" / "connector.toml", fields_of)

    assert connector_faults(tmp_path / "essai", REGISTRY, procedure_slugs()) == []
    with conformance.opened_case(manifest) as case:
        accepted = _accepted(case)
    conformance.check(manifest)

    assert accepted
    assert draft.mapped > 0
    place = path.relative_to(CONTRACTS)
    _ROWS.append(f"{place} | {len(contract.operations)} | {accepted} | {draft.mapped} of {draft.found}")


def _accepted(case: Case) -> int:
    """How many of its deliveries, questions and polls the twin answers."""
    connector = case.connect()
    try:
        for delivery in case.deliveries:
            connector.handle(delivery)
        for asked in case.asked:
            connector.answer(asked.question)
        if case.news is not None:
            case.news(1)
            assert [event for polled in connector.poll(None) for event in polled.events]
        return len(case.deliveries) + len(case.asked) + (case.news is not None)
    finally:
        connector.close()
