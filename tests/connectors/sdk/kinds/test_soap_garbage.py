"""Garbage in every value of every answer that a package gives in SOAP: an error of ours with its place, or what stands
beside it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.sdk.soap_twin import SoapFault, SoapTwin, operation
from connectors.sdk.twin import TwinAnswer, TwinCall
from connectors.sdk.xml import Element, add, parse_xml, write_xml
from schemas.errors import HubError
from schemas.registry import Registry
from tests.connectors.sdk.kinds.encaissement import Clock, PaymentTwin, connection, payment
from tests.connectors.sdk.kinds.test_soap import LOOK_UP, changed
from tests.connectors.sdk.kinds.test_soap_reading import LIST, QUESTION, ROWS, asked, entry, with_tables

REGISTRY = Registry.load()
WRONG = (
    "",
    " ",
    "x" * 3000,
    "-7",
    "1e300",
    "9" * 400,
    "99999999",
    "2026-13-45",
    "true",
    "<",
    "\u200b",
    "NaN",
    "é" * 600,
)
_SHAPES = ("left out", "twice", "nested", "nil", "other type")
XSI = "http://www.w3.org/2001/XMLSchema-instance"


class SpoilingTwin(PaymentTwin):
    """Gives its answers with one element spoilt. `spoil`: which, and how; None for none."""

    spoil: tuple[int, str] | None = None

    def answer(self, call: TwinCall) -> TwinAnswer:
        found = super().answer(call)
        if self.spoil is None or found.status != 200:
            return found
        root = parse_xml(found.body)
        elements = [one for one in root.iter() if isinstance(one.tag, str)]
        if self.spoil[0] < len(elements):
            _spoil(elements[self.spoil[0]], self.spoil[1])
        return TwinAnswer(200, write_xml(root), found.headers)


def _spoil(element: Element, how: str) -> None:
    parent = element.getparent()
    if how == "left out" and parent is not None:
        parent.remove(element)
    elif how == "twice" and parent is not None:
        parent.append(copy.deepcopy(element))
    elif how == "nested":
        add(element, "dedans", "texte")
    elif how == "nil":
        element.set(f"{{{XSI}}}nil", "true")
    elif how == "other type":
        element.set(f"{{{XSI}}}type", "xs:boolean")
    elif how not in _SHAPES:
        for child in list(element):
            element.remove(child)
        element.text = how


@pytest.fixture
def twin() -> Iterator[SpoilingTwin]:
    with SpoilingTwin() as found:
        yield found


def tried(act: Callable[[], Any]) -> Any:
    """What an act gives, or the error of ours that it raises."""
    try:
        return act()
    except HubError as error:
        return error


@pytest.mark.parametrize("number", range(7))
def test_whatever_an_answer_to_a_delivery_holds_it_is_done_or_an_error_of_ours(
    twin: SpoilingTwin, tmp_path: Path, number: int
) -> None:
    manifest = changed(tmp_path, ('again = "none"\n', ""), ('answer = "Paiement ouvert"\n', LOOK_UP))
    connector = connection(twin, manifest=manifest)
    for how in (*WRONG, *_SHAPES):
        twin.opened.clear()
        twin.spoil = (number, how)
        done, found = tried(lambda: connector.handle(payment())), tried(lambda: connector.look_up(payment()))
        assert done.fault if isinstance(done, HubError) else done.reference, how
        assert found is None or (found.fault if isinstance(found, HubError) else found.reference), how
        assert connector.probe().detail


@pytest.mark.parametrize("number", range(9))
def test_whatever_the_state_of_a_payment_holds_it_is_an_event_a_fault_or_a_later_look(
    twin: SpoilingTwin, number: int
) -> None:
    for how in (*WRONG, *_SHAPES):
        clock = Clock()
        clock.open()
        twin.settle("OP-1", "P", jour="02032026", heure="1409", montant=4550)
        twin.spoil = (number, how)
        clock.later(minutes=1)
        found = tried(lambda clock=clock: list(connection(twin, clock).poll(None)))  # type: ignore[misc]
        for one in [] if isinstance(found, HubError) else found:
            for event in one.events:
                REGISTRY.validate(event)
            assert all(fault.place.startswith("follow[0]") for fault in one.faults)


@pytest.mark.parametrize("number", range(9))
def test_whatever_a_list_holds_it_is_events_and_faults(twin: SpoilingTwin, tmp_path: Path, number: int) -> None:
    manifest = with_tables(tmp_path, LIST.replace("size = 2", "size = 50"), follow=False)
    twin.listed = [entry(1, montant=4550), entry(2)]
    for how in (*WRONG, *_SHAPES):
        twin.spoil = (number, how)
        found = tried(lambda: list(connection(twin, manifest=manifest).poll(None)))
        for event in [] if isinstance(found, HubError) else [event for one in found for event in one.events]:
            REGISTRY.validate(event)


@pytest.mark.parametrize("number", range(8))
def test_whatever_an_answer_to_a_question_holds_it_is_evidence_or_an_error_of_ours(
    twin: SpoilingTwin, tmp_path: Path, number: int
) -> None:
    connector = connection(twin, manifest=with_tables(tmp_path, QUESTION, rows=ROWS))
    twin.accounts = [{"numero": "1", "quotient": 612, "mois": "2026-02"}]
    for how in (*WRONG, *_SHAPES):
        twin.spoil = (number, how)
        found = tried(lambda: connector.answer(asked()))
        if not isinstance(found, HubError):
            REGISTRY.validate_evidence(found)


# the twin itself


class NarrowTwin(SoapTwin):
    wsdl = PaymentTwin.wsdl

    @operation("lireRegie")
    def about(self, request: object) -> dict[str, str]:
        raise SoapFault("Server", "closed", {"RefusMetier": {"code": "P5", "libelle": "fermé"}})


def envelope(body: str) -> bytes:
    soap = "http://schemas.xmlsoap.org/soap/envelope/"
    return f'<s:Envelope xmlns:s="{soap}"><s:Body>{body}</s:Body></s:Envelope>'.encode()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<e:lireRegie xmlns:e="urn:regie-essai:encaissement"><arg0><regie>1</regie></arg0></e:lireRegie>', b"P5"),
        ('<e:lireRegie xmlns:e="urn:regie-essai:encaissement">texte</e:lireRegie>', b"not in the contract"),
        ('<e:lireRegie xmlns:e="urn:autre"/>', b"no such operation"),
        ('<e:lireCompte xmlns:e="urn:regie-essai:encaissement"/>', b"no such operation"),
        ("", b"no message"),
    ],
)
def test_a_twin_refuses_what_the_contract_refuses(body: str, said: bytes) -> None:
    with NarrowTwin() as twin:
        found = twin.answer(TwinCall("POST", "/ws", {}, {}, envelope(body)))

    assert found.status == 500
    assert said in found.body
