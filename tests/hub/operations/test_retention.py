"""What the hub forgets and what it keeps, with a clock that the test moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from bus.embedded import EmbeddedBus
from bus.ledger import Ledger
from bus.tables import deliveries, door, events
from hub.citizens.households import keep_number
from hub.citizens.identities import People
from hub.citizens.pending import PendingPairs
from hub.citizens.questions import allow_first_load, day_of, held_days, hold
from hub.citizens.repository import Citizens
from hub.clients.idempotency import use_nonce
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook, record_holder
from hub.operations import retention
from hub.operations.retention import Keeper
from hub.requests.joining import join
from hub.requests.repository import id_of_reference
from hub.settings.model import Retention
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import (
    citizen_links,
    citizen_news,
    citizens,
    document_holders,
    document_uses,
    documents,
    first_loads,
    followed_subjects,
    held_events,
    household_links,
    idempotent_answers,
    loads,
    pending_blocks,
    pending_pairs,
    question_acts,
    question_answers,
    question_days,
    question_sample_members,
    question_samples,
    request_joins,
    request_links,
    request_people,
    request_steps,
    requests,
    troubles,
    unproved_references,
    unread_events,
    used_assertions,
    used_nonces,
)
from schemas.delivery import StoredDocument
from schemas.event import Event
from schemas.manifest import Consumed
from tests.support.recording import TENANT, Package, RecordingHub, move

DAY = 86_400.0
NAME = f"{TENANT}.famille"
EVERYTHING = tuple(
    Consumed(name, 1, ("/request", "/citizen", "/new_address"), "all")
    for name in ("citizen.address-changed", "request.received", "request.status-changed")
)


class Hub:
    """A hub whose deliveries end when the test says so."""

    def __init__(self, url: str, folder: Path) -> None:
        self.days = 0.0
        self._start = time.time()
        self.ledger = Ledger(url, now=lambda: self._start + self.days * DAY)
        self.ledger.create()
        self.store = DocumentStore(str(folder / "documents"), None, DocumentBook(self.ledger))
        self.hub = RecordingHub(self.ledger, EmbeddedBus(), {"famille": Package()}, consumes={"famille": EVERYTHING})
        self.keeper = Keeper(self.ledger, self.store, Retention())

    def accept(self, *accepted: Event) -> list[int]:
        verdicts = self.hub.submit(*accepted)
        assert all(v.outcome == "accepted" for v in verdicts), verdicts
        return [v.seq for v in verdicts if v.seq is not None]

    def end(self, *seqs: int, state: str = "delivered") -> None:
        with self.ledger.transaction() as tx:
            tx.sql.execute(update(deliveries).where(deliveries.c.seq.in_(seqs)).values(state=state, at=tx.now))

    def document(self, content: bytes) -> StoredDocument:
        return self.store.for_tenant(TENANT).store(content, name="a.txt", media_type="text/plain")

    def count(self, table: Any) -> int:
        with self.ledger.reading() as tx:
            return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())

    def stored(self) -> set[str]:
        return set(self.store.names(TENANT))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.database)])
def hub(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Hub]:
    url = f"sqlite:///{tmp_path}/hub.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").fresh_database()
    hub = Hub(url, tmp_path)
    yield hub
    hub.ledger.close()


def received(number: int, *documents: StoredDocument, citizen: str = "u1") -> Event:
    record = {
        "references": [{"system": "portail", "id": f"D{number}"}], "procedure": "changement-adresse",
        "submitted_at": "2026-03-02T10:00:00Z", "intake": "online",
        "requester": {"citizen": {"references": [{"system": "portail", "id": citizen}]}},
        "documents": [document.to_data() for document in documents],
    }  # fmt: skip
    source = f"/{TENANT}/portail"
    return Event(type="request.received", source=source, id=f"request-{number}", data={"request": record})


def closed(number: int) -> Event:
    link = {"references": [{"system": "portail", "id": f"D{number}"}]}
    data = {"request": link, "status": "withdrawn", "native": {"code": "F", "label": "Fermé"}}
    return Event(type="request.status-changed", source=f"/{TENANT}/portail", id=f"closed-{number}", data=data)


def test_an_event_goes_once_its_days_are_over_and_its_deliveries_have_ended(hub: Hub) -> None:
    ended, waiting, parked = hub.accept(move(1, 1), move(2, 1), move(3, 1))
    hub.end(ended)
    hub.end(parked, state="parked")
    hub.days = 89
    hub.keeper.forget_expired()
    assert hub.count(events) == 3

    hub.days = 91
    hub.keeper.forget_expired()

    with hub.ledger.reading() as tx:
        left = {row.seq for row in tx.sql.execute(select(events.c.seq))}
        assert left == {waiting, parked} == {row.seq for row in tx.sql.execute(select(deliveries.c.seq))}


def test_a_forgotten_event_is_still_known_at_the_door(hub: Hub) -> None:
    (seq,) = hub.accept(move(1, 1))
    hub.end(seq)
    hub.days = 399
    hub.keeper.forget_expired()
    assert hub.count(events) == 0

    assert hub.hub.submit(move(1, 1))[0].outcome == "duplicate"

    hub.days = 402
    hub.keeper.forget_expired()
    assert hub.count(door) == 0


def test_a_document_goes_a_set_time_after_its_last_delivery_has_ended(hub: Hub) -> None:
    first, second, unused = hub.document(b"one"), hub.document(b"two"), hub.document(b"never named")
    early, late = hub.accept(received(1, first, second), received(2, second))
    hub.end(early)
    hub.days = 31
    hub.keeper.forget_expired()
    assert hub.stored() == {second.id}  # the second request still has to get it
    assert unused.id not in hub.stored()

    hub.end(late)
    hub.days = 60
    hub.keeper.forget_expired()
    assert hub.stored() == {second.id}

    hub.days = 62
    assert hub.keeper.forget_expired()["documents"] == 1

    assert hub.stored() == set()
    assert hub.count(documents) == 0


def test_a_document_that_is_stored_again_starts_anew(hub: Hub) -> None:
    document = hub.document(b"one")
    hub.days = 31
    hub.document(b"one")

    hub.keeper.forget_expired()

    assert hub.stored() == {document.id}


def test_who_stored_a_document_is_forgotten_with_it(hub: Hub) -> None:
    document = hub.document(b"one")
    record_holder(hub.ledger, TENANT, f"{TENANT}.portail", document)

    hub.keeper.forget_expired()
    assert hub.count(document_holders) == 1

    hub.days = 31
    hub.keeper.forget_expired()
    assert hub.count(document_holders) == 0


def test_a_document_whose_bytes_are_gone_is_forgotten(hub: Hub, tmp_path: Path) -> None:
    document = hub.document(b"one")
    (tmp_path / "documents" / TENANT / document.id[:2] / document.id).unlink()
    hub.days = 31

    hub.keeper.forget_expired()

    assert hub.count(documents) == 0


def test_each_event_is_looked_through_once_for_documents(hub: Hub) -> None:
    document = hub.document(b"one")
    (seq,) = hub.accept(received(1, document))

    assert hub.keeper.note_document_uses() == 1
    assert hub.keeper.note_document_uses() == 0

    with hub.ledger.reading() as tx:
        assert [tuple(row) for row in tx.sql.execute(select(document_uses))] == [(TENANT, document.id, seq)]


def test_a_request_is_kept_with_its_history_until_its_time_after_closing_is_over(hub: Hub) -> None:
    opened, done = hub.accept(received(1)), hub.accept(closed(1))
    hub.end(*opened, *done)
    hub.days = 364
    hub.keeper.forget_expired()
    assert (hub.count(requests), hub.count(events)) == (1, 2)

    hub.days = 366
    hub.keeper.forget_expired()

    tables = (requests, request_links, request_steps, events)
    assert [hub.count(table) for table in tables] == [0, 0, 0, 0]


def appointment(number: int, about: dict[str, Any]) -> Event:
    said = {"reference": {"system": "portail", "id": f"rdv-{number}"}, "state": "booked",
            "starts_at": "2026-03-12T10:30:00+01:00"}  # fmt: skip
    data = {"appointment": said, **about}
    return Event(type="appointment.changed", source=f"/{TENANT}/portail", id=f"rdv-{number}", data=data)


def test_where_an_appointment_stands_is_kept_with_its_request_else_with_its_event(hub: Hub) -> None:
    link, person = {"request": {"references": [{"system": "portail", "id": "D1"}]}}, {"references": [{
        "system": "portail", "id": "u1"}]}  # fmt: skip
    opened, done = hub.accept(received(1)), hub.accept(closed(1))
    alone = hub.accept(appointment(1, link), appointment(2, {"citizen": person}))
    hub.end(*opened, *done, *alone)
    hub.days = Retention().events_days + 1
    hub.keeper.forget_expired()
    kept = hub.count(followed_subjects)

    hub.days = Retention().requests_days + 1
    hub.keeper.forget_expired()

    assert (kept, hub.count(followed_subjects)) == (1, 0)


def test_requests_that_were_joined_go_together_with_what_was_noted_of_it(hub: Hub) -> None:
    opened = hub.accept(received(1), received(2))
    with hub.ledger.transaction() as tx:
        first, second = (id_of_reference(tx, TENANT, ("portail", f"D{number}")) or "" for number in (1, 2))
        join(tx, TENANT, first, second, actor="operator:dominique")
    hub.end(*opened, *hub.accept(closed(2)))

    hub.days = 366
    hub.keeper.forget_expired()

    tables = (requests, request_joins, request_links, request_people, request_steps, events)
    assert [hub.count(table) for table in tables] == [0] * 6


def test_a_request_that_nobody_closes_goes_long_after_its_last_step(hub: Hub) -> None:
    hub.end(*hub.accept(received(1)))
    hub.days = 700
    hub.accept(replace(closed(1), data={**closed(1).data, "status": None}))
    hub.days = 731
    hub.keeper.forget_expired()
    assert hub.count(requests) == 1

    hub.days = 1431
    hub.keeper.forget_expired()
    assert hub.count(requests) == 0


def test_a_request_with_an_unfinished_delivery_is_never_forgotten(hub: Hub) -> None:
    opened, _ = hub.accept(received(1)), hub.accept(closed(1))
    hub.end(*opened)

    hub.days = 3000
    hub.keeper.forget_expired()

    assert hub.count(requests) == 1


def test_people_of_whom_nobody_speaks_are_forgotten_and_met_again_as_new(hub: Hub) -> None:
    hub.end(*hub.accept(move(1, 1), move(2, 1)))
    hub.days = 600
    hub.end(*hub.accept(move(2, 2)))
    hub.days = 731
    hub.keeper.forget_expired()

    with hub.ledger.reading() as tx:
        assert {row.native_id for row in tx.sql.execute(select(citizen_links))} == {"u2"}
    assert hub.count(citizens) == 1
    hub.accept(move(1, 9))
    assert hub.count(citizens) == 2


def test_the_number_of_a_household_goes_with_its_person(hub: Hub) -> None:
    with hub.ledger.transaction() as tx:
        book = Citizens(tx, b"test")
        known = book.resolve(TENANT, {"references": [{"system": "portail", "id": "u1"}]})
        book.save()
        keep_number(tx, TENANT, "famille", "foyer-77", known.id)
    hub.days = 731
    hub.keeper.forget_expired()

    assert hub.count(household_links) == 0


def test_people_with_a_request_or_a_mark_that_protects_them_are_kept(hub: Hub) -> None:
    hub.accept(received(1, citizen="asks"))
    with hub.ledger.transaction() as tx:
        book = Citizens(tx, b"test")
        book.resolve(TENANT, {"references": [{"system": "portail", "id": "hidden"}], "confidential": True})
        book.save()

    hub.days = 3000
    hub.keeper.forget_expired()

    with hub.ledger.reading() as tx:
        assert {row.native_id for row in tx.sql.execute(select(citizen_links))} == {"asks", "hidden"}


def test_importing_a_link_again_keeps_it(hub: Hub) -> None:
    person = {"references": [{"system": "koha", "id": "42"}]}
    for day in (0, 700, 1400):
        hub.days = day
        hub.keeper.forget_expired()
        with hub.ledger.transaction() as tx:
            book = Citizens(tx, b"test")
            book.prefetch(TENANT, [person])
            book.resolve(TENANT, person)
            book.save()

    assert hub.count(citizens) == 1
    hub.days = 2131
    assert hub.keeper.forget_expired()["citizens"] == 1


def test_nonces_go_within_a_minute_of_their_time_not_with_the_hourly_round(hub: Hub) -> None:
    now = datetime.fromtimestamp(hub.ledger.now(), UTC)
    for mark, seconds in ((b"o" * 32, -61), (b"n" * 32, 30)):
        use_nonce(hub.ledger, NAME, mark, now + timedelta(seconds=seconds))
    stop, turns = threading.Event(), iter([True, False])

    def active() -> bool:
        if not (more := next(turns)):
            stop.set()
        return more

    hub.keeper.run(stop, active, note_every=0.001, tidy_every=3600)

    with hub.ledger.reading() as tx:
        assert [bytes(row.mark) for row in tx.sql.execute(select(used_nonces))] == [b"n" * 32]


def test_used_assertions_and_old_answers_go(hub: Hub) -> None:
    now = hub.ledger.now()
    with hub.ledger.transaction() as tx:
        tx.sql.execute(
            insert(used_assertions),
            [{"client_id": "a", "jti": "old", "expires": now - 61}, {"client_id": "a", "jti": "new", "expires": now}],
        )
        answers = [{"client_id": "a", "key": k, "digest": b"", "at": now - age} for k, age in (("o", DAY), ("n", 0))]
        tx.sql.execute(insert(idempotent_answers), answers)

    assert hub.keeper.forget_expired() == {"answers": 2}

    assert (hub.count(used_assertions), hub.count(idempotent_answers)) == (1, 1)


@pytest.mark.parametrize("part", [1, 2, 3])
def test_what_does_not_fit_in_one_part_is_forgotten_all_the_same(
    hub: Hub, part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_PART", part)
    monkeypatch.setattr(retention, "_BATCH", 2)
    people, now = range(1, 8), hub.ledger.now()
    papers = [hub.document(str(number).encode()) for number in people]
    for paper in papers:
        record_holder(hub.ledger, TENANT, f"{TENANT}.portail", paper)
    hub.end(*hub.accept(*(received(number, paper) for number, paper in zip(people, papers, strict=True))))
    hub.end(*hub.accept(*(closed(number) for number in people)), *hub.accept(*(move(number, 1) for number in people)))
    with hub.ledger.transaction() as tx:
        answers = [{"client_id": "a", "key": str(number), "digest": b"", "at": now} for number in people]
        tx.sql.execute(insert(idempotent_answers), answers)

    hub.days = 31
    early = hub.keeper.forget_expired()
    hub.days = 800
    late = hub.keeper.forget_expired()

    assert early == {"documents": 7, "answers": 7}
    assert late == {"requests": 7, "events": 21, "citizens": 7}
    tables = (requests, events, documents, document_holders, document_uses, citizens, citizen_news)
    assert [hub.count(table) for table in tables] == [0] * len(tables)


def test_of_many_documents_those_that_are_still_needed_stay(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "_PART", 2)
    papers = [hub.document(str(number).encode()) for number in range(6)]
    seqs = hub.accept(*(received(number, paper) for number, paper in enumerate(papers)))
    hub.end(*seqs[4:])
    hub.days = 60

    assert hub.keeper.forget_expired()["documents"] == 2

    assert hub.stored() == {paper.id for paper in papers[:4]}


def test_a_person_named_by_an_event_that_is_kept_is_kept(hub: Hub) -> None:
    hub.accept(move(1, 1))  # its delivery does not end
    hub.end(*hub.accept(move(2, 1)))
    hub.days = 3000

    assert hub.keeper.forget_expired()["citizens"] == 1

    with hub.ledger.reading() as tx:
        assert {row.native_id for row in tx.sql.execute(select(citizen_links))} == {"u1"}


def test_what_was_claimed_and_went_unread_goes_with_its_request_and_with_its_person(hub: Hub) -> None:
    (seq,) = hub.accept(received(1))
    hub.accept(closed(1), move(9, 1))
    hub.end(*range(1, 4))
    with hub.ledger.transaction() as tx:
        (case,) = tx.sql.execute(select(requests.c.id)).scalars()
        (person,) = tx.sql.execute(
            select(citizen_links.c.citizen_id).where(citizen_links.c.native_id == "u9")
        ).scalars()
        claims = [(f"r:{case}", "1"), (f"c:{person}", "2"), ("r:another", "3"), (f"c:{case}", "4")]
        tx.sql.execute(insert(unproved_references), [
            {"tenant": TENANT, "subject": subject, "system": "koha", "native_id": native, "origin": NAME, "mark": 0,
             "at": tx.now}
            for subject, native in claims
        ])  # fmt: skip
        tx.sql.execute(insert(unread_events), [
            {"seq": seq, "tenant": TENANT, "request_id": case, "type": "request.received", "at": tx.now}
        ])  # fmt: skip
    hub.days = 364
    hub.keeper.forget_expired()
    assert (hub.count(unproved_references), hub.count(unread_events)) == (4, 1)

    hub.days = 366
    hub.keeper.forget_expired()
    assert (hub.count(requests), hub.count(unproved_references), hub.count(unread_events)) == (0, 3, 0)

    hub.days = 731
    hub.keeper.forget_expired()
    assert hub.count(unproved_references) == 2


def test_what_is_held_and_never_admitted_goes_with_its_events(hub: Hub) -> None:
    with hub.ledger.transaction() as tx:
        day = day_of(tx.now)
        hold(tx, NAME, [(1, False), (2, False)])
        allow_first_load(tx, NAME, tx.now + 86_400)
    hub.days = 89
    hub.keeper.forget_expired()
    with hub.ledger.reading() as tx:
        assert [(one.day, one.number) for one in held_days(tx)] == [(day, 2)]
    assert (hub.count(held_events), hub.count(first_loads)) == (2, 0)

    hub.days = 92
    hub.keeper.forget_expired()

    assert (hub.count(held_events), hub.count(question_days)) == (0, 0)


def test_what_answered_many_questions_goes_with_its_sample_and_what_it_did(hub: Hub) -> None:
    group = {"group_id": "g", "tenant": TENANT, "origin": NAME, "score": 87, "explanation": "", "population": 1}
    tables = (question_acts, question_answers, question_samples, question_sample_members)
    with hub.ledger.transaction() as tx:
        for name, state in (("through", "done"), ("stopped", "running"), ("unused", "")):
            drawn = group | {"id": name, "size": 1, "drawn_at": tx.now, "drawn_by": "odile"}
            tx.sql.execute(insert(question_samples).values(drawn))
            tx.sql.execute(insert(question_sample_members).values(sample_id=name, place=0, review_id="r"))
            if state:
                tx.sql.execute(insert(question_acts).values(
                    id=name, sample_id=name, tenant=TENANT, answer="same", doubles=0, state=state, after_at=0,
                    after_id="", place=1, started_at=tx.now, started_by="odile",
                ))  # fmt: skip
                tx.sql.execute(insert(question_answers).values(
                    act_id=name, place=1, review_id="r", outcome="distinct", at=tx.now
                ))  # fmt: skip
    hub.days = 729
    hub.keeper.forget_expired()
    assert [hub.count(table) for table in tables] == [2, 2, 3, 3]

    hub.days = 731
    hub.keeper.forget_expired()

    assert [hub.count(table) for table in tables] == [1, 1, 1, 1]


def test_a_trouble_goes_after_its_days_once_it_is_closed(hub: Hub) -> None:
    with hub.ledger.transaction() as tx:
        tx.sql.execute(insert(troubles), [
            {"id": name, "tenant": TENANT, "kind": "parked", "about": NAME, "cause": "", "urgent": 0, "number": 1,
             "since": tx.now, "last_at": tx.now, "opened_at": tx.now, "closed_at": at}
            for name, at in (("open", None), ("closed", tx.now))
        ])  # fmt: skip
    hub.days = 29
    hub.keeper.forget_expired()
    assert hub.count(troubles) == 2

    hub.days = 31
    hub.keeper.forget_expired()

    assert hub.count(troubles) == 1


def test_only_the_active_process_forgets(hub: Hub) -> None:
    hub.end(*hub.accept(move(1, 1)))
    hub.days = 100
    stop, asked = threading.Event(), threading.Event()
    answers = iter([False, False, True])

    def active() -> bool:
        answer = next(answers, None)
        if answer is True:
            assert hub.count(events) == 1
        if answer is None:
            stop.set()
            asked.set()
        return bool(answer)

    hub.keeper.run(stop, active, note_every=0.001, tidy_every=0)

    assert asked.is_set()
    assert hub.count(events) == 0


def test_a_pair_that_found_nobody_goes_at_its_time_and_the_numbers_of_its_load_later(hub: Hub) -> None:
    pending = PendingPairs(People(PersonKeys(b"k" * 32), b"pepper", b"r" * 32), b"p" * 32)
    identity = {"family_name": "Sorbier", "given_names": ["Pierre"], "birthdate": "1972-05-17"}
    with hub.ledger.transaction() as tx:
        for number, days in enumerate((10, 180)):
            person = {"identity": identity, "references": [{"system": "koha", "id": f"K-{number}"}]}
            pending.keep(tx, "saint-aubin", NAME, "9509159d2c9f", [(person, False)], tx.now + days * 86_400)
        tx.sql.execute(insert(loads).values(
            id="9509159d2c9f", tenant="saint-aubin", connection=NAME, assessment="AIPD-1", actor="odile", content="x",
            reached=2, counts="{}", started_at=tx.now, ended_at=tx.now,
        ))  # fmt: skip
    blocks = hub.count(pending_blocks)
    assert blocks > 0

    hub.days = 11
    hub.keeper.forget_expired()
    assert (hub.count(pending_pairs), hub.count(pending_blocks), hub.count(loads)) == (1, blocks // 2, 1)
    hub.days = 181
    hub.keeper.forget_expired()
    assert (hub.count(pending_pairs), hub.count(pending_blocks), hub.count(loads)) == (0, 0, 1)
    hub.days = 731
    hub.keeper.forget_expired()
    assert hub.count(loads) == 0
