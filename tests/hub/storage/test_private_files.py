"""What the hub stores on this machine is its owner's alone, whatever the umask."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bus.ledger import Ledger
from hub.storage.migrations import upgrade
from tests.support.town import Town, moved


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_database_the_files_beside_it_and_the_documents_are_private(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}})
    town.start()
    town.submit(moved("u1", 1))
    found = {path.name: mode(path) for path in tmp_path.glob("hub.db*")}
    folders = {mode(path) for path in (tmp_path / "documents").rglob("*") if path.is_dir()}
    town.close()

    assert found == {"hub.db": 0o600, "hub.db-wal": 0o600, "hub.db-shm": 0o600}
    assert mode(tmp_path / "documents") == 0o700
    assert folders == {0o700}


def test_a_database_that_is_there_keeps_the_rights_that_its_owner_gave_it(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.touch(mode=0o640)
    ledger = Ledger(f"sqlite:///{path}")
    upgrade.upgrade(ledger)
    assert {mode(one) for one in tmp_path.glob("hub.db*")} == {0o640}
    ledger.close()


def test_a_database_in_a_folder_that_is_not_there_is_said_by_the_database(tmp_path: Path) -> None:
    ledger = Ledger(f"sqlite:///{tmp_path}/nowhere/hub.db")
    with pytest.raises(Exception, match=r"."):
        upgrade.upgrade(ledger)
    assert not (tmp_path / "nowhere").exists()
