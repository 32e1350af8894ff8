"""Every command, port, variable, secret and host that the container files name exists."""

from __future__ import annotations

import base64
import contextlib
import inspect
import os
import re
import secrets
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import typer
import yaml

from bus.api import INLET, Outgoing, Queue
from bus.ledger import Ledger
from bus.rabbitmq import RabbitBus
from commands.main import app
from connectors.sdk import find_manifests
from gateway import bodies
from gateway.routes import health
from gateway.routes.inbound import MOST_BYTES
from gateway.serving import door, protocol, server
from hub.settings.reading import settings_faults
from hub.storage.migrations import upgrade
from hub.wiring import Hub
from schemas.errors import AccessDenied
from schemas.event import MAX_BATCH_BYTES
from tests.support.missing import missing
from tests.support.servers import Rabbit, ServiceUnavailable, private_postgres, rabbit_cluster

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


def broker_settings() -> dict[str, str]:
    lines = [line for line in text("deploy/rabbitmq.conf").splitlines() if line and not line.startswith("#")]
    return dict(line.split(" = ") for line in lines)


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
    given = {key: value for key, value in broker_settings().items() if not key.startswith("default_")}
    table = text("docs/amqp.md").partition("## Limits of the broker")[2].partition("\n## ")[0]
    explained = dict(re.findall(r"^\| `([a-z_.]+)` \| (\w[\w.]*) \|", table, re.MULTILINE))

    assert given == explained
    assert MAX_BATCH_BYTES < int(given["max_message_size"]) < MAX_BATCH_BYTES + 10_000
    assert any(volume.startswith("./deploy/rabbitmq.conf:") for volume in compose["services"]["rabbitmq"]["volumes"])


