"""`python -m benchmarks.matching`: how well the hub matches people, on a population that does not exist.

The people are made known as by a register, then each thing that packages say is put to the matching as at the door,
with nothing written, so that no answer depends on the one before.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.population import Population, References, Told, population
from bus.ledger import Ledger, Transaction
from hub.citizens.identities import People
from hub.citizens.matching import LINK, REVIEW
from hub.citizens.repository import Citizens
from hub.storage.person_keys import PersonKeys

PAGE = Path(__file__).parents[1] / "docs" / "citizens.md"
TENANT = "saint-aubin"
BEGIN, END = "<!-- figures: made by python -m benchmarks.matching --report -->", "<!-- end of figures -->"
_TOGETHER = 500


@dataclass(slots=True)
class Figures:
    """`linked`, `asked`: pairs of what was told and a person, by the hub alone or as a question; `right_…`: those that
    are the same person. `merged_known`: people of the register taken for one."""

    people: int
    known: int
    strangers: int
    twins: int
    namesakes: int
    exact: int = 0
    linked: int = 0
    right_linked: int = 0
    asked: int = 0
    right_asked: int = 0
    in_question: int = 0
    merged_known: int = 0
    keep_ms: float = 0.0
    place_ms: float = 0.0
    missed: Counter[str] = field(default_factory=Counter)

    @property
    def false_links(self) -> int:
        return self.linked - self.right_linked + self.merged_known

    @property
    def precision_link(self) -> float:
        return self.right_linked / max(1, self.linked)

    @property
    def recall_link(self) -> float:
        return self.right_linked / max(1, self.known)

    @property
    def precision_review(self) -> float:
        return (self.right_linked + self.right_asked) / max(1, self.linked + self.asked)

    @property
    def recall_review(self) -> float:
        return (self.right_linked + self.right_asked) / max(1, self.known)

    def to_dict(self) -> dict[str, Any]:
        shares = ("precision_link", "recall_link", "precision_review", "recall_review", "false_links")
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            name: getattr(self, name) for name in shares
        }


def measure(made: Population, url: str) -> Figures:
    """Fill a new database with the people of the population, and put what was told to it."""
    known = sum(told.who is not None for told in made.told)
    figures = Figures(len(made.people), known, len(made.told) - known, made.twins, made.namesakes)
    ledger = Ledger(url)
    ledger.create()
    people = People(PersonKeys(b"benchmark key of 32 bytes, free."), b"pepper", b"r" * 32)
    try:
        began = time.perf_counter()
        ids: dict[str, int] = {}
        for start in range(0, len(made.people), _TOGETHER):
            with ledger.transaction() as tx:
                _register(tx, people, made, start, ids, figures)
        figures.keep_ms = 1000 * (time.perf_counter() - began) / len(made.people)
        took = []
        for told in made.told:
            began = time.process_time()
            with ledger.reading() as tx:
                _judge(tx, people, told, ids, figures)
            took.append(time.process_time() - began)
        figures.place_ms = 1000 * median(took)
    finally:
        ledger.close()
    return figures


def _register(
    tx: Transaction, people: People, made: Population, start: int, ids: dict[str, int], figures: Figures
) -> None:
    book = Citizens(tx, people.pepper, people)
    persons = [
        {"identity": identity, "references": _as_records((("registre", str(place)), *made.references.get(place, ())))}
        for place, identity in enumerate(made.people[start : start + _TOGETHER], start)
    ]
    book.prefetch(TENANT, persons)
    for place, person in enumerate(persons, start):
        citizen = book.resolve(TENANT, person)
        figures.merged_known += citizen.id in ids
        ids.setdefault(citizen.id, place)
    book.save()


def _as_records(references: References) -> list[dict[str, str]]:
    return [{"system": system, "id": native_id} for system, native_id in references]


def _judge(tx: Transaction, people: People, told: Told, ids: dict[str, int], figures: Figures) -> None:
    person: dict[str, Any] = {"identity": told.identity}
    if told.references:
        person["references"] = _as_records(told.references)
    book = Citizens(tx, people.pepper, people)
    book.prefetch(TENANT, [person])
    linked = book.check(TENANT, person)
    assert book.identities is not None
    if linked is not None:
        figures.exact += linked in book.named(TENANT, person)
        figures.linked += 1
        figures.right_linked += ids[linked] == told.who
        return
    doubts = {
        *book.named(TENANT, person),
        *(other for other, _ in book.identities.match_newcomer(TENANT, person).doubts),
    }
    figures.in_question += bool(doubts)
    figures.asked += len(doubts)
    right = any(ids[other] == told.who for other in doubts)
    figures.right_asked += right
    if told.who is not None and not right:
        figures.missed.update([", ".join(told.errors) or "no error"])


def report(figures: Figures, command: str) -> str:
    """The figures as they stand on the page."""
    told = figures.known + figures.strangers
    rows = [
        ("", f"linked by the hub (score {LINK} and above)", f"linked or asked (score {REVIEW} and above)"),
        ("---", "---", "---"),
        ("precision", f"{figures.precision_link:.4f}", f"{figures.precision_review:.4f}"),
        ("recall", f"{figures.recall_link:.4f}", f"{figures.recall_review:.4f}"),
        ("false merges", str(figures.false_links), "none: an operator decides"),
    ]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""{BEGIN}
`{command}`: {figures.people:,} people, {figures.twins:,} twins and {figures.namesakes:,} namesakes made among them and
the strangers. {told:,} things told: {figures.known:,} about the known, {figures.strangers:,} about strangers.

{table}

{figures.exact:,} were known by the very same identity. {figures.in_question:,} of {told:,} were a question
({figures.in_question / told:.1%}), with {figures.asked / max(1, figures.in_question):.2f} people to look at each.
Keeping somebody new took {figures.keep_ms:.2f} ms, finding where somebody belongs {figures.place_ms:.2f} ms (SQLite,
one after the other; finding: of the processor, at the median).
{END}"""


def _lines(figures: Figures) -> Iterator[str]:
    yield f"precision {figures.precision_link:.4f} / {figures.precision_review:.4f}"
    yield f"recall    {figures.recall_link:.4f} / {figures.recall_review:.4f}"
    yield f"false merges {figures.false_links}, questions {figures.in_question}"
    for errors, count in figures.missed.most_common(12):
        yield f"  not found {count:4} {errors}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching")
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", action="store_true", help="write the figures into docs/citizens.md")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(population(options.people, options.seed), f"sqlite:///{folder}/people.db")
    if options.as_json:
        print(json.dumps(figures.to_dict()))
    else:
        print("\n".join(_lines(figures)))
    if options.report:
        page = PAGE.read_text(encoding="utf-8")
        command = " ".join(["python -m benchmarks.matching", *(word for word in argv if word != "--report")])
        block = report(figures, command)
        PAGE.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: block, page, flags=re.DOTALL), encoding="utf-8")
    return 1 if figures.false_links else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
