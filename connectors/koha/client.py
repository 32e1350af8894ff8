"""Koha's REST API. The only file that knows its addresses."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from connectors.koha.mapping import Patron
from connectors.sdk.http import SUCCESS, HttpAnswer, HttpClient, segment
from schemas.errors import AccessDenied, Refused, TryLater

_PAGE = 100


class KohaClient:
    """Reads and writes patrons, by an OAuth 2 token or by HTTP Basic."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        base, timeout = settings["base_url"].rstrip("/"), settings.get("timeout_seconds", 20)
        name, secret = settings["client_id"], settings["client_secret"]
        headers = {"accept": "application/json"}
        if settings.get("authentication", "oauth") == "basic":
            self._http = HttpClient(base, headers=headers, timeout=timeout, auth=(name, secret), service="Koha")
        else:
            plain = HttpClient(base, headers=headers, timeout=timeout, service="Koha")
            self._http = plain.with_client_credentials(f"{base}/oauth/token", name, secret, in_form=True)

    def patrons_with_card(self, card: str, seconds: float | None = None) -> list[dict[str, Any]]:
        """Those who bear exactly this card number: one, none, or several when the library has a mess to mend.
        `seconds`: what is left for the call."""
        found = self._patron_list({"q": _compact_json({"cardnumber": card}), "_per_page": "5"}, seconds)
        if not all(isinstance(patron, dict) for patron in found):
            raise TryLater("Koha : une liste de fiches était attendue", fault="away.not-json")
        return [patron for patron in found if str(patron.get("cardnumber", "")).casefold() == card.casefold()]

    def patron(self, patron_id: int) -> dict[str, Any]:
        return _patron_of(self._http.request("GET", f"/patrons/{segment(str(patron_id))}"))

    def replace(self, patron_id: int, patron: Patron) -> dict[str, Any]:
        """Write the whole patron. Raises Refused with Koha's code when it does not take the record."""
        try:
            return _patron_of(self._http.request("PUT", f"/patrons/{segment(str(patron_id))}", json=dict(patron)))
        except Refused as error:
            raise Refused(f"Koha n'accepte pas cette fiche (code {error.native})", native=error.native) from None

    def changed_since(self, since: datetime) -> Iterator[list[Any]]:
        """Patrons written at `since` or later, as they came, a page at a time; the last page is short."""
        query = _compact_json({"me.updated_on": {">=": since.isoformat(timespec="seconds")}})
        page = 1
        while True:
            found = self._patron_list(
                {"q": query, "_order_by": "+me.updated_on", "_page": str(page), "_per_page": str(_PAGE)}
            )
            yield found
            if len(found) < _PAGE:
                return
            page += 1

    def ping(self) -> None:
        """Ask for nobody: it tells whether we may read patrons, and shows none."""
        self._patron_list({"q": _compact_json({"cardnumber": ""}), "_per_page": "1"})

    def _patron_list(self, params: Mapping[str, str], seconds: float | None = None) -> list[Any]:
        answer = self._http.request("GET", "/patrons", params=params, expect=(*SUCCESS, 404), seconds=seconds)
        if answer.status == 404:  # nobody found is an empty list: it is not this library's interface
            raise AccessDenied("Koha : l'interface des fiches n'est pas à cette adresse", fault="denied.not-public")
        value = answer.json()
        if not isinstance(value, list):
            raise TryLater("Koha : une liste de fiches était attendue", fault="away.not-json")
        return value

    def close(self) -> None:
        self._http.close()


def _patron_of(answer: HttpAnswer) -> dict[str, Any]:
    return answer.json_object()


def _compact_json(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
