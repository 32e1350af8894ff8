"""Who imports whom, which library is hidden where, and who reads the environment: read from the code itself."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
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
# The product itself: what is above it, to run it, to show it or to try it, none of it may import.
PRODUCT = ("schemas", "bus", "connectors", "hub", "gateway")
ABOVE_THE_PRODUCT = {"commands", "demo", "faults", "tests", "benchmarks"}
# The rooms of the hub, from the ground up: one imports its own level and those below it.
HUB_LEVELS: tuple[tuple[str, ...], ...] = (
    ("settings", "storage"),
    ("routing", "citizens", "clients", "journal"),
    ("requests",),
    ("documents",),
    ("acceptance",),
    ("exchanges",),
    ("privacy", "operations"),
    ("connections.py",),
    ("services.py",),
    ("wiring.py",),
)
# These tie the rooms together: they may import anything, and they alone read the environment and speak to a terminal.
KNOWS_EVERYTHING = re.compile(r"hub/wiring\.py|(commands|demo|faults)/.*")

# Each outside library and the files or folders that hide it.
HIDDEN_IN = {
    "anyio": ["gateway/"],
    "holidays": ["hub/requests/public_holidays.py"],
    "alembic": ["hub/storage/migrations/"],
    "asyncssh": ["connectors/sdk/files.py", "connectors/sdk/sftp_twin.py"],
    "cryptography": [
        "hub/storage/cipher.py",
        "hub/documents/files.py",
        "hub/storage/person_keys.py",
        "hub/storage/root_key.py",
        "hub/citizens/identities.py",
        "hub/journal/signing.py",
        "hub/journal/verify.py",
        "connectors/sdk/standard_webhooks.py",
    ],
    "fastapi": ["gateway/"],
    "fpdf": ["connectors/iparapheur/pdf.py"],
    "fsspec": ["hub/documents/files.py"],
    "httpcore": ["connectors/sdk/http.py"],
    "httpx": ["connectors/sdk/http.py", "demo/"],
    "idna": ["schemas/equal_values.py"],
    "jinja2": ["gateway/pages.py", "hub/privacy/pages.py"],
    "joserfc": [
        "connectors/sdk/jwt_check.py",
        "gateway/tokens.py",
        "hub/exchanges/franceconnect.py",
        "hub/journal/signing.py",
    ],
    "jsonschema": ["schemas/"],
    "jsonschema_rs": ["schemas/validators.py"],
    "lxml": ["connectors/sdk/xml.py", "connectors/sdk/soap.py"],
    "openapi_core": ["connectors/sdk/contract_twins/openapi_check.py"],
    "phonenumbers": ["schemas/phones.py"],
    "pika": ["bus/rabbitmq.py", "faults/"],
    "python_calamine": ["connectors/sdk/workbook_reader.py"],
    "prometheus_client": ["hub/operations/metrics.py"],
    "rapidfuzz": ["hub/citizens/matching.py"],
    "referencing": ["schemas/validators.py"],
    "rich": ["commands/", "demo/"],
    "sqlalchemy": ["bus/ledger.py", "bus/sql.py", "bus/tables.py", "connectors/sdk/database.py", "hub/", "faults/"],
    "starlette": ["gateway/"],
    "tenacity": ["hub/acceptance/accept.py"],
    "typer": ["commands/"],
    "xmlschema": ["connectors/sdk/contract/message_schemas.py"],
    "uvicorn": ["gateway/serving/"],
    "yaml": ["connectors/sdk/contract/documents.py"],
    "zeep": ["connectors/sdk/soap.py"],
}
# Used everywhere like the standard library: a faster json, and the log.
EVERYWHERE = {"orjson", "structlog"}
# Where the name of a package is not that of its module.
IMPORTED_AS = {"fpdf": "fpdf2", "yaml": "pyyaml"}
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


def level_of(place: str) -> int:
    """How high a room of the hub stands. KeyError for one that HUB_LEVELS does not name."""
    return {name: level for level, names in enumerate(HUB_LEVELS, 1) for name in names}[place]


def place_in_hub(file: str) -> str:
    """The room of a file of the hub; one that stands in none is its own."""
    return file.split("/")[1]


def file_of(module: str) -> str | None:
    """Our file that a dotted name leads to, its last parts being names inside it; None when it is not ours."""
    parts = module.split(".")
    for end in range(len(parts), 0, -1):
        path = "/".join(parts[:end])
        for file in (f"{path}.py", f"{path}/__init__.py"):
            if file in trees():
                return file
    return None


Graph = Mapping[str, set[str]]


@cache
def arrows() -> dict[tuple[str, str], Import]:
    """Who imports whom among our files, with one import that says so."""
    found = {(one.file, target): one for one in imports() if (target := file_of(one.module)) is not None}
    return {pair: one for pair, one in found.items() if pair[0] != pair[1]}


def circles(graph: Graph) -> list[set[str]]:
    """The sets of two and more from each of which every other is reached."""
    reached = {place: reachable(graph, place) for place in graph}
    found = [{other for other in reached[place] if place in reached.get(other, ())} for place in graph]
    return [one for n, one in enumerate(found) if len(one) > 1 and one not in found[:n]]


def reachable(graph: Graph, start: str) -> set[str]:
    seen: set[str] = set()
    ahead = [start]
    while ahead:
        new = graph.get(ahead.pop(), set()) - seen
        seen |= new
        ahead += new
    return seen


def in_words(circle: set[str], pairs: Mapping[tuple[str, str], Import]) -> str:
    lines = [f"    {one}" for (start, end), one in pairs.items() if start in circle and end in circle]
    return "\n".join([" <-> ".join(sorted(circle)), *lines])


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


def test_nothing_of_the_product_imports_what_runs_shows_or_tries_it() -> None:
    faults = [str(found) for found in imports() if room_of(found.file) in PRODUCT if found.top in ABOVE_THE_PRODUCT]
    assert not faults, report(faults)


def test_the_levels_name_every_room_of_the_hub_and_no_other() -> None:
    rooms = {place_in_hub(file) for file in trees() if file.startswith("hub/")} - {"__init__.py"}

    assert rooms == {name for level in HUB_LEVELS for name in level}


def test_no_room_of_the_hub_imports_a_higher_one() -> None:
    faults = [
        f"{found}: {place_in_hub(start)} stands below {place_in_hub(end)}"
        for (start, end), found in arrows().items()
        if start.startswith("hub/") and end.startswith("hub/") and "hub/__init__.py" not in (start, end)
        if level_of(place_in_hub(start)) < level_of(place_in_hub(end))
    ]
    assert not faults, report(faults)


def test_no_file_imports_itself_by_way_of_others() -> None:
    graph = defaultdict(set)
    for start, end in arrows():
        graph[start].add(end)

    found = circles(graph)
    assert not found, report([in_words(circle, arrows()) for circle in found])


def test_no_folder_imports_itself_by_way_of_others() -> None:
    between: dict[tuple[str, str], Import] = {}
    graph = defaultdict(set)
    for (start, end), one in arrows().items():
        pair = (start.rpartition("/")[0], end.rpartition("/")[0])
        if pair[0] != pair[1]:
            between.setdefault(pair, one)
            graph[pair[0]].add(pair[1])

    found = circles(graph)
    assert not found, report([in_words(circle, between) for circle in found])


def test_a_circle_is_found_whatever_its_length() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}

    assert circles(graph) == [{"a", "b", "c"}, {"d", "e"}]


def test_no_connector_imports_another_connector() -> None:
    faults = []
    for found in imports():
        parts = found.file.split("/")
        if parts[0] == "connectors" and len(parts) > 2 and found.module.startswith("connectors."):
            target = found.module.split(".")[1]
            # The suite loads each case by its folder, and a case is written with the suite.
            may = {parts[1], "sdk", *(["conformance"] if parts[-1] in ("case.py", "contents.py") else [])}
            if target not in may:
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
    outside = {found.top for found in imports() if not ours(found) and found.top not in sys.stdlib_module_names}
    used = {normal(IMPORTED_AS.get(top, top)) for top in outside}

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
