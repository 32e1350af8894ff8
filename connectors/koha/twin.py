"""A Koha on loopback: patrons, strict about what it is sent, dated at each write, with a librarian who writes too."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sdk.rest_twin import RestTwin
from connectors.sdk.twin import TwinAnswer, TwinCall, basic, route

_TEXTS = (
    "cardnumber", "surname", "firstname", "preferred_name", "middle_name", "title", "other_name", "street_number",
    "street_type", "address", "address2", "city", "state", "postal_code", "country", "email", "phone", "mobile",
    "secondary_email", "gender", "userid", "opac_notes", "staff_notes", "statistics_1", "statistics_2",
    "relationship_type", "sms_number", "lang", "date_of_birth", "expiry_date", "date_enrolled",
)  # fmt: skip
_OTHERS = ("patron_id", "library_id", "category_id", "updated_on", "incorrect_address", "extended_attributes")
_REQUIRED = ("surname", "library_id", "category_id")
_BASE = "/api/v1"


class KohaTwin(RestTwin):
    """`add` enrols a patron, `change_address` is a librarian at work, `busy_librarian` makes others write between
    our reads. `base` is the setting `base_url`. `history` keeps each body that was written."""

    def __init__(
        self, *, client_id: str = "unefois", client_secret: str = "clef-koha", now: datetime | None = None
    ) -> None:
        super().__init__()
        self.patrons: dict[int, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.clock = now or datetime.now(UTC)
        self._id, self._secret = client_id, client_secret
        self._busy = 0
        self._hidden: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        return self.url + _BASE

    def add(self, cardnumber: str | None, **properties: Any) -> int:
        with self.lock:
            number = len(self.patrons) + 1
            empty: dict[str, Any] = dict.fromkeys(_TEXTS)
            known = {"surname": "Patron", "library_id": "CENTRE", "category_id": "ADULTE", "extended_attributes": []}
            own = {"patron_id": number, "cardnumber": cardnumber, "restricted": False, "incorrect_address": None}
            self.patrons[number] = empty | known | own | properties
            self._touch(number)
            return number

    def patron(self, cardnumber: str) -> dict[str, Any]:
        with self.lock:
            return next(dict(p) for p in self.patrons.values() if p["cardnumber"] == cardnumber)

    def change_address(self, patron_id: int, **properties: Any) -> None:
        """A librarian writes at the desk."""
        with self.lock:
            self.patrons[patron_id] |= properties
            self._touch(patron_id)

    def hide(self, *properties: str) -> None:
        """Leave these properties out of lists, as an older Koha does, until `behave`."""
        with self.lock:
            self._hidden = properties

    def behave(self) -> None:
        self.hide()
        super().behave()

    def busy_librarian(self, times: int) -> None:
        """Just before each of the next `times` reads of one record, somebody changes its note."""
        with self.lock:
            self._busy = times

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        header = call.headers.get("authorization", "")
        if call.path == f"{_BASE}/oauth/token" or header == basic(self._id, self._secret):
            return None
        return None if self.bearer(call) is not None else TwinAnswer(401, {"error": "Authentication failure."})

    @route("POST", f"{_BASE}/oauth/token")
    def _token(self, call: TwinCall) -> TwinAnswer:
        return self.grant(call, self._id, self._secret, in_form=True, denied=403)

    @route("GET", f"{_BASE}/patrons")
    def _list(self, call: TwinCall) -> TwinAnswer:
        query = json.loads(call.query.get("q", "{}"))
        order = call.query.get("_order_by", "+me.updated_on").removeprefix("+me.")
        found = sorted((p for p in self.patrons.values() if _matches(p, query)), key=lambda p: p[order])
        size, page = int(call.query.get("_per_page", "20")), int(call.query.get("_page", "1"))
        self.page_size = size
        paged = found[(page - 1) * size : page * size]
        shown = [{name: value for name, value in one.items() if name not in self._hidden} for one in paged]
        return TwinAnswer(200, shown, {"X-Total-Count": str(len(found))})

    @route("GET", f"{_BASE}/patrons/{{patron_id}}")
    def _read(self, call: TwinCall, patron_id: str) -> TwinAnswer:
        patron = self.patrons.get(int(patron_id)) if patron_id.isdigit() else None
        if patron is None:
            return TwinAnswer(404, {"error": "Patron not found."})
        if self._busy:
            self._busy -= 1
            self.change_address(int(patron_id), staff_notes=f"note {self._busy}")
        return TwinAnswer(200, dict(patron))

    @route("PUT", f"{_BASE}/patrons/{{patron_id}}")
    def _replace(self, call: TwinCall, patron_id: str) -> TwinAnswer:
        number, body = int(patron_id), call.json()
        if number not in self.patrons:
            return TwinAnswer(404, {"error": "Patron not found"})
        faults = _faults(body)
        if faults:
            return TwinAnswer(400, {"errors": [{"message": fault, "path": "/body"} for fault in faults]})
        kept = {name: self.patrons[number][name] for name in ("patron_id", "restricted", "extended_attributes")}
        self.history.append(body)
        self.patrons[number] = dict.fromkeys(_TEXTS) | {"incorrect_address": None} | body | kept
        self._touch(number)
        return TwinAnswer(200, dict(self.patrons[number]))

    def _touch(self, number: int) -> None:
        self.clock += timedelta(seconds=1)
        self.patrons[number]["updated_on"] = self.clock.isoformat(timespec="seconds")


def _matches(patron: Mapping[str, Any], query: Mapping[str, Any]) -> bool:
    return all(_fits(patron.get(name.removeprefix("me.")), due) for name, due in query.items())


def _fits(value: Any, due: Any) -> bool:
    if isinstance(due, Mapping):
        return datetime.fromisoformat(str(value)) >= datetime.fromisoformat(due[">="])
    return bool(value == due)


def _faults(body: Any) -> list[str]:
    if not isinstance(body, dict):
        return ["Expected object."]
    unknown = sorted(set(body) - {*_TEXTS, *_OTHERS, "restricted"})
    faults = [f"Properties not allowed: {', '.join(unknown)}."] if unknown else []
    faults += ["Read-only."] if "restricted" in body else []
    faults += [f"Missing property: {name}." for name in _REQUIRED if not body.get(name)]
    return faults + [f"Expected string/null - {name}." for name in _TEXTS if not isinstance(body.get(name), str | None)]
