"""Retention: what the hub forgets, and when. Run by the process whose relay is active.

Nothing is forgotten that somebody still has to get: an event stays until each of its deliveries has an end, a request
until its events do, a document until the events that name it do. Every step is a small transaction.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from sqlalchemy import ColumnElement, and_, delete, exists, literal, or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from bus.ledger import Ledger, StoredEvent, Transaction
from bus.tables import OPEN, deliveries, events
from hub.answers import KEPT_SECONDS
from hub.citizens import ECHO_DAYS
from hub.documents import DocumentStore
from hub.settings import Retention
from hub.tables import (
    citizen_links,
    citizen_values,
    citizens,
    document_holders,
    document_uses,
    documents,
    idempotent_answers,
    request_links,
    request_people,
    request_steps,
    requests,
    used_assertions,
)  # fmt: skip
from schemas.errors import HubError

_log = structlog.get_logger()
_DAY = 86_400.0
_BATCH = 500
_NOTED = "documents-noted"  # the counter of the last event whose documents were noted


class Keeper:
    """`note` writes down which events name which document; `tidy` forgets what is past its time."""

    def __init__(self, ledger: Ledger, store: DocumentStore, settings: Retention) -> None:
        self._ledger, self._store, self._settings = ledger, store, settings

    def run(
        self, stop: threading.Event, active: Callable[[], bool], *, note_every: float = 60.0, tidy_every: float = 3600.0
    ) -> None:
        """Until `stop` is set, and only while `active`. An outage puts it off; it does not end it."""
        due = 0.0
        while not stop.wait(note_every):
            if not active():
                continue
            try:
                self.note()
                if time.monotonic() >= due:
                    self.tidy(stop)
                    due = time.monotonic() + tidy_every
            except HubError as error:
                _log.warning("retention put off", error=type(error).__name__)

    def note(self) -> int:
        """Look through what was accepted since the last time; how many events that was."""
        seen = 0
        while count := self._note_some():
            seen += count
        return seen

    def tidy(self, stop: threading.Event | None = None) -> dict[str, int]:
        """Forget all that is past its time; what, and how many. Also ends when `stop` is set."""
        self.note()
        forgotten: dict[str, int] = {}
        for name, step in (
            ("requests", self._requests), ("events", self._events), ("documents", self._documents),
            ("citizens", self._citizens), ("values", self._values), ("answers", self._answers),
        ):  # fmt: skip
            while count := 0 if stop is not None and stop.is_set() else step():
                forgotten[name] = forgotten.get(name, 0) + count
        if forgotten:
            _log.info("forgotten", **forgotten)
        return forgotten

    # --- documents ----------------------------------------------------------------------------------------------

    def _note_some(self) -> int:
        with self._ledger.transaction() as tx:
            last = tx.counter(_NOTED)
            query = select(events.c.seq).where(events.c.seq > last).order_by(events.c.seq).limit(_BATCH)
            stored = tx.load([row.seq for row in tx.sql.execute(query)])
            if not stored:
                return 0
            rows = [use for item in stored.values() for use in _uses(item)]
            if rows:
                tx.sql.execute(_dialect(tx)(document_uses).on_conflict_do_nothing(), rows)
            tx.count_up(_NOTED, max(stored) - last)
            return len(stored)

    def _documents(self) -> int:
        """A document goes a set time after the last delivery that names it has ended."""
        before = self._ledger.now() - self._settings.documents_days * _DAY
        with self._ledger.reading() as tx:
            ids = [(row.tenant, row.id) for row in tx.sql.execute(_documents_over(before).limit(_BATCH))]
        released = 0
        for tenant, document_id in ids:
            released += self._store.release(tenant, [document_id], stored_before=datetime.fromtimestamp(before, UTC))
        with self._ledger.transaction() as tx:
            kept = exists().where(
                documents.c.tenant == document_holders.c.tenant, documents.c.id == document_holders.c.document_id
            )
            tx.sql.execute(delete(document_holders).where(~kept))
        return released

    # --- events, requests, people -------------------------------------------------------------------------------

    def _events(self) -> int:
        """The events of a request that is kept are its history, and are kept with it."""
        before = self._ledger.now() - self._settings.events_days * _DAY
        with self._ledger.transaction() as tx:
            count = tx.prune(events_before=before, of_requests=select(requests.c.id), limit=_BATCH)
            if count:
                gone = ~exists().where(events.c.seq == document_uses.c.seq)
                tx.sql.execute(delete(document_uses).where(gone))
            return count

    def _requests(self) -> int:
        now = self._ledger.now()
        closed, idle = now - self._settings.requests_days * _DAY, now - self._settings.idle_requests_days * _DAY
        stirred = exists().where(request_steps.c.request_id == requests.c.id, request_steps.c.at > idle)
        unfinished = exists().where(
            events.c.request_id == requests.c.id, events.c.seq == deliveries.c.seq, deliveries.c.state.in_(OPEN)
        )
        over = or_(
            and_(requests.c.final == 1, requests.c.status_at < closed), and_(requests.c.received_at < idle, ~stirred)
        )
        with self._ledger.transaction() as tx:
            tx.hold_door()  # nobody adds to a request that is about to go
            ids = [row.id for row in tx.sql.execute(select(requests.c.id).where(over, ~unfinished).limit(_BATCH))]
            if ids:
                for column in (request_steps.c.request_id, request_links.c.request_id, request_people.c.request_id,
                               requests.c.id):  # fmt: skip
                    tx.sql.execute(delete(column.table).where(column.in_(ids)))
            return len(ids)

    def _citizens(self) -> int:
        """A person nobody spoke of for long is forgotten; one marked confidential stays: the mark protects."""
        before = self._ledger.now() - self._settings.links_days * _DAY
        asking = exists().where(request_people.c.citizen_id == citizens.c.id)
        spoken_of = exists().where(events.c.order_key == literal("c:") + citizens.c.id)
        with self._ledger.transaction() as tx:
            tx.hold_door()
            unused = select(citizens.c.id).where(
                citizens.c.seen_at < before, citizens.c.confidential == 0, ~asking, ~spoken_of
            )
            ids = [row.id for row in tx.sql.execute(unused.limit(_BATCH))]
            if ids:
                for column in (citizen_values.c.citizen_id, citizen_links.c.citizen_id, citizens.c.id):
                    tx.sql.execute(delete(column.table).where(column.in_(ids)))
            return len(ids)

    def _values(self) -> int:
        """What was delivered to whom is remembered for as long as it could come back as an echo."""
        before = self._ledger.now() - ECHO_DAYS * _DAY
        with self._ledger.transaction() as tx:
            old = (citizen_values.c.digest != "", citizen_values.c.at < before)
            return _bounded(tx, citizen_values, and_(*old))

    def _answers(self) -> int:
        now = self._ledger.now()
        with self._ledger.transaction() as tx:
            count = _bounded(tx, used_assertions, used_assertions.c.expires < now - 60)
            return count + _bounded(tx, idempotent_answers, idempotent_answers.c.at <= now - KEPT_SECONDS)


def _documents_over(before: float) -> Any:
    """Stored, named and delivered before that time, or never named at all."""
    needed = exists().where(
        document_uses.c.tenant == documents.c.tenant, document_uses.c.document_id == documents.c.id,
        deliveries.c.seq == document_uses.c.seq, or_(deliveries.c.state.in_(OPEN), deliveries.c.at >= before),
    )  # fmt: skip
    return select(documents).where(documents.c.stored_at < before, ~needed).order_by(documents.c.stored_at)


def _uses(stored: StoredEvent) -> Iterator[dict[str, Any]]:
    for document_id in sorted(set(_named(stored.event.data))):
        yield {"tenant": stored.tenant, "document_id": document_id, "seq": stored.seq}


def _named(value: Any) -> Iterator[str]:
    """The ids of all document records in event data, wherever they stand."""
    if isinstance(value, Mapping):
        if isinstance(value.get("id"), str) and "sha256" in value:
            yield value["id"]
        for part in value.values():
            yield from _named(part)
    elif isinstance(value, list):
        for part in value:
            yield from _named(part)


def _bounded(tx: Transaction, table: Any, condition: ColumnElement[bool]) -> int:
    """Delete a batch of the rows that meet a condition; how many."""
    key = list(table.primary_key)
    some = select(*key).where(condition).limit(_BATCH)
    return int(tx.sql.execute(delete(table).where(tuple_(*key).in_(some))).rowcount)


def _dialect(tx: Transaction) -> Any:
    return sqlite_insert if tx.sql.dialect.name == "sqlite" else postgresql_insert
