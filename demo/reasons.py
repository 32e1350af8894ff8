"""Why something was refused, in one sentence for whoever watches the demonstration."""

from __future__ import annotations

import json
import traceback
from pathlib import Path
from typing import Any

import httpx

from schemas.errors import HubError


class AnsweredNo(Exception):
    """Somebody answered no where a scene needs a yes. Its text says why."""


def reason_of(error: Exception) -> str:
    """The reason of the refusal; of a mistake of ours its kind, its words and its place."""
    if isinstance(error, AnsweredNo):
        return str(error)
    if isinstance(error, HubError):
        return f"{error.reason} ({error.code})"
    if isinstance(error, httpx.HTTPStatusError):
        return reason_of_answer(error.response.status_code, error.response.content)
    if isinstance(error, httpx.RequestError):
        return f"pas de réponse à {error.request.method} {error.request.url.path} ({type(error).__name__})"
    last = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" ({Path(frame.filename).name}:{frame.lineno})" for frame in last)
    return one_line(f"{type(error).__name__}: {error}{place}")


def reason_of_answer(status: int, body: bytes) -> str:
    """What an HTTP answer that says no gives as its reason: an RFC 9457 problem, a portal's own words, or nothing."""
    try:
        said: Any = json.loads(body)
    except ValueError:
        said = None
    return f"réponse {status}" + (f", {reason_of_problem(said)}" if isinstance(said, dict) and said else "")


def reason_of_problem(problem: dict[str, Any]) -> str:
    """Its title, its detail and its code, as far as it has them."""
    words = [str(problem[name]) for name in ("title", "err_desc", "detail") if problem.get(name)]
    code = problem.get("code") or problem.get("err_class") or problem.get("error")
    return one_line(" : ".join(words) + (f" ({code})" if code else ""))


def one_line(text: str) -> str:
    return " ".join(text.split())[:500]
