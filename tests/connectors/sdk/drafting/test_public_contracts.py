"""What public contracts of other products taught the drafting, each as a small invented one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk.drafting.draft import Choices, contract_at, draft_connector, draft_of
from connectors.sdk.mapping import fields_of
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry


def contract(folder: Path, paths: dict[str, Any]) -> Path:
    path = folder / "contract.json"
    whole = {"openapi": "3.0.3", "info": {"title": "Invented", "version": "1"}, "paths": paths}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def answer(schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"200": {"description": "", "content": {"application/json": {"schema": schema}}, **more}}


def body(**properties: Any) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": {"type": "object", "properties": properties}}}}


TEXT, MOMENT = {"type": "string"}, {"type": "string", "format": "date-time"}
PING = {"get": {"responses": {"200": {"description": ""}}}}


def test_an_answer_bears_the_headers_that_it_must(tmp_path: Path) -> None:
    # https://github.com/open-formulieren/open-forms/blob/master/src/openapi.yaml
    said = answer(
        {"type": "object", "required": ["uuid"], "properties": {"uuid": TEXT}},
        headers={"X-Expires-In": {"required": True, "schema": {"type": "integer"}}},
    )
    place = contract(tmp_path, {
        "/ping": PING, "/demandes": {"post": {"requestBody": body(nom=TEXT, prenom=TEXT), "responses": said}},
    })  # fmt: skip

    with contract_at(place, Choices()) as found:
        draft, _ = draft_connector("demandes", found, Choices(), tmp_path, Registry.load())

    assert draft.does == ("tells request.received by POST demandes",)
    conformance.check(Manifest.load(tmp_path / "demandes" / "connector.toml", fields_of))


def test_many_fields_of_one_shared_place_are_no_reason_to_carry_it(tmp_path: Path) -> None:
    # https://github.com/go-vikunja/vikunja/blob/main/pkg/swagger/swagger.json
    fields = dict.fromkeys(("start_date", "end_date", "start", "end", "debut", "fin"), MOMENT)
    task = {"type": "object", "required": ["id"], "properties": {"id": {"type": "integer"}}}
    many = {f"part_{number}": {"type": "object", "properties": fields} for number in range(8)}
    place = contract(tmp_path, {
        "/ping": PING, "/tasks/bulk": {"post": {"requestBody": body(title=TEXT, **many), "responses": answer(task)}},
    })  # fmt: skip

    with contract_at(place, Choices()) as found:
        draft = draft_of("tasks", found, Choices(), Registry.load())

    assert draft.does == ("tells request.received by POST tasks/bulk",)


def test_a_contract_of_which_nothing_can_be_called_is_told_why(tmp_path: Path) -> None:
    # https://github.com/discourse/discourse_api_docs/blob/main/openapi.json has such calls beside others
    upload = {"content": {"multipart/form-data": {"schema": {"type": "object", "properties": {"file": TEXT}}}}}
    place = contract(tmp_path, {"/uploads": {"post": {"requestBody": upload, "responses": answer({"type": "object"})}}})

    with contract_at(place, Choices()) as found, pytest.raises(ConfigError, match="nothing of this contract"):
        draft_of("uploads", found, Choices(), Registry.load())


@pytest.mark.parametrize("asked", [{"page": {"type": "integer"}}, {"offset": {"type": "integer"}}])
def test_a_list_whose_page_size_nobody_can_ask_for_is_read_until_an_empty_page(
    asked: dict[str, Any], tmp_path: Path
) -> None:
    # https://github.com/maykinmedia/open-klant and https://github.com/traccar/traccar page in these two ways
    name, schema = next(iter(asked.items()))
    record = {"type": "object", "required": ["id", "status", "updated_at"],
              "properties": {"id": TEXT, "status": TEXT, "updated_at": MOMENT}}  # fmt: skip
    listed = {"parameters": [{"name": name, "in": "query", "schema": schema}],
              "responses": answer({"type": "array", "items": record})}  # fmt: skip

    with contract_at(contract(tmp_path, {"/cases": {"get": listed}}), Choices()) as found:
        draft_connector("cases", found, Choices(("GET cases",)), tmp_path, Registry.load())

    manifest = Manifest.load(tmp_path / "cases" / "connector.toml", fields_of)
    assert manifest.declared["poll"]["paging"] == {"kind": name, "param": name}
    conformance.check(manifest)
