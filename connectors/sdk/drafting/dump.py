"""A connector of the kind `dump`, drafted from a file as the package leaves it.

No row of that file goes into the connector's folder: its samples are of the same layout, about nobody.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connectors.sdk.contract.model import Contract, Field
from connectors.sdk.contract.table_layout import TableSample, read_sample
from connectors.sdk.contract.table_sample import called_keys_of, keys_of, repeated_keys_of
from connectors.sdk.drafting.columns import Change, changes_in, column_words, status_column, unused_lines
from connectors.sdk.drafting.draft import Choices, Draft
from connectors.sdk.drafting.invented_export import invented_export
from connectors.sdk.drafting.polls import status_row
from connectors.sdk.drafting.writing import Table, manifest_text, mapping_text, readme_text, statuses_text, test_text
from connectors.sdk.workbook import SUFFIXES
from schemas.errors import ConfigError
from schemas.registry import Registry

STATUS = "request.status-changed"
_HOUSEHOLD = re.compile(r"famille|foyer|household|family")
_MOST_STATUSES = 30


def draft(slug: str, contract: Contract, choices: Choices, registry: Registry) -> Draft:
    """Its key, what its columns can tell, and the layout of its files. Raises ConfigError for a file in which no column
    names a row, and for one that tells nothing shared."""
    return _Drafting(slug, contract, choices, read_sample(contract.source, sheet=choices.table)).draft()


@dataclass
class _Drafting:
    slug: str
    contract: Contract
    choices: Choices
    sample: TableSample

    @property
    def name(self) -> str:
        return self.slug.replace("_", " ").capitalize()

    @property
    def fields(self) -> Sequence[Field]:
        return self.contract.operations[0].gives

    @cached_property
    def key(self) -> str:
        sample = self.sample
        found = [*called_keys_of(sample), *repeated_keys_of(sample), *keys_of(sample)]
        if not found:
            said = "no column names a row: it would be filled in each, and called as a number or an identifier"
            raise ConfigError(said, key=self.contract.source.name)
        return found[0]

    @property
    def is_repeated(self) -> bool:
        """Whether several lines have one key: those of the children of a family."""
        return self.key in repeated_keys_of(self.sample)

    @property
    def is_of_households(self) -> bool:
        return _HOUSEHOLD.search(column_words(self.key)) is not None

    @cached_property
    def changes(self) -> Sequence[Change]:
        wish = self.choices.carries
        return [one for one in changes_in(self.sample.names) if wish in ("", one.type)]

    @cached_property
    def status(self) -> Field | None:
        """What says how far a request is: where it is asked for, or nothing else is told."""
        wanted = self.choices.carries in ("", STATUS) and not self.changes
        return status_column(self.fields) if wanted else None

    def draft(self) -> Draft:
        if not self.changes and self.status is None:
            said = f"no column tells {self.choices.carries or 'an address, a way to be reached, or a status'}"
            raise ConfigError(said, key=self.contract.source.name)
        statuses = [status_row(word) for word in self._words()]
        does = [f"tells {one.type} by {', '.join(one.parts.values())}" for one in self.changes]
        does += [f"tells {STATUS} by {self.status.place}"] if self.status else []
        used = self._used
        words = {"postal_code": "postal_code"}
        lines = [line for one in self.changes for line in one.lines(self.key, words=words, named=self.is_of_households)]
        lines += unused_lines(self.changes[0].name if self.changes else "status", self.fields, used)
        files: dict[str, str | bytes] = {
            "connector.toml": self._manifest(), "mapping.csv": mapping_text(lines),
            "README.md": readme_text(self.name, does, {}, self._unsaid(), self.contract.source.name),
            f"tests/test_{self.slug}.py": test_text(self.slug, self.name), "samples/export.csv": self._export(),
        }  # fmt: skip
        files |= {"statuses.csv": statuses_text(statuses)} if statuses else {}
        return Draft(files, tuple(does), len(self.fields), len(used), tuple(self._unsaid()))

    @property
    def _used(self) -> list[str]:
        names = [column for one in self.changes for column in one.names.values()] if self.is_of_households else []
        found = [self.key, *names, *(column for one in self.changes for column in one.parts.values())]
        return list(dict.fromkeys([*found, *([self.status.place] if self.status else [])]))

    def _manifest(self) -> str:
        source = self.contract.source.name
        head: dict[str, Any] = {
            "id": self.slug, "name": self.name, "vendor": "À compléter", "domain": "a-completer", "kind": "dump",
            "owners": ["à compléter"],
        }  # fmt: skip
        head |= {"household": True} if self.is_of_households else {}
        kept = {"from": source, "table": "samples/export.csv", "samples": "samples"}
        note = f"Écrit d'après {source}, sans aucune de ses lignes : relire chaque « à vérifier »."
        alone = "" if self.is_repeated else ", et unique"
        key = f"À vérifier : « {self.key} » est-il le même d'un fichier à l'autre{alone} ?"
        several = f"À vérifier : plusieurs lignes ont un même « {self.key} », et seule la première est lue."
        dump = Table("dump", self._layout(), [key, *([several] if self.is_repeated else [])])
        return manifest_text(head, [Table("contract", kept), dump, *self._tables()], [note])

    def _layout(self) -> Mapping[str, Any]:
        sample = self.sample
        found: dict[str, Any] = {"files": self._files()}
        is_text = sample.suffix not in SUFFIXES
        if is_text and sample.encoding not in ("utf-8", "utf-8-sig"):
            found |= {"encoding": sample.encoding}
        if is_text and sample.separator != ";" and not sample.fixed:
            found |= {"separator": sample.separator}
        found |= {"sheet": self.choices.table} if self.choices.table and not is_text else {}
        if sample.fixed:
            found |= {"fixed": {name: f"{first}-{last}" for name, (first, last) in sample.fixed.items()}}
        if sample.header != (not sample.fixed):
            found |= {"header": sample.header}
        found |= {"positions": dict(sample.positions)} if sample.positions else {}
        keys = sample.column(self.key)
        form = {"pattern": "[0-9]+"} if all(one.isascii() and one.isdigit() for one in keys) else {}
        form |= {"one_row_per_key": "first"} if self.is_repeated else {}
        return {**found, "columns": {"key": self.key, **form}}

    def _files(self) -> str:
        """The name of the file without what changes from one night to the next."""
        stem = re.split(r"[-_. ]?[0-9]", self.contract.source.stem, maxsplit=1)[0] or "export"
        safe = re.sub(r"[^\w.-]", "?", stem)
        return f"{safe}*{'.zip' if self.sample.zipped else self.contract.source.suffix.lower()}"

    def _tables(self) -> Iterator[Table]:
        for one in self.changes:
            event = {
                "type": one.type, "watch": list(one.parts.values()), "id": f"{{key}}-{one.name}-{{revision}}",
                "map": one.name, "only": dict.fromkeys(one.due, "*"),
            }  # fmt: skip
            yield Table("[dump.change]", event, [f"À vérifier : de qui est « {one.due[0]} » ?"])
        if self.status is not None:
            event = {
                "type": STATUS, "watch": [self.status.place], "id": "{key}-status-{revision}", "about": self.key,
                "status": self.status.place, "unknown": "skip", "only": {self.status.place: "*"},
            }  # fmt: skip
            yield Table("[dump.change]", event, ["À vérifier : le sens de chaque statut, dans statuses.csv."])

    def _words(self) -> Sequence[str]:
        """The statuses that the file shows, and one more where it shows one alone."""
        if self.status is None:
            return ()
        found = list(dict.fromkeys(self.sample.column(self.status.place)))[:_MOST_STATUSES]
        return [*found, *(["en cours", "clos"][: max(0, 2 - len(found))])]

    def _export(self) -> bytes:
        status = self.status.place if self.status else ""
        return invented_export(self.sample, self.fields, key=self.key, status=status, words=self._words())

    def _unsaid(self) -> Sequence[str]:
        several = f"Of several lines of one {self.key} only the first is read (one_row_per_key)."
        nameless = any(not one.names for one in self.changes) and self.is_of_households
        unnamed = (
            f"{self.key} is the number of a household, and no columns say who of it is meant: such events are refused."
        )
        return [
            *([several] if self.is_repeated else []),
            *([unnamed] if nameless else []),
            "Whom the watched columns are about is proposed from their names alone.",
            "A row that is no longer there tells nothing: no event says that somebody left.",
        ]
