"""A package that takes everything and does nothing: what is measured is the hub."""

from __future__ import annotations

import os
import time

from connectors.sdk import Connector, Context, Probe
from schemas.delivery import Delivery, Done

_DONE = Done()


class Noop(Connector):
    def __init__(self, context: Context) -> None:
        super().__init__(context)
        record = context.settings.get("record")
        self._record = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND) if record else None

    def probe(self) -> Probe:
        return Probe(True, "rien à joindre")

    def handle(self, delivery: Delivery) -> Done:
        if self._record is not None:
            os.write(self._record, f"{delivery.event.id} {time.time()}\n".encode())
        return _DONE
