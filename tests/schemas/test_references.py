"""How the system that asks calls what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from schemas.event import Event
from schemas.references import asked_reference

PAYMENT, REQUEST = {"system": "regie", "id": "F-1"}, {"system": "portail", "id": "cantine-17"}


@pytest.mark.parametrize(
    ("data", "asked"),
    [
        ({"payment": {"reference": PAYMENT}, "request": {"references": [REQUEST]}}, PAYMENT),
        ({"message": {"reference": PAYMENT}}, PAYMENT),
        ({"request": {"references": [REQUEST, PAYMENT]}}, REQUEST),
        ({"citizen": {"references": [REQUEST]}}, None),
    ],
    ids=["a payment", "a message", "a request", "nothing"],
)  # fmt: skip
def test_it_is_what_is_asked_for_and_else_the_request(data: Mapping[str, Any], asked: Mapping[str, str] | None) -> None:
    assert asked_reference(Event("any.type", "/saint-aubin/portail", data, id="1")) == asked
