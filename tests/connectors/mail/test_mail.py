"""Messages to people, against the twin and against a real mail server."""

from __future__ import annotations

import hashlib
import json
import logging
import socket
import ssl
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message as MessageHandler
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from connectors.conformance.case import MemoryDocuments
from connectors.conformance.examples import document_came, reopened
from connectors.mail.connector import Mail
from connectors.mail.mapping import MAX_ATTACHED
from connectors.mail.twin import MailTwin
from connectors.sdk import find_manifests
from schemas.delivery import Delivery, Done, StoredDocument
from schemas.errors import AccessDenied, ConfigError, HubError, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.registry import Registry
from schemas.secret import Secret
from tests.support.context import context_for
from tests.support.dribble import Stopwatch, dribbling
from tests.support.patience import LONG, patience

MESSAGE = json.loads((Path(__file__).parent / "fixtures" / "message.json").read_text(encoding="utf-8"))


def delivery(key: str = "d-1", **changes: Any) -> Delivery:
    return Delivery(event=Event("message.requested", "/saint-aubin/hub", MESSAGE | changes, id="e-1"), key=key)


def mail(twin: MailTwin, documents: MemoryDocuments | None = None, **settings: Any) -> Mail:
    wanted = twin.settings(**{"timeout_seconds": LONG} | settings)
    return Mail(context_for("mail", wanted, documents=documents))


@pytest.fixture
def twin() -> Iterator[MailTwin]:
    with MailTwin() as twin:
        yield twin


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1, its own authority, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "jumeau")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path_factory.mktemp("tls") / "jumeau.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


def serving(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


def attached(documents: MemoryDocuments, content: bytes, name: str, media_type: str) -> StoredDocument:
    return documents.store(content, name=name, media_type=media_type)


# what is sent


def test_a_message_reaches_the_person(twin: MailTwin) -> None:
    done = mail(twin).handle(delivery())
    assert done == Done(answer="Message remis au serveur de messagerie.")
    (taken,) = twin.messages
    assert (taken.sender, taken.recipients) == (
        "ne-pas-repondre@ville.example",
        ("maelle.corvisart@courriel.example",),
    )
    assert taken.message["To"] == "Maëlle Corvisart <maelle.corvisart@courriel.example>"
    assert taken.message["From"] == "Ville de Saint-Aubin <ne-pas-repondre@ville.example>"
    assert taken.message["Subject"] == MESSAGE["subject"]
    assert taken.message["Date"] == "Mon, 02 Mar 2026 12:00:00 +0000"
    assert taken.message["Auto-Submitted"] == "auto-generated"
    assert taken.text.strip() == MESSAGE["text"]
    assert taken.message.get_content_type() == "text/plain"
    assert all(byte < 128 for byte in taken.raw)


def test_the_fixture_is_a_valid_event() -> None:
    Registry.load().validate(delivery().event)


def test_a_message_sent_twice_shows_as_one(twin: MailTwin) -> None:
    mail(twin).handle(delivery("d-1"))
    mail(twin).handle(delivery("d-1"))
    mail(twin).handle(delivery("d-2"))
    ids = [taken.message["Message-ID"] for taken in twin.messages]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@ville.example>")


def test_documents_are_attached_as_they_are(twin: MailTwin) -> None:
    documents = MemoryDocuments()
    pdf = attached(documents, b"%PDF-1.4\r\n.\r\n\x00\xff", "arrêté n° 12.pdf", "application/pdf")
    note = attached(documents, "né\n.\n".encode("latin-1"), "note.txt", "text/plain; charset=iso-8859-1")
    done = mail(twin, documents).handle(delivery(documents=[pdf.to_data(), note.to_data()]))
    assert done.answer == "Message remis au serveur de messagerie, avec 2 pièces jointes."
    assert twin.messages[0].attachments == {
        "arrêté n° 12.pdf": b"%PDF-1.4\r\n.\r\n\x00\xff",
        "note.txt": "né\n.\n".encode("latin-1"),
    }


def test_an_html_version_says_the_same_and_nothing_else(twin: MailTwin) -> None:
    mail(twin, html=True).handle(delivery())
    html = twin.messages[0].message.get_body(("html",))
    assert html is not None
    content = html.get_content()
    assert "&lt;La mairie&gt;" in content
    assert '<a href="https://demarches.ville.example/77?a=1&amp;b=2">' in content
    assert twin.messages[0].text.strip() == MESSAGE["text"]


def test_answers_go_where_the_setting_says(twin: MailTwin) -> None:
    mail(twin, reply_to="voirie@ville.example").handle(delivery())
    assert twin.messages[0].message["Reply-To"] == "voirie@ville.example"


def test_an_accented_domain_is_written_for_servers(twin: MailTwin) -> None:
    mail(twin).handle(delivery(to={"email": "a.b@café.example"}))
    assert twin.messages[0].recipients == ("a.b@xn--caf-dma.example",)


# what is refused before anything is sent


@pytest.mark.parametrize(
    "email",
    [
        "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", "a@b.example c@d.example", "<a@b.example>",
        "a@b", "a", "@b.example", "a@", "a@b..example", 'x" <a@b.example>', "a" * 65 + "@b.example", "",
    ],
)  # fmt: skip
def test_what_is_not_one_address_is_refused(twin: MailTwin, email: str) -> None:
    with pytest.raises(Refused) as caught:
        mail(twin).handle(delivery(to={"email": email}))
    assert twin.commands == []
    assert len(email) < 4 or email not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": "Bonjour\r\nBcc: c@d.example"},
        {"subject": "Bonjour\nX: y"},
        {"subject": "Bonjour\u2028X: y"},
        {"to": {"email": "a@b.example", "name": "A\r\nBcc: c@d.example"}},
    ],
)
def test_a_header_cannot_be_slipped_in(twin: MailTwin, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused) as caught:
        mail(twin).handle(delivery(**changes))
    assert caught.value.native == "header"
    assert twin.commands == []


