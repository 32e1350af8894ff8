"""The AsyncAPI 3.0 description of what passes over the broker, made from the registry."""

from __future__ import annotations

from typing import Any

from schemas.event import BATCH, MAX_BATCH, MAX_EVENT_BYTES, STRUCTURED, Event
from schemas.registry import Registry, definition_of, embedded
from schemas.validators import opened, rewritten

# Our schemas are of 2020-12, where `$ref` has neighbours and objects are closed by `unevaluatedProperties`.
DIALECT = "application/schema+json;version=draft-2020-12"
INLET = "unefois.in"
OUTLET = "unefois.out.{tenant}.{connection}"
RECEIPTS = "unefois.receipts.{user}"
RECEIPT = "urn:unefois:record:receipt:v1"

_DESCRIPTION = f"""
Packages publish CloudEvents to `{INLET}`, each as its own broker user, and find a receipt for each of them in the queue
of that user. They read what they are granted from their own queue. A published message is safe once the broker has
confirmed it; it is accepted or refused by its receipt. The pair `source` and `id` names an event for ever: publish it
again, unchanged, when in doubt. Events of one subject arrive in their order, and now and then twice.
""".strip()


def asyncapi(registry: Registry, server_host: str | None = None, version: str = "1") -> dict[str, Any]:
    """The document served at `/asyncapi.json`. `server_host`: `host:port` of the broker, None to name no server."""
    lines = registry.listing()
    names = [f"{line['type']}.v{line['version']}" for line in lines]
    document: dict[str, Any] = {
        "asyncapi": "3.0.0",
        "id": "urn:unefois:broker",
        "info": {"title": "Unefois: events over the broker", "version": version, "description": _DESCRIPTION},
        "defaultContentType": STRUCTURED,
        "channels": _channels(names),
        "operations": _operations(names),
        "components": {
            "schemas": _schemas(registry),
            "messages": _messages(registry, lines),
            "securitySchemes": {
                "user": {"type": "userPassword", "description": "Each package has its own broker user."},
                "certificate": {"type": "X509", "description": "A client certificate, where the town asks for one."},
            },
        },
    }
    if server_host:
        schemes = ("user", "certificate")
        document["servers"] = {
            "broker": {
                "host": server_host,
                "protocol": "amqps",
                "protocolVersion": "0-9-1",
                "security": [{"$ref": f"#/components/securitySchemes/{name}"} for name in schemes],
            }
        }
    return document


def _channels(names: list[str]) -> dict[str, Any]:
    published = {name: {"$ref": f"#/components/messages/{name}"} for name in names}
    delivered = {name: {"$ref": f"#/components/messages/view.{name}"} for name in names}
    return {
        "inlet": {
            "address": INLET,
            "title": "What packages tell",
            "messages": published | {"batch": {"$ref": "#/components/messages/batch"}},
            "bindings": _queue(INLET),
        },
        "receipts": {
            "address": RECEIPTS,
            "title": "What became of it",
            "parameters": {"user": {"description": "The broker user that published; a receipt goes nowhere else."}},
            "messages": {"receipt": {"$ref": "#/components/messages/receipt"}},
            "bindings": _queue(),
        },
        "outlet": {
            "address": OUTLET,
            "title": "What a package is told",
            "parameters": {
                "tenant": {"description": "The town, CCAS or other body."},
                "connection": {"description": "The package, as that body named its connection."},
            },
            "messages": delivered,
            "bindings": _queue(),
        },
    }


def _queue(name: str | None = None) -> dict[str, Any]:
    queue = {"durable": True, "exclusive": False, "autoDelete": False} | ({"name": name} if name else {})
    return {"amqp": {"is": "queue", "queue": queue, "bindingVersion": "0.3.0"}}


def _operations(names: list[str]) -> dict[str, Any]:
    def operation(channel: str, messages: list[str]) -> dict[str, Any]:
        return {
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
        }

    return {
        "acceptEvent": {
            "action": "receive",
            "title": "Accept an event",
            "description": f"At most {MAX_EVENT_BYTES} bytes an event, {MAX_BATCH} events a batch.",
            **operation("inlet", [*names, "batch"]),
            "reply": operation("receipts", ["receipt"]),
        },
        "deliverEvent": {
            "action": "send",
            "title": "Deliver an event",
            "description": "Data holds only the fields that were granted; a reader ignores those it does not know.",
            **operation("outlet", names),
        },
    }


def _messages(registry: Registry, lines: list[dict[str, Any]]) -> dict[str, Any]:
    messages: dict[str, Any] = {
        "receipt": {
            "name": "receipt",
            "title": "Receipt",
            "contentType": "application/json",
            "payload": _link("receipt.v1"),
            "examples": [{"payload": example} for example in registry.schema_set.schemas[RECEIPT]["examples"]],
        },
        "batch": {
            "name": "batch",
            "title": "Several events; each has its own receipt",
            "contentType": BATCH,
            "payload": _link("batch"),
        },
    }
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


def _schemas(registry: Registry) -> dict[str, Any]:
    bodies: dict[str, Any] = {"envelope": _envelope()}
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
        if keyword not in ("required", "examples")
        and not (keyword in ("anyOf", "oneOf") and all(branch == {} for branch in value))
    }


def _envelope() -> dict[str, Any]:
    line = {"type": "string", "minLength": 1, "maxLength": 512}
    return {
        "title": "CloudEvent 1.0.2, structured JSON",
        "type": "object",
        "required": ["specversion", "id", "source", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": line,
            "source": line | {"format": "uri-reference", "description": "Unique together with id, for ever."},
            "type": line,
            "subject": line,
            "time": line | {"format": "date-time"},
            "dataschema": line | {"description": "Absent means version 1."},
            "datacontenttype": {"const": "application/json"},
            "data": {"type": "object"},
        },
        "propertyNames": {"pattern": "^[a-z0-9]{1,40}$"},
        "additionalProperties": {"type": ["string", "boolean", "integer"]},
    }


def _example(event_type: str, version: int, data: dict[str, Any]) -> dict[str, Any]:
    source, time = "/valbruyere/publik", "2026-03-02T09:14:05.120Z"
    return Event(type=event_type, source=source, data=data, id="e-1", time=time, version=version).to_dict()
