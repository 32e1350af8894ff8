"""What a connector uses of its contract, read from its tables (and from the words of its code, where it has some)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from connectors.sdk.contract.model import Contract
from connectors.sdk.contract.uses import EVERYTHING, Carried, Read, Sent, Steps, Use, Uses, steps_of
from connectors.sdk.kinds.events import STATUS_CHANGED, STATUS_VERSION
from connectors.sdk.kinds.texts import FORMS, names_in, value_row
from connectors.sdk.mapping.granted import form_rows
from connectors.sdk.mapping.rows import FILE as TABLE
from connectors.sdk.mapping.rows import Row, read_table
from connectors.sdk.recorded import recorded_operations
from connectors.sdk.statuses import Statuses
from schemas.errors import ConfigError
from schemas.manifest import Manifest

Table = Mapping[str, Any]
_VALUES = ("time", "about", "status", "label", "procedure")
_NEEDED = ("time", "about", "status")
_WORD = re.compile(r"[^\W\d]\w*")
_HOLE = re.compile(r"\{[^{}]*\}")
_EVENTS = (("poll", "event"), ("dump", "change"), ("sql", "event"), ("returns", "event"))


def uses_of(manifest: Manifest, contract: Contract) -> Uses:
    """What a connector uses. Where its own code speaks to the package: the operations that the suite saw at its twin,
    of each the fields whose name its code holds; everything, where nothing is declared and the suite has not written
    any down."""
    raw, words = manifest.declared, _words_of(manifest)
    made = _Tables(raw, _rows(manifest), _statuses(manifest), words)
    own: list[Use] = []
    if manifest.kind == "python" or (manifest.folder / "connector.py").exists():
        own = [Use(call, words=words) for call in recorded_operations(manifest.folder)]
        if not own and manifest.kind == "python":
            return EVERYTHING
    signs_in = None if own else made.signs_in()
    return Uses((*own, *made.of_kind(contract)), made.base(), signs_in, made.faults(), made.positions())


class _Tables:
    """The tables of one manifest, and the lines of its `mapping.csv` by their map."""

    def __init__(self, raw: Table, rows: Mapping[str, list[Row]], codes: frozenset[str], words: frozenset[str]) -> None:
        self.raw, self.rows, self.codes, self.words = raw, rows, codes, words

    def base(self) -> str:
        """Of `{base_url}/api` what is below the server."""
        base = str(self.raw.get("http", {}).get("base", ""))
        return re.sub(r"^(\{[^}]*\}|[a-z]+://[^/]*)", "", base).strip("/")

    def signs_in(self) -> str:
        auth = self.raw.get("http", {}).get("auth") or self.raw.get("soap", {}).get("auth") or {}
        return str(auth.get("kind", "")).replace("none", "")

    def faults(self) -> frozenset[str]:
        """The statuses and codes that `[[error]]` knows; `*` where one knows any."""
        found: set[str] = set()
        for row in self.raw.get("error", ()):
            statuses = row.get("status", ())
            found |= {str(one) for one in (statuses if isinstance(statuses, list) else [statuses])}
            found |= set(row.get("table", ()))
        return frozenset(found)

    def positions(self) -> frozenset[int]:
        tables = (self.raw.get("dump", {}), self.raw.get("returns") or {})
        return frozenset(position for table in tables for position in table.get("positions", {}).values())

    def of_kind(self, contract: Contract) -> Iterator[Use]:
        if contract.kind in ("rest", "soap"):
            yield from self._calls("operation" if contract.kind == "soap" else "call")
        elif "query" in self.raw.get("sql", {}):
            yield from self._queried(contract)
        else:
            yield self._named(self._table(), contract)

    # calls

    def _calls(self, key: str) -> Iterator[Use]:
        http, soap = self.raw.get("http", {}), self.raw.get("soap", {})
        probe = soap.get("probe", {})
        if "probe" in http:
            yield Use(http["probe"])
        if "operation" in probe:
            yield Use(probe["operation"], self._sent({k: v for k, v in probe.items() if k != "operation"}))
        for spec in (http.get("auth", {}), soap.get("auth", {})):
            yield from self._asked(key, spec, _needed(places_in(spec.get("token", ""))))
        for spec in self.raw.get("deliver", ()):
            said = _needed(spec.get("success", ())) | _needed(places_in(spec.get("reference", "")))
            again = spec.get("again", "").partition("key:")[2]
            own = {steps_of(again): Sent(always=True)} if again else {}
            yield from self._asked(key, spec, said, self._written(spec) | own)
            look_up = spec.get("look_up", {})
            found = _needed(look_up.get("only", ())) | _needed(places_in(look_up.get("reference", "")))
            yield from self._asked(key, look_up, found)
        yield from self._polled(key)
        for spec in (*self.raw.get("follow", ()), *self.raw.get("answer", ())):
            yield from self._asked(key, spec, self._event(spec))

    def _polled(self, key: str) -> Iterator[Use]:
        poll = self.raw.get("poll") or {}
        paging, cursor = poll.get("paging", {}), poll.get("cursor", {})
        names = ("param", "size_param", "argument", "size_argument")
        more = {table[name]: "" for table in (paging, cursor) for name in names if name in table}
        reads = _needed(place for name in ("at", "id") for place in places_in(cursor.get(name, "")))
        for spec in (*poll.get("event", ()), {"only": poll.get("only", {})}):
            reads |= self._event(spec)
        whole = _needed(places_in(paging.get("next", "")))
        for use in self._asked(key, poll, reads, {steps_of(name): Sent() for name in more}):
            yield replace(use, reads={**use.reads, **whole}, maps=_maps(poll.get("event", ())))

    def _asked(
        self, key: str, spec: Table, reads: Mapping[Steps, Read], sends: Mapping[Steps, Sent] | None = None
    ) -> Iterator[Use]:
        if key not in spec:
            return
        behind = steps_of(spec["list"]) if spec.get("list") else ()
        found = {behind + steps: read for steps, read in reads.items()}
        forms = {k: v for name in FORMS if name in spec for k, v in spec[name].items()}
        code = "before" in spec or any("before" in one for one in spec.get("event", ()))
        words = self.words if code else None
        yield Use(spec[key], {**self._sent(forms), **(sends or {})}, found, words, _maps([spec]))

    def _sent(self, form: Table) -> dict[Steps, Sent]:
        return {steps_of(row.target): Sent(_is_sure(row), self._values(row)) for row in form_rows(form)}

    def _written(self, spec: Table) -> dict[Steps, Sent]:
        """What the map of a delivery writes: the targets of one that writes, the sources of one that reads."""
        found: dict[Steps, Sent] = {}
        for row in self.rows.get(spec.get("map", ""), ()):
            targets = places_in(row.source) if row.target.startswith("/") else [row.target]
            found |= {steps_of(target): Sent(_is_sure(row), self._values(row)) for target in targets}
        return found

    def _values(self, row: Row) -> frozenset[str] | None:
        if row.source.startswith("=") and "{" not in row.source:
            return frozenset({row.source[1:]})
        return self._table_codes(row.convert)[0]

    # what is read

    def _event(self, spec: Table) -> dict[Steps, Read]:
        reads = _needed(spec.get("only", ())) | _needed(places_in(spec.get("id", "")))
        for name in (name for name in _VALUES if name in spec):
            codes = self.codes if name == "status" else None
            reads |= {steps: Read(name in _NEEDED, codes) for steps in map(steps_of, places_in(spec[name]))}
        if "before" in spec:  # its map reads what the function makes
            return reads
        for row in self.rows.get(spec.get("map", ""), ()):
            reads |= self._row(row)
        return reads

    def _row(self, row: Row) -> dict[Steps, Read]:
        found = places_in(row.source)
        codes, strict = self._table_codes(row.convert)
        return {steps_of(place): Read(row.required and len(found) == 1, codes, strict) for place in found}

    def _table_codes(self, convert: str) -> tuple[frozenset[str] | None, bool]:
        """The codes that a declared converter knows, and whether it refuses others."""
        for word in re.split(r"[\s,]+", convert):
            said = self.raw.get("converters", {}).get(word, {})
            codes = said.get("table") if isinstance(said, Mapping) else None
            if codes:
                return frozenset(codes) - {"*", ""}, "*" not in codes
        return None, False

    # tables

    def _table(self) -> Use:
        """A dump, or the files of a drop: by the names of columns."""
        dump, returns = self.raw.get("dump", {}), self.raw.get("returns") or {}
        columns = dump.get("columns", {})
        reads = _needed([columns["key"]] if "key" in columns else ()) | _needed(dump.get("only", ()))
        reads |= {steps_of(name): Read() for name in columns.get("read", ())}
        for word in ("key", "status", "reason", "time"):
            needed = word in ("key", "status")
            reads |= {steps_of(place): Read(needed) for place in places_in(returns.get(word, ""))}
        for part, key in _EVENTS:
            for spec in (self.raw.get(part) or {}).get(key, ()):
                reads |= {steps_of(name): Read() for name in spec.get("watch", ())}
                reads |= self._event(spec) | self._columns_in(spec)
        delivers = self.raw.get("deliver", ())
        sends = {k: v for spec in delivers for k, v in self._written(spec).items()}
        tables = [spec for part, key in _EVENTS for spec in (self.raw.get(part) or {}).get(key, ())]
        return Use("", sends, reads, maps=_maps([*tables, *delivers]))

    def _named(self, use: Use, contract: Contract) -> Use:
        """With the names that the contract has for columns which the manifest names by their place in the file."""
        columns = [one.place for one in contract.operations[0].gives] if contract.operations else []
        dump, returns = self.raw.get("dump", {}), self.raw.get("returns") or {}
        fixed = sorted(dump.get("fixed", {}), key=lambda name: int(str(dump["fixed"][name]).partition("-")[0]))
        places = (
            {name: at for at, name in enumerate(fixed, 1)} | dump.get("positions", {}) | returns.get("positions", {})
        )
        names = {steps_of(name): steps_of(columns[at - 1]) for name, at in places.items() if at <= len(columns)}
        return replace(use, reads={names.get(steps, steps): read for steps, read in use.reads.items()})

    def _queried(self, contract: Contract) -> Iterator[Use]:
        sql = self.raw["sql"]
        words = {word.casefold() for word in _WORD.findall(_HOLE.sub("", sql["query"]))}
        found = _needed([sql["cursor"]])
        for spec in sql.get("event", ()):
            found |= self._event(spec) | self._columns_in(spec)
        read = {steps[-1].casefold(): how for steps, how in found.items() if steps}
        for table in (one for one in contract.operations if one.name.casefold() in words):
            names = [one.place for one in table.gives if one.place.casefold() in words | read.keys()]
            reads = {steps_of(n): read.get(n.casefold(), Read(needed=True)) for n in names}
            yield Use(table.name.casefold(), reads=reads, maps=_maps(sql.get("event", ())))

    def _columns_in(self, spec: Table) -> dict[Steps, Read]:
        return _needed(name for name in names_in(spec.get("id", "")))


def places_in(text: str) -> list[str]:
    """The places that a text of a table names: `/a|/b | date`, `rdv-{/data/id}`, `return/day return/hour`."""
    if "{" in text or text.startswith("="):
        return [name for name in names_in(text) if name.startswith("/")]
    source = value_row(text).source if text else ""
    return [place.strip() for one in source.split("|") for place in one.split(" + ") if place.strip()]


def _maps(specs: Iterable[Table]) -> dict[str, Carried]:
    """The maps that tables name; a table that says how a call is safe to repeat is a delivery, and where it has no map,
    what nothing fills yet stands under a name of its own."""
    found = {}
    for spec in (spec for spec in specs if "map" in spec or "again" in spec):
        carries = spec.get("type", STATUS_CHANGED)
        version = spec.get("version", STATUS_VERSION if carries == STATUS_CHANGED else 1)
        name = spec.get("map") or "to-" + carries.partition(".")[2]
        found[name] = Carried(carries, version, "again" in spec)
    return found


def _needed(places: Iterable[str]) -> dict[Steps, Read]:
    return {steps_of(place): Read(needed=True) for place in places}


def _is_sure(row: Row) -> bool:
    """Whether the value goes with each call: a constant, or a line that is required."""
    return row.required or (row.source.startswith("=") and "{/" not in row.source)


def _rows(manifest: Manifest) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {}
    path = manifest.folder / TABLE
    for row in read_table(path).rows if path.exists() else ():
        rows.setdefault(row.map, []).append(row)
    return rows


def _statuses(manifest: Manifest) -> frozenset[str]:
    try:
        found = Statuses.load(manifest.folder / "statuses.csv").rows
    except (ConfigError, OSError):
        return frozenset()
    return frozenset(row.native for row in found if row.direction != "out")


def _words_of(manifest: Manifest) -> frozenset[str]:
    """Every word of the connector's own code, its twin and its case aside."""
    code = [path for path in manifest.folder.glob("*.py") if path.stem not in ("twin", "case", "contents")]
    return frozenset(
        word for path in code for word in _WORD.findall(path.read_text(encoding="utf-8", errors="replace"))
    )
