"""The catalogue as the gateway publishes it, and what of it a request keeps to or lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict
from typing import Any

from hub.routing.directory import Directory
from hub.settings.procedures import AskedDocument, Procedure
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.shape import shape_faults


def procedure_view(directory: Directory, tenant: str, slug: str) -> dict[str, Any] | None:
    """A procedure of the catalogue, with who is in charge and who decides in this tenant; None when there is no such
    procedure. `form`: JSON Schema of the form of its requests, None where it declares none."""
    procedure = directory.catalogue.get(slug)
    if procedure is None:
        return None
    known = directory.tenants.get(tenant)
    contact = known.contact_for(procedure.service) if known is not None else None
    return {
        "id": procedure.slug, "label": procedure.label,
        "service": {"id": procedure.service, "contact": asdict(contact) if contact is not None else None},
        "authority": procedure.authority, "channels": list(procedure.channels),
        "documents": [asdict(document) for document in procedure.documents], "form": procedure.form,
        "decision": _decision(directory, tenant, procedure), "delay": procedure.delay,
        "silence": {
            "rule": procedure.silence, "text": procedure.silence_text, "source": procedure.silence_source,
        },
        "acknowledgement": procedure.acknowledgement, "appeals": procedure.appeals, "phases": dict(procedure.phases),
    }  # fmt: skip


def catalogue_view(directory: Directory, tenant: str) -> list[dict[str, Any]]:
    """Every procedure, in the order of their slugs."""
    views = (procedure_view(directory, tenant, slug) for slug in sorted(directory.catalogue))
    return [view for view in views if view is not None]


class DocumentsMissing(InvalidMessage):
    """Documents that the catalogue asks for are not there; the caller is told which, by kind and label."""

    def __init__(self, missing: Iterable[AskedDocument]) -> None:
        self.problem_members = {"missing": [{"kind": one.kind, "label": one.label} for one in missing]}
        super().__init__("documents that this procedure asks for", pointer="/documents", code="documents_missing")


def check_online(procedure: Procedure, record: Mapping[str, Any]) -> None:
    """Hold a request that is being filed online to its procedure. Raises InvalidMessage, its pointer into the record:
    `channel_not_offered`, `documents_missing`, `schema_violation` of the form."""
    if "online" not in procedure.channels:
        raise InvalidMessage("this procedure is not offered online", pointer="/intake", code="channel_not_offered")
    if missing := missing_documents(procedure, {one.get("kind") for one in record.get("documents", ())}):
        raise DocumentsMissing(missing)
    for fault in shape_faults(procedure.form, record.get("form", {})) if procedure.form is not None else ():
        parts = (str(part).replace("~", "~0").replace("/", "~1") for part in fault.path)
        pointer = "".join(f"/{part}" for part in ("form", *parts))
        raise InvalidMessage(fault.message, pointer=pointer, code="schema_violation")


def missing_documents(procedure: Procedure, kinds: Collection[str | None]) -> list[AskedDocument]:
    """The documents that the procedure requires and that are of none of these kinds."""
    return [one for one in procedure.documents if one.required and one.kind not in kinds]


def brought_kinds(events: Iterable[Event]) -> set[str]:
    """The kinds of the documents that came with a request or after it; what the town itself issued is none of them."""
    found: set[str | None] = set()
    for event in events:
        if event.type == "request.received":
            found |= {document.get("kind") for document in event.data["request"].get("documents", ())}
        elif event.type == "document.received":
            found |= {event.data["kind"], event.data["document"].get("kind")}
    return {kind for kind in found if kind is not None}


def _decision(directory: Directory, tenant: str, procedure: Procedure) -> Mapping[str, str | None]:
    """The role that decides, and the system that plays it here: None where no connection of the tenant does."""
    deciding = [member.system for member in directory.deciders(tenant, procedure.slug)]
    return {"role": procedure.deciding_system, "system": min(deciding, default=None)}
