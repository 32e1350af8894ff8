"""The small link table: which identifier, in which system, is which citizen. Read from a file of the town."""

from __future__ import annotations

from typing import Any

from bus.ledger import Ledger
from hub.acceptance.accept import Acceptance
from hub.acceptance.rules import withhold
from hub.citizens.nir import refuse_nir, without_doubtful
from hub.requests.repository import Requests
from schemas.errors import InvalidMessage
from schemas.identities import given_names, read_identity
from schemas.registry import check_document
from schemas.tables import LineFault, Row, read_rows

COLUMNS = ("family_name", "given_names", "gender", "birthdate", "birthplace", "system", "id", "confidential")
_CITIZEN = "urn:unefois:record:citizen:v1"
_IN_ENGLISH = {"quote": "a quote is opened and not closed", "cell": "a cell is too long or holds a control character"}


def import_links(ledger: Ledger, acceptance: Acceptance, tenant: str, content: bytes | str) -> int:
    """Keep the links of a CSV (separator `;`, UTF-8, header as in COLUMNS); how many lines were kept. All or none:
    InvalidMessage names the line that is wrong and says nothing of what it holds."""
    rows = _rows(content)
    people = [_person(row) for row in rows]
    for row, person in zip(rows, people, strict=True):
        _check(acceptance, tenant, row, person)
    with ledger.transaction() as tx:
        tx.hold_door()
        book = acceptance.citizens(tx)
        book.how = "import"
        book.prefetch(tenant, people)
        for row, person in zip(rows, people, strict=True):
            try:
                book.resolve(tenant, person)
            except InvalidMessage as error:
                raise InvalidMessage(f"line {row.line}: {error.reason}", code=error.code) from None
        book.save()
        marked, cases = book.take_fresh_marks(), Requests(tx)
        cases.conceal(marked)
        cases.save()
        withhold(tx, acceptance.directory, tenant, marked, cases.concealed)
    return len(people)


def _rows(content: bytes | str) -> list[Row]:
    try:
        table = read_rows(content, COLUMNS, exact=True)
    except InvalidMessage as error:
        message = (
            "the file is not in UTF-8" if error.code == "encoding" else f"the first line must be {';'.join(COLUMNS)}"
        )
        raise InvalidMessage(message, code="not_a_link_file") from None
    for fault in table.faults.told:
        raise InvalidMessage(f"line {fault.line}: {_told(fault)}", code="not_a_link_file")
    return table.rows


def _told(fault: LineFault) -> str:
    return _IN_ENGLISH.get(fault.code, "too many columns")


def _person(row: Row) -> dict[str, Any]:
    missing = [name for name in ("family_name", "given_names", "birthdate", "system", "id") if not row[name]]
    if missing:
        raise InvalidMessage(f"line {row.line}: {', '.join(missing)}", code="not_a_link_file")
    identity = {k: row[k] for k in ("family_name", "gender", "birthdate", "birthplace") if row[k]}
    names = given_names([row["given_names"]]) or [row["given_names"]]
    person: dict[str, Any] = {
        "identity": read_identity(identity | {"given_names": names}),
        "references": [{"system": row["system"], "id": row["id"]}],
    }
    return person | ({"confidential": True} if row["confidential"].lower() in ("oui", "1", "true") else {})


def _check(acceptance: Acceptance, tenant: str, row: Row, person: dict[str, Any]) -> None:
    """A file is held to the shared record, as every event is: `0020` is no year, `1004` no commune; and it brings no
    social security number."""
    declared = acceptance.directory.identifiers(tenant)
    try:
        check_document(acceptance.registry.schema_set, _CITIZEN, person, "")
        refuse_nir(person, "", declared)
        without_doubtful({"references": person["references"]}, declared, "")
    except InvalidMessage as error:
        column = _column(error.pointer)
        raise InvalidMessage(f"line {row.line}: {column}: {error.reason}", code="not_a_link_file") from None


def _column(pointer: str) -> str:
    return next((name for name in COLUMNS if f"/{name}" in pointer), "the line")
