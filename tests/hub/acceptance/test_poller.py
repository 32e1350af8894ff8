"""Polling: commit first, acknowledge after; nothing that one record holds stops the others."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bus.ledger import Transaction
from connectors.filedrop.connector import FileDrop
from hub import wiring
from hub.acceptance.poller import Poller
from hub.acceptance.refused import RefusedEvent, refused_event, refused_groups, refused_of_group
from hub.operations.trouble import list_troubles
from hub.storage.tables import trouble_signals
from schemas.delivery import Polled, RecordFault
from schemas.errors import AccessDenied, InvalidMessage, Refused, TryLater
from schemas.event import Event
from tests.support.signals import Heard
from tests.support.town import PORTAL, TENANT, Town, moved

NAME = f"{TENANT}.portail"
PAGE = 50


class Source:
    """A package with a list of pages, each committed with the number of the next as its cursor."""

    def __init__(self, *pages: Sequence[Event], skip: Sequence[str] = (), deaf: Sequence[int] = ()) -> None:
        self.pages = pages
        self.skip, self.deaf = skip, deaf
        self.faults: Sequence[RecordFault] = ()
        self.acknowledged: list[int] = []
        self.cursors: list[Mapping[str, Any] | None] = []
        self.error: Exception | None = None

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        self.cursors.append(cursor)
        first = cursor["after"] + 1 if cursor is not None else 0
        for number, events in enumerate(self.pages[first:], first):
            yield Polled(
                events, {"after": number}, lambda n=number: self._acknowledge(n), faults=self.faults,
                skip_unknown=self.skip,
            )  # fmt: skip
        if self.error is not None:
            raise self.error

    def _acknowledge(self, number: int) -> None:
        if number in self.deaf:
            raise Refused("déjà acquitté", native="400")
        self.acknowledged.append(number)


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    yield town
    town.close()


def poller(town: Town, source: Source, **more: Any) -> Poller:
    more = {"owner": "one", "every": 1, "signals": Heard(), **more}
    return Poller(NAME, town.hub.ledger, town.hub.acceptance, lambda: PORTAL, source.poll, **more)


def accepted(town: Town) -> int:
    with town.hub.ledger.reading() as tx:
        return tx.accepted()


def cursor_of(town: Town) -> Mapping[str, Any] | None:
    with town.hub.ledger.reading() as tx:
        return tx.cursor(NAME)


def kept(town: Town, code: str = "unknown_request") -> list[RefusedEvent]:
    with town.hub.ledger.reading() as tx:
        return refused_of_group(tx, NAME, code)


def status(number: int, native: str = "") -> Event:
    """A step of a request that nobody brought to the hub."""
    link = {"references": [{"system": "portail", "id": native or f"guichet-{number}"}]}
    data = {"request": link, "status": "in_progress", "native": {"code": "EN", "label": "En cours"}}
    return Event("request.status-changed", PORTAL.sources[0], data, id=f"status-{number}")


def opened(native: str) -> Event:
    data = {"request": {"references": [{"system": "portail", "id": native}], "procedure": "occupation-domaine-public",
                        "submitted_at": "2026-03-02T09:14:05Z", "intake": "desk",
                        "requester": {"organisation": {"name": "Café des Tilleuls"}}}}  # fmt: skip
    return Event("request.received", PORTAL.sources[0], data, id=f"opened-{native}")


def pages(events: Sequence[Event], size: int = PAGE) -> list[Sequence[Event]]:
    return [events[at : at + size] for at in range(0, len(events), size)]


def test_each_batch_is_committed_with_its_cursor_then_acknowledged(town: Town) -> None:
    source = Source([moved("u1", 1)], [moved("u1", 2), moved("u2", 1)])
    polls = poller(town, source)

    assert polls.once() == 3
    assert polls.once() == 0

    assert accepted(town) == 3
    assert source.acknowledged == [0, 1]
    assert source.cursors == [None, {"after": 1}]


# --- one record does not stop the others --------------------------------------------------------------------------


# The row: 99 of 251 were read, the cursor stood for ever and nothing showed it. At a page's end, within one, at its
# border, and where all of a page is refused.
@pytest.mark.parametrize("places", [{0}, {PAGE - 1}, {PAGE}, {123}, {250}, set(range(PAGE, 2 * PAGE))])
@pytest.mark.parametrize("skips", [True, False])
def test_a_case_that_the_hub_does_not_know_hides_none_of_the_others(town: Town, places: set[int], skips: bool) -> None:
    records = [status(n) if n in places else moved(f"u{n}", 1) for n in range(251)]
    source = Source(*pages(records), skip=[event.id for event in records if skips])
    heard = Heard()

    assert poller(town, source, signals=heard).once() == 251 - len(places)

    assert cursor_of(town) == {"after": 5}
    assert source.acknowledged == [0, 1, 2, 3, 4, 5]
    assert heard.left_out[NAME] == (len(places) if skips else 0)
    with town.hub.ledger.reading() as tx:
        groups = [(one.code, one.number) for one in refused_groups(tx)]
    assert groups == ([] if skips else [("unknown_request", len(places))])
    assert heard.told == []


def test_a_connection_whose_manifest_says_so_skips_without_a_mark_on_each_event(town: Town) -> None:
    heard, source = Heard(), Source([status(1), moved("u1", 1)])
    polls = Poller(
        NAME, town.hub.ledger, town.hub.acceptance, lambda: replace(PORTAL, skips_unknown=True), source.poll,
        owner="one", every=1, signals=heard,
    )  # fmt: skip

    assert polls.once() == 1
    assert (heard.left_out[NAME], kept(town)) == (1, [])


def test_only_an_unknown_request_is_skipped_and_never_a_fault_of_the_event(town: Town) -> None:
    wrong = status(1)
    wrong.data["status"] = "approuvé"
    heard = Heard()

    poller(town, Source([wrong], skip=[wrong.id]), signals=heard).once()

    assert heard.left_out[NAME] == 0
    assert heard.noted == [("record-refused", "schema_violation")]
    assert len(kept(town, "schema_violation")) == 1


def test_refusals_of_several_kinds_are_kept_by_code_with_their_place(town: Town) -> None:
    bad = Event(type="no.such-type", source=PORTAL.sources[0], data={}, id="x")
    foreign = Event("citizen.address-changed", f"/{TENANT}/famille", moved("u7", 1).data, id="y")
    source = Source([moved("u1", 1), bad, status(1), moved("u2", 1), foreign])
    heard = Heard()
    polls = poller(town, source, signals=heard)

    assert polls.once() == 2

    assert (source.acknowledged, polls.refused) == ([0], 3)
    assert {code for _, code in heard.noted} == {"unknown_type", "unknown_request", "source_not_allowed"}
    (one,) = kept(town, "source_not_allowed")
    assert (one.pointer, one.type) == ("/source", "citizen.address-changed")
    with town.hub.ledger.reading() as tx:
        assert refused_event(tx, one.id) == foreign


def test_what_is_refused_is_handed_in_again_once_its_cause_is_gone(town: Town) -> None:
    poller(town, Source([status(1, "case-1")])).once()
    town.submit(opened("case-1"))

    (one,) = kept(town)
    with town.hub.ledger.transaction() as tx:
        verdicts = town.hub.acceptance.accept(tx, PORTAL, [refused_event(tx, one.id)])

    assert [verdict.outcome for verdict in verdicts] == ["accepted"]


def test_what_the_package_shows_again_and_is_taken_then_is_kept_no_more(town: Town) -> None:
    source = Source([status(1, "case-1")])
    poller(town, source).once()
    town.submit(opened("case-1"))
    with town.hub.ledger.transaction() as tx:
        tx.move_cursor(NAME, {"after": -1})

    assert poller(town, source).once() == 1

    assert kept(town) == []


def test_the_same_refusal_read_again_is_one_row(town: Town) -> None:
    source = Source([status(1)])
    source.pages = ([status(1)], [status(1)])

    poller(town, source).once()

    assert len(kept(town)) == 1


@pytest.mark.parametrize("junk", ["ceci", None, {"type": "x"}, 7])
def test_what_is_no_event_at_all_is_told_and_passed_over(town: Town, junk: Any) -> None:
    heard, source = Heard(), Source([moved("u1", 1), junk, moved("u2", 1)])

    assert poller(town, source, signals=heard).once() == 2

    assert heard.told == [("record-refused", "not_an_event")]
    assert cursor_of(town) == {"after": 0}


def test_an_event_that_cannot_be_written_down_is_told_and_passed_over(town: Town) -> None:
    odd = Event("citizen.address-changed", PORTAL.sources[0], {"citizen": {object()}}, id="\ud800")
    heard, source = Heard(), Source([odd, moved("u2", 1)])

    assert poller(town, source, signals=heard).once() == 1
    assert [kind for kind, _ in heard.told] == ["record-refused"]


def test_what_the_connector_could_not_read_is_told_and_the_others_are_taken(town: Town) -> None:
    heard, source = Heard(), Source([moved("u1", 1)])
    source.faults = [RecordFault("bad_date", "ligne 3", "l'année 0020 n'est pas croyable", "F-3")]
    polls = poller(town, source, signals=heard)

    assert polls.once() == 1
    assert heard.told == [("record-refused", "bad_date")]
    assert cursor_of(town) == {"after": 0}


# --- a process that stops ---------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process ends here."""


