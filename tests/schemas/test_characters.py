"""Characters that no text of ours may hold are refused where every text enters, whatever the road."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.exchange import Evidence
from schemas.registry import Registry

REGISTRY = Registry.load()


def moved(street: str) -> Event:
    address = {"street": street, "postal_code": "38999", "city": "Valbruyère"}
    value = {"value": address, "source": "koha", "date": "2026-03-02", "quality": "declared"}
    citizen = {"references": [{"system": "koha", "id": "1"}]}
    data = {"citizen": citizen, "new_address": value, "effective_on": "2026-03-02"}
    return Event("citizen.address-changed", "/saint-aubin/koha", data)


def asked(**form: Any) -> Event:
    request = {
        "references": [{"system": "publik", "id": "1"}], "procedure": "acte-naissance", "intake": "online",
        "submitted_at": "2026-03-02T09:00:00Z", "form": form,
        "requester": {"citizen": {"references": [{"system": "publik", "id": "9"}]}},
    }  # fmt: skip
    return Event("request.received", "/saint-aubin/publik", {"request": request})


# thinkle/gourmet#560
@pytest.mark.parametrize("character", ["\x80", "\x85", "\x92", "\x9f", "\x00"])
def test_controls_that_wrong_encodings_leave_are_refused_with_their_place(character: str) -> None:
    for event, place in (
        (moved(f"rue de l{character}Église"), "/data/new_address/value/street"),
        (asked(a=["b", {"c": f"l{character}été"}]), "/data/request/form/a/1/c"),
        (asked(**{f"l{character}été": "x"}), "/data/request/form"),
    ):
        with pytest.raises(InvalidMessage) as refusal:
            REGISTRY.validate(event)
        found = refusal.value
        assert (found.code, found.pointer, found.rule) == ("schema_violation", place, "characters")
        assert f"U+{ord(character):04X}" in found.reason
        with pytest.raises(InvalidMessage, match="not taken"):
            REGISTRY.validate(event, words=False)


def test_evidence_and_what_is_asked_about_it_are_held_to_the_same() -> None:
    value = {"value": "12\x92", "source": "koha", "date": "2026-03-02", "quality": "verified"}
    with pytest.raises(InvalidMessage) as refusal:
        REGISTRY.validate_evidence(Evidence("library-card", 1, {"card_number": value}))
    assert refusal.value.pointer == "/values/card_number/value"
    with pytest.raises(InvalidMessage, match="not taken"):
        REGISTRY.check_parameters("library-card", 1, {"x": "\x85"})


@pytest.mark.parametrize("name", ["id", "subject", "type"])
def test_an_attribute_holds_no_control_either(name: str) -> None:
    body = moved("rue Haute").to_dict() | {name: "l\x92Église"}
    with pytest.raises(InvalidMessage) as refusal:
        Event.from_dict(body)
    assert refusal.value.pointer == f"/{name}"


@pytest.mark.parametrize("text", ["l’Église", "à É œ « 12 € »", "\u00a0", "\\u0000", "\\u0092", "\u2028", "Â\u00a0"])
def test_what_people_write_is_taken(text: str) -> None:
    REGISTRY.validate(moved(text))
    REGISTRY.validate(asked(a=text))
