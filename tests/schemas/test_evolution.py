"""What may change in the shared schemas: each refusal is shown by a document that really breaks."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import evolution
from schemas.converters import Converters
from schemas.evolution import Change, diff
from schemas.registry import Registry
from schemas.validators import SchemaSet

Edit = Callable[[dict[str, Any]], None]
PERSON: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 40},
        "code": {"type": "string", "maxLength": 5, "pattern": "^[0-9]{5}$"},
        "role": {"enum": ["parent", "guardian"]},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "born": {"type": "string", "maxLength": 10},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3},
        "address": {"$ref": "urn:unefois:record:address:v1"},
        "status": {"anyOf": [{"enum": ["open", "closed"]}, {"type": "null"}]},
        "form": {"type": "object"},
        "contact": {
            "type": "object",
            "properties": {"email": {"type": "string", "maxLength": 50}, "phone": {"type": "string", "maxLength": 20}},
            "anyOf": [{"required": ["email"]}, {"required": ["phone"]}],
            "unevaluatedProperties": False,
        },
    },
    "required": ["name", "address"],
    "unevaluatedProperties": False,
    "examples": [
        {"name": "Tancrède", "address": {"city": "Valbruyère"}, "code": "38999", "tags": ["a"], "status": None},
        {"name": "Odette", "address": {"city": "Valbruyère", "street": "rue des Tilleuls"}, "role": "parent", "age": 71,
         "contact": {"email": "odette@courriel.example"}, "form": {"oui": True}, "born": "1955-01-02"},
    ],
}  # fmt: skip
ADDRESS: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 60}, "street": {"type": "string", "maxLength": 60}},
    "required": ["city"],
    "unevaluatedProperties": False,
    "examples": [{"city": "Valbruyère"}],
}


def written(folder: Path, versions: dict[int, dict[str, Any]], address: dict[str, Any] = ADDRESS) -> Path:
    """A folder that holds these versions of the type `person.moved` and one record."""
    for name, body, uri in [
        *((f"events/person.moved.v{n}.json", body, f"urn:unefois:person.moved:v{n}") for n, body in versions.items()),
        ("records/address.v1.json", address, "urn:unefois:record:address:v1"),
    ]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        ours = {
            "title": "t",
            "description": "d",
            "x-unefois": {"order": "subject", "supersedes": False, "category": "x"},
        }
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": uri}
        (folder / name).write_text(json.dumps(head | ours | body))
    return folder


def edited(edit: Edit, base: dict[str, Any] = PERSON) -> dict[str, Any]:
    body = copy.deepcopy(base)
    edit(body)
    return body


def two_versions(tmp_path: Path, edit: Edit) -> tuple[list[Change], Registry]:
    """What is found when version 2 is version 1 with this edit."""
    old = written(tmp_path / "old", {1: PERSON})
    new = written(tmp_path / "new", {1: PERSON, 2: edited(edit)})
    return diff(old, new, Converters()), Registry.load(new)


def breaks(registry: Registry, change: Change) -> bool:
    """The reference validator's word: the writer's schema accepts the document, the reader's refuses it."""
    new, old = (f"urn:unefois:{name.removeprefix('events/').replace('.v', ':v').removesuffix('.json')}"
                for name in (change.schema, change.against))  # fmt: skip
    writer, reader = (old, new) if change.face == "backward" else (new, old)
    closed: SchemaSet = registry.schema_set
    return closed.reference_accepts(writer, change.document) and not closed.open().reference_accepts(
        reader, change.document
    )


