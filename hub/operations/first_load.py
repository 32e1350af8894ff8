"""The first load of a connection: whom the people of a package are among those who are known, first as a report, then
part by part as links.

Nobody becomes a citizen by it. Who is nobody's yet waits as a pending pair (`hub.citizens.pending`) for a stated time;
who may be somebody known is a question, as ever. A load has an id: the same file goes on where it was stopped, and all
that came by it is taken back as one.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal, Protocol

import orjson
from sqlalchemy import Row, insert, select, update

from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import Acceptance
from hub.citizens.catch_ups import ask_later
from hub.citizens.identities import Person
from hub.citizens.pending import PendingPairs
from hub.operations.link_file import LineJudge, LinkFile, LinkLine, RefusedLine
from hub.operations.link_pairing import Disputes, Paired, Pairing, communes_of, refused
from hub.storage.tables import citizen_links, loads
from schemas.delivery import Listed
from schemas.errors import InvalidMessage
from schemas.manifest import Manifest

AT_ONCE = 200  # people in one transaction: others have their turn at the door in between
LOOKED_UP = 1_000  # people of a report that are looked up at once
MOST_LISTED = 300_000
LONGEST_REFERENCE = 200  # characters, of an impact assessment
Verdict = Literal["matched", "linked", "doubtful", "unmatched", "contradictory", "refused"]
VERDICTS: tuple[Verdict, ...] = ("matched", "linked", "doubtful", "unmatched", "contradictory", "refused")
_DAY = 86_400.0
Note = Callable[[Transaction, Mapping[str, Any]], None]
"""Writes what was done into the journal, in the commit that did it."""


@dataclass(slots=True)
class LoadReport:
    """What became of the people of a package, or would: how many by verdict, and those lines on which somebody must
    act. `load_id`: "" where nothing was written. `people`: the citizens who were matched, or are linked already.
    `marked`: how many unmatched or left-out lines would keep somebody confidential."""

    load_id: str = ""
    counts: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(VERDICTS, 0)))
    lines: list[Paired] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    marked: int = 0

    def add(self, paired: Paired) -> None:
        verdict = verdict_of(paired)
        self.counts[verdict] += 1
        if verdict in ("doubtful", "contradictory", "refused"):
            self.lines.append(paired)
        self.marked += paired.marked and verdict in ("unmatched", "contradictory", "refused")


class PackageFile:
    """The people of one package in a file: the columns of a file of links but `system`. Raises InvalidMessage
    `not_a_link_file`."""

    def __init__(self, acceptance: Acceptance, connection: str, content: bytes) -> None:
        member = acceptance.directory.connections[connection]
        declared = acceptance.directory.identifiers(member.tenant)
        self._file = LinkFile(content, acceptance.registry.schema_set, declared, system=member.system)
        self.content = hashlib.sha256(content).hexdigest()

    def lines(self) -> Iterator[LinkLine | RefusedLine]:
        return self._file.lines()


class ListedPeople:
    """The people whom a package lists itself, each held to what an event may say of somebody."""

    def __init__(self, acceptance: Acceptance, connection: str, people: Sequence[Person]) -> None:
        member = acceptance.directory.connections[connection]
        declared = acceptance.directory.identifiers(member.tenant)
        judge = LineJudge(acceptance.registry.schema_set, declared, member.system)
        self._lines = [judge.listed(number, person) for number, person in enumerate(people, 1)]
        said = orjson.dumps([*people], option=orjson.OPT_SORT_KEYS)
        self.content = hashlib.sha256(said).hexdigest()

    def lines(self) -> Iterator[LinkLine | RefusedLine]:
        return iter(self._lines)


class Lister(Protocol):
    """A connection, as far as it can be asked for its people. `hub.connections.Connection` is one."""

    name: str
    manifest: Manifest

    def people(self) -> Iterator[Listed]: ...


def listed_people(acceptance: Acceptance, connection: Lister) -> ListedPeople:
    """All people whom a package lists, a record that it spoils among those that are refused. Raises InvalidMessage
    `no_people_list` where it cannot be asked, `too_many_people`; and what the connector raises: TryLater, AccessDenied,
    Refused."""
    if not connection.manifest.lists_people:
        message = f"the connector {connection.manifest.id} cannot list its people: load a file (--from)"
        raise InvalidMessage(message, code="no_people_list")
    people: list[Person] = []
    for page in connection.people():
        people += page.people
        people += [{}] * len(page.faults)
        if len(people) > MOST_LISTED:
            raise InvalidMessage(f"more than {MOST_LISTED} people: load files (--from)", code="too_many_people")
    return ListedPeople(acceptance, connection.name, people)


class FirstLoad:
    """The people of one package. `days`: how long a pending pair waits for its person."""

    def __init__(
        self, ledger: Ledger, acceptance: Acceptance, pending: PendingPairs, connection: str,
        people: PackageFile | ListedPeople, *, days: int,
    ) -> None:  # fmt: skip
        self._ledger, self._acceptance, self._pending, self._people = ledger, acceptance, pending, people
        self._connection, self._days = connection, days
        self._tenant = acceptance.directory.connections[connection].tenant
        self._disputes = Disputes.of(people, communes_of(acceptance))

    def report(self) -> LoadReport:
        """Whom each of them is, or may be. Writes nothing, and keeps nobody from the door."""
        report, lines = LoadReport(), self._people.lines()
        with self._ledger.reading() as tx:
            pairing = self._pairing(tx, "")
            while part := list(islice(lines, LOOKED_UP)):
                for _, paired in _placed(pairing, part):
                    report.add(paired)
            report.people = {*pairing.joined, *pairing.known}
        return report

    def write(self, assessment: str, actor: str, note: Note) -> Iterator[LoadReport]:
        """Link who is matched, ask about who is doubtful, keep who is unmatched as a pending pair: each part in a
        commit of its own, told after each with what was done so far. `assessment`: the reference of the impact
        assessment, without which nothing is written. A load of the same people that was stopped goes on.

        Raises InvalidMessage `assessment_missing`, `load_undone`, or `load_running` where another process is at it."""
        reference = " ".join(assessment.split())
        if not reference or len(reference) > LONGEST_REFERENCE or not reference.isprintable():
            message = (
                f"the reference of the impact assessment is missing, or longer than {LONGEST_REFERENCE} characters"
            )
            raise InvalidMessage(message, code="assessment_missing")
        load = self._begun(reference, actor, note)
        report = LoadReport(load.id, Counter(orjson.loads(load.counts)))
        reached, lines = load.reached, islice(self._people.lines(), load.reached, None)
        while True:
            part = list(islice(lines, AT_ONCE))
            ended = len(part) < AT_ONCE
            with self._ledger.transaction() as tx:
                placed = self._write_part(tx, load.id, reached, part)
                for paired in placed:
                    report.add(paired)
                reached += len(part)
                done = {"reached": reached, "counts": orjson.dumps(report.counts).decode()}
                done |= {"ended_at": tx.now} if ended else {}
                tx.sql.execute(update(loads).where(loads.c.id == load.id).values(done))
                note(tx, {"load": load.id, "reached": reached, **_numbers(placed)})
            yield report
            if ended:
                return

    # --- inside -------------------------------------------------------------------------------------------------

    def _begun(self, assessment: str, actor: str, note: Note) -> Row[Any]:
        """A load of these people that was stopped, or a new one."""
        row = loads.c
        content = self._pending.digest("load", self._connection, self._people.content)
        stopped = (row.connection == self._connection, row.content == content, row.ended_at.is_(None))
        with self._ledger.transaction() as tx:
            tx.hold_door()
            found = tx.sql.execute(select(loads).where(*stopped, row.undone_at.is_(None))).first()
            if found is not None:
                return found
            load_id = secrets.token_hex(6)
            tx.sql.execute(insert(loads).values(
                id=load_id, tenant=self._tenant, connection=self._connection, assessment=assessment, actor=actor,
                content=content, reached=0, counts=orjson.dumps(dict.fromkeys(VERDICTS, 0)).decode(), started_at=tx.now,
            ))  # fmt: skip
            note(tx, {"load": load_id, "assessment": assessment, "began": True})
            return tx.sql.execute(select(loads).where(row.id == load_id)).one()

    def _write_part(
        self, tx: Transaction, load_id: str, reached: int, part: list[LinkLine | RefusedLine]
    ) -> list[Paired]:  # fmt: skip
        tx.hold_door()
        now = tx.sql.execute(select(loads).where(loads.c.id == load_id)).one()
        if now.undone_at is not None:
            raise InvalidMessage("this load was taken back meanwhile", code="load_undone")
        if now.reached != reached:
            raise InvalidMessage("another process is writing this load", code="load_running")
        pairing = self._pairing(tx, load_id)
        placed = [*_placed(pairing, part)]
        pairing.save()
        waiting = [line for line, paired in placed if isinstance(line, LinkLine) and paired.verdict == "new"]
        known = [line for line, one in placed if isinstance(line, LinkLine) and one.kept and one.verdict != "new"]
        pairs = self._pending
        pairs.drop(tx, [pairs.id_of(self._connection, line.system, line.native_id) for line in known])
        pairs.keep(
            tx, self._tenant, self._connection, load_id, [(line.person, line.shared) for line in waiting],
            tx.now + self._days * _DAY,
        )  # fmt: skip
        return [paired for _, paired in placed]

    def _pairing(self, tx: Transaction, load_id: str) -> Pairing:
        return pairing_of_load(tx, self._acceptance, self._connection, load_id, self._disputes)


def pairing_of_load(
    tx: Transaction, acceptance: Acceptance, connection: str, load_id: str, disputes: Disputes | None = None
) -> Pairing:  # fmt: skip
    """A pairing by which nobody becomes known, and whose links say that they came by this load. What is known of those
    who are linked is told later to those who lack it, which is counted by the connection."""
    origin, tenant = f"load:{load_id}", acceptance.directory.connections[connection].tenant

    def ask(ids: Collection[str]) -> None:
        ask_later(tx, tenant, ids, cause=origin, reader=connection)

    return Pairing(tx, acceptance, tenant, disputes or Disputes(), origin, how="load", opens=False, ask=ask)


def verdict_of(paired: Paired) -> Verdict:
    if paired.verdict == "new":
        return "unmatched"
    return "linked" if paired.verdict == "matched" and paired.reason in ("known", "repeated") else paired.verdict


def find_load(tx: Transaction, connection: str, load_id: str) -> Row[Any]:
    """Raises InvalidMessage `not_found` where this connection had no such load."""
    found = tx.sql.execute(select(loads).where(loads.c.id == load_id, loads.c.connection == connection)).first()
    if found is None:
        raise InvalidMessage("this connection had no such load", code="not_found")
    return found


def to_load(tx: Transaction, tenant: str, system: str, connection: str) -> bool:
    """Whether the people of a package that can say who they are were never paired: none of them is known by its system,
    and no load of its connection was written."""
    link = citizen_links.c
    known = select(link.native_id).where(link.tenant == tenant, link.system == system).limit(1)
    begun = select(loads.c.id).where(loads.c.connection == connection, loads.c.undone_at.is_(None)).limit(1)
    return all(tx.sql.execute(query).first() is None for query in (known, begun))


def withdraw_pairs(ledger: Ledger, pending: PendingPairs, connection: str, load_id: str) -> Iterator[int]:
    """Take a load back as far as it is not linked: it goes on no more, and its pending pairs are forgotten, some at a
    time; how many each time. Raises as `find_load`."""
    with ledger.transaction() as tx:
        tx.hold_door()
        find_load(tx, connection, load_id)
        tx.sql.execute(update(loads).where(loads.c.id == load_id).values(undone_at=tx.now))
    while True:
        with ledger.transaction() as tx:
            gone = pending.drop(tx, pending.ids_of(tx, connection, load_id))
        if not gone:
            return
        yield gone


def _placed(
    pairing: Pairing, part: list[LinkLine | RefusedLine]
) -> Iterator[tuple[LinkLine | RefusedLine, Paired]]:  # fmt: skip
    pairing.read([line for line in part if isinstance(line, LinkLine)])
    for line in part:
        yield line, refused(line) if isinstance(line, RefusedLine) else pairing.place(line)


def _numbers(placed: Sequence[Paired]) -> dict[str, int]:
    return dict(Counter(verdict_of(paired) for paired in placed))
