"""The files that packages leave: taken when whole, put away when committed, set aside with a reason."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import structlog

from connectors.sdk.files import Folder, LocalFolder, open_folder
from connectors.sdk.inbox import Inbox, LeftFile, Taken, set_aside
from connectors.sdk.sftp_twin import SftpTwin
from schemas.delivery import Polled, RecordFault
from schemas.errors import AccessDenied, HubError, InvalidMessage, TryLater
from schemas.event import Event
from schemas.tables import Row, read_rows
from tests.support.context import NOON, context_for

HEAD = "id;cp\r\n"


@pytest.fixture(params=["local", "sftp"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Folder, Path]]:
    """The same promises on both kinds: the folder, and where it really is."""
    if request.param == "local":
        yield LocalFolder(tmp_path), tmp_path
        return
    with SftpTwin() as twin:
        (twin.root / "retours").mkdir()
        folder = open_folder(twin.settings(), "/retours")
        yield folder, twin.root / "retours"
        folder.close()


def inbox_of(folder: Folder, **changes: Any) -> Inbox:
    own = {"settled": "rename", "now": lambda: NOON} | changes
    return Inbox(folder, connection="famille", prefixes=["nouvelles-"], **own)


def expect(name: str) -> None:
    if not name.startswith("nouvelles-"):
        raise InvalidMessage("Ce nom de fichier n'est pas convenu.", code="name")


def read(file: LeftFile) -> Taken:
    table = read_rows(file.content, ("id", "cp"))
    taken = Taken(table.faults)
    for row in table.rows:
        taken.record(row, partial(moved, file, row))
    return taken


def moved(file: LeftFile, row: Row) -> Event | None:
    if row["cp"] == "rien":
        return None
    value = {"value": {"postal_code": row["cp"], "city": "Valbruyère"}, "source": "famille", "date": "2026-03-02",
             "quality": "declared"}  # fmt: skip
    citizen = {"references": [{"system": "famille", "id": row["id"]}]}
    data = {"citizen": citizen, "new_address": value, "effective_on": "2026-03-02"}
    return Event("citizen.address-changed", "/saint-aubin/famille", data, id=f"{file.mark}:{row.line}")


def take(inbox: Inbox, *, acknowledge: bool = True, **more: Any) -> tuple[list[str], list[RecordFault]]:
    """The people who were told to have moved, and the faults, of one poll."""
    told: list[str] = []
    faults: list[RecordFault] = []
    for polled in inbox.take(expect, read, **more):
        told += [event.data["citizen"]["references"][0]["id"] for event in polled.events]
        faults += polled.faults
        if acknowledge and polled.acknowledge:
            polled.acknowledge()
    return told, faults


def left(real: Path, *lines: str, name: str = "nouvelles-1.csv", at: float | None = None) -> Path:
    (real / name).write_text(HEAD + "".join(f"{line}\r\n" for line in lines), newline="")
    if at is not None:
        os.utime(real / name, (at, at))
    return real / name


def kept(real: Path, folder: str) -> list[str]:
    return sorted(path.name for path in (real / folder).iterdir()) if (real / folder).exists() else []


# SSH.NET#1008, pkg/sftp#269
def test_a_file_that_grows_between_two_looks_is_not_taken(place: tuple[Folder, Path]) -> None:
    folder, real = place
    inbox = inbox_of(folder, settled="looks")
    for number in range(1, 4):
        left(real, *(f"F-{n};38999" for n in range(number)), at=1_760_000_000.0 + number)
        assert take(inbox) == ([], [])
    assert take(inbox) == (["F-0", "F-1", "F-2"], [])
    assert kept(real, ".") == ["traites"]


def test_a_file_that_keeps_its_size_and_changes_its_time_still_grows(place: tuple[Folder, Path]) -> None:
    folder, real = place
    inbox = inbox_of(folder, settled="looks")
    left(real, "F-1;38999", at=1_760_000_000.0)
    take(inbox)
    left(real, "F-2;38999", at=1_760_000_060.0)
    assert take(inbox) == ([], [])
    assert take(inbox) == (["F-2"], [])


def test_looking_twice_is_what_happens_unless_a_site_says_otherwise(tmp_path: Path) -> None:
    left(tmp_path, "F-1;38999")
    inbox = Inbox.of(LocalFolder(tmp_path), context_for("filedrop", {}), prefixes=[])
    assert [take(inbox)[0] for _ in range(3)] == [[], ["F-1"], []]


def test_a_file_that_was_only_opened_yet_is_given_more_time(place: tuple[Folder, Path]) -> None:
    folder, real = place
    inbox = inbox_of(folder, settled="looks")
    (real / "nouvelles-1.csv").touch()
    assert [take(inbox) for _ in range(9)] == [([], [])] * 9
    assert [fault.code for fault in take(inbox)[1]] == ["file-aside.header"]


def test_a_file_that_changes_while_it_is_read_is_left_for_later(tmp_path: Path) -> None:
    class Growing(LocalFolder):
        def read(self, name: str, max_bytes: int = 1000) -> bytes:
            content = super().read(name, max_bytes)
            return content + b"F-2;38999\r\n" if name.startswith("nouvelles") else content

    left(tmp_path, "F-1;38999")
    assert take(inbox_of(Growing(tmp_path))) == ([], [])
    assert kept(tmp_path, ".") == ["nouvelles-1.csv"]


@pytest.mark.parametrize("settled", ["looks", "rename", "marker"])
@pytest.mark.parametrize(
    "name",
    ["nouvelles-1.csv.partial", "nouvelles-1.csv.filepart", "~$nouvelles-1.csv", "nouvelles-1.csv.PART",
     ".~lock.a.csv#", "nouvelles-1.csv~", "nouvelles-1.csv.crdownload"],
)  # fmt: skip
def test_what_others_still_write_or_keep_beside_a_file_is_let_alone(tmp_path: Path, settled: str, name: str) -> None:
    left(tmp_path, "F-1;38999", name=name)
    inbox = inbox_of(LocalFolder(tmp_path), settled=settled)
    assert [take(inbox), take(inbox)] == [([], [])] * 2
    assert (kept(tmp_path, "."), inbox.waiting()) == ([name], 0)


@pytest.mark.parametrize("marker", ["nouvelles-1.csv.ok", "nouvelles-1.ok"])
def test_a_file_with_a_marker_is_taken_when_the_marker_is_there(place: tuple[Folder, Path], marker: str) -> None:
    folder, real = place
    inbox = inbox_of(folder, settled="marker")
    left(real, "F-1;38999")
    assert take(inbox) == ([], [])
    (real / marker).touch()
    assert take(inbox) == (["F-1"], [])
    assert kept(real, ".") == ["traites"]


@pytest.mark.parametrize(("settled", "name"), [("looks", "nouvelles-1.csv.filepart"), ("marker", "nouvelles-1.csv")])
def test_what_is_still_not_whole_after_a_day_is_told(tmp_path: Path, settled: str, name: str) -> None:
    hours = iter([0, 23, 25, 26])
    left(tmp_path, "F-1;38999", name=name)
    inbox = inbox_of(LocalFolder(tmp_path), settled=settled, now=lambda: NOON + timedelta(hours=next(hours)))
    told = [[fault.code for fault in take(inbox)[1]] for _ in range(3)]
    assert told == [[], [], ["file-aside.unfinished"]]
    left(tmp_path, "F-1;38999", "F-2;38999", name=name)
    assert take(inbox) == ([], [])


# bcgov/SIMS PR 3655
def test_the_same_bad_name_on_two_days_is_kept_twice_with_its_reasons(place: tuple[Folder, Path]) -> None:
    folder, real = place
    for day, content in enumerate(["lundi", "mardi", "mardi"]):
        left(real, content, name="export.csv", at=1_760_000_000.0 + 86_400 * day)
        [fault] = take(inbox_of(folder))[1]
        assert fault.code == "file-aside.name"
    texts = [path.read_text() for path in (real / "erreurs").glob("export*.csv")]
    assert sorted(text.split()[-1] for text in texts) == ["lundi", "mardi", "mardi"]
    assert len(list((real / "erreurs").glob("*.motif.txt"))) == 3


def test_the_reasons_of_two_files_of_one_name_are_both_kept(place: tuple[Folder, Path]) -> None:
    folder, real = place
    for day, lines in enumerate([["F-1;38999", "F-2;?"], ["F-1;?", "F-2;38999"], ["F-1;?"]]):
        left(real, *lines, at=1_760_000_000.0 + 86_400 * day)
        take(inbox_of(folder))
    reasons = sorted(path.read_text()[:9] for path in (real / "erreurs").glob("*.motif.txt"))
    assert reasons == ["ligne 2 :", "ligne 2 :", "ligne 3 :"]
    assert len(kept(real, "traites")) == 2
    assert len(list((real / "erreurs").glob("nouvelles-1*.csv"))) == 1


def test_setting_aside_again_after_it_failed_half_way_makes_one_of_it(tmp_path: Path) -> None:
    class Failing(LocalFolder):
        fails = 1

        def move(self, name: str, new_name: str) -> None:
            self.fails -= 1
            if self.fails >= 0:
                raise TryLater("away")
            super().move(name, new_name)

    left(tmp_path, "x", name="export.csv")
    folder = Failing(tmp_path)
    with pytest.raises(TryLater):
        set_aside(folder, "export.csv", "Nom inconnu.")
    set_aside(folder, "export.csv", "Nom inconnu.")
    assert kept(tmp_path, "erreurs") == ["export.csv", "export.csv.motif.txt"]


# SORMAS#2122, betagouv/mrs#456
def test_a_line_that_the_shared_schema_refuses_is_named_and_the_file_moves_on(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real, "F-1;38999", "F-2;38_999", "F-3;38999")
    told, [fault] = take(inbox_of(folder))
    assert told == ["F-1", "F-3"]
    assert (fault.code, fault.place) == ("record-refused.schema-violation", "nouvelles-1.csv, ligne 3")
    assert "38_999" not in fault.reason
    assert len(kept(real, "traites")) == 1
    assert take(inbox_of(folder)) == ([], [])


# nextgenhealthcare/connect#3023
@pytest.mark.parametrize("name", [f"nouvelles-{'é' * 90}.csv", f"nouvelles-{'x' * 241}.csv", f"nouvelles-{'y' * 240}"])
def test_a_file_of_a_very_long_name_is_read_and_put_away(place: tuple[Folder, Path], name: str) -> None:
    folder, real = place
    left(real, "F-1;38999", "F-2;?", name=name)
    left(real, "F-3;38999")
    told, faults = take(inbox_of(folder))
    assert (sorted(told), len(faults)) == (["F-1", "F-3"], 1)
    assert len(kept(real, "traites")) == 2
    assert all(len(one.encode()) < 200 for one in [*kept(real, "traites"), *kept(real, "erreurs")])


def test_a_file_that_cannot_be_moved_is_told_and_holds_nobody_up(tmp_path: Path) -> None:
    class Stuck(LocalFolder):
        def move(self, name: str, new_name: str) -> None:
            if stuck and name == "nouvelles-1.csv":
                raise AccessDenied("les droits du dossier d'échange ne nous laissent pas entrer")
            super().move(name, new_name)

    stuck = True
    left(tmp_path, "F-1;38999", at=1_760_000_000.0)
    left(tmp_path, "F-2;38999", name="nouvelles-2.csv")
    inbox = inbox_of(Stuck(tmp_path))
    with structlog.testing.capture_logs() as logs:
        assert take(inbox) == (["F-1", "F-2"], [])
    assert [(line["event"], line["place"]) for line in logs] == [("file not put away", "nouvelles-1.csv")]
    left(tmp_path, "F-3;38999", name="nouvelles-3.csv")
    told, [fault] = take(inbox)
    assert (told, fault.code, fault.place) == (["F-3"], "not-acknowledged", "nouvelles-1.csv")
    stuck = False
    assert take(inbox) == ([], [])
    assert len(kept(tmp_path, "traites")) == 3


def test_a_folder_that_goes_away_before_the_acknowledgement_is_not_waited_for_file_by_file(tmp_path: Path) -> None:
    class Away(LocalFolder):
        tried = 0

        def move(self, name: str, new_name: str) -> None:
            if away:
                self.tried += 1
                raise TryLater("le serveur d'échange ne répond pas (délai dépassé)")
            super().move(name, new_name)

    away = True
    for number in range(20):
        left(tmp_path, f"F-{number};38999", name=f"nouvelles-{number}.csv")
    folder = Away(tmp_path)
    inbox = inbox_of(folder)
    assert len(take(inbox, together=20)[0]) == 20
    assert folder.tried == 2
    away = False
    assert take(inbox) == ([], [])
    assert len(kept(tmp_path, "traites")) == 20


@pytest.mark.parametrize("error", [TryLater("plus de place"), AccessDenied("pas de droits")])
def test_many_files_that_cannot_be_moved_do_not_keep_the_others_from_it(tmp_path: Path, error: HubError) -> None:
    class Stuck(LocalFolder):
        def move(self, name: str, new_name: str) -> None:
            if name.startswith("nouvelles-1"):
                raise error
            super().move(name, new_name)

    for number in range(10, 25):
        left(tmp_path, f"F-{number};38999", name=f"nouvelles-{number}.csv", at=1_760_000_000.0 + number)
    inbox = inbox_of(Stuck(tmp_path))
    assert len(take(inbox)[0]) == 15
    for _ in range(8):
        assert take(inbox)[0] == []
    assert len(kept(tmp_path, "traites")) == 5


def test_a_file_that_the_server_cannot_read_holds_nobody_up_and_is_told(tmp_path: Path) -> None:
    class Broken(LocalFolder):
        def read(self, name: str, max_bytes: int = 1000) -> bytes:
            if name == "nouvelles-1.csv":
                raise TryLater("le serveur d'échange n'a pas pu écrire ou lire le fichier")
            return super().read(name, max_bytes)

    left(tmp_path, "F-1;38999", at=1_760_000_000.0)
    left(tmp_path, "F-2;38999", name="nouvelles-2.csv")
    told: list[Polled] = []
    with pytest.raises(TryLater, match="n'a pas pu"):
        told.extend(inbox_of(Broken(tmp_path)).take(expect, read))
    assert [len(polled.events) for polled in told] == [1]


def test_a_file_that_somebody_took_away_meanwhile_is_no_error(place: tuple[Folder, Path]) -> None:
    folder, real = place
    gone = left(real, "F-1;38999", at=1_760_000_000.0)
    left(real, "F-2;38999", name="nouvelles-2.csv")
    inbox = inbox_of(folder)
    found = inbox.take(lambda name: gone.unlink(missing_ok=True), read)
    assert [len(polled.events) for polled in found] == [1]


# paramiko#546, asyncssh#610
def test_a_name_in_an_old_encoding_is_read_and_put_away_under_a_readable_one(place: tuple[Folder, Path]) -> None:
    folder, real = place
    with open(os.fsencode(real) + b"/nouvelles-\xe9t\xe9.csv", "wb") as file:
        file.write(HEAD.encode() + b"F-1;38999\r\nF-2;?\r\n")
    told, [fault] = take(inbox_of(folder))
    assert (told, fault.place) == (["F-1"], "nouvelles-….csv, ligne 3")
    [name] = kept(real, "traites")
    assert name.startswith("nouvelles-été.")
    assert kept(real, "erreurs") == ["nouvelles-été.csv.motif.txt"]


def test_such_a_name_that_nobody_agreed_upon_is_set_aside(place: tuple[Folder, Path]) -> None:
    folder, real = place
    with open(os.fsencode(real) + b"/r\xe9ponses.csv", "wb"):
        pass
    assert [fault.code for fault in take(inbox_of(folder))[1]] == ["file-aside.name"]
    assert kept(real, "erreurs") == ["réponses.csv", "réponses.csv.motif.txt"]


@pytest.mark.parametrize("name", ["nouvelles-\n1.csv", "nouvelles\\1.csv", "\x1b[2J.csv"])
def test_a_name_that_cannot_be_used_is_told_and_not_named(tmp_path: Path, name: str) -> None:
    left(tmp_path, "F-1;38999", name=name)
    left(tmp_path, "F-2;38999")
    told, [fault] = take(inbox_of(LocalFolder(tmp_path)))
    assert (told, fault.code, fault.place) == (["F-2"], "file-aside.name", "nom illisible")


def test_a_file_of_which_no_line_is_of_use_is_set_aside_as_one_fault(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real, "F-1;?", "F-2;?", name="nouvelles-DURAND-2026-03-02.csv")
    [fault] = take(inbox_of(folder))[1]
    assert (fault.code, fault.place) == ("file-aside.no-line", "nouvelles-….csv")
    assert fault.reason.startswith("ligne 2 : la valeur de /new_address")
    assert (real / "erreurs" / "nouvelles-DURAND-2026-03-02.csv.motif.txt").read_text().count("ligne") == 2


def test_lines_that_say_nothing_to_anybody_are_of_use(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real, "F-1;rien", "F-2;?")
    assert len(take(inbox_of(folder))[1]) == 1
    assert len(kept(real, "traites")) == 1


def test_nothing_is_moved_before_it_is_acknowledged(place: tuple[Folder, Path]) -> None:
    folder, real = place
    left(real, "F-1;38999")
    left(real, "x", name="autre.csv")
    first = take(inbox_of(folder), acknowledge=False)
    assert take(inbox_of(folder), acknowledge=False) == first
    assert kept(real, ".") == ["autre.csv", "nouvelles-1.csv"]


def test_small_files_are_committed_together(tmp_path: Path) -> None:
    for number in range(7):
        left(tmp_path, f"F-{number};38999", name=f"nouvelles-{number}.csv")
    batches = list(inbox_of(LocalFolder(tmp_path)).take(expect, read, together=3))
    assert [len(batch.events) for batch in batches] == [3, 3, 1]
