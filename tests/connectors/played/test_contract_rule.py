"""The rule `contract` bites: a connector, a twin and a package that do not keep to one contract."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance.outcome import rules
from connectors.sdk.discovery import find_manifests
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example

_TWIN = """
from connectors.sdk.contract_twins.openapi_twin import OpenApiTwin
from connectors.sdk.twin import TwinAnswer, TwinCall, route


class Twin(OpenApiTwin):
"""
_LENIENT = """
    def answer(self, call):
        whole = super().answer(call)
        if call.method == "PATCH" and whole.status >= 400:
            return TwinAnswer(200, {"member": {"id": 1}})
        return whole
"""
_OPEN = """
    def authenticate(self, call):
        return None
"""
_ELSE = """
    @route("GET", "/api/v2/members/{number}")
    def one(self, call, number):
        said = {"card": "A000001", "category": "a", "valid_until": "demain", "blocked": False}
        return TwinAnswer(200, {"member": {"id": "seven", **said}})
"""
_OWN = """
    @route("PATCH", "/api/v2/members/{number}")
    def change(self, call, number):
        self.change_seen = call.json()
        return self.behaviour(self.contract.route(call.method, call.path), call)
"""
_DECLARED = (EXAMPLES / "adherents/contract/openapi.yaml").read_text(encoding="utf-8")
_DECLARED = _DECLARED[_DECLARED.index("      requestBody:") :]
_DECLARED = _DECLARED[: _DECLARED.index("      responses:")]
Change = Callable[[Path], None]


def _replacing(name: str, old: str, new: str) -> Change:
    def change(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new), encoding="utf-8")

    return change


def _with_twin(body: str) -> Change:
    return lambda folder: folder.joinpath("twin.py").write_text(_TWIN + body, encoding="utf-8") and None


def faults_of(tmp_path: Path, change: Change) -> str:
    folder = tmp_path / "ours" / "adherents"
    shutil.copytree(EXAMPLES / "adherents", folder)
    change(folder)
    return "\n".join(conformance.examine(find_manifests(tmp_path / "ours")["adherents"], only=["contract"]).faults)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_with_twin(_LENIENT), "PATCH /api/v2/members/{id}: the twin takes what the contract refuses (no body"),
        (_with_twin(_OPEN), "the twin takes what the contract refuses (no proof: bears none of the proofs"),
        (_with_twin(_ELSE), "does not allow what the twin answers: body/member/id: type"),
        (
            _replacing("connector.toml", 'email = "/email/value"', 'mail = "/email/value"'),
            "PATCH /api/v2/members/{id}: the contract refuses what the connector calls: body: additionalProperties",
        ),
        (
            _replacing("connector.toml", 'size = 3, size_param = "per_page"', 'size = 60, size_param = "per_page"'),
            "the contract refuses what the connector calls: query parameter per_page: maximum",
        ),
        (
            _replacing("connector.toml", 'size_param = "per_page"', 'size_param = "per_pages"'),
            "the contract refuses what the connector calls: the contract knows no parameter `per_pages`",
        ),
        (
            _replacing("contract/openapi.yaml", _DECLARED, ""),
            "the contract refuses what the connector calls: the contract knows no body of this call",
        ),
    ],
    ids=["lenient twin", "open door", "other answer", "unknown member", "beyond a limit", "parameter", "body"],
)  # fmt: skip
def test_what_the_contract_does_not_allow_is_a_fault(tmp_path: Path, change: Change, told: str) -> None:
    assert told in faults_of(tmp_path, change)


def test_a_route_of_its_own_behind_the_contract_is_none(tmp_path: Path) -> None:
    assert faults_of(tmp_path, _with_twin(_OWN)) == ""


def test_what_goes_beyond_the_contract_with_its_reason_is_no_fault(tmp_path: Path) -> None:
    beyond = '[[twin.beyond]]\ncall = "PATCH members/{reference}"\nsends = ["body"]\nwhy = "seen"\n\n[[deliver]]\n'

    def change(folder: Path) -> None:
        _replacing("contract/openapi.yaml", _DECLARED, "")(folder)
        _replacing("connector.toml", "[[deliver]]\n", beyond)(folder)

    assert faults_of(tmp_path, change) == ""


def test_it_applies_where_a_contract_of_calls_is_named() -> None:
    [rule] = [one for one in rules() if one.name == "contract"]

    assert rule.not_for(example("adherents")) == ""
    assert rule.not_for(example("mediatheque")) == "it names no contract of calls"


def test_a_twin_that_knows_no_contract_is_told() -> None:
    manifest = example("mediatheque")
    declared = {**manifest.declared, "contract": {"openapi": "contract/openapi.yaml"}}
    stands = conformance.stands_of(manifest)

    [fault] = conformance.examine(replace(manifest, declared=declared), stands, only=["contract"]).faults
    assert "not held against it" in fault
