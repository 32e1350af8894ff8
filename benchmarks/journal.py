"""`python -m benchmarks.journal`: what a line of the journal costs, and how long a whole journal takes to verify."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from bus.ledger import Ledger
from hub.journal.entries import Entry, Journal
from hub.journal.sealing import Sealer, export_journal
from hub.journal.signing import Signer
from hub.journal.verify import verify_export
from hub.storage.person_keys import PersonKeys

_TOGETHER = 500  # lines in a transaction
_ROUND = 20_000  # lines between two seals
_PEOPLE = 20_000
_SINGLE = 500


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journal", description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--database", default="", help="postgresql:// address; without it SQLite.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        measured = _measure(options.database or f"sqlite:///{folder}/hub.db", Path(folder), options.lines)
    if options.json:
        sys.stdout.write(json.dumps(measured) + "\n")
    else:
        sys.stdout.writelines(f"{name:32} {value}\n" for name, value in measured.items())
    return 0 if measured["verified"] and measured["tampering_found"] else 1


def _measure(url: str, folder: Path, lines: int) -> dict[str, Any]:
    ledger, signer, took = Ledger(url), Signer(None), _Clock()
    ledger.create()
    journal = Journal(PersonKeys(bytes(32)))
    sealer = Sealer(ledger, journal, signer, owner="benchmark")
    numbers = count()
    for start in range(0, lines, _ROUND):
        size = min(_ROUND, lines - start)
        with took("write"):
            for at in range(0, size, _TOGETHER):
                with ledger.transaction() as tx:
                    journal.write(tx, *(_entry(next(numbers)) for _ in range(min(_TOGETHER, size - at))))
        with took("seal"):
            sealer.seal_pending()
    with ledger.transaction() as tx, took("single"):
        for _ in range(_SINGLE):
            journal.write(tx, _entry(next(numbers)))
    sealer.seal_pending()
    file = folder / "journal.jsonl"
    with file.open("wb") as out, took("export"):
        exported = export_journal(ledger, signer, out)
    with file.open("rb") as opened, took("verify"):
        report = verify_export(opened, [signer.kid])
    size = file.stat().st_size
    with file.open("r+b") as opened:  # one letter, near the end
        opened.seek(size - 3000)
        letter = opened.read(1)
        opened.seek(size - 3000)
        opened.write(b"b" if letter == b"a" else b"a")
    with file.open("rb") as opened:
        changed = verify_export(opened, [signer.kid])
    ledger.close()
    return {
        "lines": exported, "megabytes": round(size / 1e6), "segments": report.segments,
        "verified": report.ok and report.lines == exported, "tampering_found": not changed.ok,
        "verify_seconds": took.wall("verify"), "export_seconds": took.wall("export"),
        "seal_microseconds_a_line": round(took.wall("seal") / lines * 1e6, 1),
        "write_microseconds_a_line": round(took.wall("write") / lines * 1e6, 1),
        "write_alone_processor_microseconds": round(took.processor("single") / _SINGLE * 1e6, 1),
    }  # fmt: skip


def _entry(number: int) -> Entry:
    facts = {
        "evidence": "family-quotient", "version": 1, "fields": ["quotient", "month", "children_count"],
        "procedure": "tarif-cantine", "source": "ville.api-particulier", "stored": False, "role": "agent",
        "assurance": "substantial", "grant": "portail-famille", "ground": "CRPA L114-8 I", "article": "6.1.e",
    }  # fmt: skip
    return Entry(
        "ville" if number % 3 else "ccas", "exchange", "exchange.answered", "ville.portail-famille", "answered",
        citizen_id=f"person-{number % _PEOPLE}", facts=facts, personal={"agent": "agent-17", "fingerprint": "0" * 64},
    )  # fmt: skip


class _Clock:
    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, float]] = {}

    @contextmanager
    def __call__(self, what: str) -> Iterator[None]:
        wall, processor = time.perf_counter(), time.process_time()
        yield
        before = self._spent.get(what, (0.0, 0.0))
        now = time.perf_counter() - wall, time.process_time() - processor
        self._spent[what] = before[0] + now[0], before[1] + now[1]

    def wall(self, what: str) -> float:
        return round(self._spent[what][0], 2)

    def processor(self, what: str) -> float:
        return self._spent[what][1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
