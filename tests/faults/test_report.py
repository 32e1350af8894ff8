"""What a campaign says of recoveries that took longer than promised."""

from __future__ import annotations

import pytest

from faults.campaign import Occurrence, Result, _excuse
from faults.report import page


@pytest.mark.parametrize(
    ("seconds", "spared", "stretch", "excuse"),
    [
        (20.0, 6.0, 1.0, "worker-1 was killed and went on 6.0 s after the mending"),
        (20.0, 4.0, 1.0, ""),
        (20.0, 0.0, 2.0, "2.0 times as many runnable processes as the promise supposes"),
        (None, 50.0, 9.0, ""),
    ],
)
def test_only_what_happened_meanwhile_excuses_a_long_recovery(
    seconds: float | None, spared: float, stretch: float, excuse: str
) -> None:
    assert _excuse(seconds, 15.0, spared, "worker-1 was killed", stretch) == excuse


def test_the_page_names_what_was_late_and_what_was_excused() -> None:
    result = Result(7, 1.0, embedded=False, occurrences=[Occurrence("queue deleted", "famille", 1.0, 2.0)])
    result.late.append("queue deleted (famille): consuming 40.0 s instead of 15 s")
    result.excused.append("queue deleted (voirie): consuming 17.0 s instead of 15 s; worker-1 slept")

    written = page(result, "")

    assert "Recoveries longer than promised: queue deleted (famille)" in written
    assert "- queue deleted (voirie): consuming 17.0 s instead of 15 s; worker-1 slept.\n" in written