def test_a_stop_between_commit_and_acknowledgement_reads_the_same_again(town: Town) -> None:
    source = Source([moved("u1", 1)])
    first = next(source.poll(None))
    town.hub.acceptance.submit(town.hub.ledger, PORTAL, list(first.events))  # and then the process dies

    assert poller(town, source).once() == 0

    assert accepted(town) == 1
    assert source.acknowledged == [0]


@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_process_killed_while_a_page_is_taken_loses_nothing_and_doubles_nothing(
    town: Town, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    records = [status(n) if n % 40 == 0 else moved(f"u{n}", 1) for n in range(200)]
    source, moves = Source(*pages(records)), []
    move = Transaction.move_cursor

    def killed(self: Transaction, name: str, cursor: Mapping[str, Any]) -> None:
        move(self, name, cursor)
        moves.append(cursor)
        if len(moves) == at:
            raise Killed  # all of it is done, and nothing of it committed

    monkeypatch.setattr(Transaction, "move_cursor", killed)
    with pytest.raises(Killed):
        poller(town, source).once()
    before, refused = accepted(town), len(kept(town))
    assert cursor_of(town) == ({"after": at - 2} if at > 1 else None)

    assert poller(town, source).once() == 195 - before

    assert (accepted(town), len(kept(town)), cursor_of(town)) == (195, 5, {"after": 3})
    assert refused <= 5


# --- acknowledging ----------------------------------------------------------------------------------------------------


# mirth connect#3023, dinum-HubEE/Documentations: one acknowledgement that is refused hid all that came after it
def test_what_cannot_be_acknowledged_is_told_and_the_poll_goes_on_behind_it(town: Town) -> None:
    heard, source = Heard(), Source([moved("u1", 1)], [moved("u2", 1)], [moved("u3", 1)], deaf=[0, 1])

    assert poller(town, source, signals=heard).once() == 3

    assert source.acknowledged == [2]
    assert heard.told == [("not-acknowledged", "refused")] * 2
    assert cursor_of(town) == {"after": 2}


@pytest.mark.parametrize("error", [OSError("nom trop long"), KeyError("x"), TryLater("absent")])
def test_whatever_an_acknowledgement_raises_what_is_committed_stays_so(town: Town, error: Exception) -> None:
    def acknowledge() -> None:
        raise error

    heard = Heard()
    polls = Poller(
        NAME, town.hub.ledger, town.hub.acceptance, lambda: PORTAL,
        lambda cursor: iter([Polled([moved("u1", 1)], None, acknowledge), Polled([moved("u2", 1)])]),
        owner="one", every=1, signals=heard,
    )  # fmt: skip

    assert polls.once() == 2
    assert [kind for kind, _ in heard.told] == ["not-acknowledged"]


def test_an_acknowledgement_that_is_not_allowed_pauses_the_connection(town: Town) -> None:
    def acknowledge() -> None:
        raise AccessDenied("mot de passe refusé", fault="denied.login")

    polls = Poller(
        NAME, town.hub.ledger, town.hub.acceptance, lambda: PORTAL,
        lambda cursor: iter([Polled([moved("u1", 1)], None, acknowledge)]), owner="one", every=1, signals=Heard(),
    )  # fmt: skip
    polls._round(_never(), 1.0)

    with town.hub.ledger.reading() as tx:
        assert tx.paused() == {NAME: "mot de passe refusé"}
        assert tx.pause_faults() == {NAME: "denied.login"}


# --- what the connector raises ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [(KeyError("Quenneville"), "KeyError"), (InvalidMessage("illisible", code="not_koha"), "not_koha")],
)
def test_a_poll_that_breaks_is_told_and_tried_again_less_often_until_it_goes_well(
    town: Town, error: Exception, code: str
) -> None:
    heard, source = Heard(), Source([moved("u1", 1)])
    source.error = error
    polls = poller(town, source, signals=heard)

    assert polls._round(_never(), 1.0) == 2
    assert heard.told == [("poll-error", code)]
    assert "Quenneville" not in str(heard.faults) + polls.trouble
    assert accepted(town) == 1
    source.error = None
    assert polls._round(_never(), 2.0) == 1
    assert (heard.ended, polls.trouble) == (["poll-error"], "")
    polls._round(_never(), 1.0)
    assert heard.ended == ["poll-error"]


