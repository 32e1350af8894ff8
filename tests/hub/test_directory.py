"""The directory is one, with a version: whoever accepts, accepts by the one that stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from bus.api import Outcome, Outgoing
from bus.ledger import Claimed
from bus.tables import deliveries, events, subscriptions
from bus.worker import Worker
from demo.world import toml
from hub.acceptance.accept import Verdict
from hub.clients import repository as clients
from hub.clients import webhooks
from hub.connections import Connection, ConnectorHandler
from hub.operations.directory_change import StillOpen
from hub.operations.processes import running
from hub.routing.directory import DirectoryBehind
from hub.storage.directory_items import forget_versions, read_items
from hub.storage.tables import citizen_links, directory_items, directory_versions, journal
from hub.wiring import Hub, open_hub
from schemas.delivery import Polled
from schemas.errors import BusUnavailable, ConfigError
from schemas.event import Event
from tests.support.town import PORTAL, TENANT
from tests.support.town import moved as moved_by

STATUSES = ("request.status-changed",)


class Place:
    """One database and as many hubs with files of their own as a test wants."""

    def __init__(self, folder: Path, database: str) -> None:
        self.folder, self.database = folder, database
        self.hubs: list[Hub] = []
        for part in ("in", "out"):
            (folder / part).mkdir()

    def files(self, name: str, *connections: str, tenant: Mapping[str, Any] | None = None, **more: Any) -> Path:
        path = self.folder / f"{name}.toml"
        settings = {
            "mode": "development", "database": self.database, "bus": "embedded", "documents": "documents",
            "tenants": {TENANT: {"label": "Ville", "siret": "21930001100018", "insee": "93001", **(tenant or {})}},
            "connections": {one: self.drop(**more.get(one, {})) for one in connections},
        }  # fmt: skip
        path.write_text(toml(settings, self.folder), encoding="utf-8")
        return path

    def drop(self, **more: Any) -> dict[str, Any]:
        folders = {"drop_folder": str(self.folder / "in"), "return_folder": str(self.folder / "out")}
        return {
            "connector": "filedrop", "tenant": TENANT, "mode": "live", "settings": {**folders, "preset": "family"},
            "consumes": [{"type": "citizen.address-changed"}], **more,
        }  # fmt: skip

    def open(self, path: Path, *, takes_files: bool = False) -> Hub:
        hub = open_hub(path, {})
        self.hubs.append(hub)
        hub.prepare(takes_files=takes_files)
        return hub

    def close(self) -> None:
        for hub in self.hubs:
            hub.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    sqlite = request.param == "sqlite"
    url = "sqlite:///hub.db" if sqlite else str(request.getfixturevalue("postgres").fresh_database())
    made_here = Place(tmp_path, url)
    yield made_here
    made_here.close()


PACKAGES = ("famille", "ecole", "cantine")
SPEAKER = replace(PORTAL, others=frozenset(PACKAGES))


def moved(person: str, number: int) -> Event:
    """Somebody whom all packages know."""
    event = moved_by(person, number)
    references = [{"system": system, "id": person} for system in PACKAGES]
    return event.with_data({**event.data, "citizen": {"references": references}})


def submit(hub: Hub, *said: Event) -> list[Verdict]:
    verdicts = hub.acceptance.submit(hub.ledger, SPEAKER, said)
    assert all(verdict.ok for verdict in verdicts), [verdict.error for verdict in verdicts]
    return verdicts


def readers(hub: Hub, seq: int | None) -> list[str]:
    with hub.ledger.reading() as tx:
        return sorted(row.connection.partition(".")[2] for row in tx.deliveries_of([seq or 0]))


def version(hub: Hub) -> int:
    with hub.ledger.reading() as tx:
        return tx.directory


def rows(hub: Hub, query: Any) -> list[Any]:
    with hub.ledger.reading() as tx:
        return list(tx.sql.execute(query))


# --- acceptance ------------------------------------------------------------------------------------------------------


def test_a_process_with_an_old_file_routes_by_what_another_loaded(place: Place) -> None:
    old, other = place.open(place.files("old", "famille")), place.open(place.files("other", "famille"))
    place.files("other", "famille", "ecole")

    loaded = other.load_files(by="operator:x")
    (verdict,) = submit(old, moved("u1", 1))

    assert (loaded.written, loaded.added) == (True, [f"connection {TENANT}.ecole"])
    assert readers(old, verdict.seq) == ["ecole", "famille"]
    with old.ledger.reading() as tx:
        assert tx.load([verdict.seq or 0])[verdict.seq or 0].directory == loaded.version


def test_a_connection_that_was_removed_gets_nothing_more_from_anybody(place: Place) -> None:
    old, other = (
        place.open(place.files("old", "famille", "ecole")),
        place.open(place.files("other", "famille", "ecole")),
    )
    place.files("other", "famille")

    other.load_files(by="operator:x")
    (verdict,) = submit(old, moved("u1", 1))

    assert readers(old, verdict.seq) == ["famille"]


def test_what_was_checked_by_another_directory_is_checked_again(place: Place) -> None:
    """An identifier that is that of a household since is refused at the commit."""
    old, other = place.open(place.files("old", "famille")), place.open(place.files("other", "famille"))
    checked = old.acceptance.check(SPEAKER, [moved("u1", 1)])
    place.files("other", "famille", tenant={"identifiers": dict.fromkeys(PACKAGES, "household")})

    other.load_files(by="operator:x")
    with old.ledger.transaction() as tx:
        (verdict,) = old.acceptance.admit(tx, SPEAKER, checked)

    assert verdict.error is not None
    assert verdict.error.code == "household_reference"


def test_a_directory_of_a_newer_version_of_the_hub_is_not_guessed_at(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    with hub.ledger.transaction() as tx:
        number = tx.next_directory()
        body = read_items(tx, number)[("connection", f"{TENANT}.famille")]
        body["routing"]["colour"] = "blue"
        tx.sql.execute(
            update(directory_items)
            .where(directory_items.c.kind == "connection")
            .values(body=orjson.dumps(body).decode())
        )

    with pytest.raises(DirectoryBehind, match="colour"):
        submit(hub, moved("u1", 1))

    assert rows(hub, select(events)) == []
    assert "colour" in hub.current.behind
    with pytest.raises(BusUnavailable):
        Hub(hub.settings)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda item: item["routing"]["consumes"]["citizen.address-changed"].update(version=99),
        lambda item: item.update(drift="perhaps"),
        lambda item: item.pop("connector"),
        lambda item: item["routing"].update(household="no"),
        lambda item: item["routing"].update(tenant="elsewhere"),
    ],
)
def test_no_item_that_this_version_does_not_know_is_read_as_another(
    place: Place, spoil: Callable[[dict[str, Any]], Any]
) -> None:
    hub = place.open(place.files("one", "famille"))
    with hub.ledger.transaction() as tx:
        body = read_items(tx, tx.next_directory())[("connection", f"{TENANT}.famille")]
        spoil(body)
        spoilt = update(directory_items).where(directory_items.c.kind == "connection")
        tx.sql.execute(spoilt.values(body=orjson.dumps(body).decode()))

    with pytest.raises(DirectoryBehind):
        submit(hub, moved("u1", 1))


def load_whatever_is_open(hub: Hub) -> None:
    """As an operator who names what goes; more may have become open meanwhile."""
    remove: set[str] = set()
    while True:
        try:
            hub.load_files(by="operator:x", remove=remove)
            return
        except StillOpen as error:
            remove |= set(error.open)


def test_under_a_loop_of_reloads_each_event_has_rows_for_exactly_the_connections_of_its_version(place: Place) -> None:
    here, there = place.open(place.files("here", "famille")), place.open(place.files("there", "famille"))
    over = threading.Event()
    accepted: list[int] = []

    def accept(hub: Hub, who: str) -> None:
        number = 0
        while not over.is_set():
            number += 1
            accepted.extend(v.seq or 0 for v in submit(hub, moved(who, number)))

    threads = [threading.Thread(target=accept, args=pair) for pair in ((here, "a"), (there, "b"))]
    for thread in threads:
        thread.start()
    for turn in range(12):
        loader, name = (here, "here") if turn % 2 else (there, "there")
        place.files(name, "famille", *(["ecole"] if turn % 3 else []), *(["cantine"] if turn % 4 else []))
        load_whatever_is_open(loader)
    over.set()
    for thread in threads:
        thread.join(20)

    assert len(accepted) > 20
    assert len(set(accepted)) == len(accepted)
    wanted: dict[int, set[str]] = {}
    got: dict[int, set[str]] = {row.seq: set() for row in rows(here, select(events.c.seq))}
    for row in rows(here, select(deliveries.c.seq, deliveries.c.connection)):
        got[row.seq].add(row.connection)
    with here.ledger.reading() as tx:
        for row in tx.sql.execute(select(events.c.seq, events.c.directory)).all():
            items = wanted.get(row.directory) or {
                name for kind, name in read_items(tx, row.directory) if kind == "connection"
            }
            wanted[row.directory] = items
            assert got[row.seq] == items, row
    assert len(wanted) > 3


# --- webhooks --------------------------------------------------------------------------------------------------------


def opened(number: int) -> Event:
    who = {"organisation": {"name": "Café des Halles", "siret": "21930001100018"}}
    record = {"references": [{"system": "portail", "id": str(number)}], "procedure": "occupation-domaine-public",
              "submitted_at": "2026-11-02T09:00:00Z", "intake": "online", "requester": who}  # fmt: skip
    return Event("request.received", f"/{TENANT}/portail", {"request": record}, id=f"r-{number}")


def step(number: int, word: str) -> Event:
    data = {"request": {"references": [{"system": "portail", "id": str(number)}]}, "status": "in_progress",
            "native": {"code": word, "label": word}}  # fmt: skip
    return Event("request.status-changed", f"/{TENANT}/famille", data, id=f"s-{number}-{word}")


FAMILLE = replace(
    PORTAL, name=f"{TENANT}.famille", sources=(f"/{TENANT}/famille",), others=frozenset({"portail"}), connection=True
)


def hooked(hub: Hub, client: str = "portail") -> webhooks.Webhook:
    return webhooks.add(
        hub.ledger, None, tenant=TENANT, client=client, url="http://127.0.0.1:1/", types=STATUSES, thin=True
    )


def test_a_webhook_that_was_made_on_one_gateway_misses_nothing_that_another_accepts_next(place: Place) -> None:
    a, b = (place.open(place.files(name, "famille")) for name in ("a", "b"))
    clients.add(a.ledger, client_id="portail", tenant=TENANT, label="P", scopes=["webhooks:write"])
    submit(a, opened(1))
    for number in range(200):
        made_here = hooked(a)
        (verdict,) = b.acceptance.submit(b.ledger, FAMILLE, [step(1, f"W{number}")])
        assert verdict.outcome == "accepted", verdict
        assert f"webhook-{made_here.id}" in readers(b, verdict.seq), number
        webhooks.remove(a.ledger, made_here)


def test_a_webhook_that_was_removed_or_whose_client_was_disabled_gets_nothing_from_anybody(place: Place) -> None:
    a, b = (place.open(place.files(name, "famille")) for name in ("a", "b"))
    clients.add(a.ledger, client_id="portail", tenant=TENANT, label="P", scopes=["webhooks:write"])
    submit(a, opened(1))
    first, second = hooked(a), hooked(a)

    webhooks.remove(a.ledger, first)
    (one,) = b.acceptance.submit(b.ledger, FAMILLE, [step(1, "A")])
    clients.disable(a.ledger, "portail")
    (two,) = b.acceptance.submit(b.ledger, FAMILLE, [step(1, "B")])
    with a.ledger.transaction() as tx:
        clients.enable(tx, "portail")
    (three,) = b.acceptance.submit(b.ledger, FAMILLE, [step(1, "C")])

    assert [readers(b, v.seq) for v in (one, two, three)] == [[f"webhook-{second.id}"], [], [f"webhook-{second.id}"]]


# --- files -----------------------------------------------------------------------------------------------------------


def test_the_first_process_makes_the_first_version_and_a_file_that_differs_changes_nothing(place: Place) -> None:
    first = place.open(place.files("one", "famille"))
    second = place.open(place.files("two", "ecole"))

    assert (version(first), first.files_differ, second.files_differ) == (1, False, True)
    assert list(second.current.directory.connections) == [f"{TENANT}.famille"]
    assert second.lacks == {f"{TENANT}.famille": "connections.famille: not in the settings of this process"}


def test_files_that_were_loaded_by_another_process_differ_no_more(place: Place) -> None:
    running = place.open(place.files("one", "famille"))
    place.files("one", "famille", "ecole")
    other = place.open(place.folder / "one.toml")
    assert other.files_differ

    other.load_files(by="operator:x")
    running.reload()

    assert (version(running), running.files_differ, running.lacks) == (2, False, {})


def test_one_process_that_is_the_whole_hub_takes_new_files_at_its_start_and_old_ones_never_again(place: Place) -> None:
    one, two = place.files("one", "famille"), place.files("two", "famille", "ecole")
    place.open(one, takes_files=True)

    taken = place.open(two, takes_files=True)
    forgotten = place.open(one, takes_files=True)

    assert (version(taken), version(forgotten), forgotten.files_differ) == (2, 2, True)
    assert sorted(forgotten.current.directory.connections) == [f"{TENANT}.ecole", f"{TENANT}.famille"]


def test_a_connection_with_open_deliveries_goes_only_when_it_is_named(place: Place) -> None:
    hub = place.open(place.files("one", "famille", "ecole"))
    (verdict,) = submit(hub, moved("u1", 1))
    place.files("one")

    with pytest.raises(StillOpen, match=r"ecole \(1\).*famille \(1\)"):
        hub.load_files(by="operator:x")
    assert version(hub) == 1
    with pytest.raises(StillOpen, match="ecole"):
        hub.load_files(by="operator:x", remove=[f"{TENANT}.famille"])
    with pytest.raises(ConfigError, match="cantine is not one that goes"):
        hub.load_files(by="operator:x", remove=["cantine"])
    assert (version(hub), readers(hub, verdict.seq)) == (1, ["ecole", "famille"])

    found = hub.load_files(by="operator:x", remove=[f"{TENANT}.famille", f"{TENANT}.ecole"])

    assert found.given_up == {f"{TENANT}.famille": 1, f"{TENANT}.ecole": 1}
    assert {row.state for row in rows(hub, select(deliveries))} == {"skipped"}


def test_a_removed_connection_that_comes_back_starts_anew(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    place.files("one")
    hub.load_files(by="operator:x")
    submit(hub, moved("u1", 1), moved("u2", 1))
    assert rows(hub, select(subscriptions)) == []
    place.files("one", "famille")

    hub.load_files(by="operator:x")

    (row,) = rows(hub, select(subscriptions))
    assert (row.connection, row.since_seq) == (f"{TENANT}.famille", 2)
    assert readers(hub, submit(hub, moved("u1", 2))[0].seq) == ["famille"]


def test_a_type_that_is_read_later_starts_there(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    submit(hub, moved("u1", 1))
    more = [{"type": "citizen.address-changed"}, {"type": "citizen.contact-changed"}]
    place.files("one", "famille", famille={"consumes": more})

    hub.load_files(by="operator:x")

    found = {row.type: row.since_seq for row in rows(hub, select(subscriptions))}
    assert found == {"citizen.address-changed": 0, "citizen.contact-changed": 1}


def test_two_who_load_at_once_make_two_versions_of_which_the_last_stands(place: Place) -> None:
    hubs = [place.open(place.files(name, "famille")) for name in ("a", "b")]
    place.files("a", "famille", "ecole")
    place.files("b", "famille", "cantine")
    threads = [threading.Thread(target=hub.load_files, kwargs={"by": "operator:x"}) for hub in hubs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    (verdict,) = submit(hubs[0], moved("u1", 1))

    assert version(hubs[0]) == 3
    assert readers(hubs[0], verdict.seq) in (["ecole", "famille"], ["cantine", "famille"])


def test_what_dies_in_the_middle_of_a_reload_changed_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = place.open(place.files("one", "famille"))
    place.files("one", "famille", "ecole")

    def dies(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("hub.operations.directory_change.settle_households_in", dies)
    with pytest.raises(RuntimeError):
        hub.load_files(by="operator:x")
    monkeypatch.undo()

    assert (version(hub), len(rows(hub, select(directory_versions)))) == (1, 1)
    assert [row.connection for row in rows(hub, select(subscriptions))] == [f"{TENANT}.famille"]
    assert readers(hub, submit(hub, moved("u1", 1))[0].seq) == ["famille"]


def test_who_was_connected_when_an_event_was_accepted_can_be_told_later(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    (before,) = submit(hub, moved("u1", 1))
    place.files("one", "famille", "ecole")
    hub.load_files(by="operator:claire")

    with hub.ledger.reading() as tx:
        stored = tx.load([before.seq or 0])[before.seq or 0]
        then = {name for kind, name in read_items(tx, stored.directory or 0) if kind == "connection"}
        later = tx.sql.execute(select(directory_versions).where(directory_versions.c.version == 2)).one()

    assert then == {f"{TENANT}.famille"}
    assert later.by == "operator:claire"
    (line,) = [row for row in rows(hub, select(journal)) if row.act == "directory.changed"]
    assert orjson.loads(line.facts)["items"] == [f"connection {TENANT}.ecole"]


def test_a_link_says_from_which_event_it_counts(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    submit(hub, moved("u1", 1), moved("u2", 1))
    submit(hub, moved("u3", 1))

    found = {row.native_id: row.since_seq for row in rows(hub, select(citizen_links)) if row.system == "ecole"}

    assert found == {"u1": 0, "u2": 0, "u3": 2}


def test_versions_that_no_event_names_any_more_are_forgotten(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    for label in ("A", "B", "C"):
        place.files("one", "famille", famille={"label": label})
        hub.load_files(by="operator:x")
    (verdict,) = submit(hub, moved("u1", 1))

    with hub.ledger.transaction() as tx:
        gone = forget_versions(tx)
        left = read_items(tx, 4)

    assert gone == 3
    assert left[("connection", f"{TENANT}.famille")]["routing"]["label"] == "C"
    assert readers(hub, verdict.seq) == ["famille"]


# --- processes -------------------------------------------------------------------------------------------------------


def wait(condition: Callable[[], object]) -> None:
    from tests.support.fleet import until

    until(condition, timeout=20)


def test_a_running_hub_starts_and_ends_what_comes_and_goes(place: Place) -> None:
    hub, other = place.open(place.files("one", "famille")), place.open(place.files("two", "famille"))
    hub.start_relay()
    hub.start_workers()
    hub.start_inlet()
    place.files("one", "famille", "ecole")
    place.files("two", "famille", "ecole")

    other.load_files(by="operator:x")
    wait(lambda: f"{TENANT}.ecole" in hub.workers and hub.workers[f"{TENANT}.ecole"].active)
    submit(other, moved("u1", 1))
    wait(lambda: {row.state for row in rows(hub, select(deliveries))} == {"delivered"})
    place.files("two", "ecole")
    other.load_files(by="operator:x")
    wait(lambda: list(hub.workers) == [f"{TENANT}.ecole"])

    with hub.ledger.reading() as tx:
        (mine,) = running(tx)
    assert (mine["roles"], mine["lacks"], mine["behind"]) == ("gateway relay worker", {}, "")
    wait(lambda: _said(hub)["directory"] == 3 and _said(hub)["files_differ"])
    hub.close()
    place.hubs.remove(hub)
    with other.ledger.reading() as tx:
        assert running(tx) == []


def test_a_poll_of_a_connection_that_was_changed_begins_when_the_one_under_way_has_ended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one process, and so under one lease: the second would read by a cursor that the first is about to move."""
    begun, go = [], threading.Event()
    at_once: list[int] = []

    def poll(connection: Connection, cursor: object) -> Iterator[Polled]:
        at_once.append(1)
        begun.append((connection, len(at_once)))
        try:
            assert go.wait(30)
            yield Polled((), cursor={"page": len(begun)})
        finally:
            at_once.pop()

    monkeypatch.setattr(Connection, "poll", poll)
    hub = place.open(place.files("one", "famille"))
    hub.start_workers()
    wait(lambda: begun)
    for seconds in (61, 62):
        place.files("one", "famille", famille={"poll_seconds": seconds})
        hub.load_files(by="operator:x")
    wait(lambda: len([one for one in hub._threads if one.name.startswith("poller")]) == 3)
    time.sleep(0.5)
    assert len(begun) == 1

    go.set()

    wait(lambda: len(begun) == 2)
    assert begun[1] == (hub.connections[f"{TENANT}.famille"], 1)


