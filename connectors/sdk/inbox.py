"""The files that a package leaves for us: taken once they are whole, put away once their events are committed, set
aside with the reason when they cannot be used. One file never holds up those behind it, and none is passed over in
silence.

A connection's settings: `settled` says how a file is known to be whole (`looks`: two polls found it the same; `marker`:
a file of its name and `marker` lies beside it; `rename`: the package writes under another name and renames), `marker`
is the ending of marker files.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import chain, count
from typing import Any

import structlog

from connectors.sdk.connector import Context
from connectors.sdk.files import MAX_FILE_BYTES, Entry, Folder
from connectors.sdk.records import check_record
from schemas.delivery import Polled, RecordFault
from schemas.errors import AccessDenied, HubError, InvalidMessage, TryLater
from schemas.event import MAX_BATCH, Event
from schemas.tables import LineFaults, Row

DONE, ERRORS = "traites", "erreurs"
_STILL_WRITTEN = (
    ".tmp", ".temp", ".part", ".partial", ".filepart", ".crdownload", ".download", ".upload", ".uploading", ".writing",
    ".incomplete", ".swp", ".lock", "~",
)  # fmt: skip
_LOCKS = ("~$", ".~")  # what an office program keeps beside a file that somebody has open
_EMPTY_LOOKS = 10  # a file of no bytes has been opened by somebody who is about to write
_FORGOTTEN = timedelta(days=1)
_SAFE_REST = re.compile(r"(?:\d{1,8}|[TZ_.-])*")
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class LeftFile:
    """A file that a package left. `mark` names this very file: the same as long as it is not put away, another for a
    later one, though its name and content be the same."""

    name: str
    content: bytes
    mark: str
    written: int

    @property
    def readable_name(self) -> str:
        """The name as people read it, also where its bytes are no UTF-8."""
        return _readable(self.name)


def written_at(file: LeftFile, now: datetime) -> datetime:
    """When a file was written, by its folder's clock: no later than a day from `now`, whatever that clock says."""
    latest = now + timedelta(days=1)
    seconds = file.written / 1e9
    return datetime.fromtimestamp(max(seconds, 0.0), UTC) if seconds < latest.timestamp() else latest


@dataclass(slots=True)
class Taken:
    """What a file gave: its events, and the faults of its lines. `used`: how many lines were of use, also those that
    say nothing to anybody. `keys`: what names the record of a line, where the package numbers its records. `intent`,
    `cursor`: what the hub remembers before the events are accepted, and together with the last of them.
    `skip_unknown`: as in `Polled`."""

    faults: LineFaults = field(default_factory=LineFaults)
    events: list[Event] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    keys: dict[int, str] = field(default_factory=dict)
    intent: Mapping[str, Any] | None = None
    cursor: Mapping[str, Any] | None = None
    skip_unknown: set[str] = field(default_factory=set)

    def record(self, row: Row, make: Callable[[], Event | None]) -> None:
        """Keep what `make` says of one row. A fault of the row: `make` raises InvalidMessage, or the shared schema
        refuses its event."""
        try:
            event = make()
            if event is not None:
                self.events.append(check_record(event))
            self.used.append(row.line)
        except InvalidMessage as error:
            self.faults.add(row.line, row.last, error.code.replace("_", "-"), error.reason)


class Held(InvalidMessage):
    """A file that is neither taken nor set aside: it stays where it is until a person acts. `code`: the code of its
    fault."""


