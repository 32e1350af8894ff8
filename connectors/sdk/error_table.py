"""What becomes of a vendor's errors, as data: `[[error]]` of a connector's manifest, and its `errors.csv`.

`[[error]]` is for codes: an HTTP status, a value inside a JSON or XML body, or in the `<detail>` of a SOAP fault.
`errors.csv` is for what must be recognised by its wording.
"""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Unpack

import orjson

from connectors.sdk.http import HttpAnswer, retry_after
from connectors.sdk.xml import Element, parse_xml, text_by_names
from schemas.errors import (
    AccessDenied,
    By,
    Expired,
    HubError,
    InvalidMessage,
    Refused,
    Told,
    TryLater,
    Unknown,
    detailed_fault,
    is_fault,
    refused_fault,
)
from schemas.exchange import AmbiguousIdentity, AuthorisationExpired, NotMatched


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a word of `means` raises, its sentence after the name of the service, and its code where none is given."""

    error: type[HubError]
    sentence: str
    fault: str

    def raised(self, message: str, after: float | None, **told: Unpack[Told]) -> HubError:
        return TryLater(message, after=after, **told) if self.error is TryLater else self.error(message, **told)


SUCCESS = "success"
_NO_ERROR = frozenset({"0", "false"})  # as some fill the place of an error that there is none of
MEANINGS: Mapping[str, _Meaning] = {
    "later": _Meaning(TryLater, "demande d'attendre", "away.busy"),
    "refused": _Meaning(Refused, "refuse la demande", Refused.fault),
    "expired": _Meaning(Expired, "ne le permet plus : le délai est passé", Expired.fault),
    "denied": _Meaning(AccessDenied, "nous refuse l'accès", "denied.forbidden"),
    "unknown": _Meaning(Unknown, "ne dit ni oui ni non", Unknown.fault),
    "not-matched": _Meaning(NotMatched, "ne trouve personne sous cette identité", NotMatched.fault),
    "no-record": _Meaning(NotMatched, "ne trouve pas de dossier sous cette identité", NotMatched.fault),
    "ambiguous": _Meaning(AmbiguousIdentity, "trouve plusieurs personnes", AmbiguousIdentity.fault),
    "authorisation": _Meaning(AuthorisationExpired, "ne reconnaît plus notre habilitation", AuthorisationExpired.fault),
}
"""The words that `means` and `table` may hold, beside `success`: the answer is none of an error."""


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """One `[[error]]`. It fits an answer whose `status` is listed (none: any) and that holds a value at `native` (a
    JSON pointer, or names of XML elements: "Reponse/code"); with `detail`, a SOAP fault that holds one there, below its
    `<detail>`. `table` says by that value what it means, `*` for any other, and may say the other members for a value;
    without a table `means` holds. A value is repeated only where the table names it: another may be about a person."""

    means: str = ""
    status: frozenset[int] = frozenset()
    native: str = ""
    detail: str = ""
    table: Mapping[str, ErrorRule] = field(default_factory=dict)
    say: str = ""
    remedy: str = ""
    by: By = ""
    fault: str = ""

    def chosen(self, code: str) -> ErrorRule | None:
        """What this rule says of a value; None when its table does not know it."""
        return self.table.get(code, self.table.get("*")) if self.table else self

    def error(self, code: str, answer: HttpAnswer) -> HubError:
        """The error that the value `code` of an answer stands for."""
        said = self.chosen(code) or self
        meaning = MEANINGS[said.means]
        native = code if code in self.table else ""
        fault = said.fault or meaning.fault
        if native and issubclass(meaning.error, Refused):
            fault = detailed_fault(fault.removesuffix(".other"), native)
        return meaning.raised(
            said.say or f"{answer.service} {meaning.sentence}", retry_after(answer.headers),
            native=native, fault=fault, remedy=said.remedy, by=said.by,
            detail=f"{answer.host}: {answer.status}, by {self.detail or self.native or 'status'}",
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ErrorTable:
    """The `[[error]]` of a connector, in order: the first that fits decides."""

    rules: Sequence[ErrorRule] = ()

    @classmethod
    def read(cls, rows: Sequence[Mapping[str, Any]]) -> ErrorTable:
        """The table of a manifest's rows. Raises ValueError with the first of `error_table_faults`."""
        for place, reason in error_table_faults(rows):
            raise ValueError(f"{place}: {reason}")
        return cls(tuple(_rule(row) for row in rows))

    def error_for(self, answer: HttpAnswer) -> HubError | None:
        """The error that an answer stands for, whatever its status; None when no rule says that it is one."""
        body = _Body(answer)
        return _first_error(answer, ((rule, body.code(rule)) for rule in self.rules if not rule.detail))

    def error_in(self, answer: HttpAnswer, detail: Element | None) -> HubError | None:
        """The error that a SOAP fault stands for by its `<detail>`; None when no rule knows it."""
        if detail is None:
            return None
        codes = ((rule, text_by_names(detail, rule.detail)) for rule in self.rules if rule.detail)
        return _first_error(answer, codes)

    def error_at(self, answer: HttpAnswer, message: Element) -> HubError | None:
        """The error that a SOAP message stands for by what it holds, though it is no fault: `native` names its elements
        from there on. None when no rule says that it is one."""
        rules = [rule for rule in self.rules if rule.native and not rule.detail and not rule.native.startswith("/")]
        return _first_error(answer, ((rule, _code(rule, text_by_names(message, rule.native))) for rule in rules))


