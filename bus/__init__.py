"""How a message arrives: the bus in its two modes, the ledger, the relay and the worker."""
