"""Seals the journal and lets it out. One sealer acts at a time, by a lease; it runs beside the relay.

Every few seconds it gives the new lines their positions, makes a Merkle tree of them, and signs its root with the hash
of the seal before. It also notes, in lines of their own, which deliveries have ended. What waits for its seal is a
debt that `debt` shows.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import structlog
from sqlalchemy import ColumnElement, Row, Table, delete, func, insert, select, text, tuple_, update

from bus.ledger import DatabaseFault, LeaseLost, Ledger, Transaction
from bus.sql import Insert, Statement
from bus.tables import FINAL, deliveries
from hub.journal.entries import Entry, Journal, journal_time, line_text, seal_of
from hub.journal.signing import Signer
from hub.journal.verify import (
    END,
    FORMAT,
    SEAL,
    START,
    MerkleTree,
    Proofs,
    canonical_json,
    key_text,
    leaf_hash,
    seal_hash,
)
from hub.storage.tables import journal, journal_late, journal_segments
from schemas.errors import HubError

OVERDUE = 900.0
"""Seconds after which a line that waits for its seal is an error in the log."""
EXPIRED = "journal-expired"
"""The counter of the last segment whose lines were deleted."""
_log = structlog.get_logger()
_LEASE = 30.0
_MOST = 500  # lines in a segment: they are placed in one transaction, which others wait for on SQLite
_PAGE = 5000  # rows
_ENDS_EVERY = 300.0  # seconds between two notes of the deliveries that ended
_PAGES = 20  # of deliveries that one turn looks at
_MARK, _NEXT, _NOTED, _LOOKED = "journal-ends", "journal-ends-next", "journal-ends-at", "journal-late"
# The position is wrapped, or the planner might take the index of what is unsealed, and read it for each row.
_PLACE = Statement(
    "UPDATE journal SET position = pairs.position, hash = pairs.hash"
    " FROM {pairs(id text, position bigint, hash text)}"
    " WHERE journal.id = pairs.id AND coalesce(journal.position, 0) = 0"
)
_LATE = Insert(journal_late, conflict="DO NOTHING")
_UNSEALED = text("journal.position IS NULL")  # as the partial index says it


def unsealed_lines(tx: Transaction) -> tuple[int, float]:
    """How many lines wait for their seal, and for how many seconds the oldest."""
    query = select(func.count(), func.min(journal.c.at)).select_from(journal).where(_UNSEALED)
    count, oldest = tx.sql.execute(query).one()
    return int(count), max(0.0, tx.now - oldest) if count else 0.0


class Sealer:
    """`every`: seconds between two seals. `stamp` gives a time stamp (RFC 3161) of a hash, at most every
    `stamp_every` seconds; without it there are none."""

    def __init__(
        self, ledger: Ledger, journal: Journal, signer: Signer, *, owner: str, every: float = 5.0,
        stamp: Callable[[bytes], bytes] | None = None, stamp_every: float = 3600.0, ends_every: float = _ENDS_EVERY,
    ) -> None:  # fmt: skip
        self._ledger, self._journal, self._signer = ledger, journal, signer
        self._owner, self._every = owner, every
        self._stamp, self._stamp_every, self._ends_every = stamp, stamp_every, ends_every
        self._stamped = float("-inf")
        self._lease = max(_LEASE, every * 4)
        self._token: int | None = None
        self.active = False

    def run(self, stop: threading.Event) -> None:
        """Until `stop` is set; then what was written until now is sealed once more."""
        while not stop.is_set():
            self._seal_or_wait()
            stop.wait(self._every)
        self._seal_or_wait()
        self.give_back()

    def seal_pending(self) -> int:
        """Seal all that waits; how many lines. 0 also when another sealer is at work."""
        if not self._hold_lease():
            return 0
        self._note_ends()
        count = sealed = self._seal_segment()
        while sealed == _MOST:  # what came meanwhile has time until the next turn
            sealed = self._seal_segment()
            count += sealed
        self._stamp_last()
        return count

    def give_back(self) -> None:
        """Let another sealer act at once."""
        token, self._token, self.active = self._token, None, False
        if token is not None:
            try:
                with self._ledger.transaction() as tx:
                    tx.give_back("journal", token)
            except HubError as error:
                _log.warning("lease not given back", error=type(error).__name__)

    def _seal_or_wait(self) -> None:
        try:
            self.seal_pending()
            with self._ledger.reading() as tx:
                lines, seconds = unsealed_lines(tx)
            if seconds > OVERDUE:
                _log.error("journal not sealed", lines=lines, seconds=round(seconds))
        except (HubError, LeaseLost, DatabaseFault) as error:
            self._token, self.active = None, False
            _log.warning("sealer waits", error=type(error).__name__)

    def _hold_lease(self) -> bool:
        with self._ledger.transaction() as tx:
            if self._token is not None:
                tx.fence("journal", self._token, self._lease)
            else:
                self._token = tx.take_lease("journal", self._owner, self._lease)
        self.active = self._token is not None
        return self.active

    def _fence(self, tx: Transaction) -> None:
        if self._token is None:
            raise LeaseLost("journal")
        tx.fence("journal", self._token, self._lease)

    # --- seals --------------------------------------------------------------------------------------------------

    def _seal_segment(self) -> int:
        """Make the next segment. The lines do not change, so that the long work is done before the transaction."""
        query = select(journal).where(_UNSEALED).order_by(journal.c.at, journal.c.id).limit(_MOST)
        with self._ledger.reading() as tx:
            rows = tx.sql.execute(query).all()
            last = tx.sql.execute(_last_segment()).first()
        if not rows:
            return 0
        first = last.last + 1 if last is not None else 1
        placed = [(row.id, position, leaf_hash(line_text(row, position))) for position, row in enumerate(rows, first)]
        segment = self._segment(last, first, [leaf for _, _, leaf in placed])
        with self._ledger.transaction() as tx:
            self._fence(tx)  # nobody has sealed since we looked
            found = _PLACE.run(tx.sql, pairs=[(name, position, leaf.hex()) for name, position, leaf in placed]).rowcount
            if found != len(placed):
                raise LeaseLost("journal")
            tx.sql.execute(insert(journal_segments).values(segment))
        return len(placed)

    def _segment(self, last: Any, first: int, leaves: Sequence[bytes]) -> dict[str, Any]:
        seal = {
            "segment": last.number + 1 if last is not None else 1, "first": first, "last": first + len(leaves) - 1,
            "root": MerkleTree(leaves).root().hex(),
            "previous": seal_hash(seal_of(last)) if last is not None else START,
            "sealed_at": journal_time(self._ledger.now()), "kid": self._signer.kid,
        }  # fmt: skip
        signature = self._signer.sign(SEAL + canonical_json(seal)).hex()
        number = seal.pop("segment")
        return {"number": number, **seal, "key": key_text(self._signer.public), "signature": signature}

    def _stamp_last(self) -> None:
        """A time stamp of the last seal covers all the seals before it."""
        if self._stamp is None or time.monotonic() - self._stamped < self._stamp_every:
            return
        with self._ledger.reading() as tx:
            last = tx.sql.execute(_last_segment()).first()
        if last is None or last.time_stamp is not None:
            return
        try:
            stamped = self._stamp(bytes.fromhex(seal_hash(seal_of(last))))
        except HubError as error:
            _log.warning("journal not stamped", error=type(error).__name__)
            self._stamped = time.monotonic() - self._stamp_every + 60.0
            return
        with self._ledger.transaction() as tx:
            self._fence(tx)
            query = update(journal_segments).where(journal_segments.c.number == last.number)
            tx.sql.execute(query.values(time_stamp=stamped))
        self._stamped = time.monotonic()

    # --- deliveries that ended ----------------------------------------------------------------------------------

    def _note_ends(self) -> None:
        """Now and then, a line for each tenant about the deliveries that have ended since. Each event is looked at one
        period after its acceptance; what had no end then is looked at again."""
        with self._ledger.reading() as tx:
            if tx.now < tx.counter(_NOTED) + self._ends_every:
                return
            till = tx.counter(_NEXT)
        if all(self._note_ended_page(till) for _ in range(_PAGES)):
            return  # there is more: it goes on at the next turn, so that this process has time for others
        all(self._note_late_page() for _ in range(_PAGES))
        with self._ledger.transaction() as tx:
            self._fence(tx)
            _set_counter(tx, _NEXT, tx.last_seq())
            _set_counter(tx, _NOTED, int(tx.now))

    def _note_ended_page(self, till: int) -> bool:
        """The next part of the events up to this one; whether there may be more."""
        with self._ledger.transaction() as tx:
            self._fence(tx)
            after = tx.counter(_MARK)
            if after >= till:
                return False
            within = (deliveries.c.seq > after, deliveries.c.seq <= till)
            query = select(deliveries.c.seq, deliveries.c.connection, deliveries.c.state).where(*within)
            rows, to = _whole_events(
                tx.sql.execute(query.order_by(deliveries.c.seq, deliveries.c.connection).limit(_PAGE))
            )
            to = to or till
            tx.sql.execute(delete(journal_late).where(journal_late.c.seq > after, journal_late.c.seq <= to))
            late = [row for row in rows if row.state not in FINAL]
            _LATE.run(tx.sql, [{"seq": row.seq, "connection": row.connection} for row in late])
            self._journal.write(tx, *_ended(rows, first=after + 1, last=to, late=False))
            _set_counter(tx, _MARK, to)
            return to < till

    def _note_late_page(self) -> bool:
        """Some of what had no end before; whether there may be more."""
        late = journal_late.c
        with self._ledger.transaction() as tx:
            self._fence(tx)
            after = tx.counter(_LOOKED)
            mine = (deliveries.c.seq == late.seq) & (deliveries.c.connection == late.connection)
            query = select(late.seq, late.connection, deliveries.c.state).select_from(
                journal_late.outerjoin(deliveries, mine)
            )
            query = query.where(late.seq > after, late.seq <= tx.counter(_MARK)).order_by(late.seq, late.connection)
            rows, to = _whole_events(tx.sql.execute(query.limit(_PAGE)))
            over = [row for row in rows if row.state is None or row.state in FINAL]
            for at in range(0, len(over), 500):
                keys = [(row.seq, row.connection) for row in over[at : at + 500]]
                tx.sql.execute(delete(journal_late).where(tuple_(late.seq, late.connection).in_(keys)))
            if rows:
                self._journal.write(tx, *_ended(rows, first=rows[0].seq, last=rows[-1].seq, late=True))
            _set_counter(tx, _LOOKED, to)
            return bool(to)


def look_again(tx: Transaction, connection: str, seq: int) -> None:
    """A delivery that had ended was started again (replayed): its next end is written to the journal too."""
    _LATE.run(tx.sql, [{"seq": seq, "connection": connection}])


def _whole_events(found: Iterable[Row[Any]]) -> tuple[list[Row[Any]], int]:
    """Of a page, the rows of those events that are whole in it, and the last of these; 0 when that is the end."""
    rows = list(found)
    if len(rows) < _PAGE:
        return rows, 0
    cut = rows[-1].seq
    return [row for row in rows if row.seq < cut], cut - 1


def _ended(rows: Sequence[Row[Any]], *, first: int, last: int, late: bool) -> Iterator[Entry]:
    """One entry for each tenant of which deliveries ended: how many by connection and state, and a digest of which."""
    tenants: dict[str, list[Row[Any]]] = {}
    for row in rows:
        if row.state in FINAL:
            tenants.setdefault(row.connection.partition(".")[0], []).append(row)
    for tenant, some in sorted(tenants.items()):
        counts: dict[str, Counter[str]] = {}
        digest = hashlib.sha256()
        for row in some:
            counts.setdefault(row.connection, Counter())[row.state] += 1
            digest.update(f"{row.seq} {row.connection} {row.state}\n".encode())
        facts = {"from": first, "to": last, "late": late, "ended": counts, "digest": digest.hexdigest()}
        yield Entry(tenant, "deliveries", "deliveries.ended", f"{tenant}.hub", "noted", facts=facts)


def _set_counter(tx: Transaction, name: str, value: int) -> None:
    tx.count_up(name, value - tx.counter(name))


def _last_segment() -> Any:
    return select(journal_segments).order_by(journal_segments.c.number.desc()).limit(1)


# --- the way out --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scope:
    """Which lines go out; None means all. `since` and `until` are seconds since 1970."""

    tenant: str | None = None
    citizen: str | None = None
    since: float | None = None
    until: float | None = None

    @property
    def whole(self) -> bool:
        return self == Scope()

    def to_dict(self) -> dict[str, str | None]:
        since, until = (None if at is None else journal_time(at) for at in (self.since, self.until))
        return {"tenant": self.tenant, "citizen": self.citizen, "since": since, "until": until}


def export_journal(ledger: Ledger, signer: Signer, file: BinaryIO, scope: Scope = Scope()) -> int:
    """Write what is sealed, in the form that `verify.py` reads; how many lines. Of a part of the journal, each line
    has its proof. What waits for its seal stays behind: the header says how much that is."""
    with ledger.reading() as tx, _snapshot(tx):
        out = _ExportWriter(file)
        segments = journal_segments.c
        keys = {row.kid: row.key for row in tx.sql.execute(select(segments.kid, segments.key).distinct())}
        head = {
            "format": FORMAT, "made_at": journal_time(tx.now), "whole": scope.whole, "scope": scope.to_dict(),
            "keys": {**keys, signer.kid: key_text(signer.public)}, "unsealed": unsealed_lines(tx)[0],
        }  # fmt: skip
        out.write(canonical_json(head))
        if scope.whole:
            _write_whole(tx, out)
        else:
            _write_part(tx, out, scope)
        end = {"lines": out.lines, "segments": out.segments, "digest": out.digest.hexdigest(), "kid": signer.kid}
        out.write(canonical_json({"end": end, "signature": signer.sign(END + canonical_json(end)).hex()}))
        return out.lines


class _ExportWriter:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.lines = self.segments = 0

    def write(self, row: bytes) -> None:
        self.digest.update(row + b"\n")
        self._file.write(row + b"\n")

    def seal(self, segment: Row[Any], *, expired: bool = False) -> None:
        row = {"seal": seal_of(segment), "signature": segment.signature}
        more = {"time_stamp": bytes(segment.time_stamp).hex()} if segment.time_stamp is not None else {}
        self.write(canonical_json(row | more | ({"expired": True} if expired else {})))
        self.segments += 1


def _write_whole(tx: Transaction, out: _ExportWriter) -> None:
    expired = tx.counter(EXPIRED)
    lines = _paged(tx, journal, journal.c.position, [journal.c.position.is_not(None)])
    line = next(lines, None)
    for segment in _paged(tx, journal_segments, journal_segments.c.number, []):
        out.seal(segment, expired=segment.number <= expired)
        while line is not None and line.position <= segment.last:
            out.write(line_text(line, line.position))
            out.lines += 1
            line = next(lines, None)
    for stray in [line] if line is not None else []:  # nobody sealed it: whoever verifies must see it
        out.write(line_text(stray, stray.position))


def _write_part(tx: Transaction, out: _ExportWriter, scope: Scope) -> None:
    column = journal.c
    wanted: list[ColumnElement[bool]] = [column.position.is_not(None)]
    wanted += [column.tenant == scope.tenant] if scope.tenant is not None else []
    wanted += [column.citizen_id == scope.citizen] if scope.citizen is not None else []
    wanted += [column.at >= scope.since] if scope.since is not None else []
    wanted += [column.at < scope.until] if scope.until is not None else []
    first = last = 0
    paths = Proofs([])
    for line in _paged(tx, journal, column.position, wanted):
        if line.position > last:
            query = select(journal_segments).where(journal_segments.c.last >= line.position)
            segment = tx.sql.execute(query.order_by(journal_segments.c.last).limit(1)).first()
            if segment is not None:  # else nobody sealed it: whoever verifies must see it
                first, last = segment.first, segment.last
                beside = select(column.hash).where(column.position.between(first, last)).order_by(column.position)
                paths = Proofs([bytes.fromhex(one or "") for one in tx.sql.execute(beside).scalars()])
                out.seal(segment)
        out.write(line_text(line, line.position))
        out.write(canonical_json({"proof": [one.hex() for one in paths.of(line.position - first)]}))
        out.lines += 1


def _paged(tx: Transaction, table: Table, key: Any, wanted: Sequence[Any]) -> Iterator[Row[Any]]:
    """The rows in the order of a number, a page at a time."""
    after = 0
    while True:
        rows = tx.sql.execute(select(table).where(*wanted, key > after).order_by(key).limit(_PAGE)).all()
        yield from rows
        if len(rows) < _PAGE:
            return
        after = rows[-1]._mapping[key]


@contextmanager
def _snapshot(tx: Transaction) -> Iterator[None]:
    """All that is read within is of one moment: nothing is forgotten while it goes out."""
    if tx.sql.dialect.name == "sqlite":
        yield
        return
    tx.sql.exec_driver_sql("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
    try:
        yield
    finally:
        tx.sql.exec_driver_sql("ROLLBACK")


def journal_status(tx: Transaction) -> Mapping[str, Any]:
    """Where the journal stands: its last seal and what waits for the next."""
    last = tx.sql.execute(_last_segment()).first()
    lines, seconds = unsealed_lines(tx)
    return {
        "segments": last.number if last is not None else 0, "lines": last.last if last is not None else 0,
        "sealed_at": last.sealed_at if last is not None else None,
        "head": seal_hash(seal_of(last)) if last is not None else None,
        "key": last.kid if last is not None else None, "unsealed": lines, "oldest_unsealed_seconds": round(seconds, 1),
    }  # fmt: skip
