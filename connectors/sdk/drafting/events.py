"""Sample events about invented people, for the deliveries of a drafted connector."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from connectors.sdk.drafting.invented import shared_value
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.pointers import steps_of
from schemas.registry import Registry

_SOURCE = "/saint-aubin/portail"
_TIME = "2026-03-02T09:00:00Z"


class SampleEvents:
    """Two events of one type that say something different of the same thing: the second where `variant` is 1."""

    def __init__(self, registry: Registry, carries: str, version: int, system: str) -> None:
        self._registry, self._carries, self._version, self._system = registry, carries, version, system
        self._example = registry.schema(carries, version)["examples"][0]
        if carries == "citizen.contact-changed":  # its example says one way to reach somebody; the sample says both
            self._example = {**self._example, "phone": {**self._example["email"], "value": _said("phone", 0)}}

    def data(self, reference: str, values: Mapping[str, Any], variant: int = 0) -> dict[str, Any]:
        """The data with each of `values` at its pointer, as far as the schema takes it."""
        found: dict[str, Any] = copy.deepcopy(self._example)
        _people(found, variant)
        _named(found, self._system, reference)
        for pointer, value in values.items():
            tried = copy.deepcopy(found)
            _put(tried, pointer, value)
            if self._valid(tried):
                found = tried
        return found

    def takes(self, reference: str, pointer: str, value: Any) -> bool:
        """Whether the sample can say this."""
        found = self.data(reference, {pointer: value})
        return bool(_at(found, pointer) == value)

    def event(self, name: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """The event, as a CloudEvent."""
        return Event(self._carries, _SOURCE, data, id=name, time=_TIME, version=self._version).to_dict()

    def _valid(self, data: Mapping[str, Any]) -> bool:
        try:
            self._registry.validate(Event(self._carries, _SOURCE, data, id="sample", version=self._version))
        except InvalidMessage:
            return False
        return True


def _people(value: Any, variant: int) -> None:
    """Everybody in an example becomes somebody invented here, with all that may be said of a person."""
    for name, part in list(value.items()) if isinstance(value, dict) else ():
        if name == "citizen" and isinstance(part, dict):
            part["identity"] = {
                "family_name": _said("family_name", 0), "given_names": [_said("given_names", 0)],
                "birthdate": _said("birthdate", 0), "gender": _said("gender", 0), "birthplace": _said("birthplace", 0),
                "birthcountry": _said("birthcountry", 0),
            }  # fmt: skip
            part |= {"email": _said("email", variant), "phone": _said("phone", variant)}
            names = ("house_number", "street", "postal_code", "city", "insee_code")
            part["address"] = {one: _said(one, variant) for one in names}
        else:
            _people(part, variant)


def _said(name: str, variant: int) -> Any:
    return shared_value(name, variant)


def _named(data: dict[str, Any], system: str, reference: str) -> None:
    """What the event is about is known in the package by `reference`."""
    for owner in ("citizen", "request"):
        if isinstance(data.get(owner), dict):
            data[owner]["references"] = [{"system": system, "id": reference}]


def _put(data: Any, pointer: str, value: Any) -> None:
    steps = steps_of(pointer)
    for at, step in enumerate(steps):
        last = at == len(steps) - 1
        made: Any = value if last else [] if steps[at + 1].isdigit() else {}
        if isinstance(data, list):
            data.extend([made] if int(step) >= len(data) else [])
            data[int(step) if int(step) < len(data) else -1] = value if last else data[int(step)]
            data = data[int(step)]
        elif isinstance(data, dict):
            data[step] = value if last else data.get(step, made)
            data = data[step]
        else:
            return


def _at(data: Any, pointer: str) -> Any:
    for step in steps_of(pointer):
        if isinstance(data, dict):
            data = data.get(step)
        elif isinstance(data, list) and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data
