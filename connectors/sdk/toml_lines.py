"""Where a key stands in a TOML file: `tomllib` gives values without their lines."""

from __future__ import annotations

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.\"'-]+)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*(\"[^\"]*\"|'[^']*'|[A-Za-z0-9_-]+)((?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=")


def line_of(text: str, key: str) -> int:
    """The line of `key` (`deliver[1].fields[0]`, `settings.url.type`), from 1; where it stands inside another's value,
    or is missing, the line of the nearest part above it that is there. 0 when there is none."""
    wanted = _parts(key)
    best, line = 0, 0
    for number, (place, _) in _places(text):
        size = len(place)
        if size > best and wanted[:size] == place:
            best, line = size, number
    return line


def _parts(key: str) -> list[str]:
    return [part for part in re.split(r"[.\[\]]+", key) if part]


def _places(text: str) -> list[tuple[int, tuple[list[str], bool]]]:
    """Line and place of each header and key."""
    found: list[tuple[int, tuple[list[str], bool]]] = []
    counts: dict[str, int] = {}
    table: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = [part.strip("\"' ") for part in header[2].split(".")]
            if header[1] == "[[":
                name = ".".join(table)
                counts[name] = counts.get(name, -1) + 1
                table = [*_inside(table[:-1], counts), table[-1], str(counts[name])]
            else:
                table = _inside(table, counts)
            found.append((number, (table, True)))
        elif key := _KEY.match(line):
            names = [key[1].strip("\"'"), *(part.strip() for part in key[2].split(".") if part.strip())]
            found.append((number, ([*table, *names], False)))
    return found


def _inside(table: list[str], counts: dict[str, int]) -> list[str]:
    """A table's place, with the position of the last entry of each list on its way."""
    place: list[str] = []
    for position, part in enumerate(table):
        place.append(part)
        name = ".".join(table[: position + 1])
        if name in counts:
            place.append(str(counts[name]))
    return place
