"""A real RabbitMQ and a real PostgreSQL, for the tests and for the fault campaign.

Those named by UNEFOIS_TEST_AMQP_URL and UNEFOIS_TEST_DATABASE_URL are used as they are. Otherwise private ones are
started from installed binaries: loopback only, free ports, a temporary folder of their own, no trace left behind.

Each private server has a keeper: a small process that holds the other end of a pipe. When the test process goes away,
by whatever death, the pipe closes, and the keeper stops the server and removes its folder.

Under xdist every worker has its own servers, so a test that restarts one disturbs nobody.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict
from urllib.parse import quote, urlsplit, urlunsplit

import pika
import psycopg
from psycopg import sql

RABBIT_BINARIES = Path("/usr/lib/rabbitmq/bin")
POSTGRES_BINARIES = Path("/usr/lib/postgresql")


class ServiceUnavailable(Exception):
    """There is no such server here, or the one named may not be handled so; the message is one line."""


class ServiceMisnamed(Exception):
    """The environment names a server that does not answer: a mistake, never a reason to go on without."""


# --- processes ---------------------------------------------------------------------------------------------------


class Account(TypedDict, total=False):
    """Whom a process is run as; empty: by whoever starts it."""

    user: int
    group: int
    extra_groups: list[int]


def account_of(name: str) -> Account:
    try:
        entry = pwd.getpwnam(name)
    except KeyError as error:
        raise ServiceUnavailable(f"no user {name} on this machine, and root may not run the server") from error
    return Account(user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])


class Den:
    """A temporary folder and the processes started for it. `close` ends them all; else their keeper does.

    They are ended by `farewell`, and by SIGKILL if that does not do. `parent`: where to make the folder.
    """

    def __init__(
        self, name: str, *, farewell: signal.Signals, owner: str | None = None, parent: Path | None = None
    ) -> None:
        self._farewell = farewell
        self.folder = Path(tempfile.mkdtemp(prefix=f"unefois-{name}-", dir=parent))
        self._account = account_of(owner) if owner and os.geteuid() == 0 else Account()
        if self._account:
            os.chown(self.folder, self._account["user"], self._account["group"])
        self._children: list[subprocess.Popen[bytes]] = []
        self._keeper = subprocess.Popen(
            [sys.executable, __file__, str(self.folder), str(int(farewell))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        atexit.register(self.close)

    def start(self, command: Sequence[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a process in a group of its own: Ctrl-C at the terminal does not reach it."""
        with (self.folder / "output.log").open("ab") as output:
            child = subprocess.Popen(
                command,
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **self._account,
            )
        self._children.append(child)
        self._tell_keeper(f"{child.pid}\n")
        return child

    def forget(self, child: subprocess.Popen[bytes]) -> None:
        """The child has ended; end what is left of its group, whose number may come to name somebody else's."""
        child.wait(timeout=60)
        end_group(child.pid, signal.SIGKILL, child.poll)
        self._children.remove(child)
        self._tell_keeper(f"-{child.pid}\n")

    def run(self, command: Sequence[str]) -> None:
        done = subprocess.run(command, cwd=self.folder, capture_output=True, text=True, **self._account)
        if done.returncode:
            raise ServiceUnavailable(f"{Path(command[0]).name} failed: {last_line(done.stderr or done.stdout)}")

    def expect_alive(self, child: subprocess.Popen[bytes]) -> Callable[[], None]:
        def check() -> None:
            if child.poll() is not None:
                words = last_line((self.folder / "output.log").read_text(errors="replace"))
                raise ServiceUnavailable(f"the server ended at start: {words}")

        return check

    def close(self) -> None:
        atexit.unregister(self.close)
        for child in self._children:
            end_group(child.pid, self._farewell, child.poll)
        if self._keeper.stdin:
            self._keeper.stdin.close()
        # A disk that deletes slowly is no fault of a test: the keeper goes on by itself.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(timeout=60)

    def _tell_keeper(self, line: str) -> None:
        if self._keeper.stdin:
            self._keeper.stdin.write(line.encode())
            self._keeper.stdin.flush()


def keep(folder: str, farewell: signal.Signals) -> None:
    """The keeper's whole life: note process groups until the pipe closes, then end them and remove the folder.

    A number is a group to end, the same number with a minus a group to forget.
    """
    noted = [int(line) for line in sys.stdin]
    for group in noted:
        if group > 0 and -group not in noted:
            end_group(group, farewell, lambda: None)
    shutil.rmtree(folder, ignore_errors=True)


