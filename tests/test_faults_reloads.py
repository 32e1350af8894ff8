"""Real processes under a loop of reloads and signals while events stream in and some of them are killed: each event has
a delivery for exactly the connections of its version, and each package the effect of each once and in order."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import select

from bus.tables import deliveries, events
from hub.operations.link_import import import_links
from hub.operations.processes import running
from hub.storage.directory_items import CONNECTION, read_items
from schemas.errors import BusUnavailable, ConfigError
from tests.support.fleet import PACKAGES, Town, _links, until
from tests.support.recording import PORTAL, TENANT

pytestmark = [pytest.mark.slow]
NEW = f"{TENANT}.loisirs"


@pytest.fixture(params=["embedded", pytest.param("full", marks=[pytest.mark.broker, pytest.mark.database])])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    if request.param == "embedded":
        made = Town(tmp_path, "sqlite:///hub.db", "embedded")
        made.start("serve")
    else:
        database = request.getfixturevalue("postgres").fresh_database()
        made = Town(tmp_path, database, request.getfixturevalue("rabbitmq").url)
        made.start("gateway", "relay", "relay", "worker", "worker")
    yield made
    made.close()


def with_loisirs(town: Town, plain: str) -> str:
    """A further package, which knows everybody."""
    folder = town.folder / "loisirs"
    folder.mkdir(exist_ok=True)
    return f"""{plain}
[connections.loisirs]
connector = "filedrop"
tenant = "{TENANT}"
mode = "live"
settings = {{ drop_folder = "{folder}", preset = "family" }}
"""


def write(town: Town, text: str) -> None:
    """As an editor does it: nobody reads a half."""
    beside = town.config.with_suffix(".new")
    beside.write_text(text, encoding="utf-8")
    beside.replace(town.config)


def tell_to_read(town: Town) -> None:
    """SIGHUP to those that say that they run."""
    with suppress(BusUnavailable), town.hub.ledger.reading() as tx:
        known = {one["pid"] for one in running(tx)}
        for process in list(town.processes):
            if process.pid in known and process.poll() is None:
                process.send_signal(signal.SIGHUP)


def reload_again_and_again(town: Town, over: threading.Event) -> list[int]:
    """Packages come and go, one is called at another rate, and processes are told to read their files."""
    plain, versions = town.config.read_text(encoding="utf-8"), list[int]()
    slower = plain.replace("[connections.famille]\n", "[connections.famille]\nrate = 400.0\n")
    states = [with_loisirs(town, plain), with_loisirs(town, slower), slower, plain]
    while not over.is_set():
        for number, text in enumerate(states):
            write(town, text)
            if number % 2:
                tell_to_read(town)
            for remove in ((), (NEW,)):  # it goes with what is open, whether there is something or not
                with suppress(ConfigError, BusUnavailable):
                    versions.append(town.hub.load_files(by="operator:x", remove=remove).version)
                    break
            time.sleep(1.2 if NEW.partition(".")[2] in text else 0.1)  # until somebody calls it
    write(town, plain)
    with suppress(ConfigError):
        town.hub.load_files(by="operator:x")
    with suppress(ConfigError):
        town.hub.load_files(by="operator:x", remove=(NEW,))
    return versions


def test_nothing_is_lost_or_doubled_under_a_loop_of_reloads_with_processes_that_die(town: Town) -> None:
    until(lambda: town.owner("relay"))
    known = _links().replace(";cantine;cantine-", ";loisirs;loisirs-")
    import_links(town.hub.ledger, town.hub.acceptance, TENANT, known)
    over, versions = threading.Event(), list[int]()
    loading = threading.Thread(target=lambda: versions.extend(reload_again_and_again(town, over)))
    loading.start()
    stream = town.stream(25)
    try:
        town.moving(100)
        town.kill(town.owner("relay"))
        town.start("serve" if len(town.processes) == 0 else "relay")
        town.moving(town.delivered() + 200)
        town.kill(town.owner(f"worker:{TENANT}.famille"))
        town.start("serve" if len(town.processes) == 0 else "worker")
        stream.join(120)
    finally:
        over.set()
        loading.join(60)
    town.all_settled()
    assert len(set(versions)) > 5
    with town.hub.ledger.reading() as tx:
        accepted = tx.sql.execute(select(events.c.seq, events.c.directory).where(events.c.origin == PORTAL.name)).all()
        rows = tx.sql.execute(select(deliveries.c.seq, deliveries.c.connection, deliveries.c.state)).all()
        items = {
            one: {name for kind, name in read_items(tx, one) if kind == CONNECTION} for one in {e[1] for e in accepted}
        }
    given: dict[int, set[str]] = {}
    for seq, connection, _ in rows:
        given.setdefault(seq, set()).add(connection)
    assert all(given[seq] == items[version] for seq, version in accepted)
    ends = Counter(state for _, connection, state in rows if connection == NEW)
    assert set(ends) <= {"delivered", "skipped"}
    assert ends["delivered"] <= town.taken("loisirs").effects <= ends["delivered"] + ends["skipped"]
    assert {connection.partition(".")[2] for _, connection, _ in rows} == {*PACKAGES, "loisirs"}
