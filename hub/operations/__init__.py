"""Upkeep: questions for an operator, imports, retention, metrics, logs."""
