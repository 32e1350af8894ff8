"""The signature book against its twin: from a request to a signed act."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connectors.conformance.case import MemoryDocuments
from connectors.iparapheur.client import LogLine
from connectors.iparapheur.connector import SignatureBook
from connectors.iparapheur.mapping import dossier_id, fill, steps
from connectors.iparapheur.twin import ParapheurTwin
from connectors.sdk import Statuses, find_manifests
from schemas.delivery import Delivery, Done
from schemas.errors import AccessDenied, HubError, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.registry import Registry
from schemas.secret import Secret
from tests.support.context import PARIS, context_for
from tests.support.patience import LONG, patience

REQUEST = json.loads((Path(__file__).parent / "fixtures" / "request.json").read_text(encoding="utf-8"))
REGISTRY = Registry.load()
NAMES = ("Corvisart", "Maëlle", "Église", "s3cret")


class Book:
    """A connection, its twin, and what the hub would remember of its polls."""

    def __init__(self, twin: ParapheurTwin, **settings: Any) -> None:
        self.twin = twin
        self.documents = MemoryDocuments()
        self.connector = SignatureBook(
            context_for("iparapheur", twin.settings(**({"timeout_seconds": LONG} | settings)), documents=self.documents)
        )
        self.cursor: Mapping[str, Any] | None = None
        self.ids: set[str] = set()

    def deposit(self, key: str = "d-1", **changes: Any) -> Done:
        return self.connector.handle(delivery(key, **changes))

    def deposited(self, key: str = "d-1", **changes: Any) -> str:
        return str(self.deposit(key, **changes).reference)

    def poll(self, *, commit: bool = True) -> list[Event]:
        """One round, each batch committed before the next; the door drops what it knows."""
        news = []
        for polled in self.connector.poll(self.cursor):
            if not commit:
                return list(polled.events)
            for event in polled.events:
                REGISTRY.validate(event)
            news += [event for event in polled.events if event.id not in self.ids]
            self.ids |= {event.id for event in polled.events}
            self.cursor = json.loads(json.dumps(polled.cursor))
            if polled.acknowledge:
                polled.acknowledge()
        return news


def delivery(key: str = "d-1", **changes: Any) -> Delivery:
    request = REQUEST["request"] | changes
    event = Event("request.received", "/saint-aubin/publik", {"request": request}, id="e-1")
    return Delivery(event=event, key=key)


def statuses_of(events: list[Event]) -> list[str | None]:
    return [event.data["status"] for event in events if event.type == "request.status-changed"]


def text_of(pdf: bytes) -> str:
    """What the page shows, line by line; also checks that the file's table of objects is right."""
    table = int(re.findall(rb"startxref\n(\d+)\n%%EOF", pdf)[0])
    assert pdf[table:].startswith(b"xref\n")
    for number, place in enumerate(re.findall(rb"(\d{10}) 00000 n ", pdf[table:]), start=1):
        assert pdf[int(place) :].startswith(b"%d 0 obj\n" % number)
    streams = re.findall(rb"/Length (\d+)\s>>\nstream\n(.*?)\nendstream", pdf, re.DOTALL)
    assert streams
    assert all(int(length) == len(stream) for length, stream in streams)
    shown = re.findall(rb"\((.*?)(?<!\\)\) Tj", pdf)
    raw = b"\n".join(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), line) for line in shown)
    return re.sub(r"\\([()\\])", r"\1", raw.decode("cp1252"))


@pytest.fixture
def twin() -> Iterator[ParapheurTwin]:
    with ParapheurTwin(password="s3cret", now=lambda: datetime(2026, 3, 2, 13, 0, tzinfo=UTC)) as twin:
        yield twin


@pytest.fixture
def book(twin: ParapheurTwin, request: pytest.FixtureRequest) -> Iterator[Book]:
    kind = request.node.callspec.params.get("kind", "") if hasattr(request.node, "callspec") else ""
    book = Book(twin, timeout_seconds=patience(kind))
    yield book
    book.connector.close()


# depositing


