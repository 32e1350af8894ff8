"""Polling: commit first, acknowledge after; what is refused stays in the package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hub.acceptance.poller import Poller
from schemas.delivery import Polled
from schemas.errors import AccessDenied, TryLater
from schemas.event import Event
from tests.support.town import PORTAL, TENANT, Town, moved


class Source:
    """A package with a list of batches; `acknowledged` are those whose acknowledgement came."""

    def __init__(self, *batches: list[Event]) -> None:
        self.batches = batches
        self.acknowledged: list[int] = []
        self.cursors: list[Mapping[str, Any] | None] = []
        self.error: Exception | None = None

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        self.cursors.append(cursor)
        for number, events in enumerate(self.batches):
            yield Polled(events, {"after": number}, lambda n=number: self.acknowledged.append(n))
        if self.error is not None:
            raise self.error


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    yield town
    town.close()


def poller(town: Town, source: Source, **more: Any) -> Poller:
    name = f"{TENANT}.portail"
    return Poller(name, town.hub.ledger, town.hub.acceptance, lambda: PORTAL, source.poll, owner="one", every=1, **more)


def accepted(town: Town) -> int:
    with town.hub.ledger.reading() as tx:
        return tx.accepted()


def test_each_batch_is_committed_with_its_cursor_then_acknowledged(town: Town) -> None:
    source = Source([moved("u1", 1)], [moved("u1", 2), moved("u2", 1)])
    polls = poller(town, source)

    assert polls.once() == 3
    assert polls.once() == 0

    assert accepted(town) == 3
    assert source.acknowledged == [0, 1, 0, 1]
    assert source.cursors == [None, {"after": 1}]


def test_what_is_refused_is_not_acknowledged_and_stops_the_cursor_only(town: Town) -> None:
    bad = Event(type="no.such-type", source=PORTAL.sources[0], data={}, id="x")
    source = Source([moved("u1", 1)], [bad], [moved("u2", 1)])
    polls = poller(town, source)

    assert polls.once() == 2

    assert source.acknowledged == [0, 2]
    assert polls.refused == 1
    polls.once()
    assert source.cursors == [None, {"after": 0}]


def test_a_stop_between_commit_and_acknowledgement_reads_the_same_again(town: Town) -> None:
    source = Source([moved("u1", 1)])
    first = next(source.poll(None))
    town.hub.acceptance.submit(town.hub.ledger, PORTAL, list(first.events))  # and then the process dies

    assert poller(town, source).once() == 0

    assert accepted(town) == 1
    assert source.acknowledged == [0]


def test_observing_reads_and_accepts_nothing(town: Town) -> None:
    source = Source([moved("u1", 1)])

    assert poller(town, source, observe=True).once() == 0

    assert accepted(town) == 0
    assert source.acknowledged == []


def test_one_poller_is_active_at_a_time(town: Town) -> None:
    source = Source([moved("u1", 1)])
    poller(town, source).once()
    second = Poller(
        f"{TENANT}.portail", town.hub.ledger, town.hub.acceptance, lambda: PORTAL, source.poll, owner="two", every=1
    )

    assert second.once() == 0

    assert len(source.cursors) == 1


def test_a_locked_door_pauses_the_connection(town: Town) -> None:
    source = Source()
    source.error = AccessDenied("mot de passe refusé")
    polls = poller(town, source)

    polls._round(_never(), 1.0)

    with town.hub.ledger.reading() as tx:
        assert tx.paused() == {f"{TENANT}.portail": "mot de passe refusé"}
    source.error = None
    assert polls.once() == 0
    assert len(source.cursors) == 1


def test_a_package_that_is_away_is_asked_less_and_less_often(town: Town) -> None:
    source = Source()
    source.error = TryLater("connexion refusée", after=90)
    polls = poller(town, source)

    assert polls._round(_never(), 1.0) == 90
    assert polls.trouble == "connexion refusée"
    source.error = None
    assert polls._round(_never(), 90.0) == 1
    assert polls.trouble == ""


def _never() -> Any:
    import threading

    return threading.Event()
