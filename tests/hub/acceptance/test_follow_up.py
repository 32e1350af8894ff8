"""What somebody must act on reaches the office that decides, in its own way; its next word is news."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from hub.storage.tables import unread_events
from schemas.event import Event
from tests.commands.test_requests import by, received, says, typed
from tests.hub.acceptance.test_accept import Desk
from tests.hub.acceptance.test_accept import received as asked
from tests.hub.acceptance.test_accept import status as step
from tests.support.town import TENANT, Town

REFERENCE = ("portail", "77")


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    """A file drop decides the procedure: its system has the name of the role."""
    folders = {name: str(tmp_path / name) for name in ("drop_folder", "return_folder")}
    for folder in folders.values():
        Path(folder).mkdir()
    drop = {"connector": "filedrop", "mode": "live", "settings": {"preset": "family", **folders}}
    made = Town(tmp_path, {"signature-book": drop})
    made.start()
    yield made
    made.close()


def dropped(town: Town, word: str) -> int:
    files = (town.folder / "drop_folder").glob("*.csv")
    return sum(path.read_text("utf-8-sig").count(word) for path in files)


@pytest.mark.parametrize("road", ["the portal", "an operator"])
def test_an_office_reads_in_its_folder_that_a_request_is_taken_up_again(town: Town, road: str) -> None:
    received(town, *REFERENCE)
    assert says(town, "portail", REFERENCE, "withdrawn", "w").ok

    if road == "the portal":
        assert says(town, "portail", REFERENCE, "in_progress", "o", reopened=True, reason="retrait par erreur").ok
    else:
        assert typed(town, "request", "reopen", "portail:77", "--reason", "retrait par erreur")[0] == 0

    town.until(lambda: dropped(town, "retrait par erreur") == 1)
    with town.hub.ledger.reading() as tx:
        assert tx.sql.execute(select(unread_events)).all() == []


def test_an_office_reads_in_its_folder_that_a_document_came(town: Town) -> None:
    request = received(town, *REFERENCE)
    store = town.hub.documents.for_tenant(TENANT)
    record = store.store(b"%PDF-1.4 plan", name="plan.pdf", media_type="application/pdf").to_data()
    came = Event(
        "document.received", f"/{TENANT}/portail", {"document": record, "kind": "site-plan", "request": {"id": request}}
    )

    origin = replace(by("portail"), connection=True)
    assert town.hub.acceptance.submit(town.hub.ledger, origin, [came])[0].ok

    town.until(lambda: dropped(town, "plan") >= 1)


def test_what_the_office_says_after_a_reopening_is_news_although_it_reads_like_the_last(desk: Desk) -> None:
    desk.submit(asked())
    first = desk.submit(step("fulfilled", event_id="one"), by="etat-civil")[0]
    again = desk.submit(step("fulfilled", event_id="two"), by="etat-civil")[0]
    desk.submit(step("in_progress", by="portail", event_id="back", reopened=True))

    after = desk.submit(step("fulfilled", event_id="three"), by="etat-civil")[0]

    assert [desk.to(verdict) for verdict in (first, again, after)] == [["portail"], [], ["portail"]]
    assert desk.status(after.request_id) == "fulfilled"
