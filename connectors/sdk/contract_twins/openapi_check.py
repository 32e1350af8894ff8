"""Calls and answers held against an OpenAPI document. The only file that imports openapi-core."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from openapi_core import Config, OpenAPI
from openapi_core.templating.datatypes import TemplateResult
from openapi_core.templating.paths.datatypes import PathOperationServer
from openapi_core.templating.paths.exceptions import OperationNotFound, PathNotFound
from openapi_core.testing import MockRequest, MockResponse

from connectors.sdk.contract.openapi import (
    FORMS,
    JSON,
    OWN_HEADERS,
    base_of,
    openapi_document,
    operation_name,
    operations_of,
    successes,
)  # fmt: skip
from connectors.sdk.contract.schemas import Schemas
from connectors.sdk.twin import TwinAnswer, TwinCall

_PLACEHOLDER = re.compile(r"\\\{([^{}]+)\\\}")
_LONGEST_NAME = 60
_HOST = "http://127.0.0.1"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of a document: its path as it is written there, what its path says of all its methods, its own."""

    path: str
    method: str
    shared: Mapping[str, Any]
    own: Mapping[str, Any]
    pattern: re.Pattern[str]

    @property
    def name(self) -> str:
        return operation_name(self.method, self.path)


Beyond = frozenset[tuple[str, str]]
"""What calls may bear though the contract does not know it: an operation (`*`: all of them), and a parameter of its
query or BODY."""
BODY = "body"


@lru_cache(maxsize=64)
def _check_of(path: Path, changed: int, beyond: Beyond) -> OpenApiCheck:
    return OpenApiCheck(openapi_document(path), beyond)


def check_of(path: Path, beyond: Beyond = frozenset()) -> OpenApiCheck:
    """The check of a file, made once for as long as it does not change. Raises as `openapi_document`."""
    return _check_of(path, path.stat().st_mtime_ns if path.exists() else 0, beyond)


