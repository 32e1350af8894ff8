"""Events about invented people, as the hub hands them to a file drop."""

from __future__ import annotations

from typing import Any

from schemas.delivery import Delivery
from schemas.event import Event

REQUEST_ID = "0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201"


def address(**changes: Any) -> dict[str, Any]:
    base = {
        "house_number": "12 bis", "street": "rue des Tilleuls", "postal_code": "38999", "city": "Valbruyère",
        "insee_code": "38999",
    }  # fmt: skip
    return {key: value for key, value in (base | changes).items() if value is not None}


def value(content: Any) -> dict[str, Any]:
    return {"value": content, "source": "publik", "date": "2026-03-02", "quality": "declared"}


def moved(
    number: int = 1, *, given: str = "Maëlle", attempt: int = 1, family: str | None = "F-1042", **to: Any
) -> Delivery:
    data = {
        "citizen": {"identity": {"family_name": "Corvisart", "given_names": [given]}},
        "new_address": value(address(**to)),
        "effective_on": "2026-04-01",
    }
    event = Event("citizen.address-changed", "/saint-aubin/publik", data, id=f"e-{number}", time="2026-03-02T09:15:00Z")
    return Delivery(event, f"saint-aubin.famille-{number}", family, attempt, REQUEST_ID)


def reached(number: int = 1, **changes: Any) -> Delivery:
    data: dict[str, Any] = {"citizen": {"identity": {"family_name": "Corvisart", "given_names": ["Maëlle"]}}} | changes
    return Delivery(
        Event("citizen.contact-changed", "/saint-aubin/publik", data, id=f"c-{number}"), f"k-{number}", "F-1042"
    )


def asked(number: int = 1, **form: Any) -> Delivery:
    citizen = {"identity": {"family_name": "Benzerti", "given_names": ["Ilyès"], "birthdate": "1962-07-01"}}
    request = {
        "references": [{"system": "hubee", "id": f"QF-{number}"}], "procedure": "formulaire-qf",
        "submitted_at": "2026-03-02T09:14:05Z", "intake": "online", "requester": {"citizen": citizen}, "form": form,
    }  # fmt: skip
    event = Event("request.received", "/saint-aubin/hubee", {"request": request}, id=f"r-{number}")
    return Delivery(event, f"saint-aubin.famille-{number}", None, 1, REQUEST_ID)
