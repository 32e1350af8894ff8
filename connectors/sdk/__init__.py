"""The kit a connector is written with.

A connector is a folder `connectors/<slug>/` with a `connector.toml` and a `connector.py` that holds one subclass of
`Connector`. It reads its own package's wire format and knows nothing of the bus, the ledger or the hub.
"""

from connectors.sdk.connector import Connector, Context
from connectors.sdk.discovery import connector_class, find_manifests
from connectors.sdk.links import reference_link
from connectors.sdk.statuses import Statuses, status_changed
from schemas.delivery import Inbound, Probe, Reply
from schemas.manifest import Consumed, Manifest
from schemas.secret import Secret

__all__ = [
    "Connector", "Consumed", "Context", "Inbound", "Manifest", "Probe", "Reply", "Secret", "Statuses",
    "connector_class", "find_manifests", "reference_link", "status_changed",
]  # fmt: skip
