from __future__ import annotations

from connectors.sdk import reference_link, status_changed
from connectors.sdk.statuses import StatusRow
from schemas.event import Event
from schemas.registry import Registry

LINK = reference_link("chantiers", "12")


def test_a_word_of_the_table_is_told_with_its_meaning_and_what_is_empty_is_left_out() -> None:
    row = StatusRow("*", "fini", "granted", "delivery", "Terminé", "in")
    data = status_changed(LINK, "fini", row, reason="", documents=[])

    assert data == {
        "request": LINK, "status": "granted", "native": {"code": "fini", "label": "Terminé"}, "phase": "delivery",
    }  # fmt: skip
    Registry.load().validate(Event("request.status-changed", "/saint-aubin/chantiers", data))


def test_a_word_that_the_table_does_not_know_is_shown_and_applied_to_nothing() -> None:
    data = status_changed(LINK, "gel", None, label="Gelé", reopened=True)

    assert data == {"request": LINK, "status": None, "native": {"code": "gel", "label": "Gelé"}, "reopened": True}
    assert status_changed(LINK, "gel", None)["native"]["label"] == "gel"
