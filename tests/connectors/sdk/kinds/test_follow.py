"""`[[follow]]`: what a package was given is asked for on its schedule, until a final status, and told once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.statuses import FINAL
from hub.requests import repository
from schemas.delivery import Opened, Polled
from schemas.errors import AccessDenied, TryLater
from schemas.event import Event
from schemas.registry import Registry
from schemas.secret import Secret
from tests.connectors.sdk.kinds.encaissement import Clock, PaymentTwin, connection, polled
from tests.connectors.sdk.kinds.test_soap import SESSION, SETTING, changed, faults
from tests.support.garbage import WRONG

REGISTRY = Registry.load()


@pytest.fixture
def twin() -> Iterator[PaymentTwin]:
    with PaymentTwin() as found:
        yield found


class Followed:
    """A connection whose poll the hub calls again and again; `events` and `faults` as they were committed."""

    def __init__(self, twin: PaymentTwin, **more: Any) -> None:
        self.clock = Clock()
        self.connector = connection(twin, self.clock, **more)
        self.cursor: Mapping[str, Any] | None = None
        self.events: list[Event] = []
        self.faults: list[str] = []

    def poll(self, **by: float) -> int:
        """Later, poll; how many commits it was."""
        self.clock.later(**by)
        found, cursor = polled(self.connector, self.cursor)
        self.cursor = json.loads(json.dumps(cursor))
        for one in found:
            self.events += one.events
            self.faults += [fault.code for fault in one.faults]
        for event in self.events:
            REGISTRY.validate(event)
        return len(found)

    @property
    def said(self) -> list[tuple[str, str | None]]:
        return [(event.data["native"]["code"], event.data["status"]) for event in self.events]


@pytest.fixture
def followed(twin: PaymentTwin) -> Followed:
    return Followed(twin)


def test_the_final_statuses_are_those_that_end_a_request() -> None:
    assert FINAL == repository.FINAL


def test_a_payment_is_asked_for_on_its_schedule_until_it_is_made(twin: PaymentTwin, followed: Followed) -> None:
    followed.clock.open()
    asked = []
    for seconds in (14, 1, 100, 20, 900, 1):
        before = len(twin.asked)
        followed.poll(seconds=seconds)
        asked.append(len(twin.asked) - before)
    assert asked == [0, 1, 0, 1, 1, 0]

    twin.settle("OP-1", "P", jour="02032026", heure="1409")
    followed.poll(hours=1)
    followed.poll(hours=1)

    assert followed.said == [("P", "fulfilled")]
    (event,) = followed.events
    assert event.data["request"] == {"references": [{"system": "encaissement", "id": "OP-1"}]}
    assert event.time == "2026-03-02T13:09:00Z"  # 14:09 in Paris
    assert len(twin.asked) == 4


@pytest.mark.parametrize(
    ("day", "hour", "at"),
    [
        ("29032026", "0159", "2026-03-29T00:59:00Z"),
        ("29032026", "0301", "2026-03-29T01:01:00Z"),
        ("25102026", "0230", "2026-10-25T00:30:00Z"),  # the hour that comes twice: the first
        ("31122026", "2359", "2026-12-31T22:59:00Z"),
    ],
)
def test_its_local_date_and_hour_are_those_of_paris(
    twin: PaymentTwin, followed: Followed, day: str, hour: str, at: str
) -> None:
    followed.clock.open()
    twin.settle("OP-1", "P", jour=day, heure=hour)

    followed.poll(minutes=1)

    assert [event.time for event in followed.events] == [at]


def test_a_status_that_comes_back_is_told_each_time_and_one_that_stays_is_told_once(
    twin: PaymentTwin, followed: Followed
) -> None:
    followed.clock.open()
    for state, minutes in (("C", 1), ("C", 3), ("attente", 16), ("C", 61)):
        twin.settle("OP-1", state)
        followed.poll(minutes=minutes)

    assert followed.said == [("C", "awaiting_payment"), ("attente", None), ("C", "awaiting_payment")]
    assert len({event.id for event in followed.events}) == 3


def test_a_code_that_says_not_yet_is_no_news_and_no_trouble(twin: PaymentTwin, followed: Followed) -> None:
    followed.clock.open()
    followed.poll(minutes=1)

    assert (followed.said, followed.faults) == ([], [])


def test_a_refusal_that_the_statuses_know_is_how_it_ends(twin: PaymentTwin, followed: Followed) -> None:
    followed.clock.open()
    twin.refuse("etatEncaissement", "P1")
    followed.poll(minutes=1)
    followed.poll(hours=3)

    assert followed.said == [("P1", "closed")]
    assert len(twin.asked) == 1


def test_a_refusal_that_nobody_knows_is_told_and_the_payment_asked_for_again(
    twin: PaymentTwin, followed: Followed
) -> None:
    followed.clock.open()
    twin.refuse("etatEncaissement", "X9")
    followed.poll(minutes=1)
    assert followed.faults == ["refused.other"]

    twin.settle("OP-1", "A")
    followed.poll(minutes=3)

    assert followed.said == [("A", "closed")]


def test_what_never_ends_is_asked_for_a_last_time_and_told(twin: PaymentTwin, followed: Followed) -> None:
    followed.clock.open()
    for _ in range(300):
        followed.poll(minutes=1)

    assert followed.faults == ["follow-over"]
    assert followed.said == []
    assert len(twin.asked) == 5  # after 15 s, 2 min, 15 min, 1 h, and at the end
    assert followed.cursor is not None
    assert followed.cursor["followed"]["open"] == {}


def test_what_never_ends_may_have_a_status_of_its_own(twin: PaymentTwin, tmp_path: Path) -> None:
    followed = Followed(twin, manifest=changed(tmp_path, ('until = "2h"', 'until = "2h"\nover = "P1"')))
    followed.clock.open()
    followed.poll(minutes=1)
    followed.poll(hours=2)

    assert (followed.said, followed.faults) == ([("P1", "closed")], [])


def test_a_status_that_is_final_for_the_payment_alone_ends_it_too(twin: PaymentTwin, tmp_path: Path) -> None:
    followed = Followed(twin, manifest=changed(tmp_path, ('until = "2h"', 'until = "2h"\nfinal = ["C"]')))
    followed.clock.open()
    twin.settle("OP-1", "C")
    followed.poll(minutes=1)
    followed.poll(hours=3)

    assert followed.said == [("C", "awaiting_payment")]
    assert len(twin.asked) == 1


# what stops in the middle


def test_a_stop_before_the_commit_asks_again_and_says_the_same(twin: PaymentTwin, followed: Followed) -> None:
    followed.clock.open()
    twin.settle("OP-1", "P", jour="02032026", heure="1409")
    followed.clock.later(minutes=1)
    lost, _ = polled(followed.connector, followed.cursor)

    followed.poll()

    assert [event.id for one in lost for event in one.events] == [event.id for event in followed.events]
    assert followed.events[0] in [event for one in lost for event in one.events]


def test_a_reference_whose_delivery_is_committed_late_is_still_seen(twin: PaymentTwin, followed: Followed) -> None:
    at = followed.clock.now
    followed.clock.open("OP-2")
    followed.poll(minutes=5)
    followed.clock.opened.insert(0, type(followed.clock.opened[0])("OP-1", "request.received", at))
    twin.settle("OP-1", "P")

    followed.poll(minutes=5)

    assert followed.said == [("P", "fulfilled")]


def test_a_poller_that_begins_late_follows_what_was_opened_within_the_delay(
    twin: PaymentTwin, followed: Followed
) -> None:
    followed.clock.open("OP-1")
    followed.clock.later(hours=1)
    followed.clock.open("OP-2")
    for number in ("OP-1", "OP-2"):
        twin.settle(number, "P")

    followed.poll(minutes=90)

    assert [event.data["request"]["references"][0]["id"] for event in followed.events] == ["OP-2"]


def test_the_event_that_asked_is_read_once_and_of_what_is_followed_alone(twin: PaymentTwin, followed: Followed) -> None:
    read: list[str] = []
    for number, event_type in (("OP-1", "request.received"), ("OP-9", "citizen.changed")):

        def asked(number: str = number) -> Mapping[str, str]:
            read.append(number)
            return {"system": "portail", "id": "cantine-17"}

        followed.clock.opened.append(Opened(number, event_type, followed.clock.now, asked))
    for _ in range(3):
        followed.poll(minutes=1)

    assert read == ["OP-1"]
    assert followed.cursor is not None
    (kept,) = followed.cursor["followed"]["open"].values()
    assert (kept["asked_system"], kept["asked_id"]) == ("portail", "cantine-17")


def test_nothing_is_written_while_nothing_is_open(followed: Followed) -> None:
    assert followed.poll() == 0


# what goes wrong


def test_one_answer_that_cannot_be_read_hides_no_other(twin: PaymentTwin, followed: Followed) -> None:
    for number in ("OP-1", "OP-2", "OP-3"):
        followed.clock.open(number)
        twin.settle(number, "P", jour="02032026", heure="1409")
    twin.settle("OP-2", "P", jour="hier", heure="1409")

    followed.poll(minutes=1)

    assert len(followed.events) == 2
    assert followed.faults == ["bad_date"]


def test_an_outage_of_one_call_leaves_the_others_read_and_is_raised_after_them(
    twin: PaymentTwin, followed: Followed
) -> None:
    for number in range(1, 6):
        followed.clock.open(f"OP-{number}")
        twin.settle(f"OP-{number}", "P")
    twin.misbehave("500", on="etatEncaissement")
    followed.clock.later(minutes=1)

    kept: list[Polled] = []
    with pytest.raises(TryLater):
        kept.extend(followed.connector.poll(None))
    followed.cursor = kept[-1].cursor
    followed.poll(minutes=3)

    assert len([event for one in kept for event in one.events]) == 4
    assert len(followed.events) == 1


def test_a_package_that_is_away_is_not_asked_for_each_payment(twin: PaymentTwin, followed: Followed) -> None:
    for number in range(20):
        followed.clock.open(f"OP-{number}")
    twin.misbehave("500", times=100, on="etatEncaissement")
    followed.clock.later(minutes=1)

    with pytest.raises(TryLater):
        list(followed.connector.poll(None))

    assert len(twin.calls) == 3


def test_a_package_that_lets_us_not_in_pauses_the_connection(twin: PaymentTwin, tmp_path: Path) -> None:
    followed = Followed(twin, manifest=changed(tmp_path, SESSION, SETTING), secret=Secret("another"))
    followed.clock.open()
    followed.clock.later(minutes=1)

    with pytest.raises(AccessDenied):
        list(followed.connector.poll(None))


@pytest.mark.parametrize("place", ["numeroOperation", "etat", "jour", "heure", "montant"])
def test_whatever_the_answer_holds_the_others_are_read_and_nothing_breaks(
    twin: PaymentTwin, followed: Followed, place: str
) -> None:
    values = [one for one in WRONG if isinstance(one, str | int) and one not in ("\x00", "\ud800")]
    for number in range(len(values) + 1):
        followed.clock.open(f"OP-{number}")
        twin.settle(f"OP-{number}", "P", jour="02032026", heure="1409", montant=4550)
    for number, wrong in enumerate(values):
        twin.states[f"OP-{number}"][place] = wrong

    followed.poll(minutes=1)

    assert any(event.data["request"]["references"][0]["id"] == f"OP-{len(values)}" for event in followed.events)
    for event in followed.events:
        REGISTRY.validate(event)


# events of another type


PAYMENTS = (
    'until = "2h"',
    'until = "2h"\ntype = "payment.changed"\nmap = "moved"\nended = "over"\nover = "P1"\nfinal = ["P", "A"]',
)
OUTCOMES = (
    "[converters]",
    '[converters]\noutcome = { table = { C = "open", P = "paid", A = "abandoned", P1 = "expired" } }',
)
MOVED = """moved;/payment/reference/system;={system};;
moved;/payment/reference/id;return/numeroOperation;text;oui
moved;/payment/state;={status};outcome;oui
moved;/payment/amount/cents;return/montant;integer;
moved;/payment/amount/currency;=EUR;;
over;/payment/reference/system;={system};;
over;/payment/reference/id;={reference};;
over;/payment/state;={status};outcome;oui
"""


def test_what_is_followed_may_be_an_event_of_another_type(twin: PaymentTwin, tmp_path: Path) -> None:
    manifest = changed(tmp_path, PAYMENTS, OUTCOMES, table=("payment;arg0/regie", f"{MOVED}payment;arg0/regie"))
    assert faults(tmp_path) == {}
    assert manifest.publishes == ("payment.changed",)
    followed = Followed(twin, manifest=manifest)
    for number in ("OP-1", "OP-2", "OP-3"):
        followed.clock.open(number)
    twin.settle("OP-1", "P", jour="02032026", heure="1409", montant=4550)
    twin.settle("OP-3", "C", montant=4550)
    followed.poll(minutes=1)
    followed.poll(minutes=3)
    twin.settle("OP-3", "A", montant=4550)
    followed.poll(hours=2)

    payments = [event.data["payment"] for event in followed.events]
    said = sorted((one["reference"]["id"], one["state"]) for one in payments)
    assert said == [("OP-1", "paid"), ("OP-2", "expired"), ("OP-3", "abandoned"), ("OP-3", "open")]
    assert followed.faults == []
    assert payments[0]["amount"] == {"cents": 4550, "currency": "EUR"}


@pytest.mark.parametrize("name", ["key", "event", "request"])
def test_a_name_that_only_a_delivery_knows_is_refused_in_a_follow(tmp_path: Path, name: str) -> None:
    changed(
        tmp_path, ('until = "2h"', 'until = "2h"\nmap = "more"'),
        table=("payment;arg0/regie", f"more;/reason;={{{name}}};;\npayment;arg0/regie"),
    )  # fmt: skip

    said = faults(tmp_path)["mapping.csv:2:source"]

    assert said == f'"{name}" is not known in a [[follow]]: reference, status, change, asked_system, asked_id are'
