"""The new contract that a connector is compared with: a file of the vendor, or for a connector that was drafted from a
sample of JSON a new sample."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connectors.sdk.contract.documents import read_document
from connectors.sdk.contract.json_sample import document_of_sample, is_json_sample
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.reading import read_contract
from schemas.manifest import Manifest


@contextmanager
def new_contract(path: Path, manifest: Manifest, *, table: str = "") -> Iterator[Contract]:
    """It is there for so long. Raises ConfigError, naming the file, for one that is neither."""
    if not is_json_sample(path):
        yield read_contract(path, table=table, alternatives=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / f"{path.stem}.openapi.json"
        document = _at_the_same_address(path, manifest)
        written.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        yield read_contract(written, alternatives=True)


def _at_the_same_address(path: Path, manifest: Manifest) -> dict[str, Any]:
    """A sample tells no address: that of the one call of the contract that the connector has."""
    said = manifest.declared.get("contract", {})
    own: Mapping[str, Any] = read_document(manifest.folder / said["openapi"])["paths"] if "openapi" in said else {}
    address, call = next(iter(own.items()), ("", {}))
    document = document_of_sample(path, webhook=bool(call) and "get" not in call, shown=False)
    if len(own) == 1:
        document["paths"] = {address: next(iter(document["paths"].values()))}
    return document
