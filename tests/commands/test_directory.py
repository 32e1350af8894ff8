"""`unefois connection reload`, `set-secret` and what `list` says of processes."""

from __future__ import annotations

import base64
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from bus.tables import deliveries, events
from commands.main import app
from hub.storage.connection_secrets import read_secrets
from hub.storage.directory_items import read_items
from hub.storage.tables import connection_secrets, directory_versions, journal
from hub.wiring import open_hub
from tests.connectors.sdk.kinds.agenda import EXAMPLES
from tests.hub.test_directory import SPEAKER, TENANT, Place, moved, rows, version
from tests.support.fleet import PROGRAM, ROOT

KEY = base64.b64encode(bytes(range(32))).decode()
KOHA = {
    "connector": "koha", "consumes": [{"type": "citizen.address-changed"}],
    "settings": {"base_url": "http://127.0.0.1:1", "client_id": "unefois", "client_secret": {"env": "KOHA_SECRET"}},
}  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path, "sqlite:///hub.db")
    yield made
    made.close()


def run(place: Place, *words: str, name: str = "one", given: str = "", code: int = 0, both: bool = False) -> str:
    """What it says on stdout; on stderr as well where that is wanted, or it fails."""
    env = {"KOHA_SECRET": "du fichier", "UNEFOIS_KEY": KEY, "UNEFOIS_OPERATOR": "claire"}
    path = str(place.folder / f"{name}.toml")
    result = CliRunner().invoke(app, ["connection", *words, "--config", path], input=given, env=env)
    assert result.exit_code == code, result.output
    return result.stdout if code == 0 and not both else result.output


def reload(place: Place, *more: str, code: int = 0) -> Any:
    output = run(place, "reload", "--json", *more, code=code)
    return json.loads(output) if code == 0 else output


