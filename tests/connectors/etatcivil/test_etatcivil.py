"""Dropping requests with the twin of the civil-status office, and reading what its agents answer."""

from __future__ import annotations

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.conformance.case import MemoryDocuments
from connectors.conformance.examples import REQUEST_ID, document_came, reopened
from connectors.etatcivil.connector import EtatCivil
from connectors.etatcivil.twin import CivilStatusTwin
from schemas.delivery import Done
from schemas.errors import AccessDenied, ConfigError, Refused, TryLater, Unknown
from schemas.event import Event
from schemas.registry import Registry
from schemas.secret import Secret
from schemas.shape import shape_faults
from tests.connectors.etatcivil.requests import delivery, document, form, request
from tests.support.context import context_for

REGISTRY = Registry.load()


@pytest.fixture
def office() -> Iterator[CivilStatusTwin]:
    with CivilStatusTwin() as office:
        yield office


@pytest.fixture
def documents() -> MemoryDocuments:
    return MemoryDocuments()


@pytest.fixture
def connector(office: CivilStatusTwin, documents: MemoryDocuments) -> Iterator[EtatCivil]:
    connector = opened(office, documents)
    yield connector
    connector.close()


def opened(office: CivilStatusTwin, documents: MemoryDocuments | None = None, **changes: Any) -> EtatCivil:
    return EtatCivil(context_for("etatcivil", office.connection_settings(**changes), documents=documents))


def polled(connector: EtatCivil, into: list[Event] | None = None) -> list[Event]:
    """Every event read, each committed: valid under its schema, then acknowledged."""
    events = [] if into is None else into
    for batch in connector.poll(None):
        for event in batch.events:
            REGISTRY.validate(event)
        events.extend(batch.events)
        assert batch.acknowledge is not None
        batch.acknowledge()
    return events


def dropped(connector: EtatCivil, **changes: Any) -> Done:
    return connector.handle(delivery(request(**changes)))


def reject_all(office: CivilStatusTwin) -> None:
    for name in office.requests:
        office.reject(name, "Acte introuvable")


def taken(office: CivilStatusTwin) -> list[str]:
    office.collect()
    return sorted([*office.requests, *office.follow_ups])


def test_the_settings_of_the_tests_fit_the_manifest(office: CivilStatusTwin) -> None:
    settings = office.connection_settings() | {"password": "depot-2026"}
    assert shape_faults(context_for("etatcivil", {}).manifest.settings, settings) == []


def test_a_request_reaches_the_office_with_its_attachments(
    office: CivilStatusTwin, connector: EtatCivil, documents: MemoryDocuments
) -> None:
    documents.store(b"%PDF identity", name="x", media_type="application/pdf")
    attached = [document(b"%PDF identity", "../Pièce d'identité.pdf")]
    done = dropped(connector, documents=attached)
    assert office.collect() == [done.reference]
    assert office.requests[done.reference or ""].attachments == {"pj-01-Piece_d_identite.pdf": b"%PDF identity"}
    assert office.requests[done.reference or ""].text("evenement/interesse/noms/nomDeFamille") == "MARCHETTI"
    assert office.rejected == []


def test_the_drop_answers_that_the_request_is_transferred(connector: EtatCivil) -> None:
    done = dropped(connector)
    assert done.answer == "Déposé dans le logiciel d'état civil"
    [event] = done.events
    REGISTRY.validate(event)
    assert event.data["status"] == "transferred"
    assert event.data["request"]["references"] == request()["references"]
    assert event.data["new_references"] == [{"system": "etatcivil", "id": done.reference}]


@pytest.mark.parametrize("kind", ["NAI", "MAR", "DEC", "REC"])
def test_each_procedure_is_taken_by_the_office(office: CivilStatusTwin, connector: EtatCivil, kind: str) -> None:
    dropped(connector, kind=kind)
    office.collect()
    assert (office.effects, office.rejected) == (1, [])


def test_the_same_request_twice_is_one_file_and_one_effect(office: CivilStatusTwin, connector: EtatCivil) -> None:
    first = dropped(connector)
    content = next(office.drop.iterdir()).read_bytes()
    second = dropped(connector)
    assert [path.read_bytes() for path in office.drop.iterdir()] == [content]
    office.collect()
    third = dropped(connector)
    office.collect()
    assert office.effects == 1
    assert office.requests[first.reference or ""].drops == 2
    assert {first.reference, second.reference, third.reference} == {first.reference}
    assert {event.id for done in (first, second, third) for event in done.events} == {first.events[0].id}


