"""Large bodies and wording: in few threads, in turns between callers, and dropped when nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, cast

import orjson
import pytest
from starlette.requests import Request

from gateway.checking import Checking
from gateway.problems import Problem
from hub.acceptance.accept import WORDED
from schemas.event import BATCH
from tests.gateway.conftest import House, event, post, problem


class Line:
    """The connection of a caller, who may hang up."""

    def __init__(self) -> None:
        self.cut = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.cut.wait()
        return {"type": "http.disconnect"}


def call(checking: Checking, caller: str, work: Callable[[], Any], line: Line | None = None) -> asyncio.Task[Any]:
    return asyncio.ensure_future(checking.run(cast(Request, line or Line()), caller, work))


def test_callers_take_turns_however_much_one_of_them_sends() -> None:
    done: list[str] = []

    async def run() -> None:
        checking, gate = Checking(at_once=1), threading.Event()
        first = call(checking, "greedy", gate.wait)
        many = [call(checking, "greedy", lambda n=n: done.append(f"greedy {n}")) for n in range(5)]  # type: ignore[misc]
        other = call(checking, "other", lambda: done.append("other"))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, other, *many)

    asyncio.run(run())

    assert done.index("other") <= 1


def test_a_caller_has_its_share_and_no_more_and_others_still_have_theirs() -> None:
    async def run() -> None:
        checking, gate = Checking(at_once=1, share=2), threading.Event()
        held = [call(checking, "greedy", gate.wait) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Problem) as refused:
            await call(checking, "greedy", lambda: None)
        assert (refused.value.code, refused.value.status) == ("rate_exceeded", 429)
        other = call(checking, "other", lambda: "answer")
        await asyncio.sleep(0)
        gate.set()
        assert await other == "answer"
        await asyncio.gather(*held)
        assert await call(checking, "greedy", lambda: "again") == "again"

    asyncio.run(run())


def test_work_of_a_caller_who_hung_up_is_not_begun() -> None:
    begun: list[str] = []

    async def run() -> None:
        checking, gate, line = Checking(at_once=1), threading.Event(), Line()
        first = call(checking, "one", gate.wait)
        gone = [call(checking, "two", lambda: begun.append("two"), line) for _ in range(3)]
        await asyncio.sleep(0)
        line.cut.set()
        assert [type(left) for left in await asyncio.gather(*gone, return_exceptions=True)] == [Problem] * 3
        gate.set()
        await first
        assert await call(checking, "two", lambda: "later") == "later"

    asyncio.run(run())

    assert begun == []


def test_what_the_work_raises_its_caller_reads() -> None:
    def fails() -> None:
        raise Problem("not_json")

    async def run() -> None:
        with pytest.raises(Problem, match="not_json"):
            await call(Checking(), "one", fails)

    asyncio.run(run())


def test_every_refused_event_of_a_batch_has_its_verdict_and_the_first_ones_have_words(house: House) -> None:
    wrong = [{**event(n), "data": {"request": {"procedure": 3}}} for n in range(1, WORDED + 11)]
    good = event(900)

    answer = house.client().post(
        "/v1/events", content=orjson.dumps([*wrong, good]), headers={"content-type": BATCH}
    )  # fmt: skip

    verdicts = answer.json()["verdicts"]
    assert [line["outcome"] for line in verdicts] == ["refused"] * len(wrong) + ["accepted"]
    assert {line["problem"]["code"] for line in verdicts[:-1]} == {"schema_violation"}
    assert all(line["problem"]["pointer"] != "/data" for line in verdicts[:WORDED])
    assert {line["problem"]["pointer"] for line in verdicts[WORDED:-1]} == {"/data"}


@pytest.mark.parametrize("more", [0, 60_000])
def test_one_event_alone_is_told_where_it_is_wrong_whatever_its_size(house: House, more: int) -> None:
    wrong = event()
    wrong["data"]["request"] |= {"intake": "telepathy", "form": {"text": "x" * more}}

    body = problem(post(house.client(), wrong), 422, "schema_violation")

    assert body["pointer"] == "/data/request/intake"
