"""The statements of the busy road. Their text never changes, so that the database plans each of them once."""

from __future__ import annotations

from bus.sql import Insert, Statement
from bus.tables import OPEN, deliveries, door, events, sending

COLUMNS = "seq, order_key, attempts, deaths, doubt, state"
KNOWN = Statement(
    "SELECT door.* FROM {keys(source text, id text)} JOIN door"
    " ON door.tenant = :tenant AND door.source = keys.source AND door.id = keys.id"
)
PASS_DOOR = Insert(door, conflict="DO NOTHING", returning="seq")
WRITE_EVENTS = Insert(events)
EXPECT = Insert(deliveries, ("seq", "connection", "order_key", "state", "at"))
LOAD = Statement("SELECT * FROM events WHERE seq {seqs:bigint}")
AFTER = Statement(
    "SELECT connection, seq FROM deliveries WHERE seq > :after AND state = 'expected' ORDER BY seq, connection"
    " LIMIT :most"
)
EXPECTED_OF = Statement(
    "SELECT seq FROM deliveries WHERE connection = :connection AND state = 'expected' AND seq > :after AND seq <= :last"
    " ORDER BY seq LIMIT :most"
)
SENT_TO = Insert(sending, conflict="(connection) DO UPDATE SET seq = excluded.seq")
OUT = Statement(
    "UPDATE deliveries SET state = 'delivered', at = :at WHERE connection = :connection AND seq {seqs:bigint}"
    " AND state = 'expected'"
)
ARRIVED = Statement(
    f"SELECT {COLUMNS} FROM deliveries WHERE connection = :connection AND seq {{seqs:bigint}} AND state = 'expected'"
    " ORDER BY seq"
)
RECEIVE = Statement(
    "UPDATE deliveries SET state = 'received', at = :at WHERE connection = :connection AND seq {seqs:bigint}"
    " AND state = 'expected'"
)
READY = Statement(
    f"SELECT {COLUMNS} FROM deliveries WHERE connection = :connection AND state = 'received' ORDER BY seq LIMIT :most"
)
DUE = Statement(
    f"SELECT {COLUMNS} FROM deliveries WHERE connection = :connection AND state = 'waiting' AND due <= :now LIMIT :most"
)
BLOCKERS = Statement(
    "SELECT keys.key, (SELECT seq FROM deliveries WHERE connection = :connection AND order_key = keys.key"
    f" AND state IN {OPEN} AND NOT (seq {{apart:bigint}}) ORDER BY seq LIMIT 1) AS first FROM {{keys(key text)}}"
)
HOLD = Statement(
    "UPDATE deliveries SET state = 'held', at = :at, cause = NULL WHERE connection = :connection AND seq {seqs:bigint}"
    " AND state IN ('expected', 'received', 'waiting')"
)
START = Statement(
    "UPDATE deliveries SET state = 'started', at = :at, attempts = attempts + 1, due = NULL"
    " WHERE connection = :connection AND seq {seqs:bigint} AND state IN ('expected', 'received', 'waiting')"
    " RETURNING seq"
)
DELIVER = Statement(
    "UPDATE deliveries SET state = 'delivered', at = :at, cause = NULL"
    " WHERE connection = :connection AND seq {seqs:bigint} AND state = 'started'"
)
UNTRIED = Statement(
    "UPDATE deliveries SET state = 'received', at = :at, attempts = attempts - 1"
    " WHERE connection = :connection AND seq {seqs:bigint} AND state = 'started'"
)
END = Statement(
    "UPDATE deliveries SET at = :at, state = ends.state, cause = ends.cause, answer = ends.answer,"
    " reference = ends.reference, due = ends.due, doubt = ends.doubt FROM {ends(seq bigint, state text, cause text,"
    " answer text, reference text, due float8, doubt smallint)} WHERE deliveries.connection = :connection"
    " AND deliveries.seq = ends.seq AND deliveries.state = 'started'"
)
CLOCKS = {"sqlite": ":now", "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS float8)"}
TURN = {
    dialect: Statement(
        f"UPDATE leases SET until = {clock} + :seconds,"
        " reached = CASE WHEN reached < :reached THEN :reached ELSE reached END WHERE name = :name AND token = :token"
        " RETURNING (SELECT paused FROM switches WHERE connection = :connection) AS paused"
    )
    for dialect, clock in CLOCKS.items()
}
