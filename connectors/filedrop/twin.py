"""A family or billing package without an API: it reads the files dropped for it and leaves its own."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.filedrop.layout import KEY, Layout, Site
from connectors.sdk.folder_twin import FolderTwin
from connectors.sdk.xml import local_name, parse_xml
from schemas.errors import InvalidMessage


@dataclass
class PackageTwin(FolderTwin):
    """`PackageTwin("family")`: the settings of its files are those of the preset and, before them, of `site`.

    `collect()` reads what was dropped, in the order of the file names, and keeps one record per identifier; a row whose
    exchange key it knows is counted in `repeated` and changes nothing. `answering`
    leaves a return file for each file read, `echoing` gives every address back as its own news.
    """

    preset: str = "family"
    site: Mapping[str, Any] = field(default_factory=dict)
    collecting: bool = False
    answering: bool = False
    echoing: bool = False
    records: dict[str, dict[str, str]] = field(default_factory=dict)
    applied: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    repeated: int = 0

    folders = ("entrants", "sortants")

    def __post_init__(self) -> None:
        super().__post_init__()
        self._site = Site.of({"preset": self.preset, **self.site})
        self.encoding = self._site.form.encoding
        self._known: set[str] = set()
        self._numbers = itertools.count(1)

    def site_settings(self) -> dict[str, Any]:
        return {"preset": self.preset, **self.site}

    @property
    def effects(self) -> int:
        """Rows that changed something, each once however often it came."""
        return len(self.applied)

    def collect(self) -> int:
        """Read every file that lies in the drop folder; how many rows were new."""
        before = self.effects
        for keys in self.take_each(self._read_dropped):
            if self.answering and keys:
                self.answer_all([(key, "ENREGISTRE", "") for key in keys])
        return self.effects - before

    def tell_move(
        self, reference: str, address: str, postal_code: str, city: str, date: str = "", complement: str = ""
    ) -> str:
        """The package's own news, as a file of one line. The name of the file."""
        return self.tell_moves([(reference, address, postal_code, city, date, complement)])

    def tell_moves(self, moves: list[tuple[str, str, str, str, str, str]]) -> str:
        news = self._news
        header = [news.reference, news.address, news.postal_code, news.city, news.date]
        header.append(news.complement or "Colonne_interne")
        rows = [[r, a, p, c, d or self._today(), more] for r, a, p, c, d, more in moves]
        return self.leave(f"{news.prefix}{next(self._numbers):05d}.csv", self._csv([header, *rows]))

    def answer(self, key: str, result: str, reason: str = "") -> str:
        return self.answer_all([(key, result, reason)])

    def answer_all(self, answers: list[tuple[str, str, str]]) -> str:
        rows = [["cle", "resultat", "motif"], *([*answer] for answer in answers)]
        return self.leave(f"reponses-{next(self._numbers):05d}.csv", self._csv(rows))

    @property
    def _news(self) -> Any:
        assert self._site.news is not None
        return self._site.news

    def _today(self) -> str:
        return {"JJ/MM/AAAA": "02/03/2026", "AAAA-MM-JJ": "2026-03-02", "AAAAMMJJ": "20260302"}[self._site.date_format]

    def _csv(self, rows: list[list[str]]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, delimiter=self._site.form.separator, lineterminator=self._site.form.line_end).writerows(rows)
        return buffer.getvalue()

    def _read_dropped(self, path: Path) -> list[str]:
        layout = next((v for v in self._site.layouts.values() if path.name.startswith(f"{v.prefix}-")), None)
        if layout is None:
            raise InvalidMessage("a file of no kind I know")
        return [self._apply_row(layout, row) for row in list(self._rows(layout, path.read_bytes()))]

    def _apply_row(self, layout: Layout, row: dict[str, str]) -> str:
        key = row[next(column.name for column in layout.columns if column.sources == (KEY,))]
        if key in self._known:
            self.repeated += 1
            return key
        self._known.add(key)
        reference = row[next(column.name for column in layout.columns if column.required)]
        self.applied.append((reference, row))
        moved = self._news.city in row
        self.records.setdefault(reference, {}).update({name: cell for name, cell in row.items() if cell or moved})
        if self.echoing and moved:
            self.give_back(reference, row)
        return key

    def give_back(self, reference: str, row: Mapping[str, str]) -> None:
        """The address of a row that was dropped, as the package's own news."""
        address, postal_code, city = (row[n] for n in (self._news.address, self._news.postal_code, self._news.city))
        self.tell_move(reference, address, postal_code, city, complement=row.get(self._news.complement, ""))

    def _rows(self, layout: Layout, content: bytes) -> Iterator[dict[str, str]]:
        if self._site.form.format == "xml":
            for element in parse_xml(content):
                yield {local_name(cell): cell.text or "" for cell in element}
            return
        text = io.StringIO(content.decode(self._site.form.encoding), newline="")
        lines = list(csv.reader(text, delimiter=self._site.form.separator, strict=True))
        header = lines.pop(0) if self._site.form.header and lines else list(layout.names)
        if header != list(layout.names) or any(len(line) != len(header) for line in lines):
            raise InvalidMessage("the columns are not those agreed upon")
        for line in lines:
            yield dict(zip(header, line, strict=True))
