"""Koha's patron <-> the hub's address, contact and library card. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from connectors.sdk import values
from connectors.sdk.values import present
from schemas.checks import is_date
from schemas.converters import NO_POSTAL_CODE
from schemas.errors import InvalidMessage

Patron = Mapping[str, Any]
Layout = Literal["one-line", "split"]

# what Koha computes itself: sent back, it would be refused, or would freeze the date of change
READ_ONLY = ("patron_id", "updated_on", "restricted", "anonymized", "_strings", "extended_attributes")
_HOME = ("", "FR", "FRANCE")


def address_fields(address: Mapping[str, Any], layout: Layout) -> dict[str, str | None]:
    """The properties of a patron that an address fills. `one-line`, as French libraries write it: the number and the
    street in `address`. `split`: the number in `street_number`. What the new address lacks is emptied, or the old
    building or region would stay with the new street."""
    number, street = address.get("house_number"), address.get("street")
    line = " ".join(part for part in (number, street) if part) if layout == "one-line" else street
    country = address.get("country", "FR")
    return {
        "street_number": number if layout == "split" else None, "street_type": None, "address": line or None,
        "address2": address.get("complement"), "city": address["city"], "state": None,
        "postal_code": None if address["postal_code"] == NO_POSTAL_CODE else address["postal_code"],
        "country": None if country == "FR" else country,
    }  # fmt: skip


def contact_fields(data: Mapping[str, Any], phone_property: str) -> dict[str, str | None]:
    """The properties that a change of contact fills; one that the event does not hold is left alone."""
    names = {"email": "email", "phone": phone_property}
    return {names[name]: data[name]["value"] for name in names if name in data}


def has_values(patron: Patron, fields: Mapping[str, str | None]) -> bool:
    """Whether the patron already has these values; Koha writes an empty property as null or as ""."""
    alike = {"country": _same_country}
    return all(alike.get(name, _same_but_for_case)(patron.get(name), value) for name, value in fields.items())


def with_values(patron: Patron, fields: Mapping[str, str | None]) -> dict[str, Any]:
    """The whole patron to write back: as it was read, but for `fields` and for what Koha computes. A property that
    this Koha does not know is not brought in just to be emptied."""
    known = {name: value for name, value in fields.items() if value is not None or name in patron}
    return {name: value for name, value in patron.items() if name not in READ_ONLY} | known


def card_of(patron: Patron) -> dict[str, Any]:
    """The card in the words of the evidence `library-card`, as far as the record tells; blanks and what cannot be read
    are left out."""
    expiry, restricted = _one_line(patron.get("expiry_date")), patron.get("restricted")
    return present({
        "card_number": _short(patron.get("cardnumber"), 64), "category": _short(patron.get("category_id"), 100),
        "expires_on": expiry if is_date(expiry) else "",
        "blocked": restricted if isinstance(restricted, bool) else None,
    })  # fmt: skip


def address_of(patron: Patron) -> dict[str, Any] | None:
    """The patron's address in the hub's words; None when it has no town, a country we cannot name, or a French postal
    code that has not five digits. Raises InvalidMessage for a part that is no text at all."""
    names = ("street_number", "street_type", "address", "address2", "postal_code", "city", "country")
    text = {name: _told_text(patron, name) for name in names}
    town = values.town(text["city"], text["postal_code"], text["country"])
    if town is None:
        return None
    kind = text["street_type"] if text["street_type"].isalpha() else ""  # some libraries keep a code there
    return present({
        "house_number": text["street_number"][:20],
        "street": f"{kind} {text['address']}".strip()[:200],
        "complement": text["address2"][:200],
        **town,
    })  # fmt: skip


def _told_text(patron: Patron, name: str) -> str:
    value = patron.get(name)
    if not isinstance(value, str | int | float | None):
        raise InvalidMessage("une partie de la fiche n'est pas un texte", pointer=f"/{name}", code="not_a_text")
    return _one_line(value)


def _one_line(value: object) -> str:
    return " ".join(str(value or "").split())


def _short(value: object, longest: int) -> str:
    """A text as it is, or nothing: half a card number is another one."""
    text = _one_line(value) if isinstance(value, str) else ""
    return text if len(text) <= longest and text.isprintable() else ""


def _same_but_for_case(one: object, other: object) -> bool:
    return _one_line(one).casefold() == _one_line(other).casefold()


def _same_country(one: object, other: object) -> bool:
    home = [_one_line(value).upper() in _HOME for value in (one, other)]
    return all(home) or _same_but_for_case(one, other)
