"""The journal attacked: whatever is changed in it, or in what was taken out of it, is found."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, text, update
from typer.testing import CliRunner

from bus.ledger import LeaseLost, Ledger, Transaction
from bus.tables import deliveries
from commands.main import app
from hub.journal import sealing
from hub.journal.entries import Entry, Journal, JournalConflict
from hub.journal.rfc3161 import Authority
from hub.journal.sealing import Scope, Sealer, export_journal, journal_status, unsealed_lines
from hub.journal.signing import Signer
from hub.journal.verify import (
    MerkleTree,
    Proofs,
    Report,
    canonical_json,
    leaf_hash,
    main,
    receipt_fault,
    root_by,
    trusted_keys,
    verify_export,
)
from hub.settings.reading import settings_faults
from hub.storage.person_keys import KeyDestroyed, PersonKeys
from hub.storage.tables import journal, journal_late, journal_segments, person_keys, requests
from schemas.errors import TryLater
from schemas.event import Event
from schemas.secret import Secret
from tests.support.town import TENANT, Town

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
DAY = 86_400.0
SIGNER = Signer(Secret(base64.b64encode(bytes(range(32))).decode()))
STRANGER = Signer(Secret(base64.b64encode(bytes(range(1, 33))).decode()))


class House:
    """A ledger with its journal and a clock that the test moves."""

    def __init__(self, url: str) -> None:
        self.at = 1_700_000_000.0
        self.ledger = Ledger(url, now=lambda: self.at)
        self.ledger.create()
        self.keys = PersonKeys(bytes(32))
        self.journal = Journal(self.keys)
        self.sealer = self.another("one")

    def another(self, owner: str, **how: Any) -> Sealer:
        return Sealer(self.ledger, self.journal, SIGNER, owner=owner, **how)

    def write(self, *entries: Entry) -> None:
        with self.ledger.transaction() as tx:
            self.journal.write(tx, *entries)

    def fill(self, *segments: int) -> list[Entry]:
        """That many lines, sealed after each number."""
        written_ = []
        for number, size in enumerate(segments):
            some = [entry(number * 1000 + place) for place in range(size)]
            self.at += 1
            self.write(*some)
            self.sealer.seal_pending()
            written_ += some
        return written_

    def exported(self, scope: Scope = Scope()) -> bytes:
        out = io.BytesIO()
        export_journal(self.ledger, SIGNER, out, scope)
        return out.getvalue()

    def tamper(self, *statements: Any) -> None:
        with self.ledger.transaction() as tx:
            for statement in statements:
                tx.sql.execute(statement)

    def expire(self) -> None:
        """The lease of the sealer is over."""
        self.tamper(text("UPDATE leases SET until = 0 WHERE name = 'journal'"))

    def count(self, table: Any) -> int:
        with self.ledger.reading() as tx:
            return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def entry(number: int = 0, **changed: Any) -> Entry:
    facts = {
        "tenant": "ville" if number % 3 else "ccas", "kind": "exchange", "act": "exchange.answered",
        "actor": "ville.portail", "outcome": "answered", "citizen_id": f"person-{number % 4}",
        "facts": {"evidence": "family-quotient", "fields": ["quotient", "month"], "number": number},
        "personal": {"agent": "é. dupont"},
    }  # fmt: skip
    return Entry(**{**facts, **changed})


def checked(raw: bytes, trusted: Sequence[str] = (SIGNER.kid,)) -> Report:
    return verify_export(io.BytesIO(raw), trusted)


@pytest.fixture(params=DATABASES)
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    sqlite = request.param == "sqlite"
    made = House(f"sqlite:///{tmp_path}/hub.db" if sqlite else request.getfixturevalue("postgres").fresh_database())
    yield made
    made.ledger.close()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One that no test writes to, with lines in several segments."""
    made = House(f"sqlite:///{tmp_path_factory.mktemp('journal')}/hub.db")
    made.fill(1, 2, 7, 4)
    yield made
    made.ledger.close()


# --- writing ------------------------------------------------------------------------------------------------------


