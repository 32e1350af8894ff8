"""Every OpenAPI and Swagger file of the vendors can be read, where those files are."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from connectors.sdk.contract.openapi import openapi_document, operations_of
from connectors.sdk.contract.reading import read_contract

_BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS", _BESIDE)).resolve()
_FIRST = re.compile(r"""^\s*\{?\s*["']?(openapi|swagger)["']?\s*:""", re.MULTILINE)


def openapi_files() -> list[Path]:
    """Those that say what they are in their first lines, the standards' own apart."""
    found = [path for kind in ("json", "yaml", "yml") for path in CONTRACTS.rglob(f"*.{kind}")]
    own = (path for path in found if "standards" not in path.parts)
    return sorted(path for path in own if _FIRST.search(path.read_text(encoding="utf-8", errors="replace")[:3000]))


FILES = openapi_files()
pytestmark = pytest.mark.skipif(not FILES, reason="contracts folder absent")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONTRACTS)))
def test_every_operation_of_the_file_is_read(path: Path) -> None:
    found = read_contract(path)

    assert len(found.operations) == len({one.name for one in found.operations}) > 0
    assert len(found.operations) == sum(1 for _ in operations_of(openapi_document(path)))
    for operation in found.operations:
        places = [(one.where, one.place) for one in operation.asks]
        assert len(places) == len(set(places)), operation.name
        named = set(re.findall(r"\{(\w+)\}", operation.name))
        assert named <= {one.place for one in operation.asks if one.where == "path"}
