"""The connectors on disk, held against what they declare: manifest, events, settings, quality claims, README.

None of their code is imported: this is what `unefois check` and CI say of every `connectors/*/manifest.json`.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hub.settings import procedures as catalogue
from hub.settings.fault import Fault
from hub.settings.files import json_schema
from schemas.registry import Registry
from schemas.shape import nearest, schema_fault, shape_faults

RULES = (
    "conformance", "outage-tested", "authentication-tested", "twin", "statuses-mapped", "readme-complete",
    "sandbox-verified",
)  # fmt: skip
TIERS: Mapping[str, tuple[str, ...]] = {
    "bronze": ("conformance", "readme-complete"),
    "silver": ("conformance", "readme-complete", "outage-tested", "authentication-tested"),
    "gold": ("conformance", "readme-complete", "outage-tested", "authentication-tested", "sandbox-verified"),
}
VENDOR_SECTION = "Ce que la ville doit demander à son éditeur"
_SCHEMA = Path(__file__).with_name("manifest.schema.json")
_STATES = ("done", "todo", "exempt")
_RULE = re.compile(r"(?P<rule>[a-z][a-z-]*):\s*(?:(?P<state>[a-z]+)|\{(?P<table>.*)\})")
_PART = re.compile(r"(state|reason):\s*(?:\"([^\"]*)\"|'([^']*)'|([^,}]*))")

Found = tuple[str, str]


def connector_faults(folder: Path, registry: Registry) -> list[Fault]:
    """Every fault of every connector in `folder` at once, each with its file and key."""
    return [fault for path in sorted(folder.glob("*/manifest.json")) for fault in _faults_of_connector(path, registry)]


def _faults_of_connector(path: Path, registry: Registry) -> Iterator[Fault]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        yield Fault(str(path), "", f"cannot be read as JSON ({type(error).__name__})")
        return
    found = [(fault.key, fault.message) for fault in shape_faults(json_schema(_SCHEMA), raw)]
    if not found:
        found = [*_manifest_faults(raw, path.parent.name, registry), *_settings_faults(raw["settings"])]
    yield from (Fault(str(path), key, message) for key, message in found)
    settings = raw.get("settings") if isinstance(raw, dict) else None
    yield from _readme_faults(path.with_name("README.md"), settings if isinstance(settings, dict) else {})
    yield from _quality_faults(path.with_name("quality.yaml"), raw if not found else {})


def _manifest_faults(raw: Mapping[str, Any], folder: str, registry: Registry) -> Iterator[Found]:
    if raw["id"] != folder:
        yield "id", f"differs from the name of its folder ({folder})"
    for position, event_type in enumerate(raw["publishes"]):
        if not registry.versions(event_type):
            yield f"publishes[{position}]", f'no event "{event_type}"{nearest(event_type, registry.types())}'
    for position, consumed in enumerate(raw["consumes"]):
        for key, message in _consumed_faults(consumed, registry):
            yield f"consumes[{position}].{key}", message
    answered = raw.get("answers", ())
    for position, answer in enumerate(answered):
        for key, message in _answered_faults(answer, registry):
            yield f"answers[{position}].{key}", message
        if any((answer["type"], answer["version"]) == (one["type"], one["version"]) for one in answered[:position]):
            yield f"answers[{position}].type", "is already answered above: say all its fields at one place"


def _consumed_faults(consumed: Mapping[str, Any], registry: Registry) -> Iterator[Found]:
    event_type, version = consumed["type"], consumed["version"]
    if not registry.versions(event_type):
        yield "type", f'no event "{event_type}"{nearest(event_type, registry.types())}'
    elif not registry.known(event_type, version):
        yield "version", f"{event_type} has no version {version}"
    else:
        schema = registry.schema(event_type, version)
        for position, pointer in enumerate(consumed["fields"]):
            if not _resolves(schema, pointer, registry):
                yield f"fields[{position}]", f"{pointer} is nowhere in {event_type} version {version}"
    slugs = catalogue.procedure_slugs()
    for position, slug in enumerate(consumed.get("procedures", ())):
        if slug not in slugs:
            yield f"procedures[{position}]", f'no procedure "{slug}" in the catalogue{nearest(slug, slugs)}'


def _answered_faults(answered: Mapping[str, Any], registry: Registry) -> Iterator[Found]:
    evidence_type, version = answered["type"], answered["version"]
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


# Pointers


def _resolves(schema: Mapping[str, Any], pointer: str, registry: Registry) -> bool:
    """Whether a pointer names something that `data` may hold. A list is granted whole: no pointer leads into one."""
    here: list[Any] = [schema]
    for part in pointer[1:].split("/"):
        if all(place is True for place in here):
            return True
        name = part.replace("~1", "/").replace("~0", "~")
        parts = [form for place in here for form in _forms(place, registry)]
        here = [found for form in parts if (found := (form.get("properties") or {}).get(name)) is not None]
        if not here:
            return any(_is_open(form) for form in parts)
    return True


def _forms(schema: Any, registry: Registry) -> Iterator[Mapping[str, Any]]:
    if not isinstance(schema, Mapping):
        return
    yield schema
    if "$ref" in schema:
        yield from _forms(registry.schema_set.schemas[schema["$ref"]], registry)
    for rule in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(rule, ()):
            yield from _forms(part, registry)


def _is_open(form: Mapping[str, Any]) -> bool:
    """A table of free answers, or anything at all."""
    closed = False in (form.get("additionalProperties"), form.get("unevaluatedProperties"))
    return form.get("type") == "object" and "properties" not in form and not closed


# Settings


def _settings_faults(schema: Mapping[str, Any], key: str = "settings") -> Iterator[Found]:
    if key == "settings" and (fault := schema_fault(schema)):
        yield key, fault
        return
    for name, part in (schema.get("properties") or {}).items():
        yield from _setting_faults(f"{key}.{name}", part)
    for name, part in (schema.get("$defs") or {}).items():
        yield from _settings_faults(part, f"{key}.$defs.{name}")
    for keyword in ("items", "additionalProperties"):
        if isinstance(schema.get(keyword), Mapping):
            yield from _settings_faults(schema[keyword], f"{key}.{keyword}")


def _setting_faults(key: str, part: object) -> Iterator[Found]:
    if not isinstance(part, Mapping) or not str(part.get("description", "")).strip():
        yield key, "has no description"
    if not isinstance(part, Mapping):
        return
    if part.get("secret") is True and (part.get("type") != "string" or "default" in part):
        yield key, "a secret is a text without default"
    yield from _settings_faults(part, key)


# README and quality claims


def _readme_faults(path: Path, settings: Mapping[str, Any]) -> Iterator[Fault]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        yield Fault(str(path), "", "missing")
        return
    if VENDOR_SECTION not in text:
        yield Fault(str(path), "", f"has no section « {VENDOR_SECTION} »")
    names = settings.get("properties")
    for name in names if isinstance(names, dict) else ():
        if f"`{name}`" not in text:
            yield Fault(str(path), name, "this setting is not explained")


def _quality_faults(path: Path, manifest: Mapping[str, Any]) -> Iterator[Fault]:
    """The claims are for those who build and choose connectors; a wheel may leave the file out."""
    if not path.exists():
        return
    claims: dict[str, str] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", "---")):
            continue
        rule, state, reason = _claim(line)
        claims[rule] = state
        if rule not in RULES:
            yield Fault(str(path), rule or f"line {number}", f"no such rule{nearest(rule, RULES)}")
        elif state not in _STATES:
            yield Fault(str(path), rule, "must be done, todo or exempt")
        elif state != "done" and not reason:
            yield Fault(str(path), rule, f"{state} needs a reason")
    for rule in RULES:
        if rule not in claims:
            yield Fault(str(path), rule, "missing")
    if manifest:
        yield from (Fault(str(path), rule, message) for rule, message in _false_claims(path.parent, claims, manifest))


def _claim(line: str) -> tuple[str, str, str]:
    """`rule: done` or `rule: {state: todo, reason: "…"}`, on one line."""
    match = _RULE.fullmatch(line.split(" #")[0].strip())
    if match is None:
        return line.partition(":")[0].strip(), "", ""
    if match["state"]:
        return match["rule"], match["state"], ""
    parts = {name: (a or b or c).strip() for name, a, b, c in _PART.findall(match["table"])}
    return match["rule"], parts.get("state", ""), parts.get("reason", "")


def _false_claims(folder: Path, claims: Mapping[str, str], manifest: Mapping[str, Any]) -> Iterator[Found]:
    done = {rule for rule, state in claims.items() if state == "done"}
    if "twin" in done and not (folder / "twin.py").is_file():
        yield "twin", "done, but there is no twin.py"
    if "statuses-mapped" in done and not _rows(folder / "statuses.csv"):
        yield "statuses-mapped", "done, but statuses.csv maps nothing"
    tests = folder.parent.parent / "tests" / "connectors"
    if "conformance" in done and tests.is_dir() and not list((tests / folder.name).glob("test_*.py")):
        yield "conformance", f"done, but tests/connectors/{folder.name} holds no test"
    if ("sandbox-verified" in done) != bool(manifest.get("verified")):
        yield "sandbox-verified", "must be done exactly when the manifest's `verified` holds a day"
    lacking = [rule for rule in TIERS[manifest["tier"]] if claims.get(rule) == "todo"]
    if lacking:
        yield lacking[0], f"todo, but the tier {manifest['tier']} asks for it"


def _rows(path: Path) -> Sequence[Mapping[str, str]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
