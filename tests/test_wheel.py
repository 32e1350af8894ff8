"""The wheel holds all that the hub needs, and runs away from this folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("schemas", "bus", "connectors", "hub", "gateway", "commands", "demo")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves folders behind, and what lies in them from before would get into the wheel."""
    source, output = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("dist")
    for room in ROOMS:
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(output), str(source))
    (built,) = output.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of commands of a new environment: the wheel, and the libraries installed here."""
    place = tmp_path_factory.mktemp("elsewhere")
    venv.create(place, with_pip=False, symlinks=True)
    python = place / "bin" / "python"
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        str(wheel),
    )
    packages = next(place.glob("lib/python*/site-packages"))
    # A folder named in a .pth is searched, but its own .pth files, the editable install's among them, are not read.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    yield place / "bin"
    shutil.rmtree(place)


def test_every_data_file_of_every_room_is_in_the_wheel(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    files = (file for room in ROOMS for file in (ROOT / room).rglob("*") if file.is_file())
    wanted = {file.relative_to(ROOT).as_posix() for file in files if "__pycache__" not in file.parts}

    assert wanted - held == set()


def test_the_wheel_holds_the_rooms_the_licence_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()

    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == set(ROOMS)
    assert [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]


def test_an_installed_hub_finds_its_schemas_connectors_and_procedures(elsewhere: Path, tmp_path: Path) -> None:
    script = """
import hub
from pathlib import Path
from connectors.sdk import find_manifests
from hub.settings import procedures, reading
from schemas import registry
assert find_manifests() and procedures.procedure_slugs(None)
reading.settings_faults(Path("absent.toml"), {}, find_manifests())
print(hub.__file__)
"""
    assert str(elsewhere.parent) in run(str(elsewhere / "python"), "-c", script, cwd=tmp_path)


def test_the_installed_command_answers_away_from_the_sources(elsewhere: Path, tmp_path: Path) -> None:
    command = str(elsewhere / "unefois")

    assert "demo" in run(command, "--help", cwd=tmp_path)
    connectors = {one["name"] for one in json.loads(run(command, "connector", "list", "--json", cwd=tmp_path))}
    assert len(connectors) == len(list((ROOT / "connectors").glob("*/connector.toml")))
    assert "request.received" in run(command, "schema", "list", "--json", cwd=tmp_path)


def test_the_installed_suite_examines_a_connector_of_ours_and_one_of_the_town(elsewhere: Path, tmp_path: Path) -> None:
    command, own = str(elsewhere / "unefois"), tmp_path / "ours"
    own.mkdir()
    run(command, "connector", "new", "piscine", "--folder", str(own), cwd=tmp_path)

    for words in (["webhook"], ["piscine", "--folder", str(own)]):
        [outcome] = json.loads(run(command, "connector", "test", *words, "--json", cwd=tmp_path))
        assert (outcome["connector"], outcome["tier"]) == (words[0], "gold")


def test_the_installed_suite_says_what_is_broken_and_ends_with_one(elsewhere: Path, tmp_path: Path) -> None:
    command, own = str(elsewhere / "unefois"), tmp_path / "ours"
    own.mkdir()
    run(command, "connector", "new", "piscine", "--folder", str(own), cwd=tmp_path)
    case = own / "piscine" / "case.py"
    case.write_text(case.read_text("utf-8").replace("effects=lambda: twin.files,\n", ""), "utf-8")

    words = ["connector", "test", "piscine", "--folder", str(own), "--only", "declaration"]
    done = subprocess.run([command, *words], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert done.returncode == 1
    assert "KO  declaration" in done.stdout
    assert "the case lacks `effects`" in done.stdout


def test_the_installed_demonstration_plays(elsewhere: Path, tmp_path: Path) -> None:
    report = json.loads(run(str(elsewhere / "unefois"), "demo", "--exit", "--json", cwd=tmp_path))

    assert [scene["ok"] for scene in report["scenes"]] == [True] * 6


@pytest.mark.parametrize("command", ["faults", "bench"])
def test_what_is_not_in_the_package_says_so_in_one_line(elsewhere: Path, tmp_path: Path, command: str) -> None:
    done = subprocess.run([elsewhere / "unefois", command], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.endswith("is not part of the package: run this in a checkout of the sources\n")
    assert done.stderr.count("\n") == 1


def run(*command: str, cwd: Path | None = None) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, f"{command[:3]}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
