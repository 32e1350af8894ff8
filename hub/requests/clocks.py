"""The legal clocks of a request: what is due when, and what silence means.

Computed from the procedure and shown; they never decide, and no status moves a legal date. Articles cited without
another code are those of the CRPA (code des relations entre le public et l'administration).
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from hub.requests.public_holidays import public_holidays
from hub.settings.procedures import Procedure, Silence

_DURATION = re.compile(r"P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?")
_ELECTRONIC = ("online", "email")  # L112-8: by a teleservice or by electronic mail
_RECEIPT_DAYS = 10  # decree 2016-1411, circular of 10 April 2017


@dataclass(frozen=True, slots=True)
class Incomplete:
    """Documents that the law requires were asked for on a day, to be given by another (L114-5).

    `due_on`: the date that the deciding system fixed, else that of the procedure's own rule. None: neither, and
    nothing is suspended, since nothing says for how long. `received_on` None: not yet received."""

    asked_on: date
    due_on: date | None = None
    received_on: date | None = None


@dataclass(frozen=True, slots=True)
class Clocks:
    """The legal dates of one request, as they stand at `now`. None means that the law sets no such date here, or
    (with `suspended`) that it cannot be known before the missing documents come.

    `registration_due`, `receipt_due`: last days for the two electronic receipts. `silence_on`: the day at whose end
    silence takes its meaning. `suspended`: missing documents stop that clock today. `passed`: that day is over.
    """

    received_on: date
    registration_due: date | None
    receipt_due: date | None
    silence: Silence
    silence_on: date | None
    suspended: bool
    passed: bool


def clocks(
    procedure: Procedure,
    received_at: datetime,
    *,
    transferred_at: datetime | None = None,
    incomplete_periods: Sequence[Incomplete] = (),
    now: datetime,
    intake: str = "online",
    zone: tzinfo | None = None,
    region: str = "national",
) -> Clocks:
    """The legal dates of a request. Pure: the same arguments give the same dates.

    `transferred_at`: when the competent authority got it, if another one was seized first. L114-3: an implicit
    rejection runs from the authority first seized, an implicit acceptance from the competent one. Days are those of
    `zone` (Paris when None); `region` adds its public holidays to the national ones. The two receipts are due for
    electronic submissions only (L112-11).
    """
    zone = zone or ZoneInfo("Europe/Paris")
    received_on, today = received_at.astimezone(zone).date(), now.astimezone(zone).date()
    competent_on = transferred_at.astimezone(zone).date() if transferred_at else received_on
    electronic = intake in _ELECTRONIC and procedure.acknowledgement != "none"
    silence_on, suspended = _silence(procedure, received_on, competent_on, incomplete_periods, today)
    return Clocks(
        received_on=received_on, registration_due=registration_due(received_on, region) if electronic else None,
        receipt_due=receipt_due(competent_on) if electronic else None, silence=procedure.silence, silence_on=silence_on,
        suspended=suspended, passed=silence_on is not None and today > silence_on,
    )  # fmt: skip


def registration_due(received_on: date, region: str = "national") -> date:
    """R112-11-1 and next: the registration receipt (accusé d'enregistrement électronique) is sent at once or, where
    that cannot be, within one working day."""
    return next_working_day(received_on, region)


def receipt_due(competent_on: date) -> date:
    """R112-11-1 and next: the electronic acknowledgement of receipt, where not instant, is sent within ten days
    (calendar days here: the reading that is never late)."""
    return competent_on + timedelta(days=_RECEIPT_DAYS)


def rejection_on(received_on: date, delay: str, periods: Sequence[Incomplete] = ()) -> date:
    """L114-5: the delay of an implicit rejection is suspended while the person is given time to bring documents;
    bringing them sooner ends the suspension. L231-4: two months."""
    end = add_duration(received_on, delay)
    for start, stop in _suspensions(periods):
        if start > end:
            break
        end += stop - start
    return end


def acceptance_on(competent_on: date, delay: str, periods: Sequence[Incomplete] = ()) -> date | None:
    """L114-5: the delay of an implicit acceptance runs only from the reception of the required documents. None while
    some are missing. L231-1: two months."""
    end = add_duration(competent_on, delay)
    for period in sorted(periods, key=lambda period: period.asked_on):
        if period.asked_on > end:
            break
        if period.received_on is None:
            return None
        end = max(end, add_duration(period.received_on, delay))
    return end


def _silence(
    procedure: Procedure, received_on: date, competent_on: date, periods: Sequence[Incomplete], today: date
) -> tuple[date | None, bool]:
    """The day at whose end silence takes its meaning, and whether missing documents stop that clock today."""
    if procedure.delay is None or procedure.silence == "none":
        return None, False
    if procedure.silence == "acceptance":
        end = acceptance_on(competent_on, procedure.delay, periods)
        return end, end is None
    end = rejection_on(received_on, procedure.delay, periods)
    suspended = any(start <= today < stop for start, stop in _suspensions(periods))
    return end, suspended and today <= end


def _suspensions(periods: Sequence[Incomplete]) -> list[tuple[date, date]]:
    """Stretches during which a clock stands, earliest first, without overlap."""
    merged: list[tuple[date, date]] = []
    for period in sorted(periods, key=lambda period: period.asked_on):
        if period.due_on is None:
            continue
        ends = [day for day in (period.due_on, period.received_on) if day is not None]
        stop = max(min(ends), period.asked_on)
        if merged and period.asked_on <= merged[-1][1]:
            start, last = merged.pop()
            merged.append((start, max(last, stop)))
        else:
            merged.append((period.asked_on, stop))
    return merged


def add_duration(day: date, duration: str) -> date:
    """Calendar months: the same day of the month, or its last day where there is none (code civil and code of civil
    procedure, art. 641, by analogy). Raises ValueError for anything but years, months, weeks, days."""
    match = _DURATION.fullmatch(duration)
    if match is None or not any(match.groups()):
        raise ValueError(f"not a duration: {duration}")
    years, months, weeks, days = (int(part or 0) for part in match.groups())
    year, month = divmod(day.year * 12 + day.month - 1 + years * 12 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last)) + timedelta(weeks=weeks, days=days)


def next_working_day(day: date, region: str = "national") -> date:
    """The first day after `day` that is neither Saturday, Sunday nor a public holiday."""
    day += timedelta(days=1)
    while day.weekday() >= 5 or day in public_holidays(day.year, region):
        day += timedelta(days=1)
    return day
