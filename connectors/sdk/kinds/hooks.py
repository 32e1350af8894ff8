"""`hooks.py` of a connector: the pure functions that its tables name as `py:name`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from connectors.sdk.discovery import folder_module
from schemas.errors import ConfigError
from schemas.shape import nearest

Hooks = Mapping[str, Callable[[Any], Any]]
_PREFIX = "py:"


def load_hooks(folder: Path) -> Hooks:
    """The functions of a connector's own `hooks.py`, those that begin with an underscore left out; none without such a
    file. Raises ConfigError for one that cannot be imported."""
    if not (folder / "hooks.py").exists():
        return {}
    try:
        module = folder_module(folder, "hooks")
    except Exception as error:  # whatever the module raises while it is imported
        raise ConfigError(f"{folder.name}/hooks.py cannot be imported: {type(error).__name__}: {error}") from error
    return {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}


def hook_named(hooks: Hooks, text: str) -> Callable[[Any], Any]:
    """The function of `py:name`. Raises ConfigError with the nearest right word."""
    name = text.removeprefix(_PREFIX)
    if not text.startswith(_PREFIX):
        raise ConfigError(f'"{text}" names no function: write py:name')
    if name not in hooks:
        raise ConfigError(f"hooks.py has no function {name}{nearest(name, hooks)}")
    return hooks[name]
