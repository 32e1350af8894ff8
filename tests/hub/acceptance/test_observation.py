"""What a connection that observes would have taken in by its poll, and sent: looked at as the door would, counted once,
and brought again when it goes live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from bus.tables import counters, deliveries, door, events
from hub.acceptance import observed
from hub.acceptance.observed import Seen
from hub.acceptance.poller import Poller
from hub.acceptance.refused import refused_groups
from hub.routing.directory import ConnectionRouting
from hub.settings.model import Mode
from hub.storage.tables import citizen_links, citizens, observed_kinds, person_keys, requests
from schemas.delivery import RecordFault
from schemas.errors import InvalidMessage
from schemas.event import Event
from tests.hub.acceptance.test_poller import NAME, Source, opened, status
from tests.support.directories import connect_noting_modes
from tests.support.signals import Heard
from tests.support.town import PORTAL, TENANT, Town, moved

PLACE = ("in", "citizen.address-changed")


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def town(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    own = {} if request.param == "sqlite" else {"database": request.getfixturevalue("postgres").fresh_database()}
    town = Town(tmp_path, {"famille": {}}, **own)
    go(town, "observe")
    yield town
    town.close()


def go(town: Town, mode: Mode, name: str = NAME) -> None:
    portal = ConnectionRouting(name, TENANT, "portail", "Portail", mode=mode)
    connect_noting_modes(town.hub, {**town.hub.current.directory.connections, name: portal}.values())


def poller(town: Town, source: Source, heard: Heard | None = None) -> Poller:
    return Poller(
        NAME, town.hub.ledger, town.hub.acceptance, lambda: PORTAL, source.poll, owner="one", every=1,
        signals=heard or Heard(), observation=town.hub.observation,
    )  # fmt: skip


def counted(town: Town) -> dict[tuple[str, str, str, str], int]:
    with town.hub.ledger.reading() as tx:
        return {one.seen.place: one.seen.number for one in observed.observed_of(tx, NAME)}


def everything(town: Town) -> list[int]:
    """How much stands in the tables that acceptance writes, and the last number of an event."""
    with town.hub.ledger.reading() as tx:
        tables = (events, deliveries, door, citizens, citizen_links, person_keys, requests)
        found = [int(tx.sql.execute(select(func.count()).select_from(one)).scalar_one()) for one in tables]
        return [*found, tx.last_seq(), *tx.sql.execute(select(counters.c.value).order_by(counters.c.name)).scalars()]


# --- in: a poll -------------------------------------------------------------------------------------------------------


def test_observing_reads_counts_and_takes_nothing(town: Town) -> None:
    bad = Event(type="no.such-type", source=PORTAL.sources[0], data={}, id="x")
    heard, source = Heard(), Source([moved("u1", 1), bad, status(1)], [moved("u2", 1)])
    before = everything(town)

    assert poller(town, source, heard).once() == 0

    assert everything(town) == before
    assert source.acknowledged == []
    with town.hub.ledger.reading() as tx:
        assert (tx.cursor(NAME), refused_groups(tx)) == (None, [])
    assert heard.told == [("record-refused", "unknown_type")]
    assert counted(town) == {
        (*PLACE, "accepted", ""): 2, ("in", "unknown", "refused", "unknown_type"): 1,
        ("in", "request.status-changed", "refused", "unknown_request"): 1,
    }  # fmt: skip


def test_the_first_poll_after_going_live_brings_all_that_was_observed(town: Town) -> None:
    source = Source([moved("u1", 1)], [moved("u2", 1), moved("u3", 1)])
    polls = poller(town, source)
    for _ in range(3):
        assert polls.once() == 0
    go(town, "live")

    assert polls.once() == 3

    assert source.cursors == [None] * 4
    assert source.acknowledged == [0, 1]
    with town.hub.ledger.reading() as tx:
        assert (tx.cursor(NAME), tx.accepted()) == ({"after": 1}, 3)


def test_a_record_that_is_read_at_each_poll_is_counted_once_by_whichever_process(town: Town) -> None:
    source = Source([moved("u1", 1), moved("u2", 1)])
    source.faults = [RecordFault("bad_date", "ligne 3", "l'année 0020 n'est pas croyable", "F-3")]
    for _ in range(4):
        poller(town, source).once()
    source.pages = ([moved("u1", 1), moved("u1", 2)],)
    poller(town, source).once()

    assert counted(town) == {(*PLACE, "accepted", ""): 3, ("in", "record", "unreadable", "bad_date"): 1}


def test_the_verdicts_are_those_of_the_door(town: Town) -> None:
    town.submit(moved("u1", 1), opened("case-1"))
    again, known = moved("u1", 1), moved("u1", 1, event_id="said-again")
    source = Source([again, known, status(1, "case-1"), moved("u2", 2)])

    poller(town, source).once()

    assert counted(town) == {
        (*PLACE, "duplicate", ""): 1, (*PLACE, "echo", ""): 1, (*PLACE, "accepted", ""): 1,
        ("in", "request.status-changed", "accepted", ""): 1,
    }  # fmt: skip


def test_what_is_observed_counts_in_no_figure_of_what_was_accepted(town: Town) -> None:
    poller(town, Source([moved("u1", 1)])).once()

    page = town.hub.metrics.render(town.hub.ledger, {}).decode()
    assert 'outcome="accepted"' not in page


def test_a_mode_that_changes_in_the_middle_of_a_poll_passes_nothing_by(town: Town) -> None:
    source = Source([moved("u1", 1)], [moved("u2", 1)], [moved("u3", 1)])
    poll = source.poll

    def flips(cursor: Any) -> Iterator[Any]:
        for number, page in enumerate(poll(cursor)):
            if number == 1:
                go(town, "live")
            yield page

    polls = poller(town, source)
    polls._poll = flips
    assert polls.once() == 0
    with town.hub.ledger.reading() as tx:
        assert tx.cursor(NAME) is None
    assert polls.once() == 3


@pytest.mark.parametrize("junk", ["ceci", None, 7, {"type": "x"}, Event("x", "/s", {"a": object()}, id="\ud800")])
def test_what_is_no_event_is_counted_without_what_it_says(town: Town, junk: Any) -> None:
    heard = Heard()
    poller(town, Source([moved("u1", 1), junk, moved("u2", 1)]), heard).once()

    assert counted(town)[(*PLACE, "accepted", "")] == 2
    assert sum(counted(town).values()) == 3
    assert [kind for kind, _ in heard.told] == ["record-refused"]


def test_what_is_no_batch_is_told_as_when_live(town: Town) -> None:
    heard = Heard()
    polls = poller(town, Source([moved(f"u{n}", 1) for n in range(501)], [moved("u1", 1)]), heard)

    assert polls.once() == 0
    assert heard.told == [("poll-error", "batch_too_long")]
    assert counted(town) == {(*PLACE, "accepted", ""): 1}


def test_more_records_than_can_be_remembered_are_not_counted_and_that_is_known(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed, "MOST_MARKS", 10)
    source = Source([moved(f"u{n}", 1) for n in range(25)])
    for _ in range(3):
        poller(town, source).once()

    assert counted(town) == {(*PLACE, "accepted", ""): 10}


def test_a_poll_waits_for_the_calls_that_were_kept(town: Town) -> None:
    from schemas.delivery import Polled

    observation = town.hub.observation
    observation.keep(NAME, PORTAL, Polled([opened("case-1")]))
    go(town, "live")
    source = Source([status(1, "case-1")])

    assert (poller(town, source).once(), source.cursors) == (0, [])
    assert observation.hand_in(NAME, lambda: PORTAL) == 1
    assert poller(town, source).once() == 1


# --- what is counted --------------------------------------------------------------------------------------------------


def test_numbers_add_up_and_the_first_sample_stays(town: Town) -> None:
    for number, sample in ((2, "a"), (3, "b"), (1, None)):
        with town.hub.ledger.transaction() as tx:
            observed.count_seen(tx, NAME, [Seen("in", "x", "accepted", number=number, sample=sample)] * 2)

    with town.hub.ledger.reading() as tx:
        (one,) = observed.observed_of(tx, NAME)
    assert (one.seen.number, one.seen.sample) == (12, "a")


def test_no_kind_or_code_holds_anything_but_a_word_of_a_format(town: Town) -> None:
    odd = "Élise d'Arcy, 3 rue des Lilas"
    with town.hub.ledger.transaction() as tx:
        observed.count_seen(tx, NAME, [Seen("in", odd, "refused", odd), Seen("in", "x" * 200, "refused", "y" * 99)])

    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(observed_kinds.c.kind, observed_kinds.c.code)).all()
    assert [tuple(row) for row in rows] == [("unknown", "other")]


def test_a_code_that_repeats_what_an_event_says_is_not_shown(town: Town) -> None:
    event = Event("x", "/s", {"citizen": {"identity": {"family_name": "Quenneville"}}}, id="1")
    with town.hub.ledger.transaction() as tx:
        town.hub.observation.count_out(tx, f"{TENANT}.famille", [(event, "refused", "refused.QUENNEVILLE", None)])
        town.hub.observation.count_out(tx, f"{TENANT}.famille", [(event, "refused", "refused.no-card", None)])

    with town.hub.ledger.reading() as tx:
        found = {one.seen.code for one in observed.observed_of(tx, f"{TENANT}.famille")}
    assert found == {"other", "refused.no-card"}


def test_a_rehearsal_leaves_no_trace_where_the_door_would_refuse_it_either(town: Town) -> None:
    before = everything(town)
    verdicts = town.hub.acceptance.rehearse(town.hub.ledger, PORTAL, [status(1), moved("u1", 1)])

    assert [one.outcome for one in verdicts] == ["refused", "accepted"]
    assert isinstance(verdicts[0].error, InvalidMessage)
    assert everything(town) == before
    assert town.submit(moved("u1", 1))[0].seq == 1
