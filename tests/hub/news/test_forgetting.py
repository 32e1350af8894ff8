"""A package that was restored from its own backup is told again what it lost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from bus.ledger import Ledger
from hub.acceptance.days import take_effect
from hub.acceptance.restating import restate
from hub.citizens.news import NewsBook
from hub.operations.catching_up import CatchingUp
from hub.operations.forgetting import forget_reader
from tests.hub.citizens.town import BY, TOWN
from tests.hub.news.town import Readers

KOHA, PEOPLE = f"{TOWN}.koha", ("1", "2", "3", "4", "5")


@pytest.fixture
def town(ledger: Ledger) -> Readers:
    made = Readers(ledger)
    for who in PEOPLE:
        made.link(who, "publik", "koha", "famille")
        made.moves("publik", who, "rue Neuve")
    made.take_all()
    return made


def forget(town: Readers, since: float | None = None, *, part: int = 500) -> Any:
    return forget_reader(town.ledger, town.acceptance, town.reviews._journal, KOHA, BY, since, part=part)


@pytest.mark.parametrize("part", [1, 2, 500])
def test_what_it_was_given_is_told_again_to_it_alone(town: Readers, part: int) -> None:
    done = forget(town, part=part)

    assert (done.records, done.entries, done.resumed) == (5, 5, False)
    assert [town.moves("publik", who, "rue Neuve") for who in PEOPLE] == [["koha"]] * 5
    assert forget(town).entries == 0  # what is on its way to it is not said twice
    assert town.moves("publik", "1", "rue Neuve") == []


def test_what_it_was_given_before_the_backup_it_has(town: Readers) -> None:
    later = town.ledger.now() + 3600
    town.ledger.now = lambda: later
    town.moves("publik", "2", "rue Autre", "2026-04-02")
    town.moves("koha", "3", "rue Autre", "2026-04-02")
    town.take_all()

    done = forget(town, since=later - 60)

    assert (done.records, done.entries) == (2, 2)
    assert [town.restate(who)["new_address"].outcome for who in PEOPLE] == [
        "silent",
        "told",
        "told",
        "silent",
        "silent",
    ]


def test_nothing_is_forgotten_of_after_now(town: Readers) -> None:
    assert forget(town, since=town.ledger.now() + 3600).entries == 0


def test_after_a_stop_it_goes_on_and_leaves_alone_what_was_given_since(
    town: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[str] = []
    whole: Callable[..., str | None] = NewsBook.pass_by

    def stopped(self: NewsBook, *arguments: Any) -> str | None:
        if len(parts) == 2:
            raise KeyboardInterrupt
        parts.append("")
        return whole(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(NewsBook, "pass_by", stopped)
        with pytest.raises(KeyboardInterrupt):
            forget(town, part=1)
    town.restate("1"), town.restate("2")
    town.take_all()
    for who in PEOPLE:
        town.moves("publik", who, "rue Autre", "2026-04-02")
    town.take_all()

    done = forget(town, part=1)

    assert done.resumed
    assert [town.restate(who)["new_address"].outcome for who in PEOPLE] == ["silent"] * 5
    assert not forget(town).resumed


def test_other_readers_keep_what_they_know(town: Readers) -> None:
    forget(town)

    assert [town.restate(who)["new_address"].to for who in PEOPLE] == [(KOHA,)] * 5


def test_what_it_lost_is_told_again_by_the_hub_without_anybody_stating_it(town: Readers) -> None:
    def again(tx: Any, tenant: str, citizen_id: str, fields: Any) -> Any:
        return restate(town.acceptance, tx, tenant, citizen_id, fields)

    catching_up = CatchingUp(
        town.ledger, lambda: town.acceptance.directory, again, partial(take_effect, town.acceptance),
        lambda tx, missed: missed, per_second=100,
    )  # fmt: skip
    while catching_up.look():
        pass
    forget(town)

    assert catching_up.look() == 5
    assert [town.moves("publik", who, "rue Neuve") for who in PEOPLE] == [[]] * 5
