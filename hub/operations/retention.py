"""Retention: what the hub forgets, and when. Run by the process whose relay is active.

Nothing is forgotten that somebody still has to get: an event stays until each of its deliveries has an end, a request
until its events do, a document until the events that name it do. Every step is a small transaction.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog
from sqlalchemy import Column, ColumnElement, Table, and_, delete, exists, or_, select, true, tuple_, update

from bus.ledger import Ledger, StoredEvent
from bus.sql import Insert
from bus.tables import OPEN, deliveries, events
from bus.upkeep import keep_up
from hub.acceptance.kept_calls import documents_of_calls, expired_calls, forget_expired_calls
from hub.acceptance.observation import CALL
from hub.acceptance.observed import LATE, Seen, count_seen
from hub.citizens.catch_ups import kept_for_their_day
from hub.citizens.questions import day_of
from hub.clients.idempotency import KEPT_SECONDS, forget_nonces
from hub.documents.files import DocumentStore
from hub.documents.repository import document_ids
from hub.exchanges.corrections import settle
from hub.journal.entries import journal_time
from hub.journal.sealing import EXPIRED
from hub.settings.model import Retention
from hub.storage.directory_items import forget_versions
from hub.storage.tables import (  # fmt: skip
    answer_shapes,
    catch_ups,
    citizen_blocks,
    citizen_identities,
    citizen_links,
    citizen_merges,
    citizen_news,
    citizen_reviews,
    citizens,
    delivery_replays,
    document_holders,
    document_uses,
    documents,
    evidence_corrections,
    evidence_held,
    evidence_recipients,
    exchange_previews,
    first_loads,
    followed_subjects,
    held_events,
    household_links,
    idempotent_answers,
    journal,
    journal_segments,
    loads,
    observed_kinds,
    observed_marks,
    pending_blocks,
    pending_pairs,
    person_keys,
    preview_sign_ins,
    pulled_deliveries,
    question_acts,
    question_answers,
    question_days,
    question_sample_members,
    question_samples,
    refused_events,
    renumbered_ids,
    request_joins,
    request_links,
    request_people,
    request_steps,
    requests,
    shape_changes,
    trouble_signals,
    troubles,
    unproved_references,
    unread_events,
    used_assertions,
)

_T = TypeVar("_T")
_log = structlog.get_logger()
_DAY = 86_400.0
_BATCH = 500
RENUMBERED_DAYS = 30
_PART = 10_000  # rows that one statement looks at
_USE = Insert(document_uses, conflict="DO NOTHING")
_NOTED = "documents-noted"  # the counter of the last event whose documents were noted


class Keeper:
    """`note_document_uses` keeps which events name which document; `forget_expired` deletes what is past its time."""

    def __init__(self, ledger: Ledger, store: DocumentStore, settings: Retention) -> None:
        self._ledger, self._store, self._settings = ledger, store, settings

    def run(
        self, stop: threading.Event, active: Callable[[], bool], *, note_every: float = 60.0, tidy_every: float = 3600.0
    ) -> None:
        """Until `stop` is set, and only while `active`. An outage puts it off; it does not end it."""
        due = 0.0

        def tidy() -> None:
            nonlocal due
            self.note_document_uses()
            with self._ledger.transaction() as tx:
                forget_nonces(tx)  # often: a busy portal brings thousands in an hour
            if time.monotonic() >= due:
                self.forget_expired(stop)
                due = time.monotonic() + tidy_every

        keep_up("retention put off", tidy, stop, active, every=note_every)

    def note_document_uses(self) -> int:
        """Look through what was accepted since the last time; how many events that was. Keep who was told of
        corrections: the deliveries that say so do not stay."""
        with self._ledger.transaction() as tx:
            settle(tx)
        seen = 0
        while count := self._note_batch():
            seen += count
        return seen

    def forget_expired(self, stop: threading.Event | None = None) -> dict[str, int]:
        """Forget all that is past its time; what, and how many. Also ends when `stop` is set."""
        self.note_document_uses()
        forgotten: Counter[str] = Counter()
        for name, steps in (
            ("requests", self._requests()), ("events", self._events()), ("documents", self._documents()),
            ("citizens", self._citizens()), ("acts", self._acts()),
            ("answers", self._answers()), ("journal", self._journal()),
            ("evidence", self._evidence()), ("refused", self._refused()), ("observed", self._observed()),
            ("held", self._held()), ("shapes", self._shapes()), ("decided", self._decided()),
            ("directory", self._directory()),
            ("pending_pairs", self._pending()),
        ):  # fmt: skip
            while not (stop is not None and stop.is_set()) and (count := next(steps, None)) is not None:
                forgotten[name] += count
        gone = {name: count for name, count in forgotten.items() if count}
        if gone:
            _log.info("forgotten", **gone)
        return gone

    # --- documents ----------------------------------------------------------------------------------------------

    def _note_batch(self) -> int:
        with self._ledger.transaction() as tx:
            last = tx.counter(_NOTED)
            query = select(events.c.seq).where(events.c.seq > last).order_by(events.c.seq).limit(_BATCH)
            stored = tx.load([row.seq for row in tx.sql.execute(query)])
            if not stored:
                return 0
            rows = [use for item in stored.values() for use in _uses(item)]
            _USE.run(tx.sql, rows)
            tx.count_up(_NOTED, max(stored) - last)
            return len(stored)

    def _documents(self) -> Iterator[int]:
        """A document goes a set time after the last delivery that names it has ended, and after a call that names it
        and waits to be handed in."""
        before = self._ledger.now() - self._settings.documents_days * _DAY
        old = documents.c.stored_at < before
        needed = exists().where(
            document_uses.c.tenant == documents.c.tenant, document_uses.c.document_id == documents.c.id,
            deliveries.c.seq == document_uses.c.seq, or_(deliveries.c.state.in_(OPEN), deliveries.c.at >= before),
        )  # fmt: skip
        for part in self._ranges([documents.c.stored_at], old):
            self.note_document_uses()  # what was accepted a moment ago may name one
            with self._ledger.reading() as tx:
                over = tx.sql.execute(select(documents.c.tenant, documents.c.id).where(part, old, ~needed)).all()
                of_calls = documents_of_calls(tx) if over else set()
            for tenant, document_id in over:
                if (tenant, document_id) in of_calls:
                    continue
                yield self._store.release(tenant, [document_id], stored_before=datetime.fromtimestamp(before, UTC))
        kept = exists().where(
            documents.c.tenant == document_holders.c.tenant, documents.c.id == document_holders.c.document_id
        )
        for _ in self._delete(document_holders, ~kept):
            yield 0

    def _refused(self) -> Iterator[int]:
        before = self._ledger.now() - self._settings.refused_days * _DAY
        yield from self._delete(refused_events, refused_events.c.last_at < before)
        yield from self._delete(trouble_signals, trouble_signals.c.last_at < before)
        yield from self._delete(troubles, troubles.c.closed_at < before)

    def _observed(self) -> Iterator[int]:
        """Calls that were kept for a connection which has observed for too long, and that it says how many; what was
        counted long ago."""
        with self._ledger.reading() as tx:
            expired = expired_calls(tx)
        for name in expired:
            with self._ledger.transaction() as tx:
                count = forget_expired_calls(tx, name)
                count_seen(tx, name, [Seen(LATE, CALL, "forgotten", number=count)] if count else [])
            yield count
        before = self._ledger.now() - self._settings.requests_days * _DAY
        yield from self._delete(observed_marks, observed_marks.c.at < before)
        yield from self._delete(observed_kinds, observed_kinds.c.last_at < before)

    def _shapes(self) -> Iterator[int]:
        """Of operations that nobody has called for long; what changed in them goes too."""
        before = self._ledger.now() - self._settings.requests_days * _DAY
        yield from self._delete(answer_shapes, answer_shapes.c.last_at < before)
        known = exists().where(
            answer_shapes.c.connection == shape_changes.c.connection,
            answer_shapes.c.operation == shape_changes.c.operation,
        )
        for _ in self._delete(shape_changes, ~known):
            yield 0

    # --- events, requests, people -------------------------------------------------------------------------------

    def _events(self) -> Iterator[int]:
        """The events of a request that is kept are its history, and are kept with it; so is where its appointments,
        payments and messages stand."""
        before = self._ledger.now() - self._settings.events_days * _DAY
        while count := self._prune(before):
            yield count
        kept = exists().where(
            deliveries.c.seq == pulled_deliveries.c.seq, deliveries.c.connection == pulled_deliveries.c.connection
        )
        for _ in self._delete(pulled_deliveries, ~kept):
            yield 0
        for _ in self._delete(delivery_replays, delivery_replays.c.ended_at < before):
            yield 0
        alone = and_(followed_subjects.c.request_id.is_(None), followed_subjects.c.at < before)
        for _ in self._delete(followed_subjects, alone):
            yield 0
        gone = ~exists().where(events.c.seq == document_uses.c.seq)
        for _ in self._delete(document_uses, gone, [document_uses.c.seq]):
            yield 0

    def _prune(self, before: float) -> int:
        with self._ledger.transaction() as tx:
            return tx.prune(
                events_before=before, of_requests=select(requests.c.id), but=kept_for_their_day(), limit=_BATCH
            )

    def _directory(self) -> Iterator[int]:
        """Versions of the directory that no event names any more."""
        with self._ledger.transaction() as tx:
            yield forget_versions(tx)

    def _held(self) -> Iterator[int]:
        """What was held and never admitted goes with its events."""
        day, now = day_of(self._ledger.now() - self._settings.events_days * _DAY), self._ledger.now()
        yield from self._delete(held_events, held_events.c.day < day)
        yield from self._delete(question_days, question_days.c.day < day)
        yield from self._delete(first_loads, first_loads.c.until < now)

    def _decided(self) -> Iterator[int]:
        """What was held is kept, sealed, for as long as the decision about it can be taken back; what a system called
        somebody before, for as long as something may come that says so."""
        yield from self._delete(renumbered_ids, renumbered_ids.c.at < self._ledger.now() - RENUMBERED_DAYS * _DAY)
        row, before = citizen_reviews.c, self._ledger.now() - self._settings.events_days * _DAY
        over = and_(row.sealed.is_not(None), row.decided_at < before)
        for found in self._keys_where(row.id, over):
            for some in _batches(found):
                with self._ledger.transaction() as tx:
                    mine = update(citizen_reviews).where(row.id.in_(some), over)
                    count = int(tx.sql.execute(mine.values(sealed=None)).rowcount)
                yield count
            yield 0

    def _requests(self) -> Iterator[int]:
        now = self._ledger.now()
        closed, idle = now - self._settings.requests_days * _DAY, now - self._settings.idle_requests_days * _DAY
        stirred = exists().where(request_steps.c.request_id == requests.c.id, request_steps.c.at > idle)
        unfinished = exists().where(
            events.c.request_id == requests.c.id, events.c.seq == deliveries.c.seq, deliveries.c.state.in_(OPEN)
        )
        over = or_(
            and_(requests.c.final == 1, requests.c.status_at < closed), and_(requests.c.received_at < idle, ~stirred)
        )
        everywhere = (
            request_steps.c.request_id, request_links.c.request_id, request_people.c.request_id,
            unread_events.c.request_id, followed_subjects.c.request_id, request_joins.c.gone_id, requests.c.id,
        )  # fmt: skip
        for ids in self._keys_where(requests.c.id, and_(over, ~unfinished)):
            yield from self._forget_ids(ids, and_(over, ~unfinished), everywhere, subject="r:")

    def _citizens(self) -> Iterator[int]:
        """A person nobody spoke of for long is forgotten; one marked confidential stays: the mark protects."""
        before = self._ledger.now() - self._settings.links_days * _DAY
        asking = exists().where(request_people.c.citizen_id == citizens.c.id)
        received = exists().where(evidence_recipients.c.citizen_id == citizens.c.id)  # a correction must find them
        whole = citizens.c.merged_into.is_(None)
        unused = and_(citizens.c.seen_at < before, citizens.c.confidential == 0, ~asking, ~received, whole)
        ids: set[str] = set()
        for some in self._keys_where(citizens.c.id, unused):
            ids.update(some)
            yield 0
        for keys in (
            self._keys_where(events.c.seq, events.c.order_key.startswith("c:"), events.c.order_key) if ids else ()
        ):
            ids.difference_update(key[2:] for key in keys)  # an event of long ago that is kept
            yield 0
        everywhere = (
            citizen_news.c.citizen_id, citizen_links.c.citizen_id, household_links.c.citizen_id,
            citizen_identities.c.citizen_id, citizen_blocks.c.citizen_id, citizen_reviews.c.citizen_id,
            citizen_reviews.c.other_id, citizen_merges.c.gone_id,
            question_answers.c.gone_id, catch_ups.c.citizen_id, citizens.c.id,
        )  # fmt: skip
        # Who was spoken of since then was seen since then.
        yield from self._forget_ids(sorted(ids), unused, everywhere, subject="c:")
        kept = citizens.alias()
        gone = ~exists().where(kept.c.id == citizens.c.merged_into)
        alone = and_(citizens.c.merged_into.is_not(None), gone, ~received)
        for members in self._keys_where(citizens.c.id, alone):
            yield from self._forget_ids(members, alone, everywhere, subject="c:")

    def _acts(self) -> Iterator[int]:
        """What answered many questions at once can be taken back for as long as a person who is spoken of is known."""
        before = self._ledger.now() - self._settings.links_days * _DAY
        over = and_(question_acts.c.started_at < before, question_acts.c.state.in_(("done", "undone")))
        yield from self._delete(question_acts, over)
        act = exists().where(question_acts.c.id == question_answers.c.act_id)
        for _ in self._delete(question_answers, ~act):
            yield 0
        rested = exists().where(question_acts.c.sample_id == question_samples.c.id)
        for _ in self._delete(question_samples, and_(question_samples.c.drawn_at < before, ~rested)):
            yield 0
        sample = exists().where(question_samples.c.id == question_sample_members.c.sample_id)
        for _ in self._delete(question_sample_members, ~sample):
            yield 0

    def _pending(self) -> Iterator[int]:
        """Whom a first load told of and nobody became; of the load itself, how it went is kept for as long as it can be
        taken back."""
        yield from self._delete(pending_pairs, pending_pairs.c.until < self._ledger.now())
        pair = exists().where(pending_pairs.c.id == pending_blocks.c.pair_id)
        for _ in self._delete(pending_blocks, ~pair):
            yield 0
        before = self._ledger.now() - self._settings.links_days * _DAY
        for _ in self._delete(loads, loads.c.started_at < before):
            yield 0

    def _evidence(self) -> Iterator[int]:
        """Each row says until when it is kept: a value as the grant allows, recipients and corrections for as long as
        the client may keep what it obtained."""
        now = self._ledger.now()
        for table in (evidence_held, exchange_previews, preview_sign_ins, evidence_recipients, evidence_corrections):
            yield from self._delete(table, table.c.until < now)

    def _answers(self) -> Iterator[int]:
        now = self._ledger.now()
        yield from self._delete(used_assertions, used_assertions.c.expires < now - 60)
        yield from self._delete(idempotent_answers, idempotent_answers.c.at <= now - KEPT_SECONDS)

    def _journal(self) -> Iterator[int]:
        """The lines of a segment go together, and its seal stays. With the last line about somebody who is forgotten
        goes their key."""
        before = journal_time(self._ledger.now() - self._settings.journal_days * _DAY)
        while True:
            with self._ledger.transaction() as tx:
                number = journal_segments.c.number == tx.counter(EXPIRED) + 1
                segment = tx.sql.execute(select(journal_segments).where(number)).first()
                if segment is None or segment.sealed_at >= before:
                    return
                within = journal.c.position.between(segment.first, segment.last)
                people = set(tx.sql.execute(select(journal.c.citizen_id).where(within)).scalars()) - {None}
                count = int(tx.sql.execute(delete(journal).where(within)).rowcount)
                named = exists().where(journal.c.citizen_id == person_keys.c.citizen_id)
                known = exists().where(citizens.c.id == person_keys.c.citizen_id)
                for some in _batches(sorted(people)):
                    ours = person_keys.c.citizen_id.in_(some)
                    tx.sql.execute(delete(person_keys).where(ours, ~named, ~known))
                tx.count_up(EXPIRED)
            yield count

    # --- by parts: no statement reads a whole table, and none keeps others waiting for long ---------------------

    def _ranges(self, key: Sequence[ColumnElement[Any]], *within: ColumnElement[bool]) -> Iterator[ColumnElement[bool]]:
        """Conditions that divide a table, or what is `within` a part of it, by a key that has an index."""
        after: list[ColumnElement[bool]] = []
        while True:
            ends = select(*key).where(*within, *after).order_by(*key).offset(_PART - 1).limit(1)
            with self._ledger.reading() as tx:
                end = tx.sql.execute(ends).first()
            if end is None:
                yield and_(true(), *after)
                return
            yield and_(*after, tuple_(*key) <= tuple(end))
            after = [tuple_(*key) > tuple(end)]

    def _keys_where(
        self, key: ColumnElement[Any], condition: ColumnElement[bool], what: ColumnElement[str] | None = None
    ) -> Iterator[list[str]]:
        """Part by part, the keys of the rows that meet a condition, or `what` else of them."""
        for part in self._ranges([key]):
            with self._ledger.reading() as tx:
                found = list(tx.sql.execute(select(key if what is None else what).where(part, condition)).scalars())
            yield found

    def _delete(
        self, table: Table, condition: ColumnElement[bool], key: Sequence[Column[Any]] | None = None
    ) -> Iterator[int]:
        """Delete the rows that meet a condition, by parts of the primary key or another; how many. Looking for them
        writes nothing and often needs the index alone, so that comes first."""
        key = key or list(table.primary_key)
        for part in self._ranges(key):
            with self._ledger.reading() as tx:
                found = [tuple(row) for row in tx.sql.execute(select(*key).where(part, condition).order_by(*key))]
            for some in _batches(found):
                between = and_(tuple_(*key) >= some[0], tuple_(*key) <= some[-1])
                with self._ledger.transaction() as tx:
                    count = int(tx.sql.execute(delete(table).where(between, condition)).rowcount)
                yield count
            yield 0

    def _forget_ids(
        self, ids: Sequence[str], condition: ColumnElement[bool], everywhere: Sequence[Column[str]], *, subject: str
    ) -> Iterator[int]:
        """Delete, from their own table, which comes last, and the others, those that still meet the condition; and what
        was claimed of them, where they are called as `subject` and their id."""
        own = everywhere[-1]
        for some in _batches(ids):
            with self._ledger.transaction() as tx:
                tx.hold_door()  # nobody adds to what is about to go
                query = select(own).where(own.in_(some), condition)
                gone = list(tx.sql.execute(query).scalars())
                for column in everywhere if gone else ():
                    tx.sql.execute(delete(column.table).where(column.in_(gone)))
                claimed = unproved_references.c.subject.in_([f"{subject}{one}" for one in gone])
                tx.sql.execute(delete(unproved_references).where(claimed))
            yield len(gone)


def _uses(stored: StoredEvent) -> Iterator[dict[str, Any]]:
    for document_id in sorted(set(document_ids(stored.event.data))):
        yield {"tenant": stored.tenant, "document_id": document_id, "seq": stored.seq}


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    return (items[at : at + _BATCH] for at in range(0, len(items), _BATCH))
