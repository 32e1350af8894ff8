"""The inlet's own rules, without a broker: who speaks is what the broker verified."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest

from bus.api import Incoming, Outcome, Outgoing, Queue
from bus.embedded import EmbeddedBus
from hub.acceptance.inlet import Inlet
from hub.clients.origin import Origin
from schemas.errors import BusUnavailable
from schemas.event import BATCH, STRUCTURED
from schemas.registry import Registry
from tests.support.town import TENANT, Town, moved

PACKAGE = Origin(f"{TENANT}.portail", TENANT, frozenset({"citizen.address-changed", "document.received"}),
                 (f"/{TENANT}/portail",))  # fmt: skip


class Wire(EmbeddedBus):
    """Keeps what was published instead of sending it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Outgoing] = []
        self.takes = True

    def publish(self, items: Sequence[Outgoing]) -> list[Outcome]:
        self.sent.extend(items)
        return [Outcome(self.takes) for _ in items]

    def declare(self, queues: Sequence[Queue]) -> None:
        return None

    def receipts(self) -> list[dict[str, object]]:
        return [orjson.loads(item.body) for item in self.sent]


@pytest.fixture
def town(tmp_path: Path) -> Town:
    return Town(tmp_path, {"famille": {}})


def inlet(town: Town, wire: Wire) -> Inlet:
    known = {"package": PACKAGE}
    return Inlet(town.hub.ledger, wire, town.hub.acceptance, known.get)


def message(body: bytes, user: str | None = "package", media: str = STRUCTURED) -> Incoming:
    return Incoming(body, content_type=media, user=user)


def test_each_event_has_its_receipt_and_each_receipt_its_schema(town: Town) -> None:
    wire = Wire()
    good, batch = moved("u1", 1), [moved("u1", 2).to_dict(), moved("u1", 1).to_dict(), {"specversion": "1.0"}]

    odd = [message(b"{"), message(b"<x/>", media="text/xml")]
    inlet(town, wire).handle([message(good.encode()), message(orjson.dumps(batch), media=BATCH), *odd])

    receipts = wire.receipts()
    assert [r["verdict"] for r in receipts] == ["accepted", "accepted", "duplicate", "refused", "refused", "refused"]
    schema = Registry.load().schema_set
    assert all(schema.accepts("urn:unefois:record:receipt:v1", r) for r in receipts)
    assert {item.queue for item in wire.sent} == {"unefois.receipts.package"}
    town.close()


def test_a_message_of_a_stranger_is_dropped_counted_and_answered_to_nobody(town: Town) -> None:
    wire = Wire()

    inlet(town, wire).handle(
        [message(moved("u1", 1).encode(), user=None), message(moved("u1", 1).encode(), user="autre")]
    )

    assert wire.sent == []
    with town.hub.ledger.reading() as tx:
        assert tx.accepted() == 0
        assert tx.counter("inlet-strangers") == 2
    town.close()


def test_a_document_that_the_package_did_not_store_is_not_its_to_name(town: Town) -> None:
    wire = Wire()
    stored = town.hub.documents.for_tenant(TENANT).store(b"un texte", name="a.txt", media_type="text/plain")
    data = {"document": stored.to_data(), "kind": "note"}
    event = moved("u1", 1).to_dict() | {"type": "document.received", "id": "d1", "data": data}
    event["dataschema"] = "urn:unefois:document.received:v1"

    inlet(town, wire).handle([message(orjson.dumps(event))])

    assert wire.receipts()[0]["code"] == "document_not_yours"
    town.close()


def test_a_receipt_that_is_not_taken_brings_the_batch_back_and_nothing_is_doubled(town: Town) -> None:
    wire = Wire()
    wire.takes = False
    reads = inlet(town, wire)
    with pytest.raises(BusUnavailable):
        reads.handle([message(moved("u1", 1).encode())])

    wire.takes = True
    reads.handle([message(moved("u1", 1).encode())])

    assert wire.receipts()[-1]["verdict"] == "duplicate"
    town.close()
