"""The command `unefois`. `--help` reads like a table of contents; commands that give data have `--json`.

Everything heavy is imported inside the commands: help must answer at once.
"""

from __future__ import annotations

import gc
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from commands import connection_load, directory, exports, forgetting, observing, questions, renumber, rights
from commands.citizen import citizen_app
from commands.clients import client_app
from commands.communes import communes_app
from commands.develop import bench, connector_app, faults
from commands.journal import journal_app
from commands.keys import key_app
from commands.link_import import link_import
from commands.links import link_app
from commands.operate import connection_app, parked_app
from commands.refused import refused_app
from commands.register import register_app
from commands.requests import request_app
from commands.schemas import schema_app
from commands.shared import DEVELOP, HUB_TOML, MEASURE, OPERATE, RUN, AsJson, Config, print_json, replace_process
from commands.trouble import trouble_app

app = typer.Typer(
    name="unefois", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="The hub that lets a citizen tell the administration once.",
)  # fmt: skip

MetricsPort = Annotated[int, typer.Option(help="Serve this process's figures on this port; 0 serves none.")]
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
    options = {"--bus": bus, "--database": database, "--port": port, "--exit": exit_, "--json": as_json}
    replace_process("demo", options)


@app.command(rich_help_panel=RUN)
def serve(config: Config = HUB_TOML, metrics_port: MetricsPort = 0) -> None:
    """Gateway, relay and workers in one process."""
    _run(config, relay=True, workers=True, gateway=True, metrics_port=metrics_port)


@app.command(rich_help_panel=RUN)
def gateway(config: Config = HUB_TOML, metrics_port: MetricsPort = 0) -> None:
    """The way in alone: HTTP, and the AMQP inlet."""
    _run(config, gateway=True, metrics_port=metrics_port)


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
    from connectors.sdk.check import connector_faults
    from connectors.sdk.discovery import ROOT
    from hub.settings import procedures
    from hub.settings.reading import connectors_dir
    from schemas.registry import Registry

    registry, slugs = Registry.load(), procedures.procedure_slugs()
    found = [*connector_faults(ROOT, registry, slugs), *procedures.procedure_faults()]
    if config.exists() or config != HUB_TOML:
        found += directory.declared_faults(config)
    elif more := connectors_dir(config):
        found += connector_faults(more, registry, slugs)
    stopping = sum(not fault.warning for fault in found)
    if as_json:
        print_json(
            [{"file": f.file, "line": f.line, "key": f.key, "message": f.message, "warning": f.warning} for f in found]
        )
    else:
        for fault in found:
            typer.echo(str(fault))
        typer.echo(f"{stopping} fault(s)" if stopping else "No fault found.")
    raise typer.Exit(1 if stopping else 0)


# --- operate ------------------------------------------------------------------------------------------------------


# Commands of a group that is made in another file, in the order of its help.
for group, name, command in (
    (link_app, "import", link_import),
    (connection_app, "accept", exports.connection_accept), (connection_app, "refuse", exports.connection_refuse),
    (connection_app, "renumber", renumber.connection_renumber),
    (connection_app, "reload", directory.connection_reload),
    (connection_app, "set-secret", directory.connection_set_secret),
    (connection_app, "forget", forgetting.connection_forget),
    (connection_app, "load", connection_load.connection_load),
    (connection_app, "report", observing.connection_report),
    (citizen_app, "export", rights.citizen_export), (citizen_app, "erase", rights.citizen_erase),
    (citizen_app, "pending", rights.citizen_pending), (citizen_app, "questions", questions.citizen_questions),
    (citizen_app, "sample", questions.citizen_sample), (citizen_app, "judge", questions.citizen_judge),
    (citizen_app, "rule", questions.citizen_rule), (citizen_app, "resume", questions.citizen_resume),
    (citizen_app, "undo", questions.citizen_undo), (citizen_app, "acts", questions.citizen_acts),
):  # fmt: skip
    group.command(name)(command)
for name, group, panel in (
    ("trouble", trouble_app, OPERATE),
    ("connection", connection_app, OPERATE), ("parked", parked_app, OPERATE), ("refused", refused_app, OPERATE),
    ("request", request_app, OPERATE), ("client", client_app, OPERATE), ("link", link_app, OPERATE),
    ("citizen", citizen_app, OPERATE), ("journal", journal_app, OPERATE), ("register", register_app, OPERATE),
    ("key", key_app, OPERATE), ("communes", communes_app, OPERATE),
    ("connector", connector_app, DEVELOP), ("schema", schema_app, DEVELOP),
):  # fmt: skip
    app.add_typer(group, name=name, rich_help_panel=panel)
app.command(rich_help_panel=MEASURE)(faults)
app.command(rich_help_panel=MEASURE)(bench)


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
    asked = threading.Event()  # before anything that takes its time: who is told to read again must not end by it
    signal.signal(signal.SIGHUP, lambda *_: asked.set())
    from hub.operations import metrics
    from hub.operations.logs import configure_logs
    from hub.wiring import open_hub
    from schemas.errors import ConfigError

    hub = open_hub(config)
    configure_logs(hub.settings.log_level)
    if hub.settings.bus == "embedded" and relay != workers:
        raise ConfigError("the embedded bus lives in one process: run `unefois serve`", key="bus")
    hub.prepare(takes_files=relay and workers and gateway)
    signal.signal(signal.SIGHUP, lambda *_: hub.ask_for_files())
    if asked.is_set():
        hub.ask_for_files()
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
        metrics.serve_metrics(lambda: hub.metrics.render(hub.ledger, hub.status()), hub.settings.host, metrics_port)
    try:
        if gateway:
            from gateway.serving.server import serve_http

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
