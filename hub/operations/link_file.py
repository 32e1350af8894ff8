"""The file of links of a town, line by line: one person as one system calls them, or why the line says nothing.

What a spreadsheet spoils is told as such: a number in scientific notation, an error in place of a value, a word for the
mark of confidentiality that means neither yes nor no.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any

from hub.citizens.identities import Person
from hub.citizens.nir import refuse_nir, without_doubtful
from hub.settings.model import Numbers
from schemas.errors import InvalidMessage
from schemas.identities import given_names, read_identity
from schemas.registry import check_document
from schemas.tables import LineFault, Row, Stream, stream_rows
from schemas.validators import SchemaSet
from schemas.yes_no import yes_or_no

COLUMNS = ("family_name", "given_names", "gender", "birthdate", "birthplace", "system", "id", "confidential")
OF_ONE_SYSTEM = tuple(name for name in COLUMNS if name != "system")
"""The columns of a file that holds the people of one system, which is named beside it."""
SAME_PERSON = "same_person"
"""The column that may follow: yes where a system has given one person two identifiers, and the town knows it."""

MOST_BYTES = 32 * 1024 * 1024
_CITIZEN = "urn:unefois:record:citizen:v1"
_NEEDED = ("family_name", "given_names", "birthdate", "system", "id")
_ERROR = re.compile(r"#(REF!|N/A|NOM\?|NAME\?|VALEUR!|VALUE!|DIV/0!|NUL!|NULL!|NOMBRE!|NUM!|#+)", re.IGNORECASE)
_SCIENTIFIC = re.compile(r"[0-9](?:[.,][0-9]+)?E\+?[0-9]{1,3}", re.IGNORECASE)
_DECIMAL = re.compile(r"[0-9]+[.,]0")
_UNREADABLE = {"quote": "a quote is opened and not closed", "cell": "a cell is too long or holds a control character"}


@dataclass(frozen=True, slots=True)
class LinkLine:
    """`line` counts from 1, the header among them. `shared`: the number is one of a household, and names nobody by
    itself. `marked`: it names a person who must be kept confidential."""

    line: int
    system: str
    native_id: str
    person: Person
    same_person: bool = False
    shared: bool = False

    @property
    def marked(self) -> bool:
        return bool(self.person.get("confidential"))

    @property
    def key(self) -> int:
        """The identifier, for comparison within one run."""
        return hash((self.system, self.native_id))


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """A line that no event could say either. `sentence` holds nothing of it; `native_id` is empty where it may be what
    the hub must not keep."""

    line: int
    system: str
    native_id: str
    code: str
    column: str
    sentence: str
    marked: bool = False


class LinkFile:
    """The whole file, to be gone through as often as need be. Raises InvalidMessage `not_a_link_file` where nothing of
    it can be used. `declared`: what the town said of systems whose numbers read as social security numbers. `system`:
    whose people all of them are; the file then has no such column."""

    def __init__(
        self, content: bytes | str, schemas: SchemaSet, declared: Mapping[str, Numbers], *, system: str = ""
    ) -> None:
        if len(content) > MOST_BYTES:
            raise InvalidMessage(f"the file has more than {MOST_BYTES >> 20} MiB: cut it", code="not_a_link_file")
        self._content, self._judge = content, LineJudge(schemas, declared, system)
        self._usual = OF_ONE_SYSTEM if system else COLUMNS
        self._columns: tuple[str, ...] = self._usual
        self._open()

    def lines(self) -> Iterator[LinkLine | RefusedLine]:
        """In the order of the file, but for lines that are no line of a table: they come at the end."""
        stream = self._open()
        yield from map(self._judge.line, stream.rows)
        for fault in stream.faults.told:
            yield RefusedLine(fault.line, "", "", "unreadable_line", "", _told(fault))
        for _ in range(stream.faults.more):
            yield RefusedLine(0, "", "", "unreadable_line", "", "more lines that cannot be read")

    def _open(self) -> Stream:
        try:
            return stream_rows(self._content, self._columns, exact=True)
        except InvalidMessage as error:
            if error.code == "encoding":
                message = "the file is not in UTF-8: save it as CSV UTF-8"
                raise InvalidMessage(message, code="not_a_link_file") from None
            if self._columns == self._usual:
                self._columns = (*self._usual, SAME_PERSON)
                return self._open()
            message = f"the first line must be {';'.join(self._usual)}, and {SAME_PERSON} may follow"
            raise InvalidMessage(message, code="not_a_link_file") from None


class LineJudge:
    """Whether a line, or somebody whom a package lists, says who a person is as an event may say it."""

    def __init__(self, schemas: SchemaSet, declared: Mapping[str, Numbers], system: str = "") -> None:
        self._schemas, self._declared, self._system = schemas, declared, system

    def line(self, row: Row) -> LinkLine | RefusedLine:
        mark = yes_or_no(row["confidential"])
        system = intern(self._system or row["system"])
        try:
            same = _yes_or_no(row, SAME_PERSON) if SAME_PERSON in row.cells else False
            return LinkLine(row.line, system, row["id"], self._person(row, system), same, self._is_shared(system))
        except _Refusal as refusal:
            native_id = "" if refusal.code == "nir_not_allowed" else row["id"]
            return _refused(row.line, system, native_id, refusal, marked=mark is not False)

    def listed(self, number: int, person: Person) -> LinkLine | RefusedLine:
        """The same of a `citizen` record that a package gave, with one identifier of its own. `number` stands for the
        line."""
        native_id = next((str(one.get("id", "")) for one in person.get("references", ())), "")
        record = {name: person[name] for name in ("references", "confidential") if name in person}
        identity = person.get("identity") or {}
        told = {**identity, "id": native_id}
        try:
            for name in _NEEDED:
                if name != "system" and not told.get(name):
                    raise _Refusal("missing_value", name, "this is missing")
            record["identity"] = read_identity(identity)
            self._check(record)
            return LinkLine(number, self._system, native_id, record, shared=self._is_shared(self._system))
        except _Refusal as refusal:
            hidden = refusal.code == "nir_not_allowed"
            marked = bool(person.get("confidential"))
            return _refused(number, self._system, "" if hidden else native_id, refusal, marked=marked)

    def _is_shared(self, system: str) -> bool:
        return self._declared.get(system) == "household"

    def _person(self, row: Row, system: str) -> Person:
        for name in _NEEDED:
            if name in row.cells and not row[name]:
                raise _Refusal("missing_value", name, "this is missing")
        for name, cell in row.cells.items():
            if _ERROR.match(cell):
                raise _Refusal("spreadsheet_error", name, "a spreadsheet wrote an error in place of the value")
        if _SCIENTIFIC.fullmatch(row["id"]):
            raise _Refusal("scientific_number", "id", "a spreadsheet has cut this number: make the column a text")
        if _DECIMAL.fullmatch(row["id"]):
            raise _Refusal("decimal_number", "id", "what made the file wrote a decimal: make the column a text")
        person = _record(row, system)
        self._check(person)
        return person | ({"confidential": True} if _yes_or_no(row, "confidential") else {})

    def _check(self, person: Person) -> None:
        """Held to the shared record, as every event is: `0020` is no year, `1004` no commune; and it brings no social
        security number."""
        try:
            check_document(self._schemas, _CITIZEN, person, "")
            refuse_nir(person, "", self._declared)
            without_doubtful({"references": person["references"]}, self._declared, "")
        except InvalidMessage as error:
            column = next((name for name in COLUMNS if f"/{name}" in error.pointer), "")
            raise _Refusal(error.code, column, error.reason) from None


class _Refusal(Exception):
    def __init__(self, code: str, column: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.column, self.sentence = code, column, sentence


def _refused(line: int, system: str, native_id: str, refusal: _Refusal, *, marked: bool) -> RefusedLine:
    return RefusedLine(line, system, native_id, refusal.code, refusal.column, refusal.sentence, marked)


def _record(row: Row, system: str) -> dict[str, Any]:
    told = {name: row[name] for name in ("family_name", "gender", "birthdate", "birthplace") if row[name]}
    names = given_names([row["given_names"]]) or [row["given_names"]]
    identity = read_identity(told | {"given_names": names})
    return {"identity": identity, "references": [{"system": system, "id": row["id"]}]}


def _yes_or_no(row: Row, column: str) -> bool:
    said = yes_or_no(row[column])
    if said is None:
        raise _Refusal("unknown_word", column, "neither yes nor no: write oui or non, or leave it empty")
    return said


def _told(fault: LineFault) -> str:
    return _UNREADABLE.get(fault.code, "too many columns")
