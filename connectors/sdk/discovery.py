"""Which connectors are installed, by their manifests; and the code of one, when it is first needed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType

from connectors.sdk.connector import Connector
from schemas.manifest import Manifest

ROOT = Path(__file__).resolve().parent.parent


@cache
def find_manifests(more: Path | None = None) -> Mapping[str, Manifest]:
    """All connectors by id: the folders beside the kit, and those in `more`. Their code is not imported. Raises
    ValueError when one in `more` has the id of one of ours."""
    found = {manifest.id: manifest for manifest in map(Manifest.load, sorted(ROOT.glob("*/manifest.json")))}
    for path in sorted(more.resolve().glob("*/manifest.json")) if more else ():
        manifest = Manifest.load(path)
        if manifest.id in found:
            raise ValueError(f"{path.parent.name}/manifest.json: a connector of this id is already there")
        found[manifest.id] = manifest
    return found


def connector_class(manifest: Manifest) -> type[Connector]:
    """Import the connector's code and return its one subclass of `Connector`."""
    module = _connector_module(manifest.folder)
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Connector) and value.__module__ == module.__name__:
            return value
    raise ValueError(f"{manifest.id}: connector.py holds no Connector")


def _connector_module(folder: Path) -> ModuleType:
    """The module `connector` of a folder; one from elsewhere becomes a package of its own and imports its neighbours
    as `from . import mapping`."""
    if folder.parent == ROOT:
        return importlib.import_module(f"connectors.{folder.name}.connector")
    name = f"unefois_connector_{folder.name.replace('-', '_')}"
    if name not in sys.modules:
        package = ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    return importlib.import_module(f"{name}.connector")
