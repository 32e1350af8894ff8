"""The legal clocks held against dates worked out by hand from the texts, each with its source."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest

from hub.requests.clocks import Incomplete, clocks
from hub.requests.reception import instant_of
from hub.settings.model import Tenant
from hub.settings.procedures import Procedure, load_procedures

TERRACE, WORKS, BIRTH, MOVE = (
    "occupation-domaine-public",
    "declaration-prealable",
    "acte-naissance",
    "changement-adresse",
)
BENCH = "banc"  # no text but the code: two months, acceptance
SEINE, STRASBOURG, METZ = "93001", "67482", "57463"
GUADELOUPE, MARTINIQUE, GUYANE, REUNION = "97105", "97209", "97302", "97411"
MIQUELON, MAYOTTE, BARTHELEMY, MARTIN = "97502", "97611", "97701", "97801"
NONE = {"silence_on": None}


@dataclass(frozen=True)
class Worked:
    source: str
    town: str
    procedure: str
    first: str
    gives: dict[str, Any]
    competent: str | None = None
    asked: tuple[Incomplete, ...] = ()
    intake: str = "online"


def day(text: str) -> date:
    return date.fromisoformat(text)


def silence(text: str, **more: Any) -> dict[str, Any]:
    return {"silence_on": day(text), **more}


def receipts(registration: str, receipt: str) -> dict[str, Any]:
    return {"registration_due": day(registration), "receipt_due": day(receipt)}


def asked(on: str, due: str | None = None, received: str | None = None) -> Incomplete:
    return Incomplete(day(on), day(due) if due else None, day(received) if received else None)


TABLE = [
    # What silence means, and when
    Worked("CRPA L231-4, rejection, two months", SEINE, TERRACE, "2026-03-02", silence("2026-05-02")),
    Worked("CRPA L231-4, the month is shorter", SEINE, TERRACE, "2025-12-31", silence("2026-02-28")),
    Worked("CRPA L231-4, a leap year", SEINE, TERRACE, "2027-12-31", silence("2028-02-29")),
    Worked("CRPA L231-4, a letter of June", SEINE, TERRACE, "2026-06-01", silence("2026-08-01"), intake="mail"),
    Worked("CRPA L231-1, acceptance, two months", SEINE, BENCH, "2026-01-15", silence("2026-03-15")),
    Worked("CRPA L231-6; urbanisme R*423-23 a", SEINE, WORKS, "2026-03-02", silence("2026-04-02")),
    Worked("urbanisme R*423-23 a, the month is shorter", SEINE, WORKS, "2026-01-31", silence("2026-02-28")),
    Worked("CRPA L231-1, no silence in civil status", SEINE, BIRTH, "2026-03-02", NONE),
    Worked("CRPA L231-1, a declaration is no demand", SEINE, MOVE, "2026-03-02", NONE),
    Worked("CRPA L231-4, it ends on a Sunday, unprolonged", SEINE, TERRACE, "2026-03-10", silence("2026-05-10")),
    # Whom it reached
    Worked("CRPA L114-3, rejection", SEINE, TERRACE, "2026-02-26", silence("2026-04-26"), "2026-03-02"),
    Worked("CRPA L114-3, acceptance", SEINE, BENCH, "2026-02-26", silence("2026-05-02"), "2026-03-02"),
    Worked("CRPA L114-3; urbanisme R*423-19", SEINE, WORKS, "2026-03-02", silence("2026-04-05"), "2026-03-05"),
    # Documents that are missing
    Worked("CRPA L114-5, until the date", SEINE, TERRACE, "2026-03-02", silence("2026-05-24"),
           asked=(asked("2026-03-10", "2026-04-01"),)),
    Worked("CRPA L114-5, brought sooner", SEINE, TERRACE, "2026-03-02", silence("2026-05-12"),
           asked=(asked("2026-03-10", "2026-04-01", "2026-03-20"),)),
    Worked("CRPA L114-5, brought later", SEINE, TERRACE, "2026-03-02", silence("2026-05-24"),
           asked=(asked("2026-03-10", "2026-04-01", "2026-04-20"),)),
    Worked("CRPA L114-5, no date was fixed", SEINE, TERRACE, "2026-03-02", silence("2026-05-02", suspended=False),
           asked=(asked("2026-03-10"),)),
    Worked("CRPA L114-5, asked twice", SEINE, TERRACE, "2026-03-02", silence("2026-05-22"),
           asked=(asked("2026-03-10", "2026-03-20", "2026-03-20"), asked("2026-04-01", "2026-04-11"))),
    Worked("CRPA L114-5, asked twice at once", SEINE, TERRACE, "2026-03-02", silence("2026-06-01"),
           asked=(asked("2026-03-10", "2026-03-30"), asked("2026-03-20", "2026-04-09"))),
    Worked("CRPA L114-5 and L231-4, asked when silence had ended", SEINE, TERRACE, "2026-03-02",
           silence("2026-05-02"), asked=(asked("2026-05-03", "2026-06-01"),)),
    Worked("CRPA L114-5 and L114-3, rejection", SEINE, TERRACE, "2026-02-26", silence("2026-05-06"), "2026-03-02",
           asked=(asked("2026-03-10", "2026-03-20"),)),
    Worked("CRPA L114-5, acceptance, documents do not come", SEINE, BENCH, "2026-03-02",
           NONE | {"suspended": True}, asked=(asked("2026-03-10", "2026-04-01"),)),
    Worked("CRPA L114-5, acceptance, documents come", SEINE, BENCH, "2026-03-02", silence("2026-06-20"),
           asked=(asked("2026-03-10", "2026-04-01", "2026-04-20"),)),
    Worked("CRPA L114-5, acceptance, asked twice", SEINE, BENCH, "2026-03-02", silence("2026-06-10"),
           asked=(asked("2026-03-10", None, "2026-03-15"), asked("2026-04-01", None, "2026-04-10"))),
    Worked("urbanisme R*423-39 c, documents come", SEINE, WORKS, "2026-03-02", silence("2026-06-15"),
           asked=(asked("2026-03-20", "2026-06-20", "2026-05-15"),)),
    Worked("urbanisme R*423-39, documents do not come", SEINE, WORKS, "2026-03-02", NONE | {"suspended": True},
           asked=(asked("2026-03-20", "2026-06-20"),)),
    # The day of the town
    Worked("CRPA L231-4, 31 December, 21:00 there", GUADELOUPE, TERRACE, "2025-12-31T21:00:00-04:00",
           silence("2026-02-28")),
    Worked("CRPA L231-4, the same instant in Paris", SEINE, TERRACE, "2026-01-01T01:00:00Z", silence("2026-03-01")),
    Worked("CRPA L231-4, already 1 January there", REUNION, TERRACE, "2025-12-31T21:00:00Z", silence("2026-03-01")),
    Worked("CRPA L231-4, the same instant in Paris", SEINE, TERRACE, "2025-12-31T21:00:00Z", silence("2026-02-28")),
    Worked("CRPA L231-4, half past midnight in summer", SEINE, TERRACE, "2026-06-30T22:30:00Z",
           silence("2026-09-01")),
    Worked("urbanisme R*423-23 a, still February there", MIQUELON, WORKS, "2026-03-01T02:00:00Z",
           silence("2026-03-28")),
    # The receipts
    Worked("CRPA L112-11, R112-11-1 and next, a Friday", SEINE, TERRACE, "2026-03-06",
           receipts("2026-03-09", "2026-03-16")),
    Worked("CRPA L112-8, by electronic mail", SEINE, TERRACE, "2026-03-04", receipts("2026-03-05", "2026-03-14"),
           intake="email"),
    Worked("CRPA L112-11, none by letter", SEINE, TERRACE, "2026-03-06",
           {"registration_due": None, "receipt_due": None}, intake="mail"),
    Worked("decree 2016-1411, ten days from the competent authority", SEINE, TERRACE, "2026-02-26",
           receipts("2026-02-27", "2026-03-12"), "2026-03-02"),
    Worked("code du travail L3133-1, 1 May", SEINE, TERRACE, "2026-04-30", receipts("2026-05-04", "2026-05-10")),
    Worked("code du travail L3133-1, a working Good Friday", SEINE, TERRACE, "2026-04-02",
           receipts("2026-04-03", "2026-04-12")),
    Worked("code du travail L3134-13, Good Friday", STRASBOURG, TERRACE, "2026-04-02",
           receipts("2026-04-07", "2026-04-12")),
    Worked("code du travail L3134-13, 26 December", METZ, TERRACE, "2025-12-24",
           receipts("2025-12-29", "2026-01-03")),
    Worked("code du travail L3133-1, a working 26 December", SEINE, TERRACE, "2025-12-24",
           receipts("2025-12-26", "2026-01-03")),
    Worked("code du travail L3422-2, 22 May", MARTINIQUE, TERRACE, "2026-05-21",
           receipts("2026-05-26", "2026-05-31")),
    Worked("code du travail L3422-2, 27 May", GUADELOUPE, TERRACE, "2026-05-26",
           receipts("2026-05-28", "2026-06-05")),
    Worked("code du travail L3422-2, 27 May", MARTIN, TERRACE, "2026-05-26", receipts("2026-05-28", "2026-06-05")),
    Worked("code du travail L3422-2, 27 April", MAYOTTE, TERRACE, "2026-04-24",
           receipts("2026-04-28", "2026-05-04")),
    Worked("code du travail L3422-2, 10 June", GUYANE, TERRACE, "2026-06-09", receipts("2026-06-11", "2026-06-19")),
    Worked("code du travail L3422-2, 9 October", BARTHELEMY, TERRACE, "2026-10-08",
           receipts("2026-10-12", "2026-10-18")),
    Worked("code du travail L3422-2, 20 December", REUNION, TERRACE, "2027-12-17",
           receipts("2027-12-21", "2027-12-27")),
]  # fmt: skip


def test_the_table_has_thirty_rows_and_each_its_article() -> None:
    assert len(TABLE) >= 30
    assert all(any(sign.isdigit() for sign in row.source) for row in TABLE)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.source} ({row.town}, {row.first})")
def test_the_dates_are_those_worked_out_from_the_text(row: Worked, tolerated: Procedure) -> None:
    town = Tenant("ville", "Ville", "21930001100018", row.town)
    procedure = {**load_procedures(), BENCH: tolerated}[row.procedure]

    found = clocks(
        procedure, instant_of(row.first, town.zone), transferred_at=instant_of(row.competent or row.first, town.zone),
        incomplete_periods=row.asked, now=datetime(2026, 3, 25, 12, tzinfo=UTC), intake=row.intake, zone=town.zone,
        region=town.holidays_region,
    )  # fmt: skip

    assert {name: getattr(found, name) for name in row.gives} == row.gives


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.source} ({row.town}, {row.first})")
def test_no_date_depends_on_the_day_on_which_one_looks(row: Worked, tolerated: Procedure) -> None:
    """An outage, a late poll, an initial load: the hub may come to know of it in any year."""
    town = Tenant("ville", "Ville", "21930001100018", row.town)
    procedure = {**load_procedures(), BENCH: tolerated}[row.procedure]
    looks = [datetime(year, 12, 1, tzinfo=UTC) for year in (2026, 2028, 2040)]

    found = {
        (one.silence_on, one.registration_due, one.receipt_due)
        for one in (
            clocks(procedure, instant_of(row.first, town.zone), incomplete_periods=row.asked, now=now,
                   intake=row.intake, zone=town.zone, region=town.holidays_region)
            for now in looks
        )
    }  # fmt: skip

    assert len(found) == 1
