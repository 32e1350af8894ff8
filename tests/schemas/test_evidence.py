"""What a source may say of a citizen, what may be asked of it, and what of that may change."""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from schemas import evolution
from schemas.errors import InvalidMessage
from schemas.evolution import CURRENT, diff
from schemas.exchange import Evidence
from schemas.registry import Registry
from schemas.validators import check_schema
from tests.schemas import evidence_page

REGISTRY = Registry.load()
TYPES = REGISTRY.evidence_types()
SENSITIVE = {"disability-allowances", "complementary-health"}
OF_THE_TOWN = {"residence-address", "library-card", "canteen-registration"}


def quotient(**values: Any) -> Evidence:
    head = {"source": "CNAF", "date": "2026-10", "quality": "authoritative"}
    return Evidence("family-quotient", 1, {name: {"value": value, **head} for name, value in values.items()})


def refusal(act: Callable[[], object]) -> InvalidMessage:
    with pytest.raises(InvalidMessage) as caught:
        act()
    return caught.value


# -- what the types are


def test_there_is_a_type_for_each_fact_that_a_town_asks_for() -> None:
    assert set(TYPES) == SENSITIVE | OF_THE_TOWN | {
        "family-composition", "family-quotient", "tax-situation", "student-status", "scholarship", "job-seeker-status",
        "solidarity-allowances", "school-registration",
    }  # fmt: skip


@pytest.mark.parametrize("evidence_type", TYPES)
def test_each_type_speaks_to_people_and_to_programs(evidence_type: str) -> None:
    schema = REGISTRY.evidence(evidence_type)
    ours = schema["x-unefois"]

    assert ours.keys() == {"label", "sensitive", "state", "fields", "parameters"}
    assert tuple(ours["fields"]) == REGISTRY.evidence_fields(evidence_type) == tuple(schema["properties"])
    assert all(ours["fields"].values())
    assert ours["sensitive"] is (evidence_type in SENSITIVE)
    assert ours["state"] is (evidence_type not in OF_THE_TOWN)
    assert all(field["description"] for field in schema["properties"].values())


@pytest.mark.parametrize("evidence_type", TYPES)
def test_every_field_is_optional_and_says_where_it_comes_from(evidence_type: str) -> None:
    schema = REGISTRY.evidence(evidence_type)

    REGISTRY.validate_evidence(Evidence(evidence_type, 1, {}))
    assert "required" not in schema
    for field in schema["properties"].values():
        assert field["$ref"] == "urn:unefois:record:evidence-value:v1"
        assert field["properties"]["value"] is not True


@pytest.mark.parametrize("evidence_type", TYPES)
def test_each_field_of_an_example_stands_alone(evidence_type: str) -> None:
    for example in REGISTRY.evidence(evidence_type)["examples"]:
        REGISTRY.validate_evidence(Evidence(evidence_type, 1, example))
        for name, said in example.items():
            REGISTRY.validate_evidence(Evidence(evidence_type, 1, {name: said}))
            without = Evidence(evidence_type, 1, {name: {part: said[part] for part in said if part != "source"}})
            assert refusal(partial(REGISTRY.validate_evidence, without)).pointer == f"/values/{name}/source"


@pytest.mark.parametrize("evidence_type", TYPES)
def test_the_examples_of_a_type_show_every_field(evidence_type: str) -> None:
    shown = {name for example in REGISTRY.evidence(evidence_type)["examples"] for name in example}
    assert shown == set(REGISTRY.evidence_fields(evidence_type))


@pytest.mark.parametrize("evidence_type", TYPES)
def test_the_parameters_of_a_question_are_bounded_and_named_in_french(evidence_type: str) -> None:
    parameters = REGISTRY.evidence(evidence_type)["x-unefois"]["parameters"]

    assert check_schema(parameters) is None
    assert parameters["type"] == "object"
    assert parameters["additionalProperties"] is False
    assert "required" not in parameters
    for part in (*parameters["properties"].values(), parameters["additionalProperties"]):
        assert part is False or {"title", "description"} <= part.keys()
        assert part is False or "maxLength" in part or "maximum" in part


def test_an_evidence_type_shares_its_name_with_no_record_and_no_event() -> None:
    stems = {re.sub(r"\.v\d+\.json$", "", name) for name in REGISTRY.names()}

    assert len({stem.partition("/")[2] for stem in stems}) == len(stems)