def test_a_request_becomes_an_act_in_the_circuit(book: Book) -> None:
    done = book.deposit()
    dossier = book.twin.dossiers[str(done.reference)]
    assert str(done.reference).startswith("unefois-occupation-domaine-public-77-")
    assert (dossier.type, dossier.subtype, dossier.visibility) == ("Arretes", "Voirie", "SERVICE")
    assert done.answer == "Acte déposé dans le parapheur pour signature."
    text = text_of(dossier.document)
    assert "Maëlle CORVISART" in text
    assert "12 rue de l'Église" in text
    assert "1er mai 2026 au 30 septembre 2026" in text.replace("\n", " ")
    assert "tables, parasols" in text


def test_the_act_has_as_many_pages_as_it_needs(book: Book) -> None:
    template = "# Règlement\n" + "\n".join(f"Article {n}. (clause) \\ {'mot ' * 40}" for n in range(40))
    act = book.connector.prepare(delivery())
    long = Book(book.twin, templates={"occupation-domaine-public": template}).connector.prepare(delivery())
    assert re.search(rb"/Count 1\s", act.pdf)
    text = text_of(long.pdf)
    assert "Article 39. (clause) \\ mot" in text
    assert "1 / 3" in text.replace("\n", "")


def test_a_pdf_reader_reads_the_act(book: Book, tmp_path: Path) -> None:
    act = book.connector.prepare(delivery())
    (tmp_path / "act.pdf").write_bytes(act.pdf)
    reader = shutil.which("pdftotext")
    text = text_of(act.pdf)
    if reader:
        text = subprocess.run([reader, tmp_path / "act.pdf", "-"], check=True, capture_output=True, text=True).stdout
    assert "12 rue de l'Église" in text


def test_a_passing_trouble_is_no_disappearance(book: Book) -> None:
    dossier = book.deposited()
    book.poll()
    book.twin.dossiers[dossier].subtype = "Autre"
    book.twin.say_ko("Erreur interne", on="GetHistoDossier", times=2)
    assert book.poll() + book.poll() == []
    book.twin.advance(dossier)
    assert statuses_of(book.poll()) == ["in_progress"]


def test_the_same_delivery_twice_makes_one_dossier(book: Book) -> None:
    first, second = book.deposit(), book.deposit()
    assert first.reference == second.reference
    assert second.answer == "Dossier déjà présent dans le parapheur."
    assert book.twin.created == 1


def test_two_deliveries_make_two_dossiers(book: Book) -> None:
    assert book.deposited("d-1") != book.deposited("d-2")


@pytest.mark.parametrize("reference", ['a/b\\c:*?<>|+;%&"£', "é" * 500, "../..", " ", "東京", "-x-"])
def test_any_reference_gives_an_identifier_that_the_parapheur_allows(reference: str) -> None:
    given = dossier_id(delivery(references=[{"system": "autre", "id": reference}]), "unefois")
    assert re.fullmatch(r"unefois-([A-Za-z0-9.-]{1,80}-)?[0-9a-f]{16}", given)


def test_an_organisation_is_named_on_the_act(book: Book) -> None:
    act = book.connector.prepare(delivery(requester={"organisation": {"name": "Café des Tilleuls"}}))
    assert "Café des Tilleuls" in text_of(act.pdf)


def test_an_answer_of_the_form_cannot_write_an_article(book: Book) -> None:
    form = REQUEST["request"]["form"] | {"lieu": "ici\n# ARRÊTE\nArticle 9. {{ town }} (tout est gratuit)"}
    text = text_of(book.connector.prepare(delivery(form=form)).pdf)
    assert "ici # ARRÊTE Article 9." in text.replace("\n", " ")
    assert "\n# " not in text
    assert "{{ town }}" in text.replace("\n", " ")


def test_an_answer_that_the_act_needs_is_asked_for_by_name(book: Book) -> None:
    with pytest.raises(Refused, match="« lieu »") as caught:
        book.connector.prepare(delivery(form={"du": "2026-05-01"}))
    assert (caught.value.native, caught.value.detail) == ("missing", "form.lieu")


