"""Every WSDL of the contracts, read in place."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.sdk.contract.reading import read_contract
from tests.contracts.test_openapi_files import CONTRACTS

FILES = sorted(path for path in CONTRACTS.rglob("*.wsdl") if "standards" not in path.parts)
pytestmark = pytest.mark.skipif(not FILES, reason="contracts folder absent")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRACTS)))
def test_every_operation_is_read_with_what_it_asks_and_gives(path: Path) -> None:
    contract = read_contract(path)

    assert contract.kind == "soap"
    assert contract.operations
    for operation in contract.operations:
        for fields in (operation.asks, operation.gives):
            places = [one.place for one in fields]
            assert len(places) == len(set(places)), operation.name
