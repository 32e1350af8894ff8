"""Signals: what goes wrong where nothing is left to be looked at, as a call that nobody can read or a file set aside.

Each is a line in the log and a figure at once. What is written for `hub.operations.trouble` is bounded: one row for a
cause, or for a record that has a name, and one write for it in ten seconds, so that an attack fills nothing.
"""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import structlog
from sqlalchemy import delete, func, select

from bus.ledger import Ledger, Transaction
from bus.sql import Insert
from hub.operations.logs import code_places
from hub.storage.tables import trouble_signals
from schemas.delivery import RecordFault
from schemas.errors import HubError, InvalidMessage

_log = structlog.get_logger()
PUSH_INVALID, PUSH_DENIED, FILE_ASIDE = "push-invalid", "push-denied", "file-aside"
NIR_QUESTION = "nir-question"
KINDS = (
    "record-refused", FILE_ASIDE, "dump-shrunk", PUSH_INVALID, PUSH_DENIED, "not-acknowledged", "poll-error",
    NIR_QUESTION,
)  # fmt: skip
_EVERY = 10.0  # seconds between two writes of one row by one process
_RECORDS = 100  # rows of one cause; records beyond are one
_KEPT = 1_000  # rows whose last write a process remembers
_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_UNWRITTEN = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_ROWS = trouble_signals.c
_KEEP = Insert(
    trouble_signals,
    conflict="(id) DO UPDATE SET number = trouble_signals.number + excluded.number, place = excluded.place,"
    " reason = excluded.reason, last_at = excluded.last_at",
)


@dataclass(slots=True)
class _Row:
    """What is to be written of one cause or record. `new`: how often, since the last write; at most once for a record
    that has a name: it is the same one."""

    connection: str
    kind: str
    fault: RecordFault
    new: int = 0
    written: float = float("-inf")


