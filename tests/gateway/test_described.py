"""Every call that `/openapi.json` describes, with whatever it describes: schemathesis makes the calls and holds the
answers against the description."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateway.conftest import House

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
EXAMPLES = 25


def test_no_described_call_gets_an_answer_that_is_not_described(house: House) -> None:
    http = house.client()
    schema = schemathesis.openapi.from_dict(house.anonymous().get("/openapi.json").json())
    schema.config.update(base_url=house.url)
    faults: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        try:
            _try(operation, str(http.headers["authorization"]))
        except (Exception, BaseExceptionGroup) as error:
            faults.append(f"{operation.label}: {error}")
    assert not faults, "\n\n".join(faults)


def _try(operation: Any, authorization: str) -> None:
    @seed(20261123)
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def call(case: Any) -> None:
        headers = {**(case.headers or {}), "authorization": authorization}
        case.headers = headers
        answer = case.call(timeout=20)
        case.validate_response(answer, checks=CHECKS)

    call()


pytestmark = pytest.mark.timeout(240)
