"""The kind `dump`: full exports of a package, of which each is compared with the one before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from functools import partial
from pathlib import PurePosixPath
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.files import open_folder
from connectors.sdk.inbox import DONE, Held, Inbox, LeftFile, Taken, written_at
from connectors.sdk.kinds.checks import facts_known, unknown_names
from connectors.sdk.kinds.columns import columns_of
from connectors.sdk.kinds.declared import DeclaredConnector
from connectors.sdk.kinds.dump_compare import Change, Comparison, rows_by_key
from connectors.sdk.kinds.dump_state import Digests, DumpState, group_of
from connectors.sdk.kinds.table_files import TableForm, form_faults, see_columns
from schemas.delivery import Listed, Polled, Probe, RecordFault
from schemas.errors import ConfigError, HubError, InvalidMessage, TryLater
from schemas.tables import Row

ACCEPTED = "-accepte"
"""What stands behind the name of a file, before its ending, that a person wants taken whatever it has lost."""
FACTS = ("key", "revision", "day")
"""What placeholders of a `[[dump.change]]` may name beside columns: the row's key, the revision of the change, and the
day on which the file was written."""
MAX_KEYS = 500_000
_SHORTEST_SECRET = 16


class DumpConnector(DeclaredConnector):
    """A package that leaves all that it knows, again and again, in a folder.

    The identifier of a change holds its revision, a counter of the key that only grows: A → B → A → B is three events.
    What is about to be told is committed first, and the events after it: a file that is read again after a stop gives
    the same events, and one that took its place tells what differs from either state.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._dump: Mapping[str, Any] = self.declared["dump"]
        if len(context.answer_secret) < _SHORTEST_SECRET:
            raise ConfigError("the hub gave no secret for digests", key=f"connections.{context.connection}")
        self._digests = Digests(context.answer_secret)
        self._form = TableForm.of(self._dump, self.fill(self._dump.get("encoding", "utf-8")))
        self._pattern = self.fill(self._dump["files"])
        self._key: str = self._dump["columns"]["key"]
        specs: Sequence[Mapping[str, Any]] = self._dump["change"]
        readers = self.event_readers("dump", "change", more=FACTS)
        self._changes = [
            Change(reader, tuple(spec.get("watch", ())), spec.get("on", "change"))
            for reader, spec in zip(readers, specs, strict=True)
        ]
        self._groups = [group_of(spec) for spec in specs]
        self._columns = columns_of_dump(self)
        self._folder = open_folder(self.settings, self.fill(self._dump.get("folder", "{folder}")))
        self._inbox = Inbox.of(
            self._folder, context, prefixes=[self._pattern.partition("*")[0]],
            keep=self._dump.get("after", "keep") == "keep",
        )  # fmt: skip

    def probe(self) -> Probe:
        try:
            waiting = self._inbox.waiting()
        except HubError as error:
            return Probe(False, f"Le dossier d'échange de {self.name} est inaccessible : {error.reason}")
        return Probe(True, f"Le dossier d'échange de {self.name} est accessible, {waiting} fichier(s) à lire.")

    def poll(self, cursor: Mapping[str, Any] | None) -> Iterator[Polled]:
        """Each dump that is whole, oldest first, against the one before."""
        yield from self._inbox.take(self._expect, partial(self._read, _Memory(cursor)), in_order=True)

    def waiting(self) -> Mapping[str, str]:
        return {mark: self._inbox.place_of(name) for mark, name in self._inbox.marks().items()}

    def decide(self, key: str, *, refused: str = "") -> bool:
        name = self._inbox.marks().get(key)
        if name is None:
            return False
        if refused:
            self._inbox.refuse(name, refused)
        elif as_left(name) == name:
            path = PurePosixPath(name)
            self._inbox.rename(name, f"{path.stem}{ACCEPTED}{path.suffix}")
        return True

    def people(self) -> Iterator[Listed]:
        """The people of the newest export that was left: of one that waits for its first look, else of the one that
        was read last. Read-only: the file stays where it is, and the poll takes it as if nobody had looked."""
        if "people" not in self.declared:
            yield from super().people()
            return
        found = self._newest()
        if found is None:
            raise TryLater(f"{self.name} n'a pas encore déposé d'export", fault="away.name")
        name, content = found
        table = self._form.read(name, content, self._columns, (self._key,))
        taken = Taken(table.faults)
        rows, _ = rows_by_key(table.rows, self._dump["columns"], taken)
        found_people = self.listed([dict(row.cells) for row in rows.values()])
        lines = [RecordFault(fault.code, fault.where, fault.reason) for fault in taken.faults.told]
        yield Listed(found_people.people, [*found_people.faults, *lines])

    def _newest(self) -> tuple[str, bytes] | None:
        """The name and the content of the newest export whose name is the one agreed upon."""
        for inside in ("", DONE):
            agreed = [one for one in self._folder.entries(inside) if one.usable and self._is_agreed(one.name)]
            if agreed:
                name = max(agreed, key=lambda one: (one.written, one.name)).name
                return name, self._folder.read(f"{inside}/{name}" if inside else name)
        return None

    def _is_agreed(self, name: str) -> bool:
        return fnmatchcase(as_left(name).lower(), self._pattern.lower())

    def close(self) -> None:
        self._folder.close()

    def _expect(self, name: str) -> None:
        if not self._is_agreed(name):
            raise InvalidMessage("Ce nom de fichier n'est pas convenu.", code="name")

    def _read(self, memory: _Memory, file: LeftFile) -> Taken:
        before = DumpState.read(memory.cursor, self._digests, self._groups)
        accepted = as_left(file.readable_name) != file.readable_name
        written = _in_nanoseconds(written_at(file, self.context.now()))
        if written < before.written and not accepted:
            raise InvalidMessage("Un fichier plus récent a déjà été lu : celui-ci n'est pas repris.", code="older")
        table = self._form.read(file.readable_name, file.content, self._columns, (self._key,))
        see_columns(self.context.shapes, self._pattern, table)
        taken = Taken(table.faults)
        rows, kept = rows_by_key(table.rows, self._dump["columns"], taken)
        if len(rows) > MAX_KEYS:
            raise InvalidMessage(f"Le fichier a plus de {MAX_KEYS} identifiants.", code="too_large")
        comparison = self._compared(before, file, taken, dict(rows), kept, accepted=accepted)
        state = comparison.state(self._digests.of_file(file.content), max(written, before.written))
        if taken.events:
            taken.intent = state.to_cursor(self._digests, self._groups)
            comparison.confirm()
        taken.cursor = state.to_cursor(self._digests, self._groups)
        memory.cursor = taken.cursor if taken.used else memory.cursor
        if before.forgotten:
            said = "le fichier précédent n'est plus connu (clé du hub changée ?) : celui-ci est lu comme un premier"
            taken.faults.add(1, 1, "forgotten", said)
        return taken

    def _compared(
        self, before: DumpState, file: LeftFile, taken: Taken, rows: Mapping[str, Row], kept: Sequence[str],
        *, accepted: bool,
    ) -> Comparison:  # fmt: skip
        written = written_at(file, self.context.now())
        comparison = Comparison(
            before, self._changes, self._digests, int(written.timestamp()),
            silent=(before.first or before.forgotten) and self._dump.get("first", "load") == "load",
            same_file=self._digests.of_file(file.content) == before.file,
        )  # fmt: skip
        day = written.astimezone(self.zone).date().isoformat()
        for key, row in rows.items():
            comparison.add(key, row, {"day": day}, taken)
            taken.used.append(row.line)
        lost = comparison.lost(kept)
        if not accepted:
            self._hold_if_odd(before.present, lost, len(taken.events))
        return comparison

    def _hold_if_odd(self, present: int, lost: int, told: int) -> None:
        for code, limit, number, word in (
            ("dump-shrunk.lost", self._dump.get("lost_at_most", "10%"), lost, "a perdu"),
            ("dump-shrunk.changed", self._dump.get("changed_at_most", "1000%"), told, "change"),
        ):
            if present and number > present * float(limit.removesuffix("%")) / 100:
                share = f"{100 * number / present:.1f}".rstrip("0").rstrip(".").replace(".", ",")
                raise Held(
                    f"Le fichier {word} {number} lignes sur {present} ({share} %) : il attend une réponse. Bon : "
                    f"unefois connection accept (ou ajouter {ACCEPTED} à la fin de son nom, avant le point). Sinon : "
                    "unefois connection refuse (ou l'ôter du dossier).",
                    code=code,
                )  # fmt: skip


