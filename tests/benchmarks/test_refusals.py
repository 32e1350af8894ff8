"""Promise 12 at the schemas: the dearest refusal that a search finds costs a small multiple of an acceptance."""

from __future__ import annotations

from benchmarks.refusals import LIMIT, search
from schemas.registry import Registry


def test_no_document_that_the_search_finds_costs_much_more_to_refuse_than_another_to_accept() -> None:
    registry = Registry.load()

    accepted, refused = search(registry, rounds=2, seed=13, tries=12)

    assert not accepted.pointer
    assert refused.pointer.startswith("/data")
    assert refused.seconds / accepted.seconds < LIMIT, (refused.to_dict(), accepted.to_dict())