def test_a_name_keeps_its_french_letters_and_loses_the_others_marks(book: Book) -> None:
    identity = {"family_name": "Ştefănescu-Çağlar", "given_names": ["Zoë"]}
    act = book.connector.prepare(delivery(requester={"citizen": {"identity": identity}}))
    assert "Zoë STEFANESCU-ÇAGLAR" in text_of(act.pdf)


def test_what_no_act_can_show_is_refused(book: Book) -> None:
    with pytest.raises(Refused) as caught:
        book.connector.prepare(delivery(form=REQUEST["request"]["form"] | {"lieu": "東京"}))
    assert caught.value.native == "characters"


@pytest.mark.parametrize("procedure", ["acte-inconnu", "..", "../manifest"])
def test_a_procedure_without_template_is_refused(book: Book, procedure: str) -> None:
    with pytest.raises(Refused) as caught:
        book.connector.prepare(delivery(procedure=procedure))
    assert caught.value.native == "template"


def test_the_template_is_a_setting(twin: ParapheurTwin) -> None:
    book = Book(twin, templates={"vide-grenier": "# ACTE\nPour {{ requester.name }}, le {{ today }}."})
    assert "Pour Maëlle CORVISART, le 2 mars 2026." in text_of(
        book.connector.prepare(delivery(procedure="vide-grenier")).pdf
    )


def test_placeholders_take_the_first_that_says_something() -> None:
    facts = {"form": {"a": "", "b": True, "c": {"rue": "x", "ville": "y"}, "d": ["1", 2]}}
    assert fill('{{ form.a | form.b | "z" }} {{form.c}} {{ form.d }} {{ form.e | "z" }}', facts) == "oui x y 1, 2 z"


# what goes wrong while depositing


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("refuse", TryLater), ("503", TryLater), ("429", TryLater), ("401", AccessDenied), ("500", Unknown),
        ("html", Unknown), ("half", Unknown), ("timeout", Unknown), ("drop", Unknown), ("lose_answer", Unknown),
    ],
)  # fmt: skip
def test_each_misfortune_of_a_deposit_has_its_outcome(book: Book, kind: str, outcome: type[HubError]) -> None:
    book.twin.misbehave(kind)
    with pytest.raises(outcome):
        book.deposit()


def test_a_deposit_whose_answer_was_lost_is_found_again(book: Book) -> None:
    book.twin.misbehave("lose_answer")
    with pytest.raises(Unknown):
        book.deposit()
    found = book.connector.look_up(delivery())
    assert found is not None
    assert found.reference in book.twin.dossiers
    assert book.twin.created == 1


def test_a_deposit_that_was_cut_before_is_surely_not_there(book: Book) -> None:
    book.twin.misbehave("drop")
    with pytest.raises(Unknown):
        book.deposit()
    assert book.connector.look_up(delivery()) is None


@pytest.mark.parametrize(
    ("message", "outcome"),
    [
        ("Le type technique est inconnu", Refused),
        ("Service momentanément indisponible", TryLater),
        ("Utilisateur non autorisé", AccessDenied),
        ("Corvisart : erreur", Refused),
        ("", Refused),
    ],
)
def test_a_ko_is_told_by_what_is_known_of_it(book: Book, message: str, outcome: type[HubError]) -> None:
    book.twin.say_ko(message)
    with pytest.raises(outcome) as caught:
        book.deposit()
    assert "Corvisart" not in str(caught.value)


def test_a_ko_for_a_dossier_that_is_there_is_success_whatever_its_words(book: Book) -> None:
    book.deposit()
    book.twin.say_ko("Erreur interne")
    assert book.deposit().answer == "Dossier déjà présent dans le parapheur."


def test_a_wrong_password_is_told(twin: ParapheurTwin) -> None:
    book = Book(twin, password=Secret("autre"))
    with pytest.raises(AccessDenied):
        book.deposit()
    probe = book.connector.probe()
    assert (probe.ok, "compte technique" in probe.detail) == (False, True)


def test_a_probe_says_what_is_wrong(book: Book) -> None:
    assert book.connector.probe().ok
    book.twin.types = ["Autre"]
    assert "« Arretes »" in book.connector.probe().detail
    book.twin.stop()
    assert not book.connector.probe().ok


