"""`[http]` from a contract: its address, how we prove who we are, the probe, and what its refusals say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from connectors.sdk.contract.model import Contract, Operation
from connectors.sdk.drafting.addresses import address, due, fixed, headers_due, setting
from connectors.sdk.drafting.sessions import session_notes
from connectors.sdk.drafting.speech import Speech
from connectors.sdk.drafting.targets import tells_of_people
from connectors.sdk.drafting.writing import Table
from schemas.errors import ConfigError
from schemas.names import words_of

_PROBES = ("version", "status", "ping", "health", "me", "info", "test", "privileges", "capabilities", "getcapabilities")
_READING = frozenset({"rechercher", "consulter", "search", "find", "list", "lister", "get", "lire", "query"})
_REFUSED = {"400": "la demande est mal formée", "409": "la demande contredit ce qui est enregistré",
            "422": "une valeur n'est pas acceptée"}  # fmt: skip
_SECRET, _TEXT = "secret", "text"


@dataclass(slots=True)
class Door:
    """`tables`: `[http]` and its `[[error]]`. `unsaid`: what the contract asks for and we cannot do."""

    settings: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)
    unsaid: list[str] = field(default_factory=list)
    probed: Operation | None = None
    """What the probe calls."""
    auth: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, Any] = field(default_factory=dict)

    def ask(self, name: str, kind: str, about: str) -> str:
        self.settings[name] = {"type": kind, "about": about}
        return f"{{{name}}}"


def door(
    name: str, contract: Contract, speech: Speech, chosen: Sequence[Operation], probe: str = ""
) -> tuple[Door, list[Table]]:  # fmt: skip
    """How the package is spoken to, for the operations that were chosen. `probe`: an operation that the author chose;
    "": the best one."""
    found = Door()
    about = f"Adresse du service, avec {contract.base}." if contract.base else "Adresse du service."
    base = found.ask("base_url", "url", about)
    wanted = [speech.proofs(one.name) for one in chosen]
    asked = next((one for one in wanted if one), [[one] for one in contract.security] if not any(wanted) else [])
    if asked and not any(_speaks_all(found, schemes) for schemes in asked):
        found.unsaid.append("How the package wants us to sign in is none of the declared ways: see `[http.auth]`.")
    http: dict[str, Any] = {
        "base": base,
        "timeout": "timeout_seconds",
        "probe": _called(found, contract.operation(probe) or _probe(contract, speech, chosen)),
    }
    probed = [found.probed] if found.probed is not None else []
    for operation in (*probed, *(one for one in chosen if one.harmless)):
        found.headers |= headers_due(found, operation)
    http |= {"auth": found.auth} if found.auth else {}
    http |= {"headers": found.headers} if found.headers else {}
    found.settings["timeout_seconds"] = {
        "type": "number", "above": 0, "max": 60, "default": 20, "about": "Délai d'attente d'une réponse, en secondes.",
    }  # fmt: skip
    notes = session_notes(contract, asked[0]) if asked else []
    return found, [Table("http", http, notes), *_errors(name, chosen)]


def _speaks_all(found: Door, schemes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether ways that are asked for together can be declared; then they are: one signs in, keys beside it are
    headers."""
    known = [(_WAYS.get(str(scheme.get("type", "")).lower()), scheme) for scheme in schemes]
    if not all(way is not None for way, _ in known):
        return False
    for way, scheme in known:
        if found.auth and scheme.get("in") == "header":
            name = str(scheme.get("name", ""))
            key = "_".join(words_of(name))
            found.headers[name] = found.ask(f"key_{key}", _SECRET, f"Valeur secrète de l'en-tête {name}.")
        elif not found.auth and way is not None and not way(found, scheme):
            return False
    return True


def _http(found: Door, scheme: Mapping[str, Any]) -> bool:
    kind = str(scheme.get("scheme", "")).lower()
    if kind == "basic":
        user = found.ask("account", _TEXT, "Compte du hub.")
        found.auth = {"kind": "basic", "user": user, "password": found.ask("password", _SECRET, "Son mot de passe.")}
    elif kind == "bearer":
        found.auth = {"kind": "bearer", "token": found.ask("token", _SECRET, "Jeton d'accès.")}
    return bool(found.auth)


def _key(found: Door, scheme: Mapping[str, Any]) -> bool:
    key = found.ask("api_key", _SECRET, "Clé d'accès.")
    name, where = str(scheme.get("name", "")), scheme.get("in")
    if where in ("header", "query"):
        found.auth = {"kind": "api-key", str(where): name, "value": key}
    else:
        found.headers["cookie"] = f"{name}={key}"
        found.unsaid.append("It signs in by a cookie: who gives it, and for how long, is to be asked.")
    return True


