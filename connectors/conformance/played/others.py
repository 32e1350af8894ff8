"""The same said otherwise: texts of the form of others, and events that say something different of the same thing."""

from __future__ import annotations

import copy
import re
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.pointers import steps_of
from schemas.registry import Registry

_CLASSES = (string.digits, "abcdef", "ghijklmnopqrstuvwxyz", "ABCDEF", "GHIJKLMNOPQRSTUVWXYZ")
_SHIFTED = str.maketrans({
    letter: letters[(place + 1) % len(letters)] for letters in _CLASSES for place, letter in enumerate(letters)
})  # fmt: skip
_FIXED = re.compile(r"references|system|source|quality|date|country|procedure|media_type|sha256|^id$")
_WORDY = re.compile(r"[a-zéèêàùçîïôûë]{2}|\d{5}")


def another(text: str) -> str:
    """A text of the same form that says something else: digits for digits, letters for letters."""
    return text.translate(_SHIFTED)


def another_data(event: Event, granted: Sequence[str], registry: Registry) -> Mapping[str, Any]:
    """The data of an event with each granted text said otherwise, where the event stays valid so. Who it is about, when
    and whence stay as they are, and so do codes."""
    data: dict[str, Any] = copy.deepcopy(dict(event.data))
    for pointer in granted:
        for holder, key in list(_texts(data, steps_of(pointer))):
            before = holder[key]
            for said in otherwise(before):
                holder[key] = said
                if _valid(replace(event, data=data), registry):
                    break
                holder[key] = before
    return data


def _texts(value: Any, steps: Sequence[str]) -> Iterator[tuple[Any, Any]]:
    """Each holder of a text at or below a place, and its key there."""
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items() if not steps else [(steps[0], value[steps[0]])] if steps[0] in value else ()
    elif isinstance(value, list) and not steps:
        items = enumerate(value)
    for key, part in items:
        if _FIXED.search(str(key)):
            continue
        if _is_wordy(part) and not steps[1:]:
            yield value, key
        else:
            yield from _texts(part, steps[1:])


def _is_wordy(value: Any) -> bool:
    return isinstance(value, str) and bool(_WORDY.search(value))


def otherwise(text: str) -> Iterator[str]:
    """The last small letter or digit another, of an address the first."""
    places = [place for place, letter in enumerate(text) if letter in string.digits + string.ascii_lowercase]
    for place in (places[0], places[-1]) if "@" in text else (places[-1], places[0]) if places else ():
        yield text[:place] + another(text[place]) + text[place + 1 :]


def _valid(event: Event, registry: Registry) -> bool:
    try:
        registry.validate(event)
    except InvalidMessage:
        return False
    return True
