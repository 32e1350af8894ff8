"""Real processes that are killed while a package joins: inside a load, while what it lacks is told, while the calls
that were kept for it are handed in, and while it is called at its own address. Each has its effect once, in order."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from bus.ledger import Ledger
from bus.tables import OPEN, deliveries, door, events, leases
from hub.acceptance import kept_calls
from hub.clients import repository as clients
from hub.clients.repository import SCOPES
from hub.storage.tables import catch_ups, citizen_links
from schemas.secret import Secret
from tests.connectors.publik.scene import SLUG, fixture
from tests.gateway.called_package import Package
from tests.gateway.conftest import Open, open_house, package  # noqa: F401 (fixtures)
from tests.gateway.pulling import CLIENT, folder_of
from tests.gateway.test_inbound import NAME as PUBLIK
from tests.gateway.test_inbound import publik, push
from tests.gateway.test_package_webhooks import KEY
from tests.support.fleet import PROGRAM, ROOT, until
from tests.support.town import TENANT, Town, moved

pytestmark = [pytest.mark.slow]
PEOPLE = 600
LOADED = "family_name;given_names;gender;birthdate;birthplace;id;confidential\n"
FASTER = "\n[limits]\ncatch_ups_per_second = 200\n[listen]\nport = 0\n"


@contextmanager
def running(config: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command in a process of its own, that ends by SIGKILL."""
    command = [sys.executable, "-c", PROGRAM, *words, "--config", str(config)]
    with (config.parent / "processes.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)


def kill_when(ledger: Ledger, config: Path, reached: Callable[[], object], *words: str) -> None:
    """Kill a process as soon as so much was done; the leases that it held are over."""
    with running(config, *words) as process:
        until(lambda: reached() or process.poll() is not None, timeout=60)
        assert process.poll() is None, "it ended by itself"
    with ledger.transaction() as tx:
        tx.sql.execute(update(leases).values(until=0.0))


def finish(config: Path, done: Callable[[], object], state: Callable[[], object] = str) -> None:
    with running(config, "serve"):
        until(done, timeout=60, say=lambda: str(state()))


def name_of(number: int) -> str:
    return "NOM" + "".join(chr(65 + number // 26**place % 26) for place in range(3))


def count(town: Town, table: object, *where: object) -> int:
    with town.hub.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table).where(*where)).scalar_one())  # type: ignore


def test_a_load_and_its_telling_that_are_killed_pair_and_tell_everybody_once(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}, "loisirs": {}})
    config, people = tmp_path / "hub.toml", tmp_path / "loisirs.csv"
    config.write_text(config.read_text("utf-8") + FASTER, encoding="utf-8")
    town.link(*((name_of(one), "portail", f"u{one}") for one in range(PEOPLE)))
    for start in range(0, PEOPLE, 200):
        assert all(v.ok for v in town.submit(*(moved(f"u{one}", one + 1) for one in range(start, start + 200))))
    lines = (f"{name_of(one)};Prénom;female;1980-04-17;93001;L-{one};\n" for one in range(PEOPLE))
    people.write_text(LOADED + "".join(lines), encoding="utf-8")
    load = f"connection load {TENANT}.loisirs --from {people} --yes --assessment AIPD-1 --by odile".split()

    def linked() -> int:
        return count(town, citizen_links, citizen_links.c.system == "loisirs")

    try:
        for least in (1, 250):
            kill_when(town.hub.ledger, config, lambda least=least: linked() >= least, *load)  # type: ignore[misc]
        with running(config, *load) as process:
            assert process.wait(60) == 0
        assert linked() == PEOPLE

        for least in (1, 200):
            kill_when(town.hub.ledger, config, lambda least=least: len(town.dropped("loisirs")) >= least, "serve")  # type: ignore[misc]
        finish(config, lambda: not count(town, catch_ups) and town.counts("loisirs") == {"delivered": PEOPLE})
        first = {row["Cle_Echange"]: row for row in reversed(town.dropped("loisirs"))}
        told = sorted(row["Famille_Identifiant"] for row in first.values())
        assert told == sorted(f"L-{one}" for one in range(PEOPLE))
    finally:
        town.close()


def test_a_package_that_is_called_by_a_hub_that_is_killed_has_each_event_once_under_its_key(
    tmp_path: Path,
    package: Package,  # noqa: F811
) -> None:
    settings = {"url": package.url, "signing_keys": [Secret(KEY)], "allow_insecure": True}
    loisirs = {"connector": "loisirs", "client": CLIENT, "settings": settings}
    folder = folder_of(tmp_path, outside="webhook")
    town = Town(tmp_path, {"loisirs": loisirs}, connectors_dir=str(folder))
    config = tmp_path / "hub.toml"
    config.write_text(config.read_text("utf-8") + FASTER, encoding="utf-8")
    clients.add(town.hub.ledger, client_id=CLIENT, tenant=TENANT, label=CLIENT, scopes=SCOPES, types=(), jwks=None)

    def slowly(*_: object) -> tuple[int, str, bytes]:
        time.sleep(0.01)
        return 204, "text/plain", b""

    package.answering = slowly
    town.link(*((name_of(one), "portail", f"u{one}") for one in range(20)))
    try:
        for number in range(1, 11):
            assert all(v.ok for v in town.submit(*(moved(f"u{one}", number) for one in range(20))))
        died = (deliveries.c.deaths > 0, deliveries.c.state.in_(OPEN))  # twice in the same hands, and it is parked
        for least in (10, 70):

            def reached(least: int = least) -> bool:
                return len(package.calls) >= least and not count(town, deliveries, *died)

            kill_when(town.hub.ledger, config, reached, "serve")
        finish(config, lambda: town.counts("loisirs") == {"delivered": 200}, lambda: town.counts("loisirs"))
        first = dict(reversed([*zip(package.keys(), package.events(), strict=True)]))
        assert len(first) == 200
        order = [event["id"] for _, event in sorted(first.items(), key=lambda one: package.keys().index(one[0]))]
        for one in range(20):
            mine = [name for name in order if name.startswith(f"u{one}-")]
            assert mine == [f"u{one}-{number}" for number in range(1, 11)]
    finally:
        town.close()


def test_calls_that_were_kept_are_handed_in_once_and_in_order_though_processes_are_killed(
    open_house: Open,  # noqa: F811
    tmp_path: Path,
) -> None:
    house = publik(open_house, mode="observe")
    for number in range(60):
        assert push(house, fixture() | {"id": str(number + 1)}).status_code == 200
    live = publik(open_house, database=house.hub.settings.database)  # its files say another mode
    config = tmp_path / "house-1" / "hub.toml"
    config.write_text(config.read_text("utf-8") + FASTER, encoding="utf-8")

    def forms() -> list[str]:
        row = door.c
        query = select(row.id).join(events, events.c.seq == row.seq)
        query = query.where(events.c.origin == PUBLIK, events.c.type == "request.received").order_by(row.seq)
        with live.hub.ledger.reading() as tx:
            return list(tx.sql.execute(query).scalars())

    def kept() -> int:
        with live.hub.ledger.reading() as tx:
            return kept_calls.room_of(tx, PUBLIK).calls

    for least in (1, 20):
        kill_when(live.hub.ledger, config, lambda least=least: len(forms()) >= least, "serve")  # type: ignore[misc]
    finish(config, lambda: not kept())
    assert forms() == [f"{SLUG}/{number}/request.received" for number in range(1, 61)]
