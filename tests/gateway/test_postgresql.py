"""The same answers when the hub is on PostgreSQL."""

from __future__ import annotations

import pytest

from tests.gateway.conftest import Open, event, post, problem
from tests.gateway.test_documents import PDF, store
from tests.gateway.test_requests import asked, submit, tell
from tests.gateway.test_tokens import EC, ask, jwks, refused, signed
from tests.gateway.test_webhooks import make
from tests.support.servers import Postgres

pytestmark = pytest.mark.database


def test_the_gateway_answers_the_same_on_postgresql(postgres: Postgres, open_house: Open) -> None:
    house = open_house(database=postgres.fresh_database())
    http, other = house.client(), house.client("guichet")

    assert house.anonymous().get("/readyz").status_code == 200
    assert [post(http, event()).status_code for _ in range(2)] == [202, 200]
    assert post(http, [event(n) for n in range(1, 300)]).status_code == 200
    first, again = (submit(http, asked(), idempotency_key="depot-1") for _ in range(2))
    assert first.json() == again.json()
    problem(submit(http, asked(form={}), idempotency_key="depot-1"), 422, "idempotency_key_reused")
    problem(http.get("/v1/requests/a%00b"), 404, "not_found")
    page = http.get("/v1/requests", params={"limit": 100}).json()
    following = http.get("/v1/requests", params={"limit": 100, "cursor": page["next"]}).json()
    assert not {i["id"] for i in page["items"]} & {i["id"] for i in following["items"]}
    assert http.get("/metrics").status_code == 200

    stored = store(http).json()
    assert store(other, PDF, content_disposition='attachment; filename="a.pdf"').json()["id"] == stored["id"]
    assert http.get(f"/v1/documents/{stored['id']}").content == PDF
    signed_act = house.hub.documents.for_tenant("saint-aubin").store(b"a;b", name="acte.csv", media_type="text/csv")
    tell(house, {"request": {"id": first.json()["id"]}, "status": "in_progress",
                 "native": {"code": "A", "label": "A"}, "documents": [signed_act.to_data()]})  # fmt: skip
    through = {"request": first.json()["id"]}
    assert http.get(f"/v1/documents/{signed_act.id}", params=through).content == b"a;b"
    problem(other.get(f"/v1/documents/{signed_act.id}", params=through), 404, "unknown_document")

    place = make(http).headers["location"]
    assert http.post(place + "/rotate").status_code == 200
    assert http.delete(place).status_code == 204

    house.add("signataire", jwks=jwks(EC))
    assertion = signed(EC, iss="signataire", sub="signataire")
    assert ask(house, assertion).status_code == 200
    refused(ask(house, assertion), 401, "invalid_client")