def _oauth(found: Door, scheme: Mapping[str, Any]) -> bool:
    flows = scheme.get("flows") or {}
    for name, kind in (("clientCredentials", "oauth"), ("password", "oauth-password")):
        if name in flows:
            path = urlsplit(str(flows[name].get("tokenUrl", ""))).path or "/token"
            server = found.ask("token_server", "url", f"Adresse du serveur de jetons, sans {path}.")
            found.auth = {
                "kind": kind, "token_url": server + path,
                "client_id": found.ask("client_id", _TEXT, "Identifiant du hub."),
                "client_secret": found.ask("client_secret", _SECRET, "Son secret."),
            }  # fmt: skip
            if kind == "oauth-password":
                found.auth["user"] = found.ask("account", _TEXT, "Compte du hub.")
                found.auth["password"] = found.ask("password", _SECRET, "Son mot de passe.")
            return True
    found.auth = {"kind": "bearer", "token": found.ask("token", _SECRET, "Jeton d'accès, obtenu auprès de l'éditeur.")}
    found.unsaid.append("Its OAuth flow needs a person (a browser); a token from the vendor is used instead.")
    return True


_WAYS: Mapping[str, Callable[[Door, Mapping[str, Any]], bool]] = {
    "http": _http, "basic": lambda found, scheme: _http(found, {"scheme": "basic"}), "apikey": _key, "oauth2": _oauth,
    "openidconnect": _oauth,
}  # fmt: skip


def _probe(contract: Contract, speech: Speech, chosen: Sequence[Operation]) -> Operation:
    """The harmless call that needs least; one with a good name first, one that tells of people last."""
    known = [one for one in contract.operations if one.name.startswith("GET ") and not speech.unspeakable(one)]
    known = known or [one for one in contract.operations if _only_asks(one, speech)]
    fitting = [one for one in known if not due(one.asks, "header")] or known

    alike = [speech.proofs(one.name) for one in chosen]

    def cost(one: Operation) -> tuple[bool, bool, int, int, int]:
        last = frozenset(words_of(one.name.rpartition("/")[2]))
        open_ = [ask for ask in one.asks if (ask.where == "path" or ask.required) and fixed(ask) is None]
        foreign = speech.proofs(one.name) not in (*alike, [])
        good = bool(last & {*_PROBES})
        of_people = not good and any(tells_of_people(other) for other in contract.operations if _is_of(other, one))
        return foreign, of_people, len(open_), 0 if good else 1 if one in chosen else 2, len(one.name)

    best = min(fitting, key=cost, default=None)
    if best is None:
        raise ConfigError("no call of the contract is harmless: write the probe by hand, without --from", key="probe")
    return best


def _is_of(other: Operation, one: Operation) -> bool:
    """Whether an operation is this one, or reads one record of its list."""
    return re.fullmatch(re.escape(one.name) + r"(/\{[^/]*\})?", other.name) is not None


def _called(found: Door, best: Operation) -> str:
    """The probe as a manifest writes it."""
    found.probed = best
    where = address(best, reference=False)
    query = []
    for one in due(best.asks, "query"):
        only = fixed(one)
        query.append(f"{one.place}={only if only is not None else f'{{{setting(found, one)}}}'}")
    found.settings |= where.settings
    found.values |= where.values
    return where.call + ("?" + "&".join(query) if query else "")


def _only_asks(one: Operation, speech: Speech) -> bool:
    """A call that writes by its method alone: it searches, and needs no body to do so."""
    body = speech.schemas.at(speech.written(one.name).get("requestBody"))
    reads = bool({*words_of(one.name)} & _READING) and not body.get("required")
    return one.name.startswith("POST ") and reads and not speech.unspeakable(one)


def _errors(name: str, chosen: Sequence[Operation]) -> list[Table]:
    """The refusals that the contract names; the kit reads the other statuses by itself."""
    writing = [one for one in chosen if not one.harmless]
    named = [status for status in _REFUSED if any(status in one.faults for one in writing)]
    return [
        Table("[error]", {
            "status": int(status), "means": "refused", "say": f"{name} refuse : {_REFUSED[status]}",
            "remedy": "Corriger la demande, ou voir le compte rendu de l'éditeur.", "by": "service",
        }, notes=["À compléter : le code natif (native) et son tableau."] if status == named[0] else ())
        for status in named
    ]  # fmt: skip