def _said(hub: Hub) -> Mapping[str, Any]:
    with hub.ledger.reading() as tx:
        return running(tx)[0]


def test_a_view_that_was_made_before_a_connection_may_see_less_is_made_again(place: Place) -> None:
    """What the relay sent by version 1 holds a field that the package is not shown since version 2."""
    hub = place.open(place.files("one", "famille"))
    (verdict,) = submit(hub, moved("u1", 1))
    name, seq = f"{TENANT}.famille", verdict.seq or 0
    hub.relay.step()
    fewer = [{"type": "citizen.address-changed", "fields": ["/citizen/identity/family_name"]}]
    place.files("one", "famille", famille={"consumes": fewer})
    worker = Worker(
        name, hub.ledger, hub.bus, ConnectorHandler(hub.connections[name]), hub.deliveries, hub.team, owner="test"
    )
    claimed = [Claimed(seq, "c:x", 1, 0, doubt=False)]
    with hub.ledger.reading() as tx:
        event = tx.load([seq])[seq].event
        worker._remember({seq: event}, 1)
        before = worker._shown(tx, claimed, {})[seq].event

    hub.load_files(by="operator:x")

    with hub.ledger.reading() as tx:
        after = worker._shown(tx, claimed, {})[seq].event
        worker._remember({seq: event}, 2)
        fresh = worker._shown(tx, claimed, {})[seq].event
    assert "new_address" in before.data
    assert "new_address" not in after.data
    assert "new_address" in fresh.data  # made by the version that stands: taken as it came


def test_what_the_relay_sends_says_by_which_directory_it_was_made(place: Place) -> None:
    hub = place.open(place.files("one", "famille"))
    submit(hub, moved("u1", 1))
    sent: list[Outgoing] = []
    publish = hub.bus.publish

    def noted(items: Sequence[Outgoing]) -> list[Outcome]:
        sent.extend(items)
        return publish(items)

    hub.relay._bus.publish = noted  # type: ignore[method-assign]
    hub.relay.step()

    assert [item.headers["directory"] for item in sent] == ["1"]
