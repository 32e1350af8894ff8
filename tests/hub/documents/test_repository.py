"""What is known of documents: each holder has its own name for one, and it is forgotten with its bytes."""

from __future__ import annotations

from dataclasses import replace

from bus.ledger import Ledger
from hub.documents.repository import DocumentBook, document_ids, find_document, held_document, record_holder
from schemas.delivery import StoredDocument

TOWN, ID = "saint-aubin", "a" * 64
PLAN = StoredDocument(ID, "plan.pdf", "application/pdf", 12, ID, "plan")


def test_each_holder_reads_a_document_under_the_name_it_gave_last(ledger: Ledger) -> None:
    DocumentBook(ledger).record(TOWN, PLAN)
    record_holder(ledger, TOWN, "ville.portail", PLAN)
    record_holder(ledger, TOWN, "ville.koha", replace(PLAN, name="copie.pdf", kind=None))
    record_holder(ledger, TOWN, "ville.koha", replace(PLAN, name="autre.pdf", kind=None))

    with ledger.reading() as tx:
        assert find_document(tx, TOWN, ID) == PLAN
        assert held_document(tx, TOWN, ID, "ville.portail") == PLAN
        assert held_document(tx, TOWN, ID, "ville.koha") == replace(PLAN, name="autre.pdf", kind=None)
        assert held_document(tx, TOWN, ID, "ville.ccas") is None
        assert held_document(tx, "val-fleuri", ID, "ville.portail") is None


def test_storing_again_renews_and_keeps_the_first_name(ledger: Ledger) -> None:
    book = DocumentBook(ledger)
    book.record(TOWN, PLAN)
    book.record(TOWN, replace(PLAN, name="autre.pdf"))
    with ledger.reading() as tx:
        assert find_document(tx, TOWN, ID) == PLAN


def test_what_is_removed_is_held_by_nobody(ledger: Ledger) -> None:
    book = DocumentBook(ledger)
    book.record(TOWN, PLAN)
    record_holder(ledger, TOWN, "ville.portail", PLAN)

    book.remove(TOWN, ID)
    book.remove(TOWN, ID)

    with ledger.reading() as tx:
        assert find_document(tx, TOWN, ID) is held_document(tx, TOWN, ID, "ville.portail") is None


def test_documents_are_found_wherever_they_stand_in_an_event() -> None:
    data = {"request": {"id": "r", "documents": [{"id": "1", "sha256": "1"}]}, "document": {"id": "2", "sha256": "2"},
            "form": [({"id": "3", "sha256": "3"},), {"id": "4"}, {"id": 5, "sha256": "5"}]}  # fmt: skip
    assert list(document_ids(data)) == ["1", "2", "3"]
