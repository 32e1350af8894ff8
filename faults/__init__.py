"""`unefois faults`: breaks a whole hub of real processes for a while, then balances its books."""
