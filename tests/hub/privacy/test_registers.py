"""The registers and flow sheets say what is declared, all of it, and nothing that is secret or invented."""

from __future__ import annotations

import json
import re
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bus.ledger import Ledger
from commands.main import app
from connectors.sdk.discovery import find_manifests
from hub.clients import repository as clients
from hub.exchanges.grants import Grants, grant_vocabulary
from hub.privacy.registers import (
    OPEN,
    Declared,
    _words,
    client_sheet,
    connection_sheet,
    controller_register,
    write_registers,
)
from hub.settings import procedures
from hub.settings.model import HubSettings, Retention
from hub.settings.reading import load_settings, readable_settings
from hub.storage.migrations.upgrade import upgrade
from schemas.registry import Registry
from tests.gateway.test_account import ACCOUNT

SECRET = "zorglub-8731-xy"  # a made-up one
HUB = """
mode = "development"
database = "sqlite:///hub.db"
grants_dir = "habilitations"

[tenants.saint-aubin]
label = "Ville de <Saint-Aubin>"
siret = "21930001100018"
insee = "93001"

[tenants.ccas]
label = "CCAS"
siret = "21930001100018"
insee = "93001"

[connections.particulier]
connector = "apiparticulier"
tenant = "saint-aubin"
mode = "live"

[connections.particulier.settings]
base_url = "https://user:pw@particulier.example/chemin?x=1"
token = { env = "KEY" }

[connections.famille]
connector = "filedrop"
tenant = "saint-aubin"
label = "Logiciel famille"
mode = "observe"

[connections.famille.settings]
preset = "family"
drop_folder = "depot"
return_folder = "retour"
"""
GRANTS = """
[grants.cantine]
client = "portail"
tenant = "saint-aubin"
purpose = "Calculer le tarif de la cantine."
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-09-01
ends = 2099-12-31
procedures = ["formulaire-qf"]
askers = ["beneficiary"]
assurance = "eidas2"
rate = 60
retention_days = 365

[grants.cantine.evidence.family-quotient]
fields = ["quotient", "month"]
authorisation = { number = "DP-42", scopes = ["cnaf_quotient_familial"], expires = 2026-10-30 }

[grants.tarif]
client = "ccas-app"
tenant = "ccas"
of_tenant = "saint-aubin"
purpose = "Vérifier l'inscription."
ground = "L114-8 I"
article = "6.1.e"
starts = 2026-01-01
ends = 2026-06-30
procedures = ["changement-adresse"]
askers = ["agent"]
assurance = "declared"
rate = 5
retention_days = 90
evidence.library-card.fields = ["expires_on"]
"""
RUN = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "habilitations").mkdir()
    (tmp_path / "hub.toml").write_text(HUB, encoding="utf-8")
    (tmp_path / "habilitations" / "portail.toml").write_text(GRANTS, encoding="utf-8")
    return tmp_path


def declared(folder: Path) -> Declared:
    manifests, registry, catalogue = find_manifests(), Registry.load(), procedures.load_procedures()
    settings: HubSettings = load_settings(folder / "hub.toml", {"KEY": SECRET}, manifests)
    grants = Grants.load(settings.grants_dir, grant_vocabulary(settings, catalogue, registry.schemas, manifests))
    return Declared(settings, manifests, catalogue, registry, grants.all(), date(2026, 11, 23))


def run(folder: Path, *arguments: str) -> Any:
    return RUN.invoke(app, [*arguments, "--config", str(folder / "hub.toml")], env={"KEY": SECRET, "COLUMNS": "200"})


