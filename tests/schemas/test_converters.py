"""Events said in another version of their type, with a second version in a folder of its own."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from schemas import converters as product
from schemas.converters import Converters
from schemas.errors import InvalidMessage, Refused
from schemas.event import Event
from schemas.evolution import CURRENT, diff
from schemas.registry import Registry

TYPE = "citizen.contact-changed"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The product's schemas, and a version 2 where the contact is one property."""
    for name in ("events", "records", "evidence"):
        shutil.copytree(CURRENT / name, tmp_path / name)
    schema = json.loads((tmp_path / f"events/{TYPE}.v1.json").read_text(encoding="utf-8"))
    second = copy.deepcopy(schema) | {"$id": f"urn:unefois:{TYPE}:v2", "required": ["citizen", "contact"]}
    contact = {name: second["properties"].pop(name) for name in ("email", "phone")}
    second["properties"]["contact"] = {"type": "object", "properties": contact, "unevaluatedProperties": False}
    del second["anyOf"]
    second["examples"] = [up(example) for example in schema["examples"]]
    (tmp_path / f"events/{TYPE}.v2.json").write_text(json.dumps(second))
    return tmp_path


def up(data: Mapping[str, Any]) -> dict[str, Any]:
    contact = {name: data[name] for name in ("email", "phone") if name in data}
    return {name: value for name, value in data.items() if name not in contact} | {"contact": contact}


def down(data: Mapping[str, Any]) -> dict[str, Any]:
    if not data["contact"]:
        raise Refused("version 1 cannot say that a contact is gone")
    contact: dict[str, Any] = data["contact"]
    return {name: value for name, value in data.items() if name != "contact"} | contact


@pytest.fixture
def converters() -> Converters:
    ours = Converters()
    ours.register(TYPE, 1, 2)(up)
    ours.register(TYPE, 2, 1)(down)
    return ours


def event(registry: Registry, version: int, index: int = 0) -> Event:
    data = registry.schema(TYPE, version)["examples"][index]
    return Event(type=TYPE, source="/valbruyere/publik", id="e-1", data=data, version=version)


def test_an_event_is_said_in_the_newer_version_and_back(folder: Path, converters: Converters) -> None:
    registry = Registry.load(folder)
    first = event(registry, 1)

    second = converters.convert(first, 2)

    registry.validate(second)
    assert (second.id, second.source, second.dataschema) == ("e-1", "/valbruyere/publik", f"urn:unefois:{TYPE}:v2")
    assert converters.convert(second, 1) == first


def test_an_event_of_the_wanted_version_stays_itself(folder: Path) -> None:
    first = event(Registry.load(folder), 1)

    assert Converters().convert(first, 1) is first
    assert product.convert(first, 1) is first


def test_versions_are_walked_one_by_one() -> None:
    converters = Converters()
    for step in ((1, 2), (2, 3), (3, 2), (2, 1)):
        converters.register("a", *step)(lambda data, step=step: {"path": [*data["path"], step]})  # type: ignore[misc]
    start = Event(type="a", source="/a", data={"path": []})

    assert converters.convert(start, 3).data["path"] == [(1, 2), (2, 3)]
    assert converters.convert(converters.convert(start, 3), 1).data["path"][2:] == [(3, 2), (2, 1)]


@pytest.mark.parametrize("version", [0, 2, 3])
def test_a_version_that_nothing_leads_to_is_refused(version: int) -> None:
    with pytest.raises(InvalidMessage) as refusal:
        Converters().convert(Event(type="a", source="/a", data={}), version)

    assert (refusal.value.code, refusal.value.pointer) == ("no_converter", "/dataschema")


def test_what_the_older_version_cannot_say_is_refused(folder: Path, converters: Converters) -> None:
    gone = event(Registry.load(folder), 2).with_data({"citizen": {}, "contact": {}})

    with pytest.raises(Refused):
        converters.convert(gone, 1)


def test_a_step_is_registered_once_and_between_neighbours(converters: Converters) -> None:
    for step in ((1, 2), (1, 3), (2, 2)):
        with pytest.raises(ValueError, match="one converter for each step"):
            converters.register(TYPE, *step)


def test_a_second_version_lives_beside_the_first(folder: Path, converters: Converters) -> None:
    registry = Registry.load(folder)

    assert registry.versions(TYPE) == (1, 2)
    assert registry.known(TYPE, 2)
    assert registry.order_of(TYPE) == "citizen"
    assert [line["version"] for line in registry.listing() if line["type"] == TYPE] == [1, 2]
    registry.validate(event(registry, 1))
    with pytest.raises(InvalidMessage):
        registry.validate(Event(type=TYPE, source="/a", data=event(registry, 1).data, version=2))


def test_the_second_version_may_be_released_with_its_converters_only(folder: Path, converters: Converters) -> None:
    assert diff(CURRENT, folder, converters) == []
    assert {change.path for change in diff(CURRENT, folder, Converters())} == {"$", "$.contact"}
