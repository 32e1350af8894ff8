"""The text of a contract as plain values: JSON or YAML, each file parsed once for as long as it does not change."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from schemas.errors import ConfigError

LARGEST = 16 * 1024 * 1024
_MOST_VALUES = 2_000_000  # with every alias of YAML followed
_DEEPEST = 200
_YAML: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_YAML):  # type: ignore[misc]
    """YAML as OpenAPI means it, that is as JSON: `no` and `12:30` and `2026-03-02` and `01000` are texts."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"(?:true|false|True|False|TRUE|FALSE)$", "tTfF"),
    ("null", r"(?:~|null|Null|NULL|)$", "~nN\0"),
    ("int", r"-?(?:0|[1-9][0-9]*)$", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$", "-0123456789"),
    ("merge", r"<<$", "<"),
):
    _firsts = ["" if one == "\0" else one for one in _first]
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _firsts)


def read_document(path: Path) -> Mapping[str, Any]:
    """The object that a JSON or YAML file holds: names are texts, nothing is shared, and nothing may be changed in it.
    Raises ConfigError for a file that is not there, is larger than 16 MiB, or holds no object."""
    try:
        stat = path.stat()
    except OSError:
        raise ConfigError("there is no such file", key=str(path)) from None
    if stat.st_size > LARGEST:
        raise ConfigError(f"is larger than {LARGEST // 1024 // 1024} MiB", key=str(path))
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=64)
def _read(path: Path, changed: int, size: int) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        parsed = json.loads(text) if text.lstrip()[:1] == "{" else yaml.load(text, Loader=_Loader)  # noqa: S506
        found = _Plain().value(parsed, 0)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"is neither JSON nor YAML: {_where(error)}", key=str(path)) from None
    except (RecursionError, OverflowError):
        raise ConfigError("is too deep, or too large with all that it repeats", key=str(path)) from None
    if not isinstance(found, dict):
        raise ConfigError("holds no object", key=str(path))
    return found


class _Plain:
    """Counts what it copies: a few aliases can stand for more values than a machine holds."""

    def __init__(self) -> None:
        self.left = _MOST_VALUES

    def value(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if depth > _DEEPEST or self.left < 0:
            raise OverflowError
        if isinstance(value, dict):
            return {_name(name): self.value(part, depth + 1) for name, part in value.items()}
        return [self.value(part, depth + 1) for part in value] if isinstance(value, list) else value


def _name(key: Any) -> str:
    return str(key).lower() if isinstance(key, bool) else str(key)


def _where(error: Exception) -> str:
    """Where it stops being readable; never what stands there."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, line {error.lineno}"
    mark = getattr(error, "problem_mark", None)
    return f"{getattr(error, 'problem', '') or type(error).__name__}" + (f", line {mark.line + 1}" if mark else "")
