"""A package that knows a key again: the same delivery twice is one effect."""

from hub.faults.package import Recorded


class ByKey(Recorded):
    """See `hub.faults.package`; the manifest says the rest."""
