"""A new connector works before anybody has touched it, and replaces nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import conformance
from connectors.sdk.check import connector_faults
from connectors.sdk.scaffold import write_connector
from schemas.errors import ConfigError
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry

ROOT = Path(__file__).resolve().parents[3]
FILES = {"__init__.py", "README.md", "case.py", "client.py", "connector.py", "connector.toml", "mapping.py",
         "statuses.csv", "twin.py"}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "connectors").mkdir()
    return tmp_path / "connectors"


def everything(under: Path) -> list[str]:
    return sorted(str(path.relative_to(under)) for path in under.rglob("*"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the kit, with two new connectors in it: one answers questions."""
    place = tmp_path_factory.mktemp("copy")
    for room in ("schemas", "connectors"):
        shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    write_connector("garde_enfants", place / "connectors")
    write_connector("impots", place / "connectors", answers="tax-situation")
    yield place
    shutil.rmtree(place)


def run(place: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=place, env=environment, capture_output=True, text=True, check=False
    )


def test_the_files_of_the_guide_are_written_and_nothing_beside_them(folder: Path) -> None:
    written = write_connector("garde_enfants", folder)

    place = folder / "garde_enfants"
    assert {path.name for path in written} == FILES
    assert all(path.is_file() and path.parent == place for path in written)
    assert everything(folder.parent) == sorted(
        ["connectors", "connectors/garde_enfants", *(str(path.relative_to(folder.parent)) for path in written)]
    )


@pytest.mark.parametrize(("slug", "answers"), [("garde_enfants", ""), ("impots", "tax-situation")])
def test_a_new_connector_passes_every_rule_of_the_suite_at_once(folder: Path, slug: str, answers: str) -> None:
    write_connector(slug, folder, answers=answers)

    outcome = conformance.examine(Manifest.load(folder / slug / FILE))

    assert outcome.faults == ()
    assert outcome.tier == "gold"


def test_a_new_connector_passes_the_formatter_and_the_type_checker(copy: Path) -> None:
    paths = [f"connectors/{slug}" for slug in ("garde_enfants", "impots")]
    for command in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy", "--strict"]):
        ran = run(copy, *command, *paths)
        assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("evidence", Registry.load().evidence_types())
def test_a_connector_may_answer_for_any_evidence(folder: Path, evidence: str) -> None:
    write_connector("garde", folder, answers=evidence)

    assert [one.type for one in Manifest.load(folder / "garde" / FILE).answers] == [evidence]
    assert connector_faults(folder, Registry.load(), ()) == []


def test_an_evidence_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match='did you mean "tax-situation"'):
        write_connector("garde", folder, answers="tax-situations")
    assert everything(folder.parent) == ["connectors"]


@pytest.mark.parametrize(
    "slug", ["", "Garde", "garde-enfants", "2mains", "../sdk", "a/b", "été", "class", "a" * 60, "x\n"]
)
def test_a_name_that_cannot_be_a_connector_is_refused(folder: Path, slug: str) -> None:
    with pytest.raises(ConfigError, match="named by"):
        write_connector(slug, folder)
    assert everything(folder.parent) == ["connectors"]


@pytest.mark.parametrize("taken", ["connectors/garde", "connectors/garde.py"])
def test_what_exists_is_left_as_it_is(folder: Path, taken: str) -> None:
    (folder.parent / taken).mkdir(parents=True)
    before = everything(folder.parent)

    with pytest.raises(ConfigError, match="is there already"):
        write_connector("garde", folder)

    assert everything(folder.parent) == before


def test_a_folder_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no folder"):
        write_connector("garde", tmp_path / "connectors")
    assert everything(tmp_path) == []


def test_a_failure_in_the_middle_leaves_nothing_half_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_connector("garde", folder)
    assert everything(folder) == []
    assert not list(folder.parent.glob(".connector-*"))


def test_a_place_that_cannot_be_written_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", denied)
    with pytest.raises(ConfigError, match="Permission denied"):
        write_connector("garde", folder)
