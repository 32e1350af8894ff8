"""The team: the workers of one process share their commits.

Each worker has its lease, its lanes and its receiver; what they write goes to the ledger in one transaction, for a
transaction costs more than what is in it. A turn that fails is tried again by its worker alone.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import structlog

from bus.ledger import Claimed, LeaseLost, Ledger, Started, Transaction
from bus.worker import Identifiers, Turn, Worker
from schemas.delivery import Delivery
from schemas.errors import BusUnavailable

_log = structlog.get_logger()
_BUSY = 32  # events that arrived for one commit: from there on, more of them share one
_LINGER = 0.0015  # seconds from what arrives, while others to whom it was sent as well may be about to have it
_LINGER_BUSY, _LINGER_ENDED = 0.025, 0.03  # seconds from one commit to the next
_GLANCE = 0.25  # seconds without a worker that wants a turn
_AWAY = 0.2  # seconds until a database that was away is asked again

Shown = tuple[Sequence[Claimed], Mapping[int, Delivery]]


class Team:
    """Runs from the first worker that joins until the last one leaves."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._members: list[Worker] = []
        self._gate = threading.Condition()
        self._asleep = False  # anything wakes it
        self._dozing = False  # only what arrives does
        self._woken = False
        self._turning = threading.Lock()
        self._thread: threading.Thread | None = None
        self._turned = float("-inf")
        self._linger = 0.0
        self._began = 0.0

    def join(self, worker: Worker) -> None:
        with self._gate:
            self._members.append(worker)
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="team", daemon=True)
                thread.start()
                self._thread = thread
        self.wake()

    def leave(self, worker: Worker) -> None:
        with self._gate:
            self._members.remove(worker)
        if self._turning.acquire(timeout=30):  # a round that never ends must not keep the others from theirs
            self._turning.release()

    def wake(self, *, soon: bool = False) -> None:
        """A worker wants a turn; `soon`: not only when others do."""
        self._woken = True
        if self._asleep or (soon and self._dozing):
            with self._gate:
                self._gate.notify_all()

    def stuck(self, seconds: float) -> bool:
        """Whether a round has been under way for that long, or nobody is there to take the next one."""
        thread = self._thread
        gone = thread is not None and not thread.is_alive()
        return gone or (self._turning.locked() and time.monotonic() - self._began > seconds)

    def _run(self) -> None:
        while True:
            self._wait()
            with self._turning:
                with self._gate:
                    members = list(self._members)
                    if not members:
                        self._thread = None
                        return
                self._began = time.monotonic()
                turns = [turn for worker in members if (turn := _begun(worker)) is not None]
                if turns:
                    self._linger = _LINGER_BUSY if _arrived(turns) >= _BUSY else 0.0
                    self._take(turns)
            self._turned = time.monotonic()

    def _wait(self) -> None:
        """Until a worker wants a turn; and a moment longer, so that what comes at nearly the same time shares a commit,
        when nothing that could be started waits for it."""
        with self._gate:
            self._asleep = True
            if not self._woken:
                self._gate.wait(min((worker.waits() for worker in self._members), default=_GLANCE))
            self._asleep, self._woken, self._dozing = False, False, True
            while (left := self._left()) > 0:
                self._gate.wait(left)
            self._dozing = False

    def _left(self) -> float:
        """How long to wait still for more to come."""
        wanting = [worker for worker in self._members if worker.waits() == 0.0]
        if not wanting or any(worker.urgent for worker in wanting):
            return 0.0
        came = {worker: at for worker in wanting if (at := worker.arrived_at) is not None}
        if not came:
            return self._turned + _LINGER_ENDED - time.monotonic()
        complete = 0 < max(worker.company for worker in came) <= len(came)
        until = self._turned + self._linger
        return (until if complete else max(until, min(came.values()) + _LINGER)) - time.monotonic()

    def _take(self, turns: Sequence[Turn]) -> None:
        try:
            with self._ledger.transaction() as tx:
                shown, started = self._commit(tx, turns)
                for turn in turns:
                    turn.worker.hasten(*shown.get(turn.worker.connection, ((), {})))
        except BusUnavailable:
            for turn in turns:
                turn.worker.failed(turn)
            time.sleep(_AWAY)
        except Exception as error:
            if len(turns) == 1:
                _told(turns[0], turns[0].worker.stumbled, turns[0], error)
            else:
                for turn in turns:
                    turn.worker.undone()
                    self._take([turn])
        else:
            really = started()
            for turn in turns:
                connection = turn.worker.connection
                claimed, deliveries = shown.get(connection, ((), {}))
                claimed = [one for one in claimed if (connection, one.seq) in really]
                _told(turn, turn.worker.went, turn, claimed, deliveries)

    def _commit(self, tx: Transaction, turns: Sequence[Turn]) -> tuple[dict[str, Shown], Callable[[], Started]]:
        """Two round trips where all goes as usual: nothing is asked in between but what the answers to the first bring
        about, and the commit goes with the second."""
        seconds = turns[0].worker.lease if any(turn.prolongs for turn in turns) else None
        asked = tx.ask_turn({turn.worker.connection: (turn.token, turn.reached) for turn in turns}, seconds)
        tx.start_again([pair for turn in turns for pair in turn.worker.loose])
        tx.end({turn.worker.connection: turn.finished for turn in turns})
        begun, foreseen, known = _looked_ahead(tx, turns)
        place = tx.place
        held = asked()
        for turn in turns:
            if turn.worker.connection not in held:
                raise LeaseLost(turn.worker.connection)
        started = begun()
        asks = [turn.worker.settle(tx, turn, paused=held[turn.worker.connection], begun=started) for turn in turns]
        if not tx.unchanged(place):
            foreseen = set()
        identifiers = known() if foreseen else {}
        taken, really = tx.try_to_take([ask for ask in asks if ask is not None])
        workers = {turn.worker.connection: turn.worker for turn in turns}
        claimed = [one for found in taken.values() for one in found.claimed]
        if any(one.order_key not in foreseen for one in claimed):
            identifiers = turns[0].worker.ask_identifiers(tx, {one.order_key for one in claimed})()
        return {name: workers[name].show(tx, found, identifiers) for name, found in taken.items()}, really


