"""Our WSDL, our messages and our twin against the vendor's own contract, read in place."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from connectors.iparapheur.connector import SignatureBook
from connectors.iparapheur.twin import PATH, ParapheurTwin
from connectors.sdk.twin import TwinAnswer, TwinCall, basic
from connectors.sdk.xml import Element, local_name, parse_xml
from schemas.delivery import Delivery
from schemas.event import Event
from tests.support.context import context_for

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = Path(os.environ.get("UNEFOIS_CONTRACTS") or ROOT.parent / "shared" / "contracts")
SOAP = CONTRACTS / "iparapheur" / "soap"
OURS = ROOT / "connectors" / "iparapheur" / "contract"
FIXTURE = ROOT / "tests" / "connectors" / "iparapheur" / "fixtures" / "request.json"
NS = "{http://www.adullact.org/spring-ws/iparapheur/1.0}"
XS = "{http://www.w3.org/2001/XMLSchema}"
SENT = ("CreerDossier", "RechercherDossiers", "GetHistoDossier", "GetDossier", "ArchiverDossier", "GetListeTypes")
STATUSES = {
    "NonLu", "Lu", "EnCoursVisa", "Vise", "RejetVisa", "Signe", "RejetSignataire", "PretCachet", "CachetOK",
    "RejetCachet", "EnCoursMailSecPastell", "RejetMailSecPastell", "Archive",
}  # fmt: skip

pytestmark = pytest.mark.skipif(not SOAP.is_dir(), reason="contracts folder absent")


class Listening(ParapheurTwin):
    """Keeps the last message of each operation, both ways."""

    def __init__(self) -> None:
        super().__init__()
        self.requests: dict[str, Element] = {}
        self.answered: dict[str, Element] = {}

    def message(self, call: TwinCall, where: str) -> TwinAnswer:
        answer = super().message(call, where)
        request = body_of(call.body)
        operation = local_name(request).removesuffix("Request")
        self.requests[operation] = request
        self.answered[operation] = body_of(answer.body)
        return answer

    message._routes = ParapheurTwin.message._routes  # type: ignore[attr-defined]


def body_of(content: bytes) -> Element:
    body = next(child for child in parse_xml(content, large_text=True) if local_name(child) == "Body")
    return body[0]


@pytest.fixture(scope="module")
def twin() -> Iterator[Listening]:
    """A twin that has lived one whole story: deposit, refusal of a duplicate, signature, archive."""
    with Listening() as twin:
        book = SignatureBook(context_for("iparapheur", twin.settings(sender_email="agent@ville.example")))
        request = json.loads(FIXTURE.read_text(encoding="utf-8"))
        delivery = Delivery(event=Event("request.received", "/saint-aubin/publik", request), key="d-1")
        dossier = str(book.handle(delivery).reference)
        created = twin.answered["CreerDossier"]
        book.handle(delivery)
        twin.answered["CreerDossier-KO"], twin.answered["CreerDossier"] = twin.answered["CreerDossier"], created
        book.probe()
        twin.finish(dossier)
        for polled in book.poll(None):
            assert polled.acknowledge is not None
            polled.acknowledge()
        echo(twin)
        book.close()
        yield twin


def echo(twin: ParapheurTwin) -> None:
    sample = (SOAP / "requests" / "echo.xml").read_text(encoding="utf-8").replace("{{message}}", "bonjour")
    login = {"Authorization": basic("ws@ville", "jumeau")}
    assert httpx.post(f"{twin.url}{PATH}", content=sample.encode(), headers=login).status_code == 200


def sample(kind: str, name: str) -> Element:
    text = (SOAP / kind / f"{name}.xml").read_text(encoding="utf-8").lstrip()
    return body_of(text.encode())


def children(element: Element) -> list[str]:
    return [str(child.tag) for child in element]


# what we send


@pytest.mark.parametrize("operation", SENT)
def test_we_send_the_elements_that_the_vendors_tests_send(twin: Listening, operation: str) -> None:
    theirs, ours = sample("requests", operation), twin.requests[operation]
    assert ours.tag == theirs.tag
    ours_only = set(children(ours)) - set(children(theirs))
    assert ours_only <= {f"{NS}EmailEmetteur"}
    assert set(children(theirs)) <= set(children(ours))


def test_the_document_carries_its_media_type_as_the_vendors_does(twin: Listening) -> None:
    theirs = sample("requests", "CreerDossier").find(f"{NS}DocumentPrincipal")
    ours = twin.requests["CreerDossier"].find(f"{NS}DocumentPrincipal")
    assert theirs is not None
    assert ours is not None
    assert sorted(ours.attrib.items()) == sorted(theirs.attrib.items())


def test_what_the_vendor_sends_empty_we_send_nil(twin: Listening) -> None:
    nil = "{http://www.w3.org/2001/XMLSchema-instance}nil"
    theirs = {str(child.tag) for child in sample("requests", "CreerDossier") if child.get(nil) == "true"}
    ours = {str(child.tag) for child in twin.requests["CreerDossier"] if child.get(nil) == "true"}
    assert theirs <= ours


# what our twin answers


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("CreerDossier", "CreerDossierResponse-OK"),
        ("CreerDossier-KO", "CreerDossierResponse-KO"),
        ("GetHistoDossier", "GetHistoDossierResponse-OK"),
        ("GetDossier", "GetDossierResponse-OK"),
        ("ArchiverDossier", "ArchiverDossierResponse-OK"),
        ("GetListeTypes", "GetListeTypesResponse-OK"),
        ("RechercherDossiers", "RechercherDossiersResponse-OK"),
        ("echo", "echoResponse-OK"),
    ],
)
def test_the_twin_answers_in_the_shape_of_the_vendors_bridge(twin: Listening, ours: str, theirs: str) -> None:
    wanted, got = sample("responses", theirs), twin.answered[ours]
    assert got.tag == wanted.tag
    assert mismatches(wanted, got) == []


@pytest.mark.parametrize(
    ("operation", "theirs"),
    [
        ("GetHistoDossier", "GetHistoDossierResponse-OK-subschema-LogDossier"),
        ("RechercherDossiers", "RechercherDossiersResponse-OK-subschema-LogDossier"),
    ],
)
def test_each_line_of_a_log_has_the_vendors_elements(twin: Listening, operation: str, theirs: str) -> None:
    wanted = parse_xml((SOAP / "responses" / f"{theirs}.xml").read_bytes())
    lines = twin.answered[operation].findall(f"{NS}LogDossier")
    assert lines
    for line in lines:
        assert [local_name(child) for child in line] == [local_name(child) for child in wanted]
        assert mismatches(wanted, line) == []
        assert line.findtext(f"{NS}status") in STATUSES


def mismatches(wanted: Element, got: Element) -> list[str]:
    """Where an answer breaks the matchers: `#` due, `##` optional, `#[]` a list, plain text as it is."""
    faults = [] if fits((wanted.text or "").strip(), (got.text or "").strip()) else [local_name(got)]
    present: dict[str, list[Element]] = {}
    for child in got:
        present.setdefault(local_name(child), []).append(child)
    for child in wanted:
        found = present.pop(local_name(child), [])
        matcher = (child.text or "").strip()
        if not found and not matcher.startswith(("##", "#[]", "#ignore")):
            faults.append(f"{local_name(child)} is missing")
        if not matcher.startswith(("#[]", "##[]", "##ignore", "#ignore")):
            faults += [fault for one in found for fault in mismatches(child, one)]
    return faults + [f"{name} is not known" for name in present]


def fits(matcher: str, text: str) -> bool:
    if matcher.startswith("#regex "):
        return re.fullmatch(matcher.removeprefix("#regex "), text) is not None
    if matcher.startswith("#"):  # #uuid too: the vendor's tests let the server choose, we choose
        return True
    return matcher == text


# our description of CreerDossier against theirs


def declared(path: Path, element: str) -> dict[str, tuple[str, bool, bool]]:
    """Name -> (type, may be left out, may be nil), in order."""
    root = parse_xml(path.read_bytes())
    found = next(item for item in root.iter(f"{XS}element") if item.get("name") == element)
    return {
        str(item.get("name")): (
            str(item.get("type")).rpartition(":")[2].casefold(),
            item.get("minOccurs") == "0",
            item.get("nillable") == "true",
        )
        for item in found.iter(f"{XS}element")
        if item is not found
    }


RENAMED = {"date_aaaa-mm-jj": "jour"}  # the same pattern under another name


def test_our_request_has_the_elements_types_and_order_of_theirs() -> None:
    theirs = declared(SOAP / "iparapheur-minimum-v4.3.wsdl", "CreerDossierRequest")
    ours = declared(OURS / "parapheur.xsd", "CreerDossierRequest")
    unused = {"DocumentsAnnexes"}  # theirs says "always empty", and the real type is another
    later = {"DossierTitre", "NomDocPrincipal"}  # told by their annotations and their samples
    expected = [name for name in theirs if name not in unused]
    assert [name for name in ours if name not in later] == expected
    for name in expected:
        kind, optional, nil = theirs[name]
        assert ours[name] == (RENAMED.get(kind, kind), optional, nil), name


def test_our_answer_has_the_elements_and_order_of_theirs() -> None:
    theirs = declared(SOAP / "iparapheur-minimum-v4.3.wsdl", "CreerDossierResponse")
    ours = declared(OURS / "parapheur.xsd", "CreerDossierResponse")
    assert list(ours) == list(theirs)
    assert [optional for _, optional, _ in ours.values()] == [optional for _, optional, _ in theirs.values()]


def test_visibilities_are_theirs() -> None:
    assert values(SOAP / "iparapheur-minimum-v4.3.wsdl", "Visibilite") == values(OURS / "parapheur.xsd", "Visibilite")


def values(path: Path, simple_type: str) -> list[str | None]:
    root = parse_xml(path.read_bytes())
    found = next(item for item in root.iter(f"{XS}simpleType") if item.get("name") == simple_type)
    return [item.get("value") for item in found.iter(f"{XS}enumeration")]


def test_the_binding_is_theirs() -> None:
    def binding(path: Path) -> tuple[str | None, str | None, set[str | None]]:
        root = parse_xml(path.read_bytes())
        soap = "{http://schemas.xmlsoap.org/wsdl/soap/}"
        bound = next(root.iter(f"{soap}binding"))
        actions = {operation.get("soapAction") for operation in root.iter(f"{soap}operation")}
        return bound.get("style"), bound.get("transport"), actions

    assert binding(OURS / "parapheur.wsdl") == binding(SOAP / "iparapheur-minimum-v4.3.wsdl")


def test_every_status_of_the_vendor_is_in_our_map() -> None:
    ours = (ROOT / "connectors" / "iparapheur" / "statuses.csv").read_text(encoding="utf-8")
    assert {line.split(",")[1] for line in ours.splitlines()[1:]} == STATUSES
