"""What becomes of a delivery and what is accepted are noted one after the other, whoever comes at the same moment."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import Any

import pytest

from bus.ledger import Ledger
from bus.tables import REFUSED
from hub.citizens.news import SEQ, KnownNews
from hub.operations.renumbering import Renumber
from tests.hub.citizens.town import TOWN
from tests.hub.news.town import Readers, home, said

_MET = 0.5  # seconds for which each waits for the other between reading a record and writing it

Act = Callable[[Readers, int], Any]


def refuse(town: Readers, seq: int) -> None:
    town.end("koha", seq, REFUSED)


def give_up(town: Readers, seq: int) -> None:
    with town.ledger.transaction() as tx:
        town.acceptance.news.take_back(tx, [(f"{TOWN}.koha", seq)])


@pytest.fixture
def meeting(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Whoever has read a record waits until another has read one too, as far as somebody may. Who met whom."""
    both, met, read = threading.Barrier(2), list[str](), KnownNews.prefetch

    def prefetch(self: KnownNews, wanted: Any) -> None:
        wanted = [*wanted]
        read(self, wanted)
        if wanted and threading.current_thread().name.startswith("act"):
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait(_MET)
                met.append(threading.current_thread().name)

    monkeypatch.setattr(KnownNews, "prefetch", prefetch)
    return met


def at_once(*acts: Callable[[], Any]) -> None:
    failed: list[BaseException] = []

    def run(act: Callable[[], Any]) -> None:
        try:
            act()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(act,), name=f"act {n}") for n, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failed == []
    assert not any(thread.is_alive() for thread in threads)


def entries(town: Readers, who: str) -> list[int]:
    with town.ledger.reading() as tx:
        ((known,),) = [town.acceptance.news.known(tx, [town.id_of("1")])[1]]
        return [entry[SEQ] for entry in known.entries(who)]


@pytest.fixture
def town(ledger: Ledger) -> Readers:
    """Of two packages each has a move on its way."""
    made = Readers(ledger)
    made.link("1", "publik", "koha", "famille")
    assert made.moves("publik", "1", "rue Neuve") == ["famille", "koha"]
    return made


@pytest.mark.parametrize("act", [refuse, give_up])
def test_a_refusal_that_is_settled_while_something_is_accepted_loses_nothing(
    town: Readers, meeting: list[str], act: Act
) -> None:
    (first,) = town.waiting("koha")

    at_once(lambda: act(town, first), lambda: town.moves("publik", "1", "rue Autre", "2026-04-02"))

    assert meeting == []  # one came after the other
    second = entries(town, "publik")[-1]
    assert second != first
    assert (entries(town, "koha"), entries(town, "famille")) == ([second], [first, second])


def test_two_who_refuse_at_once_are_both_told_again(town: Readers, meeting: list[str]) -> None:
    (seq,) = town.waiting("koha")

    at_once(lambda: town.end("koha", seq, REFUSED), lambda: town.end("famille", seq, REFUSED))

    assert entries(town, "koha") == entries(town, "famille") == []
    assert town.restate("1")["new_address"].to == (f"{TOWN}.famille", f"{TOWN}.koha")


def test_to_renumber_while_something_is_accepted_loses_nothing(town: Readers, meeting: list[str]) -> None:
    (first,) = town.waiting("koha")
    act = Renumber(town.acceptance, TOWN, "koha")

    def renumber() -> None:
        with town.ledger.transaction() as tx:
            act.write(tx, act.plan(tx, "old;new\nkoha-1;K-9\n"), "odile")

    at_once(renumber, lambda: town.moves("publik", "1", "rue Autre", "2026-04-02"))

    second = entries(town, "publik")[-1]
    assert (entries(town, "koha"), entries(town, "famille")) == ([first, second], [first, second])
    town.take_all()
    assert town.to(town.tell("famille", "1", new_address=said(home("rue Autre"), "famille", "2026-04-03")).seq) == []
