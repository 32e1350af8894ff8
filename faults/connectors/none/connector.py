"""A package that can neither tell twice apart nor be searched."""

from faults.package import Recorded


class Once(Recorded):
    """See `faults.package`; the manifest says the rest."""
