"""Values that a contract allows, about people who do not exist: for the samples of a drafted connector."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from connectors.sdk.contract.model import Field
from connectors.sdk.drafting.targets import Place
from schemas.samples import matching

_PEOPLE: Mapping[str, tuple[Any, Any]] = {
    "family_name": ("Mercoeur", "Talvande"), "preferred_name": ("Brisemiche", "Talvande"),
    "given_names": ("Odile", "Anselme"), "gender": ("female", "male"), "birthdate": ("1971-05-14", "1984-09-23"),
    "birthplace": ("93001", "38999"), "birthcountry": ("99100", "99351"), "email": ("odile.mercoeur@courriel.example",
    "o.mercoeur@nouveau.example"), "phone": ("+33400000012", "+33400000034"), "house_number": ("12", "4"),
    "street": ("rue des Tilleuls", "chemin du Vieux Lavoir"), "complement": ("Porte C", "Porte D"),
    "postal_code": ("38999", "38998"), "city": ("Valbruyere", "Mornefontaine"), "insee_code": ("38999", "38998"),
    "country": ("FR", "BE"), "siret": ("99999000500012", "99999000500012"), "cents": (1250, 2600),
    "rna": ("W999000001", "W999000002"), "ban_key": ("38999_0420_00012", "38999_0420_00034"),
}  # fmt: skip
"""What a shared place holds in the first sample and in the second, by its last name."""
_FORMATS: Mapping[str, tuple[str, str]] = {
    "date": ("2026-03-02", "2026-03-09"), "date-time": ("2026-03-02T09:00:00Z", "2026-03-09T15:30:00Z"),
    "email": ("odile.mercoeur@courriel.example", "o.mercoeur@nouveau.example"),
    "uri": ("https://ville.example/a", "https://ville.example/b"),
    "url": ("https://ville.example/a", "https://ville.example/b"),
    "uuid": ("7f3a9c51-0b2e-4d68-9a1f-3c5be0c6d201", "1d51be02-93ad-4f6e-8a27-5b7e9d1f3a5b"),
    "byte": ("bWFpcmll", "dmlsbGU="), "ipv4": ("192.0.2.1", "192.0.2.2"), "time": ("09:00:00", "15:30:00"),
    "hostname": ("ville.example", "mairie.example"),
}  # fmt: skip
_TEXTS = ("exemple", "variante")
_NUMBERS = (7201, 7202)


def wished(place: Place, variant: int = 0) -> Any:
    """What a sample says at a shared place, in the hub's words; None where any value does."""
    said = shared_value(place.pointer, variant)
    shapes = {"date": "date", "instant": "date-time"}
    return _FORMATS[shapes[place.shape]][variant] if said is None and place.shape in shapes else said


def vendor_value(field: Field, place: Place, convert: str, variant: int = 0) -> Any:
    """The same as the package writes it, which `convert` reads."""
    said = wished(place, variant)
    if convert.startswith("date:") and isinstance(said, str):
        return date.fromisoformat(said).strftime(convert.removeprefix("date:"))
    return field_value(field, variant, said)


def shared_value(pointer: str, variant: int = 0) -> Any:
    """What the sample says at a shared place; None where any value does."""
    steps = [step for step in pointer.split("/") if step and not step.isdigit() and step != "value"]
    return _PEOPLE.get(steps[-1], (None, None))[variant] if steps else None


def field_value(field: Field, variant: int = 0, wish: Any = None) -> Any:
    """A value that the field allows: `wish`, where it does."""
    schema = {**field.limits, **({"enum": list(field.choices)} if field.choices else {})}
    types = {"text": "string", "date": "string", "instant": "string", "bytes": "string"}
    schema["type"] = types.get(field.type, field.type)
    if field.type in ("date", "instant"):
        schema.setdefault("format", "date" if field.type == "date" else "date-time")
    return value(schema, variant, wish)


def value(schema: Mapping[str, Any], variant: int = 0, wish: Any = None) -> Any:
    """A value of one schema of one part, without members."""
    choices = [one for one in schema.get("enum") or () if one is not None]
    if "const" in schema or choices:
        known = choices or [schema["const"]]
        return wish if wish in known else known[variant % len(known)]
    kind = schema.get("type")
    kind = next((one for one in kind if one != "null"), "string") if isinstance(kind, list) else kind
    if kind == "boolean":
        return variant == 0
    if kind in ("integer", "number"):
        return _number(schema, variant, wish)
    return _text(schema, variant, wish) if kind in ("string", "any", "", None) else {}


def _number(schema: Mapping[str, Any], variant: int, wish: Any) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(schema.get("exclusiveMinimum"), int | float) and not isinstance(schema["exclusiveMinimum"], bool):
        low = schema["exclusiveMinimum"] + 1
    found = wish if isinstance(wish, int) and not isinstance(wish, bool) else _NUMBERS[variant]
    if isinstance(wish, str) and wish.isdecimal():
        found = int(wish)
    if high is not None and found > high:
        found = int(high) - variant if low is None or int(high) - variant >= low else int(high)
    if low is not None and found < low:
        found = int(low) + (1 if schema.get("exclusiveMinimum") is True else 0) + variant
    step = schema.get("multipleOf")
    return found if not isinstance(step, int) or step < 2 else max(step, found - found % step)


def _text(schema: Mapping[str, Any], variant: int, wish: Any) -> str:
    tries = [str(wish)] if isinstance(wish, str | int) and not isinstance(wish, bool) else []
    form = str(schema.get("format") or "")
    if form in _FORMATS:
        tries = [*(one for one in tries if _of_format(form, one)), _FORMATS[form][variant]]
    if isinstance(schema.get("pattern"), str):
        found = list(matching(schema["pattern"]))
        tries += [*found[variant:], *found[:variant]]
    tries += [_TEXTS[variant], str(_NUMBERS[variant]), "a" if variant == 0 else "b"]
    fitting = [fitted for one in tries if (fitted := _fitted(one, schema)) is not None]
    return fitting[0] if fitting else tries[0]


def _of_format(form: str, text: str) -> bool:
    if form == "date":
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text))
    if form == "date-time":
        return "T" in text and bool(re.match(r"\d{4}-\d\d-\d\d", text))
    return form != "uuid" or bool(re.fullmatch(r"[0-9a-f-]{36}", text))


def _fitted(text: str, schema: Mapping[str, Any]) -> str | None:
    """The text within the limits of its length; None where its pattern does not take it."""
    low, high = int(schema.get("minLength") or 0), schema.get("maxLength")
    if len(text) < low and not schema.get("format"):
        text += text[-1:] * (low - len(text))
    if isinstance(high, int) and len(text) > high:
        text = text[:high]
    pattern = schema.get("pattern")
    try:
        fits = not isinstance(pattern, str) or re.search(pattern, text) is not None
    except re.error:
        fits = True
    return text if fits and len(text) >= low else None