def test_preparing_touches_nothing(office: CivilStatusTwin, connector: EtatCivil) -> None:
    prepared = connector.prepare(delivery(request()))
    assert b"demandeEtatCivil" in prepared.request
    assert list(office.drop.iterdir()) == []
    assert office.sftp.logins == 0


def test_an_office_that_is_away_is_tried_later(office: CivilStatusTwin, connector: EtatCivil) -> None:
    office.stop()
    with pytest.raises(TryLater):
        dropped(connector)
    assert not connector.probe().ok
    office.start()
    dropped(connector)
    office.collect()
    assert office.effects == 1
    assert connector.probe().ok


def test_a_full_disk_is_tried_later_and_nothing_is_half_dropped(office: CivilStatusTwin, connector: EtatCivil) -> None:
    office.misbehave("full", times=10)
    with pytest.raises(TryLater):
        dropped(connector)
    assert list(office.drop.iterdir()) == []


def test_an_upload_cut_short_is_never_collected(office: CivilStatusTwin, connector: EtatCivil) -> None:
    office.misbehave("cut")
    with pytest.raises(TryLater):
        dropped(connector)
    assert office.collect() == []
    assert office.rejected == []


def test_a_rename_cut_before_its_answer_is_unknown_and_harmless_again(
    office: CivilStatusTwin, connector: EtatCivil
) -> None:
    office.misbehave("cut-rename")
    with pytest.raises(Unknown):
        dropped(connector)
    dropped(connector)
    office.collect()
    assert office.effects == 1


def test_an_office_that_does_not_answer_is_tried_later(office: CivilStatusTwin) -> None:
    connector = opened(office, timeout=0.5)
    office.misbehave("slow")
    with pytest.raises(TryLater):
        dropped(connector)
    connector.close()


def test_a_wrong_password_pauses_the_connection(office: CivilStatusTwin) -> None:
    connector = opened(office, password=Secret("perdu"))
    with pytest.raises(AccessDenied):
        dropped(connector)
    assert not connector.probe().ok
    connector.close()


def test_a_request_that_the_layout_cannot_say_is_refused(connector: EtatCivil) -> None:
    with pytest.raises(Refused):
        dropped(connector, answers=form(copies=400))


def test_attachments_that_are_too_heavy_are_refused(connector: EtatCivil) -> None:
    heavy = document(b"x", "plan.pdf") | {"size": 60 * 1024 * 1024}
    with pytest.raises(Refused):
        dropped(connector, documents=[heavy])


def test_the_two_folders_must_differ(office: CivilStatusTwin) -> None:
    with pytest.raises(ConfigError):
        opened(office, return_folder="/depot/")


def test_a_local_folder_does_as_well(tmp_path: Path) -> None:
    for name in ("depot", "retours"):
        (tmp_path / name).mkdir()
    settings = {"drop_folder": str(tmp_path / "depot"), "return_folder": str(tmp_path / "retours")}
    connector = EtatCivil(context_for("etatcivil", settings))
    done = dropped(connector)
    [path] = (tmp_path / "depot").iterdir()
    assert zipfile.ZipFile(io.BytesIO(path.read_bytes())).namelist() == [f"{done.reference}.xml"]
    assert polled(connector) == []


def test_an_agent_closes_a_request_by_a_return_file(office: CivilStatusTwin, connector: EtatCivil) -> None:
    reference = dropped(connector).reference or ""
    office.start_work(reference)
    [started] = polled(connector)
    office.close(reference)
    [closed] = polled(connector)
    assert [e.data["status"] for e in (started, closed)] == ["in_progress", "fulfilled"]
    assert closed.data["request"] == {"references": [{"system": "etatcivil", "id": reference}]}
    assert closed.data["native"] == {"code": "TRAITEE", "label": "Acte délivré"}
    assert len(list((office.returns / "traites").iterdir())) == 2
    assert polled(connector) == []


