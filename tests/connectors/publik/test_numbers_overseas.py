"""A number without its country is one of the town whose form it is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.publik.connector import Publik
from connectors.sdk import Secret
from tests.connectors.publik.scene import MOVE, SLUG, fixture, pushed, settings
from tests.support.context import context_for


@pytest.mark.parametrize(("insee", "told"), [("98818", ["78 12 34"]), ("93001", [])])
def test_a_number_of_new_caledonia_is_read_there(insee: str, told: list[str]) -> None:
    body = fixture()
    body["fields"]["nouveau_telephone"] = "78 12 34"
    context = replace(
        context_for("publik", settings(client_secret=Secret("x"), forms={SLUG: MOVE})), tenant_insee=insee
    )

    events = Publik(context).receive(pushed(body)).polled.events

    found = [event.data["phone"]["value"] for event in events if event.type == "citizen.contact-changed"]
    assert found == told
    (request,) = (event.data["request"] for event in events if event.type == "request.received")
    assert ("78 12 34" in str(request.get("form", {}).get("unread_answers"))) == (not told)