def test_a_line_is_there_with_what_it_tells_or_not_at_all(house: House) -> None:
    def fail() -> None:
        with house.ledger.transaction() as tx:
            house.journal.write(tx, entry())
            raise _Killed

    with pytest.raises(_Killed):
        fail()
    assert house.count(journal) == 0


def test_the_same_entry_written_twice_is_one_line(house: House) -> None:
    one, other = entry(1), entry(2)
    house.write(one)
    house.at += 5

    house.write(one, other, other)

    assert house.count(journal) == 2


@pytest.mark.parametrize("changed", [{"outcome": "refused"}, {"facts": {}}, {"personal": {"agent": "x"}}])
def test_another_content_under_the_same_id_is_an_error(house: House, changed: dict[str, Any]) -> None:
    one = entry(1)
    house.write(one)

    with pytest.raises(JournalConflict):
        house.write(entry(1, id=one.id, **changed))


def test_what_is_personal_is_not_readable_at_rest_nor_in_an_export(house: House) -> None:
    house.fill(3)

    with house.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal)).all()
        (line, *_) = house.journal.of_citizen(tx, "ville", "person-1")
    assert b"dupont" not in house.exported() + str(rows).encode()
    assert line.personal == {"agent": "é. dupont"}


def test_lines_of_a_person_come_newest_first_within_their_tenant_and_time(house: House) -> None:
    for number in (1, 5, 9, 3, 13):
        house.at += 10
        house.write(entry(number))

    with house.ledger.reading() as tx:
        found = house.journal.of_citizen(tx, "ville", "person-1", house.at - 40, house.at, 2)
        elsewhere = house.journal.of_citizen(tx, "ccas", "person-1")
    assert [line.entry.facts["number"] for line in found] == [5, 1]
    assert [line.entry.facts["number"] for line in elsewhere] == [9]


def test_a_line_about_nobody_has_its_personal_part_too(house: House) -> None:
    refused = entry(1, citizen_id=None)
    house.write(refused)

    with house.ledger.reading() as tx:
        line = house.journal.find_line(tx, refused.id)
    assert line is not None
    assert line.personal == {"agent": "é. dupont"}


def test_nothing_personal_is_written_about_who_was_erased(house: House) -> None:
    with house.ledger.transaction() as tx:
        house.keys.destroy(tx, "person-1")

    with pytest.raises(KeyDestroyed):
        house.write(entry(1))
    house.write(entry(1, personal={}))

    assert house.count(journal) == 1


def test_a_destroyed_key_erases_what_is_personal_and_the_journal_still_verifies(house: House) -> None:
    house.fill(3, 9)
    with house.ledger.transaction() as tx:
        house.keys.destroy(tx, "person-1")

    with house.ledger.reading() as tx:
        lines = house.journal.of_citizen(tx, "ville", "person-1")
        others = house.journal.of_citizen(tx, "ville", "person-2")
    assert {line.personal for line in lines} == {None}
    assert others[0].personal == {"agent": "é. dupont"}
    assert checked(house.exported()).ok


# --- sealing ------------------------------------------------------------------------------------------------------


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


# --- proofs -------------------------------------------------------------------------------------------------------


def test_the_tree_is_that_of_rfc_6962() -> None:
    leaves = [b"", b"\0", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43", b"\x50\x51\x52\x53\x54\x55\x56\x57",
              b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f"]  # fmt: skip

    roots = [MerkleTree(map(leaf_hash, leaves[:size])).root().hex() for size in (0, 1, 2, 3, 8)]

    # The published vectors of certificate transparency.
    assert roots == [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ]


@given(size=st.integers(1, 70), data=st.data())
def test_each_leaf_leads_to_the_root_and_no_other_does(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(b"%d" % number) for number in range(size)]
    index, wrong = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size - 1))
    root, path = MerkleTree(leaves).root(), Proofs(leaves).of(index)

    assert root_by(path, leaves[index], index, size) == root
    if wrong != index:
        assert root_by(path, leaves[wrong], index, size) != root
        assert root_by(path, leaves[index], wrong, size) != root
    assert root_by(path[:-1], leaves[index], index, size) != root or not path
    assert root_by([*path, root], leaves[index], index, size) is None


