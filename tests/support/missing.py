"""What a test does where there is no server for it."""

from __future__ import annotations

import os

import pytest


def missing(reason: str) -> None:
    """Skip the test for want of a server; where CI=true a missing server is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