def _first_error(answer: HttpAnswer, codes: Iterable[tuple[ErrorRule, str | None]]) -> HubError | None:
    """By the first rule that is for the status of the answer, found a value and knows it."""
    for rule, code in codes:
        said = None if code is None or (rule.status and answer.status not in rule.status) else rule.chosen(code)
        if said is not None and code is not None:
            return None if said.means == SUCCESS else rule.error(code, answer)
    return None


class _Body:
    """The body of an answer, read as JSON or as XML when a rule first asks for that."""

    def __init__(self, answer: HttpAnswer) -> None:
        self._bytes = answer.body

    def code(self, rule: ErrorRule) -> str | None:
        """The value of a rule; None when it finds none. One that names a status needs none."""
        if not rule.native:
            return ""
        return _code(rule, self._in_json(rule.native) if rule.native.startswith("/") else self._in_xml(rule.native))

    def _in_json(self, pointer: str) -> str | None:
        value = self._json
        for step in pointer.split("/")[1:]:
            value = _member(value, step.replace("~1", "/").replace("~0", "~"))
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value).strip() if isinstance(value, str | int | float) else None

    def _in_xml(self, path: str) -> str | None:
        return None if self._xml is None else text_by_names(self._xml, path)

    @cached_property
    def _json(self) -> Any:
        try:
            return orjson.loads(self._bytes.removeprefix(codecs.BOM_UTF8))
        except orjson.JSONDecodeError:
            return None

    @cached_property
    def _xml(self) -> Element | None:
        try:
            return parse_xml(self._bytes, mend=True)
        except InvalidMessage:
            return None


def _code(rule: ErrorRule, value: str | None) -> str | None:
    """What a rule takes for a code of what stands at its place."""
    if not value or (not rule.table and value in _NO_ERROR):
        return "" if rule.status else None
    return value


def _member(value: Any, step: str) -> Any:
    if isinstance(value, dict):
        return value.get(step)
    return value[int(step)] if isinstance(value, list) and step.isdecimal() and int(step) < len(value) else None


_KEYS = frozenset({"means", "status", "native", "detail", "table", "say", "remedy", "by", "fault"})
_OF_A_VALUE = frozenset({"means", "say", "remedy", "by", "fault"})


