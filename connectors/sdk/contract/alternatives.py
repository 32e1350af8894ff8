"""What all branches of a `oneOf` or `anyOf` say together, for a comparison: a change in any is one of the whole, and
their order is none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from connectors.sdk.contract.schemas import Schema, Schemas, Whole, is_null

_DEEPEST = 12
_APART = ("properties", "required", "items", "enum", "const", "type", "nullable")


class Alternatives(Schemas):
    """As `Schemas`, and of alternatives none is left out: the values of all, required where all require them, of their
    choices and limits those that hold in each."""

    _depth = 0

    def parts(self, own: Schema) -> Iterator[Any]:
        yield from own.get("allOf") or ()
        for word in ("oneOf", "anyOf"):
            branches = [one for one in own.get(word) or () if not is_null(one)]
            if len(branches) == 1:
                yield branches[0]
            elif branches and self._depth < _DEEPEST:
                self._depth += 1
                try:
                    yield _together([self.whole(one) for one in branches])
                finally:
                    self._depth -= 1


def _together(branches: Sequence[Whole]) -> dict[str, Any]:
    kinds = {branch.type for branch in branches}
    made: dict[str, Any] = {"type": kinds.pop()} if len(kinds) == 1 and kinds != {""} else {}
    said = [branch.schema for branch in branches]
    made |= {k: v for k, v in said[0].items() if k not in _APART and all(one.get(k) == v for one in said)}
    choices = [_choices(one) for one in said]
    if all(choices):
        made["enum"] = [value for one in choices for value in one or ()]
    if any(branch.nullable for branch in branches):
        made["nullable"] = True
    names = dict.fromkeys(name for branch in branches for name in branch.properties)
    if names:
        made["properties"] = {
            name: _one([b.properties[name] for b in branches if name in b.properties]) for name in names
        }
        made["required"] = sorted(frozenset.intersection(*(branch.required for branch in branches)))
    items = [one["items"] for one in said if "items" in one]
    return {**made, "items": _one(items)} if items else made


def _one(schemas: Sequence[Any]) -> Any:
    """One schema for several: the same where they are, else what any of them allows."""
    different = [one for at, one in enumerate(schemas) if one not in schemas[:at]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _choices(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")
