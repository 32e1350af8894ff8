"""`[[answer]]` of the kind `soap`: a live question about a citizen, by one operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from connectors.sdk.connector import Context
from connectors.sdk.kinds.events import Language
from connectors.sdk.kinds.questions import evidence_of
from connectors.sdk.kinds.shapes import check_evidence
from connectors.sdk.kinds.texts import Only, names_in, texts_of
from connectors.sdk.mapping import Map
from connectors.sdk.mapping.places import Place, getter
from connectors.sdk.mapping.scalars import is_empty
from schemas.errors import InvalidMessage, Refused, TryLater
from schemas.exchange import AmbiguousIdentity, Evidence, NotMatched, Question

Ask = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""(operation, arguments) -> the answer as a record."""


class SoapQuestions:
    """What a connector answers, each by its evidence type and version."""

    def __init__(self, raw: Mapping[str, Any], language: Language, context: Context) -> None:
        self._raw = {(one["type"], one.get("version", 1)): one for one in raw.get("answer", ())}
        self._forms = {key: self._form(one, language) for key, one in self._raw.items() if "ask" in one}
        self._language, self._context, self._name = language, context, context.manifest.name

    def answer(self, question: Question, ask: Ask) -> Evidence:
        """The evidence, for the fields that are asked for. Raises NotMatched for a citizen whom the package does not
        know or of whom too little is known here, AmbiguousIdentity for several, TryLater for an answer that cannot be
        read."""
        key = (question.evidence, question.version)
        if key not in self._raw:
            raise Refused(f"{self._name} ne répond pas à cette question")
        spec = self._raw[key]
        answer = ask(spec["operation"], self._arguments(key, question))
        try:
            return self._evidence(spec, question, self._record(spec, answer))
        except InvalidMessage as error:
            said = f"{self._name} a renvoyé des données qui n'ont pas la forme attendue"
            raise TryLater(said, detail=f"{spec['operation']}: {error.pointer}", fault="away.not-json") from None

    def _arguments(self, key: tuple[str, int], question: Question) -> Mapping[str, Any]:
        if key not in self._forms:
            return {}
        named = {name for text in texts_of(self._raw[key]) for name in names_in(text)}
        if "reference" in named and question.reference is None:
            raise NotMatched(f"aucun identifiant de {self._name} n'est lié à cette personne")
        facts = {**self._language.facts, "reference": question.reference}
        asked = {"identity": question.identity or {}, "parameters": question.parameters}
        try:
            return self._forms[key].write(asked, facts)
        except InvalidMessage:  # what this citizen's identity does not say, or says otherwise
            raise self._unknown() from None

    def _record(self, spec: Mapping[str, Any], answer: Mapping[str, Any]) -> Any:
        if "list" not in spec:
            if is_empty({name: value for name, value in answer.items() if not is_empty(value)}):
                raise self._unknown()
            return answer
        found = getter(Place.of(spec["list"]).steps)(answer) or []
        if not isinstance(found, list):
            raise InvalidMessage("une liste est attendue", pointer=Place.of(spec["list"]).pointer, code="wrong_shape")
        only = Only(spec.get("only", {}))
        fitting = [record for record in found if only.fits(record)]
        if not fitting:
            raise self._unknown()
        if len(fitting) > 1:
            raise AmbiguousIdentity(f"{self._name} connaît plusieurs personnes qui répondent à cette demande")
        return fitting[0]

    def _evidence(self, spec: Mapping[str, Any], question: Question, record: Any) -> Evidence:
        values = self._language.tables[spec["map"]].read(record, self._language.facts)
        evidence = evidence_of(question, values, self._context, spec.get("quality", "authoritative"))
        check_evidence(evidence)
        return evidence

    def _unknown(self) -> NotMatched:
        return NotMatched(f"{self._name} ne connaît personne sous cette identité")

    @staticmethod
    def _form(one: Mapping[str, Any], language: Language) -> Map:
        return Map.of_form(one["ask"], converters=language.converters, settings=language.settings)
