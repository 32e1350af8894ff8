"""The end of a campaign: what was accepted against what the targets noted. Nothing of the hub is believed unchecked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select

from bus.tables import DELIVERED, HELD, PARKED, REFUSED, SKIPPED, deliveries, door, events
from faults.driver import Accepted, Move, Told
from faults.package import POISON, UNWANTED
from faults.recorder import Book
from faults.town import TARGETS, TENANT, Town

VISIBLE = (REFUSED, PARKED, HELD, SKIPPED)
MOVING = ("expected", "received", "started", "waiting")


@dataclass(slots=True)
class Account:
    """One target. `lost`: accepted, neither in its book nor visibly stopped. `unfounded`: the hub says delivered or
    refused, and the target does not know of it or never said so."""

    target: str
    idempotency: str
    accepted: int = 0
    delivered: int = 0
    refused: int = 0
    parked: int = 0
    held: int = 0
    skipped: int = 0
    moving: int = 0
    effects: int = 0
    repeated: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    unfounded: int = 0

    @property
    def balanced(self) -> bool:
        ended = self.delivered + self.refused + self.parked + self.held + self.skipped
        return self.accepted == ended and not (self.moving or self.lost or self.unfounded)


@dataclass(slots=True)
class Balance:
    accounts: list[Account] = field(default_factory=list)
    invalid_stored: int = 0
    strangers: int = 0  # events in the ledger that nobody told
    examples: list[str] = field(default_factory=list)

    def total(self, name: str) -> int:
        return sum(int(getattr(account, name)) for account in self.accounts)

    @property
    def ok(self) -> bool:
        clean = not (self.total("doubled") or self.total("disordered") or self.invalid_stored or self.strangers)
        return clean and all(account.balanced for account in self.accounts)


def balance(town: Town, told: Told) -> Balance:
    """Every event that was accepted, for each target. An event without an answer may be there or not."""
    with town.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(events.c.source, events.c.id, events.c.seq))
        stored = {(row.source, row.id): row.seq for row in rows if row.source != f"/{TENANT}/hub"}
        at_door = {(row.source, row.id) for row in tx.sql.execute(select(door.c.source, door.c.id))}
        states: dict[str, dict[int, str]] = defaultdict(dict)
        for row in tx.sql.execute(select(deliveries.c.connection, deliveries.c.seq, deliveries.c.state)):
            states[row.connection][row.seq] = row.state
    found = Balance(invalid_stored=sum(key in stored or key in at_door for key in told.invalid))
    known = {(move.source, move.event_id): place for place, move in told.accepted.items()}
    unanswered = {f"{subject}-{number}" for subject, number in told.unanswered}
    strangers = [key for key in stored if key not in known and key[1] not in unanswered]
    found.strangers = len(strangers)
    found.examples += [f"nobody was told of {source} {event_id}" for source, event_id in strangers[:5]]
    for name, kind in TARGETS.items():
        seqs = {known[key]: seq for key, seq in stored.items() if key in known}
        mine = states[f"{TENANT}.{name}"]
        found.accounts.append(_account(name, kind, told, town.recorder.books[name], seqs, mine, found.examples))
    return found


def _account(
    name: str, kind: str, told: Told, book: Book, seqs: Mapping[Move, int], states: Mapping[int, str],
    examples: list[str],
) -> Account:  # fmt: skip
    account = Account(name, kind, accepted=len(told.accepted), effects=len(book.lines), repeated=book.repeated)
    noted = Counter((line.subject, line.number) for line in book.lines)
    for move, accepted in told.accepted.items():
        state = states.get(seqs.get(move, -1), "absent")
        _count(account, state)
        fault = _fault(state, accepted, noted[move], name)
        if fault:
            setattr(account, fault, getattr(account, fault) + 1)
            examples.append(f"{name}: {move[0]}-{move[1]} {fault} ({state}, {noted[move]} effects)")
    for move, times in noted.items():
        if times > 1:
            account.doubled += 1
            examples.append(f"{name}: {move[0]}-{move[1]} doubled ({times} effects)")
    account.disordered = _disordered(name, book, examples)
    return account


def _count(account: Account, state: str) -> None:
    if state in (DELIVERED, REFUSED, PARKED, HELD, SKIPPED):
        setattr(account, state, getattr(account, state) + 1)
    elif state in MOVING:
        account.moving += 1


def _fault(state: str, accepted: Accepted, effects: int, target: str) -> str:
    """What is wrong with one delivery, or nothing."""
    if state == DELIVERED:
        wrong = effects == 0 or accepted.street == UNWANTED or (accepted.street, accepted.only) == (POISON, target)
        return "unfounded" if wrong else ""
    if state == REFUSED:
        return "unfounded" if accepted.street != UNWANTED or effects else ""
    return "" if state in VISIBLE or state in MOVING else "lost"


def _disordered(name: str, book: Book, examples: list[str]) -> int:
    """How often a subject's move came after a later one. What came twice is counted as doubled, not here."""
    last: dict[str, int] = {}
    seen: set[Move] = set()
    wrong = 0
    for line in book.lines:
        if (line.subject, line.number) in seen:
            continue
        seen.add((line.subject, line.number))
        if line.number < last.get(line.subject, -1):
            wrong += 1
            examples.append(f"{name}: {line.subject}-{line.number} after {last[line.subject]}")
        last[line.subject] = max(line.number, last.get(line.subject, -1))
    return wrong
