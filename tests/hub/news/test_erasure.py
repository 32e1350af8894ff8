"""With a person goes what each reader knew of them, what is to come, and what was to be told again."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import select

from bus.ledger import Ledger
from hub.acceptance.days import take_effect
from hub.acceptance.restating import restate
from hub.citizens.catch_ups import CatchUp, ask_later, wait_for_source
from hub.citizens.pending import PendingPairs
from hub.documents.files import DocumentStore
from hub.documents.repository import DocumentBook
from hub.exchanges.corrections import Corrections
from hub.exchanges.stored_evidence import HeldEvidence
from hub.journal.entries import Journal
from hub.operations.catching_up import CatchingUp
from hub.privacy.rights import Rights
from hub.settings.model import Retention
from hub.storage.person_keys import PersonKeys
from hub.storage.tables import catch_ups, citizen_news
from schemas.manifest import Consumed
from schemas.registry import Registry
from tests.hub.citizens.town import BY, TOWN
from tests.hub.news.town import ADDRESS, CONTACT, Readers, home, said


@pytest.fixture
def town(ledger: Ledger) -> Readers:
    made = Readers(ledger)
    for name in ("publik", "koha", "famille"):
        fields = ("/citizen", "/new_address") + (("/effective_on",) if name == "koha" else ())
        made.change(name, consumes={ADDRESS: Consumed(ADDRESS, 2, fields, "linked"),
                                    CONTACT: Consumed(CONTACT, 1, ("/citizen", "/email"), "linked")})  # fmt: skip
    for who in ("1", "2"):
        made.link(who, "publik", "koha", "famille")
        made.moves("publik", who, f"{who} rue Neuve")
        made.tell("publik", who, CONTACT, email=said(f"{who}@courriel.example", "publik"))
        day = datetime.fromtimestamp(ledger.now() + 30 * 86_400, UTC).date().isoformat()
        comes = said(home(f"{who} rue du Puits"), "publik", "2026-03-03")
        assert made.tell("publik", who, version=2, new_address=comes, effective_on=day).ok
        with ledger.transaction() as tx:
            ask_later(tx, TOWN, [made.id_of(who)], cause="link")
            ask_later(tx, TOWN, [made.id_of(who)], cause="load:1", reader=f"{TOWN}.koha")
            asked = CatchUp(made.id_of(who), TOWN, "", f"{TOWN}.koha", 0, "load:1")
            wait_for_source(tx, asked, "phone", f"{TOWN}.publik", seconds=60.0)
    made.take_all()
    return made


def rights_of(town: Readers, folder: Path) -> Rights:
    keys = PersonKeys(b"k" * 32)
    held, journal = HeldEvidence(keys), Journal(keys)
    store = DocumentStore(str(folder / "documents"), None, DocumentBook(town.ledger))
    return Rights(
        town.ledger, town.acceptance, town.people, journal, held, store, Retention(),
        Corrections(Registry.load(), town.people, held, journal), PendingPairs(town.people, b"p" * 32),
    )  # fmt: skip


def kept(town: Readers) -> tuple[list[tuple[str, str]], list[tuple[str, str, bool, str | None]]]:
    news, row = citizen_news.c, catch_ups.c
    with town.ledger.reading() as tx:
        known = sorted((one.citizen_id, one.field) for one in tx.sql.execute(select(news.citizen_id, news.field)))
        rows = tx.sql.execute(select(row.citizen_id, row.field, row.seq, row.origin)).all()
        return known, [(one.citizen_id, one.field, bool(one.seq), one.origin) for one in rows]


@pytest.mark.parametrize("merged", [False, True])
def test_an_erasure_leaves_nothing_of_what_readers_know_or_are_still_to_be_told(
    town: Readers, tmp_path: Path, *, merged: bool
) -> None:
    first, second = town.id_of("1"), town.id_of("2")
    if merged:
        town.link("3", "publik", "koha")
        third = town.id_of("3")
        town.moves("publik", "3", "3 rue Basse")
        town.take_all()
        town.do(town.reviews.merge, TOWN, first, third, BY)
        town.take_all()
    known, asked = kept(town)
    assert {field for who, field in known if who == first} == {"email", "new_address", "new_address+"}
    assert {(field, of_day, origin) for who, field, of_day, origin in asked if who == first} == {
        ("", False, None), ("new_address", True, None), ("phone", False, f"{TOWN}.publik"),
    }  # fmt: skip

    erased = rights_of(town, tmp_path).erase(TOWN, first, BY)

    assert (erased.deleted["citizen_news"], erased.deleted["catch_ups"]) == (3 + merged, 4)
    assert kept(town) == ([one for one in known if one[0] == second], [one for one in asked if one[0] == second])


def test_nobody_is_told_of_the_erased_when_the_day_comes(town: Readers, tmp_path: Path) -> None:
    rights_of(town, tmp_path).erase(TOWN, town.id_of("1"), BY)
    later = town.ledger.now() + 40 * 86_400
    town.ledger.now = lambda: later

    catching_up = CatchingUp(
        town.ledger, lambda: town.acceptance.directory, partial(restate, town.acceptance),
        partial(take_effect, town.acceptance), lambda tx, missed: [], per_second=100,
    )  # fmt: skip
    before = town.count_events()
    assert catching_up.look() == 1  # the other one

    assert town.count_events() == before + 1
    assert [len(town.waiting(name)) for name in ("koha", "famille")] == [0, 1]
