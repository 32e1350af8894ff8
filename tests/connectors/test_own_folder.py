"""A town's own connectors, in a folder beside those of the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sdk import connector_class, find_manifests
from connectors.sdk.discovery import ROOT
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
