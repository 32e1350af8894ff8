"""What a vendor's own codes mean is declared; what is not declared is repeated nowhere."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

import connectors
from connectors.conformance.sentences import unfit_for_a_timeline
from connectors.sdk.error_table import MEANINGS, ErrorTable, error_row, error_rows, error_table_faults
from connectors.sdk.http import HttpAnswer
from connectors.sdk.soap import SoapClient
from schemas.errors import AccessDenied, Expired, HubError, Refused, TryLater, Unknown, is_fault
from schemas.exchange import NotMatched
from tests.connectors.sdk.test_soap import NS, Counter, client_for, contract, counter, deposit, envelope

__all__ = ["contract", "counter"]  # fixtures

PAYMENTS = """
[[error]]
detail = "FonctionnelleErreur/code"
remedy = "Vérifier la facture dans le logiciel de facturation."
by = "service"
[error.table]
P1 = "expired"
P5 = "later"
R3 = { means = "refused", say = "le paiement en ligne refuse la référence de la facture" }
A2 = "refused"
Z9 = { means = "denied", by = "vendor" }
"*" = "refused"

[[error]]
detail = "TechIndisponibiliteErreur"
means = "later"
by = "vendor"
"""


def table(text: str) -> ErrorTable:
    return ErrorTable.read(tomllib.loads(text)["error"])


def answer(body: Any = None, status: int = 200, **headers: str) -> HttpAnswer:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    return HttpAnswer(
        status, {name.replace("_", "-"): value for name, value in headers.items()}, content, service="le guichet"
    )


def error_of(table: ErrorTable, body: Any = None, status: int = 200, **headers: str) -> HubError:
    error = table.error_for(answer(body, status, **headers))
    assert error is not None
    assert unfit_for_a_timeline(str(error)) is None
    assert is_fault(error.fault)
    return error


@pytest.fixture
def client(contract: Path, counter: Counter) -> Iterator[SoapClient]:
    client = client_for(contract, counter, errors=table(PAYMENTS))
    yield client
    client.close()


def fault(detail: str, *, code: str = "S:Server") -> bytes:
    return envelope(
        f'<S:Fault><faultcode xmlns="">{code}</faultcode><faultstring xmlns="">Martin</faultstring>'
        f'<detail xmlns="">{detail}</detail></S:Fault>'
    )


def functional(code: str) -> str:
    return f'<n:FonctionnelleErreur xmlns:n="{NS}"><code>{code}</code><libelle>Martin</libelle></n:FonctionnelleErreur>'


# the official PayFiP sample R3: a plain no, which its SOAP fault blames on the server
@pytest.mark.parametrize(
    ("code", "kind", "stated"),
    [
        ("R3", Refused, "refused.R3"),
        ("A2", Refused, "refused.A2"),
        ("X7", Refused, "refused.other"),
        ("P1", Expired, "refused.expired.P1"),
        ("P5", TryLater, "away.busy"),
        ("Z9", AccessDenied, "denied.forbidden"),
    ],
)
@pytest.mark.parametrize("safe", [False, True])
def test_a_code_in_the_detail_of_a_fault_means_what_is_declared(
    client: SoapClient, counter: Counter, code: str, kind: type[HubError], stated: str, safe: bool
) -> None:
    counter.says(fault(functional(code)), 500)
    with pytest.raises(HubError) as caught:
        deposit(client, safe=safe)
    error = caught.value
    assert (type(error), error.fault) == (kind, stated)
    assert error.native == ("" if code == "X7" else code)
    assert error.remedy == "Vérifier la facture dans le logiciel de facturation."
    assert error.by == ("vendor" if code == "Z9" else "service")
    assert "Martin" not in str(error) + error.detail


def test_a_code_may_have_a_sentence_of_its_own(client: SoapClient, counter: Counter) -> None:
    counter.says(fault(functional("R3")), 500)
    with pytest.raises(Refused, match="refuse la référence de la facture"):
        deposit(client)


@pytest.mark.parametrize("status", [200, 400, 500])
def test_a_fault_is_read_whatever_its_status(client: SoapClient, counter: Counter, status: int) -> None:
    counter.says(fault(functional("A2"), code="S:Client"), status)
    with pytest.raises(Refused) as caught:
        deposit(client)
    assert caught.value.native == "A2"


def test_the_detail_of_soap_1_2_is_read_too(client: SoapClient, counter: Counter) -> None:
    soap = "http://www.w3.org/2003/05/soap-envelope"
    said = f"<S:Code><S:Value>S:Receiver</S:Value></S:Code><S:Detail>{functional('R3')}</S:Detail>"
    counter.says(f'<S:Envelope xmlns:S="{soap}"><S:Body><S:Fault>{said}</S:Fault></S:Body></S:Envelope>'.encode(), 500)
    with pytest.raises(Refused) as caught:
        deposit(client)
    assert caught.value.native == "R3"


def test_an_element_alone_may_say_what_a_fault_is(client: SoapClient, counter: Counter) -> None:
    counter.says(fault("<x:TechIndisponibiliteErreur xmlns:x='urn:x'/>"), 500)
    with pytest.raises(TryLater) as caught:
        deposit(client)
    assert caught.value.by == "vendor"


@pytest.mark.parametrize("detail", ["", "<autre><code>R3</code></autre>", "<FonctionnelleErreur/>"])
def test_a_fault_that_nothing_is_declared_of_is_read_as_before(
    client: SoapClient, counter: Counter, detail: str
) -> None:
    counter.says(fault(detail), 500)
    with pytest.raises(Unknown):
        deposit(client)
    with pytest.raises(TryLater):
        deposit(client, safe=True)


RENDEZVOUS = """
[[error]]
status = 422
native = "/error_messages/0"
means = "refused"
fault = "refused.not-editable"
say = "le rendez-vous ne se modifie plus"
by = "service"

