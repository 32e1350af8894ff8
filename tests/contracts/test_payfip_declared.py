"""A connector declared for the payment service of the State, against its own contract and messages, read in place."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.check import connector_faults
from connectors.sdk.discovery import connector_class
from connectors.sdk.kinds.soap import SoapConnector
from connectors.sdk.mapping import fields_of
from connectors.sdk.soap import SoapContract
from connectors.sdk.soap_twin import SoapTwin
from connectors.sdk.twin import TwinAnswer, TwinCall
from connectors.sdk.xml import parse_xml, text_by_names
from hub.settings.procedures import procedure_slugs
from schemas.errors import Expired, HubError, Refused, TryLater
from schemas.manifest import FILE, Manifest
from schemas.registry import Registry
from tests.connectors.sdk.kinds.agenda import context_of
from tests.connectors.sdk.kinds.encaissement import Clock, payment, polled
from tests.contracts.test_payfip import PAYFIP

WSDL = PAYFIP / "wsdl" / "PaiementSecuriseService.wsdl"
TOML = """
id = "payfip"
name = "PayFiP"
vendor = "DGFiP"
domain = "payments"
kind = "soap"
owners = ["régie"]

[settings]
url = { type = "url", about = "Adresse du service." }
numcli = { type = "text", about = "Numéro de client." }

[soap]
wsdl = "contract/PaiementSecuriseService.wsdl"
url = "{url}"
probe = { operation = "recupererDetailClient", arg0 = { numCli = "{numcli}" } }

[[error]]
detail = "FonctionnelleErreur/code"
table = { P5 = "later", P1 = "expired", A2 = "refused", R3 = "refused", "*" = "refused" }

[[deliver]]
type = "request.received"
version = 2
operation = "creerPaiementSecurise"
map = "payment"
again = "none"
reference = "return/idOp"

[[follow]]
operation = "recupererDetailPaiementSecurise"
ask = { arg0 = { idOp = "{reference}" } }
every = ["15s", "2m", "15m", "1h"]
until = "2h"
time = "return/dattrans return/heurtrans | paris"
status = "return/resultrans"