class Inbox:
    """The return folder of one connection. `prefixes`: how the names of its files begin; only what is agreed upon of a
    name is ever logged."""

    def __init__(
        self, folder: Folder, *, connection: str, now: Callable[[], datetime], settled: str = "looks",
        marker: str = ".ok", prefixes: Sequence[str] = (), keep: bool = True,
    ) -> None:  # fmt: skip
        """`keep`: what was read is put away; else it is deleted."""
        self.folder = folder
        self._keep = keep
        self._connection, self._settled, self._marker, self._prefixes = connection, settled, marker, prefixes
        self._now = now
        self._unread: dict[str, tuple[Entry, datetime]] = {}
        self._looks: dict[str, tuple[Entry, int]] = {}
        self._owed: dict[str, tuple[Entry, Callable[[], None]]] = {}
        self._in_vain = 0

    @staticmethod
    def of(folder: Folder, context: Context, *, prefixes: Sequence[str], keep: bool = True) -> Inbox:
        """As the settings of the connection say."""
        settings = context.settings
        return Inbox(
            folder, connection=context.connection, now=context.now, settled=settings.get("settled", "looks"),
            marker=settings.get("marker", ".ok"), prefixes=prefixes, keep=keep,
        )  # fmt: skip

    def waiting(self) -> int:
        """For a probe: how many files lie there that nobody still writes, as far as their names tell."""
        return sum(entry.usable and not self._is_beside(entry.name) for entry in self.folder.entries())

    def marks(self) -> Mapping[str, str]:
        """The names of the files that lie there, by what tells each from a later one of its name: the key of its
        fault while it waits."""
        return {_mark(one.name, one.written): one.name for one in self.folder.entries() if one.usable}

    def rename(self, name: str, new_name: str) -> None:
        """Give a file that lies there another name, and what marks it as complete with it."""
        if self._settled == "marker":
            self.folder.put(f"{new_name}{self._marker}", b"")
        self.folder.move(name, new_name)
        self._delete_markers(name)

    def refuse(self, name: str, why: str) -> None:
        """Set a file aside that a person does not want."""
        set_aside(self.folder, name, why)
        self._delete_markers(name)

    def take(
        self, expect: Callable[[str], None], read: Callable[[LeftFile], Taken], *, max_bytes: int = MAX_FILE_BYTES,
        together: int = 1, in_order: bool = False,
    ) -> Iterator[Polled]:  # fmt: skip
        """Each file that is whole, oldest first. `expect` raises InvalidMessage for a name that is not agreed upon (the
        file is not opened), `read` for a file of which nothing can be used: it is set aside; Held for one that waits.
        `together`: small files whose events are committed at once. `in_order`: one that cannot be opened holds up those
        behind it, which would mean something else without it.

        Its acknowledgement puts the files away and never raises: what cannot be moved is told, not read again, and
        moved by a later poll. A file whose rights keep us out stays and is told by TryLater at the end, once the others
        are read."""
        yield from self._settle_debts()
        batch, closed, late = _Batch(), 0, list[TryLater]()
        for entry in self._whole():
            try:
                self._add(batch, entry, self._opened(entry, expect, read, max_bytes))
            except AccessDenied:
                closed += 1
                if in_order:
                    break
            except Held as error:
                mark = _mark(entry.name, entry.written)
                batch.faults.append(RecordFault(error.code, self.place_of(entry.name), error.reason, mark))
            except InvalidMessage as error:
                self._add_refused(batch, entry, error.code, error.reason)
            except TryLater as error:
                late.append(error)
                if in_order or len(late) > 1:  # not this file alone
                    break
            if batch.files >= together:
                yield from batch.polled()
                batch = _Batch()
        yield from batch.polled()
        if late or closed:
            raise late[0] if late else unopened_files(closed)

    def place_of(self, name: str) -> str:
        """A file name as it may be logged: what is agreed upon of it, and its dates and numbers. A package may name its
        files after people."""
        stem, dot, suffix = _readable(name).rpartition(".")
        stem, suffix = (stem, suffix) if dot else (suffix, "")
        prefix = next((one for one in self._prefixes if stem.startswith(one)), "")
        rest = stem.removeprefix(prefix)
        shown = rest if _SAFE_REST.fullmatch(rest) else "…"
        return f"{prefix}{shown}{dot}{suffix if re.fullmatch(r'[A-Za-z]{0,5}', suffix) else '…'}"

    def _is_whole(self, name: str, listed: Container[str]) -> bool:
        """As far as names tell."""
        marked = self._settled != "marker" or any(marker in listed for marker in self._markers(name))
        return marked and not self._is_beside(name)

    def _whole(self) -> list[Entry]:
        found = self.folder.entries()
        listed = {entry.name for entry in found}
        candidates = [
            entry for entry in found
            if entry.usable and entry.name not in self._owed and self._is_whole(entry.name, listed)
        ]  # fmt: skip
        if self._settled != "looks":
            return candidates
        before = self._looks
        self._looks = {entry.name: (entry, _looks_of(entry, before)) for entry in candidates}
        return [entry for entry, looks in self._looks.values() if looks >= (2 if entry.size != 0 else _EMPTY_LOOKS)]

    def _is_beside(self, name: str) -> bool:
        """Whether this is no file of the package's, but one beside such a file."""
        lower = name.lower()
        marks = self._settled == "marker" and lower.endswith(self._marker.lower())
        return lower.startswith(_LOCKS) or lower.endswith(_STILL_WRITTEN) or marks

    def _markers(self, name: str) -> tuple[str, str]:
        return f"{name}{self._marker}", f"{name.rpartition('.')[0] or name}{self._marker}"

    def _opened(
        self, entry: Entry, expect: Callable[[str], None], read: Callable[[LeftFile], Taken], max_bytes: int
    ) -> tuple[LeftFile, Taken] | None:
        """None for a file that changed while it was read, since somebody still writes it, and for one that somebody
        took away meanwhile."""
        expect(_readable(entry.name))
        try:
            file = read_left(self.folder, entry.name, max_bytes)
        except InvalidMessage:
            raise InvalidMessage(f"Ce n'est pas un fichier de {max_bytes} octets au plus.", code="too_large") from None
        except TryLater:
            if self.folder.modified(entry.name) is None:
                return None
            raise
        if file.written != entry.written or (entry.size is not None and len(file.content) != entry.size):
            self._looks.pop(entry.name, None)
            return None
        return file, read(file)

    def _add(self, batch: _Batch, entry: Entry, opened: tuple[LeftFile, Taken] | None) -> None:
        if opened is None:
            return
        file, taken = opened
        if len(taken.faults) and not taken.used:
            self._add_refused(batch, entry, "no_line", str(taken.faults))
            return
        place = self.place_of(entry.name)
        faults = [
            RecordFault(
                f"record-refused.{one.code}", f"{place}, {one.where}", one.reason,
                taken.keys.get(one.line, f"{file.mark}:{one.line}"),
            )
            for one in taken.faults.told
        ]  # fmt: skip
        batch.remember(taken)
        batch.add(taken.events, faults, self._once(entry, partial(self._finish, file, taken.faults)))

    def _add_refused(self, batch: _Batch, entry: Entry, code: str, why: str) -> None:
        reason = why if "\n" not in why else f"{why.partition(chr(10))[0]} (et d'autres lignes)"
        fault = RecordFault(
            f"file-aside.{code.replace('_', '-')}", self.place_of(entry.name), reason, _mark(entry.name, entry.written)
        )
        batch.add([], [fault], self._once(entry, partial(self._refuse, entry, why)))

    def _finish(self, file: LeftFile, faults: LineFaults) -> None:
        if len(faults):
            write_reason(self.folder, file.name, str(faults))
        if self._keep:
            put_away(self.folder, file)
        elif self.folder.modified(file.name) == file.written:
            self.folder.delete(file.name)
        self._delete_markers(file.name)

    def _refuse(self, entry: Entry, why: str) -> None:
        if self.folder.modified(entry.name) in (None, entry.written):
            set_aside(self.folder, entry.name, why)
        self._delete_markers(entry.name)

    def _delete_markers(self, name: str) -> None:
        for marker in self._markers(name) if self._settled == "marker" else ():
            self.folder.delete(marker)

    def _once(self, entry: Entry, act: Callable[[], None]) -> Callable[[], None]:
        def acknowledge() -> None:
            self._looks.pop(entry.name, None)
            if self._in_vain > 1:  # the folder is away, not these files: each would wait for its time-out
                self._owed.setdefault(entry.name, (entry, act))
                return
            new = self._owed.pop(entry.name, None) is None
            self._owed[entry.name] = (entry, act)  # at the end: next time the others come first
            try:
                act()
            except HubError as error:
                self._in_vain += isinstance(error, TryLater)
                if new:
                    place = self.place_of(entry.name)
                    _log.warning("file not put away", connection=self._connection, place=place, reason=error.reason)
            else:
                self._in_vain = 0
                del self._owed[entry.name]

        return acknowledge

    def _settle_debts(self) -> Iterator[Polled]:
        """Move what was committed and could not be moved; tell what still cannot, and names that nobody can use."""
        here = {entry.name: entry for entry in self.folder.entries()}
        self._in_vain = 0
        for name, (entry, act) in list(self._owed.items()):
            if name not in here or here[name].written != entry.written:
                del self._owed[name]  # somebody took it away, or it is another file now
            else:
                self._once(entry, act)()
        self._in_vain = 0
        said = "Lu, mais n'a pas pu être rangé : il n'est plus relu."
        stuck = [
            RecordFault("not-acknowledged", self.place_of(name), said, _mark(name, entry.written))
            for name, (entry, _) in self._owed.items()
        ]
        odd = [self._odd_name(entry) for entry in here.values() if not entry.usable]
        if told := [*stuck, *odd, *self._forgotten(here)]:
            yield Polled(faults=told)

    def _forgotten(self, here: Mapping[str, Entry]) -> Iterator[RecordFault]:
        """What has been about to be whole for more than a day: its writer has died, or its marker never came."""
        waiting = (entry for entry in here.values() if entry.usable and not self._is_whole(entry.name, here))
        before, now = self._unread, self._now()
        self._unread = {
            one.name: before[one.name] if before.get(one.name, (None,))[0] == one else (one, now) for one in waiting
        }
        said = "Toujours pas complet après un jour (nom provisoire, ou témoin qui manque) : il n'est pas lu."
        for entry, since in self._unread.values():
            if now - since > _FORGOTTEN:
                yield RecordFault("file-aside.unfinished", self.place_of(entry.name), said, _mark(entry.name, 0))

    def _odd_name(self, entry: Entry) -> RecordFault:
        said = "Le nom d'un fichier ne peut pas être lu (caractère de contrôle ou barre oblique inverse)."
        return RecordFault("file-aside.name", "nom illisible", said, _mark(entry.name, entry.written))


