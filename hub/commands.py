"""The command `unefois`. `--help` reads like a table of contents; commands that give data have `--json`.

Everything heavy is imported inside the commands: help must answer at once.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub.commands_journal import journal_app
from hub.commands_register import register_app
from hub.commands_rights import citizen_app

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.wiring import Hub, Raccordement

app = typer.Typer(
    name="unefois", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="The hub that lets a citizen tell the administration once.",
)  # fmt: skip
connector_app = typer.Typer(no_args_is_help=True, help="The packages the hub can speak to.")
parked_app = typer.Typer(no_args_is_help=True, help="Deliveries that wait for an operator.")
request_app = typer.Typer(no_args_is_help=True, help="Requests and their timelines.")
client_app = typer.Typer(no_args_is_help=True, help="Programs that may call the hub.")
schema_app = typer.Typer(no_args_is_help=True, help="The shared schemas.")
link_app = typer.Typer(no_args_is_help=True, help="Which identifiers, in which systems, are the same citizen.")
connection_app = typer.Typer(no_args_is_help=True, help="The connections of this hub: state, pause, resume, retry.")

RUN, OPERATE, DEVELOP = "Run the hub", "Operate it", "Plug packages in"
Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", envvar="UNEFOIS_CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="Data for programs.")]
Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Written tenant.name, as `connection list` shows it.")]
Seq = Annotated[int, typer.Argument(metavar="SEQ", help="Number of the event, as `parked list` shows it.")]
MetricsPort = Annotated[int, typer.Option(help="Serve this process's figures on this port; 0 serves none.")]
HUB_TOML = Path("hub.toml")
# Seconds for which a busy thread keeps the interpreter from one that has its answer from the database: ten times less
# than usual, for a commit is a dozen such answers.
_TURN = 0.0005
_COLLECT_AFTER = 50_000  # objects


def main() -> None:
    """Entry point. Faults that an operator can mend are one sentence on stderr, exit code 2."""
    from schemas.errors import HubError

    try:
        app()
    except HubError as error:
        sys.stderr.write(f"unefois: {error.reason}\n")
        sys.exit(2)


# --- run ----------------------------------------------------------------------------------------------------------


@app.command(rich_help_panel=RUN)
def demo(
    exit_: Annotated[bool, typer.Option("--exit", help="Return when the scenes are over.")] = False,
    as_json: AsJson = False,
    bus: Annotated[str, typer.Option(help="amqp:// address; without it all runs in this process.")] = "",
    database: Annotated[str, typer.Option(help="postgresql:// address; without it SQLite.")] = "",
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 chooses one.")] = 0,
) -> None:
    """Play the scenes of a town with local twins of its packages."""
    from hub.demo import play

    sys.exit(play(exit_after=exit_, as_json=as_json, bus=bus, database=database, port=port))


@app.command(rich_help_panel=RUN)
def serve(config: Config = HUB_TOML) -> None:
    """Gateway, relay and workers in one process."""
    _run(config, relay=True, workers=True, gateway=True)


@app.command(rich_help_panel=RUN)
def gateway(config: Config = HUB_TOML) -> None:
    """The way in alone: HTTP, and the AMQP inlet."""
    _run(config, gateway=True)


@app.command(rich_help_panel=RUN)
def relay(config: Config = HUB_TOML, metrics_port: MetricsPort = 0) -> None:
    """The relay alone: from the ledger to the bus. Start two: one is active."""
    _run(config, relay=True, metrics_port=metrics_port)


@app.command(rich_help_panel=RUN)
def worker(
    config: Config = HUB_TOML,
    only: Annotated[list[str] | None, typer.Option(help="tenant.connection; repeat. All by default.")] = None,
    metrics_port: MetricsPort = 0,
) -> None:
    """Workers and pollers of the connections."""
    _run(config, workers=True, only=only, metrics_port=metrics_port)


@app.command(rich_help_panel=RUN)
def check(config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """List every fault of the settings, the connectors, the procedures and the grants at once."""
    from connectors.sdk.manifest import ROOT
    from hub import procedures
    from hub.commands_register import grant_faults
    from hub.manifests import connector_faults
    from hub.settings import connectors_dir, faults
    from hub.wiring import installed
    from schemas.registry import Registry

    found = [*connector_faults(ROOT, Registry.load()), *procedures.faults()]
    if more := connectors_dir(config):
        found += connector_faults(more, Registry.load())
    if config.exists() or config != HUB_TOML:
        found += faults(config, os.environ, installed(config))
        found += grant_faults(config, os.environ)
    stopping = sum(not fault.warning for fault in found)
    if as_json:
        _print_json([{"file": f.file, "key": f.key, "message": f.message, "warning": f.warning} for f in found])
    else:
        for fault in found:
            typer.echo(str(fault))
        typer.echo(f"{stopping} fault(s)" if stopping else "No fault found.")
    raise typer.Exit(1 if stopping else 0)


# --- operate ------------------------------------------------------------------------------------------------------


@connection_app.command("list")
def connection_list(config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """Each connection with its deliveries by state."""

    def act(hub: Hub) -> Any:
        with hub.ledger.reading() as tx:
            counts, paused = tx.counts(), tx.paused()
        return [
            {"connection": name, "connector": found.manifest.id, "paused": paused.get(name), **counts.get(name, {})}
            for name, found in sorted(hub.raccordements.items())
        ]

    _show(_with_hub(config, act), as_json)


@connection_app.command("pause")
def connection_pause(
    connection: Name,
    cause: Annotated[str, typer.Option(help="Shown to whoever looks.")] = "arrêt demandé",
    config: Config = HUB_TOML,
) -> None:
    """The kill switch: this connection neither sends nor polls until it is resumed."""
    _with_hub(config, lambda hub: _switch(hub, connection, cause))


@connection_app.command("resume")
def connection_resume(connection: Name, config: Config = HUB_TOML) -> None:
    """Let a paused connection go on."""
    _with_hub(config, lambda hub: _switch(hub, connection, None))


@connection_app.command("retry")
def connection_retry(connection: Name, config: Config = HUB_TOML) -> None:
    """The package is back: try what waits for it now, not at its time."""

    def act(hub: Hub) -> tuple[int, bool]:
        found = _known(hub, connection)
        with hub.ledger.transaction() as tx:
            _note(hub, tx, connection, "connection.retried")
            return tx.hurry(connection, settling=found.manifest.settling_seconds), connection in tx.paused()

    due, paused = _with_hub(config, act)
    typer.echo(f"{due} due now." + (" This connection is paused: resume it." if paused else ""))


@parked_app.command("list")
def parked_list(
    config: Config = HUB_TOML, as_json: AsJson = False,
    tenant: Annotated[str, typer.Option(help="Of this tenant only.")] = "",
    state: Annotated[str, typer.Option(help="parked, refused, waiting or held.")] = "parked",
) -> None:  # fmt: skip
    """Parked deliveries, or those in another state, oldest first; a hundred at most."""
    if state not in ("parked", "refused", "waiting", "held"):
        _fail("the state is parked, refused, waiting or held")

    def act(hub: Hub) -> Any:
        with hub.ledger.reading() as tx:
            rows = tx.troubles(tenant=tenant or None, state=state)
        keep = ("connection", "seq", "type", "cause", "attempts", "request_id")
        return [{k: row[k] for k in keep} | {"since": _text(row["at"])} for row in rows]

    _show(_with_hub(config, act), as_json)


@parked_app.command("show")
def parked_show(connection: Name, seq: Seq, config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """One parked delivery: state, cause, attempts and what waits behind it; never its contents."""

    def act(hub: Hub) -> Any:
        with hub.ledger.reading() as tx:
            rows = [r for r in tx.deliveries_of([seq]) if r.connection == connection]
            stored = tx.load([seq]).get(seq)
            if not rows or stored is None:
                return None
            row = rows[0]
            return {
                "connection": connection, "seq": seq, "type": stored.event.type, "id": stored.event.id,
                "state": row.state, "cause": row.cause, "attempts": row.attempts, "since": _text(row.at),
                "request": stored.request_id, "held_behind": tx.held_behind(connection, row.order_key),
            }  # fmt: skip

    found = _with_hub(config, act)
    if found is None:
        _fail("no such delivery")
    _show([found], as_json, one=True)


@parked_app.command("replay")
def parked_replay(connection: Name, seq: Seq, config: Config = HUB_TOML) -> None:
    """Try a parked or refused delivery again."""

    def act(hub: Hub) -> bool:
        with hub.ledger.transaction() as tx:
            return hub.desk.replay(tx, connection, seq) and _note(hub, tx, connection, "delivery.replayed", seq=seq)

    if not _with_hub(config, act):
        _fail("this delivery is neither parked nor refused")
    typer.echo("It will be tried again.")


@parked_app.command("skip")
def parked_skip(
    connection: Name, seq: Seq,
    reason: Annotated[str, typer.Argument(metavar="REASON", help="Shown in the request's timeline.")],
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Give a parked delivery up, with a reason, and let what waits behind it go on."""

    def act(hub: Hub) -> bool:
        with hub.ledger.transaction() as tx:
            done = hub.desk.skip(tx, connection, seq, reason)
            return done and _note(hub, tx, connection, "delivery.skipped", {"reason": reason}, seq=seq)

    if not _with_hub(config, act):
        _fail("this delivery is not parked")
    typer.echo("Skipped; its followers go on.")


