"""What a demonstration shows when something goes wrong: one sentence with the reason, and no impatience."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from rich.console import Console

from demo import play, world
from demo.reasons import AnsweredNo, reason_of, reason_of_answer
from demo.scenes import Scene, Step
from demo.world import World
from schemas.errors import HubError, Refused

PROBLEM = {
    "tracking": "6f0c", "type": "urn:unefois:problem:no_grant", "code": "no_grant", "status": 403,
    "title": "No grant lets this client obtain this evidence", "detail": "ask for one",
}  # fmt: skip


def refused(content: Any) -> httpx.HTTPStatusError:
    request = httpx.Request("POST", "http://127.0.0.1:1/v1/exchanges")
    answer = httpx.Response(403, json=content, request=request)
    with pytest.raises(httpx.HTTPStatusError) as caught:
        answer.raise_for_status()
    return caught.value


def never_asked(_: World) -> Iterator[Step]:
    yield Step("Le portail dépose une demande", True)
    raise refused(PROBLEM)


def played(monkeypatch: pytest.MonkeyPatch, run: Any, trouble: str = "") -> tuple[Scene, str]:
    """A scene in a world where nothing else happens, and what was shown of it."""
    calm = SimpleNamespace(
        hub=SimpleNamespace(ledger=SimpleNamespace(now=lambda: 0.0)), settle=lambda: True, trouble=lambda _: trouble
    )
    monkeypatch.setattr(play, "timelines_of", lambda *_: [])
    shown = io.StringIO()
    scene = play._scene(calm, Console(file=shown, width=200), "A", "Une demande", run)  # type: ignore[arg-type]
    return scene, shown.getvalue()


def test_a_refusal_is_one_sentence_with_its_reason_and_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    scene, shown = played(monkeypatch, never_asked)

    assert not scene.ok
    (line,) = [line for line in shown.splitlines() if "✗" in line]
    for word in ("403", "no_grant", "No grant lets this client obtain this evidence", "ask for one"):
        assert word in line
    assert "Traceback" not in shown
    assert [line.strip() for line in shown.splitlines() if line.strip()] == [
        "Scène A. Une demande", "✓ Le portail dépose une demande", line.strip(),
    ]  # fmt: skip
    assert scene.failed == [line.strip().removeprefix("✗ ")]


def test_a_step_that_did_not_come_true_says_what_the_ledger_knows_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def waits(_: World) -> Iterator[Step]:
        yield Step("La bibliothèque a la nouvelle adresse", False)
        yield Step("Le client est refusé", False, "réponse 500")

    scene, shown = played(monkeypatch, waits, "Bibliothèque : refusé, carte inconnue")

    assert scene.failed == [
        "La bibliothèque a la nouvelle adresse : Bibliothèque : refusé, carte inconnue",
        "Le client est refusé : réponse 500",
    ]
    assert all(line in shown for line in scene.failed)


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (Refused("la carte a expiré"), "la carte a expiré (refused)"),
        (HubError("no room"), "no room (hub_error)"),
        (AnsweredNo("réponse 500"), "réponse 500"),
        (
            httpx.ReadTimeout("", request=httpx.Request("GET", "http://127.0.0.1:1/v1/requests?secret=x")),
            "pas de réponse à GET /v1/requests (ReadTimeout)",
        ),
        (KeyError("a\nb"), r"KeyError: 'a\nb'"),
    ],
)
def test_every_error_has_one_sentence(error: Exception, sentence: str) -> None:
    assert reason_of(error) == sentence


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b'{"title": "Too large", "code": "too_large"}', "réponse 413, Too large (too_large)"),
        (b'{"err": 1, "err_desc": "unknown form", "err_class": "invalid"}', "réponse 413, unknown form (invalid)"),
        (b"<html>\n</html>", "réponse 413"),
        (b"[]", "réponse 413"),
        (b"", "réponse 413"),
    ],
)
def test_an_answer_without_a_problem_is_told_by_what_it_has(body: bytes, sentence: str) -> None:
    assert reason_of_answer(413, body) == sentence


class SlowMachine:
    """A clock that a test moves: each sleep takes a minute."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, _: float) -> None:
        self.now += 61.0


def test_a_slow_machine_is_waited_for_as_long_as_deliveries_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "time", SlowMachine())
    moving, turns = count(), count()
    town = World()
    monkeypatch.setattr(town, "_standing", lambda: (next(moving), {}))

    assert town.until(lambda: next(turns) == 10)


def test_a_town_where_nothing_moves_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = SlowMachine()
    monkeypatch.setattr(world, "time", machine)
    town = World()
    monkeypatch.setattr(town, "_standing", lambda: (0, {}))

    assert not town.until(lambda: False)
    assert machine.now < 200


def test_one_that_moves_for_ever_is_given_up_too(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, moving = SlowMachine(), count()
    monkeypatch.setattr(world, "time", machine)
    town = World()
    monkeypatch.setattr(town, "_standing", lambda: (next(moving), {}))

    assert not town.until(lambda: False)
    assert machine.now < 1000
