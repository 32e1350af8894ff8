"""Dropping rows for packages without an API, and reading their news and answers, with their twin."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.conformance.case import MemoryDocuments
from connectors.conformance.examples import document_came, message_came, reopened
from connectors.filedrop.connector import FileDrop
from connectors.filedrop.twin import PackageTwin
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, ConfigError, HubError, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.registry import Registry
from schemas.secret import Secret
from schemas.shape import shape_faults
from tests.connectors.filedrop.events import REQUEST_ID, asked, moved, reached, value
from tests.support.context import context_for

REGISTRY = Registry.load()


@pytest.fixture
def package() -> Iterator[PackageTwin]:
    with PackageTwin() as package:
        yield package


@pytest.fixture
def connector(package: PackageTwin) -> Iterator[FileDrop]:
    connector = opened(package)
    yield connector
    connector.close()


def opened(package: PackageTwin, documents: MemoryDocuments | None = None, **changes: Any) -> FileDrop:
    return FileDrop(context_for("filedrop", package.connection_settings(**changes), documents=documents))


def local(package: PackageTwin, documents: MemoryDocuments | None = None, **changes: Any) -> FileDrop:
    return FileDrop(context_for("filedrop", package.local_settings(**changes), documents=documents))


def holding(content: bytes) -> MemoryDocuments:
    documents = MemoryDocuments()
    documents.store(content, name="x", media_type="application/pdf")
    return documents


def polled(connector: FileDrop, into: list[Event] | None = None) -> list[Event]:
    events = [] if into is None else into
    for batch in connector.poll(None):
        assert len(batch.events) <= 500
        for event in batch.events:
            REGISTRY.validate(event)
        events.extend(batch.events)
        if batch.acknowledge:
            batch.acknowledge()
    return events


def reached_by_email(number: int) -> Delivery:
    return reached(number, email=value("maelle@courriel.example"))


def all_done(outcomes: list[Done | HubError]) -> bool:
    return all(isinstance(outcome, Done) for outcome in outcomes)


def set_aside(package: PackageTwin, name: str) -> str:
    return (package.returns / "erreurs" / f"{name}.motif.txt").read_text()


def held(package: PackageTwin) -> list[tuple[str, dict[str, str]]]:
    package.collect()
    return package.applied


def test_the_settings_of_the_tests_fit_the_manifest(package: PackageTwin) -> None:
    schema = context_for("filedrop", {}).manifest.settings
    columns = [
        {"name": "K", "from": "/delivery/key"},
        {"name": "R", "from": ["/a", "/b"], "then": "/c", "format": "date"},
    ]
    own = {"layouts": {"citizen.address-changed": {"prefix": "maj", "columns": columns}}}
    news = {name: name for name in ("prefix", "reference", "address", "complement", "postal_code", "city", "date")}
    for settings in (package.connection_settings(password="depot-2026"), package.local_settings(**own, news=news)):
        assert shape_faults(schema, settings) == []


ABROAD = {"house_number": "5", "street": "Hauptstrasse", "postal_code": "77694", "city": "Kehl", "country": "DE"}


@pytest.mark.parametrize("preset", ["family", "billing"])
def test_an_address_abroad_is_refused_where_no_column_holds_the_country(preset: str) -> None:
    """77694 reads like a French code: given back, the other packages would be told that the person lives in France."""
    with PackageTwin(preset) as package:
        connector = local(package)
        with pytest.raises(Refused, match="étranger"):
            connector.handle(moved(**ABROAD))
        connector.handle(moved(**ABROAD | {"country": "FR"}))
        assert package.collect() == 1


def test_a_column_for_the_country_holds_it_both_ways() -> None:
    columns = [{"name": "K", "from": "/delivery/key"}, {"name": "F", "from": "/recipient/reference", "required": True}]
    names = {"A": "street", "CP": "postal_code", "V": "city", "P": "country"}
    columns += [{"name": name, "from": f"/new_address/value/{part}"} for name, part in names.items()]
    news = {
        "prefix": "n-",
        "reference": "F",
        "address": "A",
        "postal_code": "CP",
        "city": "V",
        "country": "P",
        "date": "D",
    }
    site = {"layouts": {"citizen.address-changed": {"prefix": "maj", "columns": columns}}, "news": news}
    with PackageTwin("family", site=site) as package:
        connector = local(package, **site)
        assert connector.handle(moved(**ABROAD)).answer == "Déposé pour le logiciel"
        package.leave("n-1.csv", "F;A;CP;V;P;D\r\nF-1;5 Hauptstrasse;77694;Kehl;Allemagne;02/03/2026\r\n"
                      "F-2;1 Main Street;;Dublin 4;IE;02/03/2026\r\nF-3;1 rue A;38999;Valbruyère;;02/03/2026\r\n"
                      "F-4;1 rue A;38999;Valbruyère;Nulle part;02/03/2026\r\n")  # fmt: skip
        told = polled(connector)
        assert [event.data["new_address"]["value"].get("country") for event in told] == ["DE", "IE", None]
        assert [event.version for event in told] == [1, 2, 1]
        assert list((package.returns / "erreurs").glob("n-1.csv*"))


def test_an_old_building_does_not_stay_with_the_new_street() -> None:
    with PackageTwin("billing", echoing=True) as package:
        connector = local(package)
        connector.handle(moved(complement="Bât. C"))
        package.collect()
        connector.handle(moved(2, street="rue du Marché"))
        package.collect()
        assert package.records["F-1042"]["ADRESSE_2"] == ""


def test_settings_without_any_columns_do_not_fit_the_manifest() -> None:
    assert shape_faults(context_for("filedrop", {}).manifest.settings, {"drop_folder": "/x"})


def test_a_move_reaches_the_family_package(package: PackageTwin, connector: FileDrop) -> None:
    done = connector.handle(moved(complement="Bâtiment C, porte 12"))
    package.collect()
    assert (done.answer, done.reference, list(done.events)) == ("Déposé pour le logiciel", None, [])
    record = package.records["F-1042"]
    assert record["Responsable_1_Adresse"] == "12 bis rue des Tilleuls, Bâtiment C, porte 12"
    assert (record["Responsable_1_Code_postal"], record["Responsable_1_Ville"]) == ("38999", "Valbruyère")
    assert record["Date_Effet"] == "01/04/2026"


def test_a_move_reaches_the_billing_package() -> None:
    with PackageTwin("billing", site={"encoding": "cp1252", "separator": ",", "line_end": "lf"}) as package:
        connector = opened(package)
        connector.handle(moved(complement="Bât. C"))
        package.collect()
        record = package.records["F-1042"]
        assert (record["NOM"], record["ADRESSE_2"], record["VILLE"]) == ("CORVISART", "Bât. C", "VALBRUYÈRE")
        connector.close()


@pytest.mark.parametrize(
    "site",
    [
        {"format": "xml"},
        {"format": "xml", "encoding": "iso-8859-15"},
        {"encoding": "utf-8-sig", "quoting": "all"},
        {"header": False, "date_format": "AAAAMMJJ"},
        {"separator": "\t", "encoding": "iso-8859-15"},
    ],
)
def test_every_way_of_writing_is_read_by_the_package(site: dict[str, Any]) -> None:
    with PackageTwin("family", site=site) as package:
        connector = local(package)
        connector.handle(moved(street="rue de l'Été ; « haute »" if "xml" in str(site) else "rue; de l'Été"))
        assert (package.collect(), package.rejected) == (1, [])
        assert "Été" in package.records["F-1042"]["Responsable_1_Adresse"]


def test_columns_of_the_site_replace_those_of_the_preset() -> None:
    columns = [
        {"name": "K", "from": "/delivery/key"},
        {"name": "ID", "from": "/recipient/reference", "required": True},
        {"name": "CP", "from": "/new_address/value/postal_code"},
    ]
    layouts = {"citizen.address-changed": {"prefix": "maj", "columns": columns}}
    with PackageTwin("family", site={"layouts": layouts}) as package:
        local(package).handle(moved())
        [path] = package.drop.iterdir()
        assert path.name.startswith("maj-")
        assert path.read_text().splitlines()[0] == "K;ID;CP"
        assert path.read_text().splitlines()[1].endswith(";F-1042;38999")


def test_a_contact_and_a_request_have_their_own_files(package: PackageTwin) -> None:
    connector = local(package)
    connector.handle(reached(phone=value("+33600000012"), email=value("maelle@courriel.example")))
    done = connector.handle(asked(2))
    package.collect()
    assert package.records["F-1042"]["Responsable_1_Portable"] == "0600000012"
    assert package.records["QF-2"]["Demandeur_Nom"] == "Benzerti"
    [event] = done.events
    REGISTRY.validate(event)
    assert (event.data["status"], event.data["request"]["id"]) == ("transferred", REQUEST_ID)


def test_many_deliveries_are_one_file(package: PackageTwin) -> None:
    connector = local(package)
    outcomes = connector.handle_many([moved(n, family=f"F-{n}") for n in range(150)])
    assert all_done(outcomes)
    assert len(list(package.drop.iterdir())) == 1
    assert package.collect() == 150


def test_one_file_for_each_event_when_the_site_says_so(package: PackageTwin) -> None:
    local(package, files="event").handle_many([moved(n, family=f"F-{n}") for n in range(5)])
    assert len(list(package.drop.iterdir())) == 5


def test_a_row_that_cannot_be_written_does_not_hold_back_the_others(package: PackageTwin) -> None:
    connector = local(package, encoding="iso-8859-15")
    outcomes = connector.handle_many([moved(1), moved(2, given="Łucja"), moved(3, family=None), asked(4)])
    assert [type(outcome) for outcome in outcomes] == [Done, Refused, Refused, Done]
    assert len(list(package.drop.iterdir())) == 2
    assert "Łucja" not in str(outcomes[1])


def test_an_event_without_columns_is_refused() -> None:
    with PackageTwin("billing") as package, pytest.raises(Refused):
        local(package).handle(asked())


def test_the_same_deliveries_again_change_the_package_once(package: PackageTwin, connector: FileDrop) -> None:
    batch = [moved(n, family=f"F-{n}") for n in range(3)]
    connector.handle_many(batch)
    package.collect()
    connector.handle_many([Delivery(d.event, d.key, d.reference, 2, d.request_id) for d in batch])
    package.collect()
    assert (package.effects, package.repeated) == (3, 3)


def test_a_retry_writes_over_the_file_that_was_not_yet_taken(package: PackageTwin, connector: FileDrop) -> None:
    package.misbehave("cut-rename")
    [outcome] = connector.handle_many([moved(1)])
    assert isinstance(outcome, Unknown)
    connector.handle_many([moved(1, attempt=2)])
    assert len(list(package.drop.iterdir())) == 1
    package.collect()
    assert (package.effects, package.repeated) == (1, 0)


def test_files_taken_late_are_read_in_the_order_of_the_drops(package: PackageTwin) -> None:
    moments = iter(datetime(2026, 3, 2, 12, 0, second, tzinfo=UTC) for second in (5, 5, 4, 9))
    context = context_for("filedrop", package.local_settings(), now=lambda: next(moments))
    connector = FileDrop(context)
    for number, house in enumerate(["1", "2", "3", "4"]):
        connector.handle_many([moved(number, house_number=house)])
    package.collect()
    houses = [row["Responsable_1_Adresse"].split()[0] for _, row in package.applied]
    assert houses == ["1", "2", "3", "4"]


def test_preparing_touches_nothing(package: PackageTwin, connector: FileDrop) -> None:
    assert connector.prepare(moved()).cells[1] == "F-1042"
    assert list(package.drop.iterdir()) == []
    assert package.sftp.logins == 0


def test_an_outage_is_tried_later_and_everything_arrives_once_after_it(
    package: PackageTwin, connector: FileDrop
) -> None:
    package.stop()
    batch = [moved(n, family=f"F-{n}") for n in range(20)]
    assert all(isinstance(outcome, TryLater) for outcome in connector.handle_many(batch))
    assert not connector.probe().ok
    package.start()
    assert all_done(connector.handle_many(batch))
    package.collect()
    assert (package.effects, package.repeated) == (20, 0)
    assert connector.probe().ok


@pytest.mark.parametrize("fault", ["full", "cut"])
def test_a_drop_that_fails_leaves_nothing_to_collect(package: PackageTwin, connector: FileDrop, fault: str) -> None:
    package.misbehave(fault)
    [outcome] = connector.handle_many([moved()])
    assert isinstance(outcome, TryLater)
    assert package.collect() == 0
    assert package.rejected == []


def test_a_wrong_password_pauses_the_connection(package: PackageTwin) -> None:
    connector = opened(package, password=Secret("perdu"))
    with pytest.raises(AccessDenied):
        connector.handle(moved())
    connector.close()


def test_the_two_folders_must_differ(package: PackageTwin) -> None:
    with pytest.raises(ConfigError):
        local(package, return_folder=str(package.drop))


def test_the_package_tells_a_move_of_its_own(package: PackageTwin, connector: FileDrop) -> None:
    package.tell_move("F-7", "4, chemin du Vieux Lavoir, Bâtiment C", "38999", "Valbruyère", "05/03/2026")
    [event] = polled(connector)
    assert event.type == "citizen.address-changed"
    assert event.data["citizen"] == {"references": [{"system": "filedrop", "id": "F-7"}]}
    assert event.data["new_address"]["value"] == {
        "house_number": "4", "street": "chemin du Vieux Lavoir", "complement": "Bâtiment C", "postal_code": "38999",
        "city": "Valbruyère",
    }  # fmt: skip
    assert event.data["new_address"]["date"] == "2026-03-05"
    assert polled(connector) == []
    assert len(list((package.returns / "traites").iterdir())) == 1


@pytest.mark.parametrize(
    "to",
    [
        {}, {"complement": "Bâtiment C, porte 12"}, {"house_number": None, "street": "Le Bourg"},
        {"house_number": "4", "street": "rue du 8 Mai 1945"}, {"house_number": "7 B"},
        {"house_number": None, "street": "=HYPERLINK"},
    ],
)  # fmt: skip
@pytest.mark.parametrize("preset", ["family", "billing"])
def test_an_address_given_back_says_what_was_told(preset: str, to: dict[str, Any]) -> None:
    with PackageTwin(preset, echoing=True) as package:
        connector = local(package)
        delivery = moved(**to)
        connector.handle(delivery)
        package.collect()
        [event] = polled(connector)
        told = delivery.event.data["new_address"]["value"]
        back = event.data["new_address"]["value"]
        assert {k: v.casefold() for k, v in back.items()} == {
            k: v.casefold() for k, v in told.items() if k != "insee_code"
        }


def test_news_read_again_before_their_acknowledgement_are_the_same_events(
    package: PackageTwin, connector: FileDrop
) -> None:
    package.tell_moves([(f"F-{n}", f"{n} rue A", "38999", "Valbruyère", "", "") for n in (1, 2)])
    first = [event for batch in connector.poll(None) for event in batch.events]
    again = [event for batch in connector.poll(None) for event in batch.events]
    assert [(e.id, e.data) for e in first] == [(e.id, e.data) for e in again]
    assert len({e.id for e in first}) == 2


def test_bad_lines_are_told_by_number_and_the_good_ones_flow(package: PackageTwin, connector: FileDrop) -> None:
    name = package.leave(
        "nouvelles-1.csv",
        "Famille_Identifiant;Responsable_1_Adresse;Responsable_1_Code_postal;Responsable_1_Ville;Date_Modification\r\n"
        "F-1;1 rue A;38999;Valbruyère;02/03/2026\r\n"
        ";2 rue B;38999;Valbruyère;02/03/2026\r\n"
        "F-3;3 rue C;38999\r\n"
        "F-4;4 rue D;38999;Valbruyère;2026-03-02\r\n"
        '"F-5"x;5 rue E;38999;Valbruyère;02/03/2026\r\n'
        "F-6;6 rue F\x07;38999;Valbruyère;02/03/2026\r\n"
        "F-7;7 rue G;;Valbruyère;02/03/2026\r\n"
        "\r\n"
        "F-9;9 rue I;38999;Valbruyère;02/03/2026\r\n",
    )
    events = polled(connector)
    assert [e.data["citizen"]["references"][0]["id"] for e in events] == ["F-1", "F-9"]
    why = set_aside(package, name)
    assert [line.split(" : ")[0] for line in why.splitlines()] == [f"ligne {n}" for n in (3, 4, 5, 6, 7, 8)]
    assert "Valbruyère" not in why


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("nouvelles-1.csv", "<html>502</html>"),
        ("nouvelles-1.csv", b"\xff\xfe\x00"),
        ("nouvelles-1.csv", ""),
        ("nouvelles-1.csv", "Famille_Identifiant;Famille_Identifiant\r\n"),
        ("reponses-1.csv", "cle;resultat\r\nk;ENREGISTRE\r\n"),
        ("reponses-1.csv", "cle;resultat;motif\r\nk;ENREGISTRE;\r\n"),
        ("facture.pdf", b"%PDF"),
        ("autre.csv", "a;b\r\n"),
        ("nouvelles-2.csv.exe", b"MZ"),
    ],
)
def test_a_file_that_says_nothing_usable_is_set_aside_and_stops_nothing(
    package: PackageTwin, connector: FileDrop, name: str, content: str | bytes
) -> None:
    package.leave(name, content)
    package.tell_move("F-1", "1 rue A", "38999", "Valbruyère")
    assert len(polled(connector)) == 1
    assert set_aside(package, name)
    assert (package.returns / "erreurs" / name).exists()
    assert polled(connector) == []


def test_news_that_we_may_not_open_stay_and_the_others_are_read(package: PackageTwin, connector: FileDrop) -> None:
    package.tell_move("F-7", "4 chemin du Vieux Lavoir", "38999", "Valbruyère")
    package.tell_move("F-8", "5 chemin du Vieux Lavoir", "38999", "Valbruyère")
    package.misbehave("denied")

    read: list[Event] = []
    with pytest.raises(TryLater, match="1 fichier"):
        polled(connector, read)

    assert [event.data["citizen"]["references"][0]["id"] for event in read] == ["F-8"]
    assert [event.data["citizen"]["references"][0]["id"] for event in polled(connector)] == ["F-7"]


def test_a_file_above_the_limit_is_set_aside(package: PackageTwin) -> None:
    package.leave("nouvelles-1.csv", b"x" * (5 * 1024 * 1024 + 1))
    assert polled(local(package)) == []
    assert "octets" in set_aside(package, "nouvelles-1.csv")


def test_much_news_is_committed_in_batches_and_put_away_last(package: PackageTwin) -> None:
    package.tell_moves([(f"F-{n}", f"{n} rue A", "38999", "Valbruyère", "", "") for n in range(1, 1202)])
    connector = local(package)
    batches = list(connector.poll(None))
    assert [len(batch.events) for batch in batches] == [500, 500, 201]
    assert [batch.acknowledge is None for batch in batches] == [True, True, False]


def test_the_answer_of_the_package_reaches_the_request(package: PackageTwin, connector: FileDrop) -> None:
    connector.handle_many([moved(1), asked(2)])
    package.collect()
    keys = {reference: row["Cle_Echange"] for reference, row in package.applied}
    package.answer_all([(keys["F-1042"], "REFUSE", "Famille close"), (keys["QF-2"], "TRAITE", "")])
    refused, treated = polled(connector)
    assert refused.data["request"] == treated.data["request"] == {"id": REQUEST_ID}
    assert (refused.data["status"], refused.data["reason"]) == (None, "Famille close")
    assert refused.data["native"] == {"code": "REFUSE", "label": "Refusé par le logiciel"}
    assert (treated.data["status"], treated.data["phase"]) == ("fulfilled", "delivery")


def test_a_refusal_that_nobody_explained_has_a_reason_all_the_same(package: PackageTwin) -> None:
    connector = local(package)
    connector.handle(asked(2))
    package.collect()
    [(_, row)] = package.applied
    package.answer(row["Cle_Echange"], "REFUSE")
    [refused] = polled(connector)
    assert (refused.data["status"], refused.data["reason"]) == (None, "Refusé par le logiciel")


@pytest.mark.parametrize("way", [opened, local])
@pytest.mark.parametrize("typed", ["REJETE", "TRAITE", "REFUSE"])
def test_an_answer_typed_by_mistake_is_corrected_and_may_be_given_again(
    package: PackageTwin, way: Callable[[PackageTwin], FileDrop], typed: str
) -> None:
    connector = way(package)
    connector.handle(asked(2))
    package.collect()
    [(_, row)] = package.applied
    told: list[Event] = []
    for word in (typed, "EN_COURS", typed, typed):  # each in a file of the same name, within one second
        package.leave("reponses-jour.csv", f"cle;resultat;motif\r\n{row['Cle_Echange']};{word};\r\n")
        crashed = [event.id for batch in connector.poll(None) for event in batch.events]
        polled(connector, told)
        assert crashed == [told[-1].id]
    connector.close()
    assert [event.data["native"]["code"] for event in told] == [typed, "EN_COURS", typed, typed]
    assert len({event.id for event in told}) == 4
    assert [event.time for event in told] == sorted(event.time for event in told)


@pytest.mark.parametrize("site", [{}, {"format": "xml"}, {"layouts": {}}, {"encoding": "cp1252"}])
def test_a_reopened_request_and_a_message_are_rows_to_act_on(site: dict[str, Any]) -> None:
    with PackageTwin(site=site) as package:
        connector = opened(package)
        outcomes = connector.handle_many([reopened(), message_came()])
        assert all_done(outcomes)
        package.collect()
        again, message = [row for _, row in package.applied]
        assert again["Demande_Identifiant"] == "0d5c1f7e A-2026-1"
        assert (again["Objet"], again["Motif"]) == ("Demande reprise", "La copie reçue est illisible.")
        assert (message["Objet"], message["Libelle"]) == ("Message au service", "Message du service en ligne")
        assert [done.events[0].data["status"] for done in outcomes if isinstance(done, Done)] == ["transferred", None]
        package.answer_all([(again["Cle_Echange"], "TRAITE", ""), (message["Cle_Echange"], "EN_COURS", "")])
        assert [event.data["request"]["id"] for event in polled(connector)] == [REQUEST_ID] * 2
        connector.close()


def test_a_document_is_dropped_beside_the_row_that_names_it(package: PackageTwin) -> None:
    connector = local(package, holding(b"%PDF identity"))
    done = connector.handle(document_came(b"%PDF identity"))
    package.collect()
    [(_, row)] = package.applied
    assert row["Objet"] == "Pièce reçue"
    assert (package.drop / row["Fichiers"]).read_bytes() == b"%PDF identity"
    REGISTRY.validate(done.events[0])


def test_a_document_that_cannot_be_dropped_holds_nobody_back(package: PackageTwin) -> None:
    connector = local(package, holding(b"%PDF identity"))
    heavy = document_came(b"x", "p-2")
    heavy.event.data["document"]["size"] = 60 * 1024 * 1024
    good, refused, other = connector.handle_many([document_came(b"%PDF identity"), heavy, asked(3)])
    assert isinstance(good, Done)
    assert isinstance(other, Done)
    assert isinstance(refused, Refused)


def test_a_site_whose_columns_hold_no_files_gets_the_row_alone(package: PackageTwin) -> None:
    columns = [{"name": "CLE", "from": "/delivery/key"}, {"name": "QUOI", "from": "/follow_up/what", "required": True}]
    connector = local(package, layouts={"document.received": {"prefix": "pieces-recues", "columns": columns}})
    connector.handle(document_came(b"%PDF identity"))
    [path] = package.drop.iterdir()
    assert path.name.startswith("pieces-recues-")
    assert "Pièce reçue" in path.read_text()


def test_our_own_words_are_no_answer(package: PackageTwin) -> None:
    connector = local(package)
    connector.handle(reopened())
    package.collect()
    [(_, row)] = package.applied
    name = package.answer(row["Cle_Echange"], "SUITE_DEPOSEE")
    assert polled(connector) == []
    assert "n'est pas convenu" in set_aside(package, name)


def test_a_package_answers_each_file_by_itself() -> None:
    with PackageTwin(answering=True) as package:
        connector = local(package)
        connector.handle_many([moved(n, family=f"F-{n}") for n in range(3)])
        package.collect()
        assert [event.data["native"]["code"] for event in polled(connector)] == ["ENREGISTRE"] * 3


def test_a_refusal_that_no_request_waits_for_is_left_to_the_service(package: PackageTwin) -> None:
    connector = local(package)
    delivery = moved(1)
    connector.handle(Delivery(delivery.event, delivery.key, delivery.reference))
    package.collect()
    [(_, row)] = package.applied
    confirmed = package.answer(row["Cle_Echange"], "ENREGISTRE")
    refused = package.answer(row["Cle_Echange"], "REFUSE", "Famille close")
    assert polled(connector) == []
    assert "à traiter par le service" in set_aside(package, refused)
    assert not (package.returns / "erreurs" / f"{confirmed}.motif.txt").exists()


@pytest.mark.parametrize("key", ["", "inconnue", "saint-aubin.famille-1~~000000", "a~b~c~d", "=1+1"])
def test_an_answer_to_a_key_that_we_never_wrote_is_refused(package: PackageTwin, key: str) -> None:
    name = package.answer(key, "REFUSE")
    assert polled(local(package)) == []
    assert "ligne 2" in set_aside(package, name)


def old_key(delivery: Delivery, *, request: str = REQUEST_ID, whose: str = "saint-aubin filedrop") -> str:
    """The form used before: anybody who knows these facts makes one."""
    body = f"{delivery.key}~{request}"
    return f"{body}~{hashlib.sha256(f'{whose} {body}'.encode()).hexdigest()[:6]}"


def test_nobody_makes_a_key_out_of_what_is_known(package: PackageTwin, connector: FileDrop) -> None:
    true = connector.prepare(asked(2)).key
    body, _, code = true.rpartition("~")
    other = "0197a1c2-5b7e-7cc0-9d1f-3a5be0c6d202"
    wrong = f"{true[:-1]}{'Z' if true[-1] != 'Z' else 'Y'}"
    forged = [
        old_key(asked(2)), old_key(asked(2), request=other), body, f"any~{other}~{code}", f"any~{REQUEST_ID}~{code}",
        true.replace(REQUEST_ID, other), f"{body}~00000-00000-00000", f"{true}~{code}", wrong,
    ]  # fmt: skip
    name = package.answer_all([(key, "TRAITE", "") for key in forged])
    assert polled(connector) == []
    assert len(set_aside(package, name).splitlines()) == len(forged)


@pytest.mark.parametrize("other", [{"connection": "ecole"}, {"tenant": "autre-ville"}, {"answer_secret": b"x" * 32}])
def test_a_key_of_another_connection_town_or_hub_is_refused(package: PackageTwin, other: dict[str, Any]) -> None:
    context = context_for("filedrop", package.local_settings())
    theirs = FileDrop(replace(context, **other)).prepare(asked(2)).key
    name = package.answer(theirs, "TRAITE")
    assert polled(FileDrop(context)) == []
    assert "aucun envoi" in set_aside(package, name)


def test_a_key_that_somebody_typed_is_known(package: PackageTwin, connector: FileDrop) -> None:
    true = connector.prepare(asked(2)).key
    package.answer(true.lower().replace("-", " - "), "TRAITE")
    package.answer(true.upper(), "EN_COURS")
    assert [event.data["request"] for event in polled(connector)] == [{"id": REQUEST_ID}] * 2


def test_a_wrong_letter_is_said_to_be_one(package: PackageTwin, connector: FileDrop) -> None:
    true = connector.prepare(asked(2)).key
    name = package.answer(f"{true[:-1]}{'Z' if true[-1] != 'Z' else 'Y'}", "TRAITE")
    assert polled(connector) == []
    assert "ligne 2 : la clé est mal recopiée" in set_aside(package, name)


@pytest.mark.parametrize(("until", "taken"), [(None, 0), ("2026-03-01", 0), ("2026-03-02", 1), ("2026-12-31", 1)])
def test_a_key_of_the_old_form_is_taken_until_the_day_set(package: PackageTwin, until: str | None, taken: int) -> None:
    settings = package.local_settings() | ({"old_keys_until": until} if until else {})
    assert shape_faults(context_for("filedrop", {}).manifest.settings, settings) == []
    connector = FileDrop(context_for("filedrop", settings))
    name = package.answer(old_key(asked(2)), "TRAITE")
    theirs = package.answer(old_key(asked(2), whose="saint-aubin autre"), "TRAITE")
    assert len(polled(connector)) == taken
    assert "du hub" in set_aside(package, theirs)
    if not taken:
        assert "ancienne forme" in set_aside(package, name)


def test_what_is_told_of_a_drop_does_not_hold_its_key(package: PackageTwin, connector: FileDrop) -> None:
    done = connector.handle(asked(2))
    code = connector.prepare(asked(2)).key.rpartition("~")[2]
    assert code not in str(done)


def test_a_result_outside_the_convention_is_refused(package: PackageTwin) -> None:
    connector = local(package)
    for result in ("OK", "DEPOSE", ""):
        name = package.answer(connector.prepare(moved()).key, result)
        assert polled(connector) == []
        assert "n'est pas convenu" in set_aside(package, name)


def test_a_producer_cannot_name_the_recipient(package: PackageTwin) -> None:
    delivery = moved()
    data = {**delivery.event.data, "recipient": {"reference": "F-666"}, "delivery": {"key": "x"}}
    prepared = local(package).prepare(Delivery(delivery.event.with_data(data), delivery.key, "F-1"))
    assert prepared.cells[1] == "F-1"
    assert prepared.cells[0].startswith(delivery.key)


def test_the_package_reads_by_itself_when_told_to() -> None:
    with PackageTwin(collecting=True) as package:
        local(package).handle(moved())
        for _ in range(200):
            if package.effects:
                break
            package._ended.wait(0.02)
        assert package.effects == 1


def test_no_name_and_no_secret_reaches_the_log(
    package: PackageTwin, connector: FileDrop, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector.handle_many([moved()])
    package.tell_move("F-7", "4 chemin du Vieux Lavoir", "38999", "Valbruyère")
    polled(connector)
    for word in ("Corvisart", "Tilleuls", "Vieux Lavoir", package.sftp.password):
        assert word not in caplog.text


NEWS = "Famille_Identifiant;Responsable_1_Adresse;Responsable_1_Code_postal;Responsable_1_Ville;Date_Modification"


def told_by(
    package: PackageTwin, *lines: str, head: str = NEWS, encoding: str = "utf-8", site_encoding: str = "utf-8"
) -> list[str]:
    """The identifiers whose move was told by a file of these lines."""
    text = "".join(f"{line}\r\n" for line in (head, *lines))
    package.leave("nouvelles-1.csv", text.encode(encoding))
    events = polled(local(package, encoding=site_encoding))
    return [event.data["citizen"]["references"][0]["id"] for event in events]


def line_of(family: str, *, postal_code: str = "38999", day: str = "02/03/2026") -> str:
    return f"{family};1 rue A;{postal_code};Valbruyère;{day}"


@pytest.mark.parametrize(("cells", "identity"), [
    ("MAILLARD;Ysoline, Anne", {"family_name": "MAILLARD", "given_names": ["Ysoline", "Anne"]}),
    ("MAILLARD;", None), (";Ysoline", None),
])  # fmt: skip
def test_the_name_beside_the_number_of_a_family_is_told(package: PackageTwin, cells: str, identity: Any) -> None:
    news = {"prefix": "nouvelles", "reference": "FAMILLE", "address": "RUE", "postal_code": "CP", "city": "VILLE",
            "date": "DATE", "family_name": "NOM", "given_names": "PRENOM"}  # fmt: skip
    package.leave("nouvelles-1.csv", f"FAMILLE;RUE;CP;VILLE;DATE;NOM;PRENOM\r\n{line_of('F-1')};{cells}\r\n")
    [event] = polled(local(package, news=news))

    assert event.data["citizen"].get("identity") == identity


# OpenRefine#690, cldf/csvw#52
def test_a_cell_with_an_opening_quote_alone_costs_its_own_line(package: PackageTwin) -> None:
    good = [line_of(f"F-{number}") for number in range(1, 7)]
    assert told_by(package, 'F-0;"1 rue A;38999;Valbruyère;02/03/2026', *good) == [f"F-{n}" for n in range(1, 7)]
    assert set_aside(package, "nouvelles-1.csv").startswith("ligne 2 : CSV mal formé")


def test_an_answer_whose_reason_opens_a_quote_does_not_swallow_the_next(package: PackageTwin) -> None:
    connector = local(package)
    keys = [connector.prepare(asked(number)).key for number in (1, 2, 3)]
    package.leave(
        "reponses-1.csv",
        f'cle;resultat;motif\r\n{keys[0]};REJETE;"Trop tard\r\n{keys[1]};TRAITE;\r\n{keys[2]};REJETE;Doublon\r\n',
    )
    assert [event.data["native"]["code"] for event in polled(connector)] == ["TRAITE", "REJETE"]
    assert set_aside(package, "reponses-1.csv").startswith("ligne 2 : ")


# addok#373, pix PR 4914
@pytest.mark.parametrize("code", ["1000", "1201", "ABC", "F-38999", "380000", "3800O"])
def test_a_postal_code_of_four_digits_reaches_nobody(package: PackageTwin, code: str) -> None:
    assert told_by(package, line_of("F-1", postal_code=code), line_of("F-2")) == ["F-2"]
    assert "code postal" in set_aside(package, "nouvelles-1.csv")
    assert code not in set_aside(package, "nouvelles-1.csv")


def test_a_postal_code_written_with_a_space_is_the_same(package: PackageTwin) -> None:
    package.leave("nouvelles-1.csv", f"{NEWS}\r\n{line_of('F-1', postal_code='01 000')}\r\n")
    [event] = polled(local(package))
    assert event.data["new_address"]["value"]["postal_code"] == "01000"


# pix PR 1842, thinkle/gourmet#560
@pytest.mark.parametrize(
    ("written", "agreed"), [("utf-8", "cp1252"), ("utf-8", "iso-8859-15"), ("cp1252", "iso-8859-15")]
)
def test_a_file_in_another_encoding_than_the_site_says_is_set_aside(
    package: PackageTwin, written: str, agreed: str
) -> None:
    assert (
        told_by(package, "F-1;1 rue de l’Église;38999;ÉVREUX;02/03/2026", encoding=written, site_encoding=agreed) == []
    )
    assert "encodage" in set_aside(package, "nouvelles-1.csv")


# SORMAS#2122, betagouv/mrs#456
@pytest.mark.parametrize("day", ["01/03/0020", "01/03/9999"])
def test_a_date_that_no_calendar_of_ours_has_is_told_by_its_line(package: PackageTwin, day: str) -> None:
    assert told_by(package, line_of("F-1"), line_of("F-2", day=day), line_of("F-3")) == ["F-1", "F-3"]
    assert set_aside(package, "nouvelles-1.csv").startswith("ligne 3 : ")
    assert len(list((package.returns / "traites").iterdir())) == 1


# exceljs#454, ganttproject#1634
def test_what_excel_adds_to_a_file_of_news_or_drops_from_it_is_taken(package: PackageTwin) -> None:
    head = f"{NEWS};Remarque;;"
    lines = [f"{line_of('F-1')};;;", f"{line_of('F-2')};", line_of("F-3"), ";;;;;;;", f"{line_of('F-4')};vu;;;;"]
    assert told_by(package, *lines, head=head) == ["F-1", "F-2", "F-3", "F-4"]
    assert not (package.returns / "erreurs").exists()


def test_what_excel_adds_to_answers_is_taken(package: PackageTwin) -> None:
    connector = local(package)
    keys = [connector.prepare(asked(number)).key for number in (1, 2)]
    package.leave("reponses-1.csv", f"cle;resultat;motif;\r\n{keys[0]};TRAITE\r\n;;;\r\n{keys[1]};EN_COURS;;;\r\n")
    assert [event.data["native"]["code"] for event in polled(connector)] == ["TRAITE", "EN_COURS"]
    assert not (package.returns / "erreurs").exists()


# csa-admin#31
@pytest.mark.parametrize("odd", ['"a\r\nb"', '"a\tb"', "x" * 2001, "\x07"])
def test_a_column_that_the_site_does_not_name_is_not_looked_at(package: PackageTwin, odd: str) -> None:
    lines = [f"{line_of('F-1')};{odd}", f"{line_of('F-2')};"]
    assert told_by(package, *lines, head=f"{NEWS};Remarque") == ["F-1", "F-2"]
    assert not (package.returns / "erreurs").exists()


# SSH.NET#1008, pkg/sftp#269
@pytest.mark.parametrize("way", [opened, local])
def test_a_file_that_grows_while_it_is_polled_is_read_once_and_whole(
    package: PackageTwin, way: Callable[..., FileDrop]
) -> None:
    connector = way(package, settled="looks")
    told: list[Event] = []
    for number in range(1, 4):
        lines = [line_of(f"F-{n}") for n in range(number)]
        (package.returns / "nouvelles-1.csv").write_text("\r\n".join([NEWS, *lines]), newline="")
        polled(connector, told)
    assert told == []
    polled(connector, told)
    assert len(told) == 3
    assert [path.name for path in package.returns.iterdir()] == ["traites"]
    connector.close()


def test_the_faults_of_a_file_are_handed_to_the_hub(package: PackageTwin) -> None:
    package.leave("facture.pdf", b"%PDF")
    package.leave("nouvelles-2.csv", f"{NEWS}\r\n{line_of('F-1')}\r\n{line_of('F-2', postal_code='1000')}\r\n")
    found = [fault for batch in local(package).poll(None) for fault in batch.faults]
    assert sorted((fault.code, fault.place) for fault in found) == [
        ("file-aside.name", "….pdf"), ("record-refused.postal-code", "nouvelles-2.csv, ligne 3"),
    ]  # fmt: skip
