"""A package that cannot tell twice apart, but can be searched."""

from hub.faults.package import Recorded


class BySearch(Recorded):
    """See `hub.faults.package`; the manifest says the rest."""