def test_a_rejection_and_a_missing_piece_carry_their_reason(office: CivilStatusTwin, connector: EtatCivil) -> None:
    reference = dropped(connector).reference or ""
    office.ask_more(reference, 'Joindre la pièce d\'identité ; recto "et" verso')
    [asked] = polled(connector)
    office.reject(reference, "Acte introuvable")
    [rejected] = polled(connector)
    assert (asked.data["status"], asked.data["reason"]) == (
        "incomplete",
        'Joindre la pièce d\'identité ; recto "et" verso',
    )
    assert (rejected.data["status"], rejected.data["reason"]) == ("rejected", "Acte introuvable")


def test_a_return_read_again_before_its_acknowledgement_is_the_same_event(
    office: CivilStatusTwin, connector: EtatCivil
) -> None:
    office.close(dropped(connector).reference or "")
    first = [event.id for batch in connector.poll(None) for event in batch.events]
    again = [event.id for batch in connector.poll(None) for event in batch.events]
    assert first == again
    assert len(first) == 1
    assert [event.id for event in polled(connector)] == first


@pytest.fixture(params=["sftp", "local"])
def either(request: pytest.FixtureRequest, office: CivilStatusTwin) -> Iterator[EtatCivil]:
    """The same folders over SFTP and as paths of this machine."""
    settings = office.connection_settings() if request.param == "sftp" else office.local_settings()
    connector = EtatCivil(context_for("etatcivil", settings))
    yield connector
    connector.close()


def words(events: list[Event]) -> list[str]:
    return [event.data["native"]["code"] for event in events]


def test_the_same_return_after_a_reopening_is_a_new_fact(office: CivilStatusTwin, either: EtatCivil) -> None:
    reference = dropped(either).reference or ""
    told: list[Event] = []
    for _ in range(3):  # word for word, within one second
        office.close(reference)
        polled(either, told)
    assert words(told) == ["TRAITEE"] * 3
    assert len({event.id for event in told}) == 3


def test_a_return_that_was_committed_before_a_crash_stays_the_same(office: CivilStatusTwin, either: EtatCivil) -> None:
    reference = dropped(either).reference or ""
    office.close(reference)
    before = polled(either)
    office.close(reference)
    crashed = [event for batch in either.poll(None) for event in batch.events]
    after = polled(either)
    assert [event.id for event in crashed] == [event.id for event in after] != [event.id for event in before]


@pytest.mark.parametrize("typed", ["TRAITEE", "REJETEE"])
def test_a_word_typed_by_mistake_is_corrected_by_a_new_fact_and_may_be_said_again(
    office: CivilStatusTwin, either: EtatCivil, typed: str
) -> None:
    reference = dropped(either).reference or ""
    told: list[Event] = []
    for word in (typed, "EN_COURS", typed):
        office.answer(reference, word)
        polled(either, told)
    assert words(told) == [typed, "EN_COURS", typed]
    assert len({event.id for event in told}) == 3
    assert [event.time for event in told] == sorted(event.time for event in told)


def test_two_returns_about_one_request_are_told_in_the_order_written(
    office: CivilStatusTwin, either: EtatCivil
) -> None:
    reference = dropped(either).reference or ""
    office.answer(reference.lower(), "REJETEE")  # another spelling, so another file; and later by its name
    os.utime(office.returns / f"retour-{reference.lower()}.csv", (1_760_000_000, 1_760_000_000))
    office.answer(reference, "EN_COURS")
    assert words(polled(either)) == ["REJETEE", "EN_COURS"]


def test_a_request_that_the_package_cannot_take_is_a_step_with_its_reason(
    office: CivilStatusTwin, connector: EtatCivil
) -> None:
    reference = dropped(connector).reference or ""
    office.answer(reference, "REFUSEE", "Fichier illisible")
    office.answer(reference.lower(), "REFUSEE")
    told = [(event.data["status"], event.data["reason"]) for event in polled(connector)]
    assert sorted(told) == [(None, "Fichier illisible"), (None, "Refusée par le logiciel d'état civil")]


