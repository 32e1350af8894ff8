"""Files put down for a package and what it leaves in return: each row once, each answer about what was really sent."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors import conformance
from connectors.sdk import Secret
from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.drop import DropConnector
from connectors.sdk.mapping import fields_of
from connectors.sdk.sftp_twin import SftpTwin
from hub.settings.procedures import procedure_slugs
from schemas.delivery import Delivery, RecordFault
from schemas.errors import ConfigError, HubError, Refused, TryLater
from schemas.event import Event
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.filedrop.events import REQUEST_ID, asked, moved
from tests.connectors.sdk.kinds.agenda import EXAMPLES, context_of, example
from tests.support.garbage import WRONG, mutations

REGISTRY = Registry.load()


def declared(folder: Path, *changes: tuple[str, str]) -> Manifest:
    place = folder / "regie"
    shutil.copytree(EXAMPLES / "regie", place)
    text = (place / FILE).read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (place / FILE).write_text(text, "utf-8")
    return Manifest.load(place / FILE, fields_of)


class Regie:
    """The two folders, and the hub's part."""

    def __init__(self, folder: Path, manifest: Manifest | None = None, **settings: Any) -> None:
        self.out, self.back = folder / "entrants", folder / "sortants"
        self.out.mkdir(exist_ok=True)
        self.back.mkdir(exist_ok=True)
        usual = {"drop_folder": str(self.out), "return_folder": str(self.back), "settled": "rename"}
        self.connector = DropConnector(context_of(manifest or example("regie"), {**usual, **settings}))
        self.faults: list[RecordFault] = []

    def rows(self, encoding: str = "cp1252") -> list[dict[str, str]]:
        return [row for path in self.files() for row in rows_of(path.read_bytes(), encoding)]

    def files(self) -> list[Path]:
        return sorted(self.out.iterdir())

    def leave(self, text: str, name: str = "reponses-1.csv", encoding: str = "cp1252") -> None:
        (self.back / name).write_bytes(text.encode(encoding))

    def poll(self) -> list[Event]:
        events: list[Event] = []
        for polled in self.connector.poll(None):
            events += polled.events
            self.faults += polled.faults
            if polled.acknowledge is not None:
                polled.acknowledge()
        for event in events:
            REGISTRY.validate(event)
        return events


def rows_of(content: bytes, encoding: str = "cp1252") -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(encoding), newline=""), delimiter=";"))


def request(number: int = 1, **more: Any) -> Delivery:
    delivery = asked(number)
    return Delivery(delivery.event, delivery.key, request_id=more.get("request_id", REQUEST_ID))


@pytest.fixture
def regie(tmp_path: Path) -> Regie:
    return Regie(tmp_path)


# out


def test_an_event_is_a_file_with_the_columns_of_its_map_in_their_order(regie: Regie) -> None:
    done = regie.connector.handle(moved(street="rue des Tilleuls"))

    (path,) = regie.files()
    head, line, _ = path.read_bytes().decode("cp1252").split("\r\n")
    assert head == "Cle;Compte;Voie;Code postal;Ville;Effet"
    assert line.endswith(";F-1042;rue des Tilleuls;38999;Valbruyère;2026-04-01")
    assert (done.answer, list(done.events)) == ("Déposé pour le logiciel", [])


def test_what_is_granted_is_what_the_columns_read() -> None:
    address, asked_for = example("regie").consumes

    assert set(address.fields) == {
        "/new_address/value/street", "/new_address/value/postal_code", "/new_address/value/city", "/effective_on",
    }  # fmt: skip
    assert asked_for.fields == ("/request/procedure", "/request/requester/citizen/identity/family_name")


def test_a_retry_writes_the_same_file_over_the_first(regie: Regie) -> None:
    regie.connector.handle(moved(1))
    first = regie.rows()

    regie.connector.handle(moved(1, attempt=2))

    assert regie.rows() == first


