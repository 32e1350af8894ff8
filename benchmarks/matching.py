"""`python -m benchmarks.matching`: how well the hub matches people, on two populations that do not exist.

The people are made known as by a register, then each thing that packages say is put to the matching as at the door,
with nothing written, so that no answer depends on the one before. Another population is measured by `measure`.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.matching_levers import LEVERS, without
from benchmarks.population import HOMONYMS, Identity, Population, References, Told, population
from benchmarks.port_town import port_town
from bus.ledger import Ledger, Transaction
from hub.citizens.identities import People
from hub.citizens.matching import LINK, REVIEW
from hub.citizens.repository import Citizens
from hub.storage.person_keys import PersonKeys
from schemas.identities import read_identity

PAGE = Path(__file__).parents[1] / "docs" / "citizens.md"
TENANT = "saint-aubin"
BEGIN, END = "<!-- figures: made by python -m benchmarks.matching --report -->", "<!-- end of figures -->"
LEVERS_BEGIN, LEVERS_END = (
    BEGIN.replace("figures", "levers", 1).replace("--report", "--levers --report"),
    "<!-- end of levers -->",
)
POPULATIONS: Mapping[str, Callable[[int, int], Population]] = {"a suburb": population, "a port town": port_town}
_TOGETHER = 500


@dataclass(slots=True)
class Figures:
    """`linked`, `asked`: pairs of what was told and a person, by the hub alone or as a question; `right_…`: those that
    are the same person. `merged_known`: people of the register taken for one. `homonyms`: people of one system whom
    only its identifiers tell apart, told or known; `merged_homonyms`: those linked alone."""

    people: int
    known: int
    strangers: int
    twins: int
    namesakes: int
    homonyms: int = 0
    exact: int = 0
    linked: int = 0
    right_linked: int = 0
    asked: int = 0
    right_asked: int = 0
    in_question: int = 0
    merged_known: int = 0
    merged_homonyms: int = 0
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

    @property
    def told(self) -> int:
        return self.known + self.strangers

    def to_dict(self) -> dict[str, Any]:
        shares = ("precision_link", "recall_link", "precision_review", "recall_review", "false_links")
        return {one.name: getattr(self, one.name) for one in fields(self)} | {
            name: getattr(self, name) for name in shares
        }


def pooled(several: Sequence[Figures]) -> Figures:
    """All of them as one: numbers added, times on the average."""
    whole = Figures(**{one.name: sum((getattr(f, one.name) for f in several), Counter() if one.name == "missed" else 0)
                       for one in fields(Figures)})  # fmt: skip
    whole.keep_ms, whole.place_ms = whole.keep_ms / len(several), whole.place_ms / len(several)
    return whole


def measure(made: Population, url: str) -> Figures:
    """Fill a new database with the people of the population, and put what was told to it."""
    known = sum(told.who is not None for told in made.told)
    figures = Figures(len(made.people), known, len(made.told) - known, made.twins, made.namesakes)
    figures.homonyms = sum(HOMONYMS in told.errors for told in made.told)
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
        _as_record(identity, (("registre", str(place)), *made.references.get(place, ())))
        for place, identity in enumerate(made.people[start : start + _TOGETHER], start)
    ]
    book.prefetch(TENANT, persons)
    for place, person in enumerate(persons, start):
        citizen = book.resolve(TENANT, person)
        figures.merged_known += citizen.id in ids
        figures.merged_homonyms += citizen.id in ids and place in made.references
        ids.setdefault(citizen.id, place)
    book.save()


def _as_record(identity: Identity, references: References) -> dict[str, Any]:
    """As the door reads it."""
    record = {"identity": read_identity(identity)}
    return record | (
        {"references": [{"system": s, "id": native_id} for s, native_id in references]} if references else {}
    )


def _judge(tx: Transaction, people: People, told: Told, ids: dict[str, int], figures: Figures) -> None:
    person = _as_record(told.identity, told.references)
    book = Citizens(tx, people.pepper, people)
    book.prefetch(TENANT, [person])
    linked = book.check(TENANT, person)
    assert book.identities is not None
    if linked is not None:
        figures.exact += linked in book.named(TENANT, person)
        figures.linked += 1
        figures.right_linked += ids[linked] == told.who
        figures.merged_homonyms += HOMONYMS in told.errors
        return
    likely = book.identities.match_newcomer(TENANT, person).doubts
    doubts = {*book.named(TENANT, person), *(other for other, _ in likely)}
    figures.in_question += bool(doubts)
    figures.asked += len(doubts)
    right = any(ids[other] == told.who for other in doubts)
    figures.right_asked += right
    if told.who is not None and not right:
        figures.missed.update([", ".join(told.errors) or "no error"])


def report(made: Mapping[str, Figures], command: str) -> str:
    """The figures as they stand on the page."""
    rows: list[tuple[str, Callable[[Figures], str]]] = [
        ("people known", lambda f: f"{f.people:,}"),
        ("twins, namesakes", lambda f: f"{f.twins:,}, {f.namesakes:,}"),
        ("told of the known, of strangers", lambda f: f"{f.known:,}, {f.strangers:,}"),
        (f"linked by the hub (score {LINK} and above)", lambda f: f"{f.recall_link:.4f}"),
        ("… of which by the very same identity", lambda f: f"{f.exact:,}"),
        (f"linked or asked (score {REVIEW} and above)", lambda f: f"{f.recall_review:.4f}"),
        ("wrong links", lambda f: f"{f.false_links} of {f.linked:,}"),
        ("homonyms of one system linked", lambda f: f"{f.merged_homonyms} of {f.homonyms}"),
        ("questions", lambda f: f"{f.in_question / f.told:.1%}"),
        ("people to look at for each", lambda f: f"{f.asked / max(1, f.in_question):.2f}"),
        ("keeping somebody new (SQLite)", lambda f: f"{f.keep_ms:.2f} ms"),
        ("finding somebody, of the processor, median", lambda f: f"{f.place_ms:.2f} ms"),
    ]
    table = _table(["", *made], [[name, *(said(figures) for figures in made.values())] for name, said in rows])
    return f"{BEGIN}\n`{command}`:\n\n{table}\n{END}"


def report_levers(made: Mapping[str, Mapping[str, Figures]], command: str) -> str:
    """What each lever gives: by lever, and by population, the figures without it."""
    header = ["without", *(f"{town}: linked, asked too, wrong, questions" for town in next(iter(made.values())))]
    rows = [[lever, *(_short(figures) for figures in by_town.values())] for lever, by_town in made.items()]
    return f"{LEVERS_BEGIN}\n`{command}`:\n\n{_table(header, rows)}\n{LEVERS_END}"


def _short(figures: Figures) -> str:
    asked = figures.in_question / figures.told
    return f"{figures.recall_link:.3f}, {figures.recall_review:.3f}, {figures.false_links}, {asked:.1%}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


def _measured(made: Callable[[int, int], Population], size: int, seeds: Sequence[int]) -> Figures:
    found = []
    for seed in seeds:
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(made(size, seed), f"sqlite:///{folder}/people.db"))
    return pooled(found)


def _lines(town: str, figures: Figures) -> Iterator[str]:
    yield f"{town}: {figures.told:,} told"
    yield f"precision {figures.precision_link:.5f} / {figures.precision_review:.4f}"
    yield f"recall    {figures.recall_link:.4f} / {figures.recall_review:.4f}"
    yield f"wrong links {figures.false_links} of {figures.linked:,}, questions {figures.in_question / figures.told:.1%}"
    yield f"homonyms of one system linked {figures.merged_homonyms} of {figures.homonyms}"
    yield f"found in {figures.place_ms:.2f} ms"
    for errors, count in figures.missed.most_common(12):
        yield f"  not found {count:4} {errors}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.matching")
    parser.add_argument("--people", type=int, default=20_000)
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="several are pooled")
    parser.add_argument("--levers", action="store_true", help="what each rule gives: switched off, one after the other")
    parser.add_argument("--report", action="store_true", help="write the figures into docs/citizens.md")
    parser.add_argument("--json", action="store_true", dest="as_json")
    options = parser.parse_args(argv)
    command = " ".join(["python -m benchmarks.matching", *(word for word in argv if word != "--report")])
    if options.levers:
        return _compare_levers(options, command)
    made = {town: _measured(one, options.people, options.seed) for town, one in POPULATIONS.items()}
    if options.as_json:
        print(json.dumps({town: figures.to_dict() for town, figures in made.items()}))
    else:
        print("\n\n".join("\n".join(_lines(town, figures)) for town, figures in made.items()))
    if options.report:
        _write(report(made, command), BEGIN, END)
    return 1 if any(figures.false_links * 10_000 > figures.linked for figures in made.values()) else 0


def _compare_levers(options: argparse.Namespace, command: str) -> int:
    made: dict[str, dict[str, Figures]] = {}
    for lever in ("", *LEVERS):
        with without(lever):
            made[lever or "nothing"] = {
                town: _measured(one, options.people, options.seed) for town, one in POPULATIONS.items()
            }
        print(lever or "nothing", *(_short(figures) for figures in made[lever or "nothing"].values()), sep=" | ")
    if options.report:
        _write(report_levers(made, command), LEVERS_BEGIN, LEVERS_END)
    return 0


def _write(block: str, begin: str, end: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(re.sub(f"{begin}.*{end}", lambda _: block, page, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