def end_group(group: int, farewell: signal.Signals, reap: Callable[[], object]) -> None:
    """Signal the group until nobody is left in it; `reap` buries the leader where it is our child."""
    for sign in (farewell, signal.SIGKILL):
        deadline = time.monotonic() + 5
        alive = signal_group(group, sign)
        while alive and time.monotonic() < deadline:
            time.sleep(0.02)
            reap()
            alive = signal_group(group, 0)


def signal_group(group: int, sign: int) -> bool:
    try:
        os.killpg(group, sign)
    except ProcessLookupError:
        return False
    return True


def last_line(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "no output")


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody listens on now, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


def wait_until(
    ready: Callable[[], None], still_alive: Callable[[], None] = lambda: None, *, seconds: float = 120
) -> None:
    """Return once `ready` raises no connection error any more; its last error is raised when time is over."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return ready()
        except (pika.exceptions.AMQPError, psycopg.OperationalError, OSError):
            still_alive()
            if time.monotonic() > deadline:
                raise
        time.sleep(0.1)


# --- RabbitMQ ----------------------------------------------------------------------------------------------------


class Rabbit:
    """A broker. One that was named by the environment can be used but not stopped nor given users."""

    def __init__(self, url: str, node: RabbitNode | None = None) -> None:
        self.url = url
        self._node = node
        self._passwords: dict[str, str] = {}

    @property
    def private(self) -> bool:
        return self._node is not None

    def url_for(self, user: str) -> str:
        """The address as seen by a user added with `add_user`."""
        parts = urlsplit(self.url)
        who = f"{quote(user, safe='')}:{quote(self._passwords[user], safe='')}"
        return urlunsplit(parts._replace(netloc=f"{who}@{parts.netloc.rpartition('@')[2]}"))

    def add_user(
        self, name: str, password: str | None = None, configure: str = "", write: str = "", read: str = ""
    ) -> str:
        """Create the user, or renew its password and permissions (three regular expressions); return its address."""
        secret = password or secrets.token_hex(12)  # never begins with a dash, which rabbitmqctl takes for an option
        known = name in self.ctl("-q", "list_users").split()
        self.ctl("change_password" if known else "add_user", name, secret)
        self.ctl("set_permissions", name, configure, write, read)
        self._passwords[name] = secret
        return self.url_for(name)

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl` prints."""
        return self.node.ctl(*args)

    def kill(self) -> None:
        """End the broker without warning: what it confirmed is on its disk, the rest is lost."""
        self.keep_names()
        self.node.end(signal.SIGKILL)

    def keep_names(self) -> None:
        """Write the names of young queues to disk.

        A node does so up to a second after a quorum queue was declared. Killed before that it does not know the queue
        again; where most nodes do not, its members wait for a leader for ever. That accident is RabbitMQ's own.
        """
        self.ctl("eval", "catch dets:sync(ra_directory_reverse).")

    def stop(self) -> None:
        self.node.end(signal.SIGTERM)

    def start(self) -> None:
        """Start it again where it stood, on the same address with the same queues; returns when it answers."""
        self.node.start()

    def restart(self) -> None:
        self.stop()
        self.start()

    @property
    def node(self) -> RabbitNode:
        if self._node is None:
            raise ServiceUnavailable("UNEFOIS_TEST_AMQP_URL names a broker that the tests may not administer")
        return self._node


# A bare machine has no /etc/hosts, and the name servers of many know no localhost.
_INETRC = '{host, {127,0,0,1}, ["localhost"]}.\n{lookup, [file, native]}.\n'


