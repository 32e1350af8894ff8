"""What `unefois check` says of the tables of a declared connector: every fault at once, each in its file."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, tzinfo
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from connectors.sdk.error_table import error_table_faults
from connectors.sdk.kinds.events import STATUS_CHANGED, STATUS_VERSION, EventReader, Language
from connectors.sdk.kinds.facts import DELIVERY_FACTS, OWN_FACTS
from connectors.sdk.kinds.follow import FOLLOW_FACTS
from connectors.sdk.kinds.follow_checks import follow_faults
from connectors.sdk.kinds.form_checks import form_faults
from connectors.sdk.kinds.hooks import Hooks, hook_named, load_hooks
from connectors.sdk.kinds.texts import FORMS, names_in, texts_of
from connectors.sdk.mapping import Converters, Map, MappingTable, Template, table_faults
from connectors.sdk.mapping.declared import declare_all
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.mapping.rows import read_table
from connectors.sdk.records import PERSON
from connectors.sdk.statuses import Statuses
from connectors.sdk.values import phone
from schemas.errors import ConfigError, InvalidMessage
from schemas.event import Event
from schemas.fault import Fault
from schemas.manifest import declared_settings
from schemas.registry import Registry
from schemas.shape import nearest

Found = Iterator[tuple[str, str]]
KindFaults = Callable[[Mapping[str, Any]], Found]
EVENT_TABLES = (
    ("webhook", "event"), ("poll", "event"), ("state", "event"), ("dump", "change"), ("sql", "event"),
    ("returns", "event"),
)  # fmt: skip
STATUSES = "statuses.csv"
READERS = {"phone": phone}
"""Words of `convert` beside the closed ones: readers of what people write."""
_LISTING = ("rest", "dump")  # the kinds that can be asked who their people are
FILLED = ("/request", "/status", "/native")  # of a status: its own keys make them
_BY_COLUMN = ("dump", "drop", "sql")  # whose placeholders may be columns


def declared_faults(raw: Mapping[str, Any], folder: Path, registry: Registry) -> Iterator[Fault]:
    """Those of a `connector.toml` whose shape is sound, of its `mapping.csv`, `statuses.csv` and `hooks.py`. The
    faults of the manifest have no line yet."""
    toml = str(folder / "connector.toml")
    hooks, fault = _hooks(folder)
    if fault:
        yield Fault(str(folder / "hooks.py"), "", fault)
    statuses = _statuses(folder / STATUSES)
    converters = Converters(zone=_zone(raw), hooks=hooks, readers=READERS)
    yield from (
        Fault(toml, f"converters.{key}", said) for key, said in declare_all(converters, raw.get("converters", {}))
    )
    language = _language(raw, folder, converters, hooks, statuses)
    yield from _table_faults(raw, folder / TABLE, language, registry)
    for found in (
        _error_faults(raw), _deliver_faults(raw, folder, language), _event_faults(raw, folder, language),
        form_faults(raw, converters, registry), _people_faults(raw, language),
        _cursor_faults(raw, language), _asked_faults(raw, language),
        follow_faults(raw, language),
    ):  # fmt: skip
        yield from (Fault(toml, key, message) for key, message in found)
    yield from (Fault(toml, key, message) for key, message in _kind_faults(raw["kind"])(raw))


def facts_known(raw: Mapping[str, Any]) -> frozenset[str]:
    """The names that placeholders may hold anywhere: those of the connection, and of settings that are shown."""
    settings = declared_settings(raw)
    kinds = {name: part if isinstance(part, str) else part.get("type") for name, part in settings.items()}
    return frozenset({name for name, kind in kinds.items() if kind not in ("secret", "table", "list")} | {*OWN_FACTS})


def secrets_known(raw: Mapping[str, Any]) -> frozenset[str]:
    """The names of secret settings."""
    settings = raw.get("settings", {})
    return frozenset(name for name, part in settings.items() if isinstance(part, dict) and part.get("type") == "secret")


def unknown_names(text: str, known: Collection[str]) -> Iterator[str]:
    """What is wrong with the placeholders of a text: braces, and names that are no facts."""
    try:
        Template.of(text)
    except ValueError as error:
        yield str(error)
        return
    for name in names_in(text):
        if not name.startswith("/") and name not in known:
            yield f'nothing is known as "{name}"{nearest(name, known)}'


def _kind_faults(kind: str) -> KindFaults:
    found: KindFaults = getattr(importlib.import_module(f"connectors.sdk.kinds.{kind}"), f"{kind}_faults")
    return found


def _error_faults(raw: Mapping[str, Any]) -> Found:
    for pointer, message in error_table_faults(raw.get("error", ())):
        _, number, *rest = pointer.removeprefix("/").split("/")
        yield ".".join([f"error[{number}]", *rest]), message


def _deliver_faults(raw: Mapping[str, Any], folder: Path, language: Language) -> Found:
    own_code = (folder / "connector.py").exists()
    known = {*language.facts, *DELIVERY_FACTS}
    for number, spec in enumerate(raw.get("deliver", ())):
        place = f"deliver[{number}]"
        if "fields" in spec and (not own_code or spec.keys() & {"map", *FORMS}):
            yield f"{place}.fields", "is computed from what is read: leave it out"
        if spec.get("again") == "look-up" and not own_code and "look_up" not in spec:
            yield f"{place}.again", "look-up needs a connector.py with a look_up of its own"
        for text in texts_of({name: value for name, value in spec.items() if name not in FORMS}):
            yield from ((place, message) for message in unknown_names(text, known))
        for name in (name for name in FORMS if name in spec):
            yield from _compiled(f"{place}.{name}", partial(_form, spec[name], language))
            for text in texts_of(spec[name]):
                yield from ((f"{place}.{name}", message) for message in unknown_names(text, known))
        if "map" in spec and spec["map"] in language.tables:
            yield from _compiled(
                f"{place}.map", partial(language.tables[spec["map"]].write, {}, dict.fromkeys(known, "-"))
            )


def _cursor_faults(raw: Mapping[str, Any], language: Language) -> Found:
    cursor = (raw.get("poll") or {}).get("cursor", {})
    for key in (key for key in ("at", "id") if key in cursor):
        yield from _compiled(f"poll.cursor.{key}", partial(language.value, cursor[key]))
    if "write" in cursor:
        yield from _compiled("poll.cursor.write", partial(language.converters.of, cursor["write"]))


def _asked_faults(raw: Mapping[str, Any], language: Language) -> Found:
    """Of what is asked by a look-up, and for an answer."""
    tables = [(f"answer[{number}]", one) for number, one in enumerate(raw.get("answer", ()))]
    delivers = enumerate(raw.get("deliver", ()))
    tables += [(f"deliver[{number}].look_up", one["look_up"]) for number, one in delivers if "look_up" in one]
    for place, one in tables:
        for name in (name for name in FORMS if name in one):
            yield from _compiled(f"{place}.{name}", partial(_form, one[name], language))


def _people_faults(raw: Mapping[str, Any], language: Language) -> Found:
    listed = _listed(raw)
    if "people" in raw and raw["kind"] not in _LISTING:
        yield "people", f"a connector of the kind {raw['kind']} lists nobody: load a file"
    if "state" in raw and raw["kind"] != "rest":
        yield "state", f"a connector of the kind {raw['kind']} is asked of nobody"
    if "map" in listed and listed["map"] in language.tables:
        yield from _compiled("people.map", partial(language.tables[listed["map"]].read, {}, language.facts))


def _form(form: Mapping[str, Any], language: Language) -> Map:
    return Map.of_form(form, converters=language.converters)


def _event_faults(raw: Mapping[str, Any], folder: Path, language: Language) -> Found:
    by_column = raw["kind"] in _BY_COLUMN
    for place, spec in _event_tables(raw):
        if "status" in spec and "about" not in spec:
            yield f"{place}.about", "missing: which request the status is of"
        if "status" not in spec and "map" not in spec:
            yield f"{place}.map", "missing: what makes the data of the event"
        if "status" in spec and not (folder / STATUSES).exists():
            yield f"{place}.status", "there is no statuses.csv that says what it means"
        if not by_column:
            yield from ((f"{place}.id", message) for message in unknown_names(spec["id"], language.facts))
        if "before" in spec:
            yield from _compiled(f"{place}.before", partial(hook_named, language.hooks, spec["before"]))
        else:
            lenient = {name: value for name, value in spec.items() if name != "map" or value in language.tables}
            yield from _compiled(place, partial(EventReader, lenient, language, Event))


def _compiled(key: str, build: Callable[[], object]) -> Found:
    try:
        build()
    except (ConfigError, ValueError) as error:
        yield key, str(error)
    except InvalidMessage:
        return  # what is empty is refused for what it lacks: the table itself is sound


def _event_tables(raw: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for part, word in EVENT_TABLES:
        for number, spec in enumerate((raw.get(part) or {}).get(word, ())):
            yield f"{part}.{word}[{number}]", spec


def _table_faults(raw: Mapping[str, Any], path: Path, language: Language, registry: Registry) -> Iterator[Fault]:
    schemas = _schemas_by_map(raw, registry)
    if not path.exists():
        yield from (_missing(path, name) for name in list(schemas)[:1])
        return
    backwards = _read_backwards(raw, language.tables)
    yield from _never_given(raw, path)
    yield from table_faults(
        path, converters=language.converters, maps=[*schemas, *_other_maps(raw)], registry=registry,
        events={name: schema for name, schema in schemas.items() if schema is not None and name not in backwards},
        filled={spec["map"]: FILLED for _, spec in _event_tables(raw) if "map" in spec and "status" in spec},
        settings=declared_settings(raw),
        facts=None if raw["kind"] in _BY_COLUMN else {*facts_known(raw), *DELIVERY_FACTS, *_followed(raw)},
    )  # fmt: skip


def _never_given(raw: Mapping[str, Any], path: Path) -> Iterator[Fault]:
    """What the maps of `[[follow]]` name of a delivery: there is none when they are read."""
    maps = {spec["map"] for spec in _follow_maps(raw)}
    for row in (row for row in read_table(path).rows if row.map in maps and row.source.startswith("=")):
        for name in sorted({*names_in(row.source)} & {*DELIVERY_FACTS} - {*FOLLOW_FACTS}):
            said = f'"{name}" is not known in a [[follow]]: {", ".join(FOLLOW_FACTS)} are'
            yield Fault(str(path), "source", said, line=row.line)


def _read_backwards(raw: Mapping[str, Any], tables: MappingTable) -> frozenset[str]:
    """The maps of records that only deliveries use: they need not make a whole event."""
    made = {spec["map"] for _, spec in _event_tables(raw) if "map" in spec}
    named = {spec["map"] for spec in raw.get("deliver", ()) if "map" in spec}
    return frozenset(name for name in named - made if name in tables and tables[name].incoming)


def _missing(path: Path, name: str) -> Fault:
    return Fault(str(path), "", f'missing: connector.toml names the map "{name}"')


def _schemas_by_map(raw: Mapping[str, Any], registry: Registry) -> dict[str, Mapping[str, Any] | None]:
    """The shared schema that each map that is named must fit; None where there is none."""
    found: dict[str, Mapping[str, Any] | None] = {}
    specs = [spec for _, spec in _event_tables(raw)] + list(raw.get("deliver", ())) + list(_follow_maps(raw))
    for spec in (spec for spec in specs if "map" in spec):
        version = spec.get("version", STATUS_VERSION if spec["type"] == STATUS_CHANGED else 1)
        known = registry.known(spec["type"], version)
        found[spec["map"]] = registry.schema(spec["type"], version) if known else None
    if "map" in (listed := _listed(raw)):
        found[listed["map"]] = {"$ref": PERSON}
    return found


def _listed(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table that says how the people of a package are listed."""
    found: Mapping[str, Any] = raw.get("people") or {}
    return found


