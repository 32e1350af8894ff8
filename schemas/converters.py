"""From one version of an event type to another: pure functions, one for each step up or down.

    @converter("citizen.address-changed", 1, 2)
    def _(data):
        return {**data, "moved_on": data.get("effective_on")}

`schemas/evolution.py` asks for both directions of a step whenever the two versions are not compatible by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from schemas.errors import InvalidMessage
from schemas.event import Event

Convert = Callable[[Mapping[str, Any]], Mapping[str, Any]]


class Converters:
    """The steps between neighbouring versions. A step never changes what it is given, always gives the same answer,
    and raises Refused when the data cannot be said in the other version."""

    def __init__(self) -> None:
        self._steps: dict[tuple[str, int, int], Convert] = {}

    def register(self, event_type: str, origin: int, target: int) -> Callable[[Convert], Convert]:
        """Decorator. ValueError when the versions are not neighbours or the step is already there."""
        step = (event_type, origin, target)
        if abs(target - origin) != 1 or step in self._steps:
            raise ValueError(f"{event_type}: one converter for each step, v{origin} to v{target} is not one")

        def register_step(convert: Convert) -> Convert:
            self._steps[step] = convert
            return convert

        return register_step

    def lead(self, event_type: str, origin: int, target: int) -> bool:
        """Whether every step from `origin` to `target` is there."""
        return all((event_type, *step) in self._steps for step in _steps(origin, target))

    def convert(self, event: Event, version: int) -> Event:
        """The same event (`id`, `source`, ...) with its data said in another version. Raises InvalidMessage, code
        `no_converter`, when a step is missing, and what the steps raise."""
        data = event.data
        for step in _steps(event.version, version):
            convert = self._steps.get((event.type, *step))
            if convert is None:
                raise InvalidMessage(
                    f"there is no converter from v{step[0]} to v{step[1]}", pointer="/dataschema", code="no_converter"
                )
            data = convert(data)
        return event if version == event.version else replace(event, version=version, data=data)


def _steps(origin: int, target: int) -> list[tuple[int, int]]:
    way = 1 if target > origin else -1
    return [(version, version + way) for version in range(origin, target, way)]


CONVERTERS = Converters()
converter = CONVERTERS.register
convert = CONVERTERS.convert


# The steps. What a version says for the first time, an older one leaves out.

_CHANNELS_OF_V1 = {"email": "online", "authority": "mail", "unstated": "online"}
_NEW_IN_STATUS_V2 = frozenset({"expected_of_citizen", "documents_until", "transcribes"})


@converter("request.status-changed", 1, 2)
def _same(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return data


@converter("request.status-changed", 2, 1)
def _status_changed_v1(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in data.items() if name not in _NEW_IN_STATUS_V2}


@converter("request.received", 1, 2)
def _request_received_v2(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**data, "request": _with_people(data["request"], _address_v2)}


@converter("request.received", 2, 1)
def _request_received_v1(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """A channel that version 1 does not know is told as the nearest: electronic mail is online (CRPA, art. L112-8)."""
    record = {name: value for name, value in data["request"].items() if name != "received"}
    for name in record.keys() & {"intake", "reply"}:
        record[name] = _CHANNELS_OF_V1.get(record[name], record[name])
    return {**data, "request": _with_people(record, _address_v1)}


@converter("citizen.address-changed", 1, 2)
def _address_changed_v2(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return _with_addresses(data, _address_v2)


@converter("citizen.address-changed", 2, 1)
def _address_changed_v1(data: Mapping[str, Any]) -> Mapping[str, Any]:
    return _with_addresses(data, _address_v1)


Data = Mapping[str, Any]
Change = Callable[[Data], Data]

NO_POSTAL_CODE = "00000"
"""What a reader of version 1 is told where an address has no postal code: version 1 asks for one."""


def _address_v2(address: Data) -> Data:
    """A French postal code that lost its leading zero before the door looked at it gets it back."""
    code = str(address["postal_code"])
    short = address.get("country", "FR") == "FR" and len(code) == 4 and code.isascii() and code.isdigit()
    return {**address, "postal_code": f"0{code}"} if short else address


def _address_v1(address: Data) -> Data:
    told = {name: value for name, value in address.items() if name not in ("domiciled_with", "no_fixed_abode")}
    host = address.get("domiciled_with")
    said = " – ".join(part for part in (f"chez {host}" if host else "", address.get("complement", "")) if part)
    return {"postal_code": NO_POSTAL_CODE, **told} | ({"complement": said[:200]} if said else {})


def _with_addresses(data: Data, change: Change) -> Data:
    """An `address-changed` with each of its addresses changed."""
    made = {**data, "citizen": _person_with(data["citizen"], change)}
    made["new_address"] = {**data["new_address"], "value": change(data["new_address"]["value"])}
    if "old_address" in data:
        made["old_address"] = change(data["old_address"])
    if "household" in data:
        made["household"] = [_person_with(person, change) for person in data["household"]]
    return made


def _with_people(record: Data, change: Change) -> Data:
    """A record `request` with the address of each of its people changed."""
    made = {**record, "requester": _party_with(record["requester"], change)}
    if "beneficiaries" in record:
        made["beneficiaries"] = [_person_with(person, change) for person in record["beneficiaries"]]
    if agent := record.get("representative"):
        made["representative"] = {**agent, "person": _party_with(agent["person"], change)}
    return made


def _party_with(party: Data, change: Change) -> Data:
    return {**party, "citizen": _person_with(party["citizen"], change)} if "citizen" in party else party


def _person_with(person: Data, change: Change) -> Data:
    return {**person, "address": change(person["address"])} if "address" in person else person
