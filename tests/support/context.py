"""A connector's context, for tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from connectors.conformance.case import MemoryDocuments
from connectors.sdk import Context, find_manifests
from schemas.delivery import Documents

PARIS = ZoneInfo("Europe/Paris")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
ANSWER_SECRET = b"the secret of a test's answer keys"


def context_for(
    slug: str,
    settings: Mapping[str, Any],
    *,
    documents: Documents | None = None,
    now: Callable[[], datetime] = lambda: NOON,
    zone: tzinfo = PARIS,
) -> Context:
    """Secrets in `settings` must already be `Secret`."""
    return Context(
        tenant="saint-aubin", connection=slug, system=slug, settings=settings, manifest=find_manifests()[slug],
        documents=documents or MemoryDocuments(), tenant_siret="21930001100018", tenant_insee="93001",
        answer_secret=ANSWER_SECRET, now=now, zone=zone,
    )  # fmt: skip
