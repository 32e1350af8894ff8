"""The link table of a town is read from a file: all of it, or none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hub.operations.link_import import import_links
from schemas.errors import InvalidMessage
from tests.support.town import HEADER, TENANT, Town


def test_a_link_file_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    town = Town(tmp_path, {"famille": {}})
    good = "SORBIER;Blanche;female;1991-11-23;93001;famille;F-1;\n"
    taken = "GARANCE;Odette;female;1984-03-09;93001;famille;F-1;\n"
    try:
        with pytest.raises(InvalidMessage, match=r"line 3: birthdate"):
            import_links(
                town.hub.ledger, town.hub.acceptance, TENANT, HEADER + good + "GARANCE;Odette;;;;famille;F-2;\n"
            )
        with pytest.raises(InvalidMessage, match="first line"):
            import_links(town.hub.ledger, town.hub.acceptance, TENANT, "nom;prenom\n")
        with town.hub.ledger.reading() as tx:
            book = town.hub.acceptance.citizens(tx)
            book.prefetch(TENANT, [{"references": [{"system": "famille", "id": "F-1"}]}])
            assert book.check(TENANT, {"references": [{"system": "famille", "id": "F-1"}]}) is None

        assert import_links(town.hub.ledger, town.hub.acceptance, TENANT, HEADER + good) == 1
        with pytest.raises(InvalidMessage) as refusal:
            import_links(town.hub.ledger, town.hub.acceptance, TENANT, HEADER + taken + good.replace("F-1", ""))
        assert "GARANCE" not in str(refusal.value)
        assert "SORBIER" not in str(refusal.value)
    finally:
        town.close()


GOOD = "SORBIER;Blanche;female;1991-11-23;93001;famille;F-1;\n"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    yield town
    town.close()


def imported(town: Town, text: str | bytes) -> int:
    return import_links(town.hub.ledger, town.hub.acceptance, TENANT, text)


# exceljs#454, ganttproject#1634
@pytest.mark.parametrize(
    "text",
    [
        HEADER + GOOD.replace("F-1;", "F-1"), HEADER + GOOD.replace(";\n", ";;;\n") + ";;;;;;;\n",
        HEADER.replace("\n", ";;\n") + GOOD, ("\ufeff" + HEADER + GOOD).encode(), "sep=;\r\n" + HEADER + GOOD,
    ],
)  # fmt: skip
def test_what_excel_adds_to_a_link_file_or_drops_from_it_is_taken(town: Town, text: str | bytes) -> None:
    assert imported(town, text) == 1


# SORMAS#2122, addok#373, OpenRefine#690, thinkle/gourmet#560
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (GOOD.replace("1991", "0020"), "line 3: birthdate: "), (GOOD.replace("93001", "1004"), "line 3: birthplace: "),
        (GOOD.replace("female", "F"), "line 3: gender: "), (GOOD.replace("Blanche", "Bl\x92anche"), "line 3: a cell"),
        (GOOD.replace("Blanche", '"Blanche'), "line 3: a quote"),
        (GOOD.replace("F-1;", "F-1;oui;x"), "line 3: too many"),
    ],
)  # fmt: skip
def test_a_line_that_no_event_could_say_is_named_and_nothing_is_kept(town: Town, line: str, why: str) -> None:
    with pytest.raises(InvalidMessage, match=f"^{why}") as refusal:
        imported(town, HEADER + GOOD + line.replace("F-1", "F-2") + GOOD.replace("F-1", "F-3"))
    assert "SORBIER" not in refusal.value.reason
    assert "anche" not in refusal.value.reason
    with town.hub.ledger.reading() as tx:
        book = town.hub.acceptance.citizens(tx)
        book.prefetch(TENANT, [{"references": [{"system": "famille", "id": "F-1"}]}])
        assert book.check(TENANT, {"references": [{"system": "famille", "id": "F-1"}]}) is None


# pix PR 1842
def test_a_link_file_that_excel_wrote_in_its_own_encoding_is_refused_as_such(town: Town) -> None:
    with pytest.raises(InvalidMessage, match="not in UTF-8"):
        imported(town, (HEADER + GOOD.replace("Blanche", "Maëlle")).encode("cp1252"))
