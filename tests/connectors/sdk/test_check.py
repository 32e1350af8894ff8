"""Connectors are held against what they declare, every fault at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.check import VENDOR_SECTION, connector_faults
from hub.settings.procedures import procedure_slugs
from schemas.fault import Fault
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.support.manifests import manifest_toml

REGISTRY = Registry.load()
Change = Callable[[dict[str, Any]], object]


def sound() -> dict[str, Any]:
    return {
        "id": "library", "name": "Bibliothèque", "vendor": "Nobody", "domain": "library", "kind": "python",
        "protocol": "REST", "owners": ["library team"], "publishes": ["citizen.address-changed"],
        "idempotency": "look-up-first", "zone": "Europe/Paris",
        "deliver": [
            {"type": "citizen.address-changed", "fields": ["/citizen/identity", "/new_address"]},
            {"type": "request.received", "fields": ["/request/form/anything/below"],
             "procedures": ["changement-adresse"]},
        ],
        "answer": [
            {"type": "library-card", "fields": ["card_number", "blocked"], "needs": ["reference"], "seconds": 5},
            {"type": "residence-address", "fields": ["address"]},
        ],
        "settings": {
            "url": {"type": "url", "about": "Adresse."},
            "password": {"type": "secret", "about": "Mot de passe."},
            "pace": {"type": "integer", "min": 1, "default": 4, "about": "Rythme."},
        },
    }  # fmt: skip


CODE = """from connectors.sdk import Connector


class Library(Connector):
    def prepare(self, delivery): ...
    def send(self, delivery, prepared): ...
    def look_up(self, delivery): ...
    def answer(self, question): ...
"""


class Connectors:
    """A folder with one sound connector, to be damaged."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "connectors"
        self.library = self.folder / "library"
        self.library.mkdir(parents=True)
        self.write(sound())
        (self.library / "README.md").write_text(f"# Library\n`url` `password` `pace`\n## {VENDOR_SECTION}\n", "utf-8")
        (self.library / "connector.py").write_text(CODE, "utf-8")

    def write(self, manifest: Any) -> None:
        (self.library / FILE).write_text(manifest_toml(manifest), "utf-8")

    def faults(self) -> list[Fault]:
        return connector_faults(self.folder, REGISTRY, procedure_slugs())

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
        (lambda m: m.update(tier="platinum"), "tier", "unknown key"),
        (lambda m: m.update(kind="REST"), "kind", "rest, soap"),
        (lambda m: m.update(zone="Europe/Pari"), "zone", 'did you mean "Europe/Paris"'),
        (lambda m: m.update(unknown="ignore"), "unknown", "refuse, skip"),
        (lambda m: m.pop("idempotency"), "idempotency", "missing"),
        (lambda m: m.update(poll={"every": "often"}), "poll.every", "15s, 2m or 1h"),
        (lambda m: m.update(idempotency="yes"), "idempotency", "native-key"),
        (lambda m: m.update(publishes=["citizen.adress-changed"]), "publishes[0]", "did you mean"),
        (lambda m: m["deliver"][0].update(type="citizen.moved"), "deliver[0].type", "no event"),
        (lambda m: m["deliver"][0].update(version=9), "deliver[0].version", "no version 9"),
        (lambda m: m["deliver"][0].update(fields=["/citizen/nickname"]), "deliver[0].fields[0]", "is nowhere"),
        (lambda m: m["deliver"][0].update(fields=["/new_address/value/town"]), "deliver[0].fields[0]", "is nowhere"),
        (lambda m: m["deliver"][0].update(fields=["citizen"]), "deliver[0].fields[0]", "JSON pointer"),
        (lambda m: m["deliver"][0].update(scope="mine"), "deliver[0].scope", "held"),
        (lambda m: m["deliver"][1].update(procedures=["acte-naisance"]), "deliver[1].procedures[0]", "did you mean"),
        (lambda m: m["answer"][0].update(type="library-cards"), "answer[0].type", 'did you mean "library-card"'),
        (lambda m: m["answer"][0].update(type="citizen.address-changed"), "answer[0].type", "no evidence"),
        (lambda m: m["answer"][1].update(version=7), "answer[1].version", "no version 7"),
        (lambda m: m["answer"][0].update(fields=["card_numbr"]), "answer[0].fields[0]", 'mean "card_number"'),
        (lambda m: m["answer"][0].update(fields=[]), "answer[0].fields", "at least 1"),
        (lambda m: m["answer"][0].update(needs=["name"]), "answer[0].needs[0]", "identity, reference, token"),
        (lambda m: m["answer"][0].update(seconds=0), "answer[0].seconds", "more than 0"),
        (lambda m: m["answer"][1].update(m["answer"][0]), "answer[1].type", "already answered"),
        (lambda m: m["settings"].update(url=3), "settings.url", "must be a table"),
        (lambda m: m["settings"]["url"].update(type="adress"), "settings.url", "no such type"),
        (lambda m: m["settings"]["url"].update(secret="true"), "settings.url.secret", "no such key"),
        (lambda m: m["settings"]["url"].pop("about"), "settings.url", "has no `about`"),
        (lambda m: m["settings"]["password"].update(default="x"), "settings.password", "no default"),
        (lambda m: m["settings"]["pace"].update(default=0), "settings.pace.default", "at least 1"),
        (lambda m: m["settings"]["pace"].update(min="one"), "settings", "not a JSON Schema"),
        (lambda m: m.update(settings_rules={"with": {"url": ["pasword"]}}), "settings.with.url", '"password"'),
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
    connectors.write(sound() | {"publishes": [], "deliver": [], "idempotency": "none"})
    only = "from connectors.sdk import Connector\n\n\nclass Library(Connector):\n    def answer(self, question): ...\n"
    (connectors.library / "connector.py").write_text(only, "utf-8")

    assert connectors.faults() == []


