"""The demo, as a newcomer runs it, on both modes; and the two figures that a newcomer feels: help and memory."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psutil
import pytest

from tests.support.servers import Postgres, Rabbit, free_ports

UNEFOIS = [sys.executable, "-c", "from commands.main import main; main()"]
ROOT = Path(__file__).parents[2]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*UNEFOIS, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


def check(report: dict[str, Any]) -> None:
    assert [(scene["name"], scene["ok"]) for scene in report["scenes"]] == [(name, True) for name in "ABCDEF"]
    assert report["lost"] == report["parked"] == report["refused"] == report["waiting"] == report["held"] == 0
    assert report["accepted"] > 200
    assert report["delivered"] > 600


def test_the_demo_plays_in_one_process() -> None:
    done = run("demo", "--exit", "--json")

    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


@pytest.mark.broker
@pytest.mark.database
def test_the_demo_plays_on_rabbitmq_and_postgresql(rabbitmq: Rabbit, postgres: Postgres) -> None:
    done = run("demo", "--exit", "--json", "--bus", rabbitmq.url, "--database", postgres.fresh_database())

    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


def test_the_demo_tells_each_step_and_shows_no_identity_in_its_timelines() -> None:
    done = run("demo", "--exit")

    assert done.returncode == 0, done.stdout
    assert done.stdout.count("✓") > 25
    assert "perdus : 0" in done.stdout
    timelines = [line for line in done.stdout.splitlines() if line.startswith("      ")]
    assert not any(name in line for line in timelines for name in ("GARANCE", "SORBIER", "Tilleuls", "@"))


def test_the_demo_refuses_a_database_that_holds_events(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/hub.db"
    assert run("demo", "--exit", "--json", "--database", address).returncode == 0

    again = run("demo", "--exit", "--database", address)

    assert again.returncode == 2
    assert "database of its own" in again.stderr


def test_help_answers_at_once() -> None:
    best = min(_seconds("--help") for _ in range(3))

    assert best < 0.5


def test_serve_idles_under_150_megabytes(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    (tmp_path / "drop").mkdir()
    (tmp_path / "hub.toml").write_text(
        f"""
mode = "development"
database = "sqlite:///hub.db"
bus = "embedded"
documents = "documents"
listen = {{ host = "127.0.0.1", port = {port} }}

[tenants.saint-aubin]
label = "Ville de Saint-Aubin"
siret = "21930001100018"
insee = "93001"

[connections.famille]
connector = "filedrop"
tenant = "saint-aubin"
mode = "live"
consumes = [{{ type = "citizen.address-changed" }}]
settings = {{ drop_folder = "{tmp_path}/drop", preset = "family" }}
""",
        encoding="utf-8",
    )
    server = subprocess.Popen([*UNEFOIS, "serve", "--config", str(tmp_path / "hub.toml")], cwd=ROOT)
    try:
        _answers(f"http://127.0.0.1:{port}/readyz")
        memory = psutil.Process(server.pid).memory_info().rss / 1e6
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    assert memory < 150


def _seconds(*arguments: str) -> float:
    """Of processor, which others on this machine do not lengthen much."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*UNEFOIS, *arguments], cwd=ROOT, capture_output=True, check=True, env=os.environ | {"COLUMNS": "100"}
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _answers(url: str) -> None:
    deadline = time.monotonic() + 120
    while True:
        try:
            with urlopen(url, timeout=2) as answer:
                assert answer.status == 200
                return
        except OSError:
            assert time.monotonic() < deadline, "the server did not come up"
            time.sleep(0.1)
