"""Every misbehaviour of every twin, at every call that a connector makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from unittest.mock import patch

from connectors.apiimpot.connector import ApiImpotConnector
from connectors.apiimpot.twin import ApiImpotTwin
from connectors.apiparticulier.connector import ApiParticulierConnector
from connectors.apiparticulier.twin import TOKEN, ApiParticulierTwin
from connectors.etatcivil.connector import EtatCivil
from connectors.etatcivil.twin import CivilStatusTwin
from connectors.filedrop.connector import FileDrop
from connectors.filedrop.twin import PackageTwin
from connectors.hubee.client import HubEE
from connectors.hubee.connector import HubEEConnector
from connectors.hubee.twin import HubEETwin
from connectors.iparapheur.connector import SignatureBook
from connectors.iparapheur.twin import ParapheurTwin
from connectors.koha.connector import Koha
from connectors.koha.twin import KohaTwin
from connectors.mail.connector import Mail
from connectors.mail.twin import MailTwin
from connectors.publik.connector import Publik
from connectors.publik.twin import PublikTwin
from connectors.sdk import Secret
from connectors.webhook.connector import Webhook
from schemas.delivery import Delivery
from schemas.event import Event
from tests.connectors.apiimpot.test_apiimpot import by_number
from tests.connectors.apiparticulier.test_apiparticulier import question as asked_of
from tests.connectors.etatcivil.requests import delivery as record_request
from tests.connectors.etatcivil.requests import request as record
from tests.connectors.filedrop.events import moved
from tests.connectors.iparapheur.test_iparapheur import delivery as act_to_sign
from tests.connectors.koha.test_koha import CARD, move
from tests.connectors.koha.test_koha import about as card_of
from tests.connectors.koha.test_koha import settings as koha_settings
from tests.connectors.mail.test_mail import delivery as message
from tests.connectors.publik.scene import CANTEEN, MEALS, PARENT, SLUG, fixture, settings, status
from tests.connectors.publik.scene import about as meals_of
from tests.connectors.staging import TIMEOUT, Stage, outcome_of, over_http, over_sftp, said
from tests.connectors.webhook.test_webhook import settings as webhook_settings
from tests.connectors.webhook.test_webhook import subscriber, told
from tests.support.context import NOON, context_for
from tests.support.documents import MemoryDocuments

HTTP: Mapping[str, str] = {
    "refuse": "the port is closed",
    "drop": "cut before any work",
    "timeout": "no work, no answer in time",
    "late": "work done, answer after the deadline",
    "lose_answer": "work done, answer lost",
    "half": "work done, half an answer",
    "html": "200 with a web page",
    "garbage": "200 with bytes of no format",
    "empty": "200 with nothing",
    "bomb": "200 with an XML bomb",
    "inside": "200 with an error inside",
    "302": "302 to elsewhere",
    "401": "401, and again",
    "403": "403",
    "404": "404",
    "429": "429, `Retry-After: 7`",
    "500": "500",
    "503": "503",
}
SFTP: Mapping[str, str] = {
    "refuse": "the port is closed",
    "password": "the password is refused",
    "denied": "the file may not be opened",
    "slow": "no answer in time",
    "full": "the disk is full",
    "cut": "cut in the middle of the file",
    "cut-rename": "file renamed, answer lost",
}
SMTP: Mapping[str, str] = {
    "refuse": "the port is closed",
    "drop": "cut",
    "slow": "no reply in time",
    "garbage": "no reply of SMTP",
    "421": "421 and cut",
    "451": "451",
    "535": "535, the password is refused",
    "550": "550",
    "lose": "message taken, reply lost",
}


@dataclass(frozen=True)
class Column:
    """One call of a connector, and how each misbehaviour of it is played. `skipped`: what cannot happen at this call.
    `believed`: a success that is no proof of the work, where the other side's word is all there is."""

    connector: str
    title: str
    kinds: Mapping[str, str]
    make: Callable[[ExitStack], Stage]
    skipped: Sequence[str] = ()
    believed: Sequence[str] = ()

    def cell(self, kind: str) -> str:
        """What the connector says of `kind`, as the page says it. AssertionError when the work is not once done."""
        if kind in self.skipped:
            return "·"
        with ExitStack() as stack:
            stack.enter_context(patch.object(HubEE, "timeout", TIMEOUT))
            stage = self.make(stack)
            stack.callback(stage.connector.close)
            stage.spoil(kind)
            error = outcome_of(stage.act)
            stage.mend()
            if kind not in self.believed:
                stage.settle(error)
            return said(error)


# HubEE


