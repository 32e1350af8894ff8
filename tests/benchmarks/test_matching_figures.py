"""A small made population: the hub merges nobody falsely by itself, and finds or asks about nearly everybody."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.matching import BEGIN, END, PAGE, main, measure, report
from benchmarks.population import population


@pytest.mark.parametrize("seed", [1, 7])
def test_nobody_is_merged_falsely_and_nearly_everybody_is_found(tmp_path: Path, seed: int) -> None:
    figures = measure(population(1500, seed), f"sqlite:///{tmp_path}/people.db")

    assert figures.twins > 10
    assert figures.namesakes > 5
    assert figures.false_links == 0
    assert figures.precision_link == 1
    assert figures.recall_link > 0.8
    assert figures.recall_review > 0.97
    assert figures.precision_review > 0.97
    assert figures.in_question < 0.15 * (figures.known + figures.strangers)


def test_the_figures_are_data_for_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--people", "100", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert (figures["people"], figures["false_links"], figures["precision_link"]) == (100, 0, 1)


def test_the_page_has_the_figures_as_they_are_reported(tmp_path: Path) -> None:
    figures = measure(population(200), f"sqlite:///{tmp_path}/people.db")
    page = PAGE.read_text(encoding="utf-8")

    block = page[page.index(BEGIN) : page.index(END) + len(END)]
    form = re.sub(r"[\d,.]+", "N", report(figures, "python -m benchmarks.matching"))
    assert re.sub(r"[\d,.]+", "N", block) == form
    assert "| false merges | 0 |" in block
    assert "20,000 people" in block
