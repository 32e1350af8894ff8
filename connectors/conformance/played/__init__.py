"""The cases of a declared connector that has no `case.py`: made of what it declares, its contract and its samples.

One module for each kind, of the kind's name, with `cases(manifest, samples) -> Sequence[Stand]`. `samples` reads the
folder that `[contract] samples` names; without one a kind makes do with what the contract says.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from connectors.conformance.case import Stand
from connectors.conformance.played.samples import Samples
from schemas.errors import ConfigError
from schemas.manifest import Manifest

PLAYED = ("rest", "soap", "dump", "drop", "sql")
"""The kinds whose cases can be made."""


def played_cases(manifest: Manifest) -> Sequence[Stand]:
    """Raises ConfigError, naming the file, for samples that cannot be read, and for what they must say and do not."""
    if manifest.kind not in PLAYED or not manifest.declared.get("contract"):
        said = "there is no case.py in its folder, and no [contract] with samples: nothing shows how its twin is played"
        raise ConfigError(said, key=manifest.id)
    found: Sequence[Stand] = importlib.import_module(f"{__name__}.{manifest.kind}").cases(
        manifest, Samples.of(manifest)
    )
    return found
