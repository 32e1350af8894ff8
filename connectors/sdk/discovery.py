"""Which connectors are installed, by their manifests; and the code of one, when it is first needed."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from connectors.sdk.connector import Connector
from connectors.sdk.mapping import fields_of
from schemas.manifest import FILE, Manifest

ROOT = Path(__file__).resolve().parent.parent
GROUP = "unefois.connectors"
KINDS = "connectors.sdk.kinds"
_packages = threading.Lock()


@cache
def find_manifests(more: Path | None = None) -> Mapping[str, Manifest]:
    """All connectors by id: the folders beside the kit, the packages that name themselves by an entry point of the
    group `unefois.connectors`, and the folders in `more`. Their code is not imported. Raises ValueError for a manifest
    that cannot be read and for an id that is there twice."""
    found: dict[str, Manifest] = {}
    for path in (*_in_folder(ROOT), *_installed(), *(_in_folder(more.resolve()) if more else ())):
        manifest = Manifest.load(path, fields_of)
        if manifest.id in found:
            raise ValueError(f"{path.parent.name}/{FILE}: a connector of this id is already there")
        found[manifest.id] = manifest
    return found


def _in_folder(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.glob(f"*/{FILE}"))


def _installed() -> Iterator[Path]:
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        yield _folder_of(point) / FILE


def _folder_of(point: EntryPoint) -> Path:
    """The folder of the package that an entry point names. Raises ValueError when there is none."""
    try:
        spec = find_spec(point.module)
    except ImportError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"entry point {GROUP}:{point.name}: no package {point.module}")
    return Path(next(iter(spec.submodule_search_locations)))


def connector_class(manifest: Manifest) -> type[Connector]:
    """The class that runs a connector: the one subclass of `Connector` in its `connector.py`, imported now, or without
    such a file the class of its kind; of a package without code that is called at its own address, the one that calls
    it. Raises ValueError when there is none."""
    if manifest.outside == "webhook":
        package: type[Connector] = folder_module(ROOT / "webhook", "package").PackageWebhook
        return package
    if manifest.kind != "python" and not (manifest.folder / "connector.py").exists():
        return kind_class(manifest.kind)
    module = folder_module(manifest.folder, "connector")
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Connector) and value.__module__ == module.__name__:
            return value
    raise ValueError(f"{manifest.id}: connector.py holds no Connector")


def kind_class(kind: str) -> type[Connector]:
    """The kit's class of a declared kind: `RestConnector` of `connectors.sdk.kinds.rest`."""
    found: type[Connector] = getattr(importlib.import_module(f"{KINDS}.{kind}"), f"{kind.capitalize()}Connector")
    return found


def folder_module(folder: Path, name: str) -> ModuleType:
    """The module `name` of a connector's folder; one from elsewhere becomes a package of its own and imports its
    neighbours as `from . import mapping`."""
    if folder.parent == ROOT:
        return importlib.import_module(f"connectors.{folder.name}.{name}")
    package_name = f"unefois_connector_{folder.name.replace('-', '_')}"
    with _packages:  # a hub makes all its connectors at once, each in a thread
        known = sys.modules.get(package_name)
        if known is None or list(known.__path__) != [str(folder)]:
            _forget(package_name)
            package = ModuleType(package_name)
            package.__path__ = [str(folder)]
            sys.modules[package_name] = package
    return importlib.import_module(f"{package_name}.{name}")


def _forget(package: str) -> None:
    """Drop what was imported from another folder of the same name."""
    for name in [name for name in list(sys.modules) if name == package or name.startswith(f"{package}.")]:
        del sys.modules[name]
