"""Whoever looks after the hub: sees what stopped, by the API and the command line, and mends it as the page says."""

from __future__ import annotations

import re
from typing import Any

from bus.tables import PARKED
from connectors.sdk.http import HttpClient
from faults.books import Balance
from faults.driver import Told, move_of
from faults.package import POISON
from faults.town import CLIENT, TENANT, Town
from schemas.secret import Secret

_METRIC = re.compile(r'^unefois_deliveries\{connection="([^"]+)",state="([^"]+)"\} ([0-9.e+]+)$', re.MULTILINE)


class Operator:
    def __init__(self, town: Town) -> None:
        self._town = town

    def silence(self, balance: Balance) -> list[str]:
        """What stopped and is not to be seen: in the metrics for each target and state, in the list of the parked."""
        metrics = self._metrics()
        silent = []
        for account in balance.accounts:
            for state in ("parked", "refused", "held"):
                told, shown = getattr(account, state), metrics.get((account.target, state), 0)
                if shown < told:
                    silent.append(f"{account.target}: {told} {state}, {shown} in the metrics")
        parked = balance.total("parked")
        listed = len(self._parked())
        if listed < min(parked, 100):
            silent.append(f"{parked} parked, {listed} listed")
        return silent

    def repair(self, told: Told) -> None:
        """Give up what a look at the target shows as done, and poison; try the rest again. Until nothing is parked."""
        for _ in range(100):
            rows = self._parked()
            if not rows:
                return
            for row in rows:
                self._mend(row, told)

    def _mend(self, row: dict[str, Any], told: Told) -> None:
        target = str(row["connection"]).partition(".")[2]
        with self._town.hub.ledger.reading() as tx:
            event = tx.load([row["seq"]])[row["seq"]].event
        move = move_of({"id": event.id})
        accepted = told.accepted.get(move)
        known = any((line.subject, line.number) == move for line in self._town.recorder.books[target].lines)
        poison = accepted is not None and (accepted.street, accepted.only) == (POISON, target)
        with self._town.hub.ledger.transaction() as tx:
            if known or poison:
                why = "vu chez le destinataire" if known else "poison"
                self._town.hub.deliveries.skip(tx, row["connection"], row["seq"], why)
            else:
                self._town.hub.deliveries.replay(tx, row["connection"], row["seq"])

    def _parked(self) -> list[dict[str, Any]]:
        with self._town.hub.ledger.reading() as tx:
            return [dict(row) for row in tx.troubles(tenant=TENANT) if row["state"] == PARKED]

    def _metrics(self) -> dict[tuple[str, str], int]:
        plain = HttpClient(self._town.url)
        http = plain.with_client_credentials(f"{self._town.url}/oauth/token", CLIENT, Secret(self._town.secret))
        try:
            text = http.request("GET", "/metrics").body.decode()
        finally:
            http.close()
        return {(name.partition(".")[2], state): int(float(n)) for name, state, n in _METRIC.findall(text)}
