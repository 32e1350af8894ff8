"""Digests of values are under the key of their person: they tell nobody a telephone number, and find an echo again."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson
import pytest
from sqlalchemy import insert, select, text, update

from bus.ledger import Ledger
from bus.tables import counters
from hub.citizens.identities import People
from hub.citizens.repository import Citizens
from hub.citizens.value_digests import value_digest
from hub.citizens.values import key_plain_digests
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import citizen_merges, citizen_values, citizens

TOWN, PHONE, OTHER = "saint-aubin", "01 99 00 00 12", "+33 1 99 00 00 13"
KEYS = PersonKeys(bytes(32))
PEOPLE = People(KEYS, b"pepper", bytes(32) + b"x" * 32)
ONE, TWO = ({"references": [{"system": "koha", "id": number}]} for number in ("K-1", "K-2"))


def say(ledger: Ledger, person: Any, value: str, *told: str, by: str = "portail") -> tuple[bool, str]:
    """Whether a telephone number is an echo; if not it is known from now on. And whose it is."""
    with ledger.transaction() as tx:
        book = Citizens(tx, b"pepper", PEOPLE)
        book.prefetch(TOWN, [person], [(person, "phone", value)])
        citizen = book.resolve(TOWN, person)
        echo = book.is_echo(citizen, "phone", value, by, dated=tx.now)
        if not echo:
            book.learn(citizen, "phone", value, by=by, told=told)
        book.save()
    return echo, citizen.id


def kept(ledger: Ledger) -> list[Any]:
    with ledger.reading() as tx:
        return [*tx.sql.execute(select(citizen_values).order_by(citizen_values.c.citizen_id, citizen_values.c.digest))]


def test_no_digest_in_the_table_is_that_of_a_number_alone_nor_the_same_for_two_people(ledger: Ledger) -> None:
    for person in (ONE, TWO):
        assert say(ledger, person, PHONE, "koha") == (False, say(ledger, person, PHONE, by="koha")[1])

    rows = kept(ledger)
    digests = [row.digest for row in rows if row.digest]
    said = [orjson.loads(row.holders)[""][0] for row in rows if not row.digest]

    assert len(set(digests)) == len(digests) == 2
    assert sorted(said) == sorted(digests)
    written = " ".join(f"{row.digest} {row.holders}" for row in rows)
    for form in (PHONE, "0199000012", "33199000012"):
        assert hashlib.sha256(form.encode()).hexdigest()[:48] not in written
    assert value_digest(PHONE)[:48] not in written


def test_what_was_told_is_an_echo_in_another_transaction_and_spelt_another_way(ledger: Ledger) -> None:
    say(ledger, ONE, PHONE, "koha")

    assert say(ledger, ONE, "+33199000012", by="koha")[0]
    assert not say(ledger, ONE, OTHER, by="koha")[0]
    assert not say(ledger, TWO, PHONE, by="koha")[0]


def test_who_was_told_it_of_the_one_has_it_of_whom_they_were_merged_into(ledger: Ledger) -> None:
    gone, whole = (say(ledger, person, OTHER)[1] for person in (ONE, TWO))
    say(ledger, ONE, PHONE, "koha")
    with ledger.transaction() as tx:  # as `hub.operations.reviews` moves them
        tx.sql.execute(update(citizens).where(citizens.c.id == gone).values(merged_into=whole))
        moved = (citizen_values.c.citizen_id == gone, citizen_values.c.digest != "")
        tx.sql.execute(update(citizen_values).where(*moved).values(citizen_id=whole))

    assert say(ledger, TWO, PHONE, by="koha") == (True, whole)
    assert not say(ledger, TWO, PHONE, by="famille")[0]


def test_of_whom_was_erased_nothing_is_found_and_nothing_kept(ledger: Ledger) -> None:
    _, who = say(ledger, ONE, PHONE, "koha")
    with ledger.transaction() as tx:
        KEYS.destroy(tx, who)
        tx.sql.execute(text("DELETE FROM citizen_values"))

    assert not say(ledger, ONE, PHONE, "koha")[0]
    assert kept(ledger) == []


@pytest.fixture
def old(ledger: Ledger) -> str:
    """A database as the version before left it: one citizen, of whom a number is known and was told to koha."""
    _, who = say(ledger, ONE, OTHER)
    bare = value_digest(PHONE)
    now = ledger.now()
    with ledger.transaction() as tx:
        tx.sql.execute(text("DELETE FROM citizen_values"))
        holders = orjson.dumps({"": [bare, now, "publik", 1, now], "portail": [bare, now]}).decode()
        row = {"citizen_id": who, "field": "phone", "at": now}
        tx.sql.execute(insert(citizen_values), [
            row | {"digest": "", "holders": holders},
            row | {"digest": bare, "holders": orjson.dumps({"koha": now}).decode()},
        ])  # fmt: skip
        changed = {"field": "phone", "digest": bare, "before": None, "after": orjson.dumps({"koha": now}).decode()}
        also = changed | {"digest": "", "before": holders, "after": holders}
        tx.sql.execute(insert(citizen_merges).values(
            gone_id="gone", kept_id=who, tenant=TOWN, actor="hub", at=now,
            moved=orjson.dumps({"links": [], "values": [changed, also]}).decode(),
        ))  # fmt: skip
        tx.sql.execute(insert(counters).values(name="values-to-key", value=1))
    return who


def test_the_digests_of_an_older_version_are_put_under_keys_and_still_find_an_echo(ledger: Ledger, old: str) -> None:
    key_plain_digests(ledger, KEYS)
    rows = kept(ledger)
    key_plain_digests(ledger, KEYS)

    assert rows == kept(ledger)  # once
    assert value_digest(PHONE) not in str(rows)
    assert orjson.loads(rows[0].holders)[""][2:4] == ["publik", 1]
    assert say(ledger, ONE, PHONE, by="koha") == (True, old)
    assert say(ledger, ONE, PHONE, by="portail") == (True, old)


def test_what_a_merge_remembers_is_put_under_keys_as_what_is_known_is(ledger: Ledger, old: str) -> None:
    key_plain_digests(ledger, KEYS)

    with ledger.reading() as tx:
        moved = tx.sql.execute(select(citizen_merges.c.moved)).scalar_one()
    after = {row.digest: row.holders for row in kept(ledger)}

    assert value_digest(PHONE) not in moved
    assert {one["digest"]: one["after"] for one in orjson.loads(moved)["values"]} == after
