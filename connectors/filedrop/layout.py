"""A site's columns: which value of an event goes into which cell, and how it is written. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.sdk.kinds.calls import value_at
from connectors.sdk.row_files import RowFormat, Unwritable, cell_text
from schemas.errors import ConfigError, Refused
from schemas.phones import fold_phone

KEY = "/delivery/key"
FILES = "/follow_up/files"
_DATES = {"JJ/MM/AAAA": "%d/%m/%Y", "AAAA-MM-JJ": "%Y-%m-%d", "AAAAMMJJ": "%Y%m%d"}
_ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[Tt].*)?")


@dataclass(frozen=True, slots=True)
class Column:
    """`sources` are JSON pointers joined by a space, `then` follows after a comma; a `constant` needs neither."""

    name: str
    sources: tuple[str, ...] = ()
    then: str | None = None
    constant: str | None = None
    format: str = "text"
    required: bool = False
    max_length: int | None = None
    absent: str = ""


@dataclass(frozen=True)
class Layout:
    prefix: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @cached_property
    def untold_countries(self) -> Sequence[str]:
        """Where the country of each address stands of which the columns tell a part, and not that."""
        read = {one for column in self.columns for one in (*column.sources, column.then) if one}
        parts = (one.rpartition("/") for one in read)
        wanted = {f"{place}/country" for place, _, part in parts if part in ("city", "postal_code", "street")}
        return sorted(wanted - read)

    @property
    def carries_files(self) -> bool:
        return any(FILES in column.sources for column in self.columns)


@dataclass(frozen=True, slots=True)
class News:
    """The files of the package's own changes: how their names begin, and the column of each value."""

    prefix: str
    reference: str
    address: str
    postal_code: str
    city: str
    date: str
    complement: str | None = None
    country: str | None = None
    family_name: str | None = None
    given_names: str | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """How this site writes its files, in both directions."""

    form: RowFormat
    date_format: str
    decimal: str
    layouts: Mapping[str, Layout]
    news: News | None

    @staticmethod
    def of(settings: Mapping[str, Any]) -> Site:
        """Raises ConfigError when columns repeat, none carries the exchange key, or XML cannot name them."""
        preset = _preset(settings.get("preset"))
        raw = {**_preset("every")["layouts"], **preset.get("layouts", {}), **settings.get("layouts", {})}
        layouts = {event_type: _layout(event_type, layout) for event_type, layout in raw.items()}
        news = settings.get("news") or preset.get("news")
        site = Site(
            form=RowFormat.of(settings), layouts=layouts, news=News(**news) if news else None,
            date_format=settings.get("date_format", "JJ/MM/AAAA"), decimal=settings.get("decimal", ","),
        )  # fmt: skip
        for layout in layouts.values():
            site.form.check_names(layout.names, "layouts")
        return site

    def row(self, layout: Layout, view: Mapping[str, Any]) -> tuple[str, ...]:
        """The cells of one event, as text that the site's encoding can hold. Raises Refused, naming the column only; or
        for an address abroad that the columns would make one in France."""
        if any(value_at(view, country) not in (None, "FR") for country in layout.untold_countries):
            raise Refused("L'adresse est à l'étranger et le fichier n'a pas de colonne pour le pays.", native="country")
        return tuple(self._cell(column, view) for column in layout.columns)

    def date(self, text: str) -> str:
        """A date as the package writes it, in ISO form. Raises ValueError."""
        return datetime.strptime(text, _DATES[self.date_format]).date().isoformat()  # noqa: DTZ007 (a day has no zone)

    def _cell(self, column: Column, view: Mapping[str, Any]) -> str:
        """Raises Refused, naming the column only."""
        try:
            text = self._written(column, view)
            if not text and column.required:
                raise Unwritable("manque")
            text = text or column.absent
            if column.max_length is not None and len(text) > column.max_length:
                raise Unwritable(f"dépasse {column.max_length} caractères")
            return self.form.fit(text)
        except Unwritable as error:
            said = f"La colonne {column.name} ne peut pas être écrite : la valeur {error}."
            raise Refused(said, native=column.name) from None

    def _written(self, column: Column, view: Mapping[str, Any]) -> str:
        if column.constant is not None:
            return column.constant
        texts = [self._formatted(column, value_at(view, pointer)) for pointer in column.sources]
        text = " ".join(part for part in texts if part)
        more = self._formatted(column, value_at(view, column.then)) if column.then else ""
        return ", ".join(part for part in (text, more) if part)

    def _formatted(self, column: Column, value: object) -> str:
        text = cell_text(value)
        if not text:
            return ""
        if column.format == "date":
            return self._dated(text)
        if column.format == "number":
            return self._number(text)
        if column.format == "phone":
            return fold_phone(text) or text
        return text.upper() if column.format == "upper" else text

    def _dated(self, text: str) -> str:
        try:
            if not _ISO_DATE.fullmatch(text):
                raise ValueError
            return date.fromisoformat(text[:10]).strftime(_DATES[self.date_format])
        except ValueError:
            raise Unwritable("n'est pas une date complète") from None

    def _number(self, text: str) -> str:
        try:
            number = Decimal(text)
        except InvalidOperation:
            number = Decimal("nan")
        if not number.is_finite() or abs(number.adjusted()) > 20:
            raise Unwritable("n'est pas un nombre")
        return format(number, "f").replace(".", self.decimal)


def _preset(name: str | None) -> Mapping[str, Any]:
    if name is None:
        return {}
    presets = json.loads((Path(__file__).parent / "presets.json").read_text(encoding="utf-8"))
    return dict(presets[name])


def _layout(event_type: str, raw: Mapping[str, Any]) -> Layout:
    layout = Layout(raw["prefix"], tuple(_column(column) for column in raw["columns"]))
    key = f"layouts.{event_type}"
    if not any(column.sources == (KEY,) for column in layout.columns):
        raise ConfigError(f"one column must hold {KEY}: the package knows a row it has already read by it", key=key)
    return layout


def _column(raw: Mapping[str, Any]) -> Column:
    sources = raw.get("from", ())
    rest = {key: value for key, value in raw.items() if key != "from"}
    return Column(sources=(sources,) if isinstance(sources, str) else tuple(sources), **rest)
