"""The texts of a `connector.toml` that stand for values: `rdv-{/data/id}` and `/meta/timestamp | instant`."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from connectors.sdk.mapping import Converters, Map, Row, Template
from connectors.sdk.mapping.places import Place, getter
from connectors.sdk.mapping.scalars import is_empty, text_value
from schemas.errors import InvalidMessage

Facts = Mapping[str, Any]
Value = Callable[[Any, Facts], Any]
Rendered = Callable[[Any, Facts], str | None]
FORMS = ("form", "body", "query", "headers", "ask")
"""The keys of a `[[deliver]]` that hold a table of names and places."""
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_MEMBER = "value"
ANY = "*"


def rendering(text: str, known: Collection[str]) -> Rendered:
    """A function of a record and facts: the text with its placeholders filled, None when the record lacks one of them.
    A name is a fact where it is among the `known`, else a place of the record. Raises ValueError for braces that do not
    close; the function InvalidMessage for a value that is no text or number."""
    Template.of(text)
    return Template.of(_PLACEHOLDER.sub(lambda found: _placed(found[1], known), text)).renderer()


def _placed(name: str, known: Collection[str]) -> str:
    return f"{{{name}}}" if name in known or name.startswith("/") else f"{{{Place.of(name).pointer}}}"


def names_in(text: str) -> tuple[str, ...]:
    """The placeholders of a text."""
    return tuple(_PLACEHOLDER.findall(text))


def value_row(text: str, convert: str = "") -> Row:
    """`/a|/b | convert` as a row of a mapping table. `convert`: where the text names none. Several unwrapped paths of
    XML with spaces between them are joined (`return/day return/hour`); a column may hold a space, and no slash."""
    source, bar, words = text.rpartition(" | ")
    source = source if bar else text
    parts = source.split()
    if len(parts) > 1 and all("/" in part and part != "|" for part in parts):
        source = " + ".join(parts)
    return Row(_MEMBER, f"/{_MEMBER}", source, words.strip() if bar else convert)


def reading(text: str, converters: Converters, settings: Mapping[str, Any] | None, convert: str = "") -> Value:
    """A function of a record and facts: the value at the place, converted; None where it is absent. Raises ConfigError
    for what is no place or converter; the function InvalidMessage for a value that is not taken."""
    found = Map.of([value_row(text, convert)], converters=converters, settings=settings)
    return lambda record, facts: found.read(record, facts).get(_MEMBER)


def required(value: Any, pointer: str) -> Any:
    """The value. Raises InvalidMessage where it is absent."""
    if value is None:
        raise InvalidMessage("une valeur obligatoire est absente", pointer=pointer, code="missing")
    return value


def pointer_in(text: str) -> str:
    """Where the first value stands that a text names, as a JSON pointer into the record; "" for none."""
    if names := names_in(text):
        return next((Place.of(name).pointer for name in names if name.startswith("/")), "")
    source = value_row(text).source.split("|")[0].split(" + ")[0].strip()
    return "" if source.startswith("=") else Place.of(source).pointer


class Only:
    """`only = { "/meta/model" = "Rdv", "/meta/event" = ["created", "updated"] }`: which records a table is for."""

    def __init__(self, raw: Mapping[str, Any]) -> None:
        """Raises ValueError for what is no place."""
        self._rules = [(getter(Place.of(place).steps), frozenset(_words(said))) for place, said in raw.items()]
        self._places = tuple(raw)

    def fits(self, record: Any) -> bool:
        """Whether each place holds one of its values, `*` for any; numbers, yes and no are compared as they are
        written. Raises InvalidMessage for a record in which the way to a place cannot be gone."""
        return all(_fits(get(record), words) for get, words in self._rules)

    def unmet(self, record: Any) -> list[str]:
        """The places that hold none of their values. Raises as `fits`."""
        rules = zip(self._places, self._rules, strict=True)
        return [place for place, (get, words) in rules if not _fits(get(record), words)]


def _fits(value: Any, words: frozenset[str | None]) -> bool:
    return _word(value) in words or (ANY in words and not is_empty(value))


def _words(said: Any) -> Iterator[str | None]:
    for one in said if isinstance(said, list | tuple) else (said,):
        yield _word(one)


def _word(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return text_value(value) if isinstance(value, str | int | float) else None


def texts_of(value: Any) -> Iterator[str]:
    """Every text in a table, however deep."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from texts_of(part)
