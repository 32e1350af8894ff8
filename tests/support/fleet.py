"""A whole town in real processes: relays, workers, three packages that read dropped files, and somebody to break it.

What a package took is read from the files alone, as the package would: in the order of their names, each exchange key
once. What was accepted is counted where it was accepted. Nothing here trusts the ledger to check the ledger.
"""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy import select

from bus.tables import leases
from hub.operations.link_import import import_links
from hub.wiring import Hub, open_hub
from schemas.errors import BusUnavailable
from schemas.event import Event
from tests.support.recording import PORTAL, TENANT, move

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
CITIZENS = 40
PACKAGES = {"famille": "family", "cantine": "family", "facturation": "billing"}
PROGRAM = "from commands.main import main; main()"


@dataclass
class Taken:
    """What a package found in its folder: by citizen, the moves in the order of their first sight."""

    moves: dict[str, list[int]] = field(default_factory=dict)
    repeated: int = 0

    @property
    def effects(self) -> int:
        return sum(len(numbers) for numbers in self.moves.values())


class Town:
    """`database` and `bus` as in hub.toml. `hub` accepts events in this process and runs nothing else."""

    def __init__(self, folder: Path, database: str, bus: str) -> None:
        self.folder = folder
        self.config = folder / "hub.toml"
        self.config.write_text(_settings(folder, database, bus), encoding="utf-8")
        self.hub: Hub = open_hub(self.config, {})
        self.hub.prepare()
        self.processes: list[subprocess.Popen[bytes]] = []
        self.accepted: Counter[int] = Counter()  # by citizen
        import_links(self.hub.ledger, self.hub.acceptance, TENANT, _links())

    # --- processes ----------------------------------------------------------------------------------------------

    def start(self, *roles: str) -> None:
        """One process for each role: `gateway`, `relay`, `worker`, or `serve`, which is all of them in one."""
        for role in roles:
            with (self.folder / "processes.log").open("ab") as log:
                command = [sys.executable, "-c", PROGRAM, role, "--config", str(self.config)]
                self.processes.append(
                    subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                )

    def owner(self, lease: str) -> int:
        """The process that holds a lease now, waiting for one that does."""
        return until(lambda: self._owner(lease))

    def signal(self, pid: int, sign: signal.Signals) -> None:
        assert pid in {process.pid for process in self.processes}
        os.kill(pid, sign)

    def kill(self, pid: int) -> None:
        """No farewell."""
        self.signal(pid, signal.SIGKILL)
        dead = next(process for process in self.processes if process.pid == pid)
        dead.wait(10)
        self.processes.remove(dead)

    def close(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.hub.close()

    # --- what comes in ------------------------------------------------------------------------------------------

    def accept(self, events: Sequence[Event]) -> None:
        """As a patient portal: the same events again until the hub has answered."""

        def answered() -> bool:
            with suppress(BusUnavailable):
                verdicts = self.hub.acceptance.submit(self.hub.ledger, PORTAL, events)
                assert all(verdict.ok for verdict in verdicts), [v.error for v in verdicts if v.error]
                return True
            return False

        until(answered, timeout=60)

    def moves(self, times: int) -> list[list[Event]]:
        """So many more moves of every citizen; one batch for each time."""
        batches = []
        for _ in range(times):
            batch = [move(citizen, self.accepted[citizen]) for citizen in range(CITIZENS)]
            self.accepted.update(range(CITIZENS))
            batches.append(batch)
        return batches

    def stream(self, times: int, pause: float = 0.1) -> threading.Thread:
        """Moves come in, a batch every `pause` seconds; the thread ends when all of them are accepted."""
        batches = self.moves(times)

        def run() -> None:
            for batch in batches:
                self.accept(batch)
                time.sleep(pause)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    # --- what goes out ------------------------------------------------------------------------------------------

    def states(self) -> dict[str, dict[str, int]]:
        """Deliveries by package and state; empty while the database is away."""
        with suppress(BusUnavailable), self.hub.ledger.reading() as tx:
            counts = tx.counts()
            return {name: counts.get(f"{TENANT}.{name}", {}) for name in PACKAGES}
        return {}

    def moving(self, beyond: int) -> None:
        """Wait until so many more deliveries than `beyond` have been made: the stream is in its middle."""
        until(lambda: self.delivered() > beyond)

    def delivered(self) -> int:
        return sum(states.get("delivered", 0) for states in self.states().values())

    def all_settled(self, timeout: float = 90) -> None:
        """Wait until each package was delivered all that was accepted, then hold the files against it."""
        wanted = {name: {"delivered": self.accepted.total()} for name in PACKAGES}
        until(lambda: self.states() == wanted, timeout=timeout, say=lambda: f"{self.states()}, wanted {wanted}")
        for name in PACKAGES:
            taken = self.taken(name)
            assert taken.effects == self.accepted.total(), name
            for citizen in range(CITIZENS):
                assert taken.moves[f"{name}-{citizen}"] == list(range(self.accepted[citizen])), (name, citizen)

    def taken(self, name: str) -> Taken:
        billing = PACKAGES.get(name) == "billing"
        key, who, where = ("CLE_ECHANGE", "NUMERO_TIERS", "ADRESSE_1") if billing else (
            "Cle_Echange", "Famille_Identifiant", "Responsable_1_Adresse",
        )  # fmt: skip
        found, known = Taken(), set()
        for path in sorted((self.folder / name).glob("[!.]*.csv")):
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines(), delimiter=";"):
                if row[key] in known:
                    found.repeated += 1
                    continue
                known.add(row[key])
                found.moves.setdefault(row[who], []).append(int(row[where].split()[0]))
        return found

    def _owner(self, lease: str) -> int | None:
        with suppress(BusUnavailable), self.hub.ledger.reading() as tx:
            query = select(leases).where(leases.c.name == lease, leases.c.until > tx.now)
            row = tx.sql.execute(query).first()
            pid = int(row.owner.rsplit("-", 2)[1]) if row else None
            return pid if any(process.pid == pid for process in self.processes) else None
        return None


def until(look: Callable[[], T | None], timeout: float = 30, say: Callable[[], str] = str) -> T:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, say()
        time.sleep(0.05)
    return found


def _settings(folder: Path, database: str, bus: str) -> str:
    lines = [
        'mode = "development"', f'database = "{database}"', f'bus = "{bus}"', 'log_level = "warning"',
        "[listen]", "port = 0",
        f"[tenants.{TENANT}]", 'label = "Ville de Saint-Aubin"', 'siret = "21930001100018"', 'insee = "93001"',
    ]  # fmt: skip
    for name, preset in PACKAGES.items():
        (folder / name).mkdir()
        lines += [
            f"[connections.{name}]", 'connector = "filedrop"', f'tenant = "{TENANT}"', 'mode = "live"',
            f'settings = {{ drop_folder = "{folder / name}", preset = "{preset}" }}',
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _links() -> str:
    """Every citizen has an account at the portal and a number in every package."""
    rows = ["family_name;given_names;gender;birthdate;birthplace;system;id;confidential"]
    for citizen in range(CITIZENS):
        who = f"NOM{_letters(citizen)};Camille;female;1980-04-17;93001"
        rows += [f"{who};{system};{number};" for system, number in _numbers(citizen)]
    return "\n".join(rows) + "\n"


def _numbers(citizen: int) -> Iterable[tuple[str, str]]:
    yield "portail", f"u{citizen}"
    for name in PACKAGES:
        yield name, f"{name}-{citizen}"


def _letters(number: int) -> str:
    return chr(65 + number // 26) + chr(65 + number % 26)