def test_a_reload_says_what_differs_and_a_trial_changes_nothing(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    place.files("one", "famille", "ecole", famille={"label": "Famille"})

    trial = reload(place, "--dry-run")
    assert (trial["written"], version(hub)) == (False, 1)
    loaded = reload(place)
    again = reload(place)

    assert trial["added"] == loaded["added"] == [f"connection {TENANT}.ecole"]
    assert trial["changed"] == loaded["changed"] == [f"connection {TENANT}.famille"]
    assert (loaded["version"], again["written"], version(hub)) == (2, False, 2)
    assert [row.by for row in rows(hub, select(directory_versions))][1] == "operator:claire"
    assert "Nothing differs from version 2." in run(place, "reload")


def test_a_trial_on_an_empty_database_writes_nothing(place: Place) -> None:
    path = place.files("one", "famille")
    assert reload(place, "--dry-run")["written"] is False
    hub = open_hub(path, {})
    assert version(hub) == 0
    hub.close()


def test_every_fault_is_listed_and_one_of_them_changes_nothing(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    path = place.files("one", "famille", "ecole", famille={"mode": "perhaps"}, ecole={"tenant": "ailleurs"})
    output = reload(place, code=1)
    assert "connections.famille.mode" in output
    assert "connections.ecole.tenant" in output
    assert "nothing is changed" in output
    path.write_text("[connections", encoding="utf-8")
    reload(place, code=1)
    assert version(hub) == 1


def test_an_empty_file_by_accident_throws_nothing_away(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    hub.acceptance.submit(hub.ledger, SPEAKER, [moved("u1", 1)])
    place.files("one")

    run(place, "reload", code=1)
    assert [row.state for row in rows(hub, select(deliveries))] == ["expected"]
    output = run(place, "reload", "--remove", f"{TENANT}.famille")

    assert f"1 open deliveries to {TENANT}.famille given up." in output
    assert [row.state for row in rows(hub, select(deliveries))] == ["skipped"]


def test_a_secret_that_is_kept_is_used_instead_of_that_of_the_file_until_it_is_removed(place: Place) -> None:
    path = place.files("one", "koha", koha=KOHA)
    path.write_text('encryption_key = { env = "UNEFOIS_KEY" }\n' + path.read_text("utf-8"), encoding="utf-8")
    hub = open_hub(path, {"KOHA_SECRET": "du fichier", "UNEFOIS_KEY": KEY})
    place.hubs.append(hub)
    hub.prepare()
    name = f"{TENANT}.koha"

    def used() -> str:
        hub._follow()
        return str(hub.connections[name].settings["client_secret"].reveal())

    assert used() == "du fichier"
    run(place, "set-secret", name, "client_secret", given="donné\n")

    assert used() == "donné"
    (kept,) = rows(hub, select(connection_secrets))
    assert "donné".encode() not in kept.sealed
    (line,) = [row for row in rows(hub, select(journal)) if row.act == "secret.kept"]
    assert "donné" not in str(line.facts)
    with hub.ledger.reading() as tx:
        assert "secret" not in json.dumps(str(read_items(tx, 1))).replace("client_secret", "")
        assert read_secrets(tx, hub.root_key, "other.koha") == {}
    run(place, "set-secret", name, "client_secret", "--remove")
    assert used() == "du fichier"


@pytest.mark.parametrize(
    ("words", "given"),
    [
        (("client_secret",), ""), (("client_secret",), "x" * 20_000), (("base_url",), "http://x"),
        (("nothing",), "y"), (("client_secret", "--remove"), ""), (("client_secret", "--file", "/nowhere"), ""),
    ],
)  # fmt: skip
def test_a_secret_that_is_none_is_refused(place: Place, words: tuple[str, ...], given: str) -> None:
    path = place.files("one", "koha", koha=KOHA)
    path.write_text('encryption_key = { env = "UNEFOIS_KEY" }\n' + path.read_text("utf-8"), encoding="utf-8")
    run(place, "set-secret", f"{TENANT}.koha", *words, given=given, code=2)


def test_running_processes_take_a_reload_and_a_signal_and_one_that_is_killed_in_the_middle_leaves_no_half(
    place: Place,
) -> None:
    """Three real processes on one database; each is told otherwise, and one dies by SIGKILL while it loads."""
    place.files("one", "famille")
    processes = []
    try:
        for number in range(2):
            name = f"gate{number}"
            path = place.files(name, "famille")
            path.write_text(
                path.read_text("utf-8").replace(
                    'bus = "embedded"', f'bus = "embedded"\nlisten = {{ port = {_port()} }}'
                ),
                encoding="utf-8",
            )
            processes.append(_start("gateway", path))
        hub = place.open(place.folder / "one.toml")
        _until(lambda: len(_running(place)) == 2)
        place.files("one", "famille", "ecole")
        run(place, "reload")
        _until(lambda: [one["directory"] for one in _running(place)] == [2, 2])
        assert [one["files_differ"] for one in _running(place)] == [True, True]
        processes[0].send_signal(signal.SIGHUP)
        _until(lambda: [one["directory"] for one in _running(place)] == [3, 3])
        for number in range(6):
            place.files("one", "famille", *(["ecole", "cantine"] if number % 2 else ["ecole"]))
            loading = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "connection", "reload", "-c", str(place.folder / "one.toml")], cwd=ROOT,
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            time.sleep(0.9 + number * 0.15)
            loading.kill()
            loading.wait(10)
            (verdict,) = hub.acceptance.submit(hub.ledger, SPEAKER, [moved("u1", number)])
            (event,) = rows(hub, select(events).where(events.c.seq == verdict.seq))
            with hub.ledger.reading() as tx:
                items = {name for kind, name in read_items(tx, event.directory) if kind == "connection"}
            found = rows(hub, select(deliveries.c.connection).where(deliveries.c.seq == verdict.seq))
            assert {row.connection for row in found} == items
        processes[1].kill()
        processes[1].wait(10)
        processes[0].send_signal(signal.SIGTERM)
        processes[0].wait(20)
        assert len(_running(place)) == 1  # that was killed says no goodbye: it is forgotten after a while
    finally:
        for process in processes:
            process.kill()


@pytest.mark.parametrize("readme", [None, "# Sans la section du fournisseur\n"])
def test_a_readme_that_lacks_something_is_told_and_hinders_no_reload(place: Place, readme: str | None) -> None:
    hub = place.open(place.files("one", "famille"))
    folder = _with_connector(place, "loisirs")
    readme_file = folder / "README.md"
    readme_file.unlink() if readme is None else readme_file.write_text(readme, encoding="utf-8")
    _also(place.files("one", "famille", "ecole"), 'connectors_dir = "ours"\n')

    said = run(place, "reload", both=True)

    assert ("README.md" in said, "Version 2" in said) == (True, True)
    with hub.ledger.reading() as tx:
        assert ("connection", f"{TENANT}.ecole") in read_items(tx, 2)


def test_another_fault_of_a_connector_still_changes_nothing(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    folder = _with_connector(place, "loisirs")
    (folder / "README.md").unlink()
    manifest = folder / "connector.toml"
    manifest.write_text(manifest.read_text("utf-8") + "\n[unknown]\n", encoding="utf-8")
    _also(place.files("one", "famille", "ecole"), 'connectors_dir = "ours"\n')

    said = run(place, "reload", code=1)

    assert ("README.md: missing" in said, "1 fault(s): nothing is changed" in said) == (True, True)
    with hub.ledger.reading() as tx:
        assert tx.directory == 1


def _with_connector(place: Place, name: str) -> Path:
    """A connector of the town's own."""
    folder = place.folder / "ours" / name
    shutil.copytree(EXAMPLES / "mediatheque", folder, ignore=shutil.ignore_patterns("case.py", "__pycache__"))
    manifest = folder / "connector.toml"
    manifest.write_text(manifest.read_text("utf-8").replace('id = "mediatheque"', f'id = "{name}"'), encoding="utf-8")
    return folder


def _also(path: Path, line: str) -> None:
    path.write_text(line + path.read_text("utf-8"), encoding="utf-8")


EARLY = """
import os, pathlib, signal, sys
from hub import wiring
opened = wiring.open_hub
def open_hub(config):
    found = opened(config)
    (pathlib.Path(config).parent / "later.toml").replace(config)
    os.kill(os.getpid(), signal.SIGHUP)
    return found
wiring.open_hub = open_hub
from commands.main import main
main()
"""


def test_a_signal_that_comes_while_a_process_starts_is_heeded_once_it_has(place: Place) -> None:
    """It has read its files already when they change."""
    place.files("one", "famille")
    later, path = place.files("later", "famille", "ecole"), place.folder / "one.toml"
    for one in (path, later):
        listening = f'bus = "embedded"\nlisten = {{ port = {_port()} }}'
        one.write_text(one.read_text("utf-8").replace('bus = "embedded"', listening), encoding="utf-8")
    command = [sys.executable, "-c", EARLY, "gateway", "--config", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _until(lambda: process.poll() is not None or [one["directory"] for one in _running(place)] == [2])
        assert process.poll() is None
    finally:
        process.kill()
        process.wait(10)


def _start(role: str, path: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", PROGRAM, role, "--config", str(path)]
    with (path.parent / "processes.log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _running(place: Place) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(run(place, "list", "--processes", "--json"))
    return found


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.1)


def _port() -> int:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
