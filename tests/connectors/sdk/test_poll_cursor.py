from __future__ import annotations

from datetime import timedelta

from connectors.sdk.poll_cursor import PollCursor
from tests.support.context import NOON

HOUR = timedelta(hours=1)


def test_an_entry_is_news_once_for_each_of_its_dates() -> None:
    cursor = PollCursor(NOON).after({"7": NOON + HOUR})

    assert not cursor.is_news("7", NOON + HOUR)
    assert cursor.is_news("7", NOON + 2 * HOUR)
    assert cursor.is_news("8", NOON + HOUR)
    assert not cursor.is_news("9", NOON)


def test_what_the_next_poll_is_shown_again_is_remembered_and_no_more() -> None:
    cursor = PollCursor(NOON, overlap=HOUR).after({"1": NOON - 2 * HOUR, "2": NOON - HOUR, "3": NOON})

    assert cursor.horizon == NOON - HOUR
    assert cursor.seen.keys() == {"2", "3"}
    assert PollCursor.from_dict(cursor.to_dict(), HOUR) == cursor