def test_a_receipt_proves_its_line_and_nothing_else(house: House) -> None:
    lines = house.fill(1, 6)
    with house.ledger.transaction() as tx:
        receipts = [house.journal.receipt(tx, one.id) for one in lines]
        house.journal.write(tx, waiting := entry(77))
        assert house.journal.receipt(tx, waiting.id) is None
        assert house.journal.receipt(tx, "unknown") is None

    for receipt in receipts:
        assert receipt is not None
        assert receipt_fault(receipt, [SIGNER.kid]) is None
        assert receipt_fault(receipt, [STRANGER.kid]) is not None
        assert receipt_fault({**receipt, "line": receipt["line"].replace("answered", "refused")}) is not None
        assert receipt_fault({**receipt, "seal": {**receipt["seal"], "root": "0" * 64}}) is not None
        assert receipt_fault({**receipt, "path": receipt["path"][1:] if receipt["path"] else ["00"]}) is not None
    assert receipt_fault({}) is not None


# --- attacks on an export -----------------------------------------------------------------------------------------

SCOPES = {"whole": Scope(), "tenant": Scope(tenant="ville"), "citizen": Scope(citizen="person-1"), "nobody": Scope("x")}


@pytest.fixture(scope="module", params=SCOPES)
def taken(request: pytest.FixtureRequest, kept: House) -> bytes:
    return kept.exported(SCOPES[request.param])


def test_what_was_taken_out_verifies(taken: bytes) -> None:
    report = checked(taken)

    assert report.first_fault is None
    assert report.lines == taken.count(b'{"n":')


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_changed_byte_is_found(taken: bytes, data: st.DataObject) -> None:
    at, by = data.draw(st.integers(0, len(taken) - 1)), data.draw(st.integers(1, 255))

    assert not checked(taken[:at] + bytes([taken[at] ^ by]) + taken[at + 1 :]).ok


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_removed_or_added_byte_and_any_cut_is_found(taken: bytes, data: st.DataObject) -> None:
    at, added = data.draw(st.integers(0, len(taken) - 1)), data.draw(st.binary(min_size=1, max_size=3))

    assert not checked(taken[:at] + taken[at + 1 :]).ok
    assert not checked(taken[:at] + added + taken[at:]).ok
    assert not checked(taken + added).ok
    assert not checked(taken[:at]).ok


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_removed_repeated_or_moved_row_is_found(taken: bytes, data: st.DataObject) -> None:
    rows = taken.splitlines(keepends=True)
    one, other = (data.draw(st.integers(0, len(rows) - 1)) for _ in range(2))
    swapped = list(rows)
    swapped[one], swapped[other] = rows[other], rows[one]

    assert not checked(b"".join(rows[:one] + rows[one + 1 :])).ok
    assert not checked(b"".join([*rows[:other], rows[one], *rows[other:]])).ok
    assert checked(b"".join(swapped)).ok == (one == other)


def _signed_again(raw: bytes, change: Callable[[list[bytes]], list[bytes]], signer: Signer = SIGNER) -> bytes:
    """As somebody would write it who can even sign the end of an export, but no seal."""
    *rows, last = change(raw.splitlines())
    end = json.loads(last)["end"]
    end |= {
        "digest": hashlib.sha256(b"".join(row + b"\n" for row in rows)).hexdigest(), "kid": signer.kid,
        "lines": sum(row.startswith(b'{"n":') for row in rows), "segments": sum(b'"seal"' in row for row in rows),
    }  # fmt: skip
    signature = signer.sign(b"unefois journal export 1\n" + canonical_json(end)).hex()
    return b"".join(row + b"\n" for row in [*rows, canonical_json({"end": end, "signature": signature})])


def _segments(rows: list[bytes]) -> list[list[bytes]]:
    found: list[list[bytes]] = []
    for row in rows[1:-1]:
        if b'"seal"' in row:
            found.append([])
        found[-1].append(row)
    return found


