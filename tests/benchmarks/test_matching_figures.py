"""Small made populations: the hub links nobody falsely by itself, and finds or asks about nearly everybody."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.matching import (
    BEGIN,
    END,
    LEVERS_BEGIN,
    LEVERS_END,
    PAGE,
    POPULATIONS,
    main,
    measure,
    report,
    report_levers,
)
from benchmarks.matching_levers import LEVERS, without
from benchmarks.population import HOMONYMS, Population, population
from benchmarks.port_town import port_town
from hub.citizens import matching


@pytest.mark.parametrize("made", [population, port_town])
def test_nobody_is_linked_falsely_and_nearly_everybody_is_found(
    tmp_path: Path, made: Callable[[int, int], Population]
) -> None:
    figures = measure(made(2000, 7), f"sqlite:///{tmp_path}/people.db")

    assert figures.twins >= 5
    assert figures.namesakes > 5
    assert (figures.homonyms, figures.merged_homonyms) == (2, 0)
    assert figures.false_links == 0
    assert figures.recall_link > 0.8
    assert figures.recall_review > 0.98
    assert figures.precision_review > 0.97
    assert figures.in_question < 0.15 * figures.told


@pytest.mark.parametrize("made", [population, port_town])
def test_a_population_is_the_same_for_a_seed_and_has_all_kinds(made: Callable[[int, int], Population]) -> None:
    once, again = made(2000, 3), made(2000, 3)
    told = [one.identity for one in once.told]

    assert (once.people, once.told) == (again.people, again.told)
    assert once.people != made(2000, 4).people
    assert 0.2 < sum("birthplace" not in identity for identity in told) / len(told) < 0.7
    assert any(HOMONYMS in one.errors and one.references for one in once.told)
    assert {"exchanged"} < {error for one in once.told for error in one.errors}


def test_the_figures_are_data_for_programs_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--people", "100", "--seed", "1", "2", "--json"]) == 0

    figures = json.loads(capsys.readouterr().out)
    assert list(figures) == list(POPULATIONS)
    assert (figures["a suburb"]["people"], figures["a suburb"]["false_links"]) == (200, 0)


def test_a_lever_is_off_only_while_it_is_tried() -> None:
    costs, frequent = matching.COSTS, matching.MOST_NAMESAKES

    for lever in LEVERS:
        with without(lever):
            assert getattr(matching, LEVERS[lever][0]) is LEVERS[lever][1]

    assert (costs, frequent) == (matching.COSTS, matching.MOST_NAMESAKES)


def test_the_page_has_the_figures_as_they_are_reported(tmp_path: Path) -> None:
    figures = {
        town: measure(made(200, 1), f"sqlite:///{tmp_path}/{made.__name__}.db") for town, made in POPULATIONS.items()
    }
    levers = dict.fromkeys(("nothing", *LEVERS), figures)
    page = PAGE.read_text(encoding="utf-8")

    for begin, end, made in (
        (BEGIN, END, report(figures, "python -m benchmarks.matching")),
        (LEVERS_BEGIN, LEVERS_END, report_levers(levers, "python -m benchmarks.matching")),
    ):
        block = page[page.index(begin) : page.index(end) + len(end)]
        assert _form(block) == _form(made)


def _form(block: str) -> str:
    return re.sub(r"[\d,.]+", "N", re.sub("`python.*`:", "", block))
