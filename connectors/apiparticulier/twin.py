"""An API Particulier on loopback: people of our own invention, strict about tokens and parameters, in its own words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from connectors.apiparticulier.operations import BIRTH, COMMUNE, COUNTRY, GENDER, GENDERS, NAMES, Rule, rules
from connectors.sdk import Secret
from connectors.sdk.rest_twin import EvidenceTwin, TwinRefusal
from connectors.sdk.twin import TwinAnswer, TwinCall, route
from schemas.communes import FRANCE
from schemas.names import joined_name
from schemas.sheet import sheet_rows

TOKEN = "jeton-essai-identite"
_FULLY_SCOPED = "*"
_ERRORS = ("code", "status", "title", "detail", "provider")

Query = Mapping[str, list[str]]
Person = Mapping[str, Any]


@cache
def _said() -> Mapping[str, Mapping[str, str]]:
    """Status, title, details and provider of each code that it can say."""
    return {row["code"]: row for row in sheet_rows(Path(__file__).with_name("twin_errors.csv"), _ERRORS)}


class ApiParticulierTwin(EvidenceTwin[tuple[Person, frozenset[str]]]):
    """`log_in` gives a FranceConnect token. `scopes`: those of our own token ("*" for all). `answer_error` makes the
    next calls answer with a code of its errors. `asked` keeps each query."""

    def __init__(
        self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), token: str = TOKEN, per_minute: int = 50
    ) -> None:
        super().__init__(now=now)
        self.token = token
        self.per_minute = per_minute
        self.scopes: frozenset[str] = frozenset({_FULLY_SCOPED})
        people = json.loads(Path(__file__).with_name("people.json").read_text("utf-8"))
        self.people: list[dict[str, Any]] = people["people"]
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self._errors: list[tuple[str, str, str]] = []
        self._minutes: dict[tuple[str, int], int] = {}

    def person(self, key: str) -> dict[str, Any]:
        return next(person for person in self.people if person["key"] == key)

    def log_in(self, person: str | Person, *, scopes: Sequence[str] = (_FULLY_SCOPED,)) -> Secret:
        """The access token of a citizen: one of `people`, or its key."""
        return self.open_login((self.person(person) if isinstance(person, str) else person, frozenset(scopes)))

    def answer_error(self, code: str, times: int = 1, *, on: str = "", title: str = "") -> None:
        """Let the next `times` calls whose path holds `on` answer with one of `codes`."""
        with self.lock:
            self._errors += [(on, code, title)] * times

    @staticmethod
    def codes() -> Sequence[str]:
        """What `answer_error` takes."""
        return tuple(_said())

    def operation(self, call: TwinCall) -> str:
        """One path for each interface: no identifier is in it."""
        return f"{call.method} {call.path}"

    @route("GET", "/{path:rest}")
    def _ask(self, call: TwinCall, path: str) -> TwinAnswer:
        query = parse_qs(call.query_string, keep_blank_values=True)
        self.asked.append((call.path, query))
        headers, over = self._limits(call.path)
        try:
            answer = over or self._authorised(call, query)
        except TwinRefusal as refusal:
            answer = refusal.answer
        answer = TwinAnswer(answer.status, answer.body, headers | dict(answer.headers))
        self.given.append((call.path, answer))
        return answer

    def _limits(self, path: str) -> tuple[dict[str, str], TwinAnswer | None]:
        """The headers that every answer bears, and the answer to a call too many."""
        now = int(self.now().timestamp())
        minute = (path, now // 60)
        used = self._minutes[minute] = self._minutes.get(minute, 0) + 1
        reset, left = (minute[1] + 1) * 60, self.per_minute - used
        headers = {
            "RateLimit-Limit": str(self.per_minute), "RateLimit-Remaining": str(max(left, 0)),
            "RateLimit-Reset": str(reset),
        }  # fmt: skip
        wait = {"Retry-After": str(max(reset - now, 1))}
        return headers, TwinAnswer(429, _envelope("00429"), wait) if left < 0 else None

    def _authorised(self, call: TwinCall, query: Query) -> TwinAnswer:
        base, _, mode = call.path.rpartition("/")
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
        login = self.logged_in(bearer) if mode == "france_connect" else None
        if login is None and (mode == "france_connect" or bearer != self.token):
            raise _error("00103" if bearer in self._logins else "00101", parameter="token")
        if not re.fullmatch(r"[0-9]{14}", query.get("recipient", [""])[0]):
            raise _error("00203", parameter="recipient")
        planned = next((one for one in self._errors if one[0] in call.path), None)
        if planned is not None:
            self._errors.remove(planned)
            raise _error(planned[1], title=planned[2])
        if login is not None:
            return self._of(base, mode, *login, query)
        return self._identified(base, mode, query)

    def _identified(self, base: str, mode: str, query: Query) -> TwinAnswer:
        rule = self._rule(base, mode)
        if mode == "ine":
            _check_number(query)
        else:
            _check_parameters(rule, query)
        found = [person for person in self.people if _same(person, query)]
        if len(found) != 1:
            raise _error("00391" if found else rule.unknown)
        return self._of(base, mode, found[0], self.scopes, query)

    def _rule(self, base: str, mode: str) -> Rule:
        rule = rules().get(base)
        if rule is None or mode not in rule.modes:
            raise TwinRefusal(404, _NO_PAGE)
        return rule

    def _of(self, base: str, mode: str, person: Person, scopes: frozenset[str], query: Query) -> TwinAnswer:
        """What the twin knows of one person, without what no scope gives."""
        rule = self._rule(base, mode)
        code, data = person.get("errors", {}).get(base), person["answers"].get(base)
        if code or data is None:
            raise _error(code or rule.unknown)
        if base.endswith("quotient_familial"):
            data = _dated(data, query, self.now())
        shown = {
            name: value for name, value in data.items()
            if name not in rule.scopes or scopes & {_FULLY_SCOPED, rule.scopes[name]}
        }  # fmt: skip
        if mode == "france_connect":
            shown.pop("identite", None)  # the citizen said who they are
        return TwinAnswer(200, {"data": shown, "links": {}, "meta": {}})

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, _envelope("37999"))

    def not_found(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(404, _NO_PAGE)


_NO_PAGE = "<!DOCTYPE html><title>404</title>"


def _check_parameters(rule: Rule, query: Query) -> None:
    lacking = [name for name in rule.needs if not query.get(name, [""])[0]]
    if lacking:
        raise _error("00203", parameter=lacking[0])
    unknown = [name for name in query if name not in (*rule.needs, *rule.takes, "recipient")]
    numbers = [query[name][0] for name in (*BIRTH, "annee", "mois") if name in query]
    country, place = query.get(COUNTRY, [FRANCE])[0], query.get(COMMUNE, [""])[0]
    wrong = (
        unknown
        or len(query.get(NAMES, ())) > rule.most_names
        or query.get(GENDER, ["M"])[0] not in ("M", "F")
        or not all(number.isdigit() for number in numbers)
        or any(not re.fullmatch(r"[0-9][0-9AB][0-9]{3}", code) for code in (country, place) if code)
        or (place and country != FRANCE)
    )
    if wrong:
        raise _error("00366")
    perimeters = {"codesBcnDepartements[]", "codesBcnRegions[]", "codeEtablissement"} & query.keys()
    if "anneeScolaire" in rule.needs and len(perimeters) != 1:
        raise _error("00419")


def _check_number(query: Query) -> None:
    if not re.fullmatch(r"[0-9a-zA-Z]{11}", query.get("ine", [""])[0]):
        raise _error("00360")


def _same(person: Person, query: Query) -> bool:
    """Whether the parameters name this person: what they say must be so, accents and capitals apart."""
    for name, own in (("identifiant", "identifier"), ("ine", "ine")):
        if name in query:
            return bool(query[name][0] == person.get(own))
    identity = person["identity"]
    names = [joined_name(name) for name in query[NAMES]]
    born = [int(part) for part in identity.get("birthdate", "").split("-") if part]
    said = [int(query[name][0]) for name in BIRTH if name in query]
    pairs = (
        (GENDER, GENDERS.get(identity.get("gender", ""))), (COUNTRY, identity.get("birthcountry")),
        (COMMUNE, identity.get("birthplace")),
    )  # fmt: skip
    return (
        joined_name(query["nomNaissance"][0]) == joined_name(identity["family_name"])
        and names == [joined_name(name) for name in identity["given_names"]][: len(names)]
        and bool(said)
        and said == born[: len(said)]
        and all(query[name][0] == due for name, due in pairs if name in query)
    )


def _dated(data: Mapping[str, Any], query: Query, now: datetime) -> dict[str, Any]:
    """The quotient of the month that was asked for, the current one when none was; none beyond two years or to come."""
    year, month = int(query.get("annee", [now.year])[0]), int(query.get("mois", [now.month])[0])
    ago = (now.year - year) * 12 + now.month - month
    if not 0 <= ago <= 24 or not 1 <= month <= 12:
        raise _error("00203", parameter="annee")
    when = {"annee": year, "mois": month, "annee_calcul": now.year, "mois_calcul": now.month}
    return {**data, "quotient_familial": data["quotient_familial"] | when}


def _envelope(code: str, *, title: str = "", parameter: str = "") -> dict[str, Any]:
    said = _said()[code]
    meta: dict[str, Any] = {"provider": said["provider"]} if said["provider"] else {}
    if code == "00501":
        meta["retry_in"] = 10
    source = {"parameter": parameter} if parameter else None
    told = {"code": code, "title": title or said["title"], "detail": said["detail"], "source": source, "meta": meta}
    return {"errors": [told]}


def _error(code: str, *, title: str = "", parameter: str = "") -> TwinRefusal:
    return TwinRefusal(int(_said()[code]["status"]), _envelope(code, title=title, parameter=parameter))
