"""What acceptance costs with many readers: changes of address of people whom all of them know, judged reader by reader.

In this process, on SQLite, in batches of `BATCH` as the gateway hands them over, each event news to every reader. Time
is of the processor, so that what else the machine does is not in it. No server is needed.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import func, select

from bus.ledger import Ledger
from hub.citizens.identities import People
from hub.clients.origin import Origin
from hub.routing.directory import ConnectionRouting, Directory
from hub.settings.model import Tenant
from hub.settings.procedures import load_procedures
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_links, citizen_news
from schemas.event import Event
from schemas.manifest import Consumed
from tests.support.acceptance import acceptance_of

BATCH, BATCHES, WARM_UP = 20, 20, 4
READERS = (1, 15, 50)
_TOWN, _MOVED, _PEPPER = "saint-aubin", "citizen.address-changed", b"p" * 32
_PORTAL = Origin(f"{_TOWN}.portail", _TOWN, frozenset({"*"}), (f"/{_TOWN}/portail",))
_SEES = (
    ("/citizen/references", "/new_address"), ("/citizen/references", "/new_address/value"),
    ("/citizen/references", "/new_address/value/postal_code", "/new_address/value/city"),
)  # fmt: skip


def readers(rounds: int = 3) -> dict[str, Any]:
    """By number of readers: milliseconds of processor for a batch, and bytes of the record of a person and field once
    each reader was given `KEPT` values."""
    found = {number: [_measured(number) for _ in range(rounds)] for number in READERS}
    return {
        "batch": BATCH,
        "readers": [
            {"readers": number, "ms": round(median(ms for ms, _ in some), 2), "record_bytes": some[0][1]}
            for number, some in found.items()
        ],
    }  # fmt: skip


def _measured(number: int) -> tuple[float, int]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder)}/hub.db")
        ledger.create()
        try:
            return _batches(ledger, number)
        finally:
            ledger.close()


def _batches(ledger: Ledger, number: int) -> tuple[float, int]:
    acceptance = acceptance_of(
        _directory(number), people=People(PersonKeys(b"k" * 32), _PEPPER, b"r" * 32), pepper=_PEPPER
    )
    acceptance.submit(ledger, _PORTAL, [_moves(who, 0) for who in range(BATCH)])
    with ledger.transaction() as tx:
        links = tx.sql.execute(select(citizen_links.c.citizen_id, citizen_links.c.native_id)).all()
        tx.sql.execute(citizen_links.insert(), [
            {"tenant": _TOWN, "system": f"package{reader}", "native_id": link.native_id, "since": tx.now,
             "citizen_id": link.citizen_id, "how": "import", "origin": "odile"}
            for link in links for reader in range(number)
        ])  # fmt: skip
    taken = []
    for turn in range(1, WARM_UP + BATCHES + 1):
        events = [_moves(who, turn) for who in range(BATCH)]
        began = time.process_time()
        acceptance.submit(ledger, _PORTAL, events)
        taken.append(time.process_time() - began)
    with ledger.reading() as tx:
        size = int(tx.sql.execute(select(func.avg(func.length(citizen_news.c.sealed)))).scalar_one())
    return median(taken[WARM_UP:]) * 1000, size


def _directory(number: int) -> Directory:
    members = [
        ConnectionRouting(f"{_TOWN}.package{reader}", _TOWN, f"package{reader}", f"package{reader}",
                          {_MOVED: Consumed(_MOVED, 2, _SEES[reader % len(_SEES)], "linked")})
        for reader in range(number)
    ]  # fmt: skip
    return Directory(
        members, load_procedures(), {_TOWN: Tenant(_TOWN, "Saint-Aubin", "21930001100018", "93001", {}, {})}
    )


def _moves(who: int, turn: int) -> Event:
    home = {"house_number": str(turn + 1), "street": "rue des Lilas", "postal_code": f"930{turn % 90:02}",
            "city": f"Ville {turn}", "country": "FR"}  # fmt: skip
    value = {"value": home, "source": "portail", "date": f"2026-03-02T10:{turn:02}:00Z", "quality": "declared"}
    data = {"citizen": {"references": [{"system": "portail", "id": f"P-{who}"}]}, "new_address": value}
    return Event(type=_MOVED, version=2, source=f"/{_TOWN}/portail", id=f"{who}-{turn}", data=data)
