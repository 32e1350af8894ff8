"""What the pages say exists, and what exists is on a page.

The keys of `hub.toml` are held to docs/settings.md by tests/hub/test_settings.py, the fields of the events to
docs/events.md by tests/schemas/test_docs.py.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer

from hub.commands import app

ROOT = Path(__file__).parents[1]


@cache
def pages() -> dict[str, str]:
    """README, CONTRIBUTING, CHANGELOG and docs, by their path; connectors' own pages are another room's matter."""
    files = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
    return {str(file.relative_to(ROOT)): file.read_text(encoding="utf-8") for file in files}


def everything_written() -> str:
    return "\n".join(pages().values())


def code_of(page: str) -> Iterator[str]:
    """The lines of its code blocks, then its code spans."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    for block in blocks:
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL))


def targets() -> dict[str, str]:
    """The targets of the Makefile with what `make help` says of each."""
    return dict(re.findall(r"^([a-z]+):.*?## (.+)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """("connector", "list") and the like; only the leaves of the tree are commands."""
    children = getattr(command or typer.main.get_command(app), "commands", None)
    if children is None:
        yield path
        return
    for name, child in children.items():
        yield from commands(child, (*path, name))


# --- make --------------------------------------------------------------------------------------------------------


def test_the_readme_begins_with_commands_that_the_makefile_knows() -> None:
    first_block = re.search(r"^```sh\n(.*?)^```", pages()["README.md"], re.MULTILINE | re.DOTALL)

    assert first_block is not None
    first = [line.split()[1] for line in first_block[1].splitlines() if line.startswith("make ")]
    assert first == ["demo", "test"]
    assert set(first) <= set(targets())


def test_every_make_target_is_explained_on_a_page() -> None:
    assert [target for target in targets() if f"make {target}" not in everything_written()] == []


@pytest.mark.parametrize("name", pages())
def test_a_page_names_only_make_targets_that_exist(name: str) -> None:
    named = {found for line in code_of(pages()[name]) for found in re.findall(r"(?:^|\s|&& )make ([a-z]+)", line)}

    assert named <= set(targets())


def test_make_alone_lists_every_target() -> None:
    done = subprocess.run(["make", "--no-print-directory"], cwd=ROOT, capture_output=True, text=True, check=True)

    assert re.findall(r"^make ([a-z]+) ", done.stdout, re.MULTILINE) == list(targets())


# --- commands ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(commands()), ids=" ".join)
def test_every_command_is_on_a_page(path: tuple[str, ...]) -> None:
    *group, name = path
    start = " ".join(["unefois", *group])

    documented = re.search(rf"\b{start} (?:[\w|-]+\|)?{name}\b", everything_written()) is not None
    assert documented, f"{start} {name} is on no page"


@pytest.mark.parametrize("name", pages())
def test_a_page_names_only_commands_that_exist(name: str) -> None:
    known = set(commands())
    groups = {path[0] for path in known if len(path) > 1}
    faults = []
    for line in code_of(pages()[name]):
        for first, second in re.findall(r"(?:^|bin/|\s)unefois ([a-z]+)(?: ([a-z][a-z|-]*))?", line):
            named = [(first, one) for one in second.split("|")] if first in groups and second else [(first,)]
            faults += [" ".join(one) for one in named if one not in known and one != (first,) * (first in groups)]

    assert faults == []


# --- HTTP, schemas, links ----------------------------------------------------------------------------------------


def routes() -> set[str]:
    from gateway.routes import ROUTERS

    return {path for router in ROUTERS for route in router.routes if (path := getattr(route, "path", None))}


def without_names(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_every_http_route_is_on_a_page() -> None:
    written = without_names(everything_written())

    assert sorted(path for path in routes() if without_names(path) not in written) == []


def test_every_event_type_is_on_a_page() -> None:
    types = {file.name.removesuffix(".json").rpartition(".")[0] for file in (ROOT / "schemas/events").glob("*.json")}

    assert types
    assert sorted(one for one in types if f"`{one}`" not in everything_written()) == []


@pytest.mark.parametrize("name", pages())
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", pages()[name])
    folder = (ROOT / name).parent

    assert [link for link in links if "://" not in link and not (folder / link).exists()] == []


@pytest.mark.parametrize("slug", sorted(folder.parent.name for folder in (ROOT / "connectors").glob("*/manifest.json")))
def test_every_connector_has_a_page_of_its_own(slug: str) -> None:
    page = (ROOT / "connectors" / slug / "README.md").read_text(encoding="utf-8")

    assert "Ce que la ville doit demander" in page
