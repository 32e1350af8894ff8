"""Plug packages in: connectors; the fault campaign and the benchmark."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from commands.contracts import connector_update, known_connectors, listed
from commands.shared import HUB_TOML, AsJson, Config, Name, checkout_of, fail, print_json, replace_process, show_rows
from commands.twins import connector_twin

connector_app = typer.Typer(no_args_is_help=True, help="The packages the hub can speak to.")
connector_app.command("update")(connector_update)
connector_app.command("twin")(connector_twin)


@connector_app.command("list")
def connector_list(config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """The connectors that are installed, with those of the town's own folder: what each is, where its contract came
    from and how much of it is covered; none of their code is run."""
    from hub.settings.reading import connectors_dir

    show_rows([listed(one, as_json) for one in known_connectors(connectors_dir(config)).values()], as_json)


@connector_app.command("new")
def connector_new(
    slug: Annotated[str, typer.Argument(metavar="NAME")],
    folder: Annotated[Path, typer.Option(help="Where connectors are.")] = Path("connectors"),
    answers: Annotated[str, typer.Option(metavar="TYPE", help="A type of evidence that it answers for, besides.")] = "",
    source: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="The vendor's contract, or a sample of its data.")
    ] = None,
    operation: Annotated[
        list[str] | None, typer.Option(help="With --from: an operation that it makes; may be said again.")
    ] = None,
    carries: Annotated[str, typer.Option("--type", help="With --from: the event or evidence that it carries.")] = "",
    list_only: Annotated[bool, typer.Option("--list", help="With --from: show operations and fields alone.")] = False,
    table: Annotated[str, typer.Option(help="With --from: the table, where the file has several.")] = "",
    reduced: Annotated[
        bool, typer.Option("--reduced", help="With --from: keep of the contract what is used, without its prose.")
    ] = False,
    webhook: Annotated[
        bool, typer.Option("--webhook", help="With --from: the sample is what the package calls with.")
    ] = False,
    probe: Annotated[
        str, typer.Option(metavar="OPERATION", help="With --from: the harmless call that shows whether it is there.")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Write the folder of a new connector: ready to be filled in, or out of the vendor's contract."""
    chosen = tuple(operation or ())
    if source is None:
        if chosen or carries or list_only or table or reduced or webhook or probe:
            fail("these options go with --from, the vendor's contract")
        from connectors.sdk.scaffold import write_connector

        for path in write_connector(slug, folder, answers):
            typer.echo(str(path))
        return
    from commands.drafting import list_contract, write_from_contract
    from connectors.sdk.drafting.draft import Choices

    if answers:
        fail("--answers is for a connector without a contract: with --from say --type")
    choices = Choices(chosen, carries, table, reduced, webhook, probe)
    if list_only:
        list_contract(source, choices, as_json)
    else:
        write_from_contract(slug, source, choices, folder)


@connector_app.command("test")
def connector_test(
    slug: Annotated[str, typer.Argument(help="All that are installed, when none is named.")] = "",
    folder: Annotated[Path | None, typer.Option(help="A folder of the town's own connectors.")] = None,
    only: Annotated[str, typer.Option(help="Rules to check, separated by commas; all by default.")] = "",
    verified: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day on which it worked with the vendor's own system.")
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write what was found into the connector's folder.")] = False,
    as_json: AsJson = False,
) -> None:
    """Hold a connector to what every connector promises, against its twin, and compute its tier."""
    from commands.suite import examine_all

    rules = [rule.strip() for rule in only.split(",") if rule.strip()]
    outcomes = examine_all(slug, folder, rules, verified.date() if verified else None, quiet=as_json)
    if as_json:
        print_json([outcome.to_dict() for _, outcome in outcomes])
    if write:
        from connectors.conformance.page import page
        from connectors.sdk.recorded import FILE

        if rules:
            fail("what is written down is what every rule found: leave out --only")
        for manifest, outcome in outcomes:
            (manifest.folder / FILE).write_text(page(manifest, outcome), encoding="utf-8")
    raise typer.Exit(1 if any(outcome.faults for _, outcome in outcomes) else 0)


@connector_app.command("try")
def connector_try(
    connection: Name, config: Config = HUB_TOML,
    event: Annotated[Path | None, typer.Option(metavar="SAMPLE", help="A file with an event to be told.")] = None,
    call: Annotated[Path | None, typer.Option(metavar="SAMPLE", help="A file with a call of the package.")] = None,
    last: Annotated[bool, typer.Option("--last", help="The same with the newest event of the connection.")] = False,
    kind: Annotated[str, typer.Option("--type", help="With --last: the newest of this type.")] = "",
    twin: Annotated[bool, typer.Option("--twin", help="Send it, to the connector's twin on this machine.")] = False,
    send: Annotated[bool, typer.Option("--send", help="Send it, to the package itself.")] = False,
) -> None:  # fmt: skip
    """Call the package of one connection harmlessly; or show what becomes of an event, by its shape alone: mapping,
    message, call and answer; or of a call of the package: the events that it makes."""
    from commands.trying import try_call, try_event, try_probe

    if (event is not None) + last + (call is not None) > 1:
        fail("--event, --call or --last, not both")
    if call is not None:
        if twin or send:
            fail("a call of the package is read, and sent to nobody")
        ok, lines = try_call(config, connection, call)
    elif event is None and not last:
        if twin or send:
            fail("what is to be sent? Name it by --event or --last")
        ok, lines = try_probe(config, connection)
    else:
        ok, lines = try_event(config, connection, sample=event, last=kind if last else None, twin=twin, send=send)
    for line in lines:
        typer.echo(line)
    raise typer.Exit(0 if ok else 1)


def faults(
    seed: Annotated[int, typer.Option(help="Draws the schedule; the same seed breaks the same things.")] = 1,
    minutes: Annotated[float, typer.Option(min=0.1, help="How long things are broken.")] = 2.0,
    embedded: Annotated[bool, typer.Option("--embedded", help="One process on SQLite, no servers.")] = False,
    report: Annotated[Path | None, typer.Option(help="Write the page of results here.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Leave the books and the logs in this folder.")] = None,
    as_json: AsJson = False,
) -> None:
    """Break a hub of real processes for a while, then balance its books (needs a checkout, RabbitMQ, PostgreSQL)."""
    folder = Path.cwd()
    options = {
        "--seed": seed, "--minutes": minutes, "--embedded": embedded, "--report": report and folder / report,
        "--keep": keep and folder / keep, "--json": as_json,
    }  # fmt: skip
    replace_process("faults", options, checkout_of("faults"))


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
    options = {
        "--seconds": seconds, "--rounds": rounds, "--scale": scale, "--minutes": minutes, "--only": only,
        "--full": full, "--profile": profile, "--report": report, "--json": as_json,
    }  # fmt: skip
    replace_process("benchmarks", options, checkout_of("benchmarks"))
