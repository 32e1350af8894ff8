"""Fixtures that every room shares."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator

import pytest
import structlog

from tests.support.missing import missing
from tests.support.servers import Postgres, Rabbit, ServiceUnavailable, postgres_service, rabbitmq_service

_SHARED = ("UNEFOIS_TEST_AMQP_URL", "UNEFOIS_TEST_DATABASE_URL")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two files at a time, each with servers of its own: most tests wait. One, where the servers are given."""
    return 1 if any(name in os.environ for name in _SHARED) else 2


def pytest_collection_finish() -> None:
    """What was imported and collected stays: half a million objects, which the garbage collector would walk through
    every second. It stands still for that (half a second where the machine is loaded), with all threads of the process:
    those of hubs, twins and clients with short time-outs."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    """A test that wants to stop a server which is not ours to stop is one that cannot run here."""
    try:
        yield
    except ServiceUnavailable as reason:
        missing(str(reason))


@pytest.fixture(autouse=True)
def logs_as_before() -> Iterator[None]:
    """A command that a test calls in its own process says where the log goes; the next test has it as it was."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[Rabbit]:
    """The session's broker; a test that stops it starts it again."""
    try:
        with rabbitmq_service() as rabbit:
            yield rabbit
    except ServiceUnavailable as reason:
        missing(str(reason))


@pytest.fixture(scope="session")
def amqp_url(rabbitmq: Rabbit) -> str:
    return rabbitmq.url


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """The session's database server; a test that stops it starts it again."""
    try:
        with postgres_service() as server:
            yield server
    except ServiceUnavailable as reason:
        missing(str(reason))


@pytest.fixture(scope="session")
def database_url(postgres: Postgres) -> str:
    """One database for the whole session; `postgres.fresh_database()` gives one that nobody else uses."""
    return postgres.fresh_database()
