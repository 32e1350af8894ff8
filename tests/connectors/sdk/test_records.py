"""The records of a page, one by one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connectors.sdk.records import each, record_fault
from schemas.errors import AccessDenied, InvalidMessage, Refused, TryLater, Unknown


def number(record: dict[str, str]) -> Iterator[int]:
    yield 0
    if record["n"] == "x":
        raise InvalidMessage("numéro illisible", pointer="/n", code="bad_number")
    yield int(record["n"])


def test_a_record_that_cannot_be_read_is_told_whole_and_hides_none_of_the_others() -> None:
    page = [{"n": "1"}, {"n": "x"}, {"n": "Quenneville"}, {}, "texte", {"n": "2"}]

    made, faults = each(page, number, key=lambda record: record.get("n", "?"))  # type: ignore[arg-type,union-attr]

    assert made == [0, 1, 0, 2]
    assert [(fault.code, fault.key) for fault in faults] == [
        ("bad_number", "x"), ("connector.ValueError", "Quenneville"), ("connector.KeyError", "?"),
        ("connector.TypeError", ""),
    ]  # fmt: skip
    assert faults[0].place == "/n"
    assert "test_records.py:" in faults[1].place
    assert "Quenneville" not in faults[1].place + faults[1].reason


@pytest.mark.parametrize("error", [TryLater("absent"), AccessDenied("non"), Unknown("coupé")])
def test_what_concerns_the_package_as_a_whole_ends_the_page(error: Exception) -> None:
    def read(record: int) -> list[int]:
        raise error

    with pytest.raises(type(error)):
        each([1], read, key=str)


def test_a_refusal_of_one_record_is_a_fault_with_its_sentence() -> None:
    fault = record_fault(Refused("La fiche est verrouillée"), key="7", place="fiche")
    assert (fault.code, fault.place, fault.reason, fault.key) == ("refused", "fiche", "La fiche est verrouillée", "7")
