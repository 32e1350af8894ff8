"""What a package declares: what its connector is, reads, writes and needs, before any of its code runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.delivery import Idempotency


@dataclass(frozen=True, slots=True)
class Consumed:
    """One event type that the connector reads.

    `fields`: JSON pointers into `data`; nothing else is delivered. `scope`: `all`, `held` (requests that came in by
    this connection), `linked` (citizens or requests with an identifier in this system), `acts` (only what this system
    must act on: it decides the procedure, and somebody else reopened the request or sent a document for it).
    `procedures`: only requests of these procedures; empty means any; a connection's own `procedures` setting narrows
    it further.
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
    """`name_spaces`: second numberings that the package keeps; `osl` is the system `<system>.osl` beside `<system>`."""

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
    name_spaces: tuple[str, ...] = ()

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
                name_spaces=tuple(raw.get("name_spaces", ())),
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