ATTACKS: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a changed line": lambda rows: [row.replace(b'"outcome":"answered"', b'"outcome":"refused"', 1) for row in rows],
    "a removed line": lambda rows: rows[:4] + rows[5:],
    "a repeated line": lambda rows: [*rows[:5], rows[4], *rows[5:]],
    "two lines that changed places": lambda rows: [*rows[:7], rows[8], rows[7], *rows[9:]],
    "two segments that changed places": lambda rows: [
        rows[0], *_segments(rows)[0], *_segments(rows)[2], *_segments(rows)[1], *_segments(rows)[3], rows[-1],
    ],
    "a removed segment": lambda rows: [rows[0], *(one for some in _segments(rows)[1:] for one in some), rows[-1]],
    "a segment that is said to be past its time": lambda rows: [
        rows[0], *_segments(rows)[0],
        canonical_json(json.loads(_segments(rows)[1][0]) | {"expired": True}),
        *(one for some in _segments(rows)[2:] for one in some), rows[-1],
    ],
    "a line under no seal": lambda rows: [*rows[:-1], rows[-2].replace(b'{"n":14,', b'{"n":15,'), rows[-1]],
}  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS)
def test_even_who_signs_the_end_of_an_export_hides_nothing(kept: House, attack: str) -> None:
    whole = kept.exported()
    assert checked(_signed_again(whole, lambda rows: rows)).ok

    report = checked(_signed_again(whole, ATTACKS[attack]))

    assert not report.ok
    assert report.first_fault


def test_the_first_fault_says_where_it_is(kept: House) -> None:
    rows = kept.exported().splitlines(keepends=True)

    gone = checked(b"".join(rows[:8] + rows[9:]))
    changed = checked(b"".join(rows).replace(b'"number":2003', b'"number":2009'))

    assert gone.first_fault == "row 9, segment 3: line 5 is missing, line 6 is in its place"
    assert changed.first_fault == "segment 3: a line between 4 and 10 is not the one that was sealed"


def test_a_journal_forged_with_another_key_is_found_when_the_key_is_named(kept: House, tmp_path: Path) -> None:
    forged = House(f"sqlite:///{tmp_path}/hub.db")
    forged.sealer = Sealer(forged.ledger, forged.journal, STRANGER, owner="thief")
    forged.fill(3)
    out = io.BytesIO()
    export_journal(forged.ledger, STRANGER, out)
    forged.ledger.close()
    published = tmp_path / "jwks.json"
    published.write_text(json.dumps(SIGNER.jwks()), encoding="utf-8")

    assert checked(out.getvalue(), ()).keys == (STRANGER.kid,)
    for named in (SIGNER.kid, str(published)):
        assert "another key" in (checked(out.getvalue(), trusted_keys([named])).first_fault or "")
        assert checked(kept.exported(), trusted_keys([named])).ok


@given(rows=st.lists(st.one_of(st.binary(max_size=30), st.sampled_from([b'{"n":1,', b'{"seal":{}}', b"[]", b"{}"]))))
def test_what_is_no_export_is_a_fault_and_never_a_failure(rows: list[bytes]) -> None:
    assert not checked(b"\n".join(rows)).ok


# --- attacks on the database --------------------------------------------------------------------------------------

