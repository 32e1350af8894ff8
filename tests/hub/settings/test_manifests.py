"""Connectors are held against what they declare, every fault at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hub.settings.fault import Fault
from hub.settings.manifests import RULES, VENDOR_SECTION, connector_faults
from schemas.registry import Registry

REGISTRY = Registry.load()
Change = Callable[[dict[str, Any]], object]


def sound() -> dict[str, Any]:
    return {
        "id": "library", "name": "Bibliothèque", "vendor": "Nobody", "domain": "library", "protocol": "REST",
        "tier": "silver", "verified": None, "publishes": ["citizen.address-changed"],
        "consumes": [
            {"type": "citizen.address-changed", "version": 1, "fields": ["/citizen/identity", "/new_address"]},
            {"type": "request.received", "version": 1, "fields": ["/request/form/anything/below"],
             "procedures": ["changement-adresse"]},
        ],
        "answers": [
            {"type": "library-card", "version": 1, "fields": ["card_number", "blocked"], "needs": ["reference"],
             "seconds": 5},
            {"type": "residence-address", "version": 1, "fields": ["address"]},
        ],
        "idempotency": "look-up-first",
        "settings": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "url": {"type": "string", "description": "Adresse."},
                "password": {"type": "string", "secret": True, "description": "Mot de passe."},
            },
        },
        "owners": ["library team"],
    }  # fmt: skip


class Connectors:
    """A folder with one sound connector, to be damaged."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "connectors"
        self.library = self.folder / "library"
        self.library.mkdir(parents=True)
        self.write(sound())
        (self.library / "README.md").write_text(f"# Library\n`url` `password`\n## {VENDOR_SECTION}\n", "utf-8")
        (self.library / "twin.py").write_text("")
        (self.library / "statuses.csv").write_text("procedure,native\n*,OK\n")
        self.claim()

    def write(self, manifest: Any) -> None:
        (self.library / "manifest.json").write_text(json.dumps(manifest), "utf-8")

    def claim(self, **changes: str) -> None:
        claims = dict.fromkeys(RULES, "{state: done}") | {"sandbox-verified": '{state: todo, reason: "No, none yet."}'}
        claims |= {rule.replace("_", "-"): value for rule, value in changes.items()}
        text = "".join(f"{rule}: {value}\n" for rule, value in claims.items() if value)
        (self.library / "quality.yaml").write_text(f"# claims\n{text}", "utf-8")

    def faults(self) -> list[Fault]:
        return connector_faults(self.folder, REGISTRY)

    def keys(self) -> dict[str, str]:
        return {fault.key: fault.message for fault in self.faults()}


@pytest.fixture
def connectors(tmp_path: Path) -> Connectors:
    return Connectors(tmp_path)


def test_a_sound_connector_has_no_fault(connectors: Connectors) -> None:
    assert connectors.faults() == []


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (lambda m: m.update(id="other"), "id", "name of its folder"),
        (lambda m: m.update(id="Library!"), "id", "lower-case"),
        (lambda m: m.pop("owners"), "owners", "missing"),
        (lambda m: m.update(owners=[]), "owners", "at least 1"),
        (lambda m: m.update(onwers=[]), "onwers", 'did you mean "owners"'),
        (lambda m: m.update(tier="platinum"), "tier", "bronze, silver, gold"),
        (lambda m: m.update(idempotency="yes"), "idempotency", "native-key"),
        (lambda m: m.update(publishes=["citizen.adress-changed"]), "publishes[0]", "did you mean"),
        (lambda m: m["consumes"][0].update(type="citizen.moved"), "consumes[0].type", "no event"),
        (lambda m: m["consumes"][0].update(version=9), "consumes[0].version", "no version 9"),
        (lambda m: m["consumes"][0].update(fields=["/citizen/nickname"]), "consumes[0].fields[0]", "is nowhere"),
        (lambda m: m["consumes"][0].update(fields=["/new_address/value/town"]), "consumes[0].fields[0]", "is nowhere"),
        (lambda m: m["consumes"][0].update(fields=["citizen"]), "consumes[0].fields[0]", "JSON pointer"),
        (lambda m: m["consumes"][0].update(scope="mine"), "consumes[0].scope", "held"),
        (lambda m: m["consumes"][1].update(procedures=["acte-naisance"]), "consumes[1].procedures[0]", "did you mean"),
        (lambda m: m["answers"][0].update(type="library-cards"), "answers[0].type", 'did you mean "library-card"'),
        (lambda m: m["answers"][0].update(type="citizen.address-changed"), "answers[0].type", "no evidence"),
        (lambda m: m["answers"][1].update(version=7), "answers[1].version", "no version 7"),
        (lambda m: m["answers"][0].update(fields=["card_numbr"]), "answers[0].fields[0]", 'mean "card_number"'),
        (lambda m: m["answers"][0].update(fields=[]), "answers[0].fields", "at least 1"),
        (lambda m: m["answers"][0].update(needs=["name"]), "answers[0].needs[0]", "identity, reference, token"),
        (lambda m: m["answers"][0].update(seconds=0), "answers[0].seconds", "more than 0"),
        (lambda m: m["answers"][1].update(m["answers"][0]), "answers[1].type", "already answered"),
        (lambda m: m["settings"].update(properties=3), "settings", "not a JSON Schema"),
        (lambda m: m["settings"].pop("additionalProperties"), "settings.additionalProperties", "missing"),
        (lambda m: m["settings"]["properties"]["url"].pop("description"), "settings.url", "no description"),
        (lambda m: m["settings"]["properties"]["password"].update(default="x"), "settings.password", "without default"),
        (lambda m: m["settings"]["properties"]["password"].update(type="object"), "settings.password", "is a text"),
        (lambda m: m.update(verified="soon"), "verified", "YYYY-MM-DD"),
    ],
)  # fmt: skip
def test_a_fault_of_a_manifest_is_found_at_its_key(
    connectors: Connectors, change: Change, key: str, message: str
) -> None:
    manifest = sound()
    change(manifest)
    connectors.write(manifest)

    assert message in connectors.keys()[key]


