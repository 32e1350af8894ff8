"""The secret of the kit is the one of the hub."""

from __future__ import annotations

from schemas.secret import Secret

__all__ = ["Secret"]