class OpenApiCheck:
    """A `ContractChecker`. Share it between threads and twins: it keeps nothing of what it reads."""

    def __init__(self, document: Mapping[str, Any], beyond: Beyond = frozenset()) -> None:
        self.document, self.base, self.beyond = document, base_of(document), beyond
        self.schemas = Schemas(document)
        self.routes = sorted(_routes(document), key=lambda route: route.pattern.groups)  # the literal path first
        own = {name: part for name, part in document.items() if name not in ("servers", "security")}
        kinds: dict[str, Callable[..., Any]] = {
            kind: _json if JSON.match(kind) else _text for kind in _media_types(document) if kind not in FORMS
        }
        config = Config(
            spec_validator_cls=None, path_finder_cls=_finder(self.routes), extra_media_type_deserializers=kinds
        )
        self._core = OpenAPI.from_dict(_without_own_headers(_without_security(own), self.schemas), config=config)

    # calls

    def route(self, method: str, path: str) -> Route | None:
        """The operation of a call; None for a path or a method that the contract does not name. Raises nothing."""
        found = self._below_base(path)
        return _matching(self.routes, method.lower(), found) if found is not None else None

    def names_path(self, path: str) -> bool:
        found = self._below_base(path)
        return found is not None and any(route.pattern.fullmatch(found) for route in self.routes)

    def arguments(self, route: Route, path: str) -> Mapping[str, str]:
        """The values of the placeholders of its path."""
        return _arguments(route, self._below_base(path) or "")

    def query_names(self, route: Route) -> Sequence[str]:
        """The names of the query parameters of an operation."""
        return [str(one.get("name")) for one in self._in_query(route)]

    def _in_query(self, route: Route) -> list[Mapping[str, Any]]:
        said = [*(route.shared.get("parameters") or ()), *(route.own.get("parameters") or ())]
        return [one for one in map(self.schemas.at, said) if one.get("in") == "query"]

    def said(self, route: Route, status: str) -> Mapping[str, Any]:
        """What an operation says of the answers of a status; {} for nothing."""
        responses = route.own.get("responses") or {}
        known = next((name for name in (status, f"{status[:1]}XX", "default") if name in responses), None)
        return self.schemas.at(responses[known]) if known is not None else {}

    def answer_headers(self, route: Route, status: str) -> Mapping[str, Any]:
        """The schema of each header that an answer must bear, by its name."""
        said = self.said(route, status).get("headers") or {}
        found = {name: self.schemas.at(one) for name, one in said.items() if name.lower() != "content-type"}
        return {name: one.get("schema") or {} for name, one in found.items() if one.get("required")}

    def unproved(self, route: Route, call: TwinCall) -> bool:
        """Whether the call bears none of the proofs that the contract asks for."""
        schemes = self._schemes(route)
        return bool(schemes) and not any(all(_borne(scheme, call) for scheme in one) for one in schemes)

    def _schemes(self, route: Route) -> list[list[Mapping[str, Any]]]:
        asked = route.own.get("security", self.document.get("security")) or []
        known = (self.document.get("components") or {}).get("securitySchemes") or {}
        return [[self.schemas.at(known.get(name)) for name in one] for one in asked]

    def request_fault(self, call: TwinCall) -> str:
        route = self.route(call.method, call.path)
        if route is None:
            known = self.names_path(call.path)
            return f"{call.method} is no method of this path" if known else "the contract names no such path"
        if self.unproved(route, call):
            return "bears none of the proofs that the contract asks for"
        return self.content_fault(call)

    def content_fault(self, call: TwinCall) -> str:
        """What is wrong in the parameters or the body of a call whose path the contract names."""
        route = self.route(call.method, call.path)
        unknown = [*self._unknown(route, call)] if route is not None else []
        wrong = _joined(self._core.iter_apicall_request_errors(self._request(call)))
        return "; ".join([*unknown, *([wrong] if wrong else [])])

    def _unknown(self, route: Route, call: TwinCall) -> Iterator[str]:
        """What a call bears that the contract of its operation does not know."""
        beyond = {what for operation, what in self.beyond if operation in ("*", route.name)}
        if call.body and BODY not in beyond and "requestBody" not in route.own:
            yield "the contract knows no body of this call"
        parameters = self._in_query(route)
        if any(self._is_spread(one) for one in parameters):
            return
        known = {str(one.get("name")) for one in parameters} | beyond
        known |= {
            str(one.get("name")) for schemes in self._schemes(route) for one in schemes if one.get("in") == "query"
        }
        for name in call.query:
            if name not in known and name.partition("[")[0] not in known:
                yield f"the contract knows no parameter `{name[:_LONGEST_NAME]}`"

    def _is_spread(self, parameter: Mapping[str, Any]) -> bool:
        """A table that is said member by member, under names of its own."""
        schema = self.schemas.at(parameter.get("schema") or {})
        table = schema.get("type") == "object" or "properties" in schema
        return table and parameter.get("style", "form") == "form" and parameter.get("explode", True)

    # answers

    def answer_fault(self, call: TwinCall, answer: TwinAnswer) -> str:
        route = self.route(call.method, call.path)
        responses = (route.own.get("responses") or {}) if route is not None else {}
        known = (str(answer.status), f"{answer.status // 100}XX", "default")
        if route is None or not any(name in responses for name in known):
            # a refusal that nobody wrote down is still one; another success than those written down is an invention
            invented = route is not None and bool(successes(route.own)) and answer.status < 400
            return f"the contract names no answer {answer.status}" if invented else ""
        return _joined(self._core.iter_apicall_response_errors(self._request(call), self._response(answer)))

    def _below_base(self, path: str) -> str | None:
        return path[len(self.base) :] if path.startswith(f"{self.base}/") or path == self.base else None

    def _request(self, call: TwinCall) -> MockRequest:
        query: Any = call.query if not call.query_string else parse_qs(call.query_string, keep_blank_values=True)
        kind = call.headers.get("content-type", "")
        return MockRequest(
            _HOST, call.method, self._below_base(call.path) or "", args=query, headers=dict(call.headers),
            data=call.body, cookies=_cookies(call), content_type=kind,
        )  # fmt: skip

    def _response(self, answer: TwinAnswer) -> MockResponse:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        body = answer.body
        plain = body is None or isinstance(body, bytes | str)
        content = (body.encode() if isinstance(body, str) else body or b"") if plain else json.dumps(body).encode()
        usual = "application/json" if not plain else "application/octet-stream"
        return MockResponse(content, answer.status, dict(headers), headers.get("content-type", usual))


def _json(body: bytes, **parameters: str) -> Any:
    return json.loads(body)  # JSON is UTF-8, whatever charset is named beside it (RFC 8259, 11)


def _text(body: bytes, **parameters: str) -> str:
    """What is no JSON and no form is a text, whatever is in it: no schema of ours can say more."""
    return body.decode("latin-1")


def _media_types(node: Any) -> Iterator[str]:
    for name, part in node.items() if isinstance(node, Mapping) else enumerate(node) if isinstance(node, list) else ():
        if name == "content" and isinstance(part, Mapping):
            yield from part
        yield from _media_types(part)


def _routes(document: Mapping[str, Any]) -> Iterator[Route]:
    for path, method, shared, own in operations_of(document):
        pattern = _PLACEHOLDER.sub("([^/]+?)", re.escape(path))
        yield Route(path, method, shared, own, re.compile(pattern))


