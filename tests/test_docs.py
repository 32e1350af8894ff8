"""What the pages say exists, and what exists is on a page.

The keys of `hub.toml` are held to docs/settings.md by tests/hub/settings/test_reading.py, the fields of the events to
docs/events.md by tests/schemas/test_docs.py; docs/amqp.md is tried by tests/test_docs_amqp.py.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import time
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import text

import hub.storage.tables  # noqa: F401 (adds its tables to the metadata)
from bus.ledger import DOOR_DAYS, Ledger
from bus.tables import FINAL, OPEN, metadata
from commands.main import app
from gateway.problems import codes
from gateway.tokens import TOKEN_SECONDS
from hub.clients.idempotency import KEPT_SECONDS
from hub.clients.origin import Origin
from hub.clients.repository import SCOPES
from hub.operations.link_import import import_links
from hub.operations.metrics import Metrics
from hub.settings.model import Retention
from hub.wiring import open_hub
from tests.support.recording import TENANT, move
from tests.test_architecture import HUB_LEVELS

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


def makefile() -> str:
    return (ROOT / "Makefile").read_text(encoding="utf-8")


def targets() -> dict[str, str]:
    """The targets of the Makefile with what `make help` says of each."""
    return dict(re.findall(r"^([a-z]+):.*?## (.+)$", makefile(), re.MULTILINE))


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


def test_a_file_named_like_a_target_keeps_none_from_being_made() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", makefile(), re.MULTILINE)

    assert phony.split() == list(targets())


def test_what_needs_a_broker_and_a_database_is_given_them() -> None:
    served = re.findall(r"^([a-z]+):.*\n\t@scripts/services\.sh ", makefile(), re.MULTILINE)

    assert served == ["test", "faults", "bench"]


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


@cache
def leaves() -> dict[str, Any]:
    """Each command by its whole name, as typer runs it."""
    found = {}
    for path in commands():
        command = typer.main.get_command(app)
        for name in path:
            command = command.commands[name]  # type: ignore[attr-defined]
        found[" ".join(path)] = command
    return found


def rows_of(page: str) -> list[list[str]]:
    """The cells of its tables, without the bars that code spans escape."""
    lines = [line for line in pages()[page].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


@pytest.mark.parametrize("name", sorted(" ".join(path) for path in commands()))
def test_the_page_of_commands_has_a_line_with_each_option_and_an_example_that_parses(name: str) -> None:
    command = leaves()[name]
    (row,) = [cells for cells in rows_of("docs/cli.md") if cells[0] == f"`unefois {name}`"]
    everywhere = {"--help", "--config", "--json"}

    options = {option for one in command.params for option in one.opts if option.startswith("--")} - everywhere
    assert {option for option in options if f"`{option}`" not in row[1]} == set()
    words = shlex.split(row[2].strip("`"))
    assert " ".join(words[: 1 + len(name.split())]) == f"unefois {name}"
    command.make_context(name, words[1 + len(name.split()) :])


def test_times_are_shown_as_the_page_of_commands_says() -> None:
    from commands.shared import utc_text
    from hub.requests.timeline import timeline_lines

    step = {"at": "2026-07-01T08:00:00.000Z", "text": "Reçue"}
    view = {"label": "Terrasse", "id": "5d7f2c7e-5f0e", "status": "received", "timeline": [step]}

    for zone, hour in (("Europe/Paris", "10:00:00"), ("America/Guadeloupe", "04:00:00")):
        assert timeline_lines(view | {"timezone": zone})[1].split() == ["01/07", hour, "Reçue"]
    assert utc_text(0.0) == "1970-01-01T00:00:00+00:00"
    assert "timeline of a request and the pages for a person are in the time of the town" in pages()["docs/cli.md"]


# --- the pages for those who operate a hub -----------------------------------------------------------------------

OPERATING = ("docs/operating.md", "docs/fr/exploitation.md")


@pytest.mark.parametrize("page", OPERATING)
def test_every_metric_is_explained_and_no_other(page: str, tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    metrics = Metrics()
    metrics.accepted(TENANT, "request.received", "accepted")
    rendered = metrics.render(ledger, {}).decode()
    ledger.close()

    names = set(re.findall(r"^# TYPE (\S+)", rendered, re.MULTILINE)) - {"unefois_events_created"}
    assert names == {cells[0].strip("`") for cells in rows_of(page) if cells[0].startswith("`unefois_")}


@pytest.mark.parametrize("page", OPERATING)
def test_every_state_scope_and_cause_of_parking_is_explained(page: str) -> None:
    code = "".join((ROOT / "bus" / name).read_text(encoding="utf-8") for name in ("ledger.py", "worker.py"))
    causes = {found.strip(" :") for found in re.findall(r'cause=f?"([^"{(]+)', code)}
    causes |= set(re.findall(r'spent, "([^"]+)"', code)) | set(re.findall(r'else_="([^"]+)"', code))

    assert len(causes) >= 4
    assert [one for one in sorted(causes) if f"`{one}" not in pages()[page]] == []
    assert [one for one in (*OPEN, *FINAL, *SCOPES) if f"`{one}`" not in pages()[page]] == []


@pytest.mark.parametrize("page", OPERATING)
def test_the_log_lines_of_the_page_are_written_somewhere(page: str) -> None:
    code = "".join(
        file.read_text(encoding="utf-8") for room in ("bus", "hub", "gateway") for file in (ROOT / room).rglob("*.py")
    )
    start = pages()[page].index("| `event` |")
    table = pages()[page][start:].split("\n\n")[0].splitlines()[2:]
    told = [one for line in table for one in re.findall(r"`([a-z ]+)`", line.split(" | ")[0])]

    assert len(told) > 10
    assert [one for one in told if f'"{one}"' not in code] == []


def test_after_a_restore_as_told_no_number_is_given_twice(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    with ledger.transaction() as tx:
        before, numbers = tx.identity(), tx._allocate(3)
    for page in OPERATING:
        (block,) = re.findall(r"^```sql\n(.*?)^```", pages()[page], re.MULTILINE | re.DOTALL)
        with ledger.transaction() as tx:
            for line in block.splitlines():
                assert tx.sql.execute(text(line.partition(";")[0])).rowcount == 1
            assert tx._allocate(1)[0] > max(numbers) + 1_000_000
            assert tx.identity() != before
    ledger.close()


@pytest.mark.parametrize("page", OPERATING)
def test_how_long_things_are_kept_is_what_the_code_does(page: str) -> None:
    told = {cells[2].strip("` |"): cells[1] for cells in rows_of(page) if len(cells) == 3 and "`retention." in cells[2]}
    whole = pages()[page]

    assert set(told) == {f"retention.{one.name}" for one in fields(Retention)}
    assert [one.name for one in fields(Retention) if f"{one.default} " not in told[f"retention.{one.name}"]] == []
    assert f"| {DOOR_DAYS} " in whole
    assert f"| {KEPT_SECONDS // 3600} h" in whole
    assert f"| {TOKEN_SECONDS // 60} minutes" in whole


def test_every_table_is_in_the_description_of_the_architecture() -> None:
    assert [name for name in metadata.tables if f"`{name}`" not in pages()["docs/architecture.md"]] == []


def test_every_status_of_a_request_is_in_the_glossary_as_people_read_it() -> None:
    from hub.requests.timeline import STATUS

    assert [one for one, french in STATUS.items() if f"| `{one}` | {french} |" not in pages()["docs/glossary.md"]] == []


def test_the_settings_of_the_readme_make_a_hub_that_delivers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop = tmp_path / "famille" / "depot"
    drop.mkdir(parents=True)
    (tmp_path / "famille" / "retour").mkdir()
    (tmp_path / "hub.toml").write_bytes((ROOT / "docs/examples/hub.toml").read_bytes())
    links = re.search(r"^```csv\n(.*?)^```", pages()["docs/cli.md"], re.MULTILINE | re.DOTALL)
    assert links is not None
    monkeypatch.chdir(tmp_path)
    hub = open_hub(tmp_path / "hub.toml", {})
    try:
        hub.prepare()
        assert import_links(hub.ledger, hub.acceptance, TENANT, links[1]) == 2
        hub.start_relay()
        hub.start_workers()
        portal = Origin(f"{TENANT}.portail", TENANT, frozenset({"*"}), (f"/{TENANT}/portail",))
        event = move(1, 12)
        who = {"family_name": "MARCHETTI", "given_names": ["Odile"], "gender": "female", "birthdate": "1984-03-02"}
        citizen = {"identity": {**who, "birthplace": "93001"}}
        (verdict,) = hub.acceptance.submit(hub.ledger, portal, [event.with_data({**event.data, "citizen": citizen})])
        deadline = time.monotonic() + 20
        while not (files := list(drop.glob("*.csv"))):
            assert time.monotonic() < deadline, "nothing was dropped"
            time.sleep(0.05)
    finally:
        hub.close()

    assert verdict.outcome == "accepted"
    assert "F-0042" in files[0].read_text(encoding="utf-8")


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


@pytest.mark.parametrize("name", pages())
def test_the_anchors_of_a_page_lead_somewhere(name: str) -> None:
    anchors = re.findall(r"\]\(([^)#\s]*)#([^)\s]+)\)", pages()[name])
    faults = []
    for link, anchor in anchors:
        target = (ROOT / name).parent / link if link else ROOT / name
        titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE) if target.is_file() else []
        if anchor not in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}:
            faults.append(f"{link}#{anchor}")

    assert faults == []


ROOMS_AND_TOOLS = "schemas|bus|connectors|hub|gateway|commands|demo|faults|tests|benchmarks|docs|scripts|deploy"


def files_named_in(text: str) -> list[str]:
    """Our files and folders in its code; those of the connector that docs/connectors.md writes are an example."""
    found = [
        one for line in code_of(text) for one in re.findall(rf"(?<![\w/.-])(?:{ROOMS_AND_TOOLS})/[\w./<>*-]*", line)
    ]
    made = ("chantiers", "<", "*", "deploy/secrets")
    return [one.rstrip(".") for one in found if not any(word in one for word in made)]


@pytest.mark.parametrize("name", pages())
def test_the_files_that_a_page_names_are_there(name: str) -> None:
    assert [one for one in files_named_in(pages()[name]) if not (ROOT / one).exists()] == []


def test_the_table_of_where_is_what_answers_each_question_with_a_place() -> None:
    section = pages()["CONTRIBUTING.md"].partition("## Where is what\n")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| ")][2:]

    assert len(rows) > 15
    assert [row[0] for row in rows if not files_named_in(row[1])] == []


def test_the_rooms_of_the_hub_are_on_the_page_with_their_levels() -> None:
    found = re.findall(r"^\| (\d+) \| `hub/([\w.]+)/?` \|", pages()["docs/architecture.md"], re.MULTILINE)

    assert [(int(level), room) for level, room in found] == [
        (level, room) for level, rooms in enumerate(HUB_LEVELS, 1) for room in rooms
    ]


def test_every_problem_code_is_on_a_page() -> None:
    assert [code for code in codes() if f"`{code}`" not in everything_written()] == []


def test_every_decision_is_in_the_index() -> None:
    decisions = {file.name for file in (ROOT / "docs/decisions").glob("0*.md")}

    assert decisions == set(re.findall(r"\((0\d{3}-[a-z-]+\.md)\)", pages()["docs/decisions/README.md"]))


@pytest.mark.parametrize(
    "slug", sorted(folder.parent.name for folder in (ROOT / "connectors").glob("*/connector.toml"))
)
def test_every_connector_has_a_page_of_its_own(slug: str) -> None:
    page = (ROOT / "connectors" / slug / "README.md").read_text(encoding="utf-8")

    assert "Ce que la ville doit demander" in page
