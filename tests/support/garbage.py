"""A record with one value that makes no sense, for every value of it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

WRONG: tuple[Any, ...] = (
    None, True, -7, 1e300, 10**400, "", " ", "x" * 3000, "\x00", "\ud800", "9999-99-99", [], [None], {}, {"id": None},
    [[]], "\u200b",
)  # fmt: skip


def mutations(record: Any) -> Iterator[tuple[str, Any]]:
    """Copies of a record, each with a value replaced by one of `WRONG` or left out; and where it was."""
    yield from ((f"the whole: {wrong!r}"[:60], copy.deepcopy(wrong)) for wrong in WRONG)
    for path in _paths(record):
        for wrong in WRONG:
            changed = copy.deepcopy(record)
            _holder(changed, path)[path[-1]] = copy.deepcopy(wrong)
            yield f"{path}: {wrong!r}"[:120], changed
        changed = copy.deepcopy(record)
        del _holder(changed, path)[path[-1]]
        yield f"{path}: left out", changed


def _holder(record: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        record = record[step]
    return record


def _paths(value: Any, before: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, part in parts:
        yield (*before, step)
        yield from _paths(part, (*before, step))