class Signals:
    """Those of one process. `count` is told connection, kind, code and number. Nothing here raises: what cannot be
    written now is in the log."""

    def __init__(
        self, ledger: Ledger, *, count: Callable[[str, str, str, int], None] = lambda *_: None,
        count_skipped: Callable[[str, int], None] = lambda *_: None, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._ledger, self._count, self._count_skipped, self._clock = ledger, count, count_skipped, clock
        self._rows: dict[str, _Row] = {}
        self._lock = threading.Lock()

    def tell(self, connection: str, kind: str, faults: Sequence[RecordFault]) -> None:
        """A line in the log for each fault, a figure, and a trouble: of the kind that its code begins with, else
        `kind`."""
        with self._lock:
            for fault in faults:
                of_kind, said = _named(kind, fault)
                self._note(connection, of_kind, said)
                self._add(connection, of_kind, said)
        self.flush()

    def tell_error(self, connection: str, kind: str, error: Exception) -> None:
        """As `tell`, of what was raised: by its code, or the kind of exception and where it comes from."""
        self.tell(connection, kind, [record_fault_of(error, "connector." if kind == PUSH_INVALID else "")])

    def ask_whose_numbers(self, tenant: str, system: str) -> None:
        """The town must say what the identifiers of a system are. Written by the next `flush`: who calls this is at the
        door, perhaps in the middle of a transaction."""
        with self._lock:
            self._add(f"{tenant}.{system}", NIR_QUESTION, RecordFault("thirteen-digits"))

    def note(self, connection: str, kind: str, faults: Sequence[RecordFault]) -> None:
        for fault in faults:
            self._note(connection, kind, fault)

    def skipped(self, connection: str, number: int) -> None:
        self._count_skipped(connection, number)
        _log.info("records skipped", connection=connection, cause="unknown_request", number=number)

    def over(self, connection: str, kind: str) -> None:
        """It went well: what was told of this kind is forgotten, and its trouble closes."""
        with self._lock:
            self._rows = {i: r for i, r in self._rows.items() if (r.connection, r.kind) != (connection, kind)}
        mine = (_ROWS.connection == connection, _ROWS.kind == kind)
        self._write(lambda tx: tx.sql.execute(delete(trouble_signals).where(*mine)))

    def flush(self) -> None:
        """Write what is due."""
        now = self._clock()
        with self._lock:
            due = {i: row for i, row in self._rows.items() if row.new and now - row.written >= _EVERY}
            numbers = {row_id: row.new for row_id, row in due.items()}
            for row in due.values():
                row.new, row.written = 0, now
            if len(self._rows) > _KEPT:
                self._rows = {i: r for i, r in self._rows.items() if r.new or now - r.written < _EVERY}
        if due and not self._write(lambda tx: self._keep(tx, due, numbers)):
            with self._lock:
                for row_id, row in due.items():
                    row.new, row.written = row.new + numbers[row_id], now - _EVERY  # the next flush has them

    def _note(self, connection: str, kind: str, fault: RecordFault) -> None:
        self._count(connection, kind, fault.code, 1)
        _log.error(
            "package fault", connection=connection, kind=kind, code=fault.code, place=fault.place, reason=fault.reason
        )

    def _add(self, connection: str, kind: str, fault: RecordFault) -> None:
        row_id = _id(connection, kind, fault.code, fault.key)
        row = self._rows.setdefault(row_id, _Row(connection, kind, fault))
        row.fault = fault
        row.new = 1 if fault.key else row.new + 1

    def _keep(self, tx: Transaction, due: Mapping[str, _Row], numbers: Mapping[str, int]) -> None:
        known = set(tx.sql.execute(select(_ROWS.id).where(_ROWS.id.in_(list(due)))).scalars())
        full = _Full(tx)
        rows: dict[str, dict[str, Any]] = {}
        for row_id, row in due.items():
            cause, number = (row.connection, row.kind, row.fault.code), numbers[row_id]
            if row.fault.key and row_id in known:
                number = 0  # the same record as before
            elif row.fault.key and full.is_full(cause):
                row_id = _id(*cause, "")
            before = rows[row_id]["number"] if row_id in rows else 0
            rows[row_id] = _values(row_id, row, before + number, tx.now)
        _KEEP.run(tx.sql, [rows[row_id] for row_id in sorted(rows)])

    def _write(self, act: Callable[[Transaction], object]) -> bool:
        try:
            with self._ledger.transaction() as tx:
                act(tx)
        except HubError as error:  # the log has it
            _log.warning("signal not kept", error=type(error).__name__)
            return False
        return True


def record_fault_of(error: Exception, prefix: str = "") -> RecordFault:
    """What an error says without quoting anything: the message of one that is not ours may."""
    if isinstance(error, InvalidMessage):
        return RecordFault(error.code, error.pointer, error.reason)
    if isinstance(error, HubError):
        return RecordFault(error.code, "", error.reason)
    return RecordFault(f"{prefix}{type(error).__name__}", ", ".join(code_places(error)[-3:]))


def told_of(tx: Transaction, connection: str, kind: str, key: str) -> Mapping[str, str] | None:
    """Code and sentence of what was told of one record, by its key; None when nothing is."""
    mine = (_ROWS.connection == connection, _ROWS.kind == kind)
    for row in tx.sql.execute(select(_ROWS.id, _ROWS.code, _ROWS.reason).where(*mine)):
        if row.id == _id(connection, kind, row.code, key):
            return {"code": row.code, "reason": row.reason}
    return None


def forget_signals(tx: Transaction, connection: str, kind: str, code: str) -> int:
    """Forget what was told of a cause, since somebody saw to it; how many rows."""
    mine = (_ROWS.connection == connection, _ROWS.kind == kind, _ROWS.code == code)
    return int(tx.sql.execute(delete(trouble_signals).where(*mine)).rowcount)


def forget_signal(tx: Transaction, connection: str, kind: str, code: str, key: str) -> None:
    """The same of one record."""
    tx.sql.execute(delete(trouble_signals).where(_ROWS.id == _id(connection, kind, code, key)))


def _values(row_id: str, row: _Row, number: int, now: float) -> dict[str, Any]:
    return {
        "id": row_id, "tenant": row.connection.partition(".")[0], "connection": row.connection, "kind": row.kind,
        "code": _written(row.fault.code, 64), "place": _written(row.fault.place, 500),
        "reason": _written(row.fault.reason, 500), "number": number, "at": now, "last_at": now,
    }  # fmt: skip


class _Full:
    """Which causes have a row for as many records as may have one."""

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        self._left: dict[tuple[str, str, str], int] = {}

    def is_full(self, cause: tuple[str, str, str]) -> bool:
        """Whether there is no room for one more, which takes it otherwise."""
        if cause not in self._left:
            self._left[cause] = _RECORDS - self._number_of(*cause)
        self._left[cause] -= 1
        return self._left[cause] < 0

    def _number_of(self, connection: str, kind: str, code: str) -> int:
        mine = (_ROWS.connection == connection, _ROWS.kind == kind, _ROWS.code == code)
        count = select(func.count()).select_from(trouble_signals).where(*mine)
        return int(self._tx.sql.execute(count).scalar_one())


def _named(kind: str, fault: RecordFault) -> tuple[str, RecordFault]:
    """A code of the taxonomy names its kind itself."""
    head, _, detail = fault.code.partition(".")
    of_kind, code = (head, detail) if head in KINDS else (kind, fault.code)
    return of_kind, replace(fault, code=code if _CODE.fullmatch(code) else "other")


def _id(connection: str, kind: str, code: str, key: str) -> str:
    return hashlib.sha256("\0".join((connection, kind, code, key)).encode(errors="replace")).hexdigest()[:32]


def _written(said: str, most: int) -> str:
    return _UNWRITTEN.sub("�", said)[:most]
