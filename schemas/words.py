"""The words of a JSON value, folded: what a text that is to name nobody must not hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.names import fold_text


def words_in(value: Any) -> set[str]:
    """The words of two signs and more of all texts and numbers in it, keys of objects left out, as `fold_text` has
    them: `Élise d'Arcy` is `ELISE`, `ARCY`."""
    return {word for text in _texts(value) for word in fold_text(text).split() if len(word) > 1}


def _texts(value: Any) -> Iterator[str]:
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, str):
            yield one
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield str(one)
