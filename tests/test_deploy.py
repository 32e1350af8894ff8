"""Every command, port, variable, secret and host that the container files name exists."""

from __future__ import annotations

import base64
import inspect
import os
import re
import secrets
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from commands.main import app
from connectors.sdk import find_manifests
from gateway.routes import health
from gateway.serving import server
from hub.settings.reading import settings_faults
from hub.wiring import Hub
from schemas.event import MAX_BATCH_BYTES

ROOT = Path(__file__).parents[1]
HUB_SERVICES = ("gateway", "relay", "worker")
# What the official images read from their environment.
IMAGE_VARIABLES = {
    "rabbitmq": {"RABBITMQ_DEFAULT_USER", "RABBITMQ_DEFAULT_PASS"},
    "postgres": {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE"},
}


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(text("docker-compose.yml"))
    return loaded


@pytest.fixture(scope="module")
def dockerfile() -> list[list[str]]:
    joined = text("Dockerfile").replace("\\\n", " ")
    return [line.split() for line in joined.splitlines() if line.strip() and not line.startswith("#")]


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    return tomllib.loads(text("deploy/hub.toml"))


def commands() -> set[str]:
    return set(typer.main.get_group(app).commands)


def options_from_the_environment() -> set[str]:
    return {
        name
        for command in typer.main.get_group(app).commands.values()
        for option in command.params
        for name in ([option.envvar] if isinstance(option.envvar, str) else option.envvar or [])
    }


def test_each_hub_service_runs_a_command_that_exists(compose: dict[str, Any], dockerfile: list[list[str]]) -> None:
    started = [compose["services"][name]["command"][0] for name in HUB_SERVICES]
    (default,) = [line[1].strip('["]') for line in dockerfile if line[0] == "CMD"]

    assert {*started, default} <= commands()
    assert ["ENTRYPOINT", '["unefois"]'] in dockerfile


def test_the_gateways_port_is_the_same_everywhere(
    compose: dict[str, Any], dockerfile: list[list[str]], settings: dict[str, Any]
) -> None:
    port = str(settings["listen"]["port"])
    gateway = compose["services"]["gateway"]

    assert gateway["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert f"http://127.0.0.1:{port}/readyz" in gateway["healthcheck"]["test"][-1]
    assert "/readyz" in {getattr(route, "path", None) for route in health.router.routes}
    assert ["EXPOSE", port] in dockerfile


def test_every_environment_variable_is_read_by_somebody(compose: dict[str, Any], dockerfile: list[list[str]]) -> None:
    given = [part.partition("=")[0] for line in dockerfile if line[0] == "ENV" for part in line[1:]]
    for name in HUB_SERVICES:
        given += compose["services"][name]["environment"]

    assert {name for name in given if name.startswith("UNEFOIS_")} <= options_from_the_environment()
    for name, known in IMAGE_VARIABLES.items():
        assert set(compose["services"][name]["environment"]) <= known


def test_every_secret_of_the_settings_is_mounted_and_none_is_written_down(
    compose: dict[str, Any], settings: dict[str, Any]
) -> None:
    named = set(re.findall(r"/run/secrets/(\w+)", text("deploy/hub.toml")))

    assert named == set(compose["secrets"])
    assert all(set(compose["services"][name]["secrets"]) == named for name in HUB_SERVICES)
    assert all(entry["file"].startswith("deploy/secrets/") for entry in compose["secrets"].values())
    assert "/deploy/secrets/" in text(".gitignore").splitlines()
    assert settings["encryption_key"] == {"file": "/run/secrets/encryption_key"}


def test_broker_and_database_are_services_that_nobody_outside_reaches(
    compose: dict[str, Any], settings: dict[str, Any]
) -> None:
    assert set(settings["tls"]["plain_hosts"]) == set(IMAGE_VARIABLES) <= set(compose["services"])
    for name in IMAGE_VARIABLES:
        service = compose["services"][name]
        assert service["networks"] == ["inside"]
        assert "ports" not in service
        assert "healthcheck" in service
    assert compose["networks"]["inside"]["internal"] is True


def test_every_service_has_longer_to_stop_than_it_needs(compose: dict[str, Any]) -> None:
    grace = {name: int(service["stop_grace_period"].removesuffix("s")) for name, service in compose["services"].items()}
    longest = inspect.signature(Hub.stop).parameters["timeout"].default

    assert set(grace) == {*HUB_SERVICES, *IMAGE_VARIABLES}
    assert grace["worker"] > longest
    assert grace["relay"] > longest
    assert grace["gateway"] > longest + server._STOP_SECONDS
    assert min(grace.values()) >= 30


def test_the_broker_has_the_limits_that_the_page_explains(compose: dict[str, Any]) -> None:
    lines = [line for line in text("deploy/rabbitmq.conf").splitlines() if line and not line.startswith("#")]
    given = dict(line.split(" = ") for line in lines)
    table = text("docs/amqp.md").partition("## Limits of the broker")[2].partition("\n## ")[0]
    explained = dict(re.findall(r"^\| `([a-z_.]+)` \| (\w[\w.]*) \|", table, re.MULTILINE))

    assert given == explained
    assert MAX_BATCH_BYTES < int(given["max_message_size"]) < MAX_BATCH_BYTES + 10_000
    assert any(volume.startswith("./deploy/rabbitmq.conf:") for volume in compose["services"]["rabbitmq"]["volumes"])


def test_every_image_and_volume_is_pinned_or_declared(compose: dict[str, Any], dockerfile: list[list[str]]) -> None:
    images = [service["image"] for service in compose["services"].values()]
    images += [line[1] for line in dockerfile if line[0] == "FROM"]

    assert all(re.search(r":[\w.-]*\d", image) for image in images)
    for service in compose["services"].values():
        volumes = {volume.partition(":")[0] for volume in service["volumes"]}
        assert {name for name in volumes if not name.startswith("./")} <= set(compose["volumes"])


def test_the_image_copies_every_room_and_runs_as_nobody_in_particular(dockerfile: list[list[str]]) -> None:
    copied = {source for line in dockerfile if line[0] == "COPY" and "--from" not in line[1] for source in line[1:-1]}

    assert {"schemas", "bus", "connectors", "hub", "gateway", "requirements.lock", "pyproject.toml"} <= copied
    assert all((ROOT / source).exists() for source in copied)
    assert all(f"!{source}" in text(".dockerignore").splitlines() for source in copied)
    assert ["USER", "unefois"] in dockerfile


def test_the_example_settings_are_without_fault_once_the_secrets_are_there(tmp_path: Path) -> None:
    for name in ("database_password", "bus_password", "encryption_key"):
        (tmp_path / name).write_text(base64.b64encode(secrets.token_bytes(32)).decode())
    config = tmp_path / "hub.toml"
    config.write_text(text("deploy/hub.toml").replace("/run/secrets/", f"{tmp_path}/"))

    assert settings_faults(config, {}, find_manifests()) == []


def test_the_test_services_listen_where_the_script_says() -> None:
    services = yaml.safe_load(text("deploy/test-services.yml"))["services"]
    script = text("scripts/services.sh")

    for name, scheme in (("rabbitmq", "amqp"), ("postgres", "postgresql")):
        address, _, _ = services[name]["ports"][0].rpartition(":")
        assert re.search(rf"{scheme}://\w+:\w+@{re.escape(address)}/", script)


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/test-services.yml"])
def test_the_compose_files_are_valid(name: str) -> None:
    command = shutil.which("docker-compose")
    if command is None:
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(
        [command, "-f", name, "config"], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ)
    )

    assert done.returncode == 0, done.stderr
