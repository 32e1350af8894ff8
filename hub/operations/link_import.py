"""The small link table: which identifier, in which system, is which citizen. Read from a file of the town."""

from __future__ import annotations

import csv
import io
from typing import Any

from bus.ledger import Ledger
from hub.acceptance.accept import Acceptance
from hub.acceptance.rules import withhold
from hub.requests.repository import Requests
from schemas.errors import InvalidMessage

COLUMNS = ("family_name", "given_names", "gender", "birthdate", "birthplace", "system", "id", "confidential")


def import_links(ledger: Ledger, acceptance: Acceptance, tenant: str, text: str) -> int:
    """Keep the links of a CSV (separator `;`, header as in COLUMNS); how many lines were kept. All or none:
    InvalidMessage names the line that is wrong and says nothing of what it holds."""
    reader = csv.DictReader(io.StringIO(text), delimiter=";")
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InvalidMessage(f"the first line must be {';'.join(COLUMNS)}", code="not_a_link_file")
    people = [_person(row, number) for number, row in enumerate(reader, start=2)]
    with ledger.transaction() as tx:
        tx.hold_door()
        book = acceptance.citizens(tx)
        book.prefetch(tenant, people)
        for number, person in enumerate(people, start=2):
            try:
                book.resolve(tenant, person)
            except InvalidMessage as error:
                raise InvalidMessage(f"line {number}: {error.reason}", code=error.code) from None
        book.save()
        marked, cases = book.take_fresh_marks(), Requests(tx)
        cases.conceal(marked)
        cases.save()
        withhold(tx, acceptance.directory, tenant, marked, cases.concealed)
    return len(people)


def _person(row: dict[str, Any], number: int) -> dict[str, Any]:
    missing = [name for name in ("family_name", "given_names", "birthdate", "system", "id") if not row.get(name)]
    if missing or None in row:
        raise InvalidMessage(f"line {number}: {', '.join(missing) or 'too many columns'}", code="not_a_link_file")
    identity = {k: row[k] for k in ("family_name", "gender", "birthdate", "birthplace") if row.get(k)}
    person: dict[str, Any] = {
        "identity": identity | {"given_names": row["given_names"].split()},
        "references": [{"system": row["system"], "id": row["id"]}],
    }
    return person | ({"confidential": True} if (row.get("confidential") or "").lower() in ("oui", "1", "true") else {})