def test_no_service_is_root_or_writes_or_takes_more_than_it_must(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        assert not re.match(r"(0|root)\b", str(service["user"])), name
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert all("size=" in place for place in service["tmpfs"]), name
        assert service["mem_limit"], name
        assert service["cpus"], name
        assert service["pids_limit"], name


def test_broker_and_database_may_write_where_their_images_must(compose: dict[str, Any]) -> None:
    # From their Dockerfiles and entrypoints: the data, what a server logs or listens on, and temporary files.
    for name, places in {
        "rabbitmq": {"/tmp", "/var/log/rabbitmq", "/var/lib/rabbitmq"},
        "postgres": {"/tmp", "/var/run/postgresql", "/var/lib/postgresql/data"},
    }.items():
        service = compose["services"][name]
        mounted = {volume.split(":")[1] for volume in service["volumes"] if not volume.endswith(":ro")}
        assert mounted | {place.partition(":")[0] for place in service["tmpfs"]} == places
        assert service["user"] == "999:999"  # so that the entrypoint changes no owner and no user


def test_whoever_is_given_a_secret_can_read_it_and_nobody_is_given_more(
    compose: dict[str, Any], dockerfile: list[list[str]]
) -> None:
    (owner,) = {service["user"] for name, service in compose["services"].items() if name in HUB_SERVICES}
    user, _, group = owner.partition(":")
    (made,) = [line for line in dockerfile if "useradd" in line]
    assert made[made.index("--uid") + 1] == user == group  # --user-group gives it the same number
    assert f"chown root:{group} deploy/secrets/*" in text("docker-compose.yml")
    for name, secret in {"rabbitmq": "bus_password", "postgres": "database_password"}.items():
        assert compose["services"][name]["secrets"] == [secret]
        assert compose["services"][name]["group_add"] == [group]


def test_the_hub_is_neither_administrator_of_the_broker_nor_superuser_of_the_database(
    compose: dict[str, Any], settings: dict[str, Any]
) -> None:
    hub = {name: urlsplit(settings[key]).username for name, key in (("rabbitmq", "bus"), ("postgres", "database"))}
    broker, database = (compose["services"][name] for name in ("rabbitmq", "postgres"))

    assert broker["environment"]["RABBITMQ_DEFAULT_USER"] == hub["rabbitmq"]
    assert broker_settings()["default_user_tags.administrator"] == "false"
    assert "POSTGRES_USER" not in database["environment"]  # the image would make it superuser
    assert f"CREATE ROLE {hub['postgres']} LOGIN NOSUPERUSER" in text("deploy/postgres.sh")
    assert any(volume.endswith(":/docker-entrypoint-initdb.d/10-unefois.sh:ro") for volume in database["volumes"])
    assert os.access(ROOT / "deploy/postgres.sh", os.X_OK)  # else the image runs it as a part of its own script


@pytest.mark.broker
def test_the_first_user_of_the_broker_may_what_the_page_says_and_the_hub_runs_with_it() -> None:
    (line,) = re.findall(r"set_permissions unefois '(.*)' '(.*)' '(.*)'", text("docs/amqp.md"))
    defaults = {key: value for key, value in broker_settings().items() if key.startswith("default_")}
    settings = "".join(f"{key} = {value}\n" for key, value in defaults.items())
    first = {"RABBITMQ_DEFAULT_USER": "guest", "RABBITMQ_DEFAULT_PASS": "guest"}

    with first_start(settings, first) as rabbit:
        users = rabbit.ctl("-q", "--no-table-headers", "list_users").split("\t")
        (rights,) = rabbit.ctl("-q", "--no-table-headers", "list_permissions").splitlines()
        _, configure, write, read = rights.split("\t")
        bus = RabbitBus(rabbit.url)
        try:
            bus.declare([Queue(INLET, "inlet"), Queue("unefois.connection.a.b", "connection")])
            outcomes = bus.publish([Outgoing(INLET, b"1"), Outgoing("unefois.connection.a.b", b"1")])
            stop = threading.Event()
            bus.consume(INLET, lambda _: stop.set(), stop=stop)
            with pytest.raises(AccessDenied):
                bus.declare([Queue("another", "connection")])
        finally:
            bus.close()

    assert users == ["guest", "[]\n"]
    assert (configure, write) == line[:2]
    assert read in (line[1], line[2])  # RabbitMQ 3.10 takes `default_permissions.write` for what may be read
    assert all(outcome.taken for outcome in outcomes)


@contextlib.contextmanager
def first_start(settings: str, variables: dict[str, str]) -> Iterator[Rabbit]:
    """A broker that starts for the first time."""
    try:
        with rabbit_cluster(1, settings=settings, variables=variables) as (rabbit,):
            yield rabbit
    except ServiceUnavailable as reason:
        missing(str(reason))


@pytest.mark.database
def test_the_script_of_the_database_makes_a_role_that_owns_its_database_and_nothing_else(tmp_path: Path) -> None:
    psql = shutil.which("psql")
    if psql is None:
        missing("no psql")
    secret = secrets.token_urlsafe(12) + "'\\"
    (tmp_path / "database_password").write_text(secret + "\n")
    script = text("deploy/postgres.sh").replace("unefois", "hubrole").replace("/run/secrets", str(tmp_path))
    try:
        with private_postgres() as server:
            parts = urlsplit(server.url)
            env = {"PATH": os.environ["PATH"], "PGHOST": "127.0.0.1", "PGPORT": str(parts.port)}
            admin = {"POSTGRES_USER": str(parts.username)}  # that of the tests; the image's own is `postgres`
            done = subprocess.run(["sh", "-c", script], env=env | admin, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            assert secret not in done.stdout + done.stderr
            with psycopg.connect(server.url) as sql:
                role = sql.execute(
                    "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin"
                    " FROM pg_roles WHERE rolname = 'hubrole'"
                ).fetchone()
                hashed = sql.execute("SELECT rolname FROM pg_authid WHERE rolpassword IS NOT NULL").fetchall()
            assert role == (False, False, False, False, False, True)
            assert hashed == [("hubrole",)]
            ledger = Ledger(f"postgresql://hubrole@127.0.0.1:{parts.port}/hubrole")
            upgrade.upgrade(ledger)  # all that the hub makes, under this role
            assert upgrade.current(ledger)
            ledger.close()
            with pytest.raises(psycopg.OperationalError, match="permission denied"):
                psycopg.connect(f"postgresql://hubrole@127.0.0.1:{parts.port}/postgres")
    except ServiceUnavailable as reason:
        missing(str(reason))


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


def directives() -> dict[str, list[str]]:
    """The lines of an nginx file by their first word."""
    found: dict[str, list[str]] = {}
    for line in text("deploy/nginx.conf").splitlines():
        words = line.partition(" #")[0].strip().removesuffix(";").split(maxsplit=1)
        if len(words) == 2 and not words[0].startswith("#"):
            found.setdefault(words[0], []).append(words[1])
    return found


def number(value: str) -> int:
    return int(value[:-1]) * {"k": 1024, "m": 1024 * 1024, "s": 1}[value[-1]]


def test_the_proxy_is_stricter_than_the_gateway_where_the_gateway_would_have_to_cut() -> None:
    given = directives()
    buffers, size = given["large_client_header_buffers"][0].split()

    assert int(buffers) * number(size) + 2048 < protocol.HEAD_BYTES
    assert number(given["client_header_timeout"][0]) <= protocol.HEAD_SECONDS
    assert number(given["client_body_timeout"][0]) <= bodies.PACE_SECONDS
    assert number(given["client_max_body_size"][0]) == MOST_BYTES
    assert number(max(given["keepalive_timeout"], key=number)) < protocol.KEEP_ALIVE_SECONDS
    assert int(given["keepalive"][0]) < door.MOST_LINES
    assert given["proxy_request_buffering"] == ["on"]
    assert given["proxy_http_version"] == ["1.1", "1.1"]


def test_the_proxy_says_itself_whose_call_it_is_and_shows_no_probe() -> None:
    given = directives()
    passed = [place for place in given["location"] if place != "/ {"]
    fields = dict(field.split(maxsplit=1) for field in given["proxy_set_header"])

    assert fields["X-Forwarded-For"] == "$remote_addr"
    assert fields["Forwarded"] == '""'
    assert given["proxy_set_header"].count("X-Forwarded-For $remote_addr") == len(passed) == 2
    assert not any(re.search(place.removeprefix("~ ").removesuffix(" {"), path) for place in passed
                   for path in ("/healthz", "/readyz", "/metrics", "/"))  # fmt: skip
    for path in (
        "/v1/events",
        "/in/publik",
        "/oauth/token",
        "/preview/x",
        "/docs",
        "/.well-known/jwks.json",
        "/schemas",
    ):
        assert any(re.search(place.removeprefix("~ ").removesuffix(" {"), path) for place in passed), path


def test_the_limits_of_the_proxy_are_those_that_the_page_explains() -> None:
    page = text("docs/http.md").partition("## Behind a reverse proxy")[2]
    given = directives()
    explained = re.findall(r"`((?:large_client|client|proxy|limit|keepalive|send)_\w+) ([^`]+)`", page)

    assert len(explained) >= 7
    for name, value in explained:
        assert value in given[name], name
    for shown in (f"{protocol.HEAD_BYTES // 1024} KiB, {protocol.HEAD_FIELDS}, {protocol.HEAD_SECONDS:.0f} s",
                  f"{bodies.READ_SECONDS:.0f} s, and {bodies.PACE_BYTES // 1024} KiB every {bodies.PACE_SECONDS:.0f} s",
                  f"{bodies.PROVED_BYTES >> 20} MiB of callers", f"{bodies.UNPROVED_BYTES >> 20} MiB of others",
                  f"| {door.MOST_LINES:,}, and fewer", f"{protocol.KEEP_ALIVE_SECONDS} s after one",
                  f"{protocol.SLOWEST_READER // 1024} KiB/s over {protocol.STALL_SECONDS:.0f} s",
                  f"for {protocol.LINGER_SECONDS:.0f} seconds, {protocol.LINGER_PAUSE:.0f} without a byte",
                  f"or {protocol.LINGER_BYTES >> 20} MiB"):  # fmt: skip
        assert shown in page, shown


@pytest.mark.parametrize("name", ["docker-compose.yml", "deploy/test-services.yml"])
def test_the_compose_files_are_valid(name: str) -> None:
    command = shutil.which("docker-compose")
    if command is None:
        pytest.skip("docker-compose is not installed")
    done = subprocess.run(
        [command, "-f", name, "config"], cwd=ROOT, capture_output=True, text=True, env=dict(os.environ)
    )

    assert done.returncode == 0, done.stderr
