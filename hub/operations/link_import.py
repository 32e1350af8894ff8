"""The small link table: which identifier, in which system, is which citizen. Read from a file of the town: first a
report that writes nothing, then, part by part, what of it may be kept.

An import has an id. Its links say that they came by it, so that it can be taken back as one.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import Acceptance
from hub.operations.link_file import LinkFile, LinkLine, RefusedLine
from hub.operations.link_pairing import VERDICTS, Disputes, Paired, Pairing, communes_of, refused, said_of
from schemas.errors import InvalidMessage

AT_ONCE = 200  # lines in one transaction: others have their turn at the door in between
LOOKED_UP = 1_000  # lines of a report that are looked up at once
IN_MIND = 10_000  # lines of a file that are compared with each other by likeness before anything is written
Note = Callable[[Transaction, Mapping[str, Any]], None]


@dataclass(slots=True)
class Report:
    """What became of a file, or would: how many lines by verdict, and each of them. `import_id`: empty where nothing
    was written."""

    import_id: str = ""
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(VERDICTS, 0)))
    systems: Counter[str] = field(default_factory=Counter)
    lines: list[Paired] = field(default_factory=list)

    def add(self, paired: Paired) -> None:
        self.lines.append(paired)
        self.counts[paired.verdict] += 1
        if paired.system:
            self.systems[paired.system] += 1

    @property
    def kept(self) -> int:
        return sum(one.kept for one in self.lines)

    @property
    def left(self) -> list[Paired]:
        """The lines that are not kept."""
        return [one for one in self.lines if not one.kept]

    @property
    def lost_marks(self) -> int:
        """How many lines that are not kept would keep somebody confidential, as far as they can be read."""
        return sum(one.marked for one in self.left)


class LinkImport:
    """One file of one town. Raises InvalidMessage `not_a_link_file` for what is none."""

    def __init__(self, ledger: Ledger, acceptance: Acceptance, tenant: str, content: bytes | str) -> None:
        self._ledger, self._acceptance, self._tenant = ledger, acceptance, tenant
        declared = acceptance.directory.identifiers(tenant)
        self._file = LinkFile(content, acceptance.registry.schema_set, declared)
        self._disputes = Disputes.of(self._file, communes_of(acceptance))
        self.id = secrets.token_hex(6)

    def report(self) -> Report:
        """What would become of each line. Writes nothing, and keeps nobody from the door."""
        report, newcomers = Report(), _Newcomers()
        lines = self._file.lines()
        while some := list(islice(lines, IN_MIND)):
            with self._ledger.reading() as tx:
                pairing = self._pairing(tx)
                for part in _parts(some, LOOKED_UP):
                    for paired in self._placed(pairing, part, newcomers):
                        report.add(paired)
        report.lines.sort(key=lambda one: one.line)
        return report

    def write(self, note: Note = lambda tx, facts: None) -> Iterator[Report]:
        """Keep what may be kept, each part in a commit of its own, and tell after each what was done so far. `note` is
        called in the same commit, with the facts of the part for the journal. Written again, a file changes nothing."""
        report, lines = Report(self.id), self._file.lines()
        while part := list(islice(lines, AT_ONCE)):
            with self._ledger.transaction() as tx:
                tx.hold_door()
                pairing = self._pairing(tx)
                placed = list(self._placed(pairing, part))
                pairing.save()
                kept = sum(one.kept for one in placed)
                note(tx, {"import": self.id, "from": placed[0].line, "to": placed[-1].line, "kept": kept})
            for paired in placed:
                report.add(paired)
            yield report

    def _pairing(self, tx: Transaction) -> Pairing:
        return Pairing(tx, self._acceptance, self._tenant, self._disputes, f"import:{self.id}")

    def _placed(
        self, pairing: Pairing, part: list[LinkLine | RefusedLine], newcomers: _Newcomers | None = None
    ) -> Iterator[Paired]:
        pairing.read([line for line in part if isinstance(line, LinkLine)])
        for line in part:
            if isinstance(line, RefusedLine):
                yield refused(line)
                continue
            paired = pairing.place(line)
            known = newcomers is not None and pairing.is_identified(line)
            yield newcomers.seen(line, paired) if newcomers is not None and known else paired


class _Newcomers:
    """Who is new by a line further up in a long file, under the very same identity."""

    def __init__(self) -> None:
        self._lines: dict[int, int] = {}
        self._systems: set[tuple[int, str]] = set()

    def seen(self, line: LinkLine, paired: Paired) -> Paired:
        said = said_of(line)
        if paired.verdict == "new":
            first = self._lines.setdefault(said, line.line)
            twice = (said, line.system) in self._systems and not line.same_person
            paired = _again(paired, first, same_system=twice) if first != line.line else paired
        if paired.kept:
            self._systems.add((said, line.system))
        return paired


def import_links(ledger: Ledger, acceptance: Acceptance, tenant: str, content: bytes | str) -> int:
    """Keep the links of a file in which nothing is wrong; how many lines. InvalidMessage names the first line that is
    wrong, and says nothing of what it holds: then nothing is kept."""
    one = LinkImport(ledger, acceptance, tenant, content)
    for paired in one.report().left:
        said = ": ".join(part for part in (paired.column, paired.sentence or paired.reason) if part)
        code = "not_a_link_file" if paired.verdict == "refused" else paired.reason
        raise InvalidMessage(f"line {paired.line}: {said}", code=code)
    kept = 0
    for report in one.write():
        kept = report.kept
    return kept


def _again(paired: Paired, first: int, *, same_system: bool) -> Paired:
    if same_system:
        return replace(paired, verdict="doubtful", reason="same_system", other=first)
    return replace(paired, verdict="matched", reason="same_line", other=first)


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))
