"""Whatever three packages say, take, refuse and replay of people who are linked and merged meanwhile: in the end each
has what is known now, nobody was given the same twice in a row, and nothing older came after something newer."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st

from bus.ledger import Ledger
from bus.tables import DELIVERED, REFUSED
from schemas.errors import InvalidMessage
from tests.hub.citizens.town import BY, TOWN
from tests.hub.news.town import READERS, Readers, home, said

STREETS = ("rue Neuve", "rue Vieille", "rue Autre")
DAY = 86_400
says = st.tuples(st.just("says"), st.sampled_from(READERS), st.sampled_from(STREETS), st.integers(-2, 0))
ends = st.tuples(st.just("ends"), st.sampled_from(READERS), st.sampled_from([DELIVERED, DELIVERED, REFUSED]))
replays = st.tuples(st.just("replays"), st.sampled_from(READERS))
others = st.sampled_from([("links",), ("merges",), ("restates",)])
NO_SHRINKING = (Phase.explicit, Phase.reuse, Phase.generate)  # of steps that each take a commit
STEPS = st.lists(st.one_of(says, says, ends, replays, others), max_size=14)


@dataclass
class World:
    """`holds`: the street that each package has; `given`: the streets that it was given, each with the number of the
    statement of which it is; `refused`: the events that it refused, last."""

    town: Readers
    holds: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(READERS))
    took: dict[str, list[str]] = field(default_factory=lambda: {name: [] for name in READERS})
    dates: dict[str, str] = field(default_factory=lambda: dict.fromkeys(READERS, ""))
    refused: dict[str, int] = field(default_factory=dict)
    merged: bool = False
    linked: bool = False
    day: int = 0

    def who(self, name: str) -> str:
        return "2" if name == "famille" and not self.linked else "1"

    def says(self, by: str, street: str, back: int) -> None:
        self.day += 1
        now = self.town.ledger.now()
        self.town.ledger.now = lambda: now + DAY
        if by == "famille" and not (self.linked or self.merged):
            return
        date = f"2026-{1 + (60 + self.day + back) // 28:02}-{1 + (60 + self.day + back) % 28:02}T10:00:00Z"
        verdict = self.town.tell(by, self.who(by), new_address=said(home(street), by, date))
        if verdict.outcome != "echo" or street == current(self.town):  # else it is a late export of what it no more has
            self.holds[by], self.dates[by] = street, date
            self.took[by].append("")

    def ends(self, name: str, state: str) -> None:
        for seq in self.town.waiting(name)[:1]:
            shown = self.town.end(name, seq, state)
            if "new_address" not in shown:  # of a merge
                continue
            if state == REFUSED:
                self.refused[name] = seq
                continue
            street = shown["new_address"]["value"]["street"]
            assert self.took[name][-1:] != [street], f"{name} was given the same twice"
            date = shown["new_address"]["date"]
            assert date >= self.dates[name] or street == self.holds[name], f"{name} was given something older"
            self.dates[name] = max(date, self.dates[name])
            self.took[name].append(street)
            self.holds[name] = street

    def replays(self, name: str) -> None:
        if name in self.refused:
            try:
                self.town.replay(name, self.refused.pop(name))
            except InvalidMessage as error:
                assert error.code == "overtaken"  # noqa: PT017 (either may be)

    def links(self) -> None:
        if not (self.linked or self.merged):
            self.town.link("1", "famille")
            self.linked = True

    def merges(self) -> None:
        if not (self.linked or self.merged):
            self.town.link("2", "famille")
            self.town.do(self.town.reviews.merge, TOWN, self.town.id_of("1"), self.town.id_of("2"), BY)
            self.merged = True

    def restates(self) -> None:
        self.town.restate("1")


@contextmanager
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(f"sqlite:///{Path(folder)}/hub.db")
        ledger.create()
        made = World(Readers(ledger))
        made.town.link("1", "publik", "koha")
        yield made
        ledger.close()


def current(town: Readers) -> str | None:
    with town.ledger.reading() as tx:
        for one in town.acceptance.news.known(tx, [town.id_of("1")])[1]:
            if one.now is not None:
                found: str = tx.load([one.now.seq])[one.now.seq].event.data["new_address"]["value"]["street"]
                return found
    return None


@settings(
    max_examples=25, deadline=None, derandomize=True, phases=NO_SHRINKING, suppress_health_check=list(HealthCheck)
)
@given(STEPS)
@example([  # koha says what is first and last on its way to it: what is between them is given up
    ("says", "publik", "rue Neuve", 0), ("says", "publik", "rue Vieille", -1), ("says", "publik", "rue Neuve", 0),
    ("says", "koha", "rue Neuve", -2),
])  # fmt: skip
def test_in_the_end_each_has_what_is_known_now(steps: list[tuple[object, ...]]) -> None:
    note(f"{steps}")
    with world() as made:
        for act, *rest in steps:
            getattr(made, str(act))(*rest)
        for _ in range(4):  # what was refused is said again, and taken
            made.restates()
            for name in READERS:
                while made.town.waiting(name):
                    made.ends(name, DELIVERED)

        known = current(made.town)
        readers = [name for name in READERS if name != "famille" or made.linked or made.merged]
        if known is not None:
            assert {name: made.holds[name] for name in readers} == dict.fromkeys(readers, known)
        assert {one.outcome for one in made.town.restate("1").values()} <= {"silent"}
