"""What may change in the shared schemas, and what may not.

A published schema file never changes (title, description and examples apart) and never goes away: a change is a new
version beside it. A new version of an event type is compatible with every earlier one, in both directions, or comes
with converters in both directions; one of an evidence type is compatible with every earlier one. Compatible is said
with the two faces of a schema: writers keep to the closed one, readers use the open one. *Backward*: a reader of the
newer version accepts what a writer of the older one wrote. *Forward*: a reader of the older version accepts what a
writer of the newer one wrote.

Each finding is shown by a document that the writer's schema accepts and the reader's refuses, checked with the
validators; where none could be made, the finding says so and stands.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from schemas.converters import CONVERTERS, Converters
from schemas.errors import HubError
from schemas.event import Event
from schemas.registry import Registry, read_folder
from schemas.samples import LOWER, UPPER, AnySchema, Facts, Samples, Step, canonical, together
from schemas.validators import Schema, check_schema, rewritten

CURRENT = Path(__file__).resolve().parent
RELEASED = CURRENT / "released"
DIGESTS = "released.json"

NO_DOCUMENT = "no document could be made that shows it"
_NOT_OF_DOCUMENTS = "this is not about documents"
_WORDS = frozenset({"title", "description", "examples"})

# What was found, as seen when old documents meet a new reader, and when new documents meet an old reader.
_RULES = {
    "type": ("type-narrowed", "type-widened"),
    "enum": ("enum-value-removed", "enum-value-added"),
    "required": ("required-added", "required-removed"),
    "bound": ("bound-tightened", "bound-loosened"),
    "pattern": ("pattern-tightened", "pattern-loosened"),
    "format": ("format-added", "format-removed"),
    "choice": ("alternative-removed", "alternative-added"),
    "keyword": ("keyword-tightened", "keyword-loosened"),
}


@dataclass(frozen=True, slots=True)
class Change:
    """One change that must not be released. `schema`: the file; `against`: the file it was compared with; `path`: where
    in the data (`$.request.references[*]`); `document`: accepted by the writer, refused by the reader, or None with
    the reason in `why_no_document`."""

    schema: str
    against: str
    path: str
    rule: str
    face: str  # backward, forward, or "" when the rule is about files
    sentence: str
    document: Any = None
    why_no_document: str = ""

    def to_dict(self) -> dict[str, Any]:
        body = {
            "schema": self.schema, "against": self.against, "path": self.path, "rule": self.rule, "face": self.face,
            "sentence": self.sentence,
        }  # fmt: skip
        shown = {"why_no_document": self.why_no_document} if self.why_no_document else {"document": self.document}
        return body | shown


def diff(old_dir: Path = RELEASED, new_dir: Path = CURRENT, converters: Converters = CONVERTERS) -> list[Change]:
    """Every change from the released set to the current one that must not be released; empty means all is well.

    Raises ValueError, naming the file, when a folder cannot be read as a set of schemas.
    """
    unsound = [
        Change(name, name, "$", "not-a-schema", "", fault, None, _NOT_OF_DOCUMENTS)
        for name, schema in read_folder(new_dir).items()
        if (fault := check_schema(schema)) is not None
    ]
    if unsound:
        return unsound
    comparison = _Comparison(Registry.load(old_dir), Registry.load(new_dir), converters)
    return [*_tampered(old_dir), *comparison.published(), *comparison.versions()]


def release(current: Path = CURRENT, released: Path = RELEASED) -> list[str]:
    """Take the current set as released: copy its files and note their digests. The names of the files that are new.
    Raises ValueError when `diff` finds something."""
    found = diff(released, current)
    if found:
        raise ValueError("; ".join(f"{change.schema} {change.path}: {change.rule}" for change in found))
    schemas = read_folder(current)
    fresh = [name for name in schemas if not (released / name).exists()]
    for name in schemas:
        (released / name).parent.mkdir(parents=True, exist_ok=True)
        (released / name).write_bytes((current / name).read_bytes())
    digests = {name: digest(schema) for name, schema in sorted(schemas.items())}
    (released / DIGESTS).write_bytes(orjson.dumps(digests, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return fresh


def digest(schema: Schema) -> str:
    """SHA-256 of what a schema rules: its canonical form without title, description and examples."""
    return hashlib.sha256(canonical(_ruling(schema)).encode()).hexdigest()


def _tampered(released: Path) -> Iterator[Change]:
    """The released copies themselves must be those whose digests were noted."""
    if not (released / DIGESTS).exists():
        return
    noted = orjson.loads((released / DIGESTS).read_bytes())
    held = {name: digest(schema) for name, schema in read_folder(released).items()}
    for name in sorted(noted.keys() | held.keys()):
        if noted.get(name) != held.get(name):
            sentence = "the released copy is not the one that was released"
            yield Change(name, DIGESTS, "$", "released-copy-changed", "", sentence, None, _NOT_OF_DOCUMENTS)


def _ruling(schema: Schema) -> Any:
    def wordless(part: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name not in _WORDS}

    handling = _handled(schema)
    return wordless(rewritten(schema, wordless)) | ({"x-unefois": handling} if handling is not None else {})


def _handled(schema: Schema) -> Any:
    """How the hub treats the type, without the French words that evidence is shown by."""
    ours = schema.get("x-unefois")
    if not isinstance(ours, Mapping) or "parameters" not in ours:
        return ours
    kept = {name: value for name, value in ours.items() if name not in ("label", "fields")}
    return kept | {"parameters": _ruling(kept["parameters"])}


@dataclass(frozen=True)
class _Candidate:
    """A place where a reader may refuse what a writer may write. `path` is shown; the schemas are those of `at`."""

    path: tuple[Step, ...]
    kind: str
    detail: str
    at: tuple[Step, ...]
    writer: AnySchema
    reader: AnySchema

    @property
    def key(self) -> tuple[Any, ...]:
        return (self.path, self.kind, self.detail)


class _Comparison:
    def __init__(self, old: Registry, new: Registry, converters: Converters) -> None:
        self.old, self.new, self.converters = old, new, converters

    def published(self) -> Iterator[Change]:
        """No released file may change or go."""
        for name, before in self.old.schemas.items():
            after = self.new.schemas.get(name)
            if after is None:
                sentence = "a released version stays until its last consumer has left"
                yield Change(
                    name, name, "$", "version-removed", "backward", sentence, before.get("examples", [None])[0]
                )
            elif digest(before) != digest(after):
                yield from self._edited(name, before, after)

    def _edited(self, name: str, before: Schema, after: Schema) -> Iterator[Change]:
        yield from self._handling(name, name, before, after)
        found = list(self._both_faces(name, name, (self.old, before), (self.new, after)))
        yield from found
        if not found and _ruling(before | {"x-unefois": 0}) != _ruling(after | {"x-unefois": 0}):
            sentence = f"a released file never changes, even so that nothing breaks: add {_next(name)}"
            path = _first_difference(_ruling(before), _ruling(after))
            yield Change(name, name, path, "published-schema-changed", "", sentence, None, "no reader would refuse one")

    def versions(self) -> Iterator[Change]:
        """A version that is not released yet against all the earlier ones."""
        for event_type in self.new.types():
            numbers = self.new.versions(event_type)
            for newer in numbers:
                if not self.old.known(event_type, newer):
                    for older in (number for number in numbers if number < newer):
                        yield from self._step(event_type, older, newer)
        for evidence_type in self.new.evidence_types():
            yield from self._evidence(evidence_type)

    def _evidence(self, evidence_type: str) -> Iterator[Change]:
        numbers = self.new.evidence_versions(evidence_type)
        fresh = [number for number in numbers if number not in self.old.evidence_versions(evidence_type)]
        for newer, older in ((newer, older) for newer in fresh for older in numbers if older < newer):
            before, after = (self.new.evidence(evidence_type, number) for number in (older, newer))
            name, against = (f"evidence/{evidence_type}.v{number}.json" for number in (newer, older))
            yield from self._both_faces(name, against, (self.new, before), (self.new, after))

    def _step(self, event_type: str, older: int, newer: int) -> Iterator[Change]:
        before, after = (self.new.schema(event_type, version) for version in (older, newer))
        name, against = (f"events/{event_type}.v{version}.json" for version in (newer, older))
        yield from self._handling(name, against, before, after)
        lead = self.converters.lead
        if lead(event_type, older, newer) and lead(event_type, newer, older):
            yield from self._converted(event_type, older, newer)
            yield from self._converted(event_type, newer, older)
        else:
            yield from self._both_faces(name, against, (self.new, before), (self.new, after))

    def _handling(self, name: str, against: str, before: Schema, after: Schema) -> Iterator[Change]:
        if _handled(before) != _handled(after):
            sentence = "the order of a type is settled once: events on their way would change place"
            if name.startswith("evidence/"):
                sentence = "how evidence is asked for, and whether it is sensitive, is settled with its version"
            yield Change(name, against, "$", "handling-changed", "", sentence, None, _NOT_OF_DOCUMENTS)

    def _converted(self, event_type: str, origin: int, target: int) -> Iterator[Change]:
        name, against = (f"events/{event_type}.v{version}.json" for version in (target, origin))
        for document in self.new.schema(event_type, origin)["examples"]:
            fault = self._fault_of_conversion(event_type, origin, target, document)
            if fault:
                yield Change(name, against, "$", "converter-fails", "", fault, document)

    def _fault_of_conversion(self, event_type: str, origin: int, target: int, document: Any) -> str:
        event = Event(type=event_type, source="/evolution", data=copy.deepcopy(document), version=origin)
        try:
            self.new.validate(self.converters.convert(event, target))
        except HubError as fault:
            return f"v{origin} to v{target}: {fault} {getattr(fault, 'pointer', '')}".rstrip()
        except Exception as fault:  # a converter is code under test here
            return f"v{origin} to v{target}: {type(fault).__name__}"
        return "" if event.data == document else f"v{origin} to v{target}: the converter changed what it was given"

    def _both_faces(
        self, name: str, against: str, before: tuple[Registry, Schema], after: tuple[Registry, Schema]
    ) -> Iterator[Change]:
        yield from _Face(before, after, 0).changes(name, against)
        yield from _Face(after, before, 1).changes(name, against)


class _Face:
    """What one side writes, against what the other side reads. `way`: 0 backward, 1 forward."""

    def __init__(self, writer: tuple[Registry, Schema], reader: tuple[Registry, Schema], way: int) -> None:
        self.writing = Samples(writer[0].schema_set)
        self.reading = Samples(reader[0].schema_set.open())
        self.writer, self.reader = {"$ref": writer[1]["$id"]}, {"$ref": reader[1]["$id"]}
        self.way = way

    def changes(self, name: str, against: str) -> Iterator[Change]:
        found = {candidate.key: candidate for candidate in self._walk(self.writer, self.reader, (), ())}
        for candidate in found.values():
            document = self._breaking(candidate)
            yield Change(
                schema=name, against=against, path=_json_path(candidate.path), rule=_RULES[candidate.kind][self.way],
                face=("backward", "forward")[self.way], sentence=self._sentence(candidate),
                document=document, why_no_document=NO_DOCUMENT if document is None else "",
            )  # fmt: skip

    def _sentence(self, candidate: _Candidate) -> str:
        who = ("a reader of the new version", "a reader of the old version")[self.way]
        what = ("an old document", "a new document")[self.way]
        return f"{who} may refuse {what}: {candidate.detail}"

    def _breaking(self, candidate: _Candidate) -> Any | None:
        """A whole document, accepted by the writer's schema and refused by the reader's."""
        for inner in self.writing.made_for(candidate.writer):
            if not self.reading.accepts(candidate.reader, inner):
                document = self.writing.around(self.writer, candidate.at, inner)
                if document is not None and not self.reading.accepts(self.reader, document):
                    return document
        return None

    def _walk(
        self, writer: AnySchema, reader: AnySchema, path: tuple[Step, ...], seen: tuple[str, ...]
    ) -> Iterator[_Candidate]:
        here = canonical([writer, reader])
        if here in seen:  # a schema that holds itself
            return
        written, read = self.writing.facts(writer), self.reading.facts(reader)
        if written.values is not None:
            yield from (
                _Candidate(path, "enum", f"it may be {canonical(value)}", path, writer, reader)
                for value in written.values
                if not self.reading.accepts(reader, value)
            )
            return
        for kind, detail in _narrower(written, read):
            yield _Candidate(path, kind, detail, path, writer, reader)
        for name in sorted(read.required - written.required):
            yield _Candidate((*path, name), "required", f"{name} may be absent", path, writer, reader)
        seen = (*seen, here)
        yield from self._members(written, read, path, seen)
        yield from self._choices(writer, reader, path, seen)

    def _members(
        self, written: Facts, read: Facts, path: tuple[Step, ...], seen: tuple[str, ...]
    ) -> Iterator[_Candidate]:
        if "object" in written.types & read.types:
            for name in read.properties:
                if name in written.properties or not written.closed:
                    yield from self._walk(written.property(name), read.property(name), (*path, name), seen)
        if "array" in written.types & read.types and read.items:
            yield from self._walk(together(written.items), together(read.items), (*path, 0), seen)

    def _choices(
        self, writer: AnySchema, reader: AnySchema, path: tuple[Step, ...], seen: tuple[str, ...]
    ) -> Iterator[_Candidate]:
        """Each form that the writer may choose must be one that the reader knows."""
        ways = self.writing.facts(writer).choices or [("anyOf", [True])]
        for keyword, known in self.reading.facts(reader).choices:
            branches = next((branches for kind, branches in ways if kind == keyword), ways[0][1])
            for index, branch in enumerate(branches):
                chosen = together([branch, writer])
                misfits = [list(self._walk(chosen, other, path, seen)) for other in known]
                if [] not in misfits:
                    twin = misfits[index] if len(branches) == len(known) else []
                    detail = "it may take a form that the reader does not foresee"
                    yield from twin or [_Candidate(path, "choice", detail, path, chosen, reader)]


def _narrower(written: Facts, read: Facts) -> Iterator[tuple[str, str]]:
    """What the reader asks for at this place and the writer does not promise."""
    refused = [kind for kind in written.types - read.types if kind != "integer" or "number" not in read.types]
    if refused:
        yield "type", f"it may be of type {' or '.join(sorted(refused))}"
    if read.values is not None:
        yield "enum", "it may be another value than those that the reader lists"
    for keyword in (*LOWER, *UPPER):
        bound, own = read.bounds.get(keyword), written.bounds.get(keyword)
        trivial = keyword.startswith("min") and keyword != "minimum" and bound == 0
        if bound is not None and not trivial and (own is None or (own < bound if keyword in LOWER else own > bound)):
            yield (
                "bound",
                f"{keyword} is {bound} for the reader and {own if own is not None else 'free'} for the writer",
            )
    for pattern in sorted(read.patterns - written.patterns):
        yield "pattern", f"the reader asks for {pattern}"
    for name in sorted(read.formats - written.formats):
        yield "format", f"the reader asks for the format {name}"
    for keyword, value in sorted(read.others.items()):
        if written.others.get(keyword) != value:
            yield "keyword", f"{keyword} differs"


def _json_path(path: tuple[Step, ...]) -> str:
    return "$" + "".join("[*]" if not isinstance(step, str) else f".{step}" for step in path)


def _first_difference(before: Any, after: Any, path: str = "schema") -> str:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in [*before, *(name for name in after if name not in before)]:
            if canonical(before.get(name)) != canonical(after.get(name)):
                return _first_difference(before.get(name), after.get(name), f"{path}/{name}")
    return path


def _next(name: str) -> str:
    stem, _, number = name.removesuffix(".json").rpartition(".v")
    return f"{stem}.v{int(number) + 1}.json"