[converters]
paris = { date = "%d%m%Y %H%M", zone = "Europe/Paris" }
"""
MAPPING = """map;target;source;convert;required
payment;arg0/numcli;={numcli};;
payment;arg0/montant;/request/form/montant_centimes;integer:100..10000000;oui
payment;arg0/objet;/request/form/objet;text;
payment;arg0/mel;/request/requester/citizen/email;;oui
payment;arg0/refdet;/request/references/0/id;text;oui
"""
STATUSES = """procedure,native,canonical,phase,label,direction
*,P,fulfilled,delivery,Paiement fait par carte,in
*,V,fulfilled,delivery,Paiement fait par prélèvement,in
*,R,closed,,Carte refusée,in
*,Z,closed,,Prélèvement refusé,in
*,A,closed,,Paiement abandonné,in
*,P1,closed,,Paiement non fait dans le délai,in
"""

pytestmark = pytest.mark.skipif(not PAYFIP.is_dir(), reason="contracts folder absent")


class PaymentsOfTheState(SoapTwin):
    """Answers with a sample, whatever is asked as the contract allows."""

    wsdl = WSDL
    sample = b""

    def answer(self, call: TwinCall) -> TwinAnswer:
        request = next(child for child in parse_xml(call.body) if child.tag.endswith("Body"))[0]
        name = self.messages.operation_of(request)
        assert name is not None
        self.asked.append((name, self.messages.read_request(name, request)))
        status = 500 if b"Fault" in self.sample else 200
        return TwinAnswer(status, self.sample, {"Content-Type": "text/xml; charset=utf-8"})


@pytest.fixture
def twin() -> Iterator[PaymentsOfTheState]:
    with PaymentsOfTheState() as found:
        yield found


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    place = tmp_path / "payfip"
    shutil.copytree(PAYFIP / "wsdl", place / "contract")
    readme = "`url`, `numcli`\n\n## Ce que la ville doit demander à son éditeur\n"
    for name, text in ((FILE, TOML), ("mapping.csv", MAPPING), ("statuses.csv", STATUSES), ("README.md", readme)):
        (place / name).write_text(text, "utf-8")
    return Manifest.load(place / FILE, fields_of)


def connected(twin: PaymentsOfTheState, manifest: Manifest, clock: Clock | None = None) -> SoapConnector:
    clock = clock or Clock()
    settings = {"url": twin.address, "numcli": "090909"}
    made = connector_class(manifest)(context_of(manifest, settings, now=clock, opened=clock.opened_since))
    assert isinstance(made, SoapConnector)
    return made


def sample(name: str) -> bytes:
    return (PAYFIP / "samples" / f"{name}.response.xml").read_bytes()


def test_the_declared_connector_fits_the_contract(manifest: Manifest) -> None:
    assert connector_faults(manifest.folder.parent, Registry.load(), procedure_slugs()) == []
    assert SoapContract(WSDL.resolve()).places("creerPaiementSecurise") is not None


def test_a_payment_is_opened_and_its_number_kept(twin: PaymentsOfTheState, manifest: Manifest) -> None:
    twin.sample = sample("get_idop_ok")

    done = connected(twin, manifest).handle(payment(reference="cantine17"))

    assert done.reference == text_by_names(parse_xml(twin.sample), "Body/creerPaiementSecuriseResponse/return/idOp")
    ((name, request),) = twin.asked
    said = {key: value for key, value in request["arg0"].items() if value is not None}
    assert name == "creerPaiementSecurise"
    assert said == {
        "numcli": "090909", "montant": "4550", "objet": "Cantine de mars", "refdet": "cantine17",
        "mel": "maelle.corvisart@courriel.example",
    }  # fmt: skip


def test_the_probe_is_answered(twin: PaymentsOfTheState, manifest: Manifest) -> None:
    twin.sample = sample("get_client_info")

    assert connected(twin, manifest).probe().ok


@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("get_idop_adresse_mel_incorrect", Refused, "A2"), ("get_idop_refdet_error", Refused, "R3"),
        ("get_info_paiement_P1", Expired, "P1"), ("get_info_paiement_P5", TryLater, "P5"),
    ],
)  # fmt: skip
def test_each_official_no_means_what_is_declared(
    twin: PaymentsOfTheState, manifest: Manifest, name: str, kind: type[HubError], code: str
) -> None:
    twin.sample = sample(name)

    with pytest.raises(HubError) as caught:
        connected(twin, manifest).handle(payment())

    assert (type(caught.value), caught.value.native) == (kind, code)


@pytest.mark.parametrize(
    ("name", "native", "status"),
    [
        ("get_info_paiement_ok", "V", "fulfilled"), ("payment_ok-2", "P", "fulfilled"),
        ("payment_denied-2", "R", "closed"), ("payment_cancelled-2", "A", "closed"),
        ("get_info_paiement_P1", "P1", "closed"), ("get_info_paiement_P5", None, None),
    ],
)  # fmt: skip
def test_an_open_payment_ends_as_the_official_answers_say(
    twin: PaymentsOfTheState, manifest: Manifest, name: str, native: str | None, status: str | None
) -> None:
    clock = Clock(datetime(2026, 3, 2, 12, tzinfo=UTC))
    clock.open("6f0d9d0e-7c1f-4b52-9a59-30a4c9b6a001")
    clock.later(minutes=1)
    twin.sample = sample(name)

    found, _ = polled(connected(twin, manifest, clock), None)

    events = [event for one in found for event in one.events]
    assert [(event.data["native"]["code"], event.data["status"]) for event in events] == (
        [(native, status)] if native is not None else []
    )
    for event in events if native not in (None, "P1") else ():
        assert event.time == in_paris(twin.sample)


def in_paris(content: bytes) -> str:
    """What `dattrans` and `heurtrans` say, in UTC."""
    found: dict[str, Any] = {
        name: text_by_names(parse_xml(content), f"Body/recupererDetailPaiementSecuriseResponse/return/{name}")
        for name in ("dattrans", "heurtrans")
    }
    local = datetime.strptime(f"{found['dattrans']}{found['heurtrans']}", "%d%m%Y%H%M").replace(tzinfo=UTC)
    summer = 3 < local.month < 10
    return f"{local - timedelta(hours=2 if summer else 1):%Y-%m-%dT%H:%M:%SZ}"
