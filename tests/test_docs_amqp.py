"""docs/amqp.md, tried on a broker: its program, its permissions, its manifest."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pika
import pika.exceptions
import pytest

from bus.api import INLET, Queue, outside_queue, receipts_queue
from bus.ledger import Ledger
from bus.rabbitmq import RabbitBus
from connectors.sdk.check import connector_faults
from hub.acceptance.inlet import Inlet
from hub.clients import repository as clients
from hub.clients.origin import Origin
from schemas.errors import TopologyMismatch
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.support.reading import eventually
from tests.support.recording import PORTAL, TENANT, Package, RecordingHub, move
from tests.support.servers import Rabbit

PAGE = (Path(__file__).parents[1] / "docs" / "amqp.md").read_text(encoding="utf-8")
USER = "cantine"


def block(language: str, holding: str) -> str:
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return next(text for text in found if holding in text)


def permissions(user: str) -> dict[str, str]:
    """What the page gives to a broker user: configure, write, read."""
    line = re.search(rf"set_permissions {user} '(.*)' '(.*)' '(.*)'", PAGE)
    assert line is not None
    return dict(zip(("configure", "write", "read"), line.groups(), strict=True))


def manifest() -> Manifest:
    return Manifest.of(tomllib.loads(block("toml", "outside = true")), Path(USER))


@pytest.fixture(scope="module")
def package_url(rabbitmq: Rabbit) -> str:
    return rabbitmq.add_user(USER, **permissions(USER))


@pytest.fixture(scope="module")
def hub(rabbitmq: Rabbit, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordingHub]:
    """A hub on the broker, under the rights of the page, with the package as its one connection."""
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('amqp')}/hub.db")
    ledger.create()
    _forget(rabbitmq)
    bus = RabbitBus(rabbitmq.add_user("unefois", **permissions("unefois")))
    hub = RecordingHub(ledger, bus, {USER: Package()}, consumes={USER: manifest().consumes}, outside=[USER])
    clients.add(
        ledger, client_id=USER, tenant=TENANT, label="Cantine", scopes=["events:write"],
        types=manifest().publishes, broker_user=USER,
    )  # fmt: skip
    inlet = Inlet(ledger, bus, hub.acceptance, partial(_origin_of, ledger))
    bus.declare([Queue(receipts_queue(USER), "receipts")])  # as the relay does when it starts
    hub.start()
    thread = threading.Thread(target=inlet.run, args=(hub.stop_event,), daemon=True)
    thread.start()
    yield hub
    hub.stop()
    thread.join(20)
    bus.close()
    ledger.close()


@pytest.mark.broker
def test_the_program_of_the_page_publishes_reads_its_receipt_and_what_concerns_it(
    hub: RecordingHub, package_url: str, tmp_path: Path
) -> None:
    program = tmp_path / "package.py"
    program.write_text(block("python", "import pika"), encoding="utf-8")
    known = {"references": [{"system": "portail", "id": "u1"}, {"system": USER, "id": "0042"}]}
    told = move(1, 7)
    both = replace(PORTAL, others=frozenset({USER}))  # a portal that keeps the canteen's numbers, too
    hub.submit(told.with_data({**told.data, "citizen": known}), origin=both)
    hub.settled(USER, "delivered", 1)

    done = subprocess.run(
        [sys.executable, str(program), package_url, USER, TENANT], capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "accepted famille-0042-2026-03-02",
        "citizen.address-changed Saint-Aubin",
    ]


@pytest.mark.broker
def test_a_package_can_publish_to_the_inlet_alone_and_read_its_own_queues_alone(
    hub: RecordingHub, package_url: str
) -> None:
    assert _refused(package_url, lambda channel: channel.basic_publish("", outside_queue(f"{TENANT}.{USER}"), b"x"))
    assert _refused(package_url, lambda channel: channel.basic_get("unefois.dead"))
    assert _refused(package_url, lambda channel: channel.basic_get(INLET))
    assert _refused(package_url, lambda channel: channel.queue_declare("mine"))
    assert not _refused(package_url, lambda channel: channel.basic_get(outside_queue(f"{TENANT}.{USER}")))


@pytest.mark.broker
def test_the_queues_of_the_page_are_those_of_the_hub(hub: RecordingHub) -> None:
    assert receipts_queue("<user>") in PAGE
    assert outside_queue("<tenant>.<connection>") in PAGE
    eventually(lambda: _exists(hub, outside_queue(f"{TENANT}.{USER}")))  # the relay makes it when it has the lead


def _exists(hub: RecordingHub, queue: str) -> bool:
    try:
        hub.bus.depth(queue)
    except TopologyMismatch:
        return False
    return True


def test_the_manifest_of_the_page_is_one_that_the_hub_takes(tmp_path: Path) -> None:
    (tmp_path / USER).mkdir()
    (tmp_path / USER / FILE).write_text(block("toml", "outside = true"), encoding="utf-8")

    faults = connector_faults(tmp_path, Registry.load(), ())

    # The page says that a README goes with it.
    assert [fault for fault in faults if fault.file.endswith(FILE)] == []


def _origin_of(ledger: Ledger, user: str) -> Origin | None:
    with ledger.reading() as tx:
        client = clients.by_broker_user(tx, user)
    return client.origin if client else None


def _refused(url: str, act: Any) -> bool:
    """Whether the broker denies this to the owner of `url`."""
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        channel = connection.channel()
        channel.confirm_delivery()
        try:
            act(channel)
        except pika.exceptions.ChannelClosedByBroker as error:
            return error.reply_code == 403
    return False


def _forget(rabbitmq: Rabbit) -> None:
    """What another module left in these queues belongs to another ledger."""
    with pika.BlockingConnection(pika.URLParameters(rabbitmq.url)) as connection:
        for queue in (outside_queue(f"{TENANT}.{USER}"), receipts_queue(USER)):
            connection.channel().queue_delete(queue)
