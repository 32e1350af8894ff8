"""The tables of docs/scaling.md, each between its marks, from what is recorded; the words are written by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Recorded = Mapping[str, Any]
_ENOUGH = 3  # rounds
_COLUMNS = ("gateway", "relay", "worker", "database", "broker")
_NAMES = {"gateway": "gateway", "door": "the door", "relay": "the relay", "worker": "worker", "database": "PostgreSQL",
          "broker": "RabbitMQ", "queues": "quorum queues"}  # fmt: skip
_TITLES = {"gateways": "gateways", "relays": "relays, one active", "workers": "workers, each its share (`--only`)",
           "leases": "workers, by leases", "brokers": "broker nodes"}  # fmt: skip


def written(page: str, recorded: Recorded) -> str:
    """The page with all its tables made again. ValueError when a table has no place, or a place no table."""
    places = set(re.findall(r"<!-- table (\w+) -->", page))
    if places != set(_TABLES):
        raise ValueError(f"the page and the tables differ: {sorted(places ^ set(_TABLES))}")
    for name, made in _TABLES.items():
        mark = re.compile(rf"(<!-- table {name} -->\n).*?(<!-- end {name} -->)", re.DOTALL)
        text = made(recorded)
        page = mark.sub(lambda found, text=text: found[1] + text + found[2], page)  # type: ignore[misc]
    return page


def _machine(recorded: Recorded) -> str:
    machine = recorded["machine"]
    return (
        f"Measured on {machine['cores']} cores ({machine['processor']}), {machine['memory_gib']} GiB,"
        f" {machine['system']}, Python {machine['python']}, at commit `{machine['commit']}`, by"
        f" `{recorded['command']}`, {_rounds(recorded['rounds'])}. A page of 8 kB is safe on its disk after"
        f" {recorded['measured']['disk_ms']:.2f} ms.{_caution(recorded['rounds'])}\n"
    )


def _caution(rounds: int) -> str:
    if rounds >= _ENOUGH:
        return ""
    return (
        " **Too few rounds:** events/s and the slowest percent say more of what else the machine did than of the hub;"
        " take milliseconds of processor that differ by less than half for equal."
    )


def _rounds(number: int) -> str:
    return "one round" if number == 1 else f"medians of {number} rounds"


def _parts(recorded: Recorded) -> str:
    rows = []
    for name, counts in recorded["measured"]["parts"].items():
        for number, found in counts.items():
            if number == "1" and name != "gateways":
                continue
            title = f"{number} {_TITLES[name]}" if number != "1" else "one of each"
            if "holders" in found:
                title += f" ({' + '.join(str(n) for n in found['holders'])} connections)"
            one, batch = found["one"], found["batch"]
            cells = [_ms(one["processor"].get(part, 0.0)) for part in _COLUMNS]
            rows.append([title, f"{one['rate']:,.0f}", *cells, _ms(sum(one["processor"].values())),
                         f"{batch['rate']:,.0f}", _ms(sum(batch["processor"].values()))])  # fmt: skip
    head = ("", "events/s", *(_NAMES[part] for part in _COLUMNS), "all", "in batches: events/s", "all")
    return _table(head, rows)


def _alone(recorded: Recorded) -> str:
    titles = {
        "gateway_one": "gateways, one by one: events", "gateway_batch": "gateways, in batches: events",
        "relay": "relays: deliveries", "worker": "workers, each its share: deliveries",
    }  # fmt: skip
    rows = []
    for name, title in titles.items():
        for number, stages in recorded["measured"]["stages"].items():
            found = stages[name]
            part = name.partition("_")[0]
            used = found["processor"]
            rows.append([title if number == "1" else "", number, f"{found['rate']:,.0f}", _ms(used.get(part, 0.0)),
                         _ms(used.get("database", 0.0)), _ms(used.get("broker", 0.0)),
                         f"{found['transactions']:.3f}"])  # fmt: skip
    head = ("alone, in full work", "number", "a second", "ms of its own", "ms of PostgreSQL", "ms of RabbitMQ",
            "transactions")  # fmt: skip
    return _table(head, rows)


def _towns(recorded: Recorded) -> str:
    rows = []
    for number, found in recorded["measured"]["towns"].items():
        title = f"{number} {'town' if number == '1' else 'towns'}, {found['connections']} connections"
        idle = found["idle"]
        parts = ("relay", "worker", "database", "broker")
        rows.append([f"{title}: silence, ms in each second", *(f"{idle.get(p, 0.0):.1f}" for p in parts),
                     f"{idle['transactions']:.1f}"])  # fmt: skip
        for name, words in (("paced", "one event at a time"), ("bursts", "an event of each town at once")):
            if name in found:
                used = [_ms(found[name]["processor"].get(part, 0.0)) for part in parts]
                rows.append([f"{title}: {words}, ms per event", *used, f"{found[name]['transactions']:.1f}"])
    return _table(("", "relay", "worker", "PostgreSQL", "RabbitMQ", "transactions"), rows)


def _door(recorded: Recorded) -> str:
    found = recorded["measured"]["towns"][max(recorded["measured"]["towns"], key=int)]["door"]
    rows = [[size, f"{ms:.1f}", f"{int(size) / ms * 1000:,.0f}"] for size, ms in found.items()]
    return _table(("events in one transaction", "ms", "events/s at most"), rows)


def _takeover(recorded: Recorded) -> str:
    found = recorded["measured"]["takeover"]
    return (
        f"The next delivery came {found['stopped']:.1f} s after the active relay was told to stop, and"
        f" {found['killed']:.1f} s after it was killed: the spare waits for the end of its lease.\n"
    )


def _assumed(recorded: Recorded) -> str:
    rows = [[text, _plain(value)] for text, value in recorded["modelled"]["assumed"]]
    return _table(("assumed", ""), rows)


def _costs(recorded: Recorded) -> str:
    asked = recorded["modelled"]["demands"]
    standing = recorded["modelled"]["standing"]
    rows = [
        [_NAMES[part], _ms(asked["gathered"][part] * 1000), _ms(asked["alone"][part] * 1000),
         f"{standing.get(part, 0.0) * 1000:.3f}" if part in standing else ""]
        for part in asked["alone"]
    ]  # fmt: skip
    head = ("", "ms per event, all gathered", "ms per event, each delivery alone", "ms per connection, each second")
    return _table(head, rows)


def _checked(recorded: Recorded) -> str:
    rows = [
        [row["what"], _number(row["measured"]), _number(row["bound"]), _number(row["simulated"])]
        for row in recorded["modelled"]["checked"]
    ]
    return _table(("this machine", "measured", "utilisation law", "simulated"), rows)


def _limits(recorded: Recorded) -> str:
    rows = [
        [_NAMES[row["part"]], row["room"], _number(row["events"]), _number(row["connections"]), f"{row['towns']:,.0f}"]
        for row in recorded["modelled"]["limits"]
    ]
    return _table(("", "of it", "events/s, no connections", "connections, no events", "towns at the peak"), rows)


def _needed(recorded: Recorded) -> str:
    rows = []
    for row in recorded["modelled"]["sweep"]:
        shape, busy = row["shape"], row["busy"]
        rows.append([
            f"{row['towns']:,}", f"{row['peak']:,.2f}" if row["peak"] < 10 else f"{row['peak']:,.0f}",
            f"{row['hubs']:,}", f"{row['each']:,.0f}",
            shape["gateway"], shape["worker"], shape["database"], shape["broker"], f"{busy['door']:.0%}",
            f"{busy['relay']:.0%}", _NAMES[row["first"]],
        ])  # fmt: skip
    head = ("towns", "events/s at the peak", "hubs", "towns of each", "gateways", "workers", "PostgreSQL cores",
            "RabbitMQ cores", "door busy", "relay busy", "ends one hub first")  # fmt: skip
    return _table(head, rows)


def _latency(recorded: Recorded) -> str:
    sweep = recorded["modelled"]["sweep"]
    levels = list(sweep[0]["latency"])
    rows = [
        [f"{row['towns']:,}", *(f"{p['p50']:.0f} / {p['p99']:.0f}" for p in row["latency"].values())] for row in sweep
    ]
    return _table(("towns", *(f"{level}, p50 / p99" for level in levels)), rows)


def _events_only(recorded: Recorded) -> str:
    rows = []
    for row in recorded["modelled"]["one_hub"]:
        latency = f"{row['p50']:,.0f} / {row['p99']:,.0f}" if row["first_busy"] < 1 else "never: it falls behind"
        rows.append([f"{row['rate']:,.0f}", *(f"{row['busy'][part]:.0%}" for part in ("door", "relay")),
                     *(f"{row['busy'][part]:.1f}" for part in ("gateway", "worker", "database", "broker")),
                     latency])  # fmt: skip
    head = ("events/s", "door busy", "relay busy", "gateways busy", "workers busy", "PostgreSQL cores busy",
            "RabbitMQ cores busy", "arrival to handler, ms, p50 / p99")  # fmt: skip
    return _table(head, rows)


def _table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n" + "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n\n"


def _ms(value: float) -> str:
    return f"{value:.2f}" if value >= 0.1 else f"{value:.3f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(f"{one:g}" for one in value)
    return f"{value:,g}" if isinstance(value, int | float) and value < 1000 else f"{value:,}"


_TABLES: dict[str, Callable[[Recorded], str]] = {
    "machine": _machine, "parts": _parts, "alone": _alone, "towns": _towns, "door": _door, "takeover": _takeover,
    "assumed": _assumed, "costs": _costs, "checked": _checked, "limits": _limits, "needed": _needed,
    "latency": _latency, "events": _events_only,
}  # fmt: skip
