"""What is sealed for a person can be read until their key is destroyed, and never again after."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from bus.ledger import Ledger
from hub.storage.person_keys import KeyDestroyed, PersonKeys
from hub.storage.tables import person_keys
from schemas.errors import ConfigError

KEYS = PersonKeys(bytes(32))


def test_what_is_sealed_opens_again_and_is_not_readable_at_rest(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        sealed = KEYS.seal(tx, "camille", b"7 rue des Lilas", b"here")

    assert b"Lilas" not in sealed
    with ledger.reading() as tx:
        assert KEYS.open(tx, "camille", sealed, b"here") == b"7 rue des Lilas"


def test_the_same_text_never_looks_the_same_twice(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert KEYS.seal(tx, "camille", b"742", b"here") != KEYS.seal(tx, "camille", b"742", b"here")


def test_many_are_sealed_and_opened_in_their_order(ledger: Ledger) -> None:
    items = [(f"person-{number % 7}", f"text {number}".encode(), b"%d" % number) for number in range(50)]

    with ledger.transaction() as tx:
        sealed = KEYS.seal_many(tx, items)
        opened = KEYS.open_many(tx, [(who, one, context) for (who, _, context), one in zip(items, sealed, strict=True)])

    assert opened == [plain for _, plain, _ in items]


def test_a_destroyed_key_opens_nothing_more_and_seals_nothing_more(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        mine, theirs = KEYS.seal_many(tx, [("camille", b"mine", b""), ("dominique", b"theirs", b"")])
    with ledger.transaction() as tx:
        assert KEYS.destroy(tx, "camille")

    with ledger.transaction() as tx:
        assert KEYS.open_many(tx, [("camille", mine, b""), ("dominique", theirs, b"")]) == [None, b"theirs"]
        with pytest.raises(KeyDestroyed):
            KEYS.seal_many(tx, [("dominique", b"more", b""), ("camille", b"more", b"")])
        assert not KEYS.destroy(tx, "camille")


def test_who_was_erased_before_their_first_key_gets_none_later(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        assert KEYS.destroy(tx, "camille")

    with ledger.transaction() as tx, pytest.raises(KeyDestroyed):
        KEYS.seal(tx, "camille", b"text", b"")


def test_a_key_does_not_open_in_the_row_of_another_person(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        sealed = KEYS.seal(tx, "camille", b"text", b"")
        wrapped = tx.sql.execute(select(person_keys.c.wrapped).where(person_keys.c.citizen_id == "camille")).scalar()
        KEYS.seal(tx, "dominique", b"text", b"")
        tx.sql.execute(update(person_keys).where(person_keys.c.citizen_id == "dominique").values(wrapped=wrapped))

        with pytest.raises(ConfigError):
            KEYS.open(tx, "dominique", sealed, b"")


def test_another_master_key_opens_nothing_and_says_which_setting_is_wrong(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        sealed = KEYS.seal(tx, "camille", b"text", b"")

        with pytest.raises(ConfigError, match="encryption_key"):
            PersonKeys(b"\x01" * 32).open(tx, "camille", sealed, b"")


def test_all_who_need_the_first_key_of_a_person_at_once_get_the_same(ledger: Ledger) -> None:
    at_once = threading.Barrier(6)
    sealed: list[tuple[str, bytes]] = []

    def one(number: int) -> None:
        people = ["camille", "dominique", "eden"]
        people = people[number % 3 :] + people[: number % 3]
        at_once.wait(10)
        with ledger.transaction() as tx:
            made = KEYS.seal_many(tx, [(who, b"text", b"") for who in people])
        sealed.extend(zip(people, made, strict=True))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    with ledger.reading() as tx:
        assert len(sealed) == 18
        assert KEYS.open_many(tx, [(who, text, b"") for who, text in sealed]) == [b"text"] * 18


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Ledger, bytes]]:
    ledger = Ledger(f"sqlite:///{tmp_path_factory.mktemp('keys')}/hub.db")
    ledger.create()
    with ledger.transaction() as tx:
        sealed = KEYS.seal(tx, "camille", b"text", b"here")
    yield ledger, sealed
    ledger.close()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_changed_byte_opens(kept: tuple[Ledger, bytes], data: st.DataObject) -> None:
    ledger, sealed = kept
    at = data.draw(st.integers(0, len(sealed) - 1))
    changed = bytearray(sealed)
    changed[at] ^= data.draw(st.integers(1, 255))

    with ledger.reading() as tx:
        for wrong, context in ((bytes(changed), b"here"), (sealed[:at], b"here"), (sealed, b"there")):
            with pytest.raises(ConfigError):
                KEYS.open(tx, "camille", wrong, context)