# -- what is refused


@pytest.mark.parametrize(
    ("evidence", "pointer", "rule"),
    [
        (quotient(quotient=-1), "/values/quotient/value", "minimum"),
        (quotient(quotient="680"), "/values/quotient/value", "type"),
        (quotient(quotient=None), "/values/quotient/value", "type"),
        (quotient(month="2026-13"), "/values/month/value", "pattern"),
        (quotient(scheme="CAF"), "/values/scheme/value", "enum"),
        (quotient(children=[{}]), "/values/children/value/0", "minProperties"),
        (quotient(children=[{"nir": "2870399"}]), "/values/children/value/0/nir", "unevaluatedProperties"),
        (quotient(children=[{"family_name": "Corvisart"}] * 51), "/values/children/value", "maxItems"),
        (quotient(shoe_size=42), "/values/shoe_size", "unevaluatedProperties"),
    ],
)
def test_what_no_source_should_say_is_refused_at_its_place(evidence: Evidence, pointer: str, rule: str) -> None:
    fault = refusal(lambda: REGISTRY.validate_evidence(evidence))

    assert (fault.pointer, fault.rule, fault.code) == (pointer, rule, "schema_violation")


@pytest.mark.parametrize("date", ["2026", "2026-10", "2026-10-31", "2026-10-31T12:00:00Z"])
def test_a_value_is_of_a_year_a_month_a_date_or_an_instant(date: str) -> None:
    said = {"value": 680, "source": "CNAF", "date": date, "quality": "verified", "valid_until": date}

    REGISTRY.validate_evidence(Evidence("family-quotient", 1, {"quotient": said}))


@pytest.mark.parametrize("date", ["", "october", "2026-13", "2026-02-30", "2026-10-31T12:00:00", 2026, None])
def test_a_value_without_a_readable_date_is_refused(date: Any) -> None:
    said = {"value": 680, "source": "CNAF", "date": date, "quality": "verified"}

    fault = refusal(lambda: REGISTRY.validate_evidence(Evidence("family-quotient", 1, {"quotient": said})))
    assert fault.pointer == "/values/quotient/date"


def test_a_refusal_never_repeats_what_the_source_said() -> None:
    secret = "Zénobie Quatremère"
    evidence = quotient(quotient=secret, children=[{"family_name": secret + "\n"}])
    fault = refusal(lambda: REGISTRY.validate_evidence(evidence))
    asked = refusal(lambda: REGISTRY.check_parameters("family-quotient", 1, {secret: secret}))

    for told in (fault, asked):
        assert "Zénobie" not in f"{told} {told.pointer} {told.rule} {told.__context__}"


def test_read_only_values_are_validated_like_any_other() -> None:
    values = quotient(quotient=680).values

    REGISTRY.validate_evidence(Evidence("family-quotient", 1, MappingProxyType({"quotient": values["quotient"]})))
    broken = MappingProxyType({"quotient": MappingProxyType({"value": 680})})
    assert refusal(lambda: REGISTRY.validate_evidence(Evidence("family-quotient", 1, broken))).rule == "required"


@pytest.mark.parametrize("value", [float("nan"), object(), {1: 2}])
def test_values_that_are_no_json_are_refused(value: Any) -> None:
    assert refusal(lambda: REGISTRY.validate_evidence(quotient(quotient=value)))


@pytest.mark.parametrize(
    ("evidence_type", "version", "code", "pointer"),
    [("fishing-licence", 1, "unknown_evidence", "/type"), ("family-quotient", 9, "unknown_schema", "/version"),
     ("request.received", 1, "unknown_evidence", "/type")],
)  # fmt: skip
def test_an_unknown_type_or_version_is_refused(evidence_type: str, version: int, code: str, pointer: str) -> None:
    for act in (
        lambda: REGISTRY.validate_evidence(Evidence(evidence_type, version, {})),
        lambda: REGISTRY.check_parameters(evidence_type, version, {}),
        lambda: REGISTRY.evidence_fields(evidence_type, version),
    ):
        fault = refusal(act)
        assert (fault.code, fault.pointer) == (code, pointer)


def test_a_type_that_does_not_exist_has_no_version() -> None:
    assert REGISTRY.evidence_versions("fishing-licence") == ()


