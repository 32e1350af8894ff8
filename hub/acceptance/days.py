"""A value that is true from a day to come (`effective_on`): who is granted the day gets it at once, all others when the
day begins in the tenant's zone. Until then the old value is what is known now, for them and for the hub.

What comes is known beside it, as a field of its own (`news.coming`), with its own readers. On its day it becomes what
is known now (`take_effect`), and who lacks it is told. Another value ends it before; the old one said again does not.
"""

from __future__ import annotations

from datetime import tzinfo

from bus.ledger import Transaction
from hub.acceptance.mentions import DAY
from hub.acceptance.restating import Door
from hub.citizens.catch_ups import CatchUp, ask_later, end_days
from hub.citizens.news import DATED, KnownNews, coming
from hub.requests.reception import instant_of
from schemas.errors import InvalidMessage
from schemas.event import Event

LONGEST_DAYS = 731
"""Days ahead: two years, of which one may be a leap year. What is further ahead is a slip of the pen."""


def comes_at(event: Event, zone: tzinfo, now: float) -> float | None:
    """When the day begins from which an event is true, in seconds since 1970; None where that is not to come. Raises
    InvalidMessage `effective_on_too_far`."""
    stated = event.data.get(DAY)
    if stated is None:
        return None
    begins = instant_of(stated, zone, end=False).timestamp()
    if begins - now > LONGEST_DAYS * 86_400:
        raise InvalidMessage(
            f"this day is more than {LONGEST_DAYS} days ahead", pointer=f"/data/{DAY}", code="effective_on_too_far"
        )
    return begins if begins > now else None


def wait_for_day(tx: Transaction, tenant: str, citizen_id: str, begins: float, seq: int) -> None:
    """The value of this event is told to all the others when its day begins; a day that was waited for before is
    not."""
    end_days(tx, citizen_id, DATED, but=seq)
    ask_later(tx, tenant, [citizen_id], cause="date", due=begins, fields=[DATED], seq=seq)


def end_coming(tx: Transaction, news: KnownNews, tenant: str, citizen_id: str) -> None:
    """What was to come does not: what its readers were given of it is what they know last. Not what they said of it,
    where something else is on its way to them."""
    news.absorb(citizen_id, coming(DATED), DATED)
    news.drop_overwritten(tenant, news.of(citizen_id, DATED))
    end_days(tx, citizen_id, DATED)


def take_effect(acceptance: Door, tx: Transaction, asked: CatchUp) -> None:
    """The day of a value has come: it is what is known now, and whoever lacks it is told. Where another ended it, or it
    was put off, nobody is."""
    tx.hold_door()
    news = acceptance.news.session(tx)
    known = news.of(asked.citizen_id, coming(asked.field))
    now = known.now
    if now is None:
        return
    town = acceptance.directory.tenants[asked.tenant]
    begins = instant_of(now.day, town.zone, end=False).timestamp()
    if begins > tx.now:
        wait_for_day(tx, asked.tenant, asked.citizen_id, begins, now.seq)
        return
    current = news.of(asked.citizen_id, asked.field)
    news.absorb(asked.citizen_id, coming(asked.field), asked.field)
    now.low, now.high, now.at, now.day = begins, begins, round(tx.now, 3), ""
    current.state(now)
    news.drop_overwritten(asked.tenant, current)
    news.save()
