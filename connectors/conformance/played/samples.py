"""The folder `samples/` of a connector: what passes between the hub and its package, about invented people.

events/*.json       one event each, as `connector try --event` takes it; `<name>.again.json` says something else of
                    the same thing
webhooks/*.json     the body of a call of the package
questions/*.json    {"type", "version", "fields", "reference" or "identity", "parameters", "token", "stranger"}
answers/<operation> what the twin answers: the name of the operation with `-` for all but letters and digits; what it
                    refuses with, with its status: `PATCH-users-id.422.json`
settings.toml       settings that cannot be made from their types
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from connectors.conformance.case import Asked
from connectors.conformance.played.others import another, another_data
from schemas.delivery import Delivery, delivery_key
from schemas.errors import ConfigError, InvalidMessage
from schemas.event import Event
from schemas.exchange import Question
from schemas.manifest import Answered, Manifest
from schemas.references import reference_in
from schemas.registry import Registry
from schemas.secret import Secret

REQUEST_ID = "0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d201"
_REFUSAL = re.compile(r"\.[45]\d\d")
_AGAIN = ".again"
_TOLD_ONCE = ("request.received",)
_SOURCE = "/saint-aubin/portail"
_TIME = "2026-03-02T09:14:05Z"
_SHORTEST = 4
_PERSONAL = re.compile(
    r"name|nom|prenom|first|last|family|given|street|rue|voie|adresse|address|mail|courriel|phone|tel|birth|naissance",
    re.IGNORECASE,
)
_NOT_PERSONAL = re.compile(
    r"system|source|quality|country|pays|kind|type|status|date|procedure|file_?name", re.IGNORECASE
)


@dataclass(frozen=True)
class Samples:
    """What lies in the folder; all empty where there is none. Raises ConfigError, naming the file, for one that cannot
    be read."""

    manifest: Manifest
    folder: Path | None

    @staticmethod
    def of(manifest: Manifest) -> Samples:
        said = manifest.declared.get("contract", {}).get("samples")
        folder = manifest.folder / str(said) if said else None
        if folder is not None and not folder.is_dir():
            raise ConfigError("[contract] samples names no folder", key=str(folder))
        return Samples(manifest, folder)

    # deliveries

    @cached_property
    def deliveries(self) -> Sequence[Delivery]:
        """One for each file of `events/`, in the order of their names."""
        return [self._delivery(path) for path in self.files("events", ".json") if not path.stem.endswith(_AGAIN)]

    @cached_property
    def turns(self) -> Sequence[tuple[Delivery, Delivery]]:
        """For each event type that can be said again, two that say something different of the same thing. Raises
        ConfigError for an event in which nothing that is granted can be said otherwise."""
        found: dict[str, tuple[Delivery, Delivery]] = {}
        for path in self.files("events", ".json"):
            first = None if path.stem.endswith(_AGAIN) else self._delivery(path)
            if first is not None and first.event.type not in (*_TOLD_ONCE, *found):
                found[first.event.type] = (first, self._second(path, first))
        return list(found.values())

    def _second(self, path: Path, first: Delivery) -> Delivery:
        beside = path.with_name(f"{path.stem}{_AGAIN}.json")
        if beside.exists():
            return self._delivery(beside)
        granted = [field for one in self.manifest.consumes if one.type == first.event.type for field in one.fields]
        data = another_data(first.event, granted, Registry.load())
        if data == first.event.data:
            raise ConfigError(f"nothing in it can be said otherwise: write {beside.name}", key=str(path))
        event = replace(first.event, data=data, id=f"{first.event.id}-again")
        return replace(first, event=event, key=delivery_key(self.manifest.id, event))

    def _delivery(self, path: Path) -> Delivery:
        body = {
            "specversion": "1.0",
            "id": f"sample-{path.stem}",
            "source": _SOURCE,
            "time": _TIME,
            **self.object_in(path),
        }
        reference = body.pop("reference", None)
        try:
            event = Event.from_dict(body)
            Registry.load().validate(event)
        except InvalidMessage as error:
            raise ConfigError(
                f"is no event that may be published: {error.pointer or '/'}: {error}", key=str(path)
            ) from None
        own = reference if reference is not None else reference_in(event, self.manifest.id)
        known = None if own is None else str(own)
        return Delivery(event, delivery_key(self.manifest.id, event), known, request_id=REQUEST_ID)

    # calls and questions

    @cached_property
    def webhooks(self) -> Sequence[bytes]:
        return [path.read_bytes() for path in self.files("webhooks", ".json")]

    @property
    def webhook_files(self) -> Sequence[str]:
        """Their names, below the folder of the connector."""
        return [str(path.relative_to(self.manifest.folder)) for path in self.files("webhooks", ".json")]

    @cached_property
    def asked(self) -> Sequence[Asked]:
        """One for each file of `questions/`, about somebody whom the package knows; `stranger` is about somebody else.
        Its fields are all that the manifest declares."""
        return [self._asked(path) for path in self.files("questions", ".json")]

    def _asked(self, path: Path) -> Asked:
        said = self.object_in(path)
        answered = self._answered(path, said)
        token = Secret(str(said["token"])) if "token" in said else None
        question = Question(
            id=f"sample-{path.stem}", evidence=answered.type, version=answered.version,
            fields=tuple(said.get("fields", answered.fields)), procedure=str(said.get("procedure", "formulaire-qf")),
            seconds=float(answered.seconds), identity=said.get("identity"), reference=said.get("reference"),
            parameters=said.get("parameters", {}), token=token,
        )  # fmt: skip
        return Asked(question, None if token is not None else _stranger(question, said.get("stranger", {})))

    def _answered(self, path: Path, said: Mapping[str, Any]) -> Answered:
        for one in self.manifest.answers:
            if (one.type, one.version) == (said.get("type"), said.get("version", 1)):
                return one
        raise ConfigError(f"asks for {said.get('type')!r}, which the connector does not answer", key=str(path))

    # the rest

    def answer(self, operation: str) -> Path | None:
        """The file with what the twin answers for an operation; None when there is none."""
        found = self.files("answers", "")
        return next((path for path in found if path.stem == file_name(operation)), None)

    @property
    def refusals(self) -> Sequence[tuple[Path, str, int]]:
        """The files with what the twin refuses with: the stem of the operation, and the status."""
        found = [(path, path.stem.rpartition(".")) for path in self.files("answers", ".json")]
        return [(path, name, int(code)) for path, (name, _, code) in found if _REFUSAL.fullmatch(f".{code}")]

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Those of `settings.toml`; texts of secret settings are Secrets."""
        path = self.folder / "settings.toml" if self.folder is not None else None
        if path is None or not path.exists():
            return {}
        try:
            said = tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"cannot be read as TOML: {error}", key=str(path)) from None
        known = self.manifest.settings.get("properties", {})
        return {name: Secret(value) if known.get(name, {}).get("secret") else value for name, value in said.items()}

    @cached_property
    def personal(self) -> Sequence[str]:
        """Names, addresses and the like in all samples: no log and no message may hold them. A code that `[[error]]`
        names is none."""
        codes = {code for one in self.manifest.declared.get("error", ()) for code in one.get("table", ())}
        found = {text for value in self._all() for text in personal_in(value)} - codes
        return sorted(found)

    def _all(self) -> Iterator[Any]:
        for first, second in self.turns:
            yield from (first.event.data, second.event.data)
        for name in ("events", "webhooks", "answers"):
            yield from (_json_of(path) for path in self.files(name, ".json"))

    def files(self, name: str, ending: str) -> Sequence[Path]:
        folder = self.folder / name if self.folder is not None else None
        if folder is None or not folder.is_dir():
            return ()
        return sorted(path for path in folder.iterdir() if path.is_file() and path.name.endswith(ending))

    def object_in(self, path: Path) -> Mapping[str, Any]:
        found = _json_of(path)
        if not isinstance(found, dict):
            raise ConfigError("holds no object", key=str(path))
        return found


