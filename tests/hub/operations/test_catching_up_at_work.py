"""A hub at work tells a package that knows somebody later what it lacks, and nothing of it to anybody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.operations.metrics import Metrics
from tests.support.town import Town, moved

PEOPLE = 25


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    drop = {"consumes": [{"type": "citizen.address-changed", "scope": "linked"}]}
    made = Town(tmp_path, {"famille": dict(drop), "cantine": dict(drop)})
    yield made
    made.close()


def test_people_linked_later_are_told_to_who_lacks_them_once(town: Town) -> None:
    names = [f"Nom{letter}" for letter in "abcdefghijklmnopqrstuvwxy"]
    town.link(*((name, "portail", f"p-{name}") for name in names))
    town.link(*((name, "famille", f"f-{name}") for name in names))
    town.start()
    town.submit(*(moved(f"p-{name}", number) for number, name in enumerate(names)))
    town.until(lambda: len(town.dropped("famille")) == PEOPLE)
    assert town.dropped("cantine") == []

    town.link(*((name, "cantine", f"c-{name}") for name in names))

    town.until(lambda: len(town.dropped("cantine")) == PEOPLE)
    town.until(lambda: b"unefois_catch_ups{" not in Metrics().render(town.hub.ledger, {}))
    assert len(town.dropped("famille")) == PEOPLE