# following the circuit


def test_a_dossier_is_followed_through_visa_and_signature(book: Book) -> None:
    dossier = book.deposited()
    assert statuses_of(book.poll()) == ["in_progress", "in_progress"]
    for _ in range(3):
        book.twin.advance(dossier)
        assert statuses_of(book.poll()) == ["in_progress"]
    book.twin.advance(dossier)
    events = book.poll()
    assert [event.type for event in events] == ["request.status-changed", "document.received", "request.status-changed"]
    assert statuses_of(events) == ["in_progress", "granted"]
    granted = events[-1].data
    assert granted["request"] == {"references": [{"system": "iparapheur", "id": dossier}]}
    assert granted["native"] == {"code": "Archive", "label": "Circuit terminé : acte signé"}
    assert granted["documents"] == [events[1].data["document"]]
    assert events[1].data["kind"] == "signed-act"
    signed = book.documents.contents[granted["documents"][0]["id"]]
    assert signed.startswith(b"%PDF")
    assert b"Signature du jumeau" in signed
    assert book.poll() == []


def test_a_signed_dossier_is_archived_only_after_the_commit(book: Book) -> None:
    dossier = book.deposited()
    book.twin.finish(dossier)
    book.poll(commit=False)
    assert book.twin.archived == []
    book.poll()
    assert book.twin.archived == [(dossier, "ARCHIVER")]
    assert book.poll() == []
    assert book.cursor == {"dossiers": {}}


@pytest.mark.parametrize(("wish", "action"), [("erase", "EFFACER"), ("leave", None)])
def test_what_becomes_of_a_signed_dossier_is_a_setting(twin: ParapheurTwin, wish: str, action: str | None) -> None:
    book = Book(twin, archive=wish)
    dossier = book.deposited()
    book.twin.finish(dossier)
    book.poll()
    book.poll()
    assert [done for _, done in book.twin.archived] == ([action] if action else [])


def test_a_dossier_that_could_not_be_archived_is_tried_again(book: Book) -> None:
    book.twin.finish(book.deposited())
    polled = next(iter(book.connector.poll(None)))
    book.cursor = polled.cursor
    assert polled.acknowledge is not None
    book.twin.misbehave("500")
    with pytest.raises(TryLater):
        polled.acknowledge()
    assert book.poll() == []
    assert len(book.twin.archived) == 1


