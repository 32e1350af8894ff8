"""docs/performance.md, from what is recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.report import LABELS, WANTED, plain, rows_of

Recorded = Mapping[str, Any]

_HEAD = """\
# Performance

Written by `unefois bench --report`; do not edit. What is measured, and how: at the end of this page.

Machine: {cores} cores ({processor}), {memory_gib} GiB, {system}, Python {python}. Broker, database, load generators \
and hub are all on it. Commands: {commands}.

## Through the whole pipeline

Events per second that reached all five subscribers, durable everywhere; medians. Only ratios of one run mean \
anything: the same case varies by up to 40 % between runs.
"""
_METHOD = """
## How it is measured

- One event: a `citizen.address-changed` of about 1.2 kB with nested data, numbered, about one of 500 citizens; five \
subscribers. The same bytes for everybody.
- A rate is the events divided by the time from the first one sent to the last one acknowledged by all five: what \
waits in a queue when the sender stops is waited for. The handlers do nothing. After each round the ledger is \
counted: every event answered for is stored once and delivered five times, else the case has failed.
- R: raw pika, a window of 500 confirms, five quorum queues, one consumer process, prefetch 500, one acknowledgement \
per hundred; no validation, no database. It is the ceiling of this client on this broker.
- The hub: gateway, relay and one worker as processes of their own, PostgreSQL with fsync, RabbitMQ with quorum \
queues; HTTP from 32 connections, or AMQP with a window of 500 and every receipt read. Embedded: `unefois serve`, \
SQLite.
- The libraries as their own guides advise when nothing may be lost: persistent messages, confirms, acknowledged \
after the handler, quorum queues where they know them. Celery and dramatiq have no fan-out: an event is five \
messages.
- Cases take turns within each round; a ratio is taken within a round, and the median of the rounds is shown.
- Latency is taken from the time written into the event and from the time of its acceptance in the ledger. Cost is \
the processor time of all processes of the hub, the broker and the database together, without the load generator.
- Exchanges: a gateway as a process of its own on PostgreSQL with fsync, the value stored by the same road; the relay, \
which seals, in another. The bare route is FastAPI under uvicorn, which reads one row of the same server by its key, \
over a connection kept open for each thread. After each turn every exchange has one line in the journal and one \
recipient, else the case has failed. Around a seal: from 0.15 s before to 0.35 s after.

