"""The rights of the person: who read what, export and erasure, the registers."""
