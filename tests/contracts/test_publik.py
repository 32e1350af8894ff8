"""Our reading of Publik held against its documented samples, read where they are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from connectors.publik import canteen
from connectors.publik.connector import Publik
from connectors.publik.twin import PublikTwin
from schemas.registry import Registry
from tests.connectors.publik.scene import MEALS, PARENT, SLUG, connector, fixture, pushed, settings, status
from tests.support.context import NOON, context_for

_BESIDE = Path(__file__).resolve().parents[2] / ".." / "shared" / "contracts"
CONTRACT = Path(os.environ.get("UNEFOIS_CONTRACTS", _BESIDE)) / "publik"
pytestmark = pytest.mark.skipif(not CONTRACT.is_dir(), reason="contracts folder absent")
FORM = {
    "procedure": "demande-generale",
    "fields": {
        "nom": "/requester/identity/family_name",
        "prenom": "/requester/identity/given_names",
        "email": "/requester/email",
    },
}


def read(name: str) -> Any:
    return json.loads((CONTRACT / name).read_text(encoding="utf-8"))


def test_the_documented_form_becomes_a_valid_request() -> None:
    sample = read("formdata-sample.json")
    publik = Publik(context_for("publik", settings(forms={"contact": FORM})))

    (event,) = publik.receive(pushed(sample, slug="contact")).polled.events

    Registry.load().validate(event)
    request = event.data["request"]
    assert request["references"] == [{"system": "publik", "id": f"contact/{sample['id']}"}]
    assert request["submitted_at"] == "2013-01-04T12:39:47Z"
    citizen = request["requester"]["citizen"]
    assert citizen["email"] == sample["fields"]["email"]
    assert citizen["identity"]["family_name"] == sample["fields"]["nom"]


def test_the_documented_list_of_a_persons_forms_is_read_and_that_of_the_twin_has_its_keys() -> None:
    lines = read("user-forms-sample.json")["data"]
    assert canteen.filed(lines, "demande-d-inscription") == ["123"]
    assert canteen.filed(lines, "cantine") == []

    with PublikTwin(now=NOON) as twin:
        twin.submit("cantine", MEALS, user={"NameID": [PARENT]})
        given = connector(twin).client.forms_of(PARENT, 5.0)
    assert given[0].keys() <= lines[0].keys()


def test_the_twin_and_our_fixture_have_the_documented_shape() -> None:
    validator = Draft202012Validator(read("formdata.schema.json"))
    twin = PublikTwin(now=NOON)
    filed = twin.submit(SLUG, fixture()["fields"], user=fixture()["user"])
    validator.validate(twin.formdata(filed))
    filed.jumps.append(("hub-recue", {"unefois_key": "k"}))
    validator.validate(twin.formdata(filed))
    validator.validate(fixture())


def test_our_trigger_is_the_documented_call_and_the_twin_gives_the_documented_answer() -> None:
    documented = read("jump-trigger.json")
    with PublikTwin(now=NOON) as twin:
        twin.submit(SLUG, fixture()["fields"])
        connector(twin).handle(status(f"{SLUG}/1"))
        method, path = twin.calls[-1]
        call = documented["request"]
        expected = call["path"].replace("{form-slug}", SLUG).replace("{id}", "1").replace("{trigger}", "hub-en-cours")
        assert (method, path) == (call["method"], expected)
        answer = twin.answer(_jump(twin, f"/{SLUG}/1/jump/trigger/hub-incomplete/"))
    assert answer.body == documented["response"]


def _jump(twin: PublikTwin, path: str) -> Any:
    from connectors.sdk.twin import TwinCall, basic

    return TwinCall("POST", path, {}, {"authorization": basic("unefois", "clef-api")}, b"{}")