def test_a_connector_may_only_answer(connectors: Connectors) -> None:
    connectors.write(sound() | {"publishes": [], "consumes": [], "idempotency": "none"})

    assert connectors.faults() == []


@pytest.mark.parametrize("pointer", ["/new_address/value/city", "/citizen/identity/family_name", "/household"])
def test_a_pointer_may_go_through_shared_records(connectors: Connectors, pointer: str) -> None:
    manifest = sound()
    manifest["consumes"][0]["fields"] = [pointer]
    connectors.write(manifest)

    assert connectors.faults() == []


def test_a_nested_setting_is_described_too(connectors: Connectors) -> None:
    manifest = sound()
    manifest["settings"]["properties"]["url"] = {
        "type": "object", "description": "Adresses.", "properties": {"test": {"type": "string"}},
    }  # fmt: skip
    connectors.write(manifest)

    assert connectors.keys() == {"settings.url.test": "has no description"}


@pytest.mark.parametrize("text", ["{", "[]", "3", "\udcff"])
def test_a_manifest_that_is_no_manifest_is_a_fault(connectors: Connectors, text: str) -> None:
    (connectors.library / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))

    assert connectors.faults()[0].file.endswith("manifest.json")


def test_every_connector_is_checked_at_once(connectors: Connectors) -> None:
    (connectors.folder / "broken").mkdir()
    (connectors.folder / "broken" / "manifest.json").write_text("{}")
    connectors.write(sound() | {"id": "other"})

    assert {Path(fault.file).parent.name for fault in connectors.faults()} == {"broken", "library"}


def test_the_readme_explains_each_setting_and_what_to_ask_the_vendor(connectors: Connectors) -> None:
    (connectors.library / "README.md").write_text("# Library\n`url`\n", "utf-8")

    assert connectors.keys() == {
        "": f"has no section « {VENDOR_SECTION} »",
        "password": "this setting is not explained",
    }


def test_a_connector_without_readme_is_a_fault(connectors: Connectors) -> None:
    (connectors.library / "README.md").unlink()

    assert connectors.keys() == {"": "missing"}


@pytest.mark.parametrize(
    ("claims", "key", "message"),
    [
        ({"twin": ""}, "twin", "missing"),
        ({"twin": "perhaps"}, "twin", "must be done, todo or exempt"),
        ({"twin": "{state: exempt}"}, "twin", "needs a reason"),
        ({"twins": "done"}, "twins", 'did you mean "twin"'),
        ({"outage_tested": "{state: todo, reason: later}"}, "outage-tested", "tier silver asks for it"),
        ({"sandbox_verified": "done"}, "sandbox-verified", "exactly when"),
    ],
)
def test_a_bad_claim_is_found(connectors: Connectors, claims: dict[str, str], key: str, message: str) -> None:
    connectors.claim(**claims)

    assert message in connectors.keys()[key]


@pytest.mark.parametrize(("file", "rule"), [("twin.py", "twin"), ("statuses.csv", "statuses-mapped")])
def test_a_claim_that_the_folder_belies_is_found(connectors: Connectors, file: str, rule: str) -> None:
    (connectors.library / file).unlink()

    assert list(connectors.keys()) == [rule]


def test_conformance_is_not_claimed_without_a_test(connectors: Connectors) -> None:
    (connectors.folder.parent / "tests" / "connectors" / "library").mkdir(parents=True)

    assert list(connectors.keys()) == ["conformance"]


def test_claims_are_not_needed_at_run_time(connectors: Connectors) -> None:
    (connectors.library / "quality.yaml").unlink()

    assert connectors.faults() == []
