"""Adding a connector touches no file outside its folder: what lists connectors reads their manifests."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = (
    "schemas", "bus", "connectors", "hub", "gateway", "commands", "demo", "faults", "benchmarks", "deploy", "docs",
    "scripts", "tests",
)  # fmt: skip


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    place = tmp_path_factory.mktemp("checkout")
    for part in PARTS:
        shutil.copytree(ROOT / part, place / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy(path, place)
    yield place
    shutil.rmtree(place)


def ran(place: Path, *command: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def unefois(place: Path, *words: str) -> None:
    ran(place, "-c", "from commands.main import main; main()", *words)


def digests(place: Path) -> Mapping[str, str]:
    files = (path for path in place.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(place)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_a_connector_is_added_by_its_folder_alone(checkout: Path) -> None:
    before = digests(checkout)

    unefois(checkout, "connector", "new", "piscine")
    unefois(checkout, "connector", "test", "piscine", "--write")
    unefois(checkout, "check")
    tests = ["tests/test_docs.py", "tests/test_architecture.py", "tests/connectors/test_suite.py"]
    ran(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", "not test_suite or piscine")

    after = digests(checkout)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith("connectors/piscine/")} == set()
    assert "connectors/piscine/outcomes.md" in changed
