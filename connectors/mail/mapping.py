"""From `message.requested`, or what an office must act on, to one e-mail message. Pure."""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime
from typing import Any

from connectors.sdk.documents import media_type
from connectors.sdk.follow_up import FollowUp, read_follow_up
from connectors.sdk.smtp.headers import AddressLine, mail_address
from schemas.delivery import Delivery, StoredDocument
from schemas.errors import Refused

MAX_ATTACHED = 10 * 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_LINK = re.compile(r"https://[^\s<>\"]*[^\s<>\".,;:!?)]")


@dataclass(frozen=True, slots=True)
class Letter:
    """All of a message but the content of its documents."""

    to: str
    to_name: str
    subject: str
    text: str
    message_id: str
    attached: tuple[StoredDocument, ...] = ()


def letter(delivery: Delivery, sender: str) -> Letter:
    """Read the event. The message identifier comes from the delivery's key: what is sent twice shows as one. Raises
    Refused for what cannot be a header, for more than one recipient, and for too large documents."""
    data = delivery.event.data
    to = data["to"]
    return Letter(
        to=_address(to["email"]), to_name=_header(to.get("name", ""), "le nom du destinataire"),
        subject=_header(data["subject"], "l'objet du message"), text=data["text"],
        message_id=_message_id(delivery, sender), attached=_all_attached(data.get("documents", ())),
    )  # fmt: skip


def office_letter(delivery: Delivery, sender: str, office: str | None) -> Letter:
    """What the office that decides must act on. Raises Refused when no address of it is set, and as `letter`."""
    if not office:
        raise Refused(
            "Aucune adresse de service n'est réglée pour ce raccordement.", native="office", fault="refused.office"
        )
    follow_up = read_follow_up(delivery)
    numbers = ", ".join(_one_line(number) for _, number in follow_up.numbers)
    return Letter(
        to=_address(office), to_name="", subject=f"{follow_up.label} : {numbers}"[:200], text=_told(follow_up),
        message_id=_message_id(delivery, sender), attached=_all_attached(follow_up.documents),
    )  # fmt: skip


def _told(follow_up: FollowUp) -> str:
    numbers = [f"- {_one_line(number)} ({system})" for system, number in follow_up.numbers]
    parts = [
        f"{follow_up.label}, le {follow_up.at[:10]}.", "\n".join(["Numéros de la demande :", *numbers]),
        follow_up.said.strip(), follow_up.reason.strip() and f"Motif :\n{follow_up.reason.strip()}",
        "Une suite est attendue de votre service. Répondre à ce message ne la donne pas.",
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()


def _message_id(delivery: Delivery, sender: str) -> str:
    digest = hashlib.sha256(delivery.key.encode()).hexdigest()[:32]
    return f"<{digest}@{sender.rpartition('@')[2]}>"


def _all_attached(documents: Sequence[Mapping[str, Any]]) -> tuple[StoredDocument, ...]:
    attached = tuple(_attached(document) for document in documents)
    if sum(document.size for document in attached) > MAX_ATTACHED:
        raise Refused("les pièces jointes dépassent 10 Mio", native="too-large", fault="refused.too-large")
    return attached


def message(
    letter: Letter, contents: Sequence[bytes], settings: Mapping[str, Any], now: datetime, language: str = "fr"
) -> EmailMessage:
    """The message as it goes out: text in UTF-8, the documents attached in order. Its headers are in UTF-8 too (RFC
    6532) where the recipient's address is."""
    made = EmailMessage(policy=SMTP if letter.to.isascii() else SMTPUTF8)
    made["From"] = AddressLine("From", settings.get("sender_name", ""), settings["sender"])
    made["To"] = AddressLine("To", letter.to_name, letter.to)
    made["Subject"] = letter.subject
    made["Date"] = format_datetime(now)
    made["Message-ID"] = letter.message_id
    made["Content-Language"] = language
    made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence message in return
    if settings.get("reply_to"):
        made["Reply-To"] = AddressLine("Reply-To", "", settings["reply_to"])
    made.set_content(letter.text, cte="quoted-printable")
    if settings.get("html"):
        made.add_alternative(_as_html(letter.text, language), subtype="html", cte="quoted-printable")
    for document, content in zip(letter.attached, contents, strict=True):
        maintype, _, subtype = document.media_type.partition("/")
        made.add_attachment(content, maintype=maintype, subtype=subtype, filename=document.name)
    return made


def _address(text: str) -> str:
    address = mail_address(text)
    if address is None:
        raise Refused("l'adresse du destinataire n'est pas une adresse", native="address", fault="refused.address")
    return address


def _header(text: str, field: str) -> str:
    if _CONTROL.search(text):
        said = f"{field} contient un retour à la ligne ou un caractère de contrôle"
        raise Refused(said, native="header", fault="refused.header")
    return text.strip()


def _attached(document: Mapping[str, Any]) -> StoredDocument:
    name = _header(document["name"], "le nom d'une pièce jointe").replace("/", "_").replace("\\", "_")
    media = media_type(document["media_type"].lower())
    if media.startswith(("multipart/", "message/")):
        media = media_type(None)
    return StoredDocument(document["id"], name, media, document["size"], document["sha256"])


def _as_html(text: str, language: str) -> str:
    paragraphs = re.split(r"\n\s*\n", text.strip())
    body = "\n".join(f"<p>{_linked(paragraph)}</p>" for paragraph in paragraphs)
    return (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8"></head><body>\n{body}\n</body></html>\n'
    )


def _linked(paragraph: str) -> str:
    parts: list[str] = []
    end = 0
    for match in _LINK.finditer(paragraph):
        address = html.escape(match.group())
        parts += [html.escape(paragraph[end : match.start()]), f'<a href="{address}">{address}</a>']
        end = match.end()
    return "".join([*parts, html.escape(paragraph[end:])]).replace("\n", "<br>\n")
