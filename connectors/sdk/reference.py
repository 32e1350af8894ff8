"""docs/kit.md: the classes and functions that a connector is written with, from their own docstrings.

python -m connectors.sdk.reference > docs/kit.md
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping
from types import FunctionType
from typing import Any

HEAD = """# The kit: reference

What a connector written in Python is given. Made from the docstrings by `python -m connectors.sdk.reference`, and held
current by a test. The keys of `connector.toml` are in [manifest.md](manifest.md), the guide is
[connectors.md](connectors.md).
"""
PARTS: Mapping[str, tuple[str, ...]] = {
    "connectors.sdk": ("Connector", "Context", "Statuses", "status_changed", "reference_link"),
    "schemas.manifest": ("Manifest", "Consumed", "Answered"),
    "schemas.delivery": (
        "Delivery", "Done", "Polled", "Listed", "RecordFault", "Inbound", "Reply", "Probe", "Documents",
        "StoredDocument",
    ),
    "schemas.errors": (
        "HubError", "TryLater", "Unknown", "Refused", "AccessDenied", "InvalidMessage", "ConfigError",
    ),
    "schemas.exchange": ("Question", "Evidence", "NotMatched", "AmbiguousIdentity", "AuthorisationExpired"),
    "schemas.secret": ("Secret",),
    "schemas.sheet": ("sheet_rows",),
    "connectors.sdk.http": ("HttpClient", "HttpAnswer"),
    "connectors.sdk.soap": ("SoapClient",),
    "connectors.sdk.poll_cursor": ("PollCursor",),
    "connectors.sdk.error_table": ("ErrorTable",),
    "connectors.sdk.mapping": ("MappingTable", "Map"),
    "connectors.sdk.records": ("each", "record_fault", "check_record", "check_evidence", "check_person"),
    "connectors.sdk.evidence": ("EvidenceTable", "EvidencePart", "Answer", "Said"),
    "connectors.sdk.values": ("Unread", "present"),
    "connectors.sdk.local_times": ("Readings", "readings", "instant", "moment", "in_order"),
    "connectors.sdk.loose_xml": ("LooseElement",),
    "connectors.sdk.documents": ("file_name", "media_type", "decoded_file", "attachment_names"),
    "connectors.sdk.rate_limit": ("Limiter",),
    "connectors.sdk.letters": ("nearest", "is_held"),
    "connectors.sdk.inbox": ("Inbox", "Taken"),
    "connectors.sdk.folder_connector": ("FolderConnector", "RequestFolder"),
    "connectors.sdk.dropping": ("DropFolder",),
    "connectors.sdk.row_files": ("RowFormat",),
    "connectors.sdk.database": ("ReadOnlyDatabase",),
    "connectors.sdk.kinds.declared": ("DeclaredConnector", "Message"),
    "connectors.sdk.kinds.client": ("HttpConnector",),
    "connectors.sdk.kinds.rest": ("RestConnector",),
    "connectors.sdk.kinds.soap": ("SoapConnector",),
    "connectors.sdk.kinds.dump": ("DumpConnector",),
    "connectors.sdk.kinds.drop": ("DropConnector",),
    "connectors.sdk.kinds.sql": ("SqlConnector",),
    "connectors.sdk.kinds.events": ("EventReader", "Collected", "collected"),
    "connectors.sdk.kinds.changes": ("Changes",),
    "connectors.sdk.kinds.paging": ("Page", "pages"),
    "connectors.sdk.twin_schedule": ("Scheduled", "Plan", "Schedule"),
    "connectors.sdk.twin": ("HttpTwin", "TwinCall", "TwinAnswer"),
    "connectors.sdk.contract_twins.openapi_twin": ("OpenApiTwin",),
    "connectors.sdk.contract_twins.wsdl_twin": ("WsdlTwin", "Kept"),
    "connectors.sdk.contract_twins.checking": ("ContractChecker", "Contracted"),
    "connectors.sdk.rest_twin": ("RestTwin", "TwinRefusal", "EvidenceTwin"),
    "connectors.sdk.soap_twin": ("SoapTwin", "SoapFault", "operation"),
    "connectors.sdk.folder_twin": ("FolderTwin",),
    "connectors.sdk.smtp_twin": ("SmtpTwin",),
    "connectors.conformance": ("Case", "Asked", "Bench", "Clock", "Outcome"),
}  # fmt: skip
"""By module, what is shown of it, in this order."""
_MARKS: Mapping[object, str] = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for module, names in PARTS.items():
        parts.append(f"## `{module}`\n")
        parts += [_shown(getattr(importlib.import_module(module), name)) for name in names]
    return "\n".join(parts)


def _shown(item: Any) -> str:
    lines = [f"### `{item.__name__}{_signature(item)}`\n"]
    lines += [_text(item)] if _text(item) else []
    if inspect.isclass(item):
        lines += [_method(name, method) for name, method in _methods(item)]
    return "\n".join(lines)


def _method(name: str, method: Any) -> str:
    call = f"`{name}`" if isinstance(method, property) else f"`{name}{_signature(method)}`"
    said = " ".join(_text(method).split())
    return f"- {call}" + (f": {said}" if said else "") + "\n"


def _methods(item: type) -> Iterator[tuple[str, Any]]:
    """Its own public methods and properties, as they stand in the source."""
    for name, value in vars(item).items():
        inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
        if not name.startswith("_") and isinstance(inner, FunctionType | property):
            yield name, inner


def _signature(item: Any) -> str:
    if inspect.isclass(item) and dataclasses.is_dataclass(item):
        return "(" + ", ".join(one.name for one in dataclasses.fields(item)) + ")"
    function = item.__init__ if inspect.isclass(item) else item
    if not isinstance(function, FunctionType):
        return ""
    names = []
    for parameter in list(inspect.signature(function).parameters.values()):
        mark = _MARKS.get(parameter.kind, "")
        if parameter.name != "self":
            names.append(f"{mark}{parameter.name}" + ("=…" if parameter.default is not parameter.empty else ""))
    return "(" + ", ".join(names) + ")"


def _text(item: Any) -> str:
    """The docstring of its own, its lines as they are."""
    own = getattr(item, "__doc__", None) or ""
    if dataclasses.is_dataclass(item) and own.startswith(f"{getattr(item, '__name__', '')}("):
        return ""  # what dataclasses write where nothing was written
    return inspect.cleandoc(own) + "\n" if own else ""


if __name__ == "__main__":
    sys.stdout.write(page())
