"""A text that a regular expression takes, the shortest that comes to hand."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

_LETTERS = "a1A-0_ .@/:é~"
_CATEGORIES = {"DIGIT": "1", "WORD": "a", "SPACE": " ", "NOT_DIGIT": "a", "NOT_WORD": "-", "NOT_SPACE": "a"}
_MOST = 200


def text_of(pattern: str) -> str | None:
    """A text in which the pattern is found; None for an expression that Python does not read or that needs more than
    this knows (what looks ahead or behind)."""
    try:
        made = _sequence(re._parser.parse(pattern))  # type: ignore[attr-defined]
    except (re.error, LookupError, RecursionError, OverflowError):
        return None
    return made if re.search(pattern, made) else None


def _sequence(parsed: Iterable[tuple[Any, Any]]) -> str:
    return "".join(_one(str(kind), said) for kind, said in parsed)


def _one(kind: str, said: Any) -> str:
    match kind:
        case "LITERAL":
            return chr(said)
        case "NOT_LITERAL":
            return next(letter for letter in _LETTERS if letter != chr(said))
        case "ANY":
            return "a"
        case "IN":
            return _of_class(said)
        case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
            return _sequence(said[2]) * min(int(said[0]), _MOST)
        case "SUBPATTERN":
            return _sequence(said[3])
        case "ATOMIC_GROUP":
            return _sequence(said)
        case "BRANCH":
            return _sequence(said[1][0])
        case "CATEGORY":
            return _category(said)
    return ""


def _of_class(parts: list[tuple[Any, Any]]) -> str:
    if str(parts[0][0]) == "NEGATE":
        refused = re.compile("".join(_class_text(kind, said) for kind, said in parts[1:]).join(("[", "]")))
        return next(letter for letter in _LETTERS if not refused.match(letter))
    kind, said = parts[0]
    if str(kind) == "RANGE":
        return chr(said[0])
    return chr(said) if str(kind) == "LITERAL" else _category(said)


def _class_text(kind: Any, said: Any) -> str:
    if str(kind) == "RANGE":
        return f"{re.escape(chr(said[0]))}-{re.escape(chr(said[1]))}"
    if str(kind) == "LITERAL":
        return re.escape(chr(said))
    word = str(said).removeprefix("CATEGORY_")
    return {"DIGIT": r"\d", "WORD": r"\w", "SPACE": r"\s"}.get(word, "")


def _category(said: Any) -> str:
    return _CATEGORIES[str(said).removeprefix("CATEGORY_")]
