"""Changes and requests for packages without an API, as rows of files; their own news and answers read back."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from connectors.filedrop.client import ANSWER_COLUMNS, MAX_BYTES, move_of, read_answers, read_news, write_rows
from connectors.filedrop.layout import Layout, News, Site
from connectors.sdk import Context, reference_link
from connectors.sdk.dropping import MOMENT, digest_of
from connectors.sdk.folder_connector import RequestFolder
from connectors.sdk.follow_up import REQUEST_RECEIVED, FollowUp, read_follow_up
from connectors.sdk.inbox import LeftFile, Taken
from connectors.sdk.links import request_link
from connectors.sdk.row_files import without_apostrophe
from connectors.sdk.values import address_version
from schemas.delivery import Delivery, Done
from schemas.errors import InvalidMessage, Refused
from schemas.event import Event
from schemas.tables import Row as TableRow

_FOLLOW_UPS = ("request.status-changed", "document.received")
_PIECES = "pieces"  # sub-folder of the drop folder
_OLD_KEY = re.compile(r"([A-Za-z0-9._-]{1,160}~([0-9A-Za-z-]{0,40}))~([0-9a-f]{6})")


@dataclass(frozen=True, slots=True)
class Row:
    """One event ready to be written. `key` is its exchange key as the package sees it. `files`: name in the drop folder
    and document of each file that goes with it. `told`, `link`: the word that says of which request it was dropped; ""
    when it is of none."""

    event_type: str
    key: str
    cells: tuple[str, ...]
    told: str = ""
    link: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


class FileDrop(RequestFolder):
    """Every row carries its exchange key, made from `delivery.key`: the package knows a row that it has read before,
    and we know an answer to a row that we wrote (`AnswerKeys`): no answer is about a request that was never here."""

    max_bytes = MAX_BYTES
    dropped, followed, unusable = "DEPOSE", "SUITE_DEPOSEE", "REFUSE"

    def __init__(self, context: Context) -> None:
        self.site = Site.of(context.settings)
        self._answers_prefix = context.settings.get("answers_prefix", "reponses-")
        self._alone = context.settings.get("files", "batch") == "event"
        news = [self.site.news.prefix] if self.site.news else []
        super().__init__(context, separator="~", prefixes=[self._answers_prefix, *news])

    def prepare(self, delivery: Delivery) -> Row:
        event = delivery.event
        layout = self.site.layouts.get(event.type)
        if layout is None:
            raise Refused("Ce raccordement n'a pas de colonnes pour cet événement.", native="colonnes")
        key = self.keys.write(f"{delivery.key}~{delivery.request_id or ''}")
        # Named over the event's own members: a producer must not choose what the row says about itself.
        own: dict[str, Any] = {
            "recipient": {"reference": delivery.reference}, "delivery": {"key": key, "type": event.type}
        }  # fmt: skip
        if event.type in _FOLLOW_UPS:
            return self._follow_up(layout, delivery, key, own)
        cells = self.site.row(layout, {**event.data, **own})
        if event.type != REQUEST_RECEIVED:
            return Row(event.type, key, cells)
        return Row(event.type, key, cells, self.dropped, request_link(delivery))

    def group_of(self, row: Row) -> str | None:
        return None if self._alone or row.files else row.event_type

    def _follow_up(self, layout: Layout, delivery: Delivery, key: str, own: Mapping[str, Any]) -> Row:
        follow_up = read_follow_up(delivery)
        files = self._files(follow_up, key) if layout.carries_files else {}
        facts = {
            "what": follow_up.label, "numbers": [number for _, number in follow_up.numbers], "at": follow_up.at,
            "said": follow_up.said, "reason": follow_up.reason, "files": list(files),
        }  # fmt: skip
        cells = self.site.row(layout, {**delivery.event.data, **own, "follow_up": facts})
        return Row(delivery.event.type, key, cells, self.word_for(follow_up), follow_up.link, files)

    def _files(self, follow_up: FollowUp, key: str) -> dict[str, str]:
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        attached = self.attached(follow_up.documents)
        return {f"{_PIECES}/{digest}-{name}": document for name, document in attached.items()}

    def put_rows(self, rows: Sequence[Row], *, again: bool) -> None:
        layout = self.site.layouts[rows[0].event_type]
        for row in rows:  # before the row that names them
            for name, document in row.files.items():
                self.out.put(name, self.context.documents.read(document))
        content = write_rows(self.site, layout, [row.cells for row in rows])
        digest = digest_of([row.key for row in rows])
        name = f"{layout.prefix}-{MOMENT}-{digest}-{len(rows)}.{self.site.form.format}"
        self.dropping.put(name, content, again=again)

    def _request_of(self, key: str) -> str | None:
        """The request that a row was about. Raises InvalidMessage for a key that we never wrote. A key of the old form
        is taken only while the connection says so (`old_keys_until`)."""
        if old := self._old_key(key):
            if not self.keys.takes_old_form():
                raise InvalidMessage("cette clé est de l'ancienne forme, qui n'est plus acceptée", code="key_old")
            return old.group(2) or None
        return self.keys.read(key).rpartition("~")[2] or None

    def _old_key(self, key: str) -> re.Match[str] | None:
        match = _OLD_KEY.fullmatch(key)
        known = f"{self.context.tenant} {self.context.system} {match.group(1)}" if match else ""
        return match if match and match.group(3) == hashlib.sha256(known.encode()).hexdigest()[:6] else None

    def done(self, delivery: Delivery, row: Row) -> Done:
        if not row.told:
            return Done("Déposé pour le logiciel")
        # Named after the delivery, not the row: whoever hears of the event must not learn the row's key.
        dropped = self.status_event(row.link, row.told, f"{delivery.key}:{row.told}")
        return Done("Déposé pour le logiciel", events=[dropped])

    def _is_news(self, name: str) -> bool:
        return self.site.news is not None and name.startswith(self.site.news.prefix)

    def expect(self, name: str) -> None:
        if not name.lower().endswith(".csv") or not (self._is_news(name) or name.startswith(self._answers_prefix)):
            raise InvalidMessage("Ce nom de fichier n'est pas convenu.", code="name")

    def read_left(self, file: LeftFile) -> Taken:
        news = self.site.news
        make: Callable[[TableRow, str], Event | None] = self._answer_event
        if news is not None and self._is_news(file.readable_name):
            table, make = read_news(self.site, news, file.content), partial(self._address_event, news)
        else:
            table = read_answers(self.site, file.content)
        taken = Taken(table.faults)
        for row in table.rows:
            taken.record(row, partial(make, row, f"{file.mark}:{row.line}"))
        return taken

    def _address_event(self, news: News, row: TableRow, id: str) -> Event:
        move, system = move_of(self.site, news, row), self.context.system
        value = {"value": move.address, "source": system, "date": move.date, "quality": "declared"}
        citizen = reference_link(system, move.reference) | dict(move.named)
        data = {"citizen": citizen, "new_address": value, "effective_on": move.date}
        return self.event("citizen.address-changed", data, id=id, version=address_version(data))

    def _answer_event(self, row: TableRow, id: str) -> Event | None:
        """None when the row concerned no request and the package only confirms: there is nobody to tell."""
        key, result, reason = (without_apostrophe(row[name]) for name in ANSWER_COLUMNS)
        if self.statuses.canonical(result) is None or result in (self.dropped, self.followed):
            raise InvalidMessage("ce résultat n'est pas convenu", code="result")
        request = self._request_of(key)
        if request is None and result != "ENREGISTRE":
            raise InvalidMessage(f"{result} pour un envoi sans demande : à traiter par le service", code="no_request")
        if request is None:
            return None
        return self.status_event({"id": request}, result, id, reason=reason)
