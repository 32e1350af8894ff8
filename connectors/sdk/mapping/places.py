"""Where a value stands in a record: JSON pointers, column names, unwrapped XML paths, and texts made of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from connectors.sdk.mapping.scalars import is_empty, text_value
from schemas.errors import ConfigError, InvalidMessage
from schemas.pointers import pointer_of, steps_of

Steps = tuple[str, ...]
Get = Callable[[Any], Any]
EACH = "*"
WHOLE = "."
_INDEX = re.compile(r"0|[1-9][0-9]{0,4}")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Place:
    """One place. `steps`: names and list positions on the way, `*` for each item of a list."""

    text: str
    steps: Steps

    @staticmethod
    def of(text: str) -> Place:
        """`/a/0/b` (RFC 6901), a column `Code postal`, an unwrapped path `return/idOp` (a text with a space in it is a
        column, slashes and all); `.` is the whole record. In all of them `~1` is a slash within a name and `~0` a
        tilde. Raises ValueError."""
        if text == WHOLE:
            return Place(text, ())
        if not text.startswith("/") and " " in text:  # a column: no element of XML has a space in its name
            return Place(text, (text.replace("~1", "/").replace("~0", "~"),))
        steps = steps_of(text if text.startswith("/") else f"/{text}")
        if not text or not all(steps):
            raise ValueError("a step of the path has no name")
        return Place(text, steps)

    @property
    def is_pointer(self) -> bool:
        return self.text.startswith("/")

    @property
    def pointer(self) -> str:
        return pointer_of(self.steps)

    @property
    def depth(self) -> int:
        """In how many lists it stands for each item."""
        return self.steps.count(EACH)

    def granted(self) -> str:
        """The pointer by which a field is granted: a list is granted whole."""
        steps = list(self.steps)
        inside = next((at for at, step in enumerate(steps) if step == EACH or _INDEX.fullmatch(step)), len(steps))
        return pointer_of(steps[:inside])


@dataclass(frozen=True, slots=True)
class Template:
    """A text with placeholders: `{system}` a fact, `{setting:name}` a setting, `{/pointer}` a value of the record."""

    text: str
    names: Steps

    @staticmethod
    def of(text: str) -> Template:
        """Raises ValueError for braces that do not close."""
        names = tuple(_PLACEHOLDER.findall(text))
        rest = _PLACEHOLDER.sub("", text)
        if "{" in rest or "}" in rest or not all(names) or any(EACH in steps_of(name) for name in names):
            raise ValueError("a placeholder is {name}, {setting:name} or {/pointer}")
        return Template(text, names)

    @property
    def pointers(self) -> Steps:
        return tuple(name for name in self.names if name.startswith("/"))

    def with_settings(self, settings: Mapping[str, Any]) -> Template:
        """Its settings filled in. Raises ConfigError for one that is not there."""

        def fill(found: re.Match[str]) -> str:
            kind, colon, name = found[1].partition(":")
            if kind != "setting" or not colon:
                return found[0]
            if isinstance(settings.get(name), str | int | float):
                return str(settings[name])
            raise ConfigError("a setting that the mapping table needs is missing", key=name)

        return Template.of(_PLACEHOLDER.sub(fill, self.text))

    def renderer(self) -> Callable[[Any, Mapping[str, Any]], str | None]:
        """A function of a record and facts: the text, None when a value of the record is absent. It raises
        InvalidMessage for a value that is no text or number, ConfigError for a fact that the caller did not give."""
        parts = [(name, getter(steps_of(name)) if name.startswith("/") else None) for name in self.names]
        pieces = _PLACEHOLDER.split(self.text)[::2]
        return partial(_rendered, pieces, parts)


def _rendered(
    pieces: list[str], parts: list[tuple[str, Get | None]], record: Any, facts: Mapping[str, Any]
) -> str | None:
    said = [pieces[0]]
    for (name, get), piece in zip(parts, pieces[1:], strict=True):
        value = facts.get(name) if get is None else get(record)
        if get is None and value is None:
            raise ConfigError(f"nothing is known as {{{name}}} here")
        if is_empty(value):
            return None
        try:
            said += [text_value(value), piece]
        except InvalidMessage as fault:
            fault.pointer = name if get else ""
            raise
    return "".join(said)


def list_position(step: str) -> int | None:
    return int(step) if _INDEX.fullmatch(step) else None


def getter(steps: Steps, before: str = "") -> Get:
    """What stands at these steps; None where the way is absent or empty. Raises InvalidMessage, whose pointer leads to
    the first value on the way that cannot hold the next one. Compiled once: the common case is a loop over dicts.
    `before`: the pointer to where the steps begin."""
    positions = {step: int(step) for step in steps if _INDEX.fullmatch(step)}

    def get(here: Any) -> Any:
        start = here
        for step in steps:
            if type(here) is dict:
                here = here.get(step)
            elif here is None:
                return None
            elif type(here) is list and step in positions:
                here = here[positions[step]] if positions[step] < len(here) else None
            else:
                return _slowly(start, steps, before)
        return here

    return get


def _slowly(here: Any, steps: Steps, before: str) -> Any:
    for passed, step in enumerate(steps):
        if is_empty(here):
            return None
        if isinstance(here, Mapping):
            here = here.get(step)
        elif isinstance(here, list | tuple) and (position := list_position(step)) is not None:
            here = here[position] if position < len(here) else None
        else:
            due = "une liste est attendue" if list_position(step) is not None else "un objet est attendu"
            raise InvalidMessage(due, pointer=before + pointer_of(steps[:passed]), code="wrong_shape")
    return here


def names_of(record: Any) -> frozenset[str]:
    """Every place of a sample record as a pointer, with `*` for the items of lists: what a source may be."""
    found: set[str] = set()
    waiting: list[tuple[Steps, Any]] = [((), record)]
    while waiting:
        steps, value = waiting.pop()
        found.add(pointer_of(steps))
        if isinstance(value, Mapping):
            waiting += [((*steps, str(name)), part) for name, part in value.items()]
        elif isinstance(value, list):
            waiting += [((*steps, EACH), part) for part in value]
    return frozenset(found - {""})