_THIRD = journal.c.position == 3
TAMPERED: dict[str, list[Any]] = {
    "a changed actor": [update(journal).where(_THIRD).values(actor="ville.autre")],
    "a changed time": [update(journal).where(_THIRD).values(at=1.0)],
    "another person": [update(journal).where(_THIRD).values(citizen_id="person-9")],
    "a changed ciphertext": [update(journal).where(_THIRD).values(sealed=b"\x01" * 40)],
    "changed facts": [update(journal).where(_THIRD).values(facts="{}")],
    "a removed line": [delete(journal).where(_THIRD)],
    "a removed line with its gap closed": [
        delete(journal).where(_THIRD), update(journal).where(journal.c.position == 4).values(position=3),
    ],
    "an added line": [insert(journal).values(
        id="x", tenant="ville", kind="exchange", act="a", actor="b", outcome="c", facts="{}", at=1.0, position=13
    )],
    "a removed segment": [
        delete(journal).where(journal.c.position > 5), delete(journal_segments).where(journal_segments.c.number == 3),
        update(journal_segments).where(journal_segments.c.number == 4).values(number=3, first=6),
    ],
    "a changed root": [update(journal_segments).where(journal_segments.c.number == 2).values(root="0" * 64)],
    "lines that are said to be past their time": [
        delete(journal).where(journal.c.position <= 2),
        text("INSERT INTO counters (name, value) VALUES ('journal-expired', 1)"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("what", TAMPERED)
def test_what_is_changed_in_the_database_is_found(house: House, what: str) -> None:
    house.fill(2, 3, 4, 3)
    assert checked(house.exported()).ok

    house.tamper(*TAMPERED[what])

    assert not checked(house.exported()).ok


def test_a_part_of_a_changed_journal_is_found_too(house: House) -> None:
    house.fill(2, 3, 4)
    house.tamper(delete(journal).where(journal.c.position == 4))

    assert not checked(house.exported(Scope(since=0.0))).ok


def test_parts_of_the_journal_hold_their_lines_and_no_others(house: House) -> None:
    house.fill(2, 6, 4)

    tenant, citizen = house.exported(Scope(tenant="ccas")), house.exported(Scope(tenant="ville", citizen="person-1"))
    late = house.exported(Scope(since=house.at))

    for raw, wanted in ((tenant, b'"tenant":"ccas"'), (citizen, b'"citizen":"person-1"'), (late, b'"n":')):
        lines = [row for row in raw.splitlines() if row.startswith(b'{"n":')]
        assert lines
        assert all(wanted in line for line in lines)
        assert checked(raw).lines == len(lines)
    assert checked(late).lines == 4


# --- retention ----------------------------------------------------------------------------------------------------


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


# --- deliveries ---------------------------------------------------------------------------------------------------


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


# --- time stamps --------------------------------------------------------------------------------------------------


class _Tsa(BaseHTTPRequestHandler):
    """Grants a token that repeats the question, as far as a client looks."""

    status = b"\0"

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        answer = bytes([0x30, 0x03, 0x02, 0x01]) + self.status + asked
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes([0x30, len(answer)]) + answer)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def tsa() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), _Tsa)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join(10)
    server.server_close()


def test_a_seal_is_stamped_and_the_stamp_goes_with_it(house: House, tsa: str) -> None:
    house.sealer = house.another("one", stamp=Authority(tsa).stamp)
    house.fill(2, 2)

    raw = house.exported()

    assert raw.count(b'"time_stamp"') == 1  # the second seal comes before the next stamp is due
    assert checked(raw).ok


def test_a_stamp_of_something_else_is_found(house: House, tsa: str) -> None:
    house.sealer = house.another("one", stamp=lambda _: b"of something else")
    house.fill(2)

    assert "time stamp" in (checked(house.exported()).first_fault or "")


def test_no_stamp_keeps_no_seal_from_being_made(house: House, tsa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Tsa, "status", b"\2")
    house.sealer = house.another("one", stamp=Authority(tsa).stamp)
    house.fill(2)

    report = checked(house.exported())
    assert (report.ok, report.lines) == (True, 2)
    with pytest.raises(TryLater):
        Authority("http://127.0.0.1:1/").stamp(bytes(32))


# --- commands and settings ----------------------------------------------------------------------------------------


def test_no_setting_keeps_the_lines_for_less_than_twelve_months_or_more_than_three_years(tmp_path: Path) -> None:
    written_down = tmp_path / "hub.toml"

    def faults_of(days: int) -> list[str]:
        written_down.write_text(f'mode = "development"\n[retention]\njournal_days = {days}\n', encoding="utf-8")
        return [
            fault.message for fault in settings_faults(written_down, {}, {}) if fault.key == "retention.journal_days"
        ]

    assert "2022/1463" in faults_of(365)[0]
    assert "2021-122" in faults_of(1097)[0]
    assert faults_of(366) == faults_of(1096) == []


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town(tmp_path, {"famille": {}})
    yield made
    made.close()