@pytest.mark.parametrize(
    ("evidence_type", "parameters", "pointer"),
    [
        ("family-quotient", {"month": "2026-10"}, None),
        ("family-quotient", {}, None),
        ("family-quotient", {"month": "October"}, "/parameters/month"),
        ("family-quotient", {"month": 10}, "/parameters/month"),
        ("family-quotient", {"year": 2026}, "/parameters/year"),
        ("tax-situation", {"tax_year": 2025}, None),
        ("tax-situation", {"tax_year": "2025"}, "/parameters/tax_year"),
        ("school-registration", {"school_year": "2026-2027", "school": "0389999A"}, None),
        ("library-card", {"month": "2026-10"}, "/parameters/month"),
    ],
)
def test_a_question_takes_the_parameters_of_its_type_alone(
    evidence_type: str, parameters: dict[str, Any], pointer: str | None
) -> None:
    if pointer is None:
        REGISTRY.check_parameters(evidence_type, 1, parameters)
    else:
        assert refusal(lambda: REGISTRY.check_parameters(evidence_type, 1, parameters)).pointer == pointer


# -- what may change


Edit = Callable[[dict[str, Any]], object]
FILE = "evidence/library-card.v1.json"


def found(tmp_path: Path, edit: Edit, version: int = 1) -> set[tuple[str, str]]:
    """What is said of the set with an edited file against the same set released as it was."""
    old, new = tmp_path / "old", tmp_path / "new"
    for place in (old, new):
        for room in ("events", "records", "evidence"):
            shutil.copytree(CURRENT / room, place / room)
    schema = copy.deepcopy(REGISTRY.evidence("library-card"))
    edit(schema)
    schema["$id"] = f"urn:unefois:evidence:library-card:v{version}"
    (new / f"evidence/library-card.v{version}.json").write_text(json.dumps(schema), encoding="utf-8")
    return {(change.rule, change.path) for change in diff(old, new)}


def field(name: str, value: Any) -> Edit:
    return lambda schema: schema["properties"][name]["properties"].update(value=value)


def words(schema: dict[str, Any]) -> None:
    schema["title"], schema["x-unefois"]["label"] = "Card of the library", "Carte"
    schema["x-unefois"]["fields"]["blocked"] = "Prêt suspendu"


def opening(schema: dict[str, Any]) -> None:
    schema["properties"]["branch"] = copy.deepcopy(schema["properties"]["category"])


def test_a_released_type_may_change_its_words_alone(tmp_path: Path) -> None:
    assert found(tmp_path, words) == set()


@pytest.mark.parametrize(
    ("edit", "rule"),
    [
        (lambda schema: schema["x-unefois"].update(sensitive=True), "handling-changed"),
        (lambda schema: schema["x-unefois"]["parameters"]["properties"].update(month={}), "handling-changed"),
        (field("blocked", {"type": "string", "maxLength": 3}), "type-narrowed"),
        (opening, "published-schema-changed"),
    ],
)
def test_a_released_type_does_not_change(tmp_path: Path, edit: Edit, rule: str) -> None:
    assert rule in {what for what, _ in found(tmp_path, edit)}


def test_a_new_version_may_have_another_field(tmp_path: Path) -> None:
    assert found(tmp_path, opening, version=2) == set()


def test_a_new_version_that_old_readers_would_refuse_is_found(tmp_path: Path) -> None:
    assert ("type-widened", "$.blocked.value") in found(tmp_path, field("blocked", {"type": ["boolean", "null"]}), 2)


def test_evidence_is_released_like_the_rest(tmp_path: Path) -> None:
    assert FILE in evolution.release(CURRENT, tmp_path)
    assert (tmp_path / FILE).read_bytes() == (CURRENT / FILE).read_bytes()


# -- the pages


def test_the_tables_of_the_pages_are_the_registry() -> None:
    english, french = (page.read_text(encoding="utf-8") for page in (evidence_page.ENGLISH, evidence_page.FRENCH))

    assert evidence_page.section(english) == evidence_page.english(REGISTRY)
    assert evidence_page.section(french) == evidence_page.french(REGISTRY)


def test_the_example_of_the_page_is_valid() -> None:
    match = re.search(r"```json\n(.*?)```", evidence_page.ENGLISH.read_text(encoding="utf-8"), re.DOTALL)
    assert match is not None

    REGISTRY.validate_evidence(Evidence("family-quotient", 1, json.loads(match.group(1))))
