"""What a package leaves in a folder, taken by a running hub: good lines are told, bad ones are never in the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.town import TENANT, Town

HEAD = "Famille_Identifiant;Responsable_1_Adresse;Responsable_1_Code_postal;Responsable_1_Ville;Date_Modification"


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    town = Town(tmp_path, {"famille": {}, "periscolaire": {}})
    town.link(("SORBIER", "famille", "F-1"), ("GARANCE", "famille", "F-3"))
    town.link(("SORBIER", "periscolaire", "P-1"), ("GARANCE", "periscolaire", "P-3"))
    town.start()
    yield town
    town.close()


def leave(town: Town, name: str, *lines: str) -> Path:
    path = town.folder / "famille" / "out" / name
    path.write_bytes("".join(f"{line}\r\n" for line in (HEAD, *lines)).encode())
    return path


def poll(town: Town) -> None:
    town.hub.pollers[f"{TENANT}.famille"].hurry()


def told(town: Town) -> list[str]:
    return sorted(row["Famille_Identifiant"] for row in town.dropped("periscolaire"))


# SORMAS#2122, SSH.NET#1008
def test_a_file_with_a_line_that_no_schema_takes_moves_on_and_the_next_one_is_read(town: Town) -> None:
    left = leave(
        town, "nouvelles-1.csv", "F-1;1 rue A;93001;Saint-Aubin;02/03/2026", "F-2;2 rue B;93001;Saint-Aubin;01/03/0020"
    )

    town.until(lambda: poll(town) or not left.exists())
    town.until(lambda: told(town) == ["P-1"])
    reason = (left.parent / "erreurs" / "nouvelles-1.csv.motif.txt").read_text(encoding="utf-8")
    assert reason.startswith("ligne 3 : ")

    later = leave(town, "nouvelles-2.csv", "F-3;3 rue C;93001;Saint-Aubin;02/03/2026")
    town.until(lambda: poll(town) or not later.exists())
    town.until(lambda: told(town) == ["P-1", "P-3"])
