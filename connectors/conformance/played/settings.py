"""The settings of a case: those of the samples, and for the rest what their types allow."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.conformance.played.samples import Samples
from connectors.sdk.contract.schemas import Schemas
from connectors.sdk.contract_twins.values import Values
from connectors.sdk.kinds.calls import value_at
from connectors.sdk.kinds.texts import names_in, texts_of
from connectors.sdk.mapping.rows import FILE, Row, read_table
from connectors.sdk.mapping.sources import Source
from schemas.manifest import Manifest, declared_settings
from schemas.secret import Secret

PROCEDURE = "formulaire-qf"
ELSEWHERE = "https://www.ville.example/page"
_SETTING = "setting:"


def settings_of(samples: Samples, given: Mapping[str, Any], records: Sequence[Any] = ()) -> dict[str, Any]:
    """One value for each setting that is required or named by `given`, which goes before what the types allow; the
    samples go before all. Secrets are drawn anew. `records`: what the package says, in which the keys of tables are
    looked for that `mapping.csv` reads."""
    manifest = samples.manifest
    typed, schema = declared_settings(manifest.declared), manifest.settings
    values, made = Values(Schemas(schema)), {}
    for name, part in typed.items():
        if name in given:
            made[name] = given[name]
        elif part.get("type") == "secret":
            if name in manifest.declared.get("settings", {}):  # not those that a kind brings along
                made[name] = drawn_secret(manifest, name)
        elif part.get("type") == "table":
            made[name] = _table(samples, name, part, records)
        elif "default" not in part and not part.get("optional"):
            made[name] = PROCEDURE if part.get("type") == "procedure" else values.made(schema["properties"][name])
    return {**made, **samples.settings}


def addresses_of(declared: Mapping[str, Any], kind: str, twin: Callable[[str], str]) -> dict[str, str]:
    """The settings that are addresses: those by which the table of the kind says where the package is are `twin` of
    their name, all others somewhere else, as a page to come back to."""
    named = {name for text in texts_of(declared[kind]) for name in names_in(text)}
    settings = declared.get("settings", {})
    found = (name for name, part in settings.items() if isinstance(part, Mapping) and part.get("type") == "url")
    return {name: twin(name) if name in named else ELSEWHERE for name in found}


def drawn_secret(manifest: Manifest, name: str) -> Secret:
    """A secret of the form that the declaration asks for."""
    signature = manifest.declared.get("webhook", {}).get("signature", {})
    if signature.get("kind") == "standard-webhooks" and signature.get("secret") == name:
        return Secret("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
    return Secret(secrets.token_hex(20))


def _table(samples: Samples, name: str, part: Mapping[str, Any], records: Sequence[Any]) -> dict[str, Any]:
    """A table whose keys are what the package says, and whose values what the events say, where they are read by it."""
    rows = [
        row for row in read_table(samples.manifest.folder / FILE).rows if f"{_SETTING}{name}" in row.convert.split()
    ]
    read = [str(value) for row in rows if row.target.startswith("/") for value in _found(row, records)]
    events = [one.event.data for pair in samples.turns for one in pair] + [one.event.data for one in samples.deliveries]
    said = [str(value) for row in rows if not row.target.startswith("/") for value in _found(row, events)]
    usual = PROCEDURE if part.get("of") == "procedure" else "exemple"
    keys = list(dict.fromkeys(read)) or [_key(part, number) for number in range(max(1, len(said)))]
    return {key: said[number] if number < len(said) else usual for number, key in enumerate(keys)}


def _found(row: Row, records: Sequence[Any]) -> Iterator[Any]:
    for record in records:
        for place in Source.of(row.source).places:
            value = value_at(record, place.pointer)
            if isinstance(value, str | int) and not isinstance(value, bool):
                yield value


def _key(part: Mapping[str, Any], number: int) -> str:
    keys = part.get("keys")
    return str(keys[number]) if isinstance(keys, list) and number < len(keys) else str(number + 1)
