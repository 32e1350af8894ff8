"""The kit's reading of SOAP against the payment service of the State, whose messages are read in place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.sdk.error_table import ErrorTable
from connectors.sdk.soap import SoapClient
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route
from connectors.sdk.xml import parse_xml, text_by_names
from schemas.errors import Expired, HubError, Refused, TryLater

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS") or ROOT.parent / "shared" / "contracts")
PAYFIP = CONTRACTS / "payfip"
ANSWERS = sorted((PAYFIP / "samples").glob("*.response.xml"))
CODES = {"P1": "expired", "P5": "later", "A2": "refused", "R3": "refused", "*": "refused"}
KINDS: dict[str, type[HubError]] = {"P1": Expired, "P5": TryLater, "A2": Refused, "R3": Refused}

pytestmark = pytest.mark.skipif(not PAYFIP.is_dir(), reason="contracts folder absent")


class Payments(HttpTwin):
    """Answers one sample."""

    sample = b""
    status = 200

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        return None

    @route("POST", "/ws")
    def message(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(self.status, self.sample, {"Content-Type": "text/xml; charset=utf-8"})


@pytest.fixture
def payments() -> Iterator[Payments]:
    with Payments() as twin:
        yield twin


@pytest.fixture
def client(payments: Payments) -> Iterator[SoapClient]:
    table = ErrorTable.read([{"detail": "FonctionnelleErreur/code", "table": CODES}])
    client = SoapClient(PAYFIP / "wsdl" / "PaiementSecuriseService.wsdl", f"{payments.url}/ws", errors=table)
    yield client
    client.close()


def operation_of(sample: bytes) -> str:
    """The operation that a sample answers; a fault may answer any that writes."""
    body = next(child for child in parse_xml(sample) if child.tag.endswith("Body"))
    name = body[0].tag.rpartition("}")[2]
    return "creerPaiementSecurise" if name == "Fault" else name.removesuffix("Response")


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.name.partition(".")[0])
@pytest.mark.parametrize("status", [200, 500])
def test_every_sample_of_the_payment_service_is_read_or_means_what_is_declared(
    client: SoapClient, payments: Payments, path: Path, status: int
) -> None:
    payments.sample = path.read_bytes()
    code = text_by_names(parse_xml(payments.sample), "Body/Fault/detail/FonctionnelleErreur/code")
    payments.status = status if code else 200
    if code is None:
        answer = client.call(operation_of(payments.sample), safe=False, arg0={})
        assert {name: value for name, value in answer["return"].items() if value}
        return
    with pytest.raises(HubError) as caught:
        client.call(operation_of(payments.sample), safe=False, arg0={})
    assert (type(caught.value), caught.value.native) == (KINDS[code], code)
