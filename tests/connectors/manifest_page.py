"""`docs/manifest.md` is what this makes of the schemas' own descriptions: `python -m tests.connectors.manifest_page`
writes it again."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.check import merged
from connectors.sdk.kinds.facts import DELIVERY_FACTS, OWN_FACTS
from schemas.manifest import KINDS, folder_settings
from schemas.setting_types import TYPE_OPTIONS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "manifest.md"
SDK = ROOT / "connectors" / "sdk"
EXAMPLE = ROOT / "tests" / "connectors" / "sdk" / "kinds" / "examples" / "agenda"
EXAMPLES = {"dump": "periscolaire", "drop": "regie", "sql": "fileattente"}
HEAD = Path(__file__).with_suffix(".md")


def page() -> str:
    """The page as it should stand."""
    toml = (EXAMPLE / "connector.toml").read_text(encoding="utf-8")
    types = "\n".join(f"| `{name}` | {_codes(keys)} |" for name, keys in TYPE_OPTIONS.items())
    known = {
        "example": toml, "types": types, "facts": _codes(f"{{{name}}}" for name in OWN_FACTS),
        "delivery": _codes(f"{{{name}}}" for name in DELIVERY_FACTS),
    }  # fmt: skip
    head = re.sub("@([a-z]+)@", lambda found: known[found[1]], HEAD.read_text(encoding="utf-8"))
    parts = [head, *_section("Every connector", _schema(SDK / "connector.schema.json"))]
    parts += _section("Every declared kind", _schema(SDK / "kinds" / "declared.schema.json"))
    for kind in KINDS:
        path = SDK / "kinds" / f"{kind}.schema.json"
        if path.exists():
            parts += _section(f'`kind = "{kind}"`', _schema(path), EXAMPLES.get(kind, ""))
    parts += _folder_settings()
    return "\n".join(parts).rstrip() + "\n"


def _folder_settings() -> Iterator[str]:
    """The settings that connections of some kinds have without a word of their manifests."""
    yield "## Settings of connections that exchange files\n"
    yield "Connections of the kinds `dump` and `drop` have these beside those of `[settings]`, which go before.\n"
    yield "| setting | kinds | type | what it says |\n| --- | --- | --- | --- |"
    for part, kinds in (("files", "dump, drop"), ("dump", "dump"), ("drop", "drop")):
        for name, one in folder_settings()[part].items():
            yield f"| `{name}` | {kinds} | {one['type']} | {one['about']} |"
    yield ""


def _schema(path: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _section(title: str, schema: Mapping[str, Any], example: str = "") -> Iterator[str]:
    yield f"## {title}\n"
    if "description" in schema and example:
        toml = (EXAMPLE.parent / example / "connector.toml").read_text(encoding="utf-8")
        yield f"{schema['description']}\n\n```toml\n{toml}```\n"
    of_all = (SDK / "connector.schema.json", SDK / "kinds" / "declared.schema.json")
    defs = {name: part for path in of_all for name, part in _schema(path)["$defs"].items()}
    defs = merged(defs, schema.get("$defs", {}))
    if "follow" in schema.get("$defs", {}):  # which no kind but these has: all of it stands here
        shared = _schema(of_all[1])["$defs"]["follow"]
        own = schema["$defs"]["follow"]
        whole = {**own["properties"], **shared["properties"]}
        defs["follow"] = {**shared, "properties": whole, "required": own["required"]}
    tops = dict(schema.get("properties", {}))
    for name in ("deliver", "answer"):  # what a kind adds to tables that all have
        if name in schema.get("$defs", {}):
            further = {"type": "array", "items": schema["$defs"][name], "description": "Further keys of it."}
            tops[name] = {**further, **tops.get(name, {})}
    yield from _table({"properties": tops, "required": schema.get("required", ())}, defs)
    for name, part in tops.items():
        yield from _tables(name, part, defs)


def _tables(name: str, part: Mapping[str, Any], defs: Mapping[str, Any]) -> Iterator[str]:
    """The table of a key that holds one, and those within it."""
    listed = part.get("type") == "array"
    inner = _resolved(part.get("items", {}) if listed else part, defs)
    if not inner.get("properties"):
        return
    yield f"### `[[{name}]]`\n" if listed else f"### `[{name}]`\n"
    yield from _table(inner, defs)
    for key, one in inner["properties"].items():
        yield from _tables(f"{name}.{key}", one, defs)


def _table(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Iterator[str]:
    if not schema["properties"]:
        return
    yield "| key | what it says |\n| --- | --- |"
    for name, part in schema["properties"].items():
        due = " (required)" if name in schema.get("required", ()) else ""
        yield f"| `{name}`{due} | {_said(part, defs)} |"
    yield ""


def _said(part: Mapping[str, Any], defs: Mapping[str, Any]) -> str:
    whole = _resolved(part, defs)
    words = str(part.get("description") or whole.get("description", "Further keys of it.")).replace("|", "\\|")
    choices = whole.get("enum", ())
    missing = [str(choice) for choice in choices if f"`{choice}`" not in words and str(choice) not in words]
    return f"{words} One of {_codes(map(str, choices))}." if missing else words


def _resolved(part: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(part.get("$ref", "")).removeprefix("#/$defs/")
    return {**defs.get(name, {}), **part} if name else part


def _codes(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
