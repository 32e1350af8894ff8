"""A folder that is written whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path


def write_folder(place: Path, files: Mapping[str, str | bytes], *, again: bool = False) -> list[Path]:
    """The folder `place` with these files, named by their path in it, with `again` instead of one that is there; the
    paths of all of them, sorted. Raises OSError, and leaves then what was there before."""
    with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as drafts:
        draft = Path(drafts) / "new"
        for name, content in files.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if again and place.exists():
            shutil.move(place, Path(drafts) / "old")
        draft.rename(place)
    return sorted(path for path in place.rglob("*") if path.is_file())
