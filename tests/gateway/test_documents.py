"""`/v1/documents`: stored whole or not at all, read by who may."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from hub.documents import repository as documents
from hub.operations.retention import Keeper
from hub.storage.tables import journal
from schemas.errors import InvalidMessage
from tests.gateway.conftest import OTHER, TENANT, House, Open, problem
from tests.gateway.test_requests import asked, submit, tell
from tests.support.servers import Postgres

PDF = b"%PDF-1.4\r\n--plan\r\n de la terrasse\r\n"
TYPE = {"content-type": "application/pdf"}
DIGEST = base64.b64encode(hashlib.sha256(PDF).digest()).decode()


def store(http: httpx.Client, content: bytes = PDF, **headers: str) -> httpx.Response:
    return http.post(
        "/v1/documents", content=content, headers=TYPE | {n.replace("_", "-"): v for n, v in headers.items()}
    )


def test_a_document_is_stored_and_read_back(house: House) -> None:
    http = house.client()
    answer = store(http, content_disposition="attachment; filename*=UTF-8''plan%20d%27acc%C3%A8s.pdf")

    assert answer.status_code == 201
    stored = answer.json()
    digest = hashlib.sha256(PDF).hexdigest()
    named = {"name": "plan d'accès.pdf", "media_type": "application/pdf", "size": len(PDF)}
    assert stored == {"id": digest, "sha256": digest, **named}
    read = http.get(answer.headers["location"])
    assert (read.status_code, read.content) == (200, PDF)
    assert read.headers["content-type"] == "application/pdf"
    assert read.headers["repr-digest"] == f"sha-256=:{DIGEST}:"
    assert read.headers["content-disposition"] == "attachment; filename*=UTF-8''plan%20d%27acc%C3%A8s.pdf"
    assert read.headers["x-content-type-options"] == "nosniff"


def test_a_read_is_in_the_journal_and_a_look_at_the_headers_is_not(house: House) -> None:
    http = house.client()
    where = store(http).headers["location"]
    http.head(where)
    http.get(where)
    with house.hub.ledger.reading() as tx:
        rows = tx.sql.execute(select(journal.c.act, journal.c.actor, journal.c.facts)).all()
    assert [(row.act, row.actor) for row in rows] == [("document.read", f"{TENANT}.portail")]
    assert hashlib.sha256(PDF).hexdigest() in rows[0].facts


def test_its_headers_can_be_looked_at_alone(house: House) -> None:
    http = house.client()
    answer = http.head(store(http).headers["location"])

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(PDF))
    assert answer.headers["etag"] == f'"{hashlib.sha256(PDF).hexdigest()}"'


def test_the_same_bytes_are_the_same_document(house: House) -> None:
    http = house.client()
    assert store(http).json()["id"] == store(http, content_disposition='attachment; filename="autre.pdf"').json()["id"]


def test_a_form_with_one_file_is_taken(house: House) -> None:
    files = {"file": ("plan été.pdf", PDF, "application/pdf")}
    answer = house.client().post("/v1/documents", files=files, data={"kind": "plan"})

    assert answer.status_code == 201
    assert (answer.json()["name"], answer.json()["kind"]) == ("plan été.pdf", "plan")
    assert answer.json()["sha256"] == hashlib.sha256(PDF).hexdigest()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "cut_short"),
        (b"--limite\r\n", "cut_short"),
        (b'--limite\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1', "cut_short"),
        (b'--limite\r\nContent-Disposition: form-data; name="kind"\r\n\r\nplan\r\n--limite--\r\n', "bad_request"),
        (b"--limite\r\nrien\r\n--limite--\r\n", "bad_request"),
        (b'--limite\r\nContent-Disposition: form-data; filename="a"\r\n\r\na\r\n' * 2 + b"--limite--", "bad_request"),
        (b"--limite\r\n\r\nx\r\n" * 20 + b"--limite--", "cut_short"),
    ],
)  # fmt: skip
def test_a_form_that_is_cut_or_strange_is_refused(house: House, body: bytes, code: str) -> None:
    headers = {"content-type": "multipart/form-data; boundary=limite"}
    problem(house.client().post("/v1/documents", content=body, headers=headers), 400, code)


def test_a_form_without_boundary_is_refused(house: House) -> None:
    headers = {"content-type": "multipart/form-data"}
    problem(house.client().post("/v1/documents", content=PDF, headers=headers), 400, "bad_request")


@pytest.mark.parametrize("name", ["content_digest", "repr_digest"])
def test_a_digest_is_checked_when_it_is_given(house: House, name: str) -> None:
    http = house.client()
    wrong = base64.b64encode(bytes(32)).decode()

    assert store(http, PDF, **{name: f"sha-512=:abc=:, sha-256=:{DIGEST}:"}).status_code == 201
    problem(store(http, PDF, **{name: f"sha-256=:{wrong}:"}), 400, "digest_mismatch")
    problem(store(http, PDF, **{name: "sha-256=:=:"}), 400, "digest_mismatch")
    problem(store(http, PDF, **{name: f"md5=:{wrong}:"}), 400, "bad_request")


def test_more_than_ten_mebibytes_are_refused_while_reading(house: House) -> None:
    http = house.client()
    large = b"%PDF-" + bytes(10 * 1024 * 1024)
    problem(store(http, large), 413, "too_large")
    parts = (large[start : start + 65_536] for start in range(0, len(large), 65_536))
    problem(http.post("/v1/documents", content=parts, headers=TYPE), 413, "too_large")
    problem(http.post("/v1/documents", files={"file": ("a.pdf", large, "application/pdf")}), 413, "too_large")
    assert list(house.hub.documents.names(TENANT)) == []


def test_exactly_ten_mebibytes_are_taken(house: House) -> None:
    content = b"%PDF-" + bytes(10 * 1024 * 1024 - 5)
    http = house.client()
    assert store(http, content).status_code == 201
    assert http.post("/v1/documents", files={"file": ("a.pdf", content, "application/pdf")}).status_code == 201


@pytest.mark.parametrize(
    ("content", "media_type", "status", "code"),
    [
        (b"", "application/pdf", 422, "empty_document"),
        (PDF, "application/x-msdownload", 415, "media_type_refused"),
        (PDF, "n'importe quoi", 415, "media_type_refused"),
        (PDF, "image/png", 415, "media_type_mismatch"),
        (b"MZ" + bytes(62), "application/octet-stream", 415, "media_type_mismatch"),
    ],
)
def test_what_the_hub_does_not_keep_is_refused(
    house: House, content: bytes, media_type: str, status: int, code: str
) -> None:
    answer = house.client().post("/v1/documents", content=content, headers={b"content-type": media_type.encode()})
    problem(answer, status, code)


def test_a_civil_status_record_is_not_kept(house: House) -> None:
    answer = house.client().post("/v1/documents?kind=civil-status-record", content=PDF, headers=TYPE)
    problem(answer, 422, "reserved_document")


def test_a_path_in_the_name_is_only_a_name(house: House) -> None:
    answer = store(house.client(), content_disposition='attachment; filename="../../etc/passwd"')
    assert answer.json()["name"] == "passwd"


def test_others_do_not_read_it(house: House) -> None:
    place = store(house.client()).headers["location"]

    for other in (house.client("guichet"), house.client("voisin", tenant=OTHER)):
        problem(other.get(place), 404, "unknown_document")
        assert other.head(place).status_code == 404


def test_each_client_that_stored_the_same_bytes_reads_them_under_its_own_name(house: House) -> None:
    first, second = house.client(), house.client("guichet")
    place = store(first, content_disposition='attachment; filename="mairie.pdf"').headers["location"]
    store(second, content_disposition='attachment; filename="guichet.pdf"')

    assert "mairie.pdf" in first.get(place).headers["content-disposition"]
    assert "guichet.pdf" in second.get(place).headers["content-disposition"]


def test_the_portal_reads_a_document_that_another_system_named_about_its_request(house: House) -> None:
    http, other = house.client(), house.client("guichet")
    request = submit(http, asked()).json()["id"]
    signed = house.hub.documents.for_tenant(TENANT).store(PDF, name="arrêté.pdf", media_type="application/pdf")
    problem(http.get(f"/v1/documents/{signed.id}"), 404, "unknown_document")
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "SIGNE", "label": "Signé"},
                 "documents": [signed.to_data()]})  # fmt: skip

    answer = http.get(f"/v1/documents/{signed.id}", params={"request": request})
    assert (answer.status_code, answer.content) == (200, PDF)
    assert http.get(f"/v1/requests/{request}").json()["documents"] == [signed.to_data()]
    problem(other.get(f"/v1/documents/{signed.id}", params={"request": request}), 404, "unknown_document")
    mine = submit(other, asked()).json()["id"]
    problem(other.get(f"/v1/documents/{signed.id}", params={"request": mine}), 404, "unknown_document")


def test_once_it_is_noted_which_events_name_a_document_the_request_need_not_be_said(house: House) -> None:
    http, other = house.client(), house.client("guichet")
    request = submit(http, asked()).json()["id"]
    signed = house.hub.documents.for_tenant(TENANT).store(PDF, name="arrêté.pdf", media_type="application/pdf")
    tell(house, {"request": {"id": request}, "status": "in_progress", "native": {"code": "SIGNE", "label": "Signé"},
                 "documents": [signed.to_data()]})  # fmt: skip
    Keeper(house.hub.ledger, house.hub.documents, house.hub.settings.retention).note_document_uses()

    assert http.get(f"/v1/documents/{signed.id}").content == PDF
    problem(other.get(f"/v1/documents/{signed.id}"), 404, "unknown_document")
    assert submit(http, asked(documents=[signed.to_data()])).status_code == 201


@pytest.mark.parametrize("document_id", ["x", "ab" * 32, "a%00", "..%2f..%2fhub.toml"])
def test_a_document_that_is_nowhere_is_not_there(house: House, document_id: str) -> None:
    assert house.client().get(f"/v1/documents/{document_id}").status_code == 404


def test_a_client_needs_the_scope(house: House) -> None:
    http = house.client(scopes=("documents:read",))
    problem(store(http), 403, "scope_missing")


def test_a_document_that_is_gone_is_gone_for_its_holders(house: House) -> None:
    http = house.client()
    stored = store(http).json()
    house.hub.documents.delete(TENANT, stored["id"])

    problem(http.get(f"/v1/documents/{stored['id']}"), 404, "unknown_document")
    with house.hub.ledger.reading() as tx:
        assert documents.held_document(tx, TENANT, stored["id"], f"{TENANT}.portail") is None


def test_the_hub_says_no_when_it_holds_too_much_at_once(open_house: Open) -> None:
    house = open_house()
    http = house.client()
    app: Any = house.serving._server.config.app
    app.state.budget._proved._left = 10
    answer = store(http)

    problem(answer, 503, "try_later")
    assert answer.headers["retry-after"]
    app.state.budget._proved._left = 1000
    assert store(house.client()).status_code == 201
    assert app.state.budget._proved._left == 1000


def form(*parts: tuple[str, bytes], boundary: bytes = b"limite") -> bytes:
    """A form of these parts (`Content-Disposition` and content) and one file."""
    file = ('form-data; name="file"; filename="a.pdf"', PDF)
    lines = [b"--" + boundary + f"\r\nContent-Disposition: {said}\r\n".encode()
             + (b"Content-Type: application/pdf\r\n" if content is PDF else b"") + b"\r\n" + content + b"\r\n"
             for said, content in (*parts, file)]  # fmt: skip
    return b"".join(lines) + b"--" + boundary + b"--\r\n"


BOUNDED = {"content-type": "multipart/form-data; boundary=limite"}
KINDS = [b"Civil-Status-Record", b"a\x00b", b"x" * 3000, "état".encode(), b"a--b", b"\xff\xfe", b"a b", b"-a"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_that_is_no_slug_is_refused(house: House, kind: bytes) -> None:
    answer = house.client().post("/v1/documents", content=form(('form-data; name="kind"', kind)), headers=BOUNDED)

    assert problem(answer, 422, "kind_refused")["pointer"] == "/kind"


def test_strange_forms_are_refused_the_same_on_postgresql(postgres: Postgres, open_house: Open) -> None:
    http = open_house(database=postgres.fresh_database()).client()

    for kind in KINDS:
        answer = http.post("/v1/documents", content=form(('form-data; name="kind"', kind)), headers=BOUNDED)
        problem(answer, 422, "kind_refused")
    for head in ("form-data; filename*=utf-8''%00%01a.pdf", 'form-data; filename="a\x00b.pdf"'):
        body = form().replace(b'form-data; name="file"; filename="a.pdf"', head.encode())
        assert http.post("/v1/documents", content=body, headers=BOUNDED).status_code == 201


@pytest.mark.parametrize(
    "said", ["boundary*=utf-8''limit%C3%A9", "boundary*=klingon''limite%ff", 'boundary="limit\u00e9"', 'boundary="a{b"',
             "boundary=" + "x" * 71, "boundary*0*=utf-8''%e9; boundary*1=b"],
)  # fmt: skip
def test_a_boundary_that_is_none_is_refused(house: House, said: str) -> None:
    headers = {b"content-type": f"multipart/form-data; {said}".encode("latin-1")}

    problem(house.client().post("/v1/documents", content=form(), headers=headers), 422, "bad_form")


@pytest.mark.parametrize(
    "kind", ["Civil-Status-Record", "civil_status record", " CIVIL-STATUS-RECORD", "civil-status-record."]
)
def test_a_reserved_kind_is_reserved_however_a_connector_spells_it(house: House, kind: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        house.hub.documents.for_tenant(TENANT).store(PDF, name="a.pdf", media_type="application/pdf", kind=kind)

    assert refused.value.code == "reserved_document"