def test_a_reopened_request_is_a_new_deposit_whose_return_is_a_new_fact(
    office: CivilStatusTwin, connector: EtatCivil
) -> None:
    first = dropped(connector).reference or ""
    office.collect()
    names = []
    for key in ("s-1", "s-2"):  # reopened twice
        done = connector.handle(reopened(key, reference=first))
        [told] = done.events
        REGISTRY.validate(told)
        assert told.data["status"] == "transferred"
        assert told.data["new_references"] == [{"system": "etatcivil", "id": done.reference}]
        names.append(done.reference or "")
    assert office.collect() == sorted(names)
    assert len({first, *names}) == 3
    deposit = office.follow_ups[names[0]]
    assert deposit.text("demande") == first
    assert deposit.text("objet") == "Demande reprise"
    assert deposit.text("motif") == "La copie reçue est illisible."
    assert [number.text for number in deposit.request.findall("numero")] == ["0d5c1f7e", "A-2026-1"]
    for name in names:
        office.close(name)
    told_by_office = polled(connector)
    assert words(told_by_office) == ["TRAITEE", "TRAITEE"]
    named = [event.data["request"]["references"][0]["id"] for event in told_by_office]
    assert sorted(named) == sorted(names)


def test_a_document_that_came_later_is_deposited_with_its_content(
    office: CivilStatusTwin, connector: EtatCivil, documents: MemoryDocuments
) -> None:
    documents.store(b"%PDF identity", name="x", media_type="application/pdf")
    done = connector.handle(document_came(b"%PDF identity"))
    assert office.collect() == [done.reference]
    deposit = office.follow_ups[done.reference or ""]
    assert deposit.attachments == {"pj-01-Piece_d_identite.pdf": b"%PDF identity"}
    assert (deposit.text("objet"), deposit.text("piece")) == ("Pièce reçue", "pj-01-Piece_d_identite.pdf")
    assert (done.events[0].data["status"], done.events[0].data["request"]["id"]) == (None, REQUEST_ID)


def test_a_follow_up_that_is_typed_in_capitals_is_known(office: CivilStatusTwin, connector: EtatCivil) -> None:
    name = connector.handle(reopened(request={"id": REQUEST_ID})).reference or ""
    office.close(name.upper())
    [event] = polled(connector)
    assert event.data["request"]["references"][0]["id"] == name


def test_a_document_that_is_too_heavy_or_of_no_request_is_refused(connector: EtatCivil) -> None:
    heavy = document_came(b"x")
    heavy.event.data["document"]["size"] = 60 * 1024 * 1024
    for refused in (heavy, document_came(b"x", request={}, request_id=None)):
        with pytest.raises(Refused):
            connector.handle(refused)


HEADER = "reference;statut;date;motif\r\n"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (HEADER + "{ref};FINI;2026-03-04;\r\n", "Statut inconnu"),
        (HEADER + "{ref};TRAITEE;04/03/26;\r\n", "date"),
        (HEADER + "{ref};TRAITEE;2026-02-30;\r\n", "date"),
        (HEADER + "{ref};TRAITEE;2026-03-04;;acte.pdf\r\n", "quatre colonnes"),
        (HEADER + "{ref};TRAITEE;2026-03-04;\r\n{ref};REJETEE;2026-03-04;\r\n", "exactement une"),
        (HEADER, "exactement une"),
        ("", "première ligne"),
        ("<html><body>502</body></html>", "première ligne"),
        ("%PDF-1.7 acte", "première ligne"),
        (HEADER + "autre;TRAITEE;2026-03-04;\r\n", "nom du fichier"),
        (HEADER + "{ref};REJETEE;2026-03-04;" + "x" * 9000, "octets"),
        (HEADER + '{ref};REJETEE;2026-03-04;"sans fin', "CSV"),
        (b"\xff\xfe\x00garbage", "encodage"),
        (b"reference;statut;date;motif\r\n\x00;\x00;\x00;\x00", ""),
    ],
)
def test_a_return_that_says_nothing_usable_is_set_aside_and_stops_nothing(
    office: CivilStatusTwin, connector: EtatCivil, content: str | bytes, why: str
) -> None:
    bad = dropped(connector).reference or ""
    good = dropped(connector, references=[{"system": "hubee", "id": "zzz"}]).reference or ""
    office.leave(f"retour-{bad}.csv", content.replace("{ref}", bad) if isinstance(content, str) else content)
    office.close(good)
    [event] = polled(connector)
    assert event.data["request"]["references"][0]["id"] == good
    aside = office.returns / "erreurs"
    assert (aside / f"retour-{bad}.csv").exists()
    assert why in (aside / f"retour-{bad}.csv.motif.txt").read_text()
    assert polled(connector) == []


