"""The catalogue as the gateway publishes it: a procedure as it is in one tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hub.routing.directory import Directory
from hub.settings.procedures import Procedure


def procedure_view(directory: Directory, tenant: str, slug: str) -> dict[str, Any] | None:
    """A procedure of the catalogue, with who is in charge and who decides in this tenant; None when there is no such
    procedure. `form`: JSON Schema of the form of its requests, None because no procedure may declare one yet."""
    procedure = directory.catalogue.get(slug)
    if procedure is None:
        return None
    known = directory.tenants.get(tenant)
    contact = known.contact_for(procedure.service) if known is not None else None
    return {
        "id": procedure.slug, "label": procedure.label,
        "service": {"id": procedure.service, "contact": asdict(contact) if contact is not None else None},
        "authority": procedure.authority, "channels": list(procedure.channels),
        "documents": [asdict(document) for document in procedure.documents], "form": None,
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


def _decision(directory: Directory, tenant: str, procedure: Procedure) -> Mapping[str, str | None]:
    """The role that decides, and the system that plays it here: None where no connection of the tenant does."""
    deciding = {m.system for m in directory.connections.values()
                if m.tenant == tenant and directory.decides(m.name, procedure.slug)}  # fmt: skip
    return {"role": procedure.deciding_system, "system": min(deciding, default=None)}
