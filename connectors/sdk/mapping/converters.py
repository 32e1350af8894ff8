"""The closed list of converters. Each reads what a package wrote into the hub's words (`apply`) and, where it can,
writes the hub's words as the package wants them (`reverse`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Protocol

from connectors.sdk.mapping import moments
from connectors.sdk.mapping.faults import bad_value, unknown_code
from connectors.sdk.mapping.scalars import decimal_value, plain_value, text_value, whole_value
from schemas.errors import InvalidMessage
from schemas.yes_no import is_untold, yes_or_no

Convert = Callable[[Any], Any]


class Reading(Protocol):
    """What a text says; `value` is None when it cannot be read."""

    @property
    def value(self) -> Any: ...


_FOUR_DIGITS = re.compile(r"[1-9][0-9]{3}")
Reader = Callable[[str], Reading]
_HOOK_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclass(frozen=True, slots=True)
class Converter:
    """One word of the column `convert`.

    `apply`: a value of the package -> of the event; `reverse`: back, None where nothing leads back. Both are given what
    is present, answer None for what says nothing, and raise InvalidMessage (without a place, which the map adds) for
    anything else that they do not take: no value may make them raise another error.

    `absent`: what a missing source means (a table's line for ""), None when nothing. `whole`: takes objects and lists
    too. `both_ways`: False for a hook, which turns the source of its row into its target whichever way the map goes.
    `meanings`: all that it may answer, where that is known.
    """

    name: str
    apply: Convert
    reverse: Convert | None
    absent: Any = None
    whole: bool = False
    both_ways: bool = True
    meanings: tuple[Any, ...] = ()


def plain() -> Converter:
    """No word: a text without blanks around it, a number or a yes or no, as it is."""
    return Converter("", plain_value, plain_value)


def text() -> Converter:
    """`text`: a text or a number as one line of text."""

    def line(value: Any) -> str | None:
        return text_value(value) or None

    return Converter("text", line, line)


def upper() -> Converter:
    """`upper`: one line of text in capitals, both ways."""

    def capitals(value: Any) -> str | None:
        return text_value(value).upper() or None

    return Converter("upper", capitals, capitals)


def postal_code() -> Converter:
    """`postal_code`: one line of text; a number of four digits is a French postal code that a spreadsheet took its zero
    from. Back: one line of text."""

    def line(value: Any) -> str | None:
        return text_value(value) or None

    def code(value: Any) -> str | None:
        said = line(value)
        return f"0{said}" if said is not None and _FOUR_DIGITS.fullmatch(said) else said

    return Converter("postal_code", code, line)


def integer(lowest: int | None = None, highest: int | None = None) -> Converter:
    """`integer` or `integer:min..max`: a whole number, from a number or its digits. Back: the number."""

    def whole(value: Any) -> int:
        return _within(whole_value(value), lowest, highest)

    return Converter("integer", whole, whole)


def decimal(mark: str = ",") -> Converter:
    """`decimal`: a number, from a number or a text with a comma or a point. Back: a text, with `mark` before the
    decimals."""

    def read(value: Any) -> int | float:
        number = decimal_value(value)
        return int(number) if number == number.to_integral_value() else float(number)

    def write(value: Any) -> str:
        return format(decimal_value(value).normalize(), "f").replace(".", mark)

    return Converter("decimal", read, write)


def cents(lowest: int | None = None, highest: int | None = None, mark: str = ",") -> Converter:
    """`cents` or `cents:min..max`: an amount in euros (`12,50`, `12.5`, `1 250 €`) -> whole cents within the bounds
    (1250). Back: a text with two decimals. For a package that counts in cents itself: `integer:min..max`."""

    def read(value: Any) -> int:
        amount = decimal_value(value) * 100
        if amount != amount.to_integral_value():
            raise bad_value("un montant a deux décimales au plus", "bad_amount")
        return _within(int(amount), lowest, highest, "bad_amount")

    def write(value: Any) -> str:
        amount = Decimal(_within(whole_value(value), lowest, highest, "bad_amount")) / 100
        return format(amount, ".2f").replace(".", mark)

    return Converter("cents", read, write)


def date(formats: Iterable[str], zone: tzinfo) -> Converter:
    """`date`: a day, in the first of `formats` that fits, -> `YYYY-MM-DD`; a format of a month or a year alone gives
    `YYYY-MM` or `YYYY`. Where the formats hold an hour it is `instant`. Back: the first format that needs no more than
    is known. Raises ValueError for a format that is none."""
    found = [moments.Format.of(one) for one in formats]
    if any(form.has_time for form in found):
        return _instant(found, zone)
    return Converter("date", moments.day_reader(found, zone), moments.day_writer(found, zone))


def instant(formats: Iterable[str], zone: tzinfo) -> Converter:
    """`instant`: a moment, in the first of `formats` that fits (none given: ISO 8601 with its usual liberties), ->
    RFC 3339 in UTC. Without an offset it is as the clocks of `zone` show it: in the hour that comes twice the first, in
    the one that never was the moment that the old hour counts to. Back: the first format, in `zone`."""
    return _instant([moments.Format.of(one) for one in formats], zone)


def _instant(formats: list[moments.Format], zone: tzinfo) -> Converter:
    if not formats:
        return Converter("instant", moments.iso_instant_reader(zone), moments.iso_instant_writer(zone))
    if not all(form.has_time for form in formats):
        raise ValueError("an instant needs the hour (%H) in each of its formats")
    return Converter("instant", moments.instant_reader(formats, zone), moments.instant_writer(formats, zone))


def boolean(yes: Iterable[str] = (), no: Iterable[str] = ()) -> Converter:
    """`boolean`: yes or no, from a JSON boolean or a word (oui, vrai, 1, x, …; `schemas.yes_no`), or from the words of
    a declared list alone, case aside; any other is refused. Back: the boolean, or the first word of a declared list."""
    words = {word.casefold(): True for word in yes} | {word.casefold(): False for word in no}
    said = {True: next(iter(yes), None), False: next(iter(no), None)}

    def read(value: Any) -> bool | None:
        line = value if isinstance(value, bool) else text_value(value)
        if not words and is_untold(line):
            return None
        found = yes_or_no(line) if isinstance(line, bool) or not words else words.get(line.casefold())
        if found is None:
            raise bad_value("oui ou non est attendu", "not_a_boolean")
        return found

    def write(value: Any) -> bool | str | None:
        found = read(value)
        word = said[found] if found is not None else None
        return found if word is None else word

    return Converter("boolean", read, write)


def table(codes: Mapping[str, Any]) -> Converter:
    """A declared `{ table = { … } }`: a code -> what it means. `*`: any other code; the empty text: none at all. A code
    may mean the empty text: nothing. One that is not in the table is InvalidMessage `unknown_code`. Back: the first
    code of that meaning."""
    known = {code: meaning for code, meaning in codes.items() if code not in ("*", "")}
    back = {meaning: code for code, meaning in reversed(known.items())}
    other = codes.get("*")

    def read(value: Any) -> Any:
        code = str(value).lower() if isinstance(value, bool) else text_value(value)
        found = known.get(code, other)
        if found is None:
            raise unknown_code(code)
        return None if found == "" else found

    def write(value: Any) -> str:
        found = back.get(value) if isinstance(value, str | int | float) else None
        if found is None:
            raise unknown_code(text_value(value))
        return found

    meanings = tuple(dict.fromkeys(meaning for meaning in codes.values() if meaning != ""))
    return Converter("table", read, write, absent=codes.get(""), meanings=meanings)


def hook(name: str, function: Convert) -> Converter:
    """`py:name`: a pure function of the connector's `hooks.py`. It is given the raw value, an object or a list too, and
    answers a JSON value, None for nothing, or raises InvalidMessage; what else it stumbles over is one as well."""

    def call(value: Any) -> Any:
        try:
            return function(value)
        except InvalidMessage:
            raise
        except _HOOK_FAULTS as error:
            raise InvalidMessage(
                "valeur illisible", code="bad_value", detail=f"{name}: {type(error).__name__}"
            ) from None

    return Converter(f"py:{name}", call, call, whole=True, both_ways=False)


def reader(name: str, read: Reader) -> Converter:
    """A reader of what people write (`phone`, `email`, `postal_code`, …): one line of text -> its value. Back: the
    line."""

    def apply(value: Any) -> Any:
        line = text_value(value)
        if not line:
            return None
        found = read(line).value
        if found is None:
            raise bad_value(f"valeur illisible ({name})")
        return found

    return Converter(name, apply, text().apply)


def chain(parts: Iterable[Converter]) -> Converter:
    """Several words, each given what the one before it answered; back in the opposite order."""
    found = tuple(parts)
    if len(found) == 1:
        return found[0]
    name = ",".join(part.name for part in found)
    backward = [part.reverse for part in reversed(found) if part.reverse is not None]
    whole_chain = len(backward) == len(found)
    return Converter(
        name, _one_after_another([part.apply for part in found]), _one_after_another(backward) if whole_chain else None,
        absent=found[0].absent, whole=found[0].whole, both_ways=all(part.both_ways for part in found),
        meanings=found[-1].meanings,
    )  # fmt: skip


def _one_after_another(steps: Iterable[Convert]) -> Convert:
    found = tuple(steps)

    def convert(value: Any) -> Any:
        for step in found:
            value = step(value)
            if value is None:
                return None
        return value

    return convert


def _within(number: int, lowest: int | None, highest: int | None, code: str = "out_of_bounds") -> int:
    if (lowest is not None and number < lowest) or (highest is not None and number > highest):
        raise bad_value("le nombre est hors des bornes", code)
    return number
