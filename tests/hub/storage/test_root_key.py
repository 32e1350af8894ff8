"""The root key stays what it is, whatever becomes of the key that wraps it."""

from __future__ import annotations

import base64
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import delete, insert, select, update

from bus.ledger import Entry, Ledger, Transaction
from bus.tables import events
from hub.storage.cipher import BodyCipher, derive_key
from hub.storage.migrations.apply import _config
from hub.storage.migrations.upgrade import upgrade
from hub.storage.person_keys import PURPOSE, PersonKeys
from hub.storage.root_key import WrongKey, key_name, open_root_key, rewrap, wrapping
from hub.storage.tables import person_keys, root_keys, webhooks
from schemas.errors import ConfigError
from schemas.event import Event
from schemas.secret import Secret

ROOT = Path(__file__).parents[3]
OLD, NEW, THIRD = (Secret(base64.b64encode(bytes([number]) * 32).decode()) for number in (1, 2, 3))
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]


@pytest.fixture(params=DATABASES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/hub.db"
    return str(request.getfixturevalue("postgres").fresh_database())


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """An empty database of the newest form."""
    made = Ledger(url)
    upgrade(made)
    yield made
    made.close()


def seal_person(tx: Transaction) -> None:
    PersonKeys(derive_key(OLD, PURPOSE)).seal(tx, "camille", b"7 rue des Lilas", b"")


def seal_event(tx: Transaction) -> None:
    event = Event("citizen.address-changed", "/saint-aubin/portail", {"n": 1}, id="e-1")
    tx.ledger.cipher = BodyCipher(OLD)
    entry = Entry("saint-aubin", event, b"d" * 32, "c:camille", None, "saint-aubin.portail", [])
    (seq,) = tx._allocate(1)
    row = tx._event_row(entry, seq, tx.now)
    del row["directory"]  # that came later
    tx.sql.execute(insert(events), [row])


def seal_webhook(tx: Transaction) -> None:
    sealed = BodyCipher(OLD).encrypt(b'["whsec_x"]', b"webhook:w-1")
    tx.sql.execute(insert(webhooks), [{
        "id": "w-1", "tenant": "saint-aubin", "client_id": "portail", "url": "https://a.example", "types": "",
        "keys": sealed, "thin": 1, "created_at": tx.now,
    }])  # fmt: skip


def from_before(url: str, *seal: Callable[[Transaction], None]) -> Ledger:
    """A database of the version before root keys, in use under OLD, and then upgraded."""
    ledger = Ledger(url)
    with ledger.transaction() as tx:
        tx.sql.execute(select(1))
        command.upgrade(_config(tx.sql), "0005")
    with ledger.transaction() as tx:
        for one in seal:
            one(tx)
    upgrade(ledger)
    return ledger


def row(ledger: Ledger) -> tuple[object, ...] | None:
    with ledger.reading() as tx:
        found = tx.sql.execute(select(root_keys)).first()
    return tuple(found) if found else None


def rotate(ledger: Ledger, key: Secret, following: Secret) -> bool:
    with ledger.transaction() as tx:
        return rewrap(tx, key, following)


def test_a_new_database_gets_a_root_key_of_its_own_that_every_start_finds_again(ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD)

    assert root is not None
    assert root != OLD
    assert len(base64.b64decode(root.reveal())) == 32
    assert open_root_key(ledger, OLD) == root
    stored = row(ledger)
    assert stored is not None
    assert base64.b64decode(root.reveal()) not in bytes(stored[1])  # type: ignore[call-overload]


def test_two_hubs_with_one_encryption_key_have_two_root_keys(tmp_path: Path) -> None:
    ledgers = [Ledger(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "two")]
    for ledger in ledgers:
        upgrade(ledger)

    assert open_root_key(ledgers[0], OLD) != open_root_key(ledgers[1], OLD)
    for ledger in ledgers:
        ledger.close()


@pytest.mark.parametrize("seals", [(), (seal_person,), (seal_event,), (seal_person, seal_event, seal_webhook)])
def test_the_root_key_of_a_database_in_use_is_the_encryption_key_that_it_had(
    url: str, seals: tuple[Callable[[Transaction], None], ...]
) -> None:
    ledger = from_before(url, *seals)

    assert open_root_key(ledger, OLD) == OLD
    assert open_root_key(ledger, OLD) == OLD
    assert rotate(ledger, OLD, NEW)
    assert open_root_key(ledger, NEW) == OLD
    ledger.close()


@pytest.mark.parametrize("seal", [seal_person, seal_event, seal_webhook])
def test_a_wrong_key_takes_no_database_over_and_the_right_one_still_opens_it(
    url: str, seal: Callable[[Transaction], None]
) -> None:
    ledger = from_before(url, seal)
    before = row(ledger)

    with pytest.raises(ConfigError, match="not sealed with this key"):
        open_root_key(ledger, NEW)
    with pytest.raises(ConfigError, match="not sealed with this key"):
        rotate(ledger, NEW, THIRD)

    assert row(ledger) == before == (1, None, None, None)
    assert open_root_key(ledger, OLD) == OLD
    ledger.close()


def test_a_person_whose_key_was_destroyed_does_not_stand_against_the_upgrade(url: str) -> None:
    def erase(tx: Transaction) -> None:
        PersonKeys(derive_key(OLD, PURPOSE)).destroy(tx, "camille")

    ledger = from_before(url, seal_person, erase)

    assert open_root_key(ledger, OLD) == OLD
    ledger.close()


def test_after_a_rotation_the_new_key_opens_the_same_root_key_and_the_old_one_is_named_as_wrong(ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD)

    assert rotate(ledger, OLD, NEW)
    assert not rotate(ledger, OLD, NEW)

    assert open_root_key(ledger, NEW) == root
    with pytest.raises(WrongKey) as said:
        open_root_key(ledger, OLD)
    assert said.value.key == "encryption_key"
    assert f"named {key_name(NEW)}, given {key_name(OLD)}" in said.value.reason
    assert OLD.reveal() not in said.value.reason
    held = wrapping(ledger)
    assert held is not None
    assert held[0] == key_name(NEW)


def test_while_both_keys_are_given_a_start_takes_either(ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD, NEW)
    rotate(ledger, OLD, NEW)

    assert open_root_key(ledger, OLD, NEW) == root
    assert open_root_key(ledger, NEW, THIRD) == root


def test_a_rotation_from_a_wrong_key_changes_nothing(ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD)
    before = row(ledger)

    with pytest.raises(WrongKey):
        rotate(ledger, THIRD, NEW)

    assert row(ledger) == before
    assert open_root_key(ledger, OLD) == root


def test_a_restored_backup_wants_the_key_of_its_day(ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD)
    backup = row(ledger)
    rotate(ledger, OLD, NEW)
    assert backup is not None
    with ledger.transaction() as tx:
        tx.sql.execute(update(root_keys).values(wrapped=backup[1], wrapped_by=backup[2], at=backup[3]))

    with pytest.raises(WrongKey, match=key_name(OLD)):
        open_root_key(ledger, NEW)
    assert open_root_key(ledger, OLD) == root
    assert rotate(ledger, OLD, NEW)
    assert open_root_key(ledger, NEW) == root


@pytest.mark.parametrize("seal", [seal_person, seal_event, seal_webhook])
def test_a_database_whose_root_key_was_lost_gets_no_new_one(url: str, seal: Callable[[Transaction], None]) -> None:
    ledger = from_before(url, seal)
    with ledger.transaction() as tx:
        tx.sql.execute(delete(root_keys))

    with pytest.raises(ConfigError, match="root_keys"):
        open_root_key(ledger, OLD)
    assert row(ledger) is None
    ledger.close()


def test_a_wrapped_key_that_was_altered_does_not_open(ledger: Ledger) -> None:
    open_root_key(ledger, OLD)
    stored = row(ledger)
    assert stored is not None
    raw = bytes(stored[1])  # type: ignore[call-overload]
    for altered in (raw[:-1] + bytes([raw[-1] ^ 1]), raw[:20], b"", b"\x02" + raw[1:]):
        with ledger.transaction() as tx:
            tx.sql.execute(update(root_keys).values(wrapped=altered))
        with pytest.raises(WrongKey):
            open_root_key(ledger, OLD)


def test_without_an_encryption_key_nothing_is_made_and_what_is_wrapped_is_not_passed_over(ledger: Ledger) -> None:
    assert open_root_key(ledger, None) is None
    assert row(ledger) is None
    open_root_key(ledger, OLD)

    with pytest.raises(ConfigError, match="missing"):
        open_root_key(ledger, None)


# --- many at once -------------------------------------------------------------------------------------------------

_OPEN = """
import sys
from bus.ledger import Ledger
from hub.storage.migrations.upgrade import upgrade
from hub.storage.root_key import key_name, open_root_key
from schemas.secret import Secret
ledger = Ledger(sys.argv[1])
upgrade(ledger)
print(key_name(open_root_key(ledger, Secret(sys.argv[2]))))
"""


def opened_by(number: int, url: str) -> set[str]:
    """The names of the root keys that so many processes open, all started at once."""
    running = [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, url, OLD.reveal()], cwd=ROOT, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for _ in range(number)
    ]  # fmt: skip
    ended = [(*process.communicate(timeout=120), process.returncode) for process in running]
    assert [code for _, _, code in ended] == [0] * number, ended
    return {said for said, _, _ in ended}


