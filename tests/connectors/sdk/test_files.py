"""Folders: whole files or none, nothing outside, every failure named."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from connectors.sdk.files import Folder, LocalFolder, open_folder
from connectors.sdk.inbox import DONE, LeftFile, put_away, read_left
from connectors.sdk.sftp_twin import SftpTwin
from schemas.errors import AccessDenied, ConfigError, InvalidMessage, TryLater, Unknown
from schemas.secret import Secret
from tests.support.dribble import Stopwatch, dribbling

BIG = os.urandom(400_000)


@pytest.fixture
def twin() -> Iterator[SftpTwin]:
    with SftpTwin() as twin:
        (twin.root / "depot").mkdir()
        yield twin


@pytest.fixture(params=["local", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Folder, Path]]:
    """The same promises on both kinds: the folder, and where it really is."""
    if request.param == "local":
        yield LocalFolder(tmp_path), tmp_path
        return
    twin = request.getfixturevalue("twin")
    folder = open_folder(twin.settings(), "/depot")
    yield folder, twin.root / "depot"
    folder.close()


@pytest.fixture
def remote(twin: SftpTwin) -> Iterator[Folder]:
    folder = open_folder(twin.settings(), "/depot")
    yield folder
    folder.close()


def test_a_file_put_is_listed_and_read_back(place: tuple[Folder, Path]) -> None:
    folder, _ = place
    folder.put("a.csv", BIG)
    assert folder.names() == ["a.csv"]
    assert folder.read("a.csv") == BIG


def test_the_same_name_is_overwritten(place: tuple[Folder, Path]) -> None:
    folder, real = place
    folder.put("a.csv", b"a much longer first version")
    folder.put("a.csv", b"second")
    assert folder.read("a.csv") == b"second"
    assert os.listdir(real) == ["a.csv"]


def test_a_file_moves_to_a_sub_folder_and_moving_again_is_no_error(place: tuple[Folder, Path]) -> None:
    folder, real = place
    folder.put("a.csv", b"x")
    folder.move("a.csv", "traites/a.csv")
    folder.move("a.csv", "traites/a.csv")
    assert folder.names() == []
    assert (real / "traites" / "a.csv").read_bytes() == b"x"


def left(
    real: Path, content: str = "cle;resultat;motif", name: str = "r.csv", at: float | None = 1_760_000_000.0
) -> None:
    """A package leaves a file, as one that keeps the times of what it copies."""
    (real / name).write_text(content)
    if at is not None:
        os.utime(real / name, (at, at))


def taken(folder: Folder, name: str = "r.csv") -> LeftFile:
    file = read_left(folder, name)
    put_away(folder, file)
    return file


def test_a_file_read_again_before_it_is_put_away_is_the_same(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real)
    first, again = read_left(folder, "r.csv"), read_left(folder, "r.csv")
    assert first == again


def test_a_later_file_of_the_same_name_content_and_time_is_another(place: tuple[Folder, Path]) -> None:
    folder, real = place
    marks = []
    for _ in range(3):
        left(real)
        marks.append(taken(folder).mark)
    assert len(set(marks)) == 3
    assert len(list((real / DONE).iterdir())) == 3


def test_a_later_file_is_another_though_somebody_tidied_the_earlier_ones_away(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real)
    first = taken(folder)
    for path in (real / DONE).iterdir():
        path.unlink()
    left(real, at=1_760_000_060.0)
    assert taken(folder).mark != first.mark


def test_a_file_written_anew_since_it_was_read_is_not_put_away_unread(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real, "cle;EN_COURS")
    read = read_left(folder, "r.csv")
    left(real, "cle;TRAITE", at=1_760_000_060.0)
    put_away(folder, read)
    assert taken(folder).content == b"cle;TRAITE"
    assert folder.names() == []


def test_a_file_is_put_away_once_however_often_it_is_asked(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real)
    file = taken(folder)
    put_away(folder, file)
    assert [path.name for path in (real / DONE).iterdir()] == [f"r.{file.mark}.csv"]


def test_a_file_of_a_very_long_name_can_be_put_away(place: tuple[Folder, Path]) -> None:
    folder, real = place
    name = "é" * 95 + ".csv"
    left(real, name=name)
    taken(folder, name)
    assert folder.names() == []


def test_returns_are_read_in_the_order_in_which_they_were_written(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real, name="z.csv", at=1_760_000_000.0)
    left(real, name="b.csv", at=1_760_000_060.0)
    left(real, name="a.csv", at=1_760_000_060.0)
    assert folder.names() == ["z.csv", "a.csv", "b.csv"]


def test_moving_what_never_was_is_an_error(place: tuple[Folder, Path]) -> None:
    with pytest.raises(TryLater):
        place[0].move("a.csv", "b.csv")


def test_deleting_twice_is_no_error(place: tuple[Folder, Path]) -> None:
    folder, _ = place
    folder.put("a.csv", b"x")
    folder.delete("a.csv")
    folder.delete("a.csv")
    assert folder.names() == []


@pytest.mark.parametrize(
    "name",
    ["../x", "/etc/x", "a/../x", "a\0b", ".hidden", "", "a//b", "a\\b", "x\ny", "a/b/c", "..", "a/.b", "n" * 300],
)
def test_a_name_that_leaves_the_folder_or_hides_is_refused(place: tuple[Folder, Path], name: str) -> None:
    folder, real = place
    for attempt in (
        lambda: folder.put(name, b"x"), lambda: folder.read(name), lambda: folder.delete(name),
        lambda: folder.move("a", name), lambda: folder.move(name, "a"),
    ):  # fmt: skip
        with pytest.raises(InvalidMessage):
            attempt()
    assert os.listdir(real) == []


def test_only_plain_visible_files_are_listed(place: tuple[Folder, Path]) -> None:
    folder, real = place
    (real / "b.csv").write_bytes(b"")
    (real / ".c.part").write_bytes(b"")
    (real / "dossier").mkdir()
    (real / "lien.csv").symlink_to("/etc/hostname")
    assert folder.names() == ["b.csv"]


def age(path: Path, *, hours: float) -> None:
    at = time.time() - hours * 3600
    os.utime(path, (at, at), follow_symlinks=False)


def test_what_a_killed_process_left_is_deleted_an_hour_later(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left, fresh = real / ".a.csv.0123abcd.part", real / ".b.csv.4567cdef.part"
    foreign = [real / ".a.csv.part", real / "c.0123abcd.part", real / ".d.0123ABCD.part", real / ".e.filepart"]
    for path in (left, fresh, *foreign):
        path.write_bytes(b"half")
        age(path, hours=0.5 if path is fresh else 2)
    os.symlink("/etc/hostname", real / ".f.89abcdef.part")
    age(real / ".f.89abcdef.part", hours=2)

    folder.put("a.csv", b"whole")

    assert folder.read("a.csv") == b"whole"
    kept = {path.name for path in (fresh, *foreign)} | {"a.csv"}
    assert {name for name in os.listdir(real) if name != ".f.89abcdef.part"} == kept


def test_stale_files_of_a_sub_folder_are_deleted_too(place: tuple[Folder, Path]) -> None:
    folder, real = place
    (real / "erreurs").mkdir()
    left = real / "erreurs" / ".x.0123abcd.part"
    left.write_bytes(b"half")
    age(left, hours=2)
    folder.put("erreurs/x.motif.txt", b"why")
    assert os.listdir(real / "erreurs") == ["x.motif.txt"]


def test_stale_files_are_looked_for_once_an_hour(place: tuple[Folder, Path]) -> None:
    folder, real = place
    folder.put("a.csv", b"1")
    left = real / ".a.csv.0123abcd.part"
    left.write_bytes(b"half")
    age(left, hours=2)
    folder.put("a.csv", b"2")
    assert left.exists()


def test_a_writer_killed_in_mid_write_leaves_nothing_for_good(tmp_path: Path) -> None:
    """A real SIGKILL between the write and the rename."""
    code = (
        "import os, signal, sys\n"
        "from connectors.sdk.files import LocalFolder\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "LocalFolder(sys.argv[1]).put('a.csv', b'x' * 100000)\n"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[3], check=False)
    assert killed.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert LocalFolder(tmp_path).names() == []
    age(left, hours=2)

    LocalFolder(tmp_path).put("a.csv", b"whole")

    assert os.listdir(tmp_path) == ["a.csv"]


def test_a_file_above_the_limit_is_not_read(place: tuple[Folder, Path]) -> None:
    folder, real = place
    (real / "a.csv").write_bytes(b"12345")
    assert folder.read("a.csv", 5) == b"12345"
    with pytest.raises(InvalidMessage) as caught:
        folder.read("a.csv", 4)
    assert caught.value.code == "too_large"


def test_a_missing_folder_is_an_outage(tmp_path: Path, twin: SftpTwin) -> None:
    for folder in (LocalFolder(tmp_path / "absent"), open_folder(twin.settings(), "/absent")):
        with pytest.raises(TryLater):
            folder.put("a.csv", b"x")
        with pytest.raises(TryLater):
            folder.names()
        folder.close()
    assert not (tmp_path / "absent").exists()


def test_a_local_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "a.csv").symlink_to(tmp_path / "secret")
    (shared / "out").symlink_to(tmp_path)
    with pytest.raises(InvalidMessage):
        LocalFolder(shared).read("a.csv")
    with pytest.raises(InvalidMessage):
        LocalFolder(shared).put("out/b.csv", b"x")


def test_a_local_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TryLater, match="plein"):
        LocalFolder(tmp_path).put("a.csv", b"x")
    assert os.listdir(tmp_path) == []


def test_an_upload_cut_in_the_middle_leaves_no_final_name(twin: SftpTwin, remote: Folder) -> None:
    twin.misbehave("cut")
    with pytest.raises(TryLater):
        remote.put("a.zip", BIG)
    assert remote.names() == []
    assert not (twin.root / "depot" / "a.zip").exists()
    remote.put("a.zip", BIG)
    assert remote.read("a.zip") == BIG


def test_an_upload_cut_over_an_older_file_leaves_the_older_one(twin: SftpTwin, remote: Folder) -> None:
    remote.put("a.zip", b"first")
    twin.misbehave("cut")
    with pytest.raises(TryLater):
        remote.put("a.zip", BIG)
    assert remote.read("a.zip") == b"first"


def test_a_rename_cut_before_its_answer_is_unknown(twin: SftpTwin, remote: Folder) -> None:
    twin.misbehave("cut-rename")
    with pytest.raises(Unknown):
        remote.put("a.zip", b"x")
    remote.put("a.zip", b"x")
    assert remote.names() == ["a.zip"]


def test_a_full_disk_is_try_later_and_leaves_nothing(twin: SftpTwin, remote: Folder) -> None:
    twin.misbehave("full", times=50)
    with pytest.raises(TryLater):
        remote.put("a.zip", BIG)
    assert os.listdir(twin.root / "depot") == []


def test_a_refused_file_is_access_denied(twin: SftpTwin, remote: Folder) -> None:
    twin.misbehave("denied")
    with pytest.raises(AccessDenied):
        remote.put("a.zip", b"x")


def test_a_server_that_does_not_answer_is_try_later(twin: SftpTwin) -> None:
    folder = open_folder(twin.settings(timeout=0.5), "/depot")
    (twin.root / "depot" / "b.zip").write_bytes(b"x")
    for attempt in (lambda: folder.put("a.zip", BIG), lambda: folder.read("b.zip")):
        twin.misbehave("slow")
        began = time.monotonic()
        with pytest.raises(TryLater):
            attempt()
        assert time.monotonic() - began < 5, "the size that may come is no reason to wait for an answer"
    folder.close()


def test_a_stopped_server_is_try_later_and_works_again_after(twin: SftpTwin, remote: Folder) -> None:
    remote.put("a.csv", b"1")
    twin.stop()
    for _ in range(2):
        with pytest.raises(TryLater):
            remote.put("b.csv", b"2")
    twin.start()
    remote.put("b.csv", b"2")
    assert remote.names() == ["a.csv", "b.csv"]


def test_one_connection_serves_many_files(twin: SftpTwin, remote: Folder) -> None:
    for number in range(5):
        remote.put(f"{number}.csv", b"x")
    assert twin.logins == 1


def test_neither_end_looks_up_the_name_of_its_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without `/etc/hosts` that asks a name server, and a lost query makes it wait as long as the time-out."""
    asked: list[str] = []

    def look_up(name: str = "") -> str:
        asked.append(name)
        return name

    for function in ("getfqdn", "gethostbyaddr", "gethostbyname"):
        monkeypatch.setattr(socket, function, look_up)
    with SftpTwin() as twin:
        folder = open_folder(twin.settings(), "/")
        folder.put("a.csv", b"x")
        folder.close()
    assert asked == []


