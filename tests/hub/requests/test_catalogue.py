"""What a procedure asks for, and what a request lacks of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hub.requests.catalogue import brought_kinds, check_online, missing_documents
from hub.settings.procedures import load_procedures
from schemas.errors import InvalidMessage
from schemas.event import Event

PACS = load_procedures()["depot-dossier-pacs"]
KINDS = [document.kind for document in PACS.documents]


def test_each_required_document_is_missing_until_one_of_its_kind_is_there() -> None:
    assert [one.kind for one in missing_documents(PACS, ())] == KINDS
    assert missing_documents(PACS, set(KINDS)) == []
    assert missing_documents(load_procedures()["acte-naissance"], ()) == []


def test_what_came_later_counts_and_what_the_town_issued_does_not() -> None:
    def told(event_type: str, data: dict[str, Any]) -> Event:
        return Event(event_type, "/saint-aubin/portail", data)

    came = told("request.received", {"request": {"documents": [{"kind": "a"}, {"id": "without-kind"}]}})
    later = told("document.received", {"document": {"kind": "b"}, "kind": "c"})
    issued = told("request.status-changed", {"status": "granted", "documents": [{"kind": "d"}]})

    assert brought_kinds([came, later, issued]) == {"a", "b", "c"}


def test_a_request_filed_online_is_told_all_that_it_lacks() -> None:
    with pytest.raises(InvalidMessage) as raised:
        check_online(PACS, {"documents": [{"kind": KINDS[0]}]})
    assert (raised.value.code, raised.value.pointer) == ("documents_missing", "/documents")
    assert [one["kind"] for one in raised.value.problem_members["missing"]] == KINDS[1:]  # type: ignore[attr-defined]

    with pytest.raises(InvalidMessage) as raised:
        check_online(replace(PACS, channels=("desk",)), {})
    assert (raised.value.code, raised.value.pointer) == ("channel_not_offered", "/intake")
