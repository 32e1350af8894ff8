"""How the suite plays API Particulier: people who are known to each source behind it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from connectors.apiparticulier.connector import ApiParticulierConnector
from connectors.apiparticulier.twin import TOKEN, ApiParticulierTwin
from connectors.conformance import Asked, Bench, Case
from connectors.sdk import Secret
from schemas.exchange import Question

_MANY = 10_000  # calls a minute
_NOBODY = {
    "family_name": "Inconnue", "given_names": ["Personne"], "gender": "female", "birthdate": "1950-01-01",
    "birthplace": "93001", "birthcountry": "99100",
}  # fmt: skip
_SCOPED = ("family-quotient", "student-status", "scholarship", "job-seeker-status")
_ASKED: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("corvisart", "family-quotient", {"parameters": {"month": "2026-01"}}),
    ("corvisart", "family-composition", {}),
    ("corvisart", "residence-address", {}),
    ("quenneville", "student-status", {}),
    ("quenneville", "scholarship", {}),
    ("tavernost", "job-seeker-status", {"reference": "gaspard.tavernost"}),
    ("benzerti", "solidarity-allowances", {}),
    ("benzerti", "disability-allowances", {}),
    ("corvisart", "complementary-health", {}),
    ("isaure", "school-registration", {}),
)


@contextmanager
def sources(bench: Bench) -> Iterator[Case]:
    with ApiParticulierTwin(now=bench.clock, per_minute=_MANY) as twin:
        settings = {
            "base_url": twin.url, "token": Secret(TOKEN), "timeout_seconds": bench.timeout, "calls_per_minute": _MANY,
            "school_departments": ["093"],
        }  # fmt: skip
        everything, fields = twin.scopes, {one.type: one.fields for one in bench.manifest.answers}

        def mend() -> None:
            twin.scopes = everything
            twin.behave()

        def asked(person: str, evidence: str, more: dict[str, Any]) -> Asked:
            identity = twin.person(person)["identity"]
            question = Question("q-1", evidence, 1, fields[evidence], "tarif-cantine", 5.0, identity=identity, **more)
            unknown = "inconnue.personne" if "reference" in more else None
            narrow = (lambda: setattr(twin, "scopes", frozenset())) if evidence in _SCOPED else None
            return Asked(question, replace(question, identity=_NOBODY, reference=unknown), narrow=narrow, mend=mend)

        yield Case(
            connect=lambda: ApiParticulierConnector(bench.context(settings)),
            twin=twin,
            deny=lambda: twin.misbehave("401"),
            personal=["CORVISART", "DELMAS-ROCHE", "VIEUX LAVOIR", "QUENNEVILLE"],
            asked=[asked(*one) for one in _ASKED],
        )


cases = (sources,)
