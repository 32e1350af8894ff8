"""One dump against what is known of the one before: which rows are news, and what is known from now on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.sdk.inbox import Taken
from connectors.sdk.kinds.dump_state import REMEMBERED, UNKNOWN, UNTOLD, Digests, DumpState, Known
from connectors.sdk.kinds.events import EventReader
from connectors.sdk.records import check_record
from schemas.errors import InvalidMessage
from schemas.tables import Row

_LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Change:
    """One `[[dump.change]]`. `watch`: the columns whose change is told. `on`: `change`, `new` or `any`."""

    reader: EventReader
    watch: tuple[str, ...]
    on: str


@dataclass(slots=True)
class Comparison:
    """`moment`: seconds, of when the dump was written, from which the revisions of its changes begin. `silent`: nothing
    is told of keys that are new. `same_file`: this very file was begun before, so what was about to be told is told
    again as it was."""

    before: DumpState
    changes: Sequence[Change]
    digests: Digests
    moment: int
    silent: bool = False
    same_file: bool = False
    known: dict[bytes, Known] = field(default_factory=dict)
    told: list[tuple[Known, int]] = field(default_factory=list)

    def add(self, key: str, row: Row, facts: Mapping[str, str], taken: Taken) -> None:
        """Compare one row. Its events, or the fault of its line, go to `taken`."""
        name = self.digests.of_key(key)
        old = self.before.known.get(name)
        values = old.values if old else [self._at_first(change) for change in self.changes]
        now = Known(old.revision if old else self.moment, list(values), old.pending if old else 0)
        self.known[name] = now
        fresh = max(now.revision + 1, self.moment)
        taken.keys[row.line] = name.hex()
        for place, (change, value) in enumerate(zip(self.changes, values, strict=True)):
            found = self.digests.of_values(row.cells[column] for column in change.watch)
            pending = now.pending >> place & 1
            was_new = old is not None and change.on == "new" and value != UNTOLD
            if (value == UNKNOWN or was_new) and not pending:
                now.values[place] = found
            elif value != found or pending:
                again = old is not None and pending and value == found and self.same_file
                revision = old.revision if old is not None and again else fresh
                self._tell(now, place, found, row, {**facts, "key": key, "revision": str(revision)}, taken)
                now.revision = max(now.revision, revision)

    def lost(self, kept: Sequence[str] = ()) -> int:
        """How many keys of the dump before are not in this one; `kept`: keys that are, though no row of theirs could be
        used."""
        for name in map(self.digests.of_key, kept):
            if name in self.before.known:
                self.known.setdefault(name, replace(self.before.known[name], absent=0))
        return sum(not one.absent and name not in self.known for name, one in self.before.known.items())

    def state(self, file: str, written: int) -> DumpState:
        """What is known once this dump is taken: those that are missing, too, for a while."""
        return DumpState({**self.known, **dict(self._missing())}, file, written, first=False)

    def confirm(self) -> None:
        """What was told is committed."""
        for one, place in self.told:
            one.pending &= ~(1 << place)

    def _missing(self) -> Iterator[tuple[bytes, Known]]:
        for name, one in self.before.known.items():
            if name not in self.known and one.absent < REMEMBERED:
                yield name, Known(one.revision, one.values, one.pending, one.absent + 1)

    def _at_first(self, change: Change) -> bytes:
        return UNKNOWN if self.silent or change.on == "change" else UNTOLD

    def _tell(self, now: Known, place: int, found: bytes, row: Row, facts: Mapping[str, str], taken: Taken) -> None:
        reader = self.changes[place].reader
        try:
            event = reader.read(dict(row.cells), facts)
            if event is not None:
                taken.events.append(check_record(event))
        except InvalidMessage as error:
            taken.faults.add(row.line, row.last, error.code.replace("_", "-"), _said(error))
            return  # what is known of it stays, so that it is told until somebody mends it
        now.values[place] = found
        if event is not None:
            now.pending |= 1 << place
            self.told.append((now, place))
            taken.skip_unknown |= {event.id} if reader.skips_unknown else set()
        else:
            now.pending &= ~(1 << place)


def rows_by_key(rows: Sequence[Row], columns: Mapping[str, str], taken: Taken) -> tuple[dict[str, Row], list[str]]:
    """One row of each key, and the keys of which no row is used. A row without a key is a fault. `columns`: the table
    `[dump.columns]`."""
    column, repeated = columns["key"], columns.get("one_row_per_key", "refuse")
    form = re.compile(columns.get("pattern", ".*"))
    found: dict[str, Row] = {}
    refused: dict[str, Row] = {}
    for row in rows:
        key = " ".join(row[column].split())
        if not key or len(key) > _LONGEST_KEY:
            taken.faults.add(row.line, row.last, "key", "l'identifiant manque ou est trop long")
        elif not form.fullmatch(key):
            taken.faults.add(row.line, row.last, "key", "l'identifiant n'a pas la forme convenue")
        elif key not in found or repeated == "last":
            found[key] = row
        elif repeated == "refuse":
            refused[key] = row
            taken.faults.add(row.line, row.last, "repeated-key", "cet identifiant est déjà sur une autre ligne")
    for key in refused:
        first = found.pop(key)
        taken.faults.add(first.line, first.last, "repeated-key", "cet identifiant est aussi sur une autre ligne")
    return found, list(refused)


def _said(error: InvalidMessage) -> str:
    column = error.pointer.removeprefix("/")
    return f"{error.reason} ({column})" if column and not error.reason.endswith(")") else error.reason
