"""A package that can neither tell twice apart nor be searched."""

from hub.faults.package import Recorded


class Once(Recorded):
    """See `hub.faults.package`; the manifest says the rest."""
