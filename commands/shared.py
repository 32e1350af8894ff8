"""What all commands share: their options, how they open the hub, what they print and what goes into the journal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.connections import Connection
    from hub.journal.entries import Justification
    from hub.operations.reviews import Reviews
    from hub.wiring import Hub
RUN, OPERATE, DEVELOP, MEASURE = "Run the hub", "Operate it", "Plug packages in", "Break it, measure it"
Config = Annotated[Path, typer.Option("--config", "-c", help="The settings file.", envvar="UNEFOIS_CONFIG")]
AsJson = Annotated[bool, typer.Option("--json", help="Data for programs.")]
Name = Annotated[str, typer.Argument(metavar="CONNECTION", help="Written tenant.name, as `connection list` shows it.")]
Tenant = Annotated[str, typer.Option("--tenant", help="Of this tenant only.")]
Reason = Annotated[str, typer.Option(help="Goes to the journal; needed wherever somebody's data is shown or decided.")]
By = Annotated[str, typer.Option("--by", help="Who decides; the login name by default.")]
Seq = Annotated[int, typer.Argument(metavar="SEQ", help="Number of the event, as `parked list` shows it.")]
HUB_TOML = Path("hub.toml")
_SHOWN = 20  # lines of many


def with_hub(config: Path, act: Callable[[Hub], Any], *, prepare: bool = True) -> Any:
    """What `act` does with the hub of these settings. `prepare`: whether the directory is taken up before."""
    from hub.operations.logs import log_beside_output
    from hub.wiring import open_hub

    hub = open_hub(config)
    log_beside_output(hub.settings.log_level)
    try:
        if prepare:
            hub.prepare(takes_files=False)
        return act(hub)
    finally:
        hub.close()


def known_connection(hub: Hub, connection: str) -> Connection:
    found = hub.connections.get(connection)
    if found is None:
        fail("no such connection in the directory (a new one: `unefois connection reload`)")
    return found


def known_tenant(hub: Hub, tenant: str) -> str:
    return tenant if tenant in hub.current.directory.tenants else fail(f"no tenant {tenant!r} in the directory")


def justified(by: str, reason: str) -> Justification:
    """Who acts and why, as `--by` and `--reason` say it."""
    import getpass

    from hub.journal.entries import Justification

    return Justification(by or getpass.getuser(), reason)


def pause_or_resume(hub: Hub, connection: str, cause: str | None) -> None:
    known_connection(hub, connection)
    with hub.ledger.transaction() as tx:
        if cause is None:
            tx.resume(connection)
            journal_act(hub, tx, connection, "connection.resumed")
        else:
            tx.pause(connection, cause)
            journal_act(hub, tx, connection, "connection.paused", {"reason": cause})


def reviews_of(hub: Hub) -> Reviews:
    from hub.operations.reviews import Reviews

    return Reviews(hub.acceptance, hub.people, hub.journal, hub.corrections)


def journal_act(
    hub: Hub, tx: Transaction, where: str, act: str, personal: Mapping[str, Any] | None = None,
    citizen_id: str | None = None, **facts: Any,
) -> bool:  # fmt: skip
    """Into the journal with what an operator does; `where` is a tenant, or a connection of it. True."""
    from hub.journal.entries import Entry

    tenant, _, name = where.partition(".")
    entry = Entry(
        tenant, "read" if act.endswith(".shown") else "operator", act, operator_name(), "done", citizen_id=citizen_id,
        facts={**facts, "connection": where} if name else facts, personal=personal or {},
    )  # fmt: skip
    hub.journal.write(tx, entry)
    return True


def journal_intent(hub: Hub, tenant: str, act: str, **facts: Any) -> None:
    """Into the journal before an act that has its own transaction: nothing is done that is not there."""
    from hub.journal.entries import Entry

    with hub.ledger.transaction() as tx:
        hub.journal.write(tx, Entry(tenant, "operator", act, operator_name(), "asked", facts=facts))


def operator_name() -> str:
    """Who gives the command, for the journal: UNEFOIS_OPERATOR, else the user of the system."""
    import getpass

    try:
        name = os.environ.get("UNEFOIS_OPERATOR") or getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in some containers
        name = str(os.getuid())
    return f"operator:{name}"[:128]


def utc_text(at: float) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def show_rows(rows: Iterable[Mapping[str, Any]], as_json: bool, *, one: bool = False) -> None:
    rows = list(rows)
    if as_json:
        print_json(rows)
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


def replace_process(module: str, options: Mapping[str, object], folder: Path | None = None) -> NoReturn:
    """Run a module that no room of the product may import, in place of this process: signals and the exit code are
    its own. `options` that are empty or off are left out. `folder`: where it runs and is looked for; None: it is
    installed beside this command."""
    arguments = [name if value is True else f"{name}={value}" for name, value in options.items() if value]
    if folder is not None:
        os.chdir(folder)
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, *([] if folder else ["-P"]), "-m", module, *arguments])  # noqa: S606


def checkout_of(module: str) -> Path:
    """The folder of the sources when they hold `module`; else one line says that it wants them, exit code 2."""
    root = Path(__file__).resolve().parents[1]
    if not (root / module / "__main__.py").is_file():
        fail(f"{module} is not part of the package: run this in a checkout of the sources")
    return root


def say_first(lines: Sequence[str], *, where: str = "") -> None:
    """The first lines of many, and how many others there are. `where`: words on where those are found."""
    for line in lines[:_SHOWN]:
        typer.echo(line)
    if (more := len(lines) - _SHOWN) > 0:
        typer.echo(f"and {more} other line(s){where}")


def print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def fail(message: str) -> NoReturn:
    """One sentence on stderr, exit code 2."""
    sys.stderr.write(f"unefois: {message}\n")
    raise typer.Exit(2)
