"""The statements of the busy road. Their text never changes, so that the database plans each of them once."""

from __future__ import annotations

from bus.sql import Insert, Statement
from bus.tables import OPEN, deliveries, door, events, sending

COLUMNS = "seq, order_key, attempts, deaths, doubt, state"
CHANNEL = "unefois"
NOTIFY = Statement(f"NOTIFY {CHANNEL}")
PAIRS = "{pairs(connection text, seq bigint)}"
# The state is wrapped, or the planner may take the index of open deliveries, which it would read from the connection's
# first one to its last for each row.
MINE = "deliveries.seq = pairs.seq AND deliveries.connection = pairs.connection AND deliveries.state || ''"
# Each key is looked up by itself: a plan for the join of a list with a table that was small when the plan was made goes
# on reading the whole table, and SQLite would read the list for every row of the tenant.
_AT_DOOR = "FROM door WHERE tenant = :tenant AND source = keys.source AND id = keys.id"
KNOWN = Statement(
    f"SELECT source, id, (SELECT seq {_AT_DOOR}) AS seq, (SELECT digest {_AT_DOOR}) AS digest"
    " FROM {keys(source text, id text)}"
)
# A counter row, not a sequence: its lock lasts until the commit, so that the order of numbers is that of commits.
HOLD_DOOR = Statement("SELECT value FROM counters WHERE name = 'events' FOR UPDATE")
# Sent after the row is locked, a statement of its own: what waited for that lock sees what was committed meanwhile.
DIRECTORY = Statement("SELECT value FROM counters WHERE name = 'directory'")
NUMBERED = Statement("UPDATE counters SET value = :value WHERE name = 'events'")
PASS_DOOR = Insert(door, conflict="DO NOTHING", returning="seq")
PASS_HELD_DOOR = Insert(door)
WRITE_EVENTS = Insert(events)
EXPECT = Insert(deliveries, ("seq", "connection", "order_key", "state", "at"))
LOAD = Statement("SELECT * FROM events WHERE seq {seqs:bigint}")
_TOGETHER = {"postgresql": "string_agg(connection, ' ')", "sqlite": "group_concat(connection, ' ')"}
# Each event is looked up by itself, as above. The state is wrapped, or all that is expected is read for the end of it.
_ITSELF = {"postgresql": "JOIN LATERAL (SELECT * FROM events WHERE seq = late.seq) AS events ON true",
           "sqlite": "JOIN events ON events.seq = late.seq"}  # fmt: skip
