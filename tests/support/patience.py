"""How long a connector under test waits for its twin."""

from __future__ import annotations

LONG = 10.0
"""Seconds: what nobody waits for is long enough for a machine that is busy with something else."""
SHORT = 1.0
_WAITED_OUT = ("timeout", "late", "slow", "drip")


def patience(fault: str) -> float:
    """Seconds to wait for a twin that misbehaves in this way: little where the answer never comes."""
    return SHORT if fault in _WAITED_OUT else LONG
