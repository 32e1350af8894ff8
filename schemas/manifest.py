"""What a package declares: what its connector is, reads, writes and needs, before any of its code runs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from schemas.delivery import Idempotency
from schemas.setting_types import settings_schema

FILE = "connector.toml"
KINDS: Mapping[str, str] = {
    "rest": "REST", "soap": "SOAP", "dump": "fichier complet", "drop": "dépôt de fichiers", "sql": "SQL", "python": "",
}  # fmt: skip
_SAFETY: tuple[Idempotency, ...] = ("none", "look-up-first", "native-key")  # the most careful first
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}

Table = Mapping[str, Any]
Outside = Literal["", "amqp", "pull", "webhook"]
"""How a package without code of ours takes its deliveries: it reads its queue on the broker, fetches them over HTTP, or
is called at an address of its own. "" for one with a connector."""


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
    """A connector as its `connector.toml` declares it.

    `kind`: who runs it, a class of the kit (`rest`, `soap`, `dump`, `drop`, `sql`) or its own `connector.py`: `python`.
    `verified`: the day on which a town tried it against the vendor's own system. `settings`: JSON Schema 2020-12 of a
    connection's settings. `speaks_for`: further systems whose identifiers it may bind; one that begins with a dot is a
    second numbering of the connection's own system: `.osl` is `<system>.osl`. `household`: its numbers are those of
    households, and what it tells of a person says their name besides. `zone`: where the package's local dates are told;
    "" for the town's. `unknown`: what becomes of a status for a request that the hub does not know: `refuse`, or
    `skip`, counted and passed by. `lists_people`: it can be asked who its people are, for a first load.
    `states_again`: it can be asked what it knows of people whom it names. `declared`: the tables of its kind (`http`,
    `deliver`, `webhook`, …), as they were written.
    """

    id: str
    name: str
    vendor: str
    domain: str
    protocol: str
    publishes: tuple[str, ...]
    consumes: tuple[Consumed, ...]
    idempotency: Idempotency
    settling_seconds: int
    concurrency: int
    batch: int
    poll_seconds: float | None
    receives: bool
    outside: Outside
    settings: Mapping[str, Any]
    owners: tuple[str, ...]
    folder: Path
    kind: str = "python"
    verified: str | None = None
    answers: tuple[Answered, ...] = ()
    speaks_for: tuple[str, ...] = ()
    household: bool = False
    zone: str = ""
    unknown: str = "refuse"
    lists_people: bool = False
    states_again: bool = False
    declared: Mapping[str, Any] = field(default_factory=dict, compare=False)

    @staticmethod
    def load(path: Path, fields_of: Callable[[Path, Table], Iterable[str]] | None = None) -> Manifest:
        """Read one `connector.toml`. `fields_of` says which fields a `[[deliver]]` that names none reads, by its folder
        and its table. Raises ValueError naming the file; `unefois check` reports every fault of it."""
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8-sig"))
            return Manifest.of(raw, path.parent, fields_of)
        except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"{path.parent.name}/{path.name}: {error!r}") from error

    @staticmethod
    def of(raw: Table, folder: Path, fields_of: Callable[[Path, Table], Iterable[str]] | None = None) -> Manifest:
        """The same of a table that was read already."""
        kind, delivers, verified = raw["kind"], raw.get("deliver", ()), raw.get("verified")
        return Manifest(
            id=raw["id"], name=raw["name"], vendor=raw["vendor"], domain=raw["domain"],
            protocol=raw.get("protocol") or KINDS[kind], kind=kind, verified=str(verified) if verified else None,
            publishes=tuple(raw["publishes"]) if "publishes" in raw else published(raw),
            consumes=tuple(_consumed(item, folder, fields_of) for item in delivers),
            idempotency=raw.get("idempotency") or ("native-key" if outside_of(raw) else _safety(delivers)),
            settling_seconds=raw.get("settling_seconds", 30),
            concurrency=raw.get("concurrency", 4), batch=raw.get("batch", 1),
            poll_seconds=_poll_seconds(raw),
            receives="webhook" in raw, outside=outside_of(raw),
            settings=settings_schema(declared_settings(raw), raw.get("types", {}), settings_rules(raw)),
            owners=tuple(raw["owners"]), folder=folder,
            answers=tuple(_answered(item) for item in raw.get("answer", ())),
            speaks_for=tuple(raw.get("speaks_for", ())), household=raw.get("household", False),
            zone=raw.get("zone", ""), unknown=raw.get("unknown", "refuse"), lists_people="people" in raw,
            states_again="state" in raw, declared=raw,
        )  # fmt: skip

    def names_spoken_for(self, system: str) -> frozenset[str]:
        """The further systems whose identifiers a connection of this `system` may bind."""
        return frozenset(system + name if name.startswith(".") else name for name in self.speaks_for)


def declared_settings(raw: Table) -> Table:
    """The typed settings of a connection: those that its kind brings, and those of `[settings]`, which go before."""
    own = raw.get("settings", {})
    if outside_of(raw) == "webhook":
        return {**folder_settings()["webhook"], **own}
    return {**folder_settings()["files"], **folder_settings()[raw["kind"]], **own} if _in_folders(raw) else own


def outside_of(raw: Table) -> Outside:
    """What `outside` of a manifest says; `true` is as `amqp`."""
    said = raw.get("outside", False)
    found: Outside = "amqp" if said is True else said or ""
    return found


def settings_rules(raw: Table) -> Table:
    """The rules between them."""
    own = raw.get("settings_rules", {})
    return {**own, "with": {"host": ["username", "host_key"], **own.get("with", {})}} if _in_folders(raw) else own


def _usual_pause(raw: Table) -> str | None:
    """How often a kind that lives by being polled is, when its manifest does not say."""
    if raw["kind"] in ("dump", "sql"):
        return "5m"
    return "1m" if raw["kind"] == "drop" and "returns" in raw else None


def _in_folders(raw: Table) -> bool:
    return raw.get("kind") in ("dump", "drop")


@cache
def folder_settings() -> Table:
    """The settings that manifests need not write out: of the kinds that exchange files, `files` those of all, `dump`
    and `drop` of one; `webhook` of a package that is called at its own address."""
    return tomllib.loads(Path(__file__).with_name("folder_settings.toml").read_text(encoding="utf-8"))


def published(raw: Table) -> tuple[str, ...]:
    """The event types that the declared tables make: `type` of every `event`, `change` and `return` in them, and what
    every `follow` says."""
    found = dict.fromkeys(
        item["type"]
        for part in ("webhook", "poll", "state", "dump", "sql", "returns", "answers")
        for word in ("event", "change")
        for item in (raw.get(part) or {}).get(word, ())
    )
    found |= dict.fromkeys(item.get("type", "request.status-changed") for item in raw.get("follow", ()))
    dropped = raw["kind"] == "drop" and any("status" in item for item in raw.get("deliver", ()))
    if "status" in (raw.get("returns") or {}) or dropped:
        found["request.status-changed"] = None
    return tuple(found)


def seconds_of(duration: object) -> float:
    """A duration as manifests write it: `15s`, `2m`, `1h`, `5d`, or seconds as a number. Raises ValueError."""
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(duration)
    match = _DURATION.fullmatch(duration) if isinstance(duration, str) else None
    if match is None:
        raise ValueError(f"{duration!r} is no duration such as 15s, 2m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def _poll_seconds(raw: Table) -> float | None:
    """How often it is polled: as often as its most impatient table says."""
    every = raw.get("poll", {}).get("every", _usual_pause(raw))
    found = [one for follow in raw.get("follow", ()) for one in follow["every"]] + (
        [every] if every is not None else []
    )
    return min(map(seconds_of, found), default=None)


def _safety(delivers: Iterable[Table]) -> Idempotency:
    """That of the most careful delivery: one that cannot be repeated makes the connector one that is not."""
    words: dict[str, Idempotency] = {"none": "none", "look-up": "look-up-first"}
    found = {words.get(item.get("again", "none"), "native-key") for item in delivers}
    return next((word for word in _SAFETY if word in found), "native-key")


def _consumed(raw: Table, folder: Path, fields_of: Callable[[Path, Table], Iterable[str]] | None) -> Consumed:
    fields = raw["fields"] if "fields" in raw or fields_of is None else fields_of(folder, raw)
    return Consumed(
        type=raw["type"], version=raw.get("version", 1), fields=tuple(fields),
        scope=raw.get("scope", "all"), procedures=tuple(raw.get("procedures", ())),
    )  # fmt: skip


def _answered(raw: Table) -> Answered:
    return Answered(
        type=raw["type"], version=raw.get("version", 1), fields=tuple(raw["fields"]),
        needs=tuple(raw.get("needs", ("identity",))), seconds=float(raw.get("seconds", 10.0)),
    )  # fmt: skip
