"""The journal attacked: whatever is changed in it, or in what was taken out of it, is found."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text, update

from hub.journal.sealing import Scope, Sealer, export_journal
from hub.journal.signing import Signer
from hub.journal.verify import MerkleTree, Proofs, canonical_json, leaf_hash, receipt_fault, root_by, trusted_keys
from hub.storage.tables import journal, journal_segments
from tests.hub.journal.house import SIGNER, STRANGER, House, checked, entry


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
