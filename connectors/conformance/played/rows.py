"""Rows of a sample as a case needs them: further ones with keys of their own, and ones that say something else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from connectors.conformance.played.samples import Samples
from connectors.conformance.played.settings import settings_of
from connectors.sdk.kinds.texts import Only
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.mapping.rows import Row, read_table
from connectors.sdk.statuses import Statuses
from schemas.errors import ConfigError
from schemas.manifest import Manifest, declared_settings

Record = Mapping[str, str]
_LAST_FIGURES = re.compile(r"[0-9]+(?=[^0-9]*$)")
_PERSONAL = re.compile(
    r"family_name|given_names|preferred_name|birth|email|phone|street|house_number|complement|iban|label"
)
_SHORTEST = 4


def numbered(text: str, step: int, *, same_width: bool = False) -> str:
    """The text with its last figures so much further on: `F-1042` is `F-1043` after one. `same_width`: 9 is followed by
    0."""
    found = list(_LAST_FIGURES.finditer(text))
    if not found:
        return f"{text}{step}" if step else text
    last = found[-1]
    width = len(last[0])
    number = (int(last[0]) + step) % 10**width if same_width else int(last[0]) + step
    return f"{text[: last.start()]}{number:0{width}d}{text[last.end() :]}"


def another(text: str, known: Iterable[str] = ()) -> str:
    """A text of the same form that says something else: one of those `known`, else this with a figure or word more."""
    other = next((one for one in known if one and one != text), "")
    if other:
        return other
    if "@" in text:
        return f"autre.{text}"
    return (
        numbered(text, 1, same_width=True)
        if any(letter.isdigit() for letter in text)
        else f"{text} bis"
        if text
        else "autre"
    )


def chosen(records: Sequence[Record], specs: Sequence[Mapping[str, Any]], where: str) -> Record:
    """The record that most tables of events are for. Raises ConfigError, naming the file, when there is none."""
    rules = [Only(spec.get("only", {})) for spec in specs]
    ranked = sorted(records, key=lambda record: -sum(rule.fits(record) for rule in rules))
    if not ranked:
        raise ConfigError("holds no row: one of an invented person is needed", key=where)
    return ranked[0]


def mapping_rows(manifest: Manifest) -> Sequence[Row]:
    path = manifest.folder / TABLE
    return read_table(path).rows if path.exists() else ()


def personal_columns(manifest: Manifest) -> set[str]:
    """The columns that the tables read as a name, an address, a birthday or the like."""
    return {
        place.strip()
        for row in mapping_rows(manifest)
        if _PERSONAL.search(row.target)
        for place in re.split(r"\||\s\+\s", row.source)
        if not row.source.startswith("=")
    }


def personal_texts(records: Iterable[Record], columns: Collection[str]) -> list[str]:
    """What no log may hold: cells of such columns that are long enough to be told from others."""
    return sorted({cell for one in records for name in columns if len(cell := one.get(name, "")) >= _SHORTEST})


def native_words(manifest: Manifest) -> list[str]:
    """The words of `statuses.csv` that the package may say, in their order."""
    path = manifest.folder / "statuses.csv"
    rows = Statuses.load(path).rows if path.exists() else ()
    return [row.native for row in rows if row.direction in ("in", "both")]


def needed_settings(samples: Samples, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those that the twin gives, those of the samples, and for what else is required a value of its type."""
    known = declared_settings(samples.manifest.declared)
    told = {name: one for name, one in given.items() if name in known}
    made = settings_of(samples, told)
    kept = {name for name, one in known.items() if not one.get("optional")} | {*told, *samples.settings}
    return {name: one for name, one in made.items() if name in kept}


def sample_file(samples: Samples, stem: str) -> Path:
    """The file of this name in the folder, whatever its ending. Raises ConfigError when there is none."""
    found = sorted(samples.folder.glob(f"{stem}.*")) if samples.folder is not None else []
    if not found:
        said = f"its samples hold no {stem}.*: nothing shows what the package leaves"
        raise ConfigError(said, key=samples.manifest.id)
    return found[0]
