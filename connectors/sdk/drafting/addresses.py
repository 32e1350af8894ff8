"""The addresses of calls: what stands in the path and in the query, and the settings that fill it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.drafting.invented import field_value
from connectors.sdk.kinds.facts import DELIVERY_FACTS, OWN_FACTS
from schemas.names import words_of

REFERENCE = "{reference}"
_HOLE = re.compile(r"\{([^{}]*)\}")
_UNASKED = ("accept", "content-type", "authorization", "accept-language", "user-agent")
_USUAL = {"json"}  # what is chosen without a question


@dataclass(slots=True)
class Address:
    """`call` as a manifest writes it, and the settings that it names. `used`: the fields that it fills. `reference`:
    the field that `{reference}` fills; None when none does."""

    call: str
    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    reference: Field | None = None


def address(operation: Operation, *, reference: bool) -> Address:
    """Of an operation: the last value of its path is what it is about, where `reference` asks for one; the others are
    settings, or the one value that they may have."""
    method, _, path = operation.name.partition(" ")
    fields = {one.place: one for one in operation.asks if one.where == "path"}
    holes = _HOLE.findall(path)
    free = [name for name in holes if fixed(fields.get(name, Field(name, "text"))) is None]
    about = free[-1] if reference and free and not fields.get(free[-1], Field(free[-1])).choices else None
    found = Address("")

    def filled(hole: re.Match[str]) -> str:
        name = hole[1]
        one = fields.get(name) or Field(name, "text", required=True, where="path")
        found.used.add(name)
        if name == about:
            found.reference = one
            return REFERENCE
        return said_or_set(found, one)

    found.call = f"{method} {_HOLE.sub(filled, path)}"
    return found


def fixed(one: Field) -> Any:
    """The only value that a field may have for us; None where there is a choice."""
    if len(one.choices) == 1:
        return one.choices[0]
    if not one.choices and words_of(one.place)[-1:] == ("format",) and one.where in ("path", "query"):
        return "json"
    return next((choice for choice in one.choices if str(choice).lower() in _USUAL), None)


def setting(found: Any, one: Field) -> str:
    """A setting for a value that nobody else knows, added to `found.settings` and `found.values`; its name."""
    name = "_".join(words_of(one.place)) or "valeur"
    name = name if name[0].isalpha() else f"n_{name}"
    name = f"{name}_fixe" if name in (*DELIVERY_FACTS, *OWN_FACTS, "base_url", "timeout_seconds") else name[:60]
    found.settings[name] = typed(one)
    found.values[name] = "true" if one.type == "boolean" else field_value(one)
    return name


def typed(one: Field) -> dict[str, Any]:
    """A field as a setting."""
    about = f"À vérifier : valeur de « {one.place.lstrip('/')} » dans les appels."
    if one.choices and all(isinstance(choice, str) and choice for choice in one.choices):
        return {"type": "choice", "of": list(dict.fromkeys(one.choices)), "about": about}
    if one.type == "boolean":  # a placeholder is a text
        return {"type": "choice", "of": ["true", "false"], "about": about}
    if one.type in ("integer", "number"):
        return {"type": one.type, "about": about}
    return {"type": "text", "about": about}


def headers_due(found: Any, operation: Operation) -> dict[str, str]:
    """The headers that an operation must bear beside those that prove who calls, filled as the query is."""
    wanted = [one for one in due(operation.asks, "header") if "idempotency" not in one.place.lower()]
    return {one.place: said_or_set(found, one) for one in wanted}


def said_or_set(found: Any, one: Field) -> str:
    """The only value of a field, or the placeholder of a setting for it."""
    only = fixed(one)
    return str(only) if only is not None else f"{{{setting(found, one)}}}"


def due(fields: Iterable[Field], where: str) -> list[Field]:
    """Those of a part of the call that must be there."""
    return [one for one in fields if one.where == where and one.required and one.place.lower() not in _UNASKED]
