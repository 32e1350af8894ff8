"""The promises of the design, held over both modes: in one process on SQLite, and on RabbitMQ with PostgreSQL."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import orjson
import pika
import pytest

from bus.api import Bus, Incoming, Outcome, Outgoing, connection_queue, outside_queue, receipts_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.rabbitmq import RabbitBus
from demo.world import toml
from hub.acceptance.inlet import Inlet
from hub.acceptance.observed import observed_of
from hub.clients import repository as clients
from hub.clients.origin import Origin
from hub.wiring import open_hub
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, Refused, TryLater, Unknown
from schemas.event import BATCH, STRUCTURED, Event
from schemas.manifest import Consumed
from tests.gateway.conftest import event, post
from tests.support.reading import eventually
from tests.support.recording import PORTAL, TENANT, Package, RecordingHub, house, move
from tests.support.servers import free_ports

Make = Callable[..., RecordingHub]


@pytest.fixture(params=["embedded", pytest.param("full", marks=[pytest.mark.broker, pytest.mark.database])])
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make(mode: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    """Builds hubs on one ledger and one bus; ends them with the test."""
    bus: Bus
    if mode == "embedded":
        url, bus = f"sqlite:///{tmp_path}/hub.db", EmbeddedBus()
    else:
        url = request.getfixturevalue("postgres").fresh_database()
        amqp = request.getfixturevalue("rabbitmq").url
        _forget_queues(amqp)
        bus = RabbitBus(amqp)
    ledger = Ledger(url)
    ledger.create()
    hubs: list[RecordingHub] = []

    def build(packages: Mapping[str, Package], *, start: bool = True, **more: Any) -> RecordingHub:
        hub = RecordingHub(ledger, bus, packages, **more)
        hubs.append(hub)
        if start:
            hub.start()
        return hub

    yield build
    for hub in hubs:
        hub.stop()
    bus.close()
    ledger.close()


def _forget_queues(amqp: str) -> None:
    """Each test has a ledger of its own: what another one left in a queue has other numbers."""
    connection = pika.BlockingConnection(pika.URLParameters(amqp))
    for name in ("famille", "koha", "parapheur", "courriel", "externe", "natif", "cherche", "rien"):
        for queue in (connection_queue(f"{TENANT}.{name}"), outside_queue(f"{TENANT}.{name}")):
            connection.channel().queue_delete(queue)
    connection.close()


def test_every_event_reaches_every_subscriber_once(make: Make) -> None:
    hub = make({"famille": Package(), "koha": Package()})

    verdicts = hub.submit(*(move(c, n) for c in range(20) for n in range(5)))

    assert all(v.outcome == "accepted" for v in verdicts)
    for name in ("famille", "koha"):
        hub.settled(name, "delivered", 100)
        assert len(hub.packages[name].effects) == 100


def test_the_events_of_one_key_come_in_order(make: Make) -> None:
    hub = make({"famille": Package()})

    for n in range(10):
        hub.submit(*(move(c, n) for c in range(10)))

    hub.settled("famille", "delivered", 100)
    seen: dict[str, list[int]] = {}
    for delivery in hub.packages["famille"].order:
        seen.setdefault(delivery.event.id.split("-")[1], []).append(house(delivery))
    assert all(numbers == list(range(10)) for numbers in seen.values())


def test_the_same_pair_is_accepted_once_and_another_content_is_refused(make: Make) -> None:
    hub = make({"famille": Package()})

    first = hub.submit(move(1, 1, event_id="a"))[0]
    again = hub.submit(move(1, 1, event_id="a"))[0]
    other = hub.submit(move(1, 2, event_id="a"))[0]

    assert (first.outcome, again.outcome, again.seq) == ("accepted", "duplicate", first.seq)
    assert other.outcome == "refused"
    assert other.error is not None
    assert other.error.code == "id_reused"
    hub.settled("famille", "delivered", 1)
    assert len(hub.packages["famille"].calls) == 1


def test_in_a_batch_each_event_has_its_own_verdict(make: Make) -> None:
    hub = make({"famille": Package()})
    bad = move(2, 2).with_data({"citizen": {"references": []}, "surprise": True})
    stranger = move(3, 3, source="/elsewhere/portail")

    verdicts = hub.submit(move(1, 1), bad, stranger, move(1, 1), move(4, 4))

    assert [v.outcome for v in verdicts] == ["accepted", "refused", "refused", "duplicate", "accepted"]
    assert verdicts[1].error is not None
    assert verdicts[1].error.pointer.startswith("/data")
    assert hub.settled("famille", "delivered", 2) == {"delivered": 2}


def test_a_waiting_event_holds_its_followers_and_nobody_else(make: Make) -> None:
    away = threading.Event()

    def act(delivery: Delivery) -> Done | None:
        if house(delivery) == 1 and not away.is_set():
            raise TryLater("away")
        return None

    hub = make({"famille": Package(act=act)})

    hub.submit(move(1, 1), move(1, 2), move(1, 3), move(2, 7))

    hub.settled("famille", "delivered", 1)
    hub.settled("famille", "held", 2)
    assert [house(d) for d in hub.packages["famille"].order] == [7]
    away.set()
    hub.settled("famille", "delivered", 4)
    assert [house(d) for d in hub.packages["famille"].order] == [7, 1, 2, 3]


def test_a_parked_event_holds_its_followers_until_an_operator_acts(make: Make) -> None:
    broken = threading.Event()
    broken.set()

    def act(delivery: Delivery) -> Done | None:
        if house(delivery) == 1 and broken.is_set():
            raise KeyError("surprise")
        return None

    hub = make({"famille": Package(act=act)})
    hub.submit(move(1, 1), move(1, 2), move(2, 9))
    hub.settled("famille", "parked", 1)
    hub.settled("famille", "held", 1)
    with hub.ledger.reading() as tx:
        trouble = tx.troubles()[0]
    assert trouble["cause"] == "erreur du connecteur (KeyError)"
    with hub.ledger.transaction() as tx:
        assert tx.replay(trouble["connection"], trouble["seq"])
    _announced(hub, 2)

    broken.clear()
    with hub.ledger.transaction() as tx:
        assert tx.replay(trouble["connection"], trouble["seq"])

    hub.settled("famille", "delivered", 3)
    assert [house(d) for d in hub.packages["famille"].order] == [9, 1, 2]


def test_skipping_a_parked_event_lets_its_followers_go_on(make: Make) -> None:
    def act(delivery: Delivery) -> Done | None:
        if house(delivery) == 1:
            raise KeyError("surprise")
        return None

    hub = make({"famille": Package(act=act)})
    seq = hub.submit(move(1, 1), move(1, 2))[0].seq
    assert seq is not None
    hub.settled("famille", "parked", 1)

    with hub.ledger.transaction() as tx:
        assert tx.skip(f"{TENANT}.famille", seq, "abandonné par un opérateur")

    hub.settled("famille", "delivered", 1)
    assert hub.counts("famille") == {"delivered": 1, "skipped": 1}


def test_a_refusal_is_final_and_holds_nobody(make: Make) -> None:
    def act(delivery: Delivery) -> Done | None:
        if house(delivery) == 1:
            raise Refused("carte inconnue")
        return None

    hub = make({"famille": Package(act=act)})
    hub.submit(move(1, 1), move(1, 2))

    hub.settled("famille", "delivered", 1)
    assert hub.counts("famille") == {"delivered": 1, "refused": 1}


def test_access_denied_pauses_the_connection_and_loses_nothing(make: Make) -> None:
    locked = threading.Event()
    locked.set()

    def act(delivery: Delivery) -> Done | None:
        if locked.is_set():
            raise AccessDenied("mot de passe refusé")
        return None

    hub = make({"famille": Package(act=act)})
    hub.submit(move(1, 1), move(1, 2))
    deadline = time.monotonic() + 10
    while f"{TENANT}.famille" not in _paused(hub):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    calls = len(hub.packages["famille"].calls)

    locked.clear()
    with hub.ledger.transaction() as tx:
        tx.resume(f"{TENANT}.famille")

    hub.settled("famille", "delivered", 2)
    assert calls <= 2


def test_an_unknown_outcome_is_looked_up_before_it_is_tried_again(make: Make) -> None:
    package = Package(idempotency="look-up-first", settling=0.1)
    lost: list[str] = []

    def act(delivery: Delivery) -> Done | None:
        if not lost:
            lost.append(delivery.key)
            package.effect(delivery)  # the work is done, its answer is lost
            raise Unknown("la réponse s'est perdue")
        return None

    package.act = act
    hub = make({"parapheur": package})
    hub.submit(move(1, 1), move(1, 2))

    hub.settled("parapheur", "delivered", 2)
    assert package.doubled == []
    assert [house(d) for d in package.order] == [1, 2]


def test_an_unknown_outcome_is_parked_where_nothing_can_be_looked_up(make: Make) -> None:
    def act(delivery: Delivery) -> Done | None:
        raise Unknown("la réponse s'est perdue")

    hub = make({"courriel": Package(idempotency="none", act=act)})
    hub.submit(move(1, 1), move(2, 1))

    hub.settled("courriel", "parked", 2)
    assert len(hub.packages["courriel"].calls) == 2


def test_an_outage_parks_nothing_and_drains_when_the_package_is_back(make: Make) -> None:
    back = threading.Event()

    def act(delivery: Delivery) -> Done | None:
        if not back.is_set():
            raise TryLater("connexion refusée")
        return None

    hub = make({"famille": Package(act=act), "koha": Package()})
    for n in range(4):
        hub.submit(*(move(c, n) for c in range(50)))
    hub.settled("koha", "delivered", 200)
    attempts = len(hub.packages["famille"].calls)

    back.set()
    hub.settled("famille", "delivered", 200)

    assert attempts < 40
    seen: dict[str, list[int]] = {}
    for delivery in hub.packages["famille"].order:
        seen.setdefault(delivery.event.id.split("-")[1], []).append(house(delivery))
    assert all(numbers == [0, 1, 2, 3] for numbers in seen.values())


def test_what_a_handler_returns_is_accepted_with_its_outcome(make: Make) -> None:
    def act(delivery: Delivery) -> Done | None:
        news = move(99, house(delivery), event_id=f"from-{delivery.event.id}", source=f"/{TENANT}/famille")
        return Done("transmis", events=(news,))

    hub = make({"famille": Package(act=act), "koha": Package()})
    hub.submit(move(1, 1), move(2, 2))

    hub.settled("koha", "delivered", 4)
    hub.settled("famille", "delivered", 2)


def test_an_invalid_event_from_a_handler_parks_its_delivery(make: Make) -> None:
    def act(delivery: Delivery) -> Done | None:
        return Done("transmis", events=(Event(type="citizen.address-changed", source=f"/{TENANT}/famille", data={}),))

    hub = make({"famille": Package(act=act)})
    hub.submit(move(1, 1))

    hub.settled("famille", "parked", 1)


def test_an_echo_is_silent(make: Make) -> None:
    hub = make({"famille": Package(), "koha": Package()})
    hub.submit(move(1, 5))
    hub.settled("koha", "delivered", 1)
    koha = Origin(f"{TENANT}.koha", TENANT, frozenset({"*"}), (f"/{TENANT}/koha",), others=frozenset({"portail"}))
    echo = move(1, 5, event_id="k1", source=f"/{TENANT}/koha")
    news = move(1, 6, event_id="k2", source=f"/{TENANT}/koha")

    assert hub.submit(echo, origin=koha)[0].outcome == "echo"
    assert hub.submit(news, origin=koha)[0].outcome == "accepted"

    hub.settled("famille", "delivered", 2)
    assert [house(d) for d in hub.packages["famille"].order] == [5, 6]
    assert len(hub.packages["koha"].effects) == 1


def test_only_granted_fields_reach_a_connection(make: Make) -> None:
    consumes = {"famille": (Consumed("citizen.address-changed", 1, ("/new_address/value/city",), "all"),),
                "koha": (Consumed("citizen.address-changed", 1, (), "all"),)}  # fmt: skip
    hub = make({"famille": Package(), "koha": Package()}, consumes=consumes)
    hub.submit(move(1, 1))

    hub.settled("famille", "delivered", 1)
    hub.settled("koha", "delivered", 1)
    assert hub.packages["famille"].calls[0].event.data == {"new_address": {"value": {"city": "Saint-Aubin"}}}
    assert hub.packages["koha"].calls[0].event.data == {}


def test_a_second_worker_takes_over_when_the_first_stops(make: Make) -> None:
    package = Package()
    hub = make({"famille": package}, start=False)
    hub.start(workers=False)
    hub.submit(*(move(c, 1) for c in range(30)))
    first, second = (
        RecordingHub(hub.ledger, hub.bus, {"famille": package}),
        RecordingHub(hub.ledger, hub.bus, {"famille": package}),
    )
    first.start(relay=False)
    second.workers["famille"]._owner = "worker-2"
    second.start(relay=False)
    try:
        hub.settled("famille", "delivered", 30)
        active = [h for h in (first, second) if h.workers["famille"].active]
        assert len(active) == 1
        active[0].stop()
        hub.submit(*(move(c, 2) for c in range(30)))
        hub.settled("famille", "delivered", 60)
    finally:
        first.stop()
        second.stop()
    assert len(package.effects) == 60


def test_a_started_delivery_found_after_a_stop_is_settled_by_its_idempotency(make: Make) -> None:
    packages = {"natif": Package(), "cherche": Package(idempotency="look-up-first", settling=0.1),
                "rien": Package(idempotency="none")}  # fmt: skip
    hub = make(packages, start=False)
    hub.start(workers=False)
    hub.submit(move(1, 1))
    for name in packages:
        hub.settled(name, "expected", 1)
        with hub.ledger.transaction() as tx:  # a worker that dies right after its claim
            tx.receive(f"{TENANT}.{name}", [1])
            assert len(tx.claim(f"{TENANT}.{name}", 10)) == 1
    hub.start(relay=False)

    hub.settled("natif", "delivered", 1)
    hub.settled("cherche", "delivered", 1)
    hub.settled("rien", "parked", 1)
    assert packages["rien"].calls == []


def test_what_dies_twice_as_started_is_parked_and_its_neighbours_go_on(make: Make) -> None:
    hub = make({"famille": Package()}, start=False)
    name = f"{TENANT}.famille"
    hub.submit(move(1, 1), move(2, 1), move(3, 1))
    with hub.ledger.transaction() as tx:
        tx.receive(name, [1, 2, 3])
        assert len(tx.claim(name, 10)) == 3
        tx.recover(name, doubtful="native-key", settling=0)
        alone = tx.claim(name, 10)  # suspects run one by one, so that the culprit is known
        assert [c.seq for c in alone] == [1]
        tx.recover(name, doubtful="native-key", settling=0)

    hub.start()

    hub.settled("famille", "delivered", 2)
    assert hub.counts("famille") == {"delivered": 2, "parked": 1}


def test_a_message_lost_on_the_bus_is_sent_again(make: Make) -> None:
    hub = make({"famille": Package()}, start=False)
    hub.submit(move(1, 1), move(1, 2))
    with hub.ledger.transaction() as tx:  # as if the bus had taken it and lost it
        tx.sent_to({f"{TENANT}.famille": 1})

    hub.start()

    hub.settled("famille", "delivered", 2)
    assert [house(d) for d in hub.packages["famille"].order] == [1, 2]


def test_an_outside_package_reads_its_own_queue_in_order(make: Make) -> None:
    hub = make({"externe": Package()}, outside=["externe"])
    hub.submit(*(move(c, n) for n in range(5) for c in range(3)))
    hub.settled("externe", "delivered", 15)
    bodies: list[bytes] = []
    stop = threading.Event()

    def read(messages: Any) -> None:
        bodies.extend(message.body for message in messages)
        if len(bodies) == 15:
            stop.set()

    hub.bus.consume(outside_queue(f"{TENANT}.externe"), read, stop=stop)

    events = [Event.from_dict(orjson.loads(body)) for body in bodies]
    for c in range(3):
        mine = [e.data["new_address"]["value"]["house_number"] for e in events if e.id.startswith(f"move-{c}-")]
        assert mine == ["0", "1", "2", "3", "4"]
    assert all("citizen" not in e.data for e in events)


def _announced(hub: RecordingHub, number: int) -> None:
    """Wait until so many `delivery.parked` events were accepted: each parking is told."""
    deadline = time.monotonic() + 20
    while True:
        with hub.ledger.reading() as tx:
            told = [s for s in tx.load(range(1, tx.last_seq() + 1)).values() if s.event.type == "delivery.parked"]
        if len(told) == number:
            return
        assert time.monotonic() < deadline, f"{len(told)} told, wanted {number}"
        time.sleep(0.02)


def _paused(hub: RecordingHub) -> dict[str, str]:
    with hub.ledger.reading() as tx:
        return tx.paused()


def test_a_paused_outside_package_gets_nothing_more_and_an_observing_one_nothing(make: Make) -> None:
    hub = make({"externe": Package(), "koha": Package()}, start=False, outside=["externe"])
    name = f"{TENANT}.externe"
    with hub.ledger.transaction() as tx:
        tx.pause(name, "essai")
    hub.submit(move(1, 1))
    hub.start()
    hub.settled("koha", "delivered", 1)
    assert hub.counts("externe") == {"expected": 1}

    with hub.ledger.transaction() as tx:
        tx.resume(name)
    hub.settled("externe", "delivered", 1)
    hub.observe("externe")
    hub.submit(move(1, 2))
    hub.settled("externe", "delivered", 2)
    assert hub.bus.depth(outside_queue(name)).ready == 1
    hub.observe("koha")
    hub.submit(move(1, 3))
    hub.settled("externe", "delivered", 3)
    hub.settled("koha", "delivered", 3)
    with hub.ledger.reading() as tx:
        counted = {(one, o.seen.kind, o.seen.number) for one in (name, f"{TENANT}.koha") for o in observed_of(tx, one)}
    assert counted == {(name, "citizen.address-changed", 2), (f"{TENANT}.koha", "citizen.address-changed", 1)}


PIRATE = Origin(f"{TENANT}.pirate", TENANT, frozenset({"*"}), (f"/{TENANT}/pirate",))
NATIVE = {"code": "X", "label": "Libellé"}


def _request(by: str, number: str, *others: str) -> Event:
    references = [{"system": by, "id": number}, *({"system": "portail", "id": other} for other in others)]
    record = {
        "references": references, "procedure": "acte-naissance", "submitted_at": "2026-11-02T09:00:00Z",
        "intake": "online", "requester": {"citizen": {"references": [{"system": by, "id": "u1"}]}},
    }  # fmt: skip
    return Event("request.received", f"/{TENANT}/{by}", {"request": record}, id=f"{by}-{number}")


def _step(by: str, word: str, number: str) -> Event:
    link = {"references": [{"system": "portail", "id": number}]}
    data = {"request": link, "status": word, "native": NATIVE, "reason": "https://ailleurs.example"}
    return Event("request.status-changed", f"/{TENANT}/{by}", data, id=f"{by}-{word}-{number}")


def test_rights_are_on_the_subject_and_not_on_the_type(make: Make) -> None:
    """Promise 10: who may publish a type may not for that open, close, mark or move what is another's."""
    told = Consumed("request.status-changed", 1, ("/request", "/status", "/reason"), "held")
    moves = Consumed("citizen.address-changed", 1, ("/new_address", "/effective_on"), "all")
    hub = make({"portail": Package(), "famille": Package()}, consumes={"portail": (told,), "famille": (moves,)})
    (mine,) = hub.submit(_request("portail", "2026-50"))
    (known,) = hub.submit(move(1, 1))

    squat = hub.submit(_request("pirate", "x1", "2026-51"), origin=PIRATE)[0]
    steps = hub.submit(
        *(_step("pirate", word, number) for word in ("closed", "granted", "in_progress")
          for number in ("2026-50", "2026-99")),
        origin=PIRATE,
    )  # fmt: skip
    moved = move(1, 66, event_id="vol", source=f"/{TENANT}/pirate")
    marked = {**moved.data, "citizen": {**moved.data["citizen"], "confidential": True}}
    held = hub.submit(moved, Event(moved.type, moved.source, marked, id="marque"), origin=PIRATE)

    assert {verdict.error.code if verdict.error else "" for verdict in steps} == {"unknown_request"}
    assert [verdict.review for verdict in held] == [("new_address",), ("new_address",)]
    (own,) = hub.submit(_request("portail", "2026-51"))
    assert own.ok
    assert own.request_id not in (squat.request_id, mine.request_id)
    assert hub.submit(_step("portail", "withdrawn", "2026-50"), move(1, 2))[1].outcome == "accepted"
    hub.settled("famille", "delivered", 2)  # the mark kept nothing, and the false address went to nobody
    assert [house(delivery) for delivery in hub.packages["famille"].order] == [1, 2]
    assert known.ok


