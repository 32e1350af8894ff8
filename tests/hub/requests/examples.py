"""What the tests of clocks and letters reckon with."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hypothesis import strategies as st

from hub.requests.letters import RequestFacts
from hub.settings.procedures import Contact

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CONTACT = Contact(
    "Service de la voirie", "1 place de la Mairie, 93001 Saint-Aubin", "01 00 00 00 00", "voirie@ville.example"
)
FACTS = RequestFacts("2026-0042", NOON, "la ville de Saint-Aubin", CONTACT)
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