class Outline(HTMLParser):
    """Headings in order, and what a reader of the screen needs of each table."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.headings: list[int] = []
        self.language = self.title = ""
        self.tables = self.captions = self.bare_headers = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self.language = said.get("lang") or "" if tag == "html" else self.language
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.bare_headers += tag == "th" and said.get("scope") not in ("row", "col")


# --- pages --------------------------------------------------------------------------------------------------------


def test_there_is_a_register_for_each_tenant_and_the_host_and_a_sheet_for_each_connection_and_client(
    folder: Path,
) -> None:
    written = {str(path.relative_to(folder)) for path in write_registers(declared(folder), folder / "r")}

    assert {name for name in written if name.endswith(".html")} == {
        f"r/{name}.html"
        for name in (
            "registre-saint-aubin", "registre-ccas", "registre-sous-traitant", "index",
            "fiches/raccordement-saint-aubin.particulier", "fiches/raccordement-saint-aubin.famille",
            "fiches/client-saint-aubin.portail", "fiches/client-ccas.ccas-app",
        )
    }  # fmt: skip
    assert {name.replace(".html", ".json") for name in written if "index" not in name} <= written


def test_one_tenant_gets_nothing_of_the_others(folder: Path) -> None:
    names = {path.name for path in write_registers(declared(folder), folder / "r", "ccas")}

    assert names == {
        "registre-ccas.json", "registre-ccas.html", "client-ccas.ccas-app.json", "client-ccas.ccas-app.html",
        "index.html",
    }  # fmt: skip


def test_every_page_can_be_read_by_a_screen_reader(folder: Path) -> None:
    for path in write_registers(declared(folder), folder / "r"):
        if path.suffix != ".html":
            continue
        text = path.read_text(encoding="utf-8")
        page = Outline(text)
        assert page.language == "fr"
        assert re.search("<title>.+</title>", text)
        assert page.headings[0] == 1
        assert page.headings.count(1) == 1
        steps = zip(page.headings, page.headings[1:], strict=False)
        assert all(after <= before + 1 for before, after in steps), path.name
        assert page.tables == page.captions
        assert page.bare_headers == 0
        assert 'href="#contenu"' in text
        assert '<main id="contenu">' in text
        assert "@media print" in text
        assert not re.search(r"<script|https?://[^<]*\.(css|js)|<link|<img", text)


def test_no_page_holds_a_secret_or_more_of_an_address_than_its_host(folder: Path) -> None:
    for path in write_registers(declared(folder), folder / "r"):
        text = path.read_text(encoding="utf-8")
        for hidden in (SECRET, "user:pw", "/chemin", "x=1"):
            assert hidden not in text, path.name
    sheet = connection_sheet(declared(folder), declared(folder).settings.connections["particulier"])
    assert ("Adresses", "https://particulier.example") in sheet["parties"]


def test_what_is_declared_is_escaped(folder: Path) -> None:
    write_registers(declared(folder), folder / "r")

    assert "<Saint-Aubin>" not in (folder / "r" / "registre-saint-aubin.html").read_text(encoding="utf-8")


def test_the_register_of_a_tenant_has_all_that_article_30_asks_for(folder: Path) -> None:
    register = controller_register(declared(folder), "saint-aubin")

    assert register.keys() >= {"controller", "officer", "activities", "transfers", "security", "retention"}
    for activity in register["activities"]:
        assert all(activity[key] for key in ("name", "purpose", "people", "data", "recipients", "retention"))
    (canteen,) = [activity for activity in register["activities"] if "portail" in activity["name"]]
    assert canteen["purpose"] == "Calculer le tarif de la cantine."
    assert canteen["article"] == "RGPD, article 6.1.e"
    assert "L. 114-8, I" in canteen["ground"]
    assert canteen["sources"] == ["API Particulier"]
    assert canteen["data"] == ["Quotient familial : Quotient familial, Mois du quotient"]
    assert canteen["authorisations"] == [
        {
            "what": "Quotient familial", "number": "DP-42", "scopes": ["cnaf_quotient_familial"],
            "expires": "30 octobre 2026", "expired": True,
        }
    ]  # fmt: skip


def test_an_exchange_between_tenants_is_in_the_registers_of_both(folder: Path) -> None:
    for tenant in ("saint-aubin", "ccas"):
        register = controller_register(declared(folder), tenant)
        assert [a["purpose"] for a in register["activities"]].count("Vérifier l'inscription.") == 1


def test_what_nobody_declared_is_left_to_be_filled_in(folder: Path) -> None:
    register = controller_register(declared(folder), "saint-aubin")

    assert register["officer"] == register["controller"]["contact"] == OPEN


def test_a_sheet_names_the_fields_that_some_grant_lets_through_and_no_others(folder: Path) -> None:
    sheet = connection_sheet(declared(folder), declared(folder).settings.connections["particulier"])

    (flow,) = sheet["flows"]
    assert (flow["direction"], flow["data"]) == ("Le hub interroge", ["Quotient familial", "Mois du quotient"])
    assert [grant["id"] for grant in sheet["grants"]] == ["cantine"]


def test_a_grant_for_the_account_is_in_the_register_and_on_the_sheet_of_its_client(folder: Path) -> None:
    (folder / "habilitations" / "compte.toml").write_text(ACCOUNT, encoding="utf-8")

    register = str(controller_register(declared(folder), "saint-aubin"))
    sheet = client_sheet(declared(folder), "saint-aubin", "portail")

    assert "Compte usager affiché par portail" in register
    assert "le temps de l'affichage chez le destinataire" in register
    (flow,) = (flow for flow in sheet["flows"] if flow["code"] == "account")
    assert flow["why"] == "toutes les démarches"


def test_a_sheet_says_what_the_hub_sends_and_receives(folder: Path) -> None:
    sheet = connection_sheet(declared(folder), declared(folder).settings.connections["famille"])

    assert {flow["direction"] for flow in sheet["flows"]} == {"Le hub envoie", "Le hub reçoit"}
    assert ("Mode", "observation (rien n'est envoyé)") in sheet["parties"]
    assert dict(sheet["parties"])["Parle pour les numéros de"]
    for flow in sheet["flows"]:
        assert flow["data"]
        assert not re.search("[a-z]_[a-z]", " ".join(flow["data"]))


def test_a_sheet_of_a_narrowed_connection_names_the_narrowed_fields(folder: Path) -> None:
    narrowed = '[[connections.famille.consumes]]\ntype = "citizen.address-changed"\nfields = ["/new_address/value"]\n'
    (folder / "hub.toml").write_text(HUB + narrowed, encoding="utf-8")

    sheet = connection_sheet(declared(folder), declared(folder).settings.connections["famille"])

    sent = [flow for flow in sheet["flows"] if flow["direction"] == "Le hub envoie"]
    assert [flow["data"] for flow in sent] == [["nouvelle adresse"]]


def test_every_event_and_every_time_of_keeping_has_french_words() -> None:
    registry = Registry.load()
    named = {name for event in registry.types() for name in registry.schema(event)["properties"]}
    for manifest in find_manifests().values():
        named |= {part for item in manifest.consumes for pointer in item.fields for part in pointer[1:].split("/")}

    assert set(registry.types()) <= set(_words("events"))
    assert sorted(named - set(_words("members"))) == []
    assert set(Retention.__dataclass_fields__) == set(_words("kept"))


# --- commands -----------------------------------------------------------------------------------------------------


def test_the_command_writes_the_pages_without_a_database(folder: Path) -> None:
    done = run(folder, "register", "export", "--out", str(folder / "out"))

    assert done.exit_code == 0, done.output
    assert (folder / "out" / "index.html").is_file()
    assert not (folder / "hub.db").exists()
    assert (
        json.loads((folder / "out" / "registre-ccas.json").read_text(encoding="utf-8"))["controller"]["name"] == "CCAS"
    )


def test_the_command_knows_no_other_tenant(folder: Path) -> None:
    assert run(folder, "register", "export", "--out", str(folder / "out"), "--tenant", "ville").exit_code != 0
    assert not (folder / "out").exists()


def told(folder: Path) -> tuple[int, dict[str, tuple[str, bool]]]:
    done = run(folder, "check", "--json")
    ours = [fault for fault in json.loads(done.stdout) if "habilitations" in fault["file"]]
    return done.exit_code, {fault["key"]: (fault["message"], fault["warning"]) for fault in ours}


def test_check_warns_of_what_ends_and_still_finds_no_fault(folder: Path) -> None:
    code, found = told(folder)

    assert code == 0
    message, warning = found["grants.cantine.evidence.family-quotient.authorisation.expires"]
    assert warning
    assert message.startswith("over since 2026-10-30")
    assert "grants.cantine.client" not in found, "there is no database: nothing is said of clients"
    assert not (folder / "hub.db").exists(), "to look must make nothing"


def test_check_says_every_fault_of_the_grants_even_beside_faults_of_the_settings(folder: Path) -> None:
    (folder / "hub.toml").write_text(HUB.replace('"filedrop"', '"filedrops"'), encoding="utf-8")
    wrong = GRANTS.replace('"quotient", ', '"quotien", ').replace('"formulaire-qf"', '"formulaire-q"')
    (folder / "habilitations" / "portail.toml").write_text(wrong, encoding="utf-8")

    code, found = told(folder)

    assert code == 1
    assert found.keys() == {"grants.cantine.procedures", "grants.cantine.evidence.family-quotient.fields"}
    assert not any(warning for _, warning in found.values())


def test_settings_with_a_fault_are_still_readable_to_hold_grants_against(folder: Path) -> None:
    (folder / "hub.toml").write_text(HUB.replace('"filedrop"', '"filedrops"'), encoding="utf-8")

    settings = readable_settings(folder / "hub.toml", {"KEY": SECRET}, find_manifests())

    assert settings is not None
    assert set(settings.tenants) == {"saint-aubin", "ccas"}
    assert readable_settings(folder / "nothing.toml", {}, find_manifests()) is None


def test_check_and_client_show_tell_of_grants_and_their_clients(folder: Path) -> None:
    ledger = Ledger(f"sqlite:///{folder}/hub.db")
    upgrade(ledger)
    clients.add(ledger, client_id="portail", tenant="saint-aubin", label="Portail", scopes=["requests:read"])
    ledger.close()

    _, found = told(folder)
    assert "grants.cantine.client" not in found
    assert found["grants.tarif.ends"][1]
    assert found["grants.tarif.client"] == ('no client "ccas-app"', True)

    words = run(folder, "client", "show", "portail").output
    for part in (
        "cantine: Calculer le tarif",
        "quotient, month",
        "DP-42",
        "formulaire-qf",
        "L114-8 I",
        "6.1.e",
        "eidas2",
    ):
        assert part in words
    (shown,) = json.loads(run(folder, "client", "show", "portail", "--json").stdout)
    assert shown["grants"][0]["evidence"]["family-quotient"]["fields"] == ["quotient", "month"]
