"""docs/connectors-outcomes.md says what happens: every cell of it is acted out here."""

from __future__ import annotations

import pytest

from connectors.sdk import find_manifests
from tests.connectors.contents import CONTENTS, Content
from tests.connectors.misbehaviours import COLUMNS, Column
from tests.connectors.outcomes import BAD, HEAD, NOTES, PAGE, cells

WRITTEN = cells(PAGE.read_text(encoding="utf-8"))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: f"{column.connector}-{column.title}".replace(" ", "-"))
def test_a_misbehaviour_ends_as_the_page_says_and_the_work_is_done_once(column: Column) -> None:
    found = {label: column.cell(kind) for kind, label in column.kinds.items()}

    assert found == {label: WRITTEN[column.connector, label, column.title] for label in column.kinds.values()}


@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: content.title.replace(" ", "-"))
def test_a_bad_content_ends_as_the_page_says_and_leaves_nothing_behind(content: Content) -> None:
    assert content.act() == WRITTEN[BAD, content.title, "outcome"]


def test_the_page_says_nothing_else() -> None:
    acted = {(column.connector, label, column.title) for column in COLUMNS for label in column.kinds.values()}
    acted |= {(BAD, content.title, "outcome") for content in CONTENTS}
    text = PAGE.read_text(encoding="utf-8")

    assert acted == WRITTEN.keys()
    assert text.startswith(HEAD)
    assert all(note in text for note in NOTES.values())


def test_every_connector_is_on_the_page() -> None:
    assert {column.connector for column in COLUMNS} == set(find_manifests())