@pytest.mark.parametrize(
    ("page", "code"), [({"a": 1}, "not_a_batch"), ([moved(f"u{n}", 1) for n in range(501)], "batch_too_long")]
)
def test_what_is_no_batch_is_told_and_what_follows_is_taken_and_read_again(town: Town, page: Any, code: str) -> None:
    heard, source = Heard(), Source([moved("u1", 1)], page, [moved("u2", 1)])
    polls = poller(town, source, signals=heard)

    polls._round(_never(), 1.0)

    assert (accepted(town), source.acknowledged) == (2, [0, 2])
    assert (heard.told, heard.ended) == ([("poll-error", code)], [])
    assert cursor_of(town) == {"after": 0}


def test_one_poller_is_active_at_a_time(town: Town) -> None:
    source = Source([moved("u1", 1)])
    poller(town, source).once()

    assert poller(town, source, owner="two").once() == 0

    assert len(source.cursors) == 1


def test_a_locked_door_pauses_the_connection(town: Town) -> None:
    source = Source()
    source.error = AccessDenied("mot de passe refusé")
    polls = poller(town, source)

    polls._round(_never(), 1.0)

    with town.hub.ledger.reading() as tx:
        assert tx.paused() == {NAME: "mot de passe refusé"}
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
    return threading.Event()


