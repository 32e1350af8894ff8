#!/usr/bin/env python3
"""Make schemas/communes.csv from the npm package `@etalab/decoupage-administratif` (npm must be there).

`scripts/communes.py [VERSION]`, once a year, when INSEE's code of the year is out."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

PACKAGE = "@etalab/decoupage-administratif"
SOURCES = "INSEE (code officiel géographique), La Poste (codes postaux). Licence Ouverte 2.0"
TARGET = Path(__file__).parents[1] / "schemas" / "communes.csv"
OF_TODAY = ("commune-actuelle", "arrondissement-municipal")


def main(version: str) -> None:
    communes, number, made_on = fetch(version)
    lines = [
        f"# {PACKAGE} {number} ({made_on}): {SOURCES}",
        "code;name;postal_codes;former_codes",
        *lines_of(communes),
    ]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(lines) - 2} communes")


def fetch(version: str) -> tuple[Sequence[Mapping[str, Any]], str, str]:
    """The communes, the version of the package, and the day it was made."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"{PACKAGE}@{version}"], cwd=folder, check=True, stdout=sys.stderr)
        with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
            member = archive.getmember("package/data/communes.json")
            communes = json.loads(_read(archive, "package/data/communes.json"))
            number = json.loads(_read(archive, "package/package.json"))["version"]
    return communes, number, _day(member.mtime)


def lines_of(communes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each commune of today and each district: its code, its name, its postal codes, the codes that became
    it. A delegated or associated commune of its own code is a former one."""
    former: dict[str, set[str]] = defaultdict(set)
    for one in communes:
        former[one["code"]] |= set(one.get("anciensCodes", ()))
        former[one.get("chefLieu", one["code"])].add(one["code"])
    for one in sorted((one for one in communes if one["type"] in OF_TODAY), key=lambda one: str(one["code"])):
        before = sorted(former[one["code"]] - {one["code"]})
        yield ";".join((one["code"], one["nom"], " ".join(one.get("codesPostaux", ())), " ".join(before)))


def _read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    assert file is not None
    return file.read()


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat()


if __name__ == "__main__":
    main(*sys.argv[1:] or ["latest"])
