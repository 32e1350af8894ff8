"""The benchmark measures what it says; the measuring itself is no test (`make bench`)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import page, report
from benchmarks.hub import summed_statements
from benchmarks.peers.common import SUBSCRIBERS, Tally, event, message, sent_at, tallied
from benchmarks.profiling import summed
from schemas.event import Event
from schemas.registry import Registry


def test_the_measured_event_is_valid_and_of_an_ordinary_size() -> None:
    for number in (0, 1, 123_456):
        Registry.load().validate(Event.from_dict(event(number)))

    assert 1100 < len(message(123_456)) < 1400


def test_events_differ_in_content_so_that_none_is_an_echo() -> None:
    houses = {event(number)["data"]["new_address"]["value"]["house_number"] for number in range(2000)}

    assert len(houses) == 2000


def test_the_time_of_sending_travels_in_the_id() -> None:
    assert sent_at(event(7, at=1_500_000_000)["id"]) == 1.5


def test_tallies_of_several_processes_add_up(tmp_path: Path) -> None:
    Tally(tmp_path, SUBSCRIBERS[0]).add(3)
    (tmp_path / f"{SUBSCRIBERS[0]}.1.1").write_bytes((4).to_bytes(8, "little"))

    assert tallied(tmp_path)[SUBSCRIBERS[0]] == 7


def test_a_ratio_is_taken_within_a_round() -> None:
    rounds = {"raw_pika": [1000.0, 4000.0, 2000.0], "http_pipeline": [500.0, 1000.0, 900.0]}

    assert report.ratios(rounds) == {"http_pipeline": {"raw_pika": 0.45}}
    assert report.medians(rounds)["http_pipeline"] == 900


def test_a_ratio_that_lost_a_third_is_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = tmp_path / "recorded.json"
    recorded.write_text(json.dumps({"ratios": {"http_pipeline": {"raw_pika": 0.6}, "embedded": {"raw_pika": 0.6}}}))
    monkeypatch.setattr(report, "RECORDED", recorded)

    marked = report.fallen({"ratios": {"http_pipeline": {"raw_pika": 0.3}, "embedded": {"raw_pika": 0.5}}})

    assert marked == ["http_pipeline: 0.3 of raw_pika, recorded 0.6"]


def test_the_page_is_what_was_recorded() -> None:
    kept = json.loads(report.RECORDED.read_text(encoding="utf-8"))

    written = (Path(__file__).parents[1] / "docs" / "performance.md").read_text(encoding="utf-8")

    assert written == page.page(kept)


def test_statements_that_differ_in_how_many_values_they_list_are_one() -> None:
    rows = [
        {"statement": "SELECT a FROM t WHERE b = $1 AND c IN ($2, $3)", "ms": 2.0, "calls": 1, "rows": 2},
        {"statement": "SELECT a FROM t WHERE b = $1 AND c IN ($2::BIGINT)", "ms": 1.0, "calls": 3, "rows": 4},
    ]

    assert summed_statements(rows, 5) == [
        {"ms": 3, "calls": 4, "rows": 6, "statement": "SELECT a FROM t WHERE b = ? AND c IN (…)"}
    ]


def test_samples_are_summed_by_the_function_that_ran() -> None:
    tables = summed("thread 1;a;b 3\nthread 1;a;c 1\n")

    assert tables["own time"] == [("b", 75.0), ("c", 25.0)]
    assert ("a", 100.0) in tables["time with what it calls"]
