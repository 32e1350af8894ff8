"""The questions of one origin in a day: beyond the cap what it tells is held, by any road and whoever is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import orjson
import pytest
from sqlalchemy import delete, func, insert, select, text

from bus.api import Incoming, receipts_queue
from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from hub.acceptance.accept import Verdict
from hub.acceptance.deliveries import Deliveries
from hub.acceptance.inlet import Inlet
from hub.acceptance.poller import Poller
from hub.citizens import questions
from hub.citizens.questions import HeldDay, held_days
from hub.operations.held import Held
from hub.operations.trouble import Troubles, list_troubles
from hub.requests.repository import timeline
from hub.settings.model import Limits
from hub.storage.tables import citizen_links, citizen_reviews, citizens, question_days
from schemas.delivery import Polled
from schemas.errors import InvalidMessage
from schemas.event import BATCH, Event
from tests.hub.citizens.town import BY, TOWN, Town, address, origin, person, value
from tests.support.signals import Heard

CAP = 3
DAY = 86_400.0


@pytest.fixture
def town(ledger: Ledger) -> Town:
    made = Town(ledger)
    made.acceptance.limits = Limits(questions_per_day=CAP)
    made.say("famille", person("famille", "F-1"))
    return made


def namesake(number: int, system: str | None = "koha", **more: Any) -> dict[str, Any]:
    """Somebody who is perhaps the one whom `town` knows: one question, and none about the other namesakes."""
    changed = ["1991-11-2" + str(n) for n in range(4, 10)] + ["1991-11-13", "1991-12-23", "1992-11-23", "1981-11-23"]
    return person(system, f"K-{number}", birthdate=changed[number % len(changed)]) | more


def told(number: int, by: str = "koha", **data: Any) -> Event:
    data = {"citizen": namesake(number, by), "email": value(f"{number}@courriel.example", by)} | data
    return Event(type="citizen.contact-changed", source=f"/{TOWN}/{by}", id=f"n{number}", data=data)


def requested(number: int, *, by: str = "publik", requester: Any = None, **more: Any) -> Event:
    record = {
        "references": [{"system": by, "id": f"R-{number}"}], "procedure": "changement-adresse",
        "submitted_at": "2026-11-02T09:00:00Z", "intake": "online",
        "requester": requester or {"citizen": namesake(number, by)}, **more,
    }  # fmt: skip
    return Event(type="request.received", source=f"/{TOWN}/{by}", id=f"r{number}", data={"request": record})


def submit(town: Town, *events: Event, by: str = "koha", **rights: Any) -> list[Verdict]:
    return town.acceptance.submit(town.ledger, replace(origin(by), **rights), events)


def number_of(town: Town, table: Any, *where: Any) -> int:
    with town.ledger.reading() as tx:
        return int(tx.sql.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


def held(town: Town) -> list[HeldDay]:
    with town.ledger.reading() as tx:
        return held_days(tx, TOWN)


def exhaust(town: Town, by: str = "koha") -> None:
    """An origin has opened as many questions as it may today."""
    row = {
        "origin": f"{TOWN}.{by}", "day": questions.day_of(town.ledger.now()), "tenant": TOWN, "asked": CAP, "held": 0,
        "urgent": 0, "since": 0.0, "last_at": 0.0,
    }  # fmt: skip
    with town.ledger.transaction() as tx:
        tx.sql.execute(delete(question_days))
        tx.sql.execute(insert(question_days), [row])


def kept(town: Town) -> Held:
    from hub.journal.entries import Journal

    return Held(town.acceptance, Deliveries(town.acceptance), Journal(town.people.keys))


def test_beyond_the_cap_what_is_told_is_accepted_linked_to_nobody_and_told_to_nobody(town: Town) -> None:
    exhaust(town)
    before = [number_of(town, table) for table in (citizens, citizen_links, citizen_reviews)]

    (verdict,) = submit(town, told(1))

    assert (verdict.outcome, verdict.review) == ("accepted", ())
    assert town.to(verdict.seq) == []
    assert [number_of(town, table) for table in (citizens, citizen_links, citizen_reviews)] == before
    assert [(one.origin, one.number, one.urgent) for one in held(town)] == [(f"{TOWN}.koha", 1, False)]
    assert submit(town, told(1))[0].outcome == "duplicate"
    assert held(town)[0].number == 1


def test_a_flood_of_namesakes_in_batches_opens_no_more_questions_than_the_cap(town: Town) -> None:
    verdicts = [one for start in (0, 5) for one in submit(town, *(told(n) for n in range(start, start + 5)))]

    opened = number_of(town, citizen_reviews)
    assert all(one.outcome == "accepted" for one in verdicts)
    assert 0 < opened <= CAP
    assert sum(one.number for one in held(town)) == 10 - sum(
        town.to(one.seq) != [] or _linked(town, one) for one in verdicts
    )


def _linked(town: Town, verdict: Verdict) -> bool:
    with town.ledger.reading() as tx:
        return bool(tx.load([verdict.seq or 0])[verdict.seq or 0].order_key.startswith("c:"))


def test_what_is_told_of_people_who_match_clearly_goes_on(town: Town) -> None:
    town.say("publik", person("publik", "P-1"))
    exhaust(town)

    known = town.say("koha", person())
    stranger = town.say("koha", person("koha", "K-9", family_name="Corvisart", birthdate="1950-01-31"))

    assert town.to(known.seq) != []
    assert town.who("koha", "K-9")
    assert stranger.outcome == "accepted"
    assert held(town) == []


def test_another_origin_and_the_next_day_have_questions_of_their_own(town: Town) -> None:
    exhaust(town)

    assert submit(town, told(1, "publik"), by="publik")
    assert held(town) == []
    now = town.ledger.now
    town.ledger.now = lambda: now() + DAY
    submit(town, told(2))
    assert held(town) == []


@pytest.mark.parametrize("who", ["requester", "beneficiary", "representative"])
def test_a_request_of_a_namesake_is_received_and_dated_and_goes_to_nobody(town: Town, who: str) -> None:
    exhaust(town, "publik")
    clear = {"citizen": person("publik", "P-1", family_name="Corvisart", birthdate="1950-01-31")}
    event = {
        "requester": requested(1),
        "beneficiary": requested(1, requester=clear, beneficiaries=[namesake(1, "publik")]),
        "representative": requested(
            1, requester=clear, representative={"role": "parent", "person": {"citizen": namesake(1, "publik")}}
        ),
    }[who]

    (verdict,) = submit(town, event, by="publik")

    assert (verdict.outcome, town.to(verdict.seq)) == ("accepted", [])
    assert verdict.request_id
    with town.ledger.reading() as tx:
        steps = [
            (one["kind"], one.get("reason")) for one in timeline(tx, verdict.request_id) if one["kind"] != "delivery"
        ]
        people = tx.sql.execute(text("SELECT count(*) FROM request_people")).scalar()
        received = tx.sql.execute(text("SELECT first_received FROM requests")).scalar()
    assert received == "2026-11-02T09:00:00.000Z"  # as its intake states it, not when the hub took it in
    assert [kind for kind, _ in steps] == ["received", "held"]
    assert "opérateur" in steps[1][1]
    assert people == 0
    assert held(town)[0].number == 1


def test_a_mark_in_a_household_is_held_and_urgent(town: Town) -> None:
    town.say("koha", person("koha", "K-9", family_name="Corvisart", birthdate="1950-01-31"))
    exhaust(town)
    whole = person("koha", "K-9", family_name="Corvisart", birthdate="1950-01-31")
    household = [namesake(1, "koha", confidential=True)]

    verdict = town.say("koha", whole, new_address=address("rue Verte", "koha"), household=household)

    assert (verdict.outcome, town.to(verdict.seq)) == ("accepted", [])
    assert held(town)[0].urgent


def test_a_mark_on_who_is_known_protects_at_once_although_the_event_is_held(town: Town) -> None:
    town.say("koha", person("koha", "K-9", family_name="Corvisart", birthdate="1950-01-31"))
    exhaust(town)
    twin = person("koha", "K-9") | {"confidential": True}  # now the very identity of another, who is meant

    (verdict,) = submit(town, told(1, citizen=twin))

    assert town.to(verdict.seq) == []
    with town.ledger.reading() as tx:
        assert town.people.is_confidential(tx, town.who("famille", "F-1"))
        assert not town.people.is_confidential(tx, town.who("koha", "K-9"))


def test_a_question_that_is_open_already_is_no_more_question(town: Town) -> None:
    town.say("koha", person("koha", "K-9", family_name="Corvisart", birthdate="1950-01-31"))
    town.say("koha", person("koha", "K-9"))  # the very identity of another: asked
    exhaust(town)

    again = town.say("koha", person("koha", "K-9"))

    assert again.outcome == "accepted"
    assert held(town) == []


def test_a_value_beyond_the_cap_is_held_without_a_question(town: Town) -> None:
    town.say("publik", person("publik", "P-1"), new_address=address("rue Verte", "publik", quality="verified"))
    exhaust(town)

    verdict = town.say("koha", person(), new_address=address("rue Bleue", "koha"))

    assert (verdict.review, town.to(verdict.seq)) == (("new_address",), [])
    assert number_of(town, citizen_reviews, citizen_reviews.c.kind == "value") == 0
    assert held(town)[0].number == 1


def over_amqp(town: Town, events: Sequence[Event]) -> None:
    bus = EmbeddedBus()
    body = orjson.dumps([one.to_dict() for one in events])
    Inlet(town.ledger, bus, town.acceptance, lambda user: origin("koha")).handle(
        [Incoming(body, content_type=BATCH, user="koha")]
    )
    assert {orjson.loads(one.body)["verdict"] for one in bus._queues[receipts_queue("koha")]} == {"accepted"}


def by_poll(town: Town, events: Sequence[Event]) -> None:
    polled = [Polled(list(events))]
    name = f"{TOWN}.koha"
    Poller(name, town.ledger, town.acceptance, lambda: origin("koha"), lambda cursor: iter(polled), owner="a",
           every=1, signals=Heard()).once()  # fmt: skip


@pytest.mark.parametrize("road", [over_amqp, by_poll])
def test_the_cap_holds_on_the_other_roads(town: Town, road: Any) -> None:
    exhaust(town)

    road(town, [told(1), told(2)])

    assert [one.number for one in held(town)] == [2]


def test_a_first_load_is_exempt_for_a_stated_time(town: Town) -> None:
    exhaust(town)
    with town.ledger.transaction() as tx:
        kept(town).allow_first_load(tx, f"{TOWN}.koha", 1, BY)

    before = number_of(town, citizen_reviews)
    submit(town, told(1))
    assert held(town) == []
    assert number_of(town, citizen_reviews) > before

    now = town.ledger.now
    town.ledger.now = lambda: now() + DAY + 60
    with town.ledger.transaction() as tx:
        tx.sql.execute(question_days.update().values(day=questions.day_of(town.ledger.now())))
    submit(town, told(2))
    assert held(town)[0].number == 1


def test_a_first_load_is_of_somebody_and_not_for_ever(town: Town) -> None:
    with town.ledger.transaction() as tx:
        for name, days in ((f"{TOWN}.nobody", 1), (f"{TOWN}.koha", 31)):
            with pytest.raises(InvalidMessage):
                kept(town).allow_first_load(tx, name, days, BY)


def test_one_trouble_an_origin_and_day_tells_how_many_are_held_until_they_are_admitted(town: Town) -> None:
    exhaust(town, "publik")
    submit(town, *(told(n, "publik") for n in range(4)), requested(5), by="publik")
    troubles = Troubles(town.ledger, town.acceptance)
    day = held(town)[0].day

    troubles.look_now()
    with town.ledger.transaction() as tx:
        (found,) = (one for one in list_troubles(tx, TOWN) if one.kind == "held")
        (item,) = troubles.items(tx, found)
        asked = number_of(town, citizen_reviews)
    assert (found.about, found.number) == (f"{TOWN}.publik", 5)
    assert day in found.cause
    assert item.remedies[0].startswith(f"unefois citizen held {TOWN}.publik {day} --admit")

    with town.ledger.transaction() as tx:
        handled = kept(town).admit(tx, f"{TOWN}.publik", day, BY)
    assert (handled.done, handled.refused) == (5, {})
    with town.ledger.transaction() as tx:
        assert kept(town).admit(tx, f"{TOWN}.publik", day, BY, after=handled.last or 0).last is None
    troubles.look_now()

    with town.ledger.reading() as tx:
        assert [one for one in list_troubles(tx, TOWN) if one.kind == "held"] == []
    assert number_of(town, citizen_reviews) > asked
    assert town.who("publik", "K-1")
    with town.ledger.reading() as tx:
        assert tx.sql.execute(text("SELECT count(*) FROM request_people")).scalar() == 1


def test_what_is_given_up_opens_nothing(town: Town) -> None:
    exhaust(town)
    submit(town, told(1), told(2))
    asked = number_of(town, citizen_reviews)

    with town.ledger.transaction() as tx:
        assert kept(town).drop(tx, f"{TOWN}.koha", held(town)[0].day, BY).done == 2

    assert held(town) == []
    assert number_of(town, citizen_reviews) == asked
