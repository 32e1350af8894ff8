"""What the placeholders of a `connector.toml` may name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.kinds.texts import Facts, names_in, texts_of
from connectors.sdk.mapping import MappingTable

OWN_FACTS = ("system", "connection", "tenant", "siret", "insee")
"""What placeholders may name anywhere, beside the settings: the connection's system, its name, the tenant, and its
numbers."""
DELIVERY_FACTS = ("reference", "key", "event", "request")
"""What placeholders of a `[[deliver]]` may name beside the facts of the connection: the identifier of what the event is
about in this system, the idempotency key, the event's own identifier, the hub's number of the request."""


def needed_facts(spec: Mapping[str, Any], tables: MappingTable) -> frozenset[str]:
    """The names that the placeholders of a `[[deliver]]` and of its map hold."""
    constants = [line.source.constant for line in tables[spec["map"]].lines] if "map" in spec else []
    found = {name for constant in constants if constant is not None for name in constant.names}
    return frozenset(found | {name for text in texts_of(spec) for name in names_in(text)})


def with_defaults(context: Context) -> Mapping[str, Any]:
    """The settings of a connection, those that it leaves out by the manifest's defaults."""
    declared = context.manifest.settings.get("properties", {})
    usual = {name: schema["default"] for name, schema in declared.items() if "default" in schema}
    return {**usual, **context.settings}


def facts_of(context: Context, settings: Mapping[str, Any]) -> Facts:
    """What placeholders may name anywhere: whose connection it is, and its settings of one value that are no secret."""
    shown = {name: value for name, value in settings.items() if isinstance(value, str | int | float)}
    own = (context.system, context.connection, context.tenant, context.tenant_siret, context.tenant_insee)
    return {**shown, **dict(zip(OWN_FACTS, own, strict=True))}