def at(*path: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def walk(body: dict[str, Any]) -> dict[str, Any]:
        for step in path:
            body = body[step]
        return body

    return walk


def setting(*path: str, **changes: Any) -> Edit:
    return lambda body: at(*path)(body).update(changes)


def without(*path: str) -> Edit:
    return lambda body: at(*path[:-1])(body).__delitem__(path[-1])


P = "properties"
BREAKING: list[tuple[str, Edit, set[tuple[str, str, str]]]] = [
    ("a new required property", setting(required=["name", "address", "age"]),
     {("$.age", "required-added", "backward")}),
    ("a required property made optional", setting(required=["name"]), {("$.address", "required-removed", "forward")}),
    ("a required property removed",
     lambda b: (b[P].pop("name"), b.update(required=["address"]))[0], {("$.name", "required-removed", "forward")}),
    ("another type", setting(P, "age", type="string"),
     {("$.age", "type-narrowed", "backward"), ("$.age", "type-widened", "forward")}),
    ("a narrower type", setting(P, "form", type=["object", "null"]), {("$.form", "type-widened", "forward")}),
    ("a value added to a list", setting(P, "role", enum=["parent", "guardian", "agent"]),
     {("$.role", "enum-value-added", "forward")}),
    ("a value removed from a list", setting(P, "role", enum=["parent"]),
     {("$.role", "enum-value-removed", "backward")}),
    ("a list closed over a free text", lambda b: b[P].update(born={"enum": ["1955-01-02"]}),
     {("$.born", "enum-value-removed", "backward")}),
    ("a shorter text", setting(P, "name", maxLength=20), {("$.name", "bound-tightened", "backward")}),
    ("a longer text", setting(P, "name", maxLength=80), {("$.name", "bound-loosened", "forward")}),
    ("a text that may be empty", setting(P, "name", minLength=0), {("$.name", "bound-loosened", "forward")}),
    ("a lower limit", setting(P, "age", maximum=120), {("$.age", "bound-tightened", "backward")}),
    ("no limit", without(P, "age", "maximum"), {("$.age", "bound-loosened", "forward")}),
    ("fewer items", setting(P, "tags", maxItems=2), {("$.tags", "bound-tightened", "backward")}),
    ("longer items", setting(P, "tags", "items", maxLength=12), {("$.tags[*]", "bound-loosened", "forward")}),
    ("a new pattern", setting(P, "name", pattern="^[A-Z]"), {("$.name", "pattern-tightened", "backward")}),
    ("a pattern removed", without(P, "code", "pattern"), {("$.code", "pattern-loosened", "forward")}),
    ("a new format", setting(P, "born", format="date"), {("$.born", "format-added", "backward")}),
    ("a new rule that nobody foresaw", setting(P, "tags", uniqueItems=True),
     {("$.tags", "keyword-tightened", "backward")}),
    ("a new form of a value", lambda b: b[P]["status"]["anyOf"].append({"type": "integer"}),
     {("$.status", "alternative-added", "forward")}),
    ("a form less", lambda b: b[P]["status"]["anyOf"].pop(), {("$.status", "alternative-removed", "backward")}),
    ("a word more in one form", lambda b: b[P]["status"]["anyOf"][0]["enum"].append("lost"),
     {("$.status", "enum-value-added", "forward")}),
    ("one contact that is no longer enough", lambda b: b[P]["contact"].update(anyOf=[{"required": ["email"]}]),
     {("$.contact", "alternative-removed", "backward")}),
    ("contacts that are no longer needed", without(P, "contact", "anyOf"),
     {("$.contact", "alternative-added", "forward")}),
    ("a name taken in an open object", setting(P, "form", properties={"oui": {"type": "string"}}),
     {("$.form.oui", "type-narrowed", "backward")}),
]  # fmt: skip


@pytest.mark.parametrize(("edit", "expected"), [row[1:] for row in BREAKING], ids=[row[0] for row in BREAKING])
def test_an_incompatible_version_is_refused_with_path_rule_and_a_document_that_breaks(
    tmp_path: Path, edit: Edit, expected: set[tuple[str, str, str]]
) -> None:
    found, registry = two_versions(tmp_path, edit)

    assert {(change.path, change.rule, change.face) for change in found} == expected
    for change in found:
        assert (change.schema, change.against) == ("events/person.moved.v2.json", "events/person.moved.v1.json")
        assert breaks(registry, change)
        assert change.to_dict()["document"] == change.document
        assert json.dumps(change.to_dict())


HARMLESS: list[tuple[str, Edit]] = [
    ("nothing", lambda b: None),
    ("an optional property more", setting(P, nickname={"type": "string", "maxLength": 9})),
    ("an optional property less", without(P, "age")),
    ("other words", setting(title="other", description="other", examples=[])),
    ("an optional property of a part", setting(P, "contact", P, fax={"type": "string", "maxLength": 9})),
    ("the same bound said twice", lambda b: b[P].update(name={"allOf": [b[P]["name"]]})),
]


@pytest.mark.parametrize("edit", [row[1] for row in HARMLESS], ids=[row[0] for row in HARMLESS])
def test_a_compatible_version_is_let_through(tmp_path: Path, edit: Edit) -> None:
    found, _ = two_versions(tmp_path, edit)

    assert found == []


def test_a_new_version_must_suit_every_earlier_one(tmp_path: Path) -> None:
    # given a property that version 2 dropped, and that version 3 takes up with another type
    second, third = edited(without(P, "age")), edited(setting(P, "age", type="string"))
    old = written(tmp_path / "old", {1: PERSON, 2: second})
    new = written(tmp_path / "new", {1: PERSON, 2: second, 3: third})

    found = diff(old, new, Converters())

    assert {change.against for change in found} == {"events/person.moved.v1.json"}


def test_what_cannot_be_shown_is_said_and_still_refused(tmp_path: Path) -> None:
    # given a pattern written otherwise, that accepts the same texts
    found, _ = two_versions(tmp_path, setting(P, "code", pattern="^[0-9][0-9]{4}$"))

    assert {change.rule for change in found} == {"pattern-tightened", "pattern-loosened"}
    assert {change.to_dict()["why_no_document"] for change in found} == {evolution.NO_DOCUMENT}


# -- released files


def released_and_edited(tmp_path: Path, edit: Edit) -> list[Change]:
    old = written(tmp_path / "old", {1: PERSON})
    return diff(old, written(tmp_path / "new", {1: edited(edit)}), Converters())


def test_a_released_schema_is_never_edited_even_harmlessly(tmp_path: Path) -> None:
    (change,) = released_and_edited(tmp_path, setting(P, nickname={"type": "string", "maxLength": 9}))

    assert (change.rule, change.path) == ("published-schema-changed", "schema/properties/nickname")
    assert "add events/person.moved.v2.json" in change.sentence


def test_a_released_schema_that_breaks_says_how(tmp_path: Path) -> None:
    (change,) = released_and_edited(tmp_path, setting(required=["name", "address", "age"]))

    assert (change.rule, change.path, "age" in change.document) == ("required-added", "$.age", False)


def test_the_words_of_a_released_schema_may_be_bettered(tmp_path: Path) -> None:
    assert released_and_edited(tmp_path, setting(title="x", description="y", examples=[])) == []


def test_a_property_that_is_called_title_is_not_a_word(tmp_path: Path) -> None:
    assert released_and_edited(tmp_path, setting(P, title={"type": "string", "maxLength": 9}))


def test_a_released_record_is_never_edited_either(tmp_path: Path) -> None:
    old = written(tmp_path / "old", {1: PERSON})
    new = written(tmp_path / "new", {1: PERSON}, edited(setting(required=["city", "street"]), ADDRESS))

    (change,) = diff(old, new, Converters())

    assert (change.schema, change.path, change.rule) == ("records/address.v1.json", "$.street", "required-added")
    assert change.document == {"city": "x"}


def test_a_released_version_stays(tmp_path: Path) -> None:
    old = written(tmp_path / "old", {1: PERSON, 2: PERSON})

    (change,) = diff(old, written(tmp_path / "new", {2: PERSON}), Converters())

    assert (change.schema, change.rule) == ("events/person.moved.v1.json", "version-removed")


def test_the_order_of_a_type_is_settled_for_ever(tmp_path: Path) -> None:
    other = {"order": "citizen", "supersedes": True, "category": "x"}

    (edit,) = released_and_edited(tmp_path / "a", setting(**{"x-unefois": other}))
    (version,), _ = two_versions(tmp_path / "b", setting(**{"x-unefois": other}))

    assert (edit.rule, version.rule) == ("handling-changed", "handling-changed")


def test_what_is_no_schema_is_refused(tmp_path: Path) -> None:
    found = released_and_edited(tmp_path, setting(type=12))

    assert [change.rule for change in found] == ["not-a-schema"]


# -- converters


def renamed() -> dict[str, Any]:
    body = edited(lambda b: b[P].update(full_name=b[P].pop("name")))
    body["required"] = ["full_name", "address"]
    body["examples"] = [
        {"full_name": e["name"]} | {k: v for k, v in e.items() if k != "name"} for e in body["examples"]
    ]
    return body


def renaming(up: Callable[[Any], Any] | None, down: Callable[[Any], Any] | None) -> Converters:
    converters = Converters()
    for step, convert in (((1, 2), up), ((2, 1), down)):
        if convert is not None:
            converters.register("person.moved", *step)(convert)
    return converters


def up(data: Any) -> Any:
    return {"full_name": data["name"]} | {name: value for name, value in data.items() if name != "name"}


def down(data: Any) -> Any:
    return {"name": data["full_name"]} | {name: value for name, value in data.items() if name != "full_name"}


def impure(data: Any) -> Any:
    return {"full_name": data.pop("name"), **data}


@pytest.mark.parametrize(
    ("converters", "rules"),
    [
        (renaming(up, down), set()),
        (renaming(up, None), {"required-added", "required-removed"}),
        (renaming(None, None), {"required-added", "required-removed"}),
        (renaming(lambda data: data, down), {"converter-fails"}),
        (renaming(lambda data: data["nothing"], down), {"converter-fails"}),
        (renaming(impure, down), {"converter-fails"}),
    ],
    ids=["both ways", "one way", "none", "wrong", "failing", "impure"],
)
def test_an_incompatible_version_needs_converters_that_work_both_ways(
    tmp_path: Path, converters: Converters, rules: set[str]
) -> None:
    old = written(tmp_path / "old", {1: PERSON})
    new = written(tmp_path / "new", {1: PERSON, 2: renamed()})

    assert {change.rule for change in diff(old, new, converters)} == rules


# -- the released set of the product


def test_the_product_may_be_released() -> None:
    assert [change.to_dict() for change in diff()] == []


def test_releasing_copies_what_is_new_and_refuses_what_breaks(tmp_path: Path) -> None:
    new, released = written(tmp_path / "new", {1: PERSON}), tmp_path / "released"
    assert evolution.release(new, released) == ["events/person.moved.v1.json", "records/address.v1.json"]
    assert diff(released, new) == []
    assert evolution.release(written(new, {1: PERSON, 2: PERSON}), released) == ["events/person.moved.v2.json"]

    written(new, {1: edited(without(P, "age")), 2: PERSON})

    with pytest.raises(ValueError, match="published-schema-changed"):
        evolution.release(new, released)


def test_a_released_copy_that_was_edited_is_noticed(tmp_path: Path) -> None:
    new, released = written(tmp_path / "new", {1: PERSON}), tmp_path / "released"
    evolution.release(new, released)
    written(released, {1: edited(without(P, "age"))})
    shutil.copytree(released / "events", new / "events", dirs_exist_ok=True)

    assert [change.rule for change in diff(released, new)] == ["released-copy-changed"]


# -- nothing is missed


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    """Any change of one keyword somewhere in the schema."""
    places: list[tuple[str, ...]] = [(), (P, "name"), (P, "code"), (P, "role"), (P, "age"), (P, "tags"),
                                     (P, "contact"), (P, "tags", "items"), (P, "status"), (P, "form"),
                                     (P, "contact", P, "email")]  # fmt: skip
    place = draw(st.sampled_from(places))
    keyword, value = draw(
        st.one_of(
            st.tuples(st.just("type"), st.sampled_from(["string", "integer", "number", "object", ["string", "null"]])),
            st.tuples(st.sampled_from(["minLength", "maxLength", "minItems", "maxItems", "maximum", "minimum"]),
                      st.integers(0, 60)),
            st.tuples(st.just("required"), st.lists(st.sampled_from(["name", "age", "email", "oui"]), unique=True)),
            st.tuples(st.just("enum"), st.lists(st.sampled_from(["parent", "agent", "open", 1]), min_size=1)),
            st.tuples(st.just("pattern"), st.sampled_from(["^[0-9]{5}$", "^[A-Z]", "^[0-9]+$", "^.{1,3}$"])),
            st.tuples(st.just("properties"), st.just({})),
        )
    )  # fmt: skip
    drop = draw(st.booleans())

    def edit(body: dict[str, Any]) -> None:
        target = at(*place)(body)
        if drop:
            target.pop(keyword, None)
        else:
            target[keyword] = value

    return edit


@st.composite
def persons(draw: st.DrawFn) -> Any:
    texts = st.sampled_from(["x", "A", "38999", "parent", "agent", "y" * 40, ""])
    values = st.one_of(texts, st.integers(-1, 151), st.none(), st.just({}), st.just({"oui": 1}),
                       st.just({"email": "x"}), st.lists(texts, max_size=3))  # fmt: skip
    document = copy.deepcopy(draw(st.sampled_from(PERSON["examples"])))
    for name in draw(st.lists(st.sampled_from(list(PERSON[P])), max_size=3)):
        document[name] = draw(values)
    for name in draw(st.lists(st.sampled_from(list(document)), max_size=2, unique=True)):
        del document[name]
    return document


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(edit=edits(), documents=st.lists(persons(), min_size=20, max_size=20))
def test_a_document_that_breaks_is_never_let_through(tmp_path: Path, edit: Edit, documents: list[Any]) -> None:
    shutil.rmtree(tmp_path, ignore_errors=True)
    found, registry = two_versions(tmp_path, edit)

    closed, opened = registry.schema_set, registry.schema_set.open()
    first, second = "urn:unefois:person.moved:v1", "urn:unefois:person.moved:v2"
    faces = {change.face for change in found}
    for document in documents:
        if closed.accepts(first, document) and not opened.accepts(second, document):
            assert "backward" in faces, document
        if closed.accepts(second, document) and not opened.accepts(first, document):
            assert "forward" in faces, document
    for change in found:
        assert change.document is None or breaks(registry, change)
