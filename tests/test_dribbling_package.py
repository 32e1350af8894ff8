"""A package that answers one byte at a time, seen from the whole hub: it is noticed, and holds up no stop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub import wiring
from tests.support.dribble import Stopwatch, dribbling
from tests.support.town import TENANT, Town, moved

KOHA = f"{TENANT}.bibliotheque"


def town(folder: Path, port: int, timeout: float) -> Town:
    (folder / "secret").write_text("not-to-be-seen")
    settings = {"base_url": f"http://127.0.0.1:{port}", "client_id": "ville", "timeout_seconds": timeout,
                "client_secret": {"file": str(folder / "secret")}}  # fmt: skip
    consumes = [{"type": "citizen.address-changed"}]
    town = Town(folder, {"bibliotheque": {"connector": "koha", "settings": settings, "consumes": consumes}})
    for person in range(12):
        name = f"SORBIER{'ABCDEFGHIJKL'[person]}"
        town.link((name, "bibliotheque", str(person + 1)), (name, "portail", f"u{person}"))
    return town


@pytest.fixture
def port() -> Iterator[int]:
    with dribbling(b"HTTP/1.1 200 O") as port:
        yield port


def test_a_package_that_answers_byte_by_byte_is_logged_opens_the_breaker_and_leaves_nothing_started(
    tmp_path: Path, port: int
) -> None:
    one = town(tmp_path, port, 0.3)
    with capture_logs() as logs:
        one.start()
        try:
            one.submit(*(moved(f"u{person}", 1) for person in range(12)))
            one.until(lambda: one.hub.workers[KOHA].breaker.open)
            one.until(lambda: "started" not in one.counts("bibliotheque"))
        finally:
            one.close()
    details = [line["detail"] for line in logs if line.get("event") == "error of the package"]
    assert any("whole exchange" in detail for detail in details)
    assert one.hub.status()["breakers"] == [KOHA]


def test_a_stop_cuts_what_a_package_draws_out_and_writes_what_is_known_of_it(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_PATIENCE", 0.3)
    one = town(tmp_path, port, 60)
    one.start()
    one.submit(*(moved(f"u{person}", 1) for person in range(12)))
    one.until(lambda: one.counts("bibliotheque").get("started"))

    with Stopwatch() as took:
        one.hub.stop()

    assert took.seconds < 5
    assert "started" not in one.counts("bibliotheque")
    assert sum(one.counts("bibliotheque").values()) == 12
    one.close()
