"""The tables of docs/evidence.md and docs/fr/justificatifs.md are written from the registry.

`python -m tests.schemas.evidence_page` writes them again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.registry import Registry

DOCS = Path(__file__).resolve().parents[2] / "docs"
ENGLISH, FRENCH = DOCS / "evidence.md", DOCS / "fr" / "justificatifs.md"
BEGIN, END = "<!-- tables -->", "<!-- /tables -->"

_KINDS = {"string": "text", "boolean": "true or false"}


def english(registry: Registry) -> str:
    lines = ["| type | version | says | parameters | |", "| --- | --- | --- | --- | --- |"]
    for line in registry.evidence_listing():
        marks = [mark for mark, on in (("State", line["state"]), ("sensitive", line["sensitive"])) if on]
        parameters = ", ".join(f"`{name}`" for name in line["parameters"])
        lines.append(
            f"| [`{line['type']}`](#{line['type']}) | {line['version']} | {line['description']} | {parameters} "
            f"| {', '.join(marks)} |"
        )
    for line in registry.evidence_listing():
        lines += ["", f"### {line['type']}", "", "| field | value | says |", "| --- | --- | --- |"]
        lines += _fields(registry.evidence(line["type"], line["version"]))
    return "\n".join(lines)


def french(registry: Registry) -> str:
    lines = ["| justificatif | type | champs | vient de l'État | sensible |", "| --- | --- | --- | --- | --- |"]
    for line in registry.evidence_listing():
        fields = ", ".join(label[0].lower() + label[1:] for label in line["fields"].values())
        state, sensitive = ("oui" if line[name] else "non" for name in ("state", "sensitive"))
        lines.append(f"| {line['label']} | `{line['type']}` | {fields} | {state} | {sensitive} |")
    return "\n".join(lines)


def section(text: str) -> str:
    """What stands between the marks of a page."""
    return text.split(BEGIN)[1].split(END)[0].strip("\n")


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    for name, field in schema["properties"].items():
        yield f"| `{name}` | {_value(field['properties']['value'])} | {field['description']} |"


def _value(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].split(':')[3]}`"
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema["type"])
    if kind == "array":
        return f"at most {schema['maxItems']}, each {_value(schema['items'])}"
    if "pattern" in schema and "minLength" not in schema:
        return _SHAPES[schema["pattern"]]
    return _KINDS.get(kind, kind)


_SHAPES = {
    "^[12][0-9]{3}-(0[1-9]|1[0-2])$": "`YYYY-MM`",
    "^[12][0-9]{3}(?:-[01][0-9](?:-[0-3][0-9])?)?$": "`YYYY`, `YYYY-MM` or `YYYY-MM-DD`",
    "^20[0-9]{2}-20[0-9]{2}$": "`YYYY-YYYY`",
}


def _write(page: Path, tables: str) -> None:
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    _write(ENGLISH, english(Registry.load()))
    _write(FRENCH, french(Registry.load()))
