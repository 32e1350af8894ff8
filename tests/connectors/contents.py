"""Bad things inside what is otherwise well spoken: documents, files, forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from connectors.etatcivil.connector import EtatCivil
from connectors.etatcivil.twin import CivilStatusTwin
from connectors.filedrop.connector import FileDrop
from connectors.filedrop.twin import PackageTwin
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import DAUGHTER, FATHER, File, HubEETwin, civil_record_form
from connectors.mail.connector import Mail
from connectors.mail.twin import MailTwin
from connectors.publik.connector import Publik
from tests.connectors.etatcivil.requests import delivery as record_request
from tests.connectors.etatcivil.requests import request as record
from tests.connectors.mail.test_mail import delivery as message
from tests.connectors.publik.scene import fixture, pushed, settings
from tests.connectors.staging import Stage, outcome_of, over_http, over_sftp, said
from tests.support.context import NOON, context_for
from tests.support.documents import MemoryDocuments


@dataclass(frozen=True)
class Content:
    """Something bad inside what is otherwise well spoken. `act` says the outcome, having checked that nothing of it was
    kept."""

    connector: str
    what: str
    act: Callable[[], str]

    @property
    def title(self) -> str:
        return f"{self.connector}: {self.what}"


def hubee_content(*files: File, email: str = "o@courriel.example") -> Callable[[], str]:
    """A case with these attachments, next to a sound one."""

    def act() -> str:
        with HubEETwin() as twin, ExitStack() as stack:
            documents = MemoryDocuments()
            twin.add_case(list(files), email=email)
            connector = HubEEConnector(context_for("hubee", twin.settings(), documents=documents))
            stack.callback(connector.close)
            stage = over_http(twin, connector, "")
            error = outcome_of(stage.act)
            assert len(twin.notifications) == (1 if error else 0), "the notification must stay with its fault"
            if error is None:
                [event] = stage.events.values()
                names = ", ".join(document["name"] for document in event.data["request"]["documents"])
                return f"taken: {names}"
            assert documents.contents == {}, "something was stored"
            return f"{said(error)}: {str(error).rpartition(': ')[2]}; HubEE keeps the case"

    return act


def record_form(content: bytes) -> File:
    return File("ActeEtatCivil-XML.xml", "ActeEtatCivil-XML", "application/xml", content)


def pushed_content(body: object, *, secure: Mapping[str, Any] | None = None, times: int = 1) -> Callable[[], str]:
    def act() -> str:
        documents = MemoryDocuments()
        connector = Publik(context_for("publik", settings(), documents=documents))
        inbound = pushed(body, **(secure or {}))
        for _ in range(times - 1):
            connector.receive(inbound)
            documents.contents.clear()
        error = outcome_of(lambda: connector.receive(inbound))
        if error is None:
            names = ", ".join(name for name in _names_of(connector, body))
            return f"taken: {names}"
        assert documents.contents == {}, "something was stored"
        status, answer = connector.refusal(error)
        return f"{said(error)}: HTTP {status}, `{answer['err_class']}`"

    return act


def _names_of(connector: Publik, body: object) -> list[str]:
    [request] = [
        event.data["request"]
        for event in connector.receive(pushed(body, nonce="another")).polled.events
        if event.type == "request.received"
    ]
    return [document["name"] for document in request["documents"]]


def form(**changes: Any) -> dict[str, Any]:
    return fixture() | changes


def with_file(**changes: Any) -> dict[str, Any]:
    body = fixture()
    name = next(name for name, value in body["fields"].items() if isinstance(value, dict) and "filename" in value)
    fields = body["fields"] | {name: body["fields"][name] | changes}
    return body | {"fields": fields}


def returned(name: str, content: bytes | None) -> Callable[[], str]:
    """A file left in the civil-status return folder; None: a link to a file of the machine."""

    def act() -> str:
        with CivilStatusTwin() as office, ExitStack() as stack:
            connector = EtatCivil(context_for("etatcivil", office.connection_settings(settled="rename")))
            stack.callback(connector.close)
            return left(office.returns, name, content, over_sftp(office.sftp, connector))

    return act


def news(name: str, content: bytes | None) -> Callable[[], str]:
    def act() -> str:
        with PackageTwin() as package, ExitStack() as stack:
            connector = FileDrop(context_for("filedrop", package.connection_settings(settled="rename")))
            stack.callback(connector.close)
            return left(package.returns, name, content, over_sftp(package.sftp, connector))

    return act


def left(returns: Path, name: str, content: bytes | None, stage: Stage) -> str:
    if content is None:
        (returns / name).symlink_to("/etc/hostname")
    else:
        (returns / name).write_bytes(content)
    error = outcome_of(stage.act)
    assert error is None, f"{error!r} stops the others"
    if stage.events:
        return f"{len(stage.events)} line taken; `erreurs`: {_motive(returns)}"
    return f"`erreurs`: {_motive(returns)}" if (returns / "erreurs").exists() else "left alone"


def _motive(returns: Path) -> str:
    [path] = (returns / "erreurs").glob("*.motif.txt")
    return "; ".join(path.read_text(encoding="utf-8").split("\n")).strip("; ")


def sent_with(name: str, spoilt: bool = False) -> Callable[[], str]:
    """A message with a document of this name."""

    def act() -> str:
        with MailTwin() as twin:
            documents = MemoryDocuments()
            document = documents.store(b"%PDF", name=name, media_type="application/pdf")
            documents.contents[document.id] = b"%PDX" if spoilt else b"%PDF"
            connector = Mail(context_for("mail", twin.settings(), documents=documents))
            error = outcome_of(lambda: connector.handle(message(documents=[document.to_data()])))
            if error is None:
                return f"sent as {', '.join(twin.messages[0].attachments)}"
            assert twin.messages == []
            return f"{said(error)}: {error}"

    return act


def dropped_with(name: str) -> Callable[[], str]:
    """A civil-status request with an attachment of this name; the office opens its ZIP as a stranger's."""

    def act() -> str:
        with CivilStatusTwin() as office, ExitStack() as stack:
            documents = MemoryDocuments()
            document = documents.store(b"%PDF", name=name, media_type="application/pdf")
            connector = EtatCivil(
                context_for("etatcivil", office.connection_settings(settled="rename"), documents=documents)
            )
            stack.callback(connector.close)
            connector.handle(record_request(record(documents=[document.to_data()])))
            office.collect()
            assert office.rejected == []
            [collected] = office.requests.values()
            return f"dropped as {', '.join(collected.attachments)}"

    return act


