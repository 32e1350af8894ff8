"""Whom each line of a file of links names: somebody known, perhaps somebody known, somebody new, or two people at once.

A line is judged by the book by which events are read (`hub.citizens.repository`), and by the same comparison: report
and writing cannot differ but for what happened in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sqlalchemy import select

from bus.ledger import Transaction, parts
from hub.acceptance.accept import Acceptance
from hub.acceptance.rules import withhold
from hub.citizens.identities import People
from hub.citizens.matching import REVIEW, Form, compare
from hub.operations.link_file import LinkFile, LinkLine, RefusedLine
from hub.requests.repository import Requests
from hub.storage.tables import citizens
from schemas.communes import Communes, shipped_communes
from schemas.errors import InvalidMessage
from schemas.names import fold_name

Verdict = Literal["matched", "doubtful", "new", "contradictory", "refused"]
VERDICTS: tuple[Verdict, ...] = ("matched", "doubtful", "new", "contradictory", "refused")
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


@dataclass(slots=True)
class Disputes:
    """What a file says twice of one identifier of a person. `first`: by identifier, the first line and what it says of
    whom; `two`: by identifier of two people, the first two lines that contradict each other."""

    first: dict[int, tuple[int, int]] = field(default_factory=dict)
    two: dict[int, tuple[int, int]] = field(default_factory=dict)

    @staticmethod
    def of(file: LinkFile, communes: Communes) -> Disputes:
        found, differ = Disputes(), set[int]()
        for line in _personal(file):
            _, before = found.first.setdefault(line.key, (line.line, said_of(line)))
            if before != said_of(line):
                differ.add(line.key)
        forms: dict[int, tuple[int, Form | None]] = {}
        for line in _personal(file) if differ else ():
            if line.key in differ:
                form = Form.of(line.person["identity"])
                first, before_form = forms.setdefault(line.key, (line.line, form))
                if contradicts(form, [before_form], communes):
                    found.two.setdefault(line.key, (first, line.line))
        return found


class Pairing:
    """Some lines against one book. `read` them before they are placed; `save` keeps what was placed."""

    def __init__(self, tx: Transaction, acceptance: Acceptance, tenant: str, disputes: Disputes, origin: str) -> None:
        self._tx, self._acceptance, self._tenant, self._disputes = tx, acceptance, tenant, disputes
        self._people, self._communes = acceptance.people, communes_of(acceptance)
        self._book = acceptance.citizens(tx, origin)
        self._book.how = "import"
        self._forms: dict[str, list[Form | None]] = {}
        self._natives: dict[tuple[str, str], list[str]] = {}  # by citizen and system
        self._made: dict[str, int] = {}  # by citizen that a line of this file made: the line

    def read(self, lines: Sequence[LinkLine]) -> None:
        people = [line.person for line in lines]
        self._book.prefetch(self._tenant, people)
        self._natives = self._book.natives()
        linked = {one for person in people for one in self._book.linked(self._tenant, person)}
        if self._people is not None:
            self._forms |= _forms_of(self._tx, self._people, linked - self._forms.keys())

    def place(self, line: LinkLine) -> Paired:
        """What a line says; where it may be kept, the book knows it from here on."""
        found = self._judged(line)
        if not found.kept:
            return found
        try:
            citizen = self._book.resolve(self._tenant, self._told(line, found))
        except InvalidMessage as error:
            return _paired(line, "contradictory", error.code)
        if found.verdict != "matched":
            self._made.setdefault(citizen.id, line.line)
        if not line.shared:
            given = self._natives.setdefault((citizen.id, line.system), [])
            given += [] if line.native_id in given else [line.native_id]
        return found

    def is_identified(self, line: LinkLine) -> bool:
        """Whether its identity is full enough to be the very same as another."""
        return self._book.is_identified(line.person)

    def save(self) -> None:
        """Keep the links, the people, their questions and their marks."""
        self._book.save()
        marked, cases = self._book.take_fresh_marks(), Requests(self._tx)
        cases.conceal(marked)
        cases.save()
        withhold(self._tx, self._acceptance.directory, self._tenant, marked, cases.concealed)

    def _judged(self, line: LinkLine) -> Paired:
        if line.shared and not self.is_identified(line):
            return _paired(line, "refused", "household_reference", column="id")
        linked = self._book.linked(self._tenant, line.person)
        forms = [form for one in linked for form in self._forms.get(one, ())]
        if contradicts(Form.of(line.person["identity"]), forms, self._communes):
            return _paired(line, "contradictory", "other_person")
        if line.key in self._disputes.two and not forms:
            one, other = self._disputes.two[line.key]
            return _paired(line, "contradictory", "two_people", other=other if line.line == one else one)
        first, _ = self._disputes.first.get(line.key, (line.line, 0))
        repeated = first if first != line.line and line.key not in self._disputes.two else 0
        if linked or repeated:
            return _paired(line, "matched", "repeated" if repeated else "known", other=repeated)
        place = self._book.foresee(self._tenant, line.person)
        if place.citizen_id is not None:
            before = self._made.get(place.citizen_id, 0)
            reason = "likeness" if place.score else "same_line" if before else "identity"
            return _paired(line, "matched", reason, score=place.score, other=before)
        return self._in_doubt(line, *place.asks[0]) if place.asks else _paired(line, "new", "nobody")

    def _in_doubt(self, line: LinkLine, other: str, facts: Mapping[str, Any]) -> Paired:
        """Perhaps it is `other`; surely, where all that differs is that one system has told them apart, and the town
        says that it has done so by mistake."""
        before, natives = self._made.get(other, 0), self._natives.get((other, line.system), [])
        if [field["field"] for field in facts["fields"]] != ["identifier"]:
            return _paired(line, "doubtful", "likeness", score=facts["score"], other=before)
        if any(native.lstrip("0") == line.native_id.lstrip("0") for native in natives):
            return _paired(line, "refused", "zeros_lost", column="id", other=before)
        alone = len(self._book.named(self._tenant, line.person)) == 1
        if line.same_person and alone and natives:
            return _paired(line, "matched", "same_person", other=before)
        return _paired(line, "doubtful", "same_system", other=before)

    def _told(self, line: LinkLine, found: Paired) -> Mapping[str, Any]:
        """With both identifiers, where the town says that one system has given them to one person."""
        if found.reason != "same_person":
            return line.person
        (known,) = self._book.named(self._tenant, line.person)
        beside = {"system": line.system, "id": self._natives[(known, line.system)][0]}
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


def contradicts(form: Form | None, forms: Iterable[Form | None], communes: Communes) -> bool:
    """Whether an identity is none of these. Where either is too thin to be compared, nothing contradicts."""
    scores = [compare(form, other, communes).score for other in forms if form is not None and other is not None]
    return bool(scores) and max(scores) < REVIEW


def _paired(line: LinkLine, verdict: Verdict, reason: str, **more: Any) -> Paired:
    return Paired(line.line, line.system, line.native_id, verdict, reason, marked=line.marked, **more)


def _personal(file: LinkFile) -> Iterator[LinkLine]:
    return (line for line in file.lines() if isinstance(line, LinkLine) and not line.shared)


def _forms_of(tx: Transaction, people: People, ids: Iterable[str]) -> dict[str, list[Form | None]]:
    """All forms of each of these people: their own, and those of who was merged into them."""
    whole = {one: one for one in ids}
    for some in parts(sorted(whole)):
        rows = tx.sql.execute(select(citizens.c.id, citizens.c.merged_into).where(citizens.c.merged_into.in_(some)))
        whole |= {row.id: row.merged_into for row in rows}
    found: dict[str, list[Form | None]] = defaultdict(list)
    for some in parts(sorted(whole)):
        for one, identity in people.identities(tx, some).items():
            found[whole[one]].append(Form.of(identity))
    return {one: found.get(one, []) for one in set(whole.values())}
