"""The texts of a drafted connector: `connector.toml`, `mapping.csv`, `statuses.csv`, README, its test."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.sdk.mapping.rows import COLUMNS, COMMENT

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_WIDE = 110  # of a line of connector.toml with a table in it
_SHORT = 90  # of the vendor's own word for a field


@dataclass(frozen=True, slots=True)
class Line:
    """A line of `mapping.csv`. `used`: False keeps it for later, behind a `#`. `about`: the vendor's own word."""

    map: str
    target: str
    source: str
    convert: str = ""
    required: bool = False
    about: str = ""
    used: bool = True


def whole_streets(lines: Sequence[Line]) -> list[Line]:
    """The lines of what is sent: a street without fields for its number and its complement is sent with them, or the
    package would be given half an address."""
    told = {line.source for line in lines if line.used}
    return [_whole(line, told) if line.used else line for line in lines]


def _whole(line: Line, told: Collection[str]) -> Line:
    address, _, part = line.source.rpartition("/")
    if part != "street" or not address.startswith("/"):
        return line
    places = [f"{address}/{name}" for name in ("house_number", "street", "complement")]
    said = [place for place in places if place == line.source or place not in told]
    return replace(line, source=" + ".join(said))


@dataclass(frozen=True, slots=True)
class Table:
    """A table of `connector.toml`. `name`: `http`, or `[deliver]` of a list. `notes`: comments above it, for who must
    look; `beside`: the comment behind a key."""

    name: str
    members: Mapping[str, Any]
    notes: Sequence[str] = ()
    beside: Mapping[str, str] = field(default_factory=dict)


def manifest_text(head: Mapping[str, Any], tables: Iterable[Table], notes: Sequence[str] = ()) -> str:
    """`connector.toml`: the keys of the whole, then each table."""
    parts = [_lines("", head, notes, {})]
    parts += [_lines(one.name, one.members, one.notes, one.beside) for one in tables if one.members]
    return "\n".join("\n".join(part) + "\n" for part in parts)


def _lines(name: str, members: Mapping[str, Any], notes: Sequence[str], beside: Mapping[str, str]) -> list[str]:
    found = [f"# {note}" for note in notes]
    found += [f"[{name}]"] if name else []
    for key, value in members.items():
        line = f"{_key(key)} = {toml_value(value)}"
        found.append(f"{line}  # {beside[key]}" if key in beside else line)
    return found


def toml_value(value: Any) -> str:
    """A value in one line; a list of tables or texts that is too long for one in several."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {toml_value(part)}" for key, part in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return _list([toml_value(part) for part in value])
    return str(value)


def _list(parts: list[str]) -> str:
    line = f"[{', '.join(parts)}]"
    return line if len(line) <= _WIDE else "[\n" + "".join(f"  {part},\n" for part in parts) + "]"


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else toml_value(name)


def mapping_text(lines: Iterable[Line]) -> str:
    """`mapping.csv`: one line for each, those that are not used behind a `#`."""
    return _csv([COLUMNS, *(_cells(line) for line in lines)], ";")


def _cells(line: Line) -> tuple[str, ...]:
    name = line.map if line.used else f"{COMMENT}{line.map}"
    return name, line.target, line.source, line.convert, "oui" if line.required else "", one_line(line.about)


def one_line(text: str, most: int = _SHORT) -> str:
    """The vendor's own word, cut to one line; without what a spreadsheet would read as a formula."""
    found = " ".join(text.split()).lstrip("=+-@")
    return found if len(found) <= most else found[: most - 1].rstrip() + "…"


def statuses_text(rows: Iterable[Sequence[str]]) -> str:
    """`statuses.csv`: native word, canonical word, phase, label of each."""
    head = ("procedure", "native", "canonical", "phase", "label", "direction")
    return _csv([head, *(("*", *row, "in") for row in rows)], ",")


def _csv(rows: Iterable[Sequence[str]], mark: str) -> str:
    written = io.StringIO()
    csv.writer(written, delimiter=mark, lineterminator="\n").writerows(rows)
    return written.getvalue()


def readme_text(
    name: str, does: Sequence[str], settings: Mapping[str, Mapping[str, Any]], unsaid: Sequence[str], source: str
) -> str:  # fmt: skip
    """README.md: what it does, its settings, and what a person must look at."""
    lines = [f"# {name}", "", f"Drafted from `{source}`. What it does so far:", ""]
    lines += [f"- {one}" for one in does]
    lines += ["", "Lines of `mapping.csv` behind a `#` are fields of the contract that nothing uses yet.", ""]
    lines += ["| setting | meaning |", "| --- | --- |"] if settings else []
    lines += [f"| `{key}` | {one['about']} |" for key, one in settings.items()]
    lines += ["", "## What the declaration does not say", ""] if unsaid else []
    lines += [f"- {one}" for one in unsaid]
    lines += ["", "## Ce que la ville doit demander à son éditeur", ""]
    lines += [
        "Un compte propre au hub, et la confirmation de chaque point marqué « à vérifier » dans `connector.toml`."
    ]
    return "\n".join(lines) + "\n"


def test_text(slug: str, name: str) -> str:
    """A test of the folder, that a town's own run or ours collects."""
    return f'''"""{name} keeps what every connector promises, against a twin of its contract."""

from pathlib import Path

from connectors import conformance
from connectors.sdk import Manifest
from connectors.sdk.mapping import fields_of

MANIFEST = Path(__file__).parents[1] / "connector.toml"


def test_{slug}_keeps_what_every_connector_promises() -> None:
    conformance.check(Manifest.load(MANIFEST, fields_of))
'''


def json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def names_of(parts: Iterable[str]) -> Iterator[str]:
    """A name of letters, digits and underscores for each, none twice."""
    seen: dict[str, int] = {}
    for part in parts:
        name = re.sub(r"\W+", "_", part, flags=re.ASCII).strip("_").lower() or "value"
        seen[name] = seen.get(name, 0) + 1
        yield name if seen[name] == 1 else f"{name}_{seen[name]}"