# --- promise 12 ----------------------------------------------------------------------------------------------------

# What another may cost a good caller: so many times its own quiet time, which on a machine of two cores that also runs
# the others is at least this.
DEARER, QUIET_SECONDS = 25, 0.02
FLOOD = 6  # callers who flood at once; a gateway works on two large bodies at a time


class Door:
    """A gateway in a process of its own, as the commands run it, and two clients."""

    def __init__(self, folder: Path, command: str, **more: Any) -> None:
        self._path = folder / "hub.toml"
        tenants = {TENANT: {"label": "Ville de Saint-Aubin", "siret": "21930001100018", "insee": "93001"}}
        settings = {
            "mode": "development", "database": "sqlite:///hub.db", "bus": "embedded", "documents": "documents",
            "tenants": tenants, "connections": {}, **more,
        }  # fmt: skip
        text = toml(settings, folder)
        self._path.write_text(text, encoding="utf-8")
        hub = open_hub(self._path, {})
        hub.prepare()
        scopes, types = ["events:write"], ["request.received"]
        self._secrets = {
            name: clients.add(hub.ledger, client_id=name, tenant=TENANT, label=name, scopes=scopes, types=types)
            for name in ("portail", "guichet")
        }
        hub.close()
        for _ in range(5):  # somebody may take a free port before the gateway does
            if self._listens(command, text):
                return
        raise AssertionError("the gateway did not start")

    def _listens(self, command: str, text: str) -> bool:
        (self._port,) = free_ports(1)
        self._path.write_text(f"{text}\n[listen]\nport = {self._port}\n", encoding="utf-8")
        program = "from commands.main import main; main()"
        self._child = subprocess.Popen(
            [sys.executable, "-c", program, command, "--config", str(self._path)], cwd=Path(__file__).parents[1],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while self._child.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self._port), 5).close()
                return True
            time.sleep(0.1)
        self.close()
        return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def token(self, name: str) -> str:
        form = {"grant_type": "client_credentials", "client_id": name, "client_secret": self._secrets[name]}
        return str(httpx.post(f"{self.url}/oauth/token", data=form).json()["access_token"])

    def client(self, name: str = "portail") -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token(name)}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def call(self, token: str, body: bytes, media: str, *, path: str = "/v1/events", more: int = 0) -> socket.socket:
        """A call that was sent; `more`: bytes that it announces and does not send."""
        line = socket.create_connection(("127.0.0.1", self._port), timeout=60)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: {media}\r\n"
            f"content-length: {len(body) + more}\r\n\r\n"
        )
        line.sendall(head.encode() + body)
        return line

    def close(self) -> None:
        self._child.terminate()
        self._child.wait(60)


