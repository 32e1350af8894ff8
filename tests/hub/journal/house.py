"""A journal of its own with its signer, its sealer and a clock that the test moves."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import func, select, text

from bus.ledger import Ledger
from hub.journal.entries import Entry, Journal
from hub.journal.sealing import Scope, Sealer, export_journal
from hub.journal.signing import Signer
from hub.journal.verify import Report, verify_export
from hub.storage.person_keys import PersonKeys
from schemas.secret import Secret

DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.database)]
DAY = 86_400.0
SIGNER = Signer(Secret(base64.b64encode(bytes(range(32))).decode()))
STRANGER = Signer(Secret(base64.b64encode(bytes(range(1, 33))).decode()))


class House:
    """A ledger with its journal and a clock that the test moves."""

    def __init__(self, url: str) -> None:
        self.at = 1_700_000_000.0
        self.ledger = Ledger(url, now=lambda: self.at)
        self.ledger.create()
        self.keys = PersonKeys(bytes(32))
        self.journal = Journal(self.keys)
        self.sealer = self.another("one")

    def another(self, owner: str, **how: Any) -> Sealer:
        return Sealer(self.ledger, self.journal, SIGNER, owner=owner, **how)

    def write(self, *entries: Entry) -> None:
        with self.ledger.transaction() as tx:
            self.journal.write(tx, *entries)

    def fill(self, *segments: int) -> list[Entry]:
        """That many lines, sealed after each number."""
        written_ = []
        for number, size in enumerate(segments):
            some = [entry(number * 1000 + place) for place in range(size)]
            self.at += 1
            self.write(*some)
            self.sealer.seal_pending()
            written_ += some
        return written_

    def exported(self, scope: Scope = Scope()) -> bytes:
        out = io.BytesIO()
        export_journal(self.ledger, SIGNER, out, scope)
        return out.getvalue()

    def tamper(self, *statements: Any) -> None:
        with self.ledger.transaction() as tx:
            for statement in statements:
                tx.sql.execute(statement)

    def expire(self) -> None:
        """The lease of the sealer is over."""
        self.tamper(text("UPDATE leases SET until = 0 WHERE name = 'journal'"))

    def count(self, table: Any) -> int:
        with self.ledger.reading() as tx:
            return int(tx.sql.execute(select(func.count()).select_from(table)).scalar_one())


def entry(number: int = 0, **changed: Any) -> Entry:
    facts = {
        "tenant": "ville" if number % 3 else "ccas", "kind": "exchange", "act": "exchange.answered",
        "actor": "ville.portail", "outcome": "answered", "citizen_id": f"person-{number % 4}",
        "facts": {"evidence": "family-quotient", "fields": ["quotient", "month"], "number": number},
        "personal": {"agent": "é. dupont"},
    }  # fmt: skip
    return Entry(**{**facts, **changed})


def checked(raw: bytes, trusted: Sequence[str] = (SIGNER.kid,)) -> Report:
    return verify_export(io.BytesIO(raw), trusted)
