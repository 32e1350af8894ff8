"""`unefois connection accept` and `refuse`: a person's word about a full export that waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from commands.shared import HUB_TOML, Config, Name, fail, journal_act, known_connection, with_hub

if TYPE_CHECKING:
    from bus.ledger import Transaction
    from hub.wiring import Hub


_KIND = "dump-shrunk"
File = Annotated[str, typer.Option("--file", help="Which, where several wait: as `trouble show` names it.")]


def connection_accept(connection: Name, file: File = "", config: Config = HUB_TOML) -> None:
    """The full export that waits is right, whatever it has lost: the next poll takes it."""
    place = with_hub(config, lambda hub: _decided(hub, connection, file, ""))
    typer.echo(f"{place}: the next poll takes it.")


def connection_refuse(
    connection: Name,
    reason: Annotated[str, typer.Option(help="Stands beside the file, for the package's staff, and in the journal.")],
    file: File = "", config: Config = HUB_TOML,
) -> None:  # fmt: skip
    """The full export that waits is wrong: it is set aside into `erreurs`, and nothing of it is told."""
    if not reason.strip():
        fail("a reason is needed: it stands beside the file")
    place = with_hub(config, lambda hub: _decided(hub, connection, file, reason.strip()))
    typer.echo(f"{place}: set aside.")


def _decided(hub: Hub, connection: str, file: str, refused: str) -> str:
    """The place of the file. What was told of it is forgotten with the decision, which stands in the journal."""
    from hub.operations.signals import forget_signal

    connector = known_connection(hub, connection).connector
    with hub.ledger.transaction() as tx:
        told = _told(tx, connection, connector.waiting(), file)
        key, (place, said) = next(iter(told.items()))
        act = "export.refused" if refused else "export.accepted"
        journal_act(
            hub, tx, connection, act, {"reason": refused} if refused else None, place=place, told=said["reason"]
        )
        forget_signal(tx, connection, _KIND, said["code"], key)
        if not connector.decide(key, refused=refused):
            fail("the file is not there any more, or was written anew since: look again")
    hub.troubles.look_now()
    return place


def _told(
    tx: Transaction, connection: str, lying: Mapping[str, str], file: str
) -> Mapping[str, tuple[str, Mapping[str, str]]]:
    """The one file that lies there, and of which a trouble was told: by its key, its place and what was told."""
    from hub.operations.signals import told_of

    said = {key: (place, told_of(tx, connection, _KIND, key)) for key, place in lying.items()}
    found = {key: (place, told) for key, (place, told) in said.items() if told is not None and file in ("", place)}
    if not found:
        fail("no export of this connection waits" + (f" under the name {file}" if file else ""))
    if len(found) > 1:
        fail(f"several wait, name one by --file: {', '.join(sorted(place for place, _ in found.values()))}")
    return found
