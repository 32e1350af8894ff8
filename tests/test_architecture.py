"""Who imports whom, which library is hidden where, and who reads the environment: read from the code itself."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "bus", "connectors", "hub", "gateway", "commands", "demo", "faults")

# What each room may import besides itself.
MAY_IMPORT = {
    "schemas": set(),
    "bus": {"schemas"},
    "connectors": {"schemas"},
    "hub": {"schemas", "bus"},
    "gateway": {"schemas", "bus", "hub"},
    "commands": {"schemas", "bus", "connectors", "hub", "gateway"},
    "demo": {"schemas", "bus", "connectors", "hub", "gateway"},
    "faults": {"schemas", "bus", "connectors", "hub", "gateway", "commands", "tests"},
}
# These tie the rooms together: they may import anything, and they alone read the environment and speak to a terminal.
KNOWS_EVERYTHING = re.compile(r"hub/wiring\.py|(commands|demo|faults)/.*")

# Each outside library and the files or folders that hide it.
HIDDEN_IN = {
    "anyio": ["gateway/"],
    "alembic": ["hub/storage/migrations/"],
    "asyncssh": ["connectors/sdk/files.py", "connectors/sdk/sftp_twin.py"],
    "cryptography": [
        "hub/storage/cipher.py",
        "hub/documents/files.py",
        "hub/storage/person_keys.py",
        "hub/citizens/identities.py",
        "hub/journal/signing.py",
        "hub/journal/verify.py",
        "connectors/webhook/signature.py",
    ],
    "fastapi": ["gateway/"],
    "fsspec": ["hub/documents/files.py"],
    "httpx": ["connectors/sdk/http.py", "demo/"],
    "jinja2": ["gateway/pages.py", "hub/privacy/registers.py", "hub/privacy/export_page.py"],
    "joserfc": ["gateway/tokens.py", "hub/journal/signing.py"],
    "jsonschema": ["schemas/"],
    "jsonschema_rs": ["schemas/validators.py"],
    "lxml": ["connectors/sdk/xml.py", "connectors/sdk/soap.py"],
    "pika": ["bus/rabbitmq.py", "faults/"],
    "prometheus_client": ["hub/operations/metrics.py"],
    "rapidfuzz": ["hub/citizens/matching.py"],
    "referencing": ["schemas/validators.py"],
    "rich": ["commands/", "demo/"],
    "sqlalchemy": ["bus/ledger.py", "bus/sql.py", "bus/tables.py", "hub/", "faults/"],
    "starlette": ["gateway/"],
    "tenacity": ["hub/acceptance/accept.py"],
    "typer": ["commands/"],
    "uvicorn": ["gateway/serving/server.py"],
    "zeep": ["connectors/sdk/soap.py"],
}
# Used everywhere like the standard library: a faster json, and the log.
EVERYWHERE = {"orjson", "structlog"}
# Declared because another library finds them: uvicorn's loop and parser, SQLAlchemy's driver, FastAPI's forms.
FOUND_BY_OTHERS = {"uvloop", "httptools", "psycopg", "python-multipart", "tzdata"}


@dataclass(frozen=True)
class Import:
    file: str
    line: int
    module: str

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


@cache
def trees() -> dict[str, ast.Module]:
    files = (file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py")))
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for file, tree in trees().items() for found in imports_of(file, tree))


def imports_of(file: str, tree: ast.Module) -> Iterator[Import]:
    package = file.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (Import(file, node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*start, node.module or ""]).strip(".")
            # `from connectors import koha` names a module too; a name that is not one does no harm below.
            yield from (Import(file, node.lineno, f"{module}.{alias.name}") for alias in node.names)


def ours(found: Import) -> bool:
    return found.top in ROOMS or found.top in ("tests", "benchmarks")


def room_of(file: str) -> str:
    return file.partition("/")[0]


def report(faults: list[str]) -> str:
    return "\n".join(["", *faults])


def test_every_room_imports_only_the_rooms_below_it() -> None:
    faults = [
        str(found)
        for found in imports()
        if ours(found) and found.file != "hub/wiring.py"
        if found.top not in MAY_IMPORT[room_of(found.file)] | {room_of(found.file)}
    ]
    assert not faults, report(faults)


def test_no_connector_imports_another_connector() -> None:
    faults = []
    for found in imports():
        parts = found.file.split("/")
        if parts[0] == "connectors" and len(parts) > 2 and found.module.startswith("connectors."):
            target = found.module.split(".")[1]
            if target not in (parts[1], "sdk"):
                faults.append(str(found))
    assert not faults, report(faults)


def test_only_the_commands_and_the_demonstration_import_the_wiring() -> None:
    faults = [
        str(found)
        for found in imports()
        if found.module.startswith("hub.wiring") and not KNOWS_EVERYTHING.fullmatch(found.file)
    ]
    assert not faults, report(faults)


def test_each_outside_library_is_imported_only_where_it_is_hidden() -> None:
    faults = []
    for found in imports():
        if ours(found) or found.top in sys.stdlib_module_names or found.top in EVERYWHERE:
            continue
        if found.top not in HIDDEN_IN:
            faults.append(f"{found}: say in HIDDEN_IN where this library belongs")
        elif not any(found.file.startswith(place) for place in HIDDEN_IN[found.top]):
            faults.append(f"{found}, hidden in {', '.join(HIDDEN_IN[found.top]) or 'no file'}")
    assert not faults, report(faults)


def test_only_the_wiring_and_the_commands_read_the_environment() -> None:
    faults = [
        f"{file}:{node.lineno} reads os.{node.attr}"
        for file, tree in trees().items()
        if not KNOWS_EVERYTHING.fullmatch(file)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb")
        if isinstance(node.value, ast.Name) and node.value.id == "os"
    ]
    faults += [str(found) for found in imports() if found.module in ("os.environ", "os.getenv")]
    assert not faults, report(faults)


def test_library_code_prints_nothing() -> None:
    faults = [
        f"{file}:{node.lineno} prints"
        for file, tree in trees().items()
        if not KNOWS_EVERYTHING.fullmatch(file)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not faults, report(faults)


def test_every_library_is_declared_and_every_declared_library_is_used() -> None:
    declared = {normal(re.split(r"[^\w.-]", one)[0]) for one in project()["dependencies"]}
    used = {normal(found.top) for found in imports() if not ours(found) and found.top not in sys.stdlib_module_names}

    # FastAPI stands on these two and hands them on.
    assert used - declared - {"starlette", "anyio"} == set(), "imported but not declared in pyproject.toml"
    assert declared - used - FOUND_BY_OTHERS == set(), "declared in pyproject.toml but never imported"


def test_the_locks_pin_every_dependency_and_name_no_place_of_the_machine_that_made_them() -> None:
    for name, wanted in (
        ("requirements.lock", project()["dependencies"]),
        ("requirements-dev.lock", project()["dependencies"] + project()["optional-dependencies"]["dev"]),
    ):
        text = (ROOT / name).read_text(encoding="utf-8")
        pinned = {normal(found) for found in re.findall(r"^([\w.-]+)==", text, re.MULTILINE)}
        assert {normal(re.split(r"[^\w.-]", one)[0]) for one in wanted} <= pinned, f"{name}: run make lock"
        assert not re.search(r"://|--(extra-)?index|--find-links|--trusted-host|^/| @ ", text, re.MULTILINE)


@pytest.mark.parametrize("room", ROOMS)
def test_every_folder_of_code_is_a_package(room: str) -> None:
    folders = {file.parent for file in (ROOT / room).rglob("*.py")}
    assert not [str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists()]


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return table


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