def test_a_reference_that_we_never_dropped_is_set_aside(office: CivilStatusTwin, connector: EtatCivil) -> None:
    office.close("hubee-inconnue-0000")
    assert polled(connector) == []
    why = office.returns / "erreurs" / "retour-hubee-inconnue-0000.csv.motif.txt"
    assert "Aucune demande" in why.read_text()


def why_refused(office: CivilStatusTwin, reference: str) -> str:
    return (office.returns / "erreurs" / f"retour-{reference}.csv.motif.txt").read_text()


def old_name(plain: str, whose: str = "saint-aubin etatcivil") -> str:
    """The form used before: anybody who knows these facts makes one."""
    return f"{plain}-{hashlib.sha256(f'{whose} {plain}'.encode()).hexdigest()[:4]}"


@pytest.mark.parametrize("forge", ["code-of-another", "no-code", "made-up", "old"])
def test_nobody_makes_a_reference_out_of_what_is_known(
    office: CivilStatusTwin, connector: EtatCivil, forge: str
) -> None:
    true = dropped(connector).reference or ""
    plain, code = true[:-18], true[-17:]
    forged = {
        "code-of-another": f"hubee-2026-1-{code}", "no-code": plain, "made-up": f"{plain}-00000-00000-00000",
        "old": old_name(plain),
    }[forge]  # fmt: skip
    office.close(forged)
    assert polled(connector) == []
    assert why_refused(office, forged)


@pytest.mark.parametrize("other", [{"connection": "mairie-2"}, {"tenant": "autre-ville"}, {"answer_secret": b"x" * 32}])
def test_a_reference_of_another_connection_town_or_hub_is_refused(
    office: CivilStatusTwin, connector: EtatCivil, other: dict[str, Any]
) -> None:
    context = replace(context_for("etatcivil", office.connection_settings()), **other)
    theirs = EtatCivil(context).prepare(delivery(request())).name
    office.close(theirs)
    assert polled(connector) == []
    assert "Aucune demande" in why_refused(office, theirs)


def test_a_reference_that_an_agent_typed_is_known(office: CivilStatusTwin, connector: EtatCivil) -> None:
    true = dropped(connector).reference or ""
    for status, typed in (("EN_COURS", true.lower()), ("TRAITEE", f"{true[:-18]} {true[-17:].replace('-', ' ')}")):
        office.answer(typed, status)
    found = {event.data["native"]["code"]: event.data["request"] for event in polled(connector)}
    link = {"references": [{"system": "etatcivil", "id": true}]}
    assert found == {"EN_COURS": link, "TRAITEE": link}


def test_a_wrong_letter_is_said_to_be_one(office: CivilStatusTwin, connector: EtatCivil) -> None:
    true = dropped(connector).reference or ""
    typed = f"{true[:-1]}{'Z' if true[-1] != 'Z' else 'Y'}"
    office.close(typed)
    assert polled(connector) == []
    assert "mal recopiée" in why_refused(office, typed)


@pytest.mark.parametrize(("until", "taken"), [(None, 0), ("2026-03-01", 0), ("2026-03-02", 1), ("2026-12-31", 1)])
def test_a_reference_of_the_old_form_is_taken_until_the_day_set(
    office: CivilStatusTwin, until: str | None, taken: int
) -> None:
    settings = office.connection_settings() | ({"old_keys_until": until} if until else {})
    connector = EtatCivil(context_for("etatcivil", settings))
    ours, theirs = old_name("hubee-2026-000481"), old_name("hubee-2026-000482", "autre-ville etatcivil")
    office.close(ours)
    office.close(theirs)
    events = polled(connector)
    assert [event.data["request"]["references"][0]["id"] for event in events] == [ours] * taken
    assert "Aucune demande" in why_refused(office, theirs)
    if not taken:
        assert "ancienne forme" in why_refused(office, ours)
    connector.close()


