"""The benchmark measures what it says; the measuring itself is no test (`make bench`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI

from benchmarks import page, report
from benchmarks.exchanges import Rounds, Turn, exchange_question, percentiles
from benchmarks.hub import summed_statements
from benchmarks.peers.common import SUBSCRIBERS, Tally, event, message, sent_at, tallied
from benchmarks.population import population
from benchmarks.processes import PEERS, CaseFailed, call
from benchmarks.profiling import summed
from gateway.serving.server import serve_in_thread
from hub.exchanges.exchange import QUESTION
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

    written = (Path(__file__).parents[2] / "docs" / "performance.md").read_text(encoding="utf-8")

    assert written == page.page(kept)


def turn(*milliseconds: float) -> Turn:
    marks = [(1000.0, 1000.0 + ms / 1000) for ms in milliseconds]
    return Turn(marks, float(len(marks)), {"gateway": milliseconds[0]})


def test_exchanges_are_compared_with_the_bare_route_of_the_same_round() -> None:
    rounds = Rounds()
    for slowness in (1.0, 4.0, 2.0):  # a noisy machine slows both
        rounds.add("bare", turn(*[slowness] * 30))
        rounds.add("sealed", turn(*[slowness * 5] * 30))

    assert rounds.against("sealed", "bare") == {"p50": 5.0, "p95": 5.0, "p99": 5.0}
    assert rounds.latency("sealed")["p95"] == 10.0
    assert rounds.processor("sealed") == {"gateway": 10.0}


def test_too_few_answers_give_no_percentile() -> None:
    with pytest.raises(CaseFailed, match="only 3 answers"):
        percentiles([0.1, 0.2, 0.3])


def test_an_exchange_that_is_measured_breaks_no_rule() -> None:
    question = exchange_question(population(10).people[3])

    assert Registry.load().schema_set.accepts(QUESTION, question)


def test_the_load_answers_for_each_question_that_was_due(tmp_path: Path) -> None:
    bodies, record = tmp_path / "bodies", tmp_path / "record"
    bodies.write_text("/one\n/two")
    with serve_in_thread(_answering()) as serving:
        script: list[str | Path] = [sys.executable, PEERS / "with_exchanges.py"]
        script += ["--url", serving.url, "--bodies", bodies, "--record", record, "--clients", "4", "--seconds", "0.3"]
        paced = call("clients", [*script, "--rate", "50"], 60)
        closed = call("clients", script, 60)

    assert (paced["sent"], paced["refused"], paced["lost"]) == (paced["asked"], 0, 0)
    assert 10 <= paced["sent"] <= 16
    assert closed["sent"] == closed["asked"] >= 4
    assert len(json.loads(record.read_text())) == closed["sent"]


def _answering() -> FastAPI:
    app = FastAPI()
    for path in ("/one", "/two"):
        app.get(path)(lambda: {"said": "x"})
    return app


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
