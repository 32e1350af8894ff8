"""The tables of the ledger. Times are seconds since 1970, UTC. `seq` is the order of acceptance."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)  # fmt: skip
from sqlalchemy.types import TypeEngine

metadata = MetaData()

EXPECTED = "expected"  # accepted for this connection, not yet received: `sending` tells how far the bus has it
RECEIVED = "received"  # the worker has committed its receipt
HELD = "held"  # behind an earlier event of the same key
STARTED = "started"  # an attempt was committed and has no outcome yet
WAITING = "waiting"  # to be tried again at `due`
PARKED = "parked"  # an operator must act
DELIVERED, REFUSED, SKIPPED, SUPERSEDED = "delivered", "refused", "skipped", "superseded"

OPEN = (EXPECTED, RECEIVED, HELD, STARTED, WAITING, PARKED)
FINAL = (DELIVERED, REFUSED, SKIPPED, SUPERSEDED)

_open_sql = text("state IN ('expected','received','held','started','waiting','parked')")


def _name(size: int) -> TypeEngine[str]:
    """A text that only programs compare: byte by byte, where the language's rules cost ten times as much."""
    return String(size).with_variant(String(size, collation="C"), "postgresql")


# One row per event of the last 13 months at least: the pair that makes a resend harmless.
door = Table(
    "door", metadata,
    Column("tenant", String(64), primary_key=True),
    Column("source", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("accepted_at", Double, nullable=False),
    Index("door_age", "accepted_at"),
)  # fmt: skip

events = Table(
    "events", metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("tenant", String(64), nullable=False),
    Column("source", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("type", String(128), nullable=False),
    Column("version", SmallInteger, nullable=False),
    Column("subject", Text),
    Column("time", String(40)),
    Column("extensions", Text),
    Column("order_key", String(200), nullable=False),
    Column("request_id", String(36)),
    Column("origin", String(128), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("accepted_at", Double, nullable=False),
    Column("directory", BigInteger),  # the version of the directory by which it was routed; null before there was one
    Index("events_request", "request_id", postgresql_where=text("request_id IS NOT NULL"),
          sqlite_where=text("request_id IS NOT NULL")),
)  # fmt: skip

# Each row is written three times on its way (expected, started, delivered): every index is paid as often.
deliveries = Table(
    "deliveries", metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("connection", _name(128), primary_key=True),
    Column("order_key", _name(200), nullable=False),
    Column("state", _name(12), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("deaths", SmallInteger, nullable=False, server_default="0"),
    Column("doubt", SmallInteger, nullable=False, server_default="0"),
    Column("at", Double, nullable=False),  # when the row came into its state
    Column("due", Double),
    Column("cause", Text),
    Column("answer", Text),
    Column("reference", Text),
    Column("fault", _name(64)),  # the code of the cause (schemas.errors), of a row that was refused, parked or put off
)  # fmt: skip


def _partial(name: str, where: str, *columns: str) -> None:
    Index(name, *(deliveries.c[c] for c in columns), postgresql_where=text(where), sqlite_where=text(where))


_partial("deliveries_expected", "state = 'expected'", "connection", "seq")
_partial("deliveries_ready", "state = 'received'", "connection", "seq")
_partial("deliveries_due", "state = 'waiting'", "connection", "due")
_partial("deliveries_open", str(_open_sql), "connection", "order_key", "seq")
_partial("deliveries_held", "state = 'held'", "connection", "order_key", "seq")
_partial("deliveries_trouble", "state IN ('parked','refused')", "connection", "seq")
_partial("deliveries_parked", "state = 'parked'", "connection", "seq")
_partial("deliveries_referenced", "reference IS NOT NULL", "connection", "at")

# How far the relay has put the events of a connection on the bus: one row moves on instead of one for each delivery.
sending = Table(
    "sending", metadata,
    Column("connection", String(128), primary_key=True),
    Column("seq", BigInteger, nullable=False),
)  # fmt: skip

# Who may act for a name (the relay, each connection) until when. `token` grows at each change of hands: it fences.
# `reached`: the last event of which the worker of a connection has committed a receipt.
leases = Table(
    "leases", metadata,
    Column("name", String(160), primary_key=True),
    Column("owner", String(128), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("until", Double, nullable=False),
    Column("reached", BigInteger, nullable=False, server_default="0"),
)  # fmt: skip

# What a connection is subscribed to, since which event; and its switch.
subscriptions = Table(
    "subscriptions", metadata,
    Column("connection", String(128), primary_key=True),
    Column("type", String(128), primary_key=True),
    Column("since_seq", BigInteger, nullable=False),
    Column("since", Double, nullable=False),
)  # fmt: skip

switches = Table(
    "switches", metadata,
    Column("connection", String(128), primary_key=True),
    Column("paused", SmallInteger, nullable=False),
    Column("cause", Text),
    Column("at", Double, nullable=False),
    Column("fault", String(64)),  # the code of the cause; null where a person paused it
)  # fmt: skip

cursors = Table(
    "cursors", metadata,
    Column("connection", String(128), primary_key=True),
    Column("cursor", Text, nullable=False),
    Column("at", Double, nullable=False),
)  # fmt: skip

counters = Table(
    "counters", metadata,
    Column("name", String(64), primary_key=True),
    Column("value", BigInteger, nullable=False),
)  # fmt: skip
