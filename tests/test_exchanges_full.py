"""An exchange in the full mode: gateway, relay and worker are processes of their own, between them RabbitMQ."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.apiparticulier.twin import TOKEN, ApiParticulierTwin
from hub.journal.verify import receipt_fault
from tests.support.missing import missing  # fmt: skip
from tests.support.servers import ServiceUnavailable, free_ports, postgres_service, rabbitmq_service, wait_until

ROOT = Path(__file__).parents[1]
PROGRAM = "from commands.main import main; main()"
QUESTION = {
    "evidence": "family-quotient", "procedure": "formulaire-qf",
    "citizen": {"identity": {
        "family_name": "Corvisart", "given_names": ["Maëlle", "Odette"], "gender": "female",
        "birthdate": "1987-03-09", "birthplace": "2A004", "birthcountry": "99100",
    }},
    "asker": {"role": "beneficiary", "assurance": "eidas1"},
}  # fmt: skip
SETTINGS = """
mode = "development"
database = "{database}"
bus = "{bus}"
documents = "{folder}/documents"
grants_dir = "{folder}/grants"
listen = {{ port = {port} }}
[tenants.saint-aubin]
label = "Ville de Saint-Aubin"
siret = "21930001100018"
insee = "93001"
[connections.api-particulier]
connector = "apiparticulier"
tenant = "saint-aubin"
mode = "live"
[connections.api-particulier.settings]
base_url = "{twin}"
token = {{ file = "{folder}/token" }}
"""
GRANT = """
[grants.cantine]
client = "portail"
tenant = "saint-aubin"
purpose = "Calculer le tarif de la cantine."
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-01-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary"]
assurance = "eidas1"
rate = 600
retention_days = 365
[grants.cantine.evidence.family-quotient]
fields = ["quotient", "month", "children_count"]
authorisation = { number = "DP-1", scopes = ["cnaf_quotient_familial"], expires = 2099-12-31 }
"""


@dataclass
class Town:
    """A hub of real processes. `twin` is the source."""

    folder: Path
    port: int
    twin: ApiParticulierTwin
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    token: str = ""

    def start(self, role: str) -> subprocess.Popen[bytes]:
        with (self.folder / "processes.log").open("ab") as log:
            process = subprocess.Popen(self._command(role), cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def run(self, *words: str) -> str:
        return subprocess.run(self._command(*words), cwd=ROOT, check=True, capture_output=True, text=True).stdout

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", PROGRAM, *words, "--config", str(self.folder / "hub.toml")]

    def log_in(self, secret: str) -> None:
        answer = self._http("POST", "/oauth/token", data={"grant_type": "client_credentials"}, auth=("portail", secret))
        self.token = answer.raise_for_status().json()["access_token"]

    def thinks(self, before: int) -> None:
        if len(self.twin.calls) == before:
            raise OSError("the source was not asked yet")

    def ask(self) -> httpx.Response:
        return self.call("POST", "/v1/exchanges", json=QUESTION)

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._http(method, path, headers={"Authorization": f"Bearer {self.token}"}, **more)

    def _http(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return httpx.request(method, f"http://127.0.0.1:{self.port}{path}", timeout=40, **more)
        except httpx.TransportError as error:  # what `wait_until` waits for
            raise OSError(str(error)) from error

    def until_answered(self, call: Callable[[], httpx.Response], seconds: float = 60) -> httpx.Response:
        answers: list[httpx.Response] = []

        def answered() -> None:
            answers.append(call())
            if answers[-1].status_code != 200:
                raise OSError(answers[-1].text)

        wait_until(answered, seconds=seconds)
        return answers[-1]

    def close(self) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    try:
        with rabbitmq_service() as rabbit, postgres_service() as postgres, ApiParticulierTwin() as twin:
            (port,) = free_ports(1)
            (tmp_path / "grants").mkdir()
            (tmp_path / "grants" / "cantine.toml").write_text(GRANT, encoding="utf-8")
            (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
            settings = SETTINGS.format(
                folder=tmp_path, database=postgres.fresh_database(), bus=rabbit.url, port=port, twin=twin.url
            )
            (tmp_path / "hub.toml").write_text(settings, encoding="utf-8")
            town = Town(tmp_path, port, twin)
            try:
                yield town
            finally:
                town.close()
    except ServiceUnavailable as error:
        missing(str(error))


def test_a_live_question_crosses_processes_and_outlives_a_worker_killed_in_the_middle(town: Town) -> None:
    scopes = ("--scope", "exchanges:write", "--scope", "exchanges:read")
    added = json.loads(town.run("client", "add", "saint-aubin", "portail", *scopes))
    town.start("gateway")
    town.start("relay")
    worker = town.start("worker")
    wait_until(lambda: town.log_in(added["client_secret"]), seconds=90)

    # the source is asked over the bus
    body = town.until_answered(town.ask).json()
    assert body["values"]["quotient"]["value"] == 742
    assert sorted(body["values"]) == ["children_count", "month", "quotient"]

    # the journal is sealed, and proves it
    receipt = town.until_answered(lambda: town.call("GET", f"/v1/exchanges/{body['id']}/receipt")).json()
    assert receipt_fault(receipt) is None

    # a worker that dies while the source thinks: a coded refusal within the deadline of a question
    town.twin.misbehave("late")
    before, began = len(town.twin.calls), time.monotonic()
    with ThreadPoolExecutor(1) as caller:
        asked = caller.submit(town.ask)
        wait_until(lambda: town.thinks(before), seconds=15)
        worker.kill()
        refused = asked.result()
    assert (refused.status_code, refused.json()["code"]) == (503, "source_away")
    assert time.monotonic() - began < 21
    assert "retry-after" in refused.headers

    # another worker answers
    town.twin.behave()
    town.start("worker")
    assert town.until_answered(town.ask).json()["values"]["quotient"]["value"] == 742
    assert "orvisart" not in (town.folder / "processes.log").read_text(encoding="utf-8")