class RabbitNode:
    """One node of a broker, from installed binaries. Nodes of one den share a cookie and an epmd and may cluster."""

    def __init__(
        self, den: Den, name: str, epmd_port: int, peers: Sequence[str] = (), *, settings: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.name, self._den = f"{name}@localhost", den
        self._folder = den.folder / name
        self.port, distribution = free_ports(2)
        self._pid_file = self._folder / "pid"
        self._child: subprocess.Popen[bytes] | None = None
        self._folder.mkdir()
        self._write("rabbitmq.conf", rabbit_settings(self.port, peers) + settings)
        self._write("enabled_plugins", "[].\n")
        self._write("inetrc", _INETRC)
        self._env = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "HOME": str(den.folder),
            "ERL_EPMD_PORT": str(epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_INETRC": str(self._folder / "inetrc"),
            "ERL_CRASH_DUMP": str(self._folder / "erl_crash.dump"),
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "data"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_SCHEMA_DIR": str(self._folder / "schema"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(self._folder / "generated"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "enabled_plugins"),
            "RABBITMQ_PID_FILE": str(self._pid_file),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} -start_epmd false",
            **(variables or {}),
        }

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}/%2F"

    def begin(self) -> None:
        """Start without waiting: nodes of a cluster wait for one another."""
        self._pid_file.unlink(missing_ok=True)
        self._child = self._den.start([str(RABBIT_BINARIES / "rabbitmq-server")], self._env)

    def await_ready(self) -> None:
        assert self._child is not None
        wait_until(lambda: shake_hands(self.url), self._den.expect_alive(self._child))

    def start(self) -> None:
        self.begin()
        self.await_ready()

    def end(self, sign: signal.Signals) -> None:
        """Signal the node itself, not the shell around it, and wait until both are gone."""
        assert self._child is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(self._pid_file.read_text()), sign)
        self._den.forget(self._child)

    def ctl(self, *args: str) -> str:
        command = [str(RABBIT_BINARIES / "rabbitmqctl"), "-n", self.name, *args]
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise RuntimeError(f"rabbitmqctl {args[0]}: {last_line(done.stderr)}")
        return done.stdout

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)


def rabbit_settings(port: int, peers: Sequence[str]) -> str:
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{port}",
        "disk_free_limit.absolute = 50MB",
        "log.file.level = warning",
    ]
    if peers:
        lines += ["cluster_formation.peer_discovery_backend = classic_config"]
        lines += ["cluster_partition_handling = pause_minority"]
        lines += [f"cluster_formation.classic_config.nodes.{n} = {peer}" for n, peer in enumerate(peers, 1)]
    return "\n".join(lines) + "\n"


def shake_hands(url: str) -> None:
    """A whole AMQP conversation: connect, open a channel, close. (pika would log a closed port at length.)"""
    parameters = pika.URLParameters(url)
    socket.create_connection((parameters.host, parameters.port), 5).close()
    parameters.socket_timeout = parameters.blocked_connection_timeout = 5
    connection = pika.BlockingConnection(parameters)
    connection.channel()
    connection.close()


@contextlib.contextmanager
def rabbitmq_service() -> Iterator[Rabbit]:
    """The named broker, else a private one. Raises `ServiceUnavailable` where neither can be had."""
    named = os.environ.get("UNEFOIS_TEST_AMQP_URL")
    if named:
        yield Rabbit(reached(named, "UNEFOIS_TEST_AMQP_URL", shake_hands))
        return
    with rabbit_cluster(1) as (rabbit,):
        yield rabbit


@contextlib.contextmanager
def rabbit_cluster(
    size: int, *, settings: str = "", variables: Mapping[str, str] | None = None
) -> Iterator[list[Rabbit]]:
    """Private brokers that form one cluster and pause when they find themselves in the minority. `settings`: more lines
    of their configuration; `variables`: more of their environment."""
    epmd = shutil.which("epmd")
    if not (epmd and (RABBIT_BINARIES / "rabbitmq-server").exists()):
        raise ServiceUnavailable("no RabbitMQ: set UNEFOIS_TEST_AMQP_URL or install rabbitmq-server")
    den = Den("rabbit", farewell=signal.SIGKILL)
    try:
        cookie = den.folder / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(16))
        cookie.chmod(0o400)
        (port,) = free_ports(1)
        den.start([epmd, "-port", str(port), "-address", "127.0.0.1"])
        names = [f"n{n}" for n in range(1, size + 1)]
        peers = [f"{name}@localhost" for name in names] if size > 1 else []
        nodes = [RabbitNode(den, name, port, peers, settings=settings, variables=variables) for name in names]
        for node in nodes:
            node.begin()
        for node in nodes:
            node.await_ready()
        yield [Rabbit(node.url, node) for node in nodes]
    finally:
        den.close()


# --- PostgreSQL --------------------------------------------------------------------------------------------------


