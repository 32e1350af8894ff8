"""The sealer leaves one chain, whoever is killed, and notes the deliveries that ended once."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, text, update

from bus.ledger import LeaseLost, Transaction
from bus.tables import deliveries
from hub.journal import sealing
from hub.journal.sealing import journal_status, unsealed_lines
from hub.storage.tables import journal, journal_late, person_keys
from schemas.errors import TryLater
from tests.hub.journal.house import DAY, House, checked, entry


def test_what_waits_for_its_seal_is_shown_as_a_debt(house: House) -> None:
    house.write(entry(1), entry(2))
    house.at += 30

    with house.ledger.reading() as tx:
        assert unsealed_lines(tx) == (2, 30.0)
    assert house.sealer.seal_pending() == 2
    with house.ledger.reading() as tx:
        assert unsealed_lines(tx) == (0, 0.0)


def test_lines_written_before_a_crash_are_sealed_by_the_next_process(house: House) -> None:
    house.fill(2)
    house.write(entry(5))  # and the process is killed here: it gives no lease back
    house.expire()

    assert house.another("two").seal_pending() == 1
    assert checked(house.exported()).lines == 3


def test_of_two_sealers_one_acts_and_the_other_takes_over(house: House) -> None:
    house.fill(2)
    other = house.another("two")
    house.write(entry(5))

    assert other.seal_pending() == 0
    house.sealer.give_back()
    assert other.seal_pending() == 1
    assert house.sealer.seal_pending() == 0
    assert checked(house.exported()).ok


def test_a_sealer_that_slept_through_its_lease_seals_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.fill(2)
    house.write(entry(5))
    make, other = house.sealer._segment, house.another("two")

    def slow(*given: Any) -> dict[str, Any]:
        house.expire()
        assert other.seal_pending() == 1
        return make(*given)

    monkeypatch.setattr(house.sealer, "_segment", slow)
    with pytest.raises(LeaseLost):
        house.sealer.seal_pending()

    report = checked(house.exported())
    assert (report.ok, report.lines, report.segments) == (True, 3, 2)


def test_many_sealers_and_writers_at_once_leave_one_chain(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_MOST", 7)
    written_all = threading.Event()

    def write(writer: int) -> None:
        for number in range(15):
            house.write(entry(writer * 100 + number), entry(writer * 100 + number + 50))

    def seal(owner: int) -> None:
        sealer = house.another(f"sealer {owner}")
        while not written_all.is_set():
            sealer.seal_pending()
            sealer.give_back()

    sealers = [threading.Thread(target=seal, args=(number,)) for number in range(2)]
    writers = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in (*sealers, *writers):
        thread.start()
    for thread in writers:
        thread.join(60)
    written_all.set()
    for thread in sealers:
        thread.join(60)
    house.sealer.seal_pending()

    report = checked(house.exported())
    assert (report.first_fault, report.lines) == (None, 90)


class _Killed(Exception):
    pass


@pytest.mark.parametrize("step", ["fence", "placed", "committed"])
def test_a_sealer_killed_at_any_step_leaves_all_or_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    house.fill(2)
    house.write(entry(5), entry(6))

    def die(*_: Any, **__: Any) -> Any:
        raise _Killed

    with monkeypatch.context() as patched:
        if step == "fence":
            patched.setattr(house.sealer, "_fence", die)
        elif step == "placed":
            patched.setattr(sealing, "insert", die)
        else:
            patched.setattr(house.sealer, "_stamp_last", die)
        house.sealer._ends_every = 1e12
        with pytest.raises(_Killed):
            house.sealer.seal_pending()

    house.expire()
    house.another("two").seal_pending()
    report = checked(house.exported())
    assert (report.ok, report.lines) == (True, 4)
    with house.ledger.reading() as tx:
        assert journal_status(tx)["unsealed"] == 0


def test_a_sealer_goes_on_after_an_outage(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write(entry(1))
    stop, tried = threading.Event(), []
    real = house.sealer.seal_pending

    def step() -> int:
        tried.append(1)
        if len(tried) == 1:
            raise TryLater("away")
        stop.set()
        return real()

    monkeypatch.setattr(house.sealer, "seal_pending", step)
    house.sealer._every = 0.01
    house.sealer.run(stop)

    assert checked(house.exported()).lines == 1


def test_lines_past_their_time_go_and_their_seals_go_on_proving_the_rest(house: House, tmp_path: Path) -> None:
    from hub.documents.files import DocumentStore
    from hub.documents.repository import DocumentBook
    from hub.operations.retention import Keeper
    from hub.settings.model import Retention

    house.fill(3)
    house.at += 30 * DAY
    house.write(entry(1))
    house.sealer.seal_pending()
    house.at += 380 * DAY
    store = DocumentStore(str(tmp_path / "documents"), None, DocumentBook(house.ledger))

    gone = Keeper(house.ledger, store, Retention()).forget_expired()

    report = checked(house.exported())
    assert gone["journal"] == 3
    assert (report.first_fault, report.lines, report.segments) == (None, 1, 2)
    with house.ledger.reading() as tx:
        left = set(tx.sql.execute(select(person_keys.c.citizen_id)).scalars())
    assert "person-1" in left
    assert "person-2" not in left


def _ends(house: House) -> list[tuple[str, dict[str, Any]]]:
    with house.ledger.reading() as tx:
        rows = tx.sql.execute(
            select(journal).where(journal.c.kind == "deliveries").order_by(journal.c.at, journal.c.id)
        )
        return [(row.tenant, json.loads(row.facts)) for row in rows]


def _deliver(house: House, seq: int, connection: str, state: str) -> None:
    with house.ledger.transaction() as tx:
        tx.sql.execute(insert(deliveries).values(
            seq=seq, connection=connection, order_key="k", state=state, at=house.at
        ))  # fmt: skip
        if seq > _last(tx):
            tx.sql.execute(text(
                "INSERT INTO events (seq, tenant, source, id, type, version, order_key, origin, data, accepted_at)"
                " VALUES (:seq, 'ville', '/s', :id, 't', 1, 'k', 'o', :data, 0)"
            ), {"seq": seq, "id": str(seq), "data": b"{}"})  # fmt: skip


def _last(tx: Transaction) -> int:
    return tx.last_seq()


def test_deliveries_that_ended_are_in_the_journal_by_tenant_once(house: House) -> None:
    for seq, connection, state in (
        (1, "ville.koha", "delivered"), (1, "ccas.arpege", "refused"), (2, "ville.koha", "delivered"),
        (2, "ville.concerto", "waiting"),
    ):  # fmt: skip
        _deliver(house, seq, connection, state)

    for _ in range(4):  # an event is looked at a period after it came, and once
        house.at += 400
        house.sealer.seal_pending()

    found = dict(_ends(house))
    assert len(_ends(house)) == 2
    assert found["ville"]["ended"] == {"ville.koha": {"delivered": 2}}
    assert found["ccas"]["ended"] == {"ccas.arpege": {"refused": 1}}
    told = b"1 ville.koha delivered\n2 ville.koha delivered\n"
    assert found["ville"]["digest"] == hashlib.sha256(told).hexdigest()
    assert house.count(journal_late) == 1


def test_a_delivery_that_ends_late_is_told_when_it_ended(house: House) -> None:
    _deliver(house, 1, "ville.koha", "parked")
    for _ in range(3):
        house.at += 400
        house.sealer.seal_pending()
    assert _ends(house) == []

    house.tamper(update(deliveries).values(state="skipped"))
    for _ in range(3):
        house.at += 400
        house.sealer.seal_pending()

    ((tenant, facts),) = _ends(house)
    assert (tenant, facts["ended"], facts["late"]) == ("ville", {"ville.koha": {"skipped": 1}}, True)
    assert house.count(journal_late) == 0


def test_no_end_is_lost_or_told_twice_where_there_are_many(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_PAGE", 7)
    for seq in range(1, 21):
        for connection in ("ville.a", "ville.b", "ville.c")[: 1 + seq % 3]:
            _deliver(house, seq, connection, "waiting" if seq % 4 == 0 else "delivered")
    total = house.count(deliveries)
    for _ in range(2):
        house.at += 400
        house.sealer.seal_pending()
    house.tamper(update(deliveries).values(state="delivered"))
    for _ in range(3):
        house.at += 400
        house.sealer.seal_pending()

    told = sum(number for _, facts in _ends(house) for states in facts["ended"].values() for number in states.values())
    assert told == total
    assert checked(house.exported()).ok
