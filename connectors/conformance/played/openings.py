"""What was given to a package and has an identifier there, each asked for under another system's reference."""

from __future__ import annotations

from datetime import datetime

from schemas.delivery import Opened

_ASKER = "demandeur"


def opening(reference: str, event_type: str, at: datetime) -> Opened:
    """As the hub tells of it: who asked calls it otherwise than the package."""
    return Opened(reference, event_type, at, lambda: {"system": _ASKER, "id": f"demande-{reference}"[:100]})