def test_a_wrong_host_key_is_access_denied_and_sends_no_password(twin: SftpTwin) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    folder = open_folder(twin.settings(host_key=other), "/depot")
    with pytest.raises(AccessDenied, match="la clé attendue"):
        folder.names()
    assert twin.logins == 0
    folder.close()


def test_a_host_key_of_another_kind_is_access_denied(twin: SftpTwin) -> None:
    other = asyncssh.generate_private_key("ecdsa-sha2-nistp256").export_public_key().decode()
    folder = open_folder(twin.settings(host_key=other), "/depot")
    with pytest.raises(AccessDenied):
        folder.names()
    folder.close()


def test_a_wrong_password_is_access_denied_and_not_told(twin: SftpTwin) -> None:
    folder = open_folder(twin.settings(password=Secret("faux-secret")), "/depot")
    with pytest.raises(AccessDenied) as caught:
        folder.names()
    assert "faux-secret" not in str(caught.value)
    folder.close()


def test_a_key_opens_the_account() -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    with SftpTwin(authorized_key=key.export_public_key().decode()) as twin:
        private = Secret(key.export_private_key().decode())
        folder = open_folder(twin.settings(password=None, private_key=private), "/")
        folder.put("a.csv", b"x")
        assert folder.names() == ["a.csv"]
        folder.close()


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"host_key": ""}, "host_key"), ({"host_key": "rubbish"}, "host_key"), ({"username": ""}, "username"),
        ({"password": None}, "password"), ({"private_key": Secret("rubbish")}, "private_key"),
    ],
)  # fmt: skip
def test_missing_or_unreadable_settings_name_their_key(changes: dict[str, object], key: str) -> None:
    good = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode()
    settings = {"host": "sftp.example.org", "username": "u", "password": Secret("p"), "host_key": good} | changes
    with pytest.raises(ConfigError) as caught:
        open_folder(settings, "/")
    assert caught.value.key == key


