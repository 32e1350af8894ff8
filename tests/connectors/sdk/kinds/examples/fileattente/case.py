"""How the suite plays the queue: tickets that are called, one after the other."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager

from connectors.conformance import Bench, Case
from connectors.sdk import Connector, Secret
from connectors.sdk.kinds.sql import SqlConnector
from connectors.sdk.sql_twin import SqlTwin


@contextmanager
def queue(bench: Bench) -> Iterator[Case]:
    ranks = itertools.count(1)
    with SqlTwin("tickets", ["rank", "request", "state", "at"]) as twin:

        def connect() -> Connector:
            settings = {"url": twin.address, "user": "", "password": Secret("a-password-of-the-queue")}
            connector = SqlConnector(bench.context(settings))
            twin.watch(connector.database)
            return connector

        def call(state: str) -> None:
            rank = next(ranks)
            twin.add((rank, f"T-{rank}", state, "2026-03-02T10:00:00Z"))

        yield Case(
            connect=connect, twin=twin, news=lambda count: [call("called") for _ in range(count)],
            turn=lambda value: call(("called", "done")[value]),
        )  # fmt: skip


cases = (queue,)
