"""The mapping table is as good as a function written by hand, and nearly as fast."""

from __future__ import annotations

from benchmarks.mapping import cases, measure, table


def test_the_table_and_the_hand_make_the_same_of_every_record() -> None:
    maps = table()

    for case in cases():
        for record in case.records:
            assert maps[case.name].read(record, {"system": "rdvsp"}) == case.by_hand(record)


def test_the_table_is_at_least_half_as_fast_as_the_function_that_it_replaces() -> None:
    found = measure(rounds=7, records=300)

    assert all(figures["ratio"] >= 0.5 for figures in found.values()), found
