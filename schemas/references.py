"""How systems call what an event is about."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.event import Event


def reference_in(event: Event, *systems: str) -> str | None:
    """How one of these systems calls what a valid event is about: the request, or else the citizen; None when it says
    nothing."""
    for holder in (event.data.get("request"), event.data.get("citizen")):
        for one in holder.get("references", ()) if isinstance(holder, Mapping) else ():
            if one.get("system") in systems:
                return str(one["id"])
    return None


def asked_reference(event: Event) -> Mapping[str, str] | None:
    """How the system that asks calls what a valid event asks for: its payment, message or appointment, or else the
    request by its first reference; None when it says nothing."""
    for kind in ("payment", "message", "appointment"):
        thing = event.data.get(kind)
        if isinstance(thing, Mapping) and "reference" in thing:
            return _plain(thing["reference"])
    request = event.data.get("request")
    references = request.get("references", ()) if isinstance(request, Mapping) else ()
    return _plain(references[0]) if references else None


def _plain(reference: Mapping[str, str]) -> Mapping[str, str]:
    return {"system": reference["system"], "id": reference["id"]}
