"""A contract file, whatever it is, as a `Contract`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from connectors.sdk.contract.documents import read_document
from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.openapi import read_openapi
from connectors.sdk.contract.wsdl import is_wsdl, read_wsdl
from schemas.errors import ConfigError
from schemas.manifest import Manifest

KEYS = ("openapi", "wsdl", "table", "sql")
"""The keys of `[contract]` that name a file, the one that is read first."""


def read_contract(path: Path, *, table: str = "") -> Contract:
    """What the file says. `table`: which table of a database, or sheet of a workbook; "" for the first. Raises
    ConfigError, naming the file, for one that is no contract that can be read."""
    if not path.is_file():
        raise ConfigError("there is no such file", key=str(path))
    for fits, read in READERS:
        if fits(path):
            return read(path, table)
    raise ConfigError("is no contract that can be read (OpenAPI or Swagger, as JSON or YAML; WSDL)", key=str(path))


def contract_of(manifest: Manifest) -> Contract | None:
    """The contract that a connector names in `[contract]`; None when it names no file. Raises as `read_contract`."""
    said = manifest.declared.get("contract", {})
    found = next((str(said[key]) for key in KEYS if key in said), "")
    return read_contract(manifest.folder / found) if found else None


def _is_openapi(path: Path) -> bool:
    if path.suffix.lower() not in (".json", ".yaml", ".yml"):
        return False
    return bool({"openapi", "swagger"} & read_document(path).keys())


READERS: Sequence[tuple[Callable[[Path], bool], Callable[[Path, str], Contract]]] = (
    (_is_openapi, lambda path, table: read_openapi(path)),
    (is_wsdl, lambda path, table: read_wsdl(path)),
)
"""Each reader, behind what tells that a file is its own; the first that fits reads it."""
