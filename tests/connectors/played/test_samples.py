"""The folder of samples, and what a case is made of."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.conformance.played.others import another
from connectors.conformance.played.samples import Samples, file_name, personal_in
from connectors.sdk import Secret
from schemas.errors import ConfigError
from tests.connectors.sdk.kinds.agenda import contact_changed, example

EVENT = {"type": "citizen.contact-changed", "data": dict(contact_changed(email="maelle@a.example").event.data)}


def samples(folder: Path, files: dict[str, Any], name: str = "mediatheque") -> Samples:
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    manifest = example(name)
    declared = {**manifest.declared, "contract": {"samples": "."}}
    return Samples.of(replace(manifest, folder=folder, declared=declared))


def test_an_event_is_a_delivery_about_what_this_system_calls_so(tmp_path: Path) -> None:
    [delivery] = samples(tmp_path, {"events/contact.json": EVENT}, "agenda").deliveries

    assert (delivery.event.type, delivery.reference, delivery.event.id) == (
        "citizen.contact-changed",
        "7201",
        "sample-contact",
    )


def test_what_can_be_said_again_is_said_otherwise_where_it_is_granted(tmp_path: Path) -> None:
    [(first, second)] = samples(tmp_path, {"events/contact.json": EVENT}, "agenda").turns

    assert second.event.data["email"]["value"] != first.event.data["email"]["value"]
    assert second.event.data["citizen"] == first.event.data["citizen"]
    assert (second.key, second.event.id) != (first.key, first.event.id)


def test_a_second_file_says_it_as_it_wants(tmp_path: Path) -> None:
    again = {**EVENT, "data": {**EVENT["data"], "email": {**EVENT["data"]["email"], "value": "b@b.example"}}}
    files = {"events/contact.json": EVENT, "events/contact.again.json": again}
    [(_, second)] = samples(tmp_path, files, "agenda").turns

    assert second.event.data["email"]["value"] == "b@b.example"
    assert len(samples(tmp_path, {}, "agenda").deliveries) == 1


def test_an_event_in_which_nothing_can_be_said_otherwise_needs_a_second_file(tmp_path: Path) -> None:
    found = samples(
        tmp_path, {"events/contact.json": {**EVENT, "data": {"citizen": EVENT["data"]["citizen"]}}}, "agenda"
    )

    with pytest.raises(ConfigError):
        _ = found.turns


def test_a_question_asks_for_all_that_is_declared_and_a_stranger_for_somebody_else(tmp_path: Path) -> None:
    [asked] = samples(tmp_path, {"questions/card.json": {"type": "library-card", "reference": "C0001"}}).asked

    assert asked.question.fields == ("card_number", "category", "expires_on", "blocked")
    assert asked.stranger is not None
    assert asked.stranger.reference == "D1112"


def test_names_and_addresses_are_personal_and_codes_are_not() -> None:
    said = {
        "family_name": "Quenneville", "email": {"value": "s@q.example", "source": "portail-nom"}, "category": "Adulte",
        "lines": [{"street": "4 rue Haute", "system": "nomade"}], "name": "Sol",
    }  # fmt: skip

    assert set(personal_in(said)) == {"Quenneville", "s@q.example", "4 rue Haute"}


def test_secret_settings_of_the_samples_are_secrets(tmp_path: Path) -> None:
    found = samples(tmp_path, {"settings.toml": 'client_id = "hub"\nclient_secret = "x-y-z"\n'})

    assert found.settings == {"client_id": "hub", "client_secret": Secret("x-y-z")}


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"events/a.json": "{"}, "cannot be read as JSON"),
        ({"events/a.json": "[]"}, "holds no object"),
        ({"events/a.json": {"type": "citizen.contact-changed", "data": {"citizen": 1}}}, "no event"),
        ({"questions/a.json": {"type": "nothing"}}, "does not answer"),
        ({"settings.toml": "a = "}, "cannot be read as TOML"),
    ],
    ids=["cut", "list", "invalid event", "other question", "settings"],
)
def test_a_sample_that_cannot_be_read_is_told_with_its_file(tmp_path: Path, files: dict[str, Any], told: str) -> None:
    found = samples(tmp_path, files)

    with pytest.raises(ConfigError, match=told) as raised:
        _ = (found.deliveries, found.asked, found.settings)
    assert next(iter(files)) in raised.value.key


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    manifest = replace(example(), folder=tmp_path, declared={"contract": {"samples": "none"}})

    with pytest.raises(ConfigError, match="no folder"):
        Samples.of(manifest)


def test_another_text_has_the_same_form() -> None:
    assert another("Ab9-z0") == "Bc0-g1"
    assert file_name("PATCH users/{id}") == "PATCH-users-id"
