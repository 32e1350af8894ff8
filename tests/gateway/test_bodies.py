"""Bodies of those who proved nothing: they hold no room of the others, and come at a pace or not at all."""

from __future__ import annotations

import contextlib
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway import bodies
from gateway.bodies import Budget
from gateway.problems import Problem
from gateway.routes.inbound import MOST_BYTES
from hub.wiring import Hub
from tests.connectors.publik.scene import SLUG, fixture, pushed, town_settings
from tests.gateway.conftest import House, Open, event, post
from tests.gateway.raw import ask, authorization, connect, head, read_answer
from tests.gateway.test_inbound import Stub

UNFINISHED = b"x" * (MOST_BYTES - 1)


@pytest.fixture
def publik(open_house: Open) -> House:
    return open_house({"publik": {"connector": "publik", "settings": town_settings()}})


def pushed_to(house: House, key: str = "clef-push") -> tuple[str, bytes]:
    call = pushed(fixture(), at=datetime.now(UTC), key=key, nonce=secrets.token_hex(8))
    return f"/in/publik/{SLUG}?{call.query_string}", call.body


def unfinished(house: House, path: str, lines: contextlib.ExitStack, number: int = 16, *fields: str) -> list[Any]:
    held = []
    for _ in range(number):
        line = lines.enter_context(connect(house))
        held.append(line)
        line.sendall(head("POST", path, f"Content-Length: {MOST_BYTES}", *fields))
        with contextlib.suppress(ConnectionError):
            line.sendall(UNFINISHED)
    return held


@pytest.mark.parametrize("path", ["/in/publik", f"/in/publik/{SLUG}?orig=x&algo=sha256&signature=eA%3D%3D", "/in/none"])
def test_strangers_with_large_bodies_take_no_room_from_anybody(publik: House, path: str) -> None:
    with contextlib.ExitStack() as lines:
        for line in unfinished(publik, path, lines):
            answer = read_answer(line)
            assert answer is not None
            assert answer.status in (401, 403, 404)
        assert post(publik.client(), event()).status_code == 202
        stored = publik.client().post("/v1/documents", content=b"x" * 1_000_000)
        assert stored.status_code == 201


def test_a_wrong_password_is_refused_before_the_body_is_read(open_house: Open) -> None:
    own = {**town_settings(), "incoming_authentication": "basic"}
    house = open_house({"publik": {"connector": "publik", "settings": own}})
    with connect(house) as line:
        answer = ask(line, head("POST", "/in/publik", "Authorization: Basic eDp5", f"Content-Length: {MOST_BYTES}"))
    assert answer.status in (401, 403)


def test_what_the_head_proved_is_proved_once_more_with_the_body(publik: House) -> None:
    path, body = pushed_to(publik)
    http = publik.anonymous()

    assert http.post(path, content=body).status_code == 200
    assert http.post(path, content=body).status_code == 403  # the nonce is good once


def test_callers_whom_only_a_body_can_prove_share_a_purse_of_their_own(
    open_house: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Hub, "receiver", lambda self, name: Stub())
    publik = open_house({"publik": {"connector": "publik", "settings": town_settings()}})
    with contextlib.ExitStack() as lines:
        unfinished(publik, "/in/publik", lines)
        assert post(publik.client(), event()).status_code == 202
        assert publik.client().post("/v1/documents", content=b"x" * 1_000_000).status_code == 201
        assert publik.anonymous().post("/oauth/token", data={"grant_type": "x"}).status_code == 400
        with connect(publik, "127.0.0.7") as line:  # the address that fills its share leaves that of others
            large = b"y" * 5_000_000
            assert ask(line, head("POST", "/in/publik", f"Content-Length: {len(large)}") + large).status == 201


def test_one_client_leaves_room_for_the_others(house: House) -> None:
    other = house.client("autre")
    with contextlib.ExitStack() as lines:
        for _ in range(30):
            line = lines.enter_context(connect(house))
            line.sendall(head("POST", "/v1/documents", authorization(house), "Content-Length: 10000000"))
            line.sendall(b"x" * 9_999_999)
        assert other.post("/v1/documents", content=b"x" * 1_000_000).status_code == 201


def test_what_a_call_held_is_given_back() -> None:
    budget = Budget(proved=100, unproved=40)
    known: dict[str, Any] = {"client_id": "portail"}
    strangers: list[dict[str, Any]] = [{"client": (f"192.0.2.{n}", 1)} for n in range(4)]

    budget.take(known, 50)
    with pytest.raises(Problem):
        budget.take(known, 1)
    budget.take(strangers[0], 20)
    budget.take(strangers[1], 20)
    with pytest.raises(Problem):
        budget.take(strangers[2], 1)
    budget.give_back(strangers[0])
    budget.take(strangers[2], 20)
    for scope in (known, *strangers):
        budget.give_back(scope)
        budget.give_back(scope)
    budget.take(known, 50)
    assert known["held"][2] == 50


def test_hosts_of_one_ipv6_network_are_one_caller() -> None:
    budget = Budget(unproved=40)
    budget.take({"client": ("2001:db8::1", 1)}, 20)
    with pytest.raises(Problem):
        budget.take({"client": ("2001:db8::2", 1)}, 1)
    budget.take({"client": ("2001:db8:0:1::1", 1)}, 1)


@pytest.mark.parametrize("first", [0, 100, 60_000])
def test_a_body_that_stands_still_is_cut_long_before_its_time(
    house: House, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    monkeypatch.setattr(bodies, "PACE_SECONDS", 0.3)
    started = time.monotonic()
    with connect(house) as line:
        line.sendall(head("POST", "/v1/documents", authorization(house), "Content-Length: 5000000"))
        line.sendall(b"x" * first)
        answer = read_answer(line)
    assert answer is not None
    answer.problem(408, "too_slow")
    assert answer.fields["connection"] == "close"
    assert time.monotonic() - started < 5


def test_a_body_that_keeps_the_pace_is_taken_and_one_that_keeps_it_too_long_is_not(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PACE_SECONDS", 0.5)
    monkeypatch.setattr(bodies, "READ_SECONDS", 2.0)
    for steps, status in ((8, 201), (40, 408)):
        with connect(house) as line:
            line.sendall(head("POST", "/v1/documents", authorization(house), f"Content-Length: {steps * 50_000}"))
            with contextlib.suppress(ConnectionError):
                for _ in range(steps):
                    line.sendall(secrets.token_bytes(50_000))
                    time.sleep(0.1)
            answer = read_answer(line)
            assert answer is not None
            assert answer.status == status