BOMB = b'<!DOCTYPE a [<!ENTITY b "bbbbbbbb"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'
OUTSIDE = b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'
ZIP = b"PK\x03\x04" + b"\x00" * 60
HEAD = b"reference;statut;date;motif\r\n"
NEWS_HEAD = (
    b"Famille_Identifiant;Responsable_1_Adresse;Responsable_1_Code_postal;Responsable_1_Ville;Date_Modification\r\n"
)
PDF = ("ActeEtatCivil-PDF", "application/pdf", b"%PDF")
SOUND_FORM = civil_record_form(
    kind="NAISSANCE", excerpt="COPIE-INTEGRALE", holder=FATHER, requester=DAUGHTER, capacity=("Autre", "Autre"),
    date="1938-05-17",
)  # fmt: skip

CONTENTS: tuple[Content, ...] = (
    Content("hubee", "an XML bomb as attachment", hubee_content(record_form(BOMB))),
    Content("hubee", "XML that names a file of ours", hubee_content(record_form(OUTSIDE))),
    Content("hubee", "XML cut in the middle", hubee_content(record_form(SOUND_FORM[:200]))),
    Content("hubee", "XML nested 5000 deep", hubee_content(record_form(b"<a>" * 5000 + b"</a>" * 5000))),
    Content("hubee", "a request without its form", hubee_content(File("a.pdf", *PDF))),
    Content(
        "hubee", "an attachment that does not match its digest",
        hubee_content(record_form(SOUND_FORM), File("a.pdf", *PDF, digest="wrong")),
    ),
    Content(
        "hubee", "an attachment above 10 MiB",
        hubee_content(record_form(SOUND_FORM), File("a.pdf", PDF[0], PDF[1], b"x" * (10 * 1024 * 1024 + 1))),
    ),
    Content(
        "hubee", "an attachment named `../../etc/cron.d/a`",
        hubee_content(record_form(SOUND_FORM), File("../../etc/cron.d/a", *PDF)),
    ),
    Content("publik", "a push that is no JSON", pushed_content(b"\x00{[")),
    Content("publik", "a push nested 100 000 deep", pushed_content(b"[" * 100_000 + b"]" * 100_000)),
    Content("publik", "a push that is no form", pushed_content([1, 2])),
    Content("publik", "a form whose number is `../1`", pushed_content(form(id="../1"))),
    Content("publik", "a form whose date cannot be read", pushed_content(form(receipt_time="hier"))),
    Content("publik", "a file that is no base64", pushed_content(with_file(content="é"))),
    Content("publik", "a file above 10 MiB", pushed_content(with_file(content="A" * 14 * 1024 * 1024))),
    Content("publik", "a file named `..\\..\\boot.ini`", pushed_content(with_file(filename="..\\..\\boot.ini"))),
    Content("publik", "a push signed with another key", pushed_content(form(), secure={"key": "autre"})),
    Content("publik", "a push signed an hour ago", pushed_content(form(), secure={"at": NOON - timedelta(hours=1)})),
    Content("publik", "the same push again", pushed_content(form(), times=2)),
    Content("publik", "a form that the connection does not name", pushed_content(form(), secure={"slug": "autre"})),
    Content("etatcivil", "a return file that is a ZIP", returned("retour-a.csv", ZIP)),
    Content("etatcivil", "a ZIP, as for a record", returned("acte.zip", ZIP)),
    Content("etatcivil", "a return file of 9 KiB", returned("retour-a.csv", HEAD + b"x" * 9000)),
    Content("etatcivil", "a return file in another encoding", returned("retour-a.csv", HEAD + b"a;REJETEE;;\xe9")),
    Content("etatcivil", "a return file with two lines", returned("retour-a.csv", HEAD + b"a;b;c;d\r\na;b;c;d")),
    Content("etatcivil", "a return about another request", returned("retour-a.csv", HEAD + b"b;TRAITEE;2026-03-04;")),
    Content(
        "etatcivil", "a return about a request that we never dropped",
        returned("retour-hubee-1-ffff.csv", HEAD + b"hubee-1-ffff;TRAITEE;2026-03-04;"),
    ),
    Content("etatcivil", "a link to a file of the machine", returned("retour-a.csv", None)),
    Content("etatcivil", "a hidden file", returned(".retour-a.csv", HEAD)),
    Content("etatcivil", "an attachment to drop, named `../../x.sh`", dropped_with("../../x.sh")),
    Content("filedrop", "news that are a ZIP", news("nouvelles-1.csv", ZIP)),
    Content("filedrop", "news that are an XML bomb", news("nouvelles-1.csv", BOMB)),
    Content("filedrop", "a file whose name nobody agreed upon", news("virement.csv", b"a;b")),
    Content("filedrop", "news above 5 MiB", news("nouvelles-1.csv", b"x" * (5 * 1024 * 1024 + 1))),
    Content("filedrop", "news in another encoding", news("nouvelles-1.csv", NEWS_HEAD + b"F;\xe9;1;x;01/01/2026")),
    Content(
        "filedrop", "a good line beside two bad ones",
        news("nouvelles-1.csv", NEWS_HEAD + b"F-1;1 rue A;38999;Val;01/01/2026\r\nF-2;x\r\nF-3;1 rue A;38999;Val;hier"),
    ),
    Content("filedrop", "a link to a file of the machine", news("nouvelles-1.csv", None)),
    Content("mail", "a document that changed since it was named", sent_with("a.pdf", spoilt=True)),
    Content("mail", "a document named `../a.pdf`", sent_with("../a.pdf")),
)  # fmt: skip