@pytest.fixture
def door(mode: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Door]:
    if mode == "embedded":
        made = Door(tmp_path, "serve")
    else:
        database, bus = request.getfixturevalue("postgres").fresh_database(), request.getfixturevalue("rabbitmq").url
        made = Door(tmp_path, "gateway", database=database, bus=bus)
    yield made
    made.close()


def _pace(caller: httpx.Client, first: int, number: int = 15) -> float:
    """The median time of a good event until it is answered."""
    times = []
    for n in range(first, first + number):
        start = time.monotonic()
        answer = post(caller, event(n))
        times.append(time.monotonic() - start)
        assert answer.status_code == 202, answer.text
    return statistics.median(times)


@contextlib.contextmanager
def _flooded(flood: Callable[[], None]) -> Iterator[list[int]]:
    """So many threads that do `flood` again and again; yields how often it was done."""
    stop, done = threading.Event(), [0]

    def run() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, http.client.HTTPException):
                flood()
                done[0] += 1

    threads = [threading.Thread(target=run, daemon=True) for _ in range(FLOOD)]
    for thread in threads:
        thread.start()
    try:
        yield done
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)


def _readable(lines: Sequence[socket.socket]) -> list[socket.socket]:
    return select.select(lines, [], [], 0)[0]


def _answered(line: socket.socket) -> None:
    with line:
        line.settimeout(30)
        line.recv(65536)


