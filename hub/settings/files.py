"""The files that people write, and the JSON Schemas that they are held against."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from schemas.fault import Fault


@cache
def json_schema(path: Path) -> Mapping[str, Any]:
    """The JSON Schema in a file that is shipped with the hub; read once."""
    loaded: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def toml_files(folder: Path) -> Iterator[tuple[Path, dict[str, Any] | Fault]]:
    """Each `*.toml` of a folder, by name, with its table; or with the fault for which it cannot be read."""
    for path in sorted(folder.glob("*.toml")):
        try:
            yield path, tomllib.loads(path.read_text(encoding="utf-8-sig"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            yield path, Fault(str(path), "", f"not TOML in UTF-8: {error}")
        except OSError as error:
            yield path, Fault(str(path), "", f"cannot be read ({error.strerror})")
