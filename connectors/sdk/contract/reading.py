"""A contract file, whatever it is, as a `Contract`.

The readers are loaded when a file is theirs: those of WSDLs and of spreadsheets take longer than most files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from connectors.sdk.contract.documents import read_document
from connectors.sdk.contract.model import Contract
from schemas.errors import ConfigError
from schemas.manifest import Manifest

KEYS = ("openapi", "wsdl", "table", "sql")
"""The keys of `[contract]` that name a file, the one that is read first."""
WSDL = "http://schemas.xmlsoap.org/wsdl/"
_KNOWN = "OpenAPI or Swagger, as JSON or YAML; WSDL; a table; CREATE TABLE"
Read = Callable[[Path, str, bool], Contract]


def read_contract(path: Path, *, table: str = "", alternatives: bool = False) -> Contract:
    """What the file says. `table`: which table of a database, or sheet of a workbook; "" for the first. `alternatives`:
    of `oneOf` and `anyOf` what all branches say together, as for a comparison; by default the first. Raises
    ConfigError, naming the file, for one that is no contract that can be read."""
    if not path.is_file():
        raise ConfigError("there is no such file", key=str(path))
    return _reader(path)(path, table, alternatives)


def contract_of(manifest: Manifest, *, alternatives: bool = False) -> Contract | None:
    """The contract that a connector names in `[contract]`; None when it names no file. Raises as `read_contract`."""
    said = manifest.declared.get("contract", {})
    found = next((str(said[key]) for key in KEYS if key in said), "")
    return read_contract(manifest.folder / found, alternatives=alternatives) if found else None


def _reader(path: Path) -> Read:
    suffix = path.suffix.lower()
    if suffix in (".json", ".yaml", ".yml"):
        return _openapi if {"openapi", "swagger"} & read_document(path).keys() else _none
    if suffix == ".wsdl" or (suffix == ".xml" and WSDL in _start(path)):
        return _wsdl
    return _BY_SUFFIX.get(suffix, _table)


def _start(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(4096).decode("latin-1")


def _openapi(path: Path, table: str, alternatives: bool) -> Contract:
    from connectors.sdk.contract.openapi import read_openapi

    return read_openapi(path, alternatives=alternatives)


def _wsdl(path: Path, table: str, alternatives: bool) -> Contract:
    from connectors.sdk.contract.wsdl import read_wsdl

    return read_wsdl(path)


def _sql(path: Path, table: str, alternatives: bool) -> Contract:
    from connectors.sdk.contract.sql_tables import read_sql

    return read_sql(path, table=table)


def _table(path: Path, table: str, alternatives: bool) -> Contract:
    from connectors.sdk.contract.table_layout import TABLE_SUFFIXES
    from connectors.sdk.contract.table_sample import read_table

    return read_table(path, sheet=table) if path.suffix.lower() in TABLE_SUFFIXES else _none(path, table, alternatives)


def _none(path: Path, table: str, alternatives: bool) -> Contract:
    raise ConfigError(f"is no contract that can be read ({_KNOWN})", key=str(path))


_BY_SUFFIX: Mapping[str, Read] = {".sql": _sql, ".xml": _none}