def _matching(routes: Sequence[Route], method: str, path: str) -> Route | None:
    """A literal path goes before one with a name, so that `/users/me` is no user."""
    found = (route for route in routes if route.pattern.fullmatch(path or "/") or route.pattern.fullmatch(path))
    return next((route for route in found if route.method == method), None)


def _arguments(route: Route, path: str) -> Mapping[str, str]:
    match = route.pattern.fullmatch(path)
    return dict(zip(re.findall(r"\{([^{}]+)\}", route.path), match.groups() if match else (), strict=False))


def _finder(routes: Sequence[Route]) -> Any:
    """How openapi-core finds the operation: as we do, since its own way takes the end of a path for the whole."""

    class Finder:
        def __init__(self, spec: Any, base_url: Any = None) -> None:
            self._spec = spec

        def find(self, method: str, name: str) -> PathOperationServer:
            path = name.removeprefix(_HOST)
            route = _matching(routes, method, path)
            if route is None:
                raise PathNotFound(name) if not any(r.pattern.fullmatch(path) for r in routes) else OperationNotFound(
                    name, method
                )  # fmt: skip
            item = self._spec / "paths" / route.path
            result = TemplateResult(route.path, dict(_arguments(route, path)))
            return PathOperationServer(item, item / method, None, result, TemplateResult("", {}))

    return Finder


def _without_security(document: Mapping[str, Any]) -> dict[str, Any]:
    """Proofs are looked for here: openapi-core knows no OAuth."""
    paths = {
        path: {
            name: {key: one for key, one in part.items() if key not in ("security", "servers")}
            if isinstance(part, Mapping)
            else part
            for name, part in item.items()
            if name != "servers"
        }
        for path, item in document["paths"].items()
        if isinstance(item, Mapping)
    }
    return {**document, "paths": paths}


def _without_own_headers(document: dict[str, Any], schemas: Schemas) -> dict[str, Any]:
    """A parameter of the header `Authorization`, `Accept` or `Content-Type` is to be ignored, says OpenAPI."""

    def asked(holder: Any) -> Any:
        if not isinstance(holder, Mapping) or "parameters" not in holder:
            return holder
        known = [one for one in holder["parameters"] or () if not _is_own_header(schemas.at(one))]
        return {**holder, "parameters": known}

    paths = {path: {name: asked(own) for name, own in asked(item).items()} for path, item in document["paths"].items()}
    return {**document, "paths": paths}


def _is_own_header(parameter: Mapping[str, Any]) -> bool:
    return parameter.get("in") == "header" and str(parameter.get("name", "")).lower() in OWN_HEADERS


def _cookies(call: TwinCall) -> dict[str, str]:
    pairs = (part.strip().partition("=") for part in call.headers.get("cookie", "").split(";"))
    return {name: value for name, mark, value in pairs if mark}


def _borne(scheme: Mapping[str, Any], call: TwinCall) -> bool:
    name, kind = str(scheme.get("name", "")), scheme.get("type")
    if kind == "apiKey":
        places: Mapping[str, Mapping[str, str]] = {
            "header": call.headers,
            "query": call.query,
            "cookie": _cookies(call),
        }
        key = name.lower() if scheme.get("in") == "header" else name
        return bool(places.get(str(scheme.get("in")), {}).get(key))
    word = str(scheme.get("scheme", "bearer")).lower() if kind == "http" else "bearer"
    given, _, proof = call.headers.get("authorization", "").partition(" ")
    return kind in ("mutualTLS", None) or (given.lower() == word and bool(proof))


def _joined(errors: Any) -> str:
    try:
        return "; ".join(dict.fromkeys(_sentences(errors)))
    except RecursionError:
        return "body: too deep"


def _sentences(errors: Any) -> Iterator[str]:
    """What openapi-core found, by places and rules alone: its own texts repeat the values."""
    for error in errors:
        name, where = getattr(error, "name", ""), getattr(error, "location", "")
        place = f"{where} parameter {name}" if where else f"header {name}" if name else "body"
        rules = list(_rules(error)) or [_words(type(error).__name__)]
        yield from (f"{place}{rule if rule.startswith('/') else ': ' + rule}" for rule in rules)


def _rules(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        for one in getattr(error, "schema_errors", ()):
            place = "".join(f"/{step}" for step in one.absolute_path)
            asked = f" ({_missing(one)})" if one.validator == "required" else ""
            yield f"{place}: {one.validator}{asked}" if place else f"{one.validator}{asked}"
        error = error.__cause__


def _missing(error: Any) -> str:
    held = error.instance if isinstance(error.instance, Mapping) else {}
    return ", ".join(str(name) for name in error.validator_value if name not in held)


def _words(name: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", r" \1", name).lower()