def _looked_ahead(
    tx: Transaction, turns: Sequence[Turn]
) -> tuple[Callable[[], Started], set[str], Callable[[], Identifiers]]:
    """Start already what of the arrived stands alone. Ask what will be asked about the rest, and the identifiers of
    these keys; of a few only, for much is better counted once."""
    alone = {turn.worker.connection: turn.worker.alone(turn) for turn in turns}
    begun = tx.ask_first([(connection, seq) for connection, seqs in alone.items() for seq in seqs])
    if not 0 < sum(len(turn.keys) for turn in turns) < _BUSY:
        return begun, set(), dict
    keys = {key for turn in turns for key in turn.keys}
    known = turns[0].worker.ask_identifiers(tx, keys)
    others = [turn for turn in turns if len(alone[turn.worker.connection]) < len(turn.keys)]
    tx.look_ahead(Counter((turn.worker.connection, key) for turn in others for key in turn.worker.at_hand(turn)))
    return begun, keys, known


def _begun(worker: Worker) -> Turn | None:
    try:
        return worker.begin() if worker.waits() == 0.0 else None
    except Exception as error:  # of this worker alone: the others go on
        worker.broke(error)
        return None


def _told(turn: Turn, tell: Callable[..., None], *about: object) -> None:
    """Tell a worker how its turn went; what that brings is its own trouble."""
    try:
        tell(*about)
    except Exception as error:
        turn.worker.broke(error, turn)


def _arrived(turns: Sequence[Turn]) -> int:
    return max((len(one.keys) for turn in turns for one in turn.arrived), default=0)
