"""Pending pairs whose person became known: linked by themselves where the identity is the very same and certain, asked
about where it is alike. Run by the process whose relay is active.

Nothing of it is on the busy road: the pairs look for their person, not the events for pairs. A look reads some pairs at
a time by their keys, takes a twentieth of the time at most, and opens those alone that may be somebody whom they were
not compared with before.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from bus.ledger import Ledger, Transaction
from hub.acceptance.accept import Acceptance
from hub.acceptance.looking import keep_looking
from hub.citizens.pending import PendingPair, PendingPairs
from hub.journal.entries import Entry, Journal
from hub.operations.first_load import pairing_of_load, verdict_of
from hub.operations.link_file import LinkLine

EVERY = 60.0  # seconds between two looks, where a look takes less than a twentieth of that
_LOOKED_AT = 500  # pairs at once
_COMPARED = 50  # pairs in one transaction: others have their turn at the door in between
_log = structlog.get_logger()


class PairingLater:
    """Looks through all pending pairs of all connections, again and again."""

    def __init__(self, ledger: Ledger, acceptance: Acceptance, pending: PendingPairs, journal: Journal) -> None:
        self._ledger, self._acceptance, self._pending, self._journal = ledger, acceptance, pending, journal

    def run(self, stop: threading.Event, active: Callable[[], bool]) -> None:
        """Until `stop` is set, and only while `active`. An outage puts it off; it does not end it."""

        def look() -> None:
            found = self.look(stop)
            if any(found.values()):
                _log.info("pending pairs", **found)

        keep_looking(stop, active, look, every=EVERY, late="look for pending pairs put off", rest=20)

    def look(self, stop: threading.Event | None = None) -> Counter[str]:
        """Once through all pairs: how many were `matched`, `doubtful`, `linked` or `contradictory`, and how many were
        `removed` with their connection."""
        done, after = Counter[str](), ""
        done["removed"] = sum(self._forget_removed())
        while not (stop is not None and stop.is_set()):
            with self._ledger.reading() as tx:
                looked = self._pending.look(tx, after, _LOOKED_AT)
            if looked.old:
                with self._ledger.transaction() as tx:
                    self._pending.make_anew(tx, looked.old)
                continue  # the same pairs, by what they are found by now
            ids = sorted(looked.met)
            for start in range(0, len(ids), _COMPARED):
                some = {one: looked.met[one] for one in ids[start : start + _COMPARED]}
                with self._ledger.transaction() as tx:
                    done.update(self._compare(tx, some))
            after = looked.last
            if not after:
                break
        return done

    def _compare(self, tx: Transaction, met: Mapping[str, str]) -> Counter[str]:
        tx.hold_door()
        by_load: dict[tuple[str, str, str], list[PendingPair]] = {}
        for pair in self._pending.read(tx, met):
            by_load.setdefault((pair.tenant, pair.connection, pair.load_id), []).append(pair)
        done = Counter[str]()
        for (tenant, connection, load_id), pairs in by_load.items():
            found = self._pair(tx, tenant, connection, load_id, pairs)
            done.update(found.values())
            settled = [pair_id for pair_id, verdict in found.items() if verdict in ("matched", "linked", "doubtful")]
            self._pending.drop(tx, settled)
            self._pending.note_tried(tx, {one: met[one] for one in found if one not in settled})
        return done

    def _pair(
        self, tx: Transaction, tenant: str, connection: str, load_id: str, pairs: Sequence[PendingPair]
    ) -> dict[str, str]:  # fmt: skip
        """The verdict of each pair, with what follows from it."""
        pairing = pairing_of_load(tx, self._acceptance, connection, load_id)
        lines = {pair.id: _line(number, pair) for number, pair in enumerate(pairs, 1)}
        pairing.read([*lines.values()])
        found = {pair_id: str(verdict_of(pairing.place(line))) for pair_id, line in lines.items()}
        pairing.save()
        if any(verdict in ("matched", "doubtful") for verdict in found.values()):
            numbers = Counter(found.values())
            facts = {"load": load_id, "connection": connection, **numbers}
            self._journal.write(tx, Entry(tenant, "operator", "load.paired-later", "hub", "done", facts=facts))
        return found

    def _forget_removed(self) -> Iterator[int]:
        """The pairs of connections that are no more."""
        with self._ledger.reading() as tx:
            waiting = self._pending.counts(tx)
        for connection in sorted(waiting.keys() - self._acceptance.directory.connections.keys()):
            while True:
                with self._ledger.transaction() as tx:
                    gone = self._pending.drop(tx, self._pending.ids_of(tx, connection))
                if not gone:
                    break
                yield gone


def _line(number: int, pair: PendingPair) -> LinkLine:
    (reference,) = pair.person["references"]
    return LinkLine(number, reference["system"], reference["id"], pair.person, shared=pair.shared)
