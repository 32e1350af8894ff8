"""Messages to people: acknowledgements and decisions, one recipient each; to an office, what it must act on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from connectors.mail import mapping
from connectors.mail.mapping import Letter
from connectors.sdk.connector import Connector, Context
from connectors.sdk.smtp.client import Server
from connectors.sdk.smtp.headers import mail_address
from schemas.delivery import Delivery, Done, Probe, StoredDocument
from schemas.errors import AccessDenied, ConfigError, HubError, Refused

_NO_LOGIN = "Le serveur de messagerie refuse la connexion : identifiant ou mot de passe à vérifier."
_NOT_FROM_US = (
    "Le serveur de messagerie répond mais ne prend pas nos messages : l'adresse d'expédition et cette machine sont à y"
    " faire autoriser."
)


class Mail(Connector):
    """Sends `message.requested` by SMTP, and what an office must act on to the address set for it. SMTP knows no key of
    ours: a message whose answer was lost is not sent again by itself (`Unknown`), a person decides; its Message-ID
    tells them what to look for in the server's log."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.server = Server.of(context.settings)
        _check_addresses(context.settings)

    def probe(self) -> Probe:
        try:
            self.server.rehearse(self.settings["sender"])
        except AccessDenied as error:
            return Probe(False, _NO_LOGIN if error.fault == "denied.login" else _NOT_FROM_US)
        except HubError:
            return Probe(False, "Le serveur de messagerie ne répond pas, ou pas comme attendu.")
        return Probe(True, "Le serveur de messagerie répond et prend les messages de notre adresse.")

    def prepare(self, delivery: Delivery) -> Letter:
        if delivery.event.type == "message.requested":
            return mapping.letter(delivery, self.settings["sender"])
        return mapping.office_letter(delivery, self.settings["sender"], self.settings.get("office"))

    def send(self, delivery: Delivery, prepared: Letter) -> Done:
        contents = self._contents(prepared.attached)
        message = mapping.message(prepared, contents, self.settings, self.context.now())
        self.server.send(message, self.settings["sender"], prepared.to)
        return Done(answer=f"Message remis au serveur de messagerie{_with(len(contents))}.")

    def _contents(self, attached: Sequence[StoredDocument]) -> list[bytes]:
        contents = [self.context.documents.read(document.id) for document in attached]
        if sum(map(len, contents)) > mapping.MAX_ATTACHED:
            raise Refused("les pièces jointes dépassent 10 Mio", native="too-large", fault="refused.too-large")
        for document, content in zip(attached, contents, strict=True):
            if hashlib.sha256(content).hexdigest() != document.sha256:
                raise Refused("une pièce jointe n'a pas l'empreinte annoncée", native="digest", fault="refused.digest")
        return contents


def _check_addresses(settings: Mapping[str, Any]) -> None:
    """What is wrong with an address of ours would be wrong with every message."""
    for key in ("sender", "reply_to", "office"):
        address = settings.get(key)
        if address is not None and (not address.isascii() or mail_address(address) is None):
            raise ConfigError("adresse en lettres sans accent attendue, par exemple accueil@ville.fr", key=key)


def _with(documents: int) -> str:
    if not documents:
        return ""
    return f", avec {documents} pièce{'s' if documents > 1 else ''} jointe{'s' if documents > 1 else ''}"