def _costly(client: str, number: int) -> bytes:
    """A batch whose events are all refused, each as large as one may be."""
    wrong = event(client=client)
    wrong["data"]["request"]["procedure"] = {f"k{n}": [{}] for n in range(3500)}
    return orjson.dumps([{**wrong, "id": f"wrong-{n}"} for n in range(number)])


def test_who_has_no_proof_holds_up_nobody_who_has(door: Door) -> None:
    """Promise 12: bodies without a token, false secrets, and calls that are never finished."""
    good = door.client()
    quiet = max(_pace(good, 1000), QUIET_SECONDS)
    large = _costly("portail", 30)
    wrong = b"grant_type=client_credentials&client_id=portail&client_secret=faux"
    form = "application/x-www-form-urlencoded"
    open_calls = [door.call("faux", b"[", BATCH, more=1_000_000) for _ in range(50)]

    def without_proof() -> None:
        _answered(door.call("faux", large, BATCH))
        _answered(door.call("", wrong, form, path="/oauth/token"))
        door.call("faux", large, BATCH, more=1_000).close()

    with _flooded(without_proof) as done:
        busy = _pace(good, 2000)
        assert done[0] > 0
    for line in open_calls:
        line.close()

    assert busy < DEARER * quiet


def test_who_is_wrong_again_and_again_waits_behind_itself(door: Door) -> None:
    """Promise 12: costly refusals, bodies that never end, and calls whose caller has left, all of one client."""
    good, bad = door.client(), door.token("guichet")
    quiet = max(_pace(good, 1000), QUIET_SECONDS)
    costly = _costly("guichet", 30)
    open_calls = [door.call(bad, costly[:1000], BATCH, more=5_000_000) for _ in range(20)]

    backlog = [door.call(bad, costly, BATCH) for _ in range(60)]
    eventually(lambda: len(_readable(backlog)) >= 4, within=60)  # by then the others stand in the queue
    verdicts = post(good, [event(n) for n in range(3000, 3100)]).json()["verdicts"]
    before = _readable(backlog)  # those that were answered before, though they came first
    for line in [*backlog, *open_calls[:10]]:
        line.close()

    def wrong() -> None:
        door.call(bad, costly, BATCH).close()
        _answered(door.call(bad, costly, BATCH))

    with _flooded(wrong) as done:
        busy = _pace(good, 2000)
        assert done[0] > 0
    for line in open_calls[10:]:
        line.close()

    assert {verdict["outcome"] for verdict in verdicts} == {"accepted"}
    assert len(before) < len(backlog)
    assert busy < DEARER * quiet
    assert post(door.client("guichet"), event(1, client="guichet")).status_code == 202  # who is right again is heard


