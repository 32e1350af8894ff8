"""The fault campaign in its short form: everything is broken for a while, and the books are balanced.

`make faults MINUTES=60 SEED=7` is the long one. Both judge the books and the seconds of each recovery.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from faults import campaign
from faults.campaign import Result
from faults.report import page
from tests.support.missing import missing
from tests.support.servers import ServiceUnavailable

pytestmark = [pytest.mark.slow]


def run(tmp_path: Path, **wanted: object) -> Result:
    said: list[str] = []
    try:
        result = campaign.run(say=said.append, keep=tmp_path / "kept", **wanted)  # type: ignore[arg-type]
    except ServiceUnavailable as reason:
        missing(str(reason))
    print("\n".join(said))  # shown when the test fails
    return result


def held(result: Result) -> dict[str, object]:
    """What must be empty or zero."""
    found = result.to_dict()
    names = (
        "lost", "doubled", "disordered", "unfounded", "invalid_stored", "strangers", "moving", "unanswered", "silent",
        "surprises", "examples",
    )  # fmt: skip
    return {name: found[name] for name in names if found[name]}


@pytest.mark.broker
@pytest.mark.database
@pytest.mark.timeout(600)  # long enough to say what does not come to rest
def test_two_minutes_of_faults_and_rest_lose_double_and_disorder_nothing(tmp_path: Path) -> None:
    result = run(tmp_path, seed=2, minutes=1.5, embedded=False)

    assert held(result) == {}
    assert result.balance.ok, json.dumps(result.to_dict(), indent=2)
    assert result.final.ok
    assert result.at_rest
    assert result.late == []
    assert result.ok
    assert len(result.told.accepted) > 500


@pytest.mark.timeout(480)
def test_half_a_minute_of_faults_does_no_harm_to_a_hub_in_one_process(tmp_path: Path) -> None:
    result = run(tmp_path, seed=2, minutes=0.5, embedded=True)

    assert held(result) == {}
    assert result.balance.ok, json.dumps(result.to_dict(), indent=2)
    assert result.final.ok
    assert result.at_rest
    assert result.late == []
    assert result.ok
    assert len(result.told.accepted) > 100
    written = page(result, "")
    assert re.search(r"\| \*\*lost\*\* \| 0 \|", written)
    assert page(result, written).count("## ") == written.count("## ")
