"""What the parapheur answers and nobody can read is told, hides nothing else, and is never taken as absent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.conformance.sentences import unfit_for_a_timeline
from connectors.iparapheur.twin import ParapheurTwin
from connectors.sdk.twin import TwinAnswer, TwinCall
from schemas.delivery import RecordFault
from schemas.errors import HubError, TryLater
from schemas.event import Event
from tests.connectors.iparapheur.test_iparapheur import Book, delivery, statuses_of

Rewrite = Callable[[bytes], bytes]


class OddParapheur(ParapheurTwin):
    """Its answers to an operation are rewritten on their way."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.rewritten: dict[str, Rewrite] = {}
        self.media_type = ""

    def answer(self, call: TwinCall) -> TwinAnswer:
        given = super().answer(call)
        rewrite = self.rewritten.get(self.title(call).rpartition(" ")[2])
        if rewrite is None:
            return given
        headers = {"Content-Type": self.media_type} if self.media_type else given.headers
        return TwinAnswer(given.status, rewrite(given.body), headers)


@pytest.fixture
def twin() -> Iterator[OddParapheur]:
    with OddParapheur(password="s3cret", now=lambda: datetime(2026, 3, 2, 13, 0, tzinfo=UTC)) as twin:
        twin.detached_signature = True
        yield twin


@pytest.fixture
def book(twin: OddParapheur) -> Iterator[Book]:
    book = Book(twin, archive="erase")
    yield book
    book.connector.close()


def poll(book: Book) -> tuple[list[Event], list[RecordFault]]:
    """As the hub does: events, and what is told of the records that could not be taken."""
    events: list[Event] = []
    faults: list[RecordFault] = []
    for polled in book.connector.poll(book.cursor):
        events += polled.events
        faults += polled.faults
        book.cursor = polled.cursor
        if polled.acknowledge:
            polled.acknowledge()
    assert all(unfit_for_a_timeline(fault.reason) is None for fault in faults)
    return events, faults


def told(faults: Sequence[RecordFault]) -> list[tuple[str, str, str]]:
    return [(fault.code, fault.place, fault.key) for fault in faults]


def without_padding(body: bytes) -> bytes:
    return re.sub(rb"(<(?:\w+:)?SignatureDocPrincipal [^>]*>)[^<]*", rb"\1JVBERg", body)


def with_a_part_that_did_not_come(body: bytes) -> bytes:
    include = b'<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:1"/>'
    return re.sub(rb"(<(?:\w+:)?SignatureDocPrincipal [^>]*>)[^<]*", rb"\1" + include, body)


# exchangelib#211: granted and erased while its signature exists nowhere
@pytest.mark.parametrize("broken", [without_padding, with_a_part_that_did_not_come])
def test_a_signature_that_cannot_be_read_is_neither_granted_nor_erased(
    book: Book, twin: OddParapheur, broken: Rewrite
) -> None:
    first, second = sorted([book.deposited("d-1"), book.deposited("d-2")])
    twin.finish(first)
    twin.rewritten["GetDossier"] = broken
    events, faults = poll(book)
    assert "granted" not in statuses_of(events)
    assert told(faults) == [("record-refused.unreadable", "SignatureDocPrincipal", first)]
    assert (twin.archived, sorted(twin.dossiers)) == ([], [first, second])
    twin.rewritten.clear()
    events, faults = poll(book)
    assert statuses_of(events)[-1] == "granted"
    assert [event.data["kind"] for event in events if event.type == "document.received"][-1] == "detached-signature"
    assert (faults, twin.archived) == ([], [(first, "EFFACER")])


@pytest.mark.parametrize(
    "broken",
    [
        lambda body: re.sub(rb"(DocPrincipal [^>]*>)JVBE", rb"\1JV*E", body),
        lambda body: re.sub(rb"(<(?:\w+:)?DocPrincipal [^>]*>)[^<]*", rb"\1", body),
        lambda body: re.sub(rb"<((?:\w+:)?)DocPrincipal [^>]*>[^<]*</(?:\w+:)?DocPrincipal>", rb"", body),
    ],
)
def test_a_main_document_that_cannot_be_read_is_told_and_not_granted(
    book: Book, twin: OddParapheur, broken: Rewrite
) -> None:
    dossier = book.deposited()
    twin.finish(dossier)
    twin.rewritten["GetDossier"] = broken
    events, faults = poll(book)
    assert "granted" not in statuses_of(events)
    assert told(faults) == [("record-refused.unreadable", "DocPrincipal", dossier)]
    assert twin.archived == []


