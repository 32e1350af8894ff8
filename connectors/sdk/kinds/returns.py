"""The files that a package leaves for a connector of the kind `drop`: its answers to what was dropped, and its news."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import partial
from typing import TYPE_CHECKING, Any

from connectors.sdk.answer_key import AnswerKeys
from connectors.sdk.inbox import LeftFile, Taken, written_at
from connectors.sdk.kinds.checks import unknown_names
from connectors.sdk.kinds.columns import columns_of
from connectors.sdk.kinds.events import STATUS_CHANGED, STATUS_VERSION, EventReader
from connectors.sdk.kinds.table_files import TableForm, form_faults, see_columns
from connectors.sdk.kinds.texts import names_in
from connectors.sdk.row_files import without_apostrophe
from connectors.sdk.statuses import status_changed
from schemas.errors import InvalidMessage
from schemas.event import Event
from schemas.tables import Row

if TYPE_CHECKING:
    from connectors.sdk.kinds.declared import DeclaredConnector

FACTS = ("mark", "line", "day")
"""What placeholders of a `[[returns.event]]` may name beside columns: what names the file, the number of the line, and
the day on which the file was written."""
MAX_BYTES = 5 * 1024 * 1024
_LONGEST_REASON = 500
_PARTS = ("key", "status", "reason", "time")


@dataclass(frozen=True, slots=True)
class News:
    """One `[[returns.event]]`, and the names of the files whose rows it reads."""

    files: str
    columns: tuple[str, ...]
    reader: EventReader


class Returns:
    """The return folder of one connection. `ours`: words of `statuses.csv` that say what we did, which no package may
    say. `raw`: the table `[returns]`."""

    def __init__(
        self, connector: DeclaredConnector, raw: Mapping[str, Any], keys: AnswerKeys, ours: Collection[str]
    ) -> None:
        self._connector, self._keys, self._ours = connector, keys, ours
        self._form = TableForm.of(raw, connector.fill(raw["encoding"]))
        self._answers = raw.get("files", "*") if "key" in raw else ""
        self._columns = {part: raw[part].partition(" | ")[0] for part in _PARTS if part in raw}
        self._time = connector.language.value(raw["time"], "instant") if "time" in raw else None
        readers = connector.event_readers("returns", "event", more=FACTS)
        facts = {*connector.facts, *FACTS}
        self._news = [
            News(spec["files"], tuple(dict.fromkeys(columns_of([spec], connector.tables, facts))), reader)
            for spec, reader in zip(raw.get("event", ()), readers, strict=True)
        ]

    @staticmethod
    def prefixes(raw: Mapping[str, Any]) -> list[str]:
        """How the names of its files begin, as far as that is agreed upon."""
        found = [raw.get("files", "*"), *(spec["files"] for spec in raw.get("event", ()))]
        return [text for one in found if (text := one.partition("*")[0])]

    def expect(self, name: str) -> None:
        if not any(_fits(name, one) for one in (self._answers, *(news.files for news in self._news)) if one):
            raise InvalidMessage("Ce nom de fichier n'est pas convenu.", code="name")

    def read(self, file: LeftFile) -> Taken:
        """News go before answers where the pattern of both fits a name."""
        news = [one for one in self._news if _fits(file.readable_name, one.files)]
        columns = [column for one in news for column in one.columns] if news else list(self._columns.values())
        required = [] if news else [self._columns[part] for part in ("key", "status")]
        table = self._form.read(file.readable_name, file.content, list(dict.fromkeys(columns)), required)
        pattern = news[0].files if news else self._answers
        see_columns(self._connector.context.shapes, pattern, table)
        written = written_at(file, self._connector.context.now())
        day = written.astimezone(self._connector.zone).date().isoformat()
        taken = Taken(table.faults)
        for row in table.rows:
            plain = replace(row, cells={name: without_apostrophe(cell) for name, cell in row.cells.items()})
            facts = {"mark": file.mark, "line": str(row.line), "day": day}
            makers: list[Callable[[], Event | None]] = [
                partial(one.reader.read, dict(plain.cells), facts) for one in news
            ] or [partial(self._answer, plain, f"{file.mark}:{row.line}")]
            for make in makers:
                taken.record(row, make)
        taken.skip_unknown |= self._nobodys_loss(taken, news)
        return taken

    def _nobodys_loss(self, taken: Taken, news: list[News]) -> set[str]:
        types = {one.reader.type for one in news if one.reader.skips_unknown}
        return {event.id for event in taken.events if event.type in types}

    def _answer(self, row: Row, id: str) -> Event | None:
        """None when the row concerned no request and the package only confirms: there is nobody to tell."""
        key, word = row[self._columns["key"]], row[self._columns["status"]]
        status = self._connector.statuses.canonical(word)
        if status is None or word in self._ours:
            raise InvalidMessage("ce résultat n'est pas convenu", code="result")
        request = self._keys.read(key).rpartition("~")[2]
        reason = row[self._columns["reason"]] if "reason" in self._columns else ""
        if len(reason) > _LONGEST_REASON:
            raise InvalidMessage("le motif est trop long", code="reason")
        if not request and status.canonical:
            raise InvalidMessage("un résultat pour un envoi sans demande : à traiter par le service", code="no_request")
        if not request:
            return None
        time = self._time(dict(row.cells), self._connector.facts) if self._time is not None else None
        data = status_changed({"id": request}, word, status, reason=reason)
        return self._connector.event(STATUS_CHANGED, data, id=id, time=time, version=STATUS_VERSION)


def returns_faults(raw: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[str, str]]:
    """What is wrong with `[returns]` that a schema cannot say."""
    returns = raw["returns"]
    for name in ("folder", "encoding"):
        yield from ((f"returns.{name}", said) for said in unknown_names(returns.get(name, ""), known))
    yield from form_faults("returns", returns)
    if "key" not in returns and "event" not in returns:
        yield "returns.key", "missing: the column that names what a row answers, or say [[returns.event]]"
    for one, other in (("key", "status"), ("status", "key")):
        if one in returns and other not in returns:
            yield f"returns.{other}", f"missing: an answer has a key and a status, and there is {one}"
    for number, event in enumerate(returns.get("event", ())):
        place = f"returns.event[{number}]"
        if "files" not in event:
            yield f"{place}.files", "missing: the names of the files whose rows it reads"
        if not {"mark", "line"} <= {*names_in(event["id"])}:
            yield f"{place}.id", "must hold {mark} and {line}, which name a line of a file"


def _fits(name: str, pattern: str) -> bool:
    return fnmatchcase(name.lower(), pattern.lower())
