"""What `unefois check` says of the tables of the kind `soap`, beside their shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.kinds.checks import facts_known, unknown_names
from connectors.sdk.kinds.facts import DELIVERY_FACTS
from connectors.sdk.kinds.follow import FOLLOW_FACTS
from connectors.sdk.kinds.texts import texts_of
from connectors.sdk.mapping.places import Place
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.mapping.rows import read_table
from connectors.sdk.soap import SoapContract
from schemas.errors import ConfigError
from schemas.fault import Fault
from schemas.manifest import FILE
from schemas.shape import nearest

Found = Iterator[tuple[str, str]]
_AUTH: Mapping[str, tuple[str, ...]] = {
    "none": (), "basic": ("user", "password"), "ws-security": ("user", "password"),
    "session": ("operation", "token", "argument"),
}  # fmt: skip
_OPTIONAL = {"session": ("ask",)}
_KEY = "key:"


def soap_faults(raw: Mapping[str, Any]) -> Found:
    """Every fault of its own tables that a schema cannot say."""
    yield from _auth_faults(raw["soap"].get("auth", {"kind": "none"}))
    known = facts_known(raw)
    secrets = {name for name, part in raw.get("settings", {}).items() if _is_secret(part)}
    yield from _text_faults("soap.url", raw["soap"]["url"], known)
    yield from _text_faults("soap.probe", raw["soap"]["probe"], known)
    yield from _text_faults("soap.auth", raw["soap"].get("auth", {}), {*known, *secrets})
    yield from _text_faults("poll.ask", (raw.get("poll") or {}).get("ask", {}), known)
    for number, one in enumerate(raw.get("follow", ())):
        yield from _text_faults(f"follow[{number}].ask", one.get("ask", {}), {*known, FOLLOW_FACTS[0]})
    for number, one in enumerate(raw.get("deliver", ())):
        yield from _look_up_faults(f"deliver[{number}]", one, {*known, *DELIVERY_FACTS})


def contract_faults(raw: Mapping[str, Any], folder: Path) -> Iterator[Fault]:
    """What of the tables is not in the contract: operations, arguments, places of answers."""
    try:
        contract = SoapContract((folder / raw["soap"]["wsdl"]).resolve())
    except ConfigError as error:
        yield Fault(str(folder / FILE), "soap.wsdl", str(error))
        return
    for key, operation in _operations(raw):
        if operation not in contract.operations:
            said = f'the contract has no operation "{operation}"{nearest(operation, contract.operations)}'
            yield Fault(str(folder / FILE), key, said)
    found = [*_argument_faults(raw, contract), *_answer_faults(raw, contract)]
    yield from (Fault(str(folder / FILE), key, said) for key, said in found)
    yield from _target_faults(raw, folder / TABLE, contract)


def _auth_faults(auth: Mapping[str, Any]) -> Found:
    kind = auth["kind"]
    for name in _AUTH[kind]:
        if name not in auth:
            yield f"soap.auth.{name}", f"{kind} needs it"
    for name in auth.keys() - {"kind", *_AUTH[kind], *_OPTIONAL.get(kind, ())}:
        yield f"soap.auth.{name}", f"{kind} does not read it"


def _is_secret(part: Any) -> bool:
    return (part.get("type") if isinstance(part, Mapping) else part) == "secret"


def _text_faults(key: str, said: Any, known: Collection[str]) -> Found:
    for text in texts_of(said):
        yield from ((key, message) for message in unknown_names(text, known))


def _look_up_faults(place: str, one: Mapping[str, Any], known: Collection[str]) -> Found:
    if "look_up" in one and one.get("again") != "look-up":
        yield f"{place}.look_up", 'is not asked: again is not "look-up"'
    yield from _text_faults(f"{place}.look_up", one.get("look_up", {}).get("ask", {}), known)


def _operations(raw: Mapping[str, Any]) -> Found:
    """Every operation that the tables name, with its key."""
    soap = raw["soap"]
    places = [("soap.probe", soap["probe"]), ("soap.auth", soap.get("auth", {})), ("poll", raw.get("poll") or {})]
    for part in ("deliver", "follow", "answer"):
        for number, one in enumerate(raw.get(part, ())):
            places += [(f"{part}[{number}]", one), (f"{part}[{number}].look_up", one.get("look_up", {}))]
    yield from ((f"{key}.operation", one["operation"]) for key, one in places if "operation" in one)


def _argument_faults(raw: Mapping[str, Any], contract: SoapContract) -> Found:
    probe = {name: value for name, value in raw["soap"]["probe"].items() if name != "operation"}
    asked = [("soap.probe", raw["soap"]["probe"].get("operation"), probe)]
    auth, poll = raw["soap"].get("auth", {}), raw.get("poll") or {}
    asked += [("soap.auth.ask", auth.get("operation"), auth.get("ask", {}))]
    asked += [("poll.ask", poll.get("operation"), poll.get("ask", {}))]
    for part in ("deliver", "follow", "answer"):
        for number, one in enumerate(raw.get(part, ())):
            found = one.get("look_up", {})
            asked += [(f"{part}[{number}].ask", one.get("operation"), one.get("ask", {}))]
            asked += [(f"{part}[{number}].look_up.ask", found.get("operation"), found.get("ask", {}))]
    for key, operation, arguments in asked:
        yield from _missing(key, list(_paths(arguments)), contract, operation)
    for number, one in enumerate(raw.get("deliver", ())):
        if one.get("again", "").startswith(_KEY):
            yield from _missing(
                f"deliver[{number}].again", [one["again"].removeprefix(_KEY)], contract, one["operation"]
            )
    for name in ("paging", "cursor"):
        table = poll.get(name, {})
        said = [table[key] for key in ("argument", "size_argument") if key in table]
        yield from _missing(f"poll.{name}", said, contract, poll.get("operation"))
    if "argument" in auth:
        for key, operation in _operations(raw):
            if key != "soap.auth.operation":
                yield from _missing(f"{key.removesuffix('.operation')}", [auth["argument"]], contract, operation)


def _answer_faults(raw: Mapping[str, Any], contract: SoapContract) -> Found:
    """Places of answers that the contract does not have."""
    for number, one in enumerate(raw.get("deliver", ())):
        for key, table in ((f"deliver[{number}]", one), (f"deliver[{number}].look_up", one.get("look_up", {}))):
            if "reference" in table:
                said = [table["reference"]]
                yield from _missing(f"{key}.reference", said, contract, table.get("operation"), answer=True)
    for number, one in enumerate(raw.get("follow", ())):
        said = [one[key].rpartition(" | ")[0] or one[key] for key in ("status", "time", "label") if key in one]
        paths = [path for text in said for part in text.split("|") for path in part.split() if path != "+"]
        yield from _missing(f"follow[{number}]", paths, contract, one.get("operation"), answer=True)
    for key, table in (("soap.auth.token", raw["soap"].get("auth", {})), ("poll.list", raw.get("poll") or {})):
        name = key.rpartition(".")[2]
        if name in table:
            yield from _missing(key, [table[name]], contract, table.get("operation"), answer=True)


def _target_faults(raw: Mapping[str, Any], path: Path, contract: SoapContract) -> Iterator[Fault]:
    """Lines of the maps that make requests whose targets the contract does not have."""
    by_map = {one["map"]: one["operation"] for one in raw.get("deliver", ()) if "map" in one}
    for row in read_table(path).rows if by_map else ():
        if row.map in by_map:
            for key, message in _missing("target", [row.target], contract, by_map[row.map]):
                yield Fault(str(path), key, message, line=row.line)


def _missing(
    key: str, paths: list[str], contract: SoapContract, operation: str | None, *, answer: bool = False
) -> Found:
    if operation is None or operation not in contract.operations:
        return
    known = contract.places(operation, answer=answer)
    if known is None:
        return
    for path in paths:
        steps = "/".join(step for step in Place.of(path).steps if not step.isdecimal())
        if steps not in known:
            whose = "answer" if answer else "request"
            yield key, f'the {whose} of {operation} has no "{steps}"{nearest(steps, known)}'


def _paths(arguments: Any, before: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(arguments, Mapping):
        for name, part in arguments.items():
            yield from _paths(part, (*before, str(name)))
    elif isinstance(arguments, list):
        for part in arguments:
            yield from _paths(part, before)
    else:
        yield "/".join(before)