class Postgres:
    """A database server. One that was named by the environment is used but not stopped."""

    def __init__(self, url: str, server: PostgresServer | None = None) -> None:
        self.url = url
        self._server = server
        self._made: list[str] = []

    @property
    def private(self) -> bool:
        return self._server is not None

    def fresh_database(self) -> str:
        """The address of a new, empty database, dropped at the end of the session."""
        name = f"unefois_{uuid.uuid4().hex[:12]}"
        self._command(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self._made.append(name)
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{name}"))

    def cut_connections(self) -> int:
        """End every client's connection to the databases made here, in mid-sentence; how many there were."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cut = connection.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pid <> pg_backend_pid() AND datname = ANY(%s)",
                [self._made],
            ).fetchone()
        return int(cut[0]) if cut else 0

    def restart(self) -> None:
        """Stop, which cuts all connections, and start on the same address with the same data."""
        self.server.end(signal.SIGINT)
        self.server.start()

    def kill(self) -> None:
        """End the server at once, without a checkpoint; `start` recovers from its log."""
        self.server.end(signal.SIGQUIT)

    def start(self) -> None:
        self.server.start()

    @property
    def server(self) -> PostgresServer:
        if self._server is None:
            raise ServiceUnavailable("UNEFOIS_TEST_DATABASE_URL names a server that the tests may not restart")
        return self._server

    def drop_all(self) -> None:
        for name in self._made:
            self._command(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.clear()

    def _command(self, command: sql.Composed) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(command)


class PostgresServer:
    """A server from installed binaries; never run by root, which PostgreSQL refuses."""

    def __init__(self, den: Den, binaries: Path, *, small: bool = False) -> None:
        self._den, self._binaries, self._small = den, binaries, small
        self._data = den.folder / "data"
        (self._port,) = free_ports(1)
        self._child: subprocess.Popen[bytes] | None = None
        den.run([
            str(binaries / "initdb"), "-D", str(self._data), "-U", "unefois", "-A", "trust",
            "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        ])  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://unefois@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        # A killed process loses nothing without fsync; only a machine that loses its power does.
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": "200",
            **({"max_wal_size": "64MB", "min_wal_size": "32MB"} if self._small else {}),
        }
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._child = self._den.start([str(self._binaries / "postgres"), "-D", str(self._data), *settings])
        wait_until(lambda: ask_for_one(self.url), self._den.expect_alive(self._child))

    def end(self, sign: signal.Signals) -> None:
        assert self._child is not None
        self._child.send_signal(sign)
        self._den.forget(self._child)

    def start_if_ended(self) -> None:
        """A server whose disk is full may end by itself."""
        assert self._child is not None
        if self._child.poll() is not None:
            self._den.forget(self._child)
            self.start()


def ask_for_one(url: str) -> None:
    with psycopg.connect(url, connect_timeout=5) as connection:
        connection.execute("SELECT 1")


@contextlib.contextmanager
def postgres_service() -> Iterator[Postgres]:
    """The named server, else a private one. Raises `ServiceUnavailable` where neither can be had."""
    named = os.environ.get("UNEFOIS_TEST_DATABASE_URL")
    if named:
        postgres = Postgres(reached(named, "UNEFOIS_TEST_DATABASE_URL", ask_for_one))
        try:
            yield postgres
        finally:
            postgres.drop_all()
        return
    with private_postgres() as private:
        yield private


@contextlib.contextmanager
def private_postgres(parent: Path | None = None) -> Iterator[Postgres]:
    """A server of our own, its data below `parent`. Raises `ServiceUnavailable` where it cannot be had."""
    binaries = postgres_binaries()
    den = Den("postgres", farewell=signal.SIGINT, owner="postgres", parent=parent)
    try:
        server = PostgresServer(den, binaries, small=parent is not None)
        server.start()
        yield Postgres(server.url, server)
    finally:
        den.close()


def postgres_binaries() -> Path:
    found = [folder for folder in POSTGRES_BINARIES.glob("*/bin") if (folder / "initdb").exists()]
    if found:
        return max(found, key=lambda folder: float(folder.parent.name))
    elsewhere = shutil.which("initdb")
    if elsewhere is None:
        raise ServiceUnavailable("no PostgreSQL: set UNEFOIS_TEST_DATABASE_URL or install postgresql")
    return Path(elsewhere).resolve().parent


def reached(url: str, variable: str, ask: Callable[[str], None]) -> str:
    """The address, once it has answered; an address in the environment that does not is a mistake, never a skip."""
    try:
        wait_until(lambda: ask(url), seconds=60)
    except (pika.exceptions.AMQPError, psycopg.OperationalError, OSError) as error:
        raise ServiceMisnamed(f"the server named by {variable} does not answer ({type(error).__name__})") from error
    return url


if __name__ == "__main__":
    keep(sys.argv[1], signal.Signals(int(sys.argv[2])))
