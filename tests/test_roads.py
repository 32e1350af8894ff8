"""The same wrong input gets the same code on each road: HTTP, AMQP, a package's own call, a poll, what a handler
returns."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
import structlog

from bus.api import Incoming, Outcome, Outgoing, Queue
from bus.embedded import EmbeddedBus
from hub.acceptance.inlet import Inlet
from hub.acceptance.observed import observed_of
from hub.acceptance.poller import Poller
from hub.acceptance.refused import refused_groups
from hub.clients.origin import Origin
from hub.operations.link_import import import_links
from hub.requests.repository import list_requests, read
from hub.requests.timeline import request_view
from schemas.delivery import Delivery, Done, Inbound, Polled, Reply
from schemas.event import BATCH, MAX_BATCH, Event
from tests.gateway.conftest import TENANT, House, open_house  # noqa: F401
from tests.support.town import HEADER, PORTAL, moved

NAME = f"{TENANT}.famille"
SOURCE = f"/{TENANT}/famille"
TYPES = ("citizen.address-changed", "document.received", "request.received", "request.status-changed")
PAPER = {"id": "ab" * 32, "name": "a.pdf", "media_type": "application/pdf", "size": 1, "sha256": "ab" * 32}
PEOPLE = (("portail", "u1"), ("famille", "F-1"))
LINKS = HEADER + "".join(f"SORBIER;Blanche;female;1991-11-23;93001;{system};{native};\n" for system, native in PEOPLE)
NATIVE = {"code": "X", "label": "Libellé"}


def move(number: int, **more: Any) -> Event:
    told = moved("u1", number)
    return replace(told, source=SOURCE, id=f"wrong-{number}", data={**told.data, **more})


def step(**request: Any) -> Event:
    data = {"request": request, "status": "in_progress", "native": NATIVE}
    return Event("request.status-changed", SOURCE, data, id="wrong-step")


def paper() -> Event:
    return Event("document.received", SOURCE, {"document": PAPER, "kind": "decision"}, id="wrong-paper")


def letter(number: str = "L-1", **received: str) -> Event:
    """Submitted on 1 June, whenever it is told."""
    record = {"references": [{"system": "famille", "id": number}], "procedure": "occupation-domaine-public",
              "submitted_at": "2026-06-01T08:00:00Z", "intake": "mail", "requester": {"citizen": {
                  "references": [{"system": "famille", "id": "F-9"}]}}}  # fmt: skip
    if received:
        record["received"] = received
    return Event("request.received", SOURCE, {"request": record}, id=f"letter-{number}", version=2)


WRONG: list[tuple[str, Any]] = [
    ("batch_too_long", [move(n) for n in range(MAX_BATCH + 1)]),
    ("not_a_batch", {"events": []}),
    ("not_a_batch", "a text"),
    ("too_large", [move(1, household=[{"references": [{"system": "s", "id": "x" * 66_000}]}])]),
    ("source_not_allowed", [replace(move(2), source=f"/{TENANT}/koha")]),
    ("source_not_allowed", [replace(move(3), source=f"{SOURCE}-autre")]),
    ("tenant_not_allowed", [replace(move(4), extensions={"tenant": "val-fleuri"})]),
    ("type_not_allowed", [replace(move(5), type="delivery.parked")]),
    ("schema_violation", [move(6, effective_on="bientôt")]),
    ("unknown_schema", [replace(move(7), version=99)]),
    ("nir_not_allowed", [move(8, citizen={"references": [{"system": "s", "id": "1850578006084"}]})]),
    ("household_reference", [move(9, citizen={"references": [{"system": "caf", "id": "7654321"}]})]),
    ("unknown_request", [step(references=[{"system": "s", "id": "nobody"}])]),
    ("document_not_yours", [paper()]),
    ("bad_reception", [letter(first="2062-06-01")]),
    ("bad_reception", [letter(first="2026-05-28", competent="2026-05-27")]),
]  # fmt: skip


class Script:
    """A connector whose package brings what the test says."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch

    def knows_caller(self, head: Inbound) -> bool:
        return True

    def receive(self, inbound: Inbound) -> Reply:
        return Reply(Polled(self.batch))

    def refusal(self, error: Exception) -> None:
        return None

    def handle(self, delivery: Delivery) -> Done:
        return Done("fait", events=self.batch)

    def handle_many(self, deliveries: Sequence[Delivery]) -> list[Done]:
        return [self.handle(delivery) for delivery in deliveries]

    def close(self) -> None:
        return None


class Wire(EmbeddedBus):
    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Outgoing] = []

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        self.sent.extend(items)
        return [Outcome(True) for _ in items]

    def declare(self, queues: Sequence[Queue]) -> None:
        return None


def wire_form(batch: Any) -> bytes:
    return orjson.dumps([event.to_dict() for event in batch] if isinstance(batch, list) else batch)


