"""Connectors drafted from the WSDLs of invented packages."""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import pytest

from connectors import conformance
from connectors.sdk import Manifest
from connectors.sdk.check import connector_faults
from connectors.sdk.contract.changes import changes_of
from connectors.sdk.contract.reading import read_contract
from connectors.sdk.drafting.draft import Choices, Draft, draft_connector
from connectors.sdk.mapping import fields_of
from hub.settings.procedures import procedure_slugs
from schemas.errors import ConfigError
from schemas.registry import Registry
from tests.connectors.sdk.contract.test_wsdl import WSDL
from tests.connectors.sdk.kinds.agenda import EXAMPLES

REGISTRY = Registry.load()
PAYMENTS = EXAMPLES / "encaissement" / "contract" / "encaissement.wsdl"


def drafted(folder: Path, wsdl: Path, **choices: object) -> tuple[Draft, Manifest]:
    draft, _ = draft_connector("essai", read_contract(wsdl), Choices(**choices), folder, REGISTRY)  # type: ignore[arg-type]
    assert connector_faults(folder / "essai", REGISTRY, procedure_slugs()) == []
    return draft, Manifest.load(folder / "essai" / "connector.toml", fields_of)


@pytest.mark.parametrize("reduced", [False, True], ids=["whole", "reduced"])
@pytest.mark.parametrize("wsdl", [WSDL / "voirie.wsdl", WSDL / "guichet.wsdl", PAYMENTS], ids=lambda path: path.stem)
def test_a_draft_keeps_what_every_connector_promises(tmp_path: Path, wsdl: Path, reduced: bool) -> None:
    draft, manifest = drafted(tmp_path, wsdl, reduced=reduced)

    assert draft.does
    assert draft.mapped > 0
    conformance.check(manifest)


def test_each_field_of_the_chosen_operation_has_a_line(tmp_path: Path) -> None:
    drafted(tmp_path, PAYMENTS, operations=("ouvrirEncaissement",), carries="request.received")

    with (tmp_path / "essai" / "mapping.csv").open(encoding="utf-8", newline="") as file:
        lines = [row["target"] for row in csv.DictReader(file, delimiter=";")]
    assert lines == [one.place for one in read_contract(PAYMENTS).operations[0].asks]


def test_what_gives_an_identifier_is_followed_by_what_asks_for_one(tmp_path: Path) -> None:
    _, manifest = drafted(tmp_path, PAYMENTS, operations=("ouvrirEncaissement",), carries="request.received")

    (delivered,), (followed,) = manifest.declared["deliver"], manifest.declared["follow"]
    assert delivered["reference"] == "return/numeroOperation"
    assert (followed["operation"], followed["status"]) == ("etatEncaissement", "return/etat")
    assert followed["ask"] == {"arg0": {"numeroOperation": "{reference}"}}


def test_the_details_of_faults_become_rows_that_say_no(tmp_path: Path) -> None:
    _, manifest = drafted(tmp_path, PAYMENTS, operations=("ouvrirEncaissement",))

    assert manifest.declared["error"] == [{"detail": "RefusMetier/code", "table": {"*": "refused"}}]


def test_a_reduced_contract_holds_the_chosen_operations_and_their_types_alone(tmp_path: Path) -> None:
    drafted(tmp_path, WSDL / "voirie.wsdl", operations=("Signaler",), reduced=True)
    contract = read_contract(tmp_path / "essai" / "contract" / "voirie.wsdl")
    types = (tmp_path / "essai" / "contract" / "types" / "commun.xsd").read_text("utf-8")

    assert "Signaler" in {one.name for one in contract.operations}
    assert "documentation" not in types
    assert '"Gravite"' in types


def test_a_contract_without_a_harmless_operation_is_asked_for_its_own_description(tmp_path: Path) -> None:
    text = (WSDL / "guichet.wsdl").read_text("utf-8").replace("lireTickets", "prendreTickets")
    (tmp_path / "guichet.wsdl").write_text(text, "utf-8")

    _, manifest = drafted(tmp_path, tmp_path / "guichet.wsdl", operations=("cloreTicket",))

    assert manifest.declared["soap"]["probe"] == {"get": "wsdl"}
    conformance.check(manifest, only=("probe", "contract"))


def test_an_operation_that_can_carry_nothing_of_a_type_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cloreTicket cannot be declared: nothing shared is left"):
        drafted(tmp_path, WSDL / "guichet.wsdl", operations=("cloreTicket",), carries="library-card")


def test_a_payment_that_is_asked_for_is_followed_as_the_one_that_was_asked_for(tmp_path: Path) -> None:
    _, manifest = drafted(tmp_path, PAYMENTS, operations=("ouvrirEncaissement",), carries="payment.requested")

    (followed,) = manifest.declared["follow"]
    assert (followed["type"], followed["until"]) == ("payment.changed", "2h")
    lines = (manifest.folder / "mapping.csv").read_text("utf-8")
    assert "payment-changed;/payment/reference/id;={asked_id}" in lines
    assert "payment-expired;/payment/reference/id;={asked_id}" in lines
    assert "À vérifier" in (manifest.folder / "connector.toml").read_text("utf-8")
    conformance.check(manifest, only=("declaration", "polling", "turns", "contract"))


def test_an_amount_without_decimals_is_proposed_in_cents(tmp_path: Path) -> None:
    contract = tmp_path / "contract"
    shutil.copytree(PAYMENTS.parent, contract)
    xsd = contract / "encaissement.xsd"
    text = xsd.read_text("utf-8")
    assert 'name="montant" type="e:Montant"' in text
    xsd.write_text(text.replace('name="montant" type="e:Montant"', 'name="montant" type="xs:string"'), "utf-8")

    drafted(tmp_path, contract / PAYMENTS.name, operations=("ouvrirEncaissement",), carries="payment.requested")

    lines = (tmp_path / "essai" / "mapping.csv").read_text("utf-8")
    assert "arg0/montant;/payment/amount/cents;integer;" in lines
    assert "à vérifier : en centimes ?" in lines


def test_a_reduced_contract_names_no_host_and_its_update_no_other_address(tmp_path: Path) -> None:
    text = (WSDL / "guichet.wsdl").read_text("utf-8")
    old = tmp_path / "guichet.wsdl"
    old.write_text(
        re.sub(r'location="http[^"]*"', 'location="https://guichet.mornefontaine.example/ws/v2"', text), "utf-8"
    )
    drafted(tmp_path, old, operations=("cloreTicket",), reduced=True)
    reduced = read_contract(tmp_path / "essai" / "contract" / "guichet.wsdl")

    assert reduced.base == "https://package.example/ws/v2"
    assert "address-changed" not in {one.kind for one in changes_of(reduced, read_contract(old))}
    moved = tmp_path / "moved.wsdl"
    moved.write_text(old.read_text("utf-8").replace("/ws/v2", "/ws/v3"), "utf-8")
    assert "address-changed" in {one.kind for one in changes_of(reduced, read_contract(moved))}
