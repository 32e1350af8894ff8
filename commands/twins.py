"""`unefois connector twin`: the twin of a connector as a package by itself, misbehaving by the clock or by word."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from commands.contracts import Folder, known_connector
from commands.shared import fail

if TYPE_CHECKING:
    from connectors.conformance import Case
    from schemas.manifest import Manifest

_WORDS = "KIND [TIMES [CALL]], behave, stop, start, kinds, calls"


def connector_twin(
    name: str,
    folder: Folder = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Where it listens; 0 chooses a free port.")] = 0,
    misbehave: Annotated[
        list[str] | None, typer.Option(metavar="KIND@EVERY[:LONG]", help="By the clock; repeat for several.")
    ] = None,
) -> None:
    """Start the twin of a connector and say how a connection reaches it, until Ctrl-C. Lines of the standard input make
    it misbehave: `503 3` the next three calls, `behave`, `stop`, `start`, `kinds`, `calls`."""
    manifest = known_connector(name, folder)
    with _interrupted(), _opened(manifest, port) as case:
        twin: Any = case.twin
        with twin.schedule(*(misbehave or ()), heard=lambda kind: typer.echo(f"by the clock: {kind}")):
            typer.echo(f"{manifest.name}: {twin.address}\n\n{_settings(manifest, case)}\n\n{_WORDS}")
            _listen(twin)


@contextmanager
def _opened(manifest: Manifest, port: int) -> Iterator[Case]:
    from connectors.conformance import WallClock, opened_case
    from connectors.sdk.twin_schedule import listening_at

    try:
        with listening_at(port):
            opened = opened_case(manifest, clock=WallClock())
            case = opened.__enter__()
    except OSError as error:
        fail(f"nothing can listen at port {port} ({error.strerror})")
    try:
        yield case
    finally:
        opened.__exit__(None, None, None)


def _settings(manifest: Manifest, case: Case) -> str:
    """What `hub.toml` says of a connection to the twin, and the variables with its secrets, which it invented."""
    from connectors.sdk import Secret
    from connectors.sdk.drafting.writing import toml_value

    connector = case.connect()
    try:
        settings: Mapping[str, Any] = connector.settings
    finally:
        connector.close()
    lines, variables = [f"[connections.{manifest.id}.settings]"], []
    for key, value in settings.items():
        if isinstance(value, Secret):
            variable = f"{manifest.id}_{key}".upper()
            variables.append(f"export {variable}={shlex.quote(value.reveal())}")
            lines.append(f'{key} = {{ env = "{variable}" }}')
        elif value is not None:
            lines.append(f"{key} = {toml_value(value)}")
    return "\n".join([*lines, "", *variables]).rstrip()


def _listen(twin: Any) -> None:
    """One command a line; when nobody types any more the twin goes on until it is stopped."""
    for line in sys.stdin:
        if words := line.split():
            typer.echo(_obey(twin, words))
    threading.Event().wait()


def _obey(twin: Any, words: Sequence[str]) -> str:
    from connectors.sdk.twin_schedule import known_kind
    from schemas.errors import ConfigError

    word, *more = words
    if word in ("behave", "stop", "start"):
        getattr(twin, word)()
        return word
    if word == "kinds":
        return "\n".join(f"{kind}: {said}" for kind, said in twin.kinds.items())
    if word == "calls":
        return "\n".join(twin.operations) or "none yet"
    if more and not more[0].isdecimal():
        return f"{more[0]} is no number of calls: {_WORDS}"
    try:
        twin.misbehave(known_kind(word, twin.kinds), int(more[0]) if more else 1, on=" ".join(more[1:]))
    except ConfigError as error:
        return str(error)
    if word == "refuse":
        twin.stop()
    return " ".join(words)


@contextmanager
def _interrupted() -> Iterator[None]:
    """Ctrl-C and the signal to end are the usual end."""

    def end(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)  # a shell starts what is in the background deaf to it
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("ended")
