"""The cases of a connector: `cases` in the file `case.py` of its folder, or made of what it declares; and what its
`contents.py` adds."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from connectors.conformance.case import Stand
from connectors.sdk.discovery import folder_module
from schemas.errors import ConfigError
from schemas.manifest import Manifest

PLAYED = "connectors.conformance.played"


def stands_of(manifest: Manifest) -> Sequence[Stand]:
    """Every case of a connector. Raises ConfigError when its folder has none and none can be made."""
    if not (manifest.folder / "case.py").exists():
        made: Sequence[Stand] = importlib.import_module(PLAYED).played_cases(manifest)
        return made
    stands: Sequence[Stand] = getattr(folder_module(manifest.folder, "case"), "cases", ())
    if not stands:
        raise ConfigError("case.py names no `cases`", key=manifest.id)
    return stands


def contents_of(manifest: Manifest) -> Sequence[Any]:
    """What can be bad inside the documents and files of this package (`Content`); none when it has no such file."""
    if not (manifest.folder / "contents.py").exists():
        return ()
    found: Sequence[Any] = folder_module(manifest.folder, "contents").contents
    return found


def notes_of(manifest: Manifest) -> str:
    """What a reader of the outcome page must know of this package; "" where its case says nothing."""
    if not (manifest.folder / "case.py").exists():
        return ""
    return str(getattr(folder_module(manifest.folder, "case"), "notes", ""))
