"""What may stand after the `?` of a guarded call: what its route declares, and nothing else. A filter that the hub does
not know would otherwise be a list that looks filtered and is not."""

from __future__ import annotations

from collections import Counter
from typing import Any, get_args, get_origin

from fastapi.routing import APIRoute
from starlette.requests import Request

from gateway.problems import Problem

_SHOWN = 64  # characters of a name that is not ours


def check_parameters(request: Request, route: APIRoute) -> None:
    """Raises Problem bad_parameter for a name that the route does not declare, and for one given twice that takes one
    value. The values are the route's to check."""
    if not request.scope["query_string"]:
        return
    given = Counter(name for name, _ in request.query_params.multi_items())
    known = {field.alias: _takes_several(field.field_info.annotation) for field in route.dependant.query_params}
    for name, times in given.items():
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise _wrong(name, f"there is no such parameter here; there are: {allowed}")
        if times > 1 and not known[name]:
            raise _wrong(name, "given more than once")


def _takes_several(annotation: Any) -> bool:
    return any(get_origin(one) is list for one in (annotation, *get_args(annotation)))


def _wrong(name: str, why: str) -> Problem:
    return Problem("bad_parameter", f"{name[:_SHOWN]}: {why}", more={"in": "query"})
