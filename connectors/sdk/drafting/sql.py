"""A connector of the kind `sql`, drafted from the statements that create a package's tables.

No row of that file goes into the connector's folder: its samples are about nobody.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connectors.sdk.contract.model import Contract, Field, Operation
from connectors.sdk.contract.sql_tables import GROWS, KEY, tables_in
from connectors.sdk.drafting.columns import Change, changes_in, column_words, invented_row, status_column, unused_lines
from connectors.sdk.drafting.draft import Choices, Draft
from connectors.sdk.drafting.polls import status_row
from connectors.sdk.drafting.writing import Table, manifest_text, mapping_text, readme_text, statuses_text, test_text
from schemas.errors import ConfigError
from schemas.registry import Registry

STATUS = "request.status-changed"
_PAGE = 200
_CHANGED = re.compile(
    r"(.* )?(updated|modified|changed|modif|modifiee?|modification|maj|mise a jour|timestamp|changement)( .*)?"
)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_RESERVED = frozenset((
    "all", "and", "any", "as", "asc", "between", "by", "case", "check", "column", "create", "cross", "default", "desc",
    "distinct", "drop", "else", "end", "exists", "fetch", "for", "foreign", "from", "grant", "group", "having",
    "in", "index", "inner", "insert", "into", "is", "join", "key", "left", "like", "limit", "not", "null", "offset",
    "on", "or", "order", "outer", "primary", "references", "right", "select", "set", "table", "then", "to",
    "transaction", "union", "unique", "update", "user", "using", "values", "when", "where", "with",
))  # fmt: skip
_MYSQL = re.compile(r"\bengine\s*=|\bauto_increment\b|^[^']*`", re.IGNORECASE | re.MULTILINE)
_FIRST: Mapping[str, Any] = {"instant": "1970-01-01 00:00:00", "date": "1970-01-01", "text": ""}
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "url": {"type": "text", "about": "Adresse de la base : postgresql://serveur:5432/base."},
    "user": {"type": "text", "optional": True, "default": "", "about": "Compte en lecture seule."},
    "password": {"type": "secret", "about": "Son mot de passe."},
}


def draft(slug: str, contract: Contract, choices: Choices, registry: Registry) -> Draft:
    """The table that is named, else the one that tells most, polled by the column that grows. Raises ConfigError where
    nothing grows in it, and where it tells nothing shared."""
    named = choices.operations or ((choices.table,) if choices.table else ())
    tables = [one for one in contract.operations if not named or one.name in named] or list(contract.operations)
    found = [_Drafting(slug, contract, choices, one) for one in tables]
    best = max(found, key=lambda one: one.worth)
    return best.draft()


@dataclass
class _Drafting:
    slug: str
    contract: Contract
    choices: Choices
    table: Operation

    @property
    def name(self) -> str:
        return self.slug.replace("_", " ").capitalize()

    @property
    def worth(self) -> tuple[bool, int, bool]:
        """Whether it can be polled and tells something; how many columns say so; whether changes are seen."""
        told = (self.status is not None) + sum(len(one.parts) for one in self.changes)
        cursor = self.cursor
        return cursor is not None and told > 0, told, cursor is not None and cursor.type != "integer"

    @cached_property
    def cursor(self) -> Field | None:
        """The column that only grows: the moment of the last change, before a number that the database counts."""
        moments = [one for one in self.table.gives if one.type in ("instant", "date")]
        changed = [one for one in moments if one.limits.get(GROWS) or _CHANGED.fullmatch(column_words(one.place))]
        counted = [one for one in self.table.gives if one.type == "integer" and one.limits.get(GROWS)]
        keys = [one for one in self.table.gives if one.type == "integer" and one.limits.get(KEY)]
        return next(iter([*changed, *counted, *keys, *moments]), None)

    @cached_property
    def key(self) -> Field | None:
        keys = [one for one in self.table.gives if one.limits.get(KEY)]
        return next(iter(keys), None) or self.cursor

    @cached_property
    def status(self) -> Field | None:
        if self.choices.carries not in ("", STATUS):
            return None
        return status_column([one for one in self.table.gives if not one.limits.get(KEY)])

    @cached_property
    def changes(self) -> Sequence[Change]:
        wish = self.choices.carries
        dated = self.day is not None  # of a value about a person the day is always said
        found = changes_in([one.place for one in self.table.gives]) if dated else ()
        return [one for one in found if wish in ("", one.type)]

    @property
    def day(self) -> Field | None:
        """The moment since when a row says what it says."""
        cursor = [self.cursor] if self.cursor is not None else []
        return next((one for one in [*cursor, *self.table.gives] if one.type in ("instant", "date")), None)

    def draft(self) -> Draft:
        if not self.worth[0] or self.cursor is None or self.key is None:
            said = "no column only grows" if self.cursor is None else "no column tells a status, an address, a contact"
            raise ConfigError(f"{self.table.name}: {said}", key=self.contract.source.name)
        does = [f"tells {STATUS} by {self.table.name}.{self.status.place}"] if self.status else []
        does += [f"tells {one.type} by {', '.join(one.parts.values())}" for one in self.changes]
        since = (self.day.place, self.day.type) if self.day else ("", "")
        lines = [
            line for one in self.changes for line in one.lines(self.key.place, since, {"postal_code": "postal_code"})
        ]
        lines += unused_lines(self.changes[0].name if self.changes else "status", self.table.gives, self._used)
        statuses = [status_row(word) for word in self._words()]
        files: dict[str, str | bytes] = {
            "connector.toml": self._manifest(), "mapping.csv": mapping_text(lines),
            "README.md": readme_text(self.name, does, SETTINGS, self._unsaid(), self.contract.source.name),
            f"tests/test_{self.slug}.py": test_text(self.slug, self.name), "samples/rows.csv": self._rows(),
            "contract/tables.sql": self._statement(),
        }  # fmt: skip
        files |= {"statuses.csv": statuses_text(statuses)} if statuses else {}
        return Draft(files, tuple(does), len(self.table.gives), len(self._used), tuple(self._unsaid()))

    @property
    def _used(self) -> list[str]:
        assert self.key is not None
        assert self.cursor is not None
        found = [self.key.place, self.cursor.place, *(column for one in self.changes for column in one.parts.values())]
        found += [self.day.place] if self.changes and self.day else []
        return list(dict.fromkeys([*found, *([self.status.place] if self.status else [])]))

    def _manifest(self) -> str:
        source = self.contract.source.name
        assert self.cursor is not None
        head = {"id": self.slug, "name": self.name, "vendor": "À compléter", "domain": "a-completer", "kind": "sql",
                "owners": ["à compléter"]}  # fmt: skip
        cursor = self.cursor
        sql = {
            "url": "{url}", "user": "{user}", "password": "{password}", "query": self._query(cursor),
            "cursor": cursor.place, **({"first": _FIRST[cursor.type]} if cursor.type in _FIRST else {}),
        }  # fmt: skip
        kept = {"from": source, "sql": "contract/tables.sql", "samples": "samples"}
        note = f"À vérifier : « {cursor.place} » ne fait-il que croître, à chaque changement qui doit être vu ?"
        every = [Table("contract", kept), Table("settings", SETTINGS), Table("sql", sql, [note]), *self._events()]
        return manifest_text(head, every, [f"Écrit d'après {source} : relire chaque « à vérifier »."])

    def _query(self, cursor: Field) -> str:
        columns = ", ".join(_name(one) for one in self._used)
        at = _name(cursor.place)
        return f"select {columns} from {_name(self.table.name)} where {at} > :cursor order by {at} limit {_PAGE}"  # noqa: S608

    def _events(self) -> Iterator[Table]:
        assert self.key is not None
        assert self.cursor is not None
        named = f"{{{self.key.place}}}"
        at = "" if self.cursor.place == self.key.place else f"-{{{self.cursor.place}}}"
        time = {"time": f"{self.cursor.place} | instant"} if self.cursor.type == "instant" else {}
        if self.status is not None:
            event = {"type": STATUS, "id": f"status-{named}{at}", **time, "about": self.key.place,
                     "status": self.status.place, "unknown": "skip", "only": {self.status.place: "*"}}  # fmt: skip
            yield Table("[sql.event]", event, ["À vérifier : le sens de chaque statut, dans statuses.csv."])
        for one in self.changes:
            event = {"type": one.type, "id": f"{one.name}-{named}{at}", **time, "map": one.name,
                     "only": dict.fromkeys(one.due, "*")}  # fmt: skip
            yield Table("[sql.event]", event, [f"À vérifier : de qui est « {one.due[0]} » ?"])

    def _words(self) -> Sequence[str]:
        """The statuses that the table allows, or that its file shows, and more where those are fewer than two."""
        if self.status is None:
            return ()
        found = [str(one) for one in self.status.choices] or self._shown(self.status.place)
        most = int(self.status.limits.get("maxLength", 20))
        free = (
            ["1", "2", "3"]
            if self.status.type == "integer" or most < len("en cours")
            else ["en cours", "clos", "refus"]
        )
        return list(dict.fromkeys([*found, *free]))[: max(2, len(found))]

    def _shown(self, column: str) -> Sequence[str]:
        table = next(one for one in tables_in(self.contract.source) if one.name == self.table.name)
        return list(dict.fromkeys(said for row in table.rows if (said := row.get(column))))

    def _rows(self) -> bytes:
        """Two rows about nobody, numbered by their keys."""
        rows = [invented_row(self.table.gives, variant) for variant in (0, 1)]
        for variant, row in enumerate(rows):
            for one in self.table.gives:
                if one.limits.get(KEY) and one.type == "integer":
                    row[one.place] = str(variant + 1)
                elif one.type == "number":
                    row[one.place] = row[one.place].replace(",", ".")
            if self.status is not None:
                row[self.status.place] = self._words()[variant]
        text = io.StringIO()
        writer = csv.writer(text, delimiter=";", lineterminator="\n")
        writer.writerows([list(rows[0]), *(row.values() for row in rows)])
        return text.getvalue().encode()

    def _statement(self) -> str:
        """The table alone, in words that every database knows."""
        columns = [
            f"  {_name(one.place)} {_type(one)}{'' if one.nullable else ' not null'}" for one in self.table.gives
        ]
        keys = [_name(one.place) for one in self.table.gives if one.limits.get(KEY)]
        rules = [f"  primary key ({', '.join(keys)})"] if keys else []
        return f"create table {_name(self.table.name)} (\n" + ",\n".join([*columns, *rules]) + "\n);\n"

    def _unsaid(self) -> Sequence[str]:
        text = self.contract.source.read_bytes().decode("utf-8", "replace")
        mysql = ["It is a database of MySQL or MariaDB; only PostgreSQL and SQLite are read so far."]
        gone = "A row that is deleted says nothing: the query does not see it."
        others = [one.name for one in self.contract.operations if one is not self.table]
        taken = f"{self.table.name} was taken; another table is chosen by --table: {', '.join(others)}."
        return [*([taken] if others else []), gone, *(mysql if _MYSQL.search(text) else [])]


def _name(name: str) -> str:
    """A name as a query holds it: in quotes where it must be."""
    return name if _PLAIN.fullmatch(name) and name not in _RESERVED else '"' + name.replace('"', '""') + '"'


def _type(one: Field) -> str:
    if one.choices:
        return "enum(" + ", ".join("'" + str(choice).replace("'", "''") + "'" for choice in one.choices) + ")"
    words = {"integer": "bigint", "number": "numeric", "boolean": "boolean", "date": "date", "instant": "timestamp",
             "bytes": "bytea", "any": "json"}  # fmt: skip
    length = one.limits.get("maxLength")
    return words.get(one.type, f"varchar({length})" if length else "text")