def hubee_poll(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin, documents = stack.enter_context(HubEETwin()), MemoryDocuments()
        twin.add_civil_record_request()
        connector = HubEEConnector(context_for("hubee", twin.settings(), documents=documents))
        return over_http(twin, connector, on, documents=documents)

    return make


def hubee_tell(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin = stack.enter_context(HubEETwin())
        case = twin.add_civil_record_request()
        link = {"references": [{"system": "hubee", "id": case}]}
        data = {"request": link, "status": "transferred", "native": {"code": "DEPOSEE", "label": "Déposée"}}
        delivery = Delivery(Event("request.status-changed", "/saint-aubin/etatcivil", data), "d-1", case)
        connector = HubEEConnector(context_for("hubee", twin.settings()))
        return over_http(twin, connector, on, delivery, lambda: len(twin.announced(case)))

    return make


# Publik


def publik_poll(stack: ExitStack) -> Stage:
    twin, documents = stack.enter_context(PublikTwin(now=NOON)), MemoryDocuments()
    twin.submit(SLUG, fixture()["fields"], user=fixture()["user"], received="2026-03-02T10:14:05")
    connector = Publik(context_for("publik", settings(twin.url, forms=FORMS), documents=documents))
    return over_http(twin, connector, "GET", due=3, documents=documents)


def publik_tell(stack: ExitStack) -> Stage:
    twin = stack.enter_context(PublikTwin(now=NOON))
    filed = twin.submit(SLUG, {})
    connector = Publik(context_for("publik", settings(twin.url)))
    return over_http(twin, connector, "jump", status(f"{SLUG}/{filed.number}"), lambda: len(filed.jumps))


def publik_ask(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin = stack.enter_context(PublikTwin(now=NOON))
        twin.submit("cantine", MEALS, user={"NameID": [PARENT]}).status = "open"
        connector = Publik(context_for("publik", settings(twin.url, canteen=CANTEEN)))
        return over_http(twin, connector, on, question=meals_of())

    return make


FORMS = {SLUG: settings()["forms"][SLUG]}


# Koha


def koha_poll(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin = stack.enter_context(KohaTwin(now=NOON - timedelta(hours=1)))
        twin.add(CARD, address="7 place du Marché", postal_code="93001", city="Saint-Aubin")
        return over_http(twin, Koha(context_for("koha", koha_settings(twin.base, catch_up_days=1))), on)

    return make


def koha_write(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin = stack.enter_context(KohaTwin(now=NOON))
        twin.add(CARD, address="7 place du Marché", postal_code="93001", city="Saint-Aubin")
        connector = Koha(context_for("koha", koha_settings(twin.base)))
        return over_http(twin, connector, on, move(), lambda: len(twin.history))

    return make


def koha_ask(stack: ExitStack) -> Stage:
    twin = stack.enter_context(KohaTwin(now=NOON))
    twin.add(CARD, expiry_date="2027-08-31")
    return over_http(twin, Koha(context_for("koha", koha_settings(twin.base))), "GET", question=card_of())


# i-Parapheur


def book_of(twin: ParapheurTwin, documents: MemoryDocuments) -> SignatureBook:
    return SignatureBook(context_for("iparapheur", twin.settings(timeout_seconds=TIMEOUT), documents=documents))


def book_deposit(stack: ExitStack) -> Stage:
    twin = stack.enter_context(ParapheurTwin())
    return over_http(
        twin, book_of(twin, MemoryDocuments()), "CreerDossier", act_to_sign(), lambda: len(twin.dossiers)
    )  # fmt: skip


def book_poll(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin, documents = stack.enter_context(ParapheurTwin()), MemoryDocuments()
        connector = book_of(twin, documents)
        twin.finish(str(connector.handle(act_to_sign()).reference))
        due = len(next(iter(twin.dossiers.values())).log) + 1
        return over_http(twin, connector, on, due=due, documents=documents)

    return make


# Webhooks


def webhook_send(stack: ExitStack) -> Stage:
    twin = stack.enter_context(subscriber())
    connector = Webhook(context_for("webhook", webhook_settings(twin.endpoint)))
    return over_http(twin, connector, "POST", told(), lambda: len(twin.messages))


# Files


def etatcivil_drop(stack: ExitStack) -> Stage:
    office = stack.enter_context(CivilStatusTwin())
    connector = EtatCivil(context_for("etatcivil", office.connection_settings(timeout=TIMEOUT)))

    def effects() -> int:
        office.collect()
        assert office.rejected == [], "half a file was collected"
        return office.effects

    return over_sftp(office.sftp, connector, delivery=record_request(record()), effects=effects)


def etatcivil_poll(stack: ExitStack) -> Stage:
    office = stack.enter_context(CivilStatusTwin())
    settings = office.connection_settings(timeout=TIMEOUT, settled="rename")
    connector = EtatCivil(context_for("etatcivil", settings))
    setting_up = EtatCivil(context_for("etatcivil", office.connection_settings(settled="rename")))
    stack.callback(setting_up.close)
    office.close(str(setting_up.handle(record_request(record())).reference))
    return over_sftp(office.sftp, connector)


def filedrop_drop(stack: ExitStack) -> Stage:
    package = stack.enter_context(PackageTwin())
    connector = FileDrop(context_for("filedrop", package.connection_settings(timeout=TIMEOUT)))

    def effects() -> int:
        package.collect()
        assert package.rejected == [], "half a file was collected"
        return package.effects

    return over_sftp(package.sftp, connector, delivery=moved(), effects=effects)


def filedrop_poll(stack: ExitStack) -> Stage:
    package = stack.enter_context(PackageTwin())
    package.tell_move("F-7", "4 chemin du Vieux Lavoir", "38999", "Valbruyère")
    settings = package.connection_settings(timeout=TIMEOUT, settled="rename")
    connector = FileDrop(context_for("filedrop", settings))
    return over_sftp(package.sftp, connector)


# Mail


def mail_send(step: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin = stack.enter_context(MailTwin(login=("unefois", "essai")))
        connector = Mail(context_for("mail", twin.settings(timeout_seconds=TIMEOUT)))

        def spoil(kind: str) -> None:
            if kind == "refuse":
                twin.stop()
            else:
                twin.misbehave(step, kind)

        def mend() -> None:
            twin.start()

        return Stage(connector, spoil, mend, message(), lambda: len(twin.messages))

    return make


# API Particulier and API Impôt particulier: questions


def particulier_ask(stack: ExitStack) -> Stage:
    """The clock moves on between two looks at it, so that what a 429 closed is open again."""
    twin = stack.enter_context(ApiParticulierTwin(now=lambda: NOON, per_minute=10_000))
    looks = count()
    settings = {"base_url": twin.url, "token": Secret(TOKEN), "timeout_seconds": TIMEOUT}
    now = lambda: NOON + timedelta(seconds=10 * next(looks))  # noqa: E731
    connector = ApiParticulierConnector(context_for("apiparticulier", settings, now=now))
    return over_http(twin, connector, "GET", question=asked_of(twin, "corvisart", "family-quotient"))


def impot_ask(on: str) -> Callable[[ExitStack], Stage]:
    def make(stack: ExitStack) -> Stage:
        twin = stack.enter_context(ApiImpotTwin(now=lambda: NOON))
        settings = twin.settings() | {"timeout_seconds": TIMEOUT}
        return over_http(twin, ApiImpotConnector(context_for("apiimpot", settings)), on, question=by_number())

    return make


def but(*kinds: str) -> tuple[str, ...]:
    return tuple(kind for kind in SMTP if kind not in kinds)


COLUMNS: tuple[Column, ...] = (
    Column("hubee", "token", HTTP, hubee_poll("oauth2")),
    Column("hubee", "read notifications", HTTP, hubee_poll("GET /teledossiers/v1/notifications")),
    Column("hubee", "read case", HTTP, hubee_poll("GET /teledossiers/v1/cases/")),
    Column("hubee", "download", HTTP, hubee_poll("/attachments/")),
    Column("hubee", "acknowledge", HTTP, hubee_poll("DELETE")),
    Column("hubee", "set status", HTTP, hubee_tell("PATCH")),
    Column("hubee", "tell status", HTTP, hubee_tell("/events")),
    Column("publik", "read list", HTTP, publik_poll),
    Column("publik", "trigger", HTTP, publik_tell),
    Column("publik", "ask: forms of the account", HTTP, publik_ask("/api/users/")),
    Column("publik", "ask: one form", HTTP, publik_ask("/api/forms/")),
    Column("koha", "token", HTTP, koha_write("token")),
    Column("koha", "read changes", HTTP, koha_poll("GET")),
    Column("koha", "find card", HTTP, koha_write("GET /api/v1/patrons")),
    Column("koha", "write record", HTTP, koha_write("PUT")),
    Column("koha", "ask", HTTP, koha_ask),
    Column("apiparticulier", "ask", HTTP, particulier_ask),
    Column("apiimpot", "token", HTTP, impot_ask("POST")),
    Column("apiimpot", "ask", HTTP, impot_ask("GET")),
    Column("iparapheur", "deposit", HTTP, book_deposit),
    Column("iparapheur", "search", HTTP, book_poll("RechercherDossiers")),
    Column("iparapheur", "read log", HTTP, book_poll("GetHistoDossier")),
    Column("iparapheur", "fetch signed", HTTP, book_poll("GetDossier")),
    Column("iparapheur", "archive", HTTP, book_poll("ArchiverDossier")),
    Column("webhook", "send", HTTP, webhook_send, believed=("html", "garbage", "empty", "bomb", "inside")),
    Column("etatcivil", "drop", SFTP, etatcivil_drop),
    Column("etatcivil", "read returns", SFTP, etatcivil_poll, ("full", "cut", "cut-rename")),
    Column("filedrop", "drop", SFTP, filedrop_drop),
    Column("filedrop", "read returns", SFTP, filedrop_poll, ("full", "cut", "cut-rename")),
    Column("mail", "connect", SMTP, mail_send("connect"), ("535", "lose")),
    Column("mail", "AUTH", SMTP, mail_send("AUTH"), ("refuse", "lose")),
    *(
        Column("mail", step, SMTP, mail_send(step), ("refuse", "535", "lose"))
        for step in ("EHLO", "MAIL", "RCPT", "DATA")
    ),
    Column("mail", "text", SMTP, mail_send("text"), but("drop")),
    Column("mail", "end", SMTP, mail_send("end"), ("refuse", "535")),
)
