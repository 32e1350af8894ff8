"""Twins that need no code of a connector: what they take and give is what its contract says."""