def test_a_dossier_that_the_parapheur_keeps_is_left_to_a_person(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    book.twin.finish(book.deposited())
    book.twin.say_ko("Le dossier n'est pas archivable", on="ArchiverDossier", times=5)
    with caplog.at_level(logging.WARNING):
        book.poll()
        book.poll()
    assert len([record for record in caplog.records if "a person must" in record.message]) == 1


@pytest.mark.parametrize(("moves", "native"), [(0, "RejetVisa"), (2, "RejetSignataire")])
def test_a_refusal_in_the_circuit_is_a_step_with_its_reason(book: Book, moves: int, native: str) -> None:
    dossier = book.deposited()
    for _ in range(moves):
        book.twin.advance(dossier)
    book.twin.reject(dossier, "La terrasse gêne le passage.")
    refused = book.poll()[-1].data
    assert (refused["status"], refused["native"]["code"]) == (None, native)
    assert refused["reason"] == "La terrasse gêne le passage."
    assert book.poll() == []


def test_a_refusal_that_nobody_explained_is_told_in_the_words_of_the_parapheur(book: Book) -> None:
    dossier = book.deposited()
    book.twin.reject(dossier, "")
    assert book.poll()[-1].data["reason"] == "Rejeté lors du visa"


def test_a_dossier_refused_and_resumed_again_and_again_is_signed_in_the_end(book: Book) -> None:
    dossier = book.deposited()
    told = book.poll()
    book.twin.dossiers[dossier].subtype = "Autre"  # the search leaves it out
    for reason in ("À revoir.", "À revoir.", "Plan manquant."):
        book.twin.reject(dossier, reason)
        told += book.poll()
        told += book.poll()
        book.twin.resume(dossier)
        told += book.poll()
    book.twin.finish(dossier)
    told += book.poll()
    steps = [event.data for event in told if event.type == "request.status-changed"]
    assert [step["reason"] for step in steps if "reason" in step] == ["À revoir.", "À revoir.", "Plan manquant."]
    assert not {"rejected", "closed"} & {step["status"] for step in steps}
    assert sum(step.get("reopened", False) for step in steps) == 3
    assert steps[-1]["status"] == "granted"
    assert len({event.id for event in told}) == len(told)


def test_a_refused_dossier_that_is_gone_is_told_and_followed_no_more(book: Book) -> None:
    dossier = book.deposited()
    book.twin.reject(dossier, "À revoir.")
    book.poll()
    book.twin.remove(dossier)
    [gone] = [event for _ in range(5) for event in book.poll()]
    assert (gone.data["status"], gone.data["native"]["code"]) == (None, "absent")
    assert book.cursor == {"dossiers": {}}


def test_a_rejected_dossier_that_is_taken_up_again_is_marked_reopened(book: Book) -> None:
    dossier = book.deposited()
    book.twin.reject(dossier, "À revoir.")
    book.poll()
    book.twin.resume(dossier)
    reopened = book.poll()
    assert [event.data.get("reopened") for event in reopened] == [True]
    book.twin.finish(dossier)
    assert statuses_of(book.poll())[-1] == "granted"


def test_a_detached_signature_comes_with_the_act(book: Book) -> None:
    book.twin.detached_signature = True
    book.twin.finish(book.deposited())
    events = book.poll()
    kinds = [event.data["kind"] for event in events if event.type == "document.received"]
    assert kinds == ["signed-act", "detached-signature"]
    assert [document["kind"] for document in events[-1].data["documents"]] == kinds
    assert events[-1].data["documents"][1]["name"].endswith("-signature.p7s")


def test_reading_the_same_log_twice_gives_the_same_events(book: Book) -> None:
    book.twin.finish(book.deposited())
    first, second = book.poll(commit=False), book.poll(commit=False)
    assert [event.encode() for event in first] == [event.encode() for event in second]


def test_dossiers_of_others_are_left_alone(book: Book) -> None:
    book.deposited()
    dossier = book.twin.dossiers.popitem()[1]
    dossier.id = "Marche-public-12"
    book.twin.dossiers[dossier.id] = dossier
    assert book.poll() == []


def test_a_dossier_that_the_search_leaves_out_is_still_followed(book: Book) -> None:
    dossier = book.deposited()
    book.poll()
    book.twin.dossiers[dossier].subtype = "Autre"
    book.twin.finish(dossier)
    assert statuses_of(book.poll())[-1] == "granted"


def test_a_dossier_that_somebody_deleted_is_said_and_decides_nothing(book: Book) -> None:
    dossier = book.deposited()
    book.poll()
    book.twin.remove(dossier)
    assert book.poll() + book.poll() == []
    events = book.poll()
    assert statuses_of(events) == [None]
    assert events[0].data["native"]["label"] == "Dossier introuvable dans le parapheur"
    assert book.poll() == []


def test_a_dossier_that_fails_does_not_hold_the_others(book: Book) -> None:
    first, second = sorted([book.deposited("d-1"), book.deposited("d-2")])
    book.twin.finish(first)
    book.twin.finish(second)
    book.twin.say_ko("Erreur", on="GetDossier")
    with pytest.raises(Refused):
        book.poll()
    assert [dossier for dossier, _ in book.twin.archived] == [second]
    assert statuses_of(book.poll())[-1] == "granted"


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("refuse", TryLater), ("500", TryLater), ("html", TryLater), ("half", TryLater), ("timeout", TryLater),
        ("429", TryLater), ("401", AccessDenied),
    ],
)  # fmt: skip
def test_each_misfortune_of_a_poll_has_its_outcome(book: Book, kind: str, outcome: type[HubError]) -> None:
    book.deposited()
    book.twin.misbehave(kind)
    with pytest.raises(outcome):
        book.poll()
    book.twin.behave()
    assert len(book.poll()) == 2


