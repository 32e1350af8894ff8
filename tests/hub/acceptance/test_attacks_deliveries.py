"""What the hub says of its own deliveries, when operators and packages do what nobody expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from hub.acceptance.deliveries import OBSERVED
from hub.routing.views import project, tree_of
from hub.storage.tables import unread_events
from schemas.delivery import Delivery, Done
from schemas.errors import InvalidMessage, Refused
from schemas.event import Event
from schemas.manifest import Consumed
from tests.support.directories import connect
from tests.support.recording import TENANT, Package, RecordingHub, move

STATUS = {"portail": (Consumed("request.status-changed", 1, ("/status", "/native", "/reason"), "held"),)}
Make = Callable[..., RecordingHub]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    ledger = Ledger(f"sqlite:///{tmp_path}/hub.db")
    ledger.create()
    hubs: list[RecordingHub] = []

    def build(consumes: Mapping[str, Sequence[Consumed]] | None = None, **packages: Package) -> RecordingHub:
        reads = {**STATUS, **(consumes or {})}
        hub = RecordingHub(ledger, EmbeddedBus(), {"portail": Package(), **packages}, consumes=reads)
        hubs.append(hub)
        hub.start()
        return hub

    yield build
    for hub in hubs:
        hub.stop()
    ledger.close()


def declared(hub: RecordingHub) -> Event:
    """A move that a request of the portal declares."""
    who = {"citizen": {"references": [{"system": "portail", "id": "u1"}]}}
    record = {"references": [{"system": "portail", "id": "1"}], "procedure": "changement-adresse",
              "submitted_at": "2026-11-02T09:00:00Z", "intake": "online", "requester": who}  # fmt: skip
    hub.submit(Event(type="request.received", source=f"/{TENANT}/portail", id="r1", data={"request": record}))
    event = move(1, 1)
    return event.with_data({**event.data, "request": {"references": [{"system": "portail", "id": "1"}]}})


def told(hub: RecordingHub, number: int) -> list[tuple[str, str]]:
    hub.settled("portail", "delivered", number)
    return [(d.event.data["status"], d.event.data["native"]["label"]) for d in hub.packages["portail"].order]


def refuse(delivery: Delivery) -> Done | None:
    raise Refused("carte inconnue")


def test_a_change_that_nobody_took_is_not_called_transferred(make: Make) -> None:
    hub = make(famille=Package(act=refuse))

    hub.submit(declared(hub))

    assert told(hub, 1) == [("received", "Aucun service n'a pu la prendre")]


def test_a_change_that_is_taken_after_a_replay_is_told_again(make: Make) -> None:
    package = Package(act=refuse)
    hub = make(famille=package)
    hub.submit(declared(hub))
    assert told(hub, 1) == [("received", "Aucun service n'a pu la prendre")]

    package.act = lambda delivery: None
    with hub.ledger.transaction() as tx:
        assert tx.replay(f"{TENANT}.famille", 2)

    assert told(hub, 2)[1] == ("transferred", "Transmise aux services concernés")


def test_the_portal_hears_the_same_of_a_change_that_a_mark_keeps_from_everybody(make: Make) -> None:
    """The neighbour of a timeline without deliveries: what is told when they end."""
    hub = make(famille=Package(), koha=Package())
    event = declared(hub)
    citizen = {**event.data["citizen"], "confidential": True}

    hub.submit(event.with_data({**event.data, "citizen": citizen}))

    assert told(hub, 1) == [("transferred", "Transmise aux services concernés")]
    assert hub.packages["famille"].calls == hub.packages["koha"].calls == []


def _asked() -> Event:
    record = {"references": [{"system": "portail", "id": "1"}], "procedure": "occupation-domaine-public",
              "submitted_at": "2026-11-02T09:00:00Z", "intake": "mail",
              "requester": {"organisation": {"name": "Café des Halles", "siret": "21930001100018"}}}  # fmt: skip
    return Event("request.received", f"/{TENANT}/portail", {"request": record}, id="r1")


def _unread(hub: RecordingHub) -> list[int]:
    with hub.ledger.reading() as tx:
        return list(tx.sql.execute(select(unread_events.c.seq)).scalars())


def test_a_package_that_will_not_take_a_request_says_so_to_the_portal(make: Make) -> None:
    reads = Consumed("request.received", 1, ("/request",))
    hub = make(consumes={"famille": (reads,)}, famille=Package(act=refuse))

    (verdict,) = hub.submit(_asked())

    hub.settled("portail", "delivered", 1)
    (told_of,) = hub.packages["portail"].order
    assert (told_of.event.data["status"], told_of.event.data["reason"]) == ("received", "carte inconnue")
    assert told_of.event.data["native"]["label"] == "famille ne prend pas la demande"
    assert _unread(hub) == [verdict.seq]


def test_a_request_that_another_package_took_needs_nobody(make: Make) -> None:
    reads = Consumed("request.received", 1, ("/request",))
    hub = make(consumes={"famille": (reads,), "koha": (reads,)}, famille=Package(act=refuse), koha=Package())

    hub.submit(_asked())

    hub.settled("portail", "delivered", 1)
    hub.settled("koha", "delivered", 1)
    assert _unread(hub) == []


def test_a_refusal_is_not_replayed_once_a_mark_has_come(make: Make) -> None:
    hub = make(famille=Package(act=refuse))
    event = move(1, 1)
    hub.submit(event)
    hub.settled("famille", "refused", 1)
    hub.submit(move(1, 2).with_data({**move(1, 2).data, "citizen": {**event.data["citizen"], "confidential": True}}))

    with hub.ledger.transaction() as tx, pytest.raises(InvalidMessage, match="confidentiel"):
        hub.deliveries.replay(tx, f"{TENANT}.famille", 1)


def test_a_change_whose_last_delivery_an_operator_skips_is_told(make: Make) -> None:
    def fail(delivery: Delivery) -> Done | None:
        raise KeyError("surprise")

    hub = make(famille=Package(act=fail), koha=Package())
    hub.submit(declared(hub))
    hub.settled("famille", "parked", 1)
    hub.settled("koha", "delivered", 1)

    with hub.ledger.transaction() as tx:
        assert hub.deliveries.skip(tx, f"{TENANT}.famille", 2, "abandonné")

    assert told(hub, 1) == [("transferred", "Transmise aux services concernés")]


def test_who_only_observes_is_not_counted_among_those_who_took_it(make: Make) -> None:
    hub = make(famille=Package(act=lambda delivery: Done(OBSERVED)), koha=Package())

    hub.submit(declared(hub))

    assert told(hub, 1) == [("transferred", "Transmise aux services concernés")]


def test_a_request_under_way_stays_so_when_all_were_told(make: Make) -> None:
    hub = make(koha=Package())
    event = declared(hub)
    step = {"request": {"references": [{"system": "portail", "id": "1"}]}, "status": "in_progress",
            "native": {"code": "X", "label": "En cours"}}  # fmt: skip
    hub.submit(Event(type="request.status-changed", source=f"/{TENANT}/portail", id="s", data=step))

    hub.submit(event)

    assert told(hub, 1) == [("in_progress", "Transmise aux services concernés")]


def test_a_reference_that_is_another_requests_stops_nobody(make: Make) -> None:
    consumes = (Consumed("request.received", 1, ("/request",), "all"),)
    hub = make(etatcivil=Package(act=lambda delivery: Done("noté", reference="SAME")))
    members = dict(hub.acceptance.directory.connections)
    name = f"{TENANT}.etatcivil"
    members[name] = replace(members[name], consumes={c.type: c for c in consumes})
    connect(hub.acceptance.current, members.values())

    for number in ("1", "2"):
        record = {"references": [{"system": "portail", "id": number}], "procedure": "acte-naissance",
                  "submitted_at": "2026-11-02T09:00:00Z", "intake": "online",
                  "requester": {"citizen": {"references": [{"system": "portail", "id": "u1"}]}}}  # fmt: skip
        source = f"/{TENANT}/portail"
        hub.submit(Event(type="request.received", source=source, id=number, data={"request": record}))

    assert hub.settled("etatcivil", "delivered", 2) == {"delivered": 2}


# --- fields -------------------------------------------------------------------------------------------------------

DOCUMENTS = [{"id": "a", "name": "n"}, {"id": "b"}]
FORM = {"request": {"form": {"2024": "revenue", "name": "Blanche"}, "documents": DOCUMENTS}}


@pytest.mark.parametrize(
    ("pointers", "seen"),
    [
        (("/request/form/2024",), {"request": {"form": {"2024": "revenue"}}}),
        (("/request/form/2025",), {"request": {"form": {}}}),
        (("/request/form/*",), {"request": {"form": {}}}),
        (("/request/documents/0/id",), {"request": {"documents": [{"id": "a"}, {"id": "b"}]}}),
        (("/request/documents/*/id",), {"request": {"documents": [{"id": "a"}, {"id": "b"}]}}),
        (("/request/documents/id",), {"request": {"documents": [{"id": "a"}, {"id": "b"}]}}),
        (("/request/documents/0",), {"request": {"documents": DOCUMENTS}}),
        (("/request/documents/id", "/request/documents/*/name"), {"request": {"documents": DOCUMENTS}}),
        (("/request/form/name", "/request/form/00000000000"), {"request": {"form": {"name": "Blanche"}}}),
        (("/request/form/name/first",), {"request": {"form": {"name": None}}}),
        (("",), {}),
        (("/",), {}),
    ],
)  # fmt: skip
def test_a_pointer_grants_what_it_names_and_no_more(pointers: tuple[str, ...], seen: object) -> None:
    assert project(FORM, tree_of(pointers)) == seen
