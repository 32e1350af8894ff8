"""The pages: `/docs`, the OpenAPI description set out to be read, and the preview of evidence. They load nothing from
elsewhere and run no script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader

from gateway.problems import codes
from hub.privacy import labels

_FOLDER = Path(__file__).with_name("templates")
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_CODE = re.compile(r"`([^`]+)`")
_TELLING = {"$ref", "type", "enum", "const", "allOf", "anyOf", "oneOf", "properties"}
Json = Mapping[str, Any]


class DocsPage:
    """`/docs`. `policy` is the Content-Security-Policy that fits it; `describe` gives the OpenAPI description, which is
    asked for once."""

    def __init__(self, describe: Callable[[], Json]) -> None:
        self._describe = describe
        self._style = (_FOLDER / "docs.css").read_text(encoding="utf-8")
        self.policy = _policy(self._style)

    @cached_property
    def html(self) -> str:
        return self._render(self._describe())

    def _render(self, document: Json) -> str:
        environment = _environment()
        environment.filters |= {"prose": _prose, "pretty": _pretty, "kind": _kind, "anchor": _anchor}
        return environment.get_template("docs.html").render(
            style=self._style, info=document["info"], sections=_sections(document),
            schemas=document["components"]["schemas"], codes=codes(),
            scopes=document["components"]["securitySchemes"]["client"]["flows"]["clientCredentials"]["scopes"],
        )  # fmt: skip


class PreviewPage:
    """What a citizen sees of evidence before it is used. `policy` is the Content-Security-Policy that fits it."""

    def __init__(self) -> None:
        self._style = (_FOLDER / "preview.css").read_text(encoding="utf-8")
        self.policy = f"{_policy(self._style)}; form-action 'self'"
        environment = _environment()
        environment.finalize = _legible
        environment.filters |= {"word": labels.member_label, "plain": labels.display_text}
        self._template = environment.get_template("preview.html")

    def html(
        self, kind: str, *, body: Json | None = None, labels: Json | None = None, decision: str = "",
        link: str | None = None, leave: bool = False, check: str = "",
    ) -> str:  # fmt: skip
        """`kind`: "gone", "sign-in", "failed", "other" (person), "signed-out" or "shown"; the last has a `body`.
        `labels`: see `Exchanges.labels`. `link`: where the page leads on; `leave`: at once. `check`: see the form."""
        return self._template.render(
            style=self._style, kind=kind, body=body, labels=labels or {}, decision=decision, link=link, leave=leave,
            check=check, zone=(labels or {}).get("zone"),
        )  # fmt: skip


def _environment() -> Environment:
    return Environment(loader=FileSystemLoader(_FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'"


def _sections(document: Json) -> list[dict[str, Any]]:
    found = list(_operations(document))
    return [{**tag, "operations": [o for o in found if tag["name"] in o["tags"]]} for tag in document["tags"]]


def _operations(document: Json) -> Iterator[dict[str, Any]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            yield {
                "parameters": [], "requestBody": None, "description": "", **operation, "method": method.upper(),
                "path": path, "scopes": [s for need in operation.get("security", []) for s in need.get("client", [])],
            }  # fmt: skip


def _legible(value: Any) -> Any:
    """What a person can read of a value: no control characters, and none that turn the direction of the text, with
    which a source could make it read otherwise than it is."""
    if value is None:
        return "non renseigné"
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return _UNSEEN.sub("", value)
    return value


# These three give HTML; what they are given is escaped in them.


def _prose(text: str) -> str:
    """Paragraphs, and code between backticks."""
    paragraphs = (_CODE.sub(r"<code>\1</code>", escape(part)) for part in text.strip().split("\n\n"))
    return "".join(f"<p>{part}</p>" for part in paragraphs)


def _kind(schema: Json | bool) -> str:
    """What a schema asks for, in a few words; a named one is a link."""
    if not isinstance(schema, Mapping):
        return "any"
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return f'<a href="#schema-{_anchor(name)}">{escape(name)}</a>'
    for rule, word in (("allOf", " and "), ("anyOf", " or "), ("oneOf", " or ")):
        parts = [part for part in schema.get(rule, ()) if not _TELLING.isdisjoint(part)]
        if parts:
            return word.join(_kind(part) for part in parts)
    if "enum" in schema:
        return escape(" | ".join("null" if value is None else str(value) for value in schema["enum"]))
    if "const" in schema:
        return escape(json.dumps(schema["const"]))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    kind = schema.get("type", "any")
    return escape(" or ".join(kind) if isinstance(kind, list) else schema.get("format", kind))


def _pretty(value: object) -> str:
    return escape(json.dumps(value, ensure_ascii=False, indent=2))


def _anchor(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()