def test_processes_that_start_at_once_on_an_empty_database_have_one_root_key(url: str) -> None:
    names = opened_by(5, url)

    assert len(names) == 1
    assert names == opened_by(1, url)


def test_processes_that_start_at_once_on_a_database_in_use_take_its_key_over(url: str) -> None:
    from_before(url, seal_person).close()

    assert opened_by(4, url) == {key_name(OLD) + "\n"}


def at_once(url: str, *acts: Callable[[Ledger], object]) -> list[object]:
    """What each returned or raised; each has a connection of its own, and all begin together."""
    begin, results = threading.Barrier(len(acts)), [None] * len(acts)  # type: list[object]

    def run(place: int, act: Callable[[Ledger], object]) -> None:
        ledger = Ledger(url)
        try:
            begin.wait()
            results[place] = act(ledger)
        except ConfigError as error:
            results[place] = error
        finally:
            ledger.close()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_many_threads_make_one_root_key(url: str, ledger: Ledger) -> None:
    roots = at_once(url, *[lambda own: open_root_key(own, OLD)] * 12)

    assert len(set(roots)) == 1
    assert isinstance(roots[0], Secret)


def test_of_two_rotations_at_once_one_is_refused_and_the_other_holds(url: str, ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD)

    done = at_once(url, lambda own: rotate(own, OLD, NEW), lambda own: rotate(own, OLD, THIRD))

    assert sorted(type(one) for one in done if one is not True) == [WrongKey]
    kept, refused = (NEW, THIRD) if done[0] is True else (THIRD, NEW)
    assert open_root_key(ledger, kept) == root
    with pytest.raises(WrongKey):
        open_root_key(ledger, refused)


