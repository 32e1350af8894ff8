"""Connectors of files and tables without any code: their cases are made of their samples."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from connectors import conformance
from connectors.conformance.played.rows import another, numbered
from connectors.sdk import find_manifests
from connectors.sdk.check import connector_faults
from connectors.sdk.contract.model import Field, Operation
from connectors.sdk.contract.sql_tables import KEY
from connectors.sdk.contract_twins.sql_twin import sql_twin_of
from schemas.errors import ConfigError
from schemas.manifest import Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, example

TOLD = ("declaration", "polling", "bad-record", "pages", "turns", "order")
Change = tuple[str, str]


def changed(folder: Path, name: str, *changes: Change, file: str = "connector.toml") -> Manifest:
    """An example with its declaration changed."""
    place = folder / name
    if not place.exists():
        shutil.copytree(EXAMPLES / name, place)
    text = (place / file).read_text(encoding="utf-8")
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    (place / file).write_text(text, encoding="utf-8")
    find_manifests.cache_clear()
    return find_manifests(folder)[name]


@pytest.mark.parametrize("name", ["periscolaire", "fileattente", "regie"])
def test_an_example_has_no_python_and_keeps_every_promise(name: str) -> None:
    assert not list((EXAMPLES / name).rglob("*.py"))
    outcome = conformance.examine(example(name))

    assert (outcome.faults, outcome.tier) == ((), "gold")
    assert any(column.cells for column in outcome.columns)


@pytest.mark.parametrize("changes", [
    [('"export*.*"', '"export*.xlsx"')],
    [('"export*.*"', '"export*.ods"'), ('encoding = "cp1252"\n', "")],
    [('"export*.*"', '"export-*.zip"')],
    [('encoding = "cp1252"\n', 'encoding = "cp1252"\nseparator = "\\t"\n')],
    [('encoding = "cp1252"\n', ('encoding = "cp1252"\nfixed = { Dossier = "1-8", Nom = "9-30", Voie = "31-60", "Code '
       'postal" = "61-66", Ville = "67-90", Courriel = "91-140", Note = "141-150" }\n'))],
    [('encoding = "cp1252"\n', 'encoding = "cp1252"\npositions = { Rue = 3 }\n'), ('["Voie",', '["Rue",')],
    [('lost_at_most = "50%"', 'lost_at_most = "2%"\nchanged_at_most = "5%"')],
    [('first = "load"', 'first = "tell"')],
    [('first = "load"', 'first = "tell"'), ('id = "{key}-address', 'on = "any"\nid = "{key}-address'),
     ('id = "{key}-contact', 'on = "any"\nid = "{key}-contact')],
    [('watch = ["Voie", "Code postal", "Ville"]', 'on = "new"'), ('watch = ["Courriel"]', 'on = "new"')],
])  # fmt: skip
def test_exports_of_every_layout_and_way_are_played(tmp_path: Path, changes: list[Change]) -> None:
    manifest = changed(tmp_path, "periscolaire", *changes)
    if any("Rue" in after for _, after in changes):
        table = manifest.folder / "mapping.csv"
        table.write_text(table.read_text(encoding="utf-8").replace(";Voie;", ";Rue;"), encoding="utf-8")

    conformance.check(manifest, only=TOLD)


def test_a_postal_code_that_the_door_refuses_fails_the_suite(tmp_path: Path) -> None:
    manifest = changed(tmp_path, "periscolaire")
    export = manifest.folder / "samples" / "export.csv"
    text = export.read_bytes().decode("cp1252")
    at = text.splitlines()[0].split(";").index("Code postal")
    rows = [line.split(";") for line in text.splitlines()]
    said = [";".join([*row[:at], "7201" if number else row[at], *row[at + 1 :]]) for number, row in enumerate(rows)]
    export.write_bytes("\r\n".join(said).encode("cp1252"))

    with pytest.raises(conformance.NotConformant, match="postal code has five digits"):
        conformance.check(manifest, only=("polling",))


@pytest.mark.parametrize(("changes", "words"), [
    ([('"export*.*"', '"export.csv"')], "one name"),
    ([('watch = ["Courriel"]', 'watch = ["Mail"]')], 'no column "Mail"'),
    ([('pattern = "[A-Z-]*[0-9]+"', 'pattern = "X[0-9]"')], "none of the form"),
    ([('encoding = "cp1252"', 'encoding = "{encodage}"')], "by hand"),
])  # fmt: skip
def test_what_a_sample_cannot_show_is_said(tmp_path: Path, changes: list[Change], words: str) -> None:
    manifest = changed(tmp_path, "periscolaire", *changes)

    with pytest.raises(ConfigError, match=words), conformance.opened_case(manifest):
        pass


def test_a_name_of_files_that_is_a_setting_with_a_default_is_played_by_it(tmp_path: Path) -> None:
    setting = (
        '[settings]\nfiles = { type = "text", optional = true, default = "export*.csv", about = "Nom." }\n\n[dump]'
    )
    text = (EXAMPLES / "periscolaire" / "connector.toml").read_text(encoding="utf-8")
    settings = ("[settings]\n", setting.removesuffix("\n[dump]")) if "[settings]" in text else ("[dump]", setting)
    manifest = changed(tmp_path, "periscolaire", ('"export*.*"', '"{files}"'), settings)

    conformance.check(manifest, only=("polling",))


def test_phone_is_a_word_of_every_mapping_table(tmp_path: Path) -> None:
    manifest = changed(
        tmp_path, "periscolaire", ("/email/value;Courriel;text", "/email/value;Courriel;phone"), ("/email/", "/phone/"),
        file="mapping.csv",
    )  # fmt: skip
    export = manifest.folder / "samples" / "export.csv"
    text = re.sub(r"[^;\n]+@[^;\r\n]+", "04 00 00 00 12", export.read_bytes().decode("cp1252"))
    export.write_bytes(text.encode("cp1252"))

    assert not [one for one in connector_faults(tmp_path, Registry.load(), ()) if "mapping" in one.file]
    conformance.check(manifest, only=("polling",))


def test_without_a_sample_the_missing_file_is_named(tmp_path: Path) -> None:
    manifest = changed(tmp_path, "periscolaire")
    (manifest.folder / "samples" / "export.csv").unlink()

    with pytest.raises(ConfigError, match=r"export\.\*"), conformance.opened_case(manifest):
        pass


def test_a_connector_that_reads_a_wrong_column_fails_its_own_samples(tmp_path: Path) -> None:
    manifest = changed(tmp_path, "periscolaire", ('id = "{key}-contact-{revision}"', 'id = "{key}-{Courriel}-contact"'))

    with pytest.raises(conformance.NotConformant):
        conformance.check(manifest, only=("polling", "turns", "leaks"))


def test_answers_of_a_package_bear_keys_that_the_hub_made(tmp_path: Path) -> None:
    text = (EXAMPLES / "regie" / "connector.toml").read_text(encoding="utf-8")
    manifest = changed(tmp_path, "regie", (text[text.index("[[returns.event]]") :], ""))
    (manifest.folder / "samples" / "returns" / "reponses-001.csv").write_bytes(
        "Cle;Etat;Motif\r\n;REGLE;Réglé en mairie\r\n;REJETE;Pièce illisible\r\n".encode("cp1252")
    )
    table = manifest.folder / "mapping.csv"
    rows = table.read_text(encoding="utf-8").splitlines()
    table.write_text("\n".join(row for row in rows if not row.startswith("address-in")) + "\n", encoding="utf-8")
    find_manifests.cache_clear()

    conformance.check(find_manifests(tmp_path)["regie"], only=TOLD)


def test_a_package_that_reads_xml_is_played(tmp_path: Path) -> None:
    manifest = changed(
        tmp_path, "regie", ('file = "{event}-{key}.csv"', 'file = "{event}-{key}.xml"\nformat = "xml"'),
    )  # fmt: skip
    table = manifest.folder / "mapping.csv"
    table.write_text(
        table.read_text(encoding="utf-8").replace("-out;Code postal", "-out;Code_postal"), encoding="utf-8"
    )

    conformance.check(manifest, only=("one-effect", "refusals", "turns"))


def test_rows_without_a_contract_are_of_any_type(tmp_path: Path) -> None:
    manifest = changed(tmp_path, "fileattente", ('sql = "contract/tables.sql"\n', ""))

    conformance.check(manifest, only=TOLD)


def test_a_cursor_of_moments_and_an_event_of_each_change_are_played(tmp_path: Path) -> None:
    manifest = changed(
        tmp_path, "fileattente", ("rank > :cursor order by rank", "at > :cursor order by at"),
        ('cursor = "rank"', 'cursor = "at"\nfirst = "2026-01-01"'), ('id = "{rank}"', 'id = "{request}-{at}"'),
    )  # fmt: skip

    conformance.check(manifest, only=TOLD)


@pytest.mark.parametrize("first", ["", 'first = ""\n', "first = 5\n"])
def test_behind_which_date_a_cursor_of_moments_begins_must_be_said(tmp_path: Path, first: str) -> None:
    manifest = changed(
        tmp_path, "fileattente", ("rank > :cursor order by rank", "at > :cursor order by at"),
        ('cursor = "rank"\n', f'cursor = "at"\n{first}'),
    )  # fmt: skip

    with pytest.raises(ConfigError, match="1970-01-01"), conformance.opened_case(manifest):
        pass


def test_a_query_of_a_table_that_the_contract_does_not_have_is_said(tmp_path: Path) -> None:
    manifest = changed(tmp_path, "fileattente", ("from tickets", "from guichets"))

    with pytest.raises(ConfigError, match="guichets"), conformance.opened_case(manifest):
        pass


TICKETS = Operation(
    "tickets",
    gives=(
        Field("rank", "integer", True, "record", limits={KEY: True}),
        Field("state", "text", True, "record", choices=("called", "done")),
        Field("note", "text", False, "record", limits={"maxLength": 5}, nullable=True),
        Field("at", "instant", True, "record"),
    ),
)


@pytest.mark.parametrize("row", [
    (1, "called", None, "2026-03-02T10:00:00Z"), (2, "done", "court", "2026-03-02"),
])  # fmt: skip
def test_the_twin_of_a_table_takes_what_the_table_takes(row: tuple[object, ...]) -> None:
    with sql_twin_of(TICKETS) as twin:
        twin.add(row)

        assert len(twin.left()["tickets.csv"].splitlines()) == 2


@pytest.mark.parametrize("row", [
    (None, "called", None, "2026-03-02"), ("1", "called", None, "2026-03-02"), (1, "gone", None, "2026-03-02"),
    (1, "done", "trop long", "2026-03-02"), (1, "done", None, "02/03/2026"), (1, None, None, "2026-03-02"),
    (1, "done", 7, "2026-03-02"),
])  # fmt: skip
def test_the_twin_of_a_table_refuses_what_the_table_refuses(row: tuple[object, ...]) -> None:
    with sql_twin_of(TICKETS) as twin, pytest.raises(sqlite3.IntegrityError):
        twin.add(row)


@pytest.mark.parametrize(("text", "next_one"), [
    ("F-1042", "F-1043"), ("0099", "0100"), ("99", "100"), ("A", "A1"), ("12-B", "13-B"),
])  # fmt: skip
def test_a_key_is_counted_on_by_its_last_figures(text: str, next_one: str) -> None:
    assert numbered(text, 1) == next_one


@pytest.mark.parametrize(("text", "other"), [
    ("m.corvisart@courriel.example", "autre.m.corvisart@courriel.example"), ("0601020399", "0601020400"),
    ("Valbruyère", "Valbruyère bis"), ("", "autre"),
])  # fmt: skip
def test_a_text_said_otherwise_keeps_its_form(text: str, other: str) -> None:
    assert another(text) == other
    assert another(text, ["", text, "Saint-Aubin"]) == "Saint-Aubin"
