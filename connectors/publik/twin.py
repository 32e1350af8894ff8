"""A Publik portal on loopback: forms, their workflow, triggers valid only in the current status, pushes."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from connectors.sdk import Secret
from connectors.sdk.first_use import in_this_process
from connectors.sdk.http import HttpAnswer, HttpClient
from connectors.sdk.signed_query import SignatureCheck, sign
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, basic, route
from schemas.errors import AccessDenied

PARIS = ZoneInfo("Europe/Paris")
RECEIVED, DONE = "hub-recue", ("hub-accordee", "hub-rejetee", "hub-irrecevable", "hub-delivree", "hub-classee")
STEPS = ("hub-recue", "hub-transmise", "hub-incomplete", "hub-en-cours", "hub-paiement", *DONE, "hub-retiree")


@dataclass(frozen=True, slots=True)
class State:
    """A status of a workflow and, by trigger, the status that follows."""

    id: str
    name: str
    jumps: Mapping[str, str]
    endpoint: bool = False


def plain_workflow() -> dict[str, State]:
    """New, then in progress for as long as steps come, then closed by a final trigger."""
    jumps = {step: "closed" if step in DONE or step == "hub-retiree" else "open" for step in STEPS}
    after_decision = {"hub-delivree": "closed", "hub-classee": "closed"}
    return {
        "new": State("new", "Nouvelle demande", jumps),
        "open": State("open", "En cours", jumps),
        "closed": State("closed", "Terminée", after_decision, endpoint=True),
    }


@dataclass(slots=True)
class Filed:
    """One form as the portal keeps it. `jumps`: the triggers it took, with their bodies, in order."""

    slug: str
    number: str
    fields: dict[str, Any]
    received: str
    user: dict[str, Any] | None
    channel: str
    status: str = "new"
    jumps: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


class PublikTwin(HttpTwin):
    """Stateful. `submit` files a form as a citizen would, `push` sends it as the workflow's webservice action would.

    Beyond the faults of HttpTwin: `err(times)` answers 200 with an error inside, which Publik does.
    """

    def __init__(
        self, *, client_id: str = "unefois", client_secret: str = "clef-api", signed: bool = False,
        workflow: Mapping[str, State] | None = None, now: datetime | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.forms: dict[tuple[str, str], Filed] = {}
        self.workflow = dict(workflow or plain_workflow())
        self.now = now
        self._id, self._secret, self._signed = client_id, Secret(client_secret), signed
        self._check = SignatureCheck(client_id, self._secret, in_this_process())

    def submit(
        self, slug: str, fields: Mapping[str, Any], *, user: Mapping[str, Any] | None = None, channel: str = "web",
        received: str | None = None,
    ) -> Filed:  # fmt: skip
        with self.lock:
            number = str(1 + sum(1 for known, _ in self.forms if known == slug))
            at = received or self._clock().astimezone(PARIS).strftime("%Y-%m-%dT%H:%M:%S")
            filed = Filed(slug, number, dict(fields), at, dict(user) if user else None, channel)
            self.forms[slug, number] = filed
            return filed

    def push(
        self, filed: Filed, url: str, *, orig: str = "demarches.saint-aubin.example", key: str = "clef-push"
    ) -> HttpAnswer:
        """POST the formdata to `url`, as the workflow does; the answer whatever it is."""
        query = sign({}, orig=orig, key=Secret(key), now=self._clock(), nonce=secrets.token_hex(16))
        with HttpClient(f"{url}?{query}") as client:
            return client.request("POST", "", json=self.formdata(filed), expect=range(200, 600))

    def err(self, times: int = 1) -> None:
        self.misbehave("inside", times)

    def formdata(self, filed: Filed, *, contents: bool = True) -> dict[str, Any]:
        state = self.workflow[filed.status]
        data = {name: value for _, body in filed.jumps for name, value in body.items()}
        return {
            "id": filed.number, "receipt_time": filed.received, "last_update_time": filed.received,
            "url": f"{self.url}/{filed.slug}/{filed.number}/",
            "fields": filed.fields if contents else _without_contents(filed.fields), "user": filed.user,
            "submission": {"backoffice": filed.channel != "web", "channel": filed.channel},
            "workflow": {
                "status": {"id": state.id, "name": state.name, "endpoint": state.endpoint}, "data": data or None,
            },
            "roles": {},
        }  # fmt: skip

    def authenticate(self, call: TwinCall) -> TwinAnswer | None:
        if not self._signed:
            known = call.headers.get("authorization") == basic(self._id, self._secret)
            return None if known else _error(401, "Unauthorized")
        try:
            self._check.check(urlencode(call.query), self._clock())
        except AccessDenied:
            return _error(403, "Access denied")
        return None

    @route("GET", "/api/forms/{slug}/list")
    def _list(self, call: TwinCall, slug: str) -> TwinAnswer:
        query = call.query
        found = [f for f in self.forms.values() if f.slug == slug and f.received[:10] >= query.get("filter-start", "")]
        found.sort(key=lambda f: (f.received, int(f.number)))
        start, self.page_size = int(query.get("offset", "0")), int(query.get("limit", "1000"))
        page = found[start : start + self.page_size]
        contents = query.get("include-files-content") != "off"
        if query.get("full") == "on":
            return TwinAnswer(200, [self.formdata(filed, contents=contents) for filed in page])
        return TwinAnswer(200, [{"id": f.number, "receipt_time": f.received} for f in page])

    @route("GET", "/api/users/{uuid}/forms")
    def _forms_of(self, call: TwinCall, uuid: str) -> TwinAnswer:
        mine = [filed for filed in self.forms.values() if uuid in ((filed.user or {}).get("NameID") or ())]
        data = [self._line(filed) for filed in mine]
        return TwinAnswer(200, {"err": 0, "data": data}) if data else _error(404, "No user")

    def _line(self, filed: Filed) -> dict[str, Any]:
        """A form as it is listed for the person who filed it."""
        state = self.workflow[filed.status]
        return {
            "form_slug": filed.slug, "form_number": filed.number, "form_number_raw": filed.number,
            "datetime": filed.received.replace("T", " "), "form_status": state.name,
            "form_status_is_endpoint": state.endpoint, "form_uri": f"{filed.slug}/{filed.number}/",
            "url": f"{self.url}/{filed.slug}/{filed.number}/",
        }  # fmt: skip

    @route("GET", "/api/forms/{slug}/{number}/")
    def _read(self, call: TwinCall, slug: str, number: str) -> TwinAnswer:
        filed = self.forms.get((slug, number))
        return TwinAnswer(200, self.formdata(filed)) if filed else _error(404, "Not found")

    @route("POST", "/{slug}/{number}/jump/trigger/{trigger}/")
    def _jump(self, call: TwinCall, slug: str, number: str, trigger: str) -> TwinAnswer:
        filed = self.forms.get((slug, number))
        if filed is None or trigger not in self.workflow[filed.status].jumps:
            return _error(404, "Not found")
        filed.status = self.workflow[filed.status].jumps[trigger]
        filed.jumps.append((trigger, call.json() if call.body else {}))
        return TwinAnswer(200, {"url": None, "err": 0})

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return _error(200, "Erreur du portail")

    def not_found(self, call: TwinCall) -> TwinAnswer:
        return _error(404, "Not found")

    def _clock(self) -> datetime:
        return self.now or datetime.now(PARIS)


def file_field(name: str, content: bytes, content_type: str = "application/pdf") -> dict[str, str]:
    """A file as it travels inside a form."""
    return {"filename": name, "content_type": content_type, "content": base64.b64encode(content).decode()}


def _without_contents(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_contents(v) for k, v in value.items() if not (k == "content" and "filename" in value)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_without_contents(item) for item in value]
    return value


def _error(status: int, err_class: str) -> TwinAnswer:
    return TwinAnswer(status, {"err": 1, "err_class": err_class, "err_desc": err_class})