@request_app.command("show")
def request_show(tenant: str, request_id: str, config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """A request's status, legal clocks and timeline. Its first eight characters, as people see them, are enough."""
    from hub.requests import read, whole_id
    from hub.timeline import lines, request_view

    def act(hub: Hub) -> Any:
        with hub.ledger.transaction() as tx:
            whole = whole_id(tx, tenant, request_id)
            request = read(tx, tenant, whole)
            if request is not None:
                _note(hub, tx, tenant, "request.shown", citizen_id=request.citizen_id, request=whole)
            return request_view(tx, hub.acceptance.directory, tenant, whole)

    found = _with_hub(config, act)
    if found is None:
        _fail("no such request in this tenant")
    if as_json:
        _print_json(found)
    else:
        typer.echo("\n".join(lines(found)))


@client_app.command("add")
def client_add(
    tenant: str, client_id: str,
    scope: Annotated[list[str], typer.Option(help="What it may do over HTTP; repeat.")],
    label: Annotated[str, typer.Option(help="Name shown to people.")] = "",
    publish: Annotated[list[str] | None, typer.Option(help="Event type it may publish; repeat.")] = None,
    jwks: Annotated[Path | None, typer.Option(help="Public keys, for private_key_jwt instead of a secret.")] = None,
    broker_user: Annotated[str, typer.Option(help="Its user name on the broker.")] = "",
    config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """Add a program that may call the hub. Its secret is shown once."""
    from hub import clients

    def act(hub: Hub) -> str | None:
        if tenant not in hub.settings.tenants:
            _fail(f"no tenant {tenant!r} in the settings")
        if unknown := sorted(set(publish or ()) - set(hub.registry.types())):
            _fail(f"no event type {unknown[0]!r} (see `unefois schema list`)")
        if client_id == "hub" or f"{tenant}.{client_id}" in hub.raccordements:
            _fail(f"{client_id!r} is the name of a connection or of the hub itself")
        keys = json.loads(jwks.read_text(encoding="utf-8")) if jwks else None
        _announce(hub, tenant, "client.added", client=client_id, scopes=scope, types=list(publish or ()))
        return clients.add(
            hub.ledger, client_id=client_id, tenant=tenant, label=label or client_id, scopes=scope,
            types=publish or (), jwks=keys, broker_user=broker_user or None,
        )  # fmt: skip

    secret = _with_hub(config, act)
    _print_json({"client_id": client_id, "client_secret": secret} if secret else {"client_id": client_id})


@client_app.command("show")
def client_show(
    client_id: Annotated[str, typer.Argument(help="All clients by default.")] = "",
    config: Config = HUB_TOML, as_json: AsJson = False,
) -> None:  # fmt: skip
    """What clients may do, and the grants under which they obtain evidence."""
    from hub import clients
    from hub.commands_register import grants_of, in_words

    def act(hub: Hub) -> tuple[list[dict[str, Any]], list[str]]:
        with hub.ledger.reading() as tx:
            found = [client for client in clients.listing(tx) if client_id in ("", client.id)]
        granted = {client.id: hub.grants.of(client.id, client.tenant) for client in found}
        rows = [client.to_dict() | {"grants": grants_of(granted[client.id])} for client in found]
        return rows, [line for grants in granted.values() for grant in grants for line in in_words(grant)]

    rows, words = _with_hub(config, act)
    if as_json:
        _show(rows, as_json)
        return
    _show([row | {"grants": [grant["id"] for grant in row["grants"]]} for row in rows], as_json)
    if client_id and words:
        typer.echo("Grants\n\n" + "\n".join(words))


@client_app.command("disable")
def client_disable(client_id: str, config: Config = HUB_TOML) -> None:
    """Take a client's rights away, at once for new calls."""
    from hub import clients

    def act(hub: Hub) -> bool:
        with hub.ledger.reading() as tx:
            known = [c for c in clients.listing(tx) if c.id == client_id]
        for client in known:
            _announce(hub, client.tenant, "client.disabled", client=client_id)
        return clients.disable(hub.ledger, client_id)

    if not _with_hub(config, act):
        _fail("no such client")
    typer.echo("Disabled.")


@link_app.command("import")
def link_import(tenant: str, file: Path, config: Config = HUB_TOML) -> None:
    """Read links from a CSV file: family_name;given_names;gender;birthdate;birthplace;system;id;confidential."""
    from hub.links import import_links

    def act(hub: Hub) -> int:
        if tenant not in hub.settings.tenants:
            _fail(f"no tenant {tenant!r} in the settings")
        _announce(hub, tenant, "links.imported")
        return import_links(hub.ledger, hub.acceptance, tenant, file.read_text(encoding="utf-8-sig"))

    typer.echo(f"{_with_hub(config, act)} link(s) kept.")


# --- develop ------------------------------------------------------------------------------------------------------


@connector_app.command("list")
def connector_list(as_json: AsJson = False) -> None:
    """The connectors that are installed; none of their code is run."""
    from connectors.sdk.manifest import find_manifests

    keep = ("domain", "protocol", "tier", "verified")
    found = [{"name": m.id} | {k: getattr(m, k) for k in keep} for m in find_manifests().values()]
    _show(found, as_json)


@connector_app.command("new")
def connector_new(
    slug: str,
    folder: Annotated[Path, typer.Option(help="Where connectors are.")] = Path("connectors"),
    answers: Annotated[str, typer.Option(metavar="TYPE", help="A type of evidence that it answers for, besides.")] = "",
) -> None:
    """Write the folder of a new connector, ready to be filled in."""
    from connectors.sdk.scaffold import write_connector

    for path in write_connector(slug, folder, answers):
        typer.echo(str(path))


@connector_app.command("test")
def connector_test(slug: str) -> None:
    """Run the tests of one connector (needs the development tools)."""
    import subprocess

    tests = Path("tests/connectors") / slug
    if not tests.is_dir():
        _fail(f"{tests} is not there")
    raise typer.Exit(subprocess.call([sys.executable, "-m", "pytest", str(tests)]))  # noqa: S603


@connector_app.command("try")
def connector_try(connection: Name, config: Config = HUB_TOML) -> None:
    """Call the package of one connection in a harmless way and say what it answered."""

    def act(hub: Hub) -> Any:
        found = hub.raccordements.get(connection)
        if found is not None and found.manifest.outside:
            _fail("this package reads its own queue on the broker: there is nothing to call")
        return found.connector.probe() if found else None

    probe = _with_hub(config, act)
    if probe is None:
        _fail("no such connection in the settings")
    typer.echo(f"{'OK' if probe.ok else 'KO'} : {probe.detail}")
    raise typer.Exit(0 if probe.ok else 1)


@app.command(rich_help_panel=DEVELOP)
def faults(
    seed: Annotated[int, typer.Option(help="Draws the schedule; the same seed breaks the same things.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long things are broken.")] = 2.0,
    embedded: Annotated[bool, typer.Option("--embedded", help="One process on SQLite, no servers.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the page of results here.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Leave the books and the logs in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Break a hub of real processes for a while, then balance its books. Wants RabbitMQ and PostgreSQL installed."""
    from hub.faults import play

    raise typer.Exit(play(seed=seed, minutes=minutes, embedded=embedded, report=report, keep=keep, as_json=as_json))


@app.command(rich_help_panel=DEVELOP)
def bench(
    seconds: Annotated[float, typer.Option(help="How long each case sends.")] = 8.0,
    rounds: Annotated[int, typer.Option(help="The cases take turns that often; medians are shown.")] = 3,
    only: Annotated[str, typer.Option(help="Names of cases, separated by commas.")] = "",
    full: Annotated[
        bool, typer.Option("--full", help="Also a backlog, the growth of cost, half an hour of load.")
    ] = False,
    scale: Annotated[float, typer.Option(help="Of the sizes of backlog and growth; 0.01 to try them.")] = 1.0,
    minutes: Annotated[float, typer.Option(help="Of full load, for the memory.")] = 0.0,
    profile: Annotated[bool, typer.Option("--profile", help="Functions and statements that take the time.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Record the ratios and write docs/performance.md.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure the hub against the bare broker and other libraries (needs a checkout; `make bench` installs them)."""
    import subprocess

    root = Path(__file__).resolve().parents[1]
    if not (root / "benchmarks" / "__main__.py").is_file():
        _fail("the benchmark is not part of the package: run this in a checkout of the sources")
    options = {"--seconds": seconds, "--rounds": rounds, "--scale": scale, "--minutes": minutes, "--only": only}
    arguments = [f"{name}={value}" for name, value in options.items() if value]
    switches = {"--full": full, "--profile": profile, "--report": report, "--json": as_json}
    arguments += [name for name, on in switches.items() if on]
    raise typer.Exit(subprocess.call([sys.executable, "-m", "benchmarks", *arguments], cwd=root))  # noqa: S603


@schema_app.command("list")
def schema_list(as_json: AsJson = False) -> None:
    """The event types, the types of evidence, and their versions."""
    from schemas.registry import Registry

    registry = Registry.load()
    found = [{"kind": "event", **row} for row in registry.listing()]
    found += [{"kind": "evidence", "order": "", **row} for row in registry.evidence_listing()]
    keep = ("kind", "type", "version", "order", "title")
    _show(found if as_json else [{k: row[k] for k in keep} for row in found], as_json)


@schema_app.command("diff")
def schema_diff(
    old: Annotated[Path | None, typer.Argument(help="A folder of schemas; the last release by default.")] = None,
    new: Annotated[Path | None, typer.Argument(help="The folder to compare; the current one by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Refuse an incompatible change, with its path, the rule, and a document that breaks."""
    from schemas.evolution import CURRENT, RELEASED, diff

    changes = diff(old or RELEASED, new or CURRENT)
    if as_json:
        _print_json([change.to_dict() for change in changes])
    else:
        for change in changes:
            typer.echo(str(change))
        typer.echo("Compatible with the last release." if not changes else f"{len(changes)} incompatible change(s).")
    raise typer.Exit(1 if changes else 0)


for name, group, panel in (
    ("connection", connection_app, OPERATE), ("parked", parked_app, OPERATE), ("request", request_app, OPERATE),
    ("client", client_app, OPERATE), ("link", link_app, OPERATE), ("connector", connector_app, DEVELOP),
    ("schema", schema_app, DEVELOP),
):  # fmt: skip
    app.add_typer(group, name=name, rich_help_panel=panel)
app.add_typer(citizen_app, name="citizen", rich_help_panel=OPERATE)
app.add_typer(journal_app, name="journal", rich_help_panel=OPERATE)
app.add_typer(register_app, name="register", rich_help_panel=OPERATE)


# --- inside -------------------------------------------------------------------------------------------------------


def _run(
    config: Path,
    *,
    relay: bool = False,
    workers: bool = False,
    gateway: bool = False,
    only: Sequence[str] | None = None,
    metrics_port: int = 0,
) -> None:
    from hub import metrics
    from hub.logs import configure
    from hub.wiring import open_hub
    from schemas.errors import ConfigError

    hub = open_hub(config)
    configure(hub.settings.log_level)
    if hub.settings.bus == "embedded" and relay != workers:
        raise ConfigError("the embedded bus lives in one process: run `unefois serve`", key="bus")
    hub.prepare()
    sys.setswitchinterval(_TURN)
    # What was made until now stays, and what events are made of has no cycles: to look for them at every 700 objects
    # takes a seventh of the time of a batch.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)
    if relay:
        hub.start_relay()
    if workers:
        hub.start_workers(only)
    if metrics_port:
        metrics.serve(lambda: hub.metrics.render(hub.ledger, hub.status()), hub.settings.host, metrics_port)
    try:
        if gateway:
            from gateway.server import serve_http

            hub.start_inlet()
            serve_http(hub.services())
        else:
            _wait_for_signal()
    finally:
        hub.close()


def _wait_for_signal() -> None:
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()


def _with_hub(config: Path, act: Callable[[Hub], Any]) -> Any:
    from hub.wiring import open_hub

    hub = open_hub(config)
    try:
        hub.prepare()
        return act(hub)
    finally:
        hub.close()


def _known(hub: Hub, connection: str) -> Raccordement:
    found = hub.raccordements.get(connection)
    return found if found is not None else _fail("no such connection in the settings")


def _switch(hub: Hub, connection: str, cause: str | None) -> None:
    _known(hub, connection)
    with hub.ledger.transaction() as tx:
        if cause is None:
            tx.resume(connection)
            _note(hub, tx, connection, "connection.resumed")
        else:
            tx.pause(connection, cause)
            _note(hub, tx, connection, "connection.paused", {"reason": cause})


def _note(
    hub: Hub, tx: Transaction, where: str, act: str, personal: Mapping[str, Any] | None = None,
    citizen_id: str | None = None, **facts: Any,
) -> bool:  # fmt: skip
    """Into the journal with what an operator does; `where` is a tenant, or a connection of it. True."""
    from hub.journal import Entry

    tenant, _, name = where.partition(".")
    entry = Entry(
        tenant, "read" if act.endswith(".shown") else "operator", act, operator(), "done", citizen_id=citizen_id,
        facts={**facts, "connection": where} if name else facts, personal=personal or {},
    )  # fmt: skip
    hub.journal.write(tx, entry)
    return True


def _announce(hub: Hub, tenant: str, act: str, **facts: Any) -> None:
    """Into the journal before an act that has its own transaction: nothing is done that is not there."""
    from hub.journal import Entry

    with hub.ledger.transaction() as tx:
        hub.journal.write(tx, Entry(tenant, "operator", act, operator(), "asked", facts=facts))


def operator() -> str:
    """Who gives the command, for the journal: UNEFOIS_OPERATOR, else the user of the system."""
    import getpass

    try:
        name = os.environ.get("UNEFOIS_OPERATOR") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        name = str(os.getuid())
    return f"operator:{name}"[:128]


def _text(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _show(rows: Iterable[Mapping[str, Any]], as_json: bool, *, one: bool = False) -> None:
    rows = list(rows)
    if as_json:
        _print_json(rows)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Column, Table

    if not rows:
        typer.echo("Nothing.")
        return
    columns = list(dict.fromkeys(key for row in rows for key in row))
    # Folded, never cut: what is shown here is typed into the next command.
    if one:
        table = Table("", Column(overflow="fold"), box=None, show_header=False)
        for column in columns:
            table.add_row(column, _cell(rows[0][column]))
    else:
        table = Table(*(Column(c, overflow="fold") for c in columns), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for row in rows:
            table.add_row(*(_cell(row.get(c)) for c in columns))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def _cell(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def _fail(message: str) -> Any:
    sys.stderr.write(f"unefois: {message}\n")
    raise typer.Exit(2)