def typed(town: Town, *words: str) -> tuple[int, str]:
    config = [] if words[:2] == ("journal", "verify") else ["--config", str(town.folder / "hub.toml")]
    result = CliRunner().invoke(app, [*words, *config], env={"UNEFOIS_OPERATOR": "dominique"})
    return result.exit_code, result.output


def acts(town: Town) -> list[tuple[str, str, str]]:
    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal).where(journal.c.kind != "deliveries").order_by(journal.c.at)).all()
    return [(row.act, row.actor, row.outcome) for row in rows]


def test_what_operators_do_is_in_the_journal_with_their_name(town: Town) -> None:
    name, who = f"{TENANT}.famille", "operator:dominique"
    for words in (
        ("connection", "pause", name, "--cause", "travaux"), ("connection", "resume", name),
        ("connection", "retry", name), ("client", "add", TENANT, "portail2", "--scope", "requests:read"),
        ("client", "disable", "portail2"),
    ):  # fmt: skip
        assert typed(town, *words)[0] == 0

    assert acts(town) == [
        ("connection.paused", who, "done"), ("connection.resumed", who, "done"), ("connection.retried", who, "done"),
        ("client.added", who, "asked"), ("client.disabled", who, "asked"),
    ]  # fmt: skip


def test_who_looks_at_a_request_is_in_the_journal(town: Town) -> None:
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    record = {
        "references": [{"system": "portail", "id": "1"}], "procedure": "acte-naissance", "intake": "online",
        "submitted_at": "2026-11-02T09:00:00Z",
        "requester": {"citizen": {"references": [{"system": "portail", "id": "u1"}]}},
    }  # fmt: skip
    event = Event(type="request.received", source=f"/{TENANT}/portail", id="r1", data={"request": record})
    (verdict,) = town.submit(event)
    with town.hub.ledger.reading() as tx:
        (found,) = tx.sql.execute(select(requests)).all()

    assert verdict.outcome == "accepted"
    assert typed(town, "request", "show", TENANT, found.id)[0] == 0
    assert typed(town, "request", "show", TENANT, "unknown-request")[0] == 2

    with town.hub.ledger.reading() as tx:
        (line,) = [row for row in tx.sql.execute(select(journal)) if row.kind == "read"]
    assert (line.act, line.citizen_id, json.loads(line.facts)) == (
        "request.shown", found.citizen_id, {"request": found.id},
    )  # fmt: skip


def test_an_export_is_verified_by_the_command_and_a_change_is_found(town: Town) -> None:
    typed(town, "connection", "pause", f"{TENANT}.famille")
    file = town.folder / "journal.jsonl"

    assert typed(town, "journal", "export", str(file)) == (0, "1 line(s) written.\n")
    assert typed(town, "journal", "export", str(file))[0] == 2  # nothing is overwritten
    key = json.loads(typed(town, "journal", "status", "--json")[1])["key"]
    code, said = typed(town, "journal", "verify", str(file), "--key", key, "--json")
    assert (code, json.loads(said)["ok"], json.loads(said)["lines"]) == (0, True, 1)
    assert typed(town, "journal", "verify", str(file), "--key", "another")[0] == 1
    part = town.folder / "part.jsonl"
    assert typed(town, "journal", "export", str(part), "--tenant", TENANT, "--since", "2020-01-01")[0] == 0
    assert typed(town, "journal", "verify", str(part))[0] == 0
    assert main([str(file), key]) == 0

    file.write_bytes(file.read_bytes().replace(b"dominique", b"dominiqee"))

    code, said = typed(town, "journal", "verify", str(file), "--json")
    assert (code, json.loads(said)["ok"]) == (1, False)
    assert json.loads(said)["first_fault"]
    assert typed(town, "journal", "verify", str(town.folder / "nothing"))[0] == 2


def test_a_running_hub_seals_by_itself_and_its_metrics_show_the_debt(town: Town) -> None:
    typed(town, "connection", "pause", f"{TENANT}.famille")
    rendered = town.hub.metrics.render(town.hub.ledger, {}).decode()
    assert "unefois_journal_unsealed 1.0" in rendered

    town.start()

    town.until(lambda: b"unefois_journal_unsealed 0.0" in town.hub.metrics.render(town.hub.ledger, {}), 20)
