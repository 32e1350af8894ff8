"""The commands and the program of docs/amqp.md, in whatever order package and hub are started."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

import orjson
import pika
import pytest

from bus.api import INLET, receipts_queue
from schemas.manifest import FILE
from tests.support.reading import eventually
from tests.support.recording import TENANT, move
from tests.support.servers import Rabbit, free_ports
from tests.test_docs_amqp import PAGE, USER, block

ROOT = Path(__file__).parents[1]
UNEFOIS = (sys.executable, "-c", "from commands.main import main; main()")


def command(begin: str) -> str:
    """The line of the page that begins so, without its comment."""
    (line,) = [line for line in PAGE.splitlines() if line.startswith(begin)]
    return line.partition("#")[0].strip()


class Site:
    """A broker's virtual host and a folder, where nothing has run yet; what the page says is done step by step."""

    def __init__(self, rabbitmq: Rabbit, folder: Path) -> None:
        self._rabbitmq, self._folder = rabbitmq, folder
        self._vhost = f"essai-{uuid.uuid4().hex[:8]}"
        self._running: list[subprocess.Popen[str]] = []
        rabbitmq.ctl("add_vhost", self._vhost)
        (folder / "connectors" / USER).mkdir(parents=True)
        (folder / "connectors" / USER / FILE).write_text(block("toml", "outside = true"), encoding="utf-8")
        (folder / "package.py").write_text(block("python", "import pika"), encoding="utf-8")

    def user(self, name: str, like: str = "") -> str:
        """Its `add_user` and `set_permissions`; `like`: those of another user of the page."""
        url = self._rabbitmq.add_user(name)
        self._rabbitmq.ctl("clear_permissions", name)
        line = command(f"rabbitmqctl set_permissions {like or name}").replace(like or name, name)
        _, action, *rights = shlex.split(line)
        self._rabbitmq.ctl(action, "-p", self._vhost, *rights)
        return url.rpartition("/")[0] + f"/{self._vhost}"

    def settings(self) -> None:
        given = block("toml", "connectors_dir").replace("/etc/unefois/connectors", str(self._folder / "connectors"))
        top, _, connections = given.partition("\n\n")
        (port,) = free_ports(1)
        (self._folder / "hub.toml").write_text(
            "\n".join((
                'mode = "development"', f'bus = "{self.user("unefois")}"',
                f'database = "sqlite:///{self._folder}/hub.db"', f'documents = "{self._folder}/documents"', top,
                "[listen]", f"port = {port}", f"[tenants.{TENANT}]",
                'label = "Ville"', 'siret = "21930001100018"', 'insee = "93001"', connections,
            )),
            encoding="utf-8",
        )  # fmt: skip

    def hub(self) -> None:
        self._start([*UNEFOIS, "serve", "--config", f"{self._folder}/hub.toml"])

    def client(self, name: str, *more: str) -> None:
        line = command(f"unefois client add {TENANT} {USER}").replace(USER, name)
        done = subprocess.run(
            [*UNEFOIS, *shlex.split(line)[1:], *more, "--config", f"{self._folder}/hub.toml"],
            cwd=ROOT, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def package(self) -> subprocess.Popen[str]:
        return self._start([sys.executable, f"{self._folder}/package.py", self.user(USER), USER, TENANT])

    def told_by_a_portal(self) -> None:
        """Somebody whom the canteen knows moves, as a portal says over AMQP, too."""
        url = self.user("portail", like=USER)
        told = move(1, 7)
        known = {"references": [{"system": "portail", "id": "u1"}, {"system": USER, "id": "0042"}]}
        event = told.with_data({**told.data, "citizen": known})
        with pika.BlockingConnection(pika.URLParameters(url)) as connection:
            properties = pika.BasicProperties(
                user_id="portail", content_type="application/cloudevents+json", delivery_mode=2
            )
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish(INLET, "", orjson.dumps(event.to_dict()), properties, mandatory=True)

    def serves(self) -> bool:
        """Whether the hub has made the inlet."""
        queues = self._rabbitmq.ctl("-q", "list_queues", "-p", self._vhost, "name")
        return INLET in queues.split() and receipts_queue(USER) in queues.split()

    def has_inlet(self) -> bool:
        return INLET in self._rabbitmq.ctl("-q", "list_queues", "-p", self._vhost, "name").split()

    def close(self) -> None:
        for child in self._running:
            child.terminate()
            child.communicate(timeout=60)
        self._rabbitmq.ctl("delete_vhost", self._vhost)

    def _start(self, command: Sequence[str]) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )  # fmt: skip
        self._running.append(child)
        return child


@pytest.fixture
def site(rabbitmq: Rabbit, tmp_path: Path) -> Iterator[Site]:
    made = Site(rabbitmq, tmp_path)
    yield made
    made.close()


def ends_well(package: subprocess.Popen[str]) -> None:
    out, _ = package.communicate(timeout=120)
    assert package.returncode == 0
    assert out.splitlines() == ["accepted famille-0042-2026-03-02", "citizen.address-changed Saint-Aubin"]


@pytest.mark.broker
def test_a_package_that_starts_before_the_hub_ever_ran_waits_for_it(site: Site) -> None:
    package = site.package()
    time.sleep(2)
    assert package.poll() is None
    site.settings()
    site.client(USER)
    site.client("portail", "--speaks-for", USER)
    site.hub()
    eventually(site.serves, within=60)
    site.told_by_a_portal()

    ends_well(package)


@pytest.mark.broker
def test_a_package_that_starts_after_the_hub_finds_its_queues(site: Site) -> None:
    site.settings()
    site.client(USER)
    site.client("portail", "--speaks-for", USER)
    site.hub()
    eventually(site.serves, within=60)
    site.told_by_a_portal()

    ends_well(site.package())


@pytest.mark.broker
def test_a_package_that_publishes_before_the_hub_knows_it_publishes_again(site: Site) -> None:
    site.settings()
    site.client("portail", "--speaks-for", USER)
    site.hub()
    eventually(site.has_inlet, within=60)
    package = site.package()
    time.sleep(3)
    assert package.poll() is None
    site.client(USER)
    eventually(site.serves, within=60)
    site.told_by_a_portal()

    ends_well(package)
