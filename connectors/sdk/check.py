"""The connectors on disk, held against what they declare: manifest, events, settings, README, code and tables; every
fault at once, each with its file, its line where the file has one, and the nearest right word."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from connectors.sdk.discovery import kind_class
from connectors.sdk.loading import loading_faults
from connectors.sdk.mapping import Converters, fields_of, table_faults
from connectors.sdk.mapping.declared import declare_all
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.toml_lines import line_of
from schemas.fault import Fault
from schemas.manifest import FILE, KINDS, Manifest, declared_settings, outside_of, published, settings_rules
from schemas.pointers import resolves
from schemas.registry import Registry
from schemas.setting_types import setting_faults, settings_schema
from schemas.shape import mended, nearest, schema_fault, shape_faults

VENDOR_SECTION = "Ce que la ville doit demander à son éditeur"
_SCHEMA = Path(__file__).with_name("connector.schema.json")
_KINDS = Path(__file__).with_name("kinds")
_DECLARED = KINDS.keys() - {"python"}

Found = tuple[str, str]


def connector_faults(folder: Path, registry: Registry, procedures: Collection[str]) -> list[Fault]:
    """Every fault of every connector in `folder` at once. `procedures`: the slugs of the catalogue."""
    return [
        fault for path in sorted(folder.glob(f"*/{FILE}")) for fault in _faults_of_connector(path, registry, procedures)
    ]


@cache
def manifest_schema(kind: str) -> Mapping[str, Any]:
    """The JSON Schema of a `connector.toml` of this kind: what all have, and the tables of the kind."""
    whole: dict[str, Any] = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    for path in (_KINDS / "declared.schema.json", _KINDS / f"{kind}.schema.json") if kind in _DECLARED else ():
        more = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        whole = merged(whole, more | {"required": [*whole["required"], *more.get("required", ())]})
    return whole


def merged(schema: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The members of `more` laid over those of `schema`, tables into tables."""
    both = {k: merged(schema[k], more[k]) for k in schema.keys() & more.keys() if isinstance(schema[k], dict)}
    return {**schema, **more, **both}


def _faults_of_connector(path: Path, registry: Registry, procedures: Collection[str]) -> Iterator[Fault]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        raw = _without_dates(tomllib.loads(text))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        yield Fault(str(path), "", f"cannot be read as TOML: {error}")
        return
    kind, settings = _kind_of(raw), raw.get("settings")
    found, sound = _shape_faults(raw, manifest_schema(kind))
    if sound is not None:
        wrong = list(_settings_faults(sound))
        found += [*_manifest_faults(sound, path.parent.name, registry, procedures), *wrong]
        sound = None if wrong else sound
    faults = [Fault(str(path), key, message) for key, message in found]
    if kind in _DECLARED:
        more = _kind_faults(kind, sound, raw, path.parent, registry)
        faults += [fault for fault in more if fault not in faults]
    if not faults:
        faults = list(loading_faults(Manifest.load(path, fields_of)))
    for fault in faults:
        yield replace(fault, line=line_of(text, fault.key)) if fault.file == str(path) else fault
    yield from _readme_faults(path.with_name("README.md"), settings if isinstance(settings, dict) else {})


def _kind_faults(
    kind: str, sound: dict[str, Any] | None, raw: Mapping[str, Any], folder: Path, registry: Registry
) -> Iterator[Fault]:
    """What the kind says of its tables; of those that are not sound, what each converter and row has by itself."""
    if sound is not None:
        yield from kind_class(kind).faults(sound, folder, registry)
        return
    converters, declared = Converters(zone=UTC, hooks=_AnyHook()), raw.get("converters")
    for key, said in declare_all(converters, declared) if isinstance(declared, dict) else ():
        yield Fault(str(folder / FILE), f"converters.{key}", said)
    if (folder / TABLE).exists():
        yield from table_faults(folder / TABLE, converters=converters)


class _AnyHook(dict[str, Any]):
    """Every function of a `hooks.py` that is not read."""

    def __bool__(self) -> bool:
        return True

    def __contains__(self, name: object) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        return lambda value: value


def _kind_of(raw: Mapping[str, Any]) -> str:
    """What stands under `kind`, or under a key that nobody knows and that is nearly it."""
    known = manifest_schema("")["properties"].keys() - {"kind"}
    return next((str(raw[name]) for name in raw if name not in known and nearest(name, ["kind"])), "")


def _shape_faults(raw: dict[str, Any], schema: Mapping[str, Any]) -> tuple[list[Found], dict[str, Any] | None]:
    """The faults of its shape, and the manifest as it was meant, which other checks read: None where nobody knows."""
    first = shape_faults(schema, raw)
    meant = mended(raw, first)
    then = first if meant is raw else shape_faults(schema, meant)
    found = [(fault.key, fault.message) for fault in dict.fromkeys([*first, *then])]
    return found, None if then else meant