@pytest.mark.parametrize(
    ("at_once", "slowly"),
    [
        (b"", b"SSH-2.0-OpenSSH_9.2 "),
        (b"", b"a word before the banner\r\n"),
        (b"SSH-2.0-OpenSSH_9.2\r\n" + bytes([0, 0, 0x10, 0, 4, 20]), b"\0"),
    ],
)
def test_a_server_that_greets_byte_by_byte_is_given_up(twin: SftpTwin, at_once: bytes, slowly: bytes) -> None:
    with dribbling(slowly, at_once=at_once, listen_first=False) as port:
        folder = open_folder(twin.settings(port=port, timeout=0.4), "/depot")
        with Stopwatch() as took, pytest.raises(TryLater, match="ne répond pas"):
            folder.put("a.csv", b"x")
        folder.close()
    assert took.seconds < 1.5


def test_a_server_that_falls_silent_in_the_middle_of_a_file_is_given_up(twin: SftpTwin) -> None:
    folder = open_folder(twin.settings(timeout=0.5), "/depot")
    folder.put("a.csv", b"x")
    twin.misbehave("slow")
    with Stopwatch() as took, pytest.raises(TryLater, match="ne répond pas"):
        folder.read("a.csv")
    assert took.seconds < 2.5
    assert folder.read("a.csv") == b"x"  # over a new connection
    folder.close()
