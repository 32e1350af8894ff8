"""The broker and the database of a run: private, on this machine, and durable as in earnest."""

from __future__ import annotations

import contextlib
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

import psycopg

from tests.support.servers import (  # fmt: skip
    Den,
    Postgres,
    PostgresServer,
    Rabbit,
    ask_for_one,
    postgres_binaries,
    rabbit_cluster,
    wait_until,
)

_numbers = itertools.count(1)


class DurableServer(PostgresServer):
    """The test server waives fsync; a measured one must not. Its settings are those of a small server of a town."""

    def start(self) -> None:
        options = {
            "listen_addresses": "127.0.0.1", "port": str(self._port), "unix_socket_directories": "",
            "max_connections": "100", "shared_buffers": "512MB", "max_wal_size": "4GB",
            "shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track_planning": "on",
        }  # fmt: skip
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._child = self._den.start([str(self._binaries / "postgres"), "-D", str(self._data), *settings])
        wait_until(lambda: ask_for_one(self.url), self._den.expect_alive(self._child))


@dataclass(frozen=True, slots=True)
class Servers:
    """`others`: the further nodes of the broker's cluster, where there are several."""

    rabbit: Rabbit
    postgres: Postgres
    others: tuple[Rabbit, ...] = ()

    @contextlib.contextmanager
    def vhost(self) -> Iterator[str]:
        """The address of a new virtual host; it and all its queues are gone afterwards."""
        name = f"bench-{next(_numbers)}"
        self.rabbit.ctl("add_vhost", name)
        self.rabbit.ctl("set_permissions", "-p", name, "guest", ".*", ".*", ".*")
        try:
            hosts = ",".join([urlsplit(self.rabbit.url).netloc, *(f"127.0.0.1:{r.node.port}" for r in self.others)])
            yield urlunsplit(urlsplit(self.rabbit.url)._replace(netloc=hosts, path=f"/{name}"))
        finally:
            self.rabbit.ctl("delete_vhost", name)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The address of a new database, dropped afterwards."""
        url = self.postgres.fresh_database()
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE EXTENSION pg_stat_statements")
        try:
            yield url
        finally:
            self.postgres.drop_all()


@contextlib.contextmanager
def servers(nodes: int = 1) -> Iterator[Servers]:
    """A broker of so many nodes and a database. Raises `ServiceUnavailable` where they cannot be had."""
    with rabbit_cluster(nodes) as (rabbit, *others):
        den = Den("bench-postgres", farewell=signal.SIGINT, owner="postgres")
        try:
            server = DurableServer(den, postgres_binaries())
            server.start()
            yield Servers(rabbit, Postgres(server.url, server), tuple(others))
        finally:
            den.close()
