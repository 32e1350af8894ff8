"""A town's own connectors, in a folder beside those of the hub."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from connectors.sdk import connector_class, find_manifests
from connectors.sdk.discovery import ROOT, folder_module
from hub.wiring import installed
from schemas.errors import ConfigError
from schemas.manifest import FILE

CODE = """
from connectors.sdk import Connector
from . import words


class Mairie(Connector):
    greeting = words.GREETING
"""


def own_connector(folder: Path, slug: str) -> Path:
    place = folder / slug
    place.mkdir(parents=True)
    manifest = (ROOT / "webhook" / FILE).read_text(encoding="utf-8")
    (place / FILE).write_text(manifest.replace('id = "webhook"', f'id = "{slug}"', 1), encoding="utf-8")
    (place / "connector.py").write_text(CODE, encoding="utf-8")
    (place / "words.py").write_text('GREETING = "Bonjour"\n', encoding="utf-8")
    return folder


def test_a_connector_of_the_town_stands_beside_those_of_the_hub_and_reads_its_own_neighbours(tmp_path: Path) -> None:
    found = find_manifests(own_connector(tmp_path, "mairie-annexe"))

    assert {"mairie-annexe", "webhook"} <= set(found)
    assert connector_class(found["mairie-annexe"]).greeting == "Bonjour"  # type: ignore[attr-defined]
    assert "mairie-annexe" not in find_manifests()


def test_a_connector_of_the_town_takes_no_name_of_the_hub(tmp_path: Path) -> None:
    own_connector(tmp_path / "ours", "webhook")
    (tmp_path / "hub.toml").write_text('connectors_dir = "ours"\n', encoding="utf-8")

    with pytest.raises(ConfigError, match="already there"):
        installed(tmp_path / "hub.toml")


def test_a_folder_that_is_gone_leaves_the_connectors_of_the_hub(tmp_path: Path) -> None:
    own_connector(tmp_path / "ours", "mairie")
    (tmp_path / "hub.toml").write_text('connectors_dir = "ours"\n', encoding="utf-8")
    shutil.rmtree(tmp_path / "ours")

    assert "mairie" not in installed(tmp_path / "hub.toml")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A Python package, installed as pip does it, that names its connector by an entry point."""
    folder = own_connector(tmp_path / "site", "piscine") / "piscine"
    (folder / "__init__.py").write_text("raise RuntimeError('listed, and imported')\n", encoding="utf-8")
    record = tmp_path / "site" / "piscine-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: piscine\nVersion: 1.0\n", encoding="utf-8")
    (record / "entry_points.txt").write_text("[unefois.connectors]\npiscine = piscine\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    find_manifests.cache_clear()
    yield folder
    find_manifests.cache_clear()


def test_a_connector_that_is_installed_as_a_package_is_found_and_not_imported(package: Path) -> None:
    found = find_manifests()

    assert found["piscine"].folder == package
    assert connector_class(found["piscine"]).greeting == "Bonjour"  # type: ignore[attr-defined]


def test_an_entry_point_without_its_package_is_told(package: Path) -> None:
    record = package.parent / "piscine-1.0.dist-info" / "entry_points.txt"
    record.write_text("[unefois.connectors]\npiscine = bassin\n", encoding="utf-8")
    find_manifests.cache_clear()

    with pytest.raises(ValueError, match="no package bassin"):
        find_manifests()


def test_connectors_of_the_town_are_loaded_while_others_are_imported(tmp_path: Path) -> None:
    """A hub makes its connectors in threads of their own; found as a delivery parked by the first of them."""
    folders = [own_connector(tmp_path, f"mairie{number}") / f"mairie{number}" for number in range(60)]
    ended = threading.Event()

    def imported() -> None:
        while not ended.is_set():
            for number in range(500):
                sys.modules[f"one_of_many_{number}"] = ModuleType("one_of_many")
            for number in range(500):
                del sys.modules[f"one_of_many_{number}"]

    busy, usual = threading.Thread(target=imported), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    busy.start()
    try:
        loaded = [folder_module(folder, "words").GREETING for folder in folders]
    finally:
        sys.setswitchinterval(usual)
        ended.set()
        busy.join()

    assert loaded == ["Bonjour"] * 60
