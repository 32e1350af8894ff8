"""Payfip keeps what every connector promises, against a twin of its contract."""

from pathlib import Path

from connectors import conformance
from connectors.sdk import Manifest
from connectors.sdk.mapping import fields_of

MANIFEST = Path(__file__).parents[1] / "connector.toml"


def test_payfip_keeps_what_every_connector_promises() -> None:
    conformance.check(Manifest.load(MANIFEST, fields_of))
