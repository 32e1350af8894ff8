"""What a system must act on, read out of what the hub delivers."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.conformance.examples import REQUEST_ID, document_came, message_came, reopened
from connectors.sdk.follow_up import read_follow_up
from schemas.errors import Refused


def test_a_reopened_request_says_its_numbers_what_happened_and_why() -> None:
    read = read_follow_up(reopened())
    assert (read.kind, read.label) == ("reopened", "Demande reprise")
    assert read.numbers == (("hubee", "0d5c1f7e"), ("hubee.osl", "A-2026-1"))
    assert (read.said, read.reason) == ("Notifié à la collectivité", "La copie reçue est illisible.")
    assert read.link["id"] == REQUEST_ID
    assert [reference["id"] for reference in read.link["references"]] == ["0d5c1f7e", "A-2026-1"]


def test_what_an_operator_reopened_by_the_number_of_the_hub_is_known_by_it() -> None:
    read = read_follow_up(reopened(request={"id": REQUEST_ID}))
    assert read.numbers == (("hub", "0197A1C2"),)
    assert read.link == {"id": REQUEST_ID}


def test_a_message_and_a_document_are_told_apart() -> None:
    assert read_follow_up(message_came()).label == "Message au service"
    read = read_follow_up(document_came(b"%PDF"))
    assert (read.label, read.reason, len(read.documents)) == ("Pièce reçue", "", 1)


@pytest.mark.parametrize("request_link", [{}, {"references": []}])
def test_what_is_of_no_request_is_refused(request_link: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        read_follow_up(document_came(b"%PDF", request=request_link, request_id=None))