def test_a_backlog_of_one_user_at_the_inlet_holds_up_no_other(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Promise 12, over AMQP: users have turns, and what is too large is refused unread."""
    hub = make({"famille": Package()}, start=False)
    sent: list[Outgoing] = []
    publish = hub.bus.publish

    def noted(items: Sequence[Outgoing]) -> list[Outcome]:
        sent.extend(items)
        return publish(items)

    monkeypatch.setattr(hub.bus, "publish", noted)
    guichet = Origin(f"{TENANT}.guichet", TENANT, frozenset({"*"}), (f"/{TENANT}/guichet",))
    inlet = Inlet(hub.ledger, hub.bus, hub.acceptance, {"guichet": guichet, "portail": PORTAL}.get)
    backlog = [Incoming(_costly("guichet", 25), content_type=BATCH, user="guichet") for _ in range(5)]
    oversize = Incoming(b"", content_type=BATCH, user="guichet", oversize=100_000_000)

    inlet.handle([*backlog, oversize, Incoming(move(1, 1).encode(), content_type=STRUCTURED, user="portail")])

    queues = [item.queue for item in sent]
    assert queues.index(receipts_queue("portail")) <= 2 * 25
    assert len(sent) == 5 * 25 + 2
    told = [orjson.loads(item.body) for item in sent]
    assert Counter(receipt.get("code", "") for receipt in told) == {"schema_violation": 125, "too_large": 1, "": 1}