@pytest.mark.parametrize("pointer", ["/new_address/value/city", "/citizen/identity/family_name", "/household"])
def test_a_pointer_may_go_through_shared_records(connectors: Connectors, pointer: str) -> None:
    manifest = sound()
    manifest["deliver"][0]["fields"] = [pointer]
    connectors.write(manifest)

    assert connectors.faults() == []


@pytest.mark.parametrize("text", ["{", "[]", "3", "\udcff", "id = 1\nid = 2"])
def test_a_manifest_that_is_no_manifest_is_a_fault(connectors: Connectors, text: str) -> None:
    (connectors.library / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))

    assert connectors.faults()[0].file.endswith(FILE)


def test_every_connector_is_checked_at_once(connectors: Connectors) -> None:
    (connectors.folder / "broken").mkdir()
    (connectors.folder / "broken" / FILE).write_text("")
    connectors.write(sound() | {"id": "other"})

    assert {Path(fault.file).parent.name for fault in connectors.faults()} == {"broken", "library"}


def test_the_readme_explains_each_setting_and_what_to_ask_the_vendor(connectors: Connectors) -> None:
    (connectors.library / "README.md").write_text("# Library\n`url` `pace`\n", "utf-8")

    assert connectors.keys() == {
        "": f"has no section « {VENDOR_SECTION} »",
        "password": "this setting is not explained",
    }


def test_a_connector_without_readme_is_a_fault(connectors: Connectors) -> None:
    (connectors.library / "README.md").unlink()

    assert connectors.keys() == {"": "missing"}


def test_a_fault_is_told_with_its_line(connectors: Connectors) -> None:
    manifest = sound()
    manifest["deliver"][1]["fields"] = ["/request/fom"]
    connectors.write(manifest)
    lines = (connectors.library / FILE).read_text("utf-8").splitlines()

    [fault] = connectors.faults()

    assert lines[fault.line - 1] == 'fields = ["/request/fom"]'
    assert str(fault).startswith(f"{connectors.library / FILE}:{fault.line}: deliver[1].fields[0]: ")


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_manifest_may_begin_with_a_byte_order_mark(connectors: Connectors, mark: str) -> None:
    (connectors.library / FILE).write_text(mark + manifest_toml(sound()), "utf-8")

    assert connectors.faults() == []
    assert Manifest.load(connectors.library / FILE).id == "library"
