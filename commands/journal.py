"""`unefois journal …`: take the journal out, and check what was taken out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands.shared import HUB_TOML, AsJson, Config, Tenant, fail, print_json, show_rows, with_hub

if TYPE_CHECKING:
    from hub.wiring import Hub

journal_app = typer.Typer(no_args_is_help=True, help="The record of who did what, and the proof that it is whole.")
Day = Annotated[str, typer.Option(metavar="DAY", help="As 2026-11-23, or with a time; UTC.")]


@journal_app.command("export")
def journal_export(
    file: Annotated[Path, typer.Argument(help="Where to write; it must not be there.")],
    tenant: Tenant = "",
    since: Day = "",
    until: Day = "",
    citizen: Annotated[str, typer.Option(help="About this citizen only.")] = "",
    config: Config = HUB_TOML,
) -> None:
    """Write the journal, or a part of it with its proofs, to a file that `journal verify` checks."""
    from hub.journal.sealing import Scope, export_journal

    scope = Scope(tenant or None, citizen or None, _seconds_of_day(since), _seconds_of_day(until))

    def act(hub: Hub) -> int:
        hub.sealer.seal_pending()  # what was written until now, unless another process seals
        hub.sealer.give_back()
        with file.open("xb") as out:
            file.chmod(0o600)
            return export_journal(hub.ledger, hub.signer, out, scope)

    try:
        lines = with_hub(config, act)
    except FileExistsError:
        fail(f"{file} is there already")
    except OSError as error:
        fail(f"{file} cannot be written ({error.strerror})")
    typer.echo(f"{lines} line(s) written.")


@journal_app.command("verify")
def journal_verify(
    file: Path,
    key: Annotated[list[str] | None, typer.Option(help="Key that may have sealed: its name, or a JWKS file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Find any line of an export that was changed, removed, added or moved. Needs neither the hub nor its settings."""
    from hub.journal.verify import trusted_keys, verify_export

    try:
        trusted = trusted_keys(key or ())
        with file.open("rb") as opened:
            report = verify_export(opened, trusted)
    except (OSError, ValueError, KeyError) as error:
        fail(f"cannot be read ({type(error).__name__})")
    if as_json:
        print_json(report.to_dict())
    elif report.ok:
        typer.echo(f"{report.lines} line(s) in {report.segments} segment(s): as they were sealed.")
        typer.echo(f"Sealed by {', '.join(report.keys)}; last seal {report.head}.")
    else:
        typer.echo(f"FAULT: {report.first_fault}")
    raise typer.Exit(0 if report.ok else 1)


@journal_app.command("status")
def journal_status(config: Config = HUB_TOML, as_json: AsJson = False) -> None:
    """The last seal, to be written down elsewhere, and what waits for the next."""
    from hub.journal.sealing import journal_status

    def act(hub: Hub) -> Any:
        with hub.ledger.reading() as tx:
            return {**journal_status(tx), "key": hub.signer.kid}

    found = with_hub(config, act)
    if as_json:
        print_json(found)
    else:
        show_rows([found], False, one=True)


def _seconds_of_day(day: str) -> float | None:
    if not day:
        return None
    try:
        at = datetime.fromisoformat(day)
    except ValueError:
        fail(f"{day!r} is not a day such as 2026-11-23")
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