def file_name(operation: str) -> str:
    """The name of an operation as the stem of a file: `GET users/{id}` as `GET-users-id`, its refusal
    `GET users/{id}.404` as `GET-users-id.404`."""
    name, status = operation[: -len(".422")], operation[-len(".422") :]
    name, status = (name, status) if _REFUSAL.fullmatch(status) else (operation, "")
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") + status


def personal_in(value: Any, name: str = "") -> Iterator[str]:
    """The texts of a value that tell who somebody is, by the names that they stand under."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            if not _NOT_PERSONAL.search(str(key)):
                own = str(key) if key not in ("value", "0") else name
                yield from personal_in(part, own if _PERSONAL.search(own) else name)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from personal_in(part, name)
    elif isinstance(value, str) and len(value) >= _SHORTEST and _PERSONAL.search(name):
        yield value


def _stranger(question: Question, said: Mapping[str, Any]) -> Question:
    """The same question about somebody whom nobody knows."""
    identity, reference = question.identity, question.reference
    if identity is not None:
        names = {name: another(identity[name]) for name in ("family_name",) if name in identity}
        identity = {**identity, **names}
    if reference is not None:
        reference = another(reference)
    changed = replace(question, id=f"{question.id}-stranger", identity=identity, reference=reference)
    return replace(changed, **said)


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot be read as JSON ({type(error).__name__})", key=str(path)) from None