```sh
make bench                                                      # all cases, three rounds
make bench ARGS="--only http_pipeline,raw_pika --seconds 8"
make bench ARGS="--only http_pipeline --rounds 1 --profile"     # functions and statements that take the time
make bench ARGS="--only exchanges,journal"                      # once only
make bench ARGS="--only refusals"                               # a refusal against an acceptance; no servers
make bench ARGS="--only readers"                                # acceptance with 1, 15 and 50 readers; no servers
make bench ARGS="--full --report"                               # also backlog, growth, exchanges; writes this page
```
"""


def page(kept: Recorded) -> str:
    result = {**kept["rates"], **{name: kept[name] for name in ("spread", "ratios", "processor")}}
    commands = ", ".join(f"`{command}`" for command in kept["commands"])
    parts = [
        _HEAD.format(**kept["machine"], commands=commands),
        _table(("", "events/s", "spread", "of R", "of FastStream", "processor, ms per event"), rows_of(result)),
        _table(("asked", "at least", "aim", "measured"), _wanted(kept["ratios"])),
        *(f"Not measured: {name} ({why})." for name, why in kept["errors"].items()),
        _limit(kept["processor"]["http_pipeline"]) if kept["processor"].get("http_pipeline") else "",
        *(part(kept[name]) for name, part in _PARTS.items() if kept.get(name)),
    ]
    return "\n".join(part.rstrip("\n") + "\n" for part in parts) + _METHOD


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


def _wanted(ratios: Mapping[str, Mapping[str, float]]) -> list[list[object]]:
    return [
        [f"{LABELS[case]} / {LABELS[base]}", least, aim or "", plain(ratios.get(case, {}).get(base))]
        for case, base, least, aim in WANTED
    ]


def _limit(parts: Mapping[str, float]) -> str:
    """Where the time of an event goes, and where two cores end."""
    whole = sum(parts.values())
    shares = ", ".join(f"{name} {ms / whole:.0%}" for name, ms in sorted(parts.items(), key=lambda part: -part[1]))
    return (
        f"## The limit now\n\nAn event that comes alone by HTTP and goes to five connections takes {whole:.2f} ms of"
        f" processor in all ({shares}). Two cores end near {2000 / whole:,.0f} a second by that, less what the senders"
        " take: it is work, not waiting, that limits. Nearly all of it is the ledger that raw pika and the libraries do"
        " not keep: per event a row at the door, one for the event, five deliveries written three times each, what is"
        " known of the citizen; and the Python that carries them. Fewer and larger commits would save little more; what"
        " would is fewer writes per delivery, or fewer connections per event. [Scaling](scaling.md) says what several"
        " machines bring.\n"
    )


def _latency(found: Recorded) -> str:
    rows = [("raw pika, publish to callback", found["raw_pika"])]
    for case, label in (("http_pipeline", "hub"), ("embedded", "hub, embedded")):
        rows.append((f"{label}, accepted to handler", found[case]["accepted_to_handler"]))
        rows.append((f"{label}, request sent to handler", found[case]["sent_to_handler"]))
    rows.append(("hub, accepted to handler, more than raw pika (asked: 5 and 25; aim: 2 and 10)", found["added"]))
    table = _table(("ms", "p50", "p99"), [(label, row["p50"], row["p99"]) for label, row in rows])
    return f"## Latency at 100 events a second\n\n{table}"


def _memory(found: Recorded) -> str:
    rows = [(role, found[role]["most"], f"{found[role]['growth']:+.1%}") for role in ("gateway", "relay", "worker")]
    return (
        f"## Memory\n\n`unefois serve`, idle: {found['serve_idle']} MB (asked: less than 150). Under full load for"
        f" {found['seconds']:g} s (asked of the worker: less than 200 MB, flat); growth from the second quarter of that"
        f" time to the last:\n\n{_table(('', 'most, MB', 'growth'), rows)}"
    )


def _backlog(found: Recorded) -> str:
    return (
        f"## A backlog\n\n{found['events']:,} events waited for workers that were away, and senders went on. Drained in"
        f" {found['caught_up_seconds']} s ({found['drained_per_second']:,} events/s); the senders sent"
        f" {found['sending_meanwhile']:,}/s meanwhile and {found['usual_sending']:,}/s otherwise: slowed by"
        f" {found['slowed']:.0%} (asked: at most 20 %).\n"
    )


def _growth(found: Recorded) -> str:
    titles = {"connections": "connections", "rows": "finished deliveries", "subjects": "known citizens"}
    head = ("ms per event", "ms per delivery", "events/s")
    parts = ["## How cost grows\n\nAsked: at most 15 % more per delivery.\n"]
    for name, title in titles.items():
        if name in found:
            rows = [
                (f"{int(size):,}", row["ms_per_event"], row["ms_per_delivery"], row["events_per_second"])
                for size, row in found[name].items()
            ]
            parts.append(_table((title, *head), rows))
    return "\n".join(parts)


def _exchanges(found: Recorded) -> str:
    latency, processor, most = found["latency"], found["processor"], found["most"]
    rows = [
        ("bare FastAPI route, one row", latency["bare"]),
        ("exchange, nobody seals", latency["unsealed"]),
        (f"exchange, a seal every {found['seal_seconds']:g} s (asked: p95 less than 50)", latency["sealed"]),
        ("the same, asked around a seal", found["near_a_seal"]),
        ("the same, asked between two", found["away_from_a_seal"]),
    ]
    marks = ("p50", "p95", "p99")
    timed = [(label, *(row[mark] for mark in marks)) for label, row in rows if row]
    timed.append(("exchange / bare, in one round", *(found["against_bare"][mark] for mark in marks)))
    timed.append(("sealed / not sealed, in one round", *(found["sealed_against_unsealed"][mark] for mark in marks)))
    spent = [
        (label, *(processor[case].get(who, "") for who in ("bare", "gateway", "database", "relay")))
        for case, label in (("bare", "bare route"), ("sealed", "exchange"), ("most", "exchange, as many as go through"))
    ]
    clients, rate = found["clients"], found["rate"]
    return (
        f"## Exchanges\n\n{clients} clients ask at once for a stored value of one of {found['people']:,} people, each"
        f" after {clients / rate:g} s of thought: {rate:g} questions a second, open load, latency from when one was"
        " due. Rights, citizen, minimisation, signature and journal are all in it. Medians of"
        f" {found['rounds']} rounds of {found['seconds']:g} s; the cases take turns in each.\n\n"
        f"{_table(('ms', *marks), timed)}\n"
        f"Milliseconds of processor for one (asked of the gateway: under 5); {found['statements']:g} statements:\n\n"
        f"{_table(('', 'bare', 'gateway', 'database', 'relay'), spent)}\n"
        f"At most: {most['hub']:,} exchanges a second through one gateway; {most['bare']:,} rows through the bare"
        " route.\n"
    )


def _journal(found: Recorded) -> str:
    return (
        f"## The journal\n\n{found['lines']:,} lines ({found['megabytes']:,} MB, {found['segments']:,} seals) verify in"
        f" {found['verify_seconds']:g} s (asked: less than 60); their export takes {found['export_seconds']:g} s. One"
        f" changed letter was found. Alone a line takes {found['write_alone_processor_microseconds']:g} µs of processor"
        f" to write, {found['write_microseconds_a_line']:g} µs in company, and"
        f" {found['seal_microseconds_a_line']:g} µs to seal.\n"
    )


def _refusals(found: Recorded) -> str:
    refused, accepted = found["worst_refusal"], found["worst_acceptance"]
    return (
        "## A refusal\n\nThe dearest documents that a search found under all shared schemas, up to an event's size:"
        f" to refuse one took {refused['ms']:g} ms (`{refused['schema']}`, {refused['bytes']:,} bytes),"
        f" to accept one {accepted['ms']:g} ms (`{accepted['schema']}`, {accepted['bytes']:,} bytes):"
        f" {found['ratio']:g} times as much (asked: less than {found['limit']:g}). `unefois bench --only refusals`.\n"
    )


def _readers(found: Recorded) -> str:
    rows = [(f"{one['readers']}", f"{one['ms']:g}", f"{one['record_bytes']:,}") for one in found["readers"]]
    return (
        f"## Many readers\n\nMilliseconds of processor to accept a batch of {found['batch']} changes of address,"
        " each news to every reader, on SQLite; bytes of the sealed record of a person and field once each was given"
        " three values. `unefois bench --only readers`.\n\n"
        f"{_table(('readers', 'ms', 'record'), rows)}"
    )


_PARTS = {
    "latency": _latency, "memory": _memory, "backlog": _backlog, "growth": _growth, "exchanges": _exchanges,
    "journal": _journal, "refusals": _refusals, "readers": _readers,
}  # fmt: skip