@dataclass(slots=True)
class _Batch:
    """Files that are committed together: at most MAX_BATCH events at a time, the files put away with the last."""

    events: list[Event] = field(default_factory=list)
    faults: list[RecordFault] = field(default_factory=list)
    acts: list[Callable[[], None]] = field(default_factory=list)
    intent: Mapping[str, Any] | None = None
    cursor: Mapping[str, Any] | None = None
    skip_unknown: set[str] = field(default_factory=set)

    @property
    def files(self) -> int:
        return len(self.acts)

    def add(self, events: Sequence[Event], faults: Sequence[RecordFault], act: Callable[[], None]) -> None:
        self.events += events
        self.faults += faults
        self.acts.append(act)

    def remember(self, taken: Taken) -> None:
        self.intent, self.cursor = taken.intent or self.intent, taken.cursor or self.cursor
        self.skip_unknown |= taken.skip_unknown

    def polled(self) -> Iterator[Polled]:
        if not self.acts and not self.faults:
            return
        if self.intent is not None:
            yield Polled(cursor=self.intent)
        parts = [self.events[at : at + MAX_BATCH] for at in range(0, len(self.events), MAX_BATCH)] or [[]]
        for part in parts[:-1]:
            yield Polled(part, skip_unknown=self.skip_unknown)
        yield Polled(parts[-1], self.cursor, self._acknowledge, self.faults, self.skip_unknown)

    def _acknowledge(self) -> None:
        for act in self.acts:
            act()


