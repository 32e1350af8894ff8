"""Connectors out of the tables that packages really export: what is drafted passes unchanged, and something is told."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from connectors.sdk.contract.model import Field
from connectors.sdk.drafting.columns import invented_row
from schemas.errors import ConfigError
from tests.connectors.sdk.drafting.drafted import Drafted, drafted
from tests.connectors.sdk.kinds.workbooks import ods, xlsx

CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS") or Path(__file__).resolve().parents[3] / "shared" / "contracts")
if not (CONTRACTS / "family-exports" / "layouts.json").is_file():
    pytest.skip("contracts folder absent", allow_module_level=True)

LAYOUTS = json.loads((CONTRACTS / "family-exports" / "layouts.json").read_text(encoding="utf-8"))
PUPILS = CONTRACTS / "onde" / "samples" / "eleves.csv"
PARENTS = CONTRACTS / "onde" / "samples" / "responsables.csv"
ROOMS = CONTRACTS / "grr" / "schema-subset.sql"


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """What the test prints at its end."""
    lines = [f"{'file':34} {'operations':>10} {'accepted':>9} {'mapped':>7} {'found':>6}"]
    yield lines
    print("\n" + "\n".join(lines))


def held(found: Drafted, name: str, table: list[str]) -> None:
    """It passes, tells something, and has no code."""
    news = found.news
    table.append(f"{name:34} {len(found.draft.does):>10} {news:>9} {found.draft.mapped:>7} {found.draft.found:>6}")
    assert found.faults == []
    assert found.examined().faults == ()
    assert news > 0
    assert not [path for path in found.manifest.folder.rglob("*.py") if "tests" not in path.parts]


def as_file(folder: Path, name: str, columns: Sequence[str]) -> Path:
    """Two rows about nobody under the columns of a package."""
    rows = [invented_row([Field(column, "text") for column in columns], variant) for variant in (0, 1)]
    for number, row in enumerate(rows):
        for column in columns:
            row[column] = (
                f"{7001 + number}" if column.lower() in ("id", "id enfant", "famille_identifiant") else row[column]
            )
    cells = [list(columns), *([row[column] for column in columns] for row in rows)]
    path = folder / name
    if name.endswith(".csv"):
        with path.open("w", encoding="cp1252", newline="") as file:
            csv.writer(file, delimiter=";").writerows(cells)
    else:
        path.write_bytes(xlsx(cells) if name.endswith(".xlsx") else ods(cells))
    return path


def test_a_school_roll_becomes_a_connector(tmp_path: Path, table: list[str]) -> None:
    found = drafted(tmp_path, PUPILS)

    held(found, "onde/eleves.csv", table)
    assert 'key = "INE"' in found.text("connector.toml")
    assert "EXEMPLE" not in found.text("samples/export.csv")


@pytest.mark.parametrize("name", ["eleves.xlsx", "eleves.ods"])
def test_the_same_roll_in_a_workbook_becomes_the_same_connector(tmp_path: Path, table: list[str], name: str) -> None:
    with PUPILS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file, delimiter=";"))
    path = tmp_path / name
    path.write_bytes(xlsx(rows) if name.endswith(".xlsx") else ods(rows))
    found = drafted(tmp_path, path)

    held(found, f"onde/{name}", table)
    assert found.manifest.publishes == ("citizen.address-changed",)


def test_the_bookings_of_rooms_become_a_polled_query(tmp_path: Path, table: list[str]) -> None:
    found = drafted(tmp_path, ROOMS, table="grr_entry")

    held(found, "grr/schema-subset.sql grr_entry", table)
    assert "where timestamp > :cursor order by timestamp" in found.text("connector.toml")


@pytest.mark.parametrize(("layout", "columns"), [
    ("parascol", LAYOUTS["parascol_csv"]), ("cerig", LAYOUTS["cerig_csv"]),
    ("bl-enfance", LAYOUTS["bl_enfance_zip"]["files"]["famille.csv"]),
])  # fmt: skip
def test_the_exports_of_family_packages_become_connectors(
    tmp_path: Path, table: list[str], layout: str, columns: list[str]
) -> None:
    found = drafted(tmp_path, as_file(tmp_path, f"{layout}.csv", columns))

    held(found, f"family-exports {layout}", table)
    assert set(found.manifest.publishes) == {"citizen.address-changed", "citizen.contact-changed"}


def test_a_list_of_parents_without_an_identifier_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column names a row"):
        drafted(tmp_path, PARENTS)
