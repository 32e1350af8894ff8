"""How the suite plays the readers: a list by date of change, keys, questions about cards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from connectors.conformance import Asked, Bench, Case
from connectors.sdk.discovery import connector_class
from schemas.times import to_rfc3339
from tests.connectors.sdk.kinds.twins import LibraryTwin, about, moved, registration


@contextmanager
def readers(bench: Bench) -> Iterator[Case]:
    with LibraryTwin() as twin:
        twin.add(1, bench.clock() - timedelta(days=30))
        settings = twin.settings(timeout_seconds=bench.timeout)
        known: list[int] = []

        def news(count: int) -> None:
            for number in range(len(known) + 10, len(known) + 10 + count):
                known.append(number)
                twin.add(number, bench.clock() - timedelta(hours=1))

        def turn(value: int) -> None:
            twin.add(known[0], bench.clock() - timedelta(seconds=30), ("Saint-Aubin", "Valbruyère")[value])

        def retell(card: str) -> None:
            """Something else of the reader changes; the address stands."""
            twin.readers[card]["changed_at"] = to_rfc3339(bench.clock() - timedelta(seconds=30), "seconds")

        yield Case(
            connect=lambda: connector_class(bench.manifest)(bench.context(settings)), twin=twin,
            deliveries=[moved(), registration()],
            effects=lambda: [[r["address"] for r in twin.readers.values()], list(twin.registrations.values())],
            refused=moved("C9999", 9), deny=lambda: twin.misbehave("401", times=4),
            turns=[(moved(number=3), moved(number=4, street="7 rue du Marché"))], news=news, turn=turn, retell=retell,
            personal=["quai des Brumes", "Vieux Lavoir", "Quenneville"],
            asked=[Asked(about("C0001"), about("C9999"))],
        )  # fmt: skip


cases = (readers,)
