"""What a twin answers to the operations of an OpenAPI document: samples, the contract's examples, values made of it."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.contract.openapi import JSON, content_of, successes
from connectors.sdk.contract_twins.openapi_check import OpenApiCheck, Route
from connectors.sdk.contract_twins.values import Values
from connectors.sdk.twin import TwinAnswer, TwinCall
from schemas.errors import ConfigError

_BRANCHES = 4  # of alternatives that are tried: the first may fit two of them, and so none
_TEXT = "exemple"


class Answers:
    """The answers of one document. `samples`: the file with the answer to an operation, or to
    `<operation>.<status>` with a refusal; None without one."""

    def __init__(self, check: OpenApiCheck, samples: Callable[[str], Path | None]) -> None:
        self._check, self._samples = check, samples
        self._made: dict[tuple[str, str], Any] = {}

    def body(self, route: Route, status: str = "") -> Any:
        """The sample of an operation, the contract's example, or a value made of its schema: the first that is allowed.
        None where the contract says nothing. Raises ConfigError for a sample that it does not allow, and where nothing
        that is made is allowed."""
        key = route.name, status or success_of(route)
        if key not in self._made:
            self._made[key] = self._new_body(route, key[1])
        return copy.deepcopy(self._made[key])

    def answer(self, route: Route, body: Any, status: str = "") -> TwinAnswer:
        """This body as the operation answers it."""
        status = status or success_of(route)
        kind, _ = self.content(route, status)
        headers = made_headers(self._check, route, status) | (
            {"Content-Type": kind} if kind and "*" not in kind else {}
        )
        text = isinstance(body, str) and JSON.match(kind)
        return TwinAnswer(number_of(status), json.dumps(body).encode() if text else body, headers)

    def refusal(self, route: Route, status: int) -> TwinAnswer:
        """A no, in the words of the contract where it has some."""
        _, said = self.content(route, str(status))
        shown = "schema" in said or self._samples(f"{route.name}.{status}") is not None
        body = self.body(route, str(status)) if shown else {"error": str(status)}
        return self.answer(route, body, str(status))

    def content(self, route: Route, status: str) -> tuple[str, Mapping[str, Any]]:
        """The media type of an answer, and what the contract says of it."""
        return content_of(self._check.said(route, status))

    def fault(self, route: Route, body: Any, status: str = "") -> str:
        """Why the contract does not allow this body; "" when it does."""
        status = status or success_of(route)
        path = self._check.base + route.path.replace("{", "").replace("}", "")
        call = TwinCall(route.method.upper(), path, {}, {}, b"")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = made_headers(self._check, route, status) | {"Content-Type": self.content(route, status)[0]}
        return self._check.answer_fault(call, TwinAnswer(number_of(status), content, headers))

    def _new_body(self, route: Route, status: str) -> Any:
        kind, said = self.content(route, status)
        sample = self._samples(f"{route.name}.{status}" if status.startswith(("4", "5")) else route.name)
        if sample is not None:
            return self._sample(route, sample, status)
        if "schema" not in said:
            return said.get("example", {} if JSON.match(kind) else None)
        if not JSON.match(kind):
            return _TEXT
        for made in self._candidates(said):
            if not self.fault(route, made, status):
                return made
        raise ConfigError(f"{route.name}: no answer could be made of its schema: write one into the samples")

    def _candidates(self, said: Mapping[str, Any]) -> Iterator[Any]:
        if "example" in said:
            yield said["example"]
        schemas = self._check.schemas
        for one in (said.get("examples") or {}).values():
            yield schemas.at(one).get("value")
        yield Values(schemas, examples=True).made(said["schema"])
        yield from (Values(schemas.taking(branch)).made(said["schema"]) for branch in range(_BRANCHES))
        yield Values(schemas, bare=True).made(said["schema"])

    def _sample(self, route: Route, path: Path, status: str) -> Any:
        try:
            content = path.read_bytes()
            found = json.loads(content) if path.suffix == ".json" else content
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot be read ({type(error).__name__})", key=str(path)) from None
        fault = self.fault(route, found, status)
        if fault and self.content(route, status)[0]:
            raise ConfigError(f"the contract does not allow it as an answer to {route.name}: {fault}", key=str(path))
        return found


def success_of(route: Route) -> str:
    """The status of its success, as the contract writes it."""
    return (successes(route.own) or ["200"])[0]


def number_of(status: str) -> int:
    """`201`, `2XX` and `default` as a number."""
    return int(status) if status.isdecimal() else int(status[0]) * 100 if status[:1].isdecimal() else 200


def made_headers(contract: OpenApiCheck, route: Route, status: str) -> dict[str, str]:
    """A value for each header that an answer must bear."""
    values = Values(contract.schemas)
    made = {name: values.made(schema) for name, schema in contract.answer_headers(route, status).items()}
    return {name: str(one).lower() if isinstance(one, bool) else str(one) for name, one in made.items()}
