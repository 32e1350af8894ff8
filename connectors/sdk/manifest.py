"""`manifest.json`: what a connector is, reads, writes and needs, declared before any of its code runs."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from schemas.delivery import Idempotency

if TYPE_CHECKING:
    from connectors.sdk.connector import Connector

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Consumed:
    """One event type that the connector reads.

    `fields`: JSON pointers into `data`; nothing else is delivered. `scope`: `all`, `held` (requests that came in by
    this connection), `linked` (citizens or requests with an identifier in this system). `procedures`: only requests
    of these procedures; empty means any; a connection's own `procedures` setting narrows it further.
    """

    type: str
    version: int
    fields: tuple[str, ...]
    scope: str = "all"
    procedures: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """One evidence type that the connector can be asked for (`schemas/evidence/`).

    `fields`: those that it can give. `needs`: what it must know of the citizen, any of them is enough: `identity`,
    `reference` (the system's own identifier), `token` (the citizen's FranceConnect access token). `seconds`: how
    long one question may take.
    """

    type: str
    version: int
    fields: tuple[str, ...]
    needs: tuple[str, ...] = ("identity",)
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Manifest:
    id: str
    name: str
    vendor: str
    domain: str
    protocol: str
    tier: str
    verified: str | None
    publishes: tuple[str, ...]
    consumes: tuple[Consumed, ...]
    idempotency: Idempotency
    settling_seconds: int
    concurrency: int
    batch: int
    poll_seconds: float | None
    receives: bool
    outside: bool
    settings: Mapping[str, Any]
    owners: tuple[str, ...]
    folder: Path
    answers: tuple[Answered, ...] = ()

    @staticmethod
    def load(path: Path) -> Manifest:
        """Read one manifest. Raises ValueError naming the file; `unefois check` reports every fault of it."""
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return Manifest(
                id=raw["id"], name=raw["name"], vendor=raw["vendor"], domain=raw["domain"], protocol=raw["protocol"],
                tier=raw["tier"], verified=raw.get("verified"), publishes=tuple(raw["publishes"]),
                consumes=tuple(_consumed(item) for item in raw["consumes"]), idempotency=raw["idempotency"],
                settling_seconds=raw.get("settling_seconds", 30), concurrency=raw.get("concurrency", 4),
                batch=raw.get("batch", 1), poll_seconds=raw.get("poll_seconds"), receives=raw.get("receives", False),
                outside=raw.get("outside", False),
                settings=raw["settings"], owners=tuple(raw["owners"]), folder=path.parent,
                answers=tuple(_answered(item) for item in raw.get("answers", ())),
            )  # fmt: skip
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"{path.parent.name}/manifest.json: {error!r}") from error


def _consumed(raw: Mapping[str, Any]) -> Consumed:
    return Consumed(
        type=raw["type"], version=raw["version"], fields=tuple(raw["fields"]),
        scope=raw.get("scope", "all"), procedures=tuple(raw.get("procedures", ())),
    )  # fmt: skip


def _answered(raw: Mapping[str, Any]) -> Answered:
    return Answered(
        type=raw["type"], version=raw["version"], fields=tuple(raw["fields"]),
        needs=tuple(raw.get("needs", ("identity",))), seconds=float(raw.get("seconds", 10.0)),
    )  # fmt: skip


@cache
def find_manifests(more: Path | None = None) -> Mapping[str, Manifest]:
    """All connectors by id: the folders beside the kit, and those in `more`. Their code is not imported. Raises
    ValueError when one in `more` has the id of one of ours."""
    found = {manifest.id: manifest for manifest in map(Manifest.load, sorted(ROOT.glob("*/manifest.json")))}
    for path in sorted(more.resolve().glob("*/manifest.json")) if more else ():
        manifest = Manifest.load(path)
        if manifest.id in found:
            raise ValueError(f"{path.parent.name}/manifest.json: a connector of this id is already there")
        found[manifest.id] = manifest
    return found


def connector_class(manifest: Manifest) -> type[Connector]:
    """Import the connector's code and return its one subclass of `Connector`."""
    from connectors.sdk.connector import Connector

    module = _code(manifest.folder)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Connector) and value.__module__ == module.__name__:
            return value
    raise ValueError(f"{manifest.id}: connector.py holds no Connector")


def _code(folder: Path) -> ModuleType:
    """The module `connector` of a folder; one from elsewhere becomes a package of its own and imports its neighbours
    as `from . import mapping`."""
    if folder.parent == ROOT:
        return importlib.import_module(f"connectors.{folder.name}.connector")
    name = f"unefois_connector_{folder.name.replace('-', '_')}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.connector")
