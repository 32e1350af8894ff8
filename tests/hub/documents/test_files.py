"""The document store: whole, sealed, apart by tenant, and honest about what is damaged."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.documents.files import DamagedDocument, DocumentStore, UnknownDocument, safe_name
from schemas.delivery import Documents, StoredDocument
from schemas.errors import ConfigError, InvalidMessage, TryLater
from schemas.secret import Secret

PDF = b"%PDF-1.7\nplan of the terrace\n%%EOF"
KEY = Secret(base64.b64encode(bytes(range(32))).decode())
OTHER_KEY = Secret(base64.b64encode(bytes(range(1, 33))).decode())


@pytest.fixture(params=["folder", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "folder":
        yield str(tmp_path / "documents")
        return
    yield f"memory://{tmp_path.name}"
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "documents"


def file_of(folder: Path, tenant: str, document: StoredDocument) -> Path:
    return folder / tenant / document.id[:2] / document.id


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
def test_what_is_stored_is_read_again(root: str, key: Secret | None) -> None:
    documents: Documents = DocumentStore(root, key).for_tenant("saint-aubin")

    stored = documents.store(PDF, name="plan.pdf", media_type="application/pdf", kind="site-plan")

    digest = hashlib.sha256(PDF).hexdigest()
    assert stored == StoredDocument(digest, "plan.pdf", "application/pdf", len(PDF), digest, "site-plan")
    assert documents.read(stored.id) == PDF


def test_the_same_bytes_give_the_same_id_and_one_file(root: str) -> None:
    store = DocumentStore(root, KEY)
    documents = store.for_tenant("saint-aubin")

    first = documents.store(PDF, name="a.pdf", media_type="application/pdf")
    second = documents.store(PDF, name="b.pdf", media_type="application/pdf")

    assert first.id == second.id
    assert list(store.names("saint-aubin")) == [first.id]


def test_two_tenants_with_the_same_bytes_share_nothing(root: str) -> None:
    store = DocumentStore(root, KEY)
    town, ccas = store.for_tenant("saint-aubin"), store.for_tenant("saint-aubin-ccas")
    document = town.store(PDF, name="plan.pdf", media_type="application/pdf")

    with pytest.raises(UnknownDocument):
        ccas.read(document.id)
    ccas.store(PDF, name="plan.pdf", media_type="application/pdf")
    town.delete(document.id)

    assert ccas.read(document.id) == PDF
    assert list(store.names("saint-aubin")) == []


def test_a_sealed_document_shows_nothing_on_disk(folder: Path) -> None:
    document = (
        DocumentStore(str(folder), KEY)
        .for_tenant("saint-aubin")
        .store(PDF, name="plan.pdf", media_type="application/pdf")
    )

    raw = file_of(folder, "saint-aubin", document).read_bytes()

    assert b"terrace" not in raw
    assert b"PDF" not in raw


def test_a_file_moved_to_another_tenant_does_not_open(folder: Path) -> None:
    store = DocumentStore(str(folder), KEY)
    document = store.for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")
    target = file_of(folder, "voisin", document)
    target.parent.mkdir(parents=True)
    target.write_bytes(file_of(folder, "saint-aubin", document).read_bytes())

    with pytest.raises(DamagedDocument):
        store.for_tenant("voisin").read(document.id)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
def test_an_altered_file_is_not_given_out(folder: Path, key: Secret | None) -> None:
    documents = DocumentStore(str(folder), key).for_tenant("saint-aubin")
    document = documents.store(PDF, name="plan.pdf", media_type="application/pdf")
    path = file_of(folder, "saint-aubin", document)
    raw = path.read_bytes()

    for position in range(len(raw)):
        path.write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
        with pytest.raises(DamagedDocument):
            documents.read(document.id)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
def test_a_cut_file_is_not_given_out_and_storing_again_mends_it(folder: Path, key: Secret | None) -> None:
    documents = DocumentStore(str(folder), key).for_tenant("saint-aubin")
    document = documents.store(PDF, name="plan.pdf", media_type="application/pdf")
    path = file_of(folder, "saint-aubin", document)
    raw = path.read_bytes()

    for length in range(len(raw)):
        path.write_bytes(raw[:length])
        with pytest.raises(DamagedDocument):
            documents.read(document.id)

    documents.store(PDF, name="plan.pdf", media_type="application/pdf")
    assert documents.read(document.id) == PDF


@pytest.mark.parametrize("key", [None, OTHER_KEY], ids=["no key", "another key"])
def test_the_wrong_key_opens_nothing_and_says_so(root: str, key: Secret | None) -> None:
    document = (
        DocumentStore(root, KEY).for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")
    )

    with pytest.raises(DamagedDocument, match="another hub"):
        DocumentStore(root, key).for_tenant("saint-aubin").read(document.id)


def test_documents_stored_before_a_key_was_set_are_still_read(root: str) -> None:
    document = DocumentStore(root).for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")

    assert DocumentStore(root, KEY).for_tenant("saint-aubin").read(document.id) == PDF


@pytest.mark.parametrize(
    "document_id", ["../../etc/passwd", "", "A" * 64, "0" * 63, "0" * 64 + "\n", "/" + "0" * 63, "0" * 64]
)
def test_an_id_that_is_no_digest_leads_nowhere(root: str, document_id: str) -> None:
    documents = DocumentStore(root, KEY).for_tenant("saint-aubin")

    with pytest.raises(UnknownDocument):
        documents.read(document_id)


@pytest.mark.parametrize("tenant", ["", "..", "a/b", "A", ".incoming", "a" * 42, "a\n"])
def test_a_tenant_that_is_no_slug_has_no_documents(root: str, tenant: str) -> None:
    with pytest.raises(ConfigError):
        DocumentStore(root).for_tenant(tenant)


@pytest.mark.parametrize(
    ("given_name", "kept"),
    [
        ("plan.pdf", "plan.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\windows\\system.ini", "system.ini"),
        ("C:\\Users\\x\\plan.pdf", "plan.pdf"),
        ("..", "document"),
        ("", "document"),
        ("   ", "document"),
        ("a\x00b\r\n.pdf", "ab.pdf"),
        ("facture\u202efdp.exe", "facturefdp.exe"),
        (".htaccess", "htaccess"),
        ("con.txt", "_con.txt"),
        ('a<b>"c"|?*.pdf', "a_b__c____.pdf"),
        ("e\u0301tat.pdf", "état.pdf"),
        ("x" * 300 + ".pdf", "x" * 146 + ".pdf"),
    ],
)
def test_a_name_is_only_a_name(given_name: str, kept: str) -> None:
    assert safe_name(given_name) == kept


@given(st.text(max_size=300))
def test_any_name_becomes_one_that_the_shared_schema_takes(name: str) -> None:
    kept = safe_name(name)

    assert 1 <= len(kept) <= 255
    assert re.fullmatch(r"[^\x00-\x1f\x7f/\\]*[^\x00-\x1f\x7f/\\.][^\x00-\x1f\x7f/\\]*", kept)
    assert safe_name(kept) == kept


@pytest.mark.parametrize(
    ("content", "media_type", "code"),
    [
        (b"", "text/plain", "empty_document"),
        (b"x" * 1025, "text/plain", "too_large"),
        (b"hello", "text/html", "media_type_refused"),
        (b"hello", "application/x-sh", "media_type_refused"),
        (b"hello", "text/plain\r\nX: y", "media_type_refused"),
        (b"hello", "application/pdf", "media_type_mismatch"),
        (PDF, "image/png", "media_type_mismatch"),
        (PDF, "text/plain", "media_type_mismatch"),
        (b"PK\x03\x04rest", "application/pdf", "media_type_mismatch"),
        (b"hello", "application/zip", "media_type_mismatch"),
        (b"hello", "application/vnd.oasis.opendocument.text", "media_type_mismatch"),
        (b"\xff\xd8\xff\xe0", "image/png", "media_type_mismatch"),
        (b"\x89PNG\r\n\x1a\n", "image/jpeg", "media_type_mismatch"),
        (b"\x7fELF\x02\x01", "application/octet-stream", "media_type_mismatch"),
        (b"MZ\x90\x00\x03", "application/octet-stream", "media_type_mismatch"),
    ],
)
def test_a_document_that_is_not_what_it_says_is_refused_and_not_stored(
    root: str, content: bytes, media_type: str, code: str
) -> None:
    store = DocumentStore(root, KEY, max_bytes=1024)

    with pytest.raises(InvalidMessage) as refusal:
        store.for_tenant("saint-aubin").store(content, name="a", media_type=media_type)

    assert refusal.value.code == code
    assert list(store.names("saint-aubin")) == []


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (PDF, "application/pdf"),
        (b"PK\x03\x04rest", "application/zip"),
        (b"PK\x03\x04rest", "application/vnd.oasis.opendocument.text"),
        (b"\x89PNG\r\n\x1a\nrest", "image/png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg"),
        (b"<a/>", "application/xml; charset=utf-8"),
        (b"MZ is a place", "text/plain"),
        (PDF, "application/octet-stream"),
    ],
)
def test_a_document_that_is_what_it_says_is_taken(root: str, content: bytes, media_type: str) -> None:
    stored = DocumentStore(root, KEY).for_tenant("saint-aubin").store(content, name="a", media_type=media_type)

    assert stored.media_type == media_type


def test_a_civil_status_record_is_refused_with_the_rule(root: str) -> None:
    documents = DocumentStore(root, KEY).for_tenant("saint-aubin")

    with pytest.raises(InvalidMessage, match="COMEDEC") as refusal:
        documents.store(PDF, name="acte.pdf", media_type="application/pdf", kind="civil-status-record")

    assert refusal.value.rule == "civil-status-record"


def test_a_stop_between_writing_and_renaming_leaves_no_document(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def killed(self: Path, target: Path) -> Path:
        raise Killed

    store = DocumentStore(str(folder), KEY)
    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(Killed):
        store.for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")
    left = list((folder / ".incoming").iterdir())

    assert len(left) == 1
    assert list(store.names("saint-aubin")) == []
    with pytest.raises(UnknownDocument):
        store.for_tenant("saint-aubin").read(hashlib.sha256(PDF).hexdigest())

    monkeypatch.undo()
    os.utime(left[0], (0, 0))
    DocumentStore(str(folder), KEY)
    assert list((folder / ".incoming").iterdir()) == []


def test_a_half_written_temporary_of_a_running_process_is_left_alone(folder: Path) -> None:
    DocumentStore(str(folder), KEY)
    (folder / ".incoming" / "other").write_bytes(b"half")

    DocumentStore(str(folder), KEY)

    assert (folder / ".incoming" / "other").exists()


def test_the_file_is_on_disk_before_its_name_is_and_its_folder_after(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    sync, replace = os.fsync, Path.replace

    def noted_sync(descriptor: int) -> None:
        steps.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")
        sync(descriptor)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("rename")
        return replace(self, target)

    store = DocumentStore(str(folder), KEY)
    monkeypatch.setattr(os, "fsync", noted_sync)
    monkeypatch.setattr(Path, "replace", noted_replace)

    store.for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")

    assert steps == ["file", "rename", "folder", "folder", "folder"]


def test_a_full_disk_means_later_and_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    store = DocumentStore(str(folder), KEY)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TryLater, match="No space"):
        store.for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")

    assert list((folder / ".incoming").iterdir()) == []
    assert list(store.names("saint-aubin")) == []


def test_files_are_for_the_hub_alone(folder: Path) -> None:
    document = (
        DocumentStore(str(folder)).for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")
    )
    path = file_of(folder, "saint-aubin", document)

    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_a_release_takes_what_is_old_and_spares_what_was_just_stored_again(folder: Path) -> None:
    store = DocumentStore(str(folder), KEY)
    documents = store.for_tenant("saint-aubin")
    old = documents.store(PDF, name="plan.pdf", media_type="application/pdf")
    renewed = documents.store(b"notes", name="notes.txt", media_type="text/plain")
    for document in (old, renewed):
        os.utime(file_of(folder, "saint-aubin", document), (0, 0))
    documents.store(b"notes", name="notes.txt", media_type="text/plain")

    released = store.release(
        "saint-aubin", [old.id, renewed.id, "0" * 64], stored_before=datetime.now(UTC) - timedelta(hours=1)
    )

    assert released == 1
    assert list(store.names("saint-aubin")) == [renewed.id]


def test_a_release_works_on_any_file_system(root: str) -> None:
    store = DocumentStore(root, KEY)
    document = store.for_tenant("saint-aubin").store(PDF, name="plan.pdf", media_type="application/pdf")

    spared = store.release("saint-aubin", [document.id], stored_before=datetime.now(UTC) - timedelta(hours=1))
    released = store.release("saint-aubin", [document.id], stored_before=datetime.now(UTC) + timedelta(hours=1))

    assert (spared, released) == (0, 1)


def test_deleting_twice_is_fine(root: str) -> None:
    documents = DocumentStore(root).for_tenant("saint-aubin")
    document = documents.store(PDF, name="plan.pdf", media_type="application/pdf")

    documents.delete(document.id)
    documents.delete(document.id)

    with pytest.raises(UnknownDocument):
        documents.read(document.id)


def test_names_are_kept_after_the_bytes_and_forgotten_with_them(root: str) -> None:
    class Names:
        def __init__(self) -> None:
            self.known: dict[tuple[str, str], StoredDocument] = {}

        def record(self, tenant: str, document: StoredDocument) -> None:
            assert DocumentStore(root).for_tenant(tenant).read(document.id) == PDF
            self.known[tenant, document.id] = document

        def remove(self, tenant: str, document_id: str) -> None:
            del self.known[tenant, document_id]

    names = Names()
    documents = DocumentStore(root, names=names).for_tenant("saint-aubin")

    document = documents.store(PDF, name="plan.pdf", media_type="application/pdf")
    assert names.known == {("saint-aubin", document.id): document}
    documents.delete(document.id)
    assert names.known == {}


@pytest.mark.parametrize("address", ["nosuch://place", "/dev/null/documents"])
def test_a_place_that_cannot_be_used_stops_the_start(address: str) -> None:
    with pytest.raises(ConfigError, match="documents"):
        DocumentStore(address)


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", "not base64!"])
def test_a_key_that_is_not_32_bytes_stops_the_start_without_showing_it(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as stop:
        DocumentStore(str(tmp_path), Secret(key))

    assert stop.value.key == "encryption_key"
    assert not key or key not in str(stop.value)
