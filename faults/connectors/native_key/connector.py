"""A package that knows a key again: the same delivery twice is one effect."""

from faults.package import Recorded


class ByKey(Recorded):
    """See `faults.package`; the manifest says the rest."""