def over_http(house: House, batch: Any) -> list[str]:
    http = house.client("famille", types=TYPES)
    return codes_of(http.post("/v1/events", content=wire_form(batch), headers={"content-type": BATCH}))


def over_amqp(house: House, batch: Any) -> list[str]:
    wire, origin = Wire(), Origin(NAME, TENANT, frozenset(TYPES), (SOURCE,))
    inlet = Inlet(house.hub.ledger, wire, house.hub.acceptance, {"famille": origin}.get)
    inlet.handle([Incoming(wire_form(batch), content_type=BATCH, user="famille")])
    return [orjson.loads(item.body)["code"] for item in wire.sent]


def by_the_packages_own_call(house: House, batch: Any) -> list[str]:
    return codes_of(house.anonymous().post("/in/famille", content=b"{}"))


def by_a_poll(house: House, batch: Any) -> list[str]:
    origin = house.hub.deliveries.origin
    poller = Poller(
        NAME, house.hub.ledger, house.hub.acceptance, lambda: origin(NAME), lambda cursor: iter([Polled(batch)]),
        owner="test", every=1, signals=house.hub.signals,
    )  # fmt: skip
    with structlog.testing.capture_logs() as lines:
        poller.once()
    assert poller.refused == 1
    return [line["code"] for line in lines if line.get("kind") in ("record-refused", "poll-error")]


def from_a_handler(house: House, batch: Any) -> list[str]:
    """Parked with the code where the connector made something invalid; kept where only the door could know."""
    hub = house.hub
    import_links(hub.ledger, hub.acceptance, TENANT, LINKS)
    hub.acceptance.submit(hub.ledger, PORTAL, [moved("u1", 1)])
    hub.start_relay()
    hub.start_workers()
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with hub.ledger.reading() as tx:
            parked, kept = tx.troubles(tenant=TENANT, state="parked"), refused_groups(tx)
            done = tx.counts().get(NAME, {}).get("delivered", 0)
        if parked:
            return re.findall(r"\(([a-z_]+)\)", parked[0]["cause"])
        if done:
            return [group.code for group in kept]
        time.sleep(0.02)
    raise AssertionError("the delivery did not end")


def codes_of(answer: httpx.Response) -> list[str]:
    body = answer.json()
    if "verdicts" in body:
        return [line["problem"]["code"] for line in body["verdicts"]]
    return [body["code"]]


ROADS: list[Callable[[House, Any], list[str]]] = [
    over_http, over_amqp, by_the_packages_own_call, by_a_poll, from_a_handler,
]  # fmt: skip


@pytest.fixture
def town(open_house: Any, tmp_path: Path) -> House:  # noqa: F811
    folders = {"preset": "family", "drop_folder": str(tmp_path / "in"), "return_folder": str(tmp_path / "out")}
    family = {"connector": "filedrop", "settings": folders, "procedures": ["formulaire-qf"]}
    return open_house({"famille": family}, extra=f'\n[tenants.{TENANT}.identifiers]\ncaf = "household"\n')


def scripted(house: House, batch: Any) -> None:
    connection = house.hub.connections[NAME]
    connection.manifest = replace(connection.manifest, receives=True, publishes=TYPES, poll_seconds=None)
    connection._connector = Script(batch)  # type: ignore[assignment]
    directory = house.hub.current.directory
    directory.connections[NAME] = replace(directory.connections[NAME], publishes=TYPES)


@pytest.mark.parametrize(("code", "batch"), WRONG, ids=[f"{place}-{code}" for place, (code, _) in enumerate(WRONG)])
def test_the_same_wrong_input_gets_the_same_code_on_each_road(town: House, code: str, batch: Any) -> None:
    scripted(town, batch)
    before = town.stored()

    found = {road.__name__: road(town, batch) for road in ROADS}

    assert found == {road.__name__: [code] for road in ROADS}
    assert town.stored() <= before + 2  # the event that was handled, and that it was parked


def birth_certificate(number: str) -> Event:
    record = {"references": [{"system": "portail", "id": number}], "procedure": "acte-naissance",
              "submitted_at": "2026-11-02T09:00:00Z", "intake": "mail",
              "requester": {"citizen": {"references": [{"system": "portail", "id": "u9"}]}}}  # fmt: skip
    return Event("request.received", f"/{TENANT}/portail", {"request": record}, id=number)