def read_left(folder: Folder, name: str, max_bytes: int = MAX_FILE_BYTES) -> LeftFile:
    """Read a file of a return folder. Raises what `Folder.read` raises.

    The mark is drawn from name, content, time of writing and how many such files were put away before: a time alone
    stays the same in a copy that keeps it, and within one second."""
    written = folder.modified(name) or 0
    content = folder.read(name, max_bytes)
    digest = _mark(name, written, content)
    marks = (digest if number == 1 else f"{digest}-{number}" for number in count(1))
    mark = next(mark for mark in marks if folder.modified(f"{DONE}/{_renamed(name, mark)}") is None)
    return LeftFile(name, content, mark, written)


def put_away(folder: Folder, file: LeftFile) -> None:
    """Move a file that was read and committed into the sub-folder `traites`, its mark in its new name. One that was
    written anew since it was read stays, for the next poll."""
    if folder.modified(file.name) in (None, file.written):
        folder.move(file.name, f"{DONE}/{_renamed(file.name, file.mark)}")


def set_aside(folder: Folder, name: str, why: str) -> None:
    """Move a file that cannot be used into the sub-folder `erreurs`, with a text file beside it that says `why`, in
    French. Never over one that lies there already: a later file of the same name gets a mark in it. May be called
    again when it failed half-way."""
    kept = _free_name(folder, name, why)
    folder.put(f"{ERRORS}/{kept}.motif.txt", _said(why))
    folder.move(name, f"{ERRORS}/{kept}")


