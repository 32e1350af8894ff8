"""What goes wrong on each transport, in words that may stand on a timeline; what IT staff need besides is `detail`."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from connectors.conformance.sentences import unfit_for_a_timeline
from connectors.mail.twin import MailTwin
from connectors.sdk.addresses import public_address
from connectors.sdk.files import LocalFolder, open_folder
from connectors.sdk.http import HttpClient
from connectors.sdk.sftp_twin import SftpTwin
from connectors.sdk.smtp.client import Server
from connectors.sdk.soap import NIL, SoapClient
from schemas.errors import HubError
from schemas.secret import Secret
from tests.connectors.sdk.test_http import Office
from tests.connectors.sdk.test_soap import SCHEMA, Counter, wsdl

SECRET = "mot-de-passe-essai"


def error_of(act: Callable[[], object]) -> HubError:
    """The error, once its sentence was found fit and its secrets kept."""
    with pytest.raises(HubError) as caught:
        act()
    assert unfit_for_a_timeline(str(caught.value)) is None, str(caught.value)
    assert SECRET not in str(caught.value) + caught.value.detail
    return caught.value


def letter() -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "Votre demande"
    message.set_content("Bonjour")
    return message


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.fixture
def office() -> Iterator[Office]:
    with Office() as office:
        yield office


@pytest.fixture
def account() -> Iterator[SftpTwin]:
    with SftpTwin() as account:
        (account.root / "depot").mkdir()
        yield account


STATUSES = ("302", "307", "400", "401", "403", "404", "407", "408", "409", "422", "429", "500", "502", "503")


@pytest.mark.parametrize("kind", [*STATUSES, "refuse", "drop", "timeout", "half", "html", "garbage", "empty", "large"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_http_says_it_plainly(office: Office, kind: str, method: str) -> None:
    with HttpClient(office.url, auth=("ville", Secret(SECRET)), timeout=0.3, max_bytes=100_000) as client:
        office.misbehave(kind)
        error = error_of(lambda: client.request(method, "/notes/1", json={}).json())
        assert client.host in error.detail
        assert str(error).startswith("le logiciel ")


def test_http_says_who_is_meant(office: Office) -> None:
    with HttpClient(office.url, service="la bibliothèque", timeout=0.3) as client:
        office.misbehave("timeout")
        said = str(error_of(lambda: client.request("GET", "/notes/1")))
        assert said == "la bibliothèque ne répond pas (délai dépassé)"


def test_http_without_a_name_or_without_tls_says_so(office: Office) -> None:
    with HttpClient("http://nulle-part.invalid", timeout=2.0) as client:
        assert "introuvable" in str(error_of(lambda: client.request("GET", "/")))
    with HttpClient(office.url.replace("http://", "https://"), timeout=2.0) as client:
        assert "sécurisée" in str(error_of(lambda: client.request("GET", "/")))


@pytest.mark.parametrize("kind", ["401", "html", "drop", "500", "refuse"])
def test_a_token_that_does_not_come_is_said_plainly(office: Office, kind: str) -> None:
    plain = HttpClient(office.url, timeout=0.3)
    with plain.with_client_credentials(f"{office.url}/token", "ville", Secret(SECRET)) as client:
        office.misbehave(kind, on="" if kind == "refuse" else "POST /token")
        error_of(lambda: client.request("GET", "/private"))


@pytest.mark.parametrize(
    ("host", "fault"),
    [("nulle-part.invalid", "away.name"), ("127.0.0.1", "denied.not-public"), ("10.1.2.3", "denied.not-public")],
)
def test_an_address_that_may_not_be_called_is_said_plainly(host: str, fault: str) -> None:
    error = error_of(lambda: public_address(host, 443))

    assert host in error.detail
    assert error.fault == fault


@pytest.mark.parametrize(
    "kind",
    ["401", "403", "404", "429", "500", "503", "refuse", "drop", "timeout", "half", "html", "garbage", "empty", "bomb"],
)
@pytest.mark.parametrize("safe", [True, False])
def test_soap_says_it_plainly(tmp_path: Path, kind: str, safe: bool) -> None:
    (tmp_path / "guichet.xsd").write_text(SCHEMA, encoding="utf-8")
    (tmp_path / "guichet.wsdl").write_text(wsdl(), encoding="utf-8")
    with Counter() as counter:
        auth = ("ville", Secret("s3cret"))
        client = SoapClient(tmp_path / "guichet.wsdl", f"{counter.url}/ws", auth=auth, timeout=0.3)
        wanted: dict[str, Any] = {"cle": "abc", "sorte": "plan", "contenu": b"%PDF", "limite": NIL}
        counter.misbehave(kind)
        error_of(lambda: client.call("Depot", safe=safe, **wanted))
        client.close()


@pytest.mark.parametrize("kind", ["full", "denied", "cut", "cut-rename", "slow"])
def test_sftp_says_it_plainly(account: SftpTwin, kind: str) -> None:
    folder = open_folder(account.settings(timeout=0.5), "/depot")
    account.misbehave(kind, 10)
    error_of(lambda: folder.put("a.csv", b"x" * 100_000))
    folder.close()


@pytest.mark.parametrize(
    "changes",
    [
        {"password": Secret(SECRET)}, {"username": "autre"}, {"host": "nulle-part.invalid"}, {"port": 1},
        {"host_key": SftpTwin().host_key},
    ],
    ids=["password", "user", "name", "port", "key"],
)  # fmt: skip
def test_an_sftp_account_that_does_not_open_is_said_plainly(account: SftpTwin, changes: dict[str, Any]) -> None:
    folder = open_folder(account.settings(**changes), "/depot")
    error_of(folder.names)
    folder.close()


def test_a_folder_or_file_that_is_not_there_is_said_plainly(account: SftpTwin, tmp_path: Path) -> None:
    folder = open_folder(account.settings(), "/ailleurs")
    for act in (folder.names, lambda: folder.put("a.csv", b""), lambda: folder.read("a.csv")):
        error_of(act)
    folder.close()
    for local in (LocalFolder(tmp_path / "ailleurs"), LocalFolder(tmp_path)):
        for wrong in (lambda: local.read("absent.csv"), lambda: local.read("../a"), lambda: local.move("a", "b")):  # noqa: B023
            error_of(wrong)


@pytest.mark.parametrize("code", ["EACCES", "ENOSPC", "EIO", "EROFS", "ESTALE", "ELOOP", "EDQUOT"])
def test_a_local_folder_says_it_plainly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    def fail(*_: object, **__: object) -> int:
        raise OSError(getattr(errno, code), "no")

    monkeypatch.setattr("os.open", fail)
    error_of(lambda: LocalFolder(tmp_path).put("a.csv", b""))


@pytest.mark.parametrize("step", ["connect", "EHLO", "MAIL", "RCPT", "DATA", "end"])
@pytest.mark.parametrize("how", ["421", "451", "550", "552", "554", "535", "drop", "garbage", "slow"])
def test_smtp_says_it_plainly(step: str, how: str) -> None:
    with MailTwin() as twin:
        server = Server.of(twin.settings(timeout_seconds=0.3))
        twin.misbehave(how, at=step)
        error_of(lambda: server.send(letter(), "b@ville.example", "a@ville.example"))


@pytest.mark.parametrize("how", ["535", "454", "530"])
def test_an_smtp_login_that_is_refused_is_said_plainly(how: str) -> None:
    with MailTwin(login=("ville", SECRET)) as twin:
        server = Server.of(twin.settings(timeout_seconds=0.5))
        twin.misbehave(how, at="AUTH")
        error_of(lambda: server.rehearse("a@ville.example"))


@pytest.mark.parametrize(
    "changes", [{"host": "nulle-part.invalid", "security": "tls"}, {"security": "tls"}, {"security": "starttls"}]
)
def test_an_smtp_server_that_is_not_there_or_not_safe_is_said_plainly(changes: dict[str, Any]) -> None:
    with MailTwin() as twin:
        error_of(lambda: Server.of(twin.settings(timeout_seconds=0.5) | changes).rehearse("a@ville.example"))
        settings = twin.settings(timeout_seconds=0.5)
    error_of(lambda: Server.of(settings | {"port": free_port()}).rehearse("a@ville.example"))


@pytest.mark.parametrize(
    "sentence",
    [
        "GET 127.0.0.1:8080: no answer in time", "Koha ne répond pas (ConnectError)", "voir https://ville.example",
        "le dossier /srv/depot est plein", "localhost ne répond pas", "the server refused", "ville.example:443 absent",
        "le dossier est plein (ENOSPC)", "",
    ],
)  # fmt: skip
def test_what_no_citizen_should_read_is_found(sentence: str) -> None:
    assert unfit_for_a_timeline(sentence) is not None