@pytest.mark.parametrize(
    "name", ["acte.pdf", "retour-{ref}.pdf", "retour-{ref}.zip", "retour-{ref}.csv.pdf", "acte.xml"]
)
def test_a_return_with_an_attachment_is_refused_unread(
    office: CivilStatusTwin, connector: EtatCivil, documents: MemoryDocuments, name: str
) -> None:
    reference = dropped(connector).reference or ""
    office.leave(name.replace("{ref}", reference), b"%PDF the record itself")
    assert polled(connector) == []
    assert documents.contents == {}
    assert "aucune pièce jointe" in next((office.returns / "erreurs").glob("*.motif.txt")).read_text()


def test_a_return_that_we_may_not_open_stays_and_the_others_are_read(
    office: CivilStatusTwin, connector: EtatCivil
) -> None:
    first, second = (
        str(dropped(connector, references=[{"system": "hubee", "id": name}]).reference) for name in ("a-1", "b-2")
    )
    office.close(first)
    office.close(second)
    office.misbehave("denied")

    read: list[Event] = []
    with pytest.raises(TryLater, match="1 fichier"):
        polled(connector, read)

    assert len(read) == 1
    assert not (office.returns / "erreurs").exists()
    assert len(polled(connector)) == 1


def test_a_file_that_is_still_being_written_is_left_alone(office: CivilStatusTwin, connector: EtatCivil) -> None:
    reference = dropped(connector).reference or ""
    (office.returns / f"retour-{reference}.csv.filepart").write_text("reference;sta")
    assert polled(connector) == []
    assert not (office.returns / "erreurs").exists()


def test_returns_of_excel_are_read_in_the_encoding_agreed_upon(office: CivilStatusTwin) -> None:
    connector = opened(office, return_encoding="cp1252")
    reference = dropped(connector).reference or ""
    office.leave(f"retour-{reference}.csv", f"{HEADER}{reference};REJETEE;2026-03-04;Refusé".encode("cp1252"))
    [event] = polled(connector)
    assert event.data["reason"] == "Refusé"
    connector.close()


def test_many_returns_are_committed_by_the_hundred(office: CivilStatusTwin, connector: EtatCivil) -> None:
    for number in range(130):
        body = request(references=[{"system": "hubee", "id": f"case-{number}"}])
        office.close(connector.prepare(delivery(body)).name)
    assert [len(batch.events) for batch in connector.poll(None)] == [100, 30]
    assert len(polled(connector)) == 130


def test_polling_an_office_that_is_away_is_tried_later(office: CivilStatusTwin, connector: EtatCivil) -> None:
    office.stop()
    with pytest.raises(TryLater):
        polled(connector)


def test_the_office_collects_by_itself_when_told_to() -> None:
    with CivilStatusTwin(collecting=True) as office:
        connector = opened(office)
        dropped(connector)
        for _ in range(200):
            if office.effects:
                break
            office._ended.wait(0.02)
        assert office.effects == 1
        connector.close()


def test_the_office_refuses_an_archive_that_is_not_a_request(office: CivilStatusTwin) -> None:
    (office.drop / "a.zip").write_bytes(b"not a zip")
    with zipfile.ZipFile(office.drop / "b.zip", "w") as archive:
        archive.writestr("../b.xml", "<x/>")
    with zipfile.ZipFile(office.drop / "c.zip", "w") as archive:
        archive.writestr("c.xml", "<demandeEtatCivil version='1.0'/>")
    assert office.collect() == []
    assert len(office.rejected) == 3


