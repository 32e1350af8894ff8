"""Twins that misbehave by the clock."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from connectors.sdk.folder_twin import FolderTwin
from connectors.sdk.smtp_twin import SmtpTwin
from connectors.sdk.sql_twin import SqlTwin
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from connectors.sdk.twin_schedule import Plan, listening_at
from schemas.errors import ConfigError


class Bell(HttpTwin):
    @route("GET", "/")
    def ring(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, {"ring": True})


@pytest.fixture
def bell() -> Iterator[Bell]:
    with Bell() as twin:
        yield twin


def called(twin: Bell) -> int | str:
    try:
        with urlopen(twin.url, timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return "away"


def test_it_misbehaves_once_each_time_that_is_due(bell: Bell) -> None:
    schedule = bell.schedule("503@30s")

    seen = []
    for second in (0, 29, 30, 31, 60, 61):
        schedule.play(second)
        seen.append(called(bell))
    assert seen == [200, 200, 503, 200, 503, 200]


def test_several_calls_go_wrong_and_several_plans_play_together(bell: Bell) -> None:
    schedule = bell.schedule("503@2m:3", "404@5m")

    schedule.play(120)
    assert [called(bell) for _ in range(4)] == [503, 503, 503, 200]
    schedule.play(300)
    assert sorted(called(bell) for _ in range(5)) == [200, 404, 503, 503, 503]


def test_what_lasts_ends_after_its_time(bell: Bell) -> None:
    schedule = bell.schedule("refuse@10m:30s")

    seen = []
    for second in (599, 600, 629, 630, 631):
        schedule.play(second)
        seen.append(called(bell))
    assert seen == [200, "away", "away", 200, 200]


def test_every_call_goes_wrong_while_it_lasts(bell: Bell) -> None:
    schedule = bell.schedule("429@1m:10s")

    schedule.play(60)
    assert {called(bell) for _ in range(20)} == {429}
    schedule.play(70)
    assert called(bell) == 200


def test_what_was_missed_is_not_made_up_for(bell: Bell) -> None:
    schedule = bell.schedule("503@10s")

    schedule.play(95)
    assert [called(bell), called(bell)] == [503, 200]
    schedule.play(99)
    assert called(bell) == 200
    schedule.play(100)
    assert called(bell) == 503


def test_by_the_clock_it_goes_on_until_the_schedule_is_left(bell: Bell) -> None:
    heard: list[str] = []

    with bell.schedule("500@0.1s", heard=heard.append):
        assert 500 in (called(bell) for _ in range(2000))
    said = len(heard)

    bell.behave()
    assert heard[0] == "500"
    assert {called(bell) for _ in range(50)} == {200}
    assert len(heard) == said


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("503", "is no schedule"), ("teapot@1m", 'cannot play "teapot"'), ("503@often", "is no duration"),
        ("503@1m:ever", "is no duration"), ("refuse@1m", "no end by itself"), ("refuse@1m:5", "no end by itself"),
        ("503@0s", "be over"), ("503@10s:10s", "be over"), ("503@10s:0", "be over"),
    ],
)  # fmt: skip
def test_what_is_no_schedule_is_told(bell: Bell, said: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        bell.schedule(said)


def test_the_nearest_kind_is_named() -> None:
    with pytest.raises(ConfigError, match='did you mean "timeout"'):
        Plan.of("timout@30s", Bell.kinds)


@pytest.mark.parametrize("kind", [FolderTwin, SmtpTwin, SqlTwin, HttpTwin])
def test_every_twin_of_the_kit_has_a_schedule_and_an_address(kind: type) -> None:
    assert callable(getattr(kind, "schedule", None))
    assert hasattr(kind, "address")


def test_a_twin_listens_where_it_is_told_and_keeps_its_place() -> None:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]

    with listening_at(port), Bell() as first, Bell() as second:
        assert first.port == port
        assert second.port != port
    with Bell() as later:
        assert later.port != port
