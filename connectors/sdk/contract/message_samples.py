"""Messages made from the schemas of a WSDL: values that are valid by them, of nobody."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.sdk.contract.message_schemas import Node
from schemas.errors import InvalidMessage
from schemas.samples import matching

_TEXTS: Mapping[str, str] = {
    "date": "2026-03-02", "dateTime": "2026-03-02T12:00:00Z", "time": "12:00:00", "duration": "P1D", "gYear": "2026",
    "gYearMonth": "2026-03", "gMonth": "--03", "gDay": "---02", "gMonthDay": "--03-02", "language": "fr",
    "anyURI": "https://ville.example/", "base64Binary": "JVBERi0xLjQK", "hexBinary": "255044",
    "QName": "valeur", "NMTOKENS": "valeur", "IDREFS": "valeur",
}  # fmt: skip
_NAMES = ("ID", "IDREF", "NCName", "Name", "NMTOKEN", "ENTITY")


def values_of(node: Node) -> Any:
    """A value for a node: of one with parts, what stands in it, the optional included; of a choice its first."""
    if not node.parts:
        return scalar_of(node)
    made = {part.name: values_of(part) for part in node.parts if not part.branch and _is_told(part)}
    return {name: [value] if _many(node, name) else value for name, value in made.items()}


def scalar_of(node: Node) -> Any:
    """One value of a node without parts, as JSON has it."""
    if node.choices:
        return node.choices[0]
    if node.default is not None:
        return node.default
    if node.type == "boolean":
        return True
    if node.type in ("integer", "number") and not node.pattern:
        return _number(node)
    return _text(node)


def for_writing(node: Node, said: Any) -> Any:
    """Values as they stand in JSON, with their documents as bytes. Raises InvalidMessage for one that is no base64."""
    if isinstance(said, list):
        return [for_writing(node, one) for one in said]
    if isinstance(said, Mapping):
        parts = {part.name: part for part in node.parts}
        return {name: for_writing(parts.get(name, Node(name)), value) for name, value in said.items()}
    if node.type == "bytes" and isinstance(said, str):
        try:
            return bytes.fromhex(said) if node.built_in == "hexBinary" else base64.b64decode(said, validate=True)
        except (ValueError, binascii.Error):
            raise InvalidMessage("no base64", pointer=f"/{node.name}") from None
    return said


def _is_told(node: Node) -> bool:
    """Whether something can be made for it: not for what may be anything, nor for what would be nothing."""
    if node.parts:
        return node.required or any(not part.branch and _is_told(part) for part in node.parts)
    return node.type != "any" or node.required


def _many(node: Node, name: str) -> bool:
    return any(part.many for part in node.parts if part.name == name)


def _number(node: Node) -> int | float:
    limits = node.limits
    low = limits.get("minimum", limits.get("exclusiveMinimum", 0) + 1 if "exclusiveMinimum" in limits else None)
    high = limits.get("maximum", limits.get("exclusiveMaximum", 0) - 1 if "exclusiveMaximum" in limits else None)
    if node.built_in.startswith("n") and node.built_in not in ("nonNegativeInteger",):  # negative, non-positive
        high = min(-1, high if high is not None else -1)
    number = low if low is not None else min(1, high) if high is not None else 1
    return number if node.type == "number" else int(number)


def _text(node: Node) -> str:
    least, most = node.limits.get("minLength", 0), node.limits.get("maxLength")
    if node.pattern:
        return next(
            (one for one in _long_enough(matching(node.pattern), node.pattern, least, most)),
            _TEXTS.get(node.built_in, ""),
        )
    made = _TEXTS.get(node.built_in, node.name if node.built_in in _NAMES else f"{node.name} d'essai")
    if node.built_in in _TEXTS:
        return made
    made = made.ljust(least, "x")
    return made if most is None else made[:most]


def _long_enough(texts: Any, pattern: str, least: int, most: int | None) -> Sequence[str]:
    """Those that fit, where needed with a letter of theirs said again."""
    found = []
    for text in texts:
        grown = [text, *(text[:at] + text[at] * (least - len(text)) + text[at:] for at in range(len(text)))]
        found += [
            one
            for one in grown
            if re.fullmatch(pattern, one) and least <= len(one) <= (most or len(one)) and one.strip()
        ]
    return found
