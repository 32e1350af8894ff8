"""What the town declares: hub.toml, the catalogue of procedures, the connectors' manifests."""
