"""All that a message will need of a connector, loaded once before any comes: its class and its tables. What is wrong is
told with file and line; nothing is raised, whatever a town's own code does when it is imported."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

from connectors.sdk.connector import Connector
from connectors.sdk.discovery import KINDS, connector_class
from connectors.sdk.statuses import status_faults
from schemas.fault import Fault
from schemas.manifest import Manifest


def loading_faults(manifest: Manifest) -> Iterator[Fault]:
    """Every fault of the connector's code and tables. Its code is imported, and nothing of it is called."""
    statuses = manifest.folder / "statuses.csv"
    if statuses.exists():
        yield from status_faults(statuses)
    if not manifest.outside:
        yield from _code_faults(manifest)


def _code_faults(manifest: Manifest) -> Iterator[Fault]:
    path = manifest.folder / "connector.py"
    try:
        kind = connector_class(manifest)
    except Exception as error:  # whatever the code raises when it is imported
        yield _import_fault(manifest.folder, path, error)
        return
    # The classes of the kit do what is declared, and nothing else.
    of_the_kit = any(base.__module__.startswith(f"{KINDS}.") for base in kind.__mro__)
    for word, declared, methods in () if of_the_kit else _methods(manifest):
        written = any(getattr(kind, method) is not getattr(Connector, method) for method in methods)
        if declared and not written:
            yield Fault(str(path), methods[0], f"connector.toml says {word}, and the code has no {methods[0]}")
        elif written and not declared:
            yield Fault(str(path), methods[0], f"the code has {methods[0]}, and connector.toml says no {word}")


def _methods(manifest: Manifest) -> Iterator[tuple[str, bool, tuple[str, ...]]]:
    """What a manifest declares, in its own words, and the methods of which one does it."""
    yield "[[deliver]]", bool(manifest.consumes), ("prepare",)
    yield "[[deliver]]", bool(manifest.consumes), ("send", "handle", "handle_many")
    yield "[poll]", manifest.poll_seconds is not None, ("poll",)
    yield "[webhook]", manifest.receives, ("receive",)
    yield "[[answer]]", bool(manifest.answers), ("answer",)
    yield "[people]", manifest.lists_people, ("people",)
    yield "[state]", manifest.states_again, ("state",)
    if manifest.idempotency == "look-up-first":
        yield "look-up-first", True, ("look_up",)


def _import_fault(folder: Path, path: Path, error: Exception) -> Fault:
    """The deepest place of the connector's own code in what was raised. Its text is told only where it is about code:
    one of another kind may quote a value."""
    if isinstance(error, SyntaxError) and error.filename:
        return Fault(error.filename, "", f"not Python: {error.msg}", line=error.lineno or 0)
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)]
    about_code = isinstance(error, ImportError | AttributeError | NameError | ValueError | TypeError)
    said = f"cannot be loaded: {type(error).__name__}" + (f" ({error})" if about_code else "")
    file, line = (own[-1].filename, own[-1].lineno or 0) if own else (str(path), 0)
    return Fault(file, "", said, line=line)