def test_no_name_and_no_secret_reaches_the_log(
    office: CivilStatusTwin, connector: EtatCivil, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    reference = dropped(connector).reference or ""
    office.reject(reference, "Motif personnel")
    polled(connector)
    for word in ("MARCHETTI", "OUALI", "Motif personnel", office.sftp.password):
        assert word not in caplog.text


# exceljs#454, ganttproject#1634
@pytest.mark.parametrize(
    "content",
    [
        "reference;statut;date;motif;;\r\n{ref};TRAITEE;2026-03-04;;;\r\n", HEADER + "{ref};TRAITEE;2026-03-04\r\n",
        "sep=;\r\n" + HEADER + "{ref};TRAITEE;2026-03-04;\r\n;;;\r\n",
        "\ufeff" + HEADER + "{ref};TRAITEE;2026-03-04;\r\n",
    ],
)  # fmt: skip
def test_what_excel_adds_to_a_return_or_drops_from_it_is_taken(
    office: CivilStatusTwin, connector: EtatCivil, content: str
) -> None:
    reference = dropped(connector).reference or ""
    office.leave(f"retour-{reference}.csv", content.replace("{ref}", reference))
    assert words(polled(connector)) == ["TRAITEE"]
    assert not (office.returns / "erreurs").exists()


def test_a_reason_of_several_lines_is_taken_as_the_agent_wrote_it(
    office: CivilStatusTwin, connector: EtatCivil
) -> None:
    office.reject(dropped(connector).reference or "", "Pièce illisible.\r\nÀ refaire.")
    [event] = polled(connector)
    assert event.data["reason"] == "Pièce illisible.\r\nÀ refaire."


# pix PR 1842, thinkle/gourmet#560
@pytest.mark.parametrize(
    ("written", "agreed"), [("utf-8", "cp1252"), ("utf-8", "iso-8859-15"), ("cp1252", "iso-8859-15")]
)
def test_a_return_in_another_encoding_than_agreed_upon_is_set_aside(
    office: CivilStatusTwin, written: str, agreed: str
) -> None:
    connector = opened(office, return_encoding=agreed)
    reference = dropped(connector).reference or ""
    office.leave(f"retour-{reference}.csv", f"{HEADER}{reference};REJETEE;2026-03-04;Acte d’Évreux".encode(written))
    assert polled(connector) == []
    assert "encodage" in why_refused(office, reference)
    connector.close()


# OpenRefine#690, cldf/csvw#52
def test_a_return_that_swallowed_another_line_is_set_aside(office: CivilStatusTwin, connector: EtatCivil) -> None:
    reference = dropped(connector).reference or ""
    swallowed = f'{reference};REJETEE;2026-03-04;"a\r\nb;TRAITEE;2026-03-05;c"\r\n'
    office.leave(f"retour-{reference}.csv", f"{HEADER}{swallowed}")
    assert polled(connector) == []
    assert "CSV" in why_refused(office, reference)


# SSH.NET#1008, pkg/sftp#269
@pytest.mark.parametrize("way", ["connection_settings", "local_settings"])
def test_a_return_that_still_grows_is_read_once_it_is_whole(office: CivilStatusTwin, way: str) -> None:
    connector = EtatCivil(context_for("etatcivil", getattr(office, way)(settled="looks")))
    reference = dropped(connector).reference or ""
    path = office.returns / f"retour-{reference}.csv"
    for content in (
        HEADER,
        f"{HEADER}{reference};REJETEE;2026-03-04;Acte",
        f"{HEADER}{reference};REJETEE;2026-03-04;Acte perdu",
    ):
        path.write_text(content, newline="")
        assert polled(connector) == []
    [event] = polled(connector)
    assert event.data["reason"] == "Acte perdu"
    connector.close()


# paramiko#546, asyncssh#610
@pytest.mark.parametrize("raw", [b"retour-\xe9tat.csv", b"\xe9tat.pdf"])
def test_a_return_of_a_name_in_an_old_encoding_is_set_aside(
    office: CivilStatusTwin, either: EtatCivil, raw: bytes
) -> None:
    with open(os.fsencode(office.returns) + b"/" + raw, "wb"):
        pass
    office.close(dropped(either).reference or "")
    assert words(polled(either)) == ["TRAITEE"]
    assert (office.returns / "erreurs" / raw.decode("cp1252")).exists()


# bcgov/SIMS PR 3655
def test_the_same_bad_return_on_two_days_is_kept_twice(office: CivilStatusTwin, connector: EtatCivil) -> None:
    reference = dropped(connector).reference or ""
    for status in ("FINI", "CLOS"):
        office.answer(reference, status)
        assert polled(connector) == []
    kept = [path.read_text() for path in (office.returns / "erreurs").glob("retour-*[0-9A-Za-z].csv")]
    assert sorted("FINI" in text for text in kept) == [False, True]
    assert len(list((office.returns / "erreurs").glob("*.motif.txt"))) == 2


def test_the_code_of_a_reference_is_told_to_nobody(office: CivilStatusTwin, connector: EtatCivil) -> None:
    reference = dropped(connector).reference or ""
    office.answer(reference, "FINI")
    [fault] = [fault for batch in connector.poll(None) for fault in batch.faults]
    assert (fault.code, fault.place) == ("file-aside.status", "retour-….csv")