def test_a_signature_that_comes_beside_the_message_is_kept(book: Book, twin: OddParapheur) -> None:
    def beside(body: bytes) -> bytes:
        head = b"--limite\r\nContent-Type: application/xop+xml\r\nContent-ID: <racine>\r\n\r\n"
        part = b"\r\n--limite\r\nContent-ID: <1>\r\n\r\n\x30\x82sceau\r\n--limite--"
        return head + with_a_part_that_did_not_come(body) + part

    twin.finish(book.deposited())
    twin.rewritten["GetDossier"] = beside
    twin.media_type = 'multipart/related; boundary=limite; start="<racine>"; type="application/xop+xml"'
    events, faults = poll(book)
    kept = [event.data["document"] for event in events if event.type == "document.received"]
    assert (faults, [document["size"] for document in kept][1]) == ([], len(b"\x30\x82sceau"))


def another_line(*, name: str = "Marche-12", status: str = "Signe", note: str = "vu", extra: str = "") -> Rewrite:
    """The line of another application, before ours."""
    line = (
        f'<LogDossier xmlns="http://www.adullact.org/spring-ws/iparapheur/1.0"><timestamp>2026-03-02T12:00:00</timestamp>'
        f"<nom>{name}</nom><status>{status}</status><annotation>{note}</annotation>{extra}</LogDossier>"
    )
    return lambda body: re.sub(rb"(<(?:\w+:)?RechercherDossiersResponse[^>]*>)", rb"\1" + line.encode(), body, count=1)


# python-zeep#951: one line hides no other
@pytest.mark.parametrize(
    "line",
    [{"name": "Marche&#x1B;12"}, {"name": ""}, {"name": "<b>x</b>"}, {"status": "Sig&#27;ne"}, {"name": "x\x08"}],
)
def test_a_line_of_another_application_hides_no_other(book: Book, twin: OddParapheur, line: dict[str, str]) -> None:
    dossier = book.deposited()
    twin.finish(dossier)
    twin.rewritten["RechercherDossiers"] = another_line(**line)
    events, faults = poll(book)
    assert statuses_of(events)[-1] == "granted"
    assert told(faults) == [("record-refused.unreadable", "LogDossier 1", "")]
    assert twin.archived == [(dossier, "EFFACER")]


def test_what_is_not_read_of_another_line_is_not_looked_at(book: Book, twin: OddParapheur) -> None:
    twin.finish(book.deposited())
    twin.rewritten["RechercherDossiers"] = another_line(note="vu&#x1B;[0m")
    events, faults = poll(book)
    assert (statuses_of(events)[-1], faults) == ("granted", [])


def test_a_reason_with_a_forbidden_character_is_told_all_the_same(book: Book, twin: OddParapheur) -> None:
    dossier = book.deposited()
    twin.reject(dossier, "Plan ECHAP manquant")
    twin.rewritten["GetHistoDossier"] = lambda body: body.replace(b"ECHAP", b"&#x1B;")
    events, _ = poll(book)
    assert events[-1].data["reason"] == "Plan \ufffd manquant"


def test_a_log_whose_status_cannot_be_read_is_told_and_decides_nothing(book: Book, twin: OddParapheur) -> None:
    first, second = sorted([book.deposited("d-1"), book.deposited("d-2")])
    twin.finish(first)
    twin.finish(second)
    twin.rewritten["GetHistoDossier"] = lambda body: body.replace(b">Signe<", b">Si&#x1B;gne<")
    events, faults = poll(book)
    assert (events, twin.archived) == ([], [])
    assert told(faults) == [("record-refused.unreadable", "LogDossier", dossier) for dossier in (first, second)]
    twin.rewritten.clear()
    assert statuses_of(poll(book)[0]).count("granted") == 2


# python-zeep#397: an answer is read as it declares itself
@pytest.mark.parametrize(
    "declared",
    [
        lambda body: body.decode().replace("UTF-8", "ISO-8859-1").encode("latin-1"),
        lambda body: body.decode().replace("UTF-8", "UTF-16").encode("utf-16"),
        lambda body: b"\r\n" + body,
        lambda body: b"\xef\xbb\xbf\n" + body,
    ],
)
@pytest.mark.parametrize("operation", ["RechercherDossiers", "GetHistoDossier", "GetDossier"])
def test_an_answer_in_another_encoding_is_read(
    book: Book, twin: OddParapheur, declared: Rewrite, operation: str
) -> None:
    twin.reject(book.deposited("d-1"), "Pièce à compléter")
    twin.finish(book.deposited("d-2"))
    twin.rewritten[operation] = declared
    twin.media_type = "text/xml"
    events, faults = poll(book)
    assert (statuses_of(events).count("granted"), faults) == (1, [])
    assert "Pièce à compléter" in [event.data.get("reason") for event in events]


def test_a_deposit_whose_answer_cannot_be_read_is_looked_up(book: Book, twin: OddParapheur) -> None:
    twin.rewritten["CreerDossier"] = lambda body: body.replace(b"codeRetour>", b"codeRetour><b/>", 1)
    with pytest.raises(HubError) as caught:
        book.deposit()
    assert not isinstance(caught.value, TryLater)
    found = book.connector.look_up(delivery())
    assert found is not None
