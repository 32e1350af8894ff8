"""`unefois connector try`: what would be said, shown by its shape, and sent to nobody unless it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from commands.main import app
from hub.operations.trials import trial_of_sample
from schemas.errors import AccessDenied
from tests.support.town import TENANT, Town, moved

ROOT = Path(__file__).resolve().parents[2]
NAME = f"{TENANT}.famille"
STREET = "rue des Tilleuls"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}})
    town.link(("SORBIER", "famille", "F-1"), ("SORBIER", "portail", "u1"))
    yield town
    town.close()


@pytest.fixture
def sample(town: Town) -> Path:
    return written(town, address={"house_number": "4", "street": STREET, "postal_code": "93210", "city": "Saint-Aubin"})


def written(town: Town, *, address: dict[str, Any], kind: str = "citizen.address-changed") -> Path:
    value = {"value": address, "source": "portail", "date": "2026-11-02", "quality": "declared"}
    identity = {"family_name": "SORBIER", "given_names": ["Ana"], "gender": "female", "birthdate": "1990-04-02"}
    data = {"citizen": {"identity": identity}, "new_address": value}
    path = town.folder / "sample.json"
    path.write_text(json.dumps({"type": kind, "reference": "F-1", "data": data}), encoding="utf-8")
    return path


def tried(town: Town, *words: str) -> tuple[int, str]:
    command = ["connector", "try", NAME, *words, "--config", str(town.folder / "hub.toml")]
    result = CliRunner().invoke(app, command)
    return result.exit_code, result.output


def test_a_sample_is_shown_as_it_would_be_said_and_is_sent_to_nobody(town: Town, sample: Path) -> None:
    code, said = tried(town, "--event", str(sample))

    assert code == 0
    assert "citizen.address-changed, version 1 : conforme" in said
    assert "/new_address/value" in said
    assert "texte (" in said
    assert "rien n'est envoyé" in said
    assert town.dropped("famille") == []
    assert not any(word in said for word in (STREET, "SORBIER", "93210", "F-1"))


def test_a_sample_is_sent_to_the_package_when_that_is_asked_for(town: Town, sample: Path) -> None:
    code, said = tried(town, "--event", str(sample), "--send")

    assert code == 0
    assert "fait : " in said
    assert len(town.dropped("famille")) == 1


@pytest.mark.parametrize("system", ["famille", "filedrop"])
def test_a_sample_is_known_in_the_package_by_what_it_says_itself(town: Town, sample: Path, system: str) -> None:
    document = json.loads(sample.read_text(encoding="utf-8"))
    del document["reference"]
    document["data"]["citizen"]["references"] = [{"system": system, "id": "F-1"}]

    member = town.hub.acceptance.directory.connections[NAME]
    trial = trial_of_sample(member, town.hub.registry, document, "filedrop")

    assert trial.delivery is not None
    assert trial.delivery.reference == "F-1"


def test_a_sample_that_breaks_its_schema_is_told_with_its_place(town: Town) -> None:
    code, said = tried(town, "--event", str(written(town, address={"street": STREET, "city": 3})))

    assert code == 1
    assert "non conforme : /data/new_address" in said
    assert STREET not in said


def test_the_newest_event_of_the_connection_is_shown_without_a_value(town: Town) -> None:
    assert tried(town, "--last")[0] == 2
    town.submit(moved("u1", 5))

    code, said = tried(town, "--last", "--type", "citizen.address-changed")

    assert code == 0
    assert "texte (" in said
    assert "SORBIER" not in said
    assert tried(town, "--last", "--type", "request.received")[0] == 2
    assert town.dropped("famille") == []


def test_an_event_that_the_connection_does_not_read_is_told(town: Town) -> None:
    sample = written(town, address={"city": "Saint-Aubin"}, kind="message.requested")

    code, said = tried(town, "--event", str(sample))

    assert code == 1
    assert "ne lit pas ce type" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--send"], "what is to be sent"),
        (["--event", "nowhere.json"], "cannot be read"),
        (["--event", "nowhere.json", "--last"], "not both"),
        (["--call", "nowhere.json"], "declares what its package calls with"),
        (["--call", "nowhere.json", "--send"], "sent to nobody"),
    ],
)
def test_what_cannot_be_tried_is_one_sentence(town: Town, words: list[str], message: str) -> None:
    code, said = tried(town, *words)

    assert code == 2
    assert message in said


def test_a_package_that_lets_nobody_in_is_told_in_the_words_of_the_console(
    town: Town, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class _Login(AccessDenied):
        """As the kit has its own of it."""

    def send(*_: object) -> None:
        raise _Login("le logiciel refuse nos identifiants")

    monkeypatch.setattr(type(town.hub.connections[NAME].connector), "handle", send)

    code, said = tried(town, "--event", str(sample), "--send")

    assert code == 1
    assert "Issue        accès refusé : le logiciel refuse nos identifiants" in said
    assert "_Login" not in said


PUSHED = ROOT / "connectors" / "rdvsp" / "samples" / "webhooks"
"""Calls about nobody who lives."""


@pytest.fixture
def called(tmp_path: Path) -> Iterator[Callable[[Any], tuple[int, str]]]:
    (tmp_path / "secret").write_text("a secret of nobody", encoding="utf-8")
    secret = {"file": str(tmp_path / "secret")}
    values = {
        "base_url": "https://rdv.example", "email": "hub@ville.example", "password": secret, "webhook_secret": secret,
    }  # fmt: skip
    town = Town(tmp_path, {"famille": {"connector": "rdvsp", "settings": values}})

    def call(body: Any) -> tuple[int, str]:
        path = tmp_path / "call.json"
        path.write_text(json.dumps(body), encoding="utf-8")
        return tried(town, "--call", str(path))

    yield call
    town.close()


def test_a_call_of_the_package_is_read_without_its_signature_and_shown_without_a_value(
    called: Callable[[Any], tuple[int, str]],
) -> None:
    body = json.loads((PUSHED / "created.json").read_text(encoding="utf-8"))

    for sample in (body, {"headers": {"X-Lapin-Signature": "0"}, "body": body}):
        code, said = called(sample)

        assert code == 0, said
        assert "appointment.changed, version 1 : conforme, identifiant rdv-{/data/id}" in said
        assert "Correspondance /appointment/starts_at <- " in said
        assert "passé, ce n'est pas la valeur attendue en /meta/event" in said
        assert str(body["data"]["starts_at"]) not in said


def test_a_call_that_is_passed_by_or_cannot_be_read_says_why(called: Callable[[Any], tuple[int, str]]) -> None:
    body = json.loads((PUSHED / "created.json").read_text(encoding="utf-8"))
    absence = json.loads((PUSHED / "absence.json").read_text(encoding="utf-8"))

    code, said = called(absence)
    assert code == 0
    assert "passé, ce n'est pas la valeur attendue en /meta/model" in said
    assert "conforme" not in said

    code, said = called({**body, "data": {**body["data"], "starts_at": "demain"}})
    assert code == 1
    assert "non conforme : /data/starts_at" in said
    assert "demain" not in said