# the map


def log(*statuses: str) -> list[LogLine]:
    return [LogLine(f"2026-03-02T08:00:0{n}.000Z", status) for n, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("statuses", "last"),
    [
        (("NonLu", "Vise", "Archive"), None),
        (("NonLu", "CachetOK", "Archive"), "granted"),
        (("Signe", "RejetSignataire", "NonLu", "Archive"), None),
        (("NonLu", "RejetMailSecPastell"), None),
        (("NonLu", "Inconnu"), None),
        (("NonLu", "RejetCachet"), None),
    ],
)
def test_only_a_signed_circuit_grants(statuses: tuple[str, ...], last: str | None) -> None:
    known = Statuses.load(find_manifests()["iparapheur"].folder / "statuses.csv")
    assert steps(log(*statuses), known, PARIS)[-1].canonical == last


def test_a_log_in_any_order_is_told_oldest_first() -> None:
    known = Statuses.load(find_manifests()["iparapheur"].folder / "statuses.csv")
    lines = log("NonLu", "Signe", "Archive")
    assert [step.line.status for step in steps(lines[::-1], known, PARIS)] == ["NonLu", "Signe", "Archive"]
    assert [step.key for step in steps(lines[::-1], known, PARIS)] == [step.key for step in steps(lines, known, PARIS)]


def test_a_time_stamp_of_unknown_form_keeps_the_order_given() -> None:
    known = Statuses.load(find_manifests()["iparapheur"].folder / "statuses.csv")
    lines = [LogLine("lundi", "NonLu"), LogLine("02/03/2026", "Signe")]
    told = steps(lines, known, PARIS)
    assert [step.line.status for step in told] == ["NonLu", "Signe"]
    assert [step.time for step in told] == [None, None]


AUTUMN = [("02:50", "NonLu"), ("02:10", "Signe"), ("02:20", "Archive")]  # the clocks went back after the first


@pytest.mark.parametrize("around", [
    [], [("01:40", "Vise")], [("03:05", "Archive")], [("01:40", "Vise"), ("03:05", "Archive")],
])  # fmt: skip
def test_a_log_in_the_hour_that_comes_twice_keeps_its_order(around: list[tuple[str, str]]) -> None:
    known = Statuses.load(find_manifests()["iparapheur"].folder / "statuses.csv")
    written = [one for one in around if one[0] < "02"] + AUTUMN + [one for one in around if one[0] > "03"]
    lines = [LogLine(f"2026-10-25T{hour}:00", status) for hour, status in written]

    told = steps(lines, known, PARIS)

    assert [step.line for step in told] == lines
    times = [datetime.fromisoformat(step.time or "") for step in told]
    assert times == sorted(times)
    assert (times[-1] if not around or around[-1][0] < "02" else times[-2]).hour == 2
    if around:
        assert [step.line for step in steps(lines[::-1], known, PARIS)] == lines


def test_a_log_without_an_hour_that_comes_twice_is_read_as_before() -> None:
    """Guadeloupe keeps its clocks; in March an hour is left out, and no line is of a second one."""
    known = Statuses.load(find_manifests()["iparapheur"].folder / "statuses.csv")
    for day, zone in (("2026-10-25", ZoneInfo("America/Guadeloupe")), ("2026-03-29", PARIS)):
        lines = [LogLine(f"{day}T{hour}:00", status) for hour, status in (("02:10", "NonLu"), ("02:50", "Signe"))]
        told = steps(lines[::-1], known, zone)
        assert [step.line.status for step in told] == ["NonLu", "Signe"]


def test_nobody_is_named_in_logs_or_refusals(book: Book, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        dossier = book.deposited()
        book.twin.reject(dossier, "Maëlle Corvisart n'a rien à faire là.")
        book.poll()
        book.twin.say_ko("Maëlle Corvisart", on="CreerDossier")
        with pytest.raises(Refused) as caught:
            book.deposit("d-2")
    said = caplog.text + str(caught.value)
    assert not any(name in said for name in NAMES)
