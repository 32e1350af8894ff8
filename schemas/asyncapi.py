"""The AsyncAPI 3.0 description of what passes over the broker: what is the same for all event types in `asyncapi.json`,
the rest made from the registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from schemas.event import MAX_BATCH, Event
from schemas.registry import Registry, definition_of, embedded
from schemas.validators import opened, rewritten

# Our schemas are of 2020-12, where `$ref` has neighbours and objects are closed by `unevaluatedProperties`.
DIALECT = "application/schema+json;version=draft-2020-12"
RECEIPT = "urn:unefois:record:receipt:v1"


def asyncapi(registry: Registry, server_host: str | None = None, version: str = "1") -> dict[str, Any]:
    """The document served at `/asyncapi.json`. `server_host`: `host:port` of the broker, None to name no server."""
    document: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
    document["info"]["version"] = version
    lines = registry.listing()
    names = [f"{line['type']}.v{line['version']}" for line in lines]
    passing = {
        "inlet": {name: name for name in [*names, "batch"]}, "receipts": {"receipt": "receipt"},
        "outlet": {name: f"view.{name}" for name in names},
    }  # fmt: skip
    for channel, messages in passing.items():
        document["channels"][channel]["messages"] = {
            name: {"$ref": f"#/components/messages/{message}"} for name, message in messages.items()
        }
    accept, deliver = document["operations"]["acceptEvent"], document["operations"]["deliverEvent"]
    accept |= _through("inlet", passing) | {"reply": _through("receipts", passing)}
    deliver |= _through("outlet", passing)
    components = document["components"]
    components["messages"] |= _messages(registry, lines)
    receipts = registry.schema_set.schemas[RECEIPT]["examples"]
    components["messages"]["receipt"]["examples"] = [{"payload": example} for example in receipts]
    components["schemas"] = _schemas(registry, components["schemas"])
    if server_host:
        security = [{"$ref": f"#/components/securitySchemes/{name}"} for name in ("user", "certificate")]
        broker = {"host": server_host, "protocol": "amqps", "protocolVersion": "0-9-1", "security": security}
        document["servers"] = {"broker": broker}
    return document


def _through(channel: str, passing: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in passing[channel]],
    }


def _messages(registry: Registry, lines: list[dict[str, Any]]) -> dict[str, Any]:
    messages: dict[str, Any] = {}
    for line in lines:
        name = f"{line['type']}.v{line['version']}"
        examples = registry.schema(line["type"], line["version"])["examples"]
        message = {"name": line["type"], "title": line["title"], "summary": line["description"]}
        message["correlationId"] = {"location": "$message.payload#/id"}
        messages[name] = message | {
            "payload": _link(f"event.{name}"),
            "examples": [{"payload": _example(line["type"], line["version"], data)} for data in examples],
        }
        messages[f"view.{name}"] = message | {"payload": _link(f"event.view.{name}")}
    return messages


def _link(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _inside(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}/schema"}


def _schemas(registry: Registry, own: dict[str, Any]) -> dict[str, Any]:
    bodies: dict[str, Any] = {name: one["schema"] for name, one in own.items()}
    for uri, schema in registry.schema_set.schemas.items():
        if uri.startswith("urn:unefois:evidence:"):  # asked for and answered at once, never told
            continue
        name = definition_of(uri)
        bodies[name] = embedded(schema, lambda definition: _inside(definition)["$ref"])
        bodies[f"view.{name}"] = embedded(viewed(schema), lambda definition: _inside(f"view.{definition}")["$ref"])
    for line in registry.listing():
        name = f"{line['type']}.v{line['version']}"
        for face in ("", "view."):
            fixed = {
                "type": {"const": line["type"]},
                "dataschema": {"const": line["dataschema"]},
                "data": _inside(f"{face}{name}"),
            }
            bodies[f"event.{face}{name}"] = _inside("envelope") | {"properties": fixed}
    events = [_inside(f"event.{line['type']}.v{line['version']}") for line in registry.listing()]
    bodies["batch"] = {"type": "array", "maxItems": MAX_BATCH, "items": {"anyOf": events}}
    return {name: {"schemaFormat": DIALECT, "schema": body} for name, body in bodies.items()}


def viewed(schema: Any) -> Any:
    """The same schema for data of which only some fields were granted: open, and nothing is sure to be there."""
    return rewritten(opened(schema), _without_demands)


def _without_demands(part: dict[str, Any]) -> dict[str, Any]:
    return {
        keyword: value
        for keyword, value in part.items()
        # A condition may look at what was not granted: it says nothing of the rest.
        if keyword not in ("required", "examples", "if", "then", "else")
        and not (keyword in ("anyOf", "oneOf", "allOf") and all(branch == {} for branch in value))
    }


def _example(event_type: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
    source, time = "/valbruyere/publik", "2026-03-02T09:14:05.120Z"
    return Event(type=event_type, source=source, data=data, id="e-1", time=time, version=version).to_dict()
