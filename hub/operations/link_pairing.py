"""Whom each line of a file of links names: somebody known, perhaps somebody known, somebody new, or two people at once.

A line is judged by the book by which events are read (`hub.citizens.repository`), and by the same comparison: report
and writing cannot differ but for what happened in between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from bus.ledger import Transaction
from hub.acceptance.accept import Acceptance
from hub.acceptance.rules import withhold
from hub.citizens.catch_ups import ask_for_known
from hub.citizens.matching import Comparison, Form, compare
from hub.operations.link_file import LinkLine, RefusedLine
from hub.requests.repository import Requests
from schemas.communes import Communes, shipped_communes
from schemas.errors import InvalidMessage
from schemas.names import fold_name

Verdict = Literal["matched", "doubtful", "new", "contradictory", "refused"]
VERDICTS: tuple[Verdict, ...] = ("matched", "doubtful", "new", "contradictory", "refused")
Ask = Callable[[Collection[str]], None]
KEPT = ("matched", "doubtful", "new")


@dataclass(frozen=True, slots=True)
class Paired:
    """What a line says, or would say. `reason`: a code (docs/citizens.md). `column`: of what was refused. `other`: the
    line of the file that says the same, or the contrary; `score`: of a likeness. `marked`: it names somebody who must
    be kept confidential."""

    line: int
    system: str
    native_id: str
    verdict: Verdict
    reason: str
    column: str = ""
    other: int = 0
    score: int = 0
    marked: bool = False
    sentence: str = ""

    @property
    def kept(self) -> bool:
        return self.verdict in KEPT

    @property
    def why(self) -> str:
        """`likeness 92, line 4`; `schema_violation: birthdate`."""
        said = self.reason + (f": {self.column}" if self.column else "") + (f" {self.score}" if self.score else "")
        return said + (f", line {self.other}" if self.other else "")


class Lines(Protocol):
    """What is paired: gone through as often as need be, each time in the same order."""

    def lines(self) -> Iterator[LinkLine | RefusedLine]: ...


@dataclass(slots=True)
class Disputes:
    """What a file says twice of one identifier of a person. `first`: by identifier, the first line and what it says of
    whom; `two`: by identifier of two people, the first two lines that contradict each other."""

    first: dict[int, tuple[int, int]] = field(default_factory=dict)
    two: dict[int, tuple[int, int]] = field(default_factory=dict)

    @staticmethod
    def of(file: Lines, communes: Communes) -> Disputes:
        found, differ = Disputes(), set[int]()
        for line in _personal(file):
            _, before = found.first.setdefault(line.key, (line.line, said_of(line)))
            if before != said_of(line):
                differ.add(line.key)
        forms: dict[int, tuple[int, Form | None]] = {}
        for line in _personal(file) if differ else ():
            if line.key in differ:
                form = Form.of(line.person["identity"])
                first, known = forms.setdefault(line.key, (line.line, form))
                if form is not None and known is not None and compare(form, known, communes).verdict == "new":
                    found.two.setdefault(line.key, (first, line.line))
        return found


class Pairing:
    """Some lines against one book. `read` them before they are placed; `save` keeps what was placed. `opens`: whether
    somebody of whom nothing is known becomes a citizen; else they stay `new`, and nothing is kept of them here. `ask`:
    asks that these citizens, who got a link, be told later to whoever lacks what is known of them.
    `joined`: the citizens who got an identifier; `known`: those who had it."""

    def __init__(
        self, tx: Transaction, acceptance: Acceptance, tenant: str, disputes: Disputes, origin: str, *,
        how: str = "import", opens: bool = True, ask: Ask | None = None,
    ) -> None:  # fmt: skip
        self._tx, self._acceptance, self._tenant, self._disputes = tx, acceptance, tenant, disputes
        self._opens = opens
        self._ask = ask or (lambda ids: ask_for_known(tx, tenant, ids, cause="import"))
        self._book = acceptance.citizens(tx, origin)
        self._book.how = how
        self.joined: list[str] = []
        self.known: list[str] = []
        self._natives: dict[tuple[str, str], list[str]] = {}  # by citizen and system
        self._made: dict[str, int] = {}  # by citizen that a line of this file made: the line

    def read(self, lines: Sequence[LinkLine]) -> None:
        people = [line.person for line in lines]
        self._book.prefetch(self._tenant, people)
        self._natives = self._book.natives()

    def place(self, line: LinkLine) -> Paired:
        """What a line says; where it may be kept, the book knows it from here on."""
        try:
            found = self._judged(line)
            if not found.kept or (found.verdict == "new" and not self._opens):
                return found
            citizen = self._book.resolve(self._tenant, self._told(line, found))
        except InvalidMessage as error:
            return _paired(line, "contradictory", error.code)
        if found.verdict == "matched":
            (self.known if found.reason in ("known", "repeated") else self.joined).append(citizen.id)
        else:
            self._made.setdefault(citizen.id, line.line)
        if not line.shared:
            given = self._natives.setdefault((citizen.id, line.system), [])
            given += [] if line.native_id in given else [line.native_id]
        return found

    def says(self, line: LinkLine) -> int | None:
        """What a line says of a person, among those of the same sectors, for comparison within one run; None where the
        identity is not full enough to be the very same as another."""
        group = self._acceptance.directory.grouping(self._tenant, "")
        sectors = group(line.person) if group is not None else ""
        return hash((said_of(line), sectors)) if self._book.is_identified(line.person) else None

    def save(self) -> None:
        """Keep the links, the people, their questions and their marks. What is known of those who got a link is told to
        whoever lacks it, later."""
        self._ask({one for one, _ in self._book.newly_linked()})
        self._book.save()
        marked, cases = self._book.take_fresh_marks(), Requests(self._tx)
        cases.conceal(marked)
        cases.save()
        withhold(self._tx, self._acceptance.directory, self._acceptance.news, self._tenant, marked, cases.concealed)

    def _judged(self, line: LinkLine) -> Paired:
        if line.shared and not self._book.is_identified(line.person):
            return _paired(line, "refused", "household_reference", column="id")
        compared = self._compared(line)
        if compared and all(one.verdict == "new" for one in compared):
            return _paired(line, "contradictory", "other_person")
        if line.key in self._disputes.two and not compared:
            one, other = self._disputes.two[line.key]
            return _paired(line, "contradictory", "two_people", other=other if line.line == one else one)
        first, _ = self._disputes.first.get(line.key, (line.line, 0))
        repeated = first if first != line.line and line.key not in self._disputes.two else 0
        linked = self._book.linked(self._tenant, line.person)
        if linked or (repeated and self._opens):
            return _paired(line, "matched", "repeated" if repeated else "known", other=repeated)
        return self._foreseen(line)

    def _compared(self, line: LinkLine) -> list[Comparison]:
        """What a line says of somebody, with each form of whom its identifier names."""
        linked, identities = self._book.linked(self._tenant, line.person), self._book.identities
        if identities is None:
            return []
        return [each for one in linked for each in identities.compare_with(self._tenant, line.person, one)]

    def _foreseen(self, line: LinkLine) -> Paired:
        place = self._book.foresee(self._tenant, line.person)
        if place.citizen_id is not None:
            before = self._made.get(place.citizen_id, 0)
            reason = "likeness" if place.score else "same_line" if before else "identity"
            return _paired(line, "matched", reason, score=place.score, other=before)
        apart = [(other, natives) for other, facts in place.asks if (natives := self._told_apart(line, other, facts))]
        if apart:
            return self._of_one_system(line, *apart[0], alone=len(apart) == 1)
        if not place.asks:
            return _paired(line, "new", "nobody")
        other, facts = place.asks[0]
        return _paired(line, "doubtful", "likeness", score=facts["score"], other=self._made.get(other, 0))

    def _told_apart(self, line: LinkLine, other: str, facts: Mapping[str, Any]) -> list[str]:
        """What the system of a line calls somebody of whom it says the very same, by another identifier."""
        if {field["field"] for field in facts["fields"] if field["cost"]} != {"identifier"}:
            return []
        if (known := self._natives.get((other, line.system))) is None and self._acceptance.people is not None:
            native = self._acceptance.people.native_ids(self._tx, self._tenant, other).get(line.system)
            known = self._natives[(other, line.system)] = [native] if native else []
        return known or []

    def _of_one_system(self, line: LinkLine, other: str, natives: Sequence[str], *, alone: bool) -> Paired:
        """Two identifiers of one system are two people, unless the town says that it is a mistake."""
        before = self._made.get(other, 0)
        if any(native.lstrip("0") == line.native_id.lstrip("0") for native in natives):
            return _paired(line, "refused", "zeros_lost", column="id", other=before)
        if line.same_person and alone:
            return _paired(line, "matched", "same_person", other=before)
        return _paired(line, "doubtful", "same_system", other=before)

    def _told(self, line: LinkLine, found: Paired) -> Mapping[str, Any]:
        """With both identifiers, where the town says that one system has given them to one person. Of somebody whom the
        identifier names already a file changes no name: it may be an old one."""
        if found.reason in ("known", "repeated") and self._compared(line):
            return {name: part for name, part in line.person.items() if name != "identity"}
        if found.reason != "same_person":
            return line.person
        asks = self._book.foresee(self._tenant, line.person).asks
        (natives,) = filter(None, (self._told_apart(line, other, facts) for other, facts in asks))
        beside = {"system": line.system, "id": natives[0]}
        return {**line.person, "references": [*line.person["references"], beside]}


def communes_of(acceptance: Acceptance) -> Communes:
    return acceptance.people.communes if acceptance.people is not None else shipped_communes()


def refused(line: RefusedLine) -> Paired:
    return Paired(
        line.line, line.system, line.native_id, "refused", line.code, line.column, marked=line.marked,
        sentence=line.sentence,
    )  # fmt: skip


def said_of(line: LinkLine) -> int:
    """What a line says of the person, for comparison within one run: the same number, the same identity."""
    identity = line.person["identity"]
    names = [fold_name(name) for name in (identity["family_name"], *identity["given_names"])]
    return hash((*names, *(identity.get(name) for name in ("gender", "birthdate", "birthplace"))))


def _paired(line: LinkLine, verdict: Verdict, reason: str, **more: Any) -> Paired:
    return Paired(line.line, line.system, line.native_id, verdict, reason, marked=line.marked, **more)


def _personal(file: Lines) -> Iterator[LinkLine]:
    return (line for line in file.lines() if isinstance(line, LinkLine) and not line.shared)
