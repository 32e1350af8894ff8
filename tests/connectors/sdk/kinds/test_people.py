"""`[people]`: a package that is asked who its people are; one record that cannot be read hides no other."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.dump import DumpConnector
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.errors import InvalidMessage, TryLater
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import EXAMPLES, context_of, example
from tests.connectors.sdk.kinds.exports import Hub, as_csv
from tests.connectors.sdk.kinds.twins import LibraryTwin

REST = """
[people]
call = "GET readers"
query = { order = "card" }
list = "/readers"
paging = { kind = "page", param = "page", size = 2, size_param = "page_size" }
only = { "/category" = "Adulte" }
map = "person"
"""
DUMP = """
[people]
map = "person"
only = { Nom = "*" }
"""
READERS = (
    "person;/identity/family_name;/name;;oui\nperson;/identity/given_names/0;/first;;\n"
    "person;/identity/birthdate;/born;;oui\nperson;/references/0/system;={system};;\n"
    "person;/references/0/id;/card;text;oui\n"
)
ROWS = READERS.replace("/name;", "Nom;").replace("/first;", "Prenom;").replace("/born;", "Naissance;")
ROWS = ROWS.replace("/card;", "Dossier;")
HEAD = ["Dossier", "Nom", "Prenom", "Naissance", "Voie", "Code postal", "Ville", "Courriel"]


def declared(folder: Path, name: str, toml: str, rows: str) -> Manifest:
    place = folder / name
    shutil.copytree(EXAMPLES / name, place)
    with (place / FILE).open("a", encoding="utf-8") as file:
        file.write(toml)
    with (place / "mapping.csv").open("a", encoding="utf-8") as file:
        file.write(rows)
    return Manifest.load(place / FILE, fields_of)


def faults_of(folder: Path) -> list[str]:
    return [str(fault) for fault in connector_faults(folder, Registry.load(), procedure_slugs())]


def exported(*people: tuple[str, str, str, str]) -> bytes:
    rows = [[*one, "3 rue des Tilleuls", "93100", "Valbruyère", "m@courriel.example"] for one in people]
    return as_csv(rows, HEAD)


# over REST


def library(folder: Path, twin: LibraryTwin) -> RestConnector:
    manifest = declared(folder, "mediatheque", REST, READERS)
    connector = connector_class(manifest)(context_of(manifest, twin.settings()))
    assert isinstance(connector, RestConnector)
    return connector


def test_a_declared_list_gives_each_person_page_by_page(tmp_path: Path) -> None:
    with LibraryTwin() as twin:
        for number in range(5):
            card = twin.add(number)
            twin.readers[card] |= {"name": "Corvisart", "first": "Maëlle", "born": "1987-03-09"}
        twin.readers["C0001"]["category"] = "Collectivité"
        del twin.readers["C0002"]["name"]
        pages = list(library(tmp_path, twin).people())

    assert len(pages) == 3
    people = [person for page in pages for person in page.people]
    assert [person["references"][0]["id"] for person in people] == ["C0000", "C0003", "C0004"]
    (fault,) = [fault for page in pages for fault in page.faults]
    assert "/readers/0" in fault.place
    assert "Maëlle" not in str(fault)


def test_a_sound_list_of_people_has_no_fault_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    declared(tmp_path, "mediatheque", REST, READERS)
    assert faults_of(tmp_path) == []
    place = tmp_path / "mediatheque" / "mapping.csv"
    place.write_text(place.read_text("utf-8").replace("/identity/family_name", "/identity/surname"), "utf-8")
    assert any("surname" in fault for fault in faults_of(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('call = "GET readers"\nquery = { order = "card" }\nlist', "list", "people.call"),
        ('only = { "/category" = "Adulte" }\nmap = "person"', "", "people.map"),
        ('query = { order = "card" }', 'query = { order = "{nobody}" }', "nobody"),
    ],
)
def test_what_a_list_of_people_lacks_is_told(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in REST
    declared(tmp_path, "mediatheque", REST.replace(old, new), READERS)
    assert any(said in fault for fault in faults_of(tmp_path)), faults_of(tmp_path)


def test_a_kind_that_lists_nobody_is_told_so(tmp_path: Path) -> None:
    declared(tmp_path, "fileattente", "\n[people]\n", "")
    assert any("lists nobody" in fault for fault in faults_of(tmp_path)), faults_of(tmp_path)


def test_a_connector_without_a_list_says_so() -> None:
    with LibraryTwin() as twin:
        manifest = example("mediatheque")
        connector = connector_class(manifest)(context_of(manifest, twin.settings()))
        with pytest.raises(InvalidMessage) as refusal:
            list(connector.people())
    assert refusal.value.code == "no_people_list"


# full exports


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    (tmp_path / "exports").mkdir()
    return Hub(tmp_path / "exports", declared(tmp_path, "periscolaire", DUMP, ROWS))


def listed(hub: Hub) -> list[str]:
    return [person["references"][0]["id"] for page in hub.connector.people() for person in page.people]


def test_the_first_export_is_listed_before_and_after_the_poll_took_it_and_the_poll_says_nothing(hub: Hub) -> None:
    hub.leave(exported(("7001", "Corvisart", "Maëlle", "1987-03-09"), ("7002", "Quenneville", "Solène", "1990-05-17")))

    assert listed(hub) == ["7001", "7002"]
    assert hub.poll().events == []
    assert listed(hub) == ["7001", "7002"]


def test_the_newest_export_is_listed_and_a_row_that_cannot_be_read_hides_no_other(hub: Hub) -> None:
    hub.leave(exported(("7001", "Corvisart", "Maëlle", "1987-03-09")))
    hub.poll()
    hub.leave(exported(("7003", "Garance", "Odette", "le 9 mars"), ("7004", "Sorbier", "Pierre", "1972-05-17"),
                       ("7005", "", "", "")))  # fmt: skip
    hub.leave(b"rien", "autre.csv")

    (page,) = hub.connector.people()
    assert [person["references"][0]["id"] for person in page.people] == ["7004"]
    assert len(page.faults) == 1
    assert "Garance" not in str(page.faults)


def test_before_the_first_export_there_is_nothing_to_list(hub: Hub) -> None:
    with pytest.raises(TryLater):
        listed(hub)


def test_a_dump_without_a_list_of_people_says_so(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    connector = Hub(tmp_path / "exports").connector
    assert isinstance(connector, DumpConnector)
    with pytest.raises(InvalidMessage):
        list(connector.people())
