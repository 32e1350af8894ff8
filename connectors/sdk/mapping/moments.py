"""Days and instants as packages write them, by a closed set of `strptime` directives."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

from connectors.sdk.mapping.faults import bad_value
from connectors.sdk.mapping.scalars import text_value
from schemas.identities import partial_date
from schemas.times import from_rfc3339, in_zone

# The year has four digits: one of two would name two centuries. Names of months and days depend on a language.
_DIRECTIVES = {
    "Y": "[0-9]{4}", "m": "[0-9]{2}", "d": "[0-9]{2}", "H": "[0-9]{2}", "M": "[0-9]{2}", "S": "[0-9]{2}",
    "f": "[0-9]{1,6}", "z": "Z|[+-][0-9]{2}:?[0-9]{2}",
}  # fmt: skip
_TOKEN = re.compile(r"%(.)|([^%]+)", re.DOTALL)
_DAYS = (("Y",), ("Y", "m"), ("Y", "m", "d"))
_ISO_DAY = re.compile(r"[0-9]{4}(?:-[0-9]{2}){0,2}", re.ASCII)
_ISO_INSTANT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(:[0-9]{2})?(?:[.,]([0-9]{1,9}))?"
    r" ?(Z|[+-][0-9]{2}:?[0-9]{2})?",
    re.ASCII,
)
_FIRST, _LAST = 1000, 2999  # the years that the shared schemas know


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a moment. `fields`: the directives that it holds, in the order in which it holds them."""

    text: str
    fields: tuple[str, ...]
    read: Callable[[str], re.Match[str] | None]

    @staticmethod
    def of(text: str) -> Format:
        """Raises ValueError, in words for who wrote the format."""
        tokens = _TOKEN.findall(text)
        fields = tuple(directive for directive, _ in tokens if directive and directive != "%")
        for name in fields:
            if name not in _DIRECTIVES:
                raise ValueError(f"%{name} is not read here (known: {', '.join('%' + known for known in _DIRECTIVES)})")
        if len(set(fields)) != len(fields) or "".join(part for pair in tokens for part in pair) == "":
            raise ValueError("a format holds each directive once")
        if set(fields) not in [set(day) for day in _DAYS] and not {"Y", "m", "d", "H"} <= set(fields):
            raise ValueError("a format holds a year (%Y, %Y-%m), a day (%Y-%m-%d) or a day with its hour")
        return Format(text, fields, re.compile(_expression(tokens), re.ASCII).fullmatch)

    @property
    def has_time(self) -> bool:
        return "H" in self.fields


def day_reader(formats: Iterable[Format], zone: tzinfo) -> Callable[[object], str | None]:
    """A day in one of these formats -> `YYYY-MM-DD`, or as much of it as the format knows; blank: None. Parts that
    nobody knew may be zeros or left out, whatever the format: `00/00/1962`, `07/1962`."""
    found = tuple(formats)

    def read(value: object) -> str | None:
        if isinstance(value, date):
            return _day_of(value, zone)
        text = text_value(value)
        for form in found:
            match = form.read(text)
            if match and all(int(part) for part in match.groups()):
                return _day(dict(zip(form.fields, match.groups(), strict=True)))
        known = partial_date(text)
        if known is not None and len(known) < len("YYYY-MM-DD"):
            return known
        if not text:
            return None
        raise bad_value("date illisible", "bad_date")

    return read


def instant_reader(formats: Iterable[Format], zone: tzinfo) -> Callable[[object], str | None]:
    """A moment in one of these formats -> RFC 3339 in UTC; without an offset it is as the clocks of `zone` show it."""
    found = tuple(formats)

    def read(value: object) -> str | None:
        if isinstance(value, datetime):
            return _rfc3339(value, zone)
        text = text_value(value)
        for form in found:
            match = form.read(text)
            if match:
                return _instant(dict(zip(form.fields, match.groups(), strict=True)), zone)
        if not text:
            return None
        raise bad_value("date et heure illisibles", "bad_date")

    return read


def iso_instant_reader(zone: tzinfo) -> Callable[[object], str | None]:
    """ISO 8601 as packages write it (`T` or a space, seconds or none, an offset or none) -> RFC 3339 in UTC."""

    def read(value: object) -> str | None:
        if isinstance(value, datetime):
            return _rfc3339(value, zone)
        text = text_value(value)
        match = _ISO_INSTANT.fullmatch(text)
        if match is None:
            if not text:
                return None
            raise bad_value("date et heure illisibles", "bad_date")
        day, minute, second, fraction, offset = match.groups()
        return _written(f"{day}T{minute}{second or ':00'}.{(fraction or '0')[:6]:0<6}{offset or ''}", zone)

    return read


