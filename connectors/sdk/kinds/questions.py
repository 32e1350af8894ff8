"""`[[answer]]`: a live question about a citizen, by one call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.http import SUCCESS, HttpAnswer, lost_answer
from connectors.sdk.kinds.calls import UNREAD, value_at
from connectors.sdk.kinds.events import Language
from connectors.sdk.kinds.shapes import check_evidence
from connectors.sdk.kinds.texts import Only, names_in, texts_of
from connectors.sdk.mapping import Map
from connectors.sdk.mapping.places import WHOLE
from schemas.errors import InvalidMessage, Refused
from schemas.exchange import AmbiguousIdentity, Evidence, NotMatched, Question
from schemas.times import to_rfc3339

Ask = Callable[..., HttpAnswer]


class Questions:
    """What a connector answers, each by its evidence type and version."""

    def __init__(self, raw: Sequence[Mapping[str, Any]], language: Language, name: str, context: Context) -> None:
        self._raw = {(one["type"], one.get("version", 1)): one for one in raw}
        self._language, self._name, self._context = language, name, context

    def answer(self, question: Question, ask: Ask) -> Evidence:
        """The evidence, for the fields that are asked for. `ask`: `RestConnector.call`. Raises NotMatched for a citizen
        whom the package does not know or of whom too little is known here, AmbiguousIdentity for several, TryLater for
        an answer that cannot be read."""
        spec = self._raw.get((question.evidence, question.version))
        if spec is None or "call" not in spec:
            raise Refused(f"{self._name} ne répond pas à cette question")
        facts = self._facts(spec, question)
        query = self._query(spec, question, facts)
        try:
            answer = ask(
                spec["call"], record=_asked(question), facts=facts, params=query, expect=(*SUCCESS, 404),
                seconds=question.seconds, safe=True,
            )  # fmt: skip
        except InvalidMessage:  # a placeholder of the address that this citizen's identity does not fill
            raise self._unknown() from None
        record = self._record(spec, answer)
        return self._evidence(spec, question, record, answer)

    def _facts(self, spec: Mapping[str, Any], question: Question) -> dict[str, Any]:
        named = {name for text in texts_of(spec) for name in names_in(text)}
        if "reference" in named and question.reference is None:
            raise NotMatched(f"aucun identifiant de {self._name} n'est lié à cette personne")
        return {"reference": question.reference} if question.reference is not None else {}

    def _query(self, spec: Mapping[str, Any], question: Question, facts: Mapping[str, Any]) -> Mapping[str, Any]:
        if "query" not in spec:
            return {}
        form = Map.of_form(spec["query"], converters=self._language.converters, settings=self._language.settings)
        try:
            return form.write(_asked(question), {**self._language.facts, **facts})
        except InvalidMessage:
            raise self._unknown() from None

    def _record(self, spec: Mapping[str, Any], answer: HttpAnswer) -> Any:
        if answer.status == 404:
            raise self._unknown("404")
        body = answer.json()
        if "list" not in spec:
            return body
        found = body if spec["list"] == WHOLE else value_at(body, spec["list"])
        if not isinstance(found, list):
            raise self._unread(answer)
        only = Only(spec.get("only", {}))
        try:
            fitting = [record for record in found if only.fits(record)]
        except InvalidMessage:
            raise self._unread(answer) from None
        if not fitting:
            raise self._unknown()
        if len(fitting) > 1:
            raise AmbiguousIdentity(f"{self._name} connaît plusieurs personnes qui répondent à cette demande")
        return fitting[0]

    def _evidence(self, spec: Mapping[str, Any], question: Question, record: Any, answer: HttpAnswer) -> Evidence:
        try:
            values = self._language.tables[spec["map"]].read(record, self._language.facts)
            evidence = evidence_of(question, values, self._context, spec.get("quality", "authoritative"))
            check_evidence(evidence)
        except InvalidMessage:
            raise self._unread(answer) from None
        return evidence

    def _unknown(self, native: str = "") -> NotMatched:
        return NotMatched(f"{self._name} ne connaît personne sous cette identité", native=native)

    def _unread(self, answer: HttpAnswer) -> Exception:
        detail = f"{answer.host}: not what the map reads"
        return lost_answer(f"{self._name} {UNREAD}", True, detail=detail, fault="away.not-json")


def evidence_of(
    question: Question, values: Mapping[str, Any], context: Context, quality: str = "authoritative"
) -> Evidence:
    """The values that were asked for, as this connection says them now."""
    said = {"source": context.connection, "date": to_rfc3339(context.now(), "seconds"), "quality": quality}
    asked = {name: {"value": value, **said} for name, value in values.items() if name in question.fields}
    return Evidence(question.evidence, question.version, asked)


def _asked(question: Question) -> Mapping[str, Any]:
    """What is known of the citizen, as placeholders and places name it."""
    return {"identity": question.identity or {}, "parameters": question.parameters}