def _without_dates(value: Any) -> Any:
    """A table of TOML as JSON would hold it."""
    if isinstance(value, dict):
        return {name: _without_dates(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_dates(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


def _manifest_faults(
    raw: Mapping[str, Any], folder: str, registry: Registry, procedures: Collection[str]
) -> Iterator[Found]:
    if raw["id"] != folder:
        yield "id", f"differs from the name of its folder ({folder})"
    if raw["kind"] == "python":
        yield from ((key, "missing") for key in ("protocol", "publishes", "idempotency") if key not in raw)
    yield from _outside_faults(raw)
    if "zone" in raw and raw["zone"] not in available_timezones():
        yield "zone", f"no such time zone{nearest(raw['zone'], available_timezones())}"
    for position, event_type in enumerate(raw.get("publishes", published(raw))):
        if not registry.versions(event_type):
            yield f"publishes[{position}]", f'no event "{event_type}"{nearest(event_type, registry.types())}'
    for position, delivered in enumerate(raw.get("deliver", ())):
        for key, message in _delivered_faults(delivered, registry, procedures):
            yield f"deliver[{position}].{key}", message
    answered = raw.get("answer", ())
    for position, answer in enumerate(answered):
        for key, message in _answered_faults(answer, registry):
            yield f"answer[{position}].{key}", message
        if any(_version_of(answer) == _version_of(one) for one in answered[:position]):
            yield f"answer[{position}].type", "is already answered above: say all its fields at one place"


def _outside_faults(raw: Mapping[str, Any]) -> Iterator[Found]:
    """Of a package without code: nothing of ours reads tables of a kind, and it knows each delivery by its key."""
    if not outside_of(raw):
        return
    if raw["kind"] != "python":
        yield "outside", f'a package without code is of the kind "python", not "{raw["kind"]}"'
    if raw.get("idempotency", "native-key") != "native-key":
        yield "idempotency", "a package without code knows a delivery again by its key: native-key"
    if raw.get("batch", 1) != 1:
        yield "batch", "a package without code gets one event at a time"


def _version_of(declared: Mapping[str, Any]) -> tuple[str, int]:
    return declared["type"], declared.get("version", 1)


def _delivered_faults(delivered: Mapping[str, Any], registry: Registry, procedures: Collection[str]) -> Iterator[Found]:
    event_type, version = _version_of(delivered)
    if not registry.versions(event_type):
        yield "type", f'no event "{event_type}"{nearest(event_type, registry.types())}'
    elif not registry.known(event_type, version):
        yield "version", f"{event_type} has no version {version}"
    else:
        schema = registry.schema(event_type, version)
        for position, pointer in enumerate(delivered.get("fields", ())):
            if not resolves(schema, pointer, registry):
                yield f"fields[{position}]", f"{pointer} is nowhere in {event_type} version {version}"
    for position, slug in enumerate(delivered.get("procedures", ())):
        if slug not in procedures:
            yield f"procedures[{position}]", f'no procedure "{slug}" in the catalogue{nearest(slug, procedures)}'


def _answered_faults(answered: Mapping[str, Any], registry: Registry) -> Iterator[Found]:
    evidence_type, version = _version_of(answered)
    versions = registry.evidence_versions(evidence_type)
    if not versions:
        yield "type", f'no evidence "{evidence_type}"{nearest(evidence_type, registry.evidence_types())}'
    elif version not in versions:
        yield "version", f"{evidence_type} has no version {version}"
    else:
        known = registry.evidence_fields(evidence_type, version)
        for position, name in enumerate(answered["fields"]):
            if name not in known:
                yield f"fields[{position}]", f'no field "{name}" in {evidence_type}{nearest(name, known)}'


# Settings


def _settings_faults(raw: Mapping[str, Any]) -> Iterator[Found]:
    settings, types, rules = declared_settings(raw), raw.get("types", {}), settings_rules(raw)
    found = list(setting_faults(settings, types, rules))
    yield from found
    if found:
        return
    schema = settings_schema(settings, types, rules)
    if fault := schema_fault(schema):
        yield "settings", fault
        return
    for name, part in settings.items():
        if "default" in part:
            held = {"$defs": schema.get("$defs", {}), **schema["properties"][name]}
            yield from ((f"settings.{name}.default", one.message) for one in shape_faults(held, part["default"]))


def _readme_faults(path: Path, settings: Mapping[str, Any]) -> Iterator[Fault]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        yield Fault(str(path), "", "missing")
        return
    if VENDOR_SECTION not in text:
        yield Fault(str(path), "", f"has no section « {VENDOR_SECTION} »")
    for name in settings:
        if f"`{name}`" not in text:
            yield Fault(str(path), name, "this setting is not explained")
