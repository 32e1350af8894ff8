"""Citizens by link and by pivot: found again, never guessed; what was told to whom comes back as an echo."""

from __future__ import annotations

from typing import Any

import pytest

from bus.ledger import Ledger, Transaction
from hub.citizens.repository import Citizens, Link, identifiers_of, link_citizen
from schemas.errors import InvalidMessage

TOWN = "saint-aubin"
BY_PACKAGE = Link("told", "saint-aubin.ccas")
IDENTITY = {"family_name": "Sorbier", "given_names": ["Blanche"], "birthdate": "1991-11-23", "gender": "female"}


def person(*references: tuple[str, str], **more: Any) -> dict[str, Any]:
    return {"references": [{"system": system, "id": native} for system, native in references], **more}


def resolved(tx: Transaction, *people: dict[str, Any]) -> list[str]:
    book = Citizens(tx, b"pepper")
    book.prefetch(TOWN, people)
    ids = [book.resolve(TOWN, one).id for one in people]
    book.save()
    return ids


def test_somebody_is_found_again_by_a_link_and_by_the_very_same_identity(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        (first,) = resolved(tx, person(("koha", "1"), identity=IDENTITY))
        same = [person(("koha", "1")), person(("publik", "9"), identity=IDENTITY | {"family_name": "SORBIER"})]
        assert resolved(tx, *same) == [first, first]
        assert identifiers_of(tx, [first]) == {(TOWN, "koha", first): "1", (TOWN, "publik", first): "9"}


def test_a_thin_identity_finds_nobody(ledger: Ledger) -> None:
    thin = {"family_name": "Sorbier", "birthdate": "1991-11-23"}
    with ledger.transaction() as tx:
        first, second = resolved(tx, person(("koha", "1"), identity=thin), person(("koha", "2"), identity=thin))
    assert first != second


def test_identifiers_of_two_people_are_ambiguous(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        resolved(tx, person(("koha", "1")), person(("publik", "2")))
    with ledger.transaction() as tx, pytest.raises(InvalidMessage) as refusal:
        resolved(tx, person(("koha", "1"), ("publik", "2")))
    assert refusal.value.code == "ambiguous_citizen"


def test_a_mark_is_kept_and_told_once(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        (first,) = resolved(tx, person(("koha", "1"), confidential=True))
    with ledger.transaction() as tx:
        book = Citizens(tx, b"pepper")
        book.prefetch(TOWN, [person(("koha", "1")), marked := person(("koha", "2"), confidential=True)])
        assert book.is_marked(TOWN, person(("koha", "1")))
        assert book.take_fresh_marks() == set()
        second = book.resolve(TOWN, marked)
        assert (book.take_fresh_marks(), book.take_fresh_marks()) == ({second.id}, set())
        assert second.id != first


def test_an_identifier_stays_with_who_has_it(ledger: Ledger) -> None:
    with ledger.transaction() as tx:
        first, second = resolved(tx, person(("koha", "1")), person(("koha", "2")))
        assert link_citizen(tx, TOWN, "ccas", "7", first, BY_PACKAGE)
        assert not link_citizen(tx, TOWN, "ccas", "7", second, BY_PACKAGE)
        assert link_citizen(tx, TOWN, "ccas", "7", first, BY_PACKAGE)
