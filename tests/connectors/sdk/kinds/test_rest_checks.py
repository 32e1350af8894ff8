"""What `unefois check` says of a `connector.toml` of the kind `rest`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sdk.check import connector_faults
from hub.settings.procedures import procedure_slugs
from schemas.manifest import FILE
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES

REGISTRY = Registry.load()
LOOK_UP = 'look_up = { call = "GET a", only = { "/a" = "{key}" }, reference = "/b" }'


def faults(folder: Path, name: str, old: str = "", new: str = "") -> dict[str, str]:
    place = folder / name
    shutil.copytree(EXAMPLES / name, place)
    text = (place / FILE).read_text("utf-8")
    assert old in text
    (place / FILE).write_text(text.replace(old, new, 1), "utf-8")
    found = connector_faults(folder, REGISTRY, procedure_slugs())
    return {fault.key: f"{fault.line}: {fault.message}" for fault in found}


@pytest.mark.parametrize("name", [path.name for path in sorted(EXAMPLES.iterdir()) if path.is_dir()])
def test_the_examples_have_no_fault(tmp_path: Path, name: str) -> None:
    assert faults(tmp_path, name) == {}


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('base = "{base_url}/v2"\n', "", "http.base", "missing"),
        ("{base_url}/v2", "{bas_url}/v2", "http.base", 'did you mean "base_url"'),
        ("{base_url}/v2", "{client_secret}/v2", "http.base", "nothing is known"),
        ('"GET readers?page_size=1"', '"readers"', "http.probe", "method"),
        ('timeout = "timeout_seconds"', 'timeout = "soon"', "http.timeout", "duration"),
        ('kind = "oauth", token_url = "{base_url}/token", ', 'kind = "oauth", ', "http.auth.token_url", "needs it"),
        ('kind = "oauth"', 'kind = "oath"', "http.auth.kind", "oauth-password"),
        ('call = "GET readers"\nquery = { order', 'query = { order', "poll.call", "missing"),
        ('call = "GET readers"\nquery = { card', 'query = { card', "answer[0].call", "missing"),
        ('probe = "GET readers?page_size=1"\n', "", "http.probe", "missing"),
        ('call = "PATCH readers/{reference}"\n', "", "deliver[0].call", "missing"),
        ('map = "address-out"', 'map = "address-out"\nbody = { a = "/new_address/value" }', "deliver[0]", "one of"),
        ('map = "card"\n', "", "answer[0].map", "missing"),
        ('map = "address-out"', f'map = "address-out"\n{LOOK_UP}', "deliver[0].look_up", "is not asked"),
        ('id = "/card | text", ', "", "poll.cursor.id", "missing"),
        ('every = "5m"\n', "", "poll", "needs `every`"),
        ('kind = "page", param = "page", size = 3', 'kind = "page", size = 3', "poll.paging.param", "needs it"),
        ('catch_up = "catch_up_days"', 'catch_up = "catchup_days"', "poll.catch_up", "duration"),
        ('query = { order = "changed" }', 'query = { order = "{chnged}" }', "poll.query", "nothing is known"),
        ('at = "/changed_at | instant"', 'at = "/changed_at | instand"', "poll.cursor.at", "no converter"),
        ('success = { "/done" = true }', 'sucess = { "/done" = true }', "deliver[0].sucess", 'did you mean "success"'),
    ],
)  # fmt: skip
def test_a_fault_is_told_at_its_key(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    found = faults(tmp_path, "mediatheque", old, new)

    assert said in found.get(key, ""), found
    assert all(not message.startswith("0:") for place, message in found.items() if place != "map"), found


@pytest.mark.parametrize(
    ("old", "new", "key", "said"),
    [
        ('secret = "webhook_secret" }', 'secret = "organisation" }', "webhook.signature.secret", "no secret setting"),
        (', secret = "webhook_secret" }', " }", "webhook.signature.secret", "needs it"),
        ('kind = "hmac-sha256-hex"', 'kind = "md5"', "webhook.signature.kind", "hmac-sha256-hex"),
        ('signature = { kind = "hmac-sha256-hex", header = "x-agenda-signature", secret = "webhook_secret" }\n', "",
         "webhook.signature", "missing"),
        ('off = "the list has no date of change"', 'of = "no date"', "poll.of", 'did you mean "off"'),
    ],
)  # fmt: skip
def test_a_fault_of_a_webhook_is_told_at_its_key(tmp_path: Path, old: str, new: str, key: str, said: str) -> None:
    found = faults(tmp_path, "agenda", old, new)

    assert said in found.get(key, ""), found
