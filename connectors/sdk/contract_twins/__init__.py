"""Twins that are made from a vendor's contract: they refuse what it refuses, and answer what it allows."""