AFTER = {
    dialect: Statement(
        f"SELECT late.connections, events.* FROM (SELECT seq, {together} AS connections FROM deliveries"
        " WHERE seq > :after AND state || '' = 'expected' GROUP BY seq ORDER BY seq LIMIT :most) AS late"
        f" {_ITSELF[dialect]} ORDER BY late.seq"
    )
    for dialect, together in _TOGETHER.items()
}
EXPECTED_OF = Statement(
    "SELECT seq FROM deliveries WHERE connection = :connection AND state = 'expected' AND seq > :after AND seq <= :last"
    " ORDER BY seq LIMIT :most"
)
SENT_TO = Insert(sending, conflict="(connection) DO UPDATE SET seq = excluded.seq")
OUT = Statement(
    "UPDATE deliveries SET state = 'delivered', at = :at WHERE connection = :connection AND seq {seqs:bigint}"
    " AND state = 'expected'"
)
RECEIVE = Statement(f"UPDATE deliveries SET state = 'received', at = :at FROM {PAIRS} WHERE {MINE} = 'expected'")
READY = Statement(
    f"SELECT {COLUMNS} FROM deliveries WHERE connection = :connection AND state = 'received' ORDER BY seq LIMIT :most"
)
DUE = Statement(
    f"SELECT {COLUMNS} FROM deliveries WHERE connection = :connection AND state = 'waiting' AND due <= :now LIMIT :most"
)
# Those that were not received have a sign.
_OF_KEY = (
    "SELECT CASE WHEN state = 'expected' THEN -seq ELSE seq END AS seq FROM deliveries"
    " WHERE deliveries.connection = keys.connection AND order_key = keys.key"
    f" AND state IN {OPEN} ORDER BY deliveries.seq LIMIT :most"
)
_FIRSTS = {
    "postgresql": f"array_to_string(ARRAY({_OF_KEY}), ' ')",
    "sqlite": f"(SELECT group_concat(seq, ' ') FROM ({_OF_KEY}))",
}
FIRSTS = {
    dialect: Statement(f"SELECT keys.connection, keys.key, {firsts} AS firsts FROM {{keys(connection text, key text)}}")
    for dialect, firsts in _FIRSTS.items()
}
HOLD = Statement(
    f"UPDATE deliveries SET state = 'held', at = :at, cause = NULL, fault = NULL FROM {PAIRS} WHERE {MINE}"
    " IN ('expected', 'received', 'waiting')"
)
START = Statement(
    f"UPDATE deliveries SET state = 'started', at = :at, attempts = attempts + 1, due = NULL FROM {PAIRS} WHERE {MINE}"
    " IN ('expected', 'received', 'waiting') RETURNING deliveries.connection, deliveries.seq"
)
# Those alone of which no event of the same key stands before them.
START_FIRST = Statement(
    f"UPDATE deliveries SET state = 'started', at = :at, attempts = attempts + 1 FROM {PAIRS} WHERE {MINE} = 'expected'"
    " AND deliveries.seq = (SELECT min(open.seq) FROM deliveries AS open WHERE open.connection = deliveries.connection"
    f" AND open.order_key = deliveries.order_key AND open.state IN {OPEN})"
    " RETURNING deliveries.connection, deliveries.seq"
)
START_AGAIN = Statement(
    f"UPDATE deliveries SET state = 'started', at = :at, attempts = attempts + 1 FROM {PAIRS} WHERE {MINE} = 'expected'"
)
DELIVER = Statement(
    f"UPDATE deliveries SET state = 'delivered', at = :at, cause = NULL, fault = NULL FROM {PAIRS}"
    f" WHERE {MINE} = 'started'"
)
UNTRIED = Statement(
    f"UPDATE deliveries SET state = 'received', at = :at, attempts = attempts - 1 FROM {PAIRS} WHERE {MINE} = 'started'"
)
END = Statement(
    "UPDATE deliveries SET at = :at, state = pairs.state, cause = pairs.cause, answer = pairs.answer,"
    " reference = pairs.reference, due = pairs.due, doubt = pairs.doubt, fault = pairs.fault FROM {pairs(connection"
    " text, seq bigint, state text, cause text, answer text, reference text, due float8, doubt smallint, fault text)}"
    f" WHERE {MINE} = 'started'"
)
CLOCKS = {"sqlite": ":now", "postgresql": "CAST(extract(epoch FROM clock_timestamp()) AS float8)"}
_PAUSED = "(SELECT paused FROM switches WHERE connection = substr(leases.name, length('worker:') + 1)) AS paused"
TURN = {
    dialect: Statement(
        f"UPDATE leases SET until = {clock} + :seconds, reached = CASE WHEN leases.reached < turns.reached"
        " THEN turns.reached ELSE leases.reached END"
        " FROM {turns(name text, token bigint, reached bigint)}"
        " WHERE leases.name = turns.name AND leases.token = turns.token"
        f" RETURNING leases.name, {_PAUSED}"
    )
    for dialect, clock in CLOCKS.items()
}
# Without a write: whoever wants a lease waits for this lock as for that of an update. Who writes on SQLite is alone.
_LOCKS = {"sqlite": "", "postgresql": " FOR NO KEY UPDATE OF leases"}
FENCE = {
    dialect: Statement(
        f"SELECT leases.name, {_PAUSED} FROM {{turns(name text, token bigint)}}"
        f" JOIN leases ON leases.name = turns.name AND leases.token = turns.token{lock}"
    )
    for dialect, lock in _LOCKS.items()
}
