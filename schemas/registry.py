"""The registry: every shared schema, loaded once; says whether an event is valid and serves the schemas to others."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal, cast

import orjson

from schemas.checks import BESIDE_SCHEMAS, unfit_character
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.exchange import Evidence
from schemas.validators import Schema, SchemaSet, rewritten

Order = Literal["request", "citizen", "subject"]

FOLDERS = ("events", "records", "evidence")
_SPACES = {"events": "", "records": "record:", "evidence": "evidence:"}
_FILE = re.compile(r"([a-z][a-z0-9.-]*)\.v([1-9][0-9]{0,3})\.json")
_URN = re.compile(r"urn:unefois:(record:|evidence:)?([a-z][a-z0-9.-]*):v([1-9][0-9]{0,3})")


class Registry:
    """The schemas of one folder. Immutable; share one between threads.

    `Registry.load()` reads the schemas of the product; give another folder (`events/`, `records/`,
    `evidence/`) to read that.
    """

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        """`schemas` by file name: `events/request.received.v1.json`. Raises ValueError, naming the file, when a `$id`
        is not the one that its name asks for, or a `$ref` leads nowhere."""
        self._files = dict(schemas)
        self._events: dict[str, dict[int, Schema]] = {}
        self._evidence: dict[str, dict[int, Schema]] = {}
        self._uris: dict[tuple[str, int], str] = {}
        for name, schema in sorted(self._files.items()):
            self._admit(name, schema)
        self._versions = {event_type: tuple(sorted(versions)) for event_type, versions in self._events.items()}
        self._published = {schema["$id"]: schema for schema in self._files.values()}
        self._set = SchemaSet(map(_with_checks_beside, self._files.values()))
        self._parameters = SchemaSet(map(_parameters, self._of_evidence()))
        self._check_references()

    @staticmethod
    def load(root: Traversable | None = None) -> Registry:
        return Registry(read_folder(root or files("schemas")))

    def types(self) -> tuple[str, ...]:
        return tuple(self._events)

    def versions(self, event_type: str) -> tuple[int, ...]:
        """The versions of a type, oldest first; empty when the type is unknown."""
        return self._versions.get(event_type, ())

    def known(self, event_type: str, version: int = 1) -> bool:
        return (event_type, version) in self._uris

    def order_of(self, event_type: str) -> Order:
        """What the order key of an event of this type names. InvalidMessage when the type is unknown."""
        return cast(Order, self._ours(event_type)["order"])

    def supersedes(self, event_type: str) -> bool:
        """True when a newer event of the key makes an older waiting one pointless. InvalidMessage when unknown."""
        return bool(self._ours(event_type)["supersedes"])

    def category(self, event_type: str) -> str:
        return str(self._ours(event_type)["category"])

    def validate(self, event: Event, *, words: bool = True) -> None:
        """Check an event against the closed schema of its type and version.

        Raises InvalidMessage: code `unknown_type`, `unknown_schema`, `not_json` or `schema_violation`, a pointer into
        the event, the keyword that was broken in `rule`, and a sentence that holds nothing of the data. Without `words`
        a violation is told of the data as a whole, which takes no longer than an acceptance.
        """
        uri = self._uris.get((event.type, event.version))
        if uri is None:
            raise self._unknown(event)
        check_document(self._set, uri, event.data, "/data", words=words)

    def schema(self, event_type: str, version: int = 1) -> Schema:
        """The schema of `data` as it is written in its file. KeyError when unknown."""
        return self._events[event_type][version]

    def names(self) -> tuple[str, ...]:
        """The names that `bundled` takes: the paths under `/schemas/`."""
        return tuple(sorted(self._files))

    def bundled(self, name: str) -> dict[str, Any]:
        """One schema with all that it refers to in `$defs`, as served at `/schemas/<name>`. KeyError when unknown."""
        schema = self._files[name]
        linked = rewritten(schema, _relink(lambda definition: f"#/$defs/{definition}"))
        definitions = {
            definition_of(uri): embedded(self._published[uri], lambda definition: f"#/$defs/{definition}")
            for uri in sorted(self.reached(schema["$id"]))
        }
        return cast(dict[str, Any], linked | ({"$defs": definitions} if definitions else {}))

    def reached(self, uri: str) -> set[str]:
        """The `$id` of every schema that this one refers to, near or far."""
        found: set[str] = set()
        waiting = [uri]
        while waiting:
            near = references(self._set.schemas[waiting.pop()]) - found
            found |= near
            waiting.extend(near)
        return found

    def evidence_types(self) -> tuple[str, ...]:
        return tuple(self._evidence)

    def evidence_versions(self, evidence_type: str) -> tuple[int, ...]:
        """The versions of an evidence type, oldest first; empty when the type is unknown."""
        return tuple(sorted(self._evidence.get(evidence_type, ())))

    def evidence(self, evidence_type: str, version: int = 1) -> Schema:
        """The schema of the values as it is written in its file. InvalidMessage when unknown: code `unknown_evidence`
        or `unknown_schema`."""
        versions = self._evidence.get(evidence_type)
        if versions is None:
            raise InvalidMessage("this type of evidence is not known", pointer="/type", code="unknown_evidence")
        if version not in versions:
            known = ", ".join(f"v{number}" for number in sorted(versions))
            raise InvalidMessage(
                f"this version of the type is not known; there is {known}", pointer="/version", code="unknown_schema"
            )
        return versions[version]

    def evidence_fields(self, evidence_type: str, version: int = 1) -> tuple[str, ...]:
        """The fields of an evidence type, in the order of its file. InvalidMessage when unknown."""
        return tuple(self.evidence(evidence_type, version)["properties"])

    def validate_evidence(self, evidence: Evidence) -> None:
        """Check what a source said against the closed schema of its type and version.

        Raises InvalidMessage as `validate` does, or with code `unknown_evidence`; the pointer leads into the evidence
        (`/values/quotient/value`) and the sentence holds nothing of it.
        """
        uri = self.evidence(evidence.type, evidence.version)["$id"]
        check_document(self._set, uri, evidence.values, "/values")

    def check_parameters(self, evidence_type: str, version: int, parameters: Mapping[str, Any]) -> None:
        """Check the parameters of a question about this evidence. Raises InvalidMessage as `validate_evidence`."""
        uri = self.evidence(evidence_type, version)["$id"]
        check_document(self._parameters, uri, parameters, "/parameters")

    def evidence_listing(self) -> list[dict[str, Any]]:
        """One line for each version of each evidence type, for `unefois schema list` and the documentation."""
        return [
            {
                "type": evidence_type,
                "version": version,
                "title": schema["title"],
                "label": schema["x-unefois"]["label"],
                "description": schema["description"],
                "sensitive": schema["x-unefois"]["sensitive"],
                "state": schema["x-unefois"]["state"],
                "fields": dict(schema["x-unefois"]["fields"]),
                "parameters": list(schema["x-unefois"]["parameters"]["properties"]),
                "dataschema": schema["$id"],
                "path": f"/schemas/evidence/{evidence_type}.v{version}.json",
            }
            for evidence_type, versions in self._evidence.items()
            for version, schema in sorted(versions.items())
        ]

    def listing(self) -> list[dict[str, Any]]:
        """One line for each version of each event type, for `unefois schema list` and the documentation."""
        return [
            {
                "type": event_type,
                "version": version,
                "title": schema["title"],
                "description": schema["description"],
                "order": self.order_of(event_type),
                "supersedes": self.supersedes(event_type),
                "category": self.category(event_type),
                "dataschema": schema["$id"],
                "path": f"/schemas/events/{event_type}.v{version}.json",
            }
            for event_type, versions in self._events.items()
            for version, schema in sorted(versions.items())
        ]

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """All schemas by file name."""
        return self._files

    @property
    def schema_set(self) -> SchemaSet:
        return self._set

    def _admit(self, name: str, schema: Schema) -> None:
        folder, _, file = name.partition("/")
        match = _FILE.fullmatch(file)
        if folder not in FOLDERS or match is None:
            places = " or ".join(f"{place}/<name>.v<number>.json" for place in FOLDERS)
            raise ValueError(f"{name}: must be {places}")
        kind, version = match.group(1), int(match.group(2))
        uri = f"urn:unefois:{_SPACES[folder]}{kind}:v{version}"
        if schema.get("$id") != uri:
            raise ValueError(f"{name}: $id must be {uri}")
        if folder == "events":
            self._events.setdefault(kind, {})[version] = schema
            self._uris[kind, version] = uri
        elif folder == "evidence":
            self._evidence.setdefault(kind, {})[version] = schema

    def _of_evidence(self) -> Iterator[Schema]:
        return (schema for versions in self._evidence.values() for schema in versions.values())

    def _check_references(self) -> None:
        for name, schema in self._files.items():
            lost = references(schema) - self._set.schemas.keys()
            if lost:
                raise ValueError(f"{name}: $ref leads nowhere: {', '.join(sorted(lost))}")

    def _ours(self, event_type: str) -> Mapping[str, Any]:
        """How the hub treats the type: settled by its first version, for all of them."""
        versions = self._versions.get(event_type)
        if versions is None:
            raise InvalidMessage("this type of event is not known", pointer="/type", code="unknown_type")
        return cast(Mapping[str, Any], self._events[event_type][versions[0]]["x-unefois"])

    def _unknown(self, event: Event) -> InvalidMessage:
        versions = self.versions(event.type)
        if not versions:
            return InvalidMessage("this type of event is not known", pointer="/type", code="unknown_type")
        known = ", ".join(f"v{version}" for version in versions)
        return InvalidMessage(
            f"this version of the type is not known; there is {known}", pointer="/dataschema", code="unknown_schema"
        )


def embedded(schema: Schema, link: Callable[[str], str]) -> dict[str, Any]:
    """A schema to be placed inside another document, where `link` says how to refer to each definition."""
    body = rewritten(schema, _relink(link))
    return {keyword: value for keyword, value in body.items() if keyword not in ("$schema", "$id", "x-unefois")}


def definition_of(uri: str) -> str:
    """The name of a shared schema inside a document: `address.v1`."""
    match = _URN.fullmatch(uri)
    if match is None:
        raise ValueError(f"$ref must name a shared schema by its urn: {uri}")
    return f"{match.group(2)}.v{match.group(3)}"


def read_folder(root: Traversable) -> dict[str, Schema]:
    """The schemas under `events/`, `records/` and `evidence/`, by file name. Raises ValueError, naming the file, on one
    that is not JSON."""
    found: dict[str, Schema] = {}
    for folder in FOLDERS:
        place = root.joinpath(folder)
        for entry in sorted(place.iterdir(), key=lambda entry: entry.name) if place.is_dir() else ():
            if entry.name.endswith(".json"):
                found[f"{folder}/{entry.name}"] = _read(f"{folder}/{entry.name}", entry)
    return found


def references(schema: Any) -> set[str]:
    """Every `$ref` in a schema."""
    found: set[str] = set()

    def note_reference(part: dict[str, Any]) -> dict[str, Any]:
        found.update([part["$ref"]] if "$ref" in part else [])
        return part

    rewritten(schema, note_reference)
    return found


def _read(name: str, entry: Traversable) -> Schema:
    try:
        return cast(Schema, orjson.loads(entry.read_bytes()))
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{name}: not JSON (line {error.lineno}, column {error.colno})") from error


def _relink(link: Callable[[str], str]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda part: part | {"$ref": link(definition_of(part["$ref"]))} if "$ref" in part else part


def check_document(schemas: SchemaSet, uri: str, document: object, place: str, *, words: bool = True) -> None:
    """InvalidMessage, with a pointer below `place`, unless the schema accepts the document. This is where every text
    enters, whatever the road: what no text may hold is refused here (`unfit_character`)."""
    try:
        # Four levels are kept for the envelopes around it: what passes here can always be written again.
        plain = orjson.dumps([[[[document]]]], default=_mapping)
    except TypeError:
        raise InvalidMessage(
            f"{place[1:]} must be JSON, and not nested too deeply", pointer=place, code="not_json"
        ) from None
    if unfit := unfit_character(document, plain):
        pointer, character = unfit
        message = f"the character {character} is not taken"
        raise InvalidMessage(message, pointer=f"{place}{pointer}", code="schema_violation", rule="characters")
    try:
        valid = schemas.accepts(uri, document)
    except ValueError:  # mappings or sequences that are not dict and list: read them back as such
        document = orjson.loads(plain)[0][0][0][0]
        valid = schemas.accepts(uri, document)
    if not valid and not words:
        message = "the data breaks its schema; sent alone, it is told where"
        raise InvalidMessage(message, pointer=place, code="schema_violation")
    if not valid:
        fault = schemas.fault(uri, document)
        raise InvalidMessage(
            fault.sentence, pointer=f"{place}{fault.pointer}", code="schema_violation", rule=fault.rule
        )


def _with_checks_beside(schema: Schema) -> Schema:
    """What is checked beside a schema, whose published text stays as it was released."""
    beside = BESIDE_SCHEMAS.get(schema["$id"])
    return schema if beside is None else {**schema, "format": beside}


def _parameters(schema: Schema) -> Schema:
    """What a question about this evidence may hold in `parameters`."""
    return {"$schema": schema["$schema"], "$id": schema["$id"], **schema["x-unefois"]["parameters"]}


def _mapping(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError
