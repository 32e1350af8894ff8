"""A connection that was removed from the directory and added again is another: nothing of the first is taken for its
own."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from demo.world import toml
from hub.acceptance import kept_calls, observed
from hub.acceptance.observed import Seen
from hub.operations.directory_change import StillOpen
from hub.storage.tables import connection_modes
from schemas.delivery import Polled
from tests.support.town import TENANT, Town, moved

FIRST, OTHER = f"{TENANT}.famille", f"{TENANT}.cantine"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    own = {} if request.param == "sqlite" else {"database": request.getfixturevalue("postgres").fresh_database()}
    town = Town(tmp_path, {"famille": {}, "cantine": {}}, **own)
    town.link(("SORBIER", "portail", "u1"), ("SORBIER", "famille", "F-1"), ("SORBIER", "cantine", "C-1"))
    yield town
    town.close()


def declare(town: Town, *remove: str, without: str = "", mode: str = "live") -> None:
    """The files say so now, and are read again."""
    path = town.folder / "hub.toml"
    kept = town.folder / "all.toml"
    if not kept.exists():
        kept.write_text(path.read_text("utf-8"), encoding="utf-8")
    settings = dict(tomllib.loads(kept.read_text("utf-8")))
    settings["connections"] = {
        name: {**one, "mode": mode if name == "famille" else one["mode"]}
        for name, one in settings["connections"].items() if name != without
    }  # fmt: skip
    path.write_text(toml(settings, town.folder), encoding="utf-8")
    town.hub.load_files(by="test", remove=remove)


def given(town: Town, name: str) -> list[int]:
    """The house numbers of which deliveries were made for it."""
    with town.hub.ledger.reading() as tx:
        last = tx.last_seq()
        rows = [(row.connection, row.seq) for row in tx.deliveries_of(range(1, last + 1))]
        loaded = tx.load([seq for connection, seq in rows if connection == name])
    return [int(one.event.data["new_address"]["value"]["house_number"]) for _, one in sorted(loaded.items())]


def test_it_is_told_what_the_one_before_it_knew(town: Town) -> None:
    town.submit(moved("u1", 5))
    declare(town, FIRST, without="famille")
    declare(town)

    town.submit(moved("u1", 5, event_id="again"))

    assert given(town, FIRST) == [5, 5]
    assert given(town, OTHER) == [5]
    town.submit(moved("u1", 5, event_id="and-again"))
    assert given(town, FIRST) == [5, 5]


def test_what_changes_of_one_that_stays_lets_it_know_what_it_knows(town: Town) -> None:
    town.submit(moved("u1", 5))
    declare(town, mode="observe")
    declare(town)
    town.submit(moved("u1", 5, event_id="again"))
    assert given(town, FIRST) == [5]


def test_calls_that_were_kept_of_it_are_open_and_go_with_it(town: Town) -> None:
    declare(town, mode="observe")
    origin = town.hub.deliveries.origin(FIRST)
    with town.hub.ledger.transaction() as tx:
        kept_calls.keep_call(tx, FIRST, origin.tenant, "mark", Polled((moved("u1", 7),)))
        observed.count_seen(tx, FIRST, [Seen("in", "call", "kept")])
    with pytest.raises(StillOpen) as error:
        declare(town, without="famille")
    assert error.value.open == {FIRST: 1}

    declare(town, FIRST, without="famille")

    with town.hub.ledger.reading() as tx:
        assert not kept_calls.keeps_calls(tx, FIRST)
        assert observed.observed_of(tx, FIRST) == []
        assert list(tx.sql.execute(select(connection_modes.c.connection)).scalars()) == []
    declare(town)
    assert town.hub.observation.waiting() == []


def test_the_mode_is_noted_with_the_version_that_brings_it(town: Town) -> None:
    declare(town, mode="observe")
    with town.hub.ledger.reading() as tx:
        assert observed.mode_since(tx, FIRST, "observe") is not None
