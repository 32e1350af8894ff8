"""A package that cannot tell twice apart, but can be searched."""

from faults.package import Recorded


class BySearch(Recorded):
    """See `faults.package`; the manifest says the rest."""