def _in_nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1e9)


class _Memory:
    """The cursor in the course of one poll: each file is compared with the one before it."""

    def __init__(self, cursor: Mapping[str, Any] | None) -> None:
        self.cursor = cursor


def as_left(name: str) -> str:
    """The name under which the package left a file that a person accepted."""
    path = PurePosixPath(name)
    return path.stem.removesuffix(ACCEPTED) + path.suffix


def columns_of_dump(connector: DumpConnector) -> list[str]:
    dump = connector.declared["dump"]
    specs = [{**one, "only": {**dump.get("only", {}), **one.get("only", {})}} for one in dump["change"]]
    specs += [connector.declared["people"]] if "people" in connector.declared else []
    found = columns_of(specs, connector.tables, {*connector.facts, *FACTS})
    return list(dict.fromkeys([dump["columns"]["key"], *dump["columns"].get("read", ()), *found]))


def dump_faults(raw: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Every fault of its own tables that a schema cannot say."""
    dump = raw["dump"]
    known = facts_known(raw)
    for name in ("folder", "files", "encoding"):
        yield from ((f"dump.{name}", said) for said in unknown_names(dump.get(name, ""), known))
    yield from form_faults("dump", dump)
    ids: dict[str, int] = {}
    for number, change in enumerate(dump["change"]):
        place = f"dump.change[{number}]"
        on = change.get("on", "change")
        if ids.setdefault(change["id"], number) != number:
            yield f"{place}.id", f"is that of change[{ids[change['id']]}]: two events would be taken for one"
        if "{key}" not in change["id"]:
            yield f"{place}.id", "must hold {key}: the rows of one export would be one event"
        if "{revision}" not in change["id"]:
            yield f"{place}.id", "must hold {revision}: a row that changes again would be the same event"
        if on == "new" and "watch" in change:
            yield f"{place}.watch", 'a row is new once: leave it out, or say on = "any"'
        if on != "new" and "watch" not in change:
            yield f"{place}.watch", "missing: which columns are compared"