def _followed(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return FOLLOW_FACTS if raw.get("follow") else ()


def _follow_maps(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The maps of every `[[follow]]`, each beside the event that it makes."""
    for spec in raw.get("follow", ()):
        made = {"type": spec.get("type", STATUS_CHANGED)} | {k: spec[k] for k in ("version",) if k in spec}
        yield from ({**made, "map": spec[key]} for key in ("map", "ended") if key in spec)


def _other_maps(raw: Mapping[str, Any]) -> Iterator[str]:
    """Those that answers and other tables of a kind name."""
    yield from (spec["map"] for spec in raw.get("answer", ()) if "map" in spec)
    for part in ("returns", "soap", "drop"):
        if "map" in (raw.get(part) or {}):
            yield raw[part]["map"]


def _hooks(folder: Path) -> tuple[Hooks, str]:
    try:
        return load_hooks(folder), ""
    except ConfigError as error:
        return {}, str(error)


def _statuses(path: Path) -> Statuses:
    """Those of the file; none where it has a fault, which is told line by line when it is loaded."""
    try:
        return Statuses.load(path) if path.exists() else Statuses(())
    except ConfigError:
        return Statuses(())


def _zone(raw: Mapping[str, Any]) -> tzinfo:
    try:
        return ZoneInfo(raw["zone"]) if "zone" in raw else UTC
    except (OSError, LookupError, ValueError):
        return UTC  # its fault is told of the key itself


def _language(
    raw: Mapping[str, Any], folder: Path, converters: Converters, hooks: Hooks, statuses: Statuses
) -> Language:
    try:
        tables = MappingTable.load(folder / TABLE, converters=converters)
    except (ConfigError, OSError):  # told line by line
        tables = MappingTable({})
    facts = dict.fromkeys(facts_known(raw), "")
    return Language(tables, converters, None, facts, statuses, hooks, "", raw.get("unknown", "refuse"))
