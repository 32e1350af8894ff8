"""The kind `rest`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.sdk.kinds.declared import DeclaredConnector


class RestConnector(DeclaredConnector):
    """A package that is spoken to over HTTP."""


def rest_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every fault of its own tables that a schema cannot say."""
    yield from ()
