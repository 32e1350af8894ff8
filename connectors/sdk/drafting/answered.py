"""What the answer to a delivery must hold, so that it is taken for a success."""

from __future__ import annotations

import re
from typing import Any

from connectors.sdk.contract.model import Operation
from connectors.sdk.drafting.invented import value
from connectors.sdk.drafting.speech import Speech
from schemas.names import words_of

_NAMES = re.compile(r"(^|_)(id|uuid|numero|number|reference|code)$")


def answered(operation: Operation, speech: Speech) -> dict[str, Any]:
    """The `reference` of something new, where the answer names it; else a `success`, so that an error inside of one is
    none; nothing where the answer holds nothing."""
    _, answer = speech.answer(operation.name)
    if answer is None:
        return {}
    answer.forget("writeOnly")
    leaves = [leaf for leaf in answer.leaves() if leaf.place]
    told = [leaf for leaf in leaves if leaf.whole.type in ("string", "integer")]
    told = [leaf for leaf in told if not leaf.whole.nullable] or told
    names = [leaf for leaf in told if _NAMES.search("_".join(words_of(leaf.place.rpartition("/")[2])))]
    if names and operation.name.startswith("POST "):
        return {"reference": min(names, key=lambda one: one.place.count("/")).place}
    sure = names or told or leaves
    return {"success": {min(sure, key=lambda one: one.place.count("/")).place: "*"}} if sure else {}


def told_back(operation: Operation, speech: Speech) -> dict[str, Any]:
    """A value for each place that `answered` names, for the sample; none where it names none."""
    said = answered(operation, speech)
    places = [said["reference"]] if "reference" in said else [*said.get("success", ())]
    _, answer = speech.answer(operation.name)
    leaves = answer.leaves() if answer is not None else ()
    return {leaf.place: value(leaf.whole.schema) for leaf in leaves if leaf.place in places}