def day_writer(formats: Iterable[Format], zone: tzinfo) -> Callable[[object], str | None]:
    """`YYYY-MM-DD`, `YYYY-MM` or `YYYY` -> the first of the formats that needs no more than is known; an RFC 3339
    instant is the day that it is in `zone`."""
    found = tuple(formats)

    def write(value: object) -> str | None:
        text = text_value(value)
        if not text:
            return None
        if "T" in text.upper():
            text = _moment(text).astimezone(zone).date().isoformat()
        if not _ISO_DAY.fullmatch(text):
            raise bad_value("date illisible", "bad_date")
        known = dict(zip("Ymd", text.split("-"), strict=False))
        for form in found:
            if set(form.fields) == set(known) and _day(known):
                return _filled(form.text, known)
        raise bad_value("la date n'est pas complète", "bad_date")

    return write


def instant_writer(formats: Iterable[Format], zone: tzinfo) -> Callable[[object], str | None]:
    """An RFC 3339 instant -> the first format, in `zone`."""
    text = next(iter(formats)).text

    def write(value: object) -> str | None:
        said = text_value(value)
        if not said:
            return None
        at = _moment(said).astimezone(zone)
        if len(at.strftime("%z")) > 5:  # clocks of before 1911, off by seconds, which no offset can say
            at = at.astimezone(UTC)
        shown = {"Y": f"{at.year:04}", "f": f"{at.microsecond:06}", "z": at.strftime("%z")}
        return _filled(text, shown | {name: at.strftime("%" + name) for name in "mdHMS"})

    return write


def iso_instant_writer(zone: tzinfo) -> Callable[[object], str | None]:
    """An RFC 3339 instant -> one with the offset of `zone`."""
    write = instant_writer([Format.of("%Y-%m-%dT%H:%M:%S%z")], zone)

    def iso(value: object) -> str | None:
        said = write(value)
        return f"{said[:-2]}:{said[-2:]}" if said else None  # `+0100` is no offset of RFC 3339

    return iso


def _expression(tokens: list[tuple[str, str]]) -> str:
    """Two digits where a neighbour is a directive too, one or two where something stands between (`3/2/2026`)."""
    parts = []
    for place, (directive, literal) in enumerate(tokens):
        near = [tokens[at][0] for at in (place - 1, place + 1) if 0 <= at < len(tokens)]
        digits = _DIRECTIVES.get(directive, "%")
        if directive in ("m", "d", "H") and not any(near):
            digits = "[0-9]{1,2}"
        parts.append(re.escape(literal) if literal else f"({digits})" if directive != "%" else "%")
    return "".join(parts)


def _filled(text: str, known: dict[str, str]) -> str:
    return _TOKEN.sub(lambda found: found[2] or known.get(found[1], "%"), text)


def _day(known: dict[str, str]) -> str:
    year, month, day = known["Y"], known.get("m", "1"), known.get("d", "1")
    try:
        found = date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise bad_value("cette date n'existe pas", "bad_date") from None
    if not _FIRST <= int(year) <= _LAST:
        raise bad_value("cette année n'est pas plausible", "bad_date")
    return found[: 4 if "m" not in known else 7 if "d" not in known else 10]


def _day_of(value: date, zone: tzinfo) -> str:
    """A day, or a moment on the day that it is in `zone`, as databases give them."""
    if not _FIRST < value.year < _LAST:
        raise bad_value("cette année n'est pas plausible", "bad_date")
    if isinstance(value, datetime):
        value = (value.astimezone(zone) if value.tzinfo else value).date()
    return value.isoformat()


def _instant(known: dict[str, str], zone: tzinfo) -> str:
    try:
        at = datetime(
            int(known["Y"]), int(known["m"]), int(known["d"]), int(known["H"]), int(known.get("M", 0)),
            int(known.get("S", 0)), int(f"{known.get('f', '0'):0<6}"), _offset(known.get("z")),
        )  # fmt: skip
    except ValueError:
        raise bad_value("cette date n'existe pas", "bad_date") from None
    return _rfc3339(at, zone)


@lru_cache(128)
def _offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    if text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=minutes if text[0] == "+" else -minutes))


def _written(text: str, zone: tzinfo) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise bad_value("cette date n'existe pas", "bad_date") from None
    return _rfc3339(at, zone)


def _rfc3339(at: datetime, zone: tzinfo) -> str:
    if not _FIRST < at.year < _LAST:
        raise bad_value("cette année n'est pas plausible", "bad_date")
    text = in_zone(at, zone).astimezone(UTC).isoformat()
    return f"{text[:-6]}Z"


def _moment(text: str) -> datetime:
    try:
        return datetime.fromtimestamp(from_rfc3339(text), UTC)
    except (ValueError, OverflowError):
        raise bad_value("date et heure illisibles", "bad_date") from None
