"""The AsyncAPI document: what it names exists, and its examples are what it says."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.asyncapi import asyncapi
from schemas.event import Event
from schemas.registry import Registry

REGISTRY = Registry.load()
DOCUMENT = asyncapi(REGISTRY, "broker.example:5671")


def found(pointer: str) -> Any:
    place: Any = DOCUMENT
    for step in pointer.removeprefix("#/").split("/"):
        place = place[step]
    return place


def links(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from links(item)


def payload(message: str) -> Draft202012Validator:
    link = f"{found(f'#/components/messages/{message}')['payload']['$ref']}/schema"
    return Draft202012Validator({"$ref": link, "components": DOCUMENT["components"]})


def test_every_link_leads_somewhere() -> None:
    assert json.loads(json.dumps(DOCUMENT)) == DOCUMENT
    for link in set(links(DOCUMENT)):
        assert found(link) is not None


def test_we_receive_on_the_inlet_and_answer_by_receipts() -> None:
    accept = DOCUMENT["operations"]["acceptEvent"]

    assert accept["action"] == "receive"
    assert found(accept["channel"]["$ref"])["address"] == "unefois.in"
    assert found(accept["reply"]["channel"]["$ref"])["address"] == "unefois.receipts.{user}"


def test_packages_read_from_their_own_queue() -> None:
    deliver = DOCUMENT["operations"]["deliverEvent"]

    assert deliver["action"] == "send"
    assert found(deliver["channel"]["$ref"])["address"] == "unefois.out.{tenant}.{connection}"


def test_operations_use_messages_of_their_own_channel() -> None:
    for operation in DOCUMENT["operations"].values():
        for message in operation["messages"]:
            assert message["$ref"].startswith(f"{operation['channel']['$ref']}/messages/")


def test_every_type_is_on_both_roads() -> None:
    names = {f"{line['type']}.v{line['version']}" for line in REGISTRY.listing()}

    assert set(DOCUMENT["channels"]["inlet"]["messages"]) == names | {"batch"}
    assert set(DOCUMENT["channels"]["outlet"]["messages"]) == names


@pytest.mark.parametrize("message", sorted(DOCUMENT["components"]["messages"]))
def test_every_example_is_what_its_message_says(message: str) -> None:
    validator = payload(message)
    for example in found(f"#/components/messages/{message}").get("examples", []):
        assert validator.is_valid(example["payload"])
        assert not validator.is_valid(example["payload"] | {"Unknown": 1})


@pytest.mark.parametrize("line", REGISTRY.listing(), ids=lambda line: line["type"])
def test_a_published_event_is_closed_and_a_delivered_one_open(line: dict[str, Any]) -> None:
    name = f"{line['type']}.v{line['version']}"
    data = copy.deepcopy(REGISTRY.schema(line["type"], line["version"])["examples"][0])
    event = Event(type=line["type"], version=line["version"], source="/valbruyere/publik", data=data).to_dict()

    assert payload(name).is_valid(event)
    assert payload("batch").is_valid([event])
    assert payload(f"view.{name}").is_valid(event)

    cut = event | {"data": {"recipient": {"system": "koha", "reference": "0012345"}}}
    assert not payload(name).is_valid(cut)
    assert payload(f"view.{name}").is_valid(cut)


def test_a_view_without_the_country_of_an_address_may_hold_any_postal_code() -> None:
    data = {"new_address": {"value": {"postal_code": "1000", "city": "Bruxelles"}}}
    event = Event(type="citizen.address-changed", version=2, source="/valbruyere/publik", data=data).to_dict()

    assert payload("view.citizen.address-changed.v2").is_valid(event)
    assert not payload("citizen.address-changed.v2").is_valid(event)


def test_no_server_is_named_when_none_is_known() -> None:
    assert "servers" not in asyncapi(REGISTRY, None)
    assert DOCUMENT["servers"]["broker"]["host"] == "broker.example:5671"
