"""An API Particulier on loopback: people of our own invention, strict about tokens and parameters, in its own words."""

from __future__ import annotations

import csv
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from connectors.sdk import Secret
from connectors.sdk.names import fold_name
from connectors.sdk.twin import HttpTwin, TwinAnswer, TwinCall, route

TOKEN = "jeton-essai-identite"
TOKEN_LIFE = timedelta(seconds=60)
_BIRTH = ("anneeDateNaissance", "moisDateNaissance", "jourDateNaissance")
_CIVIL = ("nomNaissance", "prenoms[]", "sexeEtatCivil")
_PLACE = ("codeCogInseeCommuneNaissance", "nomCommuneNaissance", "codeCogInseeDepartementNaissance")
_GENDERS = {"male": "M", "female": "F"}

_GROUPS = {"@civil": _CIVIL, "@birth": _BIRTH, "@place": _PLACE}


@dataclass(frozen=True, slots=True)
class _Rule:
    """What one operation demands in identity mode; `unknown`: its code for nobody. `scopes`: which scope gives which
    field of the answer. `modes`: the ways to ask it."""

    needs: Sequence[str]
    takes: Sequence[str]
    unknown: str
    most_names: int
    scopes: Mapping[str, str]
    modes: Sequence[str]


def _table(name: str) -> list[dict[str, str]]:
    with Path(__file__).with_name(name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


@cache
def _said() -> Mapping[str, tuple[int, str, str, str]]:
    """Status, title, details and provider of each code that it can say."""
    rows = _table("twin_errors.csv")
    return {row["code"]: (int(row["status"]), row["title"], row["detail"], row["provider"]) for row in rows}


@cache
def _rules() -> Mapping[str, _Rule]:
    return {row["path"]: _rule(row) for row in _table("twin_operations.csv")}


def _rule(row: Mapping[str, str]) -> _Rule:
    needs, takes = (
        [n for word in row[cell].split() for n in _GROUPS.get(word, (word,))] for cell in ("needs", "takes")
    )
    scopes = dict(pair.split("=") for pair in row["scopes"].split())
    return _Rule(needs, takes, row["unknown"], int(row["most_names"]), scopes, row["modes"].split())


_SAMPLE = re.compile(r"(v[34])_(cnav|cnous|mesri|men|france_travail|gip_mds|dsnj|ants)_(\w+?)_with_(\w+)")
_MODES = {"civility": "identite", "france_connect": "france_connect", "ine": "ine", "identifiant": "identifiant"}
_FULLY_SCOPED = "*"


@dataclass(slots=True)
class _Login:
    """A citizen who logged in at FranceConnect: who, until when, and what they agreed to show."""

    person: Mapping[str, Any]
    ends: datetime
    scopes: frozenset[str]


class ApiParticulierTwin(HttpTwin):
    """`log_in` gives a FranceConnect token that lives 60 s by the twin's clock. `scopes`: those of our own token
    ("*" for all). `answer_error` makes the next calls answer with a code of its errors. `asked` keeps each query.
    `samples`: a folder of the official fictitious answers, served for the very parameters that they name."""

    def __init__(
        self, *, now: Callable[[], datetime] = lambda: datetime.now(UTC), token: str = TOKEN, per_minute: int = 50,
        samples: Path | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self.now = now
        self.token = token
        self.per_minute = per_minute
        self.scopes: frozenset[str] = frozenset({_FULLY_SCOPED})
        self.people: list[dict[str, Any]] = json.loads(_PEOPLE.read_text(encoding="utf-8"))["people"]
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.given: list[tuple[str, TwinAnswer]] = []
        self._logins: dict[str, _Login] = {}
        self._errors: list[tuple[str, str, str]] = []
        self._minutes: dict[tuple[str, int], int] = {}
        self._samples = list(_read_samples(samples)) if samples else []

    def person(self, key: str) -> dict[str, Any]:
        return next(person for person in self.people if person["key"] == key)

    def log_in(self, person: str | Mapping[str, Any], *, scopes: Sequence[str] = (_FULLY_SCOPED,)) -> Secret:
        """The access token of a citizen: one of `people` by key, or the parameters of an identity in `samples`."""
        token = secrets.token_urlsafe(32)
        with self.lock:
            known = self.person(person) if isinstance(person, str) else person
            self._logins[token] = _Login(known, self.now() + TOKEN_LIFE, frozenset(scopes))
        return Secret(token)

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
        answer = self._limited(call, query)
        self.given.append((call.path, answer))
        return answer

    def _limited(self, call: TwinCall, query: Mapping[str, list[str]]) -> TwinAnswer:
        now = self.now()
        minute = (call.path, int(now.timestamp()) // 60)
        used = self._minutes[minute] = self._minutes.get(minute, 0) + 1
        reset = (minute[1] + 1) * 60
        headers = {
            "RateLimit-Limit": str(self.per_minute), "RateLimit-Remaining": str(max(self.per_minute - used, 0)),
            "RateLimit-Reset": str(reset),
        }  # fmt: skip
        if used > self.per_minute:
            return _error("00429", headers=headers | {"Retry-After": str(max(reset - int(now.timestamp()), 1))})
        answer = self._authorised(call, query)
        return TwinAnswer(answer.status, answer.body, headers | dict(answer.headers))

    def _authorised(self, call: TwinCall, query: Mapping[str, list[str]]) -> TwinAnswer:
        base, _, mode = call.path.rpartition("/")
        bearer = call.headers.get("authorization", "").removeprefix("Bearer ")
        login = self._logins.get(bearer) if mode == "france_connect" else None
        if mode == "france_connect" and (login is None or login.ends <= self.now()):
            return _error("00103" if login else "00101", parameter="token")
        if mode != "france_connect" and bearer != self.token:
            return _error("00101", parameter="token")
        if not re.fullmatch(r"[0-9]{14}", query.get("recipient", [""])[0]):
            return _error("00203", parameter="recipient")
        for position, (on, code, title) in enumerate(self._errors):
            if on in call.path:
                del self._errors[position]
                return _error(code, title=title)
        if login is not None:
            return self._of(base, mode, login.person, login.scopes, query)
        return self._identified(base, mode, query)

    def _identified(self, base: str, mode: str, query: Mapping[str, list[str]]) -> TwinAnswer:
        sample = self._sample(f"{base}/{mode}", {name: _plain(values) for name, values in query.items()})
        if sample is not None:
            return sample
        rule = _rules().get(base)
        if rule is None or mode not in rule.modes:
            return self.not_found(TwinCall("GET", base, {}, {}, b""))
        fault = _number_fault(query) if mode == "ine" else _fault(rule, query)
        if fault is not None:
            return fault
        found = [person for person in self.people if _same(person, query)]
        if len(found) > 1:
            return _error("00391")
        if not found:
            return _error(rule.unknown)
        return self._of(base, mode, found[0], self.scopes, query)

    def _of(
        self, base: str, mode: str, person: Mapping[str, Any], scopes: frozenset[str], query: Mapping[str, list[str]]
    ) -> TwinAnswer:
        """What the twin knows of one person, without what no scope gives."""
        if "answers" not in person:
            return self._sample(f"{base}/{mode}", person) or _error(_rules()[base].unknown)  # one of the samples
        code, data = person.get("errors", {}).get(base), person["answers"].get(base)
        if base not in _rules() or mode not in _rules()[base].modes:
            return self.not_found(TwinCall("GET", base, {}, {}, b""))
        if code or data is None:
            return _error(code or _rules()[base].unknown)
        if base.endswith("quotient_familial"):
            dated = _dated(data, query, self.now())
            if dated is None:
                return _error("00203", parameter="annee")
            data = dated
        named = _rules()[base].scopes
        shown = {name: value for name, value in data.items() if _granted(named.get(name, _FULLY_SCOPED), scopes)}
        if mode == "france_connect":
            shown.pop("identite", None)  # the citizen said who they are
        return TwinAnswer(200, {"data": shown, "links": {}, "meta": {}})

    def _sample(self, path: str, params: Mapping[str, Any]) -> TwinAnswer | None:
        """The official answer whose parameters are all there, the most precise one."""
        fitting = [
            (len(sample["params"]), number, sample)
            for number, (where, sample) in enumerate(self._samples)
            if where == path and sample["params"] and _covers(params, sample["params"])
        ]
        if not fitting:
            return None
        sample = max(fitting)[2]
        return TwinAnswer(sample["status"], sample["body"])

    def error_inside(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(200, _envelope("37999"))

    def not_found(self, call: TwinCall) -> TwinAnswer:
        return TwinAnswer(404, "<!DOCTYPE html><title>404</title>")


_PEOPLE = Path(__file__).parent / "people.json"


def sample_path(folder: str) -> str | None:
    """The address of the operation whose official answers are in this folder of samples."""
    match = _SAMPLE.fullmatch(folder)
    if match is None:
        return None
    version, provider, name, mode = match.groups()
    return f"/{version}/{'dss' if provider == 'cnav' else provider}/{name}/{_MODES[mode]}"


def _read_samples(folder: Path) -> list[tuple[str, dict[str, Any]]]:
    found = []
    for file in sorted(folder.glob("*/*.json")):
        path = sample_path(file.parent.name)
        if path is not None:
            found.append((path, json.loads(file.read_text(encoding="utf-8"))))
    return found


def _fault(rule: _Rule, query: Mapping[str, list[str]]) -> TwinAnswer | None:
    lacking = [name for name in rule.needs if not query.get(name, [""])[0]]
    if lacking:
        return _error("00203", parameter=lacking[0])
    unknown = [name for name in query if name not in (*rule.needs, *rule.takes, "recipient")]
    numbers = [query[name][0] for name in (*_BIRTH, "annee", "mois") if name in query]
    country, place = query.get("codeCogInseePaysNaissance", ["99100"])[0], query.get(_PLACE[0], [""])[0]
    wrong = (
        unknown
        or len(query.get("prenoms[]", ())) > rule.most_names
        or query.get("sexeEtatCivil", ["M"])[0] not in ("M", "F")
        or not all(number.isdigit() for number in numbers)
        or any(not re.fullmatch(r"[0-9][0-9AB][0-9]{3}", code) for code in (country, place) if code)
        or (place and country != "99100")
    )
    if wrong:
        return _error("00366")
    if "anneeScolaire" in rule.needs:
        perimeters = [name for name in ("codesBcnDepartements[]", "codesBcnRegions[]") if name in query]
        return None if len(perimeters) + ("codeEtablissement" in query) == 1 else _error("00419")
    return None


def _number_fault(query: Mapping[str, list[str]]) -> TwinAnswer | None:
    return None if re.fullmatch(r"[0-9a-zA-Z]{11}", query.get("ine", [""])[0]) else _error("00360")


def _same(person: Mapping[str, Any], query: Mapping[str, list[str]]) -> bool:
    """Whether the parameters name this person: what they say must be so, accents and capitals apart."""
    for name, own in (("identifiant", "identifier"), ("ine", "ine")):
        if name in query:
            return bool(query[name][0] == person.get(own))
    identity = person["identity"]
    names = [fold_name(name) for name in query["prenoms[]"]]
    if fold_name(query["nomNaissance"][0]) != fold_name(identity["family_name"]):
        return False
    if names != [fold_name(name) for name in identity["given_names"]][: len(names)]:
        return False
    born = [int(part) for part in identity.get("birthdate", "").split("-") if part]
    said = [int(query[name][0]) for name in _BIRTH if name in query]
    if said != born[: len(said)] or not said:
        return False
    pairs = (
        ("sexeEtatCivil", _GENDERS.get(identity.get("gender", ""))),
        ("codeCogInseePaysNaissance", identity.get("birthcountry")),
        ("codeCogInseeCommuneNaissance", identity.get("birthplace")),
    )
    return all(query[name][0] == due for name, due in pairs if name in query)


def _dated(data: Mapping[str, Any], query: Mapping[str, list[str]], now: datetime) -> dict[str, Any] | None:
    """The quotient of the month that was asked for, the current one when none was; None beyond two years or to come."""
    year, month = int(query.get("annee", [now.year])[0]), int(query.get("mois", [now.month])[0])
    ago = (now.year - year) * 12 + now.month - month
    if not 0 <= ago <= 24 or not 1 <= month <= 12:
        return None
    when = {"annee": year, "mois": month, "annee_calcul": now.year, "mois_calcul": now.month}
    return {**data, "quotient_familial": data["quotient_familial"] | when}


def _granted(scope: str, scopes: frozenset[str]) -> bool:
    return scope == _FULLY_SCOPED or _FULLY_SCOPED in scopes or scope in scopes


def _covers(params: Mapping[str, Any], due: Mapping[str, Any]) -> bool:
    for name, value in due.items():
        given = params.get(name, params.get(f"{name}[]"))
        if name == "anneeScolaire" and given is not None:
            given = str(given)[:4]  # 2025 and 2025-2026 are the same school year
        if given is None or _texts(given) != _texts(value):
            return False
    return True


def _texts(value: Any) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else [str(value)]


def _plain(values: list[str]) -> str | list[str]:
    return values if len(values) > 1 else values[0]


def _envelope(code: str, *, title: str = "", parameter: str = "") -> dict[str, Any]:
    _, usual, detail, provider = _said()[code]
    meta: dict[str, Any] = {"provider": provider} if provider else {}
    if code == "00501":
        meta["retry_in"] = 10
    source = {"parameter": parameter} if parameter else None
    return {"errors": [{"code": code, "title": title or usual, "detail": detail, "source": source, "meta": meta}]}


def _error(code: str, *, title: str = "", parameter: str = "", headers: Mapping[str, str] | None = None) -> TwinAnswer:
    return TwinAnswer(_said()[code][0], _envelope(code, title=title, parameter=parameter), headers or {})
