"""The TCP proxy of the fault campaign, for tests."""

from hub.faults.proxy import Direction, Proxy

__all__ = ["Direction", "Proxy"]