def write_reason(folder: Folder, name: str, why: str) -> None:
    """Write `erreurs/<name>.motif.txt`: why some lines of a file were not used. Never over another reason."""
    folder.put(f"{ERRORS}/{_free_name(folder, name, why)}.motif.txt", _said(why))


def unopened_files(number: int) -> TryLater:
    """What `poll` raises, once the others are read, for files whose permissions keep us out. TryLater and not
    AccessDenied, which would pause the connection: the others go on while a person mends the permissions."""
    return TryLater(f"{number} fichier(s) de retour que les droits ne laissent pas ouvrir", fault="away.locked")


def _free_name(folder: Folder, name: str, why: str) -> str:
    """The name under which a reason is kept: its own as long as no other file or reason has it."""
    mark = _mark(name, folder.modified(name) or 0, why.encode())
    marked = (_renamed(name, mark if number == 1 else f"{mark}-{number}") for number in count(1))
    return next(kept for kept in chain([_renamed(name)], marked) if _is_free(folder, kept, why))


def _is_free(folder: Folder, kept: str, why: str) -> bool:
    if folder.modified(f"{ERRORS}/{kept}") is not None:
        return False
    reason = f"{ERRORS}/{kept}.motif.txt"
    return folder.modified(reason) is None or folder.read(reason) == _said(why)


def _said(why: str) -> bytes:
    return f"{why}\n".encode()


def _renamed(name: str, mark: str = "") -> str:
    """The name under which a file is kept: readable, with `mark` before its ending, short enough for a longer ending
    everywhere."""
    stem, dot, suffix = _readable(name).rpartition(".")
    stem, suffix = (stem, f".{_cut(suffix, 16)}") if dot else (suffix, "")
    return f"{_cut(stem, 120)}{'.' if mark else ''}{mark}{suffix}"


def _cut(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")


def _readable(name: str) -> str:
    """A name whose bytes are no UTF-8 as the old encoding of French machines has it."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    return name


def _mark(name: str, written: int, content: bytes = b"") -> str:
    return hashlib.sha256(f"{name}\0{written}\0".encode("utf-8", "surrogateescape") + content).hexdigest()[:16]


def _looks_of(entry: Entry, before: Mapping[str, tuple[Entry, int]]) -> int:
    same, looks = before.get(entry.name, (None, 0))
    return looks + 1 if same == entry else 1