# --- killed -------------------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
import bus.ledger
from bus.ledger import Ledger
from hub.storage.root_key import rewrap
from schemas.secret import Secret
url, old, new, when = sys.argv[1:]
die = lambda: os.kill(os.getpid(), signal.SIGKILL)
commit = bus.ledger.commit
def committed(connection):
    if when == "before":
        die()
    commit(connection)
    die()
bus.ledger.commit = committed
with Ledger(url).transaction() as tx:
    rewrap(tx, Secret(old), Secret(new))
    if when == "inside":
        tx.sql.exec_driver_sql("SELECT 1")
        die()
"""


@pytest.mark.parametrize(("when", "opens"), [("inside", OLD), ("before", OLD), ("after", NEW)])
def test_a_rotation_that_is_killed_leaves_the_old_key_or_the_new_and_is_done_again(
    url: str, ledger: Ledger, when: str, opens: Secret
) -> None:
    root = open_root_key(ledger, OLD)

    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, url, OLD.reveal(), NEW.reveal(), when], cwd=ROOT, timeout=60, check=False
    )

    assert killed.returncode == -signal.SIGKILL
    assert open_root_key(ledger, opens) == root
    with pytest.raises(WrongKey):
        open_root_key(ledger, OLD if opens is NEW else NEW)
    assert rotate(ledger, OLD, NEW) is (opens is OLD)
    assert open_root_key(ledger, NEW) == root


def test_what_persons_were_sealed_under_stays_readable_after_a_rotation(ledger: Ledger) -> None:
    root = open_root_key(ledger, OLD)
    assert root is not None
    with ledger.transaction() as tx:
        sealed = PersonKeys(derive_key(root, PURPOSE)).seal(tx, "camille", b"7 rue des Lilas", b"")
        wrapped = tx.sql.execute(select(person_keys.c.wrapped)).scalar_one()
    rotate(ledger, OLD, NEW)

    again = open_root_key(ledger, NEW)
    assert again is not None
    with ledger.reading() as tx:
        assert PersonKeys(derive_key(again, PURPOSE)).open(tx, "camille", sealed, b"") == b"7 rue des Lilas"
        assert tx.sql.execute(select(person_keys.c.wrapped)).scalar_one() == wrapped
