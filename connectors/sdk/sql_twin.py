"""The twin of a package whose database is read: a SQLite file with one table, which can be away, locked or spoilt."""

from __future__ import annotations

import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, ClassVar, Self

from connectors.sdk.database import ReadOnlyDatabase
from connectors.sdk.twin_schedule import Scheduled

_SEPARATOR = b";"


class SqlTwin(Scheduled):
    """`with SqlTwin("tickets", ["rank", "state"]) as twin:` makes the file; `address` is what a connection to it sets.
    `watch(database)` lets it see what is asked of it, and misbehave then.

    `left` shows its rows as a table with separators, and `rewrite` puts others in their place."""

    kinds: ClassVar[Mapping[str, str]] = {
        "refuse": "the database is not there", "locked": "it is locked by another", "garbage": "the file of no format",
    }  # fmt: skip
    page_size = 1

    def __init__(
        self,
        table: str,
        columns: Sequence[str],
        rules: Mapping[str, str] | None = None,
        types: Mapping[str, str] | None = None,
    ) -> None:
        """`rules`: by column, what its values must be, as SQL: `typeof(rank) = 'integer'`. `add` refuses others as the
        package's database does; `rewrite` passes over them, for there are older databases with what is forbidden
        today. `types`: by column, what no database ever holds otherwise: a cell that is to be nonsense of another type
        stays what it was."""
        self.table, self.columns, self._types = table, tuple(columns), dict(types or {})
        self.operations: list[str] = []
        self._folder = tempfile.TemporaryDirectory(prefix="unefois-twin-")
        self.path = Path(self._folder.name) / "package.db"
        self._faults: Counter[str] = Counter()
        self._announced: Counter[str] = Counter()
        with self._open() as base:
            checks = [f"check ({rule})" for rule in (rules or {}).values()]
            base.execute(f"create table {quoted(table)} ({', '.join([*map(quoted, columns), *checks])})")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._folder.cleanup()

    @property
    def address(self) -> str:
        return f"sqlite:///{self.path}"

    def watch(self, database: ReadOnlyDatabase) -> None:
        """Note each query of a connector, and misbehave while it runs."""
        read = database.read

        def watched(query: str, values: Mapping[str, Any], most: int) -> Any:
            self.operations.append("query")
            with self._misbehaving():
                return read(query, values, most)

        database.read = watched  # type: ignore[method-assign]

    def add(self, *rows: Sequence[Any]) -> None:
        """Rows, each a value for every column."""
        marks = ", ".join("?" * len(self.columns))
        with self._open() as base:
            base.executemany(f"insert into {quoted(self.table)} values ({marks})", rows)  # noqa: S608

    def misbehave(self, kind: str, times: int = 1, *, on: str = "", at: str = "") -> None:
        """`kinds` says which; `on` and `at` are for twins that are called in several ways."""
        self._announced[kind] = self._faults[kind] = self._faults[kind] + times

    def met(self, kind: str) -> bool:
        return self._faults[kind] < self._announced[kind]

    def behave(self) -> None:
        self._faults.clear()
        self.start()

    def stop(self) -> None:
        if self.path.exists():
            self.path.rename(self._away)

    def start(self) -> None:
        if self._away.exists():
            self._away.rename(self.path)

    def left(self) -> dict[str, bytes]:
        with self._open() as base:
            rows = base.execute(f"select * from {quoted(self.table)} order by rowid").fetchall()  # noqa: S608
        lines = [list(self.columns), *rows]
        return {f"{self.table}.csv": b"\r\n".join(_line(one) for one in lines) + b"\r\n"}

    def rewrite(self, name: str, content: bytes) -> None:
        """Cells of digits are numbers; others are text, whatever their bytes are."""
        with self._open() as base:
            known = base.execute(f"select * from {quoted(self.table)} order by rowid").fetchall()  # noqa: S608
            base.execute("pragma ignore_check_constraints = on")
            base.execute(f"delete from {quoted(self.table)}")  # noqa: S608
            for number, line in enumerate(content.split(b"\r\n")[1:]):
                cells = [*line.split(_SEPARATOR), *[b""] * len(self.columns)][: len(self.columns)]
                before = known[number] if number < len(known) else [None] * len(cells)
                held = [self._held(base, *one) for one in zip(self.columns, cells, before, strict=True)]
                marks = ", ".join("cast(? as text)" if isinstance(one, bytes) else "?" for one in held)
                if line:
                    base.execute(f"insert into {quoted(self.table)} values ({marks})", held)  # noqa: S608

    def _held(self, base: sqlite3.Connection, column: str, cell: bytes, before: Any) -> Any:
        """What the column holds once the cell is written: where its type does not take that, nothing or what it was."""
        value: Any = int(cell) if cell.isdigit() else cell
        rule = self._types.get(column)
        if rule is None:
            return value
        for one in [value, *([None] if not cell else [])]:
            mark = "cast(? as text)" if isinstance(one, bytes) else "?"
            if base.execute(f"select {rule} from (select {mark} as {quoted(column)})", [one]).fetchone()[0]:  # noqa: S608
                return one
        return before

    def reasons(self) -> Mapping[str, str]:
        return {}

    @property
    def _away(self) -> Path:
        return self.path.with_suffix(".away")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        path = self.path if self.path.exists() or not self._away.exists() else self._away
        with closing(sqlite3.connect(path)) as base:
            yield base
            base.commit()

    @contextmanager
    def _misbehaving(self) -> Iterator[None]:
        kind = next((one for one in self.kinds if self._faults[one] > 0), "")
        if not kind:
            yield
            return
        self._faults[kind] -= 1
        if kind == "locked":
            with closing(sqlite3.connect(self.path)) as base:
                base.execute("begin exclusive")
                yield
            return
        self.stop()
        try:
            if kind == "garbage":
                self.path.write_bytes(b"\x00\xff\xfe{[" * 200)
            yield
        finally:
            self.path.unlink(missing_ok=True)
            self.start()


def quoted(name: str) -> str:
    """A name as SQL takes any."""
    return '"' + name.replace('"', '""') + '"'


def _line(cells: Sequence[Any]) -> bytes:
    return _SEPARATOR.join(str("" if cell is None else cell).encode() for cell in cells)
