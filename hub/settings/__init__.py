"""What the town declares: hub.toml, the catalogue of procedures, communes, the connectors' manifests."""
