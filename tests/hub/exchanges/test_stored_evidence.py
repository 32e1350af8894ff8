"""Evidence that is kept serves the question it was obtained for, while it is new enough and its person is known."""

from __future__ import annotations

from bus.ledger import Ledger
from hub.exchanges.stored_evidence import Held, HeldEvidence
from hub.storage.person_keys import PersonKeys
from schemas.exchange import Evidence

KEYS = PersonKeys(bytes(32))


def held(at: float, quotient: int = 815) -> Held:
    values = {"quotient": {"value": quotient, "source": "caf", "date": "2026-11-02", "quality": "authoritative"}}
    return Held(Evidence("family-quotient", 1, values), ("quotient", "month"), "saint-aubin.caf", at)


def test_a_value_serves_its_own_place_while_it_is_new_enough(ledger: Ledger) -> None:
    book, now = HeldEvidence(KEYS), ledger.now()
    with ledger.transaction() as tx:
        book.store(tx, "camille", "place", held(now - 60), until=now + 60)
        assert book.find(tx, "camille", "place", since=now - 90) == held(now - 60)
        assert book.find(tx, "camille", "place", since=now - 30) is None
        assert book.find(tx, "camille", "other", since=0) is book.find(tx, "odile", "place", since=0) is None
        assert book.last_known(tx, "camille", "place") == now - 60


def test_a_newer_value_takes_its_place_and_one_of_a_day_to_come_serves_nobody(ledger: Ledger) -> None:
    book, now = HeldEvidence(KEYS), ledger.now()
    with ledger.transaction() as tx:
        for one in (held(now - 60), held(now, 900)):
            book.store(tx, "camille", "place", one, until=now + 60)
        assert book.find(tx, "camille", "place", since=0) == held(now, 900)
        book.store(tx, "camille", "place", held(now + 3600), until=now + 7200)
        assert book.find(tx, "camille", "place", since=0) is None


def test_what_is_forgotten_or_erased_is_not_found(ledger: Ledger) -> None:
    book, now = HeldEvidence(KEYS), ledger.now()
    with ledger.transaction() as tx:
        for who in ("camille", "odile"):
            book.store(tx, who, "place", held(now), until=now + 60)
        assert book.forget(tx, "camille", "library-card") == 0
        assert book.forget(tx, "camille") == 1
        KEYS.destroy(tx, "odile")
        assert book.find(tx, "camille", "place", since=0) is book.find(tx, "odile", "place", since=0) is None
        assert book.of_citizen(tx, ["camille", "odile"]) == []