@pytest.mark.parametrize("word", ["closed", "granted", "withdrawn"])
@pytest.mark.parametrize("number", ["2026-50", "2026-51"], ids=["another's", "nobody's"])
def test_on_no_road_is_the_request_of_another_there(town: House, word: str, number: str) -> None:
    hub = town.hub
    (verdict,) = hub.acceptance.submit(hub.ledger, PORTAL, [birth_certificate("2026-50")])
    batch = [step(references=[{"system": "portail", "id": number}])]
    batch = [batch[0].with_data({**batch[0].data, "status": word, "reason": "https://ailleurs.example"})]
    scripted(town, batch)

    found = {road.__name__: road(town, batch) for road in ROADS}

    assert found == {road.__name__: ["unknown_request"] for road in ROADS}
    with hub.ledger.reading() as tx:
        request = read(tx, TENANT, verdict.request_id or "")
    assert request is not None
    assert (request.status, request.reason) == ("received", None)


@pytest.mark.parametrize("received", [{}, {"first": "2026-05-28"}, {"first": "2026-05-28", "competent": "2026-06-03"}])
@pytest.mark.parametrize("road", [over_http, over_amqp, by_the_packages_own_call, by_a_poll])
def test_on_each_road_a_request_is_dated_as_its_intake_states(
    town: House, road: Callable[[House, Any], Any], received: dict[str, str]
) -> None:
    """However late the hub hears of it."""
    batch = [letter(**received)]
    scripted(town, batch)

    with contextlib.suppress(KeyError, AssertionError):  # a road reads the codes of refusals, and there are none
        road(town, batch)

    hub = town.hub
    with hub.ledger.reading() as tx:
        (found,) = list_requests(tx, TENANT, intake=NAME, after=None, limit=9)
        view = request_view(tx, hub.current.directory, TENANT, found.id)
    assert view is not None
    first = received.get("first", "2026-06-01T08:00:00.000Z")
    assert view["received"] == {"first": first, "competent": received.get("competent", first)}
    assert view["clocks"]["silence_on"] == ("2026-07-28" if received else "2026-08-01")
    assert view["received_at"] > view["received"]["first"]


# --- a connection that observes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("road", ["http", "amqp"])
def test_what_the_client_of_a_package_publishes_is_accepted_while_its_connection_observes(
    town: House, road: str
) -> None:
    scripted(town, [])
    observing(town)
    if road == "http":
        http = town.client("famille", types=TYPES)
        answer = http.post("/v1/events", content=wire_form([letter()]), headers={"content-type": BATCH})
        assert [line["outcome"] for line in answer.json()["verdicts"]] == ["accepted"]
    else:
        wire, origin = Wire(), Origin(NAME, TENANT, frozenset(TYPES), (SOURCE,))
        inlet = Inlet(town.hub.ledger, wire, town.hub.acceptance, {"famille": origin}.get)
        inlet.handle([Incoming(wire_form([letter()]), content_type=BATCH, user="famille")])
        assert [orjson.loads(item.body)["verdict"] for item in wire.sent] == ["accepted"]

    assert (town.stored(), observed_by(town)) == (1, {})


@pytest.mark.parametrize("road", ["call", "poll"])
def test_what_a_connection_brings_while_it_observes_is_counted_alike_and_taken_on_neither_road(
    town: House, road: str
) -> None:
    batch = [letter(), step(references=[{"system": "s", "id": "nobody"}])]
    scripted(town, batch)
    observing(town)
    if road == "call":
        assert town.anonymous().post("/in/famille", content=b"{}").status_code == 200
    else:
        poller = Poller(
            NAME, town.hub.ledger, town.hub.acceptance, lambda: town.hub.deliveries.origin(NAME),
            lambda cursor: iter([Polled(batch)]), owner="test", every=1, signals=town.hub.signals,
            observation=town.hub.observation,
        )  # fmt: skip
        assert poller.once() == 0

    assert town.stored() == 0
    kept = observed_by(town).pop(("call", "kept", ""), 0)
    assert kept == (1 if road == "call" else 0)
    assert {place: number for place, number in observed_by(town).items() if place[0] != "call"} == {
        ("request.received", "accepted", ""): 1, ("request.status-changed", "refused", "unknown_request"): 1,
    }  # fmt: skip


def test_what_breaks_a_rule_of_form_gets_the_same_code_while_a_connection_observes(town: House) -> None:
    for code, batch in (("schema_violation", [move(6, effective_on="bientôt")]), ("type_not_allowed", [trouble()])):
        scripted(town, batch)
        observing(town)
        assert by_the_packages_own_call(town, batch) == [code]
        assert by_a_poll(town, batch) == [code]
    assert town.stored() == 0


def trouble() -> Event:
    return replace(move(5), type="delivery.parked")


def observing(house: House) -> None:
    directory = house.hub.current.directory
    directory.connections[NAME] = replace(directory.connections[NAME], mode="observe")


def observed_by(house: House) -> dict[tuple[str, str, str], int]:
    with house.hub.ledger.reading() as tx:
        return {(o.seen.kind, o.seen.outcome, o.seen.code): o.seen.number for o in observed_of(tx, NAME)}
