"""A package's database, read and never written. The one file of the connectors that knows SQLAlchemy.

A read-only account is the town's to ask for; beside it each transaction is read-only, and rolled back. No text of the
database is ever repeated: its errors quote statements, values and addresses.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import NullPool

from schemas.errors import AccessDenied, ConfigError, HubError, TryLater
from schemas.secret import Secret

DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "sqlite": "sqlite"}
_BUSY_AFTER = 1.0
_DENIED = ("28", "42501", "0P000", "3D000")
_AWAY = ("08", "53", "57", "58", "XX")
_PASSWORD = re.compile(r"password authentication failed|no password supplied|role .* (does not exist|is not permitted)")
_LOCKED = ("55P03", "40001", "40P01")
_SLOW = "57014"

Row = Mapping[str, Any]


class ReadOnlyDatabase:
    """The database of one connection. A new line is opened for each poll, so that none is kept from the package.

    `url` says kind, place and name (`postgresql://db.mairie/queue`, `sqlite:////srv/queue.db`); `timeout` is for the
    connection and for each query. Raises ConfigError for an address that is none, and for one with a password in it.
    """

    def __init__(self, url: str, *, user: str = "", password: Secret | None = None, timeout: float = 20.0) -> None:
        self._timeout = timeout
        address = _address(url)
        self._local = Path(address.database or "") if address.get_backend_name() == "sqlite" else None
        if not self._local and user:
            address = address.set(username=user)
        if not self._local and password is not None:
            address = address.set(password=password.reveal())
        self._engine: Engine = sqlalchemy.create_engine(
            _read_only_file(address) if self._local else address, poolclass=NullPool, hide_parameters=True,
            connect_args=_arguments(address, timeout),
        )  # fmt: skip

    def read(self, query: str, values: Mapping[str, Any], most: int) -> list[Row]:
        """The rows of a query, `most` at most. Raises TryLater when it is away or too slow, AccessDenied when it does
        not let us in or look, ConfigError for a query that is not one of this database."""
        with self._transaction() as connection:
            result = connection.execute(sqlalchemy.text(query), dict(values))
            names = list(result.keys())
            if len(set(names)) != len(names):
                raise ConfigError("two columns of the query have the same name", key="sql.query")
            return [dict(zip(names, row, strict=True)) for row in result.fetchmany(most)]

    def check(self) -> None:
        """Raises as `read` when it does not answer or does not let us in."""
        with self._transaction() as connection:
            connection.execute(sqlalchemy.text("select 1 from sqlite_master" if self._local else "select 1"))

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        if self._local is not None and not self._local.is_file():
            raise TryLater("la base de données n'est pas là", fault="away.unreachable")
        try:
            with self._engine.connect() as connection, self._limited(connection):
                if self._local is None:
                    connection.execute(sqlalchemy.text("set transaction read only"))
                else:
                    connection.execute(sqlalchemy.text("pragma query_only = on"))
                yield connection
                connection.rollback()
        except HubError:
            raise
        except (SQLAlchemyError, sqlite3.Error, ValueError, OverflowError) as error:
            raise _translated(error) from None

    @contextmanager
    def _limited(self, connection: Connection) -> Iterator[None]:
        """A server ends a query that is too slow by itself; a file is read by ourselves."""
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            yield
            return
        raw.text_factory = _lenient
        timer = threading.Timer(self._timeout, raw.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _lenient(text: bytes) -> str:
    """What no text may hold is refused with its row: it must not hide the others."""
    return text.decode("utf-8", "surrogateescape")


def query_faults(query: str) -> Iterator[str]:
    """What is wrong with the text of a query that is to read and nothing else."""
    if not re.match(r"\s*(select|with)\b", query, re.IGNORECASE):
        yield "must begin with select or with: it only reads"
    if ";" in query:
        yield "must be one statement, without ;"
    names = set(sqlalchemy.text(query)._bindparams)
    if names != {"cursor"}:
        yield "must name :cursor and no other parameter"
    if not re.search(r"\border\s+by\b", query, re.IGNORECASE):
        yield "must be in order of its cursor: order by …"


def _address(url: str) -> URL:
    try:
        found = make_url(url)
        driver = DRIVERS.get(found.drivername.partition("+")[0], "")
    except (ArgumentError, ValueError):
        raise ConfigError("is no address of a database such as postgresql://host/name", key="url") from None
    if not driver or found.drivername not in (*DRIVERS, driver):
        raise ConfigError("is of a kind that is not read: postgresql or sqlite", key="url")
    if found.password is not None:
        raise ConfigError("holds a password: it has a setting of its own", key="url")
    if not found.database:
        raise ConfigError("names no database", key="url")
    return found.set(drivername=driver)


def _read_only_file(address: URL) -> URL:
    return address.set(database=f"file:{address.database}", query={"mode": "ro", "uri": "true"})


def _arguments(address: URL, timeout: float) -> dict[str, Any]:
    if address.get_backend_name() == "sqlite":
        return {"timeout": min(_BUSY_AFTER, timeout)}
    milliseconds = max(1, int(timeout * 1000))
    return {
        "connect_timeout": max(2, round(timeout)), "tcp_user_timeout": milliseconds, "keepalives_idle": 15,
        "keepalives_interval": 5, "keepalives_count": 2, "application_name": "unefois",
        "options": f"-c default_transaction_read_only=on -c statement_timeout={milliseconds}"
                   f" -c lock_timeout={milliseconds} -c idle_in_transaction_session_timeout={milliseconds * 4}",
    }  # fmt: skip


def _translated(error: Exception) -> HubError:
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, sqlite3.Error):
        return _of_file(cause)
    code = str(getattr(cause, "sqlstate", None) or "")
    if isinstance(error, PoolTimeout) or code == _SLOW:
        return TryLater("la base de données ne répond pas (délai dépassé)", fault="away.timeout")
    if code in _LOCKED:
        return TryLater("la base de données est verrouillée par un autre", fault="away.locked")
    if code.startswith(_DENIED) or (not code and _PASSWORD.search(str(cause))):
        return AccessDenied("la base de données refuse notre compte", detail=code, fault="denied.login")
    if not code or code.startswith(_AWAY) or isinstance(error, InterfaceError):
        return TryLater("la base de données n'est pas joignable", detail=code, fault="away.unreachable")
    return ConfigError(f"is not a query of this database (SQLSTATE {code})", key="sql.query")


def _of_file(error: sqlite3.Error) -> HubError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name in ("SQLITE_BUSY", "SQLITE_LOCKED") or name.startswith("SQLITE_BUSY"):
        return TryLater("la base de données est verrouillée par un autre", fault="away.locked")
    if name == "SQLITE_INTERRUPT":
        return TryLater("la base de données ne répond pas (délai dépassé)", fault="away.timeout")
    if name in ("SQLITE_PERM", "SQLITE_AUTH", "SQLITE_READONLY") or name.startswith("SQLITE_READONLY"):
        return AccessDenied("la base de données nous refuse cette lecture", detail=name, fault="denied.forbidden")
    if name.startswith(("SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_CORRUPT", "SQLITE_FULL")):
        return TryLater("la base de données ne se lit pas", detail=name, fault="away.unreachable")
    return ConfigError(f"is not a query of this database ({name or type(error).__name__})", key="sql.query")