def error_table_faults(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Everything that is wrong with the `[[error]]` of a manifest: the place, as a JSON pointer, and the reason."""
    for number, row in enumerate(rows):
        place, table = f"/error/{number}", row.get("table", {})
        yield from _row_faults(place, row, _KEYS)
        if not (row.keys() & {"status", "native", "detail"}):
            yield place, "one of status, native and detail says which answers it is for"
        if "detail" in row and "native" in row:
            yield f"{place}/detail", "native is for an answer, detail for a SOAP fault: two rows"
        if bool(table) == ("means" in row):
            yield place, "either means, or a table that says it by value"
        if table and not (row.keys() & {"native", "detail"}):
            yield f"{place}/table", "native or detail says where the values stand"
        yield from _table_faults(f"{place}/table", table)


def _table_faults(place: str, table: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(table, Mapping):
        yield place, "a table: what each value means"
        return
    for code, said in table.items():
        own = said if isinstance(said, Mapping) else {"means": said}
        yield from _row_faults(f"{place}/{code}", own, _OF_A_VALUE)
        if "means" not in own:
            yield f"{place}/{code}", "means is due"


def _row_faults(place: str, row: Mapping[str, Any], known: frozenset[str]) -> Iterator[tuple[str, str]]:
    for key in row.keys() - known:
        yield f"{place}/{key}", f"no such key; {', '.join(sorted(known))}"
    if not all(type(status) is int and 100 <= status <= 599 for status in _statuses(row)):
        yield f"{place}/status", "an HTTP status, or a list of them"
    texts = {key: row[key] for key in row.keys() - {"status", "table"}}
    for key, text in texts.items():
        reason = "a text" if not isinstance(text, str) else _refused_word(key, text, texts.get("means"))
        if reason and key in known:
            yield f"{place}/{key}", reason


def _refused_word(key: str, text: str, means: Any) -> str:
    if key == "means" and text not in (SUCCESS, *MEANINGS):
        return f"no such meaning; {', '.join([*MEANINGS, SUCCESS])}"
    if key == "by" and text not in ("service", "vendor"):
        return "service or vendor"
    if key == "fault" and not is_fault(text):
        return "no code of the closed lists"
    if key == "fault" and isinstance(means, str) and means in MEANINGS and not _is_of(text, means):
        return f"{means} is {MEANINGS[means].fault.partition('.')[0]}"
    return ""


def _is_of(fault: str, means: str) -> bool:
    return fault.partition(".")[0] == MEANINGS[means].fault.partition(".")[0]


def _statuses(row: Mapping[str, Any]) -> list[Any]:
    status = row.get("status", [])
    return list(status) if isinstance(status, list) else [status]


def _rule(row: Mapping[str, Any]) -> ErrorRule:
    own = {key: row[key] for key in row.keys() - {"status", "table"}}
    rule = ErrorRule(status=frozenset(_statuses(row)), **own)
    return replace(rule, table={str(code): _of_value(rule, said) for code, said in row.get("table", {}).items()})


def _of_value(rule: ErrorRule, said: str | Mapping[str, Any]) -> ErrorRule:
    """What a value means: the members of the row hold where it has none of its own."""
    own = {"means": said} if isinstance(said, str) else dict(said)
    fits = own["means"] == SUCCESS or not rule.fault or _is_of(rule.fault, own["means"])
    return replace(rule, **({"fault": rule.fault if fits else ""} | own))


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One line of `errors.csv`. `patterns`: by column, what a fact of the error must look like (`*`, `?`, `[…]`; case
    counts). `fault`, `remedy`, `by`: as in `[[error]]`; columns that may be left out."""

    patterns: Mapping[str, str]
    becomes: str
    meaning: str
    fault: str = ""
    remedy: str = ""
    by: str = ""

    def fits(self, facts: Mapping[str, str]) -> bool:
        return all(fnmatchcase(facts[name], pattern) for name, pattern in self.patterns.items())

    def error(self, message: str, *, native: str = "", after: float | None = None, detail: str = "") -> HubError:
        """The error that `becomes` names, one of `MEANINGS`; a word of the connector's own is TryLater. `native`: the
        vendor's code. `after`: seconds, for TryLater. `detail`: for the log."""
        meaning = MEANINGS.get(self.becomes, MEANINGS["later"])
        by: By = "service" if self.by == "service" else "vendor" if self.by == "vendor" else ""
        fault = self.fault or (refused_fault(native) if meaning.error is Refused else meaning.fault)
        return meaning.raised(message, after, native=native, detail=detail, fault=fault, remedy=self.remedy, by=by)


@cache
def error_rows(path: Path) -> tuple[ErrorRow, ...]:
    """The lines of an `errors.csv`: the columns `becomes` and `meaning` (in French), perhaps `fault`, `remedy`, `by`;
    all others are patterns."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    return tuple(ErrorRow(**{name: row.pop(name) for name in _OWN if name in row}, patterns=row) for row in rows)


_OWN = ("becomes", "meaning", "fault", "remedy", "by")


def error_row(path: Path, **facts: str) -> ErrorRow | None:
    """The first line that fits an error; None when there is none. `facts`: one for each column of patterns."""
    return next((row for row in error_rows(path) if row.fits(facts)), None)
