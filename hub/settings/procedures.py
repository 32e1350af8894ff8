"""The catalogue of procedures (démarches).

A procedure is a TOML file of `catalogue/` or of the town's own folder; its keys are in `procedure.schema.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from hub.settings.files import json_schema, toml_files
from schemas.errors import ConfigError
from schemas.fault import Fault
from schemas.shape import schema_fault, shape_faults

SHIPPED = Path(__file__).with_name("catalogue")
_SCHEMA = Path(__file__).with_name("procedure.schema.json")

Silence = Literal["acceptance", "rejection", "none"]


@dataclass(frozen=True, slots=True)
class AskedDocument:
    kind: str
    label: str
    required: bool = True


@dataclass(frozen=True, slots=True)
class Procedure:
    """`delay`: ISO 8601 duration, None where the law gives none. `deciding_system`: a system or a role, see
    `Tenant.system_for`. `hubee`: process code, None when HubEE does not carry it. `also_says`: by word of a
    status, the systems or roles that may set it beside the deciding one. `form`: JSON Schema of the form of its
    requests, None when nothing is said of it. `documents_delay`: how long the person has for missing documents where
    the deciding system fixed no date, None where no rule says so."""

    slug: str
    label: str
    service: str
    authority: str
    channels: tuple[str, ...]
    deciding_system: str
    acknowledgement: Literal["portal", "hub", "none"]
    delay: str | None
    hubee: str | None
    documents: tuple[AskedDocument, ...]
    silence: Silence
    silence_text: str
    silence_source: str | None
    appeals: str | None
    phases: Mapping[str, str]
    also_says: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    form: Mapping[str, Any] | None = None
    documents_delay: str | None = None

    @property
    def wants_documents_date(self) -> bool:
        """Whether a request for documents suspends nothing unless it fixes a date (L114-5)."""
        return self.silence == "rejection" and self.documents_delay is None


@dataclass(frozen=True, slots=True)
class Contact:
    """How people reach a service; R112-5, 2° wants it on the acknowledgement of receipt."""

    service: str
    address: str
    phone: str
    email: str | None = None


def load_procedures(extra: Path | None = None) -> Mapping[str, Procedure]:
    """The shipped procedures, and those of `extra`, which replace a shipped one of the same slug.

    Raises ConfigError with the first fault."""
    found: dict[str, Procedure] = {}
    for folder in (SHIPPED, extra):
        for path, raw, wrong in _files(folder) if folder else ():
            if wrong:
                raise ConfigError(str(wrong[0]), key="procedures_dir")
            procedure = _procedure(raw)
            found[path.stem] = procedure
    return MappingProxyType(found)


def procedure_faults(folder: Path = SHIPPED) -> list[Fault]:
    """Every fault of the procedures of one folder at once."""
    return [fault for _, _, wrong in _files(folder) for fault in wrong]


def procedure_slugs(extra: Path | None = None) -> frozenset[str]:
    """The slugs that `load_procedures` would give if no file were faulty."""
    folders = (SHIPPED, extra) if extra else (SHIPPED,)
    return frozenset(path.stem for folder in folders for path in folder.glob("*.toml"))


# Reading


def _files(folder: Path) -> Iterator[tuple[Path, dict[str, Any], list[Fault]]]:
    for path, raw in toml_files(folder):
        if isinstance(raw, Fault):
            yield path, {}, [raw]
        else:
            yield path, raw, [Fault(str(path), key, message) for key, message in _faults_of_table(raw, path.stem)]


def _faults_of_table(raw: Mapping[str, Any], name: str) -> list[tuple[str, str]]:
    shape = [(fault.key, fault.message) for fault in shape_faults(json_schema(_SCHEMA), raw)]
    return shape or list(_contradictions(raw, name))


def _contradictions(raw: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    rule = raw["silence"]["rule"]
    if raw["slug"] != name:
        yield "slug", f"differs from the name of its file ({name})"
    if rule != "none" and "delay" not in raw:
        yield "delay", f"missing: silence means {rule} at the end of a delay"
    if rule != "none" and "source" not in raw["silence"]:
        yield "silence.source", f"missing: which text says that silence means {rule}"
    if "form" in raw and (fault := schema_fault(raw["form"])):
        yield "form", fault
    for reference in _references(raw.get("form")):
        if not reference.startswith("#"):
            yield "form", "a $ref must lead into the form itself (#/$defs/…)"
    if rule == "rejection" and "appeals" not in raw:
        yield "appeals", "missing: R112-5 wants the ways and delays of appeal where silence means rejection"


def _references(schema: Any) -> Iterator[str]:
    parts = schema.values() if isinstance(schema, Mapping) else schema if isinstance(schema, list) else ()
    if isinstance(schema, Mapping):
        yield from (str(schema[name]) for name in ("$ref", "$dynamicRef") if name in schema)
    for part in parts:
        yield from _references(part)


def _procedure(raw: Mapping[str, Any]) -> Procedure:
    silence = raw["silence"]
    return Procedure(
        slug=raw["slug"], label=raw["label"], service=raw["service"], authority=raw["authority"],
        channels=tuple(raw["channels"]), deciding_system=raw["deciding_system"],
        acknowledgement=raw["acknowledgement"], delay=raw.get("delay"), hubee=raw.get("hubee"),
        documents=tuple(AskedDocument(**item) for item in raw.get("documents", ())),
        silence=silence["rule"], silence_text=silence["text"], silence_source=silence.get("source"),
        appeals=raw.get("appeals"), phases=MappingProxyType(dict(raw["phases"])),
        also_says=MappingProxyType({word: tuple(roles) for word, roles in raw.get("also_says", {}).items()}),
        form=raw.get("form"), documents_delay=raw.get("documents_delay"),
    )  # fmt: skip