def test_a_name_that_looks_like_an_address_stays_a_name(twin: MailTwin) -> None:
    mail(twin).handle(delivery(to={"email": "a@b.example", "name": "Corvisart, M. <c@d.example>"}))
    assert [address.addr_spec for address in twin.messages[0].message["To"].addresses] == ["a@b.example"]


def test_an_attachment_cannot_slip_in_a_header_or_a_path(twin: MailTwin) -> None:
    documents = MemoryDocuments()
    pdf = attached(documents, b"x", "../a\\b.pdf", "multipart/mixed; boundary=x")
    mail(twin, documents).handle(delivery(documents=[pdf.to_data()]))
    (part,) = twin.messages[0].message.iter_attachments()
    assert part.get_content_type() == "application/octet-stream"
    assert part.get_filename() == ".._a_b.pdf"


def test_documents_beyond_ten_mebibytes_are_refused(twin: MailTwin) -> None:
    documents = MemoryDocuments()
    half = attached(documents, b"x" * (MAX_ATTACHED // 2), "a.bin", "application/octet-stream")
    more = attached(documents, b"y" * (MAX_ATTACHED // 2 + 1), "b.bin", "application/octet-stream")
    for said in (more.to_data(), more.to_data() | {"size": 1}):
        with pytest.raises(Refused) as caught:
            mail(twin, documents).handle(delivery(documents=[half.to_data(), said]))
        assert caught.value.native == "too-large"
    assert twin.commands == []


def test_a_document_that_changed_is_not_sent(twin: MailTwin) -> None:
    documents = MemoryDocuments()
    pdf = attached(documents, b"%PDF", "a.pdf", "application/pdf")
    documents.contents[pdf.id] = b"%PDX"
    assert hashlib.sha256(b"%PDX").hexdigest() != pdf.sha256
    with pytest.raises(Refused) as caught:
        mail(twin, documents).handle(delivery(documents=[pdf.to_data()]))
    assert caught.value.native == "digest"


# what goes wrong


@pytest.mark.parametrize(
    ("at", "how", "outcome"),
    [
        ("connect", "421", TryLater), ("connect", "554", TryLater), ("connect", "drop", TryLater),
        ("connect", "slow", TryLater), ("connect", "garbage", TryLater), ("EHLO", "421", TryLater),
        ("EHLO", "drop", TryLater), ("EHLO", "slow", TryLater), ("MAIL", "421", TryLater), ("MAIL", "451", TryLater),
        ("MAIL", "drop", TryLater), ("MAIL", "550", AccessDenied), ("MAIL", "530", AccessDenied),
        ("MAIL", "552", Refused), ("RCPT", "450", TryLater), ("RCPT", "421", TryLater), ("RCPT", "drop", TryLater),
        ("RCPT", "slow", TryLater), ("RCPT", "garbage", TryLater), ("RCPT", "550", Refused), ("RCPT", "553", Refused),
        ("DATA", "451", TryLater), ("DATA", "554", Refused), ("DATA", "drop", TryLater), ("DATA", "250", TryLater),
        ("end", "421", TryLater), ("end", "451", TryLater), ("end", "552", Refused), ("end", "554", Refused),
        ("end", "drop", Unknown), ("end", "lose", Unknown), ("end", "slow", Unknown), ("end", "garbage", Unknown),
        ("end", "354", Unknown),
    ],
)  # fmt: skip
def test_each_misfortune_has_its_outcome(twin: MailTwin, at: str, how: str, outcome: type[HubError]) -> None:
    twin.misbehave(how, at=at)
    connection = mail(twin, timeout_seconds=patience(how))
    with pytest.raises(outcome) as caught:
        connection.handle(delivery())
    assert len(twin.messages) == (1 if how == "lose" else 0)
    assert "corvisart" not in str(caught.value).lower()
    if outcome is Refused:
        assert getattr(caught.value, "native", "") == how
    connection.handle(delivery())
    assert twin.messages[-1].recipients == ("maelle.corvisart@courriel.example",)


def test_a_message_cut_before_its_end_was_surely_not_taken(twin: MailTwin) -> None:
    documents = MemoryDocuments()
    big = attached(documents, b"x" * 8_000_000, "a.bin", "application/octet-stream")
    twin.misbehave("drop", at="text")
    with pytest.raises(TryLater):
        mail(twin, documents).handle(delivery(documents=[big.to_data()]))
    assert twin.messages == []


def test_a_closed_port_surely_had_no_effect(twin: MailTwin) -> None:
    connection = mail(twin)
    twin.stop()
    with pytest.raises(TryLater):
        connection.handle(delivery())
    assert not connection.probe().ok


def test_a_wrong_password_asks_for_a_human() -> None:
    with MailTwin(login=("ville", "s3cret")) as twin:
        mail(twin).handle(delivery())
        wrong = mail(twin, password=Secret("autre"))
        with pytest.raises(AccessDenied):
            wrong.handle(delivery())
        assert "mot de passe" in wrong.probe().detail
        twin.misbehave("454", at="AUTH")
        with pytest.raises(TryLater):
            mail(twin).handle(delivery())
        assert len(twin.messages) == 1


def test_a_server_that_offers_no_login_asks_for_a_human(twin: MailTwin) -> None:
    with pytest.raises(AccessDenied):
        mail(twin, user="ville", password=Secret("s3cret")).handle(delivery())


def test_a_probe_sends_nothing(twin: MailTwin) -> None:
    assert mail(twin).probe().ok
    assert twin.commands == ["EHLO", "MAIL", "RCPT", "RSET", "QUIT"]
    assert twin.messages == []


# in the dark or not at all


def test_nothing_goes_in_clear_beyond_this_machine(twin: MailTwin) -> None:
    for host in ("smtp.ville.example", "192.0.2.1", "localhost.example"):
        with pytest.raises(ConfigError):
            mail(twin, host=host)


def test_a_user_without_password_is_a_fault_of_the_settings(twin: MailTwin) -> None:
    with pytest.raises(ConfigError):
        mail(twin, user="ville")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_message_goes_through_tls(certificate: Path, wrapped: bool) -> None:
    with MailTwin(login=("ville", "s3cret"), tls=serving(certificate), wrapped=wrapped) as twin:
        mail(twin, ca_file=str(certificate)).handle(delivery())
        assert len(twin.messages) == 1


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_server_that_cannot_prove_who_it_is_gets_nothing(certificate: Path, wrapped: bool) -> None:
    with MailTwin(login=("ville", "s3cret"), tls=serving(certificate), wrapped=wrapped) as twin:
        with pytest.raises(TryLater):
            mail(twin).handle(delivery())
        assert {"AUTH", "MAIL"}.isdisjoint(twin.commands)


def test_a_server_that_stops_offering_starttls_gets_nothing(twin: MailTwin) -> None:
    with pytest.raises(TryLater, match="STARTTLS"):
        mail(twin, security="starttls").handle(delivery())
    assert "MAIL" not in twin.commands


def test_nobody_is_named_in_logs(twin: MailTwin, caplog: pytest.LogCaptureFixture) -> None:
    twin.misbehave("550 <maelle.corvisart@courriel.example> inconnue", at="RCPT")
    with caplog.at_level(logging.DEBUG), pytest.raises(Refused):
        mail(twin).handle(delivery())
    assert "corvisart" not in caplog.text.lower()


def test_several_messages_go_at_once(twin: MailTwin) -> None:
    connection = mail(twin)
    threads = [threading.Thread(target=connection.handle, args=(delivery(f"d-{n}"),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({taken.message["Message-ID"] for taken in twin.messages}) == 6


def test_the_twin_keeps_its_port_and_messages_through_an_outage(twin: MailTwin) -> None:
    connection = mail(twin)
    connection.handle(delivery("d-1"))
    twin.stop()
    with pytest.raises(TryLater):
        connection.handle(delivery("d-2"))
    twin.start()
    connection.handle(delivery("d-2"))
    assert len(twin.messages) == 2


def test_settings_are_described_in_french() -> None:
    settings = find_manifests()["mail"].settings["properties"]
    assert all(one["description"].endswith(".") for one in settings.values())


# a real server


class Keeping(MessageHandler):
    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Any] = []

    def handle_message(self, message: Any) -> None:
        self.kept.append(message)


def test_a_real_server_takes_our_messages(certificate: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    keeping = Keeping()

    def known(server: Any, session: Any, envelope: Any, mechanism: str, given: LoginPassword) -> AuthResult:
        return AuthResult(success=(given.login, given.password) == (b"ville", b"s3cret"), handled=False)

    controller = Controller(
        keeping, hostname="127.0.0.1", port=port, tls_context=serving(certificate), require_starttls=True,
        authenticator=known, auth_required=True, data_size_limit=20_000_000, enable_SMTPUTF8=True,
    )  # fmt: skip
    controller.start()
    try:
        settings = {
            "host": "127.0.0.1", "port": port, "security": "starttls", "ca_file": str(certificate), "user": "ville",
            "password": Secret("s3cret"), "sender": "ne-pas-repondre@ville.example", "timeout_seconds": 10,
        }  # fmt: skip
        documents = MemoryDocuments()
        pdf = attached(documents, b"%PDF" * 500_000, "arrêté.pdf", "application/pdf")
        connection = Mail(context_for("mail", settings, documents=documents))
        assert connection.probe().ok
        connection.handle(delivery(documents=[pdf.to_data()]))
        connection.handle(delivery("d-2", to={"email": "élodie@café.example", "name": "Élodie, accueil"}))
        with pytest.raises(AccessDenied):
            Mail(context_for("mail", settings | {"password": Secret("autre")})).handle(delivery())
    finally:
        controller.stop()
    message, accented = keeping.kept
    assert accented["X-RcptTo"] == "élodie@xn--caf-dma.example"
    text, attachment = message.get_payload()
    assert text.get_payload(decode=True).decode().replace("\r\n", "\n").strip() == MESSAGE["text"]
    assert attachment.get_payload(decode=True) == b"%PDF" * 500_000


def test_an_office_is_told_what_it_must_act_on(twin: MailTwin) -> None:
    documents = MemoryDocuments()
    documents.store(b"%PDF identity", name="x", media_type="application/pdf")
    connector = mail(twin, documents, office="etat-civil@ville.example")
    for delivery_ in (reopened(), document_came(b"%PDF identity")):
        connector.handle(delivery_)
    again, document = twin.messages
    assert again.recipients == document.recipients == ("etat-civil@ville.example",)
    assert again.message["Subject"] == "Demande reprise : 0d5c1f7e, A-2026-1"
    assert "La copie reçue est illisible." in again.text
    assert "- A-2026-1 (hubee.osl)" in again.text
    assert document.message["Subject"] == "Pièce reçue : 0d5c1f7e, A-2026-1"
    assert document.attachments == {"Pièce d'identité.pdf": b"%PDF identity"}


def test_without_an_address_of_the_office_it_is_refused(twin: MailTwin) -> None:
    with pytest.raises(Refused, match="Aucune adresse de service"):
        mail(twin).handle(reopened())


def test_a_number_cannot_slip_a_header_in(twin: MailTwin) -> None:
    link = {"references": [{"system": "portail", "id": "1\r\nBcc: a@ville.example"}]}
    mail(twin, office="etat-civil@ville.example").handle(reopened(request=link))
    [sent] = twin.messages
    assert "Bcc" not in sent.message


@pytest.mark.parametrize(
    ("at_once", "slowly", "security"),
    [
        (b"", b"220-welcome\r\n", "none"),
        (b"", b"220 mail", "none"),
        (b"220 mail\r\n250-mail\r\n", b"250-X\r\n", "none"),
        (b"220 mail\r\n250 STARTTLS\r\n220 go\r\n", b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", "starttls"),
        (b"", b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb", "tls"),
    ],
)
def test_a_server_that_speaks_byte_by_byte_is_given_up_and_nothing_was_sent(
    twin: MailTwin, at_once: bytes, slowly: bytes, security: str
) -> None:
    with dribbling(slowly, at_once=at_once, listen_first=False) as port:
        connector = Mail(context_for("mail", twin.settings(timeout_seconds=0.25, port=port, security=security)))
        with Stopwatch() as took, pytest.raises(TryLater):
            connector.handle(delivery())
    assert took.seconds < 1.5


def test_an_answer_to_the_text_that_comes_byte_by_byte_leaves_the_outcome_unknown(twin: MailTwin) -> None:
    replies = b"220 mail\r\n250 mail\r\n250 ok\r\n250 ok\r\n354 go\r\n"
    with dribbling(b"2", at_once=replies, listen_first=False) as port:
        connector = Mail(context_for("mail", twin.settings(timeout_seconds=0.25, port=port, security="none")))
        with Stopwatch() as took, pytest.raises(Unknown):
            connector.handle(delivery())
    assert took.seconds < 1.5


def test_greeting_a_server_asks_no_name_server_for_our_own_name(
    twin: MailTwin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object) -> str:
        raise AssertionError("the name servers were asked")

    monkeypatch.setattr(socket, "getfqdn", asked)
    monkeypatch.setattr(socket, "gethostbyname", asked)
    assert isinstance(mail(twin).handle(delivery()), Done)
