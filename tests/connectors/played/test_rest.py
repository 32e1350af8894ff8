"""A REST connector of which nothing is written in Python keeps every promise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.conformance.case import Bench
from connectors.conformance.finding import stands_of
from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import find_manifests
from hub.settings.procedures import procedure_slugs
from schemas.errors import AccessDenied, ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example

_SLOW = ("misbehaviours", "garbage-answers")
_QUICK = [name for name in conformance.CHECKS if name not in _SLOW]


@pytest.mark.parametrize("rules", [_QUICK, ["misbehaviours", "fault-codes"], ["garbage-answers", "leaks"]], ids=len)
def test_it_keeps_every_promise(rules: list[str]) -> None:
    outcome = conformance.examine(example("adherents"), only=rules)

    assert outcome.faults == ()
    verdicts = {result.rule.name: result.verdict for result in outcome.results}
    assert {verdicts[name] for name in rules} == {"passed"}


def test_its_folder_is_sound_and_holds_no_python() -> None:
    assert [
        fault for fault in connector_faults(EXAMPLES, Registry.load(), procedure_slugs()) if "adherents" in fault.file
    ] == []
    assert not list((EXAMPLES / "adherents").rglob("*.py"))


@pytest.fixture
def changed(tmp_path: Path) -> Callable[..., Manifest]:
    """The connector with some of its files written otherwise."""

    def change(toml: Callable[[str], str] = lambda text: text, **files: Any) -> Manifest:
        folder = tmp_path / "ours" / "adherents"
        shutil.copytree(EXAMPLES / "adherents", folder)
        path = folder / "connector.toml"
        path.write_text(toml(path.read_text(encoding="utf-8")), encoding="utf-8")
        for name, content in files.items():
            target = folder / name.replace("__", "/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return find_manifests(tmp_path / "ours")["adherents"]

    return change


def signature_as(said: str) -> Callable[[str], str]:
    old = '{ kind = "hmac-sha256-hex", header = "x-adherents-signature", secret = "webhook_secret" }'
    key = 'client_id = { type = "text", about = "Notre identifiant." }'
    return lambda text: text.replace(old, said).replace(
        key, f'{key}\npublic_key = {{ type = "text", about = "Clé.", optional = true }}'
    )


@pytest.mark.parametrize(
    "said",
    [
        '{ kind = "hmac-sha512-base64", header = "x-sign", prefix = "sha512=", secret = "webhook_secret" }',
        '{ kind = "hmac-sha256-timestamped", header = "x-sign", secret = "webhook_secret" }',
        '{ kind = "basic", user = "{client_id}", secret = "webhook_secret" }',
        '{ kind = "bearer", secret = "webhook_secret" }',
        '{ kind = "api-key", header = "x-key", secret = "webhook_secret" }',
        '{ kind = "jwt", secret = "webhook_secret", issuer = "adherents" }',
        '{ kind = "jwt", algorithm = "RS256", public_key = "public_key", audience = "{client_id}" }',
        '{ kind = "jwt", algorithm = "ES256", public_key = "public_key" }',
        '{ kind = "standard-webhooks", secret = "webhook_secret" }',
        '{ kind = "publik", user = "adherents", secret = "webhook_secret" }',
    ],
    ids=lambda said: said.split('"')[1] + said.split('"')[3][:5],
)
def test_calls_of_the_package_are_signed_as_it_declares(changed: Callable[..., Manifest], said: str) -> None:
    outcome = conformance.examine(changed(signature_as(said)), only=["receiving", "order"])

    assert outcome.faults == ()


def test_news_of_a_list_are_new_and_dated_now(changed: Callable[..., Manifest]) -> None:
    bench = Bench(example("adherents"))
    with stands_of(bench.manifest)[0](bench) as case:
        assert case.news is not None
        assert case.turn is not None
        case.news(2)
        bench.clock.move(600)
        case.turn(1)
        events = [event for polled in case.connect().poll(None) for event in polled.events]

    assert [event.data["request"]["references"][0]["id"] for event in events] == ["2", "1"]
    assert events[1].time == (bench.clock() - timedelta(seconds=30)).isoformat().replace("+00:00", "Z")


def test_a_sample_that_the_contract_does_not_allow_is_told_with_its_file(changed: Callable[..., Manifest]) -> None:
    manifest = changed()
    (manifest.folder / "samples/answers").mkdir()
    (manifest.folder / "samples/answers/GET-members-id.json").write_text('{"member": {"id": 1}}', encoding="utf-8")

    with (
        pytest.raises(ConfigError, match=r"GET-members-id\.json.*required \(card"),
        stands_of(manifest)[0](Bench(manifest)),
    ):
        pass


def test_a_call_that_the_contract_does_not_name_is_told(changed: Callable[..., Manifest]) -> None:
    manifest = changed(lambda text: text.replace('probe = "GET ping"', 'probe = "GET pong"'))

    with pytest.raises(ConfigError, match="names no `GET pong`"), stands_of(manifest)[0](Bench(manifest)) as case:
        case.connect()


def test_the_twin_lets_in_who_bears_what_it_gave(changed: Callable[..., Manifest]) -> None:
    manifest = changed(
        lambda text: text.replace(
            'auth = { kind = "oauth", token_url = "{base_url}/token", client_id = "{client_id}", '
            'client_secret = "{client_secret}" }',
            'auth = { kind = "bearer", token = "{client_secret}" }',
        )
    )  # fmt: skip
    bench = Bench(manifest)
    with stands_of(manifest)[0](bench) as case:
        connector = case.connect()
        [delivery] = case.deliveries
        assert connector.handle(delivery).answer
        case.twin.accepted.clear()  # type: ignore[attr-defined]
        case.twin.accepted.add("another")  # type: ignore[attr-defined]
        with pytest.raises(AccessDenied):
            connector.handle(replace(delivery, key="k-2"))