[[error]]
status = [409, 423]
means = "later"
fault = "away.locked"

[[error]]
native = "/erreur/code"
table = { 0 = "success", 12 = "later", 13 = "denied", "*" = "unknown" }

[[error]]
native = "Reponse/codeRetour"
table = { OK = "success", KO = "refused" }
"""


def test_an_error_inside_a_422_is_told_in_the_declared_words() -> None:
    error = error_of(table(RENDEZVOUS), {"error_messages": ["Mme Martin est déjà venue"]}, 422)
    assert (type(error), error.fault, error.by) == (Refused, "refused.not-editable", "service")
    assert str(error) == "le rendez-vous ne se modifie plus"
    assert error.native == ""


@pytest.mark.parametrize("body", [b"<html>422</html>", b"", b"[]", b'{"error_messages": {}}'])
def test_a_declared_status_holds_whatever_the_body(body: bytes) -> None:
    assert error_of(table(RENDEZVOUS), body, 422).fault == "refused.not-editable"


def test_a_status_that_asks_to_wait_is_waited_for_as_long_as_it_says() -> None:
    error = error_of(table(RENDEZVOUS), status=423, retry_after="90")
    assert isinstance(error, TryLater)
    assert (error.after, error.fault) == (90, "away.locked")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"erreur": {"code": 12}}, TryLater),
        ({"erreur": {"code": "13"}}, AccessDenied),
        ({"erreur": {"code": 77}}, Unknown),
        (b"\xef\xbb\xbf" + orjson.dumps({"erreur": {"code": "12"}}), TryLater),
        (b"<x:R xmlns:x='urn:x'><Reponse><codeRetour> KO </codeRetour></Reponse></x:R>", Refused),
    ],
)
def test_an_error_inside_a_200_is_one(body: Any, kind: type[HubError]) -> None:
    assert type(error_of(table(RENDEZVOUS), body)) is kind


@pytest.mark.parametrize(
    "body",
    [
        {"erreur": {"code": 0}}, {"erreur": None}, {}, [], "x", b"\xff", b"<R><Reponse/></R>",
        b"<R><Reponse><codeRetour>OK</codeRetour></Reponse></R>",
    ],
)  # fmt: skip
def test_an_answer_that_says_no_error_is_none(body: Any) -> None:
    assert table(RENDEZVOUS).error_for(answer(body)) is None


@pytest.mark.parametrize("value", ["", None, False, 0, "0", {}])
def test_a_place_for_errors_that_is_empty_is_no_error(value: Any) -> None:
    rules = table('[[error]]\nnative = "/erreur"\nmeans = "refused"')
    assert rules.error_for(answer({"erreur": value})) is None
    assert isinstance(rules.error_for(answer({"erreur": "Mme Martin est inconnue"})), Refused)


def test_the_native_code_is_the_detail_of_a_declared_refusal() -> None:
    rules = table('[[error]]\nnative = "/c"\nfault = "refused.closed"\ntable = { "E 12" = "refused", L = "later" }')
    assert error_of(rules, {"c": "E 12"}).fault == "refused.closed.E-12"
    assert error_of(rules, {"c": "L"}).fault == "away.busy"


@pytest.mark.parametrize("means", MEANINGS)
def test_each_meaning_has_a_sentence_and_a_code(means: str) -> None:
    error = error_of(table(f'[[error]]\nstatus = 418\nmeans = "{means}"'), status=418)
    assert str(error).startswith("le guichet ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('status = 422\nmeans = "refuse"', "/error/0/means"),
        ('means = "refused"', "/error/0"),
        ("status = 422", "/error/0"),
        ('status = "422"\nmeans = "refused"', "/error/0/status"),
        ('status = 999\nmeans = "refused"', "/error/0/status"),
        ('native = "/c"\nmeans = "refused"\ntable = { A = "later" }', "/error/0"),
        ('native = "/c"\ntable = { A = 3 }', "/error/0/table/A/means"),
        ('native = "/c"\ntable = "later"', "/error/0/table"),
        ('status = 422\nmeans = ["later"]', "/error/0/means"),
        ('status = 422\nmeans = "later"\nfault = 3', "/error/0/fault"),
        ('status = 422\ntable = { A = "later" }', "/error/0/table"),
        ('native = "/c"\ntable = { A = "tard" }', "/error/0/table/A/means"),
        ('native = "/c"\ntable = { A = { say = "non" } }', "/error/0/table/A"),
        ('native = "/c"\ndetail = "c"\nmeans = "later"', "/error/0/detail"),
        ('status = 422\nmeans = "refused"\nby = "mayor"', "/error/0/by"),
        ('status = 422\nmeans = "refused"\nfault = "away.locked"', "/error/0/fault"),
        ('status = 422\nmeans = "later"\nfault = "away.tired"', "/error/0/fault"),
        ('status = 422\nmeans = "later"\nremedi = "x"', "/error/0/remedi"),
    ],
)
def test_what_is_wrong_with_a_table_is_named_by_its_place(text: str, place: str) -> None:
    rows = tomllib.loads(f"[[error]]\n{text}")["error"]
    assert [found for found, _ in error_table_faults(rows)] == [place]
    with pytest.raises(ValueError, match=place):
        ErrorTable.read(rows)


def test_a_line_of_an_errors_csv_may_name_its_code_and_its_remedy(tmp_path: Path) -> None:
    path = tmp_path / "errors.csv"
    line = "*verrou*,later,le dossier est verrouillé,away.locked,Attendre.,service"
    path.write_text(f"\ufeffmessage,becomes,meaning,fault,remedy,by\n{line}\n", encoding="utf-8")
    row = error_row(path, message="dossier verrouillé")
    assert row is not None
    error = row.error(row.meaning)
    assert (type(error), error.fault, error.remedy, error.by) == (TryLater, "away.locked", "Attendre.", "service")
    assert error_row(path, message="autre") is None


def test_a_line_of_an_errors_csv_without_a_code_has_that_of_its_meaning(tmp_path: Path) -> None:
    (tmp_path / "errors.csv").write_text("status,becomes,meaning\n404,no-record,Pas de dossier\n", encoding="utf-8")
    row = error_row(tmp_path / "errors.csv", status="404")
    assert row is not None
    error = row.error(row.meaning, native="404")
    assert (type(error), error.fault, error.native) == (NotMatched, "refused.not-matched", "404")


@pytest.mark.parametrize(
    "path", sorted((Path(connectors.__file__).parent).glob("*/errors.csv")), ids=lambda path: path.parent.name
)
def test_every_line_of_our_connectors_has_a_code_of_the_closed_lists(path: Path) -> None:
    for row in error_rows(path):
        error = row.error(row.meaning, native="E 12")
        assert is_fault(error.fault), row
        assert error.fault.partition(".")[0] == type(error).fault.partition(".")[0], row
