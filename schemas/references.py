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