def test_a_name_holds_nothing_that_a_file_may_not_be_called(regie: Regie) -> None:
    delivery = moved()
    event = Event(delivery.event.type, delivery.event.source, delivery.event.data, id="../../é/" + "x" * 300)

    regie.connector.handle(Delivery(event, "k/1\\2", "F-1", request_id=REQUEST_ID))

    (path,) = regie.files()
    assert set(path.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._~-")
    assert len(path.name.encode()) < 255


def test_events_that_come_together_share_a_file_where_its_name_is_of_none_of_them(tmp_path: Path) -> None:
    change = ('file = "{event}-{key}.csv"', 'file = "{type}-{moment}-{digest}-{number}.csv"')
    regie = Regie(tmp_path, declared(tmp_path, change))

    outcomes = regie.connector.handle_many([moved(1), request(2), moved(3), moved(4, city="")])

    assert [path.name.rpartition("-")[2] for path in regie.files()] == ["2.csv", "1.csv"]
    assert [type(one).__name__ for one in outcomes] == ["Done", "Done", "Done", "Refused"]
    first = [path.name for path in regie.files()]
    regie.connector.handle_many([moved(1, attempt=2), moved(3, attempt=2)])
    assert [path.name for path in regie.files()] == first


def test_a_request_that_was_dropped_is_told_with_the_word_of_its_table(regie: Regie) -> None:
    (event,) = regie.connector.handle(request()).events

    REGISTRY.validate(event)
    assert (event.version, event.data["status"], event.data["native"]["code"]) == (2, "transferred", "DEPOSE")
    key = regie.rows()[0]["Cle"]
    assert key not in event.id


def test_a_character_that_the_encoding_does_not_have_is_refused_by_its_column(regie: Regie) -> None:
    with pytest.raises(Refused, match="La colonne Voie") as caught:
        regie.connector.handle(moved(street="улица Мира"))

    assert "Мира" not in str(caught.value)
    assert regie.files() == []


def test_whatever_an_event_holds_it_is_written_or_refused(regie: Regie) -> None:
    whole = moved()
    for name, data in mutations(dict(whole.event.data)):
        if not isinstance(data, dict):
            continue
        event = Event(whole.event.type, whole.event.source, data, id="e")
        try:
            regie.connector.handle(Delivery(event, "k", "F-1", request_id=REQUEST_ID))
        except Refused:
            continue
        assert len(regie.rows()) == 1, name


def test_a_formula_is_no_formula_and_comes_back_as_it_was(regie: Regie) -> None:
    regie.connector.handle(moved(street="=1+1"))
    row = regie.rows()[0]
    assert row["Voie"] == "'=1+1"

    regie.leave(f"Compte;Voie;Code postal;Ville\r\nF-1;{row['Voie']};38999;Ville\r\n", "nouvelles-1.csv")

    assert regie.poll()[0].data["new_address"]["value"]["street"] == "=1+1"


def test_an_xml_file_holds_the_same_rows(tmp_path: Path) -> None:
    table = ('encoding = "cp1252"', 'encoding = "iso-8859-15"\nformat = "xml"\nxml_root = "lot"')
    manifest = declared(tmp_path, table)
    text = (tmp_path / "regie" / "mapping.csv").read_text("utf-8")
    (tmp_path / "regie" / "mapping.csv").write_text(text.replace("out;Code postal", "out;Code_postal"), "utf-8")
    regie = Regie(tmp_path, manifest)

    regie.connector.handle(moved())

    content = regie.files()[0].read_bytes().decode("iso-8859-15")
    assert "<lot>" in content
    assert "<Ville>Valbruyère</Ville>" in content


# in return


def dropped(regie: Regie) -> str:
    regie.connector.handle(request())
    return regie.rows()[-1]["Cle"]


def test_an_answer_becomes_the_status_of_the_request_that_its_key_names(regie: Regie) -> None:
    key = dropped(regie)
    regie.leave(f"Motif;Cle;Etat;Autre\r\nPièce manquante;{key.lower()};REJETE;x\r\n")

    (event,) = regie.poll()

    assert event.data["request"] == {"id": REQUEST_ID}
    assert (event.version, event.data["status"], event.data["reason"]) == (2, "rejected", "Pièce manquante")
    assert regie.poll() == []


def test_an_answer_is_told_once_however_often_its_file_is_read_before_it_is_acknowledged(regie: Regie) -> None:
    regie.leave(f"Cle;Etat;Motif\r\n{dropped(regie)};REGLE;\r\n")

    first = [event.id for polled in regie.connector.poll(None) for event in polled.events]

    assert [event.id for event in regie.poll()] == first


@pytest.mark.parametrize(("line", "code"), [
    ("{key};INCONNU;", "result"), ("{key};DEPOSE;", "result"), ("{key}x;REGLE;", "key-mistyped"),
    ("0~REQ~00000-00000-00000;REGLE;", "key-unknown"), (";REGLE;", "key-unknown"),
    ("{key};REGLE;" + "x" * 600, "reason"),
    ("{key}", "columns"), ('"{key};REGLE;', "quote"),
])  # fmt: skip
def test_a_bad_answer_costs_its_own_line(regie: Regie, line: str, code: str) -> None:
    key = dropped(regie)
    regie.leave(f"Cle;Etat;Motif\r\n{line.format(key=key)}\r\n{key};REGLE;\r\n")

    assert [event.data["status"] for event in regie.poll()] == ["fulfilled"]
    assert len(regie.faults) == 1
    assert code.split("-")[0] in regie.faults[0].code
    assert "ligne" in regie.faults[0].place


def test_a_result_about_no_request_is_told_and_a_mere_confirmation_is_not(regie: Regie) -> None:
    delivery = moved()
    regie.connector.handle(Delivery(delivery.event, delivery.key, "F-1042"))
    key = regie.rows()[0]["Cle"]
    regie.leave(f"Cle;Etat;Motif\r\n{key};LU;\r\n{key};REGLE;\r\n")

    assert regie.poll() == []
    assert [fault.code for fault in regie.faults] == ["record-refused.no-request"]


def test_news_of_the_package_are_events_with_the_day_of_their_file(regie: Regie) -> None:
    regie.leave("Compte;Voie;Code postal;Ville\r\nF-1;2 rue Basse;38999;Ici\r\nF-2;;38999;\r\n", "nouvelles-7.csv")
    os.utime(regie.back / "nouvelles-7.csv", (1_772_400_000, 1_772_400_000))

    (event,) = regie.poll()

    assert event.data["citizen"]["references"] == [{"system": "regie", "id": "F-1"}]
    assert event.data["effective_on"] == "2026-03-01"
    assert ["ligne 3" in fault.place for fault in regie.faults] == [True]


def test_a_file_of_no_name_agreed_upon_is_set_aside(regie: Regie) -> None:
    regie.leave("x", "corvisart.csv")

    assert regie.poll() == []
    assert [(fault.code, fault.place) for fault in regie.faults] == [("file-aside.name", "….csv")]


def test_whatever_a_cell_of_an_answer_holds_the_next_line_is_read(regie: Regie) -> None:
    key = dropped(regie)
    said = [str(one) for one in WRONG if isinstance(one, str | int) and "\ud800" not in str(one) and one != "\u200b"]
    for number, wrong in enumerate([*said, '"', "=x", "\x1a"]):
        for place in range(3):
            cells = [key, "REGLE", ""]
            cells[place] = wrong
            regie.leave(f"Cle;Etat;Motif\r\n{';'.join(cells)}\r\n{key};REGLE;\r\n", f"reponses-{number}-{place}.csv")

            assert regie.poll(), (wrong, place)


def test_without_a_return_folder_nothing_is_read(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    connector = DropConnector(context_of(example("regie"), {"drop_folder": str(tmp_path / "x")}))

    assert list(connector.poll(None)) == []
    assert connector.probe().ok


def test_one_folder_for_both_ways_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="drop folder"):
        DropConnector(context_of(example("regie"), {"drop_folder": str(tmp_path), "return_folder": f"{tmp_path}/"}))


# over SFTP, and when it is away


@pytest.fixture
def account() -> Iterator[SftpTwin]:
    with SftpTwin() as twin:
        for name in ("entrants", "sortants"):
            (twin.root / name).mkdir()
        yield twin


def test_the_same_over_sftp(account: SftpTwin) -> None:
    settings = account.settings(drop_folder="/entrants", return_folder="/sortants", settled="rename")
    connector = DropConnector(context_of(example("regie"), settings))
    connector.handle(request())
    (path,) = (account.root / "entrants").iterdir()
    key = rows_of(path.read_bytes())[0]["Cle"]
    (account.root / "sortants" / "reponses-1.csv").write_bytes(f"Cle;Etat;Motif\r\n{key};REGLE;\r\n".encode("cp1252"))

    assert [e.data["status"] for polled in connector.poll(None) for e in polled.events] == ["fulfilled"]
    account.stop()
    with pytest.raises(TryLater):
        connector.handle(moved())
    assert not connector.probe().ok
    connector.close()


def test_an_outage_is_that_of_each_event_of_the_file(tmp_path: Path) -> None:
    regie = Regie(tmp_path, declared(tmp_path, ("{event}-{key}.csv", "{type}-{digest}.csv")))
    shutil.rmtree(regie.out)

    outcomes = regie.connector.handle_many([moved(1), moved(2)])

    assert all(isinstance(one, HubError) for one in outcomes)


def test_the_password_is_shown_nowhere(tmp_path: Path) -> None:
    regie = Regie(tmp_path, password=Secret("a-password-of-the-account"))

    assert "a-password" not in f"{regie.connector.facts} {regie.connector.settings}"


def test_the_declared_connector_keeps_the_promises_of_a_connector() -> None:
    conformance.check(example("regie"))


# what `check` says


def test_a_sound_declared_drop_has_no_fault(tmp_path: Path) -> None:
    manifest = declared(tmp_path)

    assert connector_faults(tmp_path, REGISTRY, procedure_slugs()) == []
    assert connector_class(manifest) is DropConnector
    assert manifest.publishes == ("citizen.address-changed", "request.status-changed")
    assert (manifest.idempotency, manifest.poll_seconds) == ("native-key", 60.0)


@pytest.mark.parametrize(("change", "key", "message"), [
    (('file = "{event}-{key}.csv"', 'file = "{type}.csv"'), "drop.file", "written over another"),
    (('file = "{event}-{key}.csv"', 'file = "{evnt}-{key}.csv"'), "drop.file", '"event"'),
    (('encoding = "cp1252"', 'encoding = "latin9000"'), "drop.encoding", "no encoding"),
    (('again = "key:Cle"', 'again = "none"'), "deliver[0].again", "key:<column>"),
    (('again = "key:Cle"', 'again = "key:Clef"'), "deliver[0].again", "no row of the map"),
    (('map = "address-out"\n', ""), "deliver[0].map", "missing"),
    (('map = "address-out"', 'map = "adress-out"'), "map", "address-out"),
    (('status = "Etat"\n', ""), "returns.status", "missing"),
    (('files = "nouvelles-*.csv"\n', ""), "returns.event[0].files", "missing"),
    (('id = "{mark}:{line}"', 'id = "{mark}"'), "returns.event[0].id", "{line}"),
])  # fmt: skip
def test_check_names_what_is_wrong_with_a_drop(tmp_path: Path, change: tuple[str, str], key: str, message: str) -> None:
    declared_text(tmp_path, change)

    found = [(fault.key, fault.message) for fault in connector_faults(tmp_path, REGISTRY, procedure_slugs())]

    assert any(place == key and message in said for place, said in found), found


def declared_text(folder: Path, change: tuple[str, str]) -> None:
    place = folder / "regie"
    shutil.copytree(EXAMPLES / "regie", place)
    text = (place / FILE).read_text("utf-8")
    assert change[0] in text
    (place / FILE).write_text(text.replace(*change, 1), "utf-8")
