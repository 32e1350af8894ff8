"""The servers of the fault campaign, for tests; and what a test does where there is none."""

from __future__ import annotations

import os

import pytest

from hub.faults.services import (
    Postgres,
    Rabbit,
    ServiceUnavailable,
    free_ports,
    postgres_binaries,
    postgres_service,
    rabbit_cluster,
    rabbitmq_service,
    wait_until,
)

__all__ = [
    "Postgres", "Rabbit", "ServiceUnavailable", "free_ports", "missing", "postgres_binaries", "postgres_service",
    "rabbit_cluster", "rabbitmq_service", "wait_until",
]  # fmt: skip


def missing(reason: str) -> None:
    """Skip the test for want of a server; where CI=true a missing server is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
