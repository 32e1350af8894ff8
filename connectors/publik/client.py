"""Publik's HTTP API. The only file that knows its addresses and its envelope."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from connectors.publik.canteen import json_object
from connectors.sdk.http import HttpAnswer, segment
from schemas.errors import AccessDenied, HubError, Refused, TryLater, Unknown
from schemas.exchange import NotMatched

_CLASS = re.compile(r"[\w .:-]{1,80}")


class PublikClient:
    """Calls one portal. `request`: makes a call, as `HttpClient.request`."""

    def __init__(self, request: Callable[..., HttpAnswer]) -> None:
        self._request = request

    def formdata(self, slug: str, number: str, seconds: float | None = None) -> dict[str, Any]:
        """One form with its files and its workflow. Raises Refused (404) when the portal does not know it. `seconds`:
        what is left for the call."""
        value = _content_of(self._request("GET", f"/api/forms/{segment(slug)}/{segment(number)}/", seconds=seconds))
        if not isinstance(value, dict):
            raise TryLater("Publik : une demande était attendue", fault="away.not-json")
        return value

    def workflow_data(self, slug: str, number: str) -> Mapping[str, Any]:
        """What the workflow keeps of a form, the bodies of triggers among it. Raises TryLater when it is not told:
        that nothing is shown does not say that nothing is there."""
        workflow = self.formdata(slug, number).get("workflow")
        data = workflow.get("data") or {} if isinstance(workflow, Mapping) else None
        if not isinstance(data, Mapping):
            raise TryLater("Publik : une demande sans les données de son workflow", fault="away.not-json")
        return data

    def listing(self, slug: str, *, since: datetime, offset: int, limit: int) -> list[Any]:
        """Forms received since the day of `since`, as they came, oldest first, without the content of their files."""
        params = {
            "full": "on", "include-files-content": "off", "filter-start": since.strftime("%Y-%m-%d"),
            "order_by": "receipt_time", "limit": str(limit), "offset": str(offset),
        }  # fmt: skip
        return _forms_in(self._request("GET", f"/api/forms/{segment(slug)}/list", params=params))

    def forms_of(self, user: str, seconds: float) -> list[dict[str, Any]]:
        """The forms that an account filed, without their content. Raises NotMatched for an account unknown to the
        portal. `seconds`: what is left for the call."""
        answer = self._request("GET", f"/api/users/{segment(user)}/forms", expect=(200, 404), seconds=seconds)
        if answer.status == 404:
            raise NotMatched("compte d'usager inconnu du portail", native="404")
        found = _forms_in(answer)
        if not all(isinstance(item, dict) for item in found):
            raise TryLater("Publik : une liste de demandes était attendue", fault="away.not-json")
        return found

    def ping(self, slug: str) -> None:
        self._request("GET", f"/api/forms/{segment(slug)}/list", params={"limit": "1"})

    def trigger(self, slug: str, number: str, trigger: str, body: Mapping[str, Any]) -> None:
        """Jump. Raises Refused when the current status of the workflow has no such trigger. Never to be repeated
        blindly: a second jump is a second effect."""
        path = f"/{segment(slug)}/{segment(number)}/jump/trigger/{segment(trigger)}/"
        answer = self._request("POST", path, json=body, expect=(200, 403, 404))
        if answer.status != 200:
            raise self._why_not(slug, number, trigger, answer.status)
        envelope = answer.json_object()
        if "err" not in envelope:
            raise Unknown("Publik : réponse sans « err » au déclencheur")
        if _failed(envelope):
            raise Refused(f"Publik a refusé le déclencheur « {trigger} »", native=_class_of(envelope))

    def _why_not(self, slug: str, number: str, trigger: str, status: int) -> HubError:
        """403 and 404 are said for three things: no such form, no right to it, no such trigger here and now."""
        try:
            formdata = self.formdata(slug, number)
        except Refused:
            return Refused("Publik ne connaît pas (ou plus) cette demande", native=str(status))
        except AccessDenied as error:
            return error
        name = str(json_object(json_object(formdata.get("workflow")).get("status")).get("name") or "inconnu")[:80]
        return Refused(
            f"le déclencheur « {trigger} » n'existe pas, ou n'est pas permis, dans l'état actuel du workflow Publik "
            f"(« {name} »)",
            native=str(status),
        )


def _content_of(answer: HttpAnswer) -> Any:
    """What a read brought: bare, or in the envelope. An error inside a 200 did nothing: it is asked again later."""
    value = answer.json()
    if isinstance(value, dict) and _failed(value):
        raise TryLater("Publik a répondu par une erreur", detail=_class_of(value), fault="away.http-5xx")
    return value["data"] if isinstance(value, dict) and "err" in value and "data" in value else value


def _forms_in(answer: HttpAnswer) -> list[Any]:
    """The list as it came: what one of its forms is, is asked where it is read."""
    value = _content_of(answer)
    if not isinstance(value, list):
        raise TryLater("Publik : une liste de demandes était attendue", fault="away.not-json")
    return value


def _failed(envelope: Mapping[str, Any]) -> bool:
    return envelope.get("err", 0) not in (0, None, False, "0")


def _class_of(envelope: Mapping[str, Any]) -> str:
    """`err_class`, never `err_desc`: the latter may quote what a person wrote."""
    name = str(envelope.get("err_class") or envelope.get("err_code") or "")
    code = str(envelope.get("err"))[:20]
    return name if _CLASS.fullmatch(name) else f"err={code if _CLASS.fullmatch(code) else '?'}"
