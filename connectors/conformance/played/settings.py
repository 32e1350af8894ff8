"""Settings of a case: those that its twin gives, those of its samples, and for the others a value of their type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.conformance.played.samples import Samples
from schemas.manifest import declared_settings
from schemas.secret import Secret

_USUAL: Mapping[str, Any] = {
    "text": "texte", "date": "2026-03-02", "procedure": "formulaire-qf", "integer": 1, "number": 1, "boolean": True,
    "list": [], "table": {}, "url": "http://127.0.0.1:9",
}  # fmt: skip


def settings_of(samples: Samples, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` as far as the manifest knows them, and what it requires besides."""
    found = {}
    for name, one in declared_settings(samples.manifest.declared).items():
        if name in given:
            found[name] = given[name]
        elif name in samples.settings:
            found[name] = samples.settings[name]
        elif not one.get("optional") and "default" not in one:
            found[name] = Secret(f"a-secret-of-{name}") if one["type"] == "secret" else _usual(one)
    return found


def _usual(one: Mapping[str, Any]) -> Any:
    return one["of"][0] if one["type"] == "choice" else _USUAL.get(one["type"], "texte")