# --- the whole way, in a running hub ----------------------------------------------------------------------------------


def test_a_running_hub_reads_on_tells_what_was_refused_and_takes_it_once_its_cause_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{TENANT}.famille"
    source = f"/{TENANT}/famille"
    link = {"references": [{"system": "famille", "id": "F-9"}]}
    said = {"request": link, "status": "in_progress", "native": {"code": "EN", "label": "En cours"}}
    first = Event("request.status-changed", source, said, id="step-1")
    rest = [replace(moved("u", n, link=("famille", f"F-{n}")), source=source, id=f"move-{n}") for n in range(250)]
    sent = Source(*pages([first, *rest], 100), deaf=[1])
    monkeypatch.setattr(FileDrop, "poll", lambda self, cursor: sent.poll(cursor))
    monkeypatch.setattr(wiring, "declared_connection", _publishing_all(wiring.declared_connection))
    town = Town(tmp_path, {"famille": {"poll_seconds": 1}})
    try:
        town.start()
        town.until(lambda: accepted(town) == 250)
        town.until(lambda: len(signals(town)) == 1)

        assert [(one.kind, one.code) for one in signals(town)] == [("not-acknowledged", "refused")]
        with town.hub.ledger.reading() as tx:
            assert tx.cursor(name) == {"after": 2}
            (one,) = refused_of_group(tx, name, "unknown_request")
        town.hub.troubles.look_now()
        with town.hub.ledger.reading() as tx:
            assert {found.kind for found in list_troubles(tx)} >= {"record-refused", "not-acknowledged"}
        town.submit(replace(opened("case"), data=_also(opened("case").data, link)))
        with town.hub.ledger.transaction() as tx:
            assert town.hub.deliveries.submit_refused(tx, name, refused_event(tx, one.id)) is None
    finally:
        town.close()


def _publishing_all(declared: Any) -> Any:
    def all_types(*declaration: Any) -> Any:
        item = declared(*declaration)
        return replace(item, routing=replace(item.routing, publishes=("*",)))

    return all_types


def _also(data: Mapping[str, Any], link: Mapping[str, Any]) -> dict[str, Any]:
    request = data["request"]
    return {**data, "request": {**request, "references": [*request["references"], *link["references"]]}}


def signals(town: Town) -> list[Any]:
    with town.hub.ledger.reading() as tx:
        return list(tx.sql.execute(select(trouble_signals)))
