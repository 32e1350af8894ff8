"""Packages without code of ours: what their manifests and connections say, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk import find_manifests
from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import connector_class
from hub.settings.reading import load_settings, settings_faults
from hub.wiring import installed
from schemas.manifest import Manifest
from schemas.registry import Registry
from tests.gateway.pulling import MANIFEST, folder_of

ROOT = Path(__file__).resolve().parents[3]
TOWN = '[tenants.saint-aubin]\nlabel = "Ville"\nsiret = "21930001100018"\ninsee = "93001"\n'
KEYS = 'url = "https://loisirs.example/hub"\nsigning_keys = [{ env = "KEY" }]\n'
ENVIRON = {"KEY": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}


def written(place: Path, connections: str) -> Path:
    path = place / "hub.toml"
    path.write_text(f'mode = "development"\nconnectors_dir = "ours"\n{TOWN}{connections}', encoding="utf-8")
    return path


def connection(name: str, connector: str, *lines: str, settings: str = "") -> str:
    text = "\n".join([f"[connections.{name}]", f'connector = "{connector}"', 'tenant = "saint-aubin"', *lines, ""])
    return text + (f"[connections.{name}.settings]\n{settings}" if settings else "")


def found(place: Path, connections: str) -> dict[str, str]:
    path = written(place, connections)
    return {fault.key: fault.message for fault in settings_faults(path, ENVIRON, installed(path))}


@pytest.mark.parametrize(
    ("said", "meant"), [(True, "amqp"), (False, ""), *((w, w) for w in ("amqp", "pull", "webhook"))]
)
def test_a_manifest_says_how_the_package_takes_its_deliveries(said: Any, meant: str) -> None:
    raw = {"id": "x", "name": "x", "vendor": "x", "domain": "x", "kind": "python", "owners": ["x"], "outside": said}
    made = Manifest.of(raw, Path("x"))
    assert made.outside == meant
    assert made.idempotency == "native-key" or not meant


def test_a_pulling_package_names_its_client(tmp_path: Path) -> None:
    folder_of(tmp_path)
    assert "missing" in found(tmp_path, connection("loisirs", "loisirs"))["connections.loisirs.client"]
    assert found(tmp_path, connection("loisirs", "loisirs", 'client = "a"')) == {}
    bad = found(tmp_path, connection("loisirs", "loisirs", 'client = "A b"'))
    assert bad["connections.loisirs.client"] == "must be the id of a client"


def test_a_client_is_that_of_one_connection(tmp_path: Path) -> None:
    folder_of(tmp_path)
    folder_of(tmp_path, "piscine")
    both = connection("loisirs", "loisirs", 'client = "a"') + connection("piscine", "piscine", 'client = "a"')
    assert "connection loisirs" in found(tmp_path, both)["connections.piscine.client"]


def test_a_package_with_a_connector_is_no_client(tmp_path: Path) -> None:
    folder_of(tmp_path)
    koha = found(tmp_path, connection("koha", "koha", 'client = "a"'))
    assert "only a package without code" in koha["connections.koha.client"]


def test_a_called_package_has_an_address_and_keys(tmp_path: Path) -> None:
    folder_of(tmp_path, outside="webhook")
    assert found(tmp_path, connection("loisirs", "loisirs", settings=KEYS)) == {}
    assert {"connections.loisirs.settings.url", "connections.loisirs.settings.signing_keys"} <= set(
        found(tmp_path, connection("loisirs", "loisirs"))
    )
    plain = KEYS.replace("https://loisirs", "http://loisirs")
    assert "connections.loisirs.settings.url" in found(tmp_path, connection("loisirs", "loisirs", settings=plain))
    shown = KEYS.replace('{ env = "KEY" }', '"whsec_abc"')
    faults = found(tmp_path, connection("loisirs", "loisirs", settings=shown))
    assert any("by reference" in message for message in faults.values())
    path = written(tmp_path, connection("loisirs", "loisirs", settings=KEYS))
    settings = load_settings(path, ENVIRON, installed(path)).connections["loisirs"].settings
    assert (settings["timeout_seconds"], settings["allow_insecure"]) == (20, False)


def test_a_called_package_is_called_by_the_class_of_all_of_them(tmp_path: Path) -> None:
    manifest = find_manifests(folder_of(tmp_path, outside="webhook"))["loisirs"]
    assert connector_class(manifest).__name__ == "PackageWebhook"


@pytest.mark.parametrize(
    ("line", "instead", "key"),
    [
        ('outside = "pull"', 'outside = "poll"', "outside"),
        ('idempotency = "native-key"', 'idempotency = "none"', "idempotency"),
        ('outside = "pull"', 'outside = "pull"\nbatch = 5', "batch"),
    ],
)  # fmt: skip
def test_a_manifest_that_no_package_without_code_could_have_is_refused(
    tmp_path: Path, line: str, instead: str, key: str
) -> None:
    folder = folder_of(tmp_path)
    text = MANIFEST.format(name="loisirs", outside="pull", scope="all").replace(line, instead)
    (folder / "loisirs" / "connector.toml").write_text(text, encoding="utf-8")
    keys = {fault.key for fault in connector_faults(folder, Registry.load(), ())}
    assert key in keys


def test_a_declared_connector_is_not_outside(tmp_path: Path) -> None:
    declared = ROOT / "tests/connectors/sdk/kinds/examples/agenda"
    shutil.copytree(declared, tmp_path / "agenda")
    path = tmp_path / "agenda" / "connector.toml"
    assert "outside" not in {fault.key for fault in connector_faults(tmp_path, Registry.load(), ())}
    path.write_text('outside = "pull"\n' + path.read_text(encoding="utf-8"), encoding="utf-8")
    assert "outside" in {fault.key for fault in connector_faults(tmp_path, Registry.load(), ())}
