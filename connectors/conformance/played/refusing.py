"""The refusals among the samples: what the package says no with, and what `[[error]]` makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from connectors.conformance.case import Refusal
from connectors.conformance.played.samples import Samples, file_name
from connectors.sdk import Connector
from connectors.sdk.contract_twins.openapi_check import Route
from connectors.sdk.contract_twins.openapi_twin import OpenApiTwin
from connectors.sdk.http import HttpAnswer
from connectors.sdk.kinds.rest import RestConnector
from connectors.sdk.twin import TwinAnswer, TwinCall
from schemas.delivery import Delivery
from schemas.errors import ConfigError
from schemas.exchange import Question

Act = Callable[[Connector], object]


@dataclass(frozen=True, slots=True)
class Refusals:
    """`answers/<operation>.<status>.json` of one case, played at one twin. `route`: the operation of a call, as the
    manifest writes it."""

    samples: Samples
    twin: OpenApiTwin
    route: Callable[[str], Route]

    def of(self, connector: RestConnector) -> list[Refusal]:
        """One for each file. Raises ConfigError for a file of what no `[[deliver]]` and no `[[answer]]` calls, and for
        one that the contract does not allow."""
        calls = self._calls(connector)
        found = []
        for path, operation, status in self.samples.refusals:
            if operation not in calls:
                raise ConfigError("no [[deliver]] and no [[answer]] that a sample is of calls it", key=str(path))
            route, act = calls[operation]
            answer = self.twin.answers.refusal(route, status)
            content = json.dumps(answer.body).encode()
            error = connector.errors.error_for(HttpAnswer(status, dict(answer.headers), content))
            found.append(Refusal(self._name(path), act, self._arm(route, answer), type(error) if error else None))
        return found

    def _calls(self, connector: RestConnector) -> Mapping[str, tuple[Route, Act]]:
        """Each operation that can say no, by the stem of its files, and what makes a connector call it."""
        routes = {
            (table, one["type"]): self.route(one["call"])
            for table in ("deliver", "answer")
            for one in connector.declared.get(table, ())
        }
        found: dict[str, tuple[Route, Act]] = {}
        for delivery in self.samples.deliveries:
            if route := routes.get(("deliver", delivery.event.type)):
                found.setdefault(file_name(route.name), (route, partial(_told, delivery)))
        for asked in self.samples.asked:
            if route := routes.get(("answer", asked.question.evidence)):
                found.setdefault(file_name(route.name), (route, partial(_asked, asked.question)))
        return found

    def _arm(self, route: Route, answer: TwinAnswer) -> Callable[[], None]:
        def alter(call: TwinCall, usual: TwinAnswer) -> TwinAnswer:
            return answer if self.twin.contract.route(call.method, call.path) == route else usual

        def arm() -> None:
            self.twin.alter = alter

        return arm

    def _name(self, path: Path) -> str:
        return str(path.relative_to(self.samples.manifest.folder))


def _told(delivery: Delivery, connector: Connector) -> object:
    return connector.handle(delivery)


def _asked(question: Question, connector: Connector) -> object:
    return connector.answer(question)
